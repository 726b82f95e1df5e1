//! The sweeper's transactions. None has a caller: the platform's clock starts them, and they answer nobody.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::rights::Identity;
use super::{Operation, Param, Rows, Statement};
use crate::domain::ids::AssetUploadId;
use crate::domain::timestamp::Timestamp;
use crate::error::ApiError;

/// SQL of the sessions behind the sweeper's mark with a deadline up to `?1`, the first `?2` of them.
///
/// Read along the index of deadlines, from the mark on: that takes the sessions as the outer table, and a
/// bound without affinity, as the indexed expression has none.
macro_rules! due {
    () => {
        "SELECT u.id, abs(u.expires_at) AS deadline
         FROM asset_uploads u
         CROSS JOIN sweeper s
         WHERE abs(u.expires_at) BETWEEN (SELECT +deadline FROM sweeper) AND ?1
           AND (abs(u.expires_at) > s.deadline OR u.id > s.upload_id)
         ORDER BY abs(u.expires_at), u.id LIMIT ?2"
    };
}

/// SQL that is true where no asset has the upload `$id` or its object.
macro_rules! no_asset {
    ($id:literal) => {
        concat!(
            "NOT EXISTS (SELECT 1 FROM assets a WHERE a.id = ",
            $id,
            ") AND NOT EXISTS (SELECT 1 FROM assets a WHERE a.r2_key = 'uploads/' || ",
            $id,
            ")"
        )
    };
}

/// SQL of the ids among the JSON array `?1` that have neither session nor asset, and are not retired yet.
macro_rules! orphans {
    () => {
        concat!(
            "SELECT j.value AS id FROM json_each(?1) j
             WHERE NOT EXISTS (SELECT 1 FROM asset_uploads u WHERE u.id = j.value)
               AND NOT EXISTS (SELECT 1 FROM retired_uploads r WHERE r.id = j.value) AND ",
            no_asset!("j.value")
        )
    };
}

fn json_array(ids: &[AssetUploadId]) -> String {
    // Strings cannot fail to serialize.
    serde_json::to_string(ids).unwrap_or_default()
}

fn row<T: DeserializeOwned>(rows: &Rows, n: usize) -> Result<T, ApiError> {
    rows.first(n)?
        .ok_or_else(|| ApiError::Internal("the table sweeper is empty; apply the migrations".to_owned()))
}

/// Judges the next sessions past their deadline: one without an asset is retired, and with it its id. One
/// with an asset stays for good, as the record that answers repeats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retire {
    /// Sessions with this deadline or an earlier one, confirmed, cancelled or neither.
    pub due: Timestamp,
    /// How many at most.
    pub limit: u32,
}

/// What was judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Retired {
    /// How many sessions.
    pub judged: u32,
    /// How many of them were retired.
    pub retired: u32,
}

impl Operation for Retire {
    type Output = Retired;

    fn statements(&self) -> Vec<Statement> {
        const COUNT: &str = concat!(
            "SELECT json_object('judged', count(*), 'retired', COALESCE(sum(",
            no_asset!("d.id"),
            "), 0)) AS json FROM (",
            due!(),
            ") d"
        );
        const RETIRE: &str = concat!(
            "INSERT INTO retired_uploads (id) SELECT d.id FROM (",
            due!(),
            ") d WHERE ",
            no_asset!("d.id"),
            " ON CONFLICT (id) DO NOTHING"
        );
        // The mark moves before the sessions go: it is found among them.
        const ADVANCE: &str = concat!(
            "UPDATE sweeper SET deadline = last.deadline, upload_id = last.id FROM (SELECT * FROM (",
            due!(),
            ") ORDER BY deadline DESC, id DESC LIMIT 1) last"
        );
        const DELETE: &str = concat!(
            "DELETE FROM asset_uploads WHERE abs(expires_at) <= ?1
             AND id IN (SELECT r.id FROM retired_uploads r WHERE r.object_deleted_at IS NULL AND ",
            no_asset!("r.id"),
            ")"
        );
        let params = vec![Param::Int(self.due.0), Param::Int(self.limit.into())];
        let due = |sql| Statement { sql, params: params.clone() };
        let delete = Statement { sql: DELETE, params: vec![Param::Int(self.due.0)] };
        vec![due(COUNT), due(RETIRE), due(ADVANCE), delete]
    }

    fn decode(&self, rows: &Rows, _: &mut Identity) -> Result<Retired, ApiError> {
        row(rows, 0)
    }
}

/// Reads the key that the comparison of objects has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadMark;

impl Operation for ReadMark {
    /// The key; empty to begin anew.
    type Output = String;

