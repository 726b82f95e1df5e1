//! The asset as it is answered.

use serde::Serialize;

use crate::domain::asset::{Asset, Links, User};
use crate::domain::ids::{AssetId, FolderId, OrganizationId, UserId};
use crate::domain::timestamp::Timestamp;
use crate::http::projection::{Fields, Item};

/// An asset. Every field is present, null where there is no value. Times are UTC, with milliseconds and `Z`; ids
/// are lower-case.
#[derive(Debug, Serialize)]
#[cfg_attr(
    not(target_arch = "wasm32"),
    derive(schemars::JsonSchema),
    schemars(
        rename = "Asset",
        example = serde_json::json!({
            "id": "018f4d2e-7c4b-7a35-9c1f-0242ac120002",
            "org_id": "018f4d2a-11d0-7c52-8b3e-5f0c9d7a6e41",
            "folder_id": "018f4d2b-52e7-7d18-a0c4-6b1f3e8d9a27",
            "name": "sunrise.png",
            "r2_key": "uploads/018f4d2e-7c4b-7a35-9c1f-0242ac120002",
            "url": "https://media.example.com/uploads/018f4d2e-7c4b-7a35-9c1f-0242ac120002",
            "thumbnail_url": "https://media.example.com/cdn-cgi/image/width=320/uploads/018f4d2e-7c4b-7a35-9c1f-0242ac120002",
            "mime_type": "image/png",
            "size_bytes": 482_133,
            "asset_type": "image",
            "source_type": "upload",
            "source_id": "018f4d2e-7c4b-7a35-9c1f-0242ac120002",
            "created_by": "018f4d29-8a6c-7e90-b7d2-1c4e5f6a7b83",
            "created_at": "2026-11-22T12:51:07.042Z",
            "updated_at": "2026-11-22T12:51:07.042Z",
            "deleted_at": null,
            "deleted_by": null,
            "created_by_user": null
        })
    )
)]
pub struct AssetResponse<'a> {
    /// The upload's id.
    id: AssetId,
    /// The organization it belongs to.
    org_id: OrganizationId,
    /// The folder it lies in; null for none.
    folder_id: Option<FolderId>,
    /// At first the filename of the upload. A rename does not reach the object: a download keeps the first name.
    name: &'a str,
    /// Key of the object in storage.
    r2_key: &'a str,
    /// Where the file can be read: its public URL, or else one that is signed anew in every answer and holds for a
    /// limited time; null where the operator has configured neither.
    url: Option<String>,
    /// Where a thumbnail can be read; images only, and null where none is configured.
    thumbnail_url: Option<String>,
    /// What storage reports, lower-case and without parameters; the declared type where the object was stored without
    /// one.
    mime_type: &'a str,
    /// What storage reports.
    #[cfg_attr(not(target_arch = "wasm32"), schemars(range(min = 1)))]
    size_bytes: u64,
    /// What the media type makes of it.
    #[cfg_attr(not(target_arch = "wasm32"), schemars(with = "crate::domain::media::AssetType"))]
    asset_type: &'a str,
    /// How the asset came to be.
    #[cfg_attr(not(target_arch = "wasm32"), schemars(extend("enum" = ["upload"])))]
    source_type: &'a str,
    /// The upload's id.
    source_id: &'a str,
    /// The user who confirmed the upload.
    created_by: UserId,
    /// When the upload was confirmed.
    created_at: Timestamp,
    /// When the asset was last renamed or moved; else when the upload was confirmed.
    updated_at: Timestamp,
    /// When the asset was deleted; null while it is not.
    deleted_at: Option<Timestamp>,
    /// Who deleted it; null while it is not.
    deleted_by: Option<UserId>,
    /// The user of `created_by`. There when an upload is confirmed or an asset restored, and on reading with
    /// `embed=created_by_user`; else null.
    created_by_user: Option<&'a User>,
}

impl<'a> AssetResponse<'a> {
    /// Whether the object's URL is needed for these fields: signing it takes longer than all else of a list.
    pub fn needs_url(fields: &Fields) -> bool {
        fields.has("url") || fields.has("thumbnail_url")
    }

    /// Puts the object's URL, the thumbnail's and the embedded user to a stored asset.
    pub fn new(
        asset: &'a Asset,
        created_by_user: Option<&'a User>,
        url: Option<String>,
        links: &Links,
    ) -> Self {
        Self {
            id: asset.id,
            org_id: asset.org_id,
            folder_id: asset.folder_id,
            name: &asset.name,
            r2_key: &asset.r2_key,
            thumbnail_url: links.thumbnail_url(asset, url.as_deref()),
            url,
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
            created_by_user,
        }
    }
}

impl Item for AssetResponse<'_> {
    const FIELDS: &'static [&'static str] = &[
        "id",
        "org_id",
        "folder_id",
        "name",
        "r2_key",
        "url",
        "thumbnail_url",
        "mime_type",
        "size_bytes",
        "asset_type",
        "source_type",
        "source_id",
        "created_by",
        "created_at",
        "updated_at",
        "deleted_at",
        "deleted_by",
        "created_by_user",
    ];
}
