//! Every header and JSON body in: parsed into validated values, or into every fault there is.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::domain::idempotency::IdempotencyKey;
use crate::domain::ids::{AssetUploadId, FolderId, OrganizationId};
use crate::domain::media::MimeType;
use crate::domain::upload::{Filename, UploadRules};
use crate::error::{ApiError, Detail, Fault, Measure};

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

/// A validated `POST /v1/asset-uploads`.
#[derive(Debug, Clone, PartialEq)]
pub struct CreateAssetUploadRequest {
    /// The organization that the request names.
    pub organization: Option<OrganizationId>,
    /// The client's name for this intent.
    pub idempotency_key: Option<IdempotencyKey>,
    /// The file's name.
    pub filename: Filename,
    /// Its media type, a permitted one.
    pub mime_type: MimeType,
    /// Its size in bytes, 1 to the limit.
    pub size_bytes: u64,
}

impl CreateAssetUploadRequest {
    /// Parses the whole request.
    ///
    /// # Errors
    /// `BadRequest` when the body is no JSON object, else `Validation` with every fault there is.
    pub fn parse(head: &Head, body: &Body, rules: &UploadRules) -> Result<Self, ApiError> {
        const REQUIRED: [&str; 3] = ["filename", "mime_type", "size_bytes"];
        let mut faults = Vec::new();
        let (mut filename, mut mime_type, mut size_bytes) = (None, None, None);
        if let Some(fields) = Fields::parse(head, body, &mut faults)? {
            for (name, value) in &fields.0 {
                match name.as_str() {
                    "filename" => filename = note(&mut faults, parse_filename(value)),
                    "mime_type" => mime_type = note(&mut faults, parse_mime_type(value, rules)),
                    "size_bytes" => size_bytes = note(&mut faults, parse_size(value, rules)),
                    _ => faults.push(unknown_field(name)),
                }
            }
            fields.note_duplicates(&mut faults);
            let missing =
                REQUIRED.iter().filter(|required| !fields.0.iter().any(|(name, _)| name == *required));
            faults.extend(
                missing.map(|name| Fault::new(&["body", name], "missing", "This field is required.")),
            );
        }
        let organization = note(&mut faults, head.organization());
        let idempotency_key = note(&mut faults, head.idempotency_key());
        match (filename, mime_type, size_bytes, organization, idempotency_key) {
            (
                Some(filename),
                Some(mime_type),
                Some(size_bytes),
                Some(organization),
                Some(idempotency_key),
            ) if faults.is_empty() => {
                Ok(Self { organization, idempotency_key, filename, mime_type, size_bytes })
            }
            _ => Err(ApiError::Validation(faults)),
        }
    }
}

/// A validated request without a body for one thing: `GET` or `DELETE` of a path that ends in its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ItemRequest {
    /// The upload or asset.
    pub id: AssetUploadId,
    /// The organization that the request names.
    pub organization: Option<OrganizationId>,
    /// Whether the answer is to hold the user who made it: `?embed=created_by_user`.
    pub embed_user: bool,
}

impl ItemRequest {
    /// Parses the request. `name` is the path parameter's, `query` is what follows `?`.
    ///
    /// # Errors
    /// `Validation` with every fault there is.
    pub fn parse(name: &str, id: &str, head: &Head, query: &str) -> Result<Self, ApiError> {
        let mut faults = Vec::new();
        let id = note(&mut faults, AssetUploadId::parse(id).ok_or_else(|| uuid_fault(&["path", name])));
        let organization = note(&mut faults, head.organization());
        let mut embeds = query.split('&').filter_map(|pair| pair.strip_prefix("embed="));
        let embed_user = embeds.clone().next().is_some();
        if embeds.any(|value| value != "created_by_user") {
            faults.push(Fault::new(&["query", "embed"], "enum", "Must be created_by_user, or left out."));
        }
        match (id, organization) {
            (Some(id), Some(organization)) if faults.is_empty() => Ok(Self { id, organization, embed_user }),
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

/// A JSON string, or the fault of a value that is none.
fn string(name: &str, value: &RawValue, msg: &str) -> Result<String, Fault> {
    let text = value.get().starts_with('"').then(|| serde_json::from_str(value.get()).ok()).flatten();
    text.ok_or_else(|| Fault::new(&["body", name], "string_type", msg))
}

fn parse_filename(value: &RawValue) -> Result<Filename, Fault> {
    const MSG: &str = "Must be a string of 1 to 500 characters, not . or .., without control and bidirectional-override characters, / and \\.";
    let text = string("filename", value, MSG)?;
    Filename::parse(&text).ok_or_else(|| Fault::new(&["body", "filename"], "filename", MSG))
}

fn parse_mime_type(value: &RawValue, rules: &UploadRules) -> Result<MimeType, Fault> {
    const MSG: &str = "Must be a string holding a media type such as image/png.";
    const LOC: [&str; 2] = ["body", "mime_type"];
    let text = string("mime_type", value, MSG)?;
    let mime_type = MimeType::parse(&text).ok_or_else(|| Fault::new(&LOC, "mime_type_parsing", MSG))?;
    if rules.allowed_types.permits(&mime_type) {
        return Ok(mime_type);
    }
    let limit = Some(Measure::List(rules.allowed_types.patterns()));
    Err(Fault::new(&LOC, "mime_type_not_allowed", "This media type is not permitted.")
        .with(Detail { limit, ..Detail::default() }))
}

fn parse_size(value: &RawValue, rules: &UploadRules) -> Result<u64, Fault> {
    const LOC: [&str; 2] = ["body", "size_bytes"];
    let limit = Some(Measure::Number(rules.max_bytes));
    // 5.0 is the whole number 5, to JSON Schema and to languages that write it so.
    let whole = match value.get().split_once('.') {
        Some((whole, zeros)) if zeros.bytes().all(|byte| byte == b'0') => whole,
        _ => value.get(),
    };
    let digits = whole.strip_prefix('-').unwrap_or(whole);
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Fault::new(&LOC, "int_type", "Must be a whole number of bytes."));
    }
    match whole.parse() {
        Ok(size) if (1..=rules.max_bytes).contains(&size) => Ok(size),
        _ => {
            let msg = format!("Must be from 1 to {} bytes.", rules.max_bytes);
            Err(Fault::new(&LOC, "size_out_of_range", msg).with(Detail { limit, ..Detail::default() }))
        }
    }
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
