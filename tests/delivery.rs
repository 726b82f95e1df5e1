//! Delivery to webhooks by queue and cron, natively: what is sent and signed, recorded, and left for later.

use asset_uploads::delivery::{Report, run_cron, run_queue};
use asset_uploads::domain::ids::{DeliveryId, WebhookId};
use asset_uploads::domain::timestamp::Timestamp;
use asset_uploads::domain::webhook::EventType;
use asset_uploads::domain::webhook::Nudge;
use asset_uploads::platform::{Answered, SendError};
use asset_uploads::storage_error::StorageErrorKind;
use asset_uploads::webhook_secret::{SecretVersions, SigningKey};
use rusqlite::params;

use crate::platform::fixtures::Api;
use crate::platform::storage_error;
use crate::sqlite::{self, NOW, ready};

/// An API with a webhook that has pending deliveries.
struct Deliveries {
    api: Api,
    webhook: WebhookId,
}

impl Deliveries {
    fn new(count: usize) -> Self {
        Self::with(count, &[("SWEEP_MAX_STATEMENTS", "1000")])
    }

    fn with(count: usize, variables: &[(&str, &str)]) -> Self {
        let api = Api::new(variables);
        let deliveries = Self { webhook: api.webhook, api };
        deliveries.add(deliveries.webhook, count);
        deliveries
    }

    /// Another webhook, with so many.
    fn another(&self, count: usize) -> WebhookId {
        let id = sqlite::webhook(
            &self.api.platform.conn,
            self.api.org,
            self.api.admin,
            &[EventType::AssetCreated],
        );
        self.add(id, count);
        id
    }

    fn add(&self, webhook: WebhookId, count: usize) {
        for _ in 0..count {
            let id = sqlite::delivery(&self.api.platform.conn, self.api.org, webhook);
            let sql = "UPDATE webhook_deliveries SET due_at = ?2 WHERE id = ?1";
            assert_eq!(self.api.platform.conn.execute(sql, params![id.to_string(), NOW.0]), Ok(1));
        }
    }

    fn queue(&self, nudges: &[Nudge]) -> Report {
        ready(run_queue(&self.api.platform, &self.api.config, nudges))
    }

    fn cron(&self, as_of: Timestamp) -> Report {
        ready(run_cron(&self.api.platform, &self.api.config, as_of))
    }

    fn nudge(&self) -> Nudge {
        Nudge { webhook_id: self.webhook, as_of: None }
    }

    /// The next answers of the receiver.
    fn answers(&self, answers: impl IntoIterator<Item = Result<u16, SendError>>) {
        let answer = |status| Answered { status, response: "said".to_owned() };
        let answers = answers.into_iter().map(|status| status.map(answer));
        self.api.platform.receiver.answers.borrow_mut().extend(answers);
    }

    fn received(&self) -> usize {
        self.api.platform.receiver.received.borrow().len()
    }

    /// The messages that were sent to the queue since the last call.
    fn nudges(&self) -> Vec<(Nudge, u64)> {
        std::mem::take(self.api.platform.queue.borrow_mut().as_mut().unwrap())
    }

    /// How many deliveries of the webhook are pending, delivered and failed; those of the fixture count as failed.
    fn states(&self) -> (u32, u32, u32) {
        let sql = "SELECT count(due_at), count(delivered_at), count(*) - count(due_at) - count(delivered_at)
                   FROM webhook_deliveries WHERE webhook_id = ?1";
        let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
        self.api.platform.conn.query_row(sql, [self.webhook.to_string()], row).unwrap()
    }

    fn value<T: rusqlite::types::FromSql>(&self, column: &str) -> T {
        let sql = format!("SELECT {column} FROM webhooks WHERE id = ?1");
        self.api.platform.conn.query_row(&sql, [self.webhook.to_string()], |row| row.get(0)).unwrap()
    }
}

fn report(webhooks: u32, delivered: u32, failed: u32, nudged: u32) -> Report {
    Report { webhooks, delivered, failed, nudged, problems: Vec::new() }
}

#[test]
fn a_nudge_delivers_all_that_is_due_signed_and_records_it() {
    let deliveries = Deliveries::new(70);
    assert_eq!(deliveries.queue(&[deliveries.nudge()]), report(1, 70, 0, 0));
    assert_eq!((deliveries.states(), deliveries.nudges()), ((0, 70, 1), vec![]));
    let received = deliveries.api.platform.receiver.received.borrow().clone();
    let key = SigningKey::new("derived from this".to_owned());
    let versions = SecretVersions { version: 1, earlier: Vec::new() };
    for request in &received {
        let event = request.json();
        let id = DeliveryId::parse(event["id"].as_str().unwrap()).unwrap();
        let names: Vec<_> = request.headers.iter().map(|(name, _)| *name).collect();
        assert_eq!(
            names,
            ["content-type", "user-agent", "webhook-id", "webhook-timestamp", "webhook-signature"]
        );
        assert_eq!(request.url, format!("https://hooks.example.com/{}", deliveries.webhook));
        assert_eq!(request.header("webhook-id"), id.to_string());
        assert_eq!(request.header("webhook-timestamp"), (NOW.0 / 1_000).to_string());
        let signature = key.signatures(deliveries.webhook, &versions, id, NOW, &request.body);
        assert_eq!(request.header("webhook-signature"), signature);
        let expected = serde_json::json!({
            "id": id.to_string(), "type": "webhook.test", "timestamp": "2026-11-22T12:51:07.042Z",
            "organization_id": deliveries.api.org.to_string(), "data": {"webhook_id": deliveries.webhook.to_string()},
        });
        assert_eq!(event, expected);
    }
    // Each once.
    let mut sent: Vec<_> = received.iter().map(|request| request.header("webhook-id").to_owned()).collect();
    sent.sort();
    sent.dedup();
    assert_eq!(sent.len(), 70);
    assert_eq!(
        (deliveries.value::<i64>("leased_until"), deliveries.queue(&[deliveries.nudge()])),
        (0, report(1, 0, 0, 0))
    );
}

