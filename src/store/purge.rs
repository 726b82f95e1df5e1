//! The purge: what has been in the trash long enough is given up for good. The sweeper's transactions.
//!
//! An asset's id is retired in the transaction that deletes the asset and its session, so that a restoration comes
//! either before it and keeps everything, or too late. The object is removed afterwards.

use super::{Operation, Param, Rows, Statement};
use crate::domain::timestamp::Timestamp;
use crate::error::ApiError;

/// Purges assets that were deleted themselves, those that were deleted first first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PurgeAssets {
    /// Deleted at this time or earlier.
    pub deleted_before: Timestamp,
    /// Now.
    pub now: Timestamp,
    /// How many at most.
    pub limit: u32,
}

impl Operation for PurgeAssets {
    /// How many were purged.
    type Output = u32;

    fn statements(&self) -> Vec<Statement> {
        // ?1 deleted up to, ?2 limit, ?3 now.
        const RETIRE: &str = "
            INSERT INTO retired_uploads (id, purged_at)
            SELECT a.id, ?3
            FROM assets a
            WHERE a.deleted_at <= ?1 AND a.deleted_with IS NULL
            ORDER BY a.deleted_at, a.id LIMIT ?2
            ON CONFLICT (id) DO UPDATE SET purged_at = excluded.purged_at, object_deleted_at = NULL
            RETURNING 'true' AS json";
        const SESSIONS: &str = "
            DELETE FROM asset_uploads WHERE id IN (
              SELECT a.id FROM assets a WHERE a.deleted_at <= ?1 AND a.deleted_with IS NULL
              ORDER BY a.deleted_at, a.id LIMIT ?2)";
        const ASSETS: &str = "
            DELETE FROM assets WHERE id IN (
              SELECT a.id FROM assets a WHERE a.deleted_at <= ?1 AND a.deleted_with IS NULL
              ORDER BY a.deleted_at, a.id LIMIT ?2)";
        let params = vec![Param::Int(self.deleted_before.0), Param::Int(self.limit.into())];
        let statement = |sql| Statement { sql, params: params.clone() };
        let mut retire = statement(RETIRE);
        retire.params.push(Param::Int(self.now.0));
        vec![retire, statement(SESSIONS), statement(ASSETS)]
    }

    fn decode(&self, rows: &Rows) -> Result<u32, ApiError> {
        rows.count(0)
    }
}

/// Purges folders that were deleted, each with everything that its deletion put into the trash. One in which something
/// else still lies is left for later: that was deleted earlier, or is not deleted at all, which no request leaves behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PurgeFolders {
    /// Deleted at this time or earlier.
    pub deleted_before: Timestamp,
    /// Now.
    pub now: Timestamp,
    /// How many deletions at most.
    pub limit: u32,
}

/// What was purged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PurgedFolders {
    /// Folders.
    pub folders: u32,
    /// Assets that were deleted with them.
    pub assets: u32,
}

impl Operation for PurgeFolders {
    type Output = PurgedFolders;

    fn statements(&self) -> Vec<Statement> {
        // ?1 deleted up to, ?2 limit. As many deletions as come to 5,000 folders and assets, and one more.
        const CHOOSE: &str = "
            UPDATE sweeper SET purging = (
              SELECT json_group_array(id)
              FROM (
                SELECT id, size, sum(size) OVER (ORDER BY deleted_at, id) AS total
                FROM (
                  SELECT d.id, d.deleted_at,
                    (SELECT count(*) FROM assets a WHERE a.deleted_with = d.id)
                      + (SELECT count(*) FROM folders f WHERE f.deleted_with = d.id) AS size
                  FROM folders d
                  WHERE d.deleted_at <= ?1 AND d.deleted_with IS NULL
                    AND NOT EXISTS (
                      SELECT 1
                      FROM folders f
                      CROSS JOIN assets a ON a.org_id = f.org_id AND a.folder_id = f.id
                      WHERE (f.id = d.id OR f.deleted_with = d.id) AND a.deleted_with IS NOT d.id)
                    AND NOT EXISTS (
                      SELECT 1
                      FROM folders f
                      CROSS JOIN folders g ON g.org_id = f.org_id AND g.parent_id = f.id
                      WHERE (f.id = d.id OR f.deleted_with = d.id) AND g.deleted_with IS NOT d.id)
                  ORDER BY d.deleted_at, d.id LIMIT ?2))
              WHERE total - size < 5000)";
        // ?1 now.
        const RETIRE: &str = "
            INSERT INTO retired_uploads (id, purged_at)
            SELECT a.id, ?1
            FROM sweeper s
            CROSS JOIN json_each(s.purging) j
            CROSS JOIN assets a ON a.deleted_with = j.value
            WHERE true
            ON CONFLICT (id) DO UPDATE SET purged_at = excluded.purged_at, object_deleted_at = NULL
            RETURNING 'true' AS json";
        const SESSIONS: &str = "
            DELETE FROM asset_uploads WHERE id IN (
              SELECT a.id
              FROM sweeper s
              CROSS JOIN json_each(s.purging) j
              CROSS JOIN assets a ON a.deleted_with = j.value)";
        const ASSETS: &str = "
            DELETE FROM assets
            WHERE deleted_with IN (SELECT j.value FROM sweeper s CROSS JOIN json_each(s.purging) j)";
        // The folders of one deletion refer to each other: they go in one statement.
        const FOLDERS: &str = "
            DELETE FROM folders WHERE id IN (
              SELECT f.id
              FROM sweeper s
              CROSS JOIN json_each(s.purging) j
              CROSS JOIN folders f ON f.id = j.value OR f.deleted_with = j.value)
            RETURNING 'true' AS json";
        let bare = |sql| Statement { sql, params: Vec::new() };
        vec![
            Statement {
                sql: CHOOSE,
                params: vec![Param::Int(self.deleted_before.0), Param::Int(self.limit.into())],
            },
            Statement { sql: RETIRE, params: vec![Param::Int(self.now.0)] },
            bare(SESSIONS),
            bare(ASSETS),
            bare(FOLDERS),
        ]
    }

    fn decode(&self, rows: &Rows) -> Result<PurgedFolders, ApiError> {
        Ok(PurgedFolders { folders: rows.count(4)?, assets: rows.count(1)? })
    }
}
