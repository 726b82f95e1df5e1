//! The sweeper: once an hour it removes uploads that were never confirmed, what has been in the trash long enough, and
//! orphans: objects with neither a session nor an asset.
//!
//! An object is removed only while the database says that its id is retired. Retiring and confirming are
//! transactions on the same rows, so one comes first: a confirmed upload is never retired, and a retired one
//! can neither be confirmed nor started again. The ids of purged assets stay retired for good. So a run may be interrupted at any point, and several may run at the
//! same time. The database records where a run stopped, and the next one continues there.
//!
//! If one task of a run fails, it is reported, and the other tasks still run.

use std::collections::VecDeque;

use serde::Serialize;

use crate::config::{SweepOrphans, SweepSettings};
use crate::domain::ids::{AssetUploadId, OBJECT_PREFIX};
use crate::domain::timestamp::Timestamp;
use crate::domain::webhook::HISTORY_SECONDS;
use crate::error::ApiError;
use crate::platform::{OWNER_KEY, Platform};
use crate::presign::LONGEST_SIGNATURE_SECONDS;
use crate::store::purge::{PurgeAssets, PurgeFolders, PurgedFolders};
use crate::store::removals::{
    ExpiredParts, ForgetParts, MultipartUpload, NextRemovals, NoteRemovals, PostponeRemovals, Removals,
};
use crate::store::sweep::{Begin, NoteOrphans, Progress, Retire, RetireOrphans, TellExpired, ToldExpired};
use crate::store::{Operation, Rows, Statement};

/// How long after its deadline an upload is kept, and how old an object without a session must be to count as an
/// orphan: a day longer than the longest validity of a signed URL, so that no transfer can still be running.
pub const GRACE_SECONDS: u64 = LONGEST_SIGNATURE_SECONDS + 86_400;
/// How long an id stays retired after its object was removed. No call of a run can be this late.
pub const SETTLE_SECONDS: u64 = 86_400;
/// How long a key is kept after it was revoked or expired.
pub const KEY_RETENTION_SECONDS: u64 = 30 * 86_400;
/// How long an orphan is recorded, and reported in the log, before it is removed.
pub const ORPHAN_NOTICE_SECONDS: u64 = 7 * 86_400;
/// How long an object that cannot be removed is skipped.
pub const SET_ASIDE_SECONDS: u64 = 86_400;
/// A run starts no new work after so many milliseconds. The platform ends it after 15 minutes.
pub const MAX_RUN_MS: u64 = 600_000;
/// Removals that may fail in a run. To find the one bad key of a page of 1,000 takes 11: one for the page, and
/// one for each half that it is in.
const MAX_FAILED_REMOVALS: u32 = 24;
/// Multipart uploads that are aborted before the next task: each takes a call of its own.
const MAX_ABORTS: u32 = 250;
/// Keys named in a problem.
const NAMED_KEYS: usize = 10;

/// How much a run takes on at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageSize {
    /// Objects listed or removed in one call: 1,000 is the most that R2 takes.
    pub objects: u32,
    /// Pages of each kind that a run handles before it turns to the next task.
    pub pages: u32,
}

impl Default for PageSize {
    fn default() -> Self {
        Self { objects: 1_000, pages: 5 }
    }
}

/// What a run has done; for the log.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Uploads past their deadline that webhooks were told of.
    pub uploads_expired: u32,
    /// Sessions that were checked: their deadline was longer ago than [`GRACE_SECONDS`].
    pub sessions_checked: u32,
    /// Those of them that were retired.
    pub sessions_retired: u32,
    /// Assets that had been in the trash long enough.
    pub assets_purged: u32,
    /// Folders that had been there as long.
    pub folders_purged: u32,
    /// Uploads' objects that were compared with the database, young ones among them.
    pub objects_compared: u32,
    /// Objects under the prefix whose keys no upload can have; left alone.
    pub objects_foreign: u32,
    /// Orphans that were found for the first time.
    pub orphans_noted: u32,
    /// Orphans that were retired.
    pub orphans_retired: u32,
    /// Removals that were carried out, of objects that may never have been sent among them.
    pub objects_removed: u32,
    /// Multipart uploads that were given up; completed ones among them that were not confirmed.
    pub multipart_aborted: u32,
    /// Objects that could not be removed, and are set aside for a day.
    pub objects_set_aside: u32,
    /// What an operator should look at, a sentence each.
    #[serde(skip)]
    pub problems: Vec<String>,
}

/// Runs once, as of `now`. Failures are among the problems of the report. What was done before one stays done, and the
/// next run continues from there.
pub async fn sweep<P: Platform>(
    platform: &P,
    now: Timestamp,
    settings: SweepSettings,
    size: PageSize,
) -> Report {
    let (report, orphans) = Default::default();
    let started = platform.now();
    let mut run =
        Run { platform, started, now, settings, size, report, orphans, too_many: None, ended: false };
    while run.round().await && !run.ended {}
    run.finish()
}

