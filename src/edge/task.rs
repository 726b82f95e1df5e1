//! Runs futures: one task a request, which the settling of a promise resumes at once.
//!
//! The SDK's executor makes two closures for every promise that is awaited, registers each of them for
//! finalization, and resumes the task with a microtask of its own. Here all promises settle through two
//! closures that live as long as the isolate, and each promise is known by a number. bench/README.md says
//! what that saves. A future that needs a waker would hang here: await [`settled`], [`sleep`] or [`Alarm`].

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use worker::js_sys::{Function, Promise};
use worker::wasm_bindgen::prelude::{Closure, wasm_bindgen};
use worker::wasm_bindgen::{self, JsCast, JsValue};

use super::elapsed_ms;
use super::storage::now;

#[wasm_bindgen]
extern "C" {
    type Thenable;

    #[wasm_bindgen(method, catch)]
    fn then(this: &Thenable, fulfilled: &Function, rejected: &Function) -> Result<JsValue, JsValue>;

    type Settler;

    #[wasm_bindgen(method, catch)]
    fn bind(this: &Settler, context: &JsValue, id: u32) -> Result<Function, JsValue>;

    #[wasm_bindgen(catch, js_name = setTimeout)]
    fn set_timeout(settler: &Settler, ms: f64, id: u32) -> Result<f64, JsValue>;

    #[wasm_bindgen(catch, js_name = clearTimeout)]
    fn clear_timeout(timer: f64) -> Result<(), JsValue>;
}

type Outcome = Result<JsValue, JsValue>;

/// What waits for a promise or a timer: the task to resume, and where it looks for the outcome.
struct Waiting {
    task: Rc<Task>,
    outcome: Rc<Cell<Option<Outcome>>>,
}

struct Task {
    future: RefCell<Option<Pin<Box<dyn Future<Output = ()>>>>>,
}

/// The two ends of every promise: they take the number of what waits for it, and the value.
struct Settlers {
    fulfilled: Settler,
    rejected: Settler,
}

thread_local! {
    static CURRENT: RefCell<Option<Rc<Task>>> = const { RefCell::new(None) };
    /// As many as promises are awaited at this moment, in all requests of the isolate.
    static WAITING: RefCell<Vec<(u32, Waiting)>> = const { RefCell::new(Vec::new()) };
    static NEXT: Cell<u32> = const { Cell::new(0) };
    static SETTLERS: Settlers = Settlers { fulfilled: settler(Ok), rejected: settler(Err) };
}

fn settler(outcome: fn(JsValue) -> Outcome) -> Settler {
    let settle = move |id: u32, value: JsValue| {
        // Nobody waits any more where the time was up.
        let Some(waiting) = give_up(id) else { return };
        waiting.outcome.set(Some(outcome(value)));
        waiting.task.resume();
    };
    Closure::<dyn Fn(u32, JsValue)>::new(settle).into_js_value().unchecked_into()
}

fn give_up(id: u32) -> Option<Waiting> {
    WAITING.with_borrow_mut(|all| {
        let at = all.iter().position(|(one, _)| *one == id)?;
        Some(all.swap_remove(at).1)
    })
}

impl Task {
    fn resume(self: &Rc<Self>) {
        let previous = CURRENT.replace(Some(self.clone()));
        // Taken out while it runs, so that nothing can resume it within itself.
        let future = self.future.take();
        if let Some(mut future) = future
            && future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending()
        {
            self.future.replace(Some(future));
        }
        CURRENT.set(previous);
    }
}

