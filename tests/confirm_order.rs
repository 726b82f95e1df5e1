//! The order of a confirmation's checks: every combination of findings about caller, session,
//! earlier confirmation, folder and object, against an oracle that reads like the table of docs/behaviour.md.

use asset_uploads::domain::idempotency::IdempotencyKey;
use asset_uploads::domain::ids::{FolderId, OrganizationId};
use asset_uploads::domain::media::AllowedTypes;
use asset_uploads::domain::timestamp::Timestamp;
use asset_uploads::domain::upload::{ObjectState, StoredObject, UploadRules};
use asset_uploads::error::ApiError;
use asset_uploads::store::confirm::Confirmed;
use asset_uploads::store::rights::Permission;
use rusqlite::Connection;

use crate::sqlite::fixtures::{ConfirmOne, stored_object};
use crate::sqlite::{self, NOW, Person, contents, run};

#[derive(Debug, Clone, Copy, PartialEq)]
enum Session {
    Pending,
    Expired,
    Foreign,
    Unknown,
}

/// The asset that the upload has already.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Earlier {
    None,
    Others,
    /// Of this very Idempotency-Key, in no folder.
    Own,
    /// Of this very Idempotency-Key, in the folder that has been deleted meanwhile.
    OwnInDeletedFolder,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Folder {
    None,
    Own,
    Deleted,
    Foreign,
    Unknown,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Object {
    AsDeclared,
    Other,
    Unfit,
    Untyped,
    Missing,
    Unavailable,
}

#[derive(Debug, Clone, Copy)]
struct Case {
    may_write: bool,
    session: Session,
    earlier: Earlier,
    folder: Folder,
    object: Object,
    reject_mismatch: bool,
}

fn all_cases() -> Vec<Case> {
    let mut all = Vec::new();
    for may_write in [true, false] {
        for session in [Session::Pending, Session::Expired, Session::Foreign, Session::Unknown] {
            for earlier in [Earlier::None, Earlier::Others, Earlier::Own, Earlier::OwnInDeletedFolder] {
                for folder in [Folder::None, Folder::Own, Folder::Deleted, Folder::Foreign, Folder::Unknown] {
                    for object in [
                        Object::AsDeclared,
                        Object::Other,
                        Object::Unfit,
                        Object::Untyped,
                        Object::Missing,
                        Object::Unavailable,
                    ] {
                        for reject_mismatch in [false, true] {
                            all.push(Case { may_write, session, earlier, folder, object, reject_mismatch });
                        }
                    }
                }
            }
        }
    }
    // No asset without a session, and none of another organization in this one's folder.
    all.retain(|case| match case.session {
        Session::Unknown => case.earlier == Earlier::None,
        Session::Foreign => case.earlier != Earlier::OwnInDeletedFolder,
        Session::Pending | Session::Expired => true,
    });
    all
}

/// Rules 8 to 17 of docs/behaviour.md, in their order: the code of an error, else what was done.
fn oracle(case: Case) -> &'static str {
    if !case.may_write {
        return "PERMISSION_DENIED";
    }
    if matches!(case.session, Session::Foreign | Session::Unknown) {
        return "ASSET_UPLOAD_NOT_FOUND";
    }
    match (case.earlier, case.folder) {
        (Earlier::None, _) => {}
        (Earlier::Others, _) => return "ASSET_UPLOAD_ALREADY_CONFIRMED",
        (Earlier::Own, Folder::None) | (Earlier::OwnInDeletedFolder, Folder::Deleted) => return "replayed",
        (Earlier::Own | Earlier::OwnInDeletedFolder, _) => return "VALIDATION_ERROR",
    }
    if case.session == Session::Expired {
        return "ASSET_UPLOAD_EXPIRED";
    }
    if matches!(case.folder, Folder::Deleted | Folder::Foreign | Folder::Unknown) {
        return "FOLDER_NOT_FOUND";
    }
    match case.object {
        Object::Unavailable => "STORAGE_UNAVAILABLE",
        Object::Missing => "OBJECT_NOT_UPLOADED",
        Object::Unfit => "UPLOAD_REJECTED",
        Object::Other if case.reject_mismatch => "UPLOAD_REJECTED",
        Object::Untyped => "needs declared type",
        Object::AsDeclared | Object::Other => "written",
    }
}

/// Who and what is there in every case.
struct Fixtures {
    conn: Connection,
    org: OrganizationId,
    editor: Person,
    viewer: Person,
    elsewhere: OrganizationId,
    outsider: Person,
    own: FolderId,
    deleted: FolderId,
    foreign: FolderId,
}

