//! What answers have that is no endpoint's own: HEAD, CORS, the 500 of a Worker that cannot work, the line of the
//! log. `TestAnswer::check` holds for every request of these tests which headers and which members of the log's line
//! there are, and that neither has what is secret.

use asset_uploads::api::descriptions;
use asset_uploads::domain::timestamp::Timestamp;
use asset_uploads::error::ApiError;
use asset_uploads::log::to_json;

use crate::platform::client::{TestAnswer, TestRequest};
use crate::platform::fixtures::Api;
use crate::sqlite;

#[test]
fn head_is_get_without_the_body() {
    let api = Api::new(&[]);
    for endpoint in descriptions().into_iter().filter(|endpoint| endpoint.route.method.as_str() == "GET") {
        let get = api.example(&endpoint);
        for get in [get.clone(), get.header("authorization", "Bearer x")] {
            let head = TestRequest { method: "HEAD".to_owned(), ..get.clone() };
            let [get, head] = [get, head].map(|request| api.send(&request));
            let headers = |answer: &TestAnswer| {
                let headers = answer.headers.iter().filter(|(name, _)| *name != "x-request-id");
                headers.cloned().collect::<Vec<_>>()
            };
            assert_eq!((head.status, &head.json, headers(&head)), (get.status, &None, headers(&get)));
            assert_eq!((head.log.method, head.log.code), ("HEAD", get.log.code));
            assert!(get.json.is_some());
        }
    }
}

#[test]
fn without_cors_options_is_a_method_like_any_other() {
    for endpoint in descriptions() {
        let api = Api::new(&[]);
        let request = TestRequest { method: "OPTIONS".to_owned(), ..api.example(&endpoint) }
            .header("origin", "https://app.example")
            .header("access-control-request-method", "POST");
        assert_eq!(api.send(&request).code(), "METHOD_NOT_ALLOWED");
        // `TestAnswer::check` holds that there is no header of CORS.
        assert_eq!(api.send(&api.example(&endpoint).header("origin", "https://app.example")).log.code, None);
    }
}

#[test]
fn with_cors_the_listed_origins_may_call() {
    const PAGE: &str = "https://app.example";
    for (origins, origin, allowed) in [
        (PAGE, Some(PAGE), Some(PAGE)),
        (PAGE, Some("https://other.example"), None),
        (PAGE, None, None),
        ("*", Some(PAGE), Some("*")),
        ("*", None, Some("*")),
    ] {
        for endpoint in descriptions() {
            let api = Api::new(&[("CORS_ALLOWED_ORIGINS", origins)]);
            let mut request = api.example(&endpoint);
            origin
                .into_iter()
                .for_each(|origin| request.headers.extend([("origin".to_owned(), origin.to_owned())]));
            let exposed = allowed.map(|_| {
                "Location, X-Request-Id, Idempotent-Replayed, Retry-After, Server-Timing, WWW-Authenticate"
            });
            let check = |answer: &TestAnswer| {
                assert_eq!(answer.header("access-control-allow-origin"), allowed, "{origins} {origin:?}");
                assert_eq!(answer.header("access-control-expose-headers"), exposed);
            };
            // Success, error and preflight.
            let options = TestRequest { method: "OPTIONS".to_owned(), ..request.clone() };
            let preflight = api.send(&options.clone().header("access-control-request-method", "X"));
            assert_eq!(
                (preflight.status, preflight.body_read, preflight.storage_asked()),
                (204, false, false)
            );
            let paths = descriptions().into_iter().filter(|other| other.route.path == endpoint.route.path);
            let methods: Vec<&str> = paths.map(|other| other.route.method.as_str()).collect();
            let methods = methods.join(", ").replace("GET", "GET, HEAD");
            assert_eq!(preflight.header("access-control-allow-methods"), Some(methods.as_str()));
            assert_eq!(
                preflight.header("access-control-allow-headers"),
                Some("Authorization, Content-Type, Idempotency-Key, X-Organization-Id")
            );
            assert_eq!(preflight.header("access-control-max-age"), Some("86400"));
            check(&preflight);
            // Not asked for by a browser.
            let answer = api.send(&options);
            assert_eq!(
                (answer.code(), answer.header("access-control-allow-methods")),
                ("METHOD_NOT_ALLOWED", None)
            );
            check(&answer);
            let answer = api.send(
                &TestRequest { url: format!("{}/x/y/z", request.url), ..options }
                    .header("access-control-request-method", "X"),
            );
            assert_eq!(answer.code(), "NOT_FOUND");
            check(&answer);
            let answer = api.send(&request);
            assert_eq!(answer.log.code, None);
            check(&answer);
        }
    }
}

