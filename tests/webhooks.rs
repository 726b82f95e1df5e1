//! Webhooks through the API, natively: making, listing, reading, changing and removing them.

use asset_uploads::domain::ids::{OrganizationId, WebhookId};
use asset_uploads::domain::timestamp::Timestamp;
use asset_uploads::domain::webhook::EventType;
use asset_uploads::log::to_json;
use serde_json::{Value, json};

use crate::platform::client::{TestAnswer, TestRequest};
use crate::platform::fixtures::Api;
use crate::platform::webhooks::{later, make, send, take_secret, time};
use crate::sqlite::{self, CREATED_AT, Key, NOW, contents};

/// The webhook of the fixture as it is shown.
fn first_webhook(api: &Api) -> Value {
    json!({
        "id": api.webhook, "org_id": api.org, "url": format!("https://hooks.example.com/{}", api.webhook),
        "event_types": ["upload.expired"], "description": null, "disabled": false, "disabled_at": null,
        "disabled_reason": null, "failing_since": null, "created_by": api.admin,
        "created_at": time(Timestamp(CREATED_AT)), "updated_at": time(Timestamp(CREATED_AT)),
    })
}

#[test]
fn a_webhook_is_made_and_its_secret_is_shown_this_once() {
    let api = Api::new(&[]);
    let body = json!({
        "url": "https://Hooks.Example.com:8443/a?b=c%20d",
        "event_types": ["upload.expired", "asset.created"],
        "description": "Search index — ü",
    });
    let answer = make(&api, &body);
    let (webhook, secret) = take_secret(&answer);
    let id = webhook["id"].as_str().unwrap().to_owned();
    let expected = json!({
        "id": id, "org_id": api.org, "url": body["url"], "event_types": ["asset.created", "upload.expired"],
        "description": body["description"], "disabled": false, "disabled_at": null, "disabled_reason": null,
        "failing_since": null, "created_by": api.admin, "created_at": time(NOW), "updated_at": time(NOW),
    });
    assert_eq!((answer.status, &webhook), (201, &expected));
    assert_eq!(answer.header("location"), Some(&*format!("/v1/webhooks/{id}")));
    assert!(answer.due_webhooks.is_empty());
    // 32 bytes in base64.
    assert_eq!((secret.strip_prefix("whsec_").unwrap().len(), &secret[49..]), (44, "="));

    // It is nowhere else.
    let read = send(&api, "GET", &format!("/v1/webhooks/{id}"), None);
    assert_eq!((read.status, read.body()), (200, &expected));
    let list = send(&api, "GET", "/v1/webhooks", None);
    let items = json!([expected, first_webhook(&api)]);
    assert_eq!((list.status, list.body()), (200, &json!({"items": items, "next_pq": null, "prev_pq": null})));
    let part = &secret[6..];
    assert!(!format!("{:?}", contents(&api.platform.conn)).contains(part));
    assert!(!to_json(&answer.log).contains(part));

    // A repeat makes another one, with another secret.
    let (again, other_secret) = take_secret(&make(&api, &body));
    assert_ne!(again["id"], json!(id));
    assert_ne!(other_secret, secret);
}

#[test]
fn a_webhook_is_changed_field_by_field() {
    let api = Api::new(&[]);
    let path = format!("/v1/webhooks/{}", api.webhook);
    let mut expected = first_webhook(&api);
    let mut change = |body: Value, changed: Value| {
        let now = later(&api, 1_000);
        expected["updated_at"] = time(now);
        for (name, value) in changed.as_object().unwrap() {
            expected[name] = if value == "now" { time(now) } else { value.clone() };
        }
        let answer = send(&api, "PATCH", &path, Some(&body));
        assert_eq!((answer.status, answer.body()), (200, &expected), "{body}");
        // Once more: nothing changes.
        later(&api, 1_000);
        let before = contents(&api.platform.conn);
        let answer = send(&api, "PATCH", &path, Some(&body));
        assert_eq!((answer.status, answer.body()), (200, &expected), "{body}");
        assert_eq!(contents(&api.platform.conn), before, "{body}");
        assert_eq!(send(&api, "GET", &path, None).body(), &expected);
    };
    change(json!({"url": "https://b.example.com"}), json!({"url": "https://b.example.com"}));
    let types = json!(["asset.created", "asset.purged"]);
    change(json!({"event_types": ["asset.purged", "asset.created"]}), json!({"event_types": types}));
    change(json!({"description": "b"}), json!({"description": "b"}));
    change(json!({"description": null}), json!({"description": null}));
    change(json!({"disabled": true}), json!({"disabled": true, "disabled_at": "now"}));
    change(
        json!({"url": "https://c.example.com", "event_types": ["asset.created"], "description": "c", "disabled": false}),
        json!({"url": "https://c.example.com", "event_types": ["asset.created"], "description": "c", "disabled": false, "disabled_at": null}),
    );
}

