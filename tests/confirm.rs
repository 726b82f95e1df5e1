//! Confirming an upload: what is written, what a repeat comes to, and each refusal by itself.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests are tests")]

mod sqlite;

use std::sync::LazyLock;

use asset_uploads::domain::asset::Asset;
use asset_uploads::domain::ids::{AssetUploadId, FolderId, OrganizationId};
use asset_uploads::domain::media::AllowedTypes;
use asset_uploads::domain::timestamp::Timestamp;
use asset_uploads::domain::upload::{ObjectState, StoredObject, UploadRules};
use asset_uploads::error::{ApiError, Refusal};
use asset_uploads::store::rights::{Identity, Permission};
use asset_uploads::store::uploads::{Confirm, Confirmed};
use rusqlite::types::Value::{Integer, Null, Text};
use rusqlite::{Connection, params};
use serde_json::json;
use sqlite::{NOW, Person, contents, run};

static RULES: LazyLock<UploadRules> = LazyLock::new(|| UploadRules {
    max_bytes: 1_000,
    allowed_types: AllowedTypes::parse(["image/*", "video/*", "!image/svg+xml"]).unwrap(),
    reject_mismatch: false,
});
static STRICT: LazyLock<UploadRules> =
    LazyLock::new(|| UploadRules { reject_mismatch: true, ..RULES.clone() });

/// The moment after which a session that is pending now can no longer be confirmed.
const SOON: Timestamp = Timestamp(NOW.0 + 1);

fn stored(size_bytes: u64, content_type: &str) -> StoredObject {
    StoredObject { size_bytes, content_type: Some(content_type.to_owned()), etag: "etag-1".to_owned() }
}

/// A confirmation without Idempotency-Key or folder, of an object that is as it was declared.
fn confirm(by: &Person, asset_upload_id: AssetUploadId) -> Confirm<'static> {
    Confirm {
        caller: by.asks_to(Permission::Write),
        asset_upload_id,
        folder_id: None,
        confirmation_key: "random-1".to_owned(),
        replayable: false,
        object: RULES.verify(stored(640, "image/png")),
        rules: &RULES,
    }
}

/// The same with an Idempotency-Key.
fn keyed(by: &Person, asset_upload_id: AssetUploadId, key: &str) -> Confirm<'static> {
    Confirm { confirmation_key: key.to_owned(), replayable: true, ..confirm(by, asset_upload_id) }
}

/// An organization with an editor and a pending session of hers.
fn studio() -> (Connection, OrganizationId, Person, AssetUploadId) {
    let conn = sqlite::open();
    let org = sqlite::organization(&conn);
    let editor = sqlite::editor(&conn, org);
    let upload = sqlite::session(&conn, org, &editor, SOON);
    (conn, org, editor, upload)
}

fn asset_of(org: OrganizationId, upload: AssetUploadId, by: &Person, folder_id: Option<FolderId>) -> Asset {
    Asset {
        id: upload,
        org_id: org,
        folder_id,
        name: "beach.png".to_owned(),
        r2_key: format!("uploads/{upload}"),
        mime_type: "image/png".to_owned(),
        size_bytes: 640,
        asset_type: "image".to_owned(),
        source_type: "upload".to_owned(),
        source_id: upload.to_string(),
        confirmation_key: "random-1".to_owned(),
        created_by: by.user.id,
        created_at: NOW,
        updated_at: NOW,
        deleted_at: None,
        deleted_by: None,
    }
}

fn made(asset: Asset, by: &Person, replayed: bool) -> Result<Confirmed, ApiError> {
    Ok(Confirmed::Asset { asset: Box::new(asset), created_by_user: by.user.clone(), replayed })
}

/// The answer is the refusal, and the database is as it was.
fn refuses(conn: &Connection, operation: &Confirm<'_>, expected: &ApiError) {
    let before = contents(conn);
    assert_eq!(run(conn, operation).as_ref(), Err(expected));
    assert_eq!(contents(conn), before, "{expected:?} left something behind");
}

/// The same for a refusal that lists faults: its code, and `errors` as the client reads them.
fn lists(conn: &Connection, operation: &Confirm<'_>, code: &str, faults: &serde_json::Value) {
    let before = contents(conn);
    let body: serde_json::Value = serde_json::from_str(&run(conn, operation).unwrap_err().body()).unwrap();
    assert_eq!((&body["code"], &body["errors"]), (&json!(code), faults));
    assert_eq!(contents(conn), before, "{code} left something behind");
}

