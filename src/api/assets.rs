//! Assets.

use serde::Serialize;

use super::context::RequestContext;
use super::endpoint::{Doc, Endpoint, Parameter, Values};
use crate::config::Config;
use crate::domain::asset::{Asset, Links, User};
use crate::domain::ids::{AssetId, FolderId, OrganizationId, UserId};
use crate::domain::timestamp::Timestamp;
use crate::error::{ApiError, ErrorCode, FieldError};
use crate::http::fields::{FieldErrors, path_id};
use crate::http::reply::Reply;
use crate::http::request::Input;
use crate::http::route::Route;
use crate::platform::Platform;
use crate::store::assets;
use crate::store::rights::{Caller, Permission};

/// `GET /v1/assets/{asset_id}`: one D1 transaction.
#[derive(Debug, Clone, PartialEq)]
pub struct Read {
    /// The asset.
    pub asset_id: AssetId,
    /// Whether the answer is to hold the user who made it.
    pub embed_user: bool,
}

impl Endpoint for Read {
    const ROUTE: Route = Route::get("/v1/assets/{asset_id}");
    const PERMISSION: Option<Permission> = Some(Permission::AssetsRead);
    const DOC: Doc = Doc {
        operation_id: "getAsset",
        tag: "Media",
        summary: "Read an asset",
        description: "",
        path: &[Parameter {
            name: "asset_id",
            description: "The id of the asset, which is its upload's.",
            values: Values::Id,
        }],
        query: &[Parameter {
            name: "embed",
            description: "What else to answer: `created_by_user`, the user of `created_by`. Without it `created_by_user` is null.",
            values: Values::OneOf(&["created_by_user"]),
        }],
        idempotency_key: false,
        success: (200, "The asset."),
        headers: &[],
        errors: &[ErrorCode::AssetNotFound],
    };
    type Caller = Caller;
    type Body = ();
    type Response = AssetResponse<'static>;

    fn parse(input: &Input<'_>, _: &Config) -> Result<Self, ApiError> {
        let mut errors = FieldErrors::default();
        let asset_id = errors.check(path_id("asset_id", input.path.get(0), AssetId::parse));
        let mut embeds = input.query.split('&').filter_map(|pair| pair.strip_prefix("embed="));
        let embed_user = embeds.clone().next().is_some();
        if embeds.any(|value| value != "created_by_user") {
            let msg = "Must be created_by_user, or left out.";
            errors.push(FieldError::new(&["query", "embed"], "enum", msg));
        }
        errors.finish(asset_id.map(|asset_id| Self { asset_id, embed_user }))
    }

    async fn handle<P: Platform>(
        self,
        cx: &RequestContext<'_, P>,
        caller: Caller,
    ) -> Result<Reply, ApiError> {
        let (asset, user) = cx.run(&assets::Read { caller, asset_id: self.asset_id }).await?;
        let url = cx.config.asset_url(&asset.r2_key, cx.origin, cx.now())?;
        Reply::json(200, &AssetResponse::new(&asset, self.embed_user.then_some(&user), url, &cx.config.links))
    }
}

/// The asset as sent: every field of the contract, null where there is no value.
#[derive(Debug, Serialize)]
pub struct AssetResponse<'a> {
    id: AssetId,
    org_id: OrganizationId,
    folder_id: Option<FolderId>,
    name: &'a str,
    r2_key: &'a str,
    url: Option<String>,
    thumbnail_url: Option<String>,
    mime_type: &'a str,
    size_bytes: u64,
    asset_type: &'a str,
    source_type: &'a str,
    source_id: &'a str,
    created_by: UserId,
    created_at: Timestamp,
    updated_at: Timestamp,
    deleted_at: Option<Timestamp>,
    deleted_by: Option<UserId>,
    created_by_user: Option<&'a User>,
}

impl<'a> AssetResponse<'a> {
    /// Puts the object's URL, the thumbnail's and the embedded user to a stored asset.
    pub fn new(
        asset: &'a Asset,
        created_by_user: Option<&'a User>,
        url: Option<String>,
        links: &Links,
    ) -> Self {
        Self {
            id: asset.id,
            org_id: asset.org_id,
            folder_id: asset.folder_id,
            name: &asset.name,
            r2_key: &asset.r2_key,
            thumbnail_url: links.thumbnail_url(asset, url.as_deref()),
            url,
            mime_type: &asset.mime_type,
            size_bytes: asset.size_bytes,
            asset_type: &asset.asset_type,
            source_type: &asset.source_type,
            source_id: &asset.source_id,
            created_by: asset.created_by,
            created_at: asset.created_at,
            updated_at: asset.updated_at,
            deleted_at: asset.deleted_at,
            deleted_by: asset.deleted_by,
            created_by_user,
        }
    }
}
