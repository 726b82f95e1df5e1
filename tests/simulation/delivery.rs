//! The queue, the cron of every minute, and how all comes to be delivered in the end.

use std::rc::Rc;

use asset_uploads::delivery::{run_cron, run_queue};
use asset_uploads::domain::ids::WebhookId;
use asset_uploads::domain::timestamp::Timestamp;
use asset_uploads::domain::webhook::Nudge;
use asset_uploads::platform::Platform;

use crate::platform::client::TestAnswer;
use crate::record::{TaskRecord, Work};
use crate::run::{Run, newest};
use crate::schedule::Receiver;
use crate::simulated::TaskPlatform;
use crate::state::State;

impl TaskPlatform<'_> {
    /// After an answer the Worker tells the queue what is due, which is of the organization of the request.
    pub(crate) async fn nudge_after(&self, answer: &TestAnswer) {
        let nudge = |id: &WebhookId| (Nudge { webhook_id: *id, as_of: None }, 0);
        let nudges: Vec<_> = answer.due_webhooks.iter().map(nudge).collect();
        let org = answer.log.org_id;
        // The user may have left since a transaction before the last one.
        let left = org.is_none() && self.record.transactions.get() > 1;
        let is_foreign = |id: &WebhookId| {
            let model = self.state.model.borrow();
            let webhook = model.webhooks.iter().find(|webhook| webhook.id == id.to_string());
            !left && webhook.is_none_or(|webhook| Some(model.orgs[webhook.org]) != org)
        };
        if answer.due_webhooks.iter().any(is_foreign) {
            self.state.violate(format!("a request of {org:?} has {:?} told", answer.due_webhooks));
        }
        if !nudges.is_empty() {
            // The cron finds what the queue was not told.
            drop(self.send_nudges(&nudges).await);
        }
    }
}

/// A message of the queue.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Message {
    /// Not before.
    pub(crate) due_at: Timestamp,
    pub(crate) nudge: Nudge,
}

impl State<'_> {
    /// The queue takes messages.
    pub(crate) fn enqueue(&self, nudges: &[(Nudge, u64)]) {
        let now = self.clock.get();
        let messages = nudges.iter().map(|(nudge, delay)| {
            self.count(if nudge.as_of.is_some() { "nudge of the cron" } else { "nudge" });
            if *delay > 0 {
                self.count("delayed nudge");
            }
            Message { due_at: now.plus_seconds(*delay), nudge: *nudge }
        });
        self.queue.borrow_mut().extend(messages);
    }
}

impl Run<'_> {
    fn record_of_delivery(&mut self) -> Rc<TaskRecord> {
        Rc::new(TaskRecord { number: self.next_number(), work: Work::Deliver, ..TaskRecord::default() })
    }

    /// The queue hands over so many of the messages that are due, from the `message`-th on. It has them again, where
    /// `twice`.
    pub(crate) fn take_messages(&mut self, isolate: u8, message: u8, count: u8, twice: bool) {
        let now = self.now();
        let mut nudges = Vec::new();
        {
            let mut queue = self.state.queue.borrow_mut();
            let due: Vec<usize> = (0..queue.len()).filter(|n| queue[*n].due_at <= now).collect();
            let Some(first) = newest(&due, message) else { return };
            for n in due.into_iter().skip(first).take(usize::from(count.max(1))).rev() {
                nudges.push(if twice { queue[n] } else { queue.remove(n) }.nudge);
            }
        }
        self.state.count(if twice { "messages that come twice" } else { "messages" });
        let record = self.record_of_delivery();
        let (state, config) = (self.state, self.config);
        self.begin(Some(isolate), async move {
            let platform = TaskPlatform { state, record };
            run_queue(&platform, config, &nudges).await;
        });
    }

    pub(crate) fn lose_message(&self, message: u8) {
        let mut queue = self.state.queue.borrow_mut();
        if let Some(n) = newest(&queue, message) {
            queue.remove(n);
            self.state.count("lost message");
        }
    }

    pub(crate) fn cron(&mut self, isolate: u8) {
        let record = self.record_of_delivery();
        let (state, config, now) = (self.state, self.config, self.now());
        self.begin(Some(isolate), async move {
            let platform = TaskPlatform { state, record };
            let report = run_cron(&platform, config, now).await;
            if report.webhooks > 0 {
                state.count("the cron delivers");
            }
        });
    }

    /// Cron and queue, undisturbed.
    fn deliver_due(&mut self, others: usize) {
        self.cron(0);
        self.finish_newest(others);
        let mut left = self.state.queue.borrow().len();
        while left > 0 {
            self.take_messages(0, u8::MAX, u8::MAX, false);
            self.finish_newest(others);
            left -= 1;
        }
    }

    /// The receiver of a webhook answers like this from now on, until so many attempts of its oldest delivery were made.
    pub(crate) fn outage(&mut self, webhook: u8, answers: Receiver, attempts: u8) {
        let Some(webhook) = self.webhook_place(webhook) else { return };
        self.state.receivers.borrow_mut().insert(webhook, answers);
        for _ in 0..attempts {
            let due = self.next_due(Some(webhook));
            let Some(due) = due else { return };
            let seconds = self.now().seconds_until(due) + 1;
            self.wait(seconds, true);
            let others = self.under_way();
            self.deliver_due(others);
        }
    }

    /// The place of the webhook that a number means.
    pub(crate) fn webhook_place(&self, n: u8) -> Option<usize> {
        let id = self.webhook(n);
        self.state.model.borrow().webhooks.iter().position(|webhook| webhook.id == id)
    }

    /// When the next delivery is due, of one webhook or of all that are on.
    fn next_due(&self, of: Option<usize>) -> Option<Timestamp> {
        let model = self.state.model.borrow();
        let pending = model.deliveries.iter().filter(|delivery| {
            !delivery.removed
                && of.is_none_or(|of| of == delivery.webhook)
                && model.webhooks[delivery.webhook].disabled_at.is_none()
        });
        pending.filter_map(|delivery| delivery.due_at).min().map(Timestamp)
    }

    /// With all receivers up, all is delivered within a few minutes of its being due.
    pub(crate) fn deliver_all(&mut self) -> Result<(), String> {
        self.state.receivers.borrow_mut().clear();
        for _ in 0..100 {
            self.finish_tasks();
            let others = self.under_way();
            self.deliver_due(others);
            self.check()?;
            let Some(due) = self.next_due(None) else { return Ok(()) };
            let seconds = self.now().seconds_until(due).max(60);
            self.wait(seconds, true);
        }
        let model = self.state.model.borrow();
        let left = model.deliveries.iter().find(|delivery| delivery.due_at.is_some() && !delivery.removed);
        Err(format!("{left:?} is never delivered"))
    }
}
