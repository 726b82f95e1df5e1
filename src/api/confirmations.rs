//! Confirmations of uploads: what alone creates assets.

use std::cell::RefCell;
use std::pin::Pin;

use super::asset_response::AssetResponse;
use super::asset_uploads::ID;
use super::assets;
use super::context::RequestContext;
use super::endpoint::{Doc, Endpoint, Example};
use crate::concurrent::{Task, run_all};
use crate::config::{AssetUrls, Config};
use crate::domain::api_key::Scope;
use crate::domain::asset::{Asset, Links, User};
use crate::domain::idempotency::IdempotencyKey;
use crate::domain::ids::{AssetUploadId, FolderId};
use crate::domain::upload::{ObjectState, UploadRules};
use crate::error::{ApiError, ErrorCode};
use crate::http::fields::{FieldErrors, JsonBody, optional_id, path_id};
use crate::http::reply::Reply;
use crate::http::request::Input;
use crate::http::route::Route;
use crate::platform::Platform;
use crate::store::confirm::{self, By, Confirmed, Item};
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
        let item = (self.asset_upload_id, self.folder_id);
        let outcomes = confirm_all(cx, caller, self.idempotency_key, vec![item]).await?;
        let outcome = outcomes.into_iter().next();
        let confirmed =
            outcome.ok_or_else(|| ApiError::Internal("a confirmation without an outcome".to_owned()))??;
        let body = confirmed.response(&cx.config.links);
        let location = format!("/v1/assets/{}", confirmed.asset.id);
        let reply = Reply::json(201, &body)?.with_header("location", location);
        Ok(reply.replayed(confirmed.replayed))
    }
}

/// HEADs at a time. The platform opens at most six connections for a request.
const HEADS_AT_A_TIME: usize = 6;

/// A confirmed upload.
pub(super) struct ConfirmedUpload {
    asset: Box<Asset>,
    created_by_user: User,
    url: Option<String>,
    /// Whether an earlier request made the asset.
    pub(super) replayed: bool,
}

impl ConfirmedUpload {
    /// The asset as it is answered.
    pub(super) fn response(&self, links: &Links) -> AssetResponse<'_> {
        AssetResponse::new(&self.asset, Some(&self.created_by_user), self.url.clone(), links)
    }
}

/// What one confirmation came to in the database.
pub(crate) type ConfirmOutcome = Result<Confirmed, ApiError>;

/// What each of several confirmations came to.
pub(super) type Outcomes = Vec<Result<ConfirmedUpload, ApiError>>;

/// Confirms uploads for a client, each into a folder or into none: what each came to, in the same order. Boxed, so that
/// the Worker has this code once.
///
/// # Errors
/// Those of the caller's rights; `StorageUnavailable` where the database does not answer, and then nothing was lost.
pub(super) fn confirm_all<'a, P: Platform>(
    cx: &'a RequestContext<'_, P>,
    caller: Caller,
    idempotency_key: Option<IdempotencyKey>,
    items: Vec<(AssetUploadId, Option<FolderId>)>,
) -> Pin<Box<dyn Future<Output = Result<Outcomes, ApiError>> + 'a>> {
    Box::pin(async move {
        let outcomes = confirm_objects(cx, caller, idempotency_key, items, By::Client).await?;
        let any = outcomes.iter().any(Result::is_ok);
        let urls = any.then(|| cx.config.asset_urls(cx.origin, cx.now())).transpose()?;
        Ok(outcomes.into_iter().map(|outcome| with_url(outcome, urls.as_ref())).collect())
    })
}

/// Confirms uploads by the objects that are in storage; the one operation by which assets come to be. Boxed, so that the
/// Worker has this code once.
///
/// # Errors
/// As [`confirm_all`].
pub(crate) fn confirm_objects<'a, P: Platform>(
    cx: &'a RequestContext<'_, P>,
    caller: Caller,
    idempotency_key: Option<IdempotencyKey>,
    items: Vec<(AssetUploadId, Option<FolderId>)>,
    by: By,
) -> Pin<Box<dyn Future<Output = Result<Vec<ConfirmOutcome>, ApiError>> + 'a>> {
    Box::pin(async move {
        let rules = &cx.config.rules;
        let verified = RefCell::new(Vec::with_capacity(items.len()));
        let heads = items.into_iter().enumerate().map(|(place, (asset_upload_id, folder_id))| -> Task<'_> {
            let verified = &verified;
            Box::pin(async move {
                let object = match cx.platform.head_object(&asset_upload_id.object_key()).await {
                    Ok(Some(object)) => rules.verify(object),
                    Ok(None) => ObjectState::Missing,
                    Err(error) => ObjectState::Unavailable(error.message),
                };
                verified.borrow_mut().push((place, Item { asset_upload_id, folder_id, object }));
            })
        });
        run_all(heads.collect(), HEADS_AT_A_TIME).await;
        let mut items = verified.take();
        items.sort_unstable_by_key(|(place, _)| *place);
        let items = items.into_iter().map(|(_, item)| item).collect();
        let request_id = cx.request_id;
        let mut confirm = confirm::Confirm { caller, items, idempotency_key, request_id, rules, by };
        let mut outcomes = cx.run(&confirm).await?;
        let items = std::mem::take(&mut confirm.items);
        for by in [by, By::ClientAfterStorage] {
            let (places, again) = items_again(&items, &outcomes, rules, by == By::ClientAfterStorage);
            if places.is_empty() {
                continue;
            }
            (confirm.items, confirm.by) = (again, by);
            // The others stand already, whatever becomes of these.
            let again = cx.run(&confirm).await;
            let again = again.unwrap_or_else(|error| vec![Err(error); places.len()]);
            for (place, outcome) in places.into_iter().zip(again) {
                if let Some(old) = outcomes.get_mut(place) {
                    *old = outcome;
                }
            }
        }
        Ok(outcomes)
    })
}

/// The items that are to be confirmed again, with their places: those that have no content type, verified as what their
/// sessions declare; or those whose assets await a client.
fn items_again(
    items: &[Item],
    outcomes: &[Result<Confirmed, ApiError>],
    rules: &UploadRules,
    awaiting: bool,
) -> (Vec<usize>, Vec<Item>) {
    let again = items.iter().zip(outcomes).enumerate().filter_map(|(place, (item, outcome))| {
        let object = match (&item.object, outcome) {
            (ObjectState::Untyped(object), Ok(Confirmed::NeedsDeclaredType(declared))) if !awaiting => {
                rules.verify_as(object.clone(), declared)
            }
            (object, Ok(Confirmed::AwaitsClient)) if awaiting => object.clone(),
            _ => return None,
        };
        let Item { asset_upload_id, folder_id, .. } = *item;
        Some((place, Item { asset_upload_id, folder_id, object }))
    });
    again.unzip()
}

fn with_url(
    outcome: Result<Confirmed, ApiError>,
    urls: Option<&AssetUrls<'_>>,
) -> Result<ConfirmedUpload, ApiError> {
    match outcome? {
        Confirmed::Asset { asset, created_by_user, replayed } => {
            let url = urls.and_then(|urls| urls.url(&asset.r2_key));
            Ok(ConfirmedUpload { asset, created_by_user, url, replayed })
        }
        Confirmed::NeedsDeclaredType(_) => {
            Err(ApiError::Internal("a typed object needs no declared type".to_owned()))
        }
        Confirmed::AwaitsClient => Err(ApiError::Internal(
            "nothing kept the client from confirming, yet the asset awaits one".to_owned(),
        )),
    }
}
