//! Confirmations of several uploads in one request.

use serde::Serialize;
use serde_json::value::RawValue;

use super::asset_response::AssetResponse;
use super::confirmations::{ConfirmedUpload, confirm_all};
use super::context::RequestContext;
use super::endpoint::{Doc, Endpoint, Example};
use crate::config::Config;
use crate::domain::api_key::Scope;
use crate::domain::asset::Links;
use crate::domain::idempotency::IdempotencyKey;
use crate::domain::ids::{AssetUploadId, FolderId};
use crate::error::{ApiError, Envelope, FieldError};
use crate::http::fields::{FieldErrors, JsonBody, id, list, optional_id};
use crate::http::reply::Reply;
use crate::http::request::Input;
use crate::http::route::Route;
use crate::platform::Platform;
use crate::store::rights::{Caller, Permission};

/// Uploads of a request at most.
const MAX_ITEMS: usize = 25;

/// `POST /v1/asset-upload-confirmations`: as many R2 HEADs as there are uploads, then one D1 transaction for all, and a
/// second one for those whose objects have no content type. What is true of one confirmation is true of each.
#[derive(Debug, Clone, PartialEq)]
pub struct ConfirmBatch {
    /// The client's name for these confirmations. Each upload is confirmed under it by itself.
    pub idempotency_key: Option<IdempotencyKey>,
    /// The uploads, none of them twice, and the folder to put each asset in.
    pub items: Vec<(AssetUploadId, Option<FolderId>)>,
}

/// The uploads to confirm. A field that stands twice is an error.
#[derive(Debug)]
#[cfg_attr(
    not(target_arch = "wasm32"),
    derive(schemars::JsonSchema),
    schemars(
        rename = "ConfirmAssetUploadsRequest",
        deny_unknown_fields,
        example = serde_json::json!({"items": [
            {"asset_upload_id": "018f4d2e-7c4b-7a35-9c1f-0242ac120002"},
            {"asset_upload_id": "018f4d2e-7c4b-7a35-9c1f-0242ac120003", "folder_id": "018f4d2b-52e7-7d18-a0c4-6b1f3e8d9a27"}
        ]})
    )
)]
pub struct ConfirmBatchBody {
    /// The uploads, none of them twice.
    #[cfg_attr(not(target_arch = "wasm32"), schemars(length(min = 1, max = 25)))]
    pub items: Vec<ItemBody>,
}

/// An upload to confirm.
#[derive(Debug)]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema), schemars(inline, deny_unknown_fields))]
pub struct ItemBody {
    /// The upload.
    pub asset_upload_id: AssetUploadId,
    /// The folder to put the asset in; null or absent for none.
    pub folder_id: Option<FolderId>,
}

/// What each confirmation came to, in the order of the request.
#[derive(Debug, Serialize)]
#[cfg_attr(
    not(target_arch = "wasm32"),
    derive(schemars::JsonSchema),
    schemars(rename = "ConfirmAssetUploadsResponse", example = example())
)]
pub struct ConfirmBatchResponse<'a> {
    /// The uploads.
    items: Vec<ItemResponse<'a>>,
}

/// What one confirmation came to: `asset` where `status` is 201, else `error`.
#[derive(Debug, Serialize)]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema), schemars(inline))]
struct ItemResponse<'a> {
    /// The upload.
    asset_upload_id: AssetUploadId,
    /// The status that a confirmation of this upload alone would have been answered with.
    status: u16,
    /// The asset.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(not(target_arch = "wasm32"), schemars(with = "AssetResponse<'static>"))]
    asset: Option<AssetResponse<'a>>,
    /// Why there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(not(target_arch = "wasm32"), schemars(with = "Envelope"))]
    error: Option<Envelope>,
}

/// An asset, and an upload without a file.
#[cfg(not(target_arch = "wasm32"))]
fn example() -> serde_json::Value {
    serde_json::json!({"items": [
                {"asset_upload_id": "018f4d2e-7c4b-7a35-9c1f-0242ac120002", "status": 201, "asset": {
                    "id": "018f4d2e-7c4b-7a35-9c1f-0242ac120002", "org_id": "018f4d2a-11d0-7c52-8b3e-5f0c9d7a6e41",
                    "folder_id": null, "name": "sunrise.png", "r2_key": "uploads/018f4d2e-7c4b-7a35-9c1f-0242ac120002",
                    "url": null, "thumbnail_url": null, "mime_type": "image/png", "size_bytes": 482133,
                    "asset_type": "image", "source_type": "upload", "source_id": "018f4d2e-7c4b-7a35-9c1f-0242ac120002",
                    "created_by": "018f4d29-8a6c-7e90-b7d2-1c4e5f6a7b83", "created_at": "2026-11-22T12:51:07.042Z",
                    "updated_at": "2026-11-22T12:51:07.042Z", "deleted_at": null, "deleted_by": null,
                    "created_by_user": {"id": "018f4d29-8a6c-7e90-b7d2-1c4e5f6a7b83", "email": "ada@example.com",
                        "first_name": "Ada", "last_name": "Byron", "avatar_url": null}}},
                {"asset_upload_id": "018f4d2e-7c4b-7a35-9c1f-0242ac120003", "status": 409, "error": {
                    "code": "OBJECT_NOT_UPLOADED",
                    "message": ApiError::ObjectNotUploaded.message(), "errors": null}}]})
}

