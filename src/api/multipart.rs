//! Uploads in parts: signing the parts, and putting them together.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::asset_uploads::{AssetUploadResponse, ID};
use super::context::RequestContext;
use super::endpoint::{Doc, Endpoint, Example};
use crate::config::Config;
use crate::domain::api_key::Scope;
use crate::domain::disposition::content_disposition;
use crate::domain::ids::AssetUploadId;
use crate::domain::media::MimeType;
use crate::domain::multipart::{CompletedPart, Completion, MAX_PARTS};
use crate::domain::timestamp::Timestamp;
use crate::domain::upload::{Filename, Status};
use crate::error::{ApiError, ErrorCode, FieldError};
use crate::http::fields::{FieldErrors, JsonBody, list, path_id, whole_number};
use crate::http::reply::Reply;
use crate::http::request::{BodyLimit, Input};
use crate::http::route::Route;
use crate::platform::Platform;
use crate::presign::S3;
use crate::store::multipart::{Begin, Find, Multipart};
use crate::store::rights::{Caller, Permission};

/// Parts that are signed in one request at most.
const MAX_SIGNED: usize = 100;

/// `POST /v1/asset-uploads/{asset_upload_id}/parts`: one D1 transaction; the first time, R2's multipart upload is begun
/// then, and another transaction stores its id.
#[derive(Clone, PartialEq)]
pub struct SignParts {
    /// The upload.
    pub asset_upload_id: AssetUploadId,
    /// Which parts, 1 to 100 of them.
    pub part_numbers: Vec<u64>,
    signer: S3,
}

/// The parts to sign.
#[derive(Debug)]
#[cfg_attr(
    not(target_arch = "wasm32"),
    derive(schemars::JsonSchema),
    schemars(
        rename = "SignPartsRequest",
        deny_unknown_fields,
        example = serde_json::json!({"part_numbers": [1, 2]})
    )
)]
pub struct SignPartsBody {
    /// Their numbers, the first part being 1, each once.
    #[cfg_attr(
        not(target_arch = "wasm32"),
        schemars(length(min = 1, max = 100), inner(range(min = 1, max = 10_000)), extend("uniqueItems" = true))
    )]
    pub part_numbers: Vec<u64>,
}

/// The signed requests, in the order of `part_numbers`.
#[derive(Debug, Serialize)]
#[cfg_attr(
    not(target_arch = "wasm32"),
    derive(schemars::JsonSchema),
    schemars(
        rename = "SignPartsResponse",
        example = serde_json::json!({"parts": [{
            "part_number": 1,
            "method": "PUT",
            "url": EXAMPLE_URL,
            "headers": {},
            "size_bytes": 16_777_216,
            "expires_at": "2026-11-22T13:00:00.000Z"
        }]})
    )
)]
pub struct SignPartsResponse {
    parts: Vec<SignedPart>,
}

#[cfg(not(target_arch = "wasm32"))]
const EXAMPLE_URL: &str = "https://0123456789abcdef0123456789abcdef.r2.cloudflarestorage.com/media/uploads/018f4d2e-7c4b-7a35-9c1f-0242ac120002?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=EXAMPLE%2F20261122%2Fauto%2Fs3%2Faws4_request&X-Amz-Date=20261122T124500Z&X-Amz-Expires=900&X-Amz-SignedHeaders=content-length%3Bhost&partNumber=1&uploadId=EXAMPLE&X-Amz-Signature=5d0c5d0c5d0c5d0c5d0c5d0c5d0c5d0c5d0c5d0c5d0c5d0c5d0c5d0c5d0c5d0c";

/// The request that sends one part to storage.
#[derive(Debug, Serialize)]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema), schemars(inline))]
struct SignedPart {
    /// Which part.
    #[cfg_attr(not(target_arch = "wasm32"), schemars(range(min = 1, max = 10_000)))]
    part_number: u64,
    #[cfg_attr(not(target_arch = "wasm32"), schemars(extend("const" = "PUT")))]
    method: &'static str,
    /// The signed URL. It needs no API key. Keep the `ETag` of its answer.
    #[cfg_attr(not(target_arch = "wasm32"), schemars(url))]
    url: String,
    /// None that a client has to set: the length is signed, and every client sends it by itself.
    headers: NoHeaders,
    /// How long the part is, exactly.
    #[cfg_attr(not(target_arch = "wasm32"), schemars(range(min = 1)))]
    size_bytes: u64,
    /// From then on storage answers the request with 403; have it signed anew.
    expires_at: Timestamp,
}

