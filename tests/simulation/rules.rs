//! The rules of docs/behaviour.md in Rust: who may do what, and what a request about an upload must be answered. They
//! share nothing with the SQL.

use asset_uploads::domain::ids::AssetUploadId;
use asset_uploads::domain::timestamp::Timestamp;
use asset_uploads::error::ErrorCode;

use crate::model::{
    AssetModel, Change, Changes, Declared, Finding, HeadResult, MAX_BYTES, Model, SessionModel,
};
use crate::record::Seen;
use crate::request::{ActionModel, RequestModel};

/// What a request finds, and what it writes.
pub(crate) type Found = Result<(Finding, Changes), ErrorCode>;

/// Who sends a request, and where and when.
#[derive(Debug, Clone, Copy)]
pub(crate) struct By {
    /// The number of the request.
    pub(crate) number: u64,
    pub(crate) key: usize,
    pub(crate) org: usize,
    pub(crate) user: usize,
    pub(crate) now: Timestamp,
}

impl Model {
    /// What a request that arrived whole at `now` must be answered, and what it writes, if its transaction comes now.
    pub(crate) fn find(
        &self,
        number: u64,
        request: &RequestModel,
        now: Timestamp,
        seen: Seen<'_>,
    ) -> (Finding, Changes) {
        let found = self.authorize(request, now).and_then(|(org, user)| {
            let by = By { number, key: request.client, org, user, now };
            match &request.action {
                ActionModel::Start { file, id, key, .. } => {
                    self.start(by, file.as_ref().map_err(|code| *code)?, *id, key.is_some())
                }
                ActionModel::Confirm { upload, folder, key, .. } => {
                    self.confirm(by, upload, folder.as_ref().map_err(|code| *code)?.as_deref(), *key, seen)
                }
                ActionModel::ConfirmBatch { items, key, .. } => {
                    Ok(self.confirm_batch(by, items.as_ref().map_err(|code| *code)?, *key, seen))
                }
                ActionModel::SignParts { upload, numbers, .. } => {
                    self.sign_parts(by, upload, numbers.as_ref().map_err(|code| *code)?, seen.multipart_id)
                }
                ActionModel::Complete { upload, numbers, .. } => {
                    self.complete(by, upload, numbers.as_ref().map_err(|code| *code)?)
                }
                ActionModel::Cancel { upload } => self.cancel(by, upload),
                ActionModel::ReadUpload { upload } => self.read_upload(by, upload),
                ActionModel::ReadAsset { asset } => self.read_asset(asset, org),
                ActionModel::UpdateAsset { asset, change, .. } => {
                    self.update_asset(by, asset, change.as_ref().map_err(|code| *code)?)
                }
                ActionModel::DeleteAsset { asset } => self.delete_asset(by, asset),
                ActionModel::RestoreAsset { asset } => self.restore_asset(asset, org),
                ActionModel::CreateFolder { folder, id, .. } => {
                    self.create_folder(by, folder.as_ref().map_err(|code| *code)?, id.as_deref())
                }
                ActionModel::ReadFolder { folder } => self.read_folder(folder, org),
                ActionModel::UpdateFolder { folder, change, .. } => {
                    self.update_folder(by, folder, change.as_ref().map_err(|code| *code)?)
                }
                ActionModel::DeleteFolder { folder, recursive } => self.delete_folder(by, folder, *recursive),
                ActionModel::RestoreFolder { folder } => self.restore_folder(folder, org),
                ActionModel::MakeKey { key, id, .. } => {
                    self.make_key(by, key.as_ref().map_err(|code| *code)?, id.as_deref())
                }
                ActionModel::RevokeKey { key } => self.revoke_key(by, key),
                ActionModel::List(list) => self.list(list, org),
                ActionModel::MakeWebhook { types, url, id, .. } => {
                    self.make_webhook(by, types, url, id.as_deref())
                }
                ActionModel::UpdateWebhook { webhook, types, disabled, .. } => {
                    self.update_webhook(by, webhook, *types, *disabled)
                }
                ActionModel::DeleteWebhook { webhook } => self.delete_webhook(by, webhook),
            }
        });
        found.unwrap_or_else(|code| {
            let error = Finding::Error(code);
            // The others of a batch stand already.
            let finding = match (&request.action, seen.claims.or(seen.untyped)) {
                (ActionModel::ConfirmBatch { .. }, Some(again)) => {
                    Finding::Batch(again.iter().map(|id| (id.clone(), error.clone())).collect())
                }
                _ => error,
            };
            (finding, Vec::new())
        })
    }

    /// A session that the key may touch.
    pub(crate) fn session(&self, by: By, upload: &AssetUploadId) -> Option<&SessionModel> {
        let session = self.sessions.get(&upload.to_string())?;
        (session.org == by.org && self.may_touch(by.key, session)).then_some(session)
    }

