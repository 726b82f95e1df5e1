//! Fixtures: an organization with an editor and an upload, confirmations of it, and their results.

use std::sync::LazyLock;

use asset_uploads::domain::asset::Asset;
use asset_uploads::domain::idempotency::IdempotencyKey;
use asset_uploads::domain::ids::{AssetUploadId, FolderId, OrganizationId};
use asset_uploads::domain::media::{AllowedTypes, MimeType};
use asset_uploads::domain::timestamp::Timestamp;
use asset_uploads::domain::upload::{Filename, StoredObject, UploadRules};
use asset_uploads::error::ApiError;
use asset_uploads::store::confirm::{Confirm, Confirmed};
use asset_uploads::store::rights::{Caller, Permission};
use asset_uploads::store::uploads::Create;
use rusqlite::Connection;
use serde_json::json;

use super::{NOW, Person, contents, run};

pub(crate) static RULES: LazyLock<UploadRules> = LazyLock::new(|| UploadRules {
    max_bytes: 1_000,
    allowed_types: AllowedTypes::parse(["image/*", "video/*", "!image/svg+xml"]).unwrap(),
    reject_mismatch: false,
});
pub(crate) static STRICT: LazyLock<UploadRules> =
    LazyLock::new(|| UploadRules { reject_mismatch: true, ..RULES.clone() });

/// When a session that is pending now expires.
pub(crate) const DEADLINE: Timestamp = Timestamp(NOW.0 + 1);

pub(crate) fn stored_object(size_bytes: u64, content_type: &str) -> StoredObject {
    StoredObject {
        size_bytes,
        content_type: Some(content_type.to_owned()),
        etag: "etag-1".to_owned(),
        customer_key: false,
    }
}

/// The start of an upload of `beach.png`, 640 bytes of `image/png`. Each is a request of its own.
pub(crate) fn create_for(caller: Caller, asset_upload_id: AssetUploadId) -> Create<'static> {
    Create {
        caller,
        asset_upload_id,
        filename: Filename::parse("beach.png").unwrap(),
        mime_type: MimeType::parse("image/png").unwrap(),
        size_bytes: 640,
        expires_at: DEADLINE,
        request_id: super::new_request_id(),
        rules: &RULES,
    }
}

/// A confirmation without Idempotency-Key or folder, of an object that is as it was declared. Each is a request
/// of its own.
pub(crate) fn confirm_for(caller: Caller, asset_upload_id: AssetUploadId) -> Confirm<'static> {
    Confirm {
        caller,
        asset_upload_id,
        folder_id: None,
        idempotency_key: None,
        request_id: super::new_request_id(),
        object: RULES.verify(stored_object(640, "image/png")),
        rules: &RULES,
    }
}

/// The same by somebody who names no organization.
pub(crate) fn confirm(by: &Person, asset_upload_id: AssetUploadId) -> Confirm<'static> {
    confirm_for(by.caller(Permission::AssetsWrite), asset_upload_id)
}

/// The same with an Idempotency-Key.
pub(crate) fn confirm_with_key(by: &Person, asset_upload_id: AssetUploadId, key: &str) -> Confirm<'static> {
    Confirm { idempotency_key: IdempotencyKey::parse(key), ..confirm(by, asset_upload_id) }
}

/// An organization with an editor and a pending upload of theirs.
pub(crate) fn pending_upload() -> (Connection, OrganizationId, Person, AssetUploadId) {
    let conn = super::open();
    let org = super::organization(&conn);
    let editor = super::editor(&conn, org);
    let upload = super::session(&conn, org, &editor, DEADLINE);
    (conn, org, editor, upload)
}

pub(crate) fn asset_of(
    org: OrganizationId,
    upload: AssetUploadId,
    by: &Person,
    folder_id: Option<FolderId>,
) -> Asset {
    Asset {
        id: upload.into(),
        org_id: org,
        folder_id,
        name: "beach.png".to_owned(),
        r2_key: format!("uploads/{upload}"),
        mime_type: "image/png".to_owned(),
        size_bytes: 640,
        asset_type: "image".to_owned(),
        source_type: "upload".to_owned(),
        source_id: upload.to_string(),
        created_by: by.user.id,
        created_at: NOW,
        updated_at: NOW,
        deleted_at: None,
        deleted_by: None,
    }
}

pub(crate) fn confirmed_asset(asset: Asset, by: &Person, replayed: bool) -> Result<Confirmed, ApiError> {
    Ok(Confirmed::Asset { asset: Box::new(asset), created_by_user: by.user.clone(), replayed })
}

/// The operation fails with this error, and the database is as it was.
pub(crate) fn expect_error(conn: &Connection, operation: &Confirm<'_>, expected: &ApiError) {
    let before = contents(conn);
    assert_eq!(run(conn, operation).as_ref(), Err(expected));
    assert_eq!(contents(conn), before, "{expected:?} left something behind");
}

/// The same for an error that lists others: its code, and `errors` as the client reads them.
pub(crate) fn expect_field_errors(
    conn: &Connection,
    operation: &Confirm<'_>,
    code: &str,
    errors: &serde_json::Value,
) {
    let before = contents(conn);
    let body: serde_json::Value = serde_json::from_str(&run(conn, operation).unwrap_err().body()).unwrap();
    assert_eq!((&body["code"], &body["errors"]), (&json!(code), errors));
    assert_eq!(contents(conn), before, "{code} left something behind");
}
