//! Runs of the sweeper.

use std::rc::Rc;

use asset_uploads::config::{SweepOrphans, SweepSettings};
use asset_uploads::sweeper::{PageSize, sweep};

use crate::record::TaskRecord;
use crate::run::Run;
use crate::schedule::Orphans;
use crate::simulated::TaskPlatform;

impl Run<'_> {
    pub(crate) fn sweep(&mut self, isolate: u8, orphans: Orphans, pages: PageSize) {
        let number = self.next_number();
        let (state, now) = (self.state, self.now());
        let record = Rc::new(TaskRecord { number, ..TaskRecord::default() });
        let orphans = match orphans {
            Orphans::Few => SweepOrphans::Few,
            Orphans::All => SweepOrphans::All,
            Orphans::None => SweepOrphans::None,
        };
        let settings =
            SweepSettings { orphans, retention_seconds: self.retention_seconds, max_statements: 50 };
        self.begin(Some(isolate), async move {
            let platform = TaskPlatform { state, record };
            let report = sweep(&platform, now, settings, pages).await;
            if platform.record.statements.get() > settings.max_statements {
                state.violate(format!("a run of the sweeper sends too many statements: {report:?}"));
            }
            state.count("sweep");
        });
    }
}
