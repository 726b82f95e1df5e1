//! The platform's request.

use worker::js_sys::{Reflect, Uint8Array};
use worker::wasm_bindgen::JsValue;
use worker::wasm_bindgen_futures::JsFuture;
use worker::web_sys::{Headers, ReadableStreamDefaultReader, Request};

use super::runtime::error_text;
use crate::error::ApiError;
use crate::http::request::{Body, BodyLimit, IncomingRequest};

/// A request whose body is still on the way.
pub(super) struct EdgeRequest {
    request: Request,
    headers: Headers,
    method: String,
    url: String,
}

impl EdgeRequest {
    pub(super) fn new(request: Request) -> Self {
        Self { headers: request.headers(), method: request.method(), url: request.url(), request }
    }

    /// Reads a chunked body chunk by chunk and stops at the limit.
    async fn body_of_unknown_length(&self, limit: BodyLimit) -> Result<Body, JsValue> {
        let Some(stream) = self.request.body() else {
            return Ok(Body::Bytes(Vec::new()));
        };
        let reader = ReadableStreamDefaultReader::new(&stream)?;
        let mut bytes = Vec::new();
        loop {
            let step = JsFuture::from(reader.read()).await?;
            if Reflect::get(&step, &"done".into()).is_ok_and(|done| done.is_truthy()) {
                return Ok(Body::Bytes(bytes));
            }
            bytes.extend(Uint8Array::new(&Reflect::get(&step, &"value".into())?).to_vec());
            if bytes.len() > limit.bytes() {
                // Nobody waits for the outcome of the cancellation.
                let _ = reader.cancel();
                return Ok(Body::Over(limit));
            }
        }
    }

    async fn body_of_known_length(&self) -> Result<Body, JsValue> {
        let buffer = JsFuture::from(self.request.array_buffer()?).await?;
        Ok(Body::Bytes(Uint8Array::new(&buffer).to_vec()))
    }
}

impl IncomingRequest for EdgeRequest {
    fn method(&self) -> &str {
        &self.method
    }

    fn url(&self) -> &str {
        &self.url
    }

    fn header(&self, name: &'static str) -> Result<Option<String>, ApiError> {
        self.headers.get(name).map_err(|error| ApiError::Internal(error_text(&error)))
    }

    async fn body(&self, limit: BodyLimit) -> Body {
        let length = self.header("content-length").ok().flatten();
        let body = match length.and_then(|text| text.parse::<usize>().ok()) {
            Some(length) if length > limit.bytes() => return Body::Over(limit),
            Some(_) => self.body_of_known_length().await,
            None => self.body_of_unknown_length(limit).await,
        };
        body.unwrap_or(Body::Broken)
    }
}
