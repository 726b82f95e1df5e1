//! Completion without the client: storage's notification of an object confirms its upload, as the user who started it, and
//! what a client that confirms afterwards gets.

use asset_uploads::domain::ids::AssetUploadId;
use asset_uploads::domain::timestamp::Timestamp;
use asset_uploads::domain::webhook::EventType;
use asset_uploads::events::Event;
use asset_uploads::notifications::{self, Notification, Report};
use asset_uploads::storage_error::StorageErrorKind;
use rusqlite::params;
use serde_json::{Value, json};

use crate::platform::client::{TestAnswer, TestRequest};
use crate::platform::fixtures::Api;
use crate::platform::storage_error;
use crate::sqlite::{self, NOW, contents};

/// An API with AUTO_CONFIRM, a webhook for every event, and its editor's pending upload, whose object is in the bucket.
fn api(variables: &[(&str, &str)]) -> Api {
    let api = Api::new(&[&[("AUTO_CONFIRM", "true")], variables].concat());
    sqlite::webhook(&api.platform.conn, api.org, api.admin, &EventType::ALL);
    let started = api.send(
        &TestRequest::new("POST", "/v1/asset-uploads")
            .token(&api.token)
            .json(r#"{"filename":"beach.png","mime_type":"image/png","size_bytes":640}"#),
    );
    let upload = AssetUploadId::parse(started.body()["asset_id"].as_str().unwrap()).unwrap();
    api.platform.put(&upload.object_key(), 640, Some("image/png"));
    Api { upload, ..api }
}

fn notify(api: &Api, keys: &[&str]) -> (Report, Vec<String>) {
    let keys: Vec<_> = keys.iter().map(|key| (*key).to_owned()).collect();
    sqlite::ready(notifications::run(&api.platform, &api.config, &keys))
}

/// Notifies of the upload's object: how many were confirmed, rejected and ignored.
fn told(api: &Api) -> (u32, u32, u32) {
    let (report, again) = notify(api, &[&api.upload.object_key()]);
    assert_eq!((again, &report.problems), (Vec::new(), &Vec::<String>::new()));
    (report.confirmed, report.rejected, report.ignored)
}

fn confirm(api: &Api, token: &str, body: &str, key: Option<&str>) -> TestAnswer {
    let path = format!("/v1/asset-uploads/{}/confirmations", api.upload);
    let request = TestRequest::new("POST", &path).token(token).json(body);
    api.send(&key.into_iter().fold(request, |request, key| request.header("idempotency-key", key)))
}

fn request(api: &Api, method: &str, path: &str, body: &str) -> TestAnswer {
    let request = TestRequest::new(method, &path.replace("{id}", &api.upload.to_string())).token(&api.token);
    api.send(&if body.is_empty() { request } else { request.json(body) })
}

fn outcome(answer: &TestAnswer) -> (u16, &'static str) {
    (answer.status, answer.code())
}

/// The events that are to be delivered, in their order: type, id of what it is about, and `data.error.code`.
fn events(api: &Api) -> Vec<(String, String, Value)> {
    let sql = "SELECT event_type, data ->> 'id', data ->> '$.error.code' FROM webhook_deliveries
               WHERE event_type <> 'webhook.test' ORDER BY created_at, id";
    let mut statement = api.platform.conn.prepare(sql).unwrap();
    let row = |row: &rusqlite::Row<'_>| {
        let code: Option<String> = row.get(2)?;
        Ok((row.get(0)?, row.get(1)?, json!(code)))
    };
    statement.query_map([], row).unwrap().collect::<Result<_, _>>().unwrap()
}

fn created(api: &Api) -> (String, String, Value) {
    ("asset.created".to_owned(), api.upload.to_string(), Value::Null)
}

fn execute(api: &Api, sql: &str, value: &str) {
    assert_eq!(api.platform.conn.execute(sql, [value]), Ok(1), "{sql}");
}

#[test]
fn the_upload_is_confirmed_as_the_user_who_started_it_and_once() {
    let api = api(&[]);
    assert_eq!(told(&api), (1, 0, 0));
    let asset = request(&api, "GET", "/v1/assets/{id}", "");
    assert_eq!(asset.body()["created_by"], json!(api.editor.id));
    assert_eq!(asset.body()["folder_id"], Value::Null);
    // A duplicate, and the same key twice in a batch.
    let before = contents(&api.platform.conn);
    assert_eq!(told(&api), (0, 0, 1));
    let key = api.upload.object_key();
    assert_eq!(notify(&api, &[&key, &key]).0.ignored, 2);
    assert_eq!(contents(&api.platform.conn), before);
    assert_eq!(events(&api), [created(&api)]);
    // The webhook's queue was told.
    assert_eq!(api.platform.queue.borrow().as_ref().unwrap().len(), 1);
}

