//! Uploads in parts: how a file is divided, and through the API, natively, what each step answers, asks of storage and
//! leaves there. tests/worker/multipart.spec.ts has the same in workerd.

use asset_uploads::domain::multipart::{CompletedPart, Division, MAX_PARTS};
use asset_uploads::storage_error::{StorageError, StorageErrorKind};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::bucket::PutRequest;
use crate::platform::client::{TestAnswer, TestRequest};
use crate::platform::fixtures::Api;
use crate::platform::{D1_MS, R2_MS, storage_error};
use crate::sqlite::{NOW, contents};

const MIB: u64 = 1024 * 1024;
/// A file of two whole parts and a small one.
const SIZE: u64 = 2 * PART + 7;
const PART: u64 = 5 * MIB;

proptest! {
    /// The parts are the file, without gaps, equally long but for the last.
    #[test]
    fn parts_are_the_file(size in 1_u64..=5_492_189_429_760, least in 5 * MIB..=5 * 1024 * MIB) {
        let division = Division::of(size, least);
        let Division { part_size, part_count, .. } = division;
        prop_assert!((1..=MAX_PARTS).contains(&part_count));
        // The smallest that will do.
        prop_assert!(part_size == least || part_size % 2 == 0 && size.div_ceil(part_size / 2) > MAX_PARTS);
        prop_assert!(part_size <= 5 * 1024 * MIB);
        let [first, last] = [1, part_count].map(|number| division.size_of(number).unwrap());
        prop_assert!((1..=part_size).contains(&last) && (part_count == 1 || first == part_size));
        prop_assert_eq!(part_size * (part_count - 1) + last, size);
        prop_assert_eq!([0, part_count + 1, u64::MAX].map(|number| division.size_of(number)), [None; 3]);
        prop_assert_eq!(Division::stored(size, part_size), division);
    }
}

#[test]
fn ten_thousand_parts_suffice_for_every_file() {
    for (size, least, part_size, part_count) in [
        (1, 5 * MIB, 5 * MIB, 1),
        (5 * MIB, 5 * MIB, 5 * MIB, 1),
        (5 * MIB + 1, 5 * MIB, 5 * MIB, 2),
        (10_000 * 16 * MIB, 16 * MIB, 16 * MIB, 10_000),
        (10_000 * 16 * MIB + 1, 16 * MIB, 32 * MIB, 5_001),
        (5_492_189_429_760, 16 * MIB, 1024 * MIB, 5_115),
    ] {
        let division = Division::of(size, least);
        assert_eq!((division.part_size, division.part_count), (part_size, part_count), "{size}");
    }
    let parts = |numbers: &[u64]| {
        let part = |number: &u64| CompletedPart { part_number: *number, etag: "x".to_owned() };
        numbers.iter().map(part).collect::<Vec<_>>()
    };
    let division = Division::of(SIZE, PART);
    assert_eq!(division.check_complete(&parts(&[1, 2, 3])), None);
    for wrong in [&[][..], &[1, 2], &[2, 3], &[1, 3, 2], &[1, 2, 2, 3], &[1, 2, 3, 4], &[0, 1, 2, 3]] {
        assert_eq!(division.check_complete(&parts(wrong)).unwrap().loc, ["body", "parts"], "{wrong:?}");
    }
}

/// An upload in parts.
struct Upload {
    api: Api,
    id: String,
}

impl Upload {
    fn start() -> Self {
        let api = Api::new(&[("MAX_UPLOAD_BYTES", "100000000"), ("MULTIPART_PART_BYTES", "5242880")]);
        let answer = api.send(&start(&api, true));
        let upload = json!({"method": "MULTIPART", "part_size": PART, "part_count": 3,
            "expires_at": NOW.plus_seconds(86_400).to_rfc3339().unwrap()});
        let id = answer.body()["asset_id"].as_str().unwrap().to_owned();
        assert_eq!(answer.status, 201);
        assert_eq!(answer.body(), &json!({"asset_id": id, "upload_url": null, "upload": upload}));
        assert_eq!(calls(&answer), (0, 1));
        Self { api, id }
    }

    fn post(&self, what: &str, body: &Value) -> TestAnswer {
        let path = format!("/v1/asset-uploads/{}/{what}", self.id);
        self.api.send(&TestRequest::new("POST", &path).token(&self.api.token).json(&body.to_string()))
    }

    fn sign(&self, numbers: &[u64]) -> TestAnswer {
        self.post("parts", &json!({"part_numbers": numbers}))
    }

    /// Sends a part as its answer says; its ETag.
    fn put(&self, part: &Value) -> Result<String, u16> {
        let url = part["url"].as_str().unwrap().to_owned();
        let put = PutRequest { url, headers: Vec::new(), size_bytes: part["size_bytes"].as_u64().unwrap() };
        self.api.platform.bucket.borrow_mut().put_part(&put, NOW)
    }