fn fixtures() -> Fixtures {
    let conn = sqlite::open();
    let org = sqlite::organization(&conn);
    let editor = sqlite::editor(&conn, org);
    let viewer = sqlite::viewer(&conn, org);
    let (outsider, elsewhere) = sqlite::outsider(&conn);
    let own = sqlite::folder(&conn, org, &editor, None);
    let deleted = sqlite::folder(&conn, org, &editor, Some(Timestamp(NOW.0 - 1)));
    let foreign = sqlite::folder(&conn, elsewhere, &outsider, None);
    Fixtures { conn, org, editor, viewer, elsewhere, outsider, own, deleted, foreign }
}

/// Runs a case and removes what it made; the result in a word, and how many assets it made.
fn run_case(fixtures: &Fixtures, case: Case) -> (&'static str, i64) {
    let Fixtures { conn, org, editor, viewer, elsewhere, outsider, own, deleted, foreign } = fixtures;
    let upload = match case.session {
        Session::Pending => sqlite::session(conn, *org, editor, Timestamp(NOW.0 + 1)),
        Session::Expired => sqlite::session(conn, *org, editor, NOW),
        Session::Foreign => sqlite::session(conn, *elsewhere, outsider, Timestamp(NOW.0 + 1)),
        Session::Unknown => sqlite::unused_upload_id(),
    };
    match case.earlier {
        Earlier::None => {}
        Earlier::Others => sqlite::asset(conn, upload, None, "k0"),
        Earlier::Own => sqlite::asset(conn, upload, None, "k1"),
        Earlier::OwnInDeletedFolder => sqlite::asset(conn, upload, Some(*deleted), "k1"),
    }
    let rules = UploadRules {
        max_bytes: 1_000,
        allowed_types: AllowedTypes::parse(["image/*"]).unwrap(),
        reject_mismatch: case.reject_mismatch,
    };
    let operation = ConfirmOne {
        caller: if case.may_write { editor } else { viewer }.caller(Permission::AssetsWrite),
        asset_upload_id: upload,
        folder_id: match case.folder {
            Folder::None => None,
            Folder::Own => Some(*own),
            Folder::Deleted => Some(*deleted),
            Folder::Foreign => Some(*foreign),
            Folder::Unknown => Some(sqlite::unused_folder_id()),
        },
        idempotency_key: IdempotencyKey::parse("k1"),
        request_id: sqlite::new_request_id(),
        object: match case.object {
            Object::AsDeclared => rules.verify(stored_object(640, "image/png")),
            Object::Other => rules.verify(stored_object(641, "image/gif")),
            Object::Unfit => rules.verify(stored_object(1_001, "text/html")),
            Object::Untyped => rules.verify(StoredObject { content_type: None, ..stored_object(640, "") }),
            Object::Missing => ObjectState::Missing,
            Object::Unavailable => ObjectState::Unavailable("R2 is down".to_owned()),
        },
        rules: &rules,
    };

    let before = contents(conn);
    let [assets, ..] = &before;
    let answer = run(conn, &operation);
    let written = sqlite::count_assets(conn) - i64::try_from(assets.len()).unwrap();
    if written == 0 {
        assert_eq!(contents(conn), before, "{case:?} changed something");
    }
    let word = match answer {
        Ok(Confirmed::Asset { replayed: true, .. }) => "replayed",
        Ok(Confirmed::Asset { replayed: false, .. }) => "written",
        Ok(Confirmed::NeedsDeclaredType(declared)) => {
            assert_eq!(declared, "image/png");
            "needs declared type"
        }
        Ok(Confirmed::AwaitsClient) => panic!("{case:?}: no notification came"),
        Err(ApiError::Internal(detail)) => panic!("{case:?}: {detail}"),
        Err(error) => error.code().as_str(),
    };
    conn.execute_batch("DELETE FROM assets; DELETE FROM asset_uploads").unwrap();
    (word, written)
}

#[test]
fn rules_8_to_17_the_first_that_applies_is_the_answer() {
    let cases = all_cases();
    assert_eq!(cases.len(), 2 * (4 + 4 + 3 + 1) * 5 * 6 * 2);
    let fixtures = fixtures();
    for case in cases {
        let expected = oracle(case);
        assert_eq!(run_case(&fixtures, case), (expected, i64::from(expected == "written")), "{case:?}");
    }
}