#[test]
fn a_failed_attempt_leaves_one_message_for_when_it_is_due() {
    let deliveries = Deliveries::new(1);
    deliveries.answers([Ok(500)]);
    assert_eq!(deliveries.queue(&[deliveries.nudge()]), report(1, 0, 1, 1));
    let [(nudge, delay)] = deliveries.nudges()[..] else { unreachable!() };
    assert_eq!(nudge, deliveries.nudge());
    assert!((5..=6).contains(&delay), "{delay}");
    assert_eq!(deliveries.states(), (1, 0, 1));
    // Too early: nothing is sent, and nothing said.
    assert_eq!((deliveries.queue(&[nudge]), deliveries.received()), (report(1, 0, 0, 0), 1));
    deliveries.api.platform.clock.set(NOW.plus_ms(delay * 1_000));
    assert_eq!(deliveries.queue(&[nudge]), report(1, 1, 0, 0));
    assert_eq!((deliveries.states(), deliveries.received()), ((0, 1, 1), 2));
}

#[test]
fn a_receiver_that_gives_no_answer_ends_its_round_and_is_left_alone_for_the_pause() {
    let deliveries = Deliveries::new(40);
    deliveries.answers([Ok(204), Err(SendError::Failed("refused".to_owned()))]);
    assert_eq!(deliveries.queue(&[deliveries.nudge()]), report(1, 1, 1, 2));
    assert_eq!((deliveries.received(), deliveries.states()), (2, (39, 1, 1)));
    // One was taken, so there is no pause: what is left is taken at once, the other when it is due.
    assert_eq!(deliveries.nudges().iter().filter(|(_, delay)| *delay == 0).count(), 1);
    deliveries.answers([Err(SendError::Failed("refused".to_owned()))]);
    assert_eq!(deliveries.queue(&[deliveries.nudge()]), report(1, 0, 1, 2));
    assert_eq!((deliveries.received(), deliveries.states()), (3, (39, 1, 1)));
    assert_eq!(deliveries.value::<i64>("paused_until"), NOW.0 + 5_000);
    assert!(deliveries.nudges().contains(&(deliveries.nudge(), 5)));
    // Until then a message is put off, unless it is the cron's.
    assert_eq!((deliveries.queue(&[deliveries.nudge()]), deliveries.received()), (report(1, 0, 0, 1), 3));
    assert_eq!(deliveries.nudges(), [(deliveries.nudge(), 5)]);
    let cron = Nudge { as_of: Some(NOW.0), ..deliveries.nudge() };
    assert_eq!(deliveries.queue(&[cron]), report(1, 37, 0, 0));
}

#[test]
fn what_the_platform_does_not_let_out_is_no_attempt() {
    let deliveries = Deliveries::new(5);
    deliveries.answers([Ok(204), Err(SendError::NotSent)]);
    assert_eq!(deliveries.queue(&[deliveries.nudge()]), report(1, 1, 0, 1));
    assert_eq!((deliveries.states(), deliveries.value::<Option<i64>>("failing_since")), ((4, 1, 1), None));
    assert_eq!(deliveries.nudges(), [(deliveries.nudge(), 0)]);
    let sql = "SELECT sum(attempt_count) FROM webhook_deliveries";
    assert_eq!(deliveries.api.platform.conn.query_row(sql, [], |row| row.get(0)), Ok(1));
}

#[test]
fn a_slow_receiver_gets_no_more_than_its_time_and_the_rest_comes_later() {
    let deliveries = Deliveries::new(100);
    deliveries.api.platform.receiver.takes_ms.set(1_000);
    let done = deliveries.queue(&[deliveries.nudge()]);
    // A round begins none after 5 s, and none begins after 8 s.
    assert_eq!(done, report(1, 12, 0, 1));
    assert_eq!((deliveries.nudges(), deliveries.states()), (vec![(deliveries.nudge(), 0)], (88, 12, 1)));
    assert_eq!(deliveries.value::<i64>("leased_until"), 0);
}

