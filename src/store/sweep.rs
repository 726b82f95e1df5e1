//! The sweeper's transactions. The cron trigger starts them, so they have no caller.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{Operation, Param, Rows, Statement};
use crate::domain::ids::AssetUploadId;
use crate::domain::timestamp::Timestamp;
use crate::domain::webhook::EventType;
use crate::error::ApiError;

pub(super) fn json_array(ids: &[AssetUploadId]) -> Param {
    // Strings cannot fail to serialize.
    Param::Text(serde_json::to_string(ids).unwrap_or_default())
}

pub(super) fn row<T: DeserializeOwned>(rows: &Rows, n: usize) -> Result<T, ApiError> {
    rows.first(n)?
        .ok_or_else(|| ApiError::Internal("the table sweeper is empty; apply the migrations".to_owned()))
}

/// Begins a run: deletes records that are no longer needed, and reads where the last run stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Begin {
    /// Ids whose objects were removed at this time or earlier are deleted, but for those that were purged: no removal can
    /// still be running.
    pub removed_before: Timestamp,
    /// True: only those orphans are deleted from the table that the last whole pass did not find again. False: all.
    pub keep_orphans: bool,
    /// At most so many of each are deleted.
    pub limit: u32,
    /// What was deleted at this time or earlier is to be purged.
    pub deleted_before: Timestamp,
    /// Keys that were revoked or expired at this time or earlier are deleted, each once no key that it made is left.
    pub ended_before: Timestamp,
    /// Deliveries to webhooks from then or earlier are deleted, but for what is still to be delivered, and all those of
    /// webhooks that are gone.
    pub delivered_before: Timestamp,
    /// Now.
    pub now: Timestamp,
}

/// How far the sweeper has come.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Progress {
    /// Which database this is; a UUID.
    pub database_id: String,
    /// Sessions with earlier deadlines have been checked.
    pub deadline: Timestamp,
    /// The number of the current pass of the bucket.
    pub pass: u32,
    /// Objects up to this key have been compared in this pass; empty at its beginning.
    pub object_key: String,
    /// 1 where there are assets to be purged that were deleted themselves.
    pub assets_due: u8,
    /// 1 where there are folders to be purged.
    pub folders_due: u8,
    /// 1 where there are parts of uploads past their deadline.
    pub parts_due: u8,
}

impl Operation for Begin {
    type Output = Progress;

