//! Deliveries through the API, natively: a webhook's history, tests of it, and events that are delivered once more.
//! Nothing is sent here.

use asset_uploads::domain::ids::{DeliveryId, WebhookId};
use asset_uploads::domain::timestamp::Timestamp;
use asset_uploads::domain::webhook::EventType;
use asset_uploads::store::deliveries::{Redeliver, Test};
use asset_uploads::store::rights::{Access, Caller, Permission};
use asset_uploads::token::TokenHash;
use serde_json::{Value, json};

use crate::platform::client::{TestAnswer, TestRequest};
use crate::platform::fixtures::Api;
use crate::platform::webhooks::{self, later, time};
use crate::sqlite::{self, NOW, contents};

/// As an admin of the organization, without a body.
fn send(api: &Api, method: &str, path: &str) -> TestAnswer {
    webhooks::send(api, method, path, None)
}

fn path_of(webhook: WebhookId) -> String {
    format!("/v1/webhooks/{webhook}")
}

/// A test event of the fixture's webhook, not yet tried.
fn pending(api: &Api, id: &Value, event_id: &Value, event_at: Timestamp, created_at: Timestamp) -> Value {
    json!({
        "id": id, "webhook_id": api.webhook, "event_id": event_id, "event_type": "webhook.test",
        "event_timestamp": time(event_at), "state": "pending", "created_at": time(created_at),
        "next_attempt_at": time(created_at), "delivered_at": null, "attempts": [],
    })
}

/// The delivery of the fixture: given up at once.
fn failed(api: &Api) -> Value {
    let id = json!(api.delivery);
    let mut delivery = pending(api, &id, &id, NOW, NOW);
    delivery["state"] = json!("failed");
    delivery["next_attempt_at"] = Value::Null;
    delivery
}

/// With the event, of the type `webhook.test`.
fn with_event(api: &Api, mut delivery: Value) -> Value {
    delivery["event"] = json!({
        "id": delivery["event_id"], "type": "webhook.test", "timestamp": delivery["event_timestamp"],
        "organization_id": api.org, "data": {"webhook_id": api.webhook},
    });
    delivery
}

/// The answer is this new delivery, which is found where it says, and is told of after the answer.
fn expect_accepted(api: &Api, answer: &TestAnswer, expected: &Value) {
    assert_eq!((answer.status, answer.body()), (202, expected));
    let location = format!("{}/deliveries/{}", path_of(api.webhook), expected["id"].as_str().unwrap());
    assert_eq!(answer.header("location"), Some(&*location));
    assert_eq!(answer.due_webhooks, [api.webhook]);
    let read = send(api, "GET", &location);
    assert_eq!((read.status, read.body()), (200, &with_event(api, expected.clone())));
    assert!(read.due_webhooks.is_empty());
}

fn caller(api: &Api, now: Timestamp) -> Caller {
    let permission = Permission::WebhooksManage;
    let access = Access { permission, scopes: permission.scopes(), writes: true };
    let token = TokenHash::of(&api.admin_token).unwrap();
    Caller { token, organization: None, now, access, ignores_expiry: false }
}

fn count(api: &Api) -> i64 {
    let sql = "SELECT count(*) FROM webhook_deliveries";
    api.platform.conn.query_row(sql, [], |row| row.get(0)).unwrap()
}

#[test]
fn a_test_is_a_delivery_of_its_own() {
    let api = Api::new(&[]);
    let now = later(&api, 5);
    for _ in 0..2 {
        let answer = send(&api, "POST", &format!("{}/tests", path_of(api.webhook)));
        let id = answer.body()["id"].clone();
        expect_accepted(&api, &answer, &pending(&api, &id, &id, now, now));
    }
    assert_eq!(count(&api), 3);
    // A repeat of the same transaction, whose answer was lost, adds nothing.
    let id = DeliveryId::v7(now.unix_ms(), &[7; 10]);
    let test = Test { caller: caller(&api, now), webhook_id: api.webhook, id };
    let [one, two] = [(); 2].map(|()| sqlite::run(&api.platform.conn, &test).unwrap());
    assert_eq!((one.id, &one), (id, &two));
    assert_eq!(count(&api), 4);
}

