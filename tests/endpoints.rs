//! Each endpoint through the API, natively: what it answers, what it asks of storage, and what it leaves there.
//! The rules that all endpoints share are in tests/api.rs, those of each operation in the file named for it.

use asset_uploads::api::descriptions;
use asset_uploads::api::endpoint::Description;
use asset_uploads::domain::ids::AssetUploadId;
use asset_uploads::domain::timestamp::Timestamp;
use asset_uploads::storage_error::StorageErrorKind;
use serde_json::{Value, json};

use crate::bucket::PutRequest;
use crate::platform::client::{ORIGIN, TestAnswer, TestRequest};
use crate::platform::fixtures::Api;
use crate::platform::{D1_MS, R2_MS, storage_error};
use crate::sqlite::fixtures::DEADLINE;
use crate::sqlite::{self, CREATED_AT, NOW, contents};

fn endpoint(operation_id: &str) -> Description {
    let endpoint = descriptions().into_iter().find(|endpoint| endpoint.doc.operation_id == operation_id);
    endpoint.unwrap_or_else(|| {
        panic!("no endpoint of the table in src/api/mod.rs has the operation_id {operation_id}")
    })
}

/// An API whose assets have public URLs, and the example of an endpoint.
fn api_and_example(operation_id: &str) -> (Api, TestRequest) {
    let api = Api::new(&[("PUBLIC_BASE_URL", "https://cdn.example")]);
    let example = api.example(&endpoint(operation_id));
    (api, example)
}

/// Milliseconds in R2 and in D1, which stand for the number of calls.
fn calls(answer: &TestAnswer) -> (u64, u64) {
    (answer.usage.r2_ms.unwrap_or_default() / R2_MS, answer.usage.d1_ms.unwrap_or_default() / D1_MS)
}

fn time(time: Timestamp) -> Value {
    json!(time.to_rfc3339().unwrap())
}

fn r2_is_down(api: &Api) {
    api.platform.r2_error.replace(Some(storage_error(StorageErrorKind::Transient, "R2: head: gone (10001)")));
}

/// A new endpoint fails here until it has an example.
#[test]
fn every_endpoint_succeeds_as_its_description_says() {
    for endpoint in descriptions() {
        let api = Api::new(&[]);
        let answer = api.send(&api.example(&endpoint));
        let (id, doc) = (endpoint.doc.operation_id, endpoint.doc);
        assert_eq!((answer.status, answer.log.code), (doc.success.0, None), "{id}");
        assert_eq!(answer.json.is_some(), doc.success.0 != 204, "{id}");
        if doc.location.is_some() {
            assert!(answer.header("location").is_some(), "{id}");
        }
        assert_eq!(answer.header("idempotent-replayed"), None, "{id}");
    }
}