    /// Sends all parts, the last first; what completes them.
    fn put_all(&self) -> Value {
        let answer = self.sign(&[3, 1, 2]);
        let mut parts: Vec<Value> = answer.body()["parts"].as_array().unwrap().clone();
        for part in &mut parts {
            let etag = self.put(part).unwrap();
            *part = json!({"part_number": part["part_number"], "etag": format!("\"{etag}\"")});
        }
        parts.sort_by_key(|part| part["part_number"].as_u64());
        json!({"parts": parts})
    }

    fn open_multiparts(&self) -> usize {
        // One is of the fixtures.
        self.api.platform.bucket.borrow().open_multiparts().len() - 1
    }
}

fn start(api: &Api, multipart: bool) -> TestRequest {
    let body =
        json!({"filename": "film.mp4", "mime_type": "video/mp4", "size_bytes": SIZE, "multipart": multipart});
    TestRequest::new("POST", "/v1/asset-uploads").token(&api.token).json(&body.to_string())
}

fn calls(answer: &TestAnswer) -> (u64, u64) {
    (answer.usage.r2_ms.unwrap_or_default() / R2_MS, answer.usage.d1_ms.unwrap_or_default() / D1_MS)
}

/// Status, code, and of each error its type and where it is.
fn error_of(answer: &TestAnswer) -> (u16, &str, Vec<String>) {
    let errors = answer.json.as_ref().unwrap()["errors"].as_array().cloned().unwrap_or_default();
    let text = |error: &Value| {
        let loc: Vec<&str> =
            error["loc"].as_array().unwrap().iter().map(|part| part.as_str().unwrap()).collect();
        format!("{} {}", error["type"].as_str().unwrap(), loc.join("."))
    };
    (answer.status, answer.code(), errors.iter().map(text).collect())
}

#[test]
fn a_file_in_parts_becomes_an_asset() {
    let upload = Upload::start();
    let first = upload.sign(&[2, 3]);
    assert_eq!((first.status, calls(&first)), (200, (1, 2)));
    let parts = first.body()["parts"].as_array().unwrap();
    let of = |part: &Value| {
        let [method, url, headers] = ["method", "url", "headers"].map(|name| part[name].clone());
        assert_eq!((method, headers), (json!("PUT"), json!({})));
        assert!(
            url.as_str()
                .unwrap()
                .contains("&X-Amz-Expires=900&X-Amz-SignedHeaders=content-length%3Bhost&partNumber=")
        );
        (part["part_number"].as_u64(), part["size_bytes"].as_u64(), part["expires_at"].clone())
    };
    let expires_at = json!(NOW.whole_second().plus_seconds(900).to_rfc3339().unwrap());
    assert_eq!(
        parts.iter().map(of).collect::<Vec<_>>(),
        [(Some(2), Some(PART), expires_at.clone()), (Some(3), Some(7), expires_at)]
    );
    // As often as wanted, and then without R2.
    let again = upload.sign(&[2, 3]);
    assert_eq!((again.body(), calls(&again)), (first.body(), (0, 1)));

    let body = upload.put_all();
    assert_eq!(error_of(&upload.post("confirmations", &json!({}))), (409, "OBJECT_NOT_UPLOADED", vec![]));
    let completed = upload.post("completions", &body);
    let expected = json!({"id": upload.id, "status": "received", "filename": "film.mp4", "mime_type": "video/mp4",
        "size_bytes": SIZE, "expires_at": NOW.plus_seconds(86_400).to_rfc3339().unwrap(), "asset_id": null,
        "part_size": PART, "part_count": 3});
    assert_eq!((completed.status, completed.body(), calls(&completed)), (200, &expected, (1, 1)));
    let path = format!("/v1/asset-uploads/{}", upload.id);
    let read = upload.api.send(&TestRequest::new("GET", &path).token(&upload.api.token));
    assert_eq!(read.body(), &expected);
    // A repeat finds that it was completed before.
    let repeated = upload.post("completions", &body);
    assert_eq!((repeated.status, repeated.body(), calls(&repeated)), (200, &expected, (2, 1)));

    let confirmed = upload.post("confirmations", &json!({}));
    assert_eq!((confirmed.status, calls(&confirmed)), (201, (1, 1)));
    let asset = ["size_bytes", "mime_type", "name"].map(|name| confirmed.body()[name].clone());
    assert_eq!(asset, [json!(SIZE), json!("video/mp4"), json!("film.mp4")]);
    let repeated = upload.post("completions", &body);
    assert_eq!(
        (repeated.status, &repeated.body()["status"], &repeated.body()["asset_id"], calls(&repeated)),
        (200, &json!("confirmed"), &json!(upload.id), (0, 1))
    );
    assert_eq!(error_of(&upload.sign(&[1])).1, "ASSET_UPLOAD_ALREADY_CONFIRMED");
    assert_eq!(upload.open_multiparts(), 0);
}

