//! Every refusal: its status, its code, what the client is told, and what only the log is told.

use serde::Serialize;

use crate::domain::ids::AssetUploadId;

/// Why a request is not carried out. The rows of the contract's table, in its order.
#[derive(Debug, Clone, PartialEq)]
pub enum ApiError {
    /// No such path.
    NotFound,
    /// The path exists, the method does not; holds the value of `Allow`.
    MethodNotAllowed(String),
    /// The caller lacks a right.
    Refused(Refusal),
    /// The body cannot be read as a JSON object; holds what to do about it.
    BadRequest(&'static str),
    /// Fields fail validation; holds every fault.
    Validation(Vec<Fault>),
    /// The upload session is unknown or another organization's.
    AssetUploadNotFound,
    /// The session has its asset already.
    AssetUploadAlreadyConfirmed(AssetUploadId),
    /// The session is past its confirmation deadline.
    AssetUploadExpired,
    /// The folder is unknown, deleted or another organization's.
    FolderNotFound,
    /// The asset is unknown, deleted or another organization's.
    AssetNotFound,
    /// Storage did not answer; holds text for the log and the state of each part, where known.
    StorageUnavailable {
        /// What failed, for the log.
        detail: String,
        /// The state of each part of storage; empty where only one was asked.
        parts: Vec<Fault>,
    },
    /// No object under the session's key yet.
    ObjectNotUploaded,
    /// The stored object may not become an asset; holds every reason.
    UploadRejected(Vec<Fault>),
    /// Anything unforeseen; holds text for the log.
    Internal(String),
}

/// Why a caller may not do what it asks, in the order in which the contract judges.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Refusal {
    /// No valid key, or a disabled user.
    Unauthorized,
    /// The user's e-mail is not verified.
    EmailNotVerified,
    /// No organization resolves, or the user is no member of it.
    OrganizationMembershipRequired,
    /// A member without a role.
    RoleUnresolved,
    /// An impersonation key that would write.
    ImpersonationReadOnly,
    /// The role lacks the permission.
    PermissionDenied,
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// One entry of `errors`: where the fault is, what is wrong in words, and its kind for programs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Fault {
    /// The way to the value, outermost first: `["body", "folder_id"]`.
    pub loc: Vec<String>,
    /// One sentence for people.
    pub msg: String,
    /// A stable word for programs, such as `missing` or `uuid_parsing`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Further members, where there are any.
    #[serde(flatten)]
    pub detail: Option<Box<Detail>>,
}

/// Further members of a fault.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Detail {
    /// What was declared, of what is stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub declared: Option<Measure>,
    /// What is stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actual: Option<Measure>,
    /// What is permitted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<Measure>,
    /// The asset that exists already.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asset_id: Option<AssetUploadId>,
}

/// A size or type in a fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Measure {
    /// A media type.
    Text(String),
    /// A size in bytes.
    Number(u64),
    /// Permitted values.
    List(Vec<String>),
}

impl Fault {
    /// A fault at `loc` without further members.
    pub fn new(loc: &[&str], kind: &'static str, msg: impl Into<String>) -> Self {
        Self { loc: loc.iter().map(|part| (*part).to_owned()).collect(), msg: msg.into(), kind, detail: None }
    }

    /// The same fault with further members.
    #[must_use]
    pub fn with(mut self, detail: Detail) -> Self {
        self.detail = Some(Box::new(detail));
        self
    }
}

/// As many entries as `errors` has at most.
const MAX_ERRORS: usize = 100;

/// The error envelope: `{"code", "message", "errors"}`.
#[derive(Serialize)]
struct Envelope<'a> {
    code: &'a str,
    message: &'a str,
    errors: Option<&'a [Fault]>,
}

impl ApiError {
    /// Storage did not answer; `detail` goes to the log alone.
    pub fn unavailable(detail: impl Into<String>) -> Self {
        Self::StorageUnavailable { detail: detail.into(), parts: Vec::new() }
    }

    /// HTTP status and code.
    pub fn status_and_code(&self) -> (u16, &'static str) {
        match self {
            Self::NotFound => (404, "NOT_FOUND"),
            Self::MethodNotAllowed(_) => (405, "METHOD_NOT_ALLOWED"),
            Self::Refused(Refusal::Unauthorized) => (401, "UNAUTHORIZED"),
            Self::Refused(Refusal::EmailNotVerified) => (403, "EMAIL_NOT_VERIFIED"),
            Self::Refused(Refusal::OrganizationMembershipRequired) => {
                (403, "ORGANIZATION_MEMBERSHIP_REQUIRED")
            }
            Self::Refused(Refusal::RoleUnresolved) => (403, "ROLE_UNRESOLVED"),
            Self::Refused(Refusal::ImpersonationReadOnly) => (403, "IMPERSONATION_READ_ONLY"),
            Self::Refused(Refusal::PermissionDenied) => (403, "PERMISSION_DENIED"),
            Self::BadRequest(_) => (400, "BAD_REQUEST"),
            Self::Validation(_) => (422, "VALIDATION_ERROR"),
            Self::AssetUploadNotFound => (404, "ASSET_UPLOAD_NOT_FOUND"),
            Self::AssetUploadAlreadyConfirmed(_) => (409, "ASSET_UPLOAD_ALREADY_CONFIRMED"),
            Self::AssetUploadExpired => (409, "ASSET_UPLOAD_EXPIRED"),
            Self::FolderNotFound => (404, "FOLDER_NOT_FOUND"),
            Self::AssetNotFound => (404, "ASSET_NOT_FOUND"),
            Self::StorageUnavailable { .. } => (503, "STORAGE_UNAVAILABLE"),
            Self::ObjectNotUploaded => (409, "OBJECT_NOT_UPLOADED"),
            Self::UploadRejected(_) => (422, "UPLOAD_REJECTED"),
            Self::Internal(_) => (500, "INTERNAL_ERROR"),
        }
    }

