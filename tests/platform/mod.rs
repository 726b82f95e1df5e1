//! The smallest platform that the API runs on natively: SQLite, a bucket in memory, a clock that stands still.
//! Nothing in it waits but the HEADs that a test holds back, so a request is answered at once.

#![allow(dead_code, reason = "no test file needs all of it")]
pub(crate) mod client;
pub(crate) mod fixtures;
pub(crate) mod webhooks;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, VecDeque};
use std::future::poll_fn;
use std::task::{Poll, Waker};

use asset_uploads::api::answer::answer;
use asset_uploads::config::Config;
use asset_uploads::domain::multipart::{CompletedPart, Completion};
use asset_uploads::domain::timestamp::Timestamp;
use asset_uploads::domain::upload::StoredObject;
use asset_uploads::domain::webhook::Nudge;
use asset_uploads::error::ApiError;
use asset_uploads::platform::{Answered, ObjectPage, Outgoing, Platform, SendError, Usage};
use asset_uploads::storage_error::{StorageError, StorageErrorKind};
use asset_uploads::store::{Rows, Statement};
use rusqlite::Connection;

use crate::bucket::Bucket;
use crate::sqlite::{self, NOW};
use client::{RequestInFlight, TestAnswer, TestRequest};

/// Milliseconds that each call is said to have taken.
pub(crate) const R2_MS: u64 = 17;
pub(crate) const D1_MS: u64 = 3;

/// A database, a bucket and a clock.
pub(crate) struct TestPlatform {
    pub(crate) conn: Connection,
    pub(crate) bucket: RefCell<Bucket>,
    pub(crate) clock: Cell<Timestamp>,
    /// What every call to D1 fails with.
    pub(crate) d1_error: RefCell<Option<StorageError>>,
    /// The transaction after so many others is carried out, and its answer lost.
    pub(crate) lost_answer: Cell<Option<u32>>,
    /// What every call to R2 fails with.
    pub(crate) r2_error: RefCell<Option<StorageError>>,
    /// Whether there are random bytes.
    pub(crate) random: Cell<bool>,
    /// How often they were drawn: each time others.
    draws: Cell<u64>,
    usage: Cell<Usage>,
    pub(crate) heads: Heads,
    pub(crate) receiver: Receiver,
    /// Messages sent to the queue, with their delays; `None` where there is none.
    pub(crate) queue: RefCell<Option<Vec<(Nudge, u64)>>>,
}

/// What receives the deliveries to webhooks.
#[derive(Default)]
pub(crate) struct Receiver {
    /// What it got.
    pub(crate) received: RefCell<Vec<Received>>,
    /// What it answers next; when that is used up, 204 without a body.
    pub(crate) answers: RefCell<VecDeque<Result<Answered, SendError>>>,
    /// Milliseconds that each request takes.
    pub(crate) takes_ms: Cell<u64>,
}

/// A request to the receiver.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Received {
    pub(crate) url: String,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: String,
}

