//! Requests as clients send them: each is HTTP, whose body arrives after a while.

use asset_uploads::error::{ApiError, ErrorCode};
use asset_uploads::http::request::{Body, BodyLimit, IncomingRequest};

use crate::model::{Declared, Model};
use crate::platform::client::TestRequest;
use crate::record::TaskRecord;
use crate::request::{ActionModel, RequestModel};
use crate::schedule::Named;
use crate::simulated::pause;
use crate::state::State;
use crate::world::UNKNOWN_ID;

/// A request as it is sent.
pub(crate) fn http_request(model: &Model, request: &RequestModel) -> TestRequest {
    let (method, path, key, body) = match &request.action {
        ActionModel::Start { body, key, .. } => {
            ("POST", "/v1/asset-uploads".to_owned(), *key, Some((*body).to_owned()))
        }
        ActionModel::Confirm { upload, key, body, .. } => {
            ("POST", format!("/v1/asset-uploads/{upload}/confirmations"), *key, Some(body.clone()))
        }
        ActionModel::ConfirmBatch { key, body, .. } => {
            ("POST", "/v1/asset-upload-confirmations".to_owned(), *key, Some(body.clone()))
        }
        ActionModel::SignParts { upload, body, .. } => {
            ("POST", format!("/v1/asset-uploads/{upload}/parts"), None, Some(body.clone()))
        }
        ActionModel::Complete { upload, body, .. } => {
            ("POST", format!("/v1/asset-uploads/{upload}/completions"), None, Some(body.clone()))
        }
        ActionModel::Cancel { upload } => ("DELETE", format!("/v1/asset-uploads/{upload}"), None, None),
        ActionModel::ReadUpload { upload } => ("GET", format!("/v1/asset-uploads/{upload}"), None, None),
        ActionModel::ReadAsset { asset } => {
            ("GET", format!("/v1/assets/{asset}?embed=created_by_user"), None, None)
        }
        ActionModel::UpdateAsset { asset, body, .. } => {
            ("PATCH", format!("/v1/assets/{asset}"), None, Some(body.clone()))
        }
        ActionModel::DeleteAsset { asset } => ("DELETE", format!("/v1/assets/{asset}"), None, None),
        ActionModel::RestoreAsset { asset } => {
            ("POST", format!("/v1/assets/{asset}/restorations"), None, Some("{}".to_owned()))
        }
        ActionModel::CreateFolder { key, body, .. } => {
            ("POST", "/v1/asset-folders".to_owned(), *key, Some(body.clone()))
        }
        ActionModel::ReadFolder { folder } => ("GET", format!("/v1/asset-folders/{folder}"), None, None),
        ActionModel::UpdateFolder { folder, body, .. } => {
            ("PATCH", format!("/v1/asset-folders/{folder}"), None, Some(body.clone()))
        }
        ActionModel::DeleteFolder { folder, recursive } => {
            let query = if *recursive { "?recursive=true" } else { "" };
            ("DELETE", format!("/v1/asset-folders/{folder}{query}"), None, None)
        }
        ActionModel::RestoreFolder { folder } => {
            ("POST", format!("/v1/asset-folders/{folder}/restorations"), None, None)
        }
        ActionModel::MakeKey { body, .. } => ("POST", "/v1/api-keys".to_owned(), None, Some(body.clone())),
        ActionModel::RevokeKey { key } => ("DELETE", format!("/v1/api-keys/{key}"), None, None),
        ActionModel::List(list) => ("GET", list.path(), None, None),
        ActionModel::MakeWebhook { body, .. } => {
            ("POST", "/v1/webhooks".to_owned(), None, Some(body.clone()))
        }
        ActionModel::UpdateWebhook { webhook, body, .. } => {
            ("PATCH", format!("/v1/webhooks/{webhook}"), None, Some(body.clone()))
        }
        ActionModel::DeleteWebhook { webhook } => ("DELETE", format!("/v1/webhooks/{webhook}"), None, None),
    };
    let mut http = TestRequest::new(method, &path);
    if let Some(token) = &model.keys[request.client].token {
        http = http.token(token);
    }
    let organization = match request.organization {
        Named::Nothing => None,
        Named::Acme => Some(model.orgs[0].to_string()),
        Named::Other => Some(model.orgs[1].to_string()),
        Named::Unknown => Some(UNKNOWN_ID.to_owned()),
        Named::Malformed => Some("Acme".to_owned()),
    };
    if let Some(organization) = organization {
        http = http.header("x-organization-id", &organization);
    }
    if let Some(key) = key {
        http = http.header("idempotency-key", &format!("key-{key}"));
    }
    if let Some(body) = body { http.json(&body) } else { http }
}

/// What a file of `FILES` declares, or what its body is answered.
pub(crate) fn file_of(file: u8) -> Result<Declared, ErrorCode> {
    let of = |filename, mime_type, size_bytes| Declared { filename, mime_type, size_bytes, multipart: false };
    let in_parts = |file: Declared| Ok(Declared { multipart: true, ..file });
    match file {
        0 => Ok(of("beach.png", "image/png", 640)),
        1 => Ok(of("clip.mp4", "video/mp4", 999)),
        2 => Ok(of("beach.png", "image/png", 641)),
        5 => Err(ErrorCode::BadRequest),
        6 => in_parts(of("clip.mp4", "video/mp4", 5_242_881)),
        7 => in_parts(of("beach.png", "image/png", 640)),
        _ => Err(ErrorCode::ValidationError),
    }
}

/// A request whose body is still on the way.
pub(crate) struct ArrivingRequest<'a> {
    pub(crate) http: &'a TestRequest,
    pub(crate) state: &'a State<'a>,
    /// Is to know when the body has arrived.
    pub(crate) record: &'a TaskRecord,
}

impl IncomingRequest for ArrivingRequest<'_> {
    fn method(&self) -> &str {
        &self.http.method
    }

    fn url(&self) -> &str {
        &self.http.url
    }

    fn header(&self, name: &'static str) -> Result<Option<String>, ApiError> {
        Ok(self.http.headers.get(name).cloned())
    }

    async fn body(&self, _: BodyLimit) -> Body {
        pause().await;
        self.record.arrived_at.set(Some(self.state.clock.get()));
        self.http.body.clone()
    }
}
