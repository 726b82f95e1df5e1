//! Requests, with everything that their answers may depend on.

use asset_uploads::domain::api_key::Scope;
use asset_uploads::domain::ids::AssetUploadId;
use asset_uploads::error::ErrorCode;
use asset_uploads::store::rights::{Access, Permission};

use crate::lists::ListRequest;
use crate::model::Declared;
use crate::schedule::Named;

/// A request.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RequestModel {
    pub(crate) client: usize,
    pub(crate) organization: Named,
    pub(crate) action: ActionModel,
}

/// What it asks for. Where its body may be wrong, there is what that is answered.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum ActionModel {
    Start {
        file: Result<Declared, ErrorCode>,
        id: Option<AssetUploadId>,
        key: Option<u8>,
        body: &'static str,
    },
    Confirm {
        upload: AssetUploadId,
        folder: Result<Option<String>, ErrorCode>,
        key: Option<u8>,
        body: String,
    },
    ConfirmBatch {
        /// The uploads, and the folder of each.
        items: Result<Vec<(AssetUploadId, Option<String>)>, ErrorCode>,
        key: Option<u8>,
        body: String,
    },
    SignParts {
        upload: AssetUploadId,
        numbers: Result<Vec<u64>, ErrorCode>,
        body: String,
    },
    Complete {
        upload: AssetUploadId,
        /// Of the parts that the body names.
        numbers: Result<Vec<u64>, ErrorCode>,
        body: String,
    },
    Cancel {
        upload: AssetUploadId,
    },
    ReadUpload {
        upload: AssetUploadId,
    },
    ReadAsset {
        asset: String,
    },
    UpdateAsset {
        asset: String,
        change: Result<ChangeModel, ErrorCode>,
        body: String,
    },
    DeleteAsset {
        asset: String,
    },
    RestoreAsset {
        asset: String,
    },
    CreateFolder {
        folder: Result<(&'static str, Option<String>), ErrorCode>,
        /// The one that its key leads to, or that was made.
        id: Option<String>,
        key: Option<u8>,
        body: String,
    },
    ReadFolder {
        folder: String,
    },
    UpdateFolder {
        folder: String,
        change: Result<ChangeModel, ErrorCode>,
        body: String,
    },
    DeleteFolder {
        folder: String,
        recursive: bool,
    },
    RestoreFolder {
        folder: String,
    },
    MakeKey {
        key: Result<NewKeyModel, ErrorCode>,
        /// The one that was made.
        id: Option<String>,
        body: String,
    },
    RevokeKey {
        key: String,
    },
    List(ListRequest),
    MakeWebhook {
        types: &'static [&'static str],
        url: String,
        /// The one that was made.
        id: Option<String>,
        body: String,
    },
    UpdateWebhook {
        webhook: String,
        types: Option<&'static [&'static str]>,
        disabled: Option<bool>,
        body: String,
    },
    DeleteWebhook {
        webhook: String,
    },
}

/// A key to make.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct NewKeyModel {
    pub(crate) scope: Scope,
    pub(crate) max_uploads: Option<u32>,
    pub(crate) seconds: u64,
}

/// A new name, a new place, or both; a place of `Some(None)` is none.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ChangeModel {
    pub(crate) name: Option<&'static str>,
    pub(crate) place: Option<Option<String>>,
}

impl ActionModel {
    /// What it needs: of the role, of the key's scope, and whether it may change something.
    pub(crate) fn access(&self) -> Access {
        let reads = matches!(
            self,
            Self::ReadUpload { .. } | Self::ReadAsset { .. } | Self::ReadFolder { .. } | Self::List(_)
        );
        let permission = match self {
            Self::MakeWebhook { .. } | Self::UpdateWebhook { .. } | Self::DeleteWebhook { .. } => {
                Permission::WebhooksManage
            }
            _ if reads => Permission::AssetsRead,
            _ => Permission::AssetsWrite,
        };
        let scopes: &[Scope] = match self {
            Self::Start { .. }
            | Self::Confirm { .. }
            | Self::ConfirmBatch { .. }
            | Self::SignParts { .. }
            | Self::Complete { .. }
            | Self::Cancel { .. } => &[Scope::Full, Scope::Upload],
            Self::ReadUpload { .. } => &[Scope::Full, Scope::Read, Scope::Upload],
            _ if reads => &[Scope::Full, Scope::Read],
            _ => &[Scope::Full],
        };
        Access { permission, scopes, writes: !reads }
    }