impl<'a> ItemResponse<'a> {
    fn new(
        asset_upload_id: AssetUploadId,
        outcome: &'a Result<ConfirmedUpload, ApiError>,
        links: &Links,
    ) -> Self {
        match outcome {
            Ok(confirmed) => {
                Self { asset_upload_id, status: 201, asset: Some(confirmed.response(links)), error: None }
            }
            Err(error) => {
                let status = error.code().status();
                Self { asset_upload_id, status, asset: None, error: Some(error.envelope()) }
            }
        }
    }
}

impl Endpoint for ConfirmBatch {
    const ROUTE: Route = Route::post("/v1/asset-upload-confirmations");
    const PERMISSION: Option<Permission> = Some(Permission::AssetsWrite);
    const SCOPES: &'static [Scope] = &[Scope::Full, Scope::Upload];
    const DOC: Doc = Doc {
        operation_id: "createAssetUploadConfirmations",
        tag: "Media",
        summary: "Confirm several uploads",
        description: "Confirms up to 25 uploads, each as a confirmation of its own would: `status`, and `asset` or `error`, are what that would have answered. What is wrong with one upload keeps none of the others from becoming an asset. A wrong key, header or body is an error of the whole request, and nothing is confirmed then.",
        path: &[],
        query: &[],
        idempotency_key: Some(
            "Counts for each upload by itself, as in a confirmation of its own: in a repeat, what failed may succeed, and what succeeded is answered again. `Idempotent-Replayed` where every 201 of the answer is such a repeat.",
        ),
        success: (200, "What each confirmation came to, in the order of the request."),
        location: None,
        errors: &[],
        body_examples: &[Example { name: "two", summary: "Two uploads", changes: "{}" }],
        examples: &[Example {
            name: "mixed",
            summary: "One asset, and one upload whose file is not there",
            changes: "{}",
        }],
    };
    type Caller = Caller;
    type Body = ConfirmBatchBody;
    type Response = ConfirmBatchResponse<'static>;

    fn parse(input: &Input<'_>, _: &Config) -> Result<Self, ApiError> {
        let mut errors = FieldErrors::default();
        let mut body = JsonBody::parse(input)?;
        let values = body.required("items", |value| list("items", value, 1..=MAX_ITEMS));
        body.finish(&mut errors);
        let items = values.map(|values| parse_items(&values, &mut errors));
        let idempotency_key = errors.check(input.headers.idempotency_key());
        let fields = items.zip(idempotency_key);
        errors.finish(fields.map(|(items, idempotency_key)| Self { idempotency_key, items }))
    }

    async fn handle<P: Platform>(
        self,
        cx: &RequestContext<'_, P>,
        caller: Caller,
    ) -> Result<Reply, ApiError> {
        let ids: Vec<AssetUploadId> = self.items.iter().map(|(id, _)| *id).collect();
        let outcomes = confirm_all(cx, caller, self.idempotency_key, self.items).await?;
        let links = &cx.config.links;
        let items = ids.into_iter().zip(&outcomes).map(|(id, outcome)| ItemResponse::new(id, outcome, links));
        let reply = Reply::json(200, &ConfirmBatchResponse { items: items.collect() })?;
        let mut confirmed = outcomes.iter().flatten().peekable();
        let replayed = confirmed.peek().is_some() && confirmed.all(|confirmed| confirmed.replayed);
        Ok(reply.replayed(replayed))
    }
}

/// The items without errors.
fn parse_items(values: &[&RawValue], errors: &mut FieldErrors) -> Vec<(AssetUploadId, Option<FolderId>)> {
    let mut items: Vec<(AssetUploadId, Option<FolderId>)> = Vec::new();
    for (place, value) in values.iter().enumerate() {
        let Some(mut body) = errors.check(JsonBody::element("items", place, value)) else { continue };
        let place = place.to_string();
        let upload = body.required("asset_upload_id", |value| {
            let loc = ["body", "items", &place, "asset_upload_id"];
            let id = id(&loc, value, AssetUploadId::parse)?;
            if items.iter().any(|(other, _)| *other == id) {
                let msg = "This upload stands in the list before; name each once.";
                return Err(FieldError::new(&loc, "repeated", msg));
            }
            Ok(id)
        });
        let folder_id = body.optional("folder_id", |value| {
            optional_id(&["body", "items", &place, "folder_id"], value, FolderId::parse)
        });
        body.finish(errors);
        items.extend(upload.map(|upload| (upload, folder_id.flatten())));
    }
    items
}