/// Renders as an empty object.
#[derive(Debug, Serialize)]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema), schemars(inline))]
struct NoHeaders {}

impl Endpoint for SignParts {
    const ROUTE: Route = Route::post("/v1/asset-uploads/{asset_upload_id}/parts");
    const PERMISSION: Option<Permission> = Some(Permission::AssetsWrite);
    const SCOPES: &'static [Scope] = &[Scope::Full, Scope::Upload];
    const DOC: Doc = Doc {
        operation_id: "signAssetUploadParts",
        tag: "Media",
        summary: "Sign parts of an upload",
        description: "For an upload that was started with `multipart`. Each part is `part_size` bytes of the file, the last one what is left. Send the parts in any order, several at once, as often as necessary, and keep the `ETag` of each answer. As often as wanted: whoever resumes has those parts signed that are missing.",
        path: &[ID],
        query: &[],
        idempotency_key: None,
        success: (200, "The signed requests, in the order of `part_numbers`."),
        location: None,
        errors: &[
            ErrorCode::AssetUploadNotFound,
            ErrorCode::AssetUploadAlreadyConfirmed,
            ErrorCode::AssetUploadExpired,
            ErrorCode::StorageUnavailable,
        ],
        body_examples: &[Example { name: "first", summary: "The first two", changes: "{}" }],
        examples: &[Example { name: "signed", summary: "One part", changes: "{}" }],
    };
    type Caller = Caller;
    type Body = SignPartsBody;
    type Response = SignPartsResponse;

    fn parse(input: &Input<'_>, config: &Config) -> Result<Self, ApiError> {
        let mut errors = FieldErrors::default();
        let mut body = JsonBody::parse(input)?;
        let part_numbers = body.required("part_numbers", |value| {
            let numbers = list("part_numbers", value, 1..=MAX_SIGNED)?;
            numbers.into_iter().map(part_number).collect::<Option<Vec<u64>>>().ok_or_else(|| {
                let msg = "Must be a list of part numbers, the first part being 1.";
                FieldError::new(&["body", "part_numbers"], "int_type", msg)
            })
        });
        body.finish(&mut errors);
        let id = errors.check(path_id(ID.name, input.path.get(0), AssetUploadId::parse));
        let (asset_upload_id, part_numbers) = errors.finish(id.zip(part_numbers))?;
        let signer = config.uploads.s3.clone().map_err(ApiError::unavailable)?;
        Ok(Self { asset_upload_id, part_numbers, signer })
    }

    async fn handle<P: Platform>(
        self,
        cx: &RequestContext<'_, P>,
        caller: Caller,
    ) -> Result<Reply, ApiError> {
        let (id, now, key) = (self.asset_upload_id, cx.now(), self.asset_upload_id.object_key());
        let found = cx.run(&Find { caller: caller.clone(), asset_upload_id: id }).await?;
        if let Some(error) = found.division.check_numbers(&self.part_numbers) {
            return Err(ApiError::Validation(vec![error]));
        }
        let mut upload = found.open(&caller, id)?;
        let multipart_id = match upload.multipart_id.take() {
            Some(multipart_id) => multipart_id,
            None => begin(cx, caller, id, &upload).await?,
        };

        let (seconds, expires_at) = cx.config.uploads.url_life(now, upload.session.expires_at);
        let signer = self.signer.signer(cx.origin, now)?;
        let sign = |part_number: u64| {
            let size_bytes = upload.division.size_of(part_number)?;
            let url = signer.part(&key, &multipart_id, part_number, size_bytes, seconds);
            Some(SignedPart {
                part_number,
                method: "PUT",
                url,
                headers: NoHeaders {},
                size_bytes,
                expires_at,
            })
        };
        let parts = self.part_numbers.iter().filter_map(|number| sign(*number)).collect();
        Reply::json(200, &SignPartsResponse { parts })
    }
}

