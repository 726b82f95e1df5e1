//! Folders: a tree of each organization's.

use serde::{Deserialize, Serialize};

use super::ids::{FolderId, OrganizationId, UserId};
use super::timestamp::Timestamp;

/// Folders and assets that one deletion puts into the trash, beside the folder itself.
pub const MAX_DELETED: u32 = 5_000;

/// A folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(
    not(target_arch = "wasm32"),
    derive(schemars::JsonSchema),
    schemars(
        rename = "Folder",
        example = serde_json::json!({
            "id": "018f4d2b-52e7-7d18-a0c4-6b1f3e8d9a27",
            "org_id": "018f4d2a-11d0-7c52-8b3e-5f0c9d7a6e41",
            "parent_id": null,
            "name": "Holiday",
            "created_by": "018f4d29-8a6c-7e90-b7d2-1c4e5f6a7b83",
            "created_at": "2026-11-22T12:51:07.042Z",
            "updated_at": "2026-11-22T12:51:07.042Z",
            "deleted_at": null
        })
    )
)]
pub struct Folder {
    /// The folder's id.
    pub id: FolderId,
    /// The organization it belongs to.
    pub org_id: OrganizationId,
    /// The folder it lies in; null for none.
    pub parent_id: Option<FolderId>,
    /// Its name, which no sibling has, without regard to the case of ASCII letters.
    pub name: String,
    /// The user who made it.
    pub created_by: UserId,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last renamed or moved.
    pub updated_at: Timestamp,
    /// When it was deleted; null while it is not.
    pub deleted_at: Option<Timestamp>,
}

/// A folder on the way to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema), schemars(inline))]
pub struct Ancestor {
    /// Its id.
    pub id: FolderId,
    /// Its name.
    pub name: String,
}

/// A folder's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderName(String);

impl FolderName {
    /// `None` unless it has 1 to 255 characters, none of them a control character; nor for `.` and `..`.
    pub fn parse(text: &str) -> Option<Self> {
        let valid = (1..=255).contains(&text.chars().count())
            && !text.contains(char::is_control)
            && !matches!(text, "." | "..");
        valid.then(|| Self(text.to_owned()))
    }

    /// As stored.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
