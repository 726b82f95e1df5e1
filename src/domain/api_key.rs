//! API keys: what one may do, and what it is to its owner.

use serde::{Deserialize, Serialize};

use super::ids::{ApiKeyId, FolderId, OrganizationId, UserId};
use super::media::MimePattern;
use super::timestamp::Timestamp;
use super::upload::UploadRules;

/// Generations of keys, the operator's being the first.
pub const MAX_GENERATIONS: u8 = 4;
/// The longest that a key made through the API is valid: 90 days.
pub const MAX_SECONDS: u64 = 90 * 86_400;
/// The same for one of the scope `upload`.
pub const MAX_UPLOAD_KEY_SECONDS: u64 = 86_400;

/// What a key may do, of all that its user may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema), schemars(inline))]
pub enum Scope {
    /// All of it.
    Full,
    /// Only read.
    Read,
    /// Only start uploads, and confirm or cancel those that it started itself.
    Upload,
}

impl Scope {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Full, Self::Read, Self::Upload];

    /// As stored and sent.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Read => "read",
            Self::Upload => "upload",
        }
    }
}

/// A key's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyName(String);

impl KeyName {
    /// `None` unless it has 1 to 100 characters, none of them a control character.
    pub fn parse(text: &str) -> Option<Self> {
        let valid = (1..=100).contains(&text.chars().count()) && !text.contains(char::is_control);
        valid.then(|| Self(text.to_owned()))
    }

    /// As stored.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a key of the scope `upload` may upload. Each limit only ever narrows what the configuration permits.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(
    not(target_arch = "wasm32"),
    derive(schemars::JsonSchema),
    schemars(
        rename = "ApiKeyLimits",
        deny_unknown_fields,
        example = serde_json::json!({
            "max_uploads": 10,
            "max_size_bytes": 5_000_000,
            "mime_types": ["image/*"],
            "folder_id": "018f4d2b-52e7-7d18-a0c4-6b1f3e8d9a27"
        })
    )
)]
pub struct Limits {
    /// How many uploads it may start. Those that are cancelled count; repeats with an `Idempotency-Key` do not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(not(target_arch = "wasm32"), schemars(range(min = 1, max = 1000)))]
    pub max_uploads: Option<u32>,
    /// The largest file, in bytes; at most what the configuration permits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(not(target_arch = "wasm32"), schemars(range(min = 1)))]
    pub max_size_bytes: Option<u64>,
    /// The media types, such as `image/png` or `image/*`; only such as the configuration permits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(
        not(target_arch = "wasm32"),
        schemars(length(min = 1, max = 100), inner(length(min = 3, max = 255)))
    )]
    pub mime_types: Option<Vec<String>>,
    /// The folder that its uploads are confirmed into, and no other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder_id: Option<FolderId>,
}

impl Limits {
    /// What the configuration permits, and these limits too.
    pub fn narrow(&self, rules: &UploadRules) -> UploadRules {
        let types = self.mime_types.as_ref().map(|types| {
            let patterns: Vec<_> = types.iter().filter_map(|text| MimePattern::parse(text)).collect();
            rules.allowed_types.narrowed(&patterns)
        });
        UploadRules {
            max_bytes: self.max_size_bytes.unwrap_or(u64::MAX).min(rules.max_bytes),
            allowed_types: types.unwrap_or_else(|| rules.allowed_types.clone()),
            reject_mismatch: rules.reject_mismatch,
        }
    }
}

/// A key as its owner sees it, without the key itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(
    not(target_arch = "wasm32"),
    derive(schemars::JsonSchema),
    schemars(
        rename = "ApiKey",
        example = serde_json::json!({
            "id": "018f4d2f-0b6e-7c13-8f52-9d1a4e7b3c60",
            "name": "Page of order 4711",
            "scope": "upload",
            "org_id": "018f4d2a-11d0-7c52-8b3e-5f0c9d7a6e41",
            "user_id": "018f4d29-8a6c-7e90-b7d2-1c4e5f6a7b83",
            "parent_id": "018f4d2e-93c7-7aa4-b1e8-3f5c6d7e8f90",
            "impersonator_id": null,
            "limits": {"max_uploads": 10, "mime_types": ["image/*"]},
            "uploads_started": 0,
            "created_at": "2026-11-22T12:51:07.042Z",
            "expires_at": "2026-11-22T13:06:07.042Z",
            "revoked_at": null
        })
    )
)]
pub struct ApiKey {
    /// The key's id, by which it is revoked.
    pub id: ApiKeyId,
    /// What it was called.
    pub name: String,
    /// What it may do.
    pub scope: Scope,
    /// The organization that it acts in; null for one that acts in any of its user's.
    pub org_id: Option<OrganizationId>,
    /// Whose key it is.
    pub user_id: UserId,
    /// The key that made it; null for an operator's.
    pub parent_id: Option<ApiKeyId>,
    /// Who looks through it as its user; null for an ordinary key.
    pub impersonator_id: Option<UserId>,
    /// What it may upload; null where nothing limits that but the configuration.
    #[cfg_attr(not(target_arch = "wasm32"), schemars(with = "Option<Limits>"))]
    pub limits: Option<Limits>,
    /// Uploads that a key of the scope `upload` has started.
    pub uploads_started: u32,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends; null for never.
    pub expires_at: Option<Timestamp>,
    /// When it, or one that it descends from, was revoked; null while none is.
    pub revoked_at: Option<Timestamp>,
}
