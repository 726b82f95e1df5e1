//! What has a schema in openapi.json.

/// A body, of which openapi.json has the schema.
pub trait Schema {}
impl<T> Schema for T {}
