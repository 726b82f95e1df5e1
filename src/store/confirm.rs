//! Confirming an upload: the only operation that creates an asset.

use serde::Deserialize;

use super::rights::{AuthorizedCaller, Caller, CallerOperation, LimitedFile};
use super::uploads::reused_key;
use super::{Param, Statement};
use crate::domain::api_key::Limits;
use crate::domain::asset::{Asset, User};
use crate::domain::idempotency::IdempotencyKey;
use crate::domain::ids::{AssetUploadId, FolderId, RequestId, UserId};
use crate::domain::upload::{ObjectState, Session, UploadRules, VerifiedObject};
use crate::error::ApiError;

/// Turns a pending upload into an asset, exactly once.
#[derive(Debug, Clone, PartialEq)]
pub struct Confirm<'a> {
    /// Who confirms.
    pub caller: Caller,
    /// The upload.
    pub asset_upload_id: AssetUploadId,
    /// The folder to put the asset in; `None`: the one of the key's limits, else none.
    pub folder_id: Option<FolderId>,
    /// The client's name for this confirmation, so that a repeat is a replay.
    pub idempotency_key: Option<IdempotencyKey>,
    /// Shows whether this request or another one wrote the asset.
    pub request_id: RequestId,
    /// The state of the object.
    pub object: ObjectState,
    /// What the operator permits.
    pub rules: &'a UploadRules,
}

/// The result of a confirmation.
#[derive(Debug, Clone, PartialEq)]
pub enum Confirmed {
    /// The asset exists and is this confirmation's.
    Asset {
        /// The asset.
        asset: Box<Asset>,
        /// Who confirmed it.
        created_by_user: User,
        /// Whether an earlier request with the same Idempotency-Key made it.
        replayed: bool,
    },
    /// All checks have passed, but the object has no content type: verify it with this one, which the session declares,
    /// and confirm again.
    NeedsDeclaredType(String),
}

/// What [`Confirm`] finds.
#[derive(Debug, Deserialize)]
pub struct Found {
    session: Session,
    asset: Option<Asset>,
    confirmation: Option<Confirmation>,
    created_by_user: Option<User>,
    folder_found: u8,
    limits: Option<Limits>,
}

/// The confirmation that created the asset.
#[derive(Debug, Deserialize)]
struct Confirmation {
    /// The Idempotency-Key; empty where there was none, or, in rows from before migration 0003, a random id.
    key: String,
    folder_id: Option<FolderId>,
    request_id: Option<RequestId>,
}

