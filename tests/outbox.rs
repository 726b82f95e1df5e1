//! The transactions of delivery to webhooks on SQLite: the lease, what is recorded, pauses, and whose turn it is.

use std::collections::BTreeSet;

use asset_uploads::domain::ids::{DeliveryId, OrganizationId, UserId, WebhookId};
use asset_uploads::domain::timestamp::Timestamp;
use asset_uploads::domain::webhook::{Attempt, EventType, MAX_FAILING_SECONDS, retry_delay_ms};
use asset_uploads::store::outbox::{Attempted, Due, DueWebhooks, Take, Taken};
use asset_uploads::store::{Operation, Statement};
use rusqlite::{Connection, params, params_from_iter};

use crate::sqlite::{self, NOW, run_system};

/// How long a lease holds here.
const LEASE_MS: u64 = 90_000;

struct Outbox {
    conn: Connection,
    org: OrganizationId,
    admin: UserId,
    webhook: WebhookId,
}

impl Outbox {
    fn new() -> Self {
        let conn = sqlite::open();
        let org = sqlite::organization(&conn);
        let admin = sqlite::admin(&conn, org).user.id;
        let webhook = sqlite::webhook(&conn, org, admin, &[EventType::AssetCreated]);
        Self { conn, org, admin, webhook }
    }

    /// Deliveries that are due at these times.
    fn pending(&self, webhook: WebhookId, due: &[i64]) -> Vec<DeliveryId> {
        let insert = |due: &i64| {
            let id = sqlite::delivery(&self.conn, self.org, webhook);
            let sql = "UPDATE webhook_deliveries SET due_at = ?2 WHERE id = ?1";
            assert_eq!(self.conn.execute(sql, params![id.to_string(), due]), Ok(1));
            id
        };
        due.iter().map(insert).collect()
    }

    fn take(&self, lease: &str, now: Timestamp) -> Take {
        Take {
            webhook_id: self.webhook,
            lease_id: lease.to_owned(),
            now,
            due_by: now,
            leased_until: now.plus_ms(LEASE_MS),
            attempted: Vec::new(),
            ignores_pause: false,
            limit: 10,
        }
    }

    fn run(&self, take: &Take) -> Taken {
        run_system(&self.conn, take).unwrap().unwrap()
    }

    /// A column of the webhook.
    fn webhook<T: rusqlite::types::FromSql>(&self, column: &str) -> T {
        let sql = format!("SELECT {column} FROM webhooks WHERE id = ?1");
        self.conn.query_row(&sql, [self.webhook.to_string()], |row| row.get(0)).unwrap()
    }

