//! The Worker: receives a request, finds its route, and sends every answer through one exit. `sweep` is
//! what the clock starts.

mod assets;
mod d1;
mod exchange;
mod health;
mod r2;
mod storage;
mod sweep;
mod timer;
mod uploads;

use worker::{Context, Env, console_error, console_log, event, web_sys};

use crate::config::Config;
use crate::error::ApiError;
use crate::log;
use crate::route::Route;
use crate::wire::Reply;
use exchange::Exchange;
use storage::since;

/// Headers that a page on another origin may read.
const EXPOSED_HEADERS: &str =
    "Location, X-Request-Id, Idempotent-Replayed, Retry-After, Server-Timing, WWW-Authenticate";
/// Headers that a page on another origin may send.
const ALLOWED_HEADERS: &str = "Authorization, Content-Type, Idempotency-Key, X-Organization-Id";

/// The fetch handler; an error (the platform gives no random bytes, or refuses the answer) is a 500 without our headers.
///
/// The Makefile builds with `RUN_TO_COMPLETION`: a request is carried to its end also where the client goes away. So
/// what D1 has committed is followed up in R2, and no half-done request stays in memory.
#[event(fetch)]
async fn fetch(request: web_sys::Request, env: Env, _: Context) -> worker::Result<web_sys::Response> {
    let exchange = Exchange::open(request, env)?;
    let outcome = exchange.answer().await;
    exchange.close(outcome)
}

/// Status and headers as the platform takes them.
fn init_of(reply: &Reply) -> worker::Result<web_sys::ResponseInit> {
    let headers = web_sys::Headers::new()?;
    for (name, value) in &reply.headers {
        headers.append(name, value)?;
    }
    let init = web_sys::ResponseInit::new();
    init.set_status(reply.status);
    init.set_headers(&headers);
    Ok(init)
}

/// Writes one line to the Worker's log.
fn write_log(is_error: bool, line: &impl serde::Serialize) {
    let text = log::to_json(line);
    if is_error {
        console_error!("{text}");
    } else {
        console_log!("{text}");
    }
}

impl Exchange {
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
                body: include_str!(concat!(env!("OUT_DIR"), "/openapi.json")).to_owned(),
                headers: Vec::new(),
            }),
            Route::CreateAssetUpload => uploads::create(self, &config).await,
            Route::ReadAssetUpload(id) => uploads::read(self, id).await,
            Route::CancelAssetUpload(id) => uploads::cancel(self, id).await,
            Route::ReadAsset(id) => assets::read(self, &config, id).await,
            Route::ConfirmAssetUpload(id) => uploads::confirm(self, &config, id).await,
        }
    }

    /// The one exit: headers, log line, response.
    fn close(&self, outcome: Result<Reply, ApiError>) -> worker::Result<web_sys::Response> {
        let (mut reply, error) = match outcome {
            Ok(reply) => (reply, None),
            Err(error) => (Reply::from(&error), Some(error)),
        };
        reply.add("x-request-id", self.id.to_string());
        reply.add("cache-control", "no-store");
        reply.add("x-content-type-options", "nosniff");
        if !reply.body.is_empty() {
            reply.add("content-type", "application/json");
        }
        let timing = log::server_timing(self.storage.r2_ms.get(), self.storage.d1_ms.get());
        if !timing.is_empty() {
            reply.add("server-timing", timing);
        }
        self.add_cors_headers(&mut reply);
        self.log(&reply, error.as_ref());

        let body = (self.method != "HEAD" && !reply.body.is_empty()).then_some(reply.body.as_str());
        Ok(web_sys::Response::new_with_opt_str_and_init(body, &init_of(&reply)?)?)
    }

    fn log(&self, reply: &Reply, error: Option<&ApiError>) {
        let identity = self.identity.get();
        let failure = self.failure.borrow();
        let line = log::Line {
            level: if reply.status >= 500 { "error" } else { "info" },
            request_id: self.id,
            method: log::known_method(&self.method),
            route: Route::pattern_at(&self.path),
            status: reply.status,
            code: error.map(|error| error.status_and_code().1),
            org_id: identity.org_id,
            user_id: identity.user_id,
            r2_ms: self.storage.r2_ms.get(),
            d1_ms: self.storage.d1_ms.get(),
            retries: self.storage.retries.get(),
            duration_ms: since(self.started),
            detail: error.and_then(ApiError::log_detail).or(failure.as_deref()),
        };
        write_log(reply.status >= 500, &line);
    }

    fn is_preflight(&self, config: &Config) -> bool {
        self.method == "OPTIONS"
            && config.cors.is_on()
            && matches!(self.header("access-control-request-method"), Ok(Some(_)))
    }

    fn preflight(&self) -> Result<Reply, ApiError> {
        let methods = Route::allowed_methods(&self.path).ok_or(ApiError::NotFound)?;
        Ok(Reply::empty(204)
            .with_header("access-control-allow-methods", methods)
            .with_header("access-control-allow-headers", ALLOWED_HEADERS)
            .with_header("access-control-max-age", "86400"))
    }

    fn add_cors_headers(&self, reply: &mut Reply) {
        // A wrong configuration has been answered already; its answer is for no page.
        let Ok(config) = self.config() else { return };
        if !config.cors.is_on() {
            return;
        }
        // Caches must not give one origin's answer to another.
        reply.add("vary", "Origin");
        if let Some(allowed) = config.cors.allow_origin(self.header("origin").ok().flatten().as_deref()) {
            reply.add("access-control-allow-origin", allowed);
            reply.add("access-control-expose-headers", EXPOSED_HEADERS);
        }
    }
}