/// The operator reads what is wrong, the client does not.
#[test]
fn with_wrong_variables_every_answer_is_500() {
    let api = Api::new(&[]);
    let detail = "MAX_UPLOAD_BYTES must be a whole number";
    let mut requests: Vec<_> = descriptions().iter().map(|endpoint| api.example(endpoint)).collect();
    requests.push(TestRequest::new("GET", "/nothing"));
    requests.push(TestRequest::new("OPTIONS", "/v1/health").header("access-control-request-method", "GET"));
    for request in requests {
        let answer = api.platform.send(&request, Err(ApiError::Internal(detail.to_owned())));
        assert_eq!((answer.status, answer.code()), (500, "INTERNAL_ERROR"), "{request:?}");
        assert_eq!(answer.log.detail.as_deref(), Some(detail));
        assert_eq!(answer.log.route.is_some(), !request.url.ends_with("/nothing"));
        assert!(!answer.body_read && !answer.storage_asked());
    }
}

#[test]
fn without_random_bytes_every_answer_is_500() {
    let api = Api::new(&[]);
    api.platform.random.set(false);
    for endpoint in descriptions() {
        let answer = api.send(&api.example(&endpoint));
        assert_eq!((answer.status, answer.code()), (500, "INTERNAL_ERROR"));
        assert_eq!(answer.log.detail.as_deref(), Some("crypto has no random bytes"));
        assert!(!answer.body_read && !answer.storage_asked());
    }
}

#[test]
fn headers_that_the_platform_does_not_show_are_500() {
    let api = Api::new(&[]);
    for endpoint in descriptions() {
        let answer = api.send(&TestRequest { headers_fail: true, ..api.example(&endpoint) });
        assert_eq!((answer.status, answer.log.detail.as_deref()), (500, Some("no headers")));
        assert!(!answer.body_read && !answer.storage_asked());
    }
}

#[test]
fn a_line_of_the_log_has_the_route_and_the_ids_and_nothing_that_the_client_made_up() {
    for endpoint in descriptions() {
        let api = Api::new(&[]);
        let example = api.example(&endpoint);
        let answer = api.send(&example.header("idempotency-key", "made-up"));
        assert_eq!(answer.status, endpoint.doc.success.0, "{answer:?}");
        assert_eq!((answer.log.level, answer.log.code, &answer.log.detail), ("info", None, &None));
        assert_eq!(
            (answer.log.method, answer.log.route),
            (endpoint.route.method.as_str(), Some(endpoint.route.path))
        );
        let ids = api.user_of_example(&endpoint).map(|user| (user, api.org));
        assert_eq!(answer.log.user_id.zip(answer.log.org_id), ids);
        assert_eq!(answer.log.duration_ms, 0);
        let line = to_json(&answer.log);
        for hidden in ["made", &api.token, &api.upload.to_string(), &api.asset.to_string(), "beach"] {
            assert!(!line.contains(hidden), "{line} has {hidden}");
        }
    }
}

/// A clock that is set back while a request is answered makes no negative duration.
#[test]
fn a_duration_is_never_negative() {
    let api = Api::new(&[]);
    let create =
        descriptions().into_iter().find(|endpoint| endpoint.doc.operation_id == "createAssetUpload").unwrap();
    let answer = api.send(&TestRequest { body_ms: -5_000, ..api.example(&create) });
    assert_eq!((answer.status, answer.log.duration_ms), (201, 0));
    assert_eq!(api.platform.clock.get(), Timestamp(sqlite::NOW.0 - 5_000));
}
