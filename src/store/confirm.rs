//! Confirming an upload: the one operation that makes an asset.

use serde::Deserialize;

use super::assets::{asset_json, user_json};
use super::rights::{Caller, CallerRow, Identity, caller_json, for_caller, judge};
use super::uploads::{reused_key, session_json};
use super::{Operation, Param, Rows, Statement};
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
    /// The folder to put the asset in.
    pub folder_id: Option<FolderId>,
    /// The client's name for this confirmation, so that a repeat is a replay.
    pub idempotency_key: Option<IdempotencyKey>,
    /// Tells the asset that this request wrote from one that another wrote.
    pub request_id: RequestId,
    /// Where the object stands.
    pub object: ObjectState,
    /// What the operator permits.
    pub rules: &'a UploadRules,
}

/// What a confirmation comes to.
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
    /// Nothing stands against it so far, but the object has no content type: verify it as this one,
    /// which the session declares, and confirm again.
    NeedsDeclaredType(String),
}

/// The facts that decide, in one row.
#[derive(Debug, Deserialize)]
struct Facts {
    caller: CallerRow,
    session: Option<Session>,
    asset: Option<Asset>,
    confirmation: Option<Confirmation>,
    created_by_user: Option<User>,
    folder_found: u8,
}

/// What is remembered of the confirmation that made the asset.
#[derive(Debug, Deserialize)]
struct Confirmation {
    /// The Idempotency-Key; empty where there was none, or, in rows from before migration 0003, a random id.
    key: String,
    folder_id: Option<FolderId>,
    request_id: Option<RequestId>,
}

// Beside the caller's ?1 to ?4: ?5 upload, ?6 folder or NULL.
const FACTS: &str = for_caller!(
    "SELECT json_object(
       'caller', ",
    caller_json!(),
    ", 'session', ",
    session_json!(),
    ", 'asset', ",
    asset_json!(),
    ", 'confirmation', json(CASE WHEN a.id IS NOT NULL THEN json_object('key', a.confirmation_key,
         'folder_id', a.confirmed_folder_id, 'request_id', a.request_id) END)
       , 'created_by_user', ",
    user_json!(),
    ", 'folder_found', f.id IS NOT NULL) AS json
     FROM caller c
     LEFT JOIN asset_uploads u ON u.id = ?5 AND u.org_id = c.org_id AND c.refusal IS NULL
     LEFT JOIN assets a ON a.id = u.id
     LEFT JOIN users w ON w.id = a.created_by
     LEFT JOIN folders f ON f.id = ?6 AND f.org_id = u.org_id AND f.deleted_at IS NULL"
);

// The guard is in the INSERT itself: whatever changed since the request came in is seen here.
// Beside those of FACTS: ?7 key of the object, ?8 MIME type, ?9 size, ?10 asset type, ?11 ETag,
// ?12 Idempotency-Key or '', ?13 1 where declared and actual must agree, ?14 request id.
const INSERT: &str = for_caller!(
    "INSERT INTO assets (id, org_id, folder_id, name, r2_key, mime_type, size_bytes, asset_type, source_type,
       source_id, etag, confirmation_key, confirmed_folder_id, request_id, created_by, created_at, updated_at)
     SELECT u.id, u.org_id, ?6, u.filename, ?7, ?8, ?9, ?10, 'upload', u.id, ?11, ?12, ?6, ?14, c.user_id, ?3, ?3
     FROM caller c
     JOIN asset_uploads u ON u.id = ?5 AND u.org_id = c.org_id
     WHERE c.refusal IS NULL
       AND u.expires_at > ?3
       AND (?13 = 0 OR (u.size_bytes = ?9 AND u.mime_type = ?8))
       AND (?6 IS NULL OR EXISTS (
         SELECT 1 FROM folders f WHERE f.id = ?6 AND f.org_id = u.org_id AND f.deleted_at IS NULL))
     ON CONFLICT (id) DO NOTHING"
);

impl Confirm<'_> {
    fn facts(&self) -> Statement {
        let mut params = self.caller.params();
        params.push(Param::from(&self.asset_upload_id));
        params.push(Param::from(self.folder_id.as_ref()));
        Statement { sql: FACTS, params }
    }

    fn insert(&self, object: &VerifiedObject) -> Statement {
        let mut params = self.facts().params;
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
        Statement { sql: INSERT, params }
    }

    /// What an existing asset means for this confirmation, sent by the user `user_id`.
    fn existing_asset(
        &self,
        user_id: UserId,
        asset: Asset,
        confirmation: &Confirmation,
        created_by_user: Option<User>,
    ) -> Result<Confirmed, ApiError> {
        // Written by this very request: now, or by a try before it whose answer was lost.
        let ours = confirmation.request_id == Some(self.request_id);
        if !ours {
            let key = self.idempotency_key.as_ref().map(IdempotencyKey::as_str);
            if key != Some(confirmation.key.as_str()) || user_id != asset.created_by {
                return Err(ApiError::AssetUploadAlreadyConfirmed(asset.id));
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

    /// What to do about an object that has become no asset, everything else being in order.
    fn judge_object(&self, session: &Session) -> Result<Confirmed, ApiError> {
        let violations = match &self.object {
            ObjectState::Unavailable(detail) => return Err(ApiError::unavailable(detail)),
            ObjectState::Missing => return Err(ApiError::ObjectNotUploaded),
            ObjectState::Untyped(_) => {
                return Ok(Confirmed::NeedsDeclaredType(session.mime_type.clone()));
            }
            ObjectState::Rejected(violations) => violations.clone(),
            ObjectState::Verified(object) => self.rules.mismatches(object, session),
        };
        if violations.is_empty() {
            return Err(ApiError::Internal("nothing forbade the asset, yet none was written".to_owned()));
        }
        let explain = |violation| self.rules.explain(violation, session);
        Err(ApiError::UploadRejected(violations.iter().map(explain).collect()))
    }
}

impl Operation for Confirm<'_> {
    type Output = Confirmed;

    fn statements(&self) -> Vec<Statement> {
        match &self.object {
            ObjectState::Verified(object) => vec![self.insert(object), self.facts()],
            _ => vec![self.facts()],
        }
    }

    fn decode(&self, rows: &Rows, identity: &mut Identity) -> Result<Confirmed, ApiError> {
        // The insert's own row says nothing that the facts, read after it, do not say.
        let facts: Option<Facts> =
            rows.first(usize::from(matches!(self.object, ObjectState::Verified(_))))?;
        judge(facts.as_ref().map(|facts| facts.caller), identity)?;
        let Some(Facts {
            caller,
            session: Some(session),
            asset,
            confirmation,
            created_by_user,
            folder_found,
        }) = facts
        else {
            return Err(ApiError::AssetUploadNotFound);
        };
        if session.is_cancelled() {
            return Err(ApiError::AssetUploadNotFound);
        }
        if let (Some(asset), Some(confirmation)) = (asset, confirmation) {
            return self.existing_asset(caller.user_id, asset, &confirmation, created_by_user);
        }
        if session.expires_at <= self.caller.now {
            return Err(ApiError::AssetUploadExpired);
        }
        if self.folder_id.is_some() && folder_found == 0 {
            return Err(ApiError::FolderNotFound);
        }
        self.judge_object(&session)
    }
}
