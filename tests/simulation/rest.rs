//! The end of a simulation: left alone, everything comes to rest.

use asset_uploads::sweeper::PageSize;

use crate::database;
use crate::key_database;
use crate::run::Run;
use crate::schedule::{Action, LAST_KEY, Named, Orphans, Schedule};

/// When everything has become quiet.
pub(crate) const LARGE_PAGES: PageSize = PageSize { objects: 1_000, pages: 5 };

impl Run<'_> {
    /// Left alone, everything comes to rest: every object has its asset, and nothing else is kept.
    pub(crate) fn come_to_rest(&mut self, schedule: &Schedule) -> Result<(), String> {
        self.finish_tasks();
        self.check()?;
        key_database::check(&self.state.world.conn)?;
        self.notify_again();
        self.check()?;
        self.deliver_all()?;
        if schedule.last_start.is_some() {
            self.store_orphan(Some(LAST_KEY));
        }
        let mut faults = schedule.last_faults.iter();
        // A grace, an orphan's notice; for what starts then the same again; an object set aside, an id settled. Each
        // begins on another day.
        for (n, days) in [32, 9, 11, 9, 2, 2].into_iter().enumerate() {
            self.wait(days * 86_400, true);
            self.check()?;
            if let Some(awaits) = schedule.last_start.filter(|_| n == 1) {
                self.sweep(0, Orphans::All, LARGE_PAGES);
                self.step(0, awaits, None);
                self.request(0, Named::Nothing, 1, Action::Start { file: 0, key: Some(LAST_KEY) });
                self.step(0, u8::MAX, None);
                self.finish_tasks();
                self.check()?;
            }
            for fault in faults.by_ref().take(1).copied().map(Some).chain([None; 2]) {
                self.state.fault.set(fault);
                self.sweep(0, Orphans::All, LARGE_PAGES);
                self.finish_tasks();
                self.state.fault.set(None);
                self.check()?;
            }
            self.deliver_all()?;
        }
        let (model, conn) = (self.state.model.borrow(), &self.state.world.conn);
        let kept = self.state.bucket.borrow().keys();
        let kept: Vec<&str> = kept.iter().filter_map(|key| key.strip_prefix("uploads/")).collect();
        let expected: Vec<&str> = model.assets.keys().map(String::as_str).collect();
        if kept != expected {
            return Err(format!("the bucket has {kept:?}, and there are assets {expected:?}"));
        }
        let sessions: Vec<&str> = model.sessions.keys().map(String::as_str).collect();
        let (retired, orphans) = (database::retired(conn), database::orphans(conn));
        let all_purged = retired.keys().eq(&model.purged)
            && retired.values().all(|retired| retired.object_deleted_at.is_some());
        if sessions != expected || !all_purged || !orphans.is_empty() {
            return Err(format!(
                "nothing but assets is to be kept, and the ids {:?} that were purged: sessions {sessions:?}, retired {retired:?}, orphans {orphans:?}",
                model.purged
            ));
        }
        let (open, begun) = (self.state.bucket.borrow().open_multiparts(), self.state.begun.borrow());
        if let Some(id) = open.iter().find(|id| begun.contains(*id)) {
            return Err(format!("the parts of {id} are never given up"));
        }
        for _ in open {
            self.state.count("parts that the database never knew");
        }
        key_database::check(conn)?;
        if let Some(key) = model.keys_left_over(self.now()).first() {
            return Err(format!("the key {key} has ended long ago, and is never removed"));
        }
        let deleted_assets = model.assets.iter().filter(|(_, asset)| asset.deleted.is_some());
        let deleted_folders = model.folders.iter().filter(|(_, folder)| folder.deleted_at.is_some());
        let in_trash: Vec<&String> =
            deleted_assets.map(|(id, _)| id).chain(deleted_folders.map(|(id, _)| id)).collect();
        if !in_trash.is_empty() {
            return Err(format!("{in_trash:?} are never purged"));
        }
        Ok(())
    }
}
