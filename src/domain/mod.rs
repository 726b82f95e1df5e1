//! The rules: what an id, a time, a media type, a part, a folder, a key and a stored object are, and when an upload may become
//! an asset. No SQL, HTTP, clock or randomness.

pub mod account;
pub mod api_key;
pub mod asset;
pub mod disposition;
pub mod folder;
pub mod idempotency;
pub mod ids;
pub mod media;
pub mod multipart;
pub mod page;
pub mod percent;
pub mod timestamp;
pub mod upload;
pub mod webhook;
pub mod webhook_url;
