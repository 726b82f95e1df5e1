//! Confirming an upload again: replays, conflicts and repeats.

use asset_uploads::domain::asset::Asset;
use asset_uploads::domain::ids::{AssetUploadId, FolderId};
use asset_uploads::domain::timestamp::Timestamp;
use asset_uploads::domain::upload::{ObjectState, StoredObject};
use asset_uploads::error::ApiError;
use rusqlite::params;
use serde_json::json;

use crate::sqlite::fixtures::{
    ConfirmOne, DEADLINE, RULES, asset_of, confirm, confirm_with_key, confirmed_asset, expect_error,
    expect_field_errors, pending_upload, stored_object,
};
use crate::sqlite::{self, Key, NOW, Person, contents, run};

#[test]
fn the_same_key_and_body_replay_the_first_answer() {
    let (conn, org, editor, upload) = pending_upload();
    let folder = sqlite::folder(&conn, org, &editor, None);
    let first = ConfirmOne { folder_id: Some(folder), ..confirm_with_key(&editor, upload, "k1") };
    let asset = asset_of(org, upload, &editor, Some(folder));
    assert_eq!(run(&conn, &first), confirmed_asset(asset.clone(), &editor, false));
    let before = contents(&conn);

    // At any later time, also if object, session or folder have changed, and with any key of the same user.
    let other_key = Person { key: sqlite::key(&conn, &editor.user, Key::default()), ..editor.clone() };
    let late = Timestamp(DEADLINE.0 + 86_400_000);
    conn.execute("UPDATE folders SET deleted_at = ?1", [NOW.0]).unwrap();
    for object in [
        first.object.clone(),
        RULES.verify(stored_object(7, "image/gif")),
        RULES.verify(stored_object(0, "text/html")),
        ObjectState::Untyped(StoredObject { content_type: None, ..stored_object(7, "") }),
        ObjectState::Missing,
        ObjectState::Unavailable("R2 is down".to_owned()),
    ] {
        for now in [NOW, late] {
            let object = object.clone();
            let mut again =
                ConfirmOne { object, folder_id: Some(folder), ..confirm_with_key(&other_key, upload, "k1") };
            again.caller.now = now;
            assert_eq!(
                run(&conn, &again),
                confirmed_asset(asset.clone(), &editor, true),
                "{:?}",
                again.object
            );
        }
    }
    assert_eq!(contents(&conn)[0], before[0]);
}

/// Of two requests with one key in one millisecond, each repeated by the Worker, only the first wrote.
#[test]
fn a_replay_differs_from_an_own_write_by_the_request_id() {
    let (conn, org, editor, upload) = pending_upload();
    let [first, second] = [(); 2].map(|()| confirm_with_key(&editor, upload, "k1"));
    let asset = asset_of(org, upload, &editor, None);
    for _ in 0..2 {
        assert_eq!(run(&conn, &first), confirmed_asset(asset.clone(), &editor, false));
        assert_eq!(run(&conn, &second), confirmed_asset(asset.clone(), &editor, true));
    }
}

#[test]
fn rule_12_a_replay_is_the_same_users() {
    let (conn, org, editor, upload) = pending_upload();
    run(&conn, &confirm_with_key(&editor, upload, "k1")).unwrap();
    let colleague = sqlite::editor(&conn, org);
    let elsewhere = sqlite::folder(&conn, org, &editor, None);
    for folder_id in [None, Some(elsewhere)] {
        let theirs = ConfirmOne { folder_id, ..confirm_with_key(&colleague, upload, "k1") };
        expect_error(&conn, &theirs, &ApiError::AssetUploadAlreadyConfirmed(upload.to_string()));
    }
}

/// A replay must repeat the first body, also if the asset was moved since; the answer is the asset in its current state.
#[test]
fn a_replay_of_a_moved_asset_repeats_the_first_body() {
    let (conn, org, editor, upload) = pending_upload();
    let [first, now] = [(); 2].map(|()| sqlite::folder(&conn, org, &editor, None));
    let filed = |folder_id| ConfirmOne { folder_id, ..confirm_with_key(&editor, upload, "k1") };
    run(&conn, &filed(Some(first))).unwrap();
    conn.execute("UPDATE assets SET folder_id = ?1, name = 'sea.png'", [now.to_string()]).unwrap();

    let asset = Asset { name: "sea.png".to_owned(), ..asset_of(org, upload, &editor, Some(now)) };
    assert_eq!(run(&conn, &filed(Some(first))), confirmed_asset(asset, &editor, true));
    for folder_id in [Some(now), None] {
        expect_field_errors(&conn, &filed(folder_id), "VALIDATION_ERROR", &reused());
    }
}

#[test]
fn a_replay_of_a_deleted_asset_finds_none() {
    let (conn, org, editor, upload) = pending_upload();
    run(&conn, &confirm_with_key(&editor, upload, "k1")).unwrap();
    conn.execute("UPDATE assets SET deleted_at = ?1", [NOW.0]).unwrap();
    expect_error(&conn, &confirm_with_key(&editor, upload, "k1"), &ApiError::AssetNotFound);
    let other =
        ConfirmOne { folder_id: Some(sqlite::unused_folder_id()), ..confirm_with_key(&editor, upload, "k1") };
    expect_field_errors(&conn, &other, "VALIDATION_ERROR", &reused());
    // To everybody else it is confirmed, as before.
    let already = ApiError::AssetUploadAlreadyConfirmed(upload.to_string());
    expect_error(&conn, &confirm(&editor, upload), &already);
    expect_error(&conn, &confirm_with_key(&sqlite::editor(&conn, org), upload, "k1"), &already);
}

