//! The native tests, in one program: linking each file for itself, with SQLite, takes minutes, and so their files run
//! side by side. `cargo test rights::` runs one.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unreachable,
    clippy::unwrap_used,
    reason = "test code may panic"
)]

mod admin;
mod admin_keys;
mod answer;
mod api;
mod api_keys;
mod assets;
mod bucket;
mod bucket_cases;
mod config;
mod confirm;
mod confirm_batch;
mod confirm_heads;
mod confirm_order;
mod confirm_repeated;
mod confirm_request;
mod confirm_request_arbitrary;
mod delivery;
mod endpoints;
mod errors;
mod filenames;
mod library_migration;
mod lists;
mod log;
mod multipart;
mod notifications;
mod openapi;
mod operator;
mod outbox;
mod parsing;
mod platform;
mod presign;
mod presign_coverage;
mod query_plan;
mod requests;
mod rights;
mod route;
mod schema;
mod sqlite;
mod storage_error;
mod sweeper;
mod sweeper_failures;
mod sweeper_multipart;
mod sweeper_platform;
mod timestamp;
mod uploads;
mod webhook_deliveries;
mod webhook_requests;
mod webhook_url;
mod webhook_url_node;
mod webhooks;

/// A file that is no module here is not compiled, and its tests pass unrun.
#[test]
fn every_file_of_tests_is_a_module_here() {
    for file in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests")).unwrap() {
        let file = file.unwrap().file_name().into_string().unwrap();
        let Some(module) = file.strip_suffix(".rs") else { continue };
        let line = format!("mod {module};\n");
        // A program of its own, and this one.
        let is_alone = ["fuzz", "main"].contains(&module);
        assert!(is_alone || include_str!("main.rs").contains(&line), "tests/main.rs needs `{}`", line.trim());
    }
}