#[test]
fn an_editor_confirms_and_every_column_is_as_it_should_be() {
    let (conn, org, editor, upload) = studio();
    let folder = sqlite::folder(&conn, org, &editor, None);
    // Declared are 640 bytes of image/png: what HEAD says counts, without parameters and case.
    let object = RULES.verify(stored(999, "Video/MP4; codecs=avc1"));
    let operation = Confirm { folder_id: Some(folder), object, ..confirm(&editor, upload) };

    let (answer, identity) = sqlite::run_and_identify(&conn, &operation);

    let asset = Asset {
        mime_type: "video/mp4".to_owned(),
        size_bytes: 999,
        asset_type: "video".to_owned(),
        ..asset_of(org, upload, &editor, Some(folder))
    };
    assert_eq!(answer, made(asset, &editor, false));
    assert_eq!(identity, Identity { user_id: Some(editor.user.id), org_id: Some(org) });
    let text = |text: &dyn ToString| Text(text.to_string());
    let expected = [
        ("id", text(&upload)),
        ("org_id", text(&org)),
        ("folder_id", text(&folder)),
        ("name", text(&"beach.png")),
        ("r2_key", text(&format!("uploads/{upload}"))),
        ("mime_type", text(&"video/mp4")),
        ("size_bytes", Integer(999)),
        ("asset_type", text(&"video")),
        ("source_type", text(&"upload")),
        ("source_id", text(&upload)),
        ("etag", text(&"etag-1")),
        ("confirmation_key", text(&"random-1")),
        ("created_by", text(&editor.user.id)),
        ("created_at", Integer(NOW.0)),
        ("updated_at", Integer(NOW.0)),
        ("deleted_at", Null),
        ("deleted_by", Null),
    ]
    .map(|(column, value)| (column.to_owned(), value));
    assert_eq!(sqlite::rows(&conn, "SELECT * FROM assets"), [expected.to_vec()]);
}

#[test]
fn a_name_of_any_characters_comes_back_as_it_is() {
    let (conn, org, editor, upload) = studio();
    let name = "a\"b\\c'd\n\t\u{1}\u{7f}é\u{1F3D6}\u{202e}; DROP TABLE assets;--{key}";
    conn.execute("UPDATE asset_uploads SET filename = ?1", [name]).unwrap();

    let asset = Asset { name: name.to_owned(), ..asset_of(org, upload, &editor, None) };
    assert_eq!(run(&conn, &confirm(&editor, upload)), made(asset, &editor, false));
}

#[test]
fn the_same_key_and_body_replay_the_first_answer() {
    let (conn, org, editor, upload) = studio();
    let folder = sqlite::folder(&conn, org, &editor, None);
    let first = Confirm { folder_id: Some(folder), ..keyed(&editor, upload, "k1") };
    let asset = Asset { confirmation_key: "k1".to_owned(), ..asset_of(org, upload, &editor, Some(folder)) };
    assert_eq!(run(&conn, &first), made(asset.clone(), &editor, false));
    let before = contents(&conn);

    // However late, whatever has become of object, session and folder, and by whomever in the team.
    let colleague = sqlite::editor(&conn, org);
    let late = Timestamp(SOON.0 + 86_400_000);
    conn.execute("UPDATE folders SET deleted_at = ?1", [NOW.0]).unwrap();
    for object in [
        first.object.clone(),
        RULES.verify(stored(7, "image/gif")),
        RULES.verify(stored(0, "text/html")),
        ObjectState::Untyped(StoredObject { content_type: None, ..stored(7, "") }),
        ObjectState::Missing,
        ObjectState::Unavailable("R2 is down".to_owned()),
    ] {
        let mut again = Confirm { object, folder_id: Some(folder), ..keyed(&colleague, upload, "k1") };
        again.caller.now = late;
        assert_eq!(run(&conn, &again), made(asset.clone(), &editor, true), "{:?}", again.object);
    }
    assert_eq!(contents(&conn)[0], before[0]);
}