    fn start(&self, by: By, file: &Declared, id: Option<AssetUploadId>, keyed: bool) -> Found {
        let By { number, key, org, user, now } = by;
        let existing = id.map(|id| id.to_string()).and_then(|id| Some((self.sessions.get(&id)?, id)));
        let Some((session, id)) = existing else {
            self.may_start(key)?;
            // The Idempotency-Key was used for an upload that was given up for good.
            if id.is_some_and(|id| self.retired.contains_key(&id.to_string())) {
                return Err(ErrorCode::ValidationError);
            }
            let session = SessionModel {
                org,
                declared: file.clone(),
                created_by: user,
                created_at: now,
                expires_at: now.plus_seconds(86_400),
                key,
                cancelled: false,
                multipart_id: None,
                request: number,
                rejected: None,
                expiry_told_at: None,
            };
            let id = id.map(|id| id.to_string());
            return Ok((Finding::Started { replayed: false }, vec![(id, Change::Session(session))]));
        };
        if session.org != org || session.cancelled || session.declared != *file {
            return Err(ErrorCode::ValidationError);
        }
        if self.assets.contains_key(&id) {
            return Err(ErrorCode::AssetUploadAlreadyConfirmed);
        }
        if session.expires_at <= now {
            return Err(ErrorCode::AssetUploadExpired);
        }
        Ok((Finding::Started { replayed: keyed && session.request != number }, Vec::new()))
    }

    pub(crate) fn confirm(
        &self,
        by: By,
        upload: &AssetUploadId,
        folder: Option<&str>,
        key: Option<u8>,
        seen: Seen<'_>,
    ) -> Found {
        let By { number, org, user, now, .. } = by;
        // 11
        let session = self.session(by, upload).filter(|session| !session.cancelled);
        let session = session.ok_or(ErrorCode::AssetUploadNotFound)?;
        // 12
        if let Some(asset) = self.assets.get(&upload.to_string()) {
            if asset.request == number {
                return Ok((Finding::Confirmed { replayed: false }, Vec::new()));
            }
            if asset.awaits_client {
                return self.claim(by, &upload.to_string(), asset, folder, key, seen.claims.is_some());
            }
            let confirmed_by = asset.confirmed_by.unwrap_or(asset.created_by);
            if key.is_none() || key != asset.key || user != confirmed_by {
                return Err(ErrorCode::AssetUploadAlreadyConfirmed);
            }
            if folder != asset.first_folder.as_deref() {
                return Err(ErrorCode::ValidationError);
            }
            if asset.deleted.is_some() {
                return Err(ErrorCode::AssetNotFound);
            }
            return Ok((Finding::Confirmed { replayed: true }, Vec::new()));
        }
        // 13
        if session.expires_at <= now || session.expiry_told_at.is_some() {
            return Err(ErrorCode::AssetUploadExpired);
        }
        // 14
        if let Some(folder) = folder {
            self.folder_of(folder, org)?;
        }
        // 15 and 16
        let object = match seen.heads.get(&upload.object_key()) {
            Some(HeadResult::Object(object)) => object,
            Some(HeadResult::Missing) => return Err(ErrorCode::ObjectNotUploaded),
            Some(HeadResult::Failed) | None => return Err(ErrorCode::StorageUnavailable),
        };
        if object.content_type.is_none() && seen.untyped.is_none() {
            return Ok((Finding::Untyped, Vec::new()));
        }
        // 17
        let mime_type = object.content_type.as_deref().unwrap_or(session.declared.mime_type);
        let permitted = ["image/png", "image/gif", "video/mp4"].contains(&mime_type);
        let as_declared =
            mime_type == session.declared.mime_type && object.size_bytes == session.declared.size_bytes;
        if !(1..=MAX_BYTES).contains(&object.size_bytes)
            || object.customer_key
            || !permitted
            || self.reject_mismatch && !as_declared
        {
            return Err(ErrorCode::UploadRejected);
        }
        let asset = AssetModel {
            org,
            folder: folder.map(str::to_owned),
            name: session.declared.filename,
            mime_type: mime_type.to_owned(),
            size_bytes: object.size_bytes,
            etag: object.etag.clone(),
            created_by: user,
            created_at: now,
            updated_at: now,
            deleted: None,
            deleted_with: None,
            key,
            first_folder: folder.map(str::to_owned),
            request: number,
            event_at: 0,
            first_event_at: 0,
            awaits_client: false,
            confirmed_by: None,
        };
        let changes = vec![(Some(upload.to_string()), Change::Asset(asset))];
        Ok((Finding::Confirmed { replayed: false }, changes))
    }

    fn cancel(&self, by: By, upload: &AssetUploadId) -> Found {
        let session = self.session(by, upload).ok_or(ErrorCode::AssetUploadNotFound)?;
        if self.assets.contains_key(&upload.to_string()) {
            return Err(ErrorCode::AssetUploadAlreadyConfirmed);
        }
        let change = (!session.cancelled).then(|| (Some(upload.to_string()), Change::Cancellation));
        Ok((Finding::Done, change.into_iter().collect()))
    }

    fn read_upload(&self, by: By, upload: &AssetUploadId) -> Found {
        let session = self.session(by, upload).filter(|session| !session.cancelled);
        let session = session.ok_or(ErrorCode::AssetUploadNotFound)?;
        let finding = if self.assets.contains_key(&upload.to_string()) {
            Finding::UploadConfirmed
        } else if session.expires_at <= by.now {
            Finding::UploadExpired
        } else {
            Finding::UploadPending
        };
        Ok((finding, Vec::new()))
    }
}
