//! One request on its way to its answer: what it says, what it may use, and what is learnt on the way.

use std::cell::{Cell, OnceCell, RefCell};
use std::rc::Rc;

use worker::js_sys::{self, Date, JSON, Reflect, Uint8Array};
use worker::wasm_bindgen::{JsCast, JsValue};
use worker::wasm_bindgen_futures::JsFuture;
use worker::{Env, web_sys};

use crate::config::Config;
use crate::domain::ids::{OrganizationId, RequestId};
use crate::domain::timestamp::Timestamp;
use crate::error::{ApiError, Refusal};
use crate::outage::backoff_ms;
use crate::store::rights::{Caller, CheckRights, Identity, Permission};
use crate::token::TokenHash;
use crate::wire::{Body, Head, MAX_BODY_BYTES};

thread_local! {
    /// Variables never change within an isolate, so they are read and validated once.
    static CONFIG: OnceCell<Rc<Config>> = const { OnceCell::new() };
}

/// One request on its way to its answer, and what is learnt on that way.
pub(super) struct Exchange {
    pub(super) request: web_sys::Request,
    pub(super) headers: web_sys::Headers,
    pub(super) method: String,
    /// Scheme, host and port that the client used.
    pub(super) origin: String,
    pub(super) path: String,
    /// What follows `?`, undecoded.
    pub(super) query: String,
    pub(super) env: Env,
    pub(super) id: RequestId,
    pub(super) started: Timestamp,
    pub(super) identity: Cell<Identity>,
    pub(super) r2_ms: Cell<Option<u64>>,
    pub(super) d1_ms: Cell<Option<u64>>,
    pub(super) retries: Cell<u32>,
    /// What failed without failing the request.
    pub(super) failure: RefCell<Option<String>>,
}

