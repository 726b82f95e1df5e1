//! What a transaction of a delivery changed, compared with what was sent and answered.

use std::collections::BTreeMap;

use asset_uploads::domain::timestamp::Timestamp;

use crate::database;
use crate::model::Model;
use crate::record::TaskRecord;
use crate::state::State;

/// Seconds from a failed attempt to the next.
const DELAYS: [i64; 8] = [5, 60, 300, 1_800, 7_200, 21_600, 43_200, 86_400];
/// A webhook whose every delivery has failed for so long is disabled: 5 days.
const FAILING_MS: i64 = 5 * 86_400_000;

/// What may change of a delivery.
const ATTEMPTS: &str = "
    SELECT concat_ws('|', webhook_id, id, coalesce(due_at, '-'), coalesce(delivered_at, '-'), attempt_count)
    FROM webhook_deliveries";
/// What may change of a webhook.
const HEALTH: &str = "
    SELECT concat_ws('|', id, coalesce(failing_since, '-'), coalesce(disabled_at, '-')) FROM webhooks";

impl State<'_> {
    /// A task that delivers changed something.
    pub(crate) fn compare_deliveries(&self, record: &TaskRecord) {
        let (mut model, now) = (self.model.borrow_mut(), self.clock.get());
        let rows: BTreeMap<(String, String), [Option<i64>; 3]> =
            database::texts(&self.world.conn, ATTEMPTS).iter().map(|text| attempt(text)).collect();
        for n in 0..model.deliveries.len() {
            let delivery = &model.deliveries[n];
            let key = (model.webhooks[delivery.webhook].id.clone(), delivery.id.clone());
            // One that is missing is told by the comparison of all rows.
            let Some([due_at, delivered_at, attempts]) = rows.get(&key).copied() else { continue };
            let attempts = attempts.and_then(|n| u32::try_from(n).ok()).unwrap_or_default();
            if (due_at, delivered_at, attempts) == (delivery.due_at, delivery.delivered_at, delivery.attempts)
            {
                continue;
            }
            self.report(self.check_attempt(record, &model, n, due_at, delivered_at, attempts));
            let delivery = &mut model.deliveries[n];
            (delivery.due_at, delivery.delivered_at, delivery.attempts) = (due_at, delivered_at, attempts);
        }
        self.compare_health(record, &mut model, now);
        self.report(database::compare(&self.world.conn, &model));
    }

    /// An attempt was recorded: it was made, and came to that.
    fn check_attempt(
        &self,
        record: &TaskRecord,
        model: &Model,
        n: usize,
        due_at: Option<i64>,
        delivered_at: Option<i64>,
        attempts: u32,
    ) -> Result<(), String> {
        let delivery = &model.deliveries[n];
        let wrong = |what: &str| {
            Err(format!(
                "{what}: {delivery:?} is now due {due_at:?}, delivered {delivered_at:?}, with {attempts} attempts"
            ))
        };
        let posted = record.posted.borrow();
        let Some(posted) = posted.get(&(delivery.webhook, delivery.id.clone())) else {
            return wrong("an attempt is recorded that was not made");
        };
        if delivery.due_at.is_none() || attempts != delivery.attempts + 1 {
            return wrong("an attempt is recorded of what was not due, or twice");
        }
        if posted.taken {
            self.count("delivered");
            if delivery.attempts > 0 {
                self.count("delivered after a failure");
            }
            let received = self.received.borrow().contains(&(delivery.webhook, delivery.id.clone()));
            let right = received && due_at.is_none() && delivered_at == Some(posted.answered_at.0);
            return if right { Ok(()) } else { wrong("a delivery was taken") };
        }
        self.count("an attempt failed");
        let delay = usize::try_from(delivery.attempts).ok().and_then(|n| DELAYS.get(n));
        let right = match (delay, due_at) {
            (Some(delay), Some(due_at)) => {
                let waits = due_at - posted.answered_at.0;
                (delay * 1_000..=delay * 1_200).contains(&waits)
            }
            (None, None) => {
                self.count("a delivery failed for good");
                true
            }
            _ => false,
        };
        if right && delivered_at.is_none() { Ok(()) } else { wrong("a delivery was not taken") }
    }

    fn compare_health(&self, record: &TaskRecord, model: &mut Model, now: Timestamp) {
        for text in database::texts(&self.world.conn, HEALTH) {
            let parts: Vec<&str> = text.split('|').collect();
            let time = |n: usize| parts[n].parse::<i64>().ok();
            let (failing_since, disabled_at) = (time(1), time(2));
            let Some(n) = model.webhooks.iter().position(|webhook| webhook.id == parts[0]) else { continue };
            let webhook = &mut model.webhooks[n];
            let posted = record.posted.borrow();
            let any = |taken: bool| {
                posted.iter().any(|((webhook, _), posted)| *webhook == n && posted.taken == taken)
            };
            let right = match (webhook.failing_since, failing_since) {
                (old, new) if old == new => true,
                (_, None) => any(true),
                (None, Some(at)) => any(false) && at <= now.0,
                (Some(_), Some(_)) => false,
            };
            let disabled = webhook.disabled_at.is_none() && disabled_at.is_some();
            let long = |at: i64| webhook.failing_since.is_some_and(|since| since + FAILING_MS <= at);
            if !right || disabled && !(any(false) && disabled_at.is_some_and(long)) {
                self.violate(format!(
                    "{webhook:?} is failing since {failing_since:?}, disabled at {disabled_at:?}"
                ));
            }
            webhook.failing_since = failing_since;
            if disabled {
                self.count("a webhook is disabled because all fails");
                webhook.disabled_at = disabled_at.map(Timestamp);
            }
        }
    }
}

fn attempt(text: &str) -> ((String, String), [Option<i64>; 3]) {
    let parts: Vec<&str> = text.split('|').collect();
    let number = |n: usize| parts[n].parse().ok();
    ((parts[0].to_owned(), parts[1].to_owned()), [number(2), number(3), number(4)])
}