#[test]
fn the_same_key_with_another_folder_is_a_fault() {
    let (conn, org, editor, upload) = studio();
    let [folder, other] = [(); 2].map(|()| sqlite::folder(&conn, org, &editor, None));
    let in_no_folder = sqlite::session(&conn, org, &editor, SOON);
    run(&conn, &Confirm { folder_id: Some(folder), ..keyed(&editor, upload, "k1") }).unwrap();
    run(&conn, &keyed(&editor, in_no_folder, "k1")).unwrap();

    let reused = json!([{
        "loc": ["header", "Idempotency-Key"],
        "msg": "This key was used with another body; send the first body again, or another key.",
        "type": "idempotency_key_reused",
    }]);
    let nowhere = sqlite::nobodys_folder();
    for (upload, folder_id) in
        [(upload, Some(other)), (upload, None), (upload, Some(nowhere)), (in_no_folder, Some(folder))]
    {
        let again = Confirm { folder_id, ..keyed(&editor, upload, "k1") };
        lists(&conn, &again, "VALIDATION_ERROR", &reused);
    }
}

#[test]
fn a_repeat_without_the_key_names_the_asset_that_exists() {
    let (conn, _, editor, upload) = studio();
    run(&conn, &keyed(&editor, upload, "k1")).unwrap();

    let already = ApiError::AssetUploadAlreadyConfirmed(upload);
    refuses(&conn, &Confirm { confirmation_key: "random-2".to_owned(), ..confirm(&editor, upload) }, &already);
    refuses(&conn, &keyed(&editor, upload, "k2"), &already);
    // Keys are compared as they are: K1 is not k1.
    refuses(&conn, &keyed(&editor, upload, "K1"), &already);
}

#[test]
fn of_many_confirmations_one_succeeds() {
    let (conn, _, editor, upload) = studio();
    let answers: Vec<_> = (0..20)
        .map(|n| run(&conn, &Confirm { confirmation_key: format!("random-{n}"), ..confirm(&editor, upload) }))
        .collect();
    assert!(matches!(answers[0], Ok(Confirmed::Asset { replayed: false, .. })), "{:?}", answers[0]);
    for answer in &answers[1..] {
        assert_eq!(answer, &Err(ApiError::AssetUploadAlreadyConfirmed(upload)));
    }
    assert_eq!(sqlite::assets(&conn), 1);
}

#[test]
fn one_key_may_confirm_many_uploads() {
    let (conn, org, editor, upload) = studio();
    let second = sqlite::session(&conn, org, &editor, SOON);
    for upload in [upload, second] {
        let asset = Asset { confirmation_key: "k1".to_owned(), ..asset_of(org, upload, &editor, None) };
        assert_eq!(run(&conn, &keyed(&editor, upload, "k1")), made(asset, &editor, false));
    }
}

/// The database commits, the answer is lost, the Worker sends the transaction again.
#[test]
fn a_retry_after_a_lost_answer_finds_its_own_write() {
    let (conn, org, editor, upload) = studio();
    let operation = confirm(&editor, upload);
    let expected = made(asset_of(org, upload, &editor, None), &editor, false);
    assert_eq!(run(&conn, &operation), expected);
    let before = contents(&conn);
    assert_eq!(run(&conn, &operation), expected);
    assert_eq!(contents(&conn), before);
}

#[test]
fn another_organizations_session_is_as_unknown_as_none() {
    let (conn, org, _, upload) = studio();
    let (outsider, _) = sqlite::outsider(&conn);
    let unknown = sqlite::nobodys_session();
    refuses(&conn, &confirm(&outsider, upload), &ApiError::AssetUploadNotFound);
    refuses(&conn, &confirm(&outsider, unknown), &ApiError::AssetUploadNotFound);

    // Nor does naming the organization help who is not in it.
    let mut pushy = confirm(&outsider, upload);
    pushy.caller.organization = Some(org);
    refuses(&conn, &pushy, &ApiError::Refused(Refusal::OrganizationMembershipRequired));
    // A member of both has to name the right one.
    sqlite::join(&conn, &outsider.user, org, Some("editor"));
    refuses(&conn, &confirm(&outsider, upload), &ApiError::Refused(Refusal::OrganizationMembershipRequired));
    assert_eq!(run(&conn, &pushy), made(asset_of(org, upload, &outsider, None), &outsider, false));
}

#[test]
fn a_viewer_may_not_confirm() {
    let (conn, org, _, upload) = studio();
    let viewer = sqlite::viewer(&conn, org);
    refuses(&conn, &confirm(&viewer, upload), &ApiError::Refused(Refusal::PermissionDenied));
}

