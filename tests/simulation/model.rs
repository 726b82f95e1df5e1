//! What the database must hold, and what each request must be answered: docs/behaviour.md in Rust, without SQL. The
//! simulation compares the real handlers and the real database with it after each transaction.

use std::collections::BTreeMap;

use asset_uploads::domain::ids::{AssetUploadId, FolderId, OrganizationId, UserId};
use asset_uploads::domain::timestamp::Timestamp;
use asset_uploads::domain::upload::StoredObject;
use asset_uploads::error::ErrorCode;
use asset_uploads::store::rights::Permission;

use crate::schedule::{FolderNamed, Named};
use crate::sqlite::callers::Membership;

/// `MAX_UPLOAD_BYTES` of the simulation.
pub(crate) const MAX_BYTES: u64 = 1_000;

/// A user, as the operator made it.
#[derive(Debug, Clone)]
pub(crate) struct UserModel {
    pub(crate) id: UserId,
    pub(crate) disabled: bool,
    pub(crate) verified: bool,
    /// In Acme, and in the other organization.
    pub(crate) memberships: [Membership; 2],
}

/// An API key.
#[derive(Debug, Clone)]
pub(crate) struct KeyModel {
    /// What the client sends; none for a request without a key.
    pub(crate) token: Option<String>,
    /// Whose it is; none where nobody has such a key.
    pub(crate) user: Option<usize>,
    pub(crate) impersonator: Option<usize>,
    /// The organization that it is bound to.
    pub(crate) org: Option<usize>,
    pub(crate) expires_at: Option<Timestamp>,
    pub(crate) revoked: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct FolderModel {
    pub(crate) id: FolderId,
    pub(crate) org: usize,
    pub(crate) deleted: bool,
}

/// What a client declares.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Declared {
    pub(crate) filename: &'static str,
    pub(crate) mime_type: &'static str,
    pub(crate) size_bytes: u64,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SessionModel {
    pub(crate) org: usize,
    pub(crate) declared: Declared,
    pub(crate) created_by: usize,
    pub(crate) created_at: Timestamp,
    pub(crate) expires_at: Timestamp,
    pub(crate) cancelled: bool,
    /// The request that wrote it.
    pub(crate) request: u64,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct AssetModel {
    pub(crate) org: usize,
    pub(crate) folder: Option<FolderId>,
    pub(crate) name: &'static str,
    pub(crate) mime_type: String,
    pub(crate) size_bytes: u64,
    pub(crate) etag: String,
    pub(crate) created_by: usize,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
    /// When, and by whom.
    pub(crate) deleted: Option<(Timestamp, usize)>,
    /// The Idempotency-Key of the confirmation.
    pub(crate) key: Option<u8>,
    /// The folder that its body named.
    pub(crate) first_folder: Option<FolderId>,
    /// The request that wrote it.
    pub(crate) request: u64,
}

/// An id that was given up.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct RetiredModel {
    /// When its object was removed.
    pub(crate) object_deleted_at: Option<i64>,
}

/// What the database must hold.
#[derive(Debug, Clone, Default)]
pub(crate) struct Model {
    pub(crate) reject_mismatch: bool,
    pub(crate) orgs: Vec<OrganizationId>,
    pub(crate) users: Vec<UserModel>,
    pub(crate) keys: Vec<KeyModel>,
    pub(crate) folders: Vec<FolderModel>,
    pub(crate) sessions: BTreeMap<String, SessionModel>,
    pub(crate) assets: BTreeMap<String, AssetModel>,
    pub(crate) retired: BTreeMap<String, RetiredModel>,
    /// Objects that belong to nothing, and when that was noted.
    pub(crate) orphans: BTreeMap<String, i64>,
}

/// A request, with everything that its answer may depend on.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RequestModel {
    pub(crate) client: usize,
    pub(crate) organization: Named,
    pub(crate) action: ActionModel,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum ActionModel {
    /// The file, or what the body is answered.
    Start {
        file: Result<Declared, ErrorCode>,
        id: Option<AssetUploadId>,
        key: Option<u8>,
        body: &'static str,
    },
    Confirm {
        upload: AssetUploadId,
        folder: FolderNamed,
        key: Option<u8>,
    },
    Cancel {
        upload: AssetUploadId,
    },
    ReadUpload {
        upload: AssetUploadId,
    },
    ReadAsset {
        upload: AssetUploadId,
    },
}

impl ActionModel {
    pub(crate) fn permission(&self) -> Permission {
        match self {
            Self::Start { .. } | Self::Confirm { .. } | Self::Cancel { .. } => Permission::AssetsWrite,
            Self::ReadUpload { .. } | Self::ReadAsset { .. } => Permission::AssetsRead,
        }
    }
}

impl RequestModel {
    /// The upload that it names, or leads to.
    pub(crate) fn upload(&self) -> Option<AssetUploadId> {
        match &self.action {
            ActionModel::Start { id, .. } => *id,
            ActionModel::Confirm { upload, .. }
            | ActionModel::Cancel { upload }
            | ActionModel::ReadUpload { upload }
            | ActionModel::ReadAsset { upload } => Some(*upload),
        }
    }

    /// The same, where a start has made a session of this id already.
    pub(crate) fn with_id(&self, made: Option<&str>) -> Self {
        let mut request = self.clone();
        if let ActionModel::Start { id, .. } = &mut request.action {
            *id = id.or_else(|| AssetUploadId::parse(made?));
        }
        request
    }
}

/// What HEAD came to.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum HeadResult {
    Object(StoredObject),
    Missing,
    Failed,
}

/// What a request must be answered, as the database stands.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Finding {
    Error(ErrorCode),
    /// The session exists; of an earlier request where `replayed`.
    Started {
        replayed: bool,
    },
    Confirmed {
        replayed: bool,
    },
    Cancelled,
    UploadConfirmed,
    UploadExpired,
    /// HEAD decides.
    UploadPending,
    Asset,
}

/// What is to be written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Write {
    Session(SessionModel),
    Asset(AssetModel),
    Cancellation,
}