    fn statements(&self) -> Vec<Statement> {
        const FORGET: &str = "DELETE FROM retired_uploads WHERE id IN
             (SELECT id FROM retired_uploads WHERE object_deleted_at <= ?1 AND purged_at IS NULL
               LIMIT ?2)";
        const FORGET_ORPHANS: &str = "DELETE FROM orphans WHERE id IN
             (SELECT o.id FROM orphans o WHERE o.pass <= (SELECT s.pass - ?1 FROM sweeper s) LIMIT ?2)";
        // Those of whose descendants none stays.
        const FORGET_KEYS: &str = "
            WITH ended (id) AS MATERIALIZED (
              SELECT k.id
              FROM api_keys k
              WHERE COALESCE(min(k.expires_at, k.revoked_at), k.expires_at, k.revoked_at) <= ?1
              LIMIT ?2)
            DELETE FROM api_keys WHERE id IN (
              SELECT ended.id
              FROM ended
              WHERE NOT EXISTS (
                WITH RECURSIVE below (id) AS (
                  SELECT c.id FROM api_keys c WHERE c.parent_id = ended.id
                  UNION ALL
                  SELECT c.id FROM below CROSS JOIN api_keys c ON c.parent_id = below.id)
                SELECT 1 FROM below WHERE below.id NOT IN (SELECT e.id FROM ended e)))";
        // Of each webhook the first delivery is read, and what is to be deleted. What is still to be delivered, to a webhook
        // that is on, stays however old it is.
        const FORGET_DELIVERIES: &str = "
            WITH RECURSIVE known (id) AS (
              SELECT (SELECT d.webhook_id FROM webhook_deliveries d ORDER BY d.webhook_id LIMIT 1)
              UNION ALL
              SELECT (
                SELECT d.webhook_id FROM webhook_deliveries d WHERE d.webhook_id > k.id ORDER BY d.webhook_id LIMIT 1)
              FROM known k
              WHERE k.id IS NOT NULL)
            DELETE FROM webhook_deliveries WHERE (webhook_id, created_at, id) IN (
              SELECT d.webhook_id, d.created_at, d.id
              FROM known k
              LEFT JOIN webhooks w ON w.id = k.id AND w.deleted_at IS NULL
              CROSS JOIN webhook_deliveries d
                ON d.webhook_id = k.id AND d.created_at <= CASE WHEN w.id IS NULL THEN 9e15 ELSE ?1 END
              WHERE d.due_at IS NULL OR w.id IS NULL OR w.disabled_at IS NOT NULL
              LIMIT ?2)";
        const FORGET_WEBHOOKS: &str = "
            DELETE FROM webhooks
            WHERE deleted_at <= ?1 AND NOT EXISTS (SELECT 1 FROM webhook_deliveries d WHERE d.webhook_id = webhooks.id)";
        const READ: &str = "
            SELECT json_object('database_id', database_id, 'deadline', deadline, 'pass', pass, 'object_key', object_key,
              'assets_due', EXISTS (SELECT 1 FROM assets a WHERE a.deleted_at <= ?1 AND a.deleted_with IS NULL),
              'folders_due', EXISTS (SELECT 1 FROM folders f WHERE f.deleted_at <= ?1 AND f.deleted_with IS NULL),
              'parts_due', EXISTS (
                SELECT 1 FROM asset_uploads u WHERE u.multipart_id IS NOT NULL AND abs(u.expires_at) <= ?2)) AS json
            FROM sweeper";
        // No share of an old pass may count for new orphans.
        const BEGIN_ANEW: &str = "UPDATE sweeper SET pass = pass + 1, object_key = '', pass_objects = 0,
               completed_objects = 0, completed_orphans = 0
             WHERE pass_objects > 0 OR completed_objects > 0";
        let limit = Param::Int(self.limit.into());
        // The last whole pass is the one before the present one.
        let passes = Param::Int(if self.keep_orphans { 2 } else { 0 });
        let mut statements = vec![
            Statement { sql: READ, params: vec![Param::Int(self.deleted_before.0), Param::Int(self.now.0)] },
            Statement { sql: FORGET, params: vec![Param::Int(self.removed_before.0), limit.clone()] },
            Statement { sql: FORGET_ORPHANS, params: vec![passes, limit.clone()] },
            Statement { sql: FORGET_KEYS, params: vec![Param::Int(self.ended_before.0), limit.clone()] },
            Statement { sql: FORGET_DELIVERIES, params: vec![Param::Int(self.delivered_before.0), limit] },
            Statement { sql: FORGET_WEBHOOKS, params: vec![Param::Int(self.removed_before.0)] },
        ];
        if !self.keep_orphans {
            statements.push(Statement { sql: BEGIN_ANEW, params: Vec::new() });
        }
        statements
    }

    fn decode(&self, rows: &Rows) -> Result<Progress, ApiError> {
        row(rows, 0)
    }
}

/// Tells webhooks which uploads have expired: of the next sessions past their deadline those that are neither confirmed nor
/// cancelled, where a webhook wants to know. From then on they cannot be confirmed, however late a request was carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TellExpired {
    /// Now: sessions with this deadline or an earlier one.
    pub now: Timestamp,
    /// Now, by the clock. A run that was told a later time has told of more than has expired, so the next one looks again.
    pub clock: Timestamp,
    /// How many sessions to look at, at most.
    pub limit: u32,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct ToldExpired {
    /// How many sessions there were.
    pub checked: u32,
    /// How many of them webhooks were told of.
    #[serde(skip)]
    pub told: u32,
}

impl Operation for TellExpired {
    type Output = ToldExpired;

