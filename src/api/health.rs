//! Whether the service is up, and whether its storage answers.

use serde::Serialize;

use super::context::RequestContext;
use super::endpoint::{Anyone, Doc, Endpoint, Example};
use crate::config::Config;
use crate::error::{ApiError, ErrorCode, FieldError};
use crate::http::reply::Reply;
use crate::http::request::Input;
use crate::http::route::Route;
use crate::platform::Platform;
use crate::store::health::CheckDatabase;
use crate::store::rights::Permission;

/// A key that no upload has; whether it exists does not matter, only that R2 answers.
const PROBE_KEY: &str = "ready";

/// `GET /v1/health`: the Worker runs and its configuration is valid. Touches no storage.
#[derive(Debug, Clone, Copy)]
pub struct Health;

impl Endpoint for Health {
    const ROUTE: Route = Route::get("/v1/health");
    const PERMISSION: Option<Permission> = None;
    const DOC: Doc = Doc {
        operation_id: "getHealth",
        tag: "Status",
        summary: "Is the service up?",
        description: "Answers without asking storage.",
        path: &[],
        query: &[],
        idempotency_key: None,
        success: (200, "The service runs and its configuration is valid."),
        location: None,
        errors: &[],
        body_examples: &[],
        examples: &[Example { name: "ok", summary: "Up", changes: "{}" }],
    };
    type Caller = Anyone;
    type Body = ();
    type Response = HealthResponse;

    fn parse(_: &Input<'_>, _: &Config) -> Result<Self, ApiError> {
        Ok(Self)
    }

    async fn handle<P: Platform>(self, _: &RequestContext<'_, P>, _: Anyone) -> Result<Reply, ApiError> {
        Reply::json(200, &HealthResponse { status: "ok" })
    }
}

/// `GET /v1/ready`: D1 and R2 answer, and the migrations have been applied; else 503 with the state of each.
#[derive(Debug, Clone, Copy)]
pub struct Ready;

impl Endpoint for Ready {
    const ROUTE: Route = Route::get("/v1/ready");
    const PERMISSION: Option<Permission> = None;
    const DOC: Doc = Doc {
        operation_id: "getReady",
        tag: "Status",
        summary: "Does storage answer?",
        description: "Asks the database and the object storage, and that the database has its tables. In a 503 `errors` holds the state of each, `d1` first, then `r2`; its `type` is `ok` or `unavailable`.",
        path: &[],
        query: &[],
        idempotency_key: None,
        success: (200, "Both answer."),
        location: None,
        errors: &[ErrorCode::StorageUnavailable],
        body_examples: &[],
        examples: &[Example { name: "ready", summary: "Ready", changes: "{}" }],
    };
    type Caller = Anyone;
    type Body = ();
    type Response = ReadyResponse;

    fn parse(_: &Input<'_>, _: &Config) -> Result<Self, ApiError> {
        Ok(Self)
    }

    async fn handle<P: Platform>(self, cx: &RequestContext<'_, P>, _: Anyone) -> Result<Reply, ApiError> {
        let r2 = cx.platform.head_object(PROBE_KEY).await.err().map(|error| error.message);
        let d1 = cx.run_system(&CheckDatabase).await.err();
        if r2.is_none() && d1.is_none() {
            return Reply::json(
                200,
                &ReadyResponse { status: "ready", checks: Checks { d1: "ok", r2: "ok" } },
            );
        }
        let parts = vec![part("d1", d1.is_none()), part("r2", r2.is_none())];
        let d1 = d1.as_ref().and_then(ApiError::log_detail);
        let detail = [d1, r2.as_deref()].into_iter().flatten().collect::<Vec<_>>().join("; ");
        Err(ApiError::StorageUnavailable { detail, parts })
    }
}

fn part(name: &str, answers: bool) -> FieldError {
    if answers {
        FieldError::new(&[name], "ok", "Answers.")
    } else {
        FieldError::new(&[name], "unavailable", "Does not answer as it should; the log says why.")
    }
}

/// The service is up.
#[derive(Debug, Serialize)]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub struct HealthResponse {
    /// `ok`
    #[cfg_attr(not(target_arch = "wasm32"), schemars(extend("const" = "ok")))]
    pub status: &'static str,
}

/// Storage answers.
#[derive(Debug, Serialize)]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub struct ReadyResponse {
    /// `ready`
    #[cfg_attr(not(target_arch = "wasm32"), schemars(extend("const" = "ready")))]
    pub status: &'static str,
    /// The state of each part of storage.
    pub checks: Checks,
}

/// The state of each part of storage: `ok`.
#[derive(Debug, Serialize)]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema), schemars(inline))]
pub struct Checks {
    /// D1
    #[cfg_attr(not(target_arch = "wasm32"), schemars(extend("const" = "ok")))]
    pub d1: &'static str,
    /// R2
    #[cfg_attr(not(target_arch = "wasm32"), schemars(extend("const" = "ok")))]
    pub r2: &'static str,
}
