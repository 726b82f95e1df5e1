//! The sweeper: once an hour it removes uploads that were never confirmed, and objects that belong to nothing.
//!
//! An object is removed only while the database says that its id is retired. Retiring and confirming are
//! transactions on the same rows, so one comes first: a confirmed upload is never retired, and a retired one
//! can neither be confirmed nor started again. So a run may be cut off anywhere, and any number may run at
//! once; the next one goes on where the database says that they stopped.

use serde::Serialize;

use crate::config::SweepOrphans;
use crate::domain::ids::AssetUploadId;
use crate::domain::timestamp::Timestamp;
use crate::error::ApiError;
use crate::presign::LONGEST_SIGNATURE_SECONDS;
use crate::store::Operation;
use crate::store::sweep::{Forget, NextObjects, ReadMark, Retire, RetireOrphans};

/// How long after its deadline an upload is left alone, and how old an object without session is left to
/// become: a day longer than the longest life of a signed URL, so that no transfer can still be going on.
pub const GRACE_SECONDS: u64 = LONGEST_SIGNATURE_SECONDS + 86_400;
/// How long an id stays retired after its object was removed. No call of a run can be this late.
pub const SETTLE_SECONDS: u64 = 86_400;
/// As many orphans may be on a page whatever their share is; more must be no more than half of it. Orphans
/// are rare: only a database that lost rows makes them, and one that lost many must not cost the objects too.
pub const FEW_ORPHANS: u32 = 10;

/// Where the sweeper works.
#[allow(async_fn_in_trait, reason = "a Worker has one thread, so nobody needs the futures to be Send")]
pub trait Storage {
    /// Sessions, listed objects or removals handled at a time: as many as R2 lists or deletes in one call.
    const PAGE: u32 = 1_000;
    /// Pages of sessions and of listed objects that a run handles at most.
    const MAX_PAGES: u32 = 5;

    /// Runs one transaction.
    async fn run<O: Operation>(&self, operation: &O) -> Result<O::Output, ApiError>;
    /// Lists at most `limit` objects in the order of their keys, from behind the key `after`.
    async fn list(&self, after: &str, limit: u32) -> Result<Page, ApiError>;
    /// Deletes objects, at most `PAGE`; one that does not exist is no error.
    async fn delete(&self, keys: &[String]) -> Result<(), ApiError>;
}

/// A page of a list of objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The objects, in the order of their keys.
    pub objects: Vec<Listed>,
    /// Whether there are more behind the last one.
    pub truncated: bool,
}

/// A listed object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its key.
    pub key: String,
    /// When it was stored.
    pub uploaded_at: Timestamp,
}

/// What a run has done; for the log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Swept {
    /// Sessions past their grace that were looked at.
    pub sessions_judged: u32,
    /// Those of them that were removed.
    pub sessions_retired: u32,
    /// Objects that were compared with the database.
    pub objects_compared: u32,
    /// Those of them that belonged to nothing.
    pub objects_orphaned: u32,
    /// Objects under the prefix whose keys no upload can have; left alone.
    pub objects_foreign: u32,
    /// Removals that were carried out, of objects that may never have been sent among them.
    pub objects_removed: u32,
}

/// Runs once, as of `now`. `swept` has what was done, also where an error ends the run early.
///
/// # Errors
/// Storage that does not answer, or more orphans than there should be; all that was done stays done, and
/// the next run goes on from there.
pub async fn sweep<S: Storage>(
    storage: &S,
    now: Timestamp,
    orphans: SweepOrphans,
    swept: &mut Swept,
) -> Result<(), ApiError> {
    let deleted_before = now.minus_seconds(SETTLE_SECONDS);
    storage.run(&Forget { deleted_before, limit: S::PAGE * S::MAX_PAGES * 2 }).await?;
    // First what an earlier run left: while R2 removes nothing, nothing more is retired.
    remove_objects(storage, now, swept).await?;
    let due = now.minus_seconds(GRACE_SECONDS);
    retire_sessions(storage, due, swept).await?;
    retire_orphans(storage, due, orphans, swept).await?;
    remove_objects(storage, now, swept).await
}

async fn retire_sessions<S: Storage>(storage: &S, due: Timestamp, swept: &mut Swept) -> Result<(), ApiError> {
    for _ in 0..S::MAX_PAGES {
        let page = storage.run(&Retire { due, limit: S::PAGE }).await?;
        swept.sessions_judged += page.judged;
        swept.sessions_retired += page.retired;
        if page.judged < S::PAGE {
            break;
        }
    }
    Ok(())
}

async fn retire_orphans<S: Storage>(
    storage: &S,
    due: Timestamp,
    orphans: SweepOrphans,
    swept: &mut Swept,
) -> Result<(), ApiError> {
    if orphans == SweepOrphans::None {
        return Ok(());
    }
    let mut mark = storage.run(&ReadMark).await?;
    for _ in 0..S::MAX_PAGES {
        let page = storage.list(&mark, S::PAGE).await?;
        let mut ids = Vec::new();
        for object in &page.objects {
            match AssetUploadId::of_object(&object.key) {
                Some(id) if object.uploaded_at <= due => ids.push(id),
                Some(_) => {}
                None => swept.objects_foreign += 1,
            }
        }
        let compared = u32::try_from(ids.len()).unwrap_or(S::PAGE);
        swept.objects_compared += compared;
        mark = match page.objects.last() {
            Some(last) if page.truncated => last.key.clone(),
            _ => String::new(),
        };
        let most = match orphans {
            SweepOrphans::Few => FEW_ORPHANS.max(compared / 2),
            SweepOrphans::All | SweepOrphans::None => compared,
        };
        swept.objects_orphaned += storage.run(&RetireOrphans { ids, most, mark: mark.clone() }).await?;
        if mark.is_empty() {
            break;
        }
    }
    Ok(())
}

async fn remove_objects<S: Storage>(storage: &S, now: Timestamp, swept: &mut Swept) -> Result<(), ApiError> {
    let mut deleted = Vec::new();
    // Twice as many pages as either source fills, and one more to note the last.
    for _ in 0..=2 * S::MAX_PAGES {
        let ids = storage.run(&NextObjects { deleted, now, limit: S::PAGE }).await?;
        if ids.is_empty() {
            break;
        }
        let keys: Vec<String> = ids.iter().map(AssetUploadId::object_key).collect();
        storage.delete(&keys).await?;
        swept.objects_removed += u32::try_from(ids.len()).unwrap_or(S::PAGE);
        deleted = ids;
    }
    Ok(())
}
