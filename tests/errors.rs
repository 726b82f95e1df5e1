//! Every error as the client and the log see it.

use std::collections::BTreeSet;

use asset_uploads::error::{ApiError, AuthError, ErrorCode, FieldError};
use asset_uploads::http::reply::Reply;
use serde_json::{Value, json};

/// Text that is for the log alone.
const SECRET: &str = "D1_ERROR: near \"SELECT\": binding DB au_0003";
const ID: &str = "018f4d2e-7c4b-7a35-9c1f-0242ac120002";

/// One of each. The match has no `_`, so that a new one has to be put here and into the table.
fn number(error: &ApiError) -> usize {
    match error {
        ApiError::NotFound => 0,
        ApiError::MethodNotAllowed(_) => 1,
        ApiError::Auth(AuthError::Unauthorized) => 2,
        ApiError::Auth(AuthError::EmailNotVerified) => 3,
        ApiError::Auth(AuthError::OrganizationMembershipRequired) => 4,
        ApiError::Auth(AuthError::RoleUnresolved) => 5,
        ApiError::Auth(AuthError::ImpersonationReadOnly) => 6,
        ApiError::Auth(AuthError::PermissionDenied) => 7,
        ApiError::BadRequest(_) => 8,
        ApiError::Validation(_) => 9,
        ApiError::AssetUploadNotFound => 10,
        ApiError::AssetUploadAlreadyConfirmed(_) => 11,
        ApiError::AssetUploadExpired => 12,
        ApiError::FolderNotFound => 13,
        ApiError::AssetNotFound => 14,
        ApiError::WebhookNotFound => 25,
        ApiError::WebhookDeliveryNotFound => 26,
        ApiError::WebhookLimitReached => 27,
        ApiError::StorageUnavailable { .. } => 15,
        ApiError::ObjectNotUploaded => 16,
        ApiError::UploadRejected(_) => 17,
        ApiError::Internal(_) => 18,
        ApiError::FolderNameTaken => 19,
        ApiError::FolderNotEmpty => 20,
        ApiError::FolderTooLarge => 21,
        ApiError::FolderCycle => 22,
        ApiError::UploadLimitReached => 23,
        ApiError::ApiKeyNotFound => 24,
    }
}

