//! Upload sessions: starting, reading and cancelling one.

use serde::Deserialize;

use super::rights::{Caller, CallerRow, Identity, caller_json, for_caller, judge};
use super::{Operation, Param, Rows, Statement};
use crate::domain::ids::{AssetUploadId, RequestId};
use crate::domain::media::MimeType;
use crate::domain::timestamp::Timestamp;
use crate::domain::upload::{Filename, Session};
use crate::error::{ApiError, Fault};

/// SQL of the session `u` as JSON for [`Session`], or NULL.
macro_rules! session_json {
    () => {
        "json(CASE WHEN u.id IS NOT NULL THEN json_object(
           'filename', u.filename, 'mime_type', u.mime_type, 'size_bytes', u.size_bytes,
           'expires_at', u.expires_at) END)"
    };
}
pub(super) use session_json;

/// The caller, its session and whether that is confirmed, in one row. Beside the caller's ?1 to ?4:
/// ?5 upload.
const FACTS: &str = for_caller!(
    "SELECT json_object(
       'caller', ",
    caller_json!(),
    ", 'session', ",
    session_json!(),
    ", 'request_id', u.request_id, 'confirmed', a.id IS NOT NULL) AS json
     FROM caller c
     LEFT JOIN asset_uploads u ON u.id = ?5 AND u.org_id = c.org_id AND c.refusal IS NULL
     LEFT JOIN assets a ON a.id = u.id"
);

#[derive(Deserialize)]
struct Facts {
    caller: CallerRow,
    session: Option<Session>,
    request_id: Option<RequestId>,
    confirmed: u8,
}

fn facts_statement(caller: &Caller, id: AssetUploadId) -> Statement {
    let mut params = caller.params();
    params.push(Param::from(&id));
    Statement { sql: FACTS, params }
}

/// The session, and whether it is confirmed; `None` when the caller may, but there is no such session.
fn judge_facts(facts: Option<Facts>, identity: &mut Identity) -> Result<Option<(Session, bool)>, ApiError> {
    judge(facts.as_ref().map(|facts| facts.caller), identity)?;
    Ok(facts.and_then(|facts| facts.session.map(|session| (session, facts.confirmed != 0))))
}

/// Starts an upload.
#[derive(Debug, Clone, PartialEq)]
pub struct Create {
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
    /// Tells the session that this request wrote from one that another wrote.
    pub request_id: RequestId,
}

/// An upload that was started.
#[derive(Debug, Clone, PartialEq)]
pub struct Created {
    /// The session as stored.
    pub session: Session,
    /// Whether an earlier request made the session.
    pub existed: bool,
}

impl Operation for Create {
    type Output = Created;

    fn statements(&self) -> Vec<Statement> {
        // Beside those of FACTS: ?6 filename, ?7 MIME type, ?8 size, ?9 deadline, ?10 request id.
        const INSERT: &str = for_caller!(
            "INSERT INTO asset_uploads (id, org_id, filename, mime_type, size_bytes, created_by, created_at, expires_at, request_id)
             SELECT ?5, c.org_id, ?6, ?7, ?8, c.user_id, ?3, ?9, ?10 FROM caller c
             WHERE c.refusal IS NULL
               AND NOT EXISTS (SELECT 1 FROM retired_uploads r WHERE r.id = ?5)
             ON CONFLICT (id) DO NOTHING"
        );
        let facts = facts_statement(&self.caller, self.asset_upload_id);
        let mut params = facts.params.clone();
        params.extend([
            Param::from(&self.filename.as_str()),
            Param::from(&self.mime_type),
            // Checked against the limit, which is far below 2^53.
            Param::Int(i64::try_from(self.size_bytes).unwrap_or(i64::MAX)),
            Param::Int(self.expires_at.0),
            Param::from(&self.request_id),
        ]);
        vec![Statement { sql: INSERT, params }, facts]
    }

    fn decode(&self, rows: &Rows, identity: &mut Identity) -> Result<Created, ApiError> {
        let facts: Option<Facts> = rows.first(1)?;
        // Written by this very request: now, or by a try before it whose answer was lost.
        let ours = facts.as_ref().is_some_and(|facts| facts.request_id == Some(self.request_id));
        let facts = judge_facts(facts, identity)?;
        let Some((session, confirmed)) = facts.filter(|(session, _)| !session.is_cancelled()) else {
            // Only an Idempotency-Key leads to an id that is taken: by a cancelled or swept upload, or by
            // another organization's, where the one that the caller acts in by default has changed.
            return Err(key_fault(
                "This key was used for an upload that is no longer there; use another key.",
            ));
        };
        if session.filename != self.filename.as_str()
            || session.mime_type != self.mime_type.as_str()
            || session.size_bytes != self.size_bytes
        {
            return Err(reused_key());
        }
        if confirmed {
            return Err(ApiError::AssetUploadAlreadyConfirmed(self.asset_upload_id));
        }
        if session.expires_at <= self.caller.now {
            return Err(ApiError::AssetUploadExpired);
        }
        Ok(Created { session, existed: !ours })
    }
}

/// The fault of an Idempotency-Key that comes with another request than before.
pub(super) fn reused_key() -> ApiError {
    key_fault("This key was used with another body; send the first body again, or another key.")
}

fn key_fault(msg: &str) -> ApiError {
    ApiError::Validation(vec![Fault::new(&["header", "Idempotency-Key"], "idempotency_key_reused", msg)])
}

/// Reads a session.
#[derive(Debug, Clone, PartialEq)]
pub struct Read {
    /// Who asks.
    pub caller: Caller,
    /// The session.
    pub asset_upload_id: AssetUploadId,
}

impl Operation for Read {
    /// The session, and whether it is confirmed.
    type Output = (Session, bool);

    fn statements(&self) -> Vec<Statement> {
        vec![facts_statement(&self.caller, self.asset_upload_id)]
    }

    fn decode(&self, rows: &Rows, identity: &mut Identity) -> Result<Self::Output, ApiError> {
        let facts = judge_facts(rows.first(0)?, identity)?;
        facts.filter(|(session, _)| !session.is_cancelled()).ok_or(ApiError::AssetUploadNotFound)
    }
}

/// Gives up a session that is not confirmed.
#[derive(Debug, Clone, PartialEq)]
pub struct Cancel {
    /// Who cancels.
    pub caller: Caller,
    /// The session.
    pub asset_upload_id: AssetUploadId,
}

impl Operation for Cancel {
    type Output = ();

    fn statements(&self) -> Vec<Statement> {
        const UPDATE: &str = for_caller!(
            "UPDATE asset_uploads SET expires_at = -expires_at
             WHERE id = ?5
               AND org_id = (SELECT org_id FROM caller WHERE refusal IS NULL)
               AND expires_at > 0
               AND NOT EXISTS (SELECT 1 FROM assets a WHERE a.id = ?5)"
        );
        let facts = facts_statement(&self.caller, self.asset_upload_id);
        let update = Statement { sql: UPDATE, params: facts.params.clone() };
        vec![facts, update]
    }

    fn decode(&self, rows: &Rows, identity: &mut Identity) -> Result<(), ApiError> {
        match judge_facts(rows.first(0)?, identity)? {
            Some((_, true)) => Err(ApiError::AssetUploadAlreadyConfirmed(self.asset_upload_id)),
            // Cancelled before counts as well: a client whose answer was lost may repeat itself, and the
            // object, if its removal failed, is removed now.
            Some((_, false)) => Ok(()),
            None => Err(ApiError::AssetUploadNotFound),
        }
    }
}
