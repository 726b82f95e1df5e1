//! Webhooks through the API, natively: making, listing, reading, changing and removing them, and their secrets.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "test code may panic")]

mod bucket;
mod platform;
mod requests;
mod sqlite;

use asset_uploads::api::descriptions;
use asset_uploads::domain::ids::{OrganizationId, RequestId, WebhookId};
use asset_uploads::domain::timestamp::Timestamp;
use asset_uploads::domain::webhook::EventType;
use asset_uploads::log::to_json;
use asset_uploads::store::rights::{Access, Caller, Permission};
use asset_uploads::store::webhooks::Rotate;
use asset_uploads::token::TokenHash;
use platform::client::{TestAnswer, TestRequest};
use platform::fixtures::Api;
use serde_json::{Value, json};
use sqlite::{CREATED_AT, Key, NOW, contents};

/// As an admin of the organization.
fn send(api: &Api, method: &str, path: &str, body: Option<&Value>) -> TestAnswer {
    let request = TestRequest::new(method, path).token(&api.admin_token);
    api.send(&body.map_or_else(|| request.clone(), |body| request.clone().json(&body.to_string())))
}

fn make(api: &Api, body: &Value) -> TestAnswer {
    send(api, "POST", "/v1/webhooks", Some(body))
}

fn some_webhook() -> Value {
    json!({"url": "https://hooks.example.com/a", "event_types": ["asset.created"]})
}

fn time(time: Timestamp) -> Value {
    json!(time.to_rfc3339().unwrap())
}

fn later(api: &Api, ms: u64) -> Timestamp {
    api.platform.clock.set(api.platform.clock.get().plus_ms(ms));
    api.platform.clock.get()
}

/// The secret of an answer, which is taken out of it.
fn take_secret(answer: &TestAnswer) -> (Value, String) {
    let mut webhook = answer.body().clone();
    let secret = webhook.as_object_mut().unwrap().remove("secret").unwrap();
    (webhook, secret.as_str().unwrap().to_owned())
}

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
fn a_secret_depends_on_the_workers_own() {
    let [one, two] = ["one", "two"].map(|key| {
        let api = Api::new(&[("WEBHOOK_SIGNING_KEY", key)]);
        take_secret(&make(&api, &some_webhook()))
    });
    assert_ne!(one.1, two.1);
}