#[test]
fn statements_are_counted_so_that_a_run_ends_before_d1_refuses_them() {
    let deliveries = Deliveries::with(1_000, &[]);
    let done = deliveries.queue(&[deliveries.nudge()]);
    let statements = asset_uploads::platform::Platform::usage(&deliveries.api.platform).statements;
    assert!((26..=50).contains(&statements), "{statements}");
    assert!(done.delivered >= 150, "{done:?}");
    assert_eq!((done.nudged, deliveries.nudges()), (1, vec![(deliveries.nudge(), 0)]));
}

#[test]
fn the_cron_tells_the_queue_of_every_webhook_and_delivers_itself_where_there_is_none() {
    let deliveries = Deliveries::new(2);
    let other = deliveries.another(3);
    assert_eq!(deliveries.cron(Timestamp(NOW.0 - 1)), report(0, 0, 0, 0));
    assert_eq!((deliveries.cron(NOW), deliveries.received()), (report(0, 0, 0, 2), 0));
    let mut nudges = deliveries.nudges();
    nudges.sort_by_key(|(nudge, _)| nudge.webhook_id != deliveries.webhook);
    let of_cron = |webhook_id| (Nudge { webhook_id, as_of: Some(NOW.0) }, 0);
    assert_eq!(nudges, [of_cron(deliveries.webhook), of_cron(other)]);
    deliveries.api.platform.queue.replace(None);
    assert_eq!((deliveries.cron(NOW), deliveries.received()), (report(2, 5, 0, 0), 5));
    assert_eq!(deliveries.cron(NOW), report(0, 0, 0, 0));
}

#[test]
fn a_later_time_of_the_cron_counts_for_what_is_due_and_for_what_is_recorded() {
    let deliveries = Deliveries::new(1);
    let as_of = NOW.plus_seconds(86_400);
    deliveries.answers([Ok(500)]);
    // Of several messages the latest time counts, and the webhook's turn comes once.
    let nudge = |as_of| Nudge { as_of, ..deliveries.nudge() };
    let nudges = [nudge(None), nudge(Some(as_of.0)), nudge(Some(NOW.0 - 9))];
    assert_eq!(deliveries.queue(&nudges), report(1, 0, 1, 1));
    let sql = "SELECT attempts ->> '$[0].at', due_at FROM webhook_deliveries WHERE due_at IS NOT NULL";
    let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
    let (at, due): (i64, i64) = deliveries.api.platform.conn.query_row(sql, [], row).unwrap();
    assert_eq!((at, deliveries.value::<i64>("failing_since")), (as_of.0, as_of.0));
    assert!((5_000..=6_000).contains(&(due - as_of.0)), "{due}");
    assert_eq!(
        (deliveries.cron(Timestamp(due - 1)), deliveries.cron(Timestamp(due)).nudged),
        (report(0, 0, 0, 0), 1)
    );
}

#[test]
fn where_a_transaction_has_no_answer_nothing_is_lost() {
    let deliveries = Deliveries::new(0);
    // The first transaction, which takes, is not carried out; the second, which records, is, and its answer is lost.
    for lost in [false, true] {
        let platform = &deliveries.api.platform;
        deliveries.add(deliveries.webhook, 3);
        if lost {
            platform.lost_answer.set(Some(1));
        } else {
            platform.d1_error.replace(Some(storage_error(StorageErrorKind::Transient, "lost")));
        }
        let done = deliveries.queue(&[deliveries.nudge()]);
        assert_eq!((done.problems.len(), done.nudged), (1, 0), "{done:?}");
        platform.d1_error.replace(None);
        // The cron finds what is left, once the lease has run out.
        platform.clock.set(platform.clock.get().plus_ms(90_000));
        let found = deliveries.cron(platform.clock.get());
        assert_eq!(found.nudged, u32::from(!lost));
        let nudges: Vec<_> = deliveries.nudges().into_iter().map(|(nudge, _)| nudge).collect();
        deliveries.queue(&nudges);
        assert_eq!(deliveries.states().0, 0);
    }
    assert_eq!((deliveries.states(), deliveries.received()), ((0, 6, 1), 6));
}

#[test]
fn a_url_that_is_permitted_no_more_and_an_unreadable_database_are_not_sent_to() {
    let deliveries = Deliveries::new(1);
    let conn = &deliveries.api.platform.conn;
    conn.execute("UPDATE webhooks SET url = 'http://127.0.0.1:9000/'", []).unwrap();
    assert_eq!(deliveries.queue(&[deliveries.nudge()]), report(1, 0, 1, 1));
    let sql = "SELECT attempts ->> '$[0].error' FROM webhook_deliveries WHERE due_at IS NOT NULL";
    assert_eq!(conn.query_row(sql, [], |row| row.get(0)), Ok("Must be an https URL.".to_owned()));
    let error = storage_error(StorageErrorKind::Transient, "D1 is away");
    deliveries.api.platform.d1_error.replace(Some(error));
    for done in [deliveries.cron(NOW), deliveries.queue(&[deliveries.nudge()])] {
        assert!(done.problems[0].contains("D1 is away"), "{done:?}");
    }
    assert_eq!(deliveries.received(), 0);
}
