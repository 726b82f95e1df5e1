//! Asks R2 about objects, removes them, and puts them together from parts.

use worker::js_sys::{Function, JSON, Object, Promise, Reflect};
use worker::wasm_bindgen::{JsCast, JsValue};
// The SDK's thin layer: in the one above it a missing property is a panic.
use worker::worker_sys::types::{R2Bucket, R2MultipartUpload, R2Object, R2Objects};

use super::runtime::{error_text, timestamp};
use super::storage::Storage;
use crate::domain::multipart::{CompletedPart, Completion};
use crate::domain::upload::StoredObject;
use crate::platform::{ListedObject, OWNER_KEY, ObjectPage};
use crate::storage_error::{StorageError, StorageErrorKind};

/// The binding's name in wrangler.toml.
const BINDING: &str = "BUCKET";
/// The metadata of the object [`OWNER_KEY`] that holds the id of the bucket's database.
const OWNER_METADATA: &str = "database_id";

impl Storage {
    /// HEADs an object; `None` when there is none.
    pub(super) async fn head(&self, key: &str) -> Result<Option<StoredObject>, StorageError> {
        let answer = self.ask(&|bucket| bucket.head(key.to_owned())).await?;
        if answer.is_null() {
            return Ok(None);
        }
        stored(answer.unchecked_ref()).map(Some).map_err(|error| unexpected(&error))
    }

    /// Deletes objects, at most 1000; one that does not exist is no error.
    pub(super) async fn delete(&self, keys: &[String]) -> Result<(), StorageError> {
        let delete = |bucket: R2Bucket| {
            bucket.delete_multiple(keys.iter().map(|key| JsValue::from_str(key)).collect())
        };
        self.ask(&delete).await.map(|_| ())
    }

    /// Lists at most so many objects (up to 1000) whose keys begin with `prefix` and sort behind `after`.
    pub(super) async fn list(
        &self,
        prefix: &str,
        after: &str,
        limit: u32,
    ) -> Result<ObjectPage, StorageError> {
        let list = |bucket: R2Bucket| {
            let options = Object::new();
            Reflect::set(&options, &"prefix".into(), &prefix.into())?;
            Reflect::set(&options, &"startAfter".into(), &after.into())?;
            Reflect::set(&options, &"limit".into(), &limit.into())?;
            bucket.list(options.into())
        };
        let answer = self.ask(&list).await?;
        page(answer.unchecked_ref()).map_err(|error| unexpected(&error))
    }

    /// The id of the database that the bucket belongs to. An object has it in its metadata, so that a HEAD reads it. If
    /// there is no such object, it is written once, with `database_id`.
    pub(super) async fn owner(&self, database_id: &str) -> Result<String, StorageError> {
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
        owner(object.unchecked_ref()).map_err(|error| unexpected(&error))
    }

    /// Begins a multipart upload; its id.
    pub(super) async fn create_multipart(
        &self,
        key: &str,
        content_type: &str,
        content_disposition: &str,
    ) -> Result<String, StorageError> {
        let create = |bucket: R2Bucket| {
            let metadata = Object::new();
            Reflect::set(&metadata, &"contentType".into(), &content_type.into())?;
            Reflect::set(&metadata, &"contentDisposition".into(), &content_disposition.into())?;
            let options = Object::new();
            Reflect::set(&options, &"httpMetadata".into(), &metadata)?;
            bucket.create_multipart_upload(key.to_owned(), options.into())
        };
        let upload: R2MultipartUpload = self.ask(&create).await?.unchecked_into();
        upload.upload_id().map_err(|error| unexpected(&error))
    }

    /// Makes an object of the parts of a multipart upload.
    pub(super) async fn complete_multipart(
        &self,
        key: &str,
        multipart_id: &str,
        parts: &[CompletedPart],
    ) -> Result<Completion, StorageError> {
        // As one text: there may be 10,000 of them.
        let parts = serde_json::to_string(parts).unwrap_or_default();
        let complete = |bucket: R2Bucket| {
            let upload = bucket.resume_multipart_upload(key.to_owned(), multipart_id.to_owned())?;
            let method: Function = Reflect::get(&upload, &"complete".into())?.unchecked_into();
            method.call1(&upload, &JSON::parse(&parts)?).map(JsCast::unchecked_into)
        };
        match self.ask(&complete).await {
            Ok(_) => Ok(Completion::Completed),
            Err(error) => error.into_completion(),
        }
    }

    /// Gives up a multipart upload.
    pub(super) async fn abort_multipart(&self, key: &str, multipart_id: &str) -> Result<(), StorageError> {
        let abort = |bucket: R2Bucket| {
            let upload = bucket.resume_multipart_upload(key.to_owned(), multipart_id.to_owned())?;
            upload.unchecked_into::<R2MultipartUpload>().abort()
        };
        match self.ask(&abort).await {
            Err(error) if !error.is_no_such_upload() => Err(error),
            _ => Ok(()),
        }
    }

    async fn ask(
        &self,
        call: &dyn Fn(R2Bucket) -> Result<Promise, JsValue>,
    ) -> Result<JsValue, StorageError> {
        self.call("R2", StorageErrorKind::of_r2, &self.r2_ms, &|| call(self.binding(BINDING)?)).await
    }
}

/// The error of an answer that is not as R2 documents it.
fn unexpected(error: &JsValue) -> StorageError {
    StorageError { kind: StorageErrorKind::Overloaded, message: format!("R2: {}", error_text(error)) }
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

fn page(page: &R2Objects) -> Result<ObjectPage, JsValue> {
    let listed = |object: &R2Object| {
        Ok(ListedObject { key: object.key()?, uploaded_at: timestamp(object.uploaded()?.get_time()) })
    };
    let objects = page.objects()?.iter().map(listed).collect::<Result<_, JsValue>>()?;
    Ok(ObjectPage { objects, truncated: page.truncated()? })
}