    /// What the client is told: constant text that says what to do next.
    pub fn message(&self) -> &'static str {
        match self {
            Self::NotFound => "There is nothing at this path; see /openapi.json for what exists.",
            Self::MethodNotAllowed(_) => {
                "This path does not take this method; the Allow header lists those it takes."
            }
            Self::Refused(Refusal::Unauthorized) => "Send a valid API key as `Authorization: Bearer <key>`.",
            Self::Refused(Refusal::EmailNotVerified) => {
                "Verify the e-mail address of this user, then try again."
            }
            Self::Refused(Refusal::OrganizationMembershipRequired) => {
                "Name an organization of yours in X-Organization-Id; this key acts only where its user is a member."
            }
            Self::Refused(Refusal::RoleUnresolved) => {
                "You are a member without a role; ask an owner of the organization to assign one."
            }
            Self::Refused(Refusal::ImpersonationReadOnly) => {
                "An impersonation key may only read; use a key of your own to write."
            }
            Self::Refused(Refusal::PermissionDenied) => {
                "Your role does not permit this; ask an owner of the organization for one that does."
            }
            Self::BadRequest(what) => what,
            Self::Validation(_) => "Correct the fields listed in `errors` and send the request again.",
            Self::AssetUploadNotFound => "There is no such upload in this organization.",
            Self::AssetUploadAlreadyConfirmed(_) => {
                "This upload has its asset already; `errors` holds the asset's id."
            }
            Self::AssetUploadExpired => {
                "This upload was not confirmed in time; start a new one and upload the file again."
            }
            Self::FolderNotFound => {
                "There is no such folder in this organization; choose another or send null."
            }
            Self::AssetNotFound => "There is no such asset in this organization.",
            Self::StorageUnavailable { .. } => {
                "Storage did not answer; nothing was lost, send the same request again after the time in Retry-After."
            }
            Self::ObjectNotUploaded => {
                "The file is not in storage yet; finish the upload, then confirm again."
            }
            Self::UploadRejected(_) => {
                "The stored file may not become an asset, for the reasons in `errors`; start a new upload with a permitted file."
            }
            Self::Internal(_) => {
                "Something went wrong here; send the same request again, and report the X-Request-Id if it persists."
            }
        }
    }

    /// What is wrong in detail, for the client; `None` renders as null.
    pub fn faults(&self) -> Option<Vec<Fault>> {
        match self {
            // A body of 64 KiB can have thousands of faults, each of which takes more space than its cause.
            Self::Validation(faults) | Self::UploadRejected(faults) => {
                Some(faults.iter().take(MAX_ERRORS).cloned().collect())
            }
            Self::StorageUnavailable { parts, .. } if !parts.is_empty() => Some(parts.clone()),
            Self::AssetUploadAlreadyConfirmed(id) => {
                const LOC: [&str; 2] = ["path", "asset_upload_id"];
                let fault = Fault::new(&LOC, "already_confirmed", "This upload was confirmed before.");
                Some(vec![fault.with(Detail { asset_id: Some(*id), ..Detail::default() })])
            }
            _ => None,
        }
    }

    /// The header that only this error has.
    pub fn header(&self) -> Option<(&'static str, &str)> {
        match self {
            Self::MethodNotAllowed(allow) => Some(("allow", allow)),
            Self::Refused(Refusal::Unauthorized) => Some(("www-authenticate", "Bearer")),
            Self::StorageUnavailable { .. } => Some(("retry-after", "2")),
            _ => None,
        }
    }

    /// Text for the log alone; never sent to a client.
    pub fn log_detail(&self) -> Option<&str> {
        match self {
            Self::StorageUnavailable { detail, .. } | Self::Internal(detail) => Some(detail),
            _ => None,
        }
    }

    /// The JSON body.
    pub fn body(&self) -> String {
        let (_, code) = self.status_and_code();
        let faults = self.faults();
        let envelope = Envelope { code, message: self.message(), errors: faults.as_deref() };
        // Strings, numbers and maps with string keys cannot fail to serialize.
        serde_json::to_string(&envelope).unwrap_or_default()
    }
}
