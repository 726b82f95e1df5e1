//! What was delivered to a webhook, and what is delivered on request.

use serde::Serialize;

use super::assets::FIELDS;
use super::context::RequestContext;
use super::endpoint::{Doc, Endpoint, Parameter, Values};
use super::lists::{CURSOR, FROM_PREV, LIMIT, NEWEST_OR_OLDEST};
use super::webhooks::{self, parse_id, signing_key};
use crate::config::Config;
use crate::domain::ids::{DeliveryId, WebhookId};
use crate::domain::page::{Sort, SortBy};
use crate::domain::timestamp::Timestamp;
use crate::domain::webhook::{Attempt, Delivery, DeliveryState};
use crate::error::{ApiError, ErrorCode};
use crate::events::Event;
use crate::http::fields::{FieldErrors, JsonBody, path_id};
use crate::http::page::{ListQuery, PageResponse};
use crate::http::projection::{Item, Projected};
use crate::http::query::Query;
use crate::http::reply::Reply;
use crate::http::request::Input;
use crate::http::route::Route;
use crate::platform::Platform;
use crate::store::deliveries;
use crate::store::rights::{Caller, Permission};

/// The path parameter of a delivery's endpoints.
const DELIVERY_ID: Parameter =
    Parameter { name: "delivery_id", description: "The id of the delivery.", values: Values::Id };

fn parse_ids(input: &Input<'_>, errors: &mut FieldErrors) -> Option<(WebhookId, DeliveryId)> {
    let webhook_id = parse_id(input, errors);
    let id = errors.check(path_id(DELIVERY_ID.name, input.path.get(1), DeliveryId::parse));
    webhook_id.zip(id)
}

/// A delivery of an event to a webhook.
#[derive(Debug, Serialize)]
#[cfg_attr(
    not(target_arch = "wasm32"),
    derive(schemars::JsonSchema),
    schemars(
        rename = "WebhookDelivery",
        example = serde_json::json!({
            "id": "019ac5d3-5fe3-8a35-9c1f-0242ac120002",
            "webhook_id": "018f4d30-1c5a-7d21-9e84-6a7b8c9d0e1f",
            "event_id": "019ac5d3-5fe3-8a35-9c1f-0242ac120002",
            "event_type": "asset.created",
            "event_timestamp": "2026-11-22T12:51:07.042Z",
            "state": "pending",
            "created_at": "2026-11-22T12:51:07.042Z",
            "next_attempt_at": "2026-11-22T12:51:13.480Z",
            "delivered_at": null,
            "attempts": [{
                "at": "2026-11-22T12:51:08.100Z",
                "status": 500,
                "duration_ms": 52,
                "error": null,
                "response": "out of memory"
            }]
        })
    )
)]
pub struct DeliveryResponse<'a> {
    /// The delivery's id. The first delivery of an event has the event's id.
    id: DeliveryId,
    /// The webhook.
    webhook_id: WebhookId,
    /// The event's id, as in `webhook-id`.
    event_id: DeliveryId,
    /// What happened.
    event_type: &'a str,
    /// When it happened.
    event_timestamp: Timestamp,
    /// How the delivery stands.
    state: DeliveryState,
    /// When it was recorded.
    created_at: Timestamp,
    /// When it is tried next; null where it is not.
    next_attempt_at: Option<Timestamp>,
    /// When the receiver took it; null where it has not.
    delivered_at: Option<Timestamp>,
    /// What was tried, the earliest first.
    attempts: &'a [Attempt],
}

impl<'a> DeliveryResponse<'a> {
    fn new(delivery: &'a Delivery) -> Self {
        Self {
            id: delivery.id,
            webhook_id: delivery.webhook_id,
            event_id: delivery.event_id,
            event_type: &delivery.event_type,
            event_timestamp: delivery.event_at,
            state: delivery.state(),
            created_at: delivery.created_at,
            next_attempt_at: delivery.due_at,
            delivered_at: delivery.delivered_at,
            attempts: &delivery.attempts,
        }
    }
}

impl Item for DeliveryResponse<'_> {
    const FIELDS: &'static [&'static str] = &[
        "id",
        "webhook_id",
        "event_id",
        "event_type",
        "event_timestamp",
        "state",
        "created_at",
        "next_attempt_at",
        "delivered_at",
        "attempts",
    ];
    const SORTED_BY: &'static [SortBy] = &[SortBy::CreatedAt];
}

/// `GET /v1/webhooks/{webhook_id}/deliveries`: one D1 transaction.
#[derive(Debug, Clone, PartialEq)]
pub struct List {
    /// The webhook.
    pub webhook_id: WebhookId,
    /// Which of its deliveries, in which order.
    pub list: ListQuery,
}

