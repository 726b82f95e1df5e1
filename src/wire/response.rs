//! Every JSON body out.

use serde::{Serialize, Serializer, ser::SerializeMap};

use crate::domain::asset::{Asset, Links, User};
use crate::domain::ids::{AssetUploadId, FolderId, OrganizationId, UserId};
use crate::domain::timestamp::Timestamp;
use crate::domain::upload::{Session, Status};
use crate::error::ApiError;
use crate::presign::SignedPut;

/// The asset as sent: every field of the contract, null where there is no value.
#[derive(Debug, Serialize)]
pub struct AssetResponse<'a> {
    id: AssetUploadId,
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

/// An upload that was started: where to send the file, and what to confirm then.
#[derive(Debug, Serialize)]
pub struct CreateAssetUploadResponse {
    asset_id: AssetUploadId,
    upload_url: String,
    upload: UploadRequest,
}

/// The request that the client sends to storage.
#[derive(Debug, Serialize)]
struct UploadRequest {
    method: &'static str,
    url: String,
    #[serde(serialize_with = "as_object")]
    headers: Vec<(&'static str, String)>,
    expires_at: Timestamp,
}

impl CreateAssetUploadResponse {
    /// Puts a signed request to an upload; `expires_at` is when the signature ends.
    pub fn new(id: AssetUploadId, put: SignedPut, expires_at: Timestamp) -> Self {
        let SignedPut { url, headers } = put;
        let upload = UploadRequest { method: "PUT", url: url.clone(), headers, expires_at };
        Self { asset_id: id, upload_url: url, upload }
    }
}

fn as_object<S: Serializer>(headers: &[(&'static str, String)], serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(headers.len()))?;
    for (name, value) in headers {
        map.serialize_entry(name, value)?;
    }
    map.end()
}

/// How an upload stands.
#[derive(Debug, Serialize)]
pub struct AssetUploadResponse<'a> {
    id: AssetUploadId,
    status: Status,
    filename: &'a str,
    mime_type: &'a str,
    size_bytes: u64,
    expires_at: Timestamp,
    asset_id: Option<AssetUploadId>,
}

impl<'a> AssetUploadResponse<'a> {
    /// Puts a status to a session. There is an asset exactly when it is confirmed.
    pub fn new(id: AssetUploadId, session: &'a Session, status: Status) -> Self {
        Self {
            id,
            status,
            filename: &session.filename,
            mime_type: &session.mime_type,
            size_bytes: session.size_bytes,
            expires_at: session.expires_at,
            asset_id: (status == Status::Confirmed).then_some(id),
        }
    }
}

/// `GET /v1/health` and `GET /v1/ready` when all is well.
#[derive(Debug, Serialize)]
pub struct StatusResponse {
    /// `ok` or `ready`
    pub status: &'static str,
    /// The state of each part of storage; left out where none was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checks: Option<Checks>,
}

/// The state of each part of storage: `ok`.
#[derive(Debug, Serialize)]
pub struct Checks {
    /// D1
    pub d1: &'static str,
    /// R2
    pub r2: &'static str,
}

/// An answer, ready to be sent.
#[derive(Debug)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// JSON text; empty for none.
    pub body: String,
    /// Headers of this answer alone.
    pub headers: Vec<(&'static str, String)>,
}

impl Reply {
    /// An answer with a JSON body.
    ///
    /// # Errors
    /// `Internal` when the value cannot be rendered, which means that a stored time is out of range.
    pub fn json<T: Serialize>(status: u16, value: &T) -> Result<Self, ApiError> {
        let body = serde_json::to_string(value).map_err(|error| ApiError::Internal(error.to_string()))?;
        Ok(Self { status, body, headers: Vec::new() })
    }

    /// An answer without a body.
    pub fn empty(status: u16) -> Self {
        Self { status, body: String::new(), headers: Vec::new() }
    }

    /// The same answer with one more header.
    #[must_use]
    pub fn with_header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.add(name, value);
        self
    }

    /// Gives the answer one more header.
    pub fn add(&mut self, name: &'static str, value: impl Into<String>) {
        self.headers.push((name, value.into()));
    }
}

impl From<&ApiError> for Reply {
    fn from(error: &ApiError) -> Self {
        let (status, _) = error.status_and_code();
        let headers = error.header().map(|(name, value)| (name, value.to_owned()));
        Self { status, body: error.body(), headers: headers.into_iter().collect() }
    }
}
