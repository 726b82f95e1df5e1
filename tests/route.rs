//! Which route a request takes, and the line that is logged for it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code may panic")]

use asset_uploads::api::ROUTES;
use asset_uploads::domain::ids::{OrganizationId, RequestId, UserId};
use asset_uploads::http::route::{Route, find};
use asset_uploads::log::{RequestLine, known_method, server_timing, to_json};
use serde_json::{Value, json};

const METHODS: [&str; 13] = [
    "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "get", "Post", "GETS",
    "",
];

/// Paths, with the pattern of each, its methods in the order of `Allow`, and the value of its parameter.
const PATHS: [(&str, &str, &[&str], &str); 9] = [
    ("/v1/health", "/v1/health", &["GET", "HEAD"], ""),
    ("/v1/ready", "/v1/ready", &["GET", "HEAD"], ""),
    ("/v1/asset-uploads", "/v1/asset-uploads", &["POST"], ""),
    ("/v1/asset-uploads/7", UPLOAD, &["GET", "HEAD", "DELETE"], "7"),
    ("/v1/asset-uploads/confirmations", UPLOAD, &["GET", "HEAD", "DELETE"], "confirmations"),
    ("/v1/asset-uploads/7/confirmations", CONFIRMATIONS, &["POST"], "7"),
    // What the id is like is checked later: after the caller's rights.
    ("/v1/asset-uploads/%2e%2E é/confirmations", CONFIRMATIONS, &["POST"], "%2e%2E é"),
    ("/v1/asset-uploads/confirmations/confirmations", CONFIRMATIONS, &["POST"], "confirmations"),
    ("/v1/assets/7", "/v1/assets/{asset_id}", &["GET", "HEAD"], "7"),
];
const UPLOAD: &str = "/v1/asset-uploads/{asset_upload_id}";
const CONFIRMATIONS: &str = "/v1/asset-uploads/{asset_upload_id}/confirmations";

#[test]
fn every_path_takes_its_methods_and_no_others() {
    for (path, pattern, methods, value) in PATHS {
        let matched = find(ROUTES, path).unwrap();
        assert_eq!((matched.pattern, matched.params.get(0)), (pattern, value), "{path}");
        assert_eq!(matched.allow(), methods.join(", "), "{path}");
        for method in METHODS {
            // HEAD is written out; an unknown method is not taken for GET, and case counts.
            let expected = methods.contains(&method).then(|| if method == "HEAD" { "GET" } else { method });
            let found = matched.endpoint(method).map(|place| ROUTES[place]);
            assert_eq!(found.map(|route| route.method.as_str()), expected, "{method} {path}");
            assert!(found.is_none_or(|route| route.path == pattern), "{method} {path}");
        }
    }
    let patterns = |list: Vec<&'static str>| list.into_iter().collect::<std::collections::BTreeSet<_>>();
    let tested = patterns(PATHS.iter().map(|path| path.1).collect());
    assert_eq!(tested, patterns(ROUTES.iter().map(|route| route.path).collect()), "a route is not tested");
}

#[test]
fn a_path_without_parameters_comes_before_one_with() {
    let routes = [
        Route::get("/v1/assets/{asset_id}"),
        Route::get("/v1/assets/types"),
        Route::post("/v1/assets/{asset_id}"),
    ];
    let matched = find(&routes, "/v1/assets/types").unwrap();
    assert_eq!(
        (matched.pattern, matched.endpoint("GET"), matched.endpoint("POST")),
        ("/v1/assets/types", Some(1), None)
    );
    assert_eq!(matched.allow(), "GET, HEAD");
    let matched = find(&routes, "/v1/assets/type").unwrap();
    assert_eq!(
        (matched.endpoint("HEAD"), matched.endpoint("POST"), matched.allow()),
        (Some(0), Some(2), "GET, HEAD, POST".to_owned())
    );
}

/// What the router can do: two parameters, and no method twice on one path.
#[test]
fn the_table_is_sound() {
    for (place, route) in ROUTES.iter().enumerate() {
        assert!(route.path.starts_with("/v1/") && route.path.matches('{').count() <= 2, "{route:?}");
        assert_eq!(ROUTES.iter().position(|other| other == route), Some(place), "{route:?} stands twice");
    }
}

#[test]
fn every_other_path_is_not_found() {
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
        "/openapi.json",
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
        assert_eq!(find(ROUTES, path), None, "{path:?}");
    }
}

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
