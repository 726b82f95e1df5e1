//! The Worker: receives a request, finds its route, and sends every answer through one exit.

mod d1;
mod health;
mod r2;
mod uploads;

use std::cell::{Cell, OnceCell};
use std::rc::Rc;

use worker::js_sys::{self, Date, JSON, Reflect, Uint8Array};
use worker::wasm_bindgen::{JsCast, JsValue};
use worker::wasm_bindgen_futures::JsFuture;
use worker::{Context, Env, console_error, console_log, event, web_sys};

use crate::config::Config;
use crate::domain::ids::RequestId;
use crate::domain::timestamp::Timestamp;
use crate::error::{ApiError, Refusal};
use crate::log;
use crate::route::Route;
use crate::store::rights::{Caller, CheckRights, Identity, Permission};
use crate::token::TokenHash;
use crate::wire::{Body, Head, MAX_BODY_BYTES, Reply};

/// Headers that a page on another origin may read.
const EXPOSED_HEADERS: &str =
    "Location, X-Request-Id, Idempotent-Replayed, Retry-After, Server-Timing, WWW-Authenticate";
/// Headers that a page on another origin may send.
const ALLOWED_HEADERS: &str = "Authorization, Content-Type, Idempotency-Key, X-Organization-Id";

thread_local! {
    /// Variables never change within an isolate, so they are read and validated once.
    static CONFIG: OnceCell<Rc<Config>> = const { OnceCell::new() };
}

#[event(fetch)]
async fn fetch(request: web_sys::Request, env: Env, _: Context) -> worker::Result<web_sys::Response> {
    let exchange = Exchange::open(request, env)?;
    let outcome = exchange.answer().await;
    exchange.close(outcome)
}

/// One request on its way to its answer, and what is learnt on that way.
struct Exchange {
    request: web_sys::Request,
    headers: web_sys::Headers,
    method: String,
    path: String,
    env: Env,
    id: RequestId,
    started: Timestamp,
    identity: Cell<Identity>,
    r2_ms: Cell<Option<u64>>,
    d1_ms: Cell<Option<u64>>,
    retries: Cell<u32>,
}

impl Exchange {
    fn open(request: web_sys::Request, env: Env) -> worker::Result<Self> {
        let started = now();
        let id = RequestId::v7(
            u64::try_from(started.0).unwrap_or_default(),
            &random().map_err(worker::Error::RustError)?,
        );
        Ok(Self {
            headers: request.headers(),
            method: request.method(),
            path: path_of(&request.url()).to_owned(),
            request,
            env,
            id,
            started,
            identity: Cell::default(),
            r2_ms: Cell::default(),
            d1_ms: Cell::default(),
            retries: Cell::default(),
        })
    }

    async fn answer(&self) -> Result<Reply, ApiError> {
        let config = self.config()?;
        if self.is_preflight(&config) {
            return self.preflight();
        }
        match Route::find(&self.method, &self.path)? {
            Route::Health => health::health(),
            Route::Ready => health::ready(self).await,
            Route::OpenApi => Ok(Reply {
                status: 200,
                body: include_str!("../openapi.json").to_owned(),
                headers: Vec::new(),
            }),
            Route::ConfirmAssetUpload(id) => uploads::confirm(self, &config, id).await,
        }
    }

    /// The one exit: headers, log line, response.
    fn close(&self, outcome: Result<Reply, ApiError>) -> worker::Result<web_sys::Response> {
        let (reply, error) = match outcome {
            Ok(reply) => (reply, None),
            Err(error) => (Reply::from(&error), Some(error)),
        };
        let headers = web_sys::Headers::new()?;
        let timing = log::server_timing(self.r2_ms.get(), self.d1_ms.get());
        headers.set("x-request-id", &self.id.to_string())?;
        headers.set("cache-control", "no-store")?;
        headers.set("x-content-type-options", "nosniff")?;
        if !reply.body.is_empty() {
            headers.set("content-type", "application/json")?;
        }
        if !timing.is_empty() {
            headers.set("server-timing", &timing)?;
        }
        for (name, value) in &reply.headers {
            headers.set(name, value)?;
        }
        self.set_cors_headers(&headers)?;
        self.log(&reply, error.as_ref());

        let init = web_sys::ResponseInit::new();
        init.set_status(reply.status);
        init.set_headers(&headers);
        let body = (self.method != "HEAD" && !reply.body.is_empty()).then_some(reply.body.as_str());
        Ok(web_sys::Response::new_with_opt_str_and_init(body, &init)?)
    }

    fn log(&self, reply: &Reply, error: Option<&ApiError>) {
        let identity = self.identity.get();
        let line = log::Line {
            level: if reply.status >= 500 { "error" } else { "info" },
            request_id: self.id,
            method: log::known_method(&self.method),
            route: Route::pattern_at(&self.path),
            status: reply.status,
            code: error.map(|error| error.status_and_code().1),
            org_id: identity.org_id,
            user_id: identity.user_id,
            r2_ms: self.r2_ms.get(),
            d1_ms: self.d1_ms.get(),
            retries: self.retries.get(),
            duration_ms: since(self.started),
            detail: error.and_then(ApiError::log_detail),
        };
        if reply.status >= 500 {
            console_error!("{}", line.to_json());
        } else {
            console_log!("{}", line.to_json());
        }
    }

