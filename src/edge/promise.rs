//! Waits for promises through two closures that live as long as the isolate; each promise is known by a number.
//!
//! `JsFuture` makes two closures for every promise and registers each of them for finalization. It works here as
//! well, and so does any other future: this one wakes a standard waker.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use worker::js_sys::{Function, Promise};
use worker::wasm_bindgen::prelude::{Closure, wasm_bindgen};
use worker::wasm_bindgen::{self, JsCast, JsValue};

#[wasm_bindgen]
extern "C" {
    type Thenable;

    #[wasm_bindgen(method, catch)]
    fn then(this: &Thenable, fulfilled: &Function, rejected: &Function) -> Result<JsValue, JsValue>;

    /// A function that takes a callback's number, then what it is called with.
    #[derive(Clone)]
    pub(super) type NumberedFunction;

    #[wasm_bindgen(method, catch)]
    fn bind(this: &NumberedFunction, context: &JsValue, number: u32) -> Result<Function, JsValue>;
}

type Outcome = Result<JsValue, JsValue>;

/// What JavaScript calls once. When it is dropped, the call goes nowhere.
pub(super) struct Callback {
    number: u32,
    slot: Rc<Slot>,
}

#[derive(Default)]
struct Slot {
    outcome: Cell<Option<Outcome>>,
    waker: Cell<Option<Waker>>,
}

struct Functions {
    fulfilled: NumberedFunction,
    rejected: NumberedFunction,
}

thread_local! {
    /// As many as promises and timers are awaited at this moment, in all requests of the isolate.
    static CALLBACKS: RefCell<Vec<(u32, Rc<Slot>)>> = const { RefCell::new(Vec::new()) };
    static NEXT: Cell<u32> = const { Cell::new(0) };
    static FUNCTIONS: Functions = Functions { fulfilled: function(Ok), rejected: function(Err) };
}

fn function(outcome: fn(JsValue) -> Outcome) -> NumberedFunction {
    let call = move |number: u32, value: JsValue| {
        // Nobody waits any more where the time was up.
        let Some(slot) = remove(number) else { return };
        slot.outcome.set(Some(outcome(value)));
        if let Some(waker) = slot.waker.take() {
            waker.wake();
        }
    };
    Closure::<dyn Fn(u32, JsValue)>::new(call).into_js_value().unchecked_into()
}

fn remove(number: u32) -> Option<Rc<Slot>> {
    CALLBACKS.with_borrow_mut(|all| {
        let at = all.iter().position(|(one, _)| *one == number)?;
        Some(all.swap_remove(at).1)
    })
}

impl Callback {
    pub(super) fn new() -> Self {
        let number = NEXT.get();
        NEXT.set(number.wrapping_add(1));
        let slot = Rc::new(Slot::default());
        CALLBACKS.with_borrow_mut(|all| all.push((number, slot.clone())));
        Self { number, slot }
    }

    /// What the function must be called with first, for this callback to be called.
    pub(super) fn number(&self) -> u32 {
        self.number
    }

    pub(super) fn poll(&self, context: &Context<'_>) -> Poll<Outcome> {
        if let Some(outcome) = self.slot.outcome.take() {
            return Poll::Ready(outcome);
        }
        self.slot.waker.set(Some(context.waker().clone()));
        Poll::Pending
    }
}

impl Drop for Callback {
    fn drop(&mut self) {
        remove(self.number);
    }
}

/// The function that any callback can be called with.
pub(super) fn fulfilled() -> NumberedFunction {
    FUNCTIONS.with(|functions| functions.fulfilled.clone())
}

/// What a promise settles to.
///
/// # Errors
/// What it is rejected with.
pub(super) fn settled(promise: &Promise) -> impl Future<Output = Outcome> + use<> {
    let callback = Callback::new();
    let asked = FUNCTIONS.with(|functions| {
        let fulfilled = functions.fulfilled.bind(&JsValue::UNDEFINED, callback.number)?;
        let rejected = functions.rejected.bind(&JsValue::UNDEFINED, callback.number)?;
        promise.unchecked_ref::<Thenable>().then(&fulfilled, &rejected)
    });
    async move {
        asked?;
        poll_fn(|context| callback.poll(context)).await
    }
}
