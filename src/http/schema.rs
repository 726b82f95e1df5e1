//! What has a schema in openapi.json.

/// A body, of which openapi.json has the schema. openapi.json is made natively, so that the Worker knows no schemas.
///
/// An `Option` may be null. A field of a request that may be left out but not be null is
/// `schemars(extend("type" = "string"))`.
#[cfg(not(target_arch = "wasm32"))]
pub trait Schema: schemars::JsonSchema {}
#[cfg(not(target_arch = "wasm32"))]
impl<T: schemars::JsonSchema> Schema for T {}

/// A body, of which openapi.json has the schema.
#[cfg(target_arch = "wasm32")]
pub trait Schema {}
#[cfg(target_arch = "wasm32")]
impl<T> Schema for T {}
