//! Webhooks: what they are told, and how it is repeated.

use serde::{Deserialize, Serialize};

use super::ids::{DeliveryId, OrganizationId, UserId, WebhookId};
use super::timestamp::Timestamp;

/// Webhooks of an organization at most: each event is a row for each of them.
pub const MAX_WEBHOOKS: u32 = 20;
/// How long an earlier secret signs, too, in seconds.
pub const ROTATION_SECONDS: u64 = 86_400;
/// Earlier secrets that sign at most; a rotation beyond them ends the earliest.
pub const MAX_EARLIER_SECRETS: usize = 4;
/// How long deliveries are kept, in seconds.
pub const HISTORY_SECONDS: u64 = 30 * 86_400;
/// A webhook whose every delivery has failed for so many seconds is disabled.
pub const MAX_FAILING_SECONDS: u64 = 5 * 86_400;
/// Milliseconds that a receiver may take to answer.
pub const ATTEMPT_TIMEOUT_MS: u64 = 10_000;
/// Bytes of a receiver's answer that are kept.
pub const RESPONSE_BYTES: usize = 1_024;
/// Characters of a webhook's description at most.
pub const MAX_DESCRIPTION_LENGTH: usize = 500;

/// Milliseconds from a failed attempt to the next one: 5 s, 1 min, 5 min, 30 min, 2 h, 6 h, 12 h, 24 h. After the last
/// the delivery has failed.
const RETRY_DELAYS_MS: [u64; 8] =
    [5_000, 60_000, 300_000, 1_800_000, 7_200_000, 21_600_000, 43_200_000, 86_400_000];

/// When to try again after `attempts` failed ones, in milliseconds: up to a fifth later at random (`random` is uniform in
/// 0..=u16::MAX). `None` after the last.
pub fn retry_delay_ms(attempts: u32, random: u16) -> Option<u64> {
    let place = usize::try_from(attempts).ok()?.checked_sub(1)?;
    let delay = RETRY_DELAYS_MS.get(place)?;
    Some(delay + delay * u64::from(random) / (5 * u64::from(u16::MAX)))
}

/// What webhooks are told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema), schemars(inline))]
pub enum EventType {
    /// An upload was confirmed.
    #[serde(rename = "asset.created")]
    AssetCreated,
    /// An asset was renamed or moved.
    #[serde(rename = "asset.updated")]
    AssetUpdated,
    /// An asset was put into the trash, by itself or with its folder.
    #[serde(rename = "asset.deleted")]
    AssetDeleted,
    /// An asset was taken out of the trash, by itself or with its folder.
    #[serde(rename = "asset.restored")]
    AssetRestored,
    /// An asset was removed for good.
    #[serde(rename = "asset.purged")]
    AssetPurged,
    /// Storage told of a file that may not become an asset.
    #[serde(rename = "upload.rejected")]
    UploadRejected,
    /// An upload was not confirmed in time.
    #[serde(rename = "upload.expired")]
    UploadExpired,
}

impl EventType {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::AssetCreated,
        Self::AssetUpdated,
        Self::AssetDeleted,
        Self::AssetRestored,
        Self::AssetPurged,
        Self::UploadRejected,
        Self::UploadExpired,
    ];

    /// As stored and sent.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AssetCreated => "asset.created",
            Self::AssetUpdated => "asset.updated",
            Self::AssetDeleted => "asset.deleted",
            Self::AssetRestored => "asset.restored",
            Self::AssetPurged => "asset.purged",
            Self::UploadRejected => "upload.rejected",
            Self::UploadExpired => "upload.expired",
        }
    }

    /// What it means, for people.
    pub const fn description(self) -> &'static str {
        match self {
            Self::AssetCreated => {
                "An upload was confirmed: by a client, or because storage told of its file."
            }
            Self::AssetUpdated => "An asset was renamed or moved.",
            Self::AssetDeleted => "An asset was put into the trash, by itself or with its folder.",
            Self::AssetRestored => "An asset was taken out of the trash, by itself or with its folder.",
            Self::AssetPurged => "An asset was removed for good, and its file with it.",
            Self::UploadRejected => "Storage told of a file that may not become an asset; once an upload.",
            Self::UploadExpired => "An upload was not confirmed in time.",
        }
    }

    /// The type of this name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == text)
    }
}

