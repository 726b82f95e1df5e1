//! Confirming uploads: the only operation that creates assets.

use serde::{Deserialize, Serialize};

use super::rights::{AuthorizedCaller, Caller, CallerOperation};
use super::uploads::reused_key;
use super::{Param, Statement};
use crate::domain::api_key::Limits;
use crate::domain::asset::{Asset, User};
use crate::domain::idempotency::IdempotencyKey;
use crate::domain::ids::{AssetUploadId, FolderId, RequestId, UserId};
use crate::domain::upload::{ObjectState, Session, UploadRules};
use crate::error::{ApiError, AuthError};

/// Turns pending uploads into assets, each exactly once.
#[derive(Debug, Clone, PartialEq)]
pub struct Confirm<'a> {
    /// Who confirms.
    pub caller: Caller,
    /// The uploads, at least one, none of them twice.
    pub items: Vec<Item>,
    /// The client's name for these confirmations, so that a repeat is a replay.
    pub idempotency_key: Option<IdempotencyKey>,
    /// Shows whether this request or another one wrote the assets.
    pub request_id: RequestId,
    /// What the operator permits.
    pub rules: &'a UploadRules,
    /// What makes the confirmation.
    pub by: By,
}

/// What makes a confirmation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// A client.
    Client,
    /// Storage's notification of the object, in the name of the user who started the upload. A client may still confirm
    /// for the first time.
    Storage,
    /// A client, for uploads that storage's notification has confirmed: the assets become this confirmation's.
    ClientAfterStorage,
}

/// An upload to be confirmed.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// The upload.
    pub asset_upload_id: AssetUploadId,
    /// The folder to put the asset in; `None`: the one of the key's limits, else none.
    pub folder_id: Option<FolderId>,
    /// The state of the object.
    pub object: ObjectState,
}

/// The result of a confirmation.
#[derive(Debug, Clone, PartialEq)]
pub enum Confirmed {
    /// The asset exists and is this confirmation's.
    Asset {
        /// The asset.
        asset: Box<Asset>,
        /// Who confirmed it.
        created_by_user: User,
        /// Whether an earlier request with the same Idempotency-Key made it.
        replayed: bool,
    },
    /// All checks have passed, but the object has no content type: verify it with this one, which the session declares,
    /// and confirm again.
    NeedsDeclaredType(String),
    /// The asset exists because storage told of its object, and no client has confirmed yet: confirm again with
    /// [`By::ClientAfterStorage`].
    AwaitsClient,
}

/// What [`Confirm`] finds.
#[derive(Debug, Deserialize)]
pub struct Found {
    /// The uploads that there are, in no order.
    uploads: Vec<FoundUpload>,
    /// The limits of the caller's key.
    limits: Option<Limits>,
}

/// An upload in the database.
#[derive(Debug, Deserialize)]
struct FoundUpload {
    id: AssetUploadId,
    session: Session,
    asset: Option<Asset>,
    confirmation: Option<Confirmation>,
    created_by_user: Option<User>,
    folder_found: u8,
    /// 1 where an event has told that the upload expired.
    expiry_told: u8,
}

/// The confirmation that created the asset.
#[derive(Debug, Deserialize)]
struct Confirmation {
    /// The Idempotency-Key; empty where there was none, or, in rows from before migration 0003, a random id.
    key: String,
    folder_id: Option<FolderId>,
    request_id: Option<RequestId>,
    /// Whose it is, where that is not the asset's creator.
    confirmed_by: Option<UserId>,
    /// 1 where storage's notification made it, and no client has confirmed yet.
    awaits_client: u8,
}

/// An upload as the statements read it. Without an object that may become an asset, all of it is NULL.
#[derive(Serialize)]
struct ItemParam<'a> {
    id: AssetUploadId,
    folder_id: Option<FolderId>,
    mime_type: Option<&'a str>,
    asset_type: Option<&'static str>,
    etag: Option<&'a str>,
    size_bytes: Option<u64>,
    /// The patterns that permit its type, as in the view `limit_checks`.
    mime_types: Option<Vec<String>>,
}