/// Begins R2's multipart upload, whose id is stored in the session unless another request was faster: then that one's
/// counts, and this one is given up.
async fn begin<P: Platform>(
    cx: &RequestContext<'_, P>,
    caller: Caller,
    id: AssetUploadId,
    upload: &Multipart,
) -> Result<String, ApiError> {
    let key = id.object_key();
    let session = &upload.session;
    let disposition = match (MimeType::parse(&session.mime_type), Filename::parse(&session.filename)) {
        (Some(mime_type), Some(filename)) => content_disposition(&mime_type, &filename),
        _ => return Err(ApiError::Internal(format!("upload {id} has no valid name or type"))),
    };
    let ours = cx.platform.create_multipart(&key, &session.mime_type, &disposition).await?;
    let begun = cx.run(&Begin { caller, asset_upload_id: id, multipart_id: ours.clone() }).await;
    let stored = match &begun {
        Ok(Multipart { multipart_id: Some(stored), .. }) => Some(stored.clone()),
        Ok(_) => None,
        // Whether the id was stored is not known. If not, R2 itself ends the upload after 7 days.
        Err(ApiError::StorageUnavailable { .. } | ApiError::Internal(_)) => Some(ours.clone()),
        // The caller may not, or nobody can send parts any more.
        Err(_) => None,
    };
    if stored.as_ref() != Some(&ours)
        && let Err(error) = cx.platform.abort_multipart(&key, &ours).await
    {
        cx.log_failure(error);
    }
    begun?;
    stored.ok_or_else(|| ApiError::Internal(format!("upload {id} did not keep its multipart id")))
}

/// `POST /v1/asset-uploads/{asset_upload_id}/completions`: one D1 transaction, then R2 makes the object. Where R2 no
/// longer knows the multipart upload, a HEAD tells whether it was completed before.
#[derive(Debug, Clone, PartialEq)]
pub struct Complete {
    /// The upload.
    pub asset_upload_id: AssetUploadId,
    /// Its parts.
    pub parts: Vec<CompletedPart>,
}

/// The parts that were sent.
#[derive(Debug)]
#[cfg_attr(
    not(target_arch = "wasm32"),
    derive(schemars::JsonSchema),
    schemars(
        rename = "CompleteAssetUploadRequest",
        deny_unknown_fields,
        example = serde_json::json!({"parts": [
            {"part_number": 1, "etag": "9b2cf535f27731c974343645a3985328"},
            {"part_number": 2, "etag": "4a8a08f09d37b73795649038408b5f33"}
        ]})
    )
)]
pub struct CompleteBody {
    /// All parts of the file, ascending, each once.
    #[cfg_attr(not(target_arch = "wasm32"), schemars(length(min = 1, max = 10_000)))]
    pub parts: Vec<PartBody<'static>>,
}

/// A part that was sent.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema), schemars(inline, deny_unknown_fields))]
pub struct PartBody<'a> {
    /// Its number.
    #[serde(borrow)]
    #[cfg_attr(not(target_arch = "wasm32"), schemars(with = "u64", range(min = 1, max = 10_000)))]
    part_number: &'a RawValue,
    /// The `ETag` that storage answered with, with or without its quotes.
    #[cfg_attr(not(target_arch = "wasm32"), schemars(length(min = 1, max = 255)))]
    etag: String,
}

impl<'a> PartBody<'a> {
    /// `None` where it is no such object, the number is no number, or the ETag is empty or too long.
    fn parse(value: &'a RawValue) -> Option<CompletedPart> {
        // Serde takes a list for the members of an object, too.
        let part =
            value.get().starts_with('{').then(|| serde_json::from_str::<Self>(value.get()).ok()).flatten()?;
        let etag = part.etag.strip_prefix('"').and_then(|etag| etag.strip_suffix('"')).unwrap_or(&part.etag);
        let valid = (1..=255).contains(&etag.chars().count());
        let part_number = part_number(part.part_number).filter(|_| valid)?;
        Some(CompletedPart { part_number, etag: etag.to_owned() })
    }
}

/// A whole number; what is too large is the number of no part.
fn part_number(value: &RawValue) -> Option<u64> {
    whole_number(value).map(|number| number.unwrap_or_default())
}

