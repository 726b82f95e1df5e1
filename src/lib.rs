//! asset-uploads: a Cloudflare Worker that turns a direct-to-R2 upload into a verified asset record.
//!
//! A request's way: `edge` receives it; [`api`] has the table of endpoints, finds the one that the request asks for,
//! and serves it in the order of the checks; an endpoint parses its request with what [`http`] gives all of them, and
//! runs one operation of [`store`], which is one transaction with the caller's rights in it; [`domain`] has the rules.
//! Handlers reach storage, clock and randomness through [`platform`] alone: D1 and R2 in the Worker, SQLite and a
//! bucket in memory in the tests. Once an hour [`sweeper`] removes what was given up.

pub mod api;
pub mod config;
pub mod domain;
pub mod error;
pub mod hex;
pub mod http;
pub mod log;
pub mod platform;
pub mod presign;
pub mod storage_error;
pub mod store;
pub mod sweeper;
pub mod token;

#[cfg(target_arch = "wasm32")]
mod edge;
