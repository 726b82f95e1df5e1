//! Which endpoint a request is for: rules 1 and 2.

use asset_uploads::api::ROUTES;
use asset_uploads::http::route::{Route, find};

const METHODS: [&str; 13] = [
    "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "get", "Post", "GETS",
    "",
];

/// Paths, with the pattern of each, its methods in the order of `Allow`, and the value of its parameter.
const PATHS: [(&str, &str, &[&str], &str); 32] = [
    ("/v1/health", "/v1/health", &["GET", "HEAD"], ""),
    ("/v1/ready", "/v1/ready", &["GET", "HEAD"], ""),
    ("/v1/auth/me", "/v1/auth/me", &["GET", "HEAD"], ""),
    ("/v1/api-keys", "/v1/api-keys", &["GET", "HEAD", "POST"], ""),
    ("/v1/api-keys/7", "/v1/api-keys/{api_key_id}", &["DELETE"], "7"),
    ("/v1/asset-uploads", "/v1/asset-uploads", &["POST"], ""),
    ("/v1/asset-uploads/7", UPLOAD, &["GET", "HEAD", "DELETE"], "7"),
    ("/v1/asset-uploads/confirmations", UPLOAD, &["GET", "HEAD", "DELETE"], "confirmations"),
    ("/v1/asset-uploads/7/confirmations", CONFIRMATIONS, &["POST"], "7"),
    ("/v1/asset-uploads/7/parts", "/v1/asset-uploads/{asset_upload_id}/parts", &["POST"], "7"),
    ("/v1/asset-uploads/7/completions", "/v1/asset-uploads/{asset_upload_id}/completions", &["POST"], "7"),
    ("/v1/asset-upload-confirmations", "/v1/asset-upload-confirmations", &["POST"], ""),
    // What the id is like is checked later: after the caller's rights.
    ("/v1/asset-uploads/%2e%2E é/confirmations", CONFIRMATIONS, &["POST"], "%2e%2E é"),
    ("/v1/asset-uploads/confirmations/confirmations", CONFIRMATIONS, &["POST"], "confirmations"),
    ("/v1/assets", "/v1/assets", &["GET", "HEAD"], ""),
    ("/v1/assets/7", "/v1/assets/{asset_id}", &["GET", "HEAD", "PATCH", "DELETE"], "7"),
    ("/v1/assets/types", "/v1/assets/types", &["GET", "HEAD"], ""),
    ("/v1/assets/source-types", "/v1/assets/source-types", &["GET", "HEAD"], ""),
    ("/v1/assets/types/restorations", "/v1/assets/{asset_id}/restorations", &["POST"], "types"),
    ("/v1/asset-folders", "/v1/asset-folders", &["GET", "HEAD", "POST"], ""),
    ("/v1/asset-folders/7", "/v1/asset-folders/{folder_id}", &["GET", "HEAD", "PATCH", "DELETE"], "7"),
    ("/v1/asset-folders/7/restorations", "/v1/asset-folders/{folder_id}/restorations", &["POST"], "7"),
    ("/v1/webhooks", "/v1/webhooks", &["GET", "HEAD", "POST"], ""),
    ("/v1/webhooks/event-types", "/v1/webhooks/event-types", &["GET", "HEAD"], ""),
    ("/v1/webhooks/7", "/v1/webhooks/{webhook_id}", &["GET", "HEAD", "PATCH", "DELETE"], "7"),
    ("/v1/webhooks/7/secret-rotations", "/v1/webhooks/{webhook_id}/secret-rotations", &["POST"], "7"),
    ("/v1/webhooks/7/tests", "/v1/webhooks/{webhook_id}/tests", &["POST"], "7"),
    ("/v1/webhooks/event-types/tests", "/v1/webhooks/{webhook_id}/tests", &["POST"], "event-types"),
    ("/v1/webhooks/7/deliveries", DELIVERIES, &["GET", "HEAD"], "7"),
    ("/v1/webhooks/event-types/deliveries", DELIVERIES, &["GET", "HEAD"], "event-types"),
    (
        "/v1/webhooks/7/deliveries/8",
        "/v1/webhooks/{webhook_id}/deliveries/{delivery_id}",
        &["GET", "HEAD"],
        "7",
    ),
    ("/v1/webhooks/7/deliveries/8/redeliveries", REDELIVERIES, &["POST"], "7"),
];
const UPLOAD: &str = "/v1/asset-uploads/{asset_upload_id}";
const CONFIRMATIONS: &str = "/v1/asset-uploads/{asset_upload_id}/confirmations";
const DELIVERIES: &str = "/v1/webhooks/{webhook_id}/deliveries";
const REDELIVERIES: &str = "/v1/webhooks/{webhook_id}/deliveries/{delivery_id}/redeliveries";

#[test]
fn rule_2_every_path_takes_its_methods_and_no_others() {
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
}

#[test]
fn every_endpoint_is_in_the_table() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/api");
    let files =
        std::fs::read_dir(folder).unwrap().map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap());
    let written: usize = files.map(|text| text.matches("\nimpl Endpoint for ").count()).sum();
    assert_eq!(ROUTES.len(), written, "add the endpoints that are missing to the table in src/api/mod.rs");
}

#[test]
fn every_route_is_found_by_its_path_and_method() {
    for (place, route) in ROUTES.iter().enumerate() {
        let part = |part: &str| if part.starts_with('{') { "7".to_owned() } else { part.to_owned() };
        let path = route.path.split('/').map(part).collect::<Vec<_>>().join("/");
        let matched = find(ROUTES, &path).unwrap();
        let found = (matched.pattern, matched.endpoint(route.method.as_str()));
        assert_eq!(found, (route.path, Some(place)), "{path}: does another path stand in its way?");
    }
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

#[test]
fn routes_are_unique_and_have_at_most_two_parameters() {
    for (place, route) in ROUTES.iter().enumerate() {
        assert!(route.path.starts_with("/v1/") && route.path.matches('{').count() <= 2, "{route:?}");
        assert_eq!(ROUTES.iter().position(|other| other == route), Some(place), "{route:?} stands twice");
    }
}

#[test]
fn rule_1_every_other_path_is_not_found() {
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
        "/v1/assets/",
        "/v1/assets/7/restorations/8",
        "/v1/asset-folders/",
        "/v1/assets/7/",
        "/v1/assets/7/8",
        "/v1/webhooks/",
        "/v1/webhooks/7/deliveries/",
        "/v1/webhooks/7/tests/8",
        "/v1/webhooks/7/deliveries/8/redeliveries/9",
        "/v1/webhooks/deliveries/8/redeliveries",
        "/a/b/c/d/e/f/g/h",
        "/v1/health\0",
        "*",
    ] {
        assert_eq!(find(ROUTES, path), None, "{path:?}");
    }
}

#[test]
fn a_path_with_two_parameters_has_the_values_of_both() {
    let matched = find(ROUTES, "/v1/webhooks/7/deliveries/8").unwrap();
    assert_eq!([matched.params.get(0), matched.params.get(1)], ["7", "8"]);
}
