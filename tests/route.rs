//! Which route a request takes, and the line that is logged for it.

use asset_uploads::domain::ids::{OrganizationId, RequestId, UserId};
use asset_uploads::error::ApiError;
use asset_uploads::log::{Line, known_method, server_timing, to_json};
use asset_uploads::route::Route;
use serde_json::{Value, json};

const METHODS: [&str; 13] = [
    "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "get", "Post", "GETS",
    "",
];

type Methods = Vec<(&'static str, Route<'static>)>;

/// Every path there is: its pattern, and the route for each method it takes, in the order of `Allow`.
fn paths() -> Vec<(&'static str, &'static str, Methods)> {
    let read = |route| vec![("GET", route), ("HEAD", route)];
    let upload = "/v1/asset-uploads/{asset_upload_id}";
    let confirmations = "/v1/asset-uploads/{asset_upload_id}/confirmations";
    let confirm = |id| vec![("POST", Route::ConfirmAssetUpload(id))];
    let session = |id| {
        let mut methods = read(Route::ReadAssetUpload(id));
        methods.push(("DELETE", Route::CancelAssetUpload(id)));
        methods
    };
    vec![
        ("/openapi.json", "/openapi.json", read(Route::OpenApi)),
        ("/v1/health", "/v1/health", read(Route::Health)),
        ("/v1/ready", "/v1/ready", read(Route::Ready)),
        ("/v1/asset-uploads", "/v1/asset-uploads", vec![("POST", Route::CreateAssetUpload)]),
        ("/v1/asset-uploads/7", upload, session("7")),
        ("/v1/asset-uploads/confirmations", upload, session("confirmations")),
        ("/v1/asset-uploads/7/confirmations", confirmations, confirm("7")),
        // What the id is like is judged later: with the caller's rights.
        ("/v1/asset-uploads/%2e%2E é/confirmations", confirmations, confirm("%2e%2E é")),
        ("/v1/asset-uploads/confirmations/confirmations", confirmations, confirm("confirmations")),
        ("/v1/assets/7", "/v1/assets/{asset_id}", read(Route::ReadAsset("7"))),
    ]
}

#[test]
fn every_path_takes_its_methods_and_no_others() {
    for (path, pattern, methods) in paths() {
        let allow = methods.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        for method in METHODS {
            // HEAD is written out; an unknown method is not taken for GET, and case counts.
            let expected = match methods.iter().find(|(name, _)| *name == method) {
                Some((_, route)) => Ok(*route),
                None => Err(ApiError::MethodNotAllowed(allow.clone())),
            };
            assert_eq!(Route::find(method, path), expected, "{method} {path}");
        }
        assert_eq!(Route::allowed_methods(path), Some(allow), "{path}");
        assert_eq!(Route::pattern_at(path), Some(pattern), "{path}");
    }
}

#[test]
fn every_other_path_is_not_found_whatever_the_method() {
    for path in [
        "",
        "/",
        "//",
        "v1/health",
        "/v1",
        "/v1/",
        "/v1/health/",
        "//v1/health",
        "/v1//health",
        "/V1/health",
        "/v1/Health",
        "/v1/health/x",
        "/health",
        "/openapi.json/",
        "/v1/openapi.json",
        "/v1/ready/",
        "/v2/health",
        "/v1/asset-uploads/",
        "/v1/asset-uploads/7/",
        "/v1/asset-uploads//confirmations",
        "/v1/asset-uploads/7//confirmations",
        "/v1/asset-uploads/7/confirmations/",
        "/v1/asset-uploads/7/confirmations/8",
        "/v1/asset-uploads/7/8/confirmations",
        "/v1/asset-uploads/7/confirmation",
        "/v1/asset_uploads/7/confirmations",
        "/v1/assets",
        "/v1/assets/",
        "/v1/assets/7/",
        "/v1/assets/7/8",
        "/a/b/c/d/e/f/g/h",
        "/v1/health\0",
        "*",
    ] {
        for method in METHODS {
            assert_eq!(Route::find(method, path), Err(ApiError::NotFound), "{method} {path:?}");
        }
        assert_eq!((Route::allowed_methods(path), Route::pattern_at(path)), (None, None), "{path:?}");
    }
}

#[test]
fn a_log_line_is_one_line_of_json() {
    let id = "018f4d2e-7c4b-7a35-9c1f-0242ac120002";
    let nasty = "D1: \"quoted\" \\ and\r\nnew {\"level\":\"info\"} \u{1b}[31m \u{2028} \0 é";
    let line = Line {
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
        detail: Some(nasty),
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
    let bare = Line { level: "info", route, code, org_id, user_id, r2_ms, d1_ms, detail, ..line };
    let read: Value = serde_json::from_str(&to_json(&bare)).unwrap();
    for name in ["route", "code", "org_id", "user_id", "r2_ms", "d1_ms", "detail"] {
        assert_eq!(read.get(name), Some(&Value::Null), "{name}");
    }
}

#[test]
fn timings_name_what_was_asked() {
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
