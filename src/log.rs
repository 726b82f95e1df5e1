//! The one line that is logged for a request, or for a run of the sweeper, as JSON. No header, body or
//! token gets into it, and JSON escapes what a client could smuggle in.

use serde::Serialize;

use crate::domain::ids::{OrganizationId, RequestId, UserId};
use crate::sweeper::Report;

/// What is known of a request when it is answered.
#[derive(Debug, Serialize)]
pub struct RequestLine {
    /// `error` for 5xx, else `info`.
    pub level: &'static str,
    /// As sent in `X-Request-Id`.
    pub request_id: RequestId,
    /// The HTTP method, or `OTHER` for one that no route takes.
    pub method: &'static str,
    /// The route's pattern, never the path itself; null where there is none.
    pub route: Option<&'static str>,
    /// HTTP status.
    pub status: u16,
    /// The error's code; null on success.
    pub code: Option<&'static str>,
    /// The organization the caller acted in, where its rights were found.
    pub org_id: Option<OrganizationId>,
    /// The caller, where the key was found.
    pub user_id: Option<UserId>,
    /// Milliseconds spent in R2; null where it was not asked.
    pub r2_ms: Option<u64>,
    /// Milliseconds spent in D1, retries included; null where it was not asked.
    pub d1_ms: Option<u64>,
    /// Retries of storage calls.
    pub retries: u32,
    /// Milliseconds from start to answer, as far as the platform's clock shows them.
    pub duration_ms: u64,
    /// What went wrong, for the operator.
    pub detail: Option<String>,
}

/// What is known of a run of the sweeper when it ends.
#[derive(Debug, Serialize)]
pub struct SweepLine<'a> {
    /// `error` where there is something to look at, else `info`.
    pub level: &'static str,
    /// `sweep`
    pub event: &'static str,
    /// What was done.
    #[serde(flatten)]
    pub report: &'a Report,
    /// Milliseconds spent in R2; null where it was not asked.
    pub r2_ms: Option<u64>,
    /// Milliseconds spent in D1; null where it was not asked.
    pub d1_ms: Option<u64>,
    /// Retries of storage calls.
    pub retries: u32,
    /// Milliseconds from start to end.
    pub duration_ms: u64,
    /// What an operator should look at.
    pub detail: Option<String>,
}

/// What is known of a run that delivers to webhooks, or confirms what storage tells of, when it ends.
#[derive(Debug, Serialize)]
pub struct RunLine<'a, R> {
    /// `error` where there is something to look at, else `info`.
    pub level: &'static str,
    /// `deliver_webhooks` or `confirm_objects`.
    pub event: &'static str,
    /// What was done.
    #[serde(flatten)]
    pub report: &'a R,
    /// Milliseconds spent in R2; null where it was not asked.
    pub r2_ms: Option<u64>,
    /// Milliseconds spent in D1; null where it was not asked.
    pub d1_ms: Option<u64>,
    /// Retries of storage calls.
    pub retries: u32,
    /// Milliseconds from start to end.
    pub duration_ms: u64,
    /// What an operator should look at.
    pub detail: Option<String>,
}

/// A line as text.
pub fn to_json(line: &impl Serialize) -> String {
    // Plain strings and numbers cannot fail to serialize.
    serde_json::to_string(line).unwrap_or_default()
}

/// The `Server-Timing` header: the same durations; empty where no storage was asked.
pub fn server_timing(r2_ms: Option<u64>, d1_ms: Option<u64>) -> String {
    let parts = [("r2", r2_ms), ("d1", d1_ms)];
    let parts = parts.iter().filter_map(|(name, ms)| ms.map(|ms| format!("{name};dur={ms}")));
    parts.collect::<Vec<_>>().join(", ")
}

/// The method if HTTP knows it: what a client made up does not get into the log.
pub fn known_method(method: &str) -> &'static str {
    const KNOWN: [&str; 8] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"];
    KNOWN.iter().find(|known| **known == method).copied().unwrap_or("OTHER")
}
