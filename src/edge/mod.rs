//! The Worker: what the platform calls, and the platform that handlers use, on D1 and R2.

mod d1;
mod js;
mod r2;
mod request;
mod storage;
mod task;

use worker::js_sys::Promise;
use worker::wasm_bindgen::prelude::wasm_bindgen;
use worker::wasm_bindgen::{self, JsCast, JsValue};
use worker::worker_sys::types::{Context, ScheduleContext, ScheduledEvent};
use worker::{Env, console_error, console_log, web_sys};

use crate::api::answer::{Answer, answer};
use crate::domain::timestamp::Timestamp;
use crate::error::ApiError;
use crate::log::{self, SweepLine};
use crate::platform::Platform;
use crate::sweeper::{self, PageSize, Report};
use js::{Request, from_json};
use request::EdgeRequest;
use storage::{Storage, now, timestamp};

/// The fetch handler. Not `#[event(fetch)]`, which runs it with the executor that [`task`] is there to avoid.
///
/// # Errors
/// When the platform shows no request, or takes no answer.
#[wasm_bindgen]
#[expect(unreachable_pub, reason = "only what is public is exported")]
pub fn fetch(request: Request, env: Env, context: Context) -> Result<Promise, JsValue> {
    let request = EdgeRequest::new(request)?;
    let answer = task::run(async move {
        let storage = Storage::new(env, |config| config.storage_timeout_ms);
        let config = storage.config();
        let config = config.as_deref().map_err(ApiError::clone);
        let Answer { reply, log } = answer(&request, &storage, config).await;
        write_log(log.level == "error", &log);
        let body = (!reply.body.is_empty()).then_some(reply.body.as_str());
        let init = from_json(&reply.init())?;
        web_sys::Response::new_with_opt_str_and_init(body, init.unchecked_ref()).map(JsValue::from)
    });
    // Carried to its end also where the client goes away: what D1 has committed is followed up in R2, and no
    // half-done request stays in memory, which the platform would neither poll again nor drop.
    context.wait_until(&answer)?;
    Ok(answer)
}

/// What the cron starts; see `fetch` for why it has no `#[event(scheduled)]`.
#[wasm_bindgen]
#[expect(unreachable_pub, reason = "only what is public is exported")]
pub fn scheduled(event: ScheduledEvent, env: Env, _: ScheduleContext) -> Promise {
    task::run(async move {
        sweep(event.scheduled_time().ok(), env).await;
        Ok(JsValue::UNDEFINED)
    })
}

/// Runs the sweeper, and logs what it did.
async fn sweep(scheduled_ms: Option<f64>, env: Env) {
    let storage = Storage::new(env, |config| config.sweep_timeout_ms);
    let started = storage.now();
    // The clock. Only who tries it locally can name a later time, to see what will be removed then.
    let as_of = started.max(scheduled_ms.map_or(started, timestamp));
    let (report, detail) = match storage.config() {
        Ok(config) => {
            let report = sweeper::sweep(&storage, as_of, config.sweep, PageSize::default()).await;
            let problems = report.problems.join("; ");
            (report, Some(problems).filter(|problems| !problems.is_empty()))
        }
        Err(error) => (Report::default(), error.log_detail().map(str::to_owned)),
    };
    let usage = storage.usage();
    let line = SweepLine {
        level: if detail.is_some() { "error" } else { "info" },
        event: "sweep",
        report: &report,
        r2_ms: usage.r2_ms,
        d1_ms: usage.d1_ms,
        retries: usage.retries,
        duration_ms: elapsed_ms(started),
        detail,
    };
    write_log(line.level == "error", &line);
}

/// Writes one line to the Worker's log.
fn write_log(is_error: bool, line: &impl serde::Serialize) {
    let text = log::to_json(line);
    if is_error {
        console_error!("{text}");
    } else {
        console_log!("{text}");
    }
}

/// Milliseconds since `start`.
fn elapsed_ms(start: Timestamp) -> u64 {
    u64::try_from(now().0 - start.0).unwrap_or_default()
}
