//! The Worker: what the platform calls, and the platform that handlers use, on D1 and R2.

mod d1;
mod outgoing;
mod queue;
mod r2;
mod request;
mod runtime;
mod storage;
mod timer;

use worker::{
    Context, Env, MessageBatch, ScheduleContext, ScheduledEvent, console_error, console_log, event, web_sys,
};

use crate::api::answer::{Answer, answer};
use crate::domain::timestamp::Timestamp;
use crate::error::ApiError;
use crate::http::reply::Reply;
use crate::log::{self, SweepLine};
use crate::platform::Platform;
use crate::sweeper::{self, PageSize, Report};
use request::EdgeRequest;
use runtime::timestamp;
use storage::Storage;

/// Runs once, before the first request.
#[event(start)]
fn start() {
    runtime::queue_microtasks_by_promise();
}

/// The fetch handler. If it fails (the platform does not accept the answer), the client gets a 500 without our headers.
///
/// The Makefile builds with `RUN_TO_COMPLETION`: a request is completed even if the client disconnects. So the deletion
/// in R2 follows the commit in D1, and no unfinished request stays in memory.
#[event(fetch)]
async fn fetch(request: web_sys::Request, env: Env, context: Context) -> worker::Result<web_sys::Response> {
    let request = EdgeRequest::new(request);
    let storage = Storage::new(env, |config| config.storage_timeout_ms);
    let config = storage.config();
    let config = config.as_deref().map_err(ApiError::clone);
    let Answer { reply, log, due_webhooks } = answer(&request, &storage, config).await;
    write_log(log.level == "error", &log);
    if !due_webhooks.is_empty() {
        // Nobody waits for it: what the queue is not told, the cron finds.
        context.wait_until(async move { queue::nudge(&storage, due_webhooks).await });
    }
    let body = (!reply.body.is_empty()).then_some(reply.body.as_str());
    Ok(web_sys::Response::new_with_opt_str_and_init(body, &init_of(&reply)?)?)
}

/// Status and headers as the platform takes them.
fn init_of(reply: &Reply) -> worker::Result<web_sys::ResponseInit> {
    let headers = web_sys::Headers::new()?;
    for (name, value) in &reply.headers {
        headers.append(name, value)?;
    }
    let init = web_sys::ResponseInit::new();
    init.set_status(reply.status);
    init.set_headers(&headers);
    Ok(init)
}

/// The cron trigger of every minute, in wrangler.toml; any other runs the sweeper.
const EVERY_MINUTE: &str = "* * * * *";

/// The crons: every minute for overdue deliveries to webhooks, every hour for the sweeper.
#[event(scheduled)]
async fn scheduled(event: ScheduledEvent, env: Env, _: ScheduleContext) {
    let storage = Storage::new(env, |config| config.sweep_timeout_ms);
    // The time by the clock. A local test may name a later one, to see what will be done then.
    let as_of = storage.now().max(timestamp(event.schedule()));
    if event.cron() == EVERY_MINUTE {
        queue::run_cron(&storage, as_of).await;
    } else {
        sweep(&storage, as_of).await;
    }
}

/// The queues: `asset-uploads-events` tells of webhooks that have something to be delivered, `asset-uploads-objects` of
/// objects in the bucket.
#[event(queue)]
async fn queue(batch: MessageBatch<()>, env: Env, _: Context) -> worker::Result<()> {
    let storage = Storage::new(env, |config| config.storage_timeout_ms);
    queue::run(&storage, batch.raw_iter().collect()).await;
    Ok(())
}

/// Runs the sweeper, and logs what it did.
async fn sweep(storage: &Storage, as_of: Timestamp) {
    let started = storage.now();
    let (report, detail) = match storage.config() {
        Ok(config) => {
            let report = sweeper::sweep(storage, as_of, config.sweep, PageSize::default()).await;
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
        duration_ms: started.elapsed_ms(storage.now()),
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
