//! Starting, reading and cancelling uploads: what is written, what is answered, and what a repeat does.

use asset_uploads::domain::ids::AssetUploadId;
use asset_uploads::domain::media::MimeType;
use asset_uploads::domain::timestamp::Timestamp;
use asset_uploads::domain::upload::{Filename, Session};
use asset_uploads::error::ApiError;
use asset_uploads::store::rights::{Caller, Identity, Permission};
use asset_uploads::store::uploads::{Cancel, Create, Created, Read};
use rusqlite::Connection;
use rusqlite::types::Value::{Integer, Null, Text};
use serde_json::json;

use crate::sqlite::fixtures::{DEADLINE, confirm, create_for, pending_upload};
use crate::sqlite::{self, NOW, Person, contents, run, run_with_identity};

/// A new upload of `beach.png`, 640 bytes of `image/png`.
fn create(by: &Person) -> Create<'static> {
    create_for(by.caller(Permission::AssetsWrite), sqlite::unused_upload_id())
}

/// The same upload, started by a request of its own.
fn again(create: &Create<'static>) -> Create<'static> {
    Create { request_id: sqlite::new_request_id(), ..create.clone() }
}

fn read(by: &Person, asset_upload_id: AssetUploadId) -> Read {
    Read { caller: by.caller(Permission::AssetsRead), asset_upload_id }
}

fn cancel(by: &Person, asset_upload_id: AssetUploadId) -> Cancel {
    Cancel { caller: by.caller(Permission::AssetsWrite), asset_upload_id }
}

fn caller_at(by: &Person, now: Timestamp) -> Caller {
    Caller { now, ..by.caller(Permission::AssetsWrite) }
}

fn session_of_beach() -> Session {
    Session {
        filename: "beach.png".to_owned(),
        mime_type: "image/png".to_owned(),
        size_bytes: 640,
        expires_at: DEADLINE,
        part_size: None,
    }
}

fn created(existed: bool) -> Result<Created, ApiError> {
    Ok(Created { session: session_of_beach(), existed })
}

/// Sessions that are not cancelled.
fn sessions(conn: &Connection) -> usize {
    sqlite::rows(conn, "SELECT id FROM asset_uploads WHERE expires_at >= 0").len()
}

/// The error is that of a reused Idempotency-Key, and the database is as it was.
fn expect_reused_key(conn: &Connection, create: &Create) {
    let before = contents(conn);
    for _ in 0..2 {
        let error = run(conn, create).unwrap_err();
        let body: serde_json::Value = serde_json::from_str(&error.body()).unwrap();
        assert_eq!(body["code"], "VALIDATION_ERROR");
        assert_eq!(body["errors"].as_array().unwrap().len(), 1);
        assert_eq!(body["errors"][0]["loc"], json!(["header", "Idempotency-Key"]));
        assert_eq!(body["errors"][0]["type"], "idempotency_key_reused");
    }
    assert_eq!(contents(conn), before);
}

#[test]
fn a_start_writes_every_column_of_the_session() {
    let conn = sqlite::open();
    let org = sqlite::organization(&conn);
    let editor = sqlite::editor(&conn, org);
    let operation = create(&editor);

    let (answer, identity) = run_with_identity(&conn, &operation);

    assert_eq!(answer, created(false));
    assert_eq!(identity, Identity { user_id: Some(editor.user.id), org_id: Some(org) });
    let text = |text: &dyn ToString| Text(text.to_string());
    let expected = [
        ("id", text(&operation.asset_upload_id)),
        ("org_id", text(&org)),
        ("filename", text(&"beach.png")),
        ("mime_type", text(&"image/png")),
        ("size_bytes", Integer(640)),
        ("created_by", text(&editor.user.id)),
        ("created_at", Integer(NOW.0)),
        ("expires_at", Integer(DEADLINE.0)),
        ("request_id", text(&operation.request_id)),
        ("api_key_id", text(&sqlite::key_id(&conn, &editor.key))),
        ("part_size", Null),
        ("multipart_id", Null),
        ("rejection", Null),
        ("rejected_at", Null),
        ("expiry_told_at", Null),
    ]
    .map(|(column, value)| (column.to_owned(), value));
    assert_eq!(sqlite::rows(&conn, "SELECT * FROM asset_uploads"), [expected.to_vec()]);
    assert_eq!(run(&conn, &read(&editor, operation.asset_upload_id)), Ok((session_of_beach(), false)));
}

#[test]
fn extremes_are_stored_as_they_are() {
    let (conn, _, editor, _) = pending_upload();
    let names = ["x", "'; DROP TABLE assets; --", "\u{200f}\u{2028}\"`$(x)", "e\u{301}é ", &"😀".repeat(500)];
    for (n, name) in names.into_iter().enumerate() {
        // The largest object that a single PUT can make, and one byte.
        let size_bytes = [1, 5_363_466_240][n % 2];
        let operation = Create {
            filename: Filename::parse(name).unwrap(),
            // A type's name and a subtype's have 127 characters at most.
            mime_type: MimeType::parse(&["x/y".to_owned(), format!("{0}/{0}", "x".repeat(127))][n % 2])
                .unwrap(),
            size_bytes,
            expires_at: Timestamp(NOW.0 + 30 * 86_400_000),
            ..create(&editor)
        };
        let session = run(&conn, &operation).unwrap().session;
        assert_eq!((session.filename.as_str(), session.size_bytes), (name, size_bytes));
        assert_eq!(session.mime_type, operation.mime_type.as_str());
        assert_eq!(session.expires_at, operation.expires_at);
        assert_eq!(run(&conn, &read(&editor, operation.asset_upload_id)), Ok((session, false)));
    }
}

#[test]
fn a_repeated_start_finds_its_session() {
    let (conn, org, editor, _) = pending_upload();
    let first = Create { caller: caller_at(&editor, Timestamp(NOW.0 - 1)), ..create(&editor) };
    assert_eq!(run(&conn, &first), created(false));
    let before = contents(&conn);

    // By a later request, with a deadline of its own that does not count, after a failure of D1 too.
    let later = Create {
        caller: editor.caller(Permission::AssetsWrite),
        expires_at: Timestamp(DEADLINE.0 + 5_000),
        ..again(&first)
    };
    for _ in 0..2 {
        assert_eq!(run(&conn, &later), created(true));
    }
    // Where a colleague may act, the session is the organization's.
    let colleague = sqlite::editor(&conn, org);
    let theirs = Create { caller: colleague.caller(Permission::AssetsWrite), ..again(&first) };
    for _ in 0..2 {
        assert_eq!(run(&conn, &theirs), created(true));
    }
    assert_eq!(contents(&conn), before);
}

#[test]
fn an_answer_that_was_lost_is_given_again() {
    let (conn, _, editor, _) = pending_upload();
    // Whether or not the first try was committed, this request made the session; another, in the same millisecond
    // too, did not.
    let first = create(&editor);
    for _ in 0..2 {
        assert_eq!(run(&conn, &first), created(false));
        assert_eq!(run(&conn, &again(&first)), created(true));
    }
    assert_eq!(sessions(&conn), 2);

    let id = first.asset_upload_id;
    assert_eq!(run(&conn, &cancel(&editor, id)), Ok(None));
    assert_eq!(run(&conn, &cancel(&editor, id)), Ok(None));
    assert_eq!(sessions(&conn), 1);
}

#[test]
fn rule_10_the_same_key_with_another_file_is_an_error() {
    let (conn, _, editor, _) = pending_upload();
    let first = create(&editor);
    run(&conn, &first).unwrap();
    for other in [
        Create { filename: Filename::parse("Beach.png").unwrap(), ..first.clone() },
        Create { mime_type: MimeType::parse("image/jpeg").unwrap(), ..first.clone() },
        Create { size_bytes: 641, ..first.clone() },
    ] {
        expect_reused_key(&conn, &other);
        // Whatever has become of the first.
        let late = Create { caller: caller_at(&editor, DEADLINE), ..other };
        expect_reused_key(&conn, &late);
    }
}

/// As when a key's only membership moves to another organization.
#[test]
fn rule_10_an_id_of_another_organization_is_a_reused_key_and_shows_nothing() {
    let (conn, ..) = pending_upload();
    let (outsider, elsewhere) = sqlite::outsider(&conn);
    let org = sqlite::organization(&conn);
    let editor = sqlite::editor(&conn, org);
    let theirs = create(&outsider);
    run(&conn, &theirs).unwrap();
    let mine = Create { caller: editor.caller(Permission::AssetsWrite), ..theirs.clone() };
    expect_reused_key(&conn, &mine);
    run(&conn, &confirm(&outsider, theirs.asset_upload_id)).unwrap();
    expect_reused_key(&conn, &mine);
    expect_reused_key(&conn, &Create { caller: caller_at(&editor, DEADLINE), ..mine });
    assert_eq!(contents(&conn)[1].iter().filter(|row| row[1].1 == Text(elsewhere.to_string())).count(), 1);
}

#[test]
fn rules_12_and_13_a_repeat_after_the_end_of_a_session_is_a_conflict() {
    let (conn, _, editor, _) = pending_upload();
    let first = create(&editor);
    run(&conn, &first).unwrap();
    // The last millisecond that is in time, and the first that is not.
    let late = |now: i64| Create { caller: caller_at(&editor, Timestamp(now)), ..again(&first) };
    assert_eq!(run(&conn, &late(DEADLINE.0 - 1)), created(true));
    assert_eq!(run(&conn, &late(DEADLINE.0)), Err(ApiError::AssetUploadExpired));

    run(&conn, &confirm(&editor, first.asset_upload_id)).unwrap();
    let before = contents(&conn);
    let confirmed = Err(ApiError::AssetUploadAlreadyConfirmed(first.asset_upload_id.to_string()));
    for _ in 0..2 {
        assert_eq!(run(&conn, &first), confirmed);
        // Rule 12 comes before rule 13.
        assert_eq!(run(&conn, &late(DEADLINE.0)), confirmed);
    }
    assert_eq!(contents(&conn), before);
}

#[test]
fn a_session_is_read_in_every_state() {
    let (conn, org, editor, upload) = pending_upload();
    let viewer = sqlite::viewer(&conn, org);
    let states = |expected: &Result<(Session, bool), ApiError>| {
        let before = contents(&conn);
        for person in [&editor, &viewer] {
            for _ in 0..2 {
                assert_eq!(run(&conn, &read(person, upload)), *expected);
                let mut late = read(person, upload);
                late.caller.now = Timestamp(DEADLINE.0 + 1);
                assert_eq!(run(&conn, &late), *expected);
            }
        }
        assert_eq!(contents(&conn), before);
    };
    states(&Ok((session_of_beach(), false)));
    run(&conn, &confirm(&editor, upload)).unwrap();
    states(&Ok((session_of_beach(), true)));
    // A deleted asset leaves its session confirmed: nothing can be uploaded under it any more.
    conn.execute("UPDATE assets SET deleted_at = ?1", [NOW.0]).unwrap();
    states(&Ok((session_of_beach(), true)));
}

#[test]
fn a_pending_session_is_cancelled_and_again() {
    let (conn, org, editor, upload) = pending_upload();
    let other = sqlite::session(&conn, org, &editor, DEADLINE);
    let colleague = sqlite::editor(&conn, org);
    assert_eq!(run(&conn, &cancel(&colleague, upload)), Ok(None));
    assert_eq!(sessions(&conn), 1);
    let before = contents(&conn);
    assert_eq!(run(&conn, &cancel(&editor, upload)), Ok(None));
    assert_eq!(contents(&conn), before);
    assert_eq!(run(&conn, &read(&editor, upload)), Err(ApiError::AssetUploadNotFound));
    assert_eq!(run(&conn, &confirm(&editor, upload)), Err(ApiError::AssetUploadNotFound));
    assert_eq!(run(&conn, &read(&editor, other)), Ok((session_of_beach(), false)));
}

#[test]
fn an_expired_session_can_be_cancelled() {
    let (conn, _, editor, upload) = pending_upload();
    let late = Cancel { caller: caller_at(&editor, Timestamp(DEADLINE.0 + 1)), asset_upload_id: upload };
    assert_eq!(run(&conn, &late), Ok(None));
    assert_eq!(sessions(&conn), 0);
}

#[test]
fn rule_12_a_confirmed_session_cannot_be_cancelled() {
    let (conn, _, editor, upload) = pending_upload();
    run(&conn, &confirm(&editor, upload)).unwrap();
    let before = contents(&conn);
    let confirmed = Err(ApiError::AssetUploadAlreadyConfirmed(upload.to_string()));
    for _ in 0..2 {
        assert_eq!(run(&conn, &cancel(&editor, upload)), confirmed);
    }
    // A deleted asset is an asset.
    conn.execute("UPDATE assets SET deleted_at = created_at", []).unwrap();
    assert_eq!(run(&conn, &cancel(&editor, upload)), confirmed);
    conn.execute("UPDATE assets SET deleted_at = NULL", []).unwrap();
    assert_eq!(contents(&conn), before);
}

#[test]
fn rule_11_another_organizations_session_is_as_one_that_does_not_exist() {
    let (conn, _, editor, upload) = pending_upload();
    let (outsider, _) = sqlite::outsider(&conn);
    let not_found = ApiError::AssetUploadNotFound;
    let check = || {
        let before = contents(&conn);
        for id in [upload, sqlite::unused_upload_id()] {
            assert_eq!(run(&conn, &read(&outsider, id)).as_ref(), Err(&not_found));
            assert_eq!(run(&conn, &cancel(&outsider, id)).as_ref(), Err(&not_found));
            assert_eq!(run(&conn, &confirm(&outsider, id)).as_ref(), Err(&not_found));
        }
        // A repeat cannot know whether its first request deleted what is not there now. What is there is
        // another's: a success would have the Worker remove its object.
        assert_eq!(run(&conn, &cancel(&outsider, upload)).as_ref(), Err(&not_found));
        assert_eq!(contents(&conn), before);
    };
    check();
    run(&conn, &confirm(&editor, upload)).unwrap();
    check();
}