#[test]
fn without_auto_confirm_nothing_happens() {
    let mut api = api(&[]);
    api.config.auto_confirm = false;
    assert_eq!(told(&api), (0, 0, 1));
    assert_eq!(sqlite::count_assets(&api.platform.conn), 1);
}

#[test]
fn what_names_no_upload_that_waits_changes_nothing() {
    let api = api(&[]);
    let unknown = sqlite::unused_upload_id().object_key();
    let foreign = ["uploads/", "uploads/x", "other", "", &api.upload.to_string()].map(str::to_owned);
    let upper = api.upload.object_key().to_uppercase();
    let before = contents(&api.platform.conn);
    for key in foreign.iter().chain([&unknown, &upper, &api.asset.object_key()]) {
        let (report, again) = notify(&api, &[key]);
        assert_eq!((report.confirmed, report.rejected, again), (0, 0, Vec::new()), "{key}");
    }
    assert_eq!(contents(&api.platform.conn), before);
    // Gone, cancelled, and expired.
    api.platform.bucket.borrow_mut().delete(&[api.upload.object_key()]);
    assert_eq!(told(&api), (0, 0, 1));
    api.platform.put(&api.upload.object_key(), 640, Some("image/png"));
    let sql = "UPDATE asset_uploads SET expires_at = -expires_at WHERE id = ?1";
    execute(&api, sql, &api.upload.to_string());
    assert_eq!(told(&api), (0, 0, 1));
    execute(&api, sql, &api.upload.to_string());
    api.platform.clock.set(Timestamp(NOW.0 + 86_400_000));
    assert_eq!(told(&api), (0, 0, 1));
    assert_eq!(events(&api), []);
}

/// What a client that confirms afterwards gets the first time, and from then on.
#[test]
fn a_client_that_confirms_afterwards_gets_201_once() {
    let api = api(&[]);
    told(&api);
    let first = confirm(&api, &api.token, "{}", Some("first"));
    assert_eq!((outcome(&first), first.header("idempotent-replayed")), ((201, ""), None));
    assert_eq!(first.body()["created_by_user"]["id"], json!(api.editor.id));
    let again = confirm(&api, &api.token, "{}", Some("first"));
    assert_eq!((outcome(&again), again.header("idempotent-replayed")), ((201, ""), Some("true")));
    assert_eq!(again.json, first.json);
    assert_eq!(outcome(&confirm(&api, &api.token, "{}", None)), (409, "ASSET_UPLOAD_ALREADY_CONFIRMED"));
    assert_eq!(
        outcome(&confirm(&api, &api.token, "{}", Some("other"))),
        (409, "ASSET_UPLOAD_ALREADY_CONFIRMED")
    );
    // A late notification changes nothing.
    assert_eq!(told(&api), (0, 0, 1));
    assert_eq!(events(&api), [created(&api)]);
}

/// Also somebody else of the organization, whose replays are theirs alone.
#[test]
fn another_user_may_be_the_first_client() {
    let api = api(&[]);
    told(&api);
    assert_eq!(outcome(&confirm(&api, &api.admin_token, "{}", Some("mine"))), (201, ""));
    assert_eq!(outcome(&confirm(&api, &api.admin_token, "{}", Some("mine"))), (201, ""));
    let asset = request(&api, "GET", "/v1/assets/{id}", "");
    assert_eq!(asset.body()["created_by"], json!(api.editor.id));
    assert_eq!(
        outcome(&confirm(&api, &api.token, "{}", Some("mine"))),
        (409, "ASSET_UPLOAD_ALREADY_CONFIRMED")
    );
}