#[test]
fn a_folder_must_exist_here() {
    let (conn, org, editor, upload) = studio();
    let (outsider, elsewhere) = sqlite::outsider(&conn);
    let foreign = sqlite::folder(&conn, elsewhere, &outsider, None);
    let deleted = sqlite::folder(&conn, org, &editor, Some(Timestamp(NOW.0 - 1)));
    for folder in [foreign, deleted, sqlite::nobodys_folder()] {
        let operation = Confirm { folder_id: Some(folder), ..confirm(&editor, upload) };
        refuses(&conn, &operation, &ApiError::FolderNotFound);
    }
    // The session is as it was: without the folder it goes through.
    assert_eq!(
        run(&conn, &confirm(&editor, upload)),
        made(asset_of(org, upload, &editor, None), &editor, false)
    );
}

#[test]
fn a_session_ends_at_its_deadline_to_the_millisecond() {
    let (conn, org, editor, in_time) = studio();
    for expires_at in [NOW, Timestamp(NOW.0 - 1), Timestamp(0)] {
        let late = sqlite::session(&conn, org, &editor, expires_at);
        refuses(&conn, &confirm(&editor, late), &ApiError::AssetUploadExpired);
    }
    assert_eq!(
        run(&conn, &confirm(&editor, in_time)),
        made(asset_of(org, in_time, &editor, None), &editor, false)
    );
}

#[test]
fn without_an_object_there_is_no_asset() {
    let (conn, _, editor, upload) = studio();
    let missing = Confirm { object: ObjectState::Missing, ..confirm(&editor, upload) };
    refuses(&conn, &missing, &ApiError::ObjectNotUploaded);
    let unavailable = Confirm { object: ObjectState::Unavailable("R2 10001".to_owned()), ..missing };
    refuses(&conn, &unavailable, &ApiError::unavailable("R2 10001"));
}

#[test]
fn an_unfit_object_is_rejected_with_every_reason() {
    let (conn, _, editor, upload) = studio();
    let size = |kind: &str, msg: &str, actual: u64| {
        json!({"loc": ["object", "size_bytes"], "msg": msg, "type": kind,
               "declared": 640, "actual": actual, "limit": 1_000})
    };
    let empty = size("object_empty", "The stored object is empty.", 0);
    let large = size("object_too_large", "The stored object is too large.", 1_001);
    let kind = |actual: &str| {
        json!({"loc": ["object", "mime_type"], "msg": "The stored object's media type is not permitted.",
               "type": "mime_type_not_allowed", "declared": "image/png", "actual": actual,
               "limit": ["image/*", "video/*", "!image/svg+xml"]})
    };
    for (object, faults) in [
        (stored(0, "image/png"), json!([empty])),
        (stored(1_001, "image/png"), json!([large])),
        (stored(640, "text/html"), json!([kind("text/html")])),
        (stored(640, "image/svg+xml"), json!([kind("image/svg+xml")])),
        (stored(640, "nonsense"), json!([kind("nonsense")])),
        (stored(0, "Text/HTML"), json!([empty, kind("Text/HTML")])),
        (stored(1_001, &"x".repeat(5_000)), json!([large, kind(&"x".repeat(255))])),
    ] {
        let operation = Confirm { object: RULES.verify(object), ..confirm(&editor, upload) };
        lists(&conn, &operation, "UPLOAD_REJECTED", &faults);
    }
    // The largest that is permitted.
    let object = RULES.verify(stored(1_000, "image/png"));
    assert!(run(&conn, &Confirm { object, ..confirm(&editor, upload) }).is_ok());
}

#[test]
fn an_untyped_object_takes_the_declared_type() {
    let (conn, org, editor, upload) = studio();
    for content_type in [None, Some(String::new()), Some(" \t".to_owned())] {
        let object = StoredObject { content_type, ..stored(640, "") };
        let first = Confirm { object: RULES.verify(object), ..confirm(&editor, upload) };
        let before = contents(&conn);
        assert_eq!(run(&conn, &first), Ok(Confirmed::NeedsDeclaredType("image/png".to_owned())));
        assert_eq!(contents(&conn), before);
    }
    let object = RULES.verify_as(StoredObject { content_type: None, ..stored(640, "") }, "image/png");
    let second = Confirm { object, rules: &STRICT, ..confirm(&editor, upload) };
    assert_eq!(run(&conn, &second), made(asset_of(org, upload, &editor, None), &editor, false));
}

