//! What is known of a task: what it was told by storage, and what its transactions found.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use asset_uploads::domain::multipart::Completion;
use asset_uploads::domain::timestamp::Timestamp;

use crate::event_rules::WebhookModel;
use crate::library_answers::RowModel;
use crate::model::{AssetModel, Finding, FolderModel, HeadResult, SessionModel};
use crate::receiver::Posted;
use crate::request::RequestModel;

/// What a task does that has no request.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) enum Work {
    #[default]
    Sweep,
    Deliver,
    /// Storage has told of objects.
    Confirm,
}

/// What is known of a task.
#[derive(Clone, Default)]
pub(crate) struct TaskRecord {
    /// Each has another.
    pub(crate) number: u64,
    /// None for the sweeper, what delivers, and what storage tells.
    pub(crate) request: Option<RequestModel>,
    /// What it does without a request.
    pub(crate) work: Work,
    /// What it has sent to receivers: by the place of the webhook, and the event's id.
    pub(crate) posted: RefCell<BTreeMap<(usize, String), Posted>>,
    /// When all of the request had arrived.
    pub(crate) arrived_at: Cell<Option<Timestamp>>,
    /// What HEAD came to, by the object's key.
    pub(crate) heads: RefCell<BTreeMap<String, HeadResult>>,
    /// The multipart upload that it has begun.
    pub(crate) multipart_id: RefCell<Option<String>>,
    /// What storage made of the parts; none where it gave no answer.
    pub(crate) completion: RefCell<Option<Completion>>,
    /// Whether storage did not say that something is removed or given up.
    pub(crate) removal_failed: Cell<bool>,
    /// What the last transaction found.
    pub(crate) finding: RefCell<Option<Finding>>,
    /// What became of each upload of a batch, and its asset.
    pub(crate) items: RefCell<BTreeMap<String, (Finding, Option<AssetModel>)>>,
    /// The uploads whose objects have no content type, once they are confirmed with the declared one.
    pub(crate) untyped: RefCell<Option<Vec<String>>>,
    /// The uploads that storage's notification has confirmed, once they are confirmed for the client.
    pub(crate) claims: RefCell<Option<Vec<String>>>,
    /// What it was told of each upload that it confirms; of what else it does, under no name.
    pub(crate) known: RefCell<BTreeMap<String, Finding>>,
    /// The id of what it names, or made.
    pub(crate) id: RefCell<Option<String>>,
    /// The session with this id, as the last transaction read it.
    pub(crate) session: RefCell<Option<SessionModel>>,
    /// The asset, likewise.
    pub(crate) asset: RefCell<Option<AssetModel>>,
    /// The folder, likewise.
    pub(crate) folder: RefCell<Option<FolderModel>>,
    /// The webhook, likewise.
    pub(crate) webhook: RefCell<Option<WebhookModel>>,
    /// The folders that it lies in, outermost first: their ids and names.
    pub(crate) path: RefCell<Vec<(String, &'static str)>>,
    /// The rows of a page.
    pub(crate) rows: RefCell<Vec<RowModel>>,
    /// Whether its last transaction came to nothing, as far as it knows.
    pub(crate) database_failed: Cell<bool>,
    pub(crate) calls: Cell<u32>,
    pub(crate) transactions: Cell<u32>,
    pub(crate) statements: Cell<u32>,
}

/// What a transaction of a request depends on, beside the database.
#[derive(Clone, Copy)]
pub(crate) struct Seen<'a> {
    pub(crate) heads: &'a BTreeMap<String, HeadResult>,
    /// The multipart upload that it has begun.
    pub(crate) multipart_id: Option<&'a str>,
    /// As in [`TaskRecord`].
    pub(crate) untyped: Option<&'a [String]>,
    /// Likewise.
    pub(crate) claims: Option<&'a [String]>,
}

impl TaskRecord {
    /// Another transaction follows what the one before found.
    pub(crate) fn begin_transaction(&self) {
        if self.transactions.get() > 0 {
            let known = self.known.borrow();
            let found = |of: Finding| -> Vec<String> {
                known.iter().filter(|(_, finding)| **finding == of).map(|(id, _)| id.clone()).collect()
            };
            let untyped = found(Finding::Untyped);
            // First those without a content type, once.
            if self.untyped.borrow().is_some() || untyped.is_empty() {
                self.claims.replace(Some(found(Finding::AwaitsClient)));
                self.untyped.borrow_mut().get_or_insert_default();
            } else {
                self.untyped.replace(Some(untyped));
            }
        }
        self.transactions.set(self.transactions.get() + 1);
    }

    /// The task is told what its transaction found.
    pub(crate) fn learn(&self) {
        let mut known = self.known.borrow_mut();
        match &*self.finding.borrow() {
            Some(Finding::Batch(findings)) => known.extend(findings.iter().cloned()),
            Some(finding) => drop(known.insert(String::new(), finding.clone())),
            None => {}
        }
    }

    /// What HEAD of an upload's object came to.
    pub(crate) fn head(&self, id: &str) -> Option<HeadResult> {
        self.heads.borrow().get(&format!("uploads/{id}")).cloned()
    }

    /// Whether the database gave no answer to the only question, or to the first one of a batch.
    pub(crate) fn got_nothing(&self) -> bool {
        self.database_failed.get() && !self.is_second_of_batch()
    }

    /// Whether a batch has come to those objects that have no content type: the others stand already.
    pub(crate) fn is_second_of_batch(&self) -> bool {
        !self.items.borrow().is_empty() && self.untyped.borrow().is_some()
    }
}
