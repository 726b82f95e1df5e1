//! A bucket in memory that behaves as R2 does: what its binding answers, and signed PUTs to its S3 endpoint.
//! Bytes are not modelled, so every write makes another ETag, as if the bytes were new. Nor are preconditions other
//! than `if-none-match: *`, and `x-amz-*` headers, which SECURITY.md is about.
//!
//! tests/bucket/main.rs and tests/worker/bucket.spec.ts run the same cases on this bucket and on workerd's.

#![allow(dead_code, reason = "no test file needs all of it")]

mod signature;

use std::collections::BTreeMap;
use std::ops::Bound;

use asset_uploads::domain::multipart::{CompletedPart, Completion, MIN_PART_BYTES};
use asset_uploads::domain::timestamp::Timestamp;
use asset_uploads::domain::upload::StoredObject;
use asset_uploads::platform::{ListedObject, OWNER_KEY, ObjectPage};

use signature::Endpoint;

/// The most that R2 lists at once.
const LARGEST_PAGE: u32 = 1_000;

/// A PUT as it reaches storage.
#[derive(Debug, Clone)]
pub(crate) struct PutRequest {
    pub(crate) url: String,
    /// Names in lower case, without `host` and `content-length`.
    pub(crate) headers: Vec<(String, String)>,
    /// The length of the body.
    pub(crate) size_bytes: u64,
}

impl PutRequest {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.trim())
    }
}

impl PutRequest {
    /// The multipart upload and the number of the part that it sends; `None` where it sends a whole object.
    fn part(&self) -> Option<(String, u64)> {
        let query = self.url.split_once('?').map(|(_, query)| query)?;
        let get = |name| {
            let pairs = form_urlencoded::parse(query.as_bytes());
            pairs.into_iter().find(|(other, _)| other == name).map(|(_, value)| value.into_owned())
        };
        Some((get("uploadId")?, get("partNumber")?.parse().ok()?))
    }
}

/// Objects, and who may write them. The default bucket has no S3 endpoint, so it accepts no signed PUT.
#[derive(Debug, Clone, Default)]
pub(crate) struct Bucket {
    objects: BTreeMap<String, Object>,
    endpoint: Option<Endpoint>,
    /// Multipart uploads that are neither completed nor aborted, by their ids.
    multiparts: BTreeMap<String, MultipartUpload>,
    /// How many objects and parts were ever stored.
    writes: u64,
    /// How many multipart uploads ever began.
    begun: u64,
}

#[derive(Debug, Clone)]
struct MultipartUpload {
    key: String,
    content_type: String,
    /// Size and ETag of each part, by its number.
    parts: BTreeMap<u64, (u64, String)>,
}

#[derive(Debug, Clone)]
struct Object {
    stored: StoredObject,
    uploaded_at: Timestamp,
    /// The database that its metadata names.
    database_id: Option<String>,
}

impl Bucket {
    /// `endpoint` is an absolute URL, as in `S3_ENDPOINT`.
    pub(crate) fn new(endpoint: &str, name: &str, access_key_id: &str, secret_access_key: &str) -> Self {
        let endpoint = Endpoint::new(endpoint, name, access_key_id, secret_access_key);
        Self { endpoint, ..Self::default() }
    }

    pub(crate) fn head(&self, key: &str) -> Option<StoredObject> {
        self.objects.get(key).map(|object| object.stored.clone())
    }

    pub(crate) fn uploaded_at(&self, key: &str) -> Option<Timestamp> {
        self.objects.get(key).map(|object| object.uploaded_at)
    }

    /// As `Platform::list_objects`.
    pub(crate) fn list(&self, prefix: &str, after: &str, limit: u32) -> ObjectPage {
        let from = if prefix > after { Bound::Included(prefix) } else { Bound::Excluded(after) };
        let behind = self.objects.range::<str, _>((from, Bound::Unbounded));
        let mut listed = behind
            .take_while(|(key, _)| key.starts_with(prefix))
            .map(|(key, object)| ListedObject { key: key.clone(), uploaded_at: object.uploaded_at });
        let objects = listed.by_ref().take(limit.min(LARGEST_PAGE) as usize).collect();
        ObjectPage { objects, truncated: listed.next().is_some() }
    }

    /// A key that is not there is no error.
    pub(crate) fn delete(&mut self, keys: &[String]) {
        for key in keys {
            self.objects.remove(key);
        }
    }

    /// As `Platform::bucket_owner`: the id stands in the metadata of an object that is written once.
    pub(crate) fn owner(&mut self, database_id: &str, now: Timestamp) -> String {
        if !self.objects.contains_key(OWNER_KEY) {
            let text = format!("The files under uploads/ belong to the database {database_id}.\n");
            self.store(OWNER_KEY, text.len() as u64, None, Some(database_id.to_owned()), now);
        }
        let owner = self.objects.get(OWNER_KEY).and_then(|object| object.database_id.clone());
        // An object that others put there names no database.
        owner.unwrap_or_else(|| "nothing".to_owned())
    }

    /// As `Platform::create_multipart`.
    pub(crate) fn create_multipart(&mut self, key: &str, content_type: &str) -> String {
        self.begun += 1;
        let id = format!("multipart/{}+=", self.begun);
        let upload = MultipartUpload {
            key: key.to_owned(),
            content_type: content_type.to_owned(),
            parts: BTreeMap::new(),
        };
        self.multiparts.insert(id.clone(), upload);
        id
    }

