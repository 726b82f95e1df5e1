//! Upload sessions: starting, reading and cancelling one.

use serde::Serialize;
use serde_json::value::RawValue;

use super::context::RequestContext;
use super::endpoint::{Doc, Endpoint, Example, Parameter, Values};
use super::started_upload::{CreateResponse, UploadRequest};
use crate::config::Config;
use crate::domain::api_key::Scope;
use crate::domain::idempotency::IdempotencyKey;
use crate::domain::ids::{AssetId, AssetUploadId};
use crate::domain::media::MimeType;
use crate::domain::multipart::Division;
use crate::domain::timestamp::Timestamp;
use crate::domain::upload::{Filename, LARGEST_SINGLE_PUT, Session, Status, UploadRules, single_put_error};
use crate::error::{ApiError, ErrorCode, FieldError};
use crate::http::fields::{FieldErrors, JsonBody, boolean, filename, path_id, string, whole_number};
use crate::http::reply::Reply;
use crate::http::request::Input;
use crate::http::route::Route;
use crate::platform::Platform;
use crate::presign::{Put, S3};
use crate::store::rights::{Caller, Permission};
use crate::store::uploads;

/// The path parameter of an upload's endpoints.
pub(super) const ID: Parameter = Parameter {
    name: "asset_upload_id",
    description: "The id of the upload: the `asset_id` that starting it answered.",
    values: Values::Id,
};

/// The longest life of an upload in parts, in seconds: 6 days, a day less than R2 keeps parts.
const LONGEST_MULTIPART_SECONDS: u64 = 6 * 86_400;

/// `POST /v1/asset-uploads`: one D1 transaction, which writes the session; the URL is signed here.
#[derive(Clone, PartialEq)]
pub struct Create {
    /// The client's name for this upload.
    pub idempotency_key: Option<IdempotencyKey>,
    /// The file's name.
    pub filename: Filename,
    /// Its media type, a permitted one.
    pub mime_type: MimeType,
    /// Its size in bytes, 1 to the limit.
    pub size_bytes: u64,
    /// Whether it is sent in parts.
    pub multipart: bool,
    signer: S3,
}

impl Endpoint for Create {
    const ROUTE: Route = Route::post("/v1/asset-uploads");
    const PERMISSION: Option<Permission> = Some(Permission::AssetsWrite);
    const SCOPES: &'static [Scope] = &[Scope::Full, Scope::Upload];
    const DOC: Doc = Doc {
        operation_id: "createAssetUpload",
        tag: "Media",
        summary: "Start an upload",
        description: "The first of three steps. Declare the file; the answer holds the signed request that sends it to storage. Send the file with exactly the headers in `upload.headers`, then confirm the upload under `asset_id`. A 412 from storage means that this upload's file is there already (an answer was lost): go on to the confirmation. Where the operator has not set up the signing of uploads, the answer is 503.",
        path: &[],
        query: &[],
        idempotency_key: Some(
            "A repeat with the same key and the same body, from the same API key and with the same `X-Organization-Id`, is answered with the same upload, freshly signed and marked `Idempotent-Replayed`; with another body it is 422, and once the upload is confirmed or expired 409. After a cancellation the key is used up: 422. Without the header a repeat starts another upload.",
        ),
        success: (201, "The upload is started. Send the file as `upload` says."),
        location: Some(Read::ROUTE),
        errors: &[
            ErrorCode::StorageUnavailable,
            ErrorCode::UploadLimitReached,
            ErrorCode::AssetUploadAlreadyConfirmed,
            ErrorCode::AssetUploadExpired,
        ],
        body_examples: &[Example { name: "image", summary: "An image", changes: "{}" }],
        examples: &[Example { name: "started", summary: "Started", changes: "{}" }],
    };
    type Caller = Caller;
    type Body = CreateBody;
    type Response = CreateResponse;

