//! What all tasks of a simulation share.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};

use asset_uploads::domain::ids::AssetUploadId;
use asset_uploads::domain::timestamp::Timestamp;

use crate::answers::KnownUpload;
use crate::bucket::Bucket;
use crate::delivery::Message;
use crate::draw::Draw;
use crate::lists::Cursor;
use crate::model::Model;
use crate::schedule::{Fault, Receiver};
use crate::simulated::LateCall;
use crate::statistics::Statistics;
use crate::world::World;

/// What all tasks of a run share.
pub(crate) struct State<'a> {
    pub(crate) world: &'a World,
    pub(crate) model: RefCell<Model>,
    pub(crate) bucket: RefCell<Bucket>,
    pub(crate) clock: Cell<Timestamp>,
    /// What happens to a storage call, and how many are carried out before it.
    pub(crate) fault: Cell<Option<(u8, Fault)>>,
    /// Whether calls are carried out later whose isolate ends now.
    pub(crate) isolate_ends: Cell<Option<bool>>,
    /// Calls that nobody waits for any more, the newest last.
    pub(crate) late: RefCell<Vec<LateCall>>,
    /// What clients know of, the newest last.
    pub(crate) uploads: RefCell<Vec<KnownUpload>>,
    /// Assets, likewise.
    pub(crate) assets: RefCell<Vec<String>>,
    /// Folders, likewise.
    pub(crate) folders: RefCell<Vec<String>>,
    /// Cursors, likewise.
    pub(crate) cursors: RefCell<Vec<Cursor>>,
    /// Keys that were made, by their place in [`Model::keys`], likewise.
    pub(crate) made_keys: RefCell<Vec<usize>>,
    /// Webhooks that were made, likewise.
    pub(crate) webhooks: RefCell<Vec<String>>,
    /// Messages of the queue, the newest last.
    pub(crate) queue: RefCell<Vec<Message>>,
    pub(crate) has_queue: bool,
    /// What the receivers of webhooks answer, by the places of these; where nothing is said, they are up.
    pub(crate) receivers: RefCell<BTreeMap<usize, Receiver>>,
    /// What they have got: the place of the webhook, and the event's id.
    pub(crate) received: RefCell<BTreeSet<(usize, String)>>,
    /// Keys of objects whose notifications come again.
    pub(crate) again: RefCell<BTreeSet<String>>,
    pub(crate) random: RefCell<Draw>,
    /// The ids of multipart uploads that the database has ever had: none of them is to be left open.
    pub(crate) begun: RefCell<BTreeSet<String>>,
    /// Uploads whose parts were put together: their keys, and the requests that started them.
    pub(crate) completions: RefCell<BTreeSet<(String, Option<u64>)>>,
    /// The first thing that was not as it must be.
    pub(crate) violation: RefCell<Option<String>>,
    pub(crate) statistics: RefCell<Statistics>,
}

impl State<'_> {
    /// Notes that something is not as it must be.
    pub(crate) fn violate(&self, text: impl Into<String>) {
        self.violation.borrow_mut().get_or_insert_with(|| text.into());
    }

    pub(crate) fn count(&self, what: impl Into<String>) {
        self.statistics.borrow_mut().count(what);
    }

    /// What happens to the call that is to be carried out now.
    pub(crate) fn next_fault(&self) -> Option<Fault> {
        let (calls, fault) = self.fault.take()?;
        if calls > 0 {
            self.fault.set(Some((calls - 1, fault)));
            return None;
        }
        self.count(format!("{fault:?}"));
        Some(fault)
    }

    pub(crate) fn random(&self) -> u64 {
        self.random.borrow_mut().next()
    }

    /// An id that nothing has.
    pub(crate) fn unused_id(&self) -> AssetUploadId {
        let mut random = [0; 10];
        random.iter_mut().zip(self.random().to_le_bytes()).for_each(|(to, from)| *to = from);
        AssetUploadId::v7(self.clock.get().unix_ms(), &random)
    }

    pub(crate) fn report(&self, result: Result<(), String>) {
        if let Err(text) = result {
            self.violate(text);
        }
    }
}