#[test]
fn parts_are_named_rightly_or_not_at_all() {
    let upload = Upload::start();
    let before = contents(&upload.api.platform.conn);
    let wrong = |kind: &str| (422, "VALIDATION_ERROR", vec![format!("{kind} body.part_numbers")]);
    for (numbers, kind) in [
        (json!([]), "list_type"),
        (json!((1..=101).collect::<Vec<_>>()), "list_type"),
        (json!([1.5]), "int_type"),
        (json!(["1"]), "int_type"),
        (json!([null]), "int_type"),
        (json!([0]), "out_of_range"),
        (json!([-1]), "out_of_range"),
        (json!(1), "list_type"),
        (json!(null), "list_type"),
        (json!([4]), "out_of_range"),
        (json!([1, 1e9]), "out_of_range"),
        (json!([1, 2, 1]), "repeated"),
        (json!([2, 2.0]), "repeated"),
    ] {
        let answer = upload.post("parts", &json!({"part_numbers": numbers}));
        assert_eq!(error_of(&answer), wrong(kind), "{numbers}");
    }
    assert_eq!((contents(&upload.api.platform.conn), upload.open_multiparts()), (before, 0));
    assert_eq!(upload.post("parts", &json!({"part_numbers": [2.0]})).status, 200);

    let parts = |parts: Value| error_of(&upload.post("completions", &json!({"parts": parts}))).2;
    let part = |number: Value, etag: &str| json!({"part_number": number, "etag": etag});
    let all = |etag: &str| json!([part(json!(1), etag), part(json!(2), etag), part(json!(3), etag)]);
    for wrong in [
        json!([]),
        json!({}),
        json!([1]),
        all(""),
        all("\"\""),
        all(&"é".repeat(256)),
        json!([[1, "x"], [2, "x"], [3, "x"]]),
        json!([{"part_number": 1}]),
    ] {
        assert_eq!(parts(wrong.clone()), ["list_type body.parts"], "{wrong}");
    }
    let extra = json!([{"part_number": 1, "etag": "x", "size": 1}]);
    assert_eq!(parts(extra), ["list_type body.parts"]);
    assert_eq!(parts(json!([part(json!(1), "x"), part(json!(3), "x")])), ["parts_incomplete body.parts"]);
    for unknown in [all("x"), all(&"é".repeat(255)), all("\"x\""), all("W/\"x\"")] {
        assert_eq!(parts(unknown), ["parts_rejected body.parts"]);
    }

    // An ordinary upload has none.
    let ordinary = Upload { id: upload.api.upload.to_string(), api: upload.api };
    let not_multipart = (422, "VALIDATION_ERROR", vec!["not_multipart path.asset_upload_id".to_owned()]);
    assert_eq!(error_of(&ordinary.sign(&[1])), not_multipart);
    assert_eq!(
        error_of(&ordinary.post("completions", &json!({"parts": [part(json!(1), "x")]}))),
        not_multipart
    );
}

#[test]
fn what_storage_lacks_can_be_sent_again() {
    let upload = Upload::start();
    let rejected = |what: &str| (422, "UPLOAD_REJECTED", vec![format!("parts_rejected body.{what}")]);
    let unknown = |number: u64| json!({"part_number": number, "etag": "unknown"});
    let guessed = json!({"parts": [unknown(1), unknown(2), unknown(3)]});
    // No part was ever signed.
    let answer = upload.post("completions", &guessed);
    assert_eq!((error_of(&answer), calls(&answer)), (rejected("parts"), (0, 1)));
    let mut body = upload.put_all();
    let right = body["parts"][1]["etag"].take();
    body["parts"][1]["etag"] = json!("another");
    let answer = upload.post("completions", &body);
    assert_eq!((error_of(&answer), calls(&answer), upload.open_multiparts()), (rejected("parts"), (1, 1), 1));
    body["parts"][1]["etag"] = right;
    assert_eq!(upload.post("completions", &body).status, 200);
}

#[test]
fn a_cancelled_upload_keeps_no_parts() {
    let upload = Upload::start();
    let body = upload.put_all();
    let part = upload.sign(&[1]).body()["parts"][0].clone();
    let path = format!("/v1/asset-uploads/{}", upload.id);
    let cancel = TestRequest::new("DELETE", &path).token(&upload.api.token);
    let answer = upload.api.send(&cancel);
    assert_eq!((answer.status, calls(&answer), upload.open_multiparts()), (204, (2, 1), 0));
    assert_eq!(upload.put(&part), Err(404));
    for answer in [upload.sign(&[1]), upload.post("completions", &body)] {
        assert_eq!(error_of(&answer), (404, "ASSET_UPLOAD_NOT_FOUND", vec![]));
    }
}

