//! Answers, ready to be sent.

use serde::{Serialize, Serializer, ser::SerializeMap};

use crate::error::ApiError;

/// An answer, ready to be sent.
#[derive(Debug)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// JSON text; empty for none.
    pub body: String,
    /// Headers of this answer alone.
    pub headers: Vec<(&'static str, String)>,
}

impl Reply {
    /// An answer with a JSON body.
    ///
    /// # Errors
    /// `Internal` when the value cannot be rendered, which means that a stored time is out of range.
    pub fn json<T: Serialize>(status: u16, value: &T) -> Result<Self, ApiError> {
        let body = serde_json::to_string(value).map_err(|error| ApiError::Internal(error.to_string()))?;
        Ok(Self { status, body, headers: Vec::new() })
    }

    /// An answer without a body.
    pub fn empty(status: u16) -> Self {
        Self { status, body: String::new(), headers: Vec::new() }
    }

    /// The same answer with one more header.
    #[must_use]
    pub fn with_header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.add(name, value);
        self
    }

    /// The same answer, marked as that of a repeat where it is one.
    #[must_use]
    pub fn replayed(self, is_repeat: bool) -> Self {
        if is_repeat { self.with_header("idempotent-replayed", "true") } else { self }
    }

    /// Gives the answer one more header.
    pub fn add(&mut self, name: &'static str, value: impl Into<String>) {
        self.headers.push((name, value.into()));
    }
}

impl From<&ApiError> for Reply {
    fn from(error: &ApiError) -> Self {
        let headers = error.header().map(|(name, value)| (name, value.to_owned()));
        Self { status: error.code().status(), body: error.body(), headers: headers.into_iter().collect() }
    }
}

/// Serializes pairs as the members of an object.
///
/// # Errors
/// Those of the serializer.
pub fn as_object<S: Serializer>(
    headers: &[(&'static str, String)],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(headers.len()))?;
    for (name, value) in headers {
        map.serialize_entry(name, value)?;
    }
    map.end()
}
