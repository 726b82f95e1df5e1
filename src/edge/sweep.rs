//! The hourly cron: runs the sweeper and logs what it did.

use worker::{Env, ScheduleContext, ScheduledEvent, event};

use super::storage::{self, moment, since};
use crate::domain::ids::OBJECT_PREFIX;
use crate::domain::timestamp::Timestamp;
use crate::error::ApiError;
use crate::log::SweepLine;
use crate::store::Operation;
use crate::store::rights::Identity;
use crate::sweeper::{self, Page, Report};

/// What the clock starts.
#[event(scheduled)]
async fn scheduled(event: ScheduledEvent, env: Env, _: ScheduleContext) {
    let run = Run {
        storage: storage::Storage::new(env, |config| config.sweep_timeout_ms),
        started: storage::now(),
    };
    // The clock. Only who tries it locally can name a later time, to see what will be removed then.
    let now = run.started.max(moment(event.schedule()));
    let (report, detail) = match run.storage.config() {
        Ok(config) => {
            let report = sweeper::sweep(&run, now, config.sweep).await;
            let problems = report.problems.join("; ");
            (report, Some(problems).filter(|problems| !problems.is_empty()))
        }
        Err(error) => (Report::default(), error.log_detail().map(str::to_owned)),
    };
    let line = SweepLine {
        level: if detail.is_some() { "error" } else { "info" },
        event: "sweep",
        report: &report,
        r2_ms: run.storage.r2_ms.get(),
        d1_ms: run.storage.d1_ms.get(),
        retries: run.storage.retries.get(),
        duration_ms: since(run.started),
        detail,
    };
    super::write_log(line.level == "error", &line);
}

/// A run on D1 and R2.
struct Run {
    storage: storage::Storage,
    started: Timestamp,
}

impl sweeper::Storage for Run {
    async fn run<O: Operation>(&self, operation: &O) -> Result<O::Output, ApiError> {
        // Nobody calls, so nobody is found.
        self.storage.run(operation, &mut Identity::default()).await
    }

    async fn list(&self, after: &str, limit: u32) -> Result<Page, ApiError> {
        self.storage.list_objects(OBJECT_PREFIX, after, limit).await.map_err(ApiError::unavailable)
    }

    async fn delete(&self, keys: &[String]) -> Result<(), ApiError> {
        self.storage.delete_objects(keys).await.map_err(ApiError::unavailable)
    }

    async fn owner(&self, database_id: &str) -> Result<String, ApiError> {
        self.storage.bucket_owner(database_id).await.map_err(ApiError::unavailable)
    }

    fn statements(&self) -> u32 {
        self.storage.statements.get()
    }

    fn elapsed_ms(&self) -> u64 {
        since(self.started)
    }
}
