//! What assets can be: the types that may be uploaded, and how assets come to be.

use serde::Serialize;

use super::context::RequestContext;
use super::endpoint::{Doc, Endpoint};
use crate::config::Config;
use crate::domain::api_key::Scope;
use crate::domain::media::AssetType;
use crate::error::ApiError;
use crate::http::fields::FieldErrors;
use crate::http::query::Query;
use crate::http::reply::Reply;
use crate::http::request::Input;
use crate::http::route::Route;
use crate::platform::Platform;
use crate::store::rights::{Caller, CheckRights, Permission};

/// `GET /v1/assets/types`: one D1 transaction, for the rights; the answer is the configuration's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Types;

/// `GET /v1/assets/source-types`: one D1 transaction, for the rights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceTypes;

/// A request without parameters.
fn parse_bare(input: &Input<'_>) -> Result<(), ApiError> {
    let mut errors = FieldErrors::default();
    Query::parse(input.query).finish(&mut errors);
    errors.finish(Some(()))
}

impl Endpoint for Types {
    const ROUTE: Route = Route::get("/v1/assets/types");
    const PERMISSION: Option<Permission> = Some(Permission::AssetsRead);
    const SCOPES: &'static [Scope] = &Scope::ALL;
    const DOC: Doc = Doc {
        operation_id: "listAssetTypes",
        tag: "Media",
        summary: "See what may be uploaded",
        description: "As the operator has configured it.",
        path: &[],
        query: &[],
        idempotency_key: None,
        success: (200, "The types of which assets can be made."),
        location: None,
        errors: &[],
        body_examples: &[],
        examples: &[],
    };
    type Caller = Caller;
    type Body = ();
    type Response = AssetTypesResponse;

    fn parse(input: &Input<'_>, _: &Config) -> Result<Self, ApiError> {
        parse_bare(input).map(|()| Self)
    }

    async fn handle<P: Platform>(
        self,
        cx: &RequestContext<'_, P>,
        caller: Caller,
    ) -> Result<Reply, ApiError> {
        cx.run(&CheckRights { caller }).await?;
        let rules = &cx.config.rules;
        let items = AssetType::ALL.into_iter().filter_map(|asset_type| {
            let mime_types = rules.allowed_types.patterns_of(asset_type);
            let (code, max_size_bytes) = (asset_type.as_str(), rules.max_bytes);
            (!mime_types.is_empty()).then_some(PermittedType { code, mime_types, max_size_bytes })
        });
        Reply::json(200, &AssetTypesResponse { items: items.collect() })
    }
}

impl Endpoint for SourceTypes {
    const ROUTE: Route = Route::get("/v1/assets/source-types");
    const PERMISSION: Option<Permission> = Some(Permission::AssetsRead);
    const DOC: Doc = Doc {
        operation_id: "listAssetSourceTypes",
        tag: "Media",
        summary: "See how assets come to be",
        description: "",
        path: &[],
        query: &[],
        idempotency_key: None,
        success: (200, "The values of `source_type`."),
        location: None,
        errors: &[],
        body_examples: &[],
        examples: &[],
    };
    type Caller = Caller;
    type Body = ();
    type Response = SourceTypesResponse;

    fn parse(input: &Input<'_>, _: &Config) -> Result<Self, ApiError> {
        parse_bare(input).map(|()| Self)
    }

    async fn handle<P: Platform>(
        self,
        cx: &RequestContext<'_, P>,
        caller: Caller,
    ) -> Result<Reply, ApiError> {
        cx.run(&CheckRights { caller }).await?;
        Reply::json(200, &SourceTypesResponse { items: [SourceType { code: "upload", label: "Upload" }] })
    }
}

/// What may be uploaded.
#[derive(Debug, Serialize)]
#[cfg_attr(
    not(target_arch = "wasm32"),
    derive(schemars::JsonSchema),
    schemars(example = serde_json::json!({"items": [
        {"code": "image", "mime_types": ["image/*"], "max_size_bytes": 52_428_800},
        {"code": "document", "mime_types": ["application/pdf", "text/plain"], "max_size_bytes": 52_428_800}
    ]}))
)]
pub struct AssetTypesResponse {
    /// One for each type that some permitted file has.
    items: Vec<PermittedType>,
}

/// A type of assets that may be uploaded.
#[derive(Debug, Serialize)]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema), schemars(inline))]
struct PermittedType {
    /// As in `asset_type`.
    #[cfg_attr(not(target_arch = "wasm32"), schemars(with = "AssetType"))]
    code: &'static str,
    /// The media types: `image/png`, or `image/*` for all of a kind but those that end in `xml`. One with `!` in front
    /// is not permitted, although another entry covers it.
    mime_types: Vec<String>,
    /// How large a file may be.
    max_size_bytes: u64,
}

/// How assets come to be.
#[derive(Debug, Serialize)]
#[cfg_attr(
    not(target_arch = "wasm32"),
    derive(schemars::JsonSchema),
    schemars(example = serde_json::json!({"items": [{"code": "upload", "label": "Upload"}]}))
)]
pub struct SourceTypesResponse {
    /// All of them.
    items: [SourceType; 1],
}

/// A way in which assets come to be.
#[derive(Debug, Serialize)]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema), schemars(inline))]
struct SourceType {
    /// As in `source_type`.
    code: &'static str,
    /// For people.
    label: &'static str,
}
