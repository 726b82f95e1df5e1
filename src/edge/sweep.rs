//! The hourly cron: runs the sweeper and logs what it did.

use worker::Env;
use worker::js_sys::Promise;
use worker::wasm_bindgen::prelude::wasm_bindgen;
use worker::wasm_bindgen::{self, JsValue};
use worker::worker_sys::types::{ScheduleContext, ScheduledEvent};

use super::storage::{self, moment, since};
use super::task;
use crate::domain::ids::OBJECT_PREFIX;
use crate::error::ApiError;
use crate::log::SweepLine;
use crate::store::Operation;
use crate::store::rights::Identity;
use crate::sweeper::{self, Page, Swept};

/// What the clock starts; see `fetch` for why it has no `#[event(scheduled)]`.
#[wasm_bindgen]
#[expect(unreachable_pub, reason = "only what is public is exported")]
pub fn scheduled(event: ScheduledEvent, env: Env, _: ScheduleContext) -> Promise {
    task::run(async move {
        sweep(&event, env).await;
        Ok(JsValue::UNDEFINED)
    })
}

async fn sweep(event: &ScheduledEvent, env: Env) {
    let started = storage::now();
    let storage = storage::Storage::new(env);
    let mut swept = Swept::default();
    // The clock. Only who tries it locally can name a later moment, to see what will be removed then.
    let now = started.max(event.scheduled_time().map_or(started, moment));
    let outcome = match storage.config() {
        Ok(config) => sweeper::sweep(&storage, now, config.sweep_orphans, &mut swept).await,
        Err(error) => Err(error),
    };
    let line = SweepLine {
        level: if outcome.is_err() { "error" } else { "info" },
        event: "sweep",
        swept,
        r2_ms: storage.r2_ms.get(),
        d1_ms: storage.d1_ms.get(),
        retries: storage.retries.get(),
        duration_ms: since(started),
        detail: outcome.as_ref().err().and_then(ApiError::log_detail),
    };
    super::write_log(outcome.is_err(), &line);
}

impl sweeper::Storage for storage::Storage {
    async fn run<O: Operation>(&self, operation: &O) -> Result<O::Output, ApiError> {
        // Nobody calls, so nobody is found.
        self.run(operation, &mut Identity::default()).await
    }

    async fn list(&self, after: &str, limit: u32) -> Result<Page, ApiError> {
        self.list_objects(OBJECT_PREFIX, after, limit).await.map_err(ApiError::unavailable)
    }

    async fn delete(&self, keys: &[String]) -> Result<(), ApiError> {
        self.delete_objects(keys).await.map_err(ApiError::unavailable)
    }
}
