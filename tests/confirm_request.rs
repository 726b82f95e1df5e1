//! Reading a confirmation's path, headers and body: what is accepted, what is 400, and what is 422
//! with every error at once.

use asset_uploads::api::confirmations::Confirm;
use asset_uploads::domain::idempotency::IdempotencyKey;
use asset_uploads::domain::ids::{AssetUploadId, FolderId, OrganizationId};
use asset_uploads::error::ApiError;
use asset_uploads::http::request::{Body, BodyLimit, RequestHeaders};
use serde_json::{Value, json};

use crate::requests;

const UPLOAD: &str = "018f4d2e-7c4b-7a35-9c1f-0242ac120001";
const FOLDER: &str = "018f4d2e-7c4b-7a35-9c1f-0242ac120002";
const ORG: &str = "018f4d2e-7c4b-7a35-9c1f-0242ac120003";

fn json_headers() -> RequestHeaders {
    RequestHeaders { content_type: Some("application/json".to_owned()), ..RequestHeaders::default() }
}

type Read = Result<(Confirm, Option<OrganizationId>), ApiError>;

fn parse_all(id: &str, headers: &RequestHeaders, body: Body) -> Read {
    requests::parse(id, "", headers, &body, &requests::config(&[]))
}

fn parse(body: impl Into<Vec<u8>>) -> Read {
    parse_all(UPLOAD, &json_headers(), Body::Bytes(body.into()))
}

fn request(folder_id: Option<&str>) -> (Confirm, Option<OrganizationId>) {
    let confirm = Confirm {
        asset_upload_id: AssetUploadId::parse(UPLOAD).unwrap(),
        idempotency_key: None,
        folder_id: folder_id.map(|id| FolderId::parse(id).unwrap()),
    };
    (confirm, None)
}

/// `errors` of a 422.
fn errors(result: Read) -> Value {
    let error = result.unwrap_err();
    assert_eq!((error.code().status(), error.code().as_str()), (422, "VALIDATION_ERROR"));
    serde_json::from_str::<Value>(&error.body()).unwrap()["errors"].clone()
}

fn uuid_error(loc: [&str; 2]) -> Value {
    json!({"loc": loc, "type": "uuid_parsing",
        "msg": "Must be a UUID such as 018f4d2e-7c4b-7a35-9c1f-0242ac120002."})
}

fn string_error() -> Value {
    json!({"loc": ["body", "folder_id"], "type": "string_type",
        "msg": "Must be a string holding a UUID, or null."})
}

fn unknown(name: &str) -> Value {
    json!({"loc": ["body", name], "msg": "There is no such field; leave it out.", "type": "extra_forbidden"})
}

fn duplicate(name: &str) -> Value {
    json!({"loc": ["body", name], "msg": "Stands more than once; send it once.", "type": "duplicate_field"})
}

fn missing() -> Value {
    json!([{"loc": ["body"], "msg": "A JSON body is required; send at least {}.", "type": "missing"}])
}

fn is_no_object(body: impl Into<Vec<u8>>) {
    let body = body.into();
    let shown: String = String::from_utf8_lossy(&body).chars().take(80).collect();
    let expected = ApiError::BadRequest("The body is not a JSON object; send one such as {}.");
    assert_eq!(parse(body), Err(expected), "{shown:?}");
}