/// Starts a future at once and gives a promise of what it comes to.
pub(super) fn run(future: impl Future<Output = Outcome> + 'static) -> Promise {
    let outcome = Rc::new(RefCell::new(None));
    let settle = Rc::new(RefCell::new(None::<(Function, Function)>));
    let task = Rc::new(Task { future: RefCell::default() });
    let (result, ends) = (outcome.clone(), settle.clone());
    task.future.replace(Some(Box::pin(async move {
        let value = future.await;
        match (ends.take(), value) {
            // Settling a promise calls nothing of ours and cannot fail.
            (Some((resolve, _)), Ok(value)) => _ = resolve.call1(&JsValue::UNDEFINED, &value),
            (Some((_, reject)), Err(error)) => _ = reject.call1(&JsValue::UNDEFINED, &error),
            (None, value) => _ = result.replace(Some(value)),
        }
    })));
    task.resume();
    match outcome.take() {
        Some(Ok(value)) => Promise::resolve(&value),
        Some(Err(error)) => Promise::reject(&error),
        None => Promise::new(&mut |resolve, reject| _ = settle.replace(Some((resolve, reject)))),
    }
}

/// A place among what waits; given up when it is dropped.
struct Place {
    id: u32,
    outcome: Rc<Cell<Option<Outcome>>>,
}

impl Place {
    /// Of the task that runs; `None` outside [`run`].
    fn take() -> Option<Self> {
        let task = CURRENT.with_borrow(Clone::clone)?;
        let id = NEXT.get();
        NEXT.set(id.wrapping_add(1));
        let outcome = Rc::new(Cell::new(None));
        WAITING.with_borrow_mut(|all| all.push((id, Waiting { task, outcome: outcome.clone() })));
        Some(Self { id, outcome })
    }

    fn poll(&self) -> Poll<Outcome> {
        self.outcome.take().map_or(Poll::Pending, Poll::Ready)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        give_up(self.id);
    }
}

/// What a promise settles to.
///
/// # Errors
/// What it is rejected with.
pub(super) async fn settled(promise: &Promise) -> Outcome {
    let place = Place::take().ok_or_else(outside)?;
    SETTLERS.with(|settlers| {
        let fulfilled = settlers.fulfilled.bind(&JsValue::UNDEFINED, place.id)?;
        let rejected = settlers.rejected.bind(&JsValue::UNDEFINED, place.id)?;
        promise.unchecked_ref::<Thenable>().then(&fulfilled, &rejected)
    })?;
    poll_fn(|_| place.poll()).await
}

fn outside() -> JsValue {
    JsValue::from_str("awaited outside a task")
}

/// A timer of the platform; cancelled when it is dropped.
struct Timer {
    place: Place,
    id: f64,
}

impl Timer {
    fn start(ms: u64) -> Option<Self> {
        let place = Place::take()?;
        // Milliseconds that anybody waits are far below 2^53.
        #[allow(clippy::cast_precision_loss)]
        let id = SETTLERS.with(|settlers| set_timeout(&settlers.fulfilled, ms as f64, place.id)).ok()?;
        Some(Self { place, id })
    }

    fn is_up(&self) -> bool {
        self.place.poll().is_ready()
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        // One that cannot be cleared finds its place given up.
        let _ = clear_timeout(self.id);
    }
}

/// Waits so many milliseconds.
pub(super) async fn sleep(ms: u64) {
    if let Some(timer) = Timer::start(ms) {
        poll_fn(|_| if timer.is_up() { Poll::Ready(()) } else { Poll::Pending }).await;
    }
}

/// A timer for calls that follow one another: it is set for the first, and set again only where it goes off
/// while a later one is waited for.
#[derive(Default)]
pub(super) struct Alarm(RefCell<Option<Timer>>);

impl Alarm {
    /// What `future` comes to; `None` when that takes longer than so many milliseconds.
    pub(super) async fn within<T>(&self, ms: u64, future: impl Future<Output = T>) -> Option<T> {
        let started = now();
        let mut future = pin!(future);
        poll_fn(|context| match future.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending => self.poll(ms.saturating_sub(elapsed_ms(started))),
        })
        .await
    }

    /// Ready when no time is left, else set for at most that long.
    fn poll<T>(&self, left: u64) -> Poll<Option<T>> {
        let mut timer = self.0.borrow_mut();
        if timer.as_ref().is_some_and(|timer| !timer.is_up()) {
            return Poll::Pending;
        }
        *timer = (left > 0).then(|| Timer::start(left)).flatten();
        if timer.is_some() { Poll::Pending } else { Poll::Ready(None) }
    }
}
