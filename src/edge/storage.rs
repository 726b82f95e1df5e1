//! Storage calls of a request or of the sweeper: configuration, retries, time limit, and the trait `Platform`.

use std::cell::{Cell, OnceCell};
use std::pin::Pin;
use std::rc::Rc;

use worker::js_sys::{JSON, Promise, Reflect};
use worker::wasm_bindgen::{JsCast, JsValue};
use worker::wasm_bindgen_futures::JsFuture;
use worker::{Env, console_warn};

use super::outgoing;
use super::runtime::{error_text, fill_random, now, random_u16};
use super::timer::{TimeLimit, sleep};
use crate::config::{Config, DEFAULT_STORAGE_TIMEOUT_MS};
use crate::domain::multipart::{CompletedPart, Completion};
use crate::domain::timestamp::Timestamp;
use crate::domain::upload::StoredObject;
use crate::domain::webhook::Nudge;
use crate::error::ApiError;
use crate::platform::{Answered, ObjectPage, Outgoing, Platform, SendError, Usage};
use crate::storage_error::{MAX_CALLS, StorageError, StorageErrorKind, backoff_ms};
use crate::store::{Rows, Statement};
use crate::webhook_secret::SigningKey;

thread_local! {
    /// Variables never change within an isolate, so they are read and validated once.
    static CONFIG: OnceCell<Rc<Config>> = const { OnceCell::new() };
}

/// The bindings, and what the calls made through them have cost.
pub(super) struct Storage {
    env: Env,
    pub(super) r2_ms: Cell<Option<u64>>,
    pub(super) d1_ms: Cell<Option<u64>>,
    pub(super) retries: Cell<u32>,
    /// Statements sent to D1, repeats included.
    pub(super) statements: Cell<u32>,
    time_limit: TimeLimit,
    timeout_ms: fn(&Config) -> u64,
}

impl Storage {
    /// `timeout_ms` is the time limit of a call, retries included.
    pub(super) fn new(env: Env, timeout_ms: fn(&Config) -> u64) -> Self {
        let (r2_ms, d1_ms, retries, statements, time_limit) = Default::default();
        Self { env, r2_ms, d1_ms, retries, statements, time_limit, timeout_ms }
    }

    /// The configuration, validated at the first request of the isolate.
    pub(super) fn config(&self) -> Result<Rc<Config>, ApiError> {
        if let Some(config) = CONFIG.with(|cell| cell.get().cloned()) {
            return Ok(config);
        }
        let config = Config::parse(|name| variable(&self.env, name))
            .map(Rc::new)
            .map_err(|errors| ApiError::Internal(format!("wrong configuration: {}", errors.join("; "))))?;
        if config.webhooks.signing_key.as_ref().is_ok_and(SigningKey::is_short) {
            console_warn!(
                r#"{{"level":"warn","detail":"WEBHOOK_SIGNING_KEY has less than 32 characters, so it might be guessed: set 32 random bytes"}}"#
            );
        }
        if !config.webhooks.insecure_hosts.is_empty() {
            let hosts = config.webhooks.insecure_hosts.join(", ");
            console_warn!(
                r#"{{"level":"warn","detail":"WEBHOOK_INSECURE_HOSTS permits webhooks on local hosts without TLS: {hosts}"}}"#
            );
        }
        // A second set cannot happen (one thread, no await between), and would do no harm.
        let _ = CONFIG.with(|cell| cell.set(config.clone()));
        Ok(config)
    }

    /// A binding of wrangler.toml, as the thin type that the caller names.
    pub(super) fn binding<T: JsCast>(&self, name: &'static str) -> Result<T, JsValue> {
        let value = Reflect::get(&self.env, &JsValue::from_str(name))?;
        // Not checked further: a test may put a proxy in its place.
        if value.is_object() {
            Ok(value.unchecked_into())
        } else {
            Err(JsValue::from_str(&format!("no binding {name}")))
        }
    }