/// An error, its status and code, the header it alone has, and `errors`.
type Row = (ApiError, u16, &'static str, Option<(&'static str, &'static str)>, Value);

fn table() -> Vec<Row> {
    let field_error = FieldError::new(&["body", "folder_id"], "uuid_parsing", "Must be a UUID.");
    let shown = json!([{"loc": ["body", "folder_id"], "msg": "Must be a UUID.", "type": "uuid_parsing"}]);
    let confirmed = json!([{"loc": ["path", "asset_upload_id"], "msg": "This upload was confirmed before.",
        "type": "already_confirmed", "asset_id": ID}]);
    let allow = ("allow", "GET, HEAD");
    let bearer = ("www-authenticate", "Bearer");
    let later = ("retry-after", "2");
    let id = ID.to_owned();
    let ready = ApiError::StorageUnavailable { detail: SECRET.to_owned(), parts: vec![field_error.clone()] };
    let denied = |error, status, code, header| (ApiError::Auth(error), status, code, header, Value::Null);
    let plain = |error, status, code| (error, status, code, None, Value::Null);
    vec![
        plain(ApiError::NotFound, 404, "NOT_FOUND"),
        (ApiError::MethodNotAllowed("GET, HEAD".into()), 405, "METHOD_NOT_ALLOWED", Some(allow), Value::Null),
        denied(AuthError::Unauthorized, 401, "UNAUTHORIZED", Some(bearer)),
        denied(AuthError::EmailNotVerified, 403, "EMAIL_NOT_VERIFIED", None),
        denied(AuthError::OrganizationMembershipRequired, 403, "ORGANIZATION_MEMBERSHIP_REQUIRED", None),
        denied(AuthError::RoleUnresolved, 403, "ROLE_UNRESOLVED", None),
        denied(AuthError::ImpersonationReadOnly, 403, "IMPERSONATION_READ_ONLY", None),
        denied(AuthError::PermissionDenied, 403, "PERMISSION_DENIED", None),
        plain(ApiError::BadRequest("Send JSON."), 400, "BAD_REQUEST"),
        (ApiError::Validation(vec![field_error.clone()]), 422, "VALIDATION_ERROR", None, shown.clone()),
        (ApiError::Validation(Vec::new()), 422, "VALIDATION_ERROR", None, json!([])),
        plain(ApiError::UploadLimitReached, 403, "UPLOAD_LIMIT_REACHED"),
        plain(ApiError::ApiKeyNotFound, 404, "API_KEY_NOT_FOUND"),
        plain(ApiError::AssetUploadNotFound, 404, "ASSET_UPLOAD_NOT_FOUND"),
        (ApiError::AssetUploadAlreadyConfirmed(id), 409, "ASSET_UPLOAD_ALREADY_CONFIRMED", None, confirmed),
        plain(ApiError::AssetUploadExpired, 409, "ASSET_UPLOAD_EXPIRED"),
        plain(ApiError::FolderNotFound, 404, "FOLDER_NOT_FOUND"),
        plain(ApiError::FolderNameTaken, 409, "FOLDER_NAME_TAKEN"),
        plain(ApiError::FolderNotEmpty, 409, "FOLDER_NOT_EMPTY"),
        plain(ApiError::FolderTooLarge, 409, "FOLDER_TOO_LARGE"),
        plain(ApiError::FolderCycle, 409, "FOLDER_CYCLE"),
        plain(ApiError::AssetNotFound, 404, "ASSET_NOT_FOUND"),
        plain(ApiError::WebhookNotFound, 404, "WEBHOOK_NOT_FOUND"),
        plain(ApiError::WebhookDeliveryNotFound, 404, "WEBHOOK_DELIVERY_NOT_FOUND"),
        plain(ApiError::WebhookLimitReached, 409, "WEBHOOK_LIMIT_REACHED"),
        (ApiError::unavailable(SECRET), 503, "STORAGE_UNAVAILABLE", Some(later), Value::Null),
        (ready, 503, "STORAGE_UNAVAILABLE", Some(later), shown.clone()),
        plain(ApiError::ObjectNotUploaded, 409, "OBJECT_NOT_UPLOADED"),
        (ApiError::UploadRejected(vec![field_error]), 422, "UPLOAD_REJECTED", None, shown),
        plain(ApiError::Internal(SECRET.to_owned()), 500, "INTERNAL_ERROR"),
    ]
}

#[test]
fn every_rule_has_its_status_code_header_and_body() {
    let table = table();
    let covered: BTreeSet<usize> = table.iter().map(|row| number(&row.0)).collect();
    assert!(covered.into_iter().eq(0..=27), "an error is not in the table");
    let codes: Vec<&str> = table.iter().map(|row| row.2).collect();
    assert!(ErrorCode::ALL.iter().all(|code| codes.contains(&code.as_str())), "a code is not in the table");
    for (error, status, code, header, errors) in table {
        assert_eq!((error.code().status(), error.code().as_str()), (status, code));
        assert_eq!(error.header(), header, "{code}");
        let message = error.message();
        // The members in this order, and no others.
        let body = format!(
            r#"{{"code":"{code}","message":{},"errors":{}}}"#,
            serde_json::to_string(message).unwrap(),
            error.field_errors().map_or("null".to_owned(), |errors| serde_json::to_string(&errors).unwrap()),
        );
        assert_eq!(error.body(), body);
        let read: Value = serde_json::from_str(&error.body()).unwrap();
        assert_eq!(read, json!({"code": code, "message": message, "errors": errors}));
        assert!(message.len() >= 10 && message.ends_with('.') && message.is_ascii(), "{code}: {message:?}");
        let reply = Reply::from(&error);
        assert_eq!((reply.status, &reply.body), (status, &body));
        let headers: Vec<_> = header.into_iter().map(|(name, value)| (name, value.to_owned())).collect();
        assert_eq!(reply.headers, headers, "{code}");
    }
}

#[test]
fn details_for_the_log_are_not_sent_to_the_client() {
    for (error, ..) in table() {
        let secret = matches!(error, ApiError::StorageUnavailable { .. } | ApiError::Internal(_));
        assert_eq!(error.log_detail(), secret.then_some(SECRET), "{error:?}");
        for text in [error.body(), error.message().to_owned()] {
            for hidden in ["D1", "SELECT", "binding", "au_"] {
                assert!(!text.contains(hidden), "{text} shows {hidden}");
            }
        }
    }
}

#[test]
fn no_two_errors_have_the_same_message_or_code() {
    let mut messages = BTreeSet::new();
    let mut codes = BTreeSet::new();
    let mut seen = BTreeSet::new();
    for (error, ..) in table() {
        if seen.insert(number(&error)) {
            assert!(messages.insert(error.message()), "{}", error.message());
            let code = error.code().as_str();
            assert!(codes.insert(code), "{code}");
        }
    }
}
