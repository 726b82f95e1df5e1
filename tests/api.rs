//! A request's whole way through the API, natively: the order of the rules that every endpoint shares. What each
//! endpoint does by itself is in tests/endpoints.rs, and what all answers have in tests/answer.rs.

use asset_uploads::api::descriptions;
use asset_uploads::api::endpoint::{Description, Values};
use asset_uploads::error::{AuthError, ErrorCode};
use asset_uploads::http::request::{Body, BodyLimit};
use asset_uploads::storage_error::StorageErrorKind;
use asset_uploads::store::rights::Permission;
use serde_json::{Value, json};

use crate::platform::client::{TestAnswer, TestRequest};
use crate::platform::fixtures::{Api, endpoints_with_callers};
use crate::platform::storage_error;
use crate::sqlite::fixtures::DEADLINE;
use crate::sqlite::{self, contents};

/// A request of the same endpoint with one error, and where that is: in the path, else in the body, else in the query;
/// `None` where the endpoint has none of them.
fn with_wrong_field(endpoint: &Description, request: &TestRequest) -> Option<(TestRequest, String)> {
    if let Some(parameter) = endpoint.doc.path.first() {
        let mut parts: Vec<&str> = request.url.split('/').collect();
        let place = 2 + endpoint.route.path.split('/').position(|part| part.starts_with('{')).unwrap();
        parts[place] = "x";
        return Some((
            TestRequest { url: parts.join("/"), ..request.clone() },
            format!("path {}", parameter.name),
        ));
    }
    if endpoint.route.method.has_body() {
        let Body::Bytes(bytes) = &request.body else { panic!("an example has a body") };
        let mut body: Value = serde_json::from_slice(bytes).unwrap();
        body["no_such_field"] = json!(0);
        return Some((request.clone().json(&body.to_string()), "body no_such_field".to_owned()));
    }
    let parameter =
        endpoint.doc.query.iter().find(|parameter| !matches!(parameter.values, Values::Text(_)))?;
    let url = format!("{}?{}=x", request.url, parameter.name);
    Some((TestRequest { url, ..request.clone() }, format!("query {}", parameter.name)))
}

fn expect_unauthorized(answer: &TestAnswer, case: &str) {
    assert_eq!((answer.status, answer.code()), (401, "UNAUTHORIZED"), "{case}");
    assert_eq!(answer.header("www-authenticate"), Some("Bearer"), "{case}");
}

#[test]
fn rules_1_and_2_a_path_and_its_methods_are_checked_before_the_key() {
    let api = Api::new(&[]);
    let before = contents(&api.platform.conn);
    for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "get"] {
        let logged = if ["PROPFIND", "get"].contains(&method) { "OTHER" } else { method };
        for path in ["/", "/v1", "/v1/nothing", "/v1/assets/x/y", "/openapi.json"] {
            let answer = api.send(&TestRequest::new(method, path).token(&api.token));
            assert_eq!((answer.status, answer.code()), (404, "NOT_FOUND"), "{method} {path}");
            assert_eq!((answer.log.route, answer.log.method), (None, logged));
            assert!(!answer.body_read && !answer.storage_asked());
        }
        for endpoint in descriptions() {
            let path = endpoint.route.path;
            let others = descriptions().into_iter().filter(|other| other.route.path == path);
            let methods: Vec<&str> = others.map(|other| other.route.method.as_str()).collect();
            let allow = methods.join(", ").replace("GET", "GET, HEAD");
            if allow.split(", ").any(|allowed| allowed == method) {
                continue;
            }
            let request = TestRequest { method: method.to_owned(), ..api.example(&endpoint) };
            let answer = api.send(&request);
            assert_eq!((answer.status, answer.code()), (405, "METHOD_NOT_ALLOWED"), "{method} {path}");
            assert_eq!(answer.header("allow"), Some(allow.as_str()), "{path}");
            assert_eq!((answer.log.route, answer.log.method), (Some(path), logged));
            assert!(!answer.body_read && !answer.storage_asked());
        }
    }
    assert_eq!(contents(&api.platform.conn), before);
}

#[test]
fn rule_3_a_malformed_key_is_answered_before_the_body_and_without_storage() {
    let api = Api::new(&[]);
    let mistyped = api.token.replace("au_", "aU_");
    for (endpoint, _) in endpoints_with_callers() {
        for authorization in
            [None, Some(""), Some("Bearer"), Some(&api.token), Some(&format!("Bearer {mistyped}"))]
        {
            let mut request = api.example(&endpoint).header("x-organization-id", "x");
            request.headers.remove("authorization");
            if let Some(value) = authorization {
                request = request.header("authorization", value);
            }
            request.body = Body::Broken;
            let answer = api.send(&request);
            let case = format!("{authorization:?} {}", endpoint.route.path);
            expect_unauthorized(&answer, &case);
            assert!(!answer.body_read && !answer.storage_asked(), "{case}");
            assert_eq!((answer.log.user_id, answer.log.org_id), (None, None), "{case}");
        }
    }
}

