//! Handlers of upload sessions.

use super::{Exchange, random};
use crate::config::Config;
use crate::domain::ids::RequestId;
use crate::domain::upload::ObjectState;
use crate::error::ApiError;
use crate::store::rights::{Caller, Permission};
use crate::store::uploads::{Confirm, Confirmed};
use crate::wire::{AssetResponse, ConfirmAssetUploadRequest, Reply};

/// `POST /v1/asset-uploads/{asset_upload_id}/confirmations`
///
/// 1. A malformed key is 401, without any storage call.
/// 2. A faulty request is judged by the caller's rights first, with one D1 transaction.
/// 3. R2 HEADs the object. A failure is kept: rights and session are judged before it.
/// 4. One D1 transaction writes the asset, if the object may become one and nothing else forbids it,
///    and reads what decides the answer.
///
/// An object stored without a content type takes the declared one, which only the session knows, so
/// there step 4 is done twice. A signed PUT always stores a type.
pub(super) async fn confirm(exchange: &Exchange, config: &Config, id: &str) -> Result<Reply, ApiError> {
    let token = exchange.token()?;
    let head = exchange.head();
    let request = match ConfirmAssetUploadRequest::parse(id, &head, &exchange.body().await) {
        Ok(request) => request,
        Err(fault) => {
            return Err(exchange.refuse(token, Permission::Write, &head, fault).await);
        }
    };

    let object = match exchange.head_object(&request.asset_upload_id.object_key()).await {
        Ok(Some(object)) => config.rules.verify(object),
        Ok(None) => ObjectState::Missing,
        Err(detail) => ObjectState::Unavailable(detail),
    };
    let replayable = request.idempotency_key.is_some();
    let confirmation_key = match request.idempotency_key {
        Some(key) => key.as_str().to_owned(),
        None => RequestId::v7(0, &random().map_err(ApiError::Internal)?).to_string(),
    };
    let mut confirm = Confirm {
        caller: Caller {
            token,
            organization: request.organization,
            now: exchange.started,
            permission: Permission::Write,
        },
        asset_upload_id: request.asset_upload_id,
        folder_id: request.folder_id,
        confirmation_key,
        replayable,
        object,
        rules: &config.rules,
    };
    loop {
        match (exchange.run(&confirm).await?, confirm.object) {
            (Confirmed::Asset { asset, created_by_user, replayed }, _) => {
                let body = AssetResponse::new(&asset, Some(&created_by_user), &config.links);
                let reply =
                    Reply::json(201, &body)?.with_header("location", format!("/v1/assets/{}", asset.id));
                return Ok(if replayed { reply.with_header("idempotent-replayed", "true") } else { reply });
            }
            (Confirmed::NeedsDeclaredType(declared), ObjectState::Untyped(object)) => {
                confirm.object = config.rules.verify_as(object, &declared);
            }
            (Confirmed::NeedsDeclaredType(_), _) => {
                return Err(ApiError::Internal("a typed object needs no declared type".to_owned()));
            }
        }
    }
}
