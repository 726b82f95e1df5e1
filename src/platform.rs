//! What handlers and the sweeper need from outside: the database, the bucket, the clock and random bytes.
//!
//! The Worker's implementation is in `edge`, on D1 and R2; the tests have one on SQLite and an in-memory bucket.

use crate::domain::multipart::{CompletedPart, Completion};
use crate::domain::timestamp::Timestamp;
use crate::domain::upload::StoredObject;
use crate::domain::webhook::Nudge;
use crate::storage_error::StorageError;
use crate::store::{Rows, Statement};

/// Where the code runs. The platform itself retries calls after transient errors, and limits the time of each call. So
/// an error is final; the call may have been carried out nevertheless.
#[allow(async_fn_in_trait, reason = "a Worker has one thread, so nobody needs the futures to be Send")]
pub trait Platform {
    /// Runs the statements, at least one, as one transaction.
    ///
    /// # Errors
    /// The transaction may have been committed, unless the error is `Unexpected`.
    async fn transact(&self, statements: &[Statement]) -> Result<Rows, StorageError>;

    /// HEADs an object; `None` when there is none.
    ///
    /// # Errors
    /// The object's state is unknown then.
    async fn head_object(&self, key: &str) -> Result<Option<StoredObject>, StorageError>;

    /// Lists at most `limit` objects (up to 1,000) whose keys begin with `prefix` and sort behind `after`.
    ///
    /// # Errors
    /// When the bucket does not answer.
    async fn list_objects(&self, prefix: &str, after: &str, limit: u32) -> Result<ObjectPage, StorageError>;

    /// Deletes objects, at most 1,000; one that does not exist is no error.
    ///
    /// # Errors
    /// Any of them may or may not be there then.
    async fn delete_objects(&self, keys: &[String]) -> Result<(), StorageError>;

    /// Begins an object that is sent in parts; the id of R2's multipart upload. `content_type` and `content_disposition`
    /// are those that the object will have.
    ///
    /// # Errors
    /// It may have begun all the same: R2 itself ends what is not completed within 7 days.
    async fn create_multipart(
        &self,
        key: &str,
        content_type: &str,
        content_disposition: &str,
    ) -> Result<String, StorageError>;

    /// Makes an object of its parts: all of them, in order. One call may complete it, and its repeat find that there is
    /// no such upload any more.
    ///
    /// # Errors
    /// The object may have been made.
    async fn complete_multipart(
        &self,
        key: &str,
        multipart_id: &str,
        parts: &[CompletedPart],
    ) -> Result<Completion, StorageError>;

    /// Gives up a multipart upload, and with it the parts that were sent; one that does not exist is no error.
    ///
    /// # Errors
    /// It may or may not exist then.
    async fn abort_multipart(&self, key: &str, multipart_id: &str) -> Result<(), StorageError>;

    /// The id of the database that the bucket belongs to, which the object [`OWNER_KEY`] holds. Where there is no such
    /// object, it is written with `database_id`.
    ///
    /// # Errors
    /// When the bucket does not answer.
    async fn bucket_owner(&self, database_id: &str) -> Result<String, StorageError>;

    /// Sends a request to a webhook's receiver, once. Redirects are not followed; it may take
    /// [`ATTEMPT_TIMEOUT_MS`](crate::domain::webhook::ATTEMPT_TIMEOUT_MS), and of the answer's body the first
    /// [`RESPONSE_BYTES`](crate::domain::webhook::RESPONSE_BYTES) are read.
    ///
    /// # Errors
    /// Where there was no answer. The receiver may have got it.
    async fn post(&self, request: Outgoing<'_>) -> Result<Answered, SendError>;

    /// Tells the queue of webhooks that have something to be delivered, each after so many seconds; false where there is
    /// no queue.
    ///
    /// # Errors
    /// The queue may have some of them.
    async fn send_nudges(&self, nudges: &[(Nudge, u64)]) -> Result<bool, StorageError>;

    /// The clock.
    fn now(&self) -> Timestamp;

    /// Random bytes that nobody can guess.
    ///
    /// # Errors
    /// Text for the log.
    fn fill_random(&self, bytes: &mut [u8]) -> Result<(), String>;

    /// What the storage calls have cost so far.
    fn usage(&self) -> Usage;
}

/// The object that carries the id of the bucket's database; outside the prefix of uploads.
pub const OWNER_KEY: &str = "asset-uploads-database-id";

/// A request to a webhook's receiver: a POST.
#[derive(Debug, Clone, Copy)]
pub struct Outgoing<'a> {
    /// Where to.
    pub url: &'a str,
    /// Its headers.
    pub headers: &'a [(&'static str, &'a str)],
    /// Its body, JSON.
    pub body: &'a str,
}

/// A receiver's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// Its status.
    pub status: u16,
    /// The beginning of its body.
    pub response: String,
}

/// Why a receiver gave no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SendError {
    /// The request failed, or took too long; holds text for the history.
    Failed(String),
    /// It was not sent: the platform permits no further request.
    NotSent,
}

/// What the storage calls of a request, or of a run of the sweeper, have cost so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Milliseconds spent in R2, also where calls ran at the same time; `None` where it was not asked.
    pub r2_ms: Option<u64>,
    /// Milliseconds spent in D1, repeats included; `None` where it was not asked.
    pub d1_ms: Option<u64>,
    /// Storage calls that failed and were repeated.
    pub retries: u32,
    /// Statements sent to D1, repeats included.
    pub statements: u32,
}

/// A page of a list of objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectPage {
    /// The objects, in the order of their keys.
    pub objects: Vec<ListedObject>,
    /// Whether there are more behind the last one.
    pub truncated: bool,
}

/// A listed object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedObject {
    /// Its key.
    pub key: String,
    /// When it was stored.
    pub uploaded_at: Timestamp,
}