    /// The configuration, validated at the first request of the isolate.
    fn config(&self) -> Result<Rc<Config>, ApiError> {
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

    fn header(&self, name: &str) -> Option<String> {
        self.headers.get(name).ok().flatten()
    }

    /// The hash of the caller's key, without asking the database.
    fn token(&self) -> Result<TokenHash, ApiError> {
        TokenHash::from_authorization(self.header("authorization").as_deref())
            .ok_or(ApiError::Refused(Refusal::Unauthorized))
    }

    fn head(&self) -> Head {
        Head {
            content_type: self.header("content-type"),
            organization: self.header("x-organization-id"),
            idempotency_key: self.header("idempotency-key"),
        }
    }

    /// The body, of which no more than the limit is ever held.
    async fn body(&self) -> Body {
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

    /// The answer to a faulty request: the caller's rights are judged first, then the fault counts.
    async fn refuse(
        &self,
        token: TokenHash,
        permission: Permission,
        head: &Head,
        fault: ApiError,
    ) -> ApiError {
        let organization = head.organization();
        let check = CheckRights {
            organization_readable: organization.is_ok(),
            caller: Caller {
                token,
                organization: organization.unwrap_or_default(),
                now: self.started,
                permission,
            },
        };
        self.run(&check).await.err().unwrap_or(fault)
    }

    fn is_preflight(&self, config: &Config) -> bool {
        self.method == "OPTIONS"
            && config.cors.is_on()
            && self.header("access-control-request-method").is_some()
    }

    fn preflight(&self) -> Result<Reply, ApiError> {
        let methods = Route::allowed_methods(&self.path).ok_or(ApiError::NotFound)?;
        Ok(Reply { status: 204, body: String::new(), headers: Vec::new() }
            .with_header("access-control-allow-methods", methods)
            .with_header("access-control-allow-headers", ALLOWED_HEADERS)
            .with_header("access-control-max-age", "86400"))
    }

    fn set_cors_headers(&self, headers: &web_sys::Headers) -> worker::Result<()> {
        // A wrong configuration has been answered already; its answer is for no page.
        let Ok(config) = self.config() else {
            return Ok(());
        };
        if !config.cors.is_on() {
            return Ok(());
        }
        // Caches must not give one origin's answer to another.
        headers.set("vary", "Origin")?;
        if let Some(allowed) = config.cors.allow_origin(self.header("origin").as_deref()) {
            headers.set("access-control-allow-origin", allowed)?;
            headers.set("access-control-expose-headers", EXPOSED_HEADERS)?;
        }
        Ok(())
    }

    /// A binding of wrangler.toml, as the thin type that the caller names.
    fn binding<T: JsCast>(&self, name: &str) -> Result<T, JsValue> {
        let value = Reflect::get(&self.env, &JsValue::from_str(name))?;
        // Not checked further: a test may put a proxy in its place.
        if value.is_object() {
            Ok(value.unchecked_into())
        } else {
            Err(JsValue::from_str(&format!("no binding {name}")))
        }
    }

    /// Waits before attempt `attempt` of a storage call.
    async fn back_off(&self, attempt: u32) {
        self.retries.set(self.retries.get() + 1);
        let random = random().map_or(u16::MAX, u16::from_ne_bytes);
        worker::Delay::from(std::time::Duration::from_millis(crate::outage::backoff_ms(attempt, random)))
            .await;
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

/// The path of an absolute URL as the platform serializes it: up to the query.
fn path_of(url: &str) -> &str {
    let after_scheme = url.split_once("://").map_or(url, |(_, rest)| rest);
    let path = after_scheme.find('/').and_then(|start| after_scheme.get(start..)).unwrap_or("/");
    path.split(['?', '#']).next().unwrap_or("/")
}

/// The platform's clock, which stands still between storage calls.
fn now() -> Timestamp {
    // Milliseconds since 1970 fit far below 2^53.
    #[allow(clippy::cast_possible_truncation)]
    Timestamp(Date::now() as i64)
}

/// Milliseconds since `start`.
fn since(start: Timestamp) -> u64 {
    u64::try_from(now().0 - start.0).unwrap_or_default()
}

/// Adds the time since `start` to a total.
fn add_since(total: &Cell<Option<u64>>, start: Timestamp) {
    total.set(Some(total.get().unwrap_or_default() + since(start)));
}

/// Random bytes of the platform.
fn random<const N: usize>() -> Result<[u8; N], String> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| format!("no random bytes: {error}"))?;
    Ok(bytes)
}

/// The text of a storage error, for the log and for judging it.
fn text_of(error: &JsValue) -> String {
    match error.dyn_ref::<js_sys::Error>() {
        Some(error) => error.message().into(),
        None => error.as_string().unwrap_or_else(|| "an error without text".to_owned()),
    }
}
