//! Every header and JSON body in, every JSON body out.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::domain::asset::{Asset, Links, User};
use crate::domain::idempotency::IdempotencyKey;
use crate::domain::ids::{AssetUploadId, FolderId, OrganizationId, UserId};
use crate::domain::timestamp::Timestamp;
use crate::error::{ApiError, Fault};

/// The largest body that is read, in bytes.
pub const MAX_BODY_BYTES: usize = 64 * 1024;

/// A request body as it arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// Read whole; empty when there was none.
    Bytes(Vec<u8>),
    /// More than [`MAX_BODY_BYTES`]; not read.
    TooLarge,
    /// The connection broke while it was read.
    Broken,
}

/// The parts of a request that a write is parsed from, not yet validated.
#[derive(Debug, Clone, Default)]
pub struct Head {
    /// `Content-Type`
    pub content_type: Option<String>,
    /// `X-Organization-Id`
    pub organization: Option<String>,
    /// `Idempotency-Key`
    pub idempotency_key: Option<String>,
}

impl Head {
    /// The organization that the request names.
    ///
    /// # Errors
    /// A fault when the header is there but no UUID.
    pub fn organization(&self) -> Result<Option<OrganizationId>, Fault> {
        let Some(text) = &self.organization else {
            return Ok(None);
        };
        OrganizationId::parse(text).map(Some).ok_or_else(|| uuid_fault(&["header", "X-Organization-Id"]))
    }

    fn idempotency_key(&self) -> Result<Option<IdempotencyKey>, Fault> {
        let Some(text) = &self.idempotency_key else {
            return Ok(None);
        };
        IdempotencyKey::parse(text).map(Some).ok_or_else(|| {
            Fault::new(
                &["header", "Idempotency-Key"],
                "idempotency_key",
                "Must be 1 to 255 visible ASCII characters.",
            )
        })
    }
}

/// A validated `POST /v1/asset-uploads/{asset_upload_id}/confirmations`.
#[derive(Debug, Clone, PartialEq)]
pub struct ConfirmAssetUploadRequest {
    /// The upload to confirm.
    pub asset_upload_id: AssetUploadId,
    /// The organization that the request names.
    pub organization: Option<OrganizationId>,
    /// The client's name for this intent.
    pub idempotency_key: Option<IdempotencyKey>,
    /// The folder to put the asset in.
    pub folder_id: Option<FolderId>,
}

impl ConfirmAssetUploadRequest {
    /// Parses the whole request.
    ///
    /// # Errors
    /// `BadRequest` when the body is no JSON object, else `Validation` with every fault there is.
    pub fn parse(asset_upload_id: &str, head: &Head, body: &Body) -> Result<Self, ApiError> {
        let mut faults = Vec::new();
        let mut folder_id = None;
        if let Some(fields) = Fields::parse(head, body, &mut faults)? {
            for (name, value) in &fields.0 {
                match name.as_str() {
                    "folder_id" => folder_id = note(&mut faults, optional_folder(value)).flatten(),
                    _ => faults.push(unknown_field(name)),
                }
            }
            fields.note_duplicates(&mut faults);
        }
        let id =
            AssetUploadId::parse(asset_upload_id).ok_or_else(|| uuid_fault(&["path", "asset_upload_id"]));
        let id = note(&mut faults, id);
        let organization = note(&mut faults, head.organization());
        let idempotency_key = note(&mut faults, head.idempotency_key());
        match (id, organization, idempotency_key) {
            (Some(asset_upload_id), Some(organization), Some(idempotency_key)) if faults.is_empty() => {
                Ok(Self { asset_upload_id, organization, idempotency_key, folder_id })
            }
            _ => Err(ApiError::Validation(faults)),
        }
    }
}

/// The value, or `None` with the fault put on the list.
fn note<T>(faults: &mut Vec<Fault>, result: Result<T, Fault>) -> Option<T> {
    result.map_err(|fault| faults.push(fault)).ok()
}

fn uuid_fault(loc: &[&str]) -> Fault {
    Fault::new(loc, "uuid_parsing", "Must be a UUID such as 018f4d2e-7c4b-7a35-9c1f-0242ac120002.")
}

fn unknown_field(name: &str) -> Fault {
    Fault::new(&["body", shown(name)], "extra_forbidden", "There is no such field; leave it out.")
}

fn optional_folder(value: &RawValue) -> Result<Option<FolderId>, Fault> {
    const LOC: [&str; 2] = ["body", "folder_id"];
    if value.get() == "null" {
        return Ok(None);
    }
    if !value.get().starts_with('"') {
        return Err(Fault::new(&LOC, "string_type", "Must be a string holding a UUID, or null."));
    }
    let text: Option<String> = serde_json::from_str(value.get()).ok();
    text.and_then(|text| FolderId::parse(&text)).map(Some).ok_or_else(|| uuid_fault(&LOC))
}

/// The members of a JSON object, in order and with duplicates, their values unread: so that every fault
/// can be listed, and nesting costs nothing.
struct Fields<'a>(Vec<(String, &'a RawValue)>);

impl<'a> Fields<'a> {
    /// The members of the body; `None`, with a fault on the list, when there is no body at all.
    fn parse(head: &Head, body: &'a Body, faults: &mut Vec<Fault>) -> Result<Option<Self>, ApiError> {
        let bytes = match body {
            Body::Bytes(bytes) => bytes,
            Body::TooLarge => {
                return Err(ApiError::BadRequest("The body is over 64 KiB; send a smaller one."));
            }
            Body::Broken => {
                return Err(ApiError::BadRequest("The body did not arrive whole; send the request again."));
            }
        };
        if bytes.is_empty() {
            faults.push(Fault::new(&["body"], "missing", "A JSON body is required; send at least {}."));
            return Ok(None);
        }
        if !head.content_type.as_deref().is_some_and(is_json) {
            return Err(ApiError::BadRequest("Send the body with Content-Type: application/json."));
        }
        let text = std::str::from_utf8(bytes)
            .map_err(|_| ApiError::BadRequest("The body is not UTF-8; send JSON in UTF-8."))?;
        serde_json::from_str(text)
            .map(Some)
            .map_err(|_| ApiError::BadRequest("The body is not a JSON object; send one such as {}."))
    }

    fn note_duplicates(&self, faults: &mut Vec<Fault>) {
        let (mut seen, mut told) = (BTreeSet::new(), BTreeSet::new());
        let repeated = self.0.iter().filter(|(name, _)| !seen.insert(name) && told.insert(name));
        for (name, _) in repeated {
            faults.push(Fault::new(
                &["body", shown(name)],
                "duplicate_field",
                "Stands more than once; send it once.",
            ));
        }
    }
}

/// A name as repeated in a fault: it may be as long as the body.
fn shown(name: &str) -> &str {
    name.char_indices().nth(100).and_then(|(end, _)| name.get(..end)).unwrap_or(name)
}

fn is_json(content_type: &str) -> bool {
    content_type
        .split(';')
        .next()
        .is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json"))
}

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Vec<(String, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(Members).map(Fields)
    }
}

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
    /// Puts the URLs and the embedded user to a stored asset.
    pub fn new(asset: &'a Asset, created_by_user: Option<&'a User>, links: &Links) -> Self {
        let url = links.url(&asset.r2_key);
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

    /// The same answer with one more header.
    #[must_use]
    pub fn with_header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

impl From<&ApiError> for Reply {
    fn from(error: &ApiError) -> Self {
        let (status, _) = error.status_and_code();
        let headers = error.header().map(|(name, value)| (name, value.to_owned()));
        Self { status, body: error.body(), headers: headers.into_iter().collect() }
    }
}