#[test]
fn a_redelivery_is_the_same_event_in_another_delivery() {
    let api = Api::new(&[]);
    let path = format!("{}/deliveries/{}", path_of(api.webhook), api.delivery);
    let read = send(&api, "GET", &path);
    assert_eq!((read.status, read.body()), (200, &with_event(&api, failed(&api))));

    let now = later(&api, 86_400_000);
    let answer = send(&api, "POST", &format!("{path}/redeliveries"));
    let id = answer.body()["id"].clone();
    let first = json!(api.delivery);
    assert_ne!(id, first);
    expect_accepted(&api, &answer, &pending(&api, &id, &first, NOW, now));
    // Of that one, too; and the first is as it was.
    let now = later(&api, 1);
    let again = send(&api, "POST", &format!("{}/redeliveries", answer.header("location").unwrap()));
    expect_accepted(&api, &again, &pending(&api, &again.body()["id"], &first, NOW, now));
    assert_eq!(send(&api, "GET", &path).body(), &with_event(&api, failed(&api)));

    let new_id = DeliveryId::v7(now.unix_ms(), &[7; 10]);
    let redeliver =
        Redeliver { caller: caller(&api, now), webhook_id: api.webhook, id: api.delivery, new_id };
    let [one, two] = [(); 2].map(|()| sqlite::run(&api.platform.conn, &redeliver).unwrap());
    assert_eq!((one.id, &one), (new_id, &two));
    assert_eq!(count(&api), 4);
}

#[test]
fn for_a_webhook_that_is_off_they_wait_until_it_is_on() {
    let api = Api::new(&[]);
    let path = path_of(api.webhook);
    let switch = |disabled: bool| {
        let body = json!({"disabled": disabled}).to_string();
        api.send(&TestRequest::new("PATCH", &path).token(&api.admin_token).json(&body)).due_webhooks
    };
    assert!(switch(true).is_empty());
    for path in [format!("{path}/tests"), format!("{path}/deliveries/{}/redeliveries", api.delivery)] {
        let answer = send(&api, "POST", &path);
        assert_eq!((answer.status, &answer.body()["state"]), (202, &json!("pending")), "{path}");
        assert!(answer.due_webhooks.is_empty(), "{path}");
    }
    assert_eq!(switch(false), [api.webhook]);
}