#[test]
fn the_first_client_sets_the_folder_if_the_asset_is_as_it_was() {
    let api = api(&[]);
    told(&api);
    let body = format!(r#"{{"folder_id":"{}"}}"#, api.folder);
    let answer = confirm(&api, &api.token, &body, None);
    assert_eq!((answer.status, &answer.body()["folder_id"]), (201, &json!(api.folder)));
    let updated = ("asset.updated".to_owned(), api.upload.to_string(), Value::Null);
    assert_eq!(events(&api), [created(&api), updated]);
}

#[test]
fn the_first_client_leaves_a_changed_asset_where_it_is() {
    let rename = |api: &Api| {
        assert_eq!(request(api, "PATCH", "/v1/assets/{id}", r#"{"name":"other.png"}"#).status, 200);
    };
    let trash = |api: &Api| {
        assert_eq!(request(api, "DELETE", "/v1/assets/{id}", "").status, 204);
        assert_eq!(request(api, "POST", "/v1/assets/{id}/restorations", "").status, 201);
    };
    for change in [rename as fn(&Api), trash] {
        let api = api(&[]);
        told(&api);
        change(&api);
        let before = events(&api);
        let body = format!(r#"{{"folder_id":"{}"}}"#, api.folder);
        let answer = confirm(&api, &api.token, &body, Some("key"));
        assert_eq!((answer.status, &answer.body()["folder_id"]), (201, &Value::Null));
        assert_eq!(events(&api), before);
        // A replay must name what the first one named.
        assert_eq!(outcome(&confirm(&api, &api.token, "{}", Some("key"))), (422, "VALIDATION_ERROR"));
        assert_eq!(outcome(&confirm(&api, &api.token, &body, Some("key"))), (201, ""));
    }
}

#[test]
fn the_first_client_of_an_asset_in_the_trash_gets_404_and_of_no_folder_too() {
    let api = api(&[]);
    told(&api);
    let unknown = r#"{"folder_id":"018f4d2b-52e7-7d18-a0c4-6b1f3e8d9a27"}"#;
    assert_eq!(outcome(&confirm(&api, &api.token, unknown, None)), (404, "FOLDER_NOT_FOUND"));
    assert_eq!(request(&api, "DELETE", "/v1/assets/{id}", "").status, 204);
    assert_eq!(outcome(&confirm(&api, &api.token, "{}", None)), (404, "ASSET_NOT_FOUND"));
    assert_eq!(request(&api, "POST", "/v1/assets/{id}/restorations", "").status, 201);
    assert_eq!(outcome(&confirm(&api, &api.token, "{}", None)), (201, ""));
}

/// The present rights of the user and of the key decide, but for the key's own end.
#[test]
fn rights_are_those_of_now_and_only_the_keys_expiry_is_ignored() {
    for (sql, expected) in [
        ("UPDATE api_keys SET expires_at = 1 WHERE user_id = ?1", None),
        ("UPDATE api_keys SET revoked_at = 1 WHERE user_id = ?1", Some("UNAUTHORIZED")),
        ("UPDATE users SET disabled_at = 1 WHERE id = ?1", Some("UNAUTHORIZED")),
        ("UPDATE users SET email_verified_at = NULL WHERE id = ?1", Some("EMAIL_NOT_VERIFIED")),
        ("UPDATE memberships SET role = 'viewer' WHERE user_id = ?1", Some("PERMISSION_DENIED")),
        ("UPDATE memberships SET role = NULL WHERE user_id = ?1", Some("ROLE_UNRESOLVED")),
        ("DELETE FROM memberships WHERE user_id = ?1", Some("ORGANIZATION_MEMBERSHIP_REQUIRED")),
        ("DELETE FROM api_keys WHERE user_id = ?1", Some("UNAUTHORIZED")),
    ] {
        let api = api(&[]);
        assert!(api.platform.conn.execute(sql, [api.editor.id.to_string()]).unwrap() > 0);
        let expected_counts = if expected.is_some() { (0, 1, 0) } else { (1, 0, 0) };
        assert_eq!(told(&api), expected_counts, "{sql}");
        let event = expected.map_or(created(&api), |code| {
            ("upload.rejected".to_owned(), api.upload.to_string(), json!(code))
        });
        assert_eq!(events(&api), [event], "{sql}");
        assert_eq!(sqlite::count_assets(&api.platform.conn), if expected.is_some() { 1 } else { 2 }, "{sql}");
    }
}

/// An upload key's limits and folder count, as for its own confirmation.
#[test]
fn the_limits_and_the_folder_of_the_starting_key_count() {
    for (limits, expected) in [
        (r#"{"folder_id":"FOLDER"}"#, None),
        (r#"{"max_size_bytes":639}"#, Some("UPLOAD_REJECTED")),
        (r#"{"mime_types":["video/*"]}"#, Some("UPLOAD_REJECTED")),
    ] {
        let api = api(&[]);
        let limits = limits.replace("FOLDER", &api.folder.to_string());
        let sql = "UPDATE api_keys SET scope = 'upload', limits = ?2, org_id = ?3 WHERE id = (
                     SELECT api_key_id FROM asset_uploads WHERE id = ?1)";
        let values = params![api.upload.to_string(), limits, api.org.to_string()];
        assert_eq!(api.platform.conn.execute(sql, values), Ok(1));
        told(&api);
        let folder: Option<Option<String>> = api
            .platform
            .conn
            .query_row("SELECT folder_id FROM assets WHERE id = ?1", [api.upload.to_string()], |row| {
                row.get(0)
            })
            .ok();
        match expected {
            None => assert_eq!(folder, Some(Some(api.folder.to_string())), "{limits}"),
            Some(code) => {
                let event = ("upload.rejected".to_owned(), api.upload.to_string(), json!(code));
                assert_eq!((folder, events(&api)), (None, vec![event]), "{limits}");
            }
        }
    }
}

/// Told once an upload, with what a client would be answered; a file that is put right afterwards can still be confirmed.
#[test]
fn a_file_that_may_not_become_an_asset_is_told_once() {
    let api = api(&[("DECLARED_MISMATCH", "reject")]);
    let key = api.upload.object_key();
    api.platform.put(&key, 641, Some("image/png"));
    assert_eq!(told(&api), (0, 1, 0));
    assert_eq!(told(&api), (0, 1, 0));
    let rejected = ("upload.rejected".to_owned(), api.upload.to_string(), json!("UPLOAD_REJECTED"));
    assert_eq!(events(&api), std::slice::from_ref(&rejected));
    let answer = confirm(&api, &api.token, "{}", None);
    assert_eq!(outcome(&answer), (422, "UPLOAD_REJECTED"));
    let sql = "SELECT data -> 'error' FROM webhook_deliveries WHERE event_type = 'upload.rejected'";
    let error: String = api.platform.conn.query_row(sql, [], |row| row.get(0)).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&error).unwrap(), *answer.json.as_ref().unwrap());

    api.platform.put(&key, 640, Some("image/png"));
    assert_eq!(told(&api), (1, 0, 0));
    assert_eq!(events(&api), [rejected, created(&api)]);
    // A first confirmation may still set the folder.
    let body = format!(r#"{{"folder_id":"{}"}}"#, api.folder);
    assert_eq!(confirm(&api, &api.token, &body, None).body()["folder_id"], json!(api.folder));
}

#[test]
fn an_organization_without_webhooks_pays_no_row_for_a_rejection() {
    let api = api(&[("DECLARED_MISMATCH", "reject")]);
    assert_eq!(api.platform.conn.execute("UPDATE webhooks SET disabled_at = 1", []), Ok(2));
    api.platform.put(&api.upload.object_key(), 641, Some("image/png"));
    let changes = api.platform.conn.total_changes();
    assert_eq!(told(&api), (0, 1, 0));
    assert_eq!(api.platform.conn.total_changes(), changes);
}

#[test]
fn where_storage_does_not_answer_the_message_comes_again() {
    let api = api(&[]);
    let key = api.upload.object_key();
    let error = || Some(storage_error(StorageErrorKind::Transient, "R2: head: gone (10001)"));
    api.platform.r2_error.replace(error());
    let (report, again) = notify(&api, &[&key]);
    assert_eq!((report.confirmed, again), (0, vec![key.clone()]));
    assert_eq!(report.problems, ["R2: head: gone (10001)"]);
    api.platform.r2_error.take();
    api.platform.d1_error.replace(error());
    assert_eq!(notify(&api, &[&key]).1, [key]);
    api.platform.d1_error.take();
    assert_eq!(told(&api), (1, 0, 0));
}

/// An upload that was rejected may expire: only the first event has the error.
#[test]
fn only_a_rejection_tells_the_error() {
    let api = api(&[]);
    let row = json!({
        "id": api.upload, "org_id": api.org, "filename": "beach.png", "mime_type": "image/png", "size_bytes": 640,
        "created_by": api.editor.id, "created_at": NOW.0, "expires_at": NOW.0, "error": {"code": "UPLOAD_REJECTED"},
    });
    for (event_type, told) in [("upload.rejected", true), ("upload.expired", false)] {
        let event = Event::new(api.delivery, event_type, NOW, api.org, &row.to_string()).unwrap();
        let body: Value = serde_json::from_str(&event.body().unwrap()).unwrap();
        assert_eq!(body["data"].get("error").is_some(), told, "{event_type}");
    }
}

/// The form that Cloudflare documents, and what is read of it.
#[test]
fn a_message_is_read_in_the_documented_form() {
    let message = r#"{"account": "3f4b7e3dcab231cbfdaa90a6a28bd548", "action": "PutObject", "bucket": "my-bucket",
        "object": {"key": "uploads/x", "size": 65536, "eTag": "c846ff7a18f28c2e262116d6e8719ef0"},
        "eventTime": "2024-05-24T19:36:44.379Z"}"#;
    let Notification { object } = serde_json::from_str(message).unwrap();
    assert_eq!(object.key, "uploads/x");
    for other in ["{}", "[]", r#"{"object": {}}"#, r#"{"object": {"key": 1}}"#, "null", r#""uploads/x""#] {
        assert!(serde_json::from_str::<Notification>(other).is_err(), "{other}");
    }
}
