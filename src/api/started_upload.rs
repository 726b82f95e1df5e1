//! What starting an upload answers: how the client sends the file to storage.

use serde::Serialize;

use crate::domain::ids::{AssetId, AssetUploadId};
use crate::domain::multipart::Division;
use crate::domain::timestamp::Timestamp;
use crate::http::reply::as_object;
use crate::presign::SignedPut;

#[cfg(not(target_arch = "wasm32"))]
const EXAMPLE_URL: &str = "https://0123456789abcdef0123456789abcdef.r2.cloudflarestorage.com/media/uploads/018f4d2e-7c4b-7a35-9c1f-0242ac120002?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=EXAMPLE%2F20261122%2Fauto%2Fs3%2Faws4_request&X-Amz-Date=20261122T124500Z&X-Amz-Expires=900&X-Amz-SignedHeaders=content-disposition%3Bcontent-length%3Bcontent-type%3Bhost%3Bif-none-match&X-Amz-Signature=5d0c5d0c5d0c5d0c5d0c5d0c5d0c5d0c5d0c5d0c5d0c5d0c5d0c5d0c5d0c5d0c";

/// An upload that was started: where to send the file, and what to confirm then.
#[derive(Debug, Serialize)]
#[cfg_attr(
    not(target_arch = "wasm32"),
    derive(schemars::JsonSchema),
    schemars(rename = "CreateAssetUploadResponse")
)]
pub struct CreateResponse {
    /// The upload's id: the `asset_upload_id` to confirm, and then the asset's id.
    asset_id: AssetId,
    /// The same as `upload.url`; null where the file is sent in parts.
    #[cfg_attr(
        not(target_arch = "wasm32"),
        schemars(url, example = EXAMPLE_URL)
    )]
    upload_url: Option<String>,
    /// How the file is sent to storage.
    upload: UploadRequest,
}

/// How the client sends the file to storage.
#[derive(Debug, Serialize)]
#[serde(untagged)]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema), schemars(inline))]
pub enum UploadRequest {
    /// With one request.
    Put(PutRequest),
    /// In parts, where `multipart` was asked for.
    Multipart(MultipartRequest),
}

/// The request that sends the whole file.
#[derive(Debug, Serialize)]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema), schemars(inline))]
pub struct PutRequest {
    #[cfg_attr(not(target_arch = "wasm32"), schemars(extend("const" = "PUT")))]
    method: &'static str,
    /// The signed URL. It needs no API key.
    #[cfg_attr(
        not(target_arch = "wasm32"),
        schemars(url, example = EXAMPLE_URL)
    )]
    url: String,
    /// Send each of them, exactly so. The length is signed too, so the file must be exactly as long as declared.
    #[serde(serialize_with = "as_object")]
    #[cfg_attr(not(target_arch = "wasm32"), schemars(with = "UploadHeaders"))]
    headers: Vec<(&'static str, String)>,
    /// From then on storage answers the request with 403. The upload itself may be confirmed for longer: see its own
    /// `expires_at`.
    #[cfg_attr(not(target_arch = "wasm32"), schemars(example = "2026-11-22T13:00:00.000Z"))]
    expires_at: Timestamp,
}

/// How the file is divided. The requests that send the parts are signed later.
#[derive(Debug, Serialize)]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema), schemars(inline))]
pub struct MultipartRequest {
    #[cfg_attr(not(target_arch = "wasm32"), schemars(extend("const" = "MULTIPART")))]
    method: &'static str,
    /// Bytes of every part but the last, which has what is left.
    #[cfg_attr(not(target_arch = "wasm32"), schemars(range(min = 5_242_880)))]
    part_size: u64,
    /// How many parts there are.
    #[cfg_attr(not(target_arch = "wasm32"), schemars(range(min = 1, max = 10_000)))]
    part_count: u64,
    /// The deadline of the upload: until then parts can be sent, and the upload confirmed.
    expires_at: Timestamp,
}

impl UploadRequest {
    /// `expires_at` is when the signature ends.
    pub fn put(put: SignedPut, expires_at: Timestamp) -> Self {
        let SignedPut { url, headers } = put;
        Self::Put(PutRequest { method: "PUT", url, headers, expires_at })
    }

    /// `expires_at` is the upload's deadline.
    pub fn multipart(division: Division, expires_at: Timestamp) -> Self {
        let Division { part_size, part_count, .. } = division;
        Self::Multipart(MultipartRequest { method: "MULTIPART", part_size, part_count, expires_at })
    }
}

/// What openapi.json says of the headers: they are signed as pairs.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(
    not(target_arch = "wasm32"),
    derive(schemars::JsonSchema),
    schemars(
        inline,
        extend("additionalProperties" = {"type": "string"}),
        example = serde_json::json!({
            "content-type": "image/png",
            "content-disposition": "inline; filename=\"sunrise.png\"; filename*=UTF-8''sunrise.png",
            "if-none-match": "*"
        })
    )
)]
pub struct UploadHeaders {
    /// The declared media type.
    content_type: String,
    /// What a download is called and whether a browser shows it: `inline` for images (but not SVG and other XML),
    /// video, audio, PDF and plain text, else `attachment`. `filename` is in ASCII, `filename*` in UTF-8 (RFC 6266, RFC
    /// 8187).
    #[cfg_attr(not(target_arch = "wasm32"), schemars(regex(pattern = "^(inline|attachment); filename=\"")))]
    content_disposition: String,
    /// Storage does not overwrite a file: a repeat is 412. Absent where the operator permits overwriting.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(not(target_arch = "wasm32"), schemars(with = "String", extend("const" = "*")))]
    if_none_match: Option<&'static str>,
}

impl CreateResponse {
    /// Puts the way to storage to an upload.
    pub fn new(id: AssetUploadId, upload: UploadRequest) -> Self {
        let upload_url = match &upload {
            UploadRequest::Put(put) => Some(put.url.clone()),
            UploadRequest::Multipart(_) => None,
        };
        Self { asset_id: id.into(), upload_url, upload }
    }
}