/// The type of what `POST /v1/webhooks/{webhook_id}/tests` sends.
pub const TEST_EVENT: &str = "webhook.test";

/// A webhook, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(
    not(target_arch = "wasm32"),
    derive(schemars::JsonSchema),
    schemars(
        rename = "Webhook",
        example = serde_json::json!({
            "id": "018f4d30-1c5a-7d21-9e84-6a7b8c9d0e1f",
            "org_id": "018f4d2a-11d0-7c52-8b3e-5f0c9d7a6e41",
            "url": "https://hooks.example.com/asset-uploads",
            "event_types": ["asset.created", "asset.deleted"],
            "description": "Search index",
            "disabled": false,
            "disabled_at": null,
            "disabled_reason": null,
            "failing_since": null,
            "created_by": "018f4d29-8a6c-7e90-b7d2-1c4e5f6a7b83",
            "created_at": "2026-11-22T12:51:07.042Z",
            "updated_at": "2026-11-22T12:51:07.042Z"
        })
    )
)]
pub struct Webhook {
    /// The webhook's id.
    pub id: WebhookId,
    /// The organization whose events it is told.
    pub org_id: OrganizationId,
    /// Where they are sent.
    pub url: String,
    /// Which of them, in alphabetical order.
    #[cfg_attr(not(target_arch = "wasm32"), schemars(with = "Vec<EventType>"))]
    pub event_types: Vec<String>,
    /// What it is for; null where nothing was said.
    pub description: Option<String>,
    /// Whether it is switched off: nothing is sent, and events are not recorded for it.
    pub disabled: bool,
    /// Since when; null while it is on.
    pub disabled_at: Option<Timestamp>,
    /// Why, where that was not a request; else null.
    pub disabled_reason: Option<String>,
    /// The first failed attempt since the last delivery; null where none has failed since.
    pub failing_since: Option<Timestamp>,
    /// Who made it.
    pub created_by: UserId,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// How a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema), schemars(inline))]
pub enum DeliveryState {
    /// It is still to be delivered.
    Pending,
    /// The receiver took it.
    Delivered,
    /// It was given up.
    Failed,
}

/// An attempt to deliver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema), schemars(inline))]
pub struct Attempt {
    /// When it was sent.
    pub at: Timestamp,
    /// The status of the receiver's answer; null where there was none.
    pub status: Option<u16>,
    /// Milliseconds until the answer, or until it was given up.
    pub duration_ms: u64,
    /// Why there was no answer; null where there was one.
    pub error: Option<String>,
    /// The first 1,024 bytes of the answer; null where there was none.
    pub response: Option<String>,
}

impl Attempt {
    /// Whether the receiver took it: any 2xx.
    pub fn succeeded(&self) -> bool {
        self.status.is_some_and(|status| (200..300).contains(&status))
    }
}

/// A delivery of an event to a webhook, as stored.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Delivery {
    /// The delivery's id.
    pub id: DeliveryId,
    /// The webhook.
    pub webhook_id: WebhookId,
    /// The event's id.
    pub event_id: DeliveryId,
    /// What happened.
    pub event_type: String,
    /// When it happened.
    pub event_at: Timestamp,
    /// When the delivery was asked for: when the event happened, or a repeat was requested.
    pub created_at: Timestamp,
    /// When it is tried next.
    pub due_at: Option<Timestamp>,
    /// When the receiver took it.
    pub delivered_at: Option<Timestamp>,
    /// What was tried.
    pub attempts: Vec<Attempt>,
}

impl Delivery {
    /// How it stands.
    pub fn state(&self) -> DeliveryState {
        match (self.delivered_at, self.due_at) {
            (Some(_), _) => DeliveryState::Delivered,
            (None, Some(_)) => DeliveryState::Pending,
            (None, None) => DeliveryState::Failed,
        }
    }
}

/// A message of the queue: this webhook has deliveries that are due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nudge {
    /// The webhook.
    pub webhook_id: WebhookId,
    /// From the cron: its time, in milliseconds. What is due by then is tried, also where the webhook is paused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_of: Option<i64>,
}