impl Received {
    pub(crate) fn header(&self, name: &str) -> &str {
        &self.headers.iter().find(|(other, _)| *other == name).unwrap().1
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// The HEADs of a test that holds some back.
#[derive(Default)]
pub(crate) struct Heads {
    /// Those sent, in their order.
    pub(crate) sent: RefCell<Vec<String>>,
    /// Those that are not answered.
    held: RefCell<BTreeSet<String>>,
    waiting: RefCell<Vec<Waker>>,
}

impl Heads {
    /// Holds back those of these objects, and no others.
    pub(crate) fn hold(&self, keys: impl IntoIterator<Item = String>) {
        self.held.replace(keys.into_iter().collect());
        self.waiting.take().into_iter().for_each(Waker::wake);
    }

    async fn send(&self, key: &str) {
        self.sent.borrow_mut().push(key.to_owned());
        poll_fn(|context| {
            if !self.held.borrow().contains(key) {
                return Poll::Ready(());
            }
            self.waiting.borrow_mut().push(context.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

pub(crate) fn storage_error(kind: StorageErrorKind, message: &str) -> StorageError {
    StorageError { kind, message: message.to_owned() }
}

impl TestPlatform {
    pub(crate) fn new(conn: Connection, bucket: Bucket) -> Self {
        Self {
            conn,
            bucket: RefCell::new(bucket),
            clock: Cell::new(NOW),
            d1_error: RefCell::default(),
            lost_answer: Cell::default(),
            r2_error: RefCell::default(),
            random: Cell::new(true),
            draws: Cell::default(),
            usage: Cell::default(),
            heads: Heads::default(),
            receiver: Receiver::default(),
            queue: RefCell::new(Some(Vec::new())),
        }
    }

    /// Answers a request, for a test that holds storage back meanwhile.
    pub(crate) async fn answer(&self, request: &TestRequest, config: &Config) -> TestAnswer {
        let in_flight = RequestInFlight { request, clock: &self.clock, body_read: Cell::new(false) };
        let answer = answer(&in_flight, self, Ok(config)).await;
        TestAnswer::new(answer, in_flight.body_read.get(), self.usage.get())
    }

    /// Answers a request, and checks what every answer must have.
    pub(crate) fn send(&self, request: &TestRequest, config: Result<&Config, ApiError>) -> TestAnswer {
        self.usage.take();
        let cors = config.as_ref().is_ok_and(|config| config.cors.is_on());
        let started = self.clock.get();
        let in_flight = RequestInFlight { request, clock: &self.clock, body_read: Cell::new(false) };
        let answer = sqlite::ready(answer(&in_flight, self, config));
        let answer = TestAnswer::new(answer, in_flight.body_read.get(), self.usage.get());
        answer.check(request, started, cors);
        answer
    }

    /// Stores an object past the signed URLs, or replaces it.
    pub(crate) fn put(&self, key: &str, size_bytes: u64, content_type: Option<&str>) {
        self.bucket.borrow_mut().put(key, size_bytes, content_type, self.clock.get());
    }

    fn add_usage(&self, change: impl FnOnce(&mut Usage)) {
        let mut usage = self.usage.get();
        change(&mut usage);
        self.usage.set(usage);
    }

    fn r2(&self) -> Result<(), StorageError> {
        self.add_usage(|usage| usage.r2_ms = Some(usage.r2_ms.unwrap_or_default() + R2_MS));
        self.r2_error.borrow().clone().map_or(Ok(()), Err)
    }
}

impl Platform for TestPlatform {
    async fn transact(&self, statements: &[Statement]) -> Result<Rows, StorageError> {
        self.add_usage(|usage| usage.d1_ms = Some(usage.d1_ms.unwrap_or_default() + D1_MS));
        if let Some(error) = self.d1_error.borrow().clone() {
            return Err(error);
        }
        self.add_usage(|usage| usage.statements += u32::try_from(statements.len()).unwrap());
        let texts = sqlite::transact(&self.conn, statements).unwrap();
        let left = self.lost_answer.get();
        self.lost_answer.set(left.and_then(|left| left.checked_sub(1)));
        if left == Some(0) {
            return Err(storage_error(StorageErrorKind::Transient, "Network connection lost."));
        }
        Ok(Rows { texts })
    }

    async fn head_object(&self, key: &str) -> Result<Option<StoredObject>, StorageError> {
        self.heads.send(key).await;
        self.r2()?;
        Ok(self.bucket.borrow().head(key))
    }

    async fn list_objects(&self, _: &str, _: &str, _: u32) -> Result<ObjectPage, StorageError> {
        panic!("a request lists no objects");
    }

    async fn delete_objects(&self, keys: &[String]) -> Result<(), StorageError> {
        self.r2()?;
        self.bucket.borrow_mut().delete(keys);
        Ok(())
    }

    async fn create_multipart(&self, key: &str, content_type: &str, _: &str) -> Result<String, StorageError> {
        self.r2()?;
        Ok(self.bucket.borrow_mut().create_multipart(key, content_type))
    }

    async fn complete_multipart(
        &self,
        key: &str,
        multipart_id: &str,
        parts: &[CompletedPart],
    ) -> Result<Completion, StorageError> {
        self.r2()?;
        Ok(self.bucket.borrow_mut().complete_multipart(key, multipart_id, parts, self.clock.get()))
    }

    async fn abort_multipart(&self, key: &str, multipart_id: &str) -> Result<(), StorageError> {
        self.r2()?;
        self.bucket.borrow_mut().abort_multipart(key, multipart_id);
        Ok(())
    }

    async fn bucket_owner(&self, _: &str) -> Result<String, StorageError> {
        panic!("a request does not ask whose the bucket is");
    }

    async fn post(&self, request: Outgoing<'_>) -> Result<Answered, SendError> {
        let headers = request.headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        let (url, body) = (request.url.to_owned(), request.body.to_owned());
        self.receiver.received.borrow_mut().push(Received { url, headers, body });
        self.clock.set(self.clock.get().plus_ms(self.receiver.takes_ms.get()));
        let answer = self.receiver.answers.borrow_mut().pop_front();
        answer.unwrap_or_else(|| Ok(Answered { status: 204, response: String::new() }))
    }

    async fn send_nudges(&self, nudges: &[(Nudge, u64)]) -> Result<bool, StorageError> {
        let mut queue = self.queue.borrow_mut();
        Ok(queue.as_mut().map(|queue| queue.extend_from_slice(nudges)).is_some())
    }

    fn now(&self) -> Timestamp {
        self.clock.get()
    }

    fn fill_random(&self, bytes: &mut [u8]) -> Result<(), String> {
        if !self.random.get() {
            return Err("crypto has no random bytes".to_owned());
        }
        self.draws.set(self.draws.get() + 1);
        bytes.iter_mut().rev().zip(self.draws.get().to_le_bytes()).for_each(|(to, from)| *to = from);
        Ok(())
    }

    fn usage(&self) -> Usage {
        self.usage.get()
    }
}
