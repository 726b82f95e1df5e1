//! Transactions of a simulation: each is run on the real database, and what it did is compared with what the model
//! says that it must do.

use asset_uploads::domain::timestamp::Timestamp;
use asset_uploads::storage_error::{StorageError, StorageErrorKind};
use asset_uploads::store::{Rows, Statement};

use crate::database;
use crate::invariants;
use crate::model::{Change, Changes, Finding};
use crate::record::{Seen, TaskRecord, Work};
use crate::request::RequestModel;
use crate::state::State;

impl State<'_> {
    /// Runs a transaction, and compares what it did with what it must do.
    pub(crate) fn transact(
        &self,
        record: &TaskRecord,
        statements: &[Statement],
    ) -> Result<Rows, StorageError> {
        let arrived_at = record.arrived_at.get().unwrap_or(self.clock.get());
        let expected = record.request.as_ref().map(|request| {
            let (heads, id) = (record.heads.borrow(), record.id.borrow());
            let (multipart_id, untyped) = (record.multipart_id.borrow(), record.untyped.borrow());
            let claims = record.claims.borrow();
            let seen = Seen {
                heads: &heads,
                multipart_id: multipart_id.as_deref(),
                untyped: untyped.as_deref(),
                claims: claims.as_deref(),
            };
            let request = request.with_id(id.as_deref());
            let model = self.model.borrow();
            let (finding, changes) = model.find(record.number, &request, arrived_at, seen);
            for case in model.key_cases(record.number, &request, arrived_at, &finding, &changes) {
                self.count(case);
            }
            for case in model.claim_cases(&finding, &changes) {
                self.count(case);
            }
            (finding, changes)
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
            Some((finding, changes)) => {
                self.compare_request(record, finding, changes, changed, arrived_at);
            }
            None if changed => match record.work {
                Work::Sweep => self.compare_sweeper(),
                Work::Deliver => self.compare_deliveries(record),
                Work::Confirm => self.compare_notifications(record),
            },
            None => {}
        }
        Ok(Rows { texts })
    }

    fn compare_request(
        &self,
        record: &TaskRecord,
        finding: Finding,
        changes: Changes,
        changed: bool,
        now: Timestamp,
    ) {
        if changed == changes.is_empty() {
            let done = if changed { "changed the database" } else { "wrote nothing" };
            self.violate(format!(
                "request {} {done}, though it must be {finding:?}: {:?}",
                record.number, record.request
            ));
            return;
        }
        let mut model = self.model.borrow_mut();
        let named = record.request.as_ref().and_then(RequestModel::id);
        let mut id = named.or_else(|| record.id.borrow().clone());
        if changed {
            model.step += 1;
            let told = model.deliveries.len();
            for (row, mut change) in changes {
                if let Change::Webhook(webhook) = &mut change {
                    webhook.told_since = self.clock.get();
                }
                // A new row: whatever id was chosen.
                let row = row.or_else(|| database::new_id(&self.world.conn, &model, &change));
                if let Change::Multipart(id) = &change {
                    self.begun.borrow_mut().insert(id.clone());
                }
                if let Some(row) = row {
                    model.apply(&row, change, now);
                    id.get_or_insert(row);
                }
            }
            self.count_told(&model, told);
            self.report(database::compare(&self.world.conn, &model));
            self.report(invariants::check(&model));
        }
        let id_of = |id: &Option<String>| id.clone().unwrap_or_default();
        record.session.replace(model.sessions.get(&id_of(&id)).cloned());
        record.asset.replace(model.assets.get(&id_of(&id)).cloned());
        record.folder.replace(model.folders.get(&id_of(&id)).cloned());
        let webhook = model.webhooks.iter().find(|webhook| webhook.id == id_of(&id));
        record.webhook.replace(webhook.cloned());
        record.path.replace(model.path_of(&id_of(&id)));
        if let Finding::Batch(findings) = &finding {
            let items = findings
                .iter()
                .map(|(id, finding)| (id.clone(), (finding.clone(), model.assets.get(id).cloned())));
            record.items.borrow_mut().extend(items);
        }
        if let Finding::Page(page) = &finding {
            record.rows.replace(model.rows_of(page));
        }
        record.id.replace(id);
        record.finding.replace(Some(finding));
    }
}
