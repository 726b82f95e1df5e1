//! asset-uploads: a Cloudflare Worker that turns a direct-to-R2 upload into a verified asset record.
//!
//! How a request is handled:
//! 1. `edge` receives it from the platform.
//! 2. [`api`] finds its endpoint in the table of endpoints, and runs the checks in their order.
//! 3. The endpoint parses the request with the tools of [`http`], and runs one operation of [`store`]: one transaction,
//!    which also checks the caller's rights. The rules for uploads and assets are in [`domain`].
//!
//! Handlers reach storage, the clock and random bytes only through the trait in [`platform`]: D1 and R2 in the Worker,
//! SQLite and an in-memory bucket in the tests. Once an hour [`sweeper`] deletes abandoned uploads and their objects.

pub mod api;
mod concurrent;
pub mod config;
pub mod delivery;
pub mod domain;
pub mod error;
pub mod events;
pub mod hex;
pub mod http;
pub mod log;
mod mac;
pub mod notifications;
pub mod platform;
pub mod presign;
pub mod storage_error;
pub mod store;
pub mod sweeper;
pub mod token;
pub mod webhook_secret;

#[cfg(target_arch = "wasm32")]
mod edge;