    /// What rules 9 and 10 answer.
    pub(crate) fn malformed(&self) -> Option<ErrorCode> {
        match self {
            Self::Start { file: Err(code), .. }
            | Self::Confirm { folder: Err(code), .. }
            | Self::ConfirmBatch { items: Err(code), .. }
            | Self::SignParts { numbers: Err(code), .. }
            | Self::Complete { numbers: Err(code), .. }
            | Self::UpdateAsset { change: Err(code), .. }
            | Self::CreateFolder { folder: Err(code), .. }
            | Self::UpdateFolder { change: Err(code), .. }
            | Self::MakeKey { key: Err(code), .. } => Some(*code),
            Self::List(list) => list.malformed.then_some(ErrorCode::ValidationError),
            _ => None,
        }
    }

    /// What a success is counted as.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Start { .. } => "start",
            Self::Confirm { .. } => "confirmation",
            Self::ConfirmBatch { .. } => "batch",
            Self::SignParts { .. } => "parts",
            Self::Complete { .. } => "completion",
            Self::Cancel { .. } => "cancellation",
            Self::ReadUpload { .. } => "upload",
            Self::ReadAsset { .. } => "asset",
            Self::UpdateAsset { .. } => "asset update",
            Self::DeleteAsset { .. } => "asset deletion",
            Self::RestoreAsset { .. } => "asset restoration",
            Self::CreateFolder { .. } => "folder creation",
            Self::ReadFolder { .. } => "folder",
            Self::UpdateFolder { .. } => "folder update",
            Self::DeleteFolder { .. } => "folder deletion",
            Self::RestoreFolder { .. } => "folder restoration",
            Self::MakeKey { .. } => "key",
            Self::RevokeKey { .. } => "key revocation",
            Self::List(list) if list.of.assets => "asset list",
            Self::List(_) => "folder list",
            Self::MakeWebhook { .. } => "webhook",
            Self::UpdateWebhook { .. } => "webhook update",
            Self::DeleteWebhook { .. } => "webhook deletion",
        }
    }
}

impl RequestModel {
    /// The id of what it names, or leads to.
    pub(crate) fn id(&self) -> Option<String> {
        match &self.action {
            ActionModel::Start { id, .. } => id.map(|id| id.to_string()),
            ActionModel::Confirm { upload, .. }
            | ActionModel::SignParts { upload, .. }
            | ActionModel::Complete { upload, .. }
            | ActionModel::Cancel { upload }
            | ActionModel::ReadUpload { upload } => Some(upload.to_string()),
            ActionModel::ReadAsset { asset }
            | ActionModel::UpdateAsset { asset, .. }
            | ActionModel::DeleteAsset { asset }
            | ActionModel::RestoreAsset { asset } => Some(asset.clone()),
            ActionModel::CreateFolder { id, .. } | ActionModel::MakeKey { id, .. } => id.clone(),
            ActionModel::RevokeKey { key } => Some(key.clone()),
            ActionModel::MakeWebhook { id, .. } => id.clone(),
            ActionModel::UpdateWebhook { webhook, .. } | ActionModel::DeleteWebhook { webhook } => {
                Some(webhook.clone())
            }
            ActionModel::ReadFolder { folder }
            | ActionModel::UpdateFolder { folder, .. }
            | ActionModel::DeleteFolder { folder, .. }
            | ActionModel::RestoreFolder { folder } => Some(folder.clone()),
            ActionModel::List(_) | ActionModel::ConfirmBatch { .. } => None,
        }
    }

    /// The same, where it has made something of this id already.
    pub(crate) fn with_id(&self, made: Option<&str>) -> Self {
        let mut request = self.clone();
        match &mut request.action {
            ActionModel::Start { id, .. } => *id = id.or_else(|| AssetUploadId::parse(made?)),
            ActionModel::CreateFolder { id, .. }
            | ActionModel::MakeKey { id, .. }
            | ActionModel::MakeWebhook { id, .. }
                if id.is_none() =>
            {
                *id = made.map(str::to_owned)
            }
            _ => {}
        }
        request
    }
}
