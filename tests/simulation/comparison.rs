//! Transactions of a simulation: each is run on the real database, and what it did is compared with what the model
//! says that it must do.

use asset_uploads::storage_error::{StorageError, StorageErrorKind};
use asset_uploads::store::{Rows, Statement};

use crate::database;
use crate::model::{Finding, HeadResult, RequestModel, RetiredModel, Write};
use crate::simulated::{State, TaskRecord};

impl State<'_> {
    /// Runs a transaction, and compares what it did with what it must do.
    pub(crate) fn transact(
        &self,
        record: &TaskRecord,
        statements: &[Statement],
    ) -> Result<Rows, StorageError> {
        let expected = record.request.as_ref().map(|request| {
            let (head, upload) = (record.head.borrow(), record.upload.borrow());
            let arrived_at = record.arrived_at.get().unwrap_or(self.clock.get());
            let request = request.with_id(upload.as_deref());
            self.model.borrow().find(record.number, &request, arrived_at, head.as_ref())
        });
        let changes = self.world.conn.total_changes();
        let texts = self.world.transact(statements).map_err(|error| StorageError {
            kind: StorageErrorKind::Unexpected,
            message: format!("D1: {error}"),
        });
        let texts = match texts {
            Ok(texts) => texts,
            Err(error) => {
                self.violate(format!("{} in {:?}", error.message, statements));
                return Err(error);
            }
        };
        let changed = self.world.conn.total_changes() > changes;
        match expected {
            Some((finding, write)) => self.compare_request(record, finding, write, statements, changed),
            None if changed => self.compare_sweeper(),
            None => {}
        }
        Ok(Rows { texts })
    }

    fn compare_request(
        &self,
        record: &TaskRecord,
        finding: Finding,
        write: Option<Write>,
        statements: &[Statement],
        changed: bool,
    ) {
        // The object has no content type: the declared one is read first, and the asset written then.
        let untyped = matches!(&*record.head.borrow(), Some(HeadResult::Object(object)) if object.content_type.is_none());
        let reads_first = untyped && statements.len() == 1;
        let write = write.filter(|_| !reads_first);
        if changed != write.is_some() {
            let done = if changed { "changed the database" } else { "wrote nothing" };
            self.violate(format!(
                "request {} {done}, though it must be {finding:?}: {:?}",
                record.number, record.request
            ));
            return;
        }
        let mut model = self.model.borrow_mut();
        let id = record.request.as_ref().and_then(RequestModel::upload).map(|id| id.to_string());
        let id = match (id, &write) {
            // A start without an Idempotency-Key: whatever id was chosen.
            (None, Some(Write::Session(_))) => {
                let ids = database::session_ids(&self.world.conn);
                ids.into_iter().find(|id| !model.sessions.contains_key(id))
            }
            (id, _) => id.or_else(|| record.upload.borrow().clone()),
        };
        if let (Some(write), Some(id)) = (write, &id) {
            match write {
                Write::Session(session) => _ = model.sessions.insert(id.clone(), session),
                Write::Asset(asset) => _ = model.assets.insert(id.clone(), asset),
                Write::Cancellation => {
                    if let Some(session) = model.sessions.get_mut(id) {
                        session.cancelled = true;
                    }
                }
            }
            self.report(database::compare(&self.world.conn, &model));
        }
        record.session.replace(id.as_ref().and_then(|id| model.sessions.get(id).cloned()));
        record.asset.replace(id.as_ref().and_then(|id| model.assets.get(id).cloned()));
        record.upload.replace(id);
        record.finding.replace(Some(finding));
    }

    /// The sweeper changed something: only what may be given up is gone.
    fn compare_sweeper(&self) {
        let (mut model, now) = (self.model.borrow_mut(), self.clock.get());
        let conn = &self.world.conn;
        let retired = database::retired(conn);
        for (id, object_deleted_at) in &retired {
            let uploaded_at = self.bucket.borrow().uploaded_at(&format!("uploads/{id}"));
            match model.retired.get(id) {
                None if !model.may_retire(id, now, uploaded_at) => {
                    self.violate(format!("the sweeper retires {id}, which is not due"));
                }
                None => self.count("retired"),
                Some(known)
                    if known.object_deleted_at.is_none()
                        && object_deleted_at.is_some()
                        && uploaded_at.is_some() =>
                {
                    self.violate(format!(
                        "the sweeper says that the object of {id} is gone, but it is there"
                    ));
                }
                Some(_) => {}
            }
        }
        for id in model.retired.keys().filter(|id| !retired.iter().any(|(other, _)| other == *id)) {
            if !model.may_forget(id, now) {
                self.violate(format!("the sweeper forgets {id} too early"));
            }
        }
        let sessions = database::session_ids(conn);
        let gone: Vec<String> = model.sessions.keys().filter(|id| !sessions.contains(*id)).cloned().collect();
        for id in gone {
            if !model.may_delete_session(&id, now) {
                self.violate(format!("the sweeper deletes the session {id}, which is not due"));
            }
            model.sessions.remove(&id);
        }
        model.retired = retired
            .into_iter()
            .map(|(id, object_deleted_at)| (id, RetiredModel { object_deleted_at }))
            .collect();
        model.orphans = database::orphans(conn);
        self.report(database::compare(conn, &model));
    }
}
