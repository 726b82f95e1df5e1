//! Delivery of events to webhooks.
//!
//! The rows of `webhook_deliveries` are the truth, written by the transactions that make the changes. A message of the
//! queue only says that a webhook has some that are due; where it is lost, the cron says it again. One invocation at a
//! time delivers to a webhook, in rounds: it takes what has been due longest, sends it, records what came of it and takes
//! the next, in one transaction. A receiver that does not answer ends its webhook's round and pauses it, so that it
//! does not hold up others.

mod round;

use std::cell::RefCell;

use serde::Serialize;

use crate::concurrent::{Task, run_all};
use crate::config::Config;
use crate::domain::ids::WebhookId;
use crate::domain::timestamp::Timestamp;
use crate::domain::webhook::Nudge;
use crate::error::ApiError;
use crate::platform::Platform;
use crate::store::Operation;
use crate::store::outbox::{Attempted, DueWebhooks, Take};
use round::Sender;

/// Deliveries that are taken at a time.
const ROUND: u32 = 30;
/// Requests under way at a time, all webhooks together: the platform opens six connections for an invocation.
const AT_A_TIME: usize = 6;
/// How long an invocation may hold a webhook, in milliseconds: longer than a round and its two transactions take.
const LEASE_MS: u64 = 90_000;
/// An invocation of the queue begins no further round after so many milliseconds: others wait behind it.
const MAX_QUEUE_RUN_MS: u64 = 8_000;
/// The same for the cron, which comes again after a minute.
const MAX_CRON_RUN_MS: u64 = 45_000;
/// Webhooks that a run of the cron turns to.
const CRON_WEBHOOKS: u32 = 100;

/// The longest that the queue delays a message, in seconds.
const MAX_DELAY_SECONDS: u64 = 43_200;

/// What a run has done; for the log.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Webhooks that were turned to.
    pub webhooks: u32,
    /// Deliveries that receivers took.
    pub delivered: u32,
    /// Attempts that failed.
    pub failed: u32,
    /// Messages sent to the queue.
    pub nudged: u32,
    /// What went wrong here, as opposed to at a receiver.
    #[serde(skip)]
    pub problems: Vec<String>,
}

/// The cron's run: tells the queue of every webhook that has something overdue; without a queue, delivers.
pub async fn run_cron<P: Platform>(platform: &P, config: &Config, as_of: Timestamp) -> Report {
    let mut report = Report::default();
    let due = match find_due(platform, as_of).await {
        Ok(due) => due,
        Err(error) => {
            report.problems.push(error.log_text());
            return report;
        }
    };
    if due.is_empty() {
        return report;
    }
    let nudge = |webhook_id: &WebhookId| Nudge { webhook_id: *webhook_id, as_of: Some(as_of.0) };
    let nudges: Vec<_> = due.iter().map(nudge).collect();
    let delayed: Vec<_> = nudges.iter().map(|nudge| (*nudge, 0)).collect();
    match platform.send_nudges(&delayed).await {
        Ok(true) => report.nudged = count(nudges.len()),
        sent => {
            report.problems.extend(sent.err().map(|error| error.message));
            // No queue, or none that works: the cron itself delivers.
            deliver(platform, config, nudges, MAX_CRON_RUN_MS, &mut report).await;
        }
    }
    report
}

/// The queue's run: delivers to the webhooks of its messages, and tells the queue what is left.
pub async fn run_queue<P: Platform>(platform: &P, config: &Config, nudges: &[Nudge]) -> Report {
    let mut report = Report::default();
    // Each webhook once, by the latest time.
    let mut webhooks: Vec<Nudge> = Vec::new();
    for nudge in nudges {
        match webhooks.iter_mut().find(|known| known.webhook_id == nudge.webhook_id) {
            Some(known) => known.as_of = known.as_of.max(nudge.as_of),
            None => webhooks.push(*nudge),
        }
    }
    deliver(platform, config, webhooks, MAX_QUEUE_RUN_MS, &mut report).await;
    report
}

async fn find_due<P: Platform>(platform: &P, due_by: Timestamp) -> Result<Vec<WebhookId>, ApiError> {
    let mut random = [0; 10];
    platform.fill_random(&mut random).map_err(ApiError::Internal)?;
    // Any id; the time in it is as random as the rest.
    let ms = random.iter().take(6).fold(0, |ms, byte| ms << 8 | u64::from(*byte));
    let now = platform.now();
    let find = DueWebhooks { now, due_by, from: WebhookId::v7(ms, &random), limit: CRON_WEBHOOKS };
    let rows = platform.transact(&find.statements()).await?;
    find.decode(&rows)
}

