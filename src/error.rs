//! Every error of the API: its status, its code, what the client is told, and what only the log is told.

use serde::{Deserialize, Serialize};

/// The kinds of error, in the order of docs/behaviour.md: each has one status, one code and one message. What is said
/// of each here, openapi.json says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(
    not(target_arch = "wasm32"),
    derive(schemars::JsonSchema),
    schemars(rename_all = "SCREAMING_SNAKE_CASE")
)]
pub enum ErrorCode {
    /// No such path.
    NotFound,
    /// The path exists, the method does not.
    MethodNotAllowed,
    /// No key, a malformed, unknown, revoked or expired one, a disabled user, or an impersonation key whose
    /// impersonator is disabled.
    Unauthorized,
    /// The user's e-mail address is not verified.
    EmailNotVerified,
    /// No organization resolves, or the user is no member of it.
    OrganizationMembershipRequired,
    /// A member without a role.
    RoleUnresolved,
    /// An impersonation key that would write.
    ImpersonationReadOnly,
    /// The role or the key lacks the permission.
    PermissionDenied,
    /// The body is not JSON, not UTF-8, not an object, too large, or not sent as `application/json`.
    BadRequest,
    /// Wrong fields, ids, headers or parameters: `errors` lists every error, the first 100 of them.
    ValidationError,
    /// The key has started as many uploads as it may.
    UploadLimitReached,
    /// The key is unknown here, or another's: both are answered the same.
    ApiKeyNotFound,
    /// The upload is unknown here, or another organization's: both are answered the same.
    AssetUploadNotFound,
    /// The upload has its asset already; `errors` holds the asset's id.
    AssetUploadAlreadyConfirmed,
    /// The upload's deadline has passed.
    AssetUploadExpired,
    /// The folder is unknown here, deleted, or another organization's: all are answered the same.
    FolderNotFound,
    /// A sibling has this name already, without regard to the case of ASCII letters.
    FolderNameTaken,
    /// The folder holds folders or assets: delete it with `recursive=true`.
    FolderNotEmpty,
    /// More than 5,000 folders and assets lie beneath the folder.
    FolderTooLarge,
    /// The folder would come to lie in itself.
    FolderCycle,
    /// The asset is unknown here, deleted, or another organization's: all are answered the same.
    AssetNotFound,
    /// The webhook is unknown here, or another organization's: both are answered the same.
    WebhookNotFound,
    /// The webhook has no such delivery, or it was more than 30 days ago.
    WebhookDeliveryNotFound,
    /// The organization has as many webhooks as it may.
    WebhookLimitReached,
    /// Storage or the database did not answer, retries included. Nothing was lost: send the same request again.
    StorageUnavailable,
    /// The file is not in storage yet.
    ObjectNotUploaded,
    /// The stored file may not become an asset: `errors` names what was declared, what is there and what is permitted.
    UploadRejected,
    /// Anything unforeseen, such as a wrong configuration. The cause is in the log alone.
    InternalError,
}

impl ErrorCode {
    /// All of them, in order.
    pub const ALL: [Self; 28] = [
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::Unauthorized,
        Self::EmailNotVerified,
        Self::OrganizationMembershipRequired,
        Self::RoleUnresolved,
        Self::ImpersonationReadOnly,
        Self::PermissionDenied,
        Self::BadRequest,
        Self::ValidationError,
        Self::UploadLimitReached,
        Self::ApiKeyNotFound,
        Self::AssetUploadNotFound,
        Self::AssetUploadAlreadyConfirmed,
        Self::AssetUploadExpired,
        Self::FolderNotFound,
        Self::FolderNameTaken,
        Self::FolderNotEmpty,
        Self::FolderTooLarge,
        Self::FolderCycle,
        Self::AssetNotFound,
        Self::WebhookNotFound,
        Self::WebhookDeliveryNotFound,
        Self::WebhookLimitReached,
        Self::StorageUnavailable,
        Self::ObjectNotUploaded,
        Self::UploadRejected,
        Self::InternalError,
    ];

