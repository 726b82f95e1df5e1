//! Runs the cases of tests/bucket/cases.json on the bucket in memory; what is to be signed, rusty-s3 signs.

use std::collections::BTreeMap;
use std::time::Duration;

use asset_uploads::domain::multipart::{CompletedPart, Completion};
use asset_uploads::domain::timestamp::Timestamp;
use asset_uploads::platform::ObjectPage;
use rusty_s3::actions::{DeleteObject, GetObject, PutObject, UploadPart};
use rusty_s3::{Credentials, S3Action, UrlStyle};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::bucket::{Bucket, PutRequest};

/// 2026-11-22T12:51:07.042Z
pub(crate) const NOW: Timestamp = Timestamp(1_795_351_867_042);
pub(crate) const ENDPOINT: &str = "https://s3.example/a/b";
pub(crate) const NAME: &str = "files";
pub(crate) const KEY_ID: &str = "0123";
pub(crate) const SECRET: &str = "secret";

#[derive(Deserialize)]
pub(crate) struct File {
    pub(crate) request: Map<String, Value>,
    pub(crate) cases: Vec<Case>,
}

impl File {
    pub(crate) fn read() -> Self {
        serde_json::from_str(include_str!("cases.json")).unwrap()
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) steps: Vec<Step>,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Step {
    Put {
        key: String,
        size: u64,
        r#type: Option<String>,
    },
    Head {
        key: String,
        answer: Value,
    },
    List {
        prefix: String,
        after: String,
        limit: u32,
        answer: Value,
    },
    Delete {
        keys: Vec<String>,
    },
    Owner {
        database_id: String,
        answer: String,
    },
    SignedPut(SignedPut),
    BeginPut {
        put: String,
        part: Option<Part>,
        #[serde(default)]
        sign: Map<String, Value>,
    },
    FinishPut {
        put: String,
        answer: u16,
    },
    Wait {
        seconds: u64,
    },
    CreateMultipart {
        key: String,
        upload: String,
        r#type: String,
    },
    CompleteMultipart {
        key: String,
        upload: String,
        parts: Vec<(u64, String)>,
        answer: String,
    },
    AbortMultipart {
        key: String,
        upload: String,
    },
}

/// A part of a multipart upload.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Part {
    upload: String,
    number: u16,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SignedPut {
    part: Option<Part>,
    #[serde(default)]
    sign: Map<String, Value>,
    #[serde(default)]
    send: Map<String, Value>,
    replace: Option<[String; 2]>,
    /// The name of the ETag that a part is answered with.
    etag: Option<String>,
    answer: u16,
}

/// A request that is signed, or the one that is sent.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    method: String,
    key: String,
    size: Option<u64>,
    r#type: Option<String>,
    disposition: Option<String>,
    if_none_match: Option<String>,
    signed_ago: u64,
    seconds: u64,
    /// The multipart upload's id, and the number of the part that is sent.
    #[serde(skip)]
    part: Option<(String, u16)>,
}

impl Request {
    fn headers(&self) -> Vec<(String, String)> {
        let headers = [
            ("content-type", &self.r#type),
            ("content-disposition", &self.disposition),
            ("if-none-match", &self.if_none_match),
        ];
        let sent = headers.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value.clone()?)));
        sent.collect()
    }

    /// The URL that rusty-s3 signs for it.
    fn sign(&self, now: Timestamp) -> String {
        let bucket = rusty_s3::Bucket::new(ENDPOINT.parse().unwrap(), UrlStyle::Path, NAME, "auto").unwrap();
        let credentials = Credentials::new(KEY_ID, SECRET);
        if let Some((id, number)) = &self.part {
            let action = UploadPart::new(&bucket, Some(&credentials), &self.key, *number, id);
            return self.sign_action(action, now);
        }
        match self.method.as_str() {
            "PUT" => self.sign_action(PutObject::new(&bucket, Some(&credentials), &self.key), now),
            "GET" => self.sign_action(GetObject::new(&bucket, Some(&credentials), &self.key), now),
            "DELETE" => self.sign_action(DeleteObject::new(&bucket, Some(&credentials), &self.key), now),
            other => panic!("{other} is no method of these cases"),
        }
    }

    fn sign_action<'a>(&self, mut action: impl S3Action<'a>, now: Timestamp) -> String {
        let length = self.size.map(|size| ("content-length".to_owned(), size.to_string()));
        for (name, value) in self.headers().into_iter().chain(length) {
            action.headers_mut().insert(name, value);
        }
        let time = jiff::Timestamp::from_millisecond(now.minus_seconds(self.signed_ago).0).unwrap();
        action.sign_with_time(Duration::from_secs(self.seconds), &time).to_string()
    }
}

/// A case under way.
pub(crate) struct Run {
    request: Map<String, Value>,
    bucket: Bucket,
    now: Timestamp,
    /// PUTs that have begun, with the key that was authorized.
    begun: BTreeMap<String, (PutRequest, String)>,
    /// The names of ETags.
    etags: BTreeMap<String, String>,
    /// The ids of multipart uploads, by their names.
    uploads: BTreeMap<String, String>,
    /// The ETags of parts, by their names.
    parts: BTreeMap<String, String>,
}

impl Run {
    pub(crate) fn new(request: &Map<String, Value>) -> Self {
        Self {
            request: request.clone(),
            bucket: Bucket::new(ENDPOINT, NAME, KEY_ID, SECRET),
            now: NOW,
            begun: BTreeMap::new(),
            etags: BTreeMap::new(),
            uploads: BTreeMap::new(),
            parts: BTreeMap::new(),
        }
    }