impl Endpoint for Complete {
    const ROUTE: Route = Route::post("/v1/asset-uploads/{asset_upload_id}/completions");
    const PERMISSION: Option<Permission> = Some(Permission::AssetsWrite);
    const SCOPES: &'static [Scope] = &[Scope::Full, Scope::Upload];
    const BODY_LIMIT: BodyLimit = BodyLimit::Mib4;
    const DOC: Doc = Doc {
        operation_id: "completeAssetUpload",
        tag: "Media",
        summary: "Put the parts of an upload together",
        description: "For an upload that was started with `multipart`, once all of its parts are in storage. Confirm it then. A repeat is answered the same. Where storage does not have a part, or not with this ETag, the answer is 422 `UPLOAD_REJECTED`: send that part again, and complete again.",
        path: &[ID],
        query: &[],
        idempotency_key: None,
        success: (200, "The file is in storage, to be confirmed."),
        location: None,
        errors: &[
            ErrorCode::AssetUploadNotFound,
            ErrorCode::AssetUploadExpired,
            ErrorCode::StorageUnavailable,
            ErrorCode::UploadRejected,
        ],
        body_examples: &[Example { name: "two", summary: "Two parts", changes: "{}" }],
        examples: &[Example {
            name: "received",
            summary: "To be confirmed",
            changes: r#"{"status": "received", "size_bytes": 20000000, "part_size": 16777216, "part_count": 2}"#,
        }],
    };
    type Caller = Caller;
    type Body = CompleteBody;
    type Response = AssetUploadResponse<'static>;

    fn parse(input: &Input<'_>, _: &Config) -> Result<Self, ApiError> {
        let mut errors = FieldErrors::default();
        let mut body = JsonBody::parse(input)?;
        let parts = body.required("parts", |value| {
            let parts: Option<Vec<&RawValue>> = serde_json::from_str(value.get()).ok();
            let parts = parts.filter(|parts| (1..=MAX_PARTS).contains(&(parts.len() as u64)));
            let parts = parts.and_then(|parts| parts.into_iter().map(PartBody::parse).collect());
            parts.ok_or_else(|| {
                let msg = format!(
                    "Must be a list of 1 to {MAX_PARTS} objects, each with `part_number`, a whole number, and `etag`, a string of 1 to 255 characters."
                );
                FieldError::new(&["body", "parts"], "list_type", msg)
            })
        });
        body.finish(&mut errors);
        let id = errors.check(path_id(ID.name, input.path.get(0), AssetUploadId::parse));
        let (asset_upload_id, parts) = errors.finish(id.zip(parts))?;
        Ok(Self { asset_upload_id, parts })
    }

    async fn handle<P: Platform>(
        self,
        cx: &RequestContext<'_, P>,
        caller: Caller,
    ) -> Result<Reply, ApiError> {
        let (id, key) = (self.asset_upload_id, self.asset_upload_id.object_key());
        let found = cx.run(&Find { caller: caller.clone(), asset_upload_id: id }).await?;
        if let Some(error) = found.division.check_complete(&self.parts) {
            return Err(ApiError::Validation(vec![error]));
        }
        if found.confirmed {
            // A repeat, whose first answer was lost or slow.
            return Reply::json(200, &AssetUploadResponse::new(id, &found.session, Status::Confirmed));
        }
        let Multipart { session, multipart_id, .. } = found.open(&caller, id)?;
        let Some(multipart_id) = multipart_id else {
            let msg = "No part of this upload was sent: have the parts signed, and send them.";
            return Err(rejected("parts_rejected", msg));
        };
        let completion = cx.platform.complete_multipart(&key, &multipart_id, &self.parts).await?;
        let completed = match completion {
            Completion::Completed => true,
            Completion::NoSuchUpload => cx.platform.head_object(&key).await?.is_some(),
            Completion::Rejected => {
                return Err(unknown_parts());
            }
        };
        if !completed {
            let msg = "Storage has given this upload up, and its parts with it. Start another one.";
            return Err(rejected("upload_ended", msg));
        }
        Reply::json(200, &AssetUploadResponse::new(id, &session, Status::Received))
    }
}

/// The error of parts that storage does not have.
pub fn unknown_parts() -> ApiError {
    rejected(
        "parts_rejected",
        "Storage does not have all of these parts with these ETags. Send those again that it may lack, and complete the upload with the ETags that it answers.",
    )
}

/// The error of parts that storage did not put together.
fn rejected(kind: &'static str, msg: &str) -> ApiError {
    ApiError::UploadRejected(vec![FieldError::new(&["body", "parts"], kind, msg)])
}
