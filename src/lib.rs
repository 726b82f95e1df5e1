//! asset-uploads: a Cloudflare Worker that turns a direct-to-R2 upload into a verified asset record.
//!
//! A request's way in: `edge` receives it, [`route`] says what it asks for, [`wire`] parses headers and
//! body into values of [`domain`], [`store`] turns those into one D1 transaction and decodes its rows,
//! [`wire`] renders the answer, and [`error`] every refusal. Once an hour [`sweeper`] removes what was
//! given up. Only `edge` touches the platform; all else
//! runs natively and is tested there.

pub mod config;
pub mod domain;
pub mod error;
pub mod log;
pub mod outage;
pub mod presign;
pub mod route;
pub mod store;
pub mod sweeper;
pub mod token;
pub mod wire;

#[cfg(target_arch = "wasm32")]
mod edge;