impl Endpoint for List {
    const ROUTE: Route = Route::get("/v1/webhooks/{webhook_id}/deliveries");
    const PERMISSION: Option<Permission> = Some(Permission::WebhooksManage);
    const DOC: Doc = Doc {
        operation_id: "listWebhookDeliveries",
        tag: "Webhooks",
        summary: "List what was delivered",
        description: "The deliveries of 30 days, pending ones among them.",
        path: &[webhooks::ID],
        query: &[LIMIT, CURSOR, FROM_PREV, NEWEST_OR_OLDEST, FIELDS],
        idempotency_key: None,
        success: (200, "A page of the list."),
        location: None,
        errors: &[ErrorCode::WebhookNotFound],
        body_examples: &[],
        examples: &[],
    };
    type Caller = Caller;
    type Body = ();
    type Response = PageResponse<Projected<'static, DeliveryResponse<'static>>>;

    fn parse(input: &Input<'_>, config: &Config) -> Result<Self, ApiError> {
        signing_key(config)?;
        let mut errors = FieldErrors::default();
        let webhook_id = parse_id(input, &mut errors);
        let default = Sort { by: SortBy::CreatedAt, descending: true };
        // A cursor is bound to its webhook, too.
        let name = format!("deliveries of {}", input.path.get(0).to_ascii_lowercase());
        let list =
            ListQuery::parse::<DeliveryResponse<'_>>(&name, default, Query::parse(input.query), &mut errors);
        errors.finish(webhook_id.map(|webhook_id| Self { webhook_id, list }))
    }

    async fn handle<P: Platform>(
        self,
        cx: &RequestContext<'_, P>,
        caller: Caller,
    ) -> Result<Reply, ApiError> {
        let Self { webhook_id, list } = self;
        let (org, page) = cx.run(&deliveries::List { caller, webhook_id, page: &list.page }).await?;
        let items = page.items.iter().map(|item| list.fields.of(DeliveryResponse::new(item))).collect();
        Reply::json(200, &list.answer(org, &page, items)?)
    }
}

/// `GET /v1/webhooks/{webhook_id}/deliveries/{delivery_id}`: one D1 transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Read {
    /// The webhook.
    pub webhook_id: WebhookId,
    /// The delivery.
    pub id: DeliveryId,
}

/// A delivery with its event.
#[derive(Debug, Serialize)]
#[cfg_attr(
    not(target_arch = "wasm32"),
    derive(schemars::JsonSchema),
    schemars(
        rename = "WebhookDeliveryWithEvent",
        example = serde_json::json!({
            "id": "019ac5d3-5fe3-8a35-9c1f-0242ac120002",
            "webhook_id": "018f4d30-1c5a-7d21-9e84-6a7b8c9d0e1f",
            "event_id": "019ac5d3-5fe3-8a35-9c1f-0242ac120002",
            "event_type": "upload.expired",
            "event_timestamp": "2026-11-22T12:51:07.042Z",
            "state": "delivered",
            "created_at": "2026-11-22T12:51:07.042Z",
            "next_attempt_at": null,
            "delivered_at": "2026-11-22T12:51:08.152Z",
            "attempts": [{
                "at": "2026-11-22T12:51:08.100Z", "status": 204, "duration_ms": 52, "error": null, "response": ""
            }],
            "event": {
                "id": "019ac5d3-5fe3-8a35-9c1f-0242ac120002",
                "type": "upload.expired",
                "timestamp": "2026-11-22T12:51:07.042Z",
                "organization_id": "018f4d2a-11d0-7c52-8b3e-5f0c9d7a6e41",
                "data": {
                    "id": "018f4d2e-7c4b-7a35-9c1f-0242ac120002",
                    "org_id": "018f4d2a-11d0-7c52-8b3e-5f0c9d7a6e41",
                    "filename": "sunrise.png",
                    "mime_type": "image/png",
                    "size_bytes": 482_133,
                    "created_by": "018f4d29-8a6c-7e90-b7d2-1c4e5f6a7b83",
                    "created_at": "2026-11-21T12:51:00.318Z",
                    "expires_at": "2026-11-22T12:51:00.318Z"
                }
            }
        })
    )
)]
pub struct DeliveryWithEvent<'a> {
    /// The delivery.
    #[serde(flatten)]
    delivery: DeliveryResponse<'a>,
    /// The event, which is the body that is sent.
    event: Event<'a>,
}

impl Endpoint for Read {
    const ROUTE: Route = Route::get("/v1/webhooks/{webhook_id}/deliveries/{delivery_id}");
    const PERMISSION: Option<Permission> = Some(Permission::WebhooksManage);
    const DOC: Doc = Doc {
        operation_id: "getWebhookDelivery",
        tag: "Webhooks",
        summary: "Read what was delivered",
        description: "",
        path: &[webhooks::ID, DELIVERY_ID],
        query: &[],
        idempotency_key: None,
        success: (200, "The delivery, with its event."),
        location: None,
        errors: &[ErrorCode::WebhookNotFound, ErrorCode::WebhookDeliveryNotFound],
        body_examples: &[],
        examples: &[],
    };
    type Caller = Caller;
    type Body = ();
    type Response = DeliveryWithEvent<'static>;