    fn parse(input: &Input<'_>, config: &Config) -> Result<Self, ApiError> {
        let mut errors = FieldErrors::default();
        let mut body = JsonBody::parse(input)?;
        let filename = body.required("filename", |value| filename("filename", value));
        let mime_type = body.required("mime_type", |value| parse_mime_type(value, &config.rules));
        let size_bytes = body.required("size_bytes", |value| parse_size(value, &config.rules));
        let multipart = body.optional("multipart", |value| boolean("multipart", value)).unwrap_or_default();
        body.finish(&mut errors);
        if !multipart && size_bytes.is_some_and(|size| size > LARGEST_SINGLE_PUT) {
            errors.push(single_put_error());
        }
        let idempotency_key = errors.check(input.headers.idempotency_key());
        let fields = match (filename, mime_type, size_bytes, idempotency_key) {
            (Some(filename), Some(mime_type), Some(size_bytes), Some(idempotency_key)) => {
                Some((filename, mime_type, size_bytes, idempotency_key))
            }
            _ => None,
        };
        let (filename, mime_type, size_bytes, idempotency_key) = errors.finish(fields)?;
        let signer = config.uploads.s3.clone().map_err(ApiError::unavailable)?;
        Ok(Self { idempotency_key, filename, mime_type, size_bytes, multipart, signer })
    }

    async fn handle<P: Platform>(
        self,
        cx: &RequestContext<'_, P>,
        caller: Caller,
    ) -> Result<Reply, ApiError> {
        let (settings, now) = (&cx.config.uploads, cx.now());
        let id = match &self.idempotency_key {
            Some(key) => {
                AssetUploadId::for_idempotency_key(caller.token.as_str(), caller.organization.as_ref(), key)
            }
            None => AssetUploadId::v7(now.unix_ms(), &cx.random()?),
        };
        let division = self.multipart.then(|| Division::of(self.size_bytes, settings.part_bytes));
        let longest = if self.multipart { LONGEST_MULTIPART_SECONDS } else { u64::MAX };
        let create = uploads::Create {
            caller,
            asset_upload_id: id,
            filename: self.filename,
            mime_type: self.mime_type,
            size_bytes: self.size_bytes,
            expires_at: now.plus_seconds(settings.confirm_seconds.min(longest)),
            part_size: division.map(|division| division.part_size),
            request_id: cx.request_id,
            rules: &cx.config.rules,
        };
        let created = cx.run(&create).await?;

        let replayed = created.existed && self.idempotency_key.is_some();
        let upload = match created.session.division() {
            Some(division) => UploadRequest::multipart(division, created.session.expires_at),
            None => sign(cx, &self.signer, &create, created.session.expires_at)?,
        };
        let reply = Reply::json(201, &CreateResponse::new(id, upload))?
            .with_header("location", format!("/v1/asset-uploads/{id}"));
        Ok(reply.replayed(replayed))
    }
}

/// The signed PUT of the file.
fn sign<P: Platform>(
    cx: &RequestContext<'_, P>,
    signer: &S3,
    create: &uploads::Create<'_>,
    deadline: Timestamp,
) -> Result<UploadRequest, ApiError> {
    let (seconds, expires_at) = cx.config.uploads.url_life(cx.now(), deadline);
    let put = Put {
        key: &create.asset_upload_id.object_key(),
        mime_type: &create.mime_type,
        filename: &create.filename,
        size_bytes: create.size_bytes,
        write_once: cx.config.uploads.write_once,
    };
    let signed = signer.put(put, cx.origin, cx.now(), seconds)?;
    Ok(UploadRequest::put(signed, expires_at))
}

fn parse_mime_type(value: &RawValue, rules: &UploadRules) -> Result<MimeType, FieldError> {
    const MSG: &str = "Must be a string holding a media type such as image/png.";
    const LOC: [&str; 2] = ["body", "mime_type"];
    let text = string("mime_type", value, MSG)?;
    let mime_type = MimeType::parse(&text).ok_or_else(|| FieldError::new(&LOC, "mime_type_parsing", MSG))?;
    if rules.allowed_types.permits(&mime_type) { Ok(mime_type) } else { Err(rules.type_error()) }
}

fn parse_size(value: &RawValue, rules: &UploadRules) -> Result<u64, FieldError> {
    let not_whole =
        || FieldError::new(&["body", "size_bytes"], "int_type", "Must be a whole number of bytes.");
    match whole_number(value).ok_or_else(not_whole)? {
        Some(size) if (1..=rules.max_bytes).contains(&size) => Ok(size),
        _ => Err(rules.size_error()),
    }
}

