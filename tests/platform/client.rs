//! A client of the API: its requests, and what every answer must have.

use std::cell::Cell;
use std::collections::BTreeMap;

use asset_uploads::api::answer::Answer;
use asset_uploads::domain::ids::WebhookId;
use asset_uploads::domain::timestamp::Timestamp;
use asset_uploads::error::ApiError;
use asset_uploads::http::request::{Body, BodyLimit, IncomingRequest};
use asset_uploads::log::{RequestLine, to_json};
use asset_uploads::platform::Usage;
use serde_json::{Value, json};

/// A request as a client sends it.
#[derive(Debug, Clone)]
pub(crate) struct TestRequest {
    pub(crate) method: String,
    pub(crate) url: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Body,
    /// Milliseconds until all of the body has arrived.
    pub(crate) body_ms: i64,
    /// Whether the platform fails to show the headers.
    pub(crate) headers_fail: bool,
}

/// Scheme and host of every request.
pub(crate) const ORIGIN: &str = "https://api.example";

impl TestRequest {
    /// One without headers and body.
    pub(crate) fn new(method: &str, path: &str) -> Self {
        Self {
            method: method.to_owned(),
            url: format!("{ORIGIN}{path}"),
            headers: BTreeMap::new(),
            body: Body::Bytes(Vec::new()),
            body_ms: 0,
            headers_fail: false,
        }
    }

    /// With one more header; `name` in lower case.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.insert(name.to_owned(), value.to_owned());
        self
    }

    /// With an API key.
    pub(crate) fn token(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    /// With a JSON body.
    pub(crate) fn json(self, text: &str) -> Self {
        let body = Body::Bytes(text.as_bytes().to_vec());
        Self { body, ..self.header("content-type", "application/json") }
    }
}

/// A request on its way to the API.
pub(super) struct RequestInFlight<'a> {
    pub(super) request: &'a TestRequest,
    pub(super) clock: &'a Cell<Timestamp>,
    pub(super) body_read: Cell<bool>,
}

impl IncomingRequest for RequestInFlight<'_> {
    fn method(&self) -> &str {
        &self.request.method
    }

    fn url(&self) -> &str {
        &self.request.url
    }

    fn header(&self, name: &'static str) -> Result<Option<String>, ApiError> {
        assert_eq!(name, name.to_ascii_lowercase());
        if self.request.headers_fail {
            return Err(ApiError::Internal("no headers".to_owned()));
        }
        Ok(self.request.headers.get(name).cloned())
    }

    async fn body(&self, _: BodyLimit) -> Body {
        assert!(!self.body_read.replace(true), "a body can be read once");
        self.clock.set(Timestamp(self.clock.get().0 + self.request.body_ms));
        self.request.body.clone()
    }
}

/// An answer, and what happened on its way.
#[derive(Debug)]
pub(crate) struct TestAnswer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    /// The body; `None` where it is empty.
    pub(crate) json: Option<Value>,
    pub(crate) log: RequestLine,
    pub(crate) body_read: bool,
    /// What storage was asked.
    pub(crate) usage: Usage,
    /// The webhooks that have something to be delivered.
    pub(crate) due_webhooks: Vec<WebhookId>,
}

impl TestAnswer {
    pub(crate) fn new(answer: Answer, body_read: bool, usage: Usage) -> Self {
        let Answer { reply, log, due_webhooks } = answer;
        let json = (!reply.body.is_empty()).then(|| serde_json::from_str(&reply.body).unwrap());
        Self { status: reply.status, headers: reply.headers, json, log, body_read, usage, due_webhooks }
    }

    /// The body of a success.
    pub(crate) fn body(&self) -> &Value {
        assert!((200..300).contains(&self.status), "{self:?}");
        self.json.as_ref().unwrap()
    }

    /// Whether storage was asked anything.
    pub(crate) fn storage_asked(&self) -> bool {
        self.usage != Usage::default()
    }

    /// A header; none is sent twice.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut values =
            self.headers.iter().filter(|(other, _)| *other == name).map(|(_, value)| value.as_str());
        let value = values.next();
        assert_eq!(values.next(), None, "{name} is sent twice");
        value
    }

    /// `code` of an error; empty for a success.
    pub(crate) fn code(&self) -> &'static str {
        self.log.code.unwrap_or_default()
    }

    /// Where the entries of `errors` are.
    pub(crate) fn locations(&self) -> Vec<String> {
        let errors = self.json.as_ref().and_then(|json| json["errors"].as_array());
        let location = |error: &Value| {
            let parts: Vec<&str> =
                error["loc"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
            parts.join(" ")
        };
        errors.into_iter().flatten().map(location).collect()
    }

    /// What every answer must have, and every line of the log.
    pub(crate) fn check(&self, request: &TestRequest, started: Timestamp, cors: bool) {
        let usage = self.usage;
        let case = format!("{} {}: {self:?}", request.method, request.url);
        let log: Value = serde_json::from_str(&to_json(&self.log)).unwrap();
        // The id is of version 7, and begins with the time.
        let id = self.header("x-request-id").unwrap();
        let time = u64::from_str_radix(&id.replace('-', "")[..12], 16).unwrap();
        assert_eq!((time, &id[14..15]), (started.unix_ms(), "7"), "{case}");
        assert_eq!(log["request_id"], id, "{case}");
        assert_eq!(self.header("cache-control"), Some("no-store"), "{case}");
        assert_eq!(self.header("x-content-type-options"), Some("nosniff"), "{case}");
        if request.method != "HEAD" {
            let content_type = self.json.as_ref().map(|_| "application/json");
            assert_eq!(self.header("content-type"), content_type, "{case}");
        }
        let parts =
            [usage.r2_ms.map(|ms| format!("r2;dur={ms}")), usage.d1_ms.map(|ms| format!("d1;dur={ms}"))];
        let timing = parts.into_iter().flatten().collect::<Vec<_>>().join(", ");
        assert_eq!(self.header("server-timing").unwrap_or_default(), timing, "{case}");
        assert_eq!(self.header("vary"), cors.then_some("Origin"), "{case}");
        if !cors {
            let of_cors = self.headers.iter().filter(|(name, _)| name.starts_with("access-control-"));
            assert_eq!(of_cors.count(), 0, "{case}");
        }
        // The log and the answer agree.
        assert_eq!(log["level"], if self.status >= 500 { "error" } else { "info" }, "{case}");
        assert_eq!(log["status"], self.status, "{case}");
        assert_eq!((&log["r2_ms"], &log["d1_ms"]), (&json!(usage.r2_ms), &json!(usage.d1_ms)), "{case}");
        assert_eq!(self.log.code.is_some(), self.status >= 400, "{case}");
        if let (Some(code), Some(json)) = (self.log.code, &self.json) {
            let members: Vec<&String> = json.as_object().unwrap().keys().collect();
            assert_eq!(members, ["code", "message", "errors"], "{case}");
            assert_eq!(json["code"], code, "{case}");
        }
        // Neither has what is for the other, or for nobody.
        if let Some(token) =
            request.headers.get("authorization").and_then(|value| value.split(' ').next_back())
        {
            assert!(token.is_empty() || !to_json(&self.log).contains(token), "{case}");
        }
        if let (Some(detail), Some(json)) = (&self.log.detail, &self.json) {
            assert!(!json.to_string().contains(detail), "{case}");
        }
    }
}
