//! Confirming an upload once: what is written, and why an object is rejected. tests/confirm_order.rs has the other rules.

use asset_uploads::domain::asset::Asset;
use asset_uploads::domain::upload::StoredObject;
use asset_uploads::store::confirm::Confirmed;
use asset_uploads::store::rights::Identity;
use rusqlite::types::Value::{Integer, Null, Text};
use serde_json::json;

use crate::sqlite::fixtures::{
    ConfirmOne, DEADLINE, RULES, STRICT, asset_of, confirm, confirmed_asset, expect_field_errors,
    pending_upload, stored_object,
};
use crate::sqlite::{self, NOW, contents, run};

#[test]
fn a_confirmation_writes_every_column_of_the_asset() {
    let (conn, org, editor, upload) = pending_upload();
    let folder = sqlite::folder(&conn, org, &editor, None);
    // Declared are 640 bytes of image/png: what HEAD says counts, without parameters and case.
    let object = RULES.verify(stored_object(999, "Video/MP4; codecs=avc1"));
    let operation = ConfirmOne { folder_id: Some(folder), object, ..confirm(&editor, upload) };

    let (answer, identity) = sqlite::run_with_identity(&conn, &operation);

    let asset = Asset {
        mime_type: "video/mp4".to_owned(),
        size_bytes: 999,
        asset_type: "video".to_owned(),
        ..asset_of(org, upload, &editor, Some(folder))
    };
    assert_eq!(answer, confirmed_asset(asset, &editor, false));
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
        ("confirmation_key", text(&"")),
        ("created_by", text(&editor.user.id)),
        ("created_at", Integer(NOW.0)),
        ("updated_at", Integer(NOW.0)),
        ("deleted_at", Null),
        ("deleted_by", Null),
        ("request_id", text(&operation.request_id)),
        ("confirmed_folder_id", text(&folder)),
        ("deleted_with", Null),
        ("event_at", Integer(NOW.0)),
        ("awaits_client", Integer(0)),
        ("confirmed_by", Null),
    ]
    .map(|(column, value)| (column.to_owned(), value));
    assert_eq!(sqlite::rows(&conn, "SELECT * FROM assets"), [expected.to_vec()]);
}

#[test]
fn a_name_of_any_characters_comes_back_as_it_is() {
    let (conn, org, editor, upload) = pending_upload();
    let name = "a\"b\\c'd\n\t\u{1}\u{7f}é\u{1F3D6}\u{202e}; DROP TABLE assets;--{key}";
    conn.execute("UPDATE asset_uploads SET filename = ?1", [name]).unwrap();

    let asset = Asset { name: name.to_owned(), ..asset_of(org, upload, &editor, None) };
    assert_eq!(run(&conn, &confirm(&editor, upload)), confirmed_asset(asset, &editor, false));
}

