//! Webhooks: making, listing, reading, changing and removing them.

use serde::Serialize;
use serde_json::value::RawValue;

use super::assets::FIELDS;
use super::context::RequestContext;
use super::endpoint::{Doc, Endpoint, Example, Parameter, Values};
use super::lists::{CURSOR, FROM_PREV, LIMIT, NEWEST_OR_OLDEST};
use crate::config::{Config, WebhookSettings};
use crate::domain::ids::WebhookId;
use crate::domain::page::{Sort, SortBy};
use crate::domain::webhook::{EventType, MAX_DESCRIPTION_LENGTH, Webhook};
use crate::domain::webhook_url::check_url;
use crate::error::{ApiError, ErrorCode, FieldError};
use crate::http::fields::{FieldErrors, JsonBody, boolean, list, path_id, string};
use crate::http::page::{ListQuery, PageResponse};
use crate::http::projection::{Item, Projected};
use crate::http::query::Query;
use crate::http::reply::Reply;
use crate::http::request::Input;
use crate::http::route::Route;
use crate::platform::Platform;
use crate::store::rights::{Caller, Permission};
use crate::store::webhooks;
use crate::webhook_secret::SigningKey;

/// The path parameter of a webhook's endpoints.
pub(super) const ID: Parameter =
    Parameter { name: "webhook_id", description: "The id of the webhook.", values: Values::Id };

/// Reads it.
pub(super) fn parse_id(input: &Input<'_>, errors: &mut FieldErrors) -> Option<WebhookId> {
    errors.check(path_id(ID.name, input.path.get(0), WebhookId::parse))
}

/// What the secrets of webhooks are derived from. Without it no endpoint of webhooks works: nothing could be delivered.
///
/// # Errors
/// `StorageUnavailable` where the operator has not set it.
pub(super) fn signing_key(config: &Config) -> Result<&SigningKey, ApiError> {
    config.webhooks.signing_key.as_ref().map_err(ApiError::unavailable)
}

fn parse_url(value: &RawValue, settings: &WebhookSettings) -> Result<String, FieldError> {
    let url = string("url", value, "Must be a string holding an https URL.")?;
    match check_url(&url, &settings.insecure_hosts) {
        Ok(()) => Ok(url),
        Err(error) => Err(FieldError::new(&["body", "url"], "webhook_url", error.message())),
    }
}

fn parse_event_types(value: &RawValue) -> Result<Vec<EventType>, FieldError> {
    const LOC: [&str; 2] = ["body", "event_types"];
    let values = list("event_types", value, 1..=EventType::ALL.len())?;
    let types: Option<Vec<_>> = values
        .iter()
        .map(|value| {
            serde_json::from_str::<String>(value.get()).ok().and_then(|text| EventType::parse(&text))
        })
        .collect();
    let types = types.ok_or_else(|| {
        let all = EventType::ALL.map(EventType::as_str).join(", ");
        FieldError::new(&LOC, "enum", format!("Each must be one of {all}."))
    })?;
    let twice =
        types.iter().enumerate().any(|(n, event_type)| types.iter().take(n).any(|other| other == event_type));
    if twice { Err(FieldError::new(&LOC, "duplicate", "Name each event type once.")) } else { Ok(types) }
}

/// A description, or null for none.
fn parse_description(value: &RawValue) -> Result<Option<String>, FieldError> {
    const MSG: &str = "Must be null, or a string of 1 to 500 characters, without control characters.";
    if value.get() == "null" {
        return Ok(None);
    }
    let text = string("description", value, MSG)?;
    let valid =
        (1..=MAX_DESCRIPTION_LENGTH).contains(&text.chars().count()) && !text.contains(char::is_control);
    if valid { Ok(Some(text)) } else { Err(FieldError::new(&["body", "description"], "description", MSG)) }
}

/// `POST /v1/webhooks`: one D1 transaction.
#[derive(Debug, Clone, PartialEq)]
pub struct Create {
    /// Where its events are sent.
    pub url: String,
    /// Which events.
    pub event_types: Vec<EventType>,
    /// What it is for.
    pub description: Option<String>,
}

