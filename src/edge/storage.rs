//! What every storage call has in common, whoever makes it: a request or the sweeper.

use std::cell::{Cell, OnceCell};
use std::rc::Rc;

use worker::Env;
use worker::js_sys::{self, Date, JSON, Promise, Reflect};
use worker::wasm_bindgen::{JsCast, JsValue};
use worker::wasm_bindgen_futures::JsFuture;

use super::timer::{TimeLimit, sleep};
use crate::config::{Config, DEFAULT_STORAGE_TIMEOUT_MS};
use crate::domain::timestamp::Timestamp;
use crate::error::ApiError;
use crate::outage::{MAX_ATTEMPTS, Outage, backoff_ms};

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

/// Why a call came to nothing: what kind of failure it was, and text for the log.
pub(super) type Failure = (Outage, String);

impl Storage {
    /// `timeout_ms` says how long a call is waited for, its repeats included.
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
            .map_err(|faults| ApiError::Internal(format!("wrong configuration: {}", faults.join("; "))))?;
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

    /// Makes a call that is safe to repeat: up to three times while its error passes by itself, and for
    /// no longer than the time limit in all. `judge` says what an error's text means; the time goes
    /// to `total`. Not generic, so that the Worker has this code once.
    pub(super) async fn attempt(
        &self,
        judge: fn(&str) -> Outage,
        total: &Cell<Option<u64>>,
        call: &dyn Fn() -> Result<Promise, JsValue>,
    ) -> Result<JsValue, Failure> {
        let started = now();
        // Nothing gets here without a configuration.
        let limit = self.config().map_or(DEFAULT_STORAGE_TIMEOUT_MS, |config| (self.timeout_ms)(&config));
        let outcome = self.time_limit.within(limit, self.tries(judge, call)).await;
        total.set(Some(total.get().unwrap_or_default() + since(started)));
        // A call that never answers may still have done its work, as one whose answer was lost.
        outcome.unwrap_or_else(|| Err((Outage::Shed, format!("no answer within {limit} ms"))))
    }

    async fn tries(
        &self,
        judge: fn(&str) -> Outage,
        call: &dyn Fn() -> Result<Promise, JsValue>,
    ) -> Result<JsValue, Failure> {
        let mut attempt = 1;
        loop {
            let outcome = match call() {
                // What is no promise but has a `then` is made one: such a `then` may throw.
                Ok(promise) => JsFuture::from(Promise::resolve(&promise)).await,
                Err(error) => Err(error),
            };
            let message = match outcome {
                Ok(value) => return Ok(value),
                Err(error) => text_of(&error),
            };
            let outage = judge(&message);
            if outage != Outage::Transient || attempt == MAX_ATTEMPTS {
                return Err((outage, message));
            }
            attempt += 1;
            self.retries.set(self.retries.get() + 1);
            let random = random().map_or(u16::MAX, u16::from_ne_bytes);
            sleep(backoff_ms(attempt, random)).await;
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

/// The text of a storage error, for the log and for judging it.
pub(super) fn text_of(error: &JsValue) -> String {
    match error.dyn_ref::<js_sys::Error>() {
        Some(error) => error.message().into(),
        None => error.as_string().unwrap_or_else(|| "an error without text".to_owned()),
    }
}

/// The platform's clock, which stands still between storage calls.
pub(super) fn now() -> Timestamp {
    moment(Date::now())
}

/// A moment as JavaScript has it, in milliseconds.
pub(super) fn moment(ms: f64) -> Timestamp {
    // Milliseconds since 1970 fit far below 2^53.
    #[allow(clippy::cast_possible_truncation)]
    Timestamp(ms as i64)
}

/// Milliseconds since `start`.
pub(super) fn since(start: Timestamp) -> u64 {
    u64::try_from(now().0 - start.0).unwrap_or_default()
}

/// Random bytes of the platform.
pub(super) fn random<const N: usize>() -> Result<[u8; N], String> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| format!("no random bytes: {error}"))?;
    Ok(bytes)
}