/// A caller without the rights gets the error of rules 3 to 8, also if the request is invalid. A caller with the rights
/// gets the error of rule 9, else of rule 10. Nothing is written.
#[test]
fn rules_3_to_8_come_before_9_and_9_before_10() {
    for (endpoint, permission) in endpoints_with_callers() {
        let api = Api::new(&[]);
        let callers = api.denied_callers();
        let before = contents(&api.platform.conn);
        let example = api.example(&endpoint);
        let has_body = endpoint.route.method.has_body();
        let code_of_body = if has_body { ErrorCode::BadRequest } else { ErrorCode::ValidationError };
        let mut wrong_requests = Vec::new();
        if let Some((wrong_field, place)) = with_wrong_field(&endpoint, &example) {
            let wrong_key = wrong_field.clone().header("idempotency-key", "a b");
            for request in [&wrong_field, &wrong_key] {
                wrong_requests.push((request.clone(), ErrorCode::ValidationError, place.clone()));
            }
            for body in [Body::Bytes(b"[".to_vec()), Body::Over(BodyLimit::Kib64), Body::Broken] {
                wrong_requests.push((TestRequest { body, ..wrong_key.clone() }, code_of_body, place.clone()));
            }
        }
        for (request, code, place) in wrong_requests {
            for caller in &callers {
                let case = format!("{} by {}: {request:?}", endpoint.route.path, caller.who);
                let answer = api.send(&request.clone().token(&caller.token));
                let expected = caller.error(permission).map_or(code, AuthError::code);
                assert_eq!((answer.status, answer.code()), (expected.status(), expected.as_str()), "{case}");
                let known = caller.who != "an unknown key";
                assert_eq!(answer.log.user_id.is_some(), known, "{case}");
            }
            let answer = api.send(&request);
            assert_eq!((answer.status, answer.code()), (code.status(), code.as_str()), "{request:?}");
            assert_eq!(
                (answer.log.user_id, answer.log.org_id),
                (api.user_of_example(&endpoint), Some(api.org))
            );
            assert_eq!(answer.body_read, has_body);
            if code == ErrorCode::ValidationError {
                assert!(answer.locations().contains(&place), "{:?}", answer.locations());
            }
        }
        // The same request without what is wrong.
        for caller in &callers {
            let Some(error) = caller.error(permission) else { continue };
            let answer = api.send(&example.clone().token(&caller.token));
            assert_eq!(answer.code(), error.code().as_str(), "{} by {}", endpoint.route.path, caller.who);
        }
        assert_eq!(contents(&api.platform.conn), before, "{}", endpoint.route.path);
    }
}

/// Without an organization there are no rights in it: only the key and its user are checked before rule 10.
#[test]
fn rule_10_an_unreadable_organization_is_an_error_once_rules_3_and_4_have_passed() {
    const HEADER: &str = "header X-Organization-Id";
    for (endpoint, access) in endpoints_with_callers() {
        let api = Api::new(&[]);
        let mut callers: Vec<_> =
            api.denied_callers().into_iter().map(|caller| (caller.who, caller.token)).collect();
        callers.push(("an editor", api.token.clone()));
        let before = contents(&api.platform.conn);
        for organization in ["", "x", &format!("{{{}}}", api.org)] {
            let request = api.example(&endpoint).header("x-organization-id", organization);
            let mut wrong_requests = vec![(request.clone(), vec![HEADER.to_owned()])];
            if let Some((wrong_field, place)) = with_wrong_field(&endpoint, &request) {
                wrong_requests.push((wrong_field, vec![place, HEADER.to_owned()]));
            }
            let (last, _) = wrong_requests.last().unwrap();
            let not_json = TestRequest { body: Body::Bytes(b"[".to_vec()), ..last.clone() };
            for (who, token) in &callers {
                let case = format!("{} by {who}", endpoint.route.path);
                let send = |request: &TestRequest| api.send(&request.clone().token(token));
                let denied = match *who {
                    "an unknown key" => Some(ErrorCode::Unauthorized),
                    "an unverified user" if access.permission != Permission::AnyKey => {
                        Some(ErrorCode::EmailNotVerified)
                    }
                    _ => None,
                };
                for (request, locations) in &wrong_requests {
                    let answer = send(request);
                    let expected = denied.unwrap_or(ErrorCode::ValidationError);
                    assert_eq!(
                        (answer.status, answer.code()),
                        (expected.status(), expected.as_str()),
                        "{case}"
                    );
                    if denied.is_none() {
                        assert_eq!(&answer.locations(), locations, "{case}");
                    }
                }
                if endpoint.route.method.has_body() {
                    let expected = denied.unwrap_or(ErrorCode::BadRequest);
                    assert_eq!(send(&not_json).code(), expected.as_str(), "{case}");
                }
            }
        }
        assert_eq!(contents(&api.platform.conn), before);
    }
}