/// Whoever asks for a delivery wants to see it tried, not after a pause.
#[test]
fn what_is_asked_for_ends_the_webhooks_pause() {
    for path in ["tests".to_owned(), "deliveries/DELIVERY/redeliveries".to_owned()] {
        let api = Api::new(&[]);
        let sql = "UPDATE webhooks SET paused_until = ?1, pauses = 3";
        assert_eq!(api.platform.conn.execute(sql, [NOW.0 + 40_000]), Ok(1));
        let path = path.replace("DELIVERY", &api.delivery.to_string());
        let answer = send(&api, "POST", &format!("{}/{path}", path_of(api.webhook)));
        assert_eq!((answer.status, answer.due_webhooks), (202, vec![api.webhook]));
        let pause = "SELECT paused_until, pauses FROM webhooks";
        let pause: (i64, i64) =
            api.platform.conn.query_row(pause, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        assert_eq!(pause, (0, 3));
    }
}

#[test]
fn an_unknown_delivery_and_one_of_another_webhook() {
    let api = Api::new(&[]);
    let conn = &api.platform.conn;
    let second = sqlite::webhook(conn, api.org, api.admin, &[EventType::AssetPurged]);
    let of_second = sqlite::delivery(conn, api.org, second);
    let before = contents(conn);
    for (webhook, delivery) in
        [(api.webhook, of_second), (second, api.delivery), (api.webhook, DeliveryId::v7(1, &[0; 10]))]
    {
        let path = format!("{}/deliveries/{delivery}", path_of(webhook));
        for (method, path) in [("GET", path.clone()), ("POST", format!("{path}/redeliveries"))] {
            let answer = send(&api, method, &path);
            let message = "This webhook has no such delivery; deliveries are kept for 30 days.";
            let expected = json!({"code": "WEBHOOK_DELIVERY_NOT_FOUND", "message": message, "errors": null});
            assert_eq!((answer.status, answer.json), (404, Some(expected)), "{method} {path}");
        }
    }
    for path in ["/v1/webhooks/x/deliveries/y", "/v1/webhooks/x/deliveries/y/redeliveries"] {
        let method = if path.ends_with('y') { "GET" } else { "POST" };
        let answer = send(&api, method, path);
        assert_eq!(answer.locations(), ["path webhook_id", "path delivery_id"], "{path}");
    }
    assert_eq!(contents(conn), before);
}

#[test]
fn how_a_delivery_stands_and_what_was_tried() {
    let api = Api::new(&[]);
    let attempts = json!([
        {"at": NOW.0 + 1, "status": 500, "duration_ms": 7, "error": null, "response": "no"},
        {"at": NOW.0 + 2, "status": null, "duration_ms": 10_000, "error": "timed out", "response": null},
    ]);
    let mut expected = failed(&api);
    expected["attempts"] = attempts.clone();
    for (n, attempt) in expected["attempts"].as_array_mut().unwrap().iter_mut().enumerate() {
        attempt["at"] = time(NOW.plus_ms(n as u64 + 1));
    }
    for (due_at, delivered_at, state) in [
        (None, None, "failed"),
        (Some(NOW.plus_ms(9)), None, "pending"),
        (None, Some(NOW.plus_ms(9)), "delivered"),
    ] {
        let sql = "UPDATE webhook_deliveries SET attempts = ?1, due_at = ?2, delivered_at = ?3";
        let times = [due_at, delivered_at].map(|time| time.map(|time| time.0));
        api.platform.conn.execute(sql, (attempts.to_string(), times[0], times[1])).unwrap();
        expected["state"] = json!(state);
        expected["next_attempt_at"] = due_at.map_or(Value::Null, time);
        expected["delivered_at"] = delivered_at.map_or(Value::Null, time);
        let path = format!("{}/deliveries", path_of(api.webhook));
        let list = send(&api, "GET", &path);
        assert_eq!(list.body(), &json!({"items": [expected], "next_pq": null, "prev_pq": null}));
        let read = send(&api, "GET", &format!("{path}/{}", api.delivery));
        assert_eq!(read.body(), &with_event(&api, expected.clone()));
    }
}

/// The ids of a page, and its cursors.
fn page(api: &Api, webhook: WebhookId, query: &str) -> (Vec<Value>, [Option<String>; 2]) {
    let answer = send(api, "GET", &format!("{}/deliveries?{query}", path_of(webhook)));
    let body = answer.body();
    let ids = body["items"].as_array().unwrap().iter().map(|item| item["id"].clone()).collect();
    (ids, ["next_pq", "prev_pq"].map(|name| body[name].as_str().map(str::to_owned)))
}

#[test]
fn the_history_has_pages_and_cursors_bound_to_the_webhook() {
    let api = Api::new(&[]);
    let second = sqlite::webhook(&api.platform.conn, api.org, api.admin, &[EventType::AssetPurged]);
    let of_second = json!(sqlite::delivery(&api.platform.conn, api.org, second));
    // Two of them at the same time.
    let mut ids = vec![json!(api.delivery)];
    for ms in [1, 1, 0, 1] {
        later(&api, ms);
        let answer = send(&api, "POST", &format!("{}/tests", path_of(api.webhook)));
        ids.push(answer.body()["id"].clone());
    }
    if ids[2].as_str() > ids[3].as_str() {
        ids.swap(2, 3);
    }
    ids.reverse();
    assert_eq!(page(&api, api.webhook, ""), (ids.clone(), [None, None]));
    let ascending: Vec<Value> = ids.iter().rev().cloned().collect();
    assert_eq!(page(&api, api.webhook, "sort_by=created_at:asc").0, ascending);
    assert_eq!(page(&api, second, ""), (vec![of_second], [None, None]));

    let (first, [next, prev]) = page(&api, api.webhook, "limit=2");
    assert_eq!((&first[..], prev), (&ids[..2], None));
    let next = next.unwrap();
    let (middle, [after, before]) = page(&api, api.webhook, &format!("limit=2&pq={next}"));
    assert_eq!(middle, ids[2..4]);
    let (last, [end, _]) = page(&api, api.webhook, &format!("limit=2&pq={}", after.unwrap()));
    assert_eq!((&last[..], end), (&ids[4..], None));
    let back = format!("limit=2&from_prev=true&pq={}", before.unwrap());
    assert_eq!(page(&api, api.webhook, &back).0, ids[..2]);
    // The id may be written in upper case.
    let upper =
        format!("/v1/webhooks/{}/deliveries?limit=2&pq={next}", api.webhook.to_string().to_ascii_uppercase());
    assert_eq!(send(&api, "GET", &upper).body()["items"][0]["id"], ids[2]);

    for path in [
        format!("{}/deliveries?pq={next}", path_of(second)),
        format!("{}/deliveries?sort_by=created_at:asc&pq={next}", path_of(api.webhook)),
        format!("/v1/webhooks?pq={next}"),
    ] {
        let answer = send(&api, "GET", &path);
        assert_eq!((answer.status, answer.locations()), (422, vec!["query pq".to_owned()]), "{path}");
    }
    let fields =
        send(&api, "GET", &format!("{}/deliveries?limit=1&fields=state,event_id", path_of(api.webhook)));
    assert_eq!(fields.body()["items"], json!([{"event_id": ids[0], "state": "pending"}]));
    assert_eq!(
        send(&api, "GET", &format!("{}/deliveries?sort_by=name:asc", path_of(api.webhook))).locations(),
        ["query sort_by"]
    );
}