    /// HTTP status, code, and what the client is told: constant text that says what to do next.
    const fn parts(self) -> (u16, &'static str, &'static str) {
        match self {
            Self::NotFound => {
                (404, "NOT_FOUND", "There is nothing at this path; see /openapi.json for what exists.")
            }
            Self::MethodNotAllowed => (
                405,
                "METHOD_NOT_ALLOWED",
                "This path does not take this method; the Allow header lists those it takes.",
            ),
            Self::Unauthorized => {
                (401, "UNAUTHORIZED", "Send a valid API key as `Authorization: Bearer <key>`.")
            }
            Self::EmailNotVerified => {
                (403, "EMAIL_NOT_VERIFIED", "Verify the e-mail address of this user, then try again.")
            }
            Self::OrganizationMembershipRequired => (
                403,
                "ORGANIZATION_MEMBERSHIP_REQUIRED",
                "Name an organization of yours in X-Organization-Id; this key acts only where its user is a member.",
            ),
            Self::RoleUnresolved => (
                403,
                "ROLE_UNRESOLVED",
                "You are a member without a role; ask an owner of the organization to assign one.",
            ),
            Self::ImpersonationReadOnly => (
                403,
                "IMPERSONATION_READ_ONLY",
                "An impersonation key may only read; use a key of your own to write.",
            ),
            Self::PermissionDenied => (
                403,
                "PERMISSION_DENIED",
                "Your role or this key does not permit this; ask an owner of the organization for a role that does, or use another key.",
            ),
            Self::BadRequest => (400, "BAD_REQUEST", "Send the body as a JSON object."),
            Self::ValidationError => {
                (422, "VALIDATION_ERROR", "Correct the fields listed in `errors` and send the request again.")
            }
            Self::UploadLimitReached => (
                403,
                "UPLOAD_LIMIT_REACHED",
                "This key has started as many uploads as it may; ask for another one.",
            ),
            Self::ApiKeyNotFound => {
                (404, "API_KEY_NOT_FOUND", "There is no such key here that is yours to revoke.")
            }
            Self::AssetUploadNotFound => {
                (404, "ASSET_UPLOAD_NOT_FOUND", "There is no such upload in this organization.")
            }
            Self::AssetUploadAlreadyConfirmed => (
                409,
                "ASSET_UPLOAD_ALREADY_CONFIRMED",
                "This upload has its asset already; `errors` holds the asset's id.",
            ),
            Self::AssetUploadExpired => (
                409,
                "ASSET_UPLOAD_EXPIRED",
                "This upload was not confirmed in time; start a new one and upload the file again.",
            ),
            Self::FolderNotFound => (
                404,
                "FOLDER_NOT_FOUND",
                "There is no such folder in this organization; choose another or send null.",
            ),
            Self::FolderNameTaken => (
                409,
                "FOLDER_NAME_TAKEN",
                "There is a folder of this name in the same place, whatever the case of its letters; choose another name or place.",
            ),
            Self::FolderNotEmpty => (
                409,
                "FOLDER_NOT_EMPTY",
                "The folder is not empty; move what is in it, or send recursive=true to delete that, too.",
            ),
            Self::FolderTooLarge => (
                409,
                "FOLDER_TOO_LARGE",
                "More than 5000 folders and assets lie beneath this folder; delete the folders in it first, one by one.",
            ),
            Self::FolderCycle => (
                409,
                "FOLDER_CYCLE",
                "A folder cannot lie in itself or beneath itself; choose another parent.",
            ),
            Self::AssetNotFound => (404, "ASSET_NOT_FOUND", "There is no such asset in this organization."),
            Self::WebhookNotFound => {
                (404, "WEBHOOK_NOT_FOUND", "There is no such webhook in this organization.")
            }
            Self::WebhookDeliveryNotFound => (
                404,
                "WEBHOOK_DELIVERY_NOT_FOUND",
                "This webhook has no such delivery; deliveries are kept for 30 days.",
            ),
            Self::WebhookLimitReached => (
                409,
                "WEBHOOK_LIMIT_REACHED",
                "An organization has at most 20 webhooks; remove one, or let one receive more event types.",
            ),
            Self::StorageUnavailable => (
                503,
                "STORAGE_UNAVAILABLE",
                "Storage did not answer; nothing was lost, send the same request again after the time in Retry-After.",
            ),
            Self::ObjectNotUploaded => (
                409,
                "OBJECT_NOT_UPLOADED",
                "The file is not in storage yet; finish the upload, then confirm again.",
            ),
            Self::UploadRejected => (
                422,
                "UPLOAD_REJECTED",
                "What is in storage may not become an asset, for the reasons in `errors`: correct that, or start a new upload with a permitted file.",
            ),
            Self::InternalError => (
                500,
                "INTERNAL_ERROR",
                "Something went wrong here; send the same request again, and report the X-Request-Id if it persists.",
            ),
        }
    }

    /// HTTP status.
    pub const fn status(self) -> u16 {
        self.parts().0
    }

    /// As in `code`: a word for programs.
    pub const fn as_str(self) -> &'static str {
        self.parts().1
    }

    /// As in `message`, unless the error has a more precise one.
    pub const fn message(self) -> &'static str {
        self.parts().2
    }
}

