//! Who may start, read and cancel uploads and read assets, and how the database finds what they ask for.

#![allow(clippy::unwrap_used, reason = "test code may panic")]

mod sqlite;

use asset_uploads::domain::ids::{AssetUploadId, OrganizationId};
use asset_uploads::domain::media::MimeType;
use asset_uploads::domain::timestamp::Timestamp;
use asset_uploads::domain::upload::Filename;
use asset_uploads::error::{ApiError, AuthError};
use asset_uploads::store::rights::{Caller, CallerOperation, Identity, Permission};
use asset_uploads::store::{assets, uploads};
use rusqlite::{Connection, params};
use sqlite::fixtures::{DEADLINE, asset_of, confirm, pending_upload};
use sqlite::{Key, NOW, Person, contents, run, run_with_identity};

/// The operations by what they need: only the caller and the id differ.
fn create(caller: Caller, asset_upload_id: AssetUploadId) -> uploads::Create {
    uploads::Create {
        caller,
        asset_upload_id,
        filename: Filename::parse("beach.png").unwrap(),
        mime_type: MimeType::parse("image/png").unwrap(),
        size_bytes: 640,
        expires_at: DEADLINE,
        request_id: sqlite::new_request_id(),
    }
}

fn cancel(caller: Caller, asset_upload_id: AssetUploadId) -> uploads::Cancel {
    uploads::Cancel { caller, asset_upload_id }
}

fn read(caller: Caller, asset_upload_id: AssetUploadId) -> uploads::Read {
    uploads::Read { caller, asset_upload_id }
}

fn read_asset(caller: Caller, asset_id: AssetUploadId) -> assets::Read {
    assets::Read { caller, asset_id: asset_id.into() }
}

/// One who asks: what keeps them from writing, and what from reading.
struct Case {
    who: &'static str,
    key: Person,
    named: Option<OrganizationId>,
    write: Option<AuthError>,
    read: Option<AuthError>,
}

/// Everybody there is to refuse, in the contract's order, and those who may.
fn people(conn: &Connection, org: OrganizationId) -> Vec<Case> {
    use AuthError::{
        EmailNotVerified, ImpersonationReadOnly, OrganizationMembershipRequired, PermissionDenied,
        RoleUnresolved, Unauthorized,
    };
    let elsewhere = sqlite::organization(conn);
    let person = |orgs: &[(OrganizationId, Option<&str>)], key: Key| {
        let user = sqlite::user(conn, "Carla");
        orgs.iter().for_each(|(org, role)| sqlite::add_member(conn, &user, *org, *role));
        Person { key: sqlite::key(conn, &user, key), user }
    };
    let here = [(org, Some("editor"))];
    let both = [(org, Some("editor")), (elsewhere, Some("owner"))];
    let free = Key::default();
    let changed = |column: &str, value: Option<i64>| {
        let person = person(&here, free);
        let sql = format!("UPDATE users SET {column} = ?1 WHERE id = ?2");
        conn.execute(&sql, params![value, person.user.id.to_string()]).unwrap();
        person
    };
    let unknown = Person { key: sqlite::unused_key(), ..person(&here, free) };
    let revoked = Key { revoked_at: Some(Timestamp(1)), ..free };
    let expired = Key { expires_at: Some(NOW), ..free };
    let lent = Key { impersonator: Some(sqlite::user(conn, "Sue").id), ..free };
    let at_home = Key { org: Some(org), ..free };
    let away = Key { org: Some(elsewhere), ..free };
    let mut cases = Vec::new();
    let mut all = |who, key, named, write, read| cases.push(Case { who, key, named, write, read });
    let mut none = |who, key, named, refusal| all(who, key, named, Some(refusal), Some(refusal));
    none("an unknown key", unknown, None, Unauthorized);
    none("a revoked key", person(&here, revoked), None, Unauthorized);
    none("an expired key", person(&here, expired), None, Unauthorized);
    none("a disabled user", changed("disabled_at", Some(1)), None, Unauthorized);
    none("an unverified user", changed("email_verified_at", None), None, EmailNotVerified);
    none("no member", person(&[], free), None, OrganizationMembershipRequired);
    none("no member here", person(&both[1..], free), Some(org), OrganizationMembershipRequired);
    none("one of two, unnamed", person(&both, free), None, OrganizationMembershipRequired);
    none("a key of elsewhere", person(&both, away), Some(org), OrganizationMembershipRequired);
    none("a key of a place left", person(&[], at_home), None, OrganizationMembershipRequired);
    none("without a role", person(&[(org, None)], free), None, RoleUnresolved);
    all("impersonated", person(&here, lent), None, Some(ImpersonationReadOnly), None);
    all("a viewer", person(&[(org, Some("viewer"))], free), None, Some(PermissionDenied), None);
    for role in ["editor", "admin", "owner"] {
        all(role, person(&[(org, Some(role))], free), None, None, None);
    }
    all("one of two, named", person(&both, free), Some(org), None, None);
    all("a key of here", person(&both, at_home), None, None, None);
    cases
}

/// What came of an operation, and that it wrote exactly when it may.
fn outcome<O: CallerOperation>(conn: &Connection, operation: &O, case: &Case) -> Result<O::Output, ApiError> {
    let before = contents(conn);
    let (answer, identity) = run_with_identity(conn, operation);
    if let Err(ApiError::Auth(_)) = answer {
        assert_eq!(contents(conn), before, "{}", case.who);
    }
    let user_id = (case.who != "an unknown key").then_some(case.key.user.id);
    assert_eq!(identity.user_id, user_id, "{}", case.who);
    answer
}