/// Delivers to webhooks, several at a time, and tells the queue what is left of each, and when.
async fn deliver<P: Platform>(
    platform: &P,
    config: &Config,
    webhooks: Vec<Nudge>,
    max_run_ms: u64,
    report: &mut Report,
) {
    // Without it nothing can be signed: what is due waits.
    let key = match &config.webhooks.signing_key {
        Ok(key) => key,
        Err(missing) => return report.problems.push(missing.clone()),
    };
    let started = platform.now();
    let at_a_time = (AT_A_TIME / webhooks.len().max(1)).max(1);
    let sender = Sender { platform, config, key, at_a_time };
    let max_statements = config.sweep.max_statements;
    let run = Run { sender, max_statements, until: started.plus_ms(max_run_ms) };
    let visits = RefCell::new(Vec::new());
    let tasks = webhooks.into_iter().map(|nudge| -> Task<'_> {
        let (run, visits) = (&run, &visits);
        Box::pin(async move {
            let visit = run.visit(nudge).await;
            visits.borrow_mut().push(visit);
        })
    });
    run_all(tasks.collect(), AT_A_TIME).await;
    let mut left = Vec::new();
    for visit in visits.take() {
        report.webhooks += 1;
        report.delivered += visit.delivered;
        report.failed += visit.failed;
        report.problems.extend(visit.problem);
        left.extend(visit.left);
    }
    if left.is_empty() {
        return;
    }
    match platform.send_nudges(&left).await {
        Ok(true) => report.nudged += count(left.len()),
        // The cron finds what is overdue.
        Ok(false) => {}
        Err(error) => report.problems.push(error.message),
    }
}

struct Run<'a, P> {
    sender: Sender<'a, P>,
    /// Statements sent to the database at most, repeats included.
    max_statements: u32,
    /// No round begins later.
    until: Timestamp,
}

/// What an invocation has done for one webhook.
#[derive(Default)]
struct Visit {
    delivered: u32,
    failed: u32,
    problem: Option<String>,
    /// Messages for the queue, with their delays in seconds.
    left: Vec<(Nudge, u64)>,
}

impl<P: Platform> Run<'_, P> {
    async fn visit(&self, nudge: Nudge) -> Visit {
        let mut visit = Visit::default();
        if let Err(error) = self.rounds(nudge, &mut visit).await {
            visit.problem = Some(error.log_text());
        }
        visit
    }

    async fn rounds(&self, nudge: Nudge, visit: &mut Visit) -> Result<(), ApiError> {
        let Nudge { webhook_id, as_of } = nudge;
        let mut random = [0; 10];
        self.sender.platform.fill_random(&mut random).map_err(ApiError::Internal)?;
        let lease_id = WebhookId::v7(self.sender.platform.now().unix_ms(), &random).to_string();
        let clock = || {
            as_of.map_or(self.sender.platform.now(), |as_of| self.sender.platform.now().max(Timestamp(as_of)))
        };
        let mut attempted = Vec::new();
        let mut gave_up = false;
        let mut holds_lease = false;
        loop {
            let now = self.sender.platform.now();
            let ends = gave_up || now >= self.until || !self.has_statements();
            if ends && !holds_lease {
                visit.left.push((nudge, 0));
                return Ok(());
            }
            let take = Take {
                webhook_id,
                lease_id: lease_id.clone(),
                now,
                due_by: clock(),
                leased_until: now.plus_ms(LEASE_MS),
                attempted,
                ignores_pause: as_of.is_some() && visit.failed == 0,
                limit: if ends { 0 } else { ROUND },
            };
            let rows = self.sender.platform.transact(&take.statements()).await?;
            let Some(taken) = take.decode(&rows)? else { return Ok(()) };
            if taken.disabled != 0 && !take.attempted.is_empty() {
                visit.problem = Some(format!(
                    "webhook {webhook_id} is switched off: every delivery has failed for 5 days"
                ));
            }
            if taken.deliveries.is_empty() {
                if taken.more != 0 {
                    // At once where the time is up, else when the pause is over.
                    let delay = now.elapsed_ms(taken.paused_until).div_ceil(1000);
                    let as_of = as_of.filter(|_| visit.failed == 0);
                    visit.left.push((Nudge { webhook_id, as_of }, delay));
                }
                return Ok(());
            }
            holds_lease = true;
            (attempted, gave_up) = self.sender.round(webhook_id, &taken, &clock).await?;
            for Attempted { attempt, due_at, .. } in &attempted {
                if attempt.succeeded() {
                    visit.delivered += 1;
                } else {
                    visit.failed += 1;
                    // One message for those that are due in the same second.
                    let retry = due_at.map(|due| {
                        (Nudge { webhook_id, as_of: None }, clock().elapsed_ms(due).div_ceil(1000))
                    });
                    // What is due later than a queue can wait, the cron finds.
                    let retry = retry.filter(|(_, delay)| *delay <= MAX_DELAY_SECONDS);
                    visit.left.extend(retry.filter(|retry| !visit.left.contains(retry)));
                }
            }
        }
    }

    /// Whether another round may be begun: its two transactions have four statements each, and one of them may be repeated
    /// twice.
    fn has_statements(&self) -> bool {
        self.sender.platform.usage().statements + 16 <= self.max_statements
    }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