/// A webhook to make. A field that stands twice is an error.
#[derive(Debug)]
#[cfg_attr(
    not(target_arch = "wasm32"),
    derive(schemars::JsonSchema),
    schemars(
        rename = "CreateWebhookRequest",
        deny_unknown_fields,
        example = serde_json::json!({
            "url": "https://hooks.example.com/asset-uploads",
            "event_types": ["asset.created", "asset.deleted"],
            "description": "Search index"
        })
    )
)]
pub struct CreateBody {
    /// Where events are sent: https, a public host name, port 443 or above 1023, no credentials, no fragment. Redirects
    /// are not followed.
    #[cfg_attr(not(target_arch = "wasm32"), schemars(length(min = 1, max = 2000)))]
    pub url: String,
    /// Which events, each named once.
    #[cfg_attr(not(target_arch = "wasm32"), schemars(length(min = 1, max = 7), extend("uniqueItems" = true)))]
    pub event_types: Vec<EventType>,
    /// What it is for, without control characters; null or absent for nothing.
    #[cfg_attr(
        not(target_arch = "wasm32"),
        schemars(length(min = 1, max = 500), regex(pattern = r"^[^\u0000-\u001f\u007f-\u009f]+$"))
    )]
    pub description: Option<String>,
}

/// A webhook with a secret that was just made. This is the only answer that ever holds it.
#[derive(Debug, Serialize)]
#[cfg_attr(
    not(target_arch = "wasm32"),
    derive(schemars::JsonSchema),
    schemars(
        example = serde_json::json!({
            "id": "018f4d30-1c5a-7d21-9e84-6a7b8c9d0e1f",
            "org_id": "018f4d2a-11d0-7c52-8b3e-5f0c9d7a6e41",
            "url": "https://hooks.example.com/asset-uploads",
            "event_types": ["asset.created", "asset.deleted"],
            "description": "Search index",
            "disabled": false,
            "disabled_at": null,
            "disabled_reason": null,
            "failing_since": null,
            "created_by": "018f4d29-8a6c-7e90-b7d2-1c4e5f6a7b83",
            "created_at": "2026-11-22T12:51:07.042Z",
            "updated_at": "2026-11-22T12:51:07.042Z",
            "secret": "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
        })
    )
)]
pub struct NewWebhook {
    /// What is known of it.
    #[serde(flatten)]
    pub(super) webhook: Webhook,
    /// What its deliveries are signed with, as in Standard Webhooks: `whsec_` and base64. It is not stored and cannot be
    /// shown again.
    pub(super) secret: String,
}

impl Endpoint for Create {
    const ROUTE: Route = Route::post("/v1/webhooks");
    const PERMISSION: Option<Permission> = Some(Permission::WebhooksManage);
    const DOC: Doc = Doc {
        operation_id: "createWebhook",
        tag: "Webhooks",
        summary: "Make a webhook",
        description: "From then on the organization's events of these types are sent to the URL, each at least once, signed as Standard Webhooks says. Any 2xx within 10 seconds is a delivery; anything else is tried again after 5 s, 1 min, 5 min, 30 min, 2 h, 6 h, 12 h and 24 h. An organization has at most 20 webhooks. A repeat makes another one.",
        path: &[],
        query: &[],
        idempotency_key: None,
        success: (201, "The webhook, with `secret`, which is shown this once."),
        location: Some(Read::ROUTE),
        errors: &[ErrorCode::WebhookLimitReached],
        body_examples: &[Example { name: "some", summary: "Of some events", changes: "{}" }],
        examples: &[],
    };
    type Caller = Caller;
    type Body = CreateBody;
    type Response = NewWebhook;

    fn parse(input: &Input<'_>, config: &Config) -> Result<Self, ApiError> {
        signing_key(config)?;
        let mut errors = FieldErrors::default();
        let mut body = JsonBody::parse(input)?;
        let url = body.required("url", |value| parse_url(value, &config.webhooks));
        let event_types = body.required("event_types", parse_event_types);
        let description = body.optional("description", parse_description).flatten();
        body.finish(&mut errors);
        let fields = url.zip(event_types);
        errors.finish(fields.map(|(url, event_types)| Self { url, event_types, description }))
    }

    async fn handle<P: Platform>(
        self,
        cx: &RequestContext<'_, P>,
        caller: Caller,
    ) -> Result<Reply, ApiError> {
        let Self { url, event_types, description } = self;
        let id = WebhookId::v7(cx.now().unix_ms(), &cx.random()?);
        let webhook = cx.run(&webhooks::Create { caller, id, url, event_types, description }).await?;
        let location = format!("/v1/webhooks/{id}");
        let secret = signing_key(cx.config)?.secret(id, 1).text();
        Ok(Reply::json(201, &NewWebhook { webhook, secret })?.with_header("location", location))
    }
}