    fn statements(&self) -> Vec<Statement> {
        // ?1 now, ?2 limit, ?3 clock. As for the view sessions_to_sweep: the index of deadlines is used only where the
        // bound has no affinity, and the sessions are the outer table.
        const COUNT: &str = "
            SELECT json_object('checked', count(*)) AS json
            FROM (
              SELECT 1
              FROM asset_uploads u
              CROSS JOIN sweeper s
              WHERE abs(u.expires_at) >= (SELECT min(+told_deadline, ?3) FROM sweeper) AND abs(u.expires_at) <= +?1
                AND (abs(u.expires_at) > min(s.told_deadline, ?3) OR u.id > s.told_upload_id)
              ORDER BY abs(u.expires_at), u.id LIMIT ?2) d";
        // ?4 the event's type, quoted.
        const TELL: &str = "
            UPDATE asset_uploads SET expiry_told_at = ?1
            WHERE id IN (
                SELECT u.id
                FROM asset_uploads u
                CROSS JOIN sweeper s
                WHERE abs(u.expires_at) >= (SELECT min(+told_deadline, ?3) FROM sweeper) AND abs(u.expires_at) <= +?1
                  AND (abs(u.expires_at) > min(s.told_deadline, ?3) OR u.id > s.told_upload_id)
                ORDER BY abs(u.expires_at), u.id LIMIT ?2)
              AND expires_at > 0
              AND expiry_told_at IS NULL
              AND EXISTS (
                SELECT 1 FROM webhooks w
                WHERE w.org_id = asset_uploads.org_id AND w.disabled_at IS NULL AND instr(w.event_types, ?4) > 0)
              AND NOT EXISTS (SELECT 1 FROM assets a WHERE a.id = asset_uploads.id)
            RETURNING 'true' AS json";
        const ADVANCE: &str = "
            UPDATE sweeper SET told_deadline = last.deadline, told_upload_id = last.id
            FROM (
              SELECT *
              FROM (
                SELECT abs(u.expires_at) AS deadline, u.id
                FROM asset_uploads u
                CROSS JOIN sweeper s
                WHERE abs(u.expires_at) >= (SELECT min(+told_deadline, ?3) FROM sweeper) AND abs(u.expires_at) <= +?1
                  AND (abs(u.expires_at) > min(s.told_deadline, ?3) OR u.id > s.told_upload_id)
                ORDER BY abs(u.expires_at), u.id LIMIT ?2)
              ORDER BY deadline DESC, id DESC LIMIT 1) last";
        let params = vec![Param::Int(self.now.0), Param::Int(self.limit.into()), Param::Int(self.clock.0)];
        let statement = |sql| Statement { sql, params: params.clone() };
        let mut tell = statement(TELL);
        tell.params.push(Param::Text(format!("\"{}\"", EventType::UploadExpired.as_str())));
        vec![statement(COUNT), tell, statement(ADVANCE)]
    }

    fn decode(&self, rows: &Rows) -> Result<ToldExpired, ApiError> {
        Ok(ToldExpired { told: rows.count(1)?, ..row(rows, 0)? })
    }
}

/// Takes the next sessions past their deadline: one without an asset is retired, and with it its id. One with
/// an asset stays for good, as the record that answers repeats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retire {
    /// Where the sweeper stood before: [`Progress::deadline`].
    pub from: Timestamp,
    /// Sessions with this deadline or an earlier one, confirmed, cancelled or neither.
    pub due: Timestamp,
    /// How many at most.
    pub limit: u32,
}

/// The result of [`Retire`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Retired {
    /// How many sessions there were.
    pub checked: u32,
    /// How many of them were retired.
    pub retired: u32,
    /// The deadline of the last of them.
    pub deadline: Option<Timestamp>,
}

impl Operation for Retire {
    type Output = Retired;

