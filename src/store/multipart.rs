//! Uploads in parts: the session with R2's multipart upload, whose id is stored once.

use super::rights::{AuthorizedCaller, Caller, CallerOperation};
use super::uploads::{FoundUpload, find};
use super::{Param, Statement};
use crate::domain::ids::AssetUploadId;
use crate::domain::multipart::Division;
use crate::domain::upload::Session;
use crate::error::{ApiError, FieldError};

/// A session whose file is sent in parts.
#[derive(Debug, Clone, PartialEq)]
pub struct Multipart {
    /// The session.
    pub session: Session,
    /// How its file is divided.
    pub division: Division,
    /// The id of R2's multipart upload; `None` while it has not begun.
    pub multipart_id: Option<String>,
    /// Whether there is an asset.
    pub confirmed: bool,
}

impl Multipart {
    fn of(found: Option<FoundUpload>) -> Result<Self, ApiError> {
        let found =
            found.filter(|found| !found.session.is_cancelled()).ok_or(ApiError::AssetUploadNotFound)?;
        let confirmed = found.is_confirmed();
        let FoundUpload { session, multipart_id, .. } = found;
        let division = session.division().ok_or_else(|| {
            let msg = "This upload is sent with one PUT; start one with `multipart: true` to send parts.";
            ApiError::Validation(vec![FieldError::new(&["path", "asset_upload_id"], "not_multipart", msg)])
        })?;
        Ok(Self { session, division, multipart_id, confirmed })
    }

    /// The same, if it may still be sent.
    ///
    /// # Errors
    /// `AssetUploadAlreadyConfirmed`, or `AssetUploadExpired`.
    pub fn open(self, caller: &Caller, id: AssetUploadId) -> Result<Self, ApiError> {
        if self.confirmed {
            Err(ApiError::AssetUploadAlreadyConfirmed(id.to_string()))
        } else if self.session.expires_at <= caller.now {
            Err(ApiError::AssetUploadExpired)
        } else {
            Ok(self)
        }
    }
}

/// Reads a session whose file is sent in parts.
#[derive(Debug, Clone, PartialEq)]
pub struct Find {
    /// Who asks. Must have the right to write.
    pub caller: Caller,
    /// The session.
    pub asset_upload_id: AssetUploadId,
}

impl CallerOperation for Find {
    type Found = FoundUpload;
    type Output = Multipart;

    fn statements(&self) -> Vec<Statement> {
        vec![find(&self.caller, self.asset_upload_id)]
    }

    fn decode(&self, _: AuthorizedCaller, found: Option<FoundUpload>) -> Result<Multipart, ApiError> {
        Multipart::of(found)
    }
}

/// Puts the id of R2's multipart upload into a pending session, if it has none.
#[derive(Debug, Clone, PartialEq)]
pub struct Begin {
    /// Who sends the file.
    pub caller: Caller,
    /// The session.
    pub asset_upload_id: AssetUploadId,
    /// The id.
    pub multipart_id: String,
}

impl CallerOperation for Begin {
    type Found = FoundUpload;
    /// The session as it is then: with this id, or that of another request, which came first.
    type Output = Multipart;

    fn statements(&self) -> Vec<Statement> {
        // ?1 caller, ?2 upload, ?3 id.
        const UPDATE: &str = "
            UPDATE asset_uploads SET multipart_id = ?3
            WHERE id = ?2
              AND multipart_id IS NULL
              AND part_size IS NOT NULL
              AND EXISTS (
                SELECT 1 FROM caller_rights c
                WHERE c.request = ?1 AND c.auth_error IS NULL AND c.org_id = asset_uploads.org_id
                  AND (c.upload_key_id IS NULL OR c.upload_key_id = asset_uploads.api_key_id)
                  AND asset_uploads.expires_at > c.now)
              AND NOT EXISTS (SELECT 1 FROM assets a WHERE a.id = ?2)";
        let find = find(&self.caller, self.asset_upload_id);
        let mut params = find.params.clone();
        params.push(Param::from(&self.multipart_id));
        vec![Statement { sql: UPDATE, params }, find]
    }

    fn decode(&self, _: AuthorizedCaller, found: Option<FoundUpload>) -> Result<Multipart, ApiError> {
        Multipart::of(found)?.open(&self.caller, self.asset_upload_id)
    }
}