struct Run<'a, P> {
    platform: &'a P,
    started: Timestamp,
    now: Timestamp,
    settings: SweepSettings,
    size: PageSize,
    report: Report,
    /// Orphans that were found for the first time.
    orphans: Vec<AssetUploadId>,
    /// The problem to report where there are too many of them.
    too_many: Option<String>,
    /// Whether this round is the last: statements or time are used up, or something failed, which would only
    /// fail again. The next run continues.
    ended: bool,
}

impl<P: Platform> Run<'_, P> {
    /// Does every task once, with at most 49 statements if nothing fails. Returns whether there is more to do.
    async fn round(&mut self) -> bool {
        let Some(progress) = self.begin().await else { return false };
        let owner = self.platform.bucket_owner(&progress.database_id).await;
        let owner = self.reported(owner);
        // In a copy of a database an upload may be pending that was confirmed in the original, whose bucket this is.
        if let Some(owner) = owner.as_ref().filter(|owner| **owner != progress.database_id) {
            self.report.problems.push(format!(
                "this bucket belongs to another database (it says {owner}, this one is {}), so nothing is removed from it: give this Worker a bucket of its own, or, if this database now is the bucket's, delete the object {OWNER_KEY}",
                progress.database_id
            ));
            return false;
        }
        let mut more = progress.parts_due != 0 && self.give_up_parts().await.unwrap_or(false);
        more |= self.tell_expired().await.unwrap_or(false);
        more |= self.retire_sessions(progress.deadline).await.unwrap_or(false);
        more |= self.purge(&progress).await.unwrap_or(false);
        // If R2 does not tell which database the bucket belongs to, its objects are not compared.
        if owner.is_some() && self.settings.orphans != SweepOrphans::None {
            more |= self.retire_orphans(progress).await.unwrap_or(false);
        }
        more | self.remove_objects().await.unwrap_or(false)
    }

    fn finish(mut self) -> Report {
        if !self.orphans.is_empty() {
            self.report.orphans_noted = u32::try_from(self.orphans.len()).unwrap_or(u32::MAX);
            self.report.problems.push(format!(
                "{} objects belong to nothing, noted to be removed in {} days if they still do and are few: {}",
                self.orphans.len(),
                ORPHAN_NOTICE_SECONDS / 86_400,
                keys(&self.orphans)
            ));
        }
        self.report.problems.extend(self.too_many);
        self.report
    }

    /// Runs one transaction; `None` where it failed, or the run has to end before it.
    async fn run<O: Operation>(&mut self, operation: &O) -> Option<O::Output> {
        let rows = self.transact(operation.statements()).await?;
        self.reported(operation.decode(&rows))
    }

    /// Not generic over the operation, so that the Worker has this code once.
    async fn transact(&mut self, statements: Vec<Statement>) -> Option<Rows> {
        // Each transaction is sent up to three times.
        let needed = u32::try_from(statements.len()).unwrap_or(u32::MAX).saturating_mul(3);
        if self.platform.usage().statements.saturating_add(needed) > self.settings.max_statements {
            self.ended = true;
            return None;
        }
        let rows = self.platform.transact(&statements).await;
        self.reported(rows)
    }

    /// Whether new work may be started. Work that is done is recorded in any case.
    fn has_time(&mut self) -> bool {
        let has_time = self.started.elapsed_ms(self.platform.now()) < MAX_RUN_MS;
        self.ended |= !has_time;
        has_time
    }

    /// The value; `None` where it is an error, which is put into the report.
    fn reported<T>(&mut self, result: Result<T, impl Into<ApiError>>) -> Option<T> {
        self.ended |= result.is_err();
        result.map_err(|error| self.report.problems.push(error.into().log_text())).ok()
    }

    async fn begin(&mut self) -> Option<Progress> {
        let begin = Begin {
            removed_before: self.now.minus_seconds(SETTLE_SECONDS),
            keep_orphans: self.settings.orphans != SweepOrphans::None,
            limit: self.size.objects * self.size.pages * 2,
            deleted_before: self.deleted_before(),
            ended_before: self.now.minus_seconds(KEY_RETENTION_SECONDS),
            delivered_before: self.now.minus_seconds(HISTORY_SECONDS),
            now: self.now,
        };
        self.run(&begin).await
    }

    /// Aborts the multipart uploads of sessions past their deadline: nobody may send parts or complete them any more, and
    /// R2 would keep what was sent for 7 days. What fails is tried again in the next run, and with the object's removal.
    async fn give_up_parts(&mut self) -> Option<bool> {
        let expired = self.run(&ExpiredParts { now: self.now, limit: MAX_ABORTS }).await?;
        let full = expired.len() == MAX_ABORTS as usize;
        let (confirmed, others): (Vec<_>, Vec<_>) =
            expired.into_iter().partition(|expired| expired.confirmed != 0);
        let mut uploads: Vec<_> = confirmed.into_iter().map(|expired| expired.upload).collect();
        let mut failed = FailedRemovals::default();
        let others = others.into_iter().map(|expired| expired.upload).collect();
        uploads.extend(self.abort(others, &mut failed).await);
        if !uploads.is_empty() {
            self.run(&ForgetParts { uploads }).await?;
        }
        if let Some(reason) = failed.reason {
            self.ended = true;
            self.report.problems.push(format!("{} aborts failed: {reason}", failed.count));
            return None;
        }
        Some(full)
    }

    /// Tells webhooks of uploads that have expired. What they have not been told of is not retired.
    async fn tell_expired(&mut self) -> Option<bool> {
        let limit = self.size.objects * self.size.pages * 2;
        let tell = TellExpired { now: self.now, clock: self.started, limit };
        let ToldExpired { checked, told } = self.run(&tell).await?;
        self.report.uploads_expired += told;
        Some(checked == limit)
    }

    async fn retire_sessions(&mut self, from: Timestamp) -> Option<bool> {
        let limit = self.size.objects * self.size.pages;
        let due = self.now.minus_seconds(GRACE_SECONDS);
        let retired = self.run(&Retire { from, due, limit }).await?;
        self.report.sessions_checked += retired.checked;
        self.report.sessions_retired += retired.retired;
        Some(retired.checked == limit)
    }

    /// Gives up what has been in the trash long enough: first assets, so that the folders that they lie in come later.
    async fn purge(&mut self, progress: &Progress) -> Option<bool> {
        let (deleted_before, now) = (self.deleted_before(), self.now);
        let mut more = false;
        if progress.assets_due != 0 {
            let limit = self.size.objects * self.size.pages;
            let assets = self.run(&PurgeAssets { deleted_before, now, limit }).await?;
            self.report.assets_purged += assets;
            more |= assets == limit;
        }
        if progress.folders_due != 0 {
            let limit = self.size.pages * 2;
            let PurgedFolders { folders, assets } =
                self.run(&PurgeFolders { deleted_before, now, limit }).await?;
            self.report.folders_purged += folders;
            self.report.assets_purged += assets;
            more |= folders > 0;
        }
        Some(more)
    }

    /// What was deleted then or earlier has been in the trash long enough.
    fn deleted_before(&self) -> Timestamp {
        self.now.minus_seconds(self.settings.retention_seconds)
    }

    async fn retire_orphans(&mut self, progress: Progress) -> Option<bool> {
        let more = self.compare_objects(progress).await?;
        let limit = self.size.objects * self.size.pages;
        let retire = RetireOrphans {
            noted_before: self.now.minus_seconds(ORPHAN_NOTICE_SECONDS),
            any_share: self.settings.orphans == SweepOrphans::All,
            limit,
        };
        let retired = self.run(&retire).await?;
        self.report.orphans_retired += retired.retired;
        // As the last whole pass found it, which may have ended in this very round.
        self.too_many = retired.too_many.then(|| {
            format!(
                "{} of {} objects belong to nothing, so none of them is removed: is this database complete, and this its bucket? If so, set SWEEP_ORPHANS to all",
                retired.orphans, retired.objects
            )
        });
        Some(more || retired.retired == limit)
    }

    /// Compares the next objects with the database. Returns whether the pass of the bucket has to continue.
    async fn compare_objects(&mut self, progress: Progress) -> Option<bool> {
        let due = self.now.minus_seconds(GRACE_SECONDS);
        let mut from = progress.object_key;
        for _ in 0..self.size.pages {
            if !self.has_time() {
                break;
            }
            let page = self.platform.list_objects(OBJECT_PREFIX, &from, self.size.objects).await;
            let page = self.reported(page)?;
            let (mut ids, mut listed) = (Vec::new(), Vec::new());
            for object in &page.objects {
                match AssetUploadId::of_object(&object.key) {
                    Some(id) => {
                        listed.push(id);
                        ids.extend((object.uploaded_at <= due).then_some(id));
                    }
                    None => self.report.objects_foreign += 1,
                }
            }
            let to = page.objects.last().filter(|_| page.truncated).map(|last| last.key.clone());
            let objects = u32::try_from(listed.len()).unwrap_or(u32::MAX);
            let note = NoteOrphans { pass: progress.pass, listed, ids, from, to: to.clone(), now: self.now };
            let found = self.run(&note).await?;
            self.report.objects_compared += objects;
            self.orphans
                .extend(found.iter().filter(|orphan| orphan.noted_at == self.now).map(|orphan| orphan.id));
            from = to.unwrap_or_default();
            if from.is_empty() {
                break;
            }
        }
        Some(!from.is_empty())
    }

    /// Removes the objects of retired uploads. A removal that fails is split in halves, which are retried after all
    /// others, so that one bad key delays no other object.
    async fn remove_objects(&mut self) -> Option<bool> {
        let limit = self.size.objects * self.size.pages * 2;
        let next = NextRemovals { now: self.now, limit, multipart_limit: MAX_ABORTS };
        let Removals { mut ids, multipart } = self.run(&next).await?;
        let full = ids.len() == limit as usize || multipart.len() == MAX_ABORTS as usize;
        let mut failed = FailedRemovals::default();
        ids.extend(self.abort(multipart, &mut failed).await.into_iter().map(|upload| upload.id));
        let mut pages = ids.chunks(self.size.objects as usize);
        let mut removed = Vec::new();
        while failed.count < MAX_FAILED_REMOVALS && self.has_time() {
            let Some(batch) = pages.next().map(<[_]>::to_vec).or_else(|| failed.halves.pop_front()) else {
                break;
            };
            let object_keys: Vec<String> = batch.iter().map(AssetUploadId::object_key).collect();
            match self.platform.delete_objects(&object_keys).await {
                Ok(()) => removed.extend(batch),
                Err(error) => failed.note(batch, ApiError::from(error).log_text()),
            }
            if removed.len() >= 2 * self.size.objects as usize {
                self.note_removals(std::mem::take(&mut removed)).await;
            }
        }
        if !removed.is_empty() {
            self.note_removals(removed).await;
        }
        self.postpone(failed).await;
        Some(full)
    }

    /// Aborts multipart uploads; those that have no parts any more.
    async fn abort(
        &mut self,
        uploads: Vec<MultipartUpload>,
        failed: &mut FailedRemovals,
    ) -> Vec<MultipartUpload> {
        let mut aborted = Vec::new();
        for upload in uploads {
            if failed.count >= MAX_FAILED_REMOVALS || !self.has_time() {
                break;
            }
            match self.platform.abort_multipart(&upload.id.object_key(), &upload.multipart_id).await {
                Ok(()) => aborted.push(upload),
                Err(error) => failed.note(vec![upload.id], ApiError::from(error).log_text()),
            }
        }
        self.report.multipart_aborted += u32::try_from(aborted.len()).unwrap_or(u32::MAX);
        aborted
    }

    async fn note_removals(&mut self, ids: Vec<AssetUploadId>) {
        let count = u32::try_from(ids.len()).unwrap_or(u32::MAX);
        if self.run(&NoteRemovals { ids, now: self.now }).await.is_some() {
            self.report.objects_removed += count;
        }
    }

    /// Postpones removals that failed: for a day if they failed alone, else to the end of the queue.
    async fn postpone(&mut self, failed: FailedRemovals) {
        let FailedRemovals { count, alone, halves, reason: Some(reason) } = failed else { return };
        self.ended = true;
        self.report.problems.push(format!("{count} removals failed: {reason}"));
        if !alone.is_empty() {
            self.report.objects_set_aside += u32::try_from(alone.len()).unwrap_or(u32::MAX);
            self.report.problems.push(format!("set aside for a day: {}", keys(&alone)));
        }
        let later = self.now.plus_seconds(SET_ASIDE_SECONDS);
        let together = halves.into_iter().flatten().collect();
        for (ids, retry_at) in [(alone, later), (together, self.now)] {
            if !ids.is_empty() {
                self.run(&PostponeRemovals { ids, retry_at, reason: reason.clone() }).await;
            }
        }
    }
}

/// Removals that failed.
#[derive(Default)]
struct FailedRemovals {
    count: u32,
    /// Uploads whose objects could not be removed even alone.
    alone: Vec<AssetUploadId>,
    /// The halves of the others, still to be retried.
    halves: VecDeque<Vec<AssetUploadId>>,
    /// Why the last one failed.
    reason: Option<String>,
}

impl FailedRemovals {
    fn note(&mut self, batch: Vec<AssetUploadId>, reason: String) {
        self.count += 1;
        self.reason = Some(reason.chars().take(500).collect());
        if batch.len() == 1 {
            self.alone.extend(batch);
        } else {
            let (first, second) = batch.split_at(batch.len() / 2);
            self.halves.extend([first.to_vec(), second.to_vec()]);
        }
    }
}

fn keys(ids: &[AssetUploadId]) -> String {
    let mut text = ids.iter().take(NAMED_KEYS).map(AssetUploadId::object_key).collect::<Vec<_>>().join(", ");
    if ids.len() > NAMED_KEYS {
        text.push_str(&format!(" and {} more", ids.len() - NAMED_KEYS));
    }
    text
}