/// Why a request is not carried out.
#[derive(Debug, Clone, PartialEq)]
pub enum ApiError {
    /// No such path.
    NotFound,
    /// The path exists, the method does not; holds the value of `Allow`.
    MethodNotAllowed(String),
    /// The caller may not do this.
    Auth(AuthError),
    /// The body cannot be read as a JSON object; holds what to do about it.
    BadRequest(&'static str),
    /// Fields are wrong; holds every error.
    Validation(Vec<FieldError>),
    /// The key has started as many uploads as it may.
    UploadLimitReached,
    /// The key is unknown or not the caller's.
    ApiKeyNotFound,
    /// The upload session is unknown or another organization's.
    AssetUploadNotFound,
    /// The session has its asset already; holds the asset's id.
    AssetUploadAlreadyConfirmed(String),
    /// The session is past its confirmation deadline.
    AssetUploadExpired,
    /// The folder is unknown, deleted or another organization's.
    FolderNotFound,
    /// A sibling has the folder's name.
    FolderNameTaken,
    /// The folder is not empty.
    FolderNotEmpty,
    /// Too much lies beneath the folder.
    FolderTooLarge,
    /// The folder would come to lie in itself.
    FolderCycle,
    /// The asset is unknown, deleted or another organization's.
    AssetNotFound,
    /// The webhook is unknown or another organization's.
    WebhookNotFound,
    /// The webhook has no such delivery.
    WebhookDeliveryNotFound,
    /// The organization has as many webhooks as it may.
    WebhookLimitReached,
    /// Storage did not answer; holds text for the log and the state of each part, where known.
    StorageUnavailable {
        /// What failed, for the log.
        detail: String,
        /// The state of each part of storage; empty where only one was asked.
        parts: Vec<FieldError>,
    },
    /// No object under the session's key yet.
    ObjectNotUploaded,
    /// The stored object may not become an asset; holds every reason.
    UploadRejected(Vec<FieldError>),
    /// Anything unforeseen; holds text for the log.
    Internal(String),
}

/// Why a caller may not do what it asks, in the order of the checks (rows 3 to 8 of docs/behaviour.md).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum AuthError {
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

impl AuthError {
    /// What the client is told.
    pub const fn code(self) -> ErrorCode {
        match self {
            Self::Unauthorized => ErrorCode::Unauthorized,
            Self::EmailNotVerified => ErrorCode::EmailNotVerified,
            Self::OrganizationMembershipRequired => ErrorCode::OrganizationMembershipRequired,
            Self::RoleUnresolved => ErrorCode::RoleUnresolved,
            Self::ImpersonationReadOnly => ErrorCode::ImpersonationReadOnly,
            Self::PermissionDenied => ErrorCode::PermissionDenied,
        }
    }
}

impl From<AuthError> for ApiError {
    fn from(error: AuthError) -> Self {
        Self::Auth(error)
    }
}

/// One entry of `errors`: where the error is, what is wrong in words, and its kind for programs.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema), schemars(rename = "ErrorDetail", extend("additionalProperties" = true)))]
pub struct FieldError {
    /// The way to the value, outermost first: `["body", "folder_id"]`.
    #[cfg_attr(not(target_arch = "wasm32"), schemars(length(min = 1)))]
    pub loc: Vec<String>,
    /// One sentence for people.
    pub msg: String,
    /// A stable word for programs, such as `missing` or `uuid_parsing`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Further members, where there are any.
    #[serde(flatten)]
    pub details: Option<Box<ErrorDetails>>,
}

/// Further members of a [`FieldError`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub struct ErrorDetails {
    /// What was declared of the file: its size in bytes, its media type or its encryption.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(not(target_arch = "wasm32"), schemars(with = "DetailValue"))]
    pub declared: Option<DetailValue>,
    /// What is stored: a size in bytes, a media type or an encryption.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(not(target_arch = "wasm32"), schemars(with = "DetailValue"))]
    pub actual: Option<DetailValue>,
    /// What is permitted: the largest size in bytes, or a list. In a list of media types those with `!` forbid, and a
    /// `type/*` never covers a type that ends in `xml`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(not(target_arch = "wasm32"), schemars(with = "DetailValue"))]
    pub limit: Option<DetailValue>,
    /// The asset that exists already.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(not(target_arch = "wasm32"), schemars(with = "String", extend("format" = "uuid")))]
    pub asset_id: Option<String>,
}

/// A size, a type, or a list of what is permitted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema), schemars(inline))]
pub enum DetailValue {
    /// A media type.
    Text(String),
    /// A size in bytes.
    Number(u64),
    /// Permitted values.
    List(Vec<String>),
}

impl FieldError {
    /// An error at `loc` without further members.
    #[cold]
    pub fn new(loc: &[&str], kind: &'static str, msg: impl Into<String>) -> Self {
        Self {
            loc: loc.iter().map(|part| (*part).to_owned()).collect(),
            msg: msg.into(),
            kind,
            details: None,
        }
    }

    /// Of a value that is no UUID.
    pub fn not_a_uuid(loc: &[&str]) -> Self {
        Self::new(loc, "uuid_parsing", "Must be a UUID such as 018f4d2e-7c4b-7a35-9c1f-0242ac120002.")
    }