    /// A PUT with what differs from the usual one where it is signed, and where it is sent.
    pub(crate) fn signed_put(&self, sign: &Map<String, Value>, send: &Map<String, Value>) -> PutRequest {
        self.signed(None, sign, send)
    }

    /// The same, of a part or of an object. The PUT of a part has none of the object's headers.
    fn signed(
        &self,
        part: Option<&Part>,
        sign: &Map<String, Value>,
        send: &Map<String, Value>,
    ) -> PutRequest {
        let mut fields = self.request.clone();
        if part.is_some() {
            fields
                .extend(["type", "disposition", "if_none_match"].map(|name| (name.to_owned(), Value::Null)));
        }
        let part = part.map(|part| (self.uploads[&part.upload].clone(), part.number));
        let mut with = |changes: &Map<String, Value>| -> Request {
            fields.extend(changes.clone());
            let request: Request = serde_json::from_value(Value::Object(fields.clone())).unwrap();
            Request { part: part.clone(), ..request }
        };
        let (signed, sent) = (with(sign), with(send));
        let mut url = signed.sign(self.now);
        if sent.key != signed.key {
            // The same query for another path.
            let path = |request: &Request| request.sign(self.now).split('?').next().unwrap().to_owned();
            url = url.replace(&path(&signed), &path(&sent));
        }
        PutRequest { url, headers: sent.headers(), size_bytes: sent.size.unwrap() }
    }

    /// Does a step: what it answered, and what it is to answer.
    pub(crate) fn step(&mut self, step: &Step) -> (Value, Value) {
        let done = (Value::Null, Value::Null);
        match step {
            Step::Put { key, size, r#type } => {
                self.bucket.put(key, *size, r#type.as_deref(), self.now);
                done
            }
            Step::Head { key, answer } => (self.head(key, &answer["etag"]), answer.clone()),
            Step::List { prefix, after, limit, answer } => {
                let ObjectPage { objects, truncated } = self.bucket.list(prefix, after, *limit);
                let keys: Vec<_> = objects.into_iter().map(|object| object.key).collect();
                (json!({"keys": keys, "truncated": truncated}), answer.clone())
            }
            Step::Delete { keys } => {
                self.bucket.delete(keys);
                done
            }
            Step::Owner { database_id, answer } => {
                (json!(self.bucket.owner(database_id, self.now)), json!(answer))
            }
            Step::SignedPut(SignedPut { part, sign, send, replace, etag, answer }) => {
                let mut request = self.signed(part.as_ref(), sign, send);
                if let Some([from, to]) = replace {
                    assert_eq!(request.url.matches(from).count(), 1, "{from} in {}", request.url);
                    request.url = request.url.replace(from, to);
                }
                let status = match etag {
                    None => self.bucket.put_signed(&request, self.now),
                    Some(name) => self.bucket.put_part(&request, self.now).map_or_else(
                        |status| status,
                        |etag| {
                            self.parts.insert(name.clone(), etag);
                            200
                        },
                    ),
                };
                (json!(status), json!(answer))
            }
            Step::BeginPut { put, part, sign } => {
                let request = self.signed(part.as_ref(), sign, &Map::new());
                let key = self.bucket.authorize_put(&request, self.now).unwrap();
                self.begun.insert(put.clone(), (request, key));
                done
            }
            Step::FinishPut { put, answer } => {
                let (request, key) = self.begun.remove(put).unwrap();
                (json!(self.bucket.finish_put(&request, &key, self.now)), json!(answer))
            }
            Step::Wait { seconds } => {
                self.now = self.now.plus_seconds(*seconds);
                done
            }
            Step::CreateMultipart { key, upload, r#type } => {
                self.uploads.insert(upload.clone(), self.bucket.create_multipart(key, r#type));
                done
            }
            Step::CompleteMultipart { key, upload, parts, answer } => {
                // A name that no part has is an ETag that storage does not know.
                let part = |(part_number, etag): &(u64, String)| CompletedPart {
                    part_number: *part_number,
                    etag: self.parts.get(etag).unwrap_or(etag).clone(),
                };
                let parts: Vec<_> = parts.iter().map(part).collect();
                let completion = self.bucket.complete_multipart(key, &self.uploads[upload], &parts, self.now);
                let completion = match completion {
                    Completion::Completed => "completed",
                    Completion::Rejected => "rejected",
                    Completion::NoSuchUpload => "no such upload",
                };
                (json!(completion), json!(answer))
            }
            Step::AbortMultipart { key, upload } => {
                self.bucket.abort_multipart(key, &self.uploads[upload]);
                done
            }
        }
    }

    /// HEAD, with the ETag's name in its place; `expected` names one that was not seen before.
    fn head(&mut self, key: &str, expected: &Value) -> Value {
        let Some(object) = self.bucket.head(key) else { return Value::Null };
        assert!(!object.customer_key);
        let is_new = expected.as_str().filter(|name| !self.etags.values().any(|other| other == name));
        if let (Some(name), false) = (is_new, self.etags.contains_key(&object.etag)) {
            self.etags.insert(object.etag.clone(), name.to_owned());
        }
        json!({"size": object.size_bytes, "type": object.content_type, "etag": self.etags.get(&object.etag)})
    }
}
