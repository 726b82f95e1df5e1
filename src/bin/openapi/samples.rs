//! An error of each code, as the code itself makes it.

use asset_uploads::api::endpoint::Description;
use asset_uploads::api::multipart::unknown_parts;
use asset_uploads::config::Config;
use asset_uploads::domain::media::AllowedTypes;
use asset_uploads::domain::timestamp::Timestamp;
use asset_uploads::domain::upload::{Session, UploadRules, Violation};
use asset_uploads::error::{ApiError, AuthError, ErrorCode};
use asset_uploads::http::fields::JsonBody;
use asset_uploads::http::request::{Body, BodyLimit, Input, RequestHeaders};
use asset_uploads::http::route::PathParams;
use asset_uploads::store::uploads::reused_key;
use serde_json::{Map, Value, json};

use crate::endpoint::Endpoint;

/// The id that stands in every example, of an upload and of its asset.
pub(crate) const ID: &str = "018f4d2e-7c4b-7a35-9c1f-0242ac120002";
/// A point in time.
pub(crate) const TIME: &str = "2026-11-22T12:51:07.042Z";

/// An error as an example.
pub(crate) struct Sample {
    /// A word for it.
    pub(crate) name: &'static str,
    /// What it shows; empty for what is said of its code.
    pub(crate) summary: &'static str,
    /// Whether endpoints have it in common.
    pub(crate) shared: bool,
    /// The error.
    pub(crate) error: ApiError,
}

/// Sends wrong requests to endpoints.
pub(crate) struct WrongRequests {
    config: Config,
}

impl WrongRequests {
    /// With a configuration in which URLs can be signed.
    pub(crate) fn new() -> Result<Self, String> {
        let config = Config::parse(|name| {
            let signing = ["S3_ENDPOINT", "S3_BUCKET", "S3_ACCESS_KEY_ID", "S3_SECRET_ACCESS_KEY"];
            let value = if name == "S3_ENDPOINT" { "https://s3.example.com" } else { "example" };
            signing.contains(&name).then(|| value.to_owned())
        });
        config.map(|config| Self { config }).map_err(|errors| errors.join("; "))
    }

    /// The errors with this code that an endpoint answers. `fields` are the properties of its body. The match has no
    /// `_`, so that a new code needs its example.
    pub(crate) fn samples(
        &self,
        code: ErrorCode,
        endpoint: &Endpoint,
        fields: &Map<String, Value>,
    ) -> Result<Vec<Sample>, String> {
        let error = match code {
            ErrorCode::NotFound => ApiError::NotFound,
            ErrorCode::MethodNotAllowed => ApiError::MethodNotAllowed("GET, HEAD".to_owned()),
            ErrorCode::Unauthorized => AuthError::Unauthorized.into(),
            ErrorCode::EmailNotVerified => AuthError::EmailNotVerified.into(),
            ErrorCode::OrganizationMembershipRequired => AuthError::OrganizationMembershipRequired.into(),
            ErrorCode::RoleUnresolved => AuthError::RoleUnresolved.into(),
            ErrorCode::ImpersonationReadOnly => AuthError::ImpersonationReadOnly.into(),
            ErrorCode::PermissionDenied => AuthError::PermissionDenied.into(),
            ErrorCode::BadRequest => return bad_requests(),
            ErrorCode::ValidationError => return self.validation_errors(endpoint, fields),
            ErrorCode::UploadLimitReached => ApiError::UploadLimitReached,
            ErrorCode::ApiKeyNotFound => ApiError::ApiKeyNotFound,
            ErrorCode::AssetUploadNotFound => ApiError::AssetUploadNotFound,
            ErrorCode::AssetUploadAlreadyConfirmed => ApiError::AssetUploadAlreadyConfirmed(ID.to_owned()),
            ErrorCode::AssetUploadExpired => ApiError::AssetUploadExpired,
            ErrorCode::FolderNotFound => ApiError::FolderNotFound,
            ErrorCode::FolderNameTaken => ApiError::FolderNameTaken,
            ErrorCode::FolderNotEmpty => ApiError::FolderNotEmpty,
            ErrorCode::FolderTooLarge => ApiError::FolderTooLarge,
            ErrorCode::FolderCycle => ApiError::FolderCycle,
            ErrorCode::AssetNotFound => ApiError::AssetNotFound,
            ErrorCode::WebhookNotFound => ApiError::WebhookNotFound,
            ErrorCode::WebhookDeliveryNotFound => ApiError::WebhookDeliveryNotFound,
            ErrorCode::WebhookLimitReached => ApiError::WebhookLimitReached,
            ErrorCode::StorageUnavailable => ApiError::unavailable("for the log"),
            ErrorCode::ObjectNotUploaded => ApiError::ObjectNotUploaded,
            ErrorCode::UploadRejected => {
                let sample = |name, summary, error| Sample { name, summary, shared: true, error };
                return Ok(vec![
                    sample(code.as_str(), "", upload_rejected()?),
                    sample("parts_rejected", "Parts that storage does not have", unknown_parts()),
                ]);
            }
            ErrorCode::InternalError => ApiError::Internal("for the log".to_owned()),
        };
        Ok(vec![Sample { name: code.as_str(), summary: "", shared: true, error }])
    }

