//! Asks R2 about objects, and removes them.

use worker::js_sys::{JSON, Object, Promise, Reflect};
use worker::wasm_bindgen::{JsCast, JsValue};
// The SDK's thin layer: in the one above it a missing property is a panic.
use worker::worker_sys::types::{R2Bucket, R2Object, R2Objects};

use super::storage::{Storage, moment, text_of};
use crate::domain::upload::StoredObject;
use crate::outage::Outage;
use crate::sweeper::{Listed, OWNER_KEY, Page};

/// The binding's name in wrangler.toml.
const BINDING: &str = "BUCKET";
/// Of the object [`OWNER_KEY`]: the id of the bucket's database.
const OWNER_METADATA: &str = "database_id";

impl Storage {
    /// HEADs an object; `None` when there is none.
    ///
    /// # Errors
    /// Text for the log when R2 does not answer: the object's state is unknown then.
    pub(super) async fn head_object(&self, key: &str) -> Result<Option<StoredObject>, String> {
        let answer = self.ask(&|bucket| bucket.head(key.to_owned())).await?;
        if answer.is_null() {
            return Ok(None);
        }
        stored(answer.unchecked_ref()).map(Some).map_err(|error| failure(&text_of(&error)))
    }

    /// Deletes objects, at most 1000; one that does not exist is no error.
    ///
    /// # Errors
    /// Text for the log when R2 does not answer: any of them may or may not be there then.
    pub(super) async fn delete_objects(&self, keys: &[String]) -> Result<(), String> {
        let delete = |bucket: R2Bucket| {
            bucket.delete_multiple(keys.iter().map(|key| JsValue::from_str(key)).collect())
        };
        self.ask(&delete).await.map(|_| ())
    }

    /// Lists at most so many objects (up to 1000) whose keys begin with `prefix` and sort behind `after`.
    ///
    /// # Errors
    /// Text for the log when R2 does not answer.
    pub(super) async fn list_objects(&self, prefix: &str, after: &str, limit: u32) -> Result<Page, String> {
        let list = |bucket: R2Bucket| {
            let options = Object::new();
            Reflect::set(&options, &"prefix".into(), &prefix.into())?;
            Reflect::set(&options, &"startAfter".into(), &after.into())?;
            Reflect::set(&options, &"limit".into(), &limit.into())?;
            bucket.list(options.into())
        };
        let answer = self.ask(&list).await?;
        page(answer.unchecked_ref()).map_err(|error| failure(&text_of(&error)))
    }

    /// The id of the database that the bucket belongs to. It stands in the metadata of an object, so that a HEAD
    /// reads it; `database_id` is written there once, where there is no such object.
    ///
    /// # Errors
    /// Text for the log when R2 does not answer.
    pub(super) async fn bucket_owner(&self, database_id: &str) -> Result<String, String> {
        let read = |bucket: R2Bucket| bucket.head(OWNER_KEY.to_owned());
        let mut object = self.ask(&read).await?;
        if object.is_null() {
            let write = |bucket: R2Bucket| {
                let text = format!("The files under uploads/ belong to the database {database_id}.\n");
                // Texts cannot fail to serialize.
                let id = serde_json::to_string(database_id).unwrap_or_default();
                let options = JSON::parse(&format!(
                    r#"{{"onlyIf":{{"etagDoesNotMatch":"*"}},"customMetadata":{{"{OWNER_METADATA}":{id}}}}}"#
                ))?;
                bucket.put(OWNER_KEY.to_owned(), text.into(), options)
            };
            self.ask(&write).await?;
            // Another may have been the first.
            object = self.ask(&read).await?;
        }
        owner(object.unchecked_ref()).map_err(|error| failure(&text_of(&error)))
    }

    async fn ask(&self, call: &dyn Fn(R2Bucket) -> Result<Promise, JsValue>) -> Result<JsValue, String> {
        let answer = self.attempt(Outage::of_r2, &self.r2_ms, &|| call(self.binding(BINDING)?)).await;
        answer.map_err(|(_, message)| failure(&message))
    }
}

fn failure(message: &str) -> String {
    format!("R2: {message}")
}

fn stored(object: &R2Object) -> Result<StoredObject, JsValue> {
    Ok(StoredObject {
        // At most 5 TiB, far below 2^53.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        size_bytes: object.size()? as u64,
        content_type: object.http_metadata()?.content_type()?,
        etag: object.etag()?,
        customer_key: Reflect::get(object, &"ssecKeyMd5".into())?.is_truthy(),
    })
}

fn owner(object: &R2Object) -> Result<String, JsValue> {
    let id = Reflect::get(&object.custom_metadata()?.into(), &OWNER_METADATA.into())?;
    Ok(id.as_string().unwrap_or_else(|| "nothing".to_owned()))
}

fn page(page: &R2Objects) -> Result<Page, JsValue> {
    let listed = |object: &R2Object| {
        Ok(Listed { key: object.key()?, uploaded_at: moment(object.uploaded()?.get_time()) })
    };
    let objects = page.objects()?.iter().map(listed).collect::<Result<_, JsValue>>()?;
    Ok(Page { objects, truncated: page.truncated()? })
}
