//! One round of deliveries to a webhook: what is sent, and what comes of it.

use std::cell::{Cell, RefCell};

use crate::concurrent::{Task, run_all};
use crate::config::Config;
use crate::domain::ids::{OrganizationId, WebhookId};
use crate::domain::timestamp::Timestamp;
use crate::domain::webhook::{Attempt, retry_delay_ms};
use crate::domain::webhook_url::check_url;
use crate::error::ApiError;
use crate::events::Event;
use crate::platform::{Answered, Outgoing, Platform, SendError};
use crate::store::outbox::{Attempted, Due, Taken};
use crate::webhook_secret::SigningKey;

/// A round begins no further delivery after so many milliseconds.
const MAX_ROUND_MS: u64 = 5_000;

/// What sends.
pub(super) struct Sender<'a, P> {
    pub(super) platform: &'a P,
    pub(super) config: &'a Config,
    pub(super) key: &'a SigningKey,
    /// Requests under way at a time to one webhook.
    pub(super) at_a_time: usize,
}

impl<P: Platform> Sender<'_, P> {
    /// Sends a round, several deliveries at a time: what they came to, and whether the receiver gave no answer at all, so
    /// that the rest of the round was left.
    pub(super) async fn round(
        &self,
        webhook_id: WebhookId,
        taken: &Taken,
        clock: &dyn Fn() -> Timestamp,
    ) -> Result<(Vec<Attempted>, bool), ApiError> {
        let started = self.platform.now();
        let gave_up = Cell::new(false);
        let outcomes = RefCell::new(Vec::new());
        let sends = taken.deliveries.iter().map(|due| -> Task<'_> {
            let (outcomes, gave_up) = (&outcomes, &gave_up);
            Box::pin(async move {
                if gave_up.get() || started.elapsed_ms(self.platform.now()) > MAX_ROUND_MS {
                    return;
                }
                let outcome = self.send(webhook_id, taken, due, clock()).await;
                let answered =
                    matches!(&outcome, Ok(Some(Attempted { attempt, .. })) if attempt.status.is_some());
                gave_up.set(gave_up.get() || !answered);
                outcomes.borrow_mut().extend(outcome.transpose());
            })
        });
        run_all(sends.collect(), self.at_a_time).await;
        let attempted = outcomes.take().into_iter().collect::<Result<_, ApiError>>()?;
        Ok((attempted, gave_up.get()))
    }

    /// Sends one delivery: what it came to, and when to try again; `None` where the platform permits no further request.
    async fn send(
        &self,
        webhook_id: WebhookId,
        taken: &Taken,
        due: &Due,
        at: Timestamp,
    ) -> Result<Option<Attempted>, ApiError> {
        let Some(attempt) = self.attempt(webhook_id, taken, due, at).await else { return Ok(None) };
        let due_at = self.retry_at(due, &attempt)?;
        let Due { id, created_at, attempt_count, .. } = *due;
        Ok(Some(Attempted { id, created_at, attempt_count, attempt, due_at }))
    }

    /// When to try again; `None` where it was delivered, or never again.
    fn retry_at(&self, due: &Due, attempt: &Attempt) -> Result<Option<Timestamp>, ApiError> {
        if attempt.succeeded() {
            return Ok(None);
        }
        let mut random = [0; 2];
        self.platform.fill_random(&mut random).map_err(ApiError::Internal)?;
        let delay = retry_delay_ms(due.attempt_count + 1, u16::from_ne_bytes(random));
        Ok(delay.map(|delay| attempt.at.plus_ms(attempt.duration_ms + delay)))
    }

    /// Sends one delivery; `None` where the platform permits this invocation no further request.
    async fn attempt(
        &self,
        webhook_id: WebhookId,
        taken: &Taken,
        due: &Due,
        at: Timestamp,
    ) -> Option<Attempt> {
        let failed = |duration_ms, error: String| Attempt {
            at,
            status: None,
            duration_ms,
            error: Some(error),
            response: None,
        };
        // The operator may have shortened the list since.
        if let Err(error) = check_url(&taken.url, &self.config.webhooks.insecure_hosts) {
            return Some(failed(0, error.message().to_owned()));
        }
        let body = match body_of(due, taken.org_id) {
            Ok(body) => body,
            // One event that cannot be read keeps no other from being delivered.
            Err(error) => return Some(failed(0, error.log_text())),
        };
        let sent_at = self.platform.now();
        let signature = self.key.signatures(webhook_id, &taken.secrets, due.event_id, sent_at, &body);
        let outgoing = Outgoing {
            url: &taken.url,
            headers: &[
                ("content-type", "application/json"),
                ("user-agent", "asset-uploads-webhooks"),
                ("webhook-id", &due.event_id.to_string()),
                ("webhook-timestamp", &sent_at.unix_seconds().to_string()),
                ("webhook-signature", &signature),
            ],
            body: &body,
        };
        let answer = self.platform.post(outgoing).await;
        let duration_ms = sent_at.elapsed_ms(self.platform.now());
        match answer {
            Ok(Answered { status, response }) => {
                Some(Attempt { at, status: Some(status), duration_ms, error: None, response: Some(response) })
            }
            Err(SendError::Failed(error)) => Some(failed(duration_ms, error)),
            Err(SendError::NotSent) => None,
        }
    }
}

fn body_of(due: &Due, organization: OrganizationId) -> Result<String, ApiError> {
    Event::new(due.event_id, &due.event_type, due.event_at, organization, due.data.get())?.body()
}
