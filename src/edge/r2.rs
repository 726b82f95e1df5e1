//! Asks R2 about objects.

use worker::wasm_bindgen::{JsCast, JsValue};
use worker::wasm_bindgen_futures::JsFuture;
// The SDK's thin layer: in the one above it a missing property is a panic.
use worker::worker_sys::types::{R2Bucket, R2Object};

use super::exchange::{Exchange, add_since, now, text_of};
use crate::domain::upload::StoredObject;
use crate::outage::{MAX_ATTEMPTS, Outage};

/// The binding's name in wrangler.toml.
const BINDING: &str = "BUCKET";

impl Exchange {
    /// HEADs an object; `None` when there is none.
    ///
    /// # Errors
    /// Text for the log when R2 does not answer: the object's state is unknown then.
    pub(super) async fn head_object(&self, key: &str) -> Result<Option<StoredObject>, String> {
        self.ask_r2(async || self.try_head(key).await).await
    }

    /// Deletes an object; one that does not exist is no error.
    ///
    /// # Errors
    /// Text for the log when R2 does not answer: the object may or may not be there then.
    pub(super) async fn delete_object(&self, key: &str) -> Result<(), String> {
        self.ask_r2(async || self.try_delete(key).await).await
    }

    /// Runs a call that is safe to repeat, up to three times.
    async fn ask_r2<T>(&self, call: impl AsyncFn() -> Result<T, JsValue>) -> Result<T, String> {
        let started = now();
        let mut attempt = 1;
        let result = loop {
            let message = match call().await {
                Ok(answer) => break Ok(answer),
                Err(error) => format!("R2: {}", text_of(&error)),
            };
            if Outage::of_r2(&message) != Outage::Transient || attempt == MAX_ATTEMPTS {
                break Err(message);
            }
            attempt += 1;
            self.back_off(attempt).await;
        };
        add_since(&self.r2_ms, started);
        result
    }

    async fn try_delete(&self, key: &str) -> Result<(), JsValue> {
        let bucket: R2Bucket = self.binding(BINDING)?;
        JsFuture::from(bucket.delete(key.to_owned())?).await.map(|_| ())
    }

    async fn try_head(&self, key: &str) -> Result<Option<StoredObject>, JsValue> {
        let bucket: R2Bucket = self.binding(BINDING)?;
        let answer = JsFuture::from(bucket.head(key.to_owned())?).await?;
        if answer.is_null() {
            return Ok(None);
        }
        let object: R2Object = answer.unchecked_into();
        Ok(Some(StoredObject {
            // At most 5 TiB, far below 2^53.
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            size_bytes: object.size()? as u64,
            content_type: object.http_metadata()?.content_type()?,
            etag: object.etag()?,
        }))
    }
}
