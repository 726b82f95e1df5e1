//! The rules of docs/behaviour.md in Rust: what each request must be answered, and what the sweeper may do. They share
//! nothing with the SQL.

use asset_uploads::domain::ids::AssetUploadId;
use asset_uploads::domain::timestamp::Timestamp;
use asset_uploads::error::ErrorCode;

use crate::model::{
    ActionModel, AssetModel, Declared, Finding, HeadResult, MAX_BYTES, Model, RequestModel, SessionModel,
    UserModel, Write,
};
use crate::schedule::{FolderNamed, Named};
use crate::sqlite::callers::{self, CallerState, Impersonator, KeyState, Place};

/// How long after its deadline a session is left alone: eight days.
const GRACE_MS: i64 = 8 * 86_400_000;
/// How long an object without session is known before it may be removed: a week.
const NOTICE_MS: i64 = 7 * 86_400_000;
/// How long an id stays retired after its object was removed: a day.
const SETTLE_MS: i64 = 86_400_000;
type Found = Result<(Finding, Option<Write>), ErrorCode>;

impl Model {
    /// What a request that arrived whole at `now` must be answered, and what it writes, if its transaction comes now.
    pub(crate) fn find(
        &self,
        number: u64,
        request: &RequestModel,
        now: Timestamp,
        head: Option<&HeadResult>,
    ) -> (Finding, Option<Write>) {
        let found = self.authorize(request, now).and_then(|(org, user)| match &request.action {
            ActionModel::Start { file, id, key, .. } => {
                self.start(number, file.as_ref().map_err(|code| *code)?, *id, key.is_some(), org, user, now)
            }
            ActionModel::Confirm { upload, folder, key } => {
                self.confirm(number, upload, *folder, *key, head, org, user, now)
            }
            ActionModel::Cancel { upload } => self.cancel(upload, org),
            ActionModel::ReadUpload { upload } => self.read_upload(upload, org, now),
            ActionModel::ReadAsset { upload } => self.read_asset(upload, org),
        });
        found.unwrap_or_else(|code| (Finding::Error(code), None))
    }

    /// Rules 3 to 10: the organization and the user.
    fn authorize(&self, request: &RequestModel, now: Timestamp) -> Result<(usize, usize), ErrorCode> {
        let key = self.keys.get(request.client).ok_or(ErrorCode::Unauthorized)?;
        let Some(user) = key.user else { return Err(ErrorCode::Unauthorized) };
        let UserModel { disabled, verified, memberships: [here, elsewhere], .. } = self.users[user].clone();
        let state = CallerState {
            key: match key.org {
                _ if key.revoked => KeyState::Revoked,
                _ if key.expires_at.is_some_and(|at| at <= now) => KeyState::Expired,
                Some(0) => KeyState::BoundHere,
                Some(_) => KeyState::BoundElsewhere,
                None => KeyState::Unbound,
            },
            impersonator: match key.impersonator {
                None => Impersonator::None,
                Some(user) if self.users[user].disabled => Impersonator::Disabled,
                Some(_) => Impersonator::Enabled,
            },
            disabled,
            verified,
            here,
            elsewhere,
        };
        let named = match request.organization {
            Named::Nothing | Named::Malformed => None,
            Named::Acme => Some(Place::Here),
            Named::Other => Some(Place::Elsewhere),
            Named::Unknown => Some(Place::Unknown),
        };
        let rights = callers::oracle(state, named, request.action.permission()).map_err(|error| error.code());
        let malformed = request.organization == Named::Malformed;
        match rights {
            // A malformed organization cannot be resolved, so only rules 3 and 4 come before rules 9 and 10.
            Err(code @ (ErrorCode::Unauthorized | ErrorCode::EmailNotVerified)) => return Err(code),
            Err(code) if !malformed => return Err(code),
            _ => {}
        }
        // Rules 9 and 10.
        let of_body = match &request.action {
            ActionModel::Start { file: Err(code), .. } => Some(*code),
            ActionModel::Confirm { folder: FolderNamed::NoJson, .. } => Some(ErrorCode::BadRequest),
            ActionModel::Confirm { folder: FolderNamed::NoUuid, .. } => Some(ErrorCode::ValidationError),
            _ => None,
        };
        if let Some(code) = of_body.or_else(|| malformed.then_some(ErrorCode::ValidationError)) {
            return Err(code);
        }
        rights.map(|place| if place == Place::Here { (0, user) } else { (1, user) })
    }

    fn session(&self, upload: &AssetUploadId, org: usize) -> Option<&SessionModel> {
        self.sessions.get(&upload.to_string()).filter(|session| session.org == org)
    }