    fn validation_errors(
        &self,
        endpoint: &Endpoint,
        fields: &Map<String, Value>,
    ) -> Result<Vec<Sample>, String> {
        let Description { route, doc, .. } = &endpoint.description;
        let parse = |params: &[&str], query: &str, headers: &RequestHeaders, body: &str| {
            let body = Body::Bytes(body.as_bytes().to_vec());
            let input = Input { path: PathParams::new(params), query, headers, body: &body };
            (endpoint.parse)(&input, &self.config)
        };
        let query: Vec<String> = doc.query.iter().map(|one| format!("{}=wrong", one.name)).collect();
        let mut wrong: Map<String, Value> =
            fields.iter().map(|(name, schema)| (name.clone(), wrong_value(schema))).collect();
        wrong.insert("unknown".to_owned(), json!(0));
        let json =
            RequestHeaders { content_type: Some("application/json".to_owned()), ..RequestHeaders::default() };
        let headers = RequestHeaders {
            organization: Some("mine".to_owned()),
            idempotency_key: Some(String::new()),
            ..json.clone()
        };
        let error = parse(&["1", "2"], &query.join("&"), &headers, &json!(wrong).to_string())
            .ok_or_else(|| format!("{} takes a wrong request", doc.operation_id))?;
        let mut samples =
            vec![Sample { name: "wrong", summary: "Several errors at once", shared: false, error }];
        if route.method.has_body() {
            let missing = parse(&[ID, ID], "", &json, "{}");
            samples.extend(missing.map(|error| Sample {
                name: "missing_fields",
                summary: "Missing fields",
                shared: false,
                error,
            }));
            let missing = parse(&[ID, ID], "", &json, "");
            samples.extend(missing.map(|error| Sample {
                name: "missing_body",
                summary: "No body",
                shared: true,
                error,
            }));
        }
        if doc.idempotency_key.is_some() {
            samples.push(Sample {
                name: "idempotency_key_reused",
                summary: "An Idempotency-Key with another body",
                shared: true,
                error: reused_key(),
            });
        }
        Ok(samples)
    }
}

/// A value that a field does not take: nothing where there should be a text, 0 where there should be a number.
fn wrong_value(schema: &Value) -> Value {
    match schema.get("type").and_then(Value::as_str) {
        Some("integer" | "number") => json!(0),
        _ => json!(""),
    }
}

fn bad_requests() -> Result<Vec<Sample>, String> {
    let json = Some("application/json".to_owned());
    [
        ("not_an_object", "Not a JSON object", Body::Bytes(b"[]".to_vec()), json.clone()),
        ("content_type", "Another content type", Body::Bytes(b"{}".to_vec()), None),
        ("too_large", "Too large", Body::Over(BodyLimit::Kib64), json),
    ]
    .into_iter()
    .map(|(name, summary, body, content_type)| {
        let headers = RequestHeaders { content_type, ..RequestHeaders::default() };
        let input = Input { path: PathParams::default(), query: "", headers: &headers, body: &body };
        let error = JsonBody::parse(&input).err().ok_or_else(|| format!("{name} is no bad request"))?;
        Ok(Sample { name, summary, shared: true, error })
    })
    .collect()
}

/// An object that is too large, and of a type that is not permitted.
pub(crate) fn upload_rejected() -> Result<ApiError, String> {
    let rules = UploadRules {
        max_bytes: asset_uploads::config::DEFAULT_MAX_UPLOAD_BYTES,
        allowed_types: AllowedTypes::parse(["image/*", "application/pdf"])?,
        reject_mismatch: false,
    };
    let session = Session {
        filename: "sunrise.png".to_owned(),
        mime_type: "image/png".to_owned(),
        size_bytes: 482_133,
        expires_at: Timestamp(0),
        part_size: None,
    };
    let violations = [Violation::TooLarge(73_400_320), Violation::TypeNotAllowed("text/html".to_owned())];
    Ok(ApiError::UploadRejected(violations.iter().map(|one| rules.explain(one, &session)).collect()))
}
