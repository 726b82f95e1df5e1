//! Handlers of upload sessions.

use super::exchange::Exchange;
use super::storage::random;
use crate::config::Config;
use crate::domain::ids::AssetUploadId;
use crate::domain::upload::{ObjectState, Status};
use crate::error::ApiError;
use crate::presign::Put;
use crate::store::confirm::{Confirm, Confirmed};
use crate::store::rights::Permission;
use crate::store::uploads::{Cancel, Create, Read};
use crate::wire::{
    AssetResponse, AssetUploadResponse, ConfirmAssetUploadRequest, CreateAssetUploadRequest,
    CreateAssetUploadResponse, ItemRequest, Reply,
};

/// The name of the id in the path.
const ID: &str = "asset_upload_id";

/// `POST /v1/asset-uploads`: one D1 transaction, which writes the session; the URL is signed here.
pub(super) async fn create(exchange: &Exchange, config: &Config) -> Result<Reply, ApiError> {
    let token = exchange.token()?;
    let head = exchange.head()?;
    let parsed = CreateAssetUploadRequest::parse(&head, &exchange.body().await, &config.rules);
    let signer = config.uploads.s3.as_ref().map_err(ApiError::unavailable);
    let (request, signer) = match (parsed, signer) {
        (Ok(request), Ok(signer)) => (request, signer),
        (Err(fault), _) | (_, Err(fault)) => {
            return Err(exchange.refuse(token, Permission::Write, &head, fault).await);
        }
    };

    let now = exchange.now.get();
    let id = match &request.idempotency_key {
        Some(key) => AssetUploadId::for_intent(&token, request.organization.as_ref(), key),
        None => AssetUploadId::v7(now.unix_ms(), &random().map_err(ApiError::Internal)?),
    };
    let create = Create {
        caller: exchange.caller(token, request.organization, Permission::Write),
        asset_upload_id: id,
        filename: request.filename,
        mime_type: request.mime_type,
        size_bytes: request.size_bytes,
        expires_at: now.plus_seconds(config.uploads.confirm_seconds),
        request_id: exchange.id,
    };
    let created = exchange.run(&create).await?;

    // No URL outlives its session. A signature counts in whole seconds.
    let seconds = config.uploads.upload_url_seconds.min(now.seconds_until(created.session.expires_at)).max(1);
    let put = Put {
        key: &id.object_key(),
        mime_type: &create.mime_type,
        filename: &create.filename,
        size_bytes: create.size_bytes,
        write_once: config.uploads.write_once,
    };
    let signed = signer.put(put, &exchange.origin, now, seconds)?;
    let expires_at = now.whole_second().plus_seconds(seconds);
    let reply = Reply::json(201, &CreateAssetUploadResponse::new(id, signed, expires_at))?
        .with_header("location", format!("/v1/asset-uploads/{id}"));
    let replayed = created.existed && request.idempotency_key.is_some();
    Ok(if replayed { reply.with_header("idempotent-replayed", "true") } else { reply })
}

/// `GET /v1/asset-uploads/{asset_upload_id}`: one D1 transaction, and an R2 HEAD while it is pending.
pub(super) async fn read(exchange: &Exchange, id: &str) -> Result<Reply, ApiError> {
    let token = exchange.token()?;
    let head = exchange.head()?;
    let request = match ItemRequest::parse(ID, id, &head, "") {
        Ok(request) => request,
        Err(fault) => return Err(exchange.refuse(token, Permission::Read, &head, fault).await),
    };
    let caller = exchange.caller(token, request.organization, Permission::Read);
    let (session, confirmed) = exchange.run(&Read { caller, asset_upload_id: request.id }).await?;
    let status = if confirmed {
        Status::Confirmed
    } else if session.expires_at <= exchange.now.get() {
        Status::Expired
    } else {
        let object =
            exchange.storage.head_object(&request.id.object_key()).await.map_err(ApiError::unavailable)?;
        if object.is_some() { Status::Received } else { Status::Waiting }
    };
    Reply::json(200, &AssetUploadResponse::new(request.id, &session, status))
}

/// `DELETE /v1/asset-uploads/{asset_upload_id}`: one D1 transaction, then the object's removal.
///
/// In this order, a confirmation that comes in between finds either its session and its object, or the
/// session cancelled. What is left in R2 when the removal fails can never be confirmed.
pub(super) async fn cancel(exchange: &Exchange, id: &str) -> Result<Reply, ApiError> {
    let token = exchange.token()?;
    let head = exchange.head()?;
    let request = match ItemRequest::parse(ID, id, &head, "") {
        Ok(request) => request,
        Err(fault) => return Err(exchange.refuse(token, Permission::Write, &head, fault).await),
    };
    let caller = exchange.caller(token, request.organization, Permission::Write);
    exchange.run(&Cancel { caller, asset_upload_id: request.id }).await?;
    exchange.note_failure(exchange.storage.delete_objects(&[request.id.object_key()]).await);
    Ok(Reply::empty(204))
}

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
    let head = exchange.head()?;
    let request = match ConfirmAssetUploadRequest::parse(id, &head, &exchange.body().await) {
        Ok(request) => request,
        Err(fault) => {
            return Err(exchange.refuse(token, Permission::Write, &head, fault).await);
        }
    };

    let object = match exchange.storage.head_object(&request.asset_upload_id.object_key()).await {
        Ok(Some(object)) => config.rules.verify(object),
        Ok(None) => ObjectState::Missing,
        Err(detail) => ObjectState::Unavailable(detail),
    };
    let mut confirm = Confirm {
        caller: exchange.caller(token, request.organization, Permission::Write),
        asset_upload_id: request.asset_upload_id,
        folder_id: request.folder_id,
        idempotency_key: request.idempotency_key,
        request_id: exchange.id,
        object,
        rules: &config.rules,
    };
    loop {
        match (exchange.run(&confirm).await?, confirm.object) {
            (Confirmed::Asset { asset, created_by_user, replayed }, _) => {
                let url = config.asset_url(&asset.r2_key, &exchange.origin, exchange.now.get())?;
                let body = AssetResponse::new(&asset, Some(&created_by_user), url, &config.links);
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
