//! openapi.json is what the code says, and says something of every endpoint.

use std::collections::BTreeSet;
use std::process::Command;

use asset_uploads::api::{ROUTES, descriptions};
use asset_uploads::error::ErrorCode;
use asset_uploads::store::rights::Permission;
use serde_json::Value;

const CHECKED_IN: &str = include_str!("../openapi.json");

fn openapi() -> Value {
    serde_json::from_str(CHECKED_IN).unwrap()
}

/// The codes that an operation lists for a status.
fn codes<'a>(openapi: &'a Value, operation: &Value, status: u16) -> Vec<&'a str> {
    let component = |reference: &Value| {
        let pointer = reference["$ref"].as_str().unwrap().trim_start_matches('#').to_owned();
        openapi.pointer(&pointer).unwrap()
    };
    let response = component(&operation["responses"][status.to_string()]);
    let schema = component(&response["content"]["application/json"]["schema"]);
    let codes = schema["allOf"][1]["properties"]["code"]["enum"].as_array().unwrap();
    codes.iter().map(|code| code.as_str().unwrap()).collect()
}

#[test]
fn openapi_json_is_up_to_date() {
    let output = Command::new(env!("CARGO_BIN_EXE_openapi")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let generated = String::from_utf8(output.stdout).unwrap();
    // Not assert_eq, which would print both.
    assert!(generated == CHECKED_IN, "openapi.json is stale: run `make openapi`");
}

#[test]
fn every_endpoint_is_an_operation_and_no_other() {
    let openapi = openapi();
    let documented: BTreeSet<(String, String)> = openapi["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, operations)| {
            operations.as_object().unwrap().keys().map(|method| (method.to_uppercase(), path.clone()))
        })
        .collect();
    let routes = ROUTES.iter().map(|route| (route.method.as_str().to_owned(), route.path.to_owned()));
    assert_eq!(documented, routes.collect(), "run `make openapi`");
    let names: BTreeSet<&str> = descriptions().iter().map(|one| one.doc.operation_id).collect();
    assert_eq!(names.len(), ROUTES.len(), "two operations have one name");
}

#[test]
fn an_operation_lists_every_error_of_its_endpoint() {
    let openapi = openapi();
    for description in descriptions() {
        let method = description.route.method.as_str().to_lowercase();
        let operation = &openapi["paths"][description.route.path][&method];
        let name = description.doc.operation_id;
        assert_eq!(operation["operationId"], name, "run `make openapi`");
        let mut expected = vec![ErrorCode::MethodNotAllowed, ErrorCode::InternalError];
        expected.extend(description.doc.errors);
        if description.route.method.has_body() {
            expected.push(ErrorCode::BadRequest);
        }
        if let Some(permission) = description.permission {
            expected.extend([
                ErrorCode::Unauthorized,
                ErrorCode::ValidationError,
                ErrorCode::StorageUnavailable,
            ]);
            if permission != Permission::AnyKey {
                expected.extend([ErrorCode::EmailNotVerified, ErrorCode::PermissionDenied]);
                expected.extend([ErrorCode::OrganizationMembershipRequired, ErrorCode::RoleUnresolved]);
                expected.extend((method != "get").then_some(ErrorCode::ImpersonationReadOnly));
            }
        }
        let expected: BTreeSet<&str> = expected.iter().map(|code| code.as_str()).collect();
        let statuses =
            operation["responses"].as_object().unwrap().keys().map(|status| status.parse().unwrap());
        let errors = statuses.filter(|status| *status >= 400);
        let listed: BTreeSet<&str> = errors.flat_map(|status| codes(&openapi, operation, status)).collect();
        assert_eq!(listed, expected, "{name}");
    }
}

/// In words: what is answered first is listed first.
#[test]
fn the_order_of_the_checks_is_that_of_the_table() {
    let openapi = openapi();
    let confirm = &openapi["paths"]["/v1/asset-uploads/{asset_upload_id}/confirmations"]["post"];
    let text = confirm["description"].as_str().unwrap();
    let order = text.split("The answer is the first that applies: ").nth(1).unwrap();
    let words: Vec<&str> = order.split('`').skip(1).step_by(2).collect();
    let at = |code: ErrorCode| words.iter().position(|word| *word == code.as_str()).unwrap();
    for pair in [
        [ErrorCode::MethodNotAllowed, ErrorCode::Unauthorized],
        [ErrorCode::Unauthorized, ErrorCode::EmailNotVerified],
        [ErrorCode::PermissionDenied, ErrorCode::BadRequest],
        [ErrorCode::BadRequest, ErrorCode::ValidationError],
        [ErrorCode::ValidationError, ErrorCode::AssetUploadNotFound],
        [ErrorCode::FolderNotFound, ErrorCode::StorageUnavailable],
        [ErrorCode::StorageUnavailable, ErrorCode::ObjectNotUploaded],
    ] {
        assert!(at(pair[0]) < at(pair[1]), "{pair:?} in {order}");
    }
}
