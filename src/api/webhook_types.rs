//! What webhooks can be told.

use serde::Serialize;

use super::context::RequestContext;
use super::endpoint::{Doc, Endpoint};
use super::webhooks::signing_key;
use crate::config::Config;
use crate::domain::webhook::EventType;
use crate::error::ApiError;
use crate::http::fields::FieldErrors;
use crate::http::query::Query;
use crate::http::reply::Reply;
use crate::http::request::Input;
use crate::http::route::Route;
use crate::platform::Platform;
use crate::store::rights::{Caller, CheckRights, Permission};

/// `GET /v1/webhooks/event-types`: one D1 transaction, for the rights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventTypes;

/// What webhooks can be told.
#[derive(Debug, Serialize)]
#[cfg_attr(
    not(target_arch = "wasm32"),
    derive(schemars::JsonSchema),
    schemars(
        rename = "WebhookEventTypesResponse",
        example = serde_json::json!({"items": [
            {"type": "upload.expired", "description": "An upload was not confirmed in time."}
        ]})
    )
)]
pub struct EventTypesResponse {
    /// All of them.
    items: Vec<EventTypeResponse>,
}

/// A type of events.
#[derive(Debug, Serialize)]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema), schemars(inline))]
struct EventTypeResponse {
    /// As in `event_types`.
    #[serde(rename = "type")]
    event_type: EventType,
    /// For people.
    description: &'static str,
}

impl Endpoint for EventTypes {
    const ROUTE: Route = Route::get("/v1/webhooks/event-types");
    const PERMISSION: Option<Permission> = Some(Permission::WebhooksManage);
    const DOC: Doc = Doc {
        operation_id: "listWebhookEventTypes",
        tag: "Webhooks",
        summary: "See what webhooks can be told",
        description: "",
        path: &[],
        query: &[],
        idempotency_key: None,
        success: (200, "The values of `event_types`."),
        location: None,
        errors: &[],
        body_examples: &[],
        examples: &[],
    };
    type Caller = Caller;
    type Body = ();
    type Response = EventTypesResponse;

    fn parse(input: &Input<'_>, config: &Config) -> Result<Self, ApiError> {
        signing_key(config)?;
        let mut errors = FieldErrors::default();
        Query::parse(input.query).finish(&mut errors);
        errors.finish(Some(Self))
    }

    async fn handle<P: Platform>(
        self,
        cx: &RequestContext<'_, P>,
        caller: Caller,
    ) -> Result<Reply, ApiError> {
        cx.run(&CheckRights { caller }).await?;
        let item =
            |event_type: EventType| EventTypeResponse { event_type, description: event_type.description() };
        Reply::json(200, &EventTypesResponse { items: EventType::ALL.map(item).into() })
    }
}
