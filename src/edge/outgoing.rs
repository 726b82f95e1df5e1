//! Requests to the receivers of webhooks.

use std::cell::RefCell;

use worker::js_sys::{Object, Promise, Reflect, Uint8Array};
use worker::wasm_bindgen::prelude::wasm_bindgen;
use worker::wasm_bindgen::{self, JsCast, JsValue};
use worker::wasm_bindgen_futures::JsFuture;

use super::runtime::error_text;
use super::timer::TimeLimit;
use crate::domain::webhook::{ATTEMPT_TIMEOUT_MS, RESPONSE_BYTES};
use crate::platform::{Answered, Outgoing, SendError};

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(catch)]
    fn fetch(url: &str, init: &Object) -> Result<Promise, JsValue>;

    type AbortController;

    #[wasm_bindgen(catch, constructor)]
    fn new() -> Result<AbortController, JsValue>;

    #[wasm_bindgen(method, catch, getter)]
    fn signal(this: &AbortController) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(method, catch)]
    fn abort(this: &AbortController) -> Result<(), JsValue>;

    type Response;

    #[wasm_bindgen(method, catch, getter)]
    fn status(this: &Response) -> Result<u16, JsValue>;

    #[wasm_bindgen(method, catch, getter)]
    fn body(this: &Response) -> Result<Option<ReadableStream>, JsValue>;

    type ReadableStream;

    #[wasm_bindgen(method, catch, js_name = getReader)]
    fn get_reader(this: &ReadableStream) -> Result<Reader, JsValue>;

    type Reader;

    #[wasm_bindgen(method, catch)]
    fn read(this: &Reader) -> Result<Promise, JsValue>;
}

/// What the platform says where an invocation has sent as many requests as it may.
const TOO_MANY: &str = "Too many subrequests";
/// Characters of an error that are kept.
const ERROR_LENGTH: usize = 200;

/// Sends a request, once. What has arrived when the time is up counts: a status without the whole body is an answer.
pub(super) async fn post(request: Outgoing<'_>) -> Result<Answered, SendError> {
    let received = RefCell::new(None);
    let controller = AbortController::new().map_err(|error| failed(&error))?;
    let exchange = exchange(request, &controller, &received);
    let outcome = TimeLimit::default().within(ATTEMPT_TIMEOUT_MS, exchange).await;
    // Closes the connection, whatever the receiver would still send.
    let _ = controller.abort();
    match (received.take(), outcome) {
        (Some((status, bytes)), _) => {
            let response = String::from_utf8_lossy(&bytes).into_owned();
            Ok(Answered { status, response })
        }
        (None, Some(Err(error))) => Err(failed(&error)),
        (None, _) => Err(SendError::Failed(format!("no answer within {ATTEMPT_TIMEOUT_MS} ms"))),
    }
}

fn failed(error: &JsValue) -> SendError {
    let text = error_text(error);
    if text.contains(TOO_MANY) {
        return SendError::NotSent;
    }
    SendError::Failed(text.chars().take(ERROR_LENGTH).collect())
}

/// Puts status and the beginning of the body into `received`, as they arrive.
async fn exchange(
    request: Outgoing<'_>,
    controller: &AbortController,
    received: &RefCell<Option<(u16, Vec<u8>)>>,
) -> Result<(), JsValue> {
    let headers = Object::new();
    for (name, value) in request.headers {
        Reflect::set(&headers, &JsValue::from_str(name), &JsValue::from_str(value))?;
    }
    let init = Object::new();
    let members: [(&str, JsValue); 5] = [
        ("method", "POST".into()),
        ("headers", headers.into()),
        ("body", request.body.into()),
        ("redirect", "manual".into()),
        ("signal", controller.signal()?),
    ];
    for (name, value) in members {
        Reflect::set(&init, &name.into(), &value)?;
    }
    let response: Response = JsFuture::from(fetch(request.url, &init)?).await?.unchecked_into();
    received.replace(Some((response.status()?, Vec::new())));
    let Some(body) = response.body()? else { return Ok(()) };
    let reader = body.get_reader()?;
    loop {
        let chunk = JsFuture::from(reader.read()?).await?;
        if Reflect::get(&chunk, &"done".into())?.is_truthy() {
            return Ok(());
        }
        let chunk: Uint8Array = Reflect::get(&chunk, &"value".into())?.dyn_into()?;
        let mut received = received.borrow_mut();
        let Some((_, bytes)) = received.as_mut() else { return Ok(()) };
        let missing = u32::try_from(RESPONSE_BYTES.saturating_sub(bytes.len())).unwrap_or_default();
        bytes.extend(chunk.slice(0, missing).to_vec());
        if bytes.len() >= RESPONSE_BYTES {
            return Ok(());
        }
    }
}
