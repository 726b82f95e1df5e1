//! Answers a request: finds its route, runs its endpoint, adds the headers that every answer has, makes the log line.

use super::context::RequestContext;
use super::{ROUTES, serve_endpoint};
use crate::config::{Config, Cors};
use crate::domain::ids::{RequestId, WebhookId};
use crate::error::ApiError;
use crate::http::reply::Reply;
use crate::http::request::{IncomingRequest, parts_of_url};
use crate::http::route;
use crate::log;
use crate::platform::Platform;
use crate::store::rights::Identity;

/// Headers that a page on another origin may read.
const EXPOSED_HEADERS: &str =
    "Location, X-Request-Id, Idempotent-Replayed, Retry-After, Server-Timing, WWW-Authenticate";
/// Headers that a page on another origin may send.
const ALLOWED_HEADERS: &str = "Authorization, Content-Type, Idempotency-Key, X-Organization-Id";

/// The answer to a request, and what is logged of it.
#[derive(Debug)]
pub struct Answer {
    /// What is sent.
    pub reply: Reply,
    /// What is logged.
    pub log: log::RequestLine,
    /// Webhooks that have something to be delivered.
    pub due_webhooks: Vec<WebhookId>,
}

/// Answers a request. `config` is an error where the Worker's variables are wrong: then every answer is 500.
pub async fn answer<P: Platform>(
    request: &impl IncomingRequest,
    platform: &P,
    config: Result<&Config, ApiError>,
) -> Answer {
    let started = platform.now();
    let (origin, path, query) = parts_of_url(request.url());
    let matched = route::find(ROUTES, path);
    let mut random = [0; 10];
    // Without random bytes the id still has the time.
    let randomness = platform.fill_random(&mut random).map_err(ApiError::Internal);
    let request_id = RequestId::v7(started.unix_ms(), &random);

    let cors = config.as_ref().map_or(&Cors::Off, |config| &config.cors);
    let (outcome, identity, due_webhooks, failure) = match config.clone() {
        Ok(config) => {
            let cx = RequestContext::new(platform, config, request_id, origin, query);
            let outcome = match (matched, randomness) {
                (_, Err(error)) => Err(error),
                (None, _) => Err(ApiError::NotFound),
                (Some(matched), _) if is_preflight(request, cors) => Ok(preflight(&matched.allow())),
                (Some(matched), _) => match matched.endpoint(request.method()) {
                    Some(place) => serve_endpoint(place, &cx, request, matched.params).await,
                    None => Err(ApiError::MethodNotAllowed(matched.allow())),
                },
            };
            (outcome, cx.identity(), cx.due_webhooks(), cx.failure())
        }
        Err(error) => (Err(error), Identity::default(), Vec::new(), None),
    };

    let (mut reply, error) = match outcome {
        Ok(reply) => (reply, None),
        Err(error) => (Reply::from(&error), Some(error)),
    };
    let usage = platform.usage();
    reply.add("x-request-id", request_id.to_string());
    reply.add("cache-control", "no-store");
    reply.add("x-content-type-options", "nosniff");
    if !reply.body.is_empty() {
        reply.add("content-type", "application/json");
    }
    let timing = log::server_timing(usage.r2_ms, usage.d1_ms);
    if !timing.is_empty() {
        reply.add("server-timing", timing);
    }
    add_cors_headers(&mut reply, cors, request);
    if request.method() == "HEAD" {
        reply.body.clear();
    }

    let log = log::RequestLine {
        level: if reply.status >= 500 { "error" } else { "info" },
        request_id,
        method: log::known_method(request.method()),
        route: matched.map(|matched| matched.pattern),
        status: reply.status,
        code: error.as_ref().map(|error| error.code().as_str()),
        org_id: identity.org_id,
        user_id: identity.user_id,
        r2_ms: usage.r2_ms,
        d1_ms: usage.d1_ms,
        retries: usage.retries,
        duration_ms: started.elapsed_ms(platform.now()),
        detail: error.as_ref().and_then(ApiError::log_detail).map(str::to_owned).or(failure),
    };
    Answer { reply, log, due_webhooks }
}

fn is_preflight(request: &impl IncomingRequest, cors: &Cors) -> bool {
    request.method() == "OPTIONS"
        && cors.is_on()
        && matches!(request.header("access-control-request-method"), Ok(Some(_)))
}

fn preflight(methods: &str) -> Reply {
    Reply::empty(204)
        .with_header("access-control-allow-methods", methods)
        .with_header("access-control-allow-headers", ALLOWED_HEADERS)
        .with_header("access-control-max-age", "86400")
}

fn add_cors_headers(reply: &mut Reply, cors: &Cors, request: &impl IncomingRequest) {
    if !cors.is_on() {
        return;
    }
    // Caches must not give one origin's answer to another.
    reply.add("vary", "Origin");
    if let Some(allowed) = cors.allow_origin(request.header("origin").ok().flatten().as_deref()) {
        reply.add("access-control-allow-origin", allowed);
        reply.add("access-control-expose-headers", EXPOSED_HEADERS);
    }
}
