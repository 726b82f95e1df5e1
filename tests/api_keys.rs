//! Keys in the database: the migration, what of a limit stops a start or a confirmation, and when the sweeper removes a
//! key.

use asset_uploads::domain::api_key::{Limits, Scope};
use asset_uploads::domain::media::AllowedTypes;
use asset_uploads::domain::timestamp::Timestamp;
use asset_uploads::domain::upload::UploadRules;
use asset_uploads::error::ApiError;
use asset_uploads::store::rights::{CheckRights, Permission};
use rusqlite::Connection;

use crate::sqlite::fixtures::{RULES, confirm, create_for, pending_upload, stored_object};
use crate::sqlite::{self, Key, NOW, Person, run};
use crate::sweeper_platform::{DAY, FEW, SweeperPlatform};

/// An upload key of the editor's.
fn upload_key(conn: &Connection, editor: &Person, limits: &str) -> Person {
    let parent = Some(sqlite::key_id(conn, &editor.key));
    let limits = Some(limits.to_owned());
    let key = Key { scope: Some(Scope::Upload), parent, limits, ..Key::default() };
    Person { key: sqlite::key(conn, &editor.user, key), ..editor.clone() }
}

#[test]
fn keys_of_before_the_migration_are_full() {
    let conn = sqlite::open_at(5);
    let org = sqlite::organization(&conn);
    let editor = sqlite::editor(&conn, org);
    let upload = sqlite::session(&conn, org, &editor, Timestamp(NOW.0 + 1));
    sqlite::migrate_from(&conn, 5);
    let columns =
        "SELECT scope || ifnull(parent_id, '-') || ifnull(limits, '-') || uploads_started FROM api_keys";
    let kept: String = conn.query_row(columns, [], |row| row.get(0)).unwrap();
    assert_eq!(kept, "full--0");
    assert_eq!(run(&conn, &CheckRights { caller: editor.caller(Permission::AssetsWrite) }), Ok(()));
    // Nobody knows which key started it, and full keys do not ask.
    assert!(run(&conn, &confirm(&editor, upload)).is_ok());
}

#[test]
fn limits_narrow_what_is_configured_and_never_widen_it() {
    let rules = UploadRules {
        allowed_types: AllowedTypes::parse(["image/*", "application/pdf", "!image/gif", "image/svg+xml"])
            .unwrap(),
        ..RULES.clone()
    };
    let permitted = |types: &[&str]| {
        let mime_types = Some(types.iter().map(|text| (*text).to_owned()).collect());
        Limits { mime_types, ..Limits::default() }.narrow(&rules).allowed_types.patterns()
    };
    assert_eq!(permitted(&["image/png"]), ["image/png", "!image/gif"]);
    assert_eq!(permitted(&["image/*"]), ["image/*", "!image/gif"]);
    // A configuration that has become narrower since: only what both permit is left.
    assert_eq!(permitted(&["application/*"]), ["application/pdf", "!image/gif"]);
    assert_eq!(permitted(&["video/*", "text/plain"]), ["!image/gif"]);
    let size = |max_size_bytes| Limits { max_size_bytes, ..Limits::default() }.narrow(&rules).max_bytes;
    assert_eq!([size(None), size(Some(7)), size(Some(1_001))], [1_000, 7, 1_000]);
}

/// The SQL that guards the write agrees with the rules that explain the error.
#[test]
fn a_limit_stops_the_write_and_is_explained() {
    let (conn, org, editor, _) = pending_upload();
    for (limits, size, content_type, starts, confirms) in [
        (r#"{}"#, 640, "image/png", true, true),
        (r#"{"max_size_bytes":640}"#, 640, "image/png", true, true),
        (r#"{"max_size_bytes":639}"#, 640, "image/png", false, false),
        (r#"{"max_size_bytes":640}"#, 641, "image/png", true, false),
        (r#"{"mime_types":["image/*"]}"#, 640, "image/png", true, true),
        (r#"{"mime_types":["video/*","image/png"]}"#, 640, "image/png", true, true),
        (r#"{"mime_types":["image/png"]}"#, 640, "image/jpeg", true, false),
        (r#"{"mime_types":["video/*"]}"#, 640, "video/mp4", false, true),
        (r#"{"mime_types":[]}"#, 640, "image/png", false, false),
        (r#"{"max_uploads":0}"#, 640, "image/png", false, true),
        (
            r#"{"max_uploads":1,"max_size_bytes":null,"mime_types":null,"folder_id":null}"#,
            640,
            "image/png",
            true,
            true,
        ),
    ] {
        let key = upload_key(&conn, &editor, limits);
        let started = run(&conn, &create_for(key.caller(sqlite::OF_UPLOADS), sqlite::unused_upload_id()));
        assert_eq!(started.is_ok(), starts, "{limits}: {started:?}");
        if let Err(error) = started {
            let expected = matches!(error, ApiError::Validation(_) | ApiError::UploadLimitReached);
            assert!(expected, "{limits}: {error:?}");
        }
        let upload = sqlite::session(&conn, org, &key, Timestamp(NOW.0 + 1));
        let mut operation = confirm(&key, upload);
        operation.caller = key.caller(sqlite::OF_UPLOADS);
        operation.object = RULES.verify(stored_object(size, content_type));
        let confirmed = run(&conn, &operation);
        assert_eq!(confirmed.is_ok(), confirms, "{limits}: {confirmed:?}");
        if let Err(error) = confirmed {
            assert!(matches!(error, ApiError::UploadRejected(_)), "{limits}: {error:?}");
        }
    }
}

/// A key that has ended stays for 30 days, and as long as one that descends from it.
#[test]
fn the_sweeper_removes_keys_after_all_that_they_made() {
    let (conn, _, editor, _) = pending_upload();
    let now = Timestamp(NOW.0 + 1_000_000);
    let ago = |days: u64| Some(now.minus_seconds(days * DAY));
    let key = |parent: Option<&str>, expires_at, revoked_at| {
        let parent = parent.map(str::to_owned);
        let scope = Some(Scope::Full);
        let hash =
            sqlite::key(&conn, &editor.user, Key { parent, expires_at, revoked_at, scope, ..Key::default() });
        sqlite::key_id(&conn, &hash)
    };
    // Whole chains.
    let first = key(None, None, ago(31));
    let second = key(Some(&first), ago(40), None);
    let third = key(Some(&second), ago(30), ago(1));
    // One that has to wait for a child of a child.
    let waits = key(None, ago(90), None);
    let waits_too = key(Some(&waits), None, ago(60));
    let alive = key(Some(&waits_too), None, ago(29));
    // Others that stay.
    let young = key(None, ago(29), None);
    let valid = key(None, None, None);
    let gone = [first, second, third];
    let stays = [waits.clone(), waits_too.clone(), alive.clone(), young, valid];
    let platform: SweeperPlatform = SweeperPlatform::new(conn);
    platform.now.set(now);
    let exists = |id: &String| {
        let sql = "SELECT count(*) FROM api_keys WHERE id = ?1";
        platform.conn.query_row(sql, [id], |row| row.get::<_, i64>(0)).unwrap() == 1
    };
    platform.sweep(FEW);
    assert!(!gone.iter().any(exists) && stays.iter().all(exists));
    assert!(exists(&sqlite::key_id(&platform.conn, &editor.key)));
    platform.wait(2 * DAY);
    platform.sweep(FEW);
    assert!(![waits, waits_too, alive].iter().any(exists));
}
