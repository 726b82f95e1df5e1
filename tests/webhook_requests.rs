//! Webhooks through the API, natively: which requests are rejected, and the secrets.

use asset_uploads::api::descriptions;
use asset_uploads::domain::ids::{RequestId, WebhookId};
use asset_uploads::domain::timestamp::Timestamp;
use asset_uploads::domain::webhook::EventType;
use asset_uploads::error::AuthError;
use asset_uploads::store::rights::{Access, Caller, Permission};
use asset_uploads::store::webhooks::Rotate;
use asset_uploads::token::TokenHash;
use serde_json::{Value, json};

use crate::platform::fixtures::Api;
use crate::platform::webhooks::{later, make, send, some_webhook, take_secret, time};
use crate::sqlite::{self, NOW, contents};

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
        found.sort();
        expected.sort_unstable();
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
fn a_secret_depends_on_the_workers_own() {
    let [one, two] = ["one", "two"].map(|key| {
        let api = Api::new(&[("WEBHOOK_SIGNING_KEY", key)]);
        take_secret(&make(&api, &some_webhook()))
    });
    assert_ne!(one.1, two.1);
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
            let status =
                expected.map_or(503, |error| if error == AuthError::Unauthorized { 401 } else { 403 });
            assert_eq!(answer.status, status, "{}: {}", caller.who, endpoint.route.path);
        }
    });
    assert_eq!(count.count(), 11);
    assert_eq!(contents(&api.platform.conn), before);
}
