//! Prints openapi.json: the table of endpoints, the schemas of their bodies and the errors, as the code has them.
//!
//! `make openapi` renews the file; tests/openapi.rs compares it.

mod document;
mod endpoint;
mod errors;
mod headers;
mod operations;
mod samples;
mod schemas;
mod webhooks;

use std::process::ExitCode;

fn main() -> ExitCode {
    let text = document::openapi().and_then(|document| {
        serde_json::to_string_pretty(&document).map_err(|error| format!("cannot be written: {error}"))
    });
    match text {
        Ok(text) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("openapi: {error}");
            ExitCode::FAILURE
        }
    }
}
