//! Timers: a pause, and a time limit for storage calls.
//!
//! The SDK's `Delay` panics where the platform gives no timer, which would end the isolate's other requests. And it sets
//! a timer for every call; [`TimeLimit`] sets one for a request, which saves 1% of a confirm with canned storage.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use worker::js_sys::Function;
use worker::wasm_bindgen::prelude::{Closure, wasm_bindgen};
use worker::wasm_bindgen::{self, JsCast, JsValue};

use super::runtime::now;
use crate::domain::timestamp::Timestamp;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(catch, js_name = setTimeout)]
    fn set_timeout(function: &Function, ms: f64) -> Result<f64, JsValue>;

    #[wasm_bindgen(catch, js_name = clearTimeout)]
    fn clear_timeout(id: f64) -> Result<(), JsValue>;
}

/// A timer of the platform; cancelled when it is dropped.
struct Timer {
    id: f64,
    due: Timestamp,
    state: Rc<State>,
    /// What the platform calls; lives as long as the timer.
    _function: Closure<dyn FnMut()>,
}

#[derive(Default)]
struct State {
    is_up: Cell<bool>,
    waker: Cell<Option<Waker>>,
}

impl Timer {
    /// `None` when the platform gives no timer.
    fn start(due: Timestamp) -> Option<Self> {
        let state = Rc::new(State::default());
        let of_function = state.clone();
        let function = Closure::<dyn FnMut()>::new(move || {
            of_function.is_up.set(true);
            if let Some(waker) = of_function.waker.take() {
                waker.wake();
            }
        });
        // Milliseconds that anybody waits are far below 2^53.
        #[allow(clippy::cast_precision_loss)]
        let ms = due.0.saturating_sub(now().0) as f64;
        let id = set_timeout(function.as_ref().unchecked_ref(), ms).ok()?;
        Some(Self { id, due, state, _function: function })
    }

    fn poll(&self, context: &Context<'_>) -> Poll<()> {
        if self.state.is_up.get() {
            return Poll::Ready(());
        }
        self.state.waker.set(Some(context.waker().clone()));
        Poll::Pending
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        // An error here would leave a timer that calls nothing.
        let _ = clear_timeout(self.id);
    }
}

fn after(ms: u64) -> Timestamp {
    Timestamp(now().0.saturating_add_unsigned(ms))
}

/// Waits so many milliseconds; not at all when the platform gives no timer.
pub(super) async fn sleep(ms: u64) {
    if let Some(timer) = Timer::start(after(ms)) {
        poll_fn(|context| timer.poll(context)).await;
    }
}

/// A time limit for each of many calls. A call leaves its timer to the next one, which sets it anew only if it goes off
/// meanwhile. Calls at the same time set one each.
#[derive(Default)]
pub(super) struct TimeLimit(Cell<Option<Timer>>);

impl TimeLimit {
    /// The output of `future`; `None` when it takes longer than so many milliseconds, or when the platform gives no
    /// timer.
    pub(super) async fn within<T>(&self, ms: u64, future: impl Future<Output = T>) -> Option<T> {
        let due = after(ms);
        let mut timer = self.0.take().filter(|timer| timer.due <= due);
        let mut future = pin!(future);
        let output = poll_fn(|context| {
            if let Poll::Ready(output) = future.as_mut().poll(context) {
                return Poll::Ready(Some(output));
            }
            let is_waiting =
                |timer: &Option<Timer>| timer.as_ref().is_some_and(|timer| timer.poll(context).is_pending());
            if !is_waiting(&timer) {
                timer = if now() < due { Timer::start(due) } else { None };
            }
            if is_waiting(&timer) { Poll::Pending } else { Poll::Ready(None) }
        })
        .await;
        self.0.set(timer);
        output
    }
}
