//! Assets: reading one, renaming and moving it, the trash.

use serde_json::value::RawValue;

use super::asset_response::AssetResponse;
use super::context::RequestContext;
use super::endpoint::{Doc, Endpoint, Example, Parameter, Values};
use crate::config::Config;
use crate::domain::ids::{AssetId, FolderId};
use crate::domain::upload::Filename;
use crate::error::{ApiError, ErrorCode, FieldError};
use crate::http::fields::{FieldErrors, JsonBody, filename, optional_id, path_id};
use crate::http::projection::{Fields, Projected};
use crate::http::query::Query;
use crate::http::reply::Reply;
use crate::http::request::Input;
use crate::http::route::Route;
use crate::platform::Platform;
use crate::store::assets;
use crate::store::rights::{Caller, Permission};

/// The path parameter of an asset's endpoints.
const ID: Parameter = Parameter {
    name: "asset_id",
    description: "The id of the asset, which is its upload's.",
    values: Values::Id,
};

/// What else an asset is answered with.
pub(super) const EMBED: Parameter = Parameter {
    name: "embed",
    description: "What else to answer: `created_by_user`, the user of `created_by`. Without it `created_by_user` is null.",
    values: Values::OneOf(&["created_by_user"]),
};

/// Which fields are answered.
pub(super) const FIELDS: Parameter = Parameter {
    name: "fields",
    description: "The names of the fields to answer, separated by commas. Without it all of them.",
    values: Values::Text("id,name"),
};

/// Whether the answer is to hold the user who made an asset.
pub(super) fn parse_embed(query: &mut Query, errors: &mut FieldErrors) -> bool {
    let parse = |text: &str| {
        let msg = "Must be created_by_user, or left out.";
        Some(())
            .filter(|()| text == "created_by_user")
            .ok_or_else(|| FieldError::new(&["query", "embed"], "enum", msg))
    };
    query.optional("embed", errors, parse).is_some()
}

fn parse_id(input: &Input<'_>, errors: &mut FieldErrors) -> Option<AssetId> {
    errors.check(path_id(ID.name, input.path.get(0), AssetId::parse))
}

/// `GET /v1/assets/{asset_id}`: one D1 transaction.
#[derive(Debug, Clone, PartialEq)]
pub struct Read {
    /// The asset.
    pub asset_id: AssetId,
    /// Whether the answer is to hold the user who made it.
    pub embed_user: bool,
    /// What of it is answered.
    pub fields: Fields,
}

impl Endpoint for Read {
    const ROUTE: Route = Route::get("/v1/assets/{asset_id}");
    const PERMISSION: Option<Permission> = Some(Permission::AssetsRead);
    const DOC: Doc = Doc {
        operation_id: "getAsset",
        tag: "Media",
        summary: "Read an asset",
        description: "",
        path: &[ID],
        query: &[EMBED, FIELDS],
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
    type Response = Projected<'static, AssetResponse<'static>>;

    fn parse(input: &Input<'_>, _: &Config) -> Result<Self, ApiError> {
        let mut errors = FieldErrors::default();
        let asset_id = parse_id(input, &mut errors);
        let mut query = Query::parse(input.query);
        let embed_user = parse_embed(&mut query, &mut errors);
        let fields = Fields::parse::<AssetResponse<'_>>(&mut query, &mut errors);
        query.finish(&mut errors);
        errors.finish(asset_id.map(|asset_id| Self { asset_id, embed_user, fields }))
    }

    async fn handle<P: Platform>(
        self,
        cx: &RequestContext<'_, P>,
        caller: Caller,
    ) -> Result<Reply, ApiError> {
        let (asset, user) = cx.run(&assets::Read { caller, asset_id: self.asset_id }).await?;
        let with_url = AssetResponse::needs_url(&self.fields);
        let url = if with_url { cx.config.asset_url(&asset.r2_key, cx.origin, cx.now())? } else { None };
        let user = self.embed_user.then_some(&user);
        let response = AssetResponse::new(&asset, user, url, &cx.config.links);
        Reply::json(200, &self.fields.of(response))
    }
}

/// `PATCH /v1/assets/{asset_id}`: one D1 transaction.
#[derive(Debug, Clone, PartialEq)]
pub struct Update {
    /// The asset.
    pub asset_id: AssetId,
    /// Its new name.
    pub name: Option<Filename>,
    /// Its new folder; `Some(None)` takes it out of its folder.
    pub folder_id: Option<Option<FolderId>>,
}

/// What to change of an asset: at least one field. What is left out stays as it is.
#[derive(Debug)]
#[cfg_attr(
    not(target_arch = "wasm32"),
    derive(schemars::JsonSchema),
    schemars(
        rename = "UpdateAssetRequest",
        deny_unknown_fields,
        extend("minProperties" = 1),
        example = serde_json::json!({"name": "sunset.png", "folder_id": null})
    )
)]
pub struct UpdateBody {
    /// Its new name, with the same rules as the filename of an upload.
    #[cfg_attr(
        not(target_arch = "wasm32"),
        schemars(
            extend("type" = "string"),
            length(min = 1, max = 500),
            regex(pattern = r"^[^\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069/\\]+$"),
            extend("not" = {"enum": [".", ".."]})
        )
    )]
    pub name: Option<String>,
    /// Its new folder; null takes it out of its folder.
    pub folder_id: Option<FolderId>,
}

