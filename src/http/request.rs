//! A request as it comes in.

use crate::domain::idempotency::IdempotencyKey;
use crate::domain::ids::OrganizationId;
use crate::error::{ApiError, FieldError};

use super::route::PathParams;

/// The largest body that an endpoint reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyLimit {
    /// 64 KiB
    Kib64,
    /// 4 MiB: room for the ETags of 10,000 parts.
    Mib4,
}

impl BodyLimit {
    /// In bytes.
    pub const fn bytes(self) -> usize {
        match self {
            Self::Kib64 => 64 * 1024,
            Self::Mib4 => 4 * 1024 * 1024,
        }
    }

    /// In words.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Kib64 => "64 KiB",
            Self::Mib4 => "4 MiB",
        }
    }

    /// What a client is told whose body is larger.
    pub const fn error(self) -> &'static str {
        match self {
            Self::Kib64 => "The body is over 64 KiB; send a smaller one.",
            Self::Mib4 => "The body is over 4 MiB; send a smaller one.",
        }
    }
}

/// A request as the platform hands it over: its body is still on the way.
#[allow(async_fn_in_trait, reason = "a Worker has one thread, so nobody needs the futures to be Send")]
pub trait IncomingRequest {
    /// The method as it was sent, which may be any word.
    fn method(&self) -> &str;
    /// The absolute URL.
    fn url(&self) -> &str;
    /// A header; `name` in lower case.
    ///
    /// # Errors
    /// `Internal` when the platform fails.
    fn header(&self, name: &'static str) -> Result<Option<String>, ApiError>;
    /// The body, of which no more than the limit is ever held.
    async fn body(&self, limit: BodyLimit) -> Body;
}

/// A request body as it arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// Read whole; empty when there was none.
    Bytes(Vec<u8>),
    /// More than this; not read.
    Over(BodyLimit),
    /// The connection broke while it was read.
    Broken,
}

/// The headers that endpoints read, as they were sent.
#[derive(Debug, Clone, Default)]
pub struct RequestHeaders {
    /// `Content-Type`
    pub content_type: Option<String>,
    /// `X-Organization-Id`
    pub organization: Option<String>,
    /// `Idempotency-Key`
    pub idempotency_key: Option<String>,
}

impl RequestHeaders {
    /// Those of a request.
    ///
    /// # Errors
    /// `Internal` when the platform fails.
    pub fn of(request: &impl IncomingRequest) -> Result<Self, ApiError> {
        Ok(Self {
            content_type: request.header("content-type")?,
            organization: request.header("x-organization-id")?,
            idempotency_key: request.header("idempotency-key")?,
        })
    }

    /// The organization that the request names.
    ///
    /// # Errors
    /// When the header is there but no UUID.
    pub fn organization(&self) -> Result<Option<OrganizationId>, FieldError> {
        let Some(text) = &self.organization else {
            return Ok(None);
        };
        OrganizationId::parse(text)
            .map(Some)
            .ok_or_else(|| FieldError::not_a_uuid(&["header", "X-Organization-Id"]))
    }

    /// The client's name for what it wants done once.
    ///
    /// # Errors
    /// When the header is there but malformed.
    pub fn idempotency_key(&self) -> Result<Option<IdempotencyKey>, FieldError> {
        let Some(text) = &self.idempotency_key else {
            return Ok(None);
        };
        IdempotencyKey::parse(text).map(Some).ok_or_else(|| {
            FieldError::new(
                &["header", "Idempotency-Key"],
                "idempotency_key",
                "Must be 1 to 255 visible ASCII characters.",
            )
        })
    }
}

/// What an endpoint is parsed from.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// The parameters of the path.
    pub path: PathParams<'a>,
    /// What follows `?`, undecoded.
    pub query: &'a str,
    /// The headers.
    pub headers: &'a RequestHeaders,
    /// The body; empty where the method takes none.
    pub body: &'a Body,
}

/// Origin, path and query of an absolute URL.
pub fn parts_of_url(url: &str) -> (&str, &str, &str) {
    let url = url.split('#').next().unwrap_or_default();
    let (url, query) = url.split_once('?').unwrap_or((url, ""));
    let host = url.find("://").map_or(0, |at| at + 3);
    let path = url.get(host..).and_then(|rest| rest.find('/')).map_or(url.len(), |at| host + at);
    let (origin, path) = url.split_at_checked(path).unwrap_or((url, ""));
    (origin, if path.is_empty() { "/" } else { path }, query)
}