    /// Due, delivered, and the statuses of its attempts.
    fn delivery(&self, id: DeliveryId) -> (Option<i64>, Option<i64>, Vec<u64>) {
        let sql =
            "SELECT due_at, delivered_at, attempts, attempt_count FROM webhook_deliveries WHERE id = ?1";
        let (due, delivered, attempts, count): (_, _, String, u32) = self
            .conn
            .query_row(sql, [id.to_string()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
            .unwrap();
        let attempts: Vec<serde_json::Value> = serde_json::from_str(&attempts).unwrap();
        assert_eq!(attempts.len(), count as usize);
        (due, delivered, attempts.iter().map(|attempt| attempt["status"].as_u64().unwrap()).collect())
    }
}

fn ids(taken: &Taken) -> Vec<DeliveryId> {
    taken.deliveries.iter().map(|due| due.id).collect()
}

/// What an attempt at this time came to; a failed one is due again an hour later.
fn attempted(due: &Due, at: Timestamp, status: u16) -> Attempted {
    let attempt =
        Attempt { at, status: Some(status), duration_ms: 7, error: None, response: Some(String::new()) };
    let due_at = (!attempt.succeeded()).then(|| at.plus_ms(3_600_000));
    Attempted { id: due.id, created_at: due.created_at, attempt_count: due.attempt_count, attempt, due_at }
}

#[test]
fn one_invocation_at_a_time_has_a_webhook_until_its_lease_runs_out() {
    let outbox = Outbox::new();
    let [first, second, ..] = outbox.pending(outbox.webhook, &[NOW.0 - 2, NOW.0 - 1, NOW.0, NOW.0 + 1])[..]
    else {
        unreachable!()
    };
    let a = Take { limit: 2, ..outbox.take("a", NOW) };
    // What has been due longest.
    let taken = outbox.run(&a);
    assert_eq!((ids(&taken), taken.more), (vec![first, second], 0));
    for ms in [0, 1, LEASE_MS - 1] {
        let b = outbox.run(&outbox.take("b", NOW.plus_ms(ms)));
        assert_eq!((ids(&b), b.more), (Vec::new(), 0));
    }
    assert_eq!(outbox.webhook::<String>("lease_id"), "a");
    // It ran out: another takes the same ones, and the first records what it has sent all the same.
    let later = NOW.plus_ms(LEASE_MS);
    let b = outbox.run(&Take { limit: 2, ..outbox.take("b", later) });
    assert_eq!(ids(&b), [first, second]);
    let late = vec![attempted(&taken.deliveries[0], NOW, 204)];
    let a = outbox.run(&Take { attempted: late, ..outbox.take("a", later.plus_ms(1)) });
    assert_eq!(ids(&a), []);
    assert_eq!(outbox.delivery(first), (None, Some(NOW.0 + 7), vec![204]));
    // What the other comes to does not undo it, nor does the lease go to who had it before.
    let results = vec![attempted(&b.deliveries[0], later, 500), attempted(&b.deliveries[1], later, 204)];
    outbox.run(&Take { attempted: results, limit: 0, ..outbox.take("b", later.plus_ms(2)) });
    assert_eq!(outbox.delivery(first), (None, Some(NOW.0 + 7), vec![204]));
    assert_eq!(outbox.delivery(second), (None, Some(later.0 + 7), vec![204]));
    assert_eq!((outbox.webhook::<i64>("leased_until"), outbox.webhook::<i64>("pauses")), (0, 0));
}

#[test]
fn a_recording_whose_answer_was_lost_is_recorded_once() {
    let outbox = Outbox::new();
    let [first, second, third] = outbox.pending(outbox.webhook, &[NOW.0; 3])[..] else { unreachable!() };
    let taken = outbox.run(&Take { limit: 2, ..outbox.take("a", NOW) });
    let results: Vec<_> =
        taken.deliveries.iter().zip([500, 204]).map(|(due, status)| attempted(due, NOW, status)).collect();
    let (failed, delivered) = (results[0].id, results[1].id);
    let record = Take { attempted: results, limit: 2, ..outbox.take("a", NOW.plus_ms(9)) };
    let next = outbox.run(&record);
    let again = outbox.run(&record);
    let left = *[first, second, third].iter().find(|id| ![failed, delivered].contains(id)).unwrap();
    assert_eq!((ids(&next), ids(&again)), (vec![left], vec![left]));
    assert_eq!(outbox.delivery(failed), (Some(NOW.0 + 3_600_000), None, vec![500]));
    assert_eq!(outbox.delivery(delivered), (None, Some(NOW.0 + 7), vec![204]));
    assert_eq!(outbox.delivery(left), (Some(NOW.0), None, vec![]));
}

#[test]
fn a_round_that_failed_whole_pauses_the_webhook_each_time_longer_and_a_delivery_ends_that() {
    let outbox = Outbox::new();
    outbox.pending(outbox.webhook, &[NOW.0; 40]);
    let mut now = NOW;
    for pause in [5_000, 10_000, 20_000, 40_000, 60_000, 60_000, 60_000] {
        let taken = outbox.run(&Take { limit: 2, ..outbox.take("a", now) });
        let results = taken.deliveries.iter().map(|due| attempted(due, now, 500)).collect::<Vec<_>>();
        assert_eq!(results.len(), 2);
        let taken = outbox.run(&Take { attempted: results, ..outbox.take("a", now) });
        assert_eq!((ids(&taken), taken.more, taken.paused_until), (Vec::new(), 1, now.plus_ms(pause)));
        assert_eq!(outbox.webhook::<i64>("leased_until"), 0);
        // Nobody takes anything until it is over, but who is to ignore it.
        let early = outbox.take("b", now.plus_ms(pause - 1));
        assert_eq!(ids(&outbox.run(&early)), []);
        assert_eq!(ids(&outbox.run(&Take { ignores_pause: true, limit: 1, ..early.clone() })).len(), 1);
        outbox.run(&Take { limit: 0, ..early });
        now = now.plus_ms(pause);
    }
    assert_eq!(outbox.webhook::<i64>("failing_since"), NOW.0);
    let taken = outbox.run(&Take { limit: 2, ..outbox.take("a", now) });
    let results = taken.deliveries.iter().zip([500, 204]).map(|(due, status)| attempted(due, now, status));
    let taken = outbox.run(&Take { attempted: results.collect(), ..outbox.take("a", now) });
    assert_eq!((taken.deliveries.len(), taken.paused_until), (10, Timestamp(0)));
    assert_eq!((outbox.webhook::<Option<i64>>("failing_since"), outbox.webhook::<i64>("pauses")), (None, 0));
}

#[test]
fn it_is_switched_off_once_everything_has_failed_for_five_days_by_the_given_time() {
    let outbox = Outbox::new();
    outbox.pending(outbox.webhook, &[NOW.0; 3]);
    let fail = |due_by: Timestamp| {
        let take = Take { due_by, ignores_pause: true, limit: 1, ..outbox.take("a", NOW) };
        let taken = outbox.run(&take);
        let results = vec![attempted(&taken.deliveries[0], due_by, 500)];
        outbox.run(&Take { attempted: results, ..take })
    };
    let end = NOW.plus_seconds(MAX_FAILING_SECONDS);
    assert_eq!(fail(NOW).disabled, 0);
    assert_eq!(fail(Timestamp(end.0 - 1)).disabled, 0);
    let taken = fail(end);
    assert_eq!((taken.disabled, taken.more, ids(&taken)), (1, 0, Vec::new()));
    assert_eq!(outbox.webhook::<i64>("disabled_at"), end.0);
    assert_eq!(outbox.webhook::<String>("disabled_reason"), "Every delivery has failed for 5 days.");
    assert_eq!(outbox.webhook::<i64>("leased_until"), 0);
    // It has deliveries that are due, and gives none.
    let after =
        outbox.run(&Take { due_by: Timestamp(i64::MAX / 4), ignores_pause: true, ..outbox.take("b", NOW) });
    assert_eq!((after.disabled, after.more, ids(&after)), (0, 0, Vec::new()));
}

#[test]
fn due_by_decides_what_is_taken_and_now_decides_about_lease_and_pause() {
    let outbox = Outbox::new();
    let all = outbox.pending(outbox.webhook, &[NOW.0, NOW.0 + 1, NOW.0 + 5_000]);
    assert_eq!(ids(&outbox.run(&outbox.take("a", NOW))), all[..1]);
    assert_eq!(ids(&outbox.run(&Take { due_by: NOW.plus_ms(4_999), ..outbox.take("a", NOW) })), all[..2]);
    assert_eq!(ids(&outbox.run(&Take { due_by: NOW.plus_ms(5_000), ..outbox.take("a", NOW) })), all);
    assert_eq!(ids(&outbox.run(&Take { due_by: NOW.plus_ms(5_000), ..outbox.take("b", NOW) })), []);
    let none = Take { webhook_id: sqlite_webhook_id(), ..outbox.take("a", NOW) };
    assert!(run_system(&outbox.conn, &none).unwrap().is_none());
}

/// An id that no webhook has.
fn sqlite_webhook_id() -> WebhookId {
    WebhookId::parse(&sqlite::unused_upload_id().to_string()).unwrap()
}

#[test]
fn whose_turn_it_is_begins_anywhere_and_leaves_out_who_is_off_or_served() {
    let outbox = Outbox::new();
    let make = || sqlite::webhook(&outbox.conn, outbox.org, outbox.admin, &[EventType::AssetCreated]);
    let mut due: Vec<_> = (0..7).map(|_| make()).collect();
    due.sort_by_key(WebhookId::to_string);
    due.iter().for_each(|id| drop(outbox.pending(*id, &[NOW.0, NOW.0 - 5, NOW.0 + 9])));
    let [later, off, served, idle] = [(); 4].map(|()| make());
    for (id, at) in [(later, NOW.0 + 1), (off, NOW.0), (served, NOW.0)] {
        outbox.pending(id, &[at]);
    }
    let _delivered = sqlite::delivery(&outbox.conn, outbox.org, idle);
    let change = |id: WebhookId, set: &str| {
        assert_eq!(outbox.conn.execute(&format!("UPDATE webhooks SET {set} WHERE id = '{id}'"), []), Ok(1));
    };
    change(off, "disabled_at = 1");
    change(served, &format!("leased_until = {}", NOW.0 + 1));
    let find = |from: WebhookId, limit: u32, now: Timestamp| {
        run_system(&outbox.conn, &DueWebhooks { now, due_by: now, from, limit }).unwrap()
    };
    for (n, from) in due.iter().enumerate() {
        // From there on, and then from the beginning.
        let mut expected = due.clone();
        expected.rotate_left(n);
        assert_eq!(find(*from, 100, NOW), expected);
        assert_eq!(find(*from, 3, NOW), expected[..3]);
    }
    let first_of_each: BTreeSet<_> = due.iter().map(|from| find(*from, 1, NOW)[0].to_string()).collect();
    assert_eq!(first_of_each.len(), due.len());
    let [lowest, highest] = ["00000000-0000-7000-8000-000000000000", "ffffffff-ffff-7fff-bfff-ffffffffffff"];
    for from in [lowest, highest] {
        assert_eq!(find(WebhookId::parse(from).unwrap(), 100, NOW), due);
    }
    let after: BTreeSet<_> = find(due[0], 100, NOW.plus_ms(1)).iter().map(WebhookId::to_string).collect();
    let expected = due.iter().chain([&later, &served]).map(WebhookId::to_string).collect();
    assert_eq!(after, expected);
}

/// The deliveries of one webhook alone are read, of those the ones that are due, in the order in which they are sent; and
/// of all webhooks with pending ones, one entry of the index each.
#[test]
fn deliveries_are_found_by_their_webhook() {
    let outbox = Outbox::new();
    outbox.pending(outbox.webhook, &[NOW.0]);
    let plan = |statement: &Statement| {
        let mut explain = outbox.conn.prepare(&format!("EXPLAIN QUERY PLAN {}", statement.sql)).unwrap();
        let values = params_from_iter(statement.params.iter().map(sqlite::bound));
        let steps =
            explain.query_map(values, |row| row.get::<_, String>("detail")).unwrap().map(Result::unwrap);
        // What makes rows, and what sorts them.
        steps
            .filter(|step| ["SEARCH", "SCAN", "USE"].iter().any(|word| step.starts_with(word)))
            .collect::<Vec<_>>()
    };
    let taken = outbox.run(&outbox.take("a", NOW));
    let record = Take { attempted: vec![attempted(&taken.deliveries[0], NOW, 204)], ..outbox.take("a", NOW) };
    let [record, health, lease, read] = &record.statements()[..] else { unreachable!() };
    let by_id = |table| format!("SEARCH {table} USING PRIMARY KEY (id=?)");
    let due = "SEARCH d USING COVERING INDEX webhook_deliveries_due (webhook_id=? AND due_at<?)";
    let of_record = "SEARCH webhook_deliveries USING PRIMARY KEY (webhook_id=? AND created_at=? AND id=?)";
    assert_eq!(plan(record), ["SCAN j VIRTUAL TABLE INDEX 1:", "SCAN a", of_record]);
    assert_eq!(plan(health), [by_id("webhooks")]);
    assert_eq!(plan(lease), [by_id("webhooks").as_str(), due]);
    // Found in their order, and no more than are sent.
    let sent = due.replace("COVERING ", "");
    assert_eq!(plan(read), [&by_id("w"), due, &sent, "SCAN d"]);
    let find = DueWebhooks { now: NOW, due_by: NOW, from: outbox.webhook, limit: 100 };
    let next = |range| format!("SEARCH d USING COVERING INDEX webhook_deliveries_due ({range})");
    let mut searches = plan(&find.statements()[0]);
    searches.retain(|step| step.starts_with("SEARCH d USING"));
    let ranges = ["webhook_id>?", "webhook_id>?", "webhook_id<?", "webhook_id>? AND webhook_id<?"];
    assert_eq!(searches, ranges.map(next));
}

#[test]
fn retries_come_later_each_time_and_up_to_a_fifth_at_random() {
    let seconds = [5, 60, 300, 1_800, 7_200, 21_600, 43_200, 86_400];
    for (attempts, delay) in (1..).zip(seconds) {
        let ms = delay * 1_000;
        assert_eq!(retry_delay_ms(attempts, 0), Some(ms));
        assert_eq!(retry_delay_ms(attempts, u16::MAX), Some(ms + ms / 5));
        let all = (0..=u16::MAX).map(|random| retry_delay_ms(attempts, random).unwrap());
        assert!(all.is_sorted(), "{attempts}");
    }
    assert_eq!([0, 9, 10, u32::MAX].map(|attempts| retry_delay_ms(attempts, 0)), [None; 4]);
}
