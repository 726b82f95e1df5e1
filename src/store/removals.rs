//! What the sweeper removes from storage: parts of uploads past their deadline, and objects of retired uploads.

use serde::{Deserialize, Serialize};

use super::sweep::{json_array, row};
use super::{Operation, Param, Rows, Statement};
use crate::domain::ids::AssetUploadId;
use crate::domain::timestamp::Timestamp;
use crate::error::ApiError;

/// Reads which uploads past their deadline have begun in parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExpiredParts {
    /// Now.
    pub now: Timestamp,
    /// How many at most.
    pub limit: u32,
}

/// An upload past its deadline, whose parts are not needed any more.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Expired {
    /// The upload.
    pub upload: MultipartUpload,
    /// 1 where it is confirmed: its parts are an object then.
    pub confirmed: u8,
}

impl Operation for ExpiredParts {
    type Output = Vec<Expired>;

    fn statements(&self) -> Vec<Statement> {
        const READ: &str = "
            SELECT json_object('upload', json_object('id', u.id, 'multipart_id', u.multipart_id),
              'confirmed', a.id IS NOT NULL) AS json
            FROM (
              SELECT id, multipart_id
              FROM asset_uploads
              WHERE multipart_id IS NOT NULL AND abs(expires_at) <= ?1
              ORDER BY abs(expires_at) LIMIT ?2) u
            LEFT JOIN assets a ON a.id = u.id";
        vec![Statement { sql: READ, params: vec![Param::Int(self.now.0), Param::Int(self.limit.into())] }]
    }

    fn decode(&self, rows: &Rows) -> Result<Vec<Expired>, ApiError> {
        rows.all(0)
    }
}

/// Notes that uploads have no parts any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForgetParts {
    /// The uploads, with what they had. One that has begun anew meanwhile is left alone.
    pub uploads: Vec<MultipartUpload>,
}

impl Operation for ForgetParts {
    type Output = ();

    fn statements(&self) -> Vec<Statement> {
        const FORGET: &str = "
            UPDATE asset_uploads SET multipart_id = NULL
            WHERE id IN (SELECT value ->> 'id' FROM json_each(?1))
              AND multipart_id IN (SELECT value ->> 'multipart_id' FROM json_each(?1))";
        // Strings cannot fail to serialize.
        let uploads = Param::Text(serde_json::to_string(&self.uploads).unwrap_or_default());
        vec![Statement { sql: FORGET, params: vec![uploads] }]
    }

    fn decode(&self, _: &Rows) -> Result<(), ApiError> {
        Ok(())
    }
}

/// Reads which objects are to be removed next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NextRemovals {
    /// Now: removals that are postponed to a later time are left out.
    pub now: Timestamp,
    /// How many at most.
    pub limit: u32,
    /// How many with a multipart upload, besides.
    pub multipart_limit: u32,
}

/// Retired uploads whose objects have still to be removed, of each kind those that never failed first.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Removals {
    /// Without a multipart upload.
    pub ids: Vec<AssetUploadId>,
    /// With one, which is to be aborted first.
    pub multipart: Vec<MultipartUpload>,
}

/// An upload whose parts are to be given up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MultipartUpload {
    /// The upload.
    pub id: AssetUploadId,
    /// The id of R2's multipart upload.
    pub multipart_id: String,
}

impl Operation for NextRemovals {
    type Output = Removals;

    fn statements(&self) -> Vec<Statement> {
        // A session or an asset that was restored, with the database or by hand, keeps its object, also where its id is
        // retired. ?1 now, ?2 limit, ?3 limit of those with a multipart upload.
        const NEXT: &str = "
            SELECT json_object(
              'ids', json((
                SELECT json_group_array(id)
                FROM (
                  SELECT r.id
                  FROM retired_uploads r
                  WHERE r.object_deleted_at IS NULL
                    AND r.multipart_id IS NULL
                    AND r.retry_at <= ?1
                    AND NOT EXISTS (SELECT 1 FROM asset_uploads u WHERE u.id = r.id)
                    AND NOT EXISTS (SELECT 1 FROM assets a WHERE a.id = r.id)
                    AND NOT EXISTS (
                      SELECT 1 FROM assets a WHERE a.r2_key = 'uploads/' || r.id AND a.r2_key <> 'uploads/' || a.id)
                  ORDER BY r.retry_at LIMIT ?2))),
              'multipart', json((
                SELECT json_group_array(json_object('id', id, 'multipart_id', multipart_id))
                FROM (
                  SELECT r.id, r.multipart_id
                  FROM retired_uploads r
                  WHERE r.object_deleted_at IS NULL
                    AND r.multipart_id IS NOT NULL
                    AND r.retry_at <= ?1
                    AND NOT EXISTS (SELECT 1 FROM asset_uploads u WHERE u.id = r.id)
                    AND NOT EXISTS (SELECT 1 FROM assets a WHERE a.id = r.id)
                    AND NOT EXISTS (
                      SELECT 1 FROM assets a WHERE a.r2_key = 'uploads/' || r.id AND a.r2_key <> 'uploads/' || a.id)
                  ORDER BY r.retry_at LIMIT ?3)))) AS json";
        let params = vec![
            Param::Int(self.now.0),
            Param::Int(self.limit.into()),
            Param::Int(self.multipart_limit.into()),
        ];
        vec![Statement { sql: NEXT, params }]
    }

    fn decode(&self, rows: &Rows) -> Result<Removals, ApiError> {
        row(rows, 0)
    }
}

/// Notes that objects have been removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteRemovals {
    /// The uploads whose objects are gone.
    pub ids: Vec<AssetUploadId>,
    /// When.
    pub now: Timestamp,
}

impl Operation for NoteRemovals {
    type Output = ();

    fn statements(&self) -> Vec<Statement> {
        const NOTE: &str = "UPDATE retired_uploads SET object_deleted_at = ?2
             WHERE id IN (SELECT value FROM json_each(?1)) AND object_deleted_at IS NULL";
        vec![Statement { sql: NOTE, params: vec![json_array(&self.ids), Param::Int(self.now.0)] }]
    }

    fn decode(&self, _: &Rows) -> Result<(), ApiError> {
        Ok(())
    }
}

/// Postpones removals that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostponeRemovals {
    /// The uploads whose objects are still there.
    pub ids: Vec<AssetUploadId>,
    /// They are retried from this time on.
    pub retry_at: Timestamp,
    /// Why they failed.
    pub reason: String,
}

impl Operation for PostponeRemovals {
    type Output = ();

    fn statements(&self) -> Vec<Statement> {
        const POSTPONE: &str = "UPDATE retired_uploads SET retry_at = ?2, removal_error = ?3
             WHERE id IN (SELECT value FROM json_each(?1)) AND object_deleted_at IS NULL";
        let params = vec![json_array(&self.ids), Param::Int(self.retry_at.0), Param::from(&self.reason)];
        vec![Statement { sql: POSTPONE, params }]
    }

    fn decode(&self, _: &Rows) -> Result<(), ApiError> {
        Ok(())
    }
}