impl Item {
    fn param(&self) -> ItemParam<'_> {
        let object = self.object.verified();
        ItemParam {
            id: self.asset_upload_id,
            folder_id: self.folder_id,
            mime_type: object.map(|object| object.mime_type.as_str()),
            asset_type: object.map(|object| object.asset_type.as_str()),
            etag: object.map(|object| object.etag.as_str()),
            size_bytes: object.map(|object| object.size_bytes),
            mime_types: object.map(|object| object.mime_type.patterns()),
        }
    }
}

// The guard is in the INSERT itself, so it sees every change that was committed after the request arrived.
// ?1 caller, ?2 uploads, ?3 Idempotency-Key or '', ?4 1 where declared and actual must agree, ?5 request id, ?6 1 where a
// client is still to confirm.
const INSERT: &str = "
    INSERT INTO assets (id, org_id, folder_id, name, r2_key, mime_type, size_bytes, asset_type, source_type,
      source_id, etag, confirmation_key, confirmed_folder_id, request_id, created_by, created_at, updated_at, event_at,
      awaits_client)
    SELECT u.id, u.org_id, ifnull(i.value ->> 'folder_id', c.limits ->> 'folder_id'), u.filename, 'uploads/' || u.id,
      i.value ->> 'mime_type', i.value ->> 'size_bytes', i.value ->> 'asset_type', 'upload',
      u.id, i.value ->> 'etag', ?3, i.value ->> 'folder_id', ?5, c.user_id, c.now, c.now,
      max(c.now, ifnull(u.rejected_at, 0) + 1), ?6
    FROM caller_rights c
    CROSS JOIN json_each(?2) i
    CROSS JOIN asset_uploads u ON u.id = i.value ->> 'id' AND u.org_id = c.org_id
      AND (c.upload_key_id IS NULL OR u.api_key_id = c.upload_key_id)
    WHERE c.request = ?1
      AND c.auth_error IS NULL
      AND i.value ->> 'etag' IS NOT NULL
      AND u.expires_at > c.now AND u.expiry_told_at IS NULL
      AND (?4 = 0 OR (u.size_bytes = i.value ->> 'size_bytes' AND u.mime_type = i.value ->> 'mime_type'))
      AND (c.limits IS NULL OR (
        ifnull(i.value ->> 'folder_id' = c.limits ->> 'folder_id', 1)
        AND (
          SELECT l.within_limits
          FROM limit_checks l
          WHERE l.request = json_array(json_object('limits', json(c.limits), 'file', json(i.value))))))
      AND (ifnull(i.value ->> 'folder_id', c.limits ->> 'folder_id') IS NULL OR EXISTS (
        SELECT 1 FROM folders f
        WHERE f.id = ifnull(i.value ->> 'folder_id', c.limits ->> 'folder_id') AND f.org_id = u.org_id
          AND f.deleted_at IS NULL))
    ON CONFLICT (id) DO NOTHING";

// ?1 caller, ?2 uploads, ?3 Idempotency-Key or '', ?4 request id. A folder is set only where one is named, and the asset
// is as the notification left it.
const CLAIM: &str = "
    UPDATE assets
    SET awaits_client = 0, confirmation_key = ?3, confirmed_folder_id = i.value ->> 'folder_id', request_id = ?4,
      confirmed_by = c.user_id,
      (folder_id, updated_at, event_at) = (
        SELECT i.value ->> 'folder_id', c.now, max(c.now, assets.event_at + 1)
        WHERE i.value ->> 'folder_id' <> ifnull(assets.folder_id, '')
          AND assets.updated_at = assets.created_at
          AND assets.event_at = max(assets.created_at, ifnull(u.rejected_at, 0) + 1)
        UNION ALL
        SELECT assets.folder_id, assets.updated_at, assets.event_at
        LIMIT 1)
    FROM caller_rights c
    CROSS JOIN json_each(?2) i
    CROSS JOIN asset_uploads u ON u.id = i.value ->> 'id' AND u.org_id = c.org_id
      AND (c.upload_key_id IS NULL OR u.api_key_id = c.upload_key_id)
    WHERE c.request = ?1
      AND c.auth_error IS NULL
      AND assets.id = i.value ->> 'id' AND assets.id = u.id
      AND assets.awaits_client = 1
      AND assets.deleted_at IS NULL
      AND (c.limits IS NULL OR ifnull(i.value ->> 'folder_id' = c.limits ->> 'folder_id', 1))
      AND (i.value ->> 'folder_id' IS NULL OR EXISTS (
        SELECT 1 FROM folders f
        WHERE f.id = i.value ->> 'folder_id' AND f.org_id = u.org_id AND f.deleted_at IS NULL))";

