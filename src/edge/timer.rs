//! Waits for time: a pause, and a time limit over calls.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::{Context, Poll};

use worker::wasm_bindgen::prelude::wasm_bindgen;
use worker::wasm_bindgen::{self, JsValue};

use super::promise::{Callback, NumberedFunction, fulfilled};
use super::storage::now;
use crate::domain::timestamp::Timestamp;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(catch, js_name = setTimeout)]
    fn set_timeout(function: &NumberedFunction, ms: f64, number: u32) -> Result<f64, JsValue>;

    #[wasm_bindgen(catch, js_name = clearTimeout)]
    fn clear_timeout(timer: f64) -> Result<(), JsValue>;
}

/// A timer of the platform; cancelled when it is dropped.
struct Timer {
    callback: Callback,
    id: f64,
    due: Timestamp,
}

impl Timer {
    /// `None` when the platform gives no timer.
    fn start(due: Timestamp) -> Option<Self> {
        let callback = Callback::new();
        // Milliseconds that anybody waits are far below 2^53.
        #[allow(clippy::cast_precision_loss)]
        let ms = due.0.saturating_sub(now().0) as f64;
        let id = set_timeout(&fulfilled(), ms, callback.number()).ok()?;
        Some(Self { callback, id, due })
    }

    fn poll(&self, context: &Context<'_>) -> Poll<()> {
        self.callback.poll(context).map(|_| ())
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        // One that cannot be cleared has no callback any more.
        let _ = clear_timeout(self.id);
    }
}

fn after(ms: u64) -> Timestamp {
    Timestamp(now().0.saturating_add_unsigned(ms))
}

/// Waits so many milliseconds.
pub(super) async fn sleep(ms: u64) {
    if let Some(timer) = Timer::start(after(ms)) {
        poll_fn(|context| timer.poll(context)).await;
    }
}

/// A time limit for each of many calls. A call leaves its timer to the one after it, which sets it again only if it
/// goes off meanwhile: a request sets one, however many calls it makes.
#[derive(Default)]
pub(super) struct TimeLimit(Cell<Option<Timer>>);

impl TimeLimit {
    /// What `future` comes to; `None` when that takes longer than so many milliseconds.
    pub(super) async fn within<T>(&self, ms: u64, future: impl Future<Output = T>) -> Option<T> {
        let due = after(ms);
        // Calls at the same time find none and set one each.
        let mut timer = self.0.take().filter(|timer| timer.due <= due);
        let mut future = pin!(future);
        let output = poll_fn(|context| {
            if let Poll::Ready(output) = future.as_mut().poll(context) {
                return Poll::Ready(Some(output));
            }
            if timer.as_ref().is_some_and(|timer| timer.poll(context).is_pending()) {
                return Poll::Pending;
            }
            timer = if now() < due { Timer::start(due) } else { None };
            if timer.as_ref().is_some_and(|timer| timer.poll(context).is_pending()) {
                Poll::Pending
            } else {
                Poll::Ready(None)
            }
        })
        .await;
        self.0.set(timer);
        output
    }
}