/// What is going to be uploaded. A field that stands twice is an error.
#[derive(Debug)]
#[cfg_attr(
    not(target_arch = "wasm32"),
    derive(schemars::JsonSchema),
    schemars(
        rename = "CreateAssetUploadRequest",
        deny_unknown_fields,
        example = serde_json::json!({
            "filename": "sunrise.png",
            "mime_type": "image/png",
            "size_bytes": 482_133
        })
    )
)]
pub struct CreateBody {
    /// The file's name, which becomes the asset's. No control characters, no bidirectional-override characters (U+202A
    /// to U+202E, U+2066 to U+2069), no `/` and no `\`; not `.` or `..`.
    #[cfg_attr(
        not(target_arch = "wasm32"),
        schemars(
            length(min = 1, max = 500),
            regex(pattern = r"^[^\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069/\\]+$"),
            extend("not" = {"enum": [".", ".."]})
        )
    )]
    pub filename: String,
    /// The file's media type. Case and parameters do not count. Which types are permitted is configurable: unless the
    /// operator says otherwise image, video and audio types (but none that ends in `xml`), PDF, JSON, ZIP, GZIP,
    /// octet-stream, plain text, CSV, Markdown, RTF, and Word, Excel, PowerPoint and OpenDocument files. For another
    /// one `errors` names them as `limit`.
    #[cfg_attr(not(target_arch = "wasm32"), schemars(length(min = 1, max = 255)))]
    pub mime_type: String,
    /// The file's size, written without an exponent. The maximum is configurable (52428800, which is 50 MiB, unless
    /// the operator says otherwise); above it `errors` names it as `limit`.
    #[cfg_attr(not(target_arch = "wasm32"), schemars(range(min = 1)))]
    pub size_bytes: u64,
    /// Whether the file is sent in parts: necessary above 5 GiB, and useful where lines break.
    #[cfg_attr(not(target_arch = "wasm32"), schemars(default))]
    pub multipart: bool,
}

/// `GET /v1/asset-uploads/{asset_upload_id}`: one D1 transaction, and an R2 HEAD while it is pending.
#[derive(Debug, Clone, PartialEq)]
pub struct Read {
    /// The upload.
    pub asset_upload_id: AssetUploadId,
}

impl Endpoint for Read {
    const ROUTE: Route = Route::get("/v1/asset-uploads/{asset_upload_id}");
    const PERMISSION: Option<Permission> = Some(Permission::AssetsRead);
    const SCOPES: &'static [Scope] = &Scope::ALL;
    const DOC: Doc = Doc {
        operation_id: "getAssetUpload",
        tag: "Media",
        summary: "See how an upload stands",
        description: "A cancelled upload is answered like an unknown one. Storage is asked only while the upload is neither confirmed nor expired.",
        path: &[ID],
        query: &[],
        idempotency_key: None,
        success: (200, "The upload as it stands."),
        location: None,
        errors: &[ErrorCode::AssetUploadNotFound],
        body_examples: &[],
        examples: &[
            Example { name: "waiting", summary: "No file in storage yet", changes: "{}" },
            Example { name: "received", summary: "To be confirmed", changes: r#"{"status": "received"}"# },
            Example {
                name: "confirmed",
                summary: "An asset",
                changes: r#"{"status": "confirmed", "asset_id": "018f4d2e-7c4b-7a35-9c1f-0242ac120002"}"#,
            },
            Example { name: "expired", summary: "Too late", changes: r#"{"status": "expired"}"# },
        ],
    };
    type Caller = Caller;
    type Body = ();
    type Response = AssetUploadResponse<'static>;

    fn parse(input: &Input<'_>, _: &Config) -> Result<Self, ApiError> {
        parse_id(input).map(|asset_upload_id| Self { asset_upload_id })
    }

    async fn handle<P: Platform>(
        self,
        cx: &RequestContext<'_, P>,
        caller: Caller,
    ) -> Result<Reply, ApiError> {
        let id = self.asset_upload_id;
        let (session, confirmed) = cx.run(&uploads::Read { caller, asset_upload_id: id }).await?;
        let status = if confirmed {
            Status::Confirmed
        } else if session.expires_at <= cx.now() {
            Status::Expired
        } else if cx.platform.head_object(&id.object_key()).await?.is_some() {
            Status::Received
        } else {
            Status::Waiting
        };
        Reply::json(200, &AssetUploadResponse::new(id, &session, status))
    }
}

fn parse_id(input: &Input<'_>) -> Result<AssetUploadId, ApiError> {
    let mut errors = FieldErrors::default();
    let id = errors.check(path_id(ID.name, input.path.get(0), AssetUploadId::parse));
    errors.finish(id)
}

/// How an upload stands, and what was declared of it.
#[derive(Debug, Serialize)]
#[cfg_attr(
    not(target_arch = "wasm32"),
    derive(schemars::JsonSchema),
    schemars(
        rename = "AssetUploadResponse",
        example = serde_json::json!({
            "id": "018f4d2e-7c4b-7a35-9c1f-0242ac120002",
            "status": "waiting",
            "filename": "sunrise.png",
            "mime_type": "image/png",
            "size_bytes": 482_133,
            "expires_at": "2026-11-23T12:45:00.318Z",
            "asset_id": null
        })
    )
)]
pub struct AssetUploadResponse<'a> {
    /// The upload's id.
    id: AssetUploadId,
    /// How it stands.
    status: Status,
    /// As declared.
    filename: &'a str,
    /// As declared, lower-case and without parameters.
    mime_type: &'a str,
    /// As declared.
    #[cfg_attr(not(target_arch = "wasm32"), schemars(range(min = 1)))]
    size_bytes: u64,
    /// From then on the upload can no longer be confirmed.
    expires_at: Timestamp,
    /// The asset's id; null while the upload is not confirmed.
    asset_id: Option<AssetId>,
    /// Bytes of every part but the last, where the file is sent in parts.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(not(target_arch = "wasm32"), schemars(with = "u64", range(min = 5_242_880)))]
    part_size: Option<u64>,
    /// How many parts there are, where the file is sent in parts.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(not(target_arch = "wasm32"), schemars(with = "u64", range(min = 1, max = 10_000)))]
    part_count: Option<u64>,
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
            asset_id: (status == Status::Confirmed).then(|| id.into()),
            part_size: session.part_size,
            part_count: session.division().map(|division| division.part_count),
        }
    }
}