    /// The same error with further members.
    #[must_use]
    pub fn with(mut self, details: ErrorDetails) -> Self {
        self.details = Some(Box::new(details));
        self
    }
}

/// As many entries as `errors` has at most.
const MAX_ERRORS: usize = 100;

/// The envelope of every error.
#[derive(Debug, Serialize)]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema), schemars(rename = "ErrorResponse"))]
pub struct Envelope {
    /// A stable word for programs. Each operation says which ones it answers with a status.
    code: &'static str,
    /// What to do next, for people.
    message: &'static str,
    /// The details, if there are any, at most the first 100.
    #[cfg_attr(not(target_arch = "wasm32"), schemars(length(max = MAX_ERRORS)))]
    errors: Option<Vec<FieldError>>,
}

impl ApiError {
    /// Storage did not answer; `detail` goes to the log alone.
    pub fn unavailable(detail: impl Into<String>) -> Self {
        Self::StorageUnavailable { detail: detail.into(), parts: Vec::new() }
    }

    /// Which kind of error this is.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::NotFound => ErrorCode::NotFound,
            Self::MethodNotAllowed(_) => ErrorCode::MethodNotAllowed,
            Self::Auth(error) => error.code(),
            Self::BadRequest(_) => ErrorCode::BadRequest,
            Self::Validation(_) => ErrorCode::ValidationError,
            Self::UploadLimitReached => ErrorCode::UploadLimitReached,
            Self::ApiKeyNotFound => ErrorCode::ApiKeyNotFound,
            Self::AssetUploadNotFound => ErrorCode::AssetUploadNotFound,
            Self::AssetUploadAlreadyConfirmed(_) => ErrorCode::AssetUploadAlreadyConfirmed,
            Self::AssetUploadExpired => ErrorCode::AssetUploadExpired,
            Self::FolderNotFound => ErrorCode::FolderNotFound,
            Self::FolderNameTaken => ErrorCode::FolderNameTaken,
            Self::FolderNotEmpty => ErrorCode::FolderNotEmpty,
            Self::FolderTooLarge => ErrorCode::FolderTooLarge,
            Self::FolderCycle => ErrorCode::FolderCycle,
            Self::AssetNotFound => ErrorCode::AssetNotFound,
            Self::WebhookNotFound => ErrorCode::WebhookNotFound,
            Self::WebhookDeliveryNotFound => ErrorCode::WebhookDeliveryNotFound,
            Self::WebhookLimitReached => ErrorCode::WebhookLimitReached,
            Self::StorageUnavailable { .. } => ErrorCode::StorageUnavailable,
            Self::ObjectNotUploaded => ErrorCode::ObjectNotUploaded,
            Self::UploadRejected(_) => ErrorCode::UploadRejected,
            Self::Internal(_) => ErrorCode::InternalError,
        }
    }

    /// What the client is told: constant text that says what to do next.
    pub fn message(&self) -> &'static str {
        match self {
            Self::BadRequest(message) => message,
            _ => self.code().message(),
        }
    }

    /// What is wrong in detail, for the client; `None` renders as null.
    pub fn field_errors(&self) -> Option<Vec<FieldError>> {
        match self {
            // A body of 64 KiB can have thousands of errors, each of which takes more space than its cause.
            Self::Validation(errors) | Self::UploadRejected(errors) => {
                Some(errors.iter().take(MAX_ERRORS).cloned().collect())
            }
            Self::StorageUnavailable { parts, .. } if !parts.is_empty() => Some(parts.clone()),
            Self::AssetUploadAlreadyConfirmed(id) => {
                const LOC: [&str; 2] = ["path", "asset_upload_id"];
                let error = FieldError::new(&LOC, "already_confirmed", "This upload was confirmed before.");
                Some(vec![error.with(ErrorDetails { asset_id: Some(id.clone()), ..ErrorDetails::default() })])
            }
            _ => None,
        }
    }

    /// The header that only this error has.
    pub fn header(&self) -> Option<(&'static str, &str)> {
        match self {
            Self::MethodNotAllowed(allow) => Some(("allow", allow)),
            Self::Auth(AuthError::Unauthorized) => Some(("www-authenticate", "Bearer")),
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

    /// Text for the log: what only it is told, else what the client is told.
    pub fn log_text(&self) -> String {
        self.log_detail().unwrap_or_else(|| self.message()).to_owned()
    }

    /// What the client gets.
    pub fn envelope(&self) -> Envelope {
        Envelope { code: self.code().as_str(), message: self.message(), errors: self.field_errors() }
    }

    /// The JSON body.
    pub fn body(&self) -> String {
        // Strings, numbers and maps with string keys cannot fail to serialize.
        serde_json::to_string(&self.envelope()).unwrap_or_default()
    }
}
