//! What the document is made of: an endpoint and the schemas of its bodies.

use asset_uploads::api::endpoint::Description;
use asset_uploads::config::Config;
use asset_uploads::error::ApiError;
use asset_uploads::http::request::Input;
use serde_json::Value;

/// An endpoint with the schemas of its bodies; `None` for no body.
pub(crate) struct Endpoint {
    /// What the table says.
    pub(crate) description: Description,
    /// Of a request.
    pub(crate) body: Option<Value>,
    /// Of success.
    pub(crate) response: Option<Value>,
    /// Reads a request.
    pub(crate) parse: Parse,
}

/// Reads a request for some endpoint; the error where that fails.
pub(crate) type Parse = fn(&Input<'_>, &Config) -> Option<ApiError>;