/// `DELETE /v1/asset-uploads/{asset_upload_id}`: one D1 transaction, then the deletion of the object.
///
/// Because of this order, a confirmation at the same time finds either the session with its object, or a cancelled
/// session. If the deletion fails, the object stays in R2, but can never be confirmed.
#[derive(Debug, Clone, PartialEq)]
pub struct Cancel {
    /// The upload.
    pub asset_upload_id: AssetUploadId,
}

impl Endpoint for Cancel {
    const ROUTE: Route = Route::delete("/v1/asset-uploads/{asset_upload_id}");
    const PERMISSION: Option<Permission> = Some(Permission::AssetsWrite);
    const SCOPES: &'static [Scope] = &[Scope::Full, Scope::Upload];
    const DOC: Doc = Doc {
        operation_id: "cancelAssetUpload",
        tag: "Media",
        summary: "Cancel an upload",
        description: "Gives up an upload that is not confirmed, expired or not, and deletes its file. A repeat is answered the same. What is sent to its signed URL later belongs to no upload. A confirmed upload cannot be cancelled.",
        path: &[ID],
        query: &[],
        idempotency_key: None,
        success: (204, "The upload is cancelled. No body."),
        location: None,
        errors: &[ErrorCode::AssetUploadNotFound, ErrorCode::AssetUploadAlreadyConfirmed],
        body_examples: &[],
        examples: &[],
    };
    type Caller = Caller;
    type Body = ();
    type Response = ();

    fn parse(input: &Input<'_>, _: &Config) -> Result<Self, ApiError> {
        parse_id(input).map(|asset_upload_id| Self { asset_upload_id })
    }

    async fn handle<P: Platform>(
        self,
        cx: &RequestContext<'_, P>,
        caller: Caller,
    ) -> Result<Reply, ApiError> {
        let id = self.asset_upload_id;
        // First the parts, so that nobody puts them together after the object is gone. What fails here the sweeper does.
        if let Some(multipart_id) = cx.run(&uploads::Cancel { caller, asset_upload_id: id }).await?
            && let Err(error) = cx.platform.abort_multipart(&id.object_key(), &multipart_id).await
        {
            cx.log_failure(error);
        }
        if let Err(error) = cx.platform.delete_objects(&[id.object_key()]).await {
            cx.log_failure(error);
        }
        Ok(Reply::empty(204))
    }
}