    fn statements(&self) -> Vec<Statement> {
        // ?1 deadline, ?2 limit. An asset may have the session's id, or the key of its object.
        const COUNT: &str = "
            SELECT json_object('checked', count(*), 'deadline', max(d.deadline), 'retired', COALESCE(sum(
              NOT EXISTS (SELECT 1 FROM assets a WHERE a.id = d.id)
              AND NOT EXISTS (
                SELECT 1 FROM assets a WHERE a.r2_key = 'uploads/' || d.id AND a.r2_key <> 'uploads/' || a.id)), 0)) AS json
            FROM (SELECT id, deadline FROM sessions_to_sweep WHERE deadline <= ?1 ORDER BY deadline, id LIMIT ?2) d";
        const RETIRE: &str = "
            INSERT INTO retired_uploads (id, multipart_id)
            SELECT d.id, d.multipart_id
            FROM (
              SELECT id, deadline, multipart_id
              FROM sessions_to_sweep WHERE deadline <= ?1 ORDER BY deadline, id LIMIT ?2) d
            WHERE NOT EXISTS (SELECT 1 FROM assets a WHERE a.id = d.id)
              AND NOT EXISTS (
                SELECT 1 FROM assets a WHERE a.r2_key = 'uploads/' || d.id AND a.r2_key <> 'uploads/' || a.id)
            ON CONFLICT (id) DO NOTHING";
        // The sweeper's position moves before the sessions are deleted: it is found among them.
        const ADVANCE: &str = "
            UPDATE sweeper SET deadline = last.deadline, upload_id = last.id
            FROM (
              SELECT *
              FROM (SELECT id, deadline FROM sessions_to_sweep WHERE deadline <= ?1 ORDER BY deadline, id LIMIT ?2)
              ORDER BY deadline DESC, id DESC LIMIT 1) last";
        // However many are retired and wait to be removed: only what lies between the positions is read.
        const DELETE: &str = "
            DELETE FROM asset_uploads WHERE id IN (
              SELECT u.id
              FROM asset_uploads u
              JOIN retired_uploads r ON r.id = u.id AND r.object_deleted_at IS NULL
              WHERE abs(u.expires_at) BETWEEN ?1 AND (SELECT +deadline FROM sweeper)
                AND NOT EXISTS (SELECT 1 FROM assets a WHERE a.id = u.id)
              AND NOT EXISTS (
                SELECT 1 FROM assets a WHERE a.r2_key = 'uploads/' || u.id AND a.r2_key <> 'uploads/' || a.id))";
        let params = vec![Param::Int(self.due.0), Param::Int(self.limit.into())];
        let due = |sql| Statement { sql, params: params.clone() };
        let delete = Statement { sql: DELETE, params: vec![Param::Int(self.from.0)] };
        vec![due(COUNT), due(RETIRE), due(ADVANCE), delete]
    }

    fn decode(&self, rows: &Rows) -> Result<Retired, ApiError> {
        row(rows, 0)
    }
}

/// Notes which objects of a page have neither session nor asset, and moves on behind it; at the end of the
/// bucket, to the next pass. An object of a purged upload is to be removed again: it was sent to a signed URL later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteOrphans {
    /// The pass that the page belongs to.
    pub pass: u32,
    /// Ids whose objects are on it.
    pub listed: Vec<AssetUploadId>,
    /// Those of them whose objects are old enough.
    pub ids: Vec<AssetUploadId>,
    /// The key behind which the page began.
    pub from: String,
    /// The last key on it; `None` at the end of the bucket.
    pub to: Option<String>,
    /// Now.
    pub now: Timestamp,
}

/// An object with neither a session nor an asset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Orphan {
    /// The upload id in its key.
    pub id: AssetUploadId,
    /// When it was first found.
    pub noted_at: Timestamp,
}

impl Operation for NoteOrphans {
    /// All of the page, those noted before among them.
    type Output = Vec<Orphan>;