#[test]
fn rule_17_an_unfit_object_is_rejected_with_every_reason() {
    let (conn, _, editor, upload) = pending_upload();
    let size = |kind: &str, msg: &str, actual: u64| {
        json!({"loc": ["object", "size_bytes"], "msg": msg, "type": kind,
               "declared": 640, "actual": actual, "limit": 1_000})
    };
    let empty = size("object_empty", "The stored object is empty.", 0);
    let large = size("object_too_large", "The stored object is too large.", 1_001);
    // Without that key nobody can read it.
    let encrypted = json!({"loc": ["object", "encryption"], "type": "customer_key",
        "msg": "The stored object is encrypted with a key of its sender's, so nobody else can read it.",
        "declared": "none", "actual": "SSE-C", "limit": ["none"]});
    let kind = |actual: &str| {
        json!({"loc": ["object", "mime_type"], "msg": "The stored object's media type is not permitted.",
               "type": "mime_type_not_allowed", "declared": "image/png", "actual": actual,
               "limit": ["image/*", "video/*", "!image/svg+xml"]})
    };
    for (object, errors) in [
        (stored_object(0, "image/png"), json!([empty])),
        (stored_object(1_001, "image/png"), json!([large])),
        (stored_object(640, "text/html"), json!([kind("text/html")])),
        (stored_object(640, "image/svg+xml"), json!([kind("image/svg+xml")])),
        (stored_object(640, "nonsense"), json!([kind("nonsense")])),
        (stored_object(0, "Text/HTML"), json!([empty, kind("Text/HTML")])),
        (stored_object(1_001, &"x".repeat(5_000)), json!([large, kind(&"x".repeat(255))])),
        (StoredObject { customer_key: true, ..stored_object(640, "image/png") }, json!([encrypted])),
        (
            StoredObject { customer_key: true, ..stored_object(1_001, "text/html") },
            json!([large, encrypted, kind("text/html")]),
        ),
    ] {
        let operation = ConfirmOne { object: RULES.verify(object), ..confirm(&editor, upload) };
        expect_field_errors(&conn, &operation, "UPLOAD_REJECTED", &errors);
    }
    // The largest that is permitted.
    let object = RULES.verify(stored_object(1_000, "image/png"));
    assert!(run(&conn, &ConfirmOne { object, ..confirm(&editor, upload) }).is_ok());
}

#[test]
fn an_untyped_object_takes_the_declared_type() {
    let (conn, org, editor, upload) = pending_upload();
    for content_type in [None, Some(String::new()), Some(" \t".to_owned())] {
        let object = StoredObject { content_type, ..stored_object(640, "") };
        let first = ConfirmOne { object: RULES.verify(object), ..confirm(&editor, upload) };
        let before = contents(&conn);
        assert_eq!(run(&conn, &first), Ok(Confirmed::NeedsDeclaredType("image/png".to_owned())));
        assert_eq!(contents(&conn), before);
    }
    let object = RULES.verify_as(StoredObject { content_type: None, ..stored_object(640, "") }, "image/png");
    let second = ConfirmOne { object, rules: &STRICT, ..confirm(&editor, upload) };
    assert_eq!(run(&conn, &second), confirmed_asset(asset_of(org, upload, &editor, None), &editor, false));
}

#[test]
fn rule_17_a_mismatch_counts_where_the_operator_says_so() {
    let (conn, org, editor, upload) = pending_upload();
    let size = json!({"loc": ["object", "size_bytes"], "type": "declared_mismatch", "limit": 1_000,
        "msg": "The stored object has another size than declared.", "declared": 640, "actual": 641});
    let kind = json!({"loc": ["object", "mime_type"], "type": "declared_mismatch",
        "msg": "The stored object has another media type than declared.", "declared": "image/png",
        "actual": "image/gif", "limit": ["image/*", "video/*", "!image/svg+xml"]});
    for (object, errors) in [
        (stored_object(641, "image/png"), json!([size])),
        (stored_object(640, "image/gif"), json!([kind])),
        (stored_object(641, "image/gif"), json!([size, kind])),
    ] {
        let strict =
            ConfirmOne { object: STRICT.verify(object.clone()), rules: &STRICT, ..confirm(&editor, upload) };
        expect_field_errors(&conn, &strict, "UPLOAD_REJECTED", &errors);
        let other = sqlite::session(&conn, org, &editor, DEADLINE);
        let lenient = ConfirmOne { object: RULES.verify(object.clone()), ..confirm(&editor, other) };
        let Ok(Confirmed::Asset { asset, .. }) = run(&conn, &lenient) else { panic!("{object:?}") };
        assert_eq!((asset.size_bytes, Some(asset.mime_type)), (object.size_bytes, object.content_type));
    }
    // What agrees, agrees in spite of case and parameters.
    let object = STRICT.verify(stored_object(640, "Image/PNG; q=1"));
    let agreeing = ConfirmOne { object, rules: &STRICT, ..confirm(&editor, upload) };
    assert_eq!(run(&conn, &agreeing), confirmed_asset(asset_of(org, upload, &editor, None), &editor, false));
}
