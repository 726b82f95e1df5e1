//! Assets.

use serde::Serialize;

use super::context::RequestContext;
use super::endpoint::{Doc, Endpoint, Example, Parameter, Values};
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
        idempotency_key: None,
        success: (200, "The asset."),
        location: None,
        errors: &[ErrorCode::AssetNotFound],
        body_examples: &[],
        examples: &[
            Example { name: "plain", summary: "Publicly readable, without its user", changes: "{}" },
            Example {
                name: "embedded",
                summary: "With a signed URL and `embed=created_by_user`",
                changes: r#"{"folder_id": null, "thumbnail_url": null,
                    "url": "https://0123456789abcdef0123456789abcdef.r2.cloudflarestorage.com/media/uploads/018f4d2e-7c4b-7a35-9c1f-0242ac120002?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=EXAMPLE%2F20261122%2Fauto%2Fs3%2Faws4_request&X-Amz-Date=20261122T125109Z&X-Amz-Expires=3600&X-Amz-SignedHeaders=host&X-Amz-Signature=a71ea71ea71ea71ea71ea71ea71ea71ea71ea71ea71ea71ea71ea71ea71ea71e",
                    "created_by_user": {"id": "018f4d29-8a6c-7e90-b7d2-1c4e5f6a7b83", "email": "ada@example.com",
                        "first_name": "Ada", "last_name": "Byron", "avatar_url": null}}"#,
            },
        ],
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

/// An asset. Every field is always present, null where there is no value. Times are UTC, with milliseconds and `Z`; ids
/// are lower-case.
#[derive(Debug, Serialize)]
#[cfg_attr(
    not(target_arch = "wasm32"),
    derive(schemars::JsonSchema),
    schemars(
        rename = "Asset",
        example = serde_json::json!({
            "id": "018f4d2e-7c4b-7a35-9c1f-0242ac120002",
            "org_id": "018f4d2a-11d0-7c52-8b3e-5f0c9d7a6e41",
            "folder_id": "018f4d2b-52e7-7d18-a0c4-6b1f3e8d9a27",
            "name": "sunrise.png",
            "r2_key": "uploads/018f4d2e-7c4b-7a35-9c1f-0242ac120002",
            "url": "https://media.example.com/uploads/018f4d2e-7c4b-7a35-9c1f-0242ac120002",
            "thumbnail_url": "https://media.example.com/cdn-cgi/image/width=320/uploads/018f4d2e-7c4b-7a35-9c1f-0242ac120002",
            "mime_type": "image/png",
            "size_bytes": 482_133,
            "asset_type": "image",
            "source_type": "upload",
            "source_id": "018f4d2e-7c4b-7a35-9c1f-0242ac120002",
            "created_by": "018f4d29-8a6c-7e90-b7d2-1c4e5f6a7b83",
            "created_at": "2026-11-22T12:51:07.042Z",
            "updated_at": "2026-11-22T12:51:07.042Z",
            "deleted_at": null,
            "deleted_by": null,
            "created_by_user": null
        })
    )
)]
pub struct AssetResponse<'a> {
    /// The upload's id.
    id: AssetId,
    /// The organization it belongs to.
    org_id: OrganizationId,
    /// The folder it lies in; null for none.
    folder_id: Option<FolderId>,
    /// The filename of the upload.
    name: &'a str,
    /// Key of the object in storage.
    r2_key: &'a str,
    /// Where the file can be read: its public URL, or else one that is signed anew in every answer and holds for a
    /// limited time; null where the operator has configured neither.
    url: Option<String>,
    /// Where a thumbnail can be read; images only, and null where none is configured.
    thumbnail_url: Option<String>,
    /// What storage reports, lower-case and without parameters; the declared type where the object was stored without
    /// one.
    mime_type: &'a str,
    /// What storage reports.
    #[cfg_attr(not(target_arch = "wasm32"), schemars(range(min = 1)))]
    size_bytes: u64,
    /// What the media type makes of it.
    #[cfg_attr(not(target_arch = "wasm32"), schemars(with = "crate::domain::media::AssetType"))]
    asset_type: &'a str,
    /// How the asset came to be.
    #[cfg_attr(not(target_arch = "wasm32"), schemars(extend("enum" = ["upload"])))]
    source_type: &'a str,
    /// The upload's id.
    source_id: &'a str,
    /// The user who confirmed the upload.
    created_by: UserId,
    /// When the upload was confirmed.
    created_at: Timestamp,
    /// When the asset was last changed.
    updated_at: Timestamp,
    /// When the asset was deleted; null while it is not.
    deleted_at: Option<Timestamp>,
    /// Who deleted it; null while it is not.
    deleted_by: Option<UserId>,
    /// The user of `created_by`. There when an upload is confirmed, and on reading with `embed=created_by_user`; else
    /// null.
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
