//! One request on its way to its answer: what it says, what it may use, and what is learnt on the way.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use worker::js_sys::{Reflect, Uint8Array};
use worker::wasm_bindgen_futures::JsFuture;
use worker::web_sys::{Headers, ReadableStreamDefaultReader, Request};
use worker::{Env, Error};

use super::storage::{Storage, now, random, text_of};
use crate::config::Config;
use crate::domain::ids::{OrganizationId, RequestId};
use crate::domain::timestamp::Timestamp;
use crate::error::{ApiError, Refusal};
use crate::store::Operation;
use crate::store::rights::{Caller, CheckRights, Identity, Permission};
use crate::token::TokenHash;
use crate::wire::{Body, Head, MAX_BODY_BYTES};

/// One request on its way to its answer, and what is learnt on that way.
pub(super) struct Exchange {
    pub(super) request: Request,
    pub(super) headers: Headers,
    pub(super) method: String,
    /// Scheme, host and port that the client used.
    pub(super) origin: String,
    pub(super) path: String,
    /// What follows `?`, undecoded.
    pub(super) query: String,
    pub(super) storage: Storage,
    pub(super) id: RequestId,
    pub(super) started: Timestamp,
    /// The moment by which the request is judged: when all of it had arrived. A body that is sent slowly
    /// outlives no key and no deadline; storage that is slow makes nobody late.
    pub(super) now: Cell<Timestamp>,
    pub(super) identity: Cell<Identity>,
    /// What failed without failing the request.
    pub(super) failure: RefCell<Option<String>>,
}

impl Exchange {
    pub(super) fn open(request: Request, env: Env) -> worker::Result<Self> {
        let started = now();
        let url = request.url();
        let (origin, path, query) = parts_of(&url);
        let id = RequestId::v7(started.unix_ms(), &random().map_err(Error::RustError)?);
        Ok(Self {
            headers: request.headers(),
            method: request.method(),
            origin: origin.to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            request,
            storage: Storage::new(env, |config| config.storage_timeout_ms),
            id,
            started,
            now: Cell::new(started),
            identity: Cell::default(),
            failure: RefCell::default(),
        })
    }

    pub(super) fn config(&self) -> Result<Rc<Config>, ApiError> {
        self.storage.config()
    }

    pub(super) fn header(&self, name: &'static str) -> Result<Option<String>, ApiError> {
        self.headers.get(name).map_err(|error| ApiError::Internal(text_of(&error)))
    }

    /// The hash of the caller's key, without asking the database.
    pub(super) fn token(&self) -> Result<TokenHash, ApiError> {
        TokenHash::from_authorization(self.header("authorization")?.as_deref())
            .ok_or(ApiError::Refused(Refusal::Unauthorized))
    }

    pub(super) fn head(&self) -> Result<Head, ApiError> {
        Ok(Head {
            content_type: self.header("content-type")?,
            organization: self.header("x-organization-id")?,
            idempotency_key: self.header("idempotency-key")?,
        })
    }

    /// The body, of which no more than the limit is ever held.
    pub(super) async fn body(&self) -> Body {
        let body = self.read_body().await;
        self.now.set(now());
        body
    }

    async fn read_body(&self) -> Body {
        let length = self.header("content-length").ok().flatten();
        let length = length.and_then(|text| text.parse::<usize>().ok());
        match length {
            Some(length) if length > MAX_BODY_BYTES => Body::TooLarge,
            Some(_) => match self.request.array_buffer() {
                Ok(promise) => JsFuture::from(promise)
                    .await
                    .map_or(Body::Broken, |buffer| Body::Bytes(Uint8Array::new(&buffer).to_vec())),
                Err(_) => Body::Broken,
            },
            None => self.body_of_unknown_length().await,
        }
    }

    /// Reads a chunked body chunk by chunk and stops at the limit.
    async fn body_of_unknown_length(&self) -> Body {
        let Some(stream) = self.request.body() else {
            return Body::Bytes(Vec::new());
        };
        let Ok(reader) = ReadableStreamDefaultReader::new(&stream) else {
            return Body::Broken;
        };
        let mut bytes = Vec::new();
        loop {
            let Ok(step) = JsFuture::from(reader.read()).await else {
                return Body::Broken;
            };
            let done = Reflect::get(&step, &"done".into()).is_ok_and(|done| done.is_truthy());
            if done {
                return Body::Bytes(bytes);
            }
            let Ok(chunk) = Reflect::get(&step, &"value".into()) else {
                return Body::Broken;
            };
            bytes.extend(Uint8Array::new(&chunk).to_vec());
            if bytes.len() > MAX_BODY_BYTES {
                // Nobody waits for the outcome of the cancellation.
                let _ = reader.cancel();
                return Body::TooLarge;
            }
        }
    }

    /// Who asks, now.
    pub(super) fn caller(
        &self,
        token: TokenHash,
        organization: Option<OrganizationId>,
        permission: Permission,
    ) -> Caller {
        Caller { token, organization, now: self.now.get(), permission }
    }

    /// The answer to a faulty request: the caller's rights are judged first, then the fault counts.
    pub(super) async fn refuse(
        &self,
        token: TokenHash,
        permission: Permission,
        head: &Head,
        fault: ApiError,
    ) -> ApiError {
        let organization = head.organization();
        let check = CheckRights {
            organization_readable: organization.is_ok(),
            caller: self.caller(token, organization.unwrap_or_default(), permission),
        };
        self.run(&check).await.err().unwrap_or(fault)
    }

    /// Runs one transaction and decodes its rows; see [`Storage::run`].
    pub(super) async fn run<O: Operation>(&self, operation: &O) -> Result<O::Output, ApiError> {
        let mut identity = self.identity.get();
        let output = self.storage.run(operation, &mut identity).await;
        self.identity.set(identity);
        output
    }

    /// Puts a failure that the caller need not know into the log line.
    pub(super) fn note_failure(&self, result: Result<(), String>) {
        if let Err(failure) = result {
            self.failure.replace(Some(failure));
        }
    }
}

/// Origin, path and query of an absolute URL as the platform serializes it.
fn parts_of(url: &str) -> (&str, &str, &str) {
    let url = url.split('#').next().unwrap_or_default();
    let (url, query) = url.split_once('?').unwrap_or((url, ""));
    let host = url.find("://").map_or(0, |at| at + 3);
    let path = url.get(host..).and_then(|rest| rest.find('/')).map_or(url.len(), |at| host + at);
    let (origin, path) = url.split_at_checked(path).unwrap_or((url, ""));
    (origin, if path.is_empty() { "/" } else { path }, query)
}
