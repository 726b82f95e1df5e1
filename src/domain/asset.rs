//! The asset: a verified object's record, and where it is served.

use serde::{Deserialize, Serialize};

use super::ids::{AssetId, FolderId, OrganizationId, UserId};
use super::percent::encode_value;
use super::timestamp::Timestamp;

/// An asset as stored.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Asset {
    /// The asset's id.
    pub id: AssetId,
    /// The organization it belongs to.
    pub org_id: OrganizationId,
    /// The folder it lies in, if any.
    pub folder_id: Option<FolderId>,
    /// The session's filename.
    pub name: String,
    /// Key of the object in R2.
    pub r2_key: String,
    /// Media type that HEAD reported.
    pub mime_type: String,
    /// Size in bytes that HEAD reported.
    pub size_bytes: u64,
    /// `image`, `video`, `audio`, `document` or `file`.
    pub asset_type: String,
    /// `upload`
    pub source_type: String,
    /// The upload's id.
    pub source_id: String,
    /// Who confirmed it.
    pub created_by: UserId,
    /// When it was confirmed.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// When it was deleted, if it was.
    pub deleted_at: Option<Timestamp>,
    /// Who deleted it.
    pub deleted_by: Option<UserId>,
}

/// A user as others may see it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(
    not(target_arch = "wasm32"),
    derive(schemars::JsonSchema),
    schemars(
        rename = "EmbeddedUser",
        example = serde_json::json!({
            "id": "018f4d29-8a6c-7e90-b7d2-1c4e5f6a7b83",
            "email": "ada@example.com",
            "first_name": "Ada",
            "last_name": "Byron",
            "avatar_url": null
        })
    )
)]
pub struct User {
    /// The user's id.
    pub id: UserId,
    /// E-mail address.
    pub email: String,
    /// Given name, where known.
    pub first_name: Option<String>,
    /// Family name, where known.
    pub last_name: Option<String>,
    /// URL of a picture, where known.
    pub avatar_url: Option<String>,
}

/// Where objects and their thumbnails are served.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Links {
    /// Absolute URL without a trailing slash; the object's key follows a slash.
    pub public_base_url: Option<String>,
    /// URL with `{key}` and `{url}` for the object's key and URL.
    pub thumbnail_template: Option<String>,
}

impl Links {
    /// URL of the object, or `None` where no base is configured.
    pub fn url(&self, key: &str) -> Option<String> {
        self.public_base_url.as_ref().map(|base| format!("{base}/{key}"))
    }

    /// URL of the thumbnail: images only. `None` too where the template wants a URL that does not exist.
    pub fn thumbnail_url(&self, asset: &Asset, url: Option<&str>) -> Option<String> {
        let template = self.thumbnail_template.as_ref().filter(|_| asset.asset_type == "image")?;
        if template.contains("{url}") && url.is_none() {
            return None;
        }
        let url = url.unwrap_or_default();
        // The URL last: it may hold any text, `{key}` too.
        let template = template.replace("{key}", &asset.r2_key);
        Some(match template.split_once('?') {
            // As a value of the query it must not end that value, nor the query.
            Some((path, query)) => {
                format!("{}?{}", path.replace("{url}", url), query.replace("{url}", &encode_value(url)))
            }
            None => template.replace("{url}", url),
        })
    }
}
