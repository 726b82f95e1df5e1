//! Who the user of a key is, where they may act, and what the key is.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::api_key::{Limits, Scope};
use super::ids::{ApiKeyId, OrganizationId, UserId};
use super::timestamp::Timestamp;

/// A key as its holder sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema), schemars(inline))]
pub struct CurrentKey {
    /// The key's id, by which it is revoked.
    pub id: ApiKeyId,
    /// What it was called.
    pub name: String,
    /// What it may do.
    pub scope: Scope,
    /// The organization that it acts in; null for one that acts in any of its user's.
    pub org_id: Option<OrganizationId>,
    /// When it ends; null for never.
    pub expires_at: Option<Timestamp>,
    /// What it may upload; null where nothing limits that but the configuration.
    pub limits: Option<Limits>,
    /// Who looks through it as its user; null for an ordinary key.
    pub impersonator_id: Option<UserId>,
}

/// What the database knows of the holder of a key. `user` and `organizations` are answered as they were read.
#[derive(Debug, Deserialize)]
pub struct Account {
    /// [`AccountUser`] as JSON.
    pub user: Box<RawValue>,
    /// The key.
    pub key: CurrentKey,
    /// A list of [`Membership`] as JSON.
    pub organizations: Box<RawValue>,
    /// The organization that a request acts in; `None` where none resolves.
    pub current_organization_id: Option<OrganizationId>,
}

/// The user of a key. One of the scope `upload` sees `id` alone.
#[cfg(not(target_arch = "wasm32"))]
#[derive(Debug, Serialize, schemars::JsonSchema)]
#[schemars(inline)]
pub struct AccountUser {
    /// The user's id.
    pub id: UserId,
    /// E-mail address.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub email: Option<String>,
    /// First name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_name: Option<String>,
    /// Last name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_name: Option<String>,
    /// Where their picture is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub avatar_url: Option<String>,
    /// Whether the e-mail address is verified.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "bool")]
    pub email_verified: Option<bool>,
}

/// An organization of the user's. A key of the scope `upload` sees its own alone.
#[cfg(not(target_arch = "wasm32"))]
#[derive(Debug, Serialize, schemars::JsonSchema)]
#[schemars(inline)]
pub struct Membership {
    /// The organization's id.
    pub id: OrganizationId,
    /// Its name.
    pub name: String,
    /// The user's role in it; null while none is assigned.
    pub role: Option<String>,
    /// What the role permits: `assets:read`, `assets:write`.
    pub permissions: Vec<String>,
}
