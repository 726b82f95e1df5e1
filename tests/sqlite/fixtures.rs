//! Fixtures: an organization with an editor and an upload, confirmations of it, and their results.

use std::sync::LazyLock;

use asset_uploads::domain::asset::Asset;
use asset_uploads::domain::idempotency::IdempotencyKey;
use asset_uploads::domain::ids::{AssetUploadId, FolderId, OrganizationId, RequestId};
use asset_uploads::domain::media::{AllowedTypes, MimeType};
use asset_uploads::domain::timestamp::Timestamp;
use asset_uploads::domain::upload::{Filename, ObjectState, StoredObject, UploadRules};
use asset_uploads::error::ApiError;
use asset_uploads::store::Statement;
use asset_uploads::store::confirm::{By, Confirm, Confirmed, Found, Item};
use asset_uploads::store::rights::{AuthorizedCaller, Caller, CallerOperation, Permission};
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
        part_size: None,
        request_id: super::new_request_id(),
        rules: &RULES,
    }
}

/// The confirmation of one upload.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ConfirmOne<'a> {
    pub(crate) caller: Caller,
    pub(crate) asset_upload_id: AssetUploadId,
    pub(crate) folder_id: Option<FolderId>,
    pub(crate) idempotency_key: Option<IdempotencyKey>,
    pub(crate) request_id: RequestId,
    pub(crate) object: ObjectState,
    pub(crate) rules: &'a UploadRules,
}

impl<'a> ConfirmOne<'a> {
    fn confirm(&self) -> Confirm<'a> {
        let item = Item {
            asset_upload_id: self.asset_upload_id,
            folder_id: self.folder_id,
            object: self.object.clone(),
        };
        Confirm {
            caller: self.caller.clone(),
            items: vec![item],
            idempotency_key: self.idempotency_key.clone(),
            request_id: self.request_id,
            rules: self.rules,
            by: By::Client,
        }
    }
}

impl CallerOperation for ConfirmOne<'_> {
    type Found = Found;
    type Output = Confirmed;

    fn statements(&self) -> Vec<Statement> {
        self.confirm().statements()
    }

    fn decode(&self, caller: AuthorizedCaller, found: Option<Found>) -> Result<Confirmed, ApiError> {
        let mut outcomes = self.confirm().decode(caller, found)?;
        assert_eq!(outcomes.len(), 1);
        outcomes.remove(0)
    }
}

/// A confirmation without Idempotency-Key or folder, of an object that is as it was declared. Each is a request
/// of its own.
pub(crate) fn confirm_for(caller: Caller, asset_upload_id: AssetUploadId) -> ConfirmOne<'static> {
    ConfirmOne {
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
pub(crate) fn confirm(by: &Person, asset_upload_id: AssetUploadId) -> ConfirmOne<'static> {
    confirm_for(by.caller(Permission::AssetsWrite), asset_upload_id)
}

/// The same with an Idempotency-Key.
pub(crate) fn confirm_with_key(
    by: &Person,
    asset_upload_id: AssetUploadId,
    key: &str,
) -> ConfirmOne<'static> {
    ConfirmOne { idempotency_key: IdempotencyKey::parse(key), ..confirm(by, asset_upload_id) }
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
pub(crate) fn expect_error(conn: &Connection, operation: &ConfirmOne<'_>, expected: &ApiError) {
    let before = contents(conn);
    assert_eq!(run(conn, operation).as_ref(), Err(expected));
    assert_eq!(contents(conn), before, "{expected:?} left something behind");
}

/// The same for an error that lists others: its code, and `errors` as the client reads them.
pub(crate) fn expect_field_errors(
    conn: &Connection,
    operation: &ConfirmOne<'_>,
    code: &str,
    errors: &serde_json::Value,
) {
    let before = contents(conn);
    let body: serde_json::Value = serde_json::from_str(&run(conn, operation).unwrap_err().body()).unwrap();
    assert_eq!((&body["code"], &body["errors"]), (&json!(code), errors));
    assert_eq!(contents(conn), before, "{code} left something behind");
}
