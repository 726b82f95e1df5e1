//! Who the caller is.

use serde::Serialize;
use serde_json::value::RawValue;

use super::context::RequestContext;
use super::endpoint::{Doc, Endpoint, Example};
use crate::config::Config;
use crate::domain::account::{Account, CurrentKey};
#[cfg(not(target_arch = "wasm32"))]
use crate::domain::account::{AccountUser, Membership};
use crate::domain::ids::OrganizationId;
use crate::error::ApiError;
use crate::http::fields::FieldErrors;
use crate::http::query::Query;
use crate::http::reply::Reply;
use crate::http::request::Input;
use crate::http::route::Route;
use crate::platform::Platform;
use crate::store::account;
use crate::store::rights::{Caller, Permission};

/// `GET /v1/auth/me`: one D1 transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Read;

impl Endpoint for Read {
    const ROUTE: Route = Route::get("/v1/auth/me");
    const PERMISSION: Option<Permission> = Some(Permission::AnyKey);
    const DOC: Doc = Doc {
        operation_id: "getMe",
        tag: "Account",
        summary: "See whose key this is, and what it may do",
        description: "Any valid key may ask, also one that may do nothing else yet: of a user whose e-mail address is not verified, or who has no organization or no role. A key of the scope `upload` sees of its user the `id` alone, and of the organizations its own.",
        path: &[],
        query: &[],
        idempotency_key: None,
        success: (200, "The user, the key, and the organizations."),
        location: None,
        errors: &[],
        body_examples: &[],
        examples: &[
            Example { name: "full", summary: "A key of the scope `full`", changes: "{}" },
            Example {
                name: "upload",
                summary: "A key of the scope `upload`",
                changes: r#"{"user": {"id": "018f4d29-8a6c-7e90-b7d2-1c4e5f6a7b83"},
                    "key": {"id": "018f4d2f-0b6e-7c13-8f52-9d1a4e7b3c60", "name": "Page of order 4711",
                        "scope": "upload", "org_id": "018f4d2a-11d0-7c52-8b3e-5f0c9d7a6e41",
                        "expires_at": "2026-11-22T13:06:07.042Z", "limits": {"max_uploads": 10},
                        "impersonator_id": null}}"#,
            },
        ],
    };
    type Caller = Caller;
    type Body = ();
    type Response = AccountResponse;

    fn parse(input: &Input<'_>, _: &Config) -> Result<Self, ApiError> {
        let mut errors = FieldErrors::default();
        Query::parse(input.query).finish(&mut errors);
        errors.finish(Some(Self))
    }

    async fn handle<P: Platform>(
        self,
        cx: &RequestContext<'_, P>,
        caller: Caller,
    ) -> Result<Reply, ApiError> {
        let Account { user, key, organizations, current_organization_id } =
            cx.run(&account::Read { caller }).await?;
        Reply::json(200, &AccountResponse { user, key, organizations, current_organization_id })
    }
}

/// Whose key this is, and what it may do.
#[derive(Debug, Serialize)]
#[cfg_attr(
    not(target_arch = "wasm32"),
    derive(schemars::JsonSchema),
    schemars(
        example = serde_json::json!({
            "user": {
                "id": "018f4d29-8a6c-7e90-b7d2-1c4e5f6a7b83",
                "email": "ada@example.com",
                "first_name": "Ada",
                "last_name": "Byron",
                "avatar_url": null,
                "email_verified": true
            },
            "key": {
                "id": "018f4d2e-93c7-7aa4-b1e8-3f5c6d7e8f90",
                "name": "Backend",
                "scope": "full",
                "org_id": null,
                "expires_at": null,
                "limits": null,
                "impersonator_id": null
            },
            "organizations": [{
                "id": "018f4d2a-11d0-7c52-8b3e-5f0c9d7a6e41",
                "name": "Acme",
                "role": "editor",
                "permissions": ["assets:read", "assets:write"]
            }],
            "current_organization_id": "018f4d2a-11d0-7c52-8b3e-5f0c9d7a6e41"
        })
    )
)]
pub struct AccountResponse {
    /// Whose key it is.
    #[cfg_attr(not(target_arch = "wasm32"), schemars(with = "AccountUser"))]
    user: Box<RawValue>,
    /// The key.
    key: CurrentKey,
    /// The organizations that the user is a member of.
    #[cfg_attr(not(target_arch = "wasm32"), schemars(with = "Vec<Membership>"))]
    organizations: Box<RawValue>,
    /// The organization that this request would act in; null where none resolves.
    current_organization_id: Option<OrganizationId>,
}
