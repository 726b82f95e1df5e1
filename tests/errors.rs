//! Every error as the client and the log see it, and what the text of a storage error means.

#![allow(clippy::unwrap_used, reason = "test code may panic")]

use std::collections::BTreeSet;

use asset_uploads::domain::timestamp::Timestamp;
use asset_uploads::error::{ApiError, AuthError, ErrorCode, FieldError};
use asset_uploads::http::reply::Reply;
use asset_uploads::storage_error::{MAX_CALLS, StorageErrorKind, backoff_ms};
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
        ApiError::StorageUnavailable { .. } => 15,
        ApiError::ObjectNotUploaded => 16,
        ApiError::UploadRejected(_) => 17,
        ApiError::Internal(_) => 18,
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
        plain(ApiError::AssetUploadNotFound, 404, "ASSET_UPLOAD_NOT_FOUND"),
        (ApiError::AssetUploadAlreadyConfirmed(id), 409, "ASSET_UPLOAD_ALREADY_CONFIRMED", None, confirmed),
        plain(ApiError::AssetUploadExpired, 409, "ASSET_UPLOAD_EXPIRED"),
        plain(ApiError::FolderNotFound, 404, "FOLDER_NOT_FOUND"),
        plain(ApiError::AssetNotFound, 404, "ASSET_NOT_FOUND"),
        (ApiError::unavailable(SECRET), 503, "STORAGE_UNAVAILABLE", Some(later), Value::Null),
        (ready, 503, "STORAGE_UNAVAILABLE", Some(later), shown.clone()),
        plain(ApiError::ObjectNotUploaded, 409, "OBJECT_NOT_UPLOADED"),
        (ApiError::UploadRejected(vec![field_error]), 422, "UPLOAD_REJECTED", None, shown),
        plain(ApiError::Internal(SECRET.to_owned()), 500, "INTERNAL_ERROR"),
    ]
}

#[test]
fn every_error_has_its_status_code_header_and_body() {
    let table = table();
    let covered: BTreeSet<usize> = table.iter().map(|row| number(&row.0)).collect();
    assert!(covered.into_iter().eq(0..=18), "an error is not in the table");
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
fn what_is_for_the_log_stays_there() {
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

/// Each error says something of its own; otherwise one of them says what is another's.
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

/// As Cloudflare words them, and as D1's binding hands them on.
#[test]
fn d1_errors_are_told_apart() {
    let transient = [
        "D1_ERROR: Network connection lost.",
        "Network connection lost.",
        "D1_ERROR: Internal error in D1 DB storage caused object to be reset.",
        "D1_ERROR: D1 DB reset because its code was updated.",
        "D1_ERROR: Cannot resolve D1 DB due to transient issue on remote node.",
    ];
    let overloaded = [
        "D1_ERROR: D1 DB is overloaded. Requests queued for too long.",
        "D1_ERROR: D1 DB is overloaded. Too many requests queued.",
        "D1_ERROR: D1 DB storage operation exceeded timeout which caused object to be reset.",
        "D1_ERROR: D1 DB's isolate exceeded its memory limit and was reset.",
        "D1_ERROR: D1 DB exceeded its CPU time limit and was reset.",
        "The request timed out",
    ];
    let unexpected = [
        "D1_ERROR: UNIQUE constraint failed: t.id: SQLITE_CONSTRAINT (extended: SQLITE_CONSTRAINT_PRIMARYKEY)",
        "D1_ERROR: FOREIGN KEY constraint failed: SQLITE_CONSTRAINT",
        "D1_ERROR: no such table: assets at offset 12: SQLITE_ERROR",
        "D1_TYPE_ERROR: Type 'bigint' not supported for value '5'",
        "no binding DB",
        "",
    ];
    for (texts, expected) in [
        (&transient[..], StorageErrorKind::Transient),
        (&overloaded[..], StorageErrorKind::Overloaded),
        (&unexpected[..], StorageErrorKind::Unexpected),
    ] {
        for text in texts {
            assert_eq!(StorageErrorKind::of_d1(text), expected, "{text:?}");
            assert_eq!(StorageErrorKind::of_d1(&format!("D1: {text}")), expected, "{text:?}");
        }
    }
}

/// Whatever R2 says, the object's state is unknown then, and never taken for "missing".
#[test]
fn r2_errors_are_told_apart() {
    for code in [10_001, 10_043, 10_054, 10_058, 1_002, 100_020, 110_020] {
        let text = format!("head: We encountered an error. ({code})");
        assert_eq!(StorageErrorKind::of_r2(&text), StorageErrorKind::Transient, "{code}");
    }
    for text in ["Network connection lost.", "", "Cannot read properties of undefined"] {
        assert_eq!(StorageErrorKind::of_r2(text), StorageErrorKind::Transient, "{text}");
    }
    for code in [10_002, 10_003, 10_005, 10_006, 10_020, 10_031, 10_037, 10_042, 10_069] {
        assert_eq!(
            StorageErrorKind::of_r2(&format!("head: Something else. ({code})")),
            StorageErrorKind::Overloaded,
            "{code}"
        );
    }
    assert_eq!(StorageErrorKind::of_r2("no binding BUCKET"), StorageErrorKind::Overloaded);
}

#[test]
fn retries_wait_no_longer_than_a_second_and_a_half() {
    assert_eq!(MAX_CALLS, 3);
    let total = |random| (2..=MAX_CALLS).map(|call| backoff_ms(call, random)).sum::<u64>();
    assert_eq!([2, 3].map(|call| backoff_ms(call, u16::MAX)), [500, 1_000]);
    assert_eq!((total(0), total(u16::MAX)), (0, 1_500));
    // Full jitter: proportional to the random number, and so never above the ceiling.
    for random in 0..u16::MAX {
        assert!(backoff_ms(2, random) <= backoff_ms(2, random + 1));
        assert!(backoff_ms(3, random) <= 1_000);
    }
    let half = backoff_ms(2, u16::MAX / 2);
    assert!((249..=250).contains(&half), "{half}");
    for call in [0, 1, 4, 63, 64, u32::MAX] {
        assert!(backoff_ms(call, u16::MAX) <= 1_000, "{call}");
    }
}

#[test]
fn times_are_rfc_3339_with_milliseconds() {
    for (ms, expected) in [
        (1_795_351_867_042, Some("2026-11-22T12:51:07.042Z")),
        (0, Some("1970-01-01T00:00:00.000Z")),
        (-1, Some("1969-12-31T23:59:59.999Z")),
        (951_782_400_000, Some("2000-02-29T00:00:00.000Z")),
        (253_402_300_799_999, Some("9999-12-31T23:59:59.999Z")),
        (253_402_300_800_000, None),
        (-62_167_219_200_000, Some("0000-01-01T00:00:00.000Z")),
        (-62_167_219_200_001, None),
        (i64::MAX, None),
        (i64::MIN, None),
    ] {
        let time = Timestamp(ms);
        assert_eq!(time.to_rfc3339().as_deref(), expected, "{ms}");
        assert_eq!(serde_json::to_value(time).ok(), expected.map(|text| json!(text)), "{ms}");
        // As D1 returns it.
        assert_eq!(serde_json::from_str::<Timestamp>(&ms.to_string()).unwrap(), time);
    }
    assert!(serde_json::from_str::<Timestamp>("5.5").is_err());
    let failure = Reply::json(201, &Timestamp(i64::MAX)).unwrap_err();
    assert_eq!((failure.code().status(), failure.code().as_str()), (500, "INTERNAL_ERROR"));
}