/// `GET /v1/webhooks`: one D1 transaction.
#[derive(Debug, Clone, PartialEq)]
pub struct List {
    /// Which of them, in which order.
    pub list: ListQuery,
}

impl Item for &Webhook {
    const FIELDS: &'static [&'static str] = &[
        "id",
        "org_id",
        "url",
        "event_types",
        "description",
        "disabled",
        "disabled_at",
        "disabled_reason",
        "failing_since",
        "created_by",
        "created_at",
        "updated_at",
    ];
    const SORTED_BY: &'static [SortBy] = &[SortBy::CreatedAt];
}

impl Endpoint for List {
    const ROUTE: Route = Route::get("/v1/webhooks");
    const PERMISSION: Option<Permission> = Some(Permission::WebhooksManage);
    const DOC: Doc = Doc {
        operation_id: "listWebhooks",
        tag: "Webhooks",
        summary: "List webhooks",
        description: "Those of the organization, without their secrets.",
        path: &[],
        query: &[LIMIT, CURSOR, FROM_PREV, NEWEST_OR_OLDEST, FIELDS],
        idempotency_key: None,
        success: (200, "A page of the list."),
        location: None,
        errors: &[],
        body_examples: &[],
        examples: &[],
    };
    type Caller = Caller;
    type Body = ();
    type Response = PageResponse<Projected<'static, Webhook>>;

    fn parse(input: &Input<'_>, config: &Config) -> Result<Self, ApiError> {
        signing_key(config)?;
        let mut errors = FieldErrors::default();
        let default = Sort { by: SortBy::CreatedAt, descending: true };
        let list = ListQuery::parse::<&Webhook>("webhooks", default, Query::parse(input.query), &mut errors);
        errors.finish(Some(Self { list }))
    }

    async fn handle<P: Platform>(
        self,
        cx: &RequestContext<'_, P>,
        caller: Caller,
    ) -> Result<Reply, ApiError> {
        let (org, page) = cx.run(&webhooks::List { caller, page: &self.list.page }).await?;
        let items = page.items.iter().map(|webhook| self.list.fields.of(webhook)).collect();
        Reply::json(200, &self.list.answer(org, &page, items)?)
    }
}

/// `GET /v1/webhooks/{webhook_id}`: one D1 transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Read {
    /// The webhook.
    pub id: WebhookId,
}

impl Endpoint for Read {
    const ROUTE: Route = Route::get("/v1/webhooks/{webhook_id}");
    const PERMISSION: Option<Permission> = Some(Permission::WebhooksManage);
    const DOC: Doc = Doc {
        operation_id: "getWebhook",
        tag: "Webhooks",
        summary: "Read a webhook",
        description: "",
        path: &[ID],
        query: &[],
        idempotency_key: None,
        success: (200, "The webhook, without its secret."),
        location: None,
        errors: &[ErrorCode::WebhookNotFound],
        body_examples: &[],
        examples: &[],
    };
    type Caller = Caller;
    type Body = ();
    type Response = Webhook;

    fn parse(input: &Input<'_>, config: &Config) -> Result<Self, ApiError> {
        signing_key(config)?;
        let mut errors = FieldErrors::default();
        let id = parse_id(input, &mut errors);
        Query::parse(input.query).finish(&mut errors);
        errors.finish(id.map(|id| Self { id }))
    }

    async fn handle<P: Platform>(
        self,
        cx: &RequestContext<'_, P>,
        caller: Caller,
    ) -> Result<Reply, ApiError> {
        Reply::json(200, &cx.run(&webhooks::Read { caller, id: self.id }).await?)
    }
}

/// `PATCH /v1/webhooks/{webhook_id}`: one D1 transaction.
#[derive(Debug, Clone, PartialEq)]
pub struct Update {
    /// The webhook.
    pub id: WebhookId,
    /// Where its events are sent.
    pub url: Option<String>,
    /// Which events.
    pub event_types: Option<Vec<EventType>>,
    /// What it is for; `Some(None)` for nothing.
    pub description: Option<Option<String>>,
    /// Whether it is switched off.
    pub disabled: Option<bool>,
}

