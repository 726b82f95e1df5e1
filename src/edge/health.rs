//! `GET /v1/health` and `GET /v1/ready`.

use super::exchange::Exchange;
use crate::error::{ApiError, Fault};
use crate::store::health::CheckDatabase;
use crate::wire::{Checks, Reply, StatusResponse};

/// A key that no upload has; whether it exists does not matter, only that R2 answers.
const PROBE_KEY: &str = "ready";

/// The Worker runs and its configuration is valid. Touches no storage.
pub(super) fn health() -> Result<Reply, ApiError> {
    Reply::json(200, &StatusResponse { status: "ok", checks: None })
}

/// D1 and R2 answer, and the migrations have been applied; else 503 with the state of each.
pub(super) async fn ready(exchange: &Exchange) -> Result<Reply, ApiError> {
    let r2 = exchange.storage.head_object(PROBE_KEY).await.err();
    let d1 = exchange.run(&CheckDatabase).await.err();
    if r2.is_none() && d1.is_none() {
        let checks = Some(Checks { d1: "ok", r2: "ok" });
        return Reply::json(200, &StatusResponse { status: "ready", checks });
    }
    let parts = vec![part("d1", d1.is_none()), part("r2", r2.is_none())];
    let d1 = d1.as_ref().and_then(ApiError::log_detail);
    let detail = [d1, r2.as_deref()].into_iter().flatten().collect::<Vec<_>>().join("; ");
    Err(ApiError::StorageUnavailable { detail, parts })
}

fn part(name: &str, answers: bool) -> Fault {
    if answers {
        Fault::new(&[name], "ok", "Answers.")
    } else {
        Fault::new(&[name], "unavailable", "Does not answer as it should; the log says why.")
    }
}