// ?1 caller, ?2 uploads. A folder that is not named is the key's own, where it has one.
const FIND: &str = "
    SELECT json_object('user_id', c.user_id, 'org_id', c.org_id, 'auth_error', c.auth_error,
      'due_webhooks', json(c.due_webhooks), 'found', json(CASE WHEN c.auth_error IS NULL THEN json_object(
        'limits', json(c.limits),
        'uploads', json((
          SELECT json_group_array(json_object(
            'id', u.id,
            'session', json(u.json),
            'asset', json(a.json),
            'confirmation', json(CASE WHEN a.id IS NOT NULL THEN json_object(
              'key', a.confirmation_key, 'folder_id', a.confirmed_folder_id, 'request_id', a.request_id,
              'confirmed_by', a.confirmed_by, 'awaits_client', a.awaits_client) END),
            'created_by_user', json(w.json),
            'expiry_told', u.expiry_told_at IS NOT NULL,
            'folder_found', f.id IS NOT NULL OR ifnull(i.value ->> 'folder_id', c.limits ->> 'folder_id') IS NULL))
          FROM json_each(?2) i
          CROSS JOIN asset_uploads_json u ON u.id = i.value ->> 'id' AND u.org_id = c.org_id
            AND (c.upload_key_id IS NULL OR u.api_key_id = c.upload_key_id)
          LEFT JOIN assets_json a ON a.id = u.id
          LEFT JOIN users_json w ON w.id = a.created_by
          LEFT JOIN folders f
            ON f.id = ifnull(i.value ->> 'folder_id', c.limits ->> 'folder_id') AND f.org_id = u.org_id
            AND f.deleted_at IS NULL))) END)) AS json
    FROM caller_rights c
    WHERE c.request = ?1";

impl Item {
    /// What it came to, `found` being the upload as it is now.
    fn outcome(
        &self,
        confirm: &Confirm<'_>,
        user_id: UserId,
        found: Option<FoundUpload>,
        limits: Option<&Limits>,
    ) -> Result<Confirmed, ApiError> {
        let only_folder = limits.and_then(|limits| limits.folder_id);
        if only_folder.is_some() && self.folder_id.is_some_and(|named| only_folder != Some(named)) {
            return Err(AuthError::PermissionDenied.into());
        }
        let found =
            found.filter(|found| !found.session.is_cancelled()).ok_or(ApiError::AssetUploadNotFound)?;
        let FoundUpload { session, asset, confirmation, created_by_user, folder_found, expiry_told, .. } =
            found;
        if let (Some(asset), Some(confirmation)) = (asset, confirmation) {
            // That of the key's limits is not asked for here: the asset may have been moved since.
            let folder_missing = self.folder_id.is_some() && folder_found == 0;
            if confirmation.awaits_client != 0 && confirm.by != By::Storage {
                return match () {
                    () if asset.deleted_at.is_some() => Err(ApiError::AssetNotFound),
                    () if folder_missing => Err(ApiError::FolderNotFound),
                    () => Ok(Confirmed::AwaitsClient),
                };
            }
            return self.existing_asset(confirm, user_id, asset, &confirmation, created_by_user);
        }
        if session.expires_at <= confirm.caller.now || expiry_told != 0 {
            return Err(ApiError::AssetUploadExpired);
        }
        if folder_found == 0 {
            return Err(ApiError::FolderNotFound);
        }
        self.check_object(confirm.rules, &session, limits)
    }