#[test]
fn every_wrong_field_is_named() {
    const URL: &str = "Must be an absolute https URL of at most 2000 characters, in ASCII, without credentials and fragment.";
    const TYPES: &str = "Each must be one of asset.created, asset.updated, asset.deleted, asset.restored, asset.purged, upload.rejected, upload.expired.";
    const COUNT: &str = "Must be a list of 1 to 7 entries.";
    const DESCRIPTION: &str = "Must be null, or a string of 1 to 500 characters, without control characters.";
    let api = Api::new(&[("WEBHOOK_INSECURE_HOSTS", "localhost:9000")]);
    let id = api.webhook;
    let before = contents(&api.platform.conn);
    let wrong = |field: &str, value: Value, kind: &str, msg: &str| {
        let error = json!({"loc": ["body", field], "msg": msg, "type": kind});
        let mut body = some_webhook();
        body[field] = value.clone();
        for answer in [
            make(&api, &body),
            send(&api, "PATCH", &format!("/v1/webhooks/{id}"), Some(&json!({field: value}))),
        ] {
            assert_eq!((answer.status, answer.code()), (422, "VALIDATION_ERROR"), "{body}");
            assert_eq!(answer.json.unwrap()["errors"], json!([error]), "{body}");
        }
    };
    let long = format!("https://hooks.example.com/{}", "a".repeat(2000 - 25));
    for (url, msg) in [
        ("", URL),
        ("hooks.example.com", URL),
        ("https://user@hooks.example.com/", URL),
        ("https://hooks.example.com/#a", URL),
        ("https://hooks.exämple.com/", URL),
        (&long, URL),
        ("http://hooks.example.com/", "Must be an https URL."),
        ("ftp://hooks.example.com/", "Must be an https URL."),
        ("http://localhost:9001/", "Must be an https URL."),
        (
            "https://localhost/",
            "Must have a public host name, in ASCII (punycode); no address and no local name.",
        ),
        (
            "https://10.0.0.1/",
            "Must have a public host name, in ASCII (punycode); no address and no local name.",
        ),
        ("https://hooks.example.com:80/", "Must have port 443, or one above 1023."),
    ] {
        wrong("url", json!(url), "webhook_url", msg);
    }
    for value in [json!(null), json!(1), json!(["https://hooks.example.com/"])] {
        wrong("url", value, "string_type", "Must be a string holding an https URL.");
    }
    for value in [json!(null), json!("asset.created"), json!([]), json!(vec!["asset.created"; 8])] {
        wrong("event_types", value, "list_type", COUNT);
    }
    for value in
        [json!(["asset.made"]), json!(["asset.*"]), json!(["webhook.test"]), json!([1]), json!([null])]
    {
        wrong("event_types", value, "enum", TYPES);
    }
    wrong(
        "event_types",
        json!(["asset.created", "asset.created"]),
        "duplicate",
        "Name each event type once.",
    );
    for value in ["", "a\nb", "\u{7f}", &"ü".repeat(501)] {
        wrong("description", json!(value), "description", DESCRIPTION);
    }
    wrong("description", json!(1), "string_type", DESCRIPTION);

    let path = format!("/v1/webhooks/{id}");
    for (method, path, body, locations) in [
        ("POST", "/v1/webhooks", json!({}), &["body url", "body event_types"][..]),
        (
            "POST",
            "/v1/webhooks",
            json!({"url": 1, "event_types": 1, "secret": 1}),
            &["body url", "body event_types", "body secret"],
        ),
        ("PATCH", &path, json!({}), &["body"]),
        ("PATCH", &path, json!({"disabled": null}), &["body disabled"]),
        ("PATCH", &path, json!({"disabled": 1, "id": "x"}), &["body disabled", "body id"]),
        ("PATCH", "/v1/webhooks/x", json!({"disabled": "true"}), &["body disabled", "path webhook_id"]),
    ] {
        let answer = send(&api, method, path, Some(&body));
        let mut found = answer.locations();
        let mut expected = locations.to_vec();
        (found.sort(), expected.sort_unstable());
        assert_eq!(
            (answer.code(), found),
            ("VALIDATION_ERROR", expected.iter().map(|&one| one.to_owned()).collect()),
            "{body}"
        );
    }
    assert_eq!(contents(&api.platform.conn), before);

    // Just within the limits.
    let longest = &long[..2000];
    let event_types = EventType::ALL.map(EventType::as_str);
    let body = json!({"url": longest, "event_types": event_types, "description": "ü".repeat(500)});
    assert_eq!(make(&api, &body).status, 201);
    let local =
        json!({"url": "http://localhost:9000/", "event_types": ["asset.created"], "description": null});
    assert_eq!(make(&api, &local).status, 201);
}