/// The organization that the header names is the one that counts.
#[test]
fn rule_5_the_organization_is_the_one_that_the_header_names() {
    let api = Api::new(&[]);
    let other = sqlite::organization(&api.platform.conn);
    sqlite::add_member(&api.platform.conn, &api.editor, other, Some("viewer"));
    let endpoints = endpoints_with_callers();
    let (endpoint, _) =
        endpoints.iter().find(|(endpoint, _)| endpoint.doc.operation_id == "getAsset").unwrap();
    let request = api.example(endpoint);
    assert_eq!(api.send(&request).code(), "ORGANIZATION_MEMBERSHIP_REQUIRED");
    let named = |org: &str| api.send(&request.clone().header("x-organization-id", org));
    assert_eq!(named(&api.org.to_string().to_uppercase()).log.org_id, Some(api.org));
    assert_eq!(named(&api.org.to_string()).status, 200);
    assert_eq!(
        (named(&other.to_string()).code(), named(&other.to_string()).log.org_id),
        ("ASSET_NOT_FOUND", Some(other))
    );
}

#[test]
fn rules_3_and_13_key_and_deadline_are_checked_when_a_slow_body_has_arrived() {
    let api = Api::new(&[]);
    let endpoints = endpoints_with_callers();
    let confirm =
        |endpoint: &&(Description, _)| endpoint.0.doc.operation_id == "createAssetUploadConfirmation";
    let request = api.example(&endpoints.iter().find(confirm).unwrap().0);
    let before = contents(&api.platform.conn);
    let now = api.platform.clock.get();
    let slow = TestRequest { body_ms: DEADLINE.0 - now.0, ..request.clone() };
    assert_eq!(api.send(&slow).code(), "ASSET_UPLOAD_EXPIRED");
    assert_eq!(contents(&api.platform.conn), before);

    api.platform.clock.set(now);
    api.platform.conn.execute("UPDATE api_keys SET expires_at = ?1", [DEADLINE.0]).unwrap();
    expect_unauthorized(&api.send(&slow), "the key has expired");
    api.platform.clock.set(now);
    let in_time = TestRequest { body_ms: DEADLINE.0 - now.0 - 1, ..request };
    let answer = api.send(&in_time);
    assert_eq!((answer.status, answer.log.duration_ms), (201, (DEADLINE.0 - now.0 - 1).unsigned_abs()));
}

#[test]
fn rule_15_storage_that_does_not_answer_is_503_and_a_mistake_is_500() {
    const MESSAGE: &str = "D1: Network connection lost";
    for endpoint in descriptions() {
        let api = Api::new(&[]);
        let before = contents(&api.platform.conn);
        let example = api.example(&endpoint);
        let wrong = endpoint.permission.and_then(|_| with_wrong_field(&endpoint, &example));
        let wrong = wrong.map(|(request, _)| request);
        for (kind, expected) in [
            (StorageErrorKind::Transient, ErrorCode::StorageUnavailable),
            (StorageErrorKind::Overloaded, ErrorCode::StorageUnavailable),
            (StorageErrorKind::Unexpected, ErrorCode::InternalError),
        ] {
            api.platform.d1_error.replace(Some(storage_error(kind, MESSAGE)));
            // The rights are unknown then, so the answer does not list the errors of an invalid request.
            for request in [&example].into_iter().chain(&wrong) {
                let answer = api.send(request);
                let case = format!("{} {kind:?}: {answer:?}", endpoint.route.path);
                match endpoint.doc.operation_id {
                    "getHealth" => assert_eq!(answer.status, 200),
                    // Not ready, for any error.
                    "getReady" => {
                        assert_eq!((answer.status, answer.locations()), (503, vec!["d1".into(), "r2".into()]))
                    }
                    _ => assert_eq!(
                        (answer.status, answer.code()),
                        (expected.status(), expected.as_str()),
                        "{case}"
                    ),
                }
                let retry_after = (answer.status == 503).then_some("2");
                assert_eq!(answer.header("retry-after"), retry_after, "{case}");
                let detail = (answer.status != 200).then_some(MESSAGE);
                assert_eq!(answer.log.detail.as_deref(), detail, "{case}");
            }
        }
        api.platform.d1_error.take();
        assert_eq!(contents(&api.platform.conn), before);
    }
}
