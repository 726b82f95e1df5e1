//! Callers in every state that the database knows of, and an oracle for what each may do: rules 3 to 8.

use asset_uploads::domain::api_key::Scope;
use asset_uploads::domain::asset::User;
use asset_uploads::domain::ids::OrganizationId;
use asset_uploads::domain::timestamp::Timestamp;
use asset_uploads::error::AuthError;
use asset_uploads::store::rights::{Access, Caller, Permission};
use rusqlite::Connection;

use super::{Key, NOW, Person};
use crate::sqlite;

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum KeyState {
    Unknown,
    Revoked,
    Expired,
    BoundHere,
    BoundElsewhere,
    Unbound,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Membership {
    None,
    WithoutRole,
    As(&'static str),
}

/// Which organization.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Place {
    Here,
    Elsewhere,
    /// One that does not exist.
    Unknown,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Impersonator {
    None,
    Enabled,
    Disabled,
}

/// What is known of the keys that a key descends from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Ancestry {
    /// An operator's key.
    First,
    /// The last generation that may be.
    Fourth,
    Fifth,
    ParentRevoked,
    ParentExpired,
    ParentMissing,
    GrandparentRevoked,
    GrandparentExpired,
    GrandparentMissing,
    /// Of the fourth generation, its first one revoked.
    FirstRevoked,
}

pub(crate) const ANCESTRIES: [Ancestry; 10] = [
    Ancestry::First,
    Ancestry::Fourth,
    Ancestry::Fifth,
    Ancestry::ParentRevoked,
    Ancestry::ParentExpired,
    Ancestry::ParentMissing,
    Ancestry::GrandparentRevoked,
    Ancestry::GrandparentExpired,
    Ancestry::GrandparentMissing,
    Ancestry::FirstRevoked,
];

impl Ancestry {
    /// Whether no key of the chain is missing or ended, and there are not too many.
    pub(crate) fn is_valid(self) -> bool {
        matches!(self, Self::First | Self::Fourth)
    }

    /// Makes the ancestors; the parent's id.
    fn insert(self, conn: &Connection, user: &User) -> Option<String> {
        let ended = |revoked: bool| Key {
            revoked_at: revoked.then_some(Timestamp(NOW.0 - 1)),
            expires_at: (!revoked).then_some(NOW),
            ..Key::default()
        };
        // From the first to the parent.
        let chain = match self {
            Self::First => return None,
            Self::ParentMissing => return Some(sqlite::unused_upload_id().to_string()),
            Self::Fourth => vec![Key::default(); 3],
            Self::Fifth => vec![Key::default(); 4],
            Self::ParentRevoked => vec![Key::default(), ended(true)],
            Self::ParentExpired => vec![Key::default(), ended(false)],
            Self::GrandparentRevoked => vec![ended(true), Key::default()],
            Self::GrandparentExpired => vec![ended(false), Key::default()],
            Self::GrandparentMissing => {
                vec![Key { parent: Some(sqlite::unused_upload_id().to_string()), ..Key::default() }]
            }
            Self::FirstRevoked => vec![ended(true), Key::default(), Key::default()],
        };
        chain.into_iter().fold(None, |parent: Option<String>, key| {
            let parent = key.parent.clone().or(parent);
            let hash = sqlite::key(conn, user, Key { parent, ..key });
            Some(sqlite::key_id(conn, &hash))
        })
    }
}

/// What the database knows of a caller.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CallerState {
    pub(crate) scope: Scope,
    pub(crate) ancestry: Ancestry,
    pub(crate) key: KeyState,
    pub(crate) impersonator: Impersonator,
    pub(crate) disabled: bool,
    pub(crate) verified: bool,
    pub(crate) here: Membership,
    pub(crate) elsewhere: Membership,
}

pub(crate) const KEYS: [KeyState; 6] = [
    KeyState::Unknown,
    KeyState::Revoked,
    KeyState::Expired,
    KeyState::BoundHere,
    KeyState::BoundElsewhere,
    KeyState::Unbound,
];
pub(crate) const MEMBERSHIPS: [Membership; 6] = [
    Membership::None,
    Membership::WithoutRole,
    Membership::As("owner"),
    Membership::As("admin"),
    Membership::As("editor"),
    Membership::As("viewer"),
];
/// A second membership with more rights than the first may have, with fewer, and with none yet.
pub(crate) const SECOND: [Membership; 4] =
    [Membership::None, Membership::WithoutRole, Membership::As("owner"), Membership::As("viewer")];
/// What `X-Organization-Id` names.
pub(crate) const NAMED: [Option<Place>; 4] =
    [None, Some(Place::Here), Some(Place::Elsewhere), Some(Place::Unknown)];

pub(crate) fn all_states() -> Vec<CallerState> {
    let mut all = Vec::new();
    for key in KEYS {
        for impersonator in [Impersonator::None, Impersonator::Enabled, Impersonator::Disabled] {
            for disabled in [false, true] {
                for verified in [true, false] {
                    for here in MEMBERSHIPS {
                        for elsewhere in SECOND {
                            let (scope, ancestry) = (Scope::Full, Ancestry::First);
                            all.push(CallerState {
                                scope,
                                ancestry,
                                key,
                                impersonator,
                                disabled,
                                verified,
                                here,
                                elsewhere,
                            });
                        }
                    }
                }
            }
        }
    }
    all
}

/// The same with every scope and ancestry, and what goes with them.
pub(crate) fn all_keys() -> Vec<CallerState> {
    let of_full = all_states().into_iter().filter(|state| {
        !state.disabled && state.elsewhere == Membership::None && state.impersonator != Impersonator::Disabled
    });
    of_full
        .flat_map(|state| Scope::ALL.map(|scope| CallerState { scope, ..state }))
        .flat_map(|state| ANCESTRIES.map(|ancestry| CallerState { ancestry, ..state }))
        .collect()
}

