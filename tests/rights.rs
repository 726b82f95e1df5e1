//! The rights matrix: every combination of facts about a caller, against an oracle that reads like the
//! contract; and that a row is written exactly when the answer is a success.

#![allow(clippy::unwrap_used, reason = "test code may panic")]

mod sqlite;

use asset_uploads::domain::asset::User;
use asset_uploads::domain::ids::OrganizationId;
use asset_uploads::domain::media::AllowedTypes;
use asset_uploads::domain::timestamp::Timestamp;
use asset_uploads::domain::upload::UploadRules;
use asset_uploads::error::{ApiError, AuthError};
use asset_uploads::store::confirm::{Confirm, Confirmed};
use asset_uploads::store::rights::{Caller, CheckRights, Identity, Permission};
use rusqlite::Connection;
use sqlite::{Key, NOW, Person};

#[derive(Debug, Clone, Copy, PartialEq)]
enum KeyState {
    Unknown,
    Revoked,
    Expired,
    BoundHere,
    BoundElsewhere,
    Unbound,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Member {
    No,
    WithoutRole,
    As(&'static str),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Place {
    Here,
    Elsewhere,
    Nowhere,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Impersonator {
    None,
    Enabled,
    Disabled,
}

#[derive(Debug, Clone, Copy)]
struct Facts {
    key: KeyState,
    impersonator: Impersonator,
    disabled: bool,
    verified: bool,
    here: Member,
    elsewhere: Member,
}

const KEYS: [KeyState; 6] = [
    KeyState::Unknown,
    KeyState::Revoked,
    KeyState::Expired,
    KeyState::BoundHere,
    KeyState::BoundElsewhere,
    KeyState::Unbound,
];
const MEMBERS: [Member; 6] = [
    Member::No,
    Member::WithoutRole,
    Member::As("owner"),
    Member::As("admin"),
    Member::As("editor"),
    Member::As("viewer"),
];
/// A second membership with more rights than the first may have, with fewer, and with none yet.
const SECOND: [Member; 4] = [Member::No, Member::WithoutRole, Member::As("owner"), Member::As("viewer")];
const NAMED: [Option<Place>; 4] = [None, Some(Place::Here), Some(Place::Elsewhere), Some(Place::Nowhere)];

fn all_facts() -> Vec<Facts> {
    let mut all = Vec::new();
    for key in KEYS {
        for impersonator in [Impersonator::None, Impersonator::Enabled, Impersonator::Disabled] {
            for disabled in [false, true] {
                for verified in [true, false] {
                    for here in MEMBERS {
                        for elsewhere in SECOND {
                            all.push(Facts { key, impersonator, disabled, verified, here, elsewhere });
                        }
                    }
                }
            }
        }
    }
    all
}

/// Rows 3 to 8 of the contract, in its order and words. Shares nothing with the SQL.
fn oracle(facts: Facts, named: Option<Place>, permission: Permission) -> Result<Place, AuthError> {
    if matches!(facts.key, KeyState::Unknown | KeyState::Revoked | KeyState::Expired)
        || facts.disabled
        || facts.impersonator == Impersonator::Disabled
    {
        return Err(AuthError::Unauthorized);
    }
    if !facts.verified {
        return Err(AuthError::EmailNotVerified);
    }
    let bound = match facts.key {
        KeyState::BoundHere => Some(Place::Here),
        KeyState::BoundElsewhere => Some(Place::Elsewhere),
        _ => None,
    };
    let only_membership = match (facts.here != Member::No, facts.elsewhere != Member::No) {
        (true, false) => Some(Place::Here),
        (false, true) => Some(Place::Elsewhere),
        _ => None,
    };
    let Some(place) = named.or(bound).or(only_membership) else {
        return Err(AuthError::OrganizationMembershipRequired);
    };
    if bound.is_some_and(|bound| bound != place) {
        return Err(AuthError::OrganizationMembershipRequired);
    }
    let membership = match place {
        Place::Here => facts.here,
        Place::Elsewhere => facts.elsewhere,
        Place::Nowhere => Member::No,
    };
    let role = match membership {
        Member::No => return Err(AuthError::OrganizationMembershipRequired),
        Member::WithoutRole => return Err(AuthError::RoleUnresolved),
        Member::As(role) => role,
    };
    if facts.impersonator != Impersonator::None && permission == Permission::AssetsWrite {
        return Err(AuthError::ImpersonationReadOnly);
    }
    match (role, permission) {
        ("viewer", Permission::AssetsWrite) => Err(AuthError::PermissionDenied),
        _ => Ok(place),
    }
}

/// People and organizations of whom the facts hold, beside all others in the database.
struct Scene {
    caller: Person,
    here: OrganizationId,
    elsewhere: OrganizationId,
    nowhere: OrganizationId,
}

impl Scene {
    fn set(conn: &Connection, facts: Facts) -> Self {
        let here = sqlite::organization(conn);
        let elsewhere = sqlite::organization(conn);
        let user = sqlite::user(conn, "Carla");
        for (org, member) in [(here, facts.here), (elsewhere, facts.elsewhere)] {
            match member {
                Member::No => {}
                Member::WithoutRole => sqlite::add_member(conn, &user, org, None),
                Member::As(role) => sqlite::add_member(conn, &user, org, Some(role)),
            }
        }
        let set = |user: &User, column: &str, value: Option<i64>| {
            let sql = format!("UPDATE users SET {column} = ?1 WHERE id = ?2");
            conn.execute(&sql, rusqlite::params![value, user.id.to_string()]).unwrap();
        };
        if facts.disabled {
            set(&user, "disabled_at", Some(NOW.0 - 1));
        }
        if !facts.verified {
            set(&user, "email_verified_at", None);
        }
        let impersonator = (facts.impersonator != Impersonator::None).then(|| sqlite::user(conn, "Sue"));
        if let (Some(sue), Impersonator::Disabled) = (&impersonator, facts.impersonator) {
            set(sue, "disabled_at", Some(NOW.0 - 1));
        }
        let mut key = Key {
            impersonator: impersonator.map(|sue| sue.id),
            // The last millisecond of a key that is still valid.
            expires_at: Some(Timestamp(NOW.0 + 1)),
            ..Key::default()
        };
        match facts.key {
            KeyState::Unknown => {}
            KeyState::Revoked => key.revoked_at = Some(Timestamp(NOW.0 - 1)),
            KeyState::Expired => key.expires_at = Some(NOW),
            KeyState::BoundHere => key.org = Some(here),
            KeyState::BoundElsewhere => key.org = Some(elsewhere),
            KeyState::Unbound => key.expires_at = None,
        }
        // The user has a key in any case; with an unknown one it just is another than the one sent.
        let hash = sqlite::key(conn, &user, key);
        let hash = if facts.key == KeyState::Unknown { sqlite::unused_key() } else { hash };
        let nowhere = sqlite::unused_organization_id();
        Self { caller: Person { user, key: hash }, here, elsewhere, nowhere }
    }

    fn org(&self, place: Place) -> OrganizationId {
        match place {
            Place::Here => self.here,
            Place::Elsewhere => self.elsewhere,
            Place::Nowhere => self.nowhere,
        }
    }

    fn caller(&self, named: Option<Place>, permission: Permission) -> Caller {
        let organization = named.map(|place| self.org(place));
        Caller { organization, ..self.caller.caller(permission) }
    }

    /// Whom the log names: nobody behind an unknown key, and the organization once all is well.
    fn check_identity(
        &self,
        identity: Identity,
        facts: Facts,
        expected: Result<Place, AuthError>,
        case: &str,
    ) {
        let user_id = (facts.key != KeyState::Unknown).then_some(self.caller.user.id);
        assert_eq!(identity.user_id, user_id, "{case}");
        if let Ok(place) = expected {
            assert_eq!(identity.org_id, Some(self.org(place)), "{case}");
        }
        if matches!(expected, Err(AuthError::OrganizationMembershipRequired)) {
            assert_eq!(identity.org_id, None, "{case}");
        }
    }
}

#[test]
fn rights_alone_are_judged_as_the_contract_says() {
    let conn = sqlite::open();
    for facts in all_facts() {
        let scene = Scene::set(&conn, facts);
        for named in NAMED {
            for permission in [Permission::AssetsRead, Permission::AssetsWrite] {
                let case = format!("{facts:?}, named {named:?}, {permission:?}");
                let expected = oracle(facts, named, permission);
                let check = CheckRights { caller: scene.caller(named, permission) };
                let (answer, identity) = sqlite::run_with_identity(&conn, &check);
                assert_eq!(answer, expected.map(drop).map_err(ApiError::Auth), "{case}");
                scene.check_identity(identity, facts, expected, &case);
            }
        }
    }
}

#[test]
fn an_asset_is_written_exactly_when_the_caller_may() {
    let rules = UploadRules {
        max_bytes: 1_000,
        allowed_types: AllowedTypes::parse(["image/*"]).unwrap(),
        reject_mismatch: false,
    };
    let png = sqlite::fixtures::stored_object(640, "image/png");
    let (mut written, mut refused) = (0, 0);
    let conn = sqlite::open();
    for facts in all_facts() {
        let scene = Scene::set(&conn, facts);
        for named in NAMED {
            let expected = oracle(facts, named, Permission::AssetsWrite);
            // A session in either organization: the caller may reach at most one of them.
            for place in [Place::Here, Place::Elsewhere] {
                let case = format!("{facts:?}, named {named:?}, session {place:?}");
                let upload = sqlite::session(&conn, scene.org(place), &scene.caller, Timestamp(NOW.0 + 1));
                let confirm = Confirm {
                    caller: scene.caller(named, Permission::AssetsWrite),
                    asset_upload_id: upload,
                    folder_id: None,
                    idempotency_key: None,
                    request_id: sqlite::new_request_id(),
                    object: rules.verify(png.clone()),
                    rules: &rules,
                };
                let before = sqlite::count_assets(&conn);
                let (answer, identity) = sqlite::run_with_identity(&conn, &confirm);
                let grown = sqlite::count_assets(&conn) - before;
                scene.check_identity(identity, facts, expected, &case);
                match (expected, answer) {
                    (Ok(allowed), Ok(Confirmed::Asset { asset, created_by_user, replayed: false }))
                        if allowed == place =>
                    {
                        assert_eq!((asset.id, asset.org_id), (upload.into(), scene.org(place)), "{case}");
                        assert_eq!(created_by_user, scene.caller.user, "{case}");
                        assert_eq!(grown, 1, "{case}");
                        written += 1;
                    }
                    (Ok(allowed), answer) => {
                        assert_ne!(allowed, place, "{case}: {answer:?}");
                        assert_eq!(answer, Err(ApiError::AssetUploadNotFound), "{case}");
                        assert_eq!(grown, 0, "{case}");
                        refused += 1;
                    }
                    (Err(refusal), answer) => {
                        assert_eq!(answer, Err(ApiError::Auth(refusal)), "{case}");
                        assert_eq!(grown, 0, "{case}");
                        refused += 1;
                    }
                }
            }
        }
    }
    // The walk is as long as it claims to be, and not all on one side.
    assert_eq!(written + refused, 6 * 3 * 2 * 2 * 6 * 4 * 4 * 2);
    assert!(written >= 50, "only {written} successes");
}