#[test]
fn rights_are_judged_first_in_every_operation() {
    let (conn, org, editor, confirmed) = pending_upload();
    run(&conn, &confirm(&editor, confirmed)).unwrap();
    let mut written = 0;
    for case in people(&conn, org) {
        let asks = |permission| Caller { organization: case.named, ..case.key.caller(permission) };
        let pending = sqlite::session(&conn, org, &editor, DEADLINE);
        let unknown = sqlite::unused_upload_id();
        let refused = |refusal: Option<AuthError>| refusal.map(ApiError::Auth);

        let new = create(asks(Permission::AssetsWrite), unknown);
        let before = contents(&conn)[1].len();
        let answer = outcome(&conn, &new, &case).map(|created| created.existed);
        assert_eq!(answer, refused(case.write).map_or(Ok(false), Err), "{} starts", case.who);
        let grown = contents(&conn)[1].len() - before;
        assert_eq!(grown, usize::from(case.write.is_none()), "{}", case.who);
        written += grown;

        for (id, expected) in
            [(pending, Ok(false)), (confirmed, Ok(true)), (sqlite::unused_upload_id(), Err(()))]
        {
            let answer = outcome(&conn, &read(asks(Permission::AssetsRead), id), &case)
                .map(|(_, confirmed)| confirmed);
            let expected = expected.map_err(|()| ApiError::AssetUploadNotFound);
            assert_eq!(answer, refused(case.read).map_or(expected, Err), "{} reads", case.who);
        }

        for (id, expected) in
            [(confirmed, Ok(confirmed.to_string())), (pending, Err(ApiError::AssetNotFound))]
        {
            let answer = outcome(&conn, &read_asset(asks(Permission::AssetsRead), id), &case)
                .map(|(asset, _)| asset.id.to_string());
            assert_eq!(answer, refused(case.read).map_or(expected, Err), "{} reads an asset", case.who);
        }

        for (id, expected) in [
            (pending, Ok(())),
            (confirmed, Err(ApiError::AssetUploadAlreadyConfirmed(confirmed.to_string()))),
            (sqlite::unused_upload_id(), Err(ApiError::AssetUploadNotFound)),
        ] {
            let answer = outcome(&conn, &cancel(asks(Permission::AssetsWrite), id), &case);
            assert_eq!(answer, refused(case.write).map_or(expected, Err), "{} cancels", case.who);
        }
        let left = run(&conn, &read(editor.caller(Permission::AssetsRead), pending)).is_ok();
        assert_eq!(left, case.write.is_some(), "{}", case.who);
    }
    assert_eq!(written, 5);
}

/// Rights that go while a request is on its way: a repeat after a lost answer is judged anew.
#[test]
fn a_repeat_is_judged_by_the_rights_of_its_own_moment() {
    let (conn, org, editor, _) = pending_upload();
    let caller = editor.caller(Permission::AssetsWrite);
    let id = sqlite::unused_upload_id();
    run(&conn, &create(caller.clone(), id)).unwrap();
    conn.execute("UPDATE memberships SET role = 'viewer' WHERE org_id = ?1", [org.to_string()]).unwrap();
    let before = contents(&conn);
    let denied = ApiError::Auth(AuthError::PermissionDenied);
    assert_eq!(run(&conn, &create(caller.clone(), id)), Err(denied.clone()));
    assert_eq!(run(&conn, &cancel(caller, id)), Err(denied));
    assert_eq!(contents(&conn), before);
}

#[test]
fn an_asset_is_read_with_whoever_made_it() {
    let (conn, org, editor, upload) = pending_upload();
    let viewer = sqlite::viewer(&conn, org);
    run(&conn, &confirm(&editor, upload)).unwrap();
    let by_viewer = read_asset(viewer.caller(Permission::AssetsRead), upload);
    let (answer, identity) = run_with_identity(&conn, &by_viewer);
    assert_eq!(answer, Ok((asset_of(org, upload, &editor, None), editor.user.clone())));
    assert_eq!(identity, Identity { user_id: Some(viewer.user.id), org_id: Some(org) });

    // One who left or was disabled has made it all the same.
    conn.execute("DELETE FROM memberships WHERE user_id = ?1", [editor.user.id.to_string()]).unwrap();
    conn.execute("UPDATE users SET disabled_at = 1 WHERE id = ?1", [editor.user.id.to_string()]).unwrap();
    assert_eq!(run(&conn, &by_viewer).unwrap().1, editor.user);
}

#[test]
fn an_asset_that_is_unknown_deleted_or_foreign_is_not_found() {
    let (conn, org, editor, upload) = pending_upload();
    let deleted = sqlite::session(&conn, org, &editor, DEADLINE);
    let pending = sqlite::session(&conn, org, &editor, DEADLINE);
    for id in [upload, deleted] {
        run(&conn, &confirm(&editor, id)).unwrap();
    }
    conn.execute("UPDATE assets SET deleted_at = ?1 WHERE id = ?2", params![NOW.0, deleted.to_string()])
        .unwrap();
    let (outsider, _) = sqlite::outsider(&conn);
    let asks =
        |person: &Person, id| run(&conn, &read_asset(person.caller(Permission::AssetsRead), id)).map(drop);
    assert_eq!(asks(&editor, upload), Ok(()));
    for (person, id) in [
        (&editor, deleted),
        (&editor, pending),
        (&editor, sqlite::unused_upload_id()),
        (&outsider, upload),
        (&outsider, deleted),
        (&outsider, pending),
    ] {
        assert_eq!(asks(person, id), Err(ApiError::AssetNotFound));
    }
}