#[test]
fn after_the_deadline_there_are_no_parts() {
    let upload = Upload::start();
    let body = upload.put_all();
    upload.api.platform.clock.set(NOW.plus_seconds(86_400));
    for answer in [upload.sign(&[1]), upload.post("completions", &body)] {
        assert_eq!(error_of(&answer), (409, "ASSET_UPLOAD_EXPIRED", vec![]));
    }
}

/// Storage may fail at every step: the answer is 503, and the repeat succeeds.
#[test]
fn a_step_that_fails_can_be_repeated() {
    let error = || storage_error(StorageErrorKind::Transient, "R2: gone (10001)");
    let failing = |upload: &Upload, error: StorageError, send: &dyn Fn() -> TestAnswer| {
        upload.api.platform.r2_error.replace(Some(error));
        let answer = send();
        assert_eq!(error_of(&answer), (503, "STORAGE_UNAVAILABLE", vec![]));
        upload.api.platform.r2_error.replace(None);
    };
    let upload = Upload::start();
    failing(&upload, error(), &|| upload.sign(&[1]));
    assert_eq!(upload.open_multiparts(), 0);
    let body = upload.put_all();
    failing(&upload, error(), &|| upload.post("completions", &body));
    assert_eq!(upload.post("completions", &body).status, 200);
}

/// R2 gave the upload up: an operator's rule ended it, say.
#[test]
fn parts_that_storage_gave_up_are_rejected() {
    let upload = Upload::start();
    let body = upload.put_all();
    let ids = upload.api.platform.bucket.borrow().open_multiparts();
    for id in ids {
        upload.api.platform.bucket.borrow_mut().abort_multipart(&format!("uploads/{}", upload.id), &id);
    }
    let answer = upload.post("completions", &body);
    assert_eq!(error_of(&answer), (422, "UPLOAD_REJECTED", vec!["upload_ended body.parts".to_owned()]));
    assert_eq!(calls(&answer), (2, 1));
}

#[test]
fn the_way_of_sending_is_part_of_the_request() {
    let upload = Upload::start();
    let api = &upload.api;
    for (first, second) in [(true, false), (false, true)] {
        let key = format!("k-{first}");
        let answer = api.send(&start(api, first).header("idempotency-key", &key));
        assert_eq!(answer.status, 201);
        let other = api.send(&start(api, second).header("idempotency-key", &key));
        assert_eq!(error_of(&other).2, ["idempotency_key_reused header.Idempotency-Key"]);
        let same = api.send(&start(api, first).header("idempotency-key", &key));
        assert_eq!((same.body()["asset_id"].clone(), same.status), (answer.body()["asset_id"].clone(), 201));
        assert_eq!(same.header("idempotent-replayed"), Some("true"));
    }
}

#[test]
fn sizes_and_deadlines_of_both_ways() {
    let variables = [("MAX_UPLOAD_BYTES", "5492189429760"), ("CONFIRM_TTL_SECONDS", "2592000")];
    let api = Api::new(&variables);
    let start = |size: u64, multipart: Value| {
        let body = json!({"filename": "a.mp4", "mime_type": "video/mp4", "size_bytes": size, "multipart": multipart});
        api.send(&TestRequest::new("POST", "/v1/asset-uploads").token(&api.token).json(&body.to_string()))
    };
    assert_eq!(start(5_363_466_240, json!(false)).body()["upload"]["method"], json!("PUT"));
    let too_large = start(5_363_466_241, json!(false));
    assert_eq!(error_of(&too_large).2, ["size_out_of_range body.size_bytes"]);
    assert_eq!(too_large.json.as_ref().unwrap()["errors"][0]["limit"], json!(5_363_466_240_u64));
    let largest = start(5_492_189_429_760, json!(true));
    let upload = &largest.body()["upload"];
    assert_eq!((&upload["part_size"], &upload["part_count"]), (&json!(1024 * MIB), &json!(5_115)));
    // R2 keeps parts for 7 days.
    assert_eq!(upload["expires_at"], json!(NOW.plus_seconds(6 * 86_400).to_rfc3339().unwrap()));
    assert_eq!(error_of(&start(5_492_189_429_761, json!(true))).2, ["size_out_of_range body.size_bytes"]);
    for wrong in [json!(null), json!("true"), json!(1), json!({})] {
        assert_eq!(error_of(&start(1, wrong.clone())).2, ["bool_type body.multipart"], "{wrong}");
    }
}
