//! Confirmations of several uploads in one transaction: each comes to what a confirmation of its own would have come to,
//! and the transaction costs no more than those together.

use asset_uploads::domain::api_key::Scope;
use asset_uploads::domain::ids::{AssetUploadId, FolderId};
use asset_uploads::domain::upload::{ObjectState, StoredObject};
use asset_uploads::error::ApiError;
use asset_uploads::store::confirm::{By, Confirm, Confirmed, Item};
use asset_uploads::store::rights::{self, CallerOperation};
use asset_uploads::store::{Rows, Statement};
use rusqlite::{Connection, StatementStatus, params_from_iter};

use crate::sqlite::fixtures::{ConfirmOne, DEADLINE, RULES, confirm_with_key, stored_object};
use crate::sqlite::{self, Key, NOW, OF_UPLOADS, Person, bound, contents, run, session};

/// An organization with uploads of every kind, and the items of a request that names them all.
struct Uploads {
    conn: Connection,
    editor: Person,
    items: Vec<Item>,
    /// A folder of the organization.
    folder: FolderId,
}

fn uploads() -> Uploads {
    let conn = sqlite::open();
    let [org, other_org] = [(); 2].map(|()| sqlite::organization(&conn));
    let editor = sqlite::editor(&conn, org);
    let other = sqlite::editor(&conn, other_org);
    let [folder, deleted, foreign] = [
        sqlite::folder(&conn, org, &editor, None),
        sqlite::folder(&conn, org, &editor, Some(NOW)),
        sqlite::folder(&conn, other_org, &other, None),
    ];
    let good = || RULES.verify(stored_object(640, "image/png"));
    let mut items = Vec::new();
    let mut add = |id: AssetUploadId, folder_id: Option<FolderId>, object: ObjectState| {
        items.push(Item { asset_upload_id: id, folder_id, object });
    };
    let new = || session(&conn, org, &editor, DEADLINE);
    for folder_id in [None, Some(folder), Some(deleted), Some(foreign), Some(sqlite::unused_folder_id())] {
        add(new(), folder_id, good());
        add(new(), folder_id, RULES.verify(stored_object(641, "video/mp4")));
        add(new(), folder_id, RULES.verify(stored_object(1_001, "text/html")));
        add(new(), folder_id, RULES.verify(StoredObject { content_type: None, ..stored_object(640, "") }));
        add(new(), folder_id, ObjectState::Missing);
        add(new(), folder_id, ObjectState::Unavailable("R2 is down".to_owned()));
        add(session(&conn, org, &editor, NOW), folder_id, good());
        add(session(&conn, other_org, &other, DEADLINE), folder_id, good());
        add(sqlite::unused_upload_id(), folder_id, good());
        for key in ["", "k1"] {
            let upload = new();
            sqlite::asset(&conn, upload, None, key);
            add(upload, folder_id, good());
        }
        let cancelled = new();
        let sql = "UPDATE asset_uploads SET expires_at = -expires_at WHERE id = ?1";
        conn.execute(sql, [cancelled.to_string()]).unwrap();
        add(cancelled, folder_id, good());
    }
    Uploads { conn, editor, items, folder }
}

impl Uploads {
    /// The editor, with another key.
    fn with_key(&self, key: Key) -> Person {
        Person { user: self.editor.user.clone(), key: sqlite::key(&self.conn, &self.editor.user, key) }
    }

    fn single(&self, by: &Person, item: &Item) -> ConfirmOne<'static> {
        let Item { asset_upload_id, folder_id, object } = item.clone();
        let caller = by.caller(OF_UPLOADS);
        ConfirmOne { caller, folder_id, object, ..confirm_with_key(by, asset_upload_id, "k1") }
    }

    /// All of them in one transaction; the request's id is that of `like`.
    fn batch(&self, items: Vec<Item>, like: &ConfirmOne<'static>) -> Confirm<'static> {
        Confirm {
            caller: like.caller.clone(),
            items,
            idempotency_key: like.idempotency_key.clone(),
            request_id: like.request_id,
            rules: like.rules,
            by: By::Client,
        }
    }
}

