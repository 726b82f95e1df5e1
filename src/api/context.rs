//! The context of one request: what handlers use, and what the log line needs from them.

use std::cell::{Cell, RefCell};
use std::pin::Pin;

use crate::config::Config;
use crate::domain::ids::{RequestId, WebhookId};
use crate::domain::timestamp::Timestamp;
use crate::error::ApiError;
use crate::platform::Platform;
use crate::store::rights::{self, CallerOperation, Identity};
use crate::store::{Operation, Rows, Statement};

/// What handlers use.
pub struct RequestContext<'a, P> {
    /// Storage, clock and randomness.
    pub platform: &'a P,
    /// The operator's settings.
    pub config: &'a Config,
    /// As sent in `X-Request-Id`.
    pub request_id: RequestId,
    /// Scheme, host and port that the client used.
    pub origin: &'a str,
    /// What follows `?`, undecoded.
    pub query: &'a str,
    now: Cell<Timestamp>,
    identity: Cell<Identity>,
    due_webhooks: RefCell<Vec<WebhookId>>,
    failure: RefCell<Option<String>>,
}

impl<'a, P: Platform> RequestContext<'a, P> {
    /// For a request that has begun to arrive.
    pub fn new(
        platform: &'a P,
        config: &'a Config,
        request_id: RequestId,
        origin: &'a str,
        query: &'a str,
    ) -> Self {
        let now = Cell::new(platform.now());
        let (identity, due_webhooks, failure) = Default::default();
        Self { platform, config, request_id, origin, query, now, identity, due_webhooks, failure }
    }

    /// When the whole request had arrived. Every check uses this time.
    pub fn now(&self) -> Timestamp {
        self.now.get()
    }

    /// Records that the whole request has arrived.
    pub(super) fn complete(&self) -> Timestamp {
        self.now.set(self.platform.now());
        self.now()
    }

    /// Runs one transaction for a caller.
    ///
    /// # Errors
    /// `Auth` when the caller lacks the rights, else the errors of the operation; `StorageUnavailable` when the
    /// database does not answer; `Internal` when it rejects the statements.
    pub async fn run<O: CallerOperation>(&self, operation: &O) -> Result<O::Output, ApiError> {
        let rows = self.transact(operation.statements()).await?;
        let (identity, due_webhooks, output) = rights::decode_with_webhooks(operation, &rows);
        self.identity.set(identity);
        if !due_webhooks.is_empty() {
            self.due_webhooks.replace(due_webhooks);
        }
        output
    }

    /// Runs one transaction of the system's own.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn run_system<O: Operation>(&self, operation: &O) -> Result<O::Output, ApiError> {
        operation.decode(&self.transact(operation.statements()).await?)
    }

    /// Not generic over the operation, and boxed, so that the Worker has this code once, not in every handler.
    fn transact(
        &self,
        statements: Vec<Statement>,
    ) -> Pin<Box<dyn Future<Output = Result<Rows, ApiError>> + '_>> {
        Box::pin(async move { Ok(self.platform.transact(&statements).await?) })
    }

    /// Random bytes that nobody can guess.
    ///
    /// # Errors
    /// `Internal` when the platform gives none.
    pub fn random<const N: usize>(&self) -> Result<[u8; N], ApiError> {
        let mut bytes = [0; N];
        self.platform.fill_random(&mut bytes).map_err(ApiError::Internal)?;
        Ok(bytes)
    }

    /// Puts an error into the log line that does not change the answer.
    pub fn log_failure(&self, error: impl Into<ApiError>) {
        let error = error.into();
        self.failure.replace(error.log_detail().map(str::to_owned));
    }

    /// The caller, as far as it was found.
    pub(super) fn identity(&self) -> Identity {
        self.identity.get()
    }

    /// The webhooks that have something to be delivered, which this request may have caused.
    pub(crate) fn due_webhooks(&self) -> Vec<WebhookId> {
        self.due_webhooks.take()
    }

    /// The error of [`Self::log_failure`].
    pub(super) fn failure(&self) -> Option<String> {
        self.failure.take()
    }
}
