//! Upload sessions: starting, reading and cancelling one.

use serde::Deserialize;

use super::limits::LimitedFile;
use super::rights::{AuthorizedCaller, Caller, CallerOperation};
use super::{Param, Statement};
use crate::domain::api_key::Limits;
use crate::domain::ids::{AssetUploadId, RequestId};
use crate::domain::media::MimeType;
use crate::domain::timestamp::Timestamp;
use crate::domain::upload::{Filename, Session, UploadRules};
use crate::error::{ApiError, FieldError};

/// A session in the database.
#[derive(Debug, Deserialize)]
pub struct FoundUpload {
    pub(super) session: Session,
    request_id: Option<RequestId>,
    pub(super) multipart_id: Option<String>,
    confirmed: u8,
}

impl FoundUpload {
    pub(super) fn is_confirmed(&self) -> bool {
        self.confirmed != 0
    }
}

/// Reads the caller, and the session with whether it is confirmed.
pub(super) fn find(caller: &Caller, id: AssetUploadId) -> Statement {
    // ?1 caller, ?2 upload.
    const SQL: &str = "
        SELECT json_object('user_id', c.user_id, 'org_id', c.org_id, 'auth_error', c.auth_error,
          'found', json(CASE WHEN u.id IS NOT NULL THEN json_object(
            'session', json(u.json), 'request_id', u.request_id, 'multipart_id', u.multipart_id,
            'confirmed', a.id IS NOT NULL) END)) AS json
        FROM caller_rights c
        LEFT JOIN asset_uploads_json u ON u.id = ?2 AND u.org_id = c.org_id AND c.auth_error IS NULL
          AND (c.upload_key_id IS NULL OR u.api_key_id = c.upload_key_id)
        LEFT JOIN assets a ON a.id = u.id
        WHERE c.request = ?1";
    Statement { sql: SQL, params: vec![caller.param(), Param::from(&id)] }
}

/// Starts an upload.
#[derive(Debug, Clone, PartialEq)]
pub struct Create<'a> {
    /// Who starts it.
    pub caller: Caller,
    /// The new session's id. A repeat with the same Idempotency-Key has the same id.
    pub asset_upload_id: AssetUploadId,
    /// The file's name.
    pub filename: Filename,
    /// Declared media type.
    pub mime_type: MimeType,
    /// Declared size in bytes.
    pub size_bytes: u64,
    /// Until when it may be confirmed.
    pub expires_at: Timestamp,
    /// Bytes of every part but the last; `None` where it is sent with one PUT.
    pub part_size: Option<u64>,
    /// Shows whether this request or another one wrote the session.
    pub request_id: RequestId,
    /// What the operator permits; a key's limits narrow it.
    pub rules: &'a UploadRules,
}

/// What [`Create`] finds.
#[derive(Debug, Deserialize)]
pub struct FoundNew {
    upload: Option<FoundUpload>,
    limits: Option<Limits>,
    /// 1 where the key has started as many uploads as it may.
    used_up: Option<u8>,
}

/// An upload that was started.
#[derive(Debug, Clone, PartialEq)]
pub struct Created {
    /// The session as stored.
    pub session: Session,
    /// Whether an earlier request made the session.
    pub existed: bool,
}