    /// What an existing asset means for this confirmation, sent by the user `user_id`.
    fn existing_asset(
        &self,
        confirm: &Confirm<'_>,
        user_id: UserId,
        asset: Asset,
        confirmation: &Confirmation,
        created_by_user: Option<User>,
    ) -> Result<Confirmed, ApiError> {
        // Written by this very request: now, or by a call before it whose answer was lost.
        let ours = confirmation.request_id == Some(confirm.request_id);
        if !ours {
            let key = confirm.idempotency_key.as_ref().map(IdempotencyKey::as_str);
            let confirmed_by = confirmation.confirmed_by.unwrap_or(asset.created_by);
            if key != Some(confirmation.key.as_str()) || user_id != confirmed_by {
                return Err(ApiError::AssetUploadAlreadyConfirmed(asset.id.to_string()));
            }
            if confirmation.folder_id != self.folder_id {
                return Err(reused_key());
            }
            if asset.deleted_at.is_some() {
                return Err(ApiError::AssetNotFound);
            }
        }
        let created_by_user = created_by_user
            .ok_or_else(|| ApiError::Internal(format!("asset {} has no creator", asset.id)))?;
        Ok(Confirmed::Asset { asset: Box::new(asset), created_by_user, replayed: !ours })
    }

    /// The answer where no asset was written although session and folder permit it: it depends on the object.
    fn check_object(
        &self,
        rules: &UploadRules,
        session: &Session,
        limits: Option<&Limits>,
    ) -> Result<Confirmed, ApiError> {
        let rules = limits.map_or_else(|| rules.clone(), |limits| limits.narrow(rules));
        let violations = match &self.object {
            ObjectState::Unavailable(detail) => return Err(ApiError::unavailable(detail)),
            ObjectState::Missing => return Err(ApiError::ObjectNotUploaded),
            ObjectState::Untyped(_) => {
                return Ok(Confirmed::NeedsDeclaredType(session.mime_type.clone()));
            }
            ObjectState::Rejected(violations) => violations.clone(),
            ObjectState::Verified(object) => rules.violations(object, session),
        };
        if violations.is_empty() {
            return Err(ApiError::Internal("nothing forbade the asset, yet none was written".to_owned()));
        }
        let explain = |violation| rules.explain(violation, session);
        Err(ApiError::UploadRejected(violations.iter().map(explain).collect()))
    }
}

impl CallerOperation for Confirm<'_> {
    type Found = Found;
    /// What each upload came to, in the order of the items.
    type Output = Vec<Result<Confirmed, ApiError>>;

    fn statements(&self) -> Vec<Statement> {
        let items: Vec<_> = self.items.iter().map(Item::param).collect();
        // Texts and numbers cannot fail to serialize.
        let items = Param::Text(serde_json::to_string(&items).unwrap_or_default());
        let mut params = vec![self.caller.param(), items];
        let find = Statement { sql: FIND, params: params.clone() };
        let key = Param::from(&self.idempotency_key.as_ref().map_or("", IdempotencyKey::as_str));
        let request = Param::from(&self.request_id);
        if self.by == By::ClientAfterStorage {
            params.extend([key, request]);
            return vec![Statement { sql: CLAIM, params }, find];
        }
        if !self.items.iter().any(|item| item.object.verified().is_some()) {
            return vec![find];
        }
        let reject_mismatch = Param::Int(self.rules.reject_mismatch.into());
        params.extend([key, reject_mismatch, request, Param::Int((self.by == By::Storage).into())]);
        vec![Statement { sql: INSERT, params }, find]
    }

    fn decode(&self, caller: AuthorizedCaller, found: Option<Found>) -> Result<Self::Output, ApiError> {
        let Found { mut uploads, limits } =
            found.ok_or_else(|| ApiError::Internal("rights without a key".to_owned()))?;
        let outcome = |item: &Item| {
            let place = uploads.iter().position(|upload| upload.id == item.asset_upload_id);
            let upload = place.map(|place| uploads.swap_remove(place));
            item.outcome(self, caller.user_id, upload, limits.as_ref())
        };
        Ok(self.items.iter().map(outcome).collect())
    }
}