#[test]
fn an_organization_has_at_most_20_webhooks() {
    let api = Api::new(&[]);
    for _ in 1..20 {
        assert_eq!(make(&api, &some_webhook()).status, 201);
    }
    let before = contents(&api.platform.conn);
    let answer = make(&api, &some_webhook());
    let message = "An organization has at most 20 webhooks; remove one, or let one receive more event types.";
    let expected = json!({"code": "WEBHOOK_LIMIT_REACHED", "message": message, "errors": null});
    assert_eq!((answer.status, answer.json), (409, Some(expected)));
    assert_eq!(contents(&api.platform.conn), before);
    // One that is switched off counts; one that was removed does not.
    let path = format!("/v1/webhooks/{}", api.webhook);
    assert_eq!(send(&api, "PATCH", &path, Some(&json!({"disabled": true}))).status, 200);
    assert_eq!(make(&api, &some_webhook()).status, 409);
    assert_eq!(send(&api, "DELETE", &path, None).status, 204);
    assert_eq!(make(&api, &some_webhook()).status, 201);
    assert_eq!(make(&api, &some_webhook()).status, 409);
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
    for (method, path, _) in of_webhook(&api, api.webhook).into_iter().filter(|(method, ..)| *method == "GET") {
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
fn a_rotation_gives_another_secret_and_keeps_the_earlier_ones_for_a_day() {
    let api = Api::new(&[]);
    let (mut expected, first) = take_secret(&make(&api, &some_webhook()));
    let id = expected["id"].as_str().unwrap().to_owned();
    let conn = &api.platform.conn;
    let stored = || -> (u32, Value) {
        let sql = "SELECT secret_version, earlier_secrets FROM webhooks WHERE id = ?1";
        let text = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get::<_, String>(1)?));
        let (version, earlier) = conn.query_row(sql, [&id], text).unwrap();
        (version, serde_json::from_str(&earlier).unwrap())
    };
    let mut secrets = vec![first];
    let mut rotate = |ms| {
        expected["updated_at"] = time(later(&api, ms));
        let answer = send(&api, "POST", &format!("/v1/webhooks/{id}/secret-rotations"), None);
        let (webhook, secret) = take_secret(&answer);
        assert_eq!((answer.status, &webhook), (201, &expected));
        assert!(!secrets.contains(&secret));
        secrets.push(secret);
        NOW.0 + i64::try_from(secrets.len()).unwrap() - 1
    };
    let day = 86_400_000;
    assert_eq!(rotate(1), NOW.0 + 1);
    assert_eq!(stored(), (2, json!([[1, NOW.0 + 1 + day]])));
    // At most four sign beside the present one.
    (2..=5).for_each(|ms| assert_eq!(rotate(1), NOW.0 + ms));
    let until = |version: i64| json!([version, NOW.0 + version + day]);
    assert_eq!(stored(), (6, json!([until(5), until(4), until(3), until(2)])));
    // What has ended is forgotten by the next rotation.
    rotate(86_400_000 - 1);
    let now = NOW.0 + 4 + day;
    assert_eq!(stored(), (7, json!([[6, now + day], until(5)])));

    // A repeat of the same request, whose answer was lost, does not rotate again.
    let access = Access {
        permission: Permission::WebhooksManage,
        scopes: Permission::WebhooksManage.scopes(),
        writes: true,
    };
    let token = TokenHash::of(&api.admin_token).unwrap();
    let caller = Caller { token, organization: None, now: Timestamp(now + 1), access, ignores_expiry: false };
    let rotate = |request_id| {
        let operation = Rotate { caller: caller.clone(), id: WebhookId::parse(&id).unwrap(), request_id };
        sqlite::run(conn, &operation).map(|(_, version)| version)
    };
    let [one, two] = [1, 2].map(|n| RequestId::v7(n, &[0; 10]));
    assert_eq!([rotate(one), rotate(one), rotate(two)], [Ok(8), Ok(8), Ok(9)]);
}

#[test]
fn the_event_types() {
    let api = Api::new(&[]);
    let items =
        EventType::ALL.map(|event| json!({"type": event.as_str(), "description": event.description()}));
    assert_eq!(send(&api, "GET", "/v1/webhooks/event-types", None).body(), &json!({"items": items}));
}

#[test]
fn without_the_signing_key_every_endpoint_is_unavailable_to_those_who_may() {
    let api = Api::new(&[("WEBHOOK_SIGNING_KEY", "")]);
    let denied = api.denied_callers();
    let before = contents(&api.platform.conn);
    let endpoints =
        descriptions().into_iter().filter(|one| one.permission == Some(Permission::WebhooksManage));
    let count = endpoints.map(|endpoint| {
        let example = api.example(&endpoint);
        let answer = api.send(&example);
        assert_eq!((answer.status, answer.code()), (503, "STORAGE_UNAVAILABLE"), "{}", endpoint.route.path);
        assert_eq!(answer.log.detail.as_deref(), Some("cannot sign webhooks, not set: WEBHOOK_SIGNING_KEY"));
        assert!(answer.header("retry-after").is_some());
        for caller in &denied {
            let answer = api.send(&example.clone().token(&caller.token));
            let expected = caller.error(endpoint.access().unwrap());
            let status = expected.map_or(503, |error| {
                if error == asset_uploads::error::AuthError::Unauthorized { 401 } else { 403 }
            });
            assert_eq!(answer.status, status, "{}: {}", caller.who, endpoint.route.path);
        }
    });
    assert_eq!(count.count(), 11);
    assert_eq!(contents(&api.platform.conn), before);
}