#[test]
fn well_formed_bodies_are_read() {
    assert_eq!(parse("{}"), Ok(request(None)));
    assert_eq!(parse(" \r\n\t{ } \n"), Ok(request(None)));
    assert_eq!(parse(r#"{"folder_id":null}"#), Ok(request(None)));
    assert_eq!(parse(r#"{ "folder_id" : null }"#), Ok(request(None)));
    assert_eq!(parse(format!(r#"{{"folder_id":"{FOLDER}"}}"#)), Ok(request(Some(FOLDER))));
    // Upper case, and escapes where none are needed, in the name and in the value.
    let upper = FOLDER.to_uppercase();
    assert_eq!(parse(format!(r#"{{"folder_id": "{upper}" }}"#)), Ok(request(Some(FOLDER))));
    let escaped = FOLDER.replace('-', "\\u002d");
    assert_eq!(parse(format!(r#"{{"folder\u005fid":"{escaped}"}}"#)), Ok(request(Some(FOLDER))));
}

#[test]
fn headers_are_read() {
    let headers = RequestHeaders {
        organization: Some(ORG.to_uppercase()),
        idempotency_key: Some("order-17~!".to_owned()),
        ..json_headers()
    };
    let confirm = Confirm { idempotency_key: IdempotencyKey::parse("order-17~!"), ..request(None).0 };
    let expected = (confirm, OrganizationId::parse(ORG));
    let read = parse_all(&UPLOAD.to_uppercase(), &headers, Body::Bytes(b"{}".to_vec()));
    assert_eq!(read, Ok(expected));
}

#[test]
fn rule_9_what_is_no_json_object_is_a_bad_request() {
    for body in [
        "null",
        "[]",
        "[{}]",
        "true",
        "17",
        "\"{}\"",
        " ",
        "\n\t ",
        "{",
        "}",
        "{}}",
        "{} {}",
        "{}\0",
        "\0",
        "{'a':1}",
        "{a:1}",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{,}",
        "{\"a\":01}",
        "{\"a\":NaN}",
        "{} // ok",
        "{\"a\":\"\n\"}",
        "{\"a\":\"\0\"}",
        "{\"a\":\"\\x\"}",
        "\u{feff}{}",
        "{\u{a0}}",
        "folder_id=1",
    ] {
        is_no_object(body);
    }
    // A lone surrogate cannot be the name of anything.
    is_no_object(r#"{"\ud800":null}"#);
    is_no_object("[".repeat(30_000) + &"]".repeat(30_000));
    is_no_object("[".repeat(60_000));
    is_no_object(r#"{"a":"#.repeat(10_000));
}

#[test]
fn depth_costs_nothing() {
    let deep = "[".repeat(30_000) + &"]".repeat(30_000);
    assert_eq!(errors(parse(format!(r#"{{"folder_id":{deep}}}"#))), json!([string_error()]));
    assert_eq!(errors(parse(format!(r#"{{"a":{deep}}}"#))), json!([unknown("a")]));
    let objects = r#"{"a":"#.repeat(10_000) + "1" + &"}".repeat(10_000);
    assert_eq!(errors(parse(objects)), json!([unknown("a")]));
}

#[test]
fn rule_9_bytes_that_are_no_utf_8_are_a_bad_request() {
    let expected = Err(ApiError::BadRequest("The body is not UTF-8; send JSON in UTF-8."));
    // A stray byte, a truncated character, a surrogate, an overlong slash, UTF-16, Latin-1.
    for bytes in [
        &b"\xff"[..],
        b"{\"a\":\"\xc3\"}",
        b"\"\xed\xa0\x80\"",
        b"\xc0\xaf",
        b"\xff\xfe{\0}\0",
        b"{\"\xe9\":1}",
    ] {
        assert_eq!(parse(bytes), expected, "{bytes:?}");
    }
}

#[test]
fn rule_10_an_absent_body_is_an_error_whatever_its_type() {
    for content_type in [None, Some("application/json"), Some("text/plain")] {
        let headers =
            RequestHeaders { content_type: content_type.map(str::to_owned), ..RequestHeaders::default() };
        let read = parse_all(UPLOAD, &headers, Body::Bytes(Vec::new()));
        assert_eq!(errors(read), missing(), "{content_type:?}");
    }
}

#[test]
fn rule_9_a_body_that_did_not_arrive_is_a_bad_request() {
    let read = |body| parse_all("no id", &json_headers(), body);
    let too_large = ApiError::BadRequest("The body is over 64 KiB; send a smaller one.");
    assert_eq!(read(Body::Over(BodyLimit::Kib64)), Err(too_large));
    let broken = ApiError::BadRequest("The body did not arrive whole; send the request again.");
    assert_eq!(read(Body::Broken), Err(broken));
    assert_eq!(BodyLimit::Kib64.bytes(), 65_536);
}

#[test]
fn rule_9_only_json_is_taken_for_json() {
    let read = |content_type: Option<&str>| {
        let headers =
            RequestHeaders { content_type: content_type.map(str::to_owned), ..RequestHeaders::default() };
        parse_all(UPLOAD, &headers, Body::Bytes(b"{}".to_vec()))
    };
    for good in [
        "application/json",
        "APPLICATION/JSON",
        "application/json; charset=utf-8",
        "application/json;charset=UTF-8",
        " application/json ; a=b",
    ] {
        assert_eq!(read(Some(good)), Ok(request(None)), "{good:?}");
    }
    let expected = Err(ApiError::BadRequest("Send the body with Content-Type: application/json."));
    assert_eq!(read(None), expected);
    for wrong in [
        "",
        ";",
        "text/json",
        "application/jsonx",
        "application/json5",
        "xapplication/json",
        "application/json, text/html",
        "application/x-www-form-urlencoded",
        "application/merge-patch+json",
        "application /json",
        "application",
    ] {
        assert_eq!(read(Some(wrong)), expected, "{wrong:?}");
    }
}

#[test]
fn rule_10_a_folder_is_a_uuid_in_a_string_or_null() {
    for value in ["1", "1e400", "true", "false", "[]", "{}", "{\"a\":null}", "-0"] {
        assert_eq!(errors(parse(format!(r#"{{"folder_id":{value}}}"#))), json!([string_error()]), "{value}");
    }
    let error = json!([uuid_error(["body", "folder_id"])]);
    let padded = format!(" {FOLDER}");
    let nul = format!("{FOLDER}\\u0000");
    for value in [
        "",
        "null",
        "x",
        &FOLDER.replace('-', ""),
        &padded,
        &nul,
        "\\ud800",
        "\\ud800\\u0041",
        "\\udc00",
        "\\u0000",
        &"9".repeat(60_000),
    ] {
        assert_eq!(errors(parse(format!(r#"{{"folder_id":"{value}"}}"#))), error, "{value:.40}");
    }
}

#[test]
fn rule_10_every_error_is_listed_at_once() {
    let headers = RequestHeaders {
        organization: Some("acme".to_owned()),
        idempotency_key: Some("not one".to_owned()),
        ..json_headers()
    };
    let body = Body::Bytes(br#"{"folder":"x","folder_id":"y","Folder_id":null,"folder":2}"#.to_vec());
    let key_error = json!({"loc": ["header", "Idempotency-Key"],
        "msg": "Must be 1 to 255 visible ASCII characters.", "type": "idempotency_key"});
    let rest =
        [uuid_error(["path", "asset_upload_id"]), key_error, uuid_error(["header", "X-Organization-Id"])];
    let in_body = [
        unknown("folder"),
        uuid_error(["body", "folder_id"]),
        unknown("Folder_id"),
        unknown("folder"),
        duplicate("folder"),
    ];
    let expected: Vec<Value> = in_body.into_iter().chain(rest.clone()).collect();
    assert_eq!(errors(parse_all("7", &headers, body)), json!(expected));
    // Without a body the others are still listed.
    let empty = Body::Bytes(Vec::new());
    let mut expected = missing().as_array().unwrap().clone();
    expected.extend(rest);
    assert_eq!(errors(parse_all("7", &headers, empty)), json!(expected));
}

#[test]
fn rule_10_header_values_at_their_limits() {
    let with_key = |key: String| {
        let headers = RequestHeaders { idempotency_key: Some(key), ..json_headers() };
        parse_all(UPLOAD, &headers, Body::Bytes(b"{}".to_vec()))
    };
    for good in ["k".to_owned(), "k".repeat(255)] {
        assert_eq!(with_key(good.clone()).unwrap().0.idempotency_key, IdempotencyKey::parse(&good));
    }
    for wrong in [String::new(), "k".repeat(256), "é".to_owned(), "a\u{7f}".to_owned(), "a b".to_owned()] {
        assert_eq!(errors(with_key(wrong))[0]["loc"], json!(["header", "Idempotency-Key"]));
    }
    for wrong in
        ["", "null", "{018f4d2e-7c4b-7a35-9c1f-0242ac120003}", "018f4d2e-7c4b-7a35-9c1f-0242ac120003, "]
    {
        let headers = RequestHeaders { organization: Some(wrong.to_owned()), ..json_headers() };
        let read = parse_all(UPLOAD, &headers, Body::Bytes(b"{}".to_vec()));
        assert_eq!(errors(read), json!([uuid_error(["header", "X-Organization-Id"])]));
    }
}

/// 64 KiB of unknown fields, each with an answer of its own, must not make an answer of a megabyte.
#[test]
fn rule_10_the_first_hundred_errors_are_listed() {
    let body = |count: usize| {
        let fields: Vec<String> = (0..count).map(|n| format!(r#""a{n}":1"#)).collect();
        format!("{{{}}}", fields.join(","))
    };
    for (count, listed) in [(99, 99), (100, 100), (101, 100), (7_000, 100)] {
        let expected: Vec<Value> = (0..listed).map(|n| unknown(&format!("a{n}"))).collect();
        assert_eq!(errors(parse(body(count))), json!(expected), "{count}");
    }
}

#[test]
fn rule_10_repeated_names_are_listed_once_and_long_ones_cut() {
    let twice = format!(r#"{{"folder_id":null,"folder\u005fid":"{FOLDER}","folder_id":null}}"#);
    assert_eq!(errors(parse(twice)), json!([duplicate("folder_id")]));
    let long = "é".repeat(5_000);
    let expected = json!([unknown(&"é".repeat(100))]);
    assert_eq!(errors(parse(format!(r#"{{"{long}":1}}"#))), expected);
    assert_eq!(errors(parse(r#"{"a\u0000\n":1}"#)), json!([unknown("a\0\n")]));
    assert_eq!(errors(parse(r#"{"__proto__":{},"":1}"#)), json!([unknown("__proto__"), unknown("")]));
}
