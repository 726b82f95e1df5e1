//! The line that is logged for a request, and the header that has the same durations.

use asset_uploads::domain::ids::{OrganizationId, RequestId, UserId};
use asset_uploads::log::{RequestLine, known_method, server_timing, to_json};
use serde_json::{Value, json};

#[test]
fn a_log_line_is_one_line_of_json() {
    let id = "018f4d2e-7c4b-7a35-9c1f-0242ac120002";
    let nasty = "D1: \"quoted\" \\ and\r\nnew {\"level\":\"info\"} \u{1b}[31m \u{2028} \0 é";
    let line = RequestLine {
        level: "error",
        request_id: RequestId::parse(id).unwrap(),
        method: "POST",
        route: Some("/v1/asset-uploads/{asset_upload_id}/confirmations"),
        status: 503,
        code: Some("STORAGE_UNAVAILABLE"),
        org_id: OrganizationId::parse(id),
        user_id: UserId::parse(id),
        r2_ms: Some(17),
        d1_ms: Some(0),
        retries: 2,
        duration_ms: 1_234,
        detail: Some(nasty.to_owned()),
    };
    let text = to_json(&line);
    assert!(!text.contains(|c: char| c.is_ascii_control()), "{text:?}");
    let expected = json!({
        "level": "error", "request_id": id, "method": "POST",
        "route": "/v1/asset-uploads/{asset_upload_id}/confirmations", "status": 503,
        "code": "STORAGE_UNAVAILABLE", "org_id": id, "user_id": id, "r2_ms": 17, "d1_ms": 0, "retries": 2,
        "duration_ms": 1_234, "detail": nasty,
    });
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), expected);

    let (route, code, org_id, user_id) = (None, None, None, None);
    let (r2_ms, d1_ms, detail) = (None, None, None);
    let bare = RequestLine { level: "info", route, code, org_id, user_id, r2_ms, d1_ms, detail, ..line };
    let read: Value = serde_json::from_str(&to_json(&bare)).unwrap();
    for name in ["route", "code", "org_id", "user_id", "r2_ms", "d1_ms", "detail"] {
        assert_eq!(read.get(name), Some(&Value::Null), "{name}");
    }
}

#[test]
fn server_timing_names_what_was_asked() {
    assert_eq!(server_timing(None, None), "");
    assert_eq!(server_timing(Some(17), None), "r2;dur=17");
    assert_eq!(server_timing(None, Some(0)), "d1;dur=0");
    assert_eq!(server_timing(Some(17), Some(3)), "r2;dur=17, d1;dur=3");
}

#[test]
fn made_up_methods_do_not_get_into_the_log() {
    for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"] {
        assert_eq!(known_method(method), method);
    }
    for method in ["PROPFIND", "get", "", "GET\n", "{\"level\"", "au_0003"] {
        assert_eq!(known_method(method), "OTHER");
    }
}
