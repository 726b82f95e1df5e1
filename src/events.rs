//! Events as webhooks are told them: the body of a delivery.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::domain::asset::Asset;
use crate::domain::ids::{AssetId, AssetUploadId, DeliveryId, FolderId, OrganizationId, UserId, WebhookId};
use crate::domain::timestamp::Timestamp;
use crate::domain::webhook::{EventType, TEST_EVENT};
use crate::error::ApiError;

/// An event. It has no URL: those of files are signed for a limited time.
#[derive(Debug, Serialize)]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema), schemars(inline))]
pub struct Event<'a> {
    /// The event's id, the same however often it is delivered.
    id: DeliveryId,
    /// What happened.
    #[serde(rename = "type")]
    event_type: &'a str,
    /// When it happened. An asset's events have growing times.
    timestamp: Timestamp,
    /// Where it happened.
    organization_id: OrganizationId,
    /// What it happened to, as it was then: the asset, the upload, or of a test the webhook.
    #[cfg_attr(not(target_arch = "wasm32"), schemars(with = "serde_json::Map<String, serde_json::Value>"))]
    data: Box<RawValue>,
}

impl<'a> Event<'a> {
    /// An event of what is stored of it; `data` is a row as JSON.
    ///
    /// # Errors
    /// `Internal` where that is not such a row.
    pub fn new(
        id: DeliveryId,
        event_type: &'a str,
        timestamp: Timestamp,
        organization_id: OrganizationId,
        data: &str,
    ) -> Result<Self, ApiError> {
        let unreadable = |error| ApiError::Internal(format!("data of event {id}: {error}"));
        let data = told(event_type, data).map_err(unreadable)?;
        Ok(Self { id, event_type, timestamp, organization_id, data })
    }

    /// The body of its deliveries.
    ///
    /// # Errors
    /// `Internal` where the time is out of range.
    pub fn body(&self) -> Result<String, ApiError> {
        let unreadable = |error| ApiError::Internal(format!("event {}: {error}", self.id));
        serde_json::to_string(self).map_err(unreadable)
    }
}

/// What webhooks are told of a row.
fn told(event_type: &str, row: &str) -> serde_json::Result<Box<RawValue>> {
    let json = if event_type == TEST_EVENT {
        serde_json::to_string(&serde_json::from_str::<TestedWebhook>(row)?)
    } else if event_type.starts_with("asset.") {
        serde_json::to_string(&EventAsset::new(&serde_json::from_str(row)?))
    } else {
        serde_json::to_string(&EventUpload::new(event_type, &serde_json::from_str(row)?))
    };
    RawValue::from_string(json?)
}

/// What `webhook.test` says.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub struct TestedWebhook {
    /// The webhook that is tested.
    webhook_id: WebhookId,
}

/// An asset as in the API, without what is not stored of it: URLs, and its user.
#[derive(Serialize)]
struct EventAsset<'a> {
    id: AssetId,
    org_id: OrganizationId,
    folder_id: Option<FolderId>,
    name: &'a str,
    r2_key: &'a str,
    mime_type: &'a str,
    size_bytes: u64,
    asset_type: &'a str,
    source_type: &'a str,
    source_id: &'a str,
    created_by: UserId,
    created_at: Timestamp,
    updated_at: Timestamp,
    deleted_at: Option<Timestamp>,
    deleted_by: Option<UserId>,
}

impl<'a> EventAsset<'a> {
    fn new(asset: &'a Asset) -> Self {
        Self {
            id: asset.id,
            org_id: asset.org_id,
            folder_id: asset.folder_id,
            name: &asset.name,
            r2_key: &asset.r2_key,
            mime_type: &asset.mime_type,
            size_bytes: asset.size_bytes,
            asset_type: &asset.asset_type,
            source_type: &asset.source_type,
            source_id: &asset.source_id,
            created_by: asset.created_by,
            created_at: asset.created_at,
            updated_at: asset.updated_at,
            deleted_at: asset.deleted_at,
            deleted_by: asset.deleted_by,
        }
    }
}

/// A row of `event_uploads_json`.
#[derive(Deserialize)]
struct StoredUpload {
    id: AssetUploadId,
    org_id: OrganizationId,
    filename: String,
    mime_type: String,
    size_bytes: u64,
    created_by: UserId,
    created_at: Timestamp,
    expires_at: Timestamp,
    error: Option<Box<RawValue>>,
}

/// An upload, as it was when it happened.
#[derive(Debug, Serialize)]
#[cfg_attr(
    not(target_arch = "wasm32"),
    derive(schemars::JsonSchema),
    schemars(
        rename = "EventUpload",
        example = serde_json::json!({
            "id": "018f4d2e-7c4b-7a35-9c1f-0242ac120002",
            "org_id": "018f4d2a-11d0-7c52-8b3e-5f0c9d7a6e41",
            "filename": "sunrise.png",
            "mime_type": "image/png",
            "size_bytes": 482_133,
            "created_by": "018f4d29-8a6c-7e90-b7d2-1c4e5f6a7b83",
            "created_at": "2026-11-22T12:45:00.318Z",
            "expires_at": "2026-11-23T12:45:00.318Z"
        })
    )
)]
pub struct EventUpload<'a> {
    /// The upload's id.
    id: AssetUploadId,
    /// The organization it belongs to.
    org_id: OrganizationId,
    /// As declared.
    filename: &'a str,
    /// As declared, lower-case and without parameters.
    mime_type: &'a str,
    /// As declared.
    #[cfg_attr(not(target_arch = "wasm32"), schemars(range(min = 1)))]
    size_bytes: u64,
    /// The user who started it.
    created_by: UserId,
    /// When it was started.
    created_at: Timestamp,
    /// From then on it can no longer be confirmed.
    expires_at: Timestamp,
    /// Why its file may not become an asset: what a confirmation would be answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(not(target_arch = "wasm32"), schemars(with = "crate::error::Envelope"))]
    error: Option<&'a RawValue>,
}

impl<'a> EventUpload<'a> {
    fn new(event_type: &str, upload: &'a StoredUpload) -> Self {
        Self {
            id: upload.id,
            org_id: upload.org_id,
            filename: &upload.filename,
            mime_type: &upload.mime_type,
            size_bytes: upload.size_bytes,
            created_by: upload.created_by,
            created_at: upload.created_at,
            expires_at: upload.expires_at,
            // One that was rejected may expire later.
            error: upload.error.as_deref().filter(|_| event_type == EventType::UploadRejected.as_str()),
        }
    }
}
