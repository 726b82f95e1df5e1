//! Confirming an upload again: replays, conflicts, races and retries.

mod sqlite;

use asset_uploads::domain::asset::Asset;
use asset_uploads::domain::timestamp::Timestamp;
use asset_uploads::domain::upload::{ObjectState, StoredObject};
use asset_uploads::error::ApiError;
use asset_uploads::store::confirm::{Confirm, Confirmed};
use serde_json::json;
use sqlite::studio::{RULES, SOON, asset_of, confirm, keyed, lists, made, refuses, stored, studio};
use sqlite::{NOW, contents, run, run_again};

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
    refuses(
        &conn,
        &Confirm { confirmation_key: "random-2".to_owned(), ..confirm(&editor, upload) },
        &already,
    );
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
    assert_eq!(run_again(&conn, &operation), expected);
    assert_eq!(contents(&conn), before);
}