impl Confirm<'_> {
    /// The caller, the limits of whose key are compared with the object and the folder.
    fn caller(&self) -> Param {
        let (size_bytes, mime_types) = match &self.object {
            ObjectState::Verified(object) => (Some(object.size_bytes), Some(object.mime_type.patterns())),
            _ => (None, None),
        };
        let file = LimitedFile { size_bytes, mime_types, folder_id: self.folder_id, starts: false };
        self.caller.param_for(&file)
    }

    fn find(&self) -> Statement {
        // ?1 caller, ?2 upload, ?3 folder or NULL: then the key's own, where it has one.
        const SQL: &str = "
            SELECT json_object('user_id', c.user_id, 'org_id', c.org_id, 'auth_error', c.auth_error,
              'found', json(CASE WHEN u.id IS NOT NULL THEN json_object(
                'session', json(u.json),
                'asset', json(a.json),
                'confirmation', json(CASE WHEN a.id IS NOT NULL THEN json_object(
                  'key', a.confirmation_key, 'folder_id', a.confirmed_folder_id, 'request_id', a.request_id) END),
                'created_by_user', json(w.json),
                'folder_found', f.id IS NOT NULL OR ifnull(?3, c.limits ->> 'folder_id') IS NULL,
                'limits', json(c.limits)) END)) AS json
            FROM caller_rights c
            LEFT JOIN asset_uploads_json u ON u.id = ?2 AND u.org_id = c.org_id AND c.auth_error IS NULL
              AND (c.upload_key_id IS NULL OR u.api_key_id = c.upload_key_id)
            LEFT JOIN assets_json a ON a.id = u.id
            LEFT JOIN users_json w ON w.id = a.created_by
            LEFT JOIN folders f
              ON f.id = ifnull(?3, c.limits ->> 'folder_id') AND f.org_id = u.org_id AND f.deleted_at IS NULL
            WHERE c.request = ?1";
        let params =
            vec![self.caller(), Param::from(&self.asset_upload_id), Param::from(self.folder_id.as_ref())];
        Statement { sql: SQL, params }
    }

    /// `params` are those of `find`.
    fn insert(&self, object: &VerifiedObject, mut params: Vec<Param>) -> Statement {
        // The guard is in the INSERT itself, so it sees every change that was committed after the request arrived.
        // ?1 to ?3 as in `find`, ?4 key of the object, ?5 MIME type, ?6 size, ?7 asset type, ?8 ETag,
        // ?9 Idempotency-Key or '', ?10 1 where declared and actual must agree, ?11 request id.
        const SQL: &str = "
            INSERT INTO assets (id, org_id, folder_id, name, r2_key, mime_type, size_bytes, asset_type, source_type,
              source_id, etag, confirmation_key, confirmed_folder_id, request_id, created_by, created_at, updated_at)
            SELECT u.id, u.org_id, ifnull(?3, c.limits ->> 'folder_id'), u.filename, ?4, ?5, ?6, ?7, 'upload',
              u.id, ?8, ?9, ?3, ?11, c.user_id, c.now, c.now
            FROM caller_rights c
            JOIN asset_uploads u ON u.id = ?2 AND u.org_id = c.org_id
              AND (c.upload_key_id IS NULL OR u.api_key_id = c.upload_key_id)
            WHERE c.request = ?1
              AND c.auth_error IS NULL
              AND c.within_limits
              AND u.expires_at > c.now
              AND (?10 = 0 OR (u.size_bytes = ?6 AND u.mime_type = ?5))
              AND (ifnull(?3, c.limits ->> 'folder_id') IS NULL OR EXISTS (
                SELECT 1 FROM folders f
                WHERE f.id = ifnull(?3, c.limits ->> 'folder_id') AND f.org_id = u.org_id AND f.deleted_at IS NULL))
            ON CONFLICT (id) DO NOTHING";
        params.extend([
            Param::from(&self.asset_upload_id.object_key()),
            Param::from(&object.mime_type),
            // Checked against the limit, which is far below 2^53.
            Param::Int(i64::try_from(object.size_bytes).unwrap_or(i64::MAX)),
            Param::from(&object.asset_type.as_str()),
            Param::from(&object.etag),
            Param::from(&self.idempotency_key.as_ref().map_or("", IdempotencyKey::as_str)),
            Param::Int(i64::from(self.rules.reject_mismatch)),
            Param::from(&self.request_id),
        ]);
        Statement { sql: SQL, params }
    }

    /// What an existing asset means for this confirmation, sent by the user `user_id`.
    fn existing_asset(
        &self,
        user_id: UserId,
        asset: Asset,
        confirmation: &Confirmation,
        created_by_user: Option<User>,
    ) -> Result<Confirmed, ApiError> {
        // Written by this very request: now, or by a call before it whose answer was lost.
        let ours = confirmation.request_id == Some(self.request_id);
        if !ours {
            let key = self.idempotency_key.as_ref().map(IdempotencyKey::as_str);
            if key != Some(confirmation.key.as_str()) || user_id != asset.created_by {
                return Err(ApiError::AssetUploadAlreadyConfirmed(asset.id.to_string()));
            }
            if confirmation.folder_id != self.folder_id {
                return Err(reused_key());
            }
            if asset.deleted_at.is_some() {
                return Err(ApiError::AssetNotFound);
            }
        }
        let created_by_user = created_by_user
            .ok_or_else(|| ApiError::Internal(format!("asset {} has no creator", asset.id)))?;
        Ok(Confirmed::Asset { asset: Box::new(asset), created_by_user, replayed: !ours })
    }

    /// The answer where no asset was written although session and folder permit it: it depends on the object.
    fn check_object(&self, session: &Session, limits: Option<&Limits>) -> Result<Confirmed, ApiError> {
        let rules = limits.map_or_else(|| self.rules.clone(), |limits| limits.narrow(self.rules));
        let violations = match &self.object {
            ObjectState::Unavailable(detail) => return Err(ApiError::unavailable(detail)),
            ObjectState::Missing => return Err(ApiError::ObjectNotUploaded),
            ObjectState::Untyped(_) => {
                return Ok(Confirmed::NeedsDeclaredType(session.mime_type.clone()));
            }
            ObjectState::Rejected(violations) => violations.clone(),
            ObjectState::Verified(object) => rules.violations(object, session),
        };
        if violations.is_empty() {
            return Err(ApiError::Internal("nothing forbade the asset, yet none was written".to_owned()));
        }
        let explain = |violation| rules.explain(violation, session);
        Err(ApiError::UploadRejected(violations.iter().map(explain).collect()))
    }
}

impl CallerOperation for Confirm<'_> {
    type Found = Found;
    type Output = Confirmed;

    fn statements(&self) -> Vec<Statement> {
        let find = self.find();
        match &self.object {
            ObjectState::Verified(object) => vec![self.insert(object, find.params.clone()), find],
            _ => vec![find],
        }
    }

    fn decode(&self, caller: AuthorizedCaller, found: Option<Found>) -> Result<Confirmed, ApiError> {
        let found = found.filter(|found| !found.session.is_cancelled());
        let Some(Found { session, asset, confirmation, created_by_user, folder_found, limits }) = found
        else {
            return Err(ApiError::AssetUploadNotFound);
        };
        if let (Some(asset), Some(confirmation)) = (asset, confirmation) {
            return self.existing_asset(caller.user_id, asset, &confirmation, created_by_user);
        }
        if session.expires_at <= self.caller.now {
            return Err(ApiError::AssetUploadExpired);
        }
        if folder_found == 0 {
            return Err(ApiError::FolderNotFound);
        }
        self.check_object(&session, limits.as_ref())
    }
}
