//! Confirming an upload: the one operation that makes an asset.

use serde::Deserialize;

use super::assets::{asset_json, user_json};
use super::rights::{Caller, CallerRow, Identity, caller_json, for_caller, judge};
use super::uploads::{reused_key, session_json};
use super::{Operation, Param, Rows, Statement};
use crate::domain::asset::{Asset, User};
use crate::domain::ids::{AssetUploadId, FolderId};
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
    /// Tells this confirmation from others: the Idempotency-Key, else a random id.
    pub confirmation_key: String,
    /// Whether `confirmation_key` is the client's, so that a repeat is a replay.
    pub replayable: bool,
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
    created_by_user: Option<User>,
    folder_found: u8,
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
    ", 'created_by_user', ",
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
// ?12 confirmation key, ?13 1 where declared and actual must agree.
const INSERT: &str = for_caller!(
    "INSERT INTO assets (id, org_id, folder_id, name, r2_key, mime_type, size_bytes, asset_type, source_type,
       source_id, etag, confirmation_key, created_by, created_at, updated_at)
     SELECT u.id, u.org_id, ?6, u.filename, ?7, ?8, ?9, ?10, 'upload', u.id, ?11, ?12, c.user_id, ?3, ?3
     FROM caller c
     JOIN asset_uploads u ON u.id = ?5 AND u.org_id = c.org_id
     WHERE c.refusal IS NULL
       AND u.expires_at > ?3
       AND (?13 = 0 OR (u.size_bytes = ?9 AND u.mime_type = ?8))
       AND (?6 IS NULL OR EXISTS (
         SELECT 1 FROM folders f WHERE f.id = ?6 AND f.org_id = u.org_id AND f.deleted_at IS NULL))
     ON CONFLICT (id) DO NOTHING
     RETURNING 'true' AS json"
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
            Param::from(&self.confirmation_key),
            Param::Int(i64::from(self.rules.reject_mismatch)),
        ]);
        Statement { sql: INSERT, params }
    }

    /// What an existing asset means for this confirmation.
    fn judge_asset(
        &self,
        asset: Asset,
        created_by_user: Option<User>,
        written: bool,
        repeated: bool,
    ) -> Result<Confirmed, ApiError> {
        if asset.confirmation_key != self.confirmation_key {
            return Err(ApiError::AssetUploadAlreadyConfirmed(asset.id));
        }
        if asset.folder_id != self.folder_id {
            return Err(reused_key());
        }
        let created_by_user = created_by_user
            .ok_or_else(|| ApiError::Internal(format!("asset {} has no creator", asset.id)))?;
        // An asset that was not written just now is still ours where an attempt before this one
        // committed it and its answer was lost. With a random key it always is; with a client's key the
        // moment tells our own attempt from an earlier request.
        let ours = written || (repeated && asset.created_at == self.caller.now);
        let replayed = self.replayable && !ours;
        Ok(Confirmed::Asset { asset: Box::new(asset), created_by_user, replayed })
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
        let tried = matches!(self.object, ObjectState::Verified(_));
        let written = tried && rows.first::<bool>(0)?.is_some();
        let facts: Option<Facts> = rows.first(usize::from(tried))?;
        judge(facts.as_ref().map(|facts| facts.caller), identity)?;
        let Some(Facts { session: Some(session), asset, created_by_user, folder_found, .. }) = facts else {
            return Err(ApiError::AssetUploadNotFound);
        };
        if session.is_cancelled() {
            return Err(ApiError::AssetUploadNotFound);
        }
        if let Some(asset) = asset {
            return self.judge_asset(asset, created_by_user, written, rows.repeated);
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