    fn parse(input: &Input<'_>, config: &Config) -> Result<Self, ApiError> {
        signing_key(config)?;
        let mut errors = FieldErrors::default();
        let ids = parse_ids(input, &mut errors);
        Query::parse(input.query).finish(&mut errors);
        errors.finish(ids.map(|(webhook_id, id)| Self { webhook_id, id }))
    }

    async fn handle<P: Platform>(
        self,
        cx: &RequestContext<'_, P>,
        caller: Caller,
    ) -> Result<Reply, ApiError> {
        let Self { webhook_id, id } = self;
        let (org, delivery, data) = cx.run(&deliveries::Read { caller, webhook_id, id }).await?;
        let event = Event::new(delivery.event_id, &delivery.event_type, delivery.event_at, org, data.get())?;
        Reply::json(200, &DeliveryWithEvent { delivery: DeliveryResponse::new(&delivery), event })
    }
}

/// `POST /v1/webhooks/{webhook_id}/deliveries/{delivery_id}/redeliveries`: one D1 transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Redeliver {
    /// The webhook.
    pub webhook_id: WebhookId,
    /// The delivery to repeat.
    pub id: DeliveryId,
}

impl Endpoint for Redeliver {
    const ROUTE: Route = Route::post("/v1/webhooks/{webhook_id}/deliveries/{delivery_id}/redeliveries");
    const PERMISSION: Option<Permission> = Some(Permission::WebhooksManage);
    const DOC: Doc = Doc {
        operation_id: "createWebhookRedelivery",
        tag: "Webhooks",
        summary: "Deliver an event once more",
        description: "The same event with the same id, in a delivery of its own with retries of its own, however the first one stands. A webhook that is switched off gets it when it is switched on again.",
        path: &[webhooks::ID, DELIVERY_ID],
        query: &[],
        idempotency_key: None,
        success: (202, "The new delivery."),
        location: Some(Read::ROUTE),
        errors: &[ErrorCode::WebhookNotFound, ErrorCode::WebhookDeliveryNotFound],
        body_examples: &[],
        examples: &[],
    };
    type Caller = Caller;
    type Body = ();
    type Response = DeliveryResponse<'static>;

    fn parse(input: &Input<'_>, config: &Config) -> Result<Self, ApiError> {
        signing_key(config)?;
        let mut errors = FieldErrors::default();
        JsonBody::parse_optional(input)?.finish(&mut errors);
        let ids = parse_ids(input, &mut errors);
        errors.finish(ids.map(|(webhook_id, id)| Self { webhook_id, id }))
    }

    async fn handle<P: Platform>(
        self,
        cx: &RequestContext<'_, P>,
        caller: Caller,
    ) -> Result<Reply, ApiError> {
        let Self { webhook_id, id } = self;
        let new_id = DeliveryId::v7(cx.now().unix_ms(), &cx.random()?);
        accepted(&cx.run(&deliveries::Redeliver { caller, webhook_id, id, new_id }).await?)
    }
}

/// `POST /v1/webhooks/{webhook_id}/tests`: one D1 transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Test {
    /// The webhook.
    pub webhook_id: WebhookId,
}

impl Endpoint for Test {
    const ROUTE: Route = Route::post("/v1/webhooks/{webhook_id}/tests");
    const PERMISSION: Option<Permission> = Some(Permission::WebhooksManage);
    const DOC: Doc = Doc {
        operation_id: "createWebhookTest",
        tag: "Webhooks",
        summary: "Try a webhook",
        description: "Sends it an event of the type `webhook.test`, whose `data` has the webhook's id. A webhook that is switched off gets it when it is switched on again.",
        path: &[webhooks::ID],
        query: &[],
        idempotency_key: None,
        success: (202, "The delivery of the event."),
        location: Some(Read::ROUTE),
        errors: &[ErrorCode::WebhookNotFound],
        body_examples: &[],
        examples: &[],
    };
    type Caller = Caller;
    type Body = ();
    type Response = DeliveryResponse<'static>;

    fn parse(input: &Input<'_>, config: &Config) -> Result<Self, ApiError> {
        signing_key(config)?;
        let mut errors = FieldErrors::default();
        JsonBody::parse_optional(input)?.finish(&mut errors);
        let webhook_id = parse_id(input, &mut errors);
        errors.finish(webhook_id.map(|webhook_id| Self { webhook_id }))
    }

    async fn handle<P: Platform>(
        self,
        cx: &RequestContext<'_, P>,
        caller: Caller,
    ) -> Result<Reply, ApiError> {
        let id = DeliveryId::v7(cx.now().unix_ms(), &cx.random()?);
        accepted(&cx.run(&deliveries::Test { caller, webhook_id: self.webhook_id, id }).await?)
    }
}

fn accepted(delivery: &Delivery) -> Result<Reply, ApiError> {
    let location = format!("/v1/webhooks/{}/deliveries/{}", delivery.webhook_id, delivery.id);
    Ok(Reply::json(202, &DeliveryResponse::new(delivery))?.with_header("location", location))
}