    #[allow(clippy::too_many_arguments, reason = "one for each thing that the answer depends on")]
    fn start(
        &self,
        number: u64,
        file: &Declared,
        id: Option<AssetUploadId>,
        keyed: bool,
        org: usize,
        user: usize,
        now: Timestamp,
    ) -> Found {
        let existing = id.map(|id| id.to_string()).and_then(|id| Some((self.sessions.get(&id)?, id)));
        let Some((session, id)) = existing else {
            // The key was used for an upload that was given up for good.
            if id.is_some_and(|id| self.retired.contains_key(&id.to_string())) {
                return Err(ErrorCode::ValidationError);
            }
            let session = SessionModel {
                org,
                declared: file.clone(),
                created_by: user,
                created_at: now,
                expires_at: now.plus_seconds(86_400),
                cancelled: false,
                request: number,
            };
            return Ok((Finding::Started { replayed: false }, Some(Write::Session(session))));
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
        Ok((Finding::Started { replayed: keyed && session.request != number }, None))
    }

    #[allow(clippy::too_many_arguments, reason = "one for each thing that the answer depends on")]
    fn confirm(
        &self,
        number: u64,
        upload: &AssetUploadId,
        folder: FolderNamed,
        key: Option<u8>,
        head: Option<&HeadResult>,
        org: usize,
        user: usize,
        now: Timestamp,
    ) -> Found {
        // 11
        let session = self.session(upload, org).filter(|session| !session.cancelled);
        let session = session.ok_or(ErrorCode::AssetUploadNotFound)?;
        let folder_model = match folder {
            FolderNamed::Folder(n) => Some(&self.folders[n]),
            _ => None,
        };
        let folder_id = folder_model.map(|folder| folder.id);
        // 12
        if let Some(asset) = self.assets.get(&upload.to_string()) {
            if asset.request == number {
                return Ok((Finding::Confirmed { replayed: false }, None));
            }
            if key.is_none() || key != asset.key || user != asset.created_by {
                return Err(ErrorCode::AssetUploadAlreadyConfirmed);
            }
            if folder_id != asset.first_folder || folder == FolderNamed::Unknown {
                return Err(ErrorCode::ValidationError);
            }
            if asset.deleted.is_some() {
                return Err(ErrorCode::AssetNotFound);
            }
            return Ok((Finding::Confirmed { replayed: true }, None));
        }
        // 13
        if session.expires_at <= now {
            return Err(ErrorCode::AssetUploadExpired);
        }
        // 14
        if folder == FolderNamed::Unknown
            || folder_model.is_some_and(|folder| folder.deleted || folder.org != org)
        {
            return Err(ErrorCode::FolderNotFound);
        }
        // 15 and 16
        let object = match head {
            Some(HeadResult::Object(object)) => object,
            Some(HeadResult::Missing) => return Err(ErrorCode::ObjectNotUploaded),
            Some(HeadResult::Failed) | None => return Err(ErrorCode::StorageUnavailable),
        };
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
            folder: folder_id,
            name: session.declared.filename,
            mime_type: mime_type.to_owned(),
            size_bytes: object.size_bytes,
            etag: object.etag.clone(),
            created_by: user,
            created_at: now,
            updated_at: now,
            deleted: None,
            key,
            first_folder: folder_id,
            request: number,
        };
        Ok((Finding::Confirmed { replayed: false }, Some(Write::Asset(asset))))
    }

    fn cancel(&self, upload: &AssetUploadId, org: usize) -> Found {
        let session = self.session(upload, org).ok_or(ErrorCode::AssetUploadNotFound)?;
        if self.assets.contains_key(&upload.to_string()) {
            return Err(ErrorCode::AssetUploadAlreadyConfirmed);
        }
        Ok((Finding::Cancelled, (!session.cancelled).then_some(Write::Cancellation)))
    }

    fn read_upload(&self, upload: &AssetUploadId, org: usize, now: Timestamp) -> Found {
        let session = self.session(upload, org).filter(|session| !session.cancelled);
        let session = session.ok_or(ErrorCode::AssetUploadNotFound)?;
        let finding = if self.assets.contains_key(&upload.to_string()) {
            Finding::UploadConfirmed
        } else if session.expires_at <= now {
            Finding::UploadExpired
        } else {
            Finding::UploadPending
        };
        Ok((finding, None))
    }

    fn read_asset(&self, upload: &AssetUploadId, org: usize) -> Found {
        let asset = self.assets.get(&upload.to_string());
        let there = asset.is_some_and(|asset| asset.org == org && asset.deleted.is_none());
        if there { Ok((Finding::Asset, None)) } else { Err(ErrorCode::AssetNotFound) }
    }

    /// Whether an object may be removed now: nobody has it, and nobody can get it.
    pub(crate) fn may_remove(&self, key: &str) -> Result<(), String> {
        let Some(id) = key.strip_prefix("uploads/") else {
            return Err(format!("{key}, which is no upload's, is removed"));
        };
        if self.assets.contains_key(id) {
            return Err(format!("{key}, the object of an asset, is removed"));
        }
        match self.sessions.get(id) {
            Some(session) if !session.cancelled => {
                Err(format!("{key}, the object of an upload that is not cancelled, is removed"))
            }
            Some(_) => Ok(()),
            None if self.retired.contains_key(id) => Ok(()),
            None => Err(format!("{key}, whose id is not retired, is removed")),
        }
    }

    /// Whether the sweeper may delete a session at this time.
    pub(crate) fn may_delete_session(&self, id: &str, now: Timestamp) -> bool {
        !self.assets.contains_key(id)
            && self.sessions.get(id).is_some_and(|session| session.expires_at.0 + GRACE_MS <= now.0)
    }

    /// Whether the sweeper may retire an id at this time; `uploaded_at`: the age of its object.
    pub(crate) fn may_retire(&self, id: &str, now: Timestamp, uploaded_at: Option<Timestamp>) -> bool {
        let orphan = || {
            self.orphans.get(id).is_some_and(|noted_at| noted_at + NOTICE_MS <= now.0)
                && uploaded_at.is_none_or(|at| at.0 + GRACE_MS <= now.0)
        };
        !self.assets.contains_key(id)
            && if self.sessions.contains_key(id) { self.may_delete_session(id, now) } else { orphan() }
    }

    /// Whether the sweeper may forget a retired id at this time.
    pub(crate) fn may_forget(&self, id: &str, now: Timestamp) -> bool {
        self.retired
            .get(id)
            .and_then(|retired| retired.object_deleted_at)
            .is_some_and(|deleted_at| deleted_at + SETTLE_MS <= now.0)
    }
}