/// Rows that an earlier version wrote: without request, and with the folder of the confirmation as their own.
#[test]
fn a_confirmation_from_before_the_migration_is_replayed() {
    let conn = sqlite::open_at(2);
    let org = sqlite::organization(&conn);
    let editor = sqlite::editor(&conn, org);
    let folder = sqlite::folder(&conn, org, &editor, None);
    let [filed, loose, keyless] = [(); 3].map(|()| sqlite::session(&conn, org, &editor, DEADLINE));
    let confirmed = |upload: AssetUploadId, folder: Option<FolderId>, key: &str| {
        let sql = "INSERT INTO assets (id, org_id, folder_id, name, r2_key, mime_type, size_bytes, asset_type, source_type,
               source_id, etag, confirmation_key, created_by, created_at, updated_at)
             SELECT id, org_id, ?2, filename, 'uploads/' || id, mime_type, size_bytes, 'image', 'upload', id, 'e', ?3,
               created_by, ?4, ?4 FROM asset_uploads WHERE id = ?1";
        let folder = folder.map(|folder| folder.to_string());
        conn.execute(sql, params![upload.to_string(), folder, key, NOW.0]).unwrap();
    };
    confirmed(filed, Some(folder), "k1");
    confirmed(loose, None, "k1");
    confirmed(keyless, None, "01890000-0000-7000-8000-000000000000");
    sqlite::migrate_from(&conn, 2);

    let moved = sqlite::folder(&conn, org, &editor, None);
    conn.execute("UPDATE assets SET folder_id = ?1", [moved.to_string()]).unwrap();
    for (upload, folder_id) in [(filed, Some(folder)), (loose, None)] {
        let again = ConfirmOne { folder_id, ..confirm_with_key(&editor, upload, "k1") };
        assert_eq!(
            run(&conn, &again),
            confirmed_asset(asset_of(org, upload, &editor, Some(moved)), &editor, true)
        );
        let other = ConfirmOne { folder_id: Some(moved), ..confirm_with_key(&editor, upload, "k1") };
        expect_field_errors(&conn, &other, "VALIDATION_ERROR", &reused());
    }
    expect_error(
        &conn,
        &confirm(&editor, keyless),
        &ApiError::AssetUploadAlreadyConfirmed(keyless.to_string()),
    );
}

fn reused() -> serde_json::Value {
    json!([{
        "loc": ["header", "Idempotency-Key"],
        "msg": "This key was used with another body; send the first body again, or another key.",
        "type": "idempotency_key_reused",
    }])
}

#[test]
fn rule_10_the_same_key_with_another_folder_is_an_error() {
    let (conn, org, editor, upload) = pending_upload();
    let [folder, other] = [(); 2].map(|()| sqlite::folder(&conn, org, &editor, None));
    let in_no_folder = sqlite::session(&conn, org, &editor, DEADLINE);
    run(&conn, &ConfirmOne { folder_id: Some(folder), ..confirm_with_key(&editor, upload, "k1") }).unwrap();
    run(&conn, &confirm_with_key(&editor, in_no_folder, "k1")).unwrap();

    let nowhere = sqlite::unused_folder_id();
    for (upload, folder_id) in
        [(upload, Some(other)), (upload, None), (upload, Some(nowhere)), (in_no_folder, Some(folder))]
    {
        let again = ConfirmOne { folder_id, ..confirm_with_key(&editor, upload, "k1") };
        expect_field_errors(&conn, &again, "VALIDATION_ERROR", &reused());
    }
}

#[test]
fn rule_12_a_repeat_without_the_key_names_the_asset_that_exists() {
    let (conn, _, editor, upload) = pending_upload();
    run(&conn, &confirm_with_key(&editor, upload, "k1")).unwrap();

    let already = ApiError::AssetUploadAlreadyConfirmed(upload.to_string());
    expect_error(&conn, &confirm(&editor, upload), &already);
    expect_error(&conn, &confirm_with_key(&editor, upload, "k2"), &already);
    // Keys are compared as they are: K1 is not k1.
    expect_error(&conn, &confirm_with_key(&editor, upload, "K1"), &already);
}

#[test]
fn one_key_may_confirm_many_uploads() {
    let (conn, org, editor, upload) = pending_upload();
    let second = sqlite::session(&conn, org, &editor, DEADLINE);
    for upload in [upload, second] {
        assert_eq!(
            run(&conn, &confirm_with_key(&editor, upload, "k1")),
            confirmed_asset(asset_of(org, upload, &editor, None), &editor, false)
        );
    }
}

/// The database commits, the answer is lost, the Worker sends the transaction again.
#[test]
fn a_repeat_after_a_lost_answer_finds_its_own_write() {
    let (conn, org, editor, upload) = pending_upload();
    let operation = confirm(&editor, upload);
    let expected = confirmed_asset(asset_of(org, upload, &editor, None), &editor, false);
    assert_eq!(run(&conn, &operation), expected);
    let before = contents(&conn);
    assert_eq!(run(&conn, &operation), expected);
    assert_eq!(contents(&conn), before);
}
