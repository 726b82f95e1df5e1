//! The queue: sending messages to it, and handling those that come from it.

use std::cell::Cell;

use worker::js_sys::{Array, JSON, Object, Reflect};
use worker::wasm_bindgen::JsValue;
// The SDK's lower layer, as for storage.
use worker::worker_sys::Queue;
use worker::{MessageExt, QueueRetryOptionsBuilder, RawMessage};

use super::storage::Storage;
use super::write_log;
use crate::delivery;
use crate::domain::ids::WebhookId;
use crate::domain::timestamp::Timestamp;
use crate::domain::webhook::Nudge;
use crate::log::RunLine;
use crate::notifications::{self, Notification};
use crate::platform::Platform;
use crate::storage_error::{StorageError, StorageErrorKind};

/// The binding's name in wrangler.toml.
const BINDING: &str = "EVENTS";
/// Messages that the queue takes at once.
const MAX_BATCH: usize = 100;
/// The shortest and the longest delay of a message that comes again because storage did not answer, in seconds.
const RETRY_SECONDS: (u64, u64) = (10, 3_600);

impl Storage {
    /// Sends messages to the queue; false where none is bound.
    pub(super) async fn send_to_queue(&self, nudges: &[(Nudge, u64)]) -> Result<bool, StorageError> {
        if self.binding::<Queue>(BINDING).is_err() {
            return Ok(false);
        }
        for nudges in nudges.chunks(MAX_BATCH) {
            let send = || {
                let messages: Array = nudges.iter().map(message).collect::<Result<_, JsValue>>()?;
                self.binding::<Queue>(BINDING)?.send_batch(messages, JsValue::UNDEFINED)
            };
            // Sent twice, a message does no harm.
            self.call("Queue", StorageErrorKind::of_r2, &Cell::default(), &send).await?;
        }
        Ok(true)
    }
}

fn message((nudge, delay): &(Nudge, u64)) -> Result<JsValue, JsValue> {
    let body = JSON::parse(&serde_json::to_string(nudge).unwrap_or_default())?;
    let message = Object::new();
    Reflect::set(&message, &"body".into(), &body)?;
    Reflect::set(&message, &"contentType".into(), &"json".into())?;
    let delay = u32::try_from(*delay).unwrap_or_default();
    Reflect::set(&message, &"delaySeconds".into(), &delay.into())?;
    Ok(message.into())
}

/// Tells the queue of webhooks that have something to be delivered.
pub(super) async fn nudge(storage: &Storage, webhooks: Vec<WebhookId>) {
    let nudges: Vec<_> =
        webhooks.into_iter().map(|webhook_id| (Nudge { webhook_id, as_of: None }, 0)).collect();
    if let Err(error) = storage.send_nudges(&nudges).await {
        let report = delivery::Report { problems: vec![error.message], ..delivery::Report::default() };
        log_run(storage, storage.now(), "deliver_webhooks", &report, &report.problems);
    }
}

/// The cron of every minute.
pub(super) async fn run_cron(storage: &Storage, as_of: Timestamp) {
    let started = storage.now();
    let report = match storage.config() {
        Ok(config) => delivery::run_cron(storage, &config, as_of).await,
        Err(error) => {
            let problems = error.log_detail().map(str::to_owned).into_iter().collect();
            delivery::Report { problems, ..delivery::Report::default() }
        }
    };
    if report != delivery::Report::default() {
        log_run(storage, started, "deliver_webhooks", &report, &report.problems);
    }
}

/// A batch of messages, of either queue: their form tells which. One that has neither form comes back until the queue
/// takes it for dead.
pub(super) async fn run(storage: &Storage, messages: Vec<RawMessage>) {
    let started = storage.now();
    let Ok(config) = storage.config() else {
        let problems = vec!["the configuration is wrong; see the log of any request".to_owned()];
        log_run(storage, started, "deliver_webhooks", &delivery::Report::default(), &problems);
        messages.iter().for_each(|message| retry_later(message, started));
        return;
    };
    let (mut nudges, mut objects) = (Vec::new(), Vec::new());
    for message in messages {
        let text = JSON::stringify(&message.body()).map(String::from).unwrap_or_default();
        if let Ok(nudge) = serde_json::from_str::<Nudge>(&text) {
            nudges.push(nudge);
            message.ack();
        } else if let Ok(Notification { object }) = serde_json::from_str(&text) {
            objects.push((object.key, message));
        } else {
            message.retry();
        }
    }
    if !nudges.is_empty() {
        let report = delivery::run_queue(storage, &config, &nudges).await;
        log_run(storage, started, "deliver_webhooks", &report, &report.problems);
    }
    if !objects.is_empty() {
        let keys: Vec<_> = objects.iter().map(|(key, _)| key.clone()).collect();
        let (report, again) = notifications::run(storage, &config, &keys).await;
        for (key, message) in objects {
            if again.contains(&key) {
                retry_later(&message, started);
            } else {
                message.ack();
            }
        }
        log_run(storage, started, "confirm_objects", &report, &report.problems);
    }
}

/// Lets a message come again: the later, the older it is.
fn retry_later(message: &RawMessage, now: Timestamp) {
    // Milliseconds since 1970 fit far below 2^53.
    #[allow(clippy::cast_possible_wrap)]
    let sent_at = Timestamp(message.timestamp().as_millis() as i64);
    let age = sent_at.seconds_until(now).clamp(RETRY_SECONDS.0, RETRY_SECONDS.1);
    let seconds = u32::try_from(age).unwrap_or_default();
    let options = QueueRetryOptionsBuilder::new().with_delay_seconds(seconds).build();
    message.retry_with_options(&options);
}

fn log_run(
    storage: &Storage,
    started: Timestamp,
    event: &'static str,
    report: &impl serde::Serialize,
    problems: &[String],
) {
    let usage = storage.usage();
    let line = RunLine {
        level: if problems.is_empty() { "info" } else { "error" },
        event,
        report,
        r2_ms: usage.r2_ms,
        d1_ms: usage.d1_ms,
        retries: usage.retries,
        duration_ms: started.elapsed_ms(storage.now()),
        detail: (!problems.is_empty()).then(|| problems.join("; ")),
    };
    write_log(line.level == "error", &line);
}