impl Exchange {
    pub(super) fn open(request: web_sys::Request, env: Env) -> worker::Result<Self> {
        let started = now();
        let url = request.url();
        let (origin, path, query) = parts_of(&url);
        let id = RequestId::v7(started.unix_ms(), &random().map_err(worker::Error::RustError)?);
        Ok(Self {
            headers: request.headers(),
            method: request.method(),
            origin: origin.to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            request,
            env,
            id,
            started,
            identity: Cell::default(),
            r2_ms: Cell::default(),
            d1_ms: Cell::default(),
            retries: Cell::default(),
            failure: RefCell::default(),
        })
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

    pub(super) fn header(&self, name: &str) -> Option<String> {
        self.headers.get(name).ok().flatten()
    }

    /// The hash of the caller's key, without asking the database.
    pub(super) fn token(&self) -> Result<TokenHash, ApiError> {
        TokenHash::from_authorization(self.header("authorization").as_deref())
            .ok_or(ApiError::Refused(Refusal::Unauthorized))
    }

    pub(super) fn head(&self) -> Head {
        Head {
            content_type: self.header("content-type"),
            organization: self.header("x-organization-id"),
            idempotency_key: self.header("idempotency-key"),
        }
    }

    /// The body, of which no more than the limit is ever held.
    pub(super) async fn body(&self) -> Body {
        let length = self.header("content-length").and_then(|text| text.parse::<usize>().ok());
        match length {
            Some(length) if length > MAX_BODY_BYTES => Body::TooLarge,
            Some(_) => match self.request.array_buffer() {
                Ok(promise) => JsFuture::from(promise)
                    .await
                    .map_or(Body::Broken, |buffer| Body::Bytes(Uint8Array::new(&buffer).to_vec())),
                Err(_) => Body::Broken,
            },
            None => self.body_of_unknown_length().await,
        }
    }

    /// Reads a chunked body chunk by chunk and stops at the limit.
    async fn body_of_unknown_length(&self) -> Body {
        let Some(stream) = self.request.body() else {
            return Body::Bytes(Vec::new());
        };
        let Ok(reader) = web_sys::ReadableStreamDefaultReader::new(&stream) else {
            return Body::Broken;
        };
        let mut bytes = Vec::new();
        loop {
            let Ok(step) = JsFuture::from(reader.read()).await else {
                return Body::Broken;
            };
            let done = Reflect::get(&step, &"done".into()).is_ok_and(|done| done.is_truthy());
            if done {
                return Body::Bytes(bytes);
            }
            let Ok(chunk) = Reflect::get(&step, &"value".into()) else {
                return Body::Broken;
            };
            bytes.extend(Uint8Array::new(&chunk).to_vec());
            if bytes.len() > MAX_BODY_BYTES {
                // Nobody waits for the outcome of the cancellation.
                let _ = reader.cancel();
                return Body::TooLarge;
            }
        }
    }

    /// Who asks, now.
    pub(super) fn caller(
        &self,
        token: TokenHash,
        organization: Option<OrganizationId>,
        permission: Permission,
    ) -> Caller {
        Caller { token, organization, now: self.started, permission }
    }

    /// The answer to a faulty request: the caller's rights are judged first, then the fault counts.
    pub(super) async fn refuse(
        &self,
        token: TokenHash,
        permission: Permission,
        head: &Head,
        fault: ApiError,
    ) -> ApiError {
        let organization = head.organization();
        let check = CheckRights {
            organization_readable: organization.is_ok(),
            caller: self.caller(token, organization.unwrap_or_default(), permission),
        };
        self.run(&check).await.err().unwrap_or(fault)
    }

    /// A binding of wrangler.toml, as the thin type that the caller names.
    pub(super) fn binding<T: JsCast>(&self, name: &str) -> Result<T, JsValue> {
        let value = Reflect::get(&self.env, &JsValue::from_str(name))?;
        // Not checked further: a test may put a proxy in its place.
        if value.is_object() {
            Ok(value.unchecked_into())
        } else {
            Err(JsValue::from_str(&format!("no binding {name}")))
        }
    }

    /// Puts a failure that the caller need not know into the log line.
    pub(super) fn note_failure(&self, result: Result<(), String>) {
        if let Err(failure) = result {
            self.failure.replace(Some(failure));
        }
    }

    /// Waits before attempt `attempt` of a storage call.
    pub(super) async fn back_off(&self, attempt: u32) {
        self.retries.set(self.retries.get() + 1);
        let random = random().map_or(u16::MAX, u16::from_ne_bytes);
        worker::Delay::from(std::time::Duration::from_millis(backoff_ms(attempt, random))).await;
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

/// Origin, path and query of an absolute URL as the platform serializes it.
fn parts_of(url: &str) -> (&str, &str, &str) {
    let url = url.split('#').next().unwrap_or_default();
    let (url, query) = url.split_once('?').unwrap_or((url, ""));
    let host = url.find("://").map_or(0, |at| at + 3);
    let path = url.get(host..).and_then(|rest| rest.find('/')).map_or(url.len(), |at| host + at);
    let (origin, path) = url.split_at_checked(path).unwrap_or((url, ""));
    (origin, if path.is_empty() { "/" } else { path }, query)
}

/// The platform's clock, which stands still between storage calls.
pub(super) fn now() -> Timestamp {
    // Milliseconds since 1970 fit far below 2^53.
    #[allow(clippy::cast_possible_truncation)]
    Timestamp(Date::now() as i64)
}

/// Milliseconds since `start`.
pub(super) fn since(start: Timestamp) -> u64 {
    u64::try_from(now().0 - start.0).unwrap_or_default()
}

/// Adds the time since `start` to a total.
pub(super) fn add_since(total: &Cell<Option<u64>>, start: Timestamp) {
    total.set(Some(total.get().unwrap_or_default() + since(start)));
}

/// Random bytes of the platform.
pub(super) fn random<const N: usize>() -> Result<[u8; N], String> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| format!("no random bytes: {error}"))?;
    Ok(bytes)
}

/// The text of a storage error, for the log and for judging it.
pub(super) fn text_of(error: &JsValue) -> String {
    match error.dyn_ref::<js_sys::Error>() {
        Some(error) => error.message().into(),
        None => error.as_string().unwrap_or_else(|| "an error without text".to_owned()),
    }
}