#[test]
fn one_that_was_disabled_for_failing_begins_anew() {
    let api = Api::new(&[]);
    let sql = "UPDATE webhooks SET disabled_at = 7, disabled_reason = 'gone', failing_since = 5, pauses = 3, paused_until = 9e12";
    assert_eq!(api.platform.conn.execute(sql, []), Ok(1));
    let path = format!("/v1/webhooks/{}", api.webhook);
    let read = send(&api, "GET", &path, None);
    let mut expected = first_webhook(&api);
    expected["disabled"] = json!(true);
    expected["disabled_at"] = time(Timestamp(7));
    expected["disabled_reason"] = json!("gone");
    expected["failing_since"] = time(Timestamp(5));
    assert_eq!(read.body(), &expected);
    // That it is off is no change; why and since when stays.
    assert_eq!(send(&api, "PATCH", &path, Some(&json!({"disabled": true}))).body(), &expected);
    let mut on = first_webhook(&api);
    on["updated_at"] = time(NOW);
    assert_eq!(send(&api, "PATCH", &path, Some(&json!({"disabled": false}))).body(), &on);
    let paused = "SELECT paused_until + pauses FROM webhooks";
    assert_eq!(api.platform.conn.query_row(paused, [], |row| row.get::<_, i64>(0)), Ok(0));
}

#[test]
fn reading_takes_no_parameters() {
    let api = Api::new(&[]);
    for (method, path, _) in of_webhook(&api, api.webhook).into_iter().filter(|(method, ..)| *method == "GET")
    {
        assert_eq!(send(&api, method, &path, None).status, 200, "{path}");
        let answer = send(&api, method, &format!("{path}?x=1"), None);
        assert_eq!((answer.code(), answer.locations()), ("VALIDATION_ERROR", vec!["query x".to_owned()]));
    }
}

/// Paths of every endpoint of one webhook, with a valid body.
fn of_webhook(api: &Api, id: WebhookId) -> [(&'static str, String, Option<Value>); 8] {
    let path = format!("/v1/webhooks/{id}");
    let delivery = format!("{path}/deliveries/{}", api.delivery);
    [
        ("GET", path.clone(), None),
        ("PATCH", path.clone(), Some(json!({"disabled": true}))),
        ("DELETE", path.clone(), None),
        ("POST", format!("{path}/secret-rotations"), None),
        ("POST", format!("{path}/tests"), None),
        ("GET", format!("{path}/deliveries"), None),
        ("GET", delivery.clone(), None),
        ("POST", format!("{delivery}/redeliveries"), None),
    ]
}

fn is_unknown(answer: TestAnswer) {
    let message = "There is no such webhook in this organization.";
    let expected = json!({"code": "WEBHOOK_NOT_FOUND", "message": message, "errors": null});
    assert_eq!((answer.status, answer.json), (404, Some(expected)));
}

#[test]
fn anothers_webhook_is_as_unknown_as_none() {
    let api = Api::new(&[]);
    let conn = &api.platform.conn;
    let other: OrganizationId = sqlite::organization(conn);
    let theirs = sqlite::user(conn, "Otto");
    sqlite::add_member(conn, &theirs, other, Some("owner"));
    let foreign = sqlite::webhook(conn, other, theirs.id, &[EventType::AssetCreated]);
    sqlite::delivery(conn, other, foreign);
    let before = contents(conn);
    for id in [foreign, WebhookId::v7(1, &[0; 10])] {
        for (method, path, body) in of_webhook(&api, id) {
            is_unknown(send(&api, method, &path, body.as_ref()));
        }
    }
    assert_eq!(contents(conn), before);
    // To whom it belongs, the other way around.
    let token = sqlite::give_token(conn, &theirs, Key::default());
    let answer = api.send(&TestRequest::new("GET", "/v1/webhooks").token(&token));
    let ids: Vec<_> = answer.body()["items"].as_array().unwrap().iter().map(|item| &item["id"]).collect();
    assert_eq!(ids, [&json!(foreign)]);
}

#[test]
fn a_removal_can_be_repeated_and_nothing_else() {
    let api = Api::new(&[]);
    let path = format!("/v1/webhooks/{}", api.webhook);
    let answer = send(&api, "DELETE", &path, None);
    assert_eq!((answer.status, &answer.json), (204, &None));
    later(&api, 1_000);
    let before = contents(&api.platform.conn);
    assert_eq!(send(&api, "DELETE", &path, None).status, 204);
    for (method, path, body) in of_webhook(&api, api.webhook) {
        if method != "DELETE" {
            is_unknown(send(&api, method, &path, body.as_ref()));
        }
    }
    assert_eq!(contents(&api.platform.conn), before);
    let list = send(&api, "GET", "/v1/webhooks", None);
    assert_eq!(list.body(), &json!({"items": [], "next_pq": null, "prev_pq": null}));
}

#[test]
fn the_event_types() {
    let api = Api::new(&[]);
    let items =
        EventType::ALL.map(|event| json!({"type": event.as_str(), "description": event.description()}));
    assert_eq!(send(&api, "GET", "/v1/webhooks/event-types", None).body(), &json!({"items": items}));
}
