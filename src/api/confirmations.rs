//! Confirmations of uploads: the only endpoint that creates an asset.

use super::asset_response::AssetResponse;
use super::asset_uploads::ID;
use super::assets;
use super::context::RequestContext;
use super::endpoint::{Doc, Endpoint, Example};
use crate::config::Config;
use crate::domain::api_key::Scope;
use crate::domain::idempotency::IdempotencyKey;
use crate::domain::ids::{AssetUploadId, FolderId};
use crate::domain::upload::ObjectState;
use crate::error::{ApiError, ErrorCode};
use crate::http::fields::{FieldErrors, JsonBody, optional_id, path_id};
use crate::http::reply::Reply;
use crate::http::request::Input;
use crate::http::route::Route;
use crate::platform::Platform;
use crate::store::confirm;
use crate::store::rights::{Caller, Permission};

/// `POST /v1/asset-uploads/{asset_upload_id}/confirmations`
///
/// 1. An R2 HEAD of the object. If it fails, step 2 runs nevertheless: errors of rights and session come first.
/// 2. One D1 transaction writes the asset, if the object is valid and every other check passes, and reads what
///    determines the answer.
///
/// An object that was stored without a content type gets the declared one. Only the session has that, so step 2 runs
/// twice then. A signed PUT always stores a type.
#[derive(Debug, Clone, PartialEq)]
pub struct Confirm {
    /// The upload.
    pub asset_upload_id: AssetUploadId,
    /// The client's name for this confirmation.
    pub idempotency_key: Option<IdempotencyKey>,
    /// The folder to put the asset in.
    pub folder_id: Option<FolderId>,
}

/// What to make of the upload. A field that stands twice is an error.
#[derive(Debug)]
#[cfg_attr(
    not(target_arch = "wasm32"),
    derive(schemars::JsonSchema),
    schemars(
        rename = "ConfirmAssetUploadRequest",
        deny_unknown_fields,
        example = serde_json::json!({})
    )
)]
pub struct ConfirmBody {
    /// The folder to put the asset in; null or absent for none.
    pub folder_id: Option<FolderId>,
}

impl Endpoint for Confirm {
    const ROUTE: Route = Route::post("/v1/asset-uploads/{asset_upload_id}/confirmations");
    const PERMISSION: Option<Permission> = Some(Permission::AssetsWrite);
    const SCOPES: &'static [Scope] = &[Scope::Full, Scope::Upload];
    const DOC: Doc = Doc {
        operation_id: "createAssetUploadConfirmation",
        tag: "Media",
        summary: "Confirm upload and create asset record",
        description: "Call this once the file is in storage. The object is looked up there, its actual size and MIME type are verified, and the asset is created, exactly once however many requests race. After any 4xx or 5xx the session is as it was: repair what is wrong and confirm again.",
        path: &[ID],
        query: &[],
        idempotency_key: Some(
            "A repeat by the same user with the same key and the same body (`folder_id` null and absent are the same) is answered 201 with the asset as it is now, marked `Idempotent-Replayed`; with another body it is 422, and once the asset is deleted 404. By anybody else, or without the header, a repeat is 409.",
        ),
        success: (201, "The asset exists and is this confirmation's."),
        location: Some(assets::Read::ROUTE),
        errors: &[
            ErrorCode::AssetUploadNotFound,
            ErrorCode::AssetUploadAlreadyConfirmed,
            ErrorCode::AssetNotFound,
            ErrorCode::AssetUploadExpired,
            ErrorCode::FolderNotFound,
            ErrorCode::StorageUnavailable,
            ErrorCode::ObjectNotUploaded,
            ErrorCode::UploadRejected,
        ],
        body_examples: &[
            Example { name: "no_folder", summary: "Into no folder", changes: "{}" },
            Example {
                name: "folder",
                summary: "Into a folder",
                changes: r#"{"folder_id": "018f4d2b-52e7-7d18-a0c4-6b1f3e8d9a27"}"#,
            },
        ],
        examples: &[
            Example {
                name: "folder",
                summary: "In a folder, publicly readable",
                changes: r#"{"created_by_user": {"id": "018f4d29-8a6c-7e90-b7d2-1c4e5f6a7b83", "email": "ada@example.com",
                    "first_name": "Ada", "last_name": "Byron", "avatar_url": null}}"#,
            },
            Example {
                name: "bare",
                summary: "In no folder, no URL configured",
                changes: r#"{"folder_id": null, "url": null, "thumbnail_url": null,
                    "created_by_user": {"id": "018f4d29-8a6c-7e90-b7d2-1c4e5f6a7b83", "email": "ada@example.com",
                        "first_name": null, "last_name": null, "avatar_url": null}}"#,
            },
        ],
    };
    type Caller = Caller;
    type Body = ConfirmBody;
    type Response = AssetResponse<'static>;

    fn parse(input: &Input<'_>, _: &Config) -> Result<Self, ApiError> {
        let mut errors = FieldErrors::default();
        let mut body = JsonBody::parse(input)?;
        let folder_id = body
            .optional("folder_id", |value| optional_id(&["body", "folder_id"], value, FolderId::parse))
            .flatten();
        body.finish(&mut errors);
        let id = errors.check(path_id(ID.name, input.path.get(0), AssetUploadId::parse));
        let idempotency_key = errors.check(input.headers.idempotency_key());
        let fields = id.zip(idempotency_key);
        errors.finish(fields.map(|(asset_upload_id, idempotency_key)| Self {
            asset_upload_id,
            idempotency_key,
            folder_id,
        }))
    }

    async fn handle<P: Platform>(
        self,
        cx: &RequestContext<'_, P>,
        caller: Caller,
    ) -> Result<Reply, ApiError> {
        let rules = &cx.config.rules;
        let object = match cx.platform.head_object(&self.asset_upload_id.object_key()).await {
            Ok(Some(object)) => rules.verify(object),
            Ok(None) => ObjectState::Missing,
            Err(error) => ObjectState::Unavailable(error.message),
        };
        let mut confirm = confirm::Confirm {
            caller,
            asset_upload_id: self.asset_upload_id,
            folder_id: self.folder_id,
            idempotency_key: self.idempotency_key,
            request_id: cx.request_id,
            object,
            rules,
        };
        loop {
            match (cx.run(&confirm).await?, confirm.object) {
                (confirm::Confirmed::Asset { asset, created_by_user, replayed }, _) => {
                    let url = cx.config.asset_url(&asset.r2_key, cx.origin, cx.now())?;
                    let body = AssetResponse::new(&asset, Some(&created_by_user), url, &cx.config.links);
                    let reply =
                        Reply::json(201, &body)?.with_header("location", format!("/v1/assets/{}", asset.id));
                    return Ok(if replayed {
                        reply.with_header("idempotent-replayed", "true")
                    } else {
                        reply
                    });
                }
                (confirm::Confirmed::NeedsDeclaredType(declared), ObjectState::Untyped(object)) => {
                    confirm.object = rules.verify_as(object, &declared);
                }
                (confirm::Confirmed::NeedsDeclaredType(_), _) => {
                    return Err(ApiError::Internal("a typed object needs no declared type".to_owned()));
                }
            }
        }
    }
}