#[test]
fn health_and_readiness() {
    let (api, health) = api_and_example("getHealth");
    let ready = api.example(&endpoint("getReady"));
    assert_eq!(api.send(&health).body(), &json!({"status": "ok"}));
    assert_eq!(api.send(&ready).body(), &json!({"status": "ready", "checks": {"d1": "ok", "r2": "ok"}}));

    // Rule 15, part by part.
    let kinds = |answer: &TestAnswer| {
        let errors = answer.json.as_ref().unwrap()["errors"].as_array().unwrap().clone();
        errors.iter().map(|error| error["type"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    r2_is_down(&api);
    let answer = api.send(&ready);
    assert_eq!((answer.status, kinds(&answer)), (503, vec!["ok".into(), "unavailable".into()]));
    assert_eq!(answer.log.detail.as_deref(), Some("R2: head: gone (10001)"));
    api.platform.d1_error.replace(Some(storage_error(StorageErrorKind::Unexpected, "D1: no such table")));
    let answer = api.send(&ready);
    assert_eq!((answer.status, kinds(&answer)), (503, vec!["unavailable".into(), "unavailable".into()]));
    assert_eq!(answer.log.detail.as_deref(), Some("D1: no such table; R2: head: gone (10001)"));

    // A database without rows of the migrations is none.
    api.platform.d1_error.take();
    api.platform.r2_error.take();
    api.platform.conn.execute("UPDATE sweeper SET database_id = ''", []).unwrap();
    let answer = api.send(&ready);
    assert_eq!((answer.status, kinds(&answer)), (503, vec!["unavailable".into(), "ok".into()]));
    assert_eq!(api.send(&health).status, 200);
}

#[test]
fn an_upload_is_started() {
    let (api, request) = api_and_example("createAssetUpload");
    let answer = api.send(&request);
    let body = answer.body();
    let id = body["asset_id"].as_str().unwrap();
    assert_eq!(answer.header("location"), Some(format!("/v1/asset-uploads/{id}").as_str()));
    let upload = &body["upload"];
    assert_eq!((&upload["method"], &upload["url"]), (&json!("PUT"), &body["upload_url"]));
    let url = upload["url"].as_str().unwrap();
    assert!(url.starts_with(&format!("https://s3.example/files/uploads/{id}?")), "{url}");
    assert!(url.contains("&X-Amz-Expires=900&"), "{url}");
    assert_eq!(upload["expires_at"], time(NOW.whole_second().plus_seconds(900)));
    assert_eq!(upload["headers"]["content-type"], "image/png");
    let sql = format!("SELECT 1 FROM asset_uploads WHERE id = '{id}'");
    assert_eq!(sqlite::rows(&api.platform.conn, &sql).len(), 1);
}

/// The PUT that the answer to a start describes, of a file as it was declared.
fn upload_request(started: &TestAnswer) -> PutRequest {
    let upload = &started.body()["upload"];
    assert_eq!(upload["method"], "PUT");
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let headers = upload["headers"].as_object().unwrap();
    let headers = headers.iter().map(|(name, value)| (name.clone(), text(value))).collect();
    PutRequest { url: text(&upload["url"]), headers, size_bytes: 640 }
}

/// Started, sent to a bucket that verifies signatures as R2 does, and confirmed.
#[test]
fn an_upload_goes_all_the_way() {
    for s3_endpoint in ["https://s3.example", "/s3"] {
        let api = Api::new(&[("S3_ENDPOINT", s3_endpoint)]);
        let put = |request: &PutRequest| {
            api.platform.bucket.borrow_mut().put_signed(request, api.platform.clock.get())
        };
        let start = || {
            let request = api.example(&endpoint("createAssetUpload"));
            api.send(&request.header("idempotency-key", "k1"))
        };
        let confirm = |started: &TestAnswer| {
            let request = api.example(&endpoint("createAssetUploadConfirmation"));
            let id = started.body()["asset_id"].as_str().unwrap();
            let url = request.url.replace(&api.upload.to_string(), id);
            let answer = api.send(&TestRequest { url, ..request });
            (answer.status, answer.code())
        };

        let started = start();
        let request = upload_request(&started);
        api.platform.clock.set(NOW.plus_seconds(901));
        assert_eq!((put(&request), confirm(&started)), (403, (409, "OBJECT_NOT_UPLOADED")), "expired");

        // The same start again has a URL that is valid again.
        let request = upload_request(&start());
        let longer = PutRequest { size_bytes: 641, ..request.clone() };
        assert_eq!((put(&longer), put(&request), put(&request)), (403, 200, 412));
        assert_eq!(confirm(&started), (201, ""));
        assert_eq!((put(&request), confirm(&started)), (412, (409, "ASSET_UPLOAD_ALREADY_CONFIRMED")));
    }
}

#[test]
fn a_repeated_start_with_an_idempotency_key_is_the_same_upload() {
    let (api, request) = api_and_example("createAssetUpload");
    let send = |key: &str| {
        let answer = api.send(&request.clone().header("idempotency-key", key));
        let id = answer.body()["asset_id"].clone();
        (id, answer.header("idempotent-replayed").map(str::to_owned))
    };
    let (id, first) = send("k1");
    assert_eq!((first, send("k1")), (None, (id.clone(), Some("true".to_owned()))));
    assert_ne!(send("k2").0, id);
    // Another organization that is named is another upload.
    let named =
        request.clone().header("idempotency-key", "k1").header("x-organization-id", &api.org.to_string());
    assert_ne!(api.send(&named).body()["asset_id"], id);

    // No URL outlives its session.
    api.platform.clock.set(NOW.plus_seconds(api.config.uploads.confirm_seconds - 60));
    let answer = api.send(&request.clone().header("idempotency-key", "k1"));
    let url = answer.body()["upload_url"].as_str().unwrap();
    assert!(url.contains("&X-Amz-Expires=60&"), "{url}");
}

/// Rule 15, for a Worker without the secrets that sign URLs; rules 3 to 8 come first.
#[test]
fn rule_15_urls_that_cannot_be_signed() {
    let (mut api, request) = api_and_example("createAssetUpload");
    api.config.uploads.s3 = Err("S3_SECRET_ACCESS_KEY is missing".to_owned());
    let before = contents(&api.platform.conn);
    let answer = api.send(&request);
    assert_eq!((answer.status, answer.code()), (503, "STORAGE_UNAVAILABLE"));
    assert_eq!(answer.log.detail.as_deref(), Some("S3_SECRET_ACCESS_KEY is missing"));
    for caller in api.denied_callers() {
        let answer = api.send(&request.clone().token(&caller.token));
        assert!([401, 403].contains(&answer.status), "{}: {answer:?}", caller.who);
    }
    assert_eq!(api.send(&request.clone().json("{}")).code(), "VALIDATION_ERROR");
    assert_eq!(contents(&api.platform.conn), before);
    // An asset without a public URL has none then.
    api.config.links.public_base_url = None;
    assert_eq!(api.send(&api.example(&endpoint("getAsset"))).body()["url"], Value::Null);
}

#[test]
fn an_upload_is_read_in_every_state() {
    let (api, request) = api_and_example("getAssetUpload");
    let body = |status: &str, asset_id: Value| {
        json!({"id": api.upload.to_string(), "status": status, "filename": "beach.png", "mime_type": "image/png",
            "size_bytes": 640, "expires_at": time(DEADLINE), "asset_id": asset_id})
    };
    let answer = api.send(&request);
    assert_eq!((answer.body(), calls(&answer)), (&body("received", Value::Null), (1, 1)));
    api.platform.bucket.borrow_mut().delete(&[api.upload.object_key()]);
    assert_eq!(api.send(&request).body(), &body("waiting", Value::Null));

    // Rule 15 for what only R2 knows; the other states need no R2.
    r2_is_down(&api);
    assert_eq!(api.send(&request).code(), "STORAGE_UNAVAILABLE");
    api.platform.clock.set(DEADLINE);
    let answer = api.send(&request);
    assert_eq!((answer.body(), calls(&answer)), (&body("expired", Value::Null), (0, 1)));
    api.platform.clock.set(NOW);
    api.platform.r2_error.take();
    api.platform.put(&api.upload.object_key(), 640, Some("image/png"));
    assert_eq!(api.send(&api.example(&endpoint("createAssetUploadConfirmation"))).status, 201);
    r2_is_down(&api);
    api.platform.clock.set(DEADLINE);
    let answer = api.send(&request);
    assert_eq!((answer.body(), calls(&answer)), (&body("confirmed", json!(api.upload.to_string())), (0, 1)));
}

#[test]
fn an_upload_is_cancelled_with_its_object() {
    let (api, request) = api_and_example("cancelAssetUpload");
    let has_object = |id: AssetUploadId| api.platform.bucket.borrow().head(&id.object_key()).is_some();
    // Once D1 has it, it is cancelled; the log has what R2 said.
    r2_is_down(&api);
    let answer = api.send(&request);
    assert_eq!((answer.status, answer.log.level), (204, "info"));
    assert_eq!(answer.log.detail.as_deref(), Some("R2: head: gone (10001)"));
    assert!(has_object(api.upload));
    // A repeat removes what was left.
    api.platform.r2_error.take();
    let answer = api.send(&request);
    assert_eq!((answer.status, &answer.log.detail, has_object(api.upload)), (204, &None, false));
    assert_eq!(api.send(&api.example(&endpoint("getAssetUpload"))).code(), "ASSET_UPLOAD_NOT_FOUND");

    // Rules 11 and 12: the object stays.
    let of =
        |id: &str| TestRequest { url: request.url.replace(&api.upload.to_string(), id), ..request.clone() };
    let answer = api.send(&of(&api.asset.to_string()));
    assert_eq!((answer.code(), calls(&answer)), ("ASSET_UPLOAD_ALREADY_CONFIRMED", (0, 1)));
    assert!(has_object(api.asset));
    let answer = api.send(&of(&sqlite::unused_upload_id().to_string()));
    assert_eq!((answer.code(), calls(&answer)), ("ASSET_UPLOAD_NOT_FOUND", (0, 1)));
}

fn asset_body(api: &Api, id: &str, created_at: Timestamp) -> Value {
    json!({
        "id": id, "org_id": api.org.to_string(), "folder_id": null, "name": "beach.png",
        "r2_key": format!("uploads/{id}"), "url": format!("https://cdn.example/uploads/{id}"), "thumbnail_url": null,
        "mime_type": "image/png", "size_bytes": 640, "asset_type": "image", "source_type": "upload", "source_id": id,
        "created_by": api.editor.id.to_string(), "created_at": time(created_at), "updated_at": time(created_at),
        "deleted_at": null, "deleted_by": null, "created_by_user": null,
    })
}

fn user_body(api: &Api) -> Value {
    json!({"id": api.editor.id.to_string(), "email": api.editor.email, "first_name": "Edith", "last_name": null,
        "avatar_url": api.editor.avatar_url})
}

#[test]
fn an_asset_is_read() {
    let (mut api, request) = api_and_example("getAsset");
    let mut expected = asset_body(&api, &api.asset.to_string(), Timestamp(CREATED_AT));
    assert_eq!(api.send(&request).body(), &expected);
    let embedded = TestRequest { url: format!("{}?embed=created_by_user", request.url), ..request.clone() };
    expected["created_by_user"] = user_body(&api);
    assert_eq!(api.send(&embedded).body(), &expected);

    // Without a public URL, a signed one.
    api.config.links.public_base_url = None;
    let answer = api.send(&request);
    let url = answer.body()["url"].as_str().unwrap();
    assert!(url.starts_with(&format!("https://s3.example/files/uploads/{}?", api.asset)), "{url}");
}

#[test]
fn an_s3_endpoint_that_is_a_path_is_on_the_clients_origin() {
    let api = Api::new(&[("S3_ENDPOINT", "/s3")]);
    for (operation, name) in [("getAsset", "url"), ("createAssetUpload", "upload_url")] {
        let answer = api.send(&api.example(&endpoint(operation)));
        let url = answer.body()[name].as_str().unwrap();
        assert!(url.starts_with(&format!("{ORIGIN}/s3/files/uploads/")), "{url}");
    }
}

#[test]
fn an_upload_is_confirmed_with_one_head_and_one_transaction() {
    let (api, request) = api_and_example("createAssetUploadConfirmation");
    let request = request.header("idempotency-key", "k1");
    let answer = api.send(&request);
    let mut expected = asset_body(&api, &api.upload.to_string(), NOW);
    expected["created_by_user"] = user_body(&api);
    assert_eq!((answer.status, answer.body(), calls(&answer)), (201, &expected, (1, 1)));
    let location = format!("/v1/assets/{}", api.upload);
    assert_eq!(
        (answer.header("location"), answer.header("idempotent-replayed")),
        (Some(location.as_str()), None)
    );

    let answer = api.send(&request);
    assert_eq!((answer.status, answer.body()), (201, &expected));
    assert_eq!(answer.header("idempotent-replayed"), Some("true"));
    // Rule 12.
    let answer = api.send(&request.clone().header("idempotency-key", "k2"));
    assert_eq!(
        (answer.code(), answer.locations()),
        ("ASSET_UPLOAD_ALREADY_CONFIRMED", vec!["path asset_upload_id".into()])
    );
    assert_eq!(answer.json.unwrap()["errors"][0]["asset_id"], api.upload.to_string());
}

/// An object stored without a type takes the declared one, which a second transaction writes.
#[test]
fn an_object_without_a_type_takes_the_declared_one() {
    for (size_bytes, code, calls_made) in [(640, "", (1, 2)), (0, "UPLOAD_REJECTED", (1, 2))] {
        let (api, request) = api_and_example("createAssetUploadConfirmation");
        api.platform.put(&api.upload.object_key(), size_bytes, None);
        let answer = api.send(&request);
        assert_eq!((answer.code(), calls(&answer)), (code, calls_made));
        if code.is_empty() {
            assert_eq!(answer.body()["mime_type"], "image/png");
        }
    }
}

/// The object decides last. That all rules apply in their order has tests/confirm_order.rs.
#[test]
fn rules_15_to_17_follow_from_what_r2_says() {
    let (api, request) = api_and_example("createAssetUploadConfirmation");
    let before = contents(&api.platform.conn);
    let key = api.upload.object_key();
    api.platform.bucket.borrow_mut().delete(std::slice::from_ref(&key));
    assert_eq!(api.send(&request).code(), "OBJECT_NOT_UPLOADED");
    api.platform.put(&key, 0, Some("text/html"));
    let answer = api.send(&request);
    assert_eq!(
        (answer.code(), answer.locations()),
        ("UPLOAD_REJECTED", vec!["object size_bytes".into(), "object mime_type".into()])
    );
    r2_is_down(&api);
    let answer = api.send(&request);
    assert_eq!(
        (answer.code(), answer.header("retry-after"), calls(&answer)),
        ("STORAGE_UNAVAILABLE", Some("2"), (1, 1))
    );
    assert_eq!(answer.log.detail.as_deref(), Some("R2: head: gone (10001)"));
    // Earlier rules are answered all the same: 14, 11 and 8.
    let folder = format!(r#"{{"folder_id":"{}"}}"#, sqlite::unused_folder_id());
    assert_eq!(api.send(&request.clone().json(&folder)).code(), "FOLDER_NOT_FOUND");
    let unknown = request.url.replace(&api.upload.to_string(), &sqlite::unused_upload_id().to_string());
    assert_eq!(api.send(&TestRequest { url: unknown, ..request.clone() }).code(), "ASSET_UPLOAD_NOT_FOUND");
    let viewer = api.denied_callers().pop().unwrap();
    assert_eq!(api.send(&request.clone().token(&viewer.token)).code(), "PERMISSION_DENIED");
    assert_eq!(contents(&api.platform.conn), before);
    // After an error the upload is as it was: repaired, it is confirmed.
    api.platform.r2_error.take();
    api.platform.put(&key, 640, Some("image/png"));
    assert_eq!(api.send(&request).status, 201);
}