impl CallerOperation for Create<'_> {
    type Found = FoundNew;
    type Output = Created;

    fn statements(&self) -> Vec<Statement> {
        // ?1 caller, ?2 upload, ?3 filename, ?4 MIME type, ?5 size, ?6 deadline, ?7 request id, ?8 part size or NULL,
        // ?9 what limits are compared with.
        const INSERT: &str = "
            INSERT INTO asset_uploads (id, org_id, filename, mime_type, size_bytes, created_by, created_at,
              expires_at, request_id, api_key_id, part_size)
            SELECT ?2, c.org_id, ?3, ?4, ?5, c.user_id, c.now, ?6, ?7, c.key_id, ?8
            FROM caller_rights c
            WHERE c.request = ?1
              AND c.auth_error IS NULL
              AND (c.limits IS NULL OR (
                ifnull(c.uploads_started < c.limits ->> 'max_uploads', 1)
                AND (
                  SELECT l.within_limits
                  FROM limit_checks l
                  WHERE l.request = json_array(json_object('limits', json(c.limits), 'file', json(?9))))))
              AND NOT EXISTS (SELECT 1 FROM retired_uploads r WHERE r.id = ?2)
            ON CONFLICT (id) DO NOTHING";
        const FIND: &str = "
            SELECT json_object('user_id', c.user_id, 'org_id', c.org_id, 'auth_error', c.auth_error,
              'found', json(CASE WHEN c.auth_error IS NULL THEN json_object(
                'upload', json(CASE WHEN u.id IS NOT NULL THEN json_object(
                  'session', json(u.json), 'request_id', u.request_id, 'confirmed', a.id IS NOT NULL) END),
                'limits', json(c.limits), 'used_up', c.uploads_started >= c.limits ->> 'max_uploads') END)) AS json
            FROM caller_rights c
            LEFT JOIN asset_uploads_json u ON u.id = ?2 AND u.org_id = c.org_id AND c.auth_error IS NULL
              AND (c.upload_key_id IS NULL OR u.api_key_id = c.upload_key_id)
            LEFT JOIN assets a ON a.id = u.id
            WHERE c.request = ?1";
        let mut params = vec![self.caller.param(), Param::from(&self.asset_upload_id)];
        let find = Statement { sql: FIND, params: params.clone() };
        params.extend([
            Param::from(&self.filename.as_str()),
            Param::from(&self.mime_type),
            // Checked against the limit, which is far below 2^53.
            Param::Int(i64::try_from(self.size_bytes).unwrap_or(i64::MAX)),
            Param::Int(self.expires_at.0),
            Param::from(&self.request_id),
            self.part_size.map_or(Param::Null, |size| Param::Int(i64::try_from(size).unwrap_or(i64::MAX))),
            LimitedFile::new(&self.mime_type, self.size_bytes).param(),
        ]);
        vec![Statement { sql: INSERT, params }, find]
    }

    fn decode(&self, _: AuthorizedCaller, found: Option<FoundNew>) -> Result<Created, ApiError> {
        let FoundNew { upload, limits, used_up } =
            found.ok_or_else(|| ApiError::Internal("rights without a key".to_owned()))?;
        if let (None, Some(limits)) = (&upload, limits) {
            let rules = limits.narrow(self.rules);
            let errors = rules.declaration_errors(&self.mime_type, self.size_bytes);
            if !errors.is_empty() {
                return Err(ApiError::Validation(errors));
            }
            if used_up == Some(1) {
                return Err(ApiError::UploadLimitReached);
            }
        }
        let Some(found) = upload.filter(|found| !found.session.is_cancelled()) else {
            // Only an Idempotency-Key can lead to an id that is taken: by an upload that was cancelled or that the
            // sweeper deleted, or by one of another organization, if the caller's default organization has changed.
            return Err(key_error(
                "This key was used for an upload that is no longer there; use another key.",
            ));
        };
        let confirmed = found.is_confirmed();
        let FoundUpload { session, request_id, .. } = found;
        if session.filename != self.filename.as_str()
            || session.mime_type != self.mime_type.as_str()
            || session.size_bytes != self.size_bytes
            || session.part_size.is_some() != self.part_size.is_some()
        {
            return Err(reused_key());
        }
        if confirmed {
            return Err(ApiError::AssetUploadAlreadyConfirmed(self.asset_upload_id.to_string()));
        }
        if session.expires_at <= self.caller.now {
            return Err(ApiError::AssetUploadExpired);
        }
        // Written by this very request: now, or by a call before it whose answer was lost.
        let ours = request_id == Some(self.request_id);
        Ok(Created { session, existed: !ours })
    }
}

/// The error of an Idempotency-Key that comes with another request than before.
pub fn reused_key() -> ApiError {
    key_error("This key was used with another body; send the first body again, or another key.")
}

/// The error of an Idempotency-Key that cannot be used again.
pub(super) fn key_error(msg: &str) -> ApiError {
    let loc = ["header", "Idempotency-Key"];
    ApiError::Validation(vec![FieldError::new(&loc, "idempotency_key_reused", msg)])
}

/// Reads a session.
#[derive(Debug, Clone, PartialEq)]
pub struct Read {
    /// Who asks.
    pub caller: Caller,
    /// The session.
    pub asset_upload_id: AssetUploadId,
}

impl CallerOperation for Read {
    type Found = FoundUpload;
    /// The session, and whether it is confirmed.
    type Output = (Session, bool);

    fn statements(&self) -> Vec<Statement> {
        vec![find(&self.caller, self.asset_upload_id)]
    }

    fn decode(&self, _: AuthorizedCaller, found: Option<FoundUpload>) -> Result<Self::Output, ApiError> {
        let found =
            found.filter(|found| !found.session.is_cancelled()).ok_or(ApiError::AssetUploadNotFound)?;
        let confirmed = found.is_confirmed();
        Ok((found.session, confirmed))
    }
}

/// Cancels a session that is not confirmed.
#[derive(Debug, Clone, PartialEq)]
pub struct Cancel {
    /// Who cancels.
    pub caller: Caller,
    /// The session.
    pub asset_upload_id: AssetUploadId,
}

impl CallerOperation for Cancel {
    type Found = FoundUpload;
    /// The id of R2's multipart upload, where it has begun.
    type Output = Option<String>;

    fn statements(&self) -> Vec<Statement> {
        // ?1 caller, ?2 upload.
        const UPDATE: &str = "
            UPDATE asset_uploads SET expires_at = -expires_at
            WHERE id = ?2
              AND EXISTS (
                SELECT 1 FROM caller_rights c
                WHERE c.request = ?1 AND c.auth_error IS NULL AND c.org_id = asset_uploads.org_id
                  AND (c.upload_key_id IS NULL OR c.upload_key_id = asset_uploads.api_key_id))
              AND expires_at > 0
              AND NOT EXISTS (SELECT 1 FROM assets a WHERE a.id = ?2)";
        let find = find(&self.caller, self.asset_upload_id);
        let update = Statement { sql: UPDATE, params: find.params.clone() };
        vec![update, find]
    }

    fn decode(&self, _: AuthorizedCaller, found: Option<FoundUpload>) -> Result<Self::Output, ApiError> {
        match found {
            Some(found) if found.is_confirmed() => {
                Err(ApiError::AssetUploadAlreadyConfirmed(self.asset_upload_id.to_string()))
            }
            // Also if it was cancelled before: a client that got no answer repeats the request, and if the deletion of
            // the object failed, it happens now.
            Some(found) => Ok(found.multipart_id),
            None => Err(ApiError::AssetUploadNotFound),
        }
    }
}
