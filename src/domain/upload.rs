//! When a stored object may become an asset.

use serde::Deserialize;

use super::media::{AllowedTypes, AssetType, MimeType};
use super::multipart::Division;
use super::timestamp::Timestamp;
use crate::error::{DetailValue, ErrorDetails, FieldError};

/// An upload session as stored: what the client said it would upload.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Session {
    /// The file's name, which becomes the asset's.
    pub filename: String,
    /// Declared media type.
    pub mime_type: String,
    /// Declared size in bytes.
    pub size_bytes: u64,
    /// From this time on it can no longer be confirmed; negative when it was cancelled.
    pub expires_at: Timestamp,
    /// Bytes of every part but the last; `None` where it is sent with one PUT.
    pub part_size: Option<u64>,
}

impl Session {
    /// How the file is divided; `None` where it is sent with one PUT.
    pub fn division(&self) -> Option<Division> {
        self.part_size.map(|part_size| Division::stored(self.size_bytes, part_size))
    }

    /// Whether it was cancelled. Only a repeated cancellation still finds it; every other request gets 404.
    pub fn is_cancelled(&self) -> bool {
        self.expires_at.0 < 0
    }
}

/// A file's name as a client declares it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filename(String);

impl Filename {
    /// `None` unless it has 1 to 500 characters, none of them a control character, one that changes the
    /// direction of text (`gpj.exe` would read as `exe.jpg`), `/` or `\\`; nor for `.` and `..`.
    pub fn parse(text: &str) -> Option<Self> {
        const OVERRIDES: [std::ops::RangeInclusive<char>; 2] =
            ['\u{202a}'..='\u{202e}', '\u{2066}'..='\u{2069}'];
        let forbidden = |c: char| {
            c.is_control() || matches!(c, '/' | '\\') || OVERRIDES.iter().any(|range| range.contains(&c))
        };
        let valid = (1..=500).contains(&text.chars().count())
            && !text.contains(forbidden)
            && !matches!(text, "." | "..");
        valid.then(|| Self(text.to_owned()))
    }

    /// As stored.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The status of an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema), schemars(inline))]
pub enum Status {
    /// Nothing in storage yet.
    Waiting,
    /// The file is in storage, to be confirmed.
    Received,
    /// There is an asset.
    Confirmed,
    /// Too late to be confirmed.
    Expired,
}

/// An object as HEAD reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredObject {
    /// Size in bytes.
    pub size_bytes: u64,
    /// `Content-Type` as stored; `None` where it was stored without one.
    pub content_type: Option<String>,
    /// ETag, without quotes.
    pub etag: String,
    /// Whether its sender encrypted it with a key of their own (SSE-C), without which nobody can read it.
    pub customer_key: bool,
}

/// An object that passed verification: what goes into the asset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedObject {
    /// Actual size in bytes, 1 to the limit.
    pub size_bytes: u64,
    /// Actual media type, a permitted one.
    pub mime_type: MimeType,
    /// What that type makes of it.
    pub asset_type: AssetType,
    /// ETag, without quotes.
    pub etag: String,
}

/// What an operator permits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadRules {
    /// Largest size in bytes.
    pub max_bytes: u64,
    /// Permitted media types.
    pub allowed_types: AllowedTypes,
    /// Whether a difference between declared and actual size or type rejects the object.
    pub reject_mismatch: bool,
}

/// The state of an object after HEAD and verification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ObjectState {
    /// May become an asset.
    Verified(VerifiedObject),
    /// Must not become one, whatever its session declares.
    Rejected(Vec<Violation>),
    /// Stored without a content type: the declared type is used instead.
    Untyped(StoredObject),
    /// Not there.
    Missing,
    /// Storage did not answer; holds text for the log.
    Unavailable(String),
}

impl ObjectState {
    /// The object, where it may become an asset.
    pub fn verified(&self) -> Option<&VerifiedObject> {
        match self {
            Self::Verified(object) => Some(object),
            _ => None,
        }
    }
}

/// One reason why an object is rejected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Violation {
    /// No bytes at all.
    Empty,
    /// More bytes than permitted; holds how many there are.
    TooLarge(u64),
    /// A media type that is not permitted, or none at all; holds it as stored.
    TypeNotAllowed(String),
    /// Encrypted with a key of its sender's (SSE-C).
    CustomerKey,
    /// Another size than declared; holds the actual one.
    OtherSize(u64),
    /// Another media type than declared; holds the actual one.
    OtherType(String),
}

/// The largest object that a single PUT can make in R2: just under 5 GiB.
pub const LARGEST_SINGLE_PUT: u64 = 5 * 1024 * 1024 * 1024 - 5 * 1024 * 1024;

/// The error of a declared size that one PUT cannot send.
pub fn single_put_error() -> FieldError {
    let msg =
        format!("Must be at most {LARGEST_SINGLE_PUT} bytes, or sent in parts: with `multipart: true`.");
    size_error(LARGEST_SINGLE_PUT, msg)
}

fn size_error(limit: u64, msg: String) -> FieldError {
    let limit = Some(DetailValue::Number(limit));
    FieldError::new(&["body", "size_bytes"], "size_out_of_range", msg)
        .with(ErrorDetails { limit, ..ErrorDetails::default() })
}