#[test]
fn a_mismatch_counts_where_the_operator_says_so() {
    let (conn, org, editor, upload) = studio();
    let size = json!({"loc": ["object", "size_bytes"], "type": "declared_mismatch", "limit": 1_000,
        "msg": "The stored object has another size than declared.", "declared": 640, "actual": 641});
    let kind = json!({"loc": ["object", "mime_type"], "type": "declared_mismatch",
        "msg": "The stored object has another media type than declared.", "declared": "image/png",
        "actual": "image/gif", "limit": ["image/*", "video/*", "!image/svg+xml"]});
    for (object, faults) in [
        (stored(641, "image/png"), json!([size])),
        (stored(640, "image/gif"), json!([kind])),
        (stored(641, "image/gif"), json!([size, kind])),
    ] {
        let strict =
            Confirm { object: STRICT.verify(object.clone()), rules: &STRICT, ..confirm(&editor, upload) };
        lists(&conn, &strict, "UPLOAD_REJECTED", &faults);
        let other = sqlite::session(&conn, org, &editor, SOON);
        let lenient = Confirm { object: RULES.verify(object.clone()), ..confirm(&editor, other) };
        let Ok(Confirmed::Asset { asset, .. }) = run(&conn, &lenient) else { panic!("{object:?}") };
        assert_eq!((asset.size_bytes, Some(asset.mime_type)), (object.size_bytes, object.content_type));
    }
    // What agrees, agrees in spite of case and parameters.
    let object = STRICT.verify(stored(640, "Image/PNG; q=1"));
    let agreeing = Confirm { object, rules: &STRICT, ..confirm(&editor, upload) };
    assert_eq!(run(&conn, &agreeing), made(asset_of(org, upload, &editor, None), &editor, false));
}

/// Whatever code may come to write an asset, the schema itself holds these.
#[test]
fn the_schema_refuses_what_must_never_be() {
    let (conn, org, editor, upload) = studio();
    let (outsider, elsewhere) = sqlite::outsider(&conn);
    let foreign = sqlite::folder(&conn, elsewhere, &outsider, None);
    let own = sqlite::folder(&conn, org, &editor, None);
    run(&conn, &confirm(&editor, upload)).unwrap();
    let other = sqlite::nobodys_session();
    let insert = |id: AssetUploadId, folder: Option<FolderId>, r2_key: &str| {
        let result = conn.execute(
            "INSERT INTO assets (id, org_id, folder_id, name, r2_key, mime_type, size_bytes, asset_type,
               source_type, source_id, etag, confirmation_key, created_by, created_at, updated_at)
             VALUES (?1, ?2, ?3, 'n', ?4, 'image/png', 1, 'image', 'upload', ?1, 'e', 'k', ?5, 1, 1)",
            params![
                id.to_string(),
                org.to_string(),
                folder.map(|id| id.to_string()),
                r2_key,
                editor.user.id.to_string()
            ],
        );
        result.map_err(|error| error.to_string())
    };
    let refused = |text: &str| Err(text.to_owned());
    assert_eq!(insert(other, Some(foreign), "uploads/x"), refused("FOREIGN KEY constraint failed"));
    assert_eq!(insert(upload, None, "uploads/x"), refused("UNIQUE constraint failed: assets.id"));
    let taken = upload.object_key();
    assert_eq!(insert(other, None, &taken), refused("UNIQUE constraint failed: assets.r2_key"));
    let update = |sql: &str| conn.execute(sql, []).map_err(|error| error.to_string());
    let move_away = format!("UPDATE assets SET folder_id = '{foreign}'");
    assert_eq!(update(&move_away), refused("FOREIGN KEY constraint failed"));
    let nest = format!("UPDATE folders SET parent_id = '{foreign}' WHERE id = '{own}'");
    assert_eq!(update(&nest), refused("FOREIGN KEY constraint failed"));
    assert!(update("UPDATE assets SET deleted_by = created_by").unwrap_err().starts_with("CHECK"));
    assert!(update("UPDATE assets SET size_bytes = 1.5").unwrap_err().starts_with("cannot store REAL"));
    assert_eq!(sqlite::assets(&conn), 1);
    // The same statement with an own folder goes through, so each refusal had its own reason.
    assert_eq!(insert(other, Some(own), "uploads/x"), Ok(1));
}