    fn statements(&self) -> Vec<Statement> {
        vec![Statement { sql: "SELECT json_quote(object_key) AS json FROM sweeper", params: Vec::new() }]
    }

    fn decode(&self, rows: &Rows, _: &mut Identity) -> Result<String, ApiError> {
        row(rows, 0)
    }
}

/// Retires the ids of objects that have neither session nor asset, and moves the mark; or, where they are
/// too many, does neither.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetireOrphans {
    /// Ids whose objects are in storage.
    pub ids: Vec<AssetUploadId>,
    /// How many of them may be orphans.
    pub most: u32,
    /// The last key that was listed; empty at the end of the list.
    pub mark: String,
}

impl Operation for RetireOrphans {
    /// How many were orphans.
    type Output = u32;

    fn statements(&self) -> Vec<Statement> {
        const COUNT: &str = concat!("SELECT CAST(count(*) AS TEXT) AS json FROM (", orphans!(), ")");
        const RETIRE: &str = concat!(
            "INSERT INTO retired_uploads (id)
             SELECT o.id FROM (SELECT id, count(*) OVER () AS n FROM (",
            orphans!(),
            ")) o WHERE o.n <= ?2"
        );
        // Where they were too many, they are orphans still.
        const ADVANCE: &str =
            concat!("UPDATE sweeper SET object_key = ?2 WHERE NOT EXISTS (", orphans!(), ")");
        let ids = Param::Text(json_array(&self.ids));
        let most = Param::Int(self.most.into());
        vec![
            Statement { sql: COUNT, params: vec![ids.clone()] },
            Statement { sql: RETIRE, params: vec![ids.clone(), most] },
            Statement { sql: ADVANCE, params: vec![ids, Param::from(&self.mark)] },
        ]
    }

    fn decode(&self, rows: &Rows, _: &mut Identity) -> Result<u32, ApiError> {
        let count: u32 = row(rows, 0)?;
        if count > self.most {
            return Err(ApiError::Internal(format!(
                "{count} of {} objects belong to nothing, so none was removed: is this database complete, and this its bucket? If so, set SWEEP_ORPHANS to all",
                self.ids.len()
            )));
        }
        Ok(count)
    }
}

/// Notes which objects have been removed, and reads which ones are next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NextObjects {
    /// Uploads whose objects are gone now.
    pub deleted: Vec<AssetUploadId>,
    /// When.
    pub now: Timestamp,
    /// How many to read at most.
    pub limit: u32,
}

impl Operation for NextObjects {
    /// Retired uploads whose objects have still to be removed.
    type Output = Vec<AssetUploadId>;

    fn statements(&self) -> Vec<Statement> {
        const NOTE: &str = "UPDATE retired_uploads SET object_deleted_at = ?2
             WHERE id IN (SELECT value FROM json_each(?1)) AND object_deleted_at IS NULL";
        // What has come back, by a restored database or by hand, is in use, whatever was once said of it.
        const NEXT: &str = concat!(
            "SELECT json_group_array(id) AS json FROM (SELECT r.id FROM retired_uploads r
             WHERE r.object_deleted_at IS NULL
               AND NOT EXISTS (SELECT 1 FROM asset_uploads u WHERE u.id = r.id) AND ",
            no_asset!("r.id"),
            " LIMIT ?1)"
        );
        let note = vec![Param::Text(json_array(&self.deleted)), Param::Int(self.now.0)];
        vec![
            Statement { sql: NOTE, params: note },
            Statement { sql: NEXT, params: vec![Param::Int(self.limit.into())] },
        ]
    }

    fn decode(&self, rows: &Rows, _: &mut Identity) -> Result<Self::Output, ApiError> {
        row(rows, 1)
    }
}

/// Forgets ids whose objects were removed long ago, so that no removal can still be on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forget {
    /// Removed at this moment or earlier.
    pub deleted_before: Timestamp,
    /// How many at most.
    pub limit: u32,
}

impl Operation for Forget {
    type Output = ();

    fn statements(&self) -> Vec<Statement> {
        const FORGET: &str = "DELETE FROM retired_uploads WHERE id IN
             (SELECT id FROM retired_uploads WHERE object_deleted_at <= ?1 LIMIT ?2)";
        let params = vec![Param::Int(self.deleted_before.0), Param::Int(self.limit.into())];
        vec![Statement { sql: FORGET, params }]
    }

    fn decode(&self, _: &Rows, _: &mut Identity) -> Result<(), ApiError> {
        Ok(())
    }
}