/// Rules 3 to 8, in their order and words: the organization that the caller may act in; none where any valid key will do
/// and none resolves. Shares nothing with the SQL.
pub(crate) fn oracle(
    state: CallerState,
    named: Option<Place>,
    access: Access,
) -> Result<Option<Place>, AuthError> {
    let found = authorize(state, named, access);
    match (access.permission, found) {
        (Permission::AnyKey, Err(AuthError::Unauthorized)) => Err(AuthError::Unauthorized),
        (Permission::AnyKey, _) => {
            // Where a member without a role, or with any, would act.
            let state = CallerState { verified: true, ..state };
            let reading = Access { permission: Permission::AssetsRead, scopes: &Scope::ALL, writes: false };
            let with_role = |membership| match membership {
                Membership::WithoutRole => Membership::As("viewer"),
                other => other,
            };
            let (here, elsewhere) = (with_role(state.here), with_role(state.elsewhere));
            Ok(authorize(CallerState { here, elsewhere, ..state }, named, reading).ok())
        }
        (_, found) => found.map(Some),
    }
}

fn authorize(state: CallerState, named: Option<Place>, access: Access) -> Result<Place, AuthError> {
    let permission = access.permission;
    if matches!(state.key, KeyState::Unknown | KeyState::Revoked | KeyState::Expired)
        || state.disabled
        || state.impersonator == Impersonator::Disabled
        || !state.ancestry.is_valid()
    {
        return Err(AuthError::Unauthorized);
    }
    if !state.verified {
        return Err(AuthError::EmailNotVerified);
    }
    let bound = match state.key {
        KeyState::BoundHere => Some(Place::Here),
        KeyState::BoundElsewhere => Some(Place::Elsewhere),
        _ => None,
    };
    let only_membership = match (state.here != Membership::None, state.elsewhere != Membership::None) {
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
        Place::Here => state.here,
        Place::Elsewhere => state.elsewhere,
        Place::Unknown => Membership::None,
    };
    let role = match membership {
        Membership::None => return Err(AuthError::OrganizationMembershipRequired),
        Membership::WithoutRole => return Err(AuthError::RoleUnresolved),
        Membership::As(role) => role,
    };
    if state.impersonator != Impersonator::None && access.writes {
        return Err(AuthError::ImpersonationReadOnly);
    }
    match (role, permission) {
        ("viewer", Permission::AssetsWrite) | ("viewer" | "editor", Permission::WebhooksManage) => {
            Err(AuthError::PermissionDenied)
        }
        _ if !access.scopes.contains(&state.scope) => Err(AuthError::PermissionDenied),
        _ => Ok(place),
    }
}

/// A caller in some state, and the organizations, beside all others in the database.
pub(crate) struct CallerFixtures {
    pub(crate) caller: Person,
    pub(crate) here: OrganizationId,
    pub(crate) elsewhere: OrganizationId,
    pub(crate) unknown: OrganizationId,
}

impl CallerFixtures {
    pub(crate) fn insert(conn: &Connection, state: CallerState) -> Self {
        let here = sqlite::organization(conn);
        let elsewhere = sqlite::organization(conn);
        let user = sqlite::user(conn, "Carla");
        for (org, membership) in [(here, state.here), (elsewhere, state.elsewhere)] {
            match membership {
                Membership::None => {}
                Membership::WithoutRole => sqlite::add_member(conn, &user, org, None),
                Membership::As(role) => sqlite::add_member(conn, &user, org, Some(role)),
            }
        }
        let set = |user: &User, column: &str, value: Option<i64>| {
            let sql = format!("UPDATE users SET {column} = ?1 WHERE id = ?2");
            conn.execute(&sql, rusqlite::params![value, user.id.to_string()]).unwrap();
        };
        if state.disabled {
            set(&user, "disabled_at", Some(NOW.0 - 1));
        }
        if !state.verified {
            set(&user, "email_verified_at", None);
        }
        let impersonator = (state.impersonator != Impersonator::None).then(|| sqlite::user(conn, "Sue"));
        if let (Some(sue), Impersonator::Disabled) = (&impersonator, state.impersonator) {
            set(sue, "disabled_at", Some(NOW.0 - 1));
        }
        let mut key = Key {
            impersonator: impersonator.map(|sue| sue.id),
            // The last millisecond of a key that is still valid.
            expires_at: Some(Timestamp(NOW.0 + 1)),
            scope: Some(state.scope),
            parent: state.ancestry.insert(conn, &user),
            ..Key::default()
        };
        match state.key {
            KeyState::Unknown => {}
            KeyState::Revoked => key.revoked_at = Some(Timestamp(NOW.0 - 1)),
            KeyState::Expired => key.expires_at = Some(NOW),
            KeyState::BoundHere => key.org = Some(here),
            KeyState::BoundElsewhere => key.org = Some(elsewhere),
            KeyState::Unbound => key.expires_at = None,
        }
        // The user has a key in any case; with an unknown one it just is another than the one sent.
        let hash = sqlite::key(conn, &user, key);
        let hash = if state.key == KeyState::Unknown { sqlite::unused_key() } else { hash };
        let unknown = sqlite::unused_organization_id();
        Self { caller: Person { user, key: hash }, here, elsewhere, unknown }
    }

    pub(crate) fn org(&self, place: Place) -> OrganizationId {
        match place {
            Place::Here => self.here,
            Place::Elsewhere => self.elsewhere,
            Place::Unknown => self.unknown,
        }
    }

    pub(crate) fn caller(&self, named: Option<Place>, access: Access) -> Caller {
        let organization = named.map(|place| self.org(place));
        Caller { organization, ..self.caller.caller(access) }
    }
}
