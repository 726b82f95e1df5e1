//! What the JavaScript runtime gives everything else here: the clock, random bytes, the text of its errors, and the queue
//! of its executor.

use worker::js_sys::{Date, Error};
use worker::wasm_bindgen::prelude::wasm_bindgen;
use worker::wasm_bindgen::{self, JsCast, JsValue};

use crate::domain::timestamp::Timestamp;

#[wasm_bindgen(module = "/src/edge/microtask.js")]
extern "C" {
    /// Makes the queue of the executor cheaper, for the whole isolate.
    #[wasm_bindgen(js_name = queueMicrotasksByPromise)]
    pub(super) fn queue_microtasks_by_promise();
}

/// The platform's clock, which stands still between storage calls.
pub(super) fn now() -> Timestamp {
    timestamp(Date::now())
}

/// A time as JavaScript has it, in milliseconds.
pub(super) fn timestamp(ms: f64) -> Timestamp {
    // Milliseconds since 1970 fit far below 2^53.
    #[allow(clippy::cast_possible_truncation)]
    Timestamp(ms as i64)
}

/// Random bytes of the platform.
pub(super) fn fill_random(bytes: &mut [u8]) -> Result<(), String> {
    getrandom::fill(bytes).map_err(|error| format!("no random bytes: {error}"))
}

/// A random number; the largest where the platform gives no random bytes.
pub(super) fn random_u16() -> u16 {
    let mut bytes = [0; 2];
    fill_random(&mut bytes).map_or(u16::MAX, |()| u16::from_ne_bytes(bytes))
}

/// The text of a JavaScript error.
pub(super) fn error_text(error: &JsValue) -> String {
    match error.dyn_ref::<Error>() {
        Some(error) => error.message().into(),
        None => error.as_string().unwrap_or_else(|| "an error without text".to_owned()),
    }
}