    /// Makes a call that is safe to repeat: up to three times while its error passes by itself, and for no longer
    /// than the time limit in all. `name` is the storage's, `kind` says what an error's text means, and the time
    /// goes to `total`. Not generic, and boxed, so that the Worker has this code once: else all that awaits it has its own
    /// code to drop it half-done.
    pub(super) fn call<'a>(
        &'a self,
        name: &'a str,
        kind: fn(&str) -> StorageErrorKind,
        total: &'a Cell<Option<u64>>,
        call: &'a dyn Fn() -> Result<Promise, JsValue>,
    ) -> Pin<Box<dyn Future<Output = Result<JsValue, StorageError>> + 'a>> {
        Box::pin(self.call_within_limit(name, kind, total, call))
    }

    async fn call_within_limit(
        &self,
        name: &str,
        kind: fn(&str) -> StorageErrorKind,
        total: &Cell<Option<u64>>,
        call: &dyn Fn() -> Result<Promise, JsValue>,
    ) -> Result<JsValue, StorageError> {
        let started = now();
        // Without a valid configuration no storage call is made.
        let limit = self.config().map_or(DEFAULT_STORAGE_TIMEOUT_MS, |config| (self.timeout_ms)(&config));
        let outcome = self.time_limit.within(limit, self.retry(kind, call)).await;
        total.set(Some(total.get().unwrap_or_default() + started.elapsed_ms(now())));
        // A call without an answer may have done its work, like one whose answer was lost.
        let outcome = outcome
            .unwrap_or_else(|| Err((StorageErrorKind::Overloaded, format!("no answer within {limit} ms"))));
        outcome.map_err(|(kind, message)| StorageError { kind, message: format!("{name}: {message}") })
    }

    async fn retry(
        &self,
        kind: fn(&str) -> StorageErrorKind,
        call: &dyn Fn() -> Result<Promise, JsValue>,
    ) -> Result<JsValue, (StorageErrorKind, String)> {
        let mut calls = 1;
        loop {
            let outcome = match call() {
                // What is no promise but has a `then` is made one: such a `then` may throw.
                Ok(promise) => JsFuture::from(Promise::resolve(&promise)).await,
                Err(error) => Err(error),
            };
            let message = match outcome {
                Ok(value) => return Ok(value),
                Err(error) => error_text(&error),
            };
            let kind = kind(&message);
            if kind != StorageErrorKind::Transient || calls == MAX_CALLS {
                return Err((kind, message));
            }
            calls += 1;
            self.retries.set(self.retries.get() + 1);
            sleep(backoff_ms(calls, random_u16())).await;
        }
    }
}

impl Platform for Storage {
    async fn transact(&self, statements: &[Statement]) -> Result<Rows, StorageError> {
        self.run_batch(statements).await
    }

    async fn head_object(&self, key: &str) -> Result<Option<StoredObject>, StorageError> {
        self.head(key).await
    }

    async fn list_objects(&self, prefix: &str, after: &str, limit: u32) -> Result<ObjectPage, StorageError> {
        self.list(prefix, after, limit).await
    }

    async fn delete_objects(&self, keys: &[String]) -> Result<(), StorageError> {
        self.delete(keys).await
    }

    async fn create_multipart(
        &self,
        key: &str,
        content_type: &str,
        content_disposition: &str,
    ) -> Result<String, StorageError> {
        self.create_multipart(key, content_type, content_disposition).await
    }

    async fn complete_multipart(
        &self,
        key: &str,
        multipart_id: &str,
        parts: &[CompletedPart],
    ) -> Result<Completion, StorageError> {
        self.complete_multipart(key, multipart_id, parts).await
    }

    async fn abort_multipart(&self, key: &str, multipart_id: &str) -> Result<(), StorageError> {
        self.abort_multipart(key, multipart_id).await
    }

    async fn bucket_owner(&self, database_id: &str) -> Result<String, StorageError> {
        self.owner(database_id).await
    }

    async fn post(&self, request: Outgoing<'_>) -> Result<Answered, SendError> {
        outgoing::post(request).await
    }

    async fn send_nudges(&self, nudges: &[(Nudge, u64)]) -> Result<bool, StorageError> {
        self.send_to_queue(nudges).await
    }

    fn now(&self) -> Timestamp {
        now()
    }

    fn fill_random(&self, bytes: &mut [u8]) -> Result<(), String> {
        fill_random(bytes)
    }

    fn usage(&self) -> Usage {
        Usage {
            r2_ms: self.r2_ms.get(),
            d1_ms: self.d1_ms.get(),
            retries: self.retries.get(),
            statements: self.statements.get(),
        }
    }
}

/// A variable as text: numbers and arrays of wrangler.toml arrive as such, not as strings.
fn variable(env: &Env, name: &str) -> Option<String> {
    let value = Reflect::get(env, &JsValue::from_str(name)).ok()?;
    match value.as_string() {
        Some(text) => Some(text),
        None if value.is_null_or_undefined() => None,
        None => JSON::stringify(&value).ok().map(String::from),
    }
}