impl Endpoint for Update {
    const ROUTE: Route = Route::patch("/v1/assets/{asset_id}");
    const PERMISSION: Option<Permission> = Some(Permission::AssetsWrite);
    const DOC: Doc = Doc {
        operation_id: "updateAsset",
        tag: "Media",
        summary: "Rename or move an asset",
        description: "The object in storage stays as it is: a download keeps the name of the upload.",
        path: &[ID],
        query: &[],
        idempotency_key: None,
        success: (200, "The asset as it is now."),
        location: None,
        errors: &[ErrorCode::AssetNotFound, ErrorCode::FolderNotFound],
        body_examples: &[Example { name: "both", summary: "A new name, in no folder", changes: "{}" }],
        examples: &[],
    };
    type Caller = Caller;
    type Body = UpdateBody;
    type Response = AssetResponse<'static>;

    fn parse(input: &Input<'_>, _: &Config) -> Result<Self, ApiError> {
        let mut errors = FieldErrors::default();
        let mut body = JsonBody::parse(input)?;
        let name = body.optional("name", |value: &RawValue| filename("name", value));
        let folder_id =
            body.optional("folder_id", |value| optional_id(&["body", "folder_id"], value, FolderId::parse));
        body.require_one("Send name, folder_id or both.");
        body.finish(&mut errors);
        let asset_id = parse_id(input, &mut errors);
        errors.finish(asset_id.map(|asset_id| Self { asset_id, name, folder_id }))
    }

    async fn handle<P: Platform>(
        self,
        cx: &RequestContext<'_, P>,
        caller: Caller,
    ) -> Result<Reply, ApiError> {
        let Self { asset_id, name, folder_id } = self;
        let asset = cx.run(&assets::Update { caller, asset_id, name, folder_id }).await?;
        let url = cx.config.asset_url(&asset.r2_key, cx.origin, cx.now())?;
        Reply::json(200, &AssetResponse::new(&asset, None, url, &cx.config.links))
    }
}

/// `DELETE /v1/assets/{asset_id}`: one D1 transaction. The object stays until the purge.
#[derive(Debug, Clone, PartialEq)]
pub struct Delete {
    /// The asset.
    pub asset_id: AssetId,
}

impl Endpoint for Delete {
    const ROUTE: Route = Route::delete("/v1/assets/{asset_id}");
    const PERMISSION: Option<Permission> = Some(Permission::AssetsWrite);
    const DOC: Doc = Doc {
        operation_id: "deleteAsset",
        tag: "Media",
        summary: "Put an asset into the trash",
        description: "It can be restored until it is purged, which happens some days later (30, unless the operator says otherwise). A repeat is answered the same while it is in the trash. Signed URLs that were handed out before hold until they expire.",
        path: &[ID],
        query: &[],
        idempotency_key: None,
        success: (204, "The asset is in the trash. No body."),
        location: None,
        errors: &[ErrorCode::AssetNotFound],
        body_examples: &[],
        examples: &[],
    };
    type Caller = Caller;
    type Body = ();
    type Response = ();

    fn parse(input: &Input<'_>, _: &Config) -> Result<Self, ApiError> {
        let mut errors = FieldErrors::default();
        let asset_id = parse_id(input, &mut errors);
        errors.finish(asset_id.map(|asset_id| Self { asset_id }))
    }

    async fn handle<P: Platform>(
        self,
        cx: &RequestContext<'_, P>,
        caller: Caller,
    ) -> Result<Reply, ApiError> {
        cx.run(&assets::Delete { caller, asset_id: self.asset_id }).await?;
        Ok(Reply::empty(204))
    }
}

/// `POST /v1/assets/{asset_id}/restorations`: one D1 transaction.
#[derive(Debug, Clone, PartialEq)]
pub struct Restore {
    /// The asset.
    pub asset_id: AssetId,
}

impl Endpoint for Restore {
    const ROUTE: Route = Route::post("/v1/assets/{asset_id}/restorations");
    const PERMISSION: Option<Permission> = Some(Permission::AssetsWrite);
    const DOC: Doc = Doc {
        operation_id: "createAssetRestoration",
        tag: "Media",
        summary: "Take an asset out of the trash",
        description: "It returns to its folder, or to none if that is gone. An asset that is not in the trash is answered as it is. One that has been purged is unknown.",
        path: &[ID],
        query: &[],
        idempotency_key: None,
        success: (201, "The asset is not in the trash."),
        location: Some(Read::ROUTE),
        errors: &[ErrorCode::AssetNotFound],
        body_examples: &[],
        examples: &[],
    };
    type Caller = Caller;
    type Body = ();
    type Response = AssetResponse<'static>;

    fn parse(input: &Input<'_>, _: &Config) -> Result<Self, ApiError> {
        let mut errors = FieldErrors::default();
        JsonBody::parse_optional(input)?.finish(&mut errors);
        let asset_id = parse_id(input, &mut errors);
        errors.finish(asset_id.map(|asset_id| Self { asset_id }))
    }

    async fn handle<P: Platform>(
        self,
        cx: &RequestContext<'_, P>,
        caller: Caller,
    ) -> Result<Reply, ApiError> {
        let (asset, user) = cx.run(&assets::Restore { caller, asset_id: self.asset_id }).await?;
        let url = cx.config.asset_url(&asset.r2_key, cx.origin, cx.now())?;
        let body = AssetResponse::new(&asset, Some(&user), url, &cx.config.links);
        Ok(Reply::json(201, &body)?.with_header("location", format!("/v1/assets/{}", asset.id)))
    }
}