    fn statements(&self) -> Vec<Statement> {
        // ?1 ids, ?2 now, ?3 pass.
        const NOTE: &str = "
            INSERT INTO orphans (id, noted_at, pass)
            SELECT j.value, ?2, s.pass
            FROM json_each(?1) j
            JOIN sweeper s ON s.pass = ?3
            WHERE NOT EXISTS (SELECT 1 FROM retired_uploads r WHERE r.id = j.value)
              AND NOT EXISTS (SELECT 1 FROM asset_uploads u WHERE u.id = j.value)
              AND NOT EXISTS (SELECT 1 FROM assets a WHERE a.id = j.value)
              AND NOT EXISTS (
                SELECT 1 FROM assets a WHERE a.r2_key = 'uploads/' || j.value AND a.r2_key <> 'uploads/' || a.id)
            ON CONFLICT (id) DO UPDATE SET pass = excluded.pass
            RETURNING json_object('id', id, 'noted_at', noted_at) AS json";
        // ?1 ids.
        const REMOVE_AGAIN: &str = "
            UPDATE retired_uploads SET object_deleted_at = NULL, retry_at = 0
            WHERE id IN (SELECT value FROM json_each(?1)) AND purged_at IS NOT NULL AND object_deleted_at IS NOT NULL";
        // Another run may have gone on from the same page: each page counts once.
        const ADVANCE: &str = "UPDATE sweeper SET object_key = ?4, pass_objects = pass_objects + ?3
             WHERE pass = ?1 AND object_key = ?2";
        const NEXT_PASS: &str = "UPDATE sweeper SET object_key = '', pass = pass + 1, pass_objects = 0,
               completed_objects = pass_objects + ?3,
               completed_orphans = (SELECT count(*) FROM orphans o WHERE o.pass = ?1)
             WHERE pass = ?1 AND object_key = ?2";
        let pass = Param::Int(self.pass.into());
        let listed = u32::try_from(self.listed.len()).unwrap_or(u32::MAX);
        let note = Statement {
            sql: NOTE,
            params: vec![json_array(&self.ids), Param::Int(self.now.0), pass.clone()],
        };
        let mut params = vec![pass, Param::from(&self.from), Param::Int(listed.into())];
        let sql = match &self.to {
            Some(key) => {
                params.push(Param::from(key));
                ADVANCE
            }
            None => NEXT_PASS,
        };
        let remove_again = Statement { sql: REMOVE_AGAIN, params: vec![json_array(&self.listed)] };
        vec![note, Statement { sql, params }, remove_again]
    }

    fn decode(&self, rows: &Rows) -> Result<Vec<Orphan>, ApiError> {
        rows.all(0)
    }
}

/// Retires the ids of orphans that were noted long ago and are orphans still; none of them, where the last whole
/// pass of the bucket, which must have found them again, found too many (the view `sweeper_state` says what that is).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetireOrphans {
    /// Noted at this time or earlier.
    pub noted_before: Timestamp,
    /// Whether any share will do.
    pub any_share: bool,
    /// How many are retired at most.
    pub limit: u32,
}

/// What came of it, and what the last whole pass of the bucket found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetiredOrphans {
    /// How many were retired.
    pub retired: u32,
    /// Uploads' objects in the bucket.
    pub objects: u32,
    /// Orphans among them.
    pub orphans: u32,
    /// Whether that is too large a share, so that none was retired.
    pub too_many: bool,
}

#[derive(Deserialize)]
struct Pass {
    objects: u32,
    orphans: u32,
    too_many: u8,
}

impl Operation for RetireOrphans {
    type Output = RetiredOrphans;

    fn statements(&self) -> Vec<Statement> {
        // ?1 noted up to, ?2 limit, ?3 1 where any share will do.
        const RETIRE: &str = "
            INSERT INTO retired_uploads (id)
            SELECT o.id
            FROM sweeper_state s
            CROSS JOIN orphans o ON o.pass = s.pass - 1
            WHERE (?3 = 1 OR NOT s.too_many_orphans)
              AND o.noted_at <= ?1
              AND NOT EXISTS (SELECT 1 FROM retired_uploads r WHERE r.id = o.id)
              AND NOT EXISTS (SELECT 1 FROM asset_uploads u WHERE u.id = o.id)
              AND NOT EXISTS (SELECT 1 FROM assets a WHERE a.id = o.id)
              AND NOT EXISTS (
                SELECT 1 FROM assets a WHERE a.r2_key = 'uploads/' || o.id AND a.r2_key <> 'uploads/' || a.id)
            LIMIT ?2
            RETURNING 'true' AS json";
        const READ: &str = "
            SELECT json_object('objects', completed_objects, 'orphans', completed_orphans,
              'too_many', too_many_orphans) AS json
            FROM sweeper_state";
        let params = vec![
            Param::Int(self.noted_before.0),
            Param::Int(self.limit.into()),
            Param::Int(self.any_share.into()),
        ];
        vec![Statement { sql: RETIRE, params }, Statement { sql: READ, params: Vec::new() }]
    }

    fn decode(&self, rows: &Rows) -> Result<RetiredOrphans, ApiError> {
        let retired = rows.count(0)?;
        let Pass { objects, orphans, too_many } = row(rows, 1)?;
        let too_many = !self.any_share && too_many != 0;
        Ok(RetiredOrphans { retired, objects, orphans, too_many })
    }
}