/// What to change of a webhook: at least one field. What is left out stays as it is.
#[derive(Debug)]
#[cfg_attr(
    not(target_arch = "wasm32"),
    derive(schemars::JsonSchema),
    schemars(
        rename = "UpdateWebhookRequest",
        deny_unknown_fields,
        extend("minProperties" = 1),
        example = serde_json::json!({"disabled": true})
    )
)]
pub struct UpdateBody {
    /// Where events are sent, with the same rules as before.
    #[cfg_attr(
        not(target_arch = "wasm32"),
        schemars(extend("type" = "string"), length(min = 1, max = 2000))
    )]
    pub url: Option<String>,
    /// Which events, each named once.
    #[cfg_attr(
        not(target_arch = "wasm32"),
        schemars(length(min = 1, max = 7), extend("type" = "array", "uniqueItems" = true))
    )]
    pub event_types: Option<Vec<EventType>>,
    /// What it is for; null for nothing.
    #[cfg_attr(
        not(target_arch = "wasm32"),
        schemars(length(min = 1, max = 500), regex(pattern = r"^[^\u0000-\u001f\u007f-\u009f]+$"))
    )]
    pub description: Option<String>,
    /// True switches it off: nothing is sent, and what happens meanwhile is not recorded for it. False switches it on
    /// again: what was still to be delivered is.
    #[cfg_attr(not(target_arch = "wasm32"), schemars(extend("type" = "boolean")))]
    pub disabled: Option<bool>,
}

impl Endpoint for Update {
    const ROUTE: Route = Route::patch("/v1/webhooks/{webhook_id}");
    const PERMISSION: Option<Permission> = Some(Permission::WebhooksManage);
    const DOC: Doc = Doc {
        operation_id: "updateWebhook",
        tag: "Webhooks",
        summary: "Change a webhook, or switch it off or on",
        description: "Changed event types count for what happens from then on; a changed URL also for what is still to be delivered.",
        path: &[ID],
        query: &[],
        idempotency_key: None,
        success: (200, "The webhook as it is now."),
        location: None,
        errors: &[ErrorCode::WebhookNotFound],
        body_examples: &[
            Example {
                name: "types",
                summary: "Other events, and on",
                changes: r#"{"event_types": ["asset.created"], "disabled": false}"#,
            },
            Example { name: "off", summary: "Off", changes: "{}" },
        ],
        examples: &[],
    };
    type Caller = Caller;
    type Body = UpdateBody;
    type Response = Webhook;

    fn parse(input: &Input<'_>, config: &Config) -> Result<Self, ApiError> {
        signing_key(config)?;
        let mut errors = FieldErrors::default();
        let mut body = JsonBody::parse(input)?;
        let url = body.optional("url", |value| parse_url(value, &config.webhooks));
        let event_types = body.optional("event_types", parse_event_types);
        let description = body.optional("description", parse_description);
        let disabled = body.optional("disabled", |value| boolean("disabled", value));
        body.require_one("Send url, event_types, description, disabled or several of them.");
        body.finish(&mut errors);
        let id = parse_id(input, &mut errors);
        errors.finish(id.map(|id| Self { id, url, event_types, description, disabled }))
    }

    async fn handle<P: Platform>(
        self,
        cx: &RequestContext<'_, P>,
        caller: Caller,
    ) -> Result<Reply, ApiError> {
        let Self { id, url, event_types, description, disabled } = self;
        let update = webhooks::Update { caller, id, url, event_types, description, disabled };
        Reply::json(200, &cx.run(&update).await?)
    }
}

/// `DELETE /v1/webhooks/{webhook_id}`: one D1 transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delete {
    /// The webhook.
    pub id: WebhookId,
}

impl Endpoint for Delete {
    const ROUTE: Route = Route::delete("/v1/webhooks/{webhook_id}");
    const PERMISSION: Option<Permission> = Some(Permission::WebhooksManage);
    const DOC: Doc = Doc {
        operation_id: "deleteWebhook",
        tag: "Webhooks",
        summary: "Remove a webhook",
        description: "What was still to be delivered to it is not, and its history is gone.",
        path: &[ID],
        query: &[],
        idempotency_key: None,
        success: (204, "The webhook is gone. No body."),
        location: None,
        errors: &[ErrorCode::WebhookNotFound],
        body_examples: &[],
        examples: &[],
    };
    type Caller = Caller;
    type Body = ();
    type Response = ();

    fn parse(input: &Input<'_>, config: &Config) -> Result<Self, ApiError> {
        signing_key(config)?;
        let mut errors = FieldErrors::default();
        let id = parse_id(input, &mut errors);
        errors.finish(id.map(|id| Self { id }))
    }

    async fn handle<P: Platform>(
        self,
        cx: &RequestContext<'_, P>,
        caller: Caller,
    ) -> Result<Reply, ApiError> {
        cx.run(&webhooks::Delete { caller, id: self.id }).await?;
        Ok(Reply::empty(204))
    }
}