impl UploadRules {
    /// Why a file may not be started: its declared size or media type is not permitted.
    pub fn declaration_errors(&self, mime_type: &MimeType, size_bytes: u64) -> Vec<FieldError> {
        let size = (!(1..=self.max_bytes).contains(&size_bytes)).then(|| self.size_error());
        let mime_type = (!self.allowed_types.permits(mime_type)).then(|| self.type_error());
        mime_type.into_iter().chain(size).collect()
    }

    /// The error of a declared media type that is not permitted.
    pub fn type_error(&self) -> FieldError {
        let limit = Some(DetailValue::List(self.allowed_types.patterns()));
        FieldError::new(&["body", "mime_type"], "mime_type_not_allowed", "This media type is not permitted.")
            .with(ErrorDetails { limit, ..ErrorDetails::default() })
    }

    /// The error of a declared size that is not permitted.
    pub fn size_error(&self) -> FieldError {
        size_error(self.max_bytes, format!("Must be from 1 to {} bytes.", self.max_bytes))
    }

    /// Checks what does not depend on the object's session.
    pub fn verify(&self, object: StoredObject) -> ObjectState {
        match object.content_type.clone() {
            Some(content_type) if !content_type.trim().is_empty() => self.verify_as(object, &content_type),
            _ => ObjectState::Untyped(object),
        }
    }

    /// The same for an object whose media type is `content_type`.
    pub fn verify_as(&self, object: StoredObject, content_type: &str) -> ObjectState {
        let mut violations = Vec::new();
        if object.size_bytes == 0 {
            violations.push(Violation::Empty);
        } else if object.size_bytes > self.max_bytes {
            violations.push(Violation::TooLarge(object.size_bytes));
        }
        if object.customer_key {
            violations.push(Violation::CustomerKey);
        }
        let mime_type = MimeType::parse(content_type);
        match mime_type.filter(|mime| self.allowed_types.permits(mime)) {
            Some(mime_type) if violations.is_empty() => ObjectState::Verified(VerifiedObject {
                size_bytes: object.size_bytes,
                asset_type: AssetType::of(&mime_type),
                mime_type,
                etag: object.etag,
            }),
            Some(_) => ObjectState::Rejected(violations),
            None => {
                // A hostile client may have stored kilobytes here; 255 is the longest type there is.
                violations.push(Violation::TypeNotAllowed(content_type.chars().take(255).collect()));
                ObjectState::Rejected(violations)
            }
        }
    }

    /// Why a verified object must not become an asset: these rules are narrower than those that it was verified by, or
    /// it differs from what its session declared.
    pub fn violations(&self, object: &VerifiedObject, session: &Session) -> Vec<Violation> {
        let mut violations = Vec::new();
        if object.size_bytes > self.max_bytes {
            violations.push(Violation::TooLarge(object.size_bytes));
        }
        if !self.allowed_types.permits(&object.mime_type) {
            violations.push(Violation::TypeNotAllowed(object.mime_type.to_string()));
        }
        if self.reject_mismatch && object.size_bytes != session.size_bytes {
            violations.push(Violation::OtherSize(object.size_bytes));
        }
        if self.reject_mismatch && object.mime_type.as_str() != session.mime_type {
            violations.push(Violation::OtherType(object.mime_type.to_string()));
        }
        violations
    }

    /// The entry of `errors` that names what was declared, what is there and what is permitted.
    pub fn explain(&self, violation: &Violation, session: &Session) -> FieldError {
        let (kind, msg, actual) = match violation {
            Violation::CustomerKey => {
                let none = || "none".to_owned();
                let msg =
                    "The stored object is encrypted with a key of its sender's, so nobody else can read it.";
                return FieldError::new(&["object", "encryption"], "customer_key", msg).with(ErrorDetails {
                    declared: Some(DetailValue::Text(none())),
                    actual: Some(DetailValue::Text("SSE-C".to_owned())),
                    limit: Some(DetailValue::List(vec![none()])),
                    asset_id: None,
                });
            }
            Violation::Empty => ("object_empty", "The stored object is empty.", DetailValue::Number(0)),
            Violation::TooLarge(actual) => {
                ("object_too_large", "The stored object is too large.", DetailValue::Number(*actual))
            }
            Violation::TypeNotAllowed(actual) => (
                "mime_type_not_allowed",
                "The stored object's media type is not permitted.",
                DetailValue::Text(actual.clone()),
            ),
            Violation::OtherSize(actual) => (
                "declared_mismatch",
                "The stored object has another size than declared.",
                DetailValue::Number(*actual),
            ),
            Violation::OtherType(actual) => (
                "declared_mismatch",
                "The stored object has another media type than declared.",
                DetailValue::Text(actual.clone()),
            ),
        };
        let (field, declared, limit) = match actual {
            DetailValue::Number(_) => {
                ("size_bytes", DetailValue::Number(session.size_bytes), DetailValue::Number(self.max_bytes))
            }
            DetailValue::Text(_) | DetailValue::List(_) => (
                "mime_type",
                DetailValue::Text(session.mime_type.clone()),
                DetailValue::List(self.allowed_types.patterns()),
            ),
        };
        FieldError::new(&["object", field], kind, msg).with(ErrorDetails {
            declared: Some(declared),
            actual: Some(actual),
            limit: Some(limit),
            asset_id: None,
        })
    }
}
