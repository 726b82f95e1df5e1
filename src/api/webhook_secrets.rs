//! The secret of a webhook: giving it another one.

use super::context::RequestContext;
use super::endpoint::{Doc, Endpoint};
use super::webhooks::{ID, NewWebhook, parse_id, signing_key};
use crate::config::Config;
use crate::domain::ids::WebhookId;
use crate::error::{ApiError, ErrorCode};
use crate::http::fields::{FieldErrors, JsonBody};
use crate::http::reply::Reply;
use crate::http::request::Input;
use crate::http::route::Route;
use crate::platform::Platform;
use crate::store::rights::{Caller, Permission};
use crate::store::webhooks;

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
