//! The secret of a webhook: how it is shown, and giving it another one.

use serde::Serialize;

use super::context::RequestContext;
use super::endpoint::{Doc, Endpoint};
use super::webhooks::{ID, parse_id, signing_key};
use crate::config::Config;
use crate::domain::ids::WebhookId;
use crate::domain::webhook::Webhook;
use crate::error::{ApiError, ErrorCode};
use crate::http::fields::{FieldErrors, JsonBody};
use crate::http::reply::Reply;
use crate::http::request::Input;
use crate::http::route::Route;
use crate::platform::Platform;
use crate::store::rights::{Caller, Permission};
use crate::store::webhooks;

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

/// `POST /v1/webhooks/{webhook_id}/secret-rotations`: one D1 transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rotate {
    /// The webhook.
    pub id: WebhookId,
}

impl Endpoint for Rotate {
    const ROUTE: Route = Route::post("/v1/webhooks/{webhook_id}/secret-rotations");
    const PERMISSION: Option<Permission> = Some(Permission::WebhooksManage);
    const DOC: Doc = Doc {
        operation_id: "createWebhookSecretRotation",
        tag: "Webhooks",
        summary: "Give a webhook a new secret",
        description: "For 24 hours deliveries carry the signatures of both secrets. A repeat makes another one; at most the four before it still sign.",
        path: &[ID],
        query: &[],
        idempotency_key: None,
        success: (201, "The webhook, with the new `secret`, which is shown this once."),
        location: None,
        errors: &[ErrorCode::WebhookNotFound],
        body_examples: &[],
        examples: &[],
    };
    type Caller = Caller;
    type Body = ();
    type Response = NewWebhook;

    fn parse(input: &Input<'_>, config: &Config) -> Result<Self, ApiError> {
        signing_key(config)?;
        let mut errors = FieldErrors::default();
        JsonBody::parse_optional(input)?.finish(&mut errors);
        let id = parse_id(input, &mut errors);
        errors.finish(id.map(|id| Self { id }))
    }

    async fn handle<P: Platform>(
        self,
        cx: &RequestContext<'_, P>,
        caller: Caller,
    ) -> Result<Reply, ApiError> {
        let rotate = webhooks::Rotate { caller, id: self.id, request_id: cx.request_id };
        let (webhook, version) = cx.run(&rotate).await?;
        let secret = signing_key(cx.config)?.secret(self.id, version).text();
        Reply::json(201, &NewWebhook { webhook, secret })
    }
}