/// Rules 8 to 17 hold for each, for keys with limits and without.
#[test]
fn each_comes_to_what_it_would_come_to_alone() {
    let mut codes = std::collections::BTreeSet::new();
    for limits in ["", r#"{"mime_types": ["image/*"]}"#, r#"{"max_size_bytes": 640, "folder_id": "?"}"#] {
        let uploads = uploads();
        let conn = &uploads.conn;
        let text = limits.replace('?', &uploads.folder.to_string());
        let key = Key { scope: Some(Scope::Upload), limits: Some(text), ..Key::default() };
        let by = if limits.is_empty() { uploads.editor.clone() } else { uploads.with_key(key) };
        if !limits.is_empty() {
            let id = sqlite::key_id(conn, &by.key);
            conn.execute("UPDATE asset_uploads SET api_key_id = ?1", [id]).unwrap();
        }
        let like = uploads.single(&by, &uploads.items[0]);
        // Each alone, and undone again.
        let alone = uploads.items.iter().map(|item| {
            conn.execute_batch("SAVEPOINT alone").unwrap();
            let operation = ConfirmOne { request_id: like.request_id, ..uploads.single(&by, item) };
            let texts = sqlite::rows_of_statements(conn, &operation.statements()).unwrap();
            let outcome = rights::decode(&operation, &Rows { texts }).1;
            let written =
                sqlite::rows(conn, &format!("SELECT * FROM assets WHERE id = '{}'", item.asset_upload_id));
            conn.execute_batch("ROLLBACK TO alone; RELEASE alone").unwrap();
            (outcome, written)
        });
        let alone: Vec<_> = alone.collect();
        let together = run(conn, &uploads.batch(uploads.items.clone(), &like)).unwrap();
        assert_eq!(together.len(), uploads.items.len());
        for ((item, (outcome, written)), batched) in uploads.items.iter().zip(&alone).zip(&together) {
            assert_eq!(outcome, batched, "{item:?}");
            let rows =
                sqlite::rows(conn, &format!("SELECT * FROM assets WHERE id = '{}'", item.asset_upload_id));
            assert_eq!(*written, rows, "{item:?}");
            codes.insert(match outcome {
                Ok(Confirmed::Asset { replayed: false, .. }) => "written".to_owned(),
                Ok(Confirmed::Asset { replayed: true, .. }) => "replayed".to_owned(),
                Ok(Confirmed::NeedsDeclaredType(_)) => "needs declared type".to_owned(),
                Ok(Confirmed::AwaitsClient) => "awaits a client".to_owned(),
                Err(ApiError::Internal(text)) => text.clone(),
                Err(error) => error.code().as_str().to_owned(),
            });
        }
        // The same request once more, as the platform repeats it whose answer was lost.
        assert_eq!(run(conn, &uploads.batch(uploads.items.clone(), &like)).unwrap(), together);
    }
    let expected = [
        "ASSET_UPLOAD_ALREADY_CONFIRMED",
        "ASSET_UPLOAD_EXPIRED",
        "ASSET_UPLOAD_NOT_FOUND",
        "FOLDER_NOT_FOUND",
        "OBJECT_NOT_UPLOADED",
        "PERMISSION_DENIED",
        "STORAGE_UNAVAILABLE",
        "UPLOAD_REJECTED",
        "VALIDATION_ERROR",
        "needs declared type",
        "replayed",
        "written",
    ];
    assert_eq!(codes.into_iter().collect::<Vec<_>>(), expected);
}

/// Without the right nothing is read or written, whatever the uploads are.
#[test]
fn rule_8_is_for_all_of_them() {
    let uploads = uploads();
    let viewer = sqlite::viewer(&uploads.conn, sqlite::organization(&uploads.conn));
    let before = contents(&uploads.conn);
    let batch = uploads.batch(uploads.items.clone(), &uploads.single(&viewer, &uploads.items[0]));
    assert_eq!(run(&uploads.conn, &batch).unwrap_err().code().as_str(), "PERMISSION_DENIED");
    assert_eq!(contents(&uploads.conn), before);
}

/// Two statements, however many uploads; and fewer steps than those of as many transactions.
#[test]
fn many_cost_less_together() {
    let conn = sqlite::open();
    let org = sqlite::organization(&conn);
    let editor = sqlite::editor(&conn, org);
    let uploads =
        Uploads { folder: sqlite::folder(&conn, org, &editor, None), conn, editor, items: Vec::new() };
    let conn = &uploads.conn;
    let items: Vec<Item> = (0..25)
        .map(|_| Item {
            asset_upload_id: session(conn, org, &uploads.editor, DEADLINE),
            folder_id: Some(uploads.folder),
            object: RULES.verify(stored_object(640, "image/png")),
        })
        .collect();
    let steps = |statements: &[Statement]| {
        let of = |statement: &Statement| {
            let mut prepared = conn.prepare(statement.sql).unwrap();
            let values = params_from_iter(statement.params.iter().map(bound));
            prepared.query_map(values, |_| Ok(())).unwrap().for_each(drop);
            prepared.get_status(StatementStatus::VmStep)
        };
        statements.iter().map(of).sum::<i32>()
    };
    let like = uploads.single(&uploads.editor, &items[0]);
    conn.execute_batch("SAVEPOINT alone").unwrap();
    let alone: i32 =
        items.iter().map(|item| steps(&uploads.single(&uploads.editor, item).statements())).sum();
    assert_eq!(sqlite::count_assets(conn), 25);
    conn.execute_batch("ROLLBACK TO alone; RELEASE alone").unwrap();
    let batch = uploads.batch(items, &like).statements();
    assert_eq!(batch.len(), 2);
    let together = steps(&batch);
    assert_eq!(sqlite::count_assets(conn), 25);
    assert!(together < alone, "{together} steps together, {alone} alone");
}