    /// As `Platform::complete_multipart`. What was there is replaced.
    pub(crate) fn complete_multipart(
        &mut self,
        key: &str,
        id: &str,
        parts: &[CompletedPart],
        now: Timestamp,
    ) -> Completion {
        let Some(upload) = self.multiparts.get(id).filter(|upload| upload.key == key) else {
            return Completion::NoSuchUpload;
        };
        let stored = |part: &CompletedPart| {
            let (size, etag) = upload.parts.get(&part.part_number)?;
            (*etag == part.etag).then_some(*size)
        };
        let sizes: Option<Vec<u64>> = parts.iter().map(stored).collect();
        let Some((last, others)) = sizes.as_deref().and_then(<[u64]>::split_last) else {
            return Completion::Rejected;
        };
        // All but the last are equally long, and none of them is too small.
        let first = others.first().copied().unwrap_or(*last);
        if others.iter().any(|size| *size != first || *size < MIN_PART_BYTES) || *last > first {
            return Completion::Rejected;
        }
        let size_bytes = others.iter().sum::<u64>() + last;
        let content_type = upload.content_type.clone();
        self.multiparts.remove(id);
        self.store(key, size_bytes, Some(&content_type), None, now);
        Completion::Completed
    }

    /// As `Platform::abort_multipart`: one that does not exist is no error.
    pub(crate) fn abort_multipart(&mut self, key: &str, id: &str) {
        if self.multiparts.get(id).is_some_and(|upload| upload.key == key) {
            self.multiparts.remove(id);
        }
    }

    /// The ids of multipart uploads that are neither completed nor aborted.
    pub(crate) fn open_multiparts(&self) -> Vec<String> {
        self.multiparts.keys().cloned().collect()
    }

    /// A PUT of a part whose body arrives at once: its ETag, else the status.
    pub(crate) fn put_part(&mut self, request: &PutRequest, now: Timestamp) -> Result<String, u16> {
        let key = self.authorize_put(request, now)?;
        self.finish_part(request, &key)
    }

    /// Sends a part past the signed URLs: its ETag.
    pub(crate) fn upload_part(&mut self, id: &str, number: u64, size_bytes: u64) -> Option<String> {
        self.writes += 1;
        let etag = format!("{:032x}", self.writes);
        self.multiparts.get_mut(id)?.parts.insert(number, (size_bytes, etag.clone()));
        Some(etag)
    }

    /// Stores a part that was authorized earlier, once all of its body has arrived: its ETag, else the status.
    pub(crate) fn finish_part(&mut self, request: &PutRequest, key: &str) -> Result<String, u16> {
        let (id, number) = request.part().ok_or(400_u16)?;
        if self.multiparts.get(&id).is_none_or(|upload| upload.key != key) {
            return Err(404);
        }
        self.upload_part(&id, number, request.size_bytes).ok_or(404)
    }

    /// Stores an object as the binding or an operator does: what was there is replaced.
    pub(crate) fn put(&mut self, key: &str, size_bytes: u64, content_type: Option<&str>, now: Timestamp) {
        self.store(key, size_bytes, content_type, None, now);
    }

    /// Says whether an object, if it is there, is encrypted with a key of its sender's (SSE-C).
    pub(crate) fn set_customer_key(&mut self, key: &str, yes: bool) {
        if let Some(object) = self.objects.get_mut(key) {
            object.stored.customer_key = yes;
        }
    }

    /// What S3 decides when the request arrives, before its body: the key to write, or the status of the error.
    /// A PUT that may not overwrite is 412 where there is an object; whatever else is wrong is 403.
    pub(crate) fn authorize_put(&self, request: &PutRequest, now: Timestamp) -> Result<String, u16> {
        let key =
            self.endpoint.as_ref().and_then(|endpoint| endpoint.key_of_put(request, now)).ok_or(403_u16)?;
        if self.precondition_fails(request, &key) { Err(412) } else { Ok(key) }
    }

    /// A PUT whose body arrives at once: 200, 403 or 412.
    pub(crate) fn put_signed(&mut self, request: &PutRequest, now: Timestamp) -> u16 {
        match self.authorize_put(request, now) {
            Ok(key) => self.finish_put(request, &key, now),
            Err(status) => status,
        }
    }

    /// Stores what was authorized earlier, once all of its body has arrived: 200, or 412 where another object has
    /// come in between. An expiry since then does not matter.
    pub(crate) fn finish_put(&mut self, request: &PutRequest, key: &str, now: Timestamp) -> u16 {
        if request.part().is_some() {
            return self.finish_part(request, key).map_or_else(|status| status, |_| 200);
        }
        if self.precondition_fails(request, key) {
            return 412;
        }
        self.store(key, request.size_bytes, request.header("content-type"), None, now);
        200
    }

    /// All keys, in their order.
    pub(crate) fn keys(&self) -> Vec<String> {
        self.objects.keys().cloned().collect()
    }

    /// Whether a PUT may not overwrite, and there is an object. The header counts whether or not it is signed.
    fn precondition_fails(&self, request: &PutRequest, key: &str) -> bool {
        let write_once = request.header("if-none-match") == Some("*") && request.part().is_none();
        write_once && self.objects.contains_key(key)
    }

    fn store(
        &mut self,
        key: &str,
        size_bytes: u64,
        content_type: Option<&str>,
        database_id: Option<String>,
        now: Timestamp,
    ) {
        self.writes += 1;
        let stored = StoredObject {
            size_bytes,
            content_type: content_type.map(str::to_owned),
            etag: format!("{:032x}", self.writes),
            customer_key: false,
        };
        self.objects.insert(key.to_owned(), Object { stored, uploaded_at: now, database_id });
    }
}
