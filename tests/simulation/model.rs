//! What the database must hold, and what each request must be answered: docs/behaviour.md in Rust, without SQL. The
//! simulation compares the real handlers and the real database with it after each transaction.

use std::collections::{BTreeMap, BTreeSet};

use asset_uploads::domain::api_key::Scope;
use asset_uploads::domain::ids::{OrganizationId, UserId};
use asset_uploads::domain::timestamp::Timestamp;
use asset_uploads::domain::upload::StoredObject;
use asset_uploads::error::ErrorCode;

use crate::event_rules::{DeliveryModel, WebhookModel};
use crate::lists::PageModel;
use crate::sqlite::callers::Membership;

/// `MAX_UPLOAD_BYTES` of the simulation.
pub(crate) const MAX_BYTES: u64 = 6_000_000;
/// `MULTIPART_PART_BYTES`, the least that may be set.
pub(crate) const PART_BYTES: u64 = 5_242_880;

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
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct KeyModel {
    /// Of its row; none where nobody has such a key.
    pub(crate) id: Option<String>,
    /// What the client sends; none for a request without a key, and while nobody knows the key.
    pub(crate) token: Option<String>,
    /// Whose it is; none where nobody has such a key.
    pub(crate) user: Option<usize>,
    pub(crate) impersonator: Option<usize>,
    /// The organization that it is bound to.
    pub(crate) org: Option<usize>,
    pub(crate) scope: Scope,
    /// The key that made it.
    pub(crate) parent: Option<usize>,
    pub(crate) max_uploads: Option<u32>,
    /// Counted for the scope `upload` alone.
    pub(crate) uploads_started: u32,
    pub(crate) created_at: Timestamp,
    pub(crate) expires_at: Option<Timestamp>,
    /// When, and by which request; by the operator where that is 0.
    pub(crate) revoked: Option<(Timestamp, u64)>,
    /// Whether the sweeper has removed it.
    pub(crate) removed: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FolderModel {
    pub(crate) org: usize,
    pub(crate) parent: Option<String>,
    pub(crate) name: &'static str,
    pub(crate) created_by: usize,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
    pub(crate) deleted_at: Option<Timestamp>,
    /// The folder whose deletion put this one into the trash.
    pub(crate) deleted_with: Option<String>,
    /// The name and the parent that it was made with; none where the operator made it.
    pub(crate) first: Option<(&'static str, Option<String>)>,
    /// The request that made it.
    pub(crate) request: u64,
}

/// What a client declares.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Declared {
    pub(crate) filename: &'static str,
    pub(crate) mime_type: &'static str,
    pub(crate) size_bytes: u64,
    pub(crate) multipart: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SessionModel {
    pub(crate) org: usize,
    pub(crate) declared: Declared,
    pub(crate) created_by: usize,
    pub(crate) created_at: Timestamp,
    pub(crate) expires_at: Timestamp,
    /// The key that started it.
    pub(crate) key: usize,
    pub(crate) cancelled: bool,
    /// The id of R2's multipart upload, once it has begun.
    pub(crate) multipart_id: Option<String>,
    /// The request that wrote it.
    pub(crate) request: u64,
    /// When, and with which code, storage's notification found that its object may not become an asset.
    pub(crate) rejected: Option<(i64, String)>,
    /// When webhooks were told that it expired.
    pub(crate) expiry_told_at: Option<i64>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct AssetModel {
    pub(crate) org: usize,
    pub(crate) folder: Option<String>,
    pub(crate) name: &'static str,
    pub(crate) mime_type: String,
    pub(crate) size_bytes: u64,
    pub(crate) etag: String,
    pub(crate) created_by: usize,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
    /// When, and by whom.
    pub(crate) deleted: Option<(Timestamp, usize)>,
    /// The folder whose deletion put it into the trash.
    pub(crate) deleted_with: Option<String>,
    /// The Idempotency-Key of the confirmation.
    pub(crate) key: Option<u8>,
    /// The folder that its body named.
    pub(crate) first_folder: Option<String>,
    /// The request that wrote it.
    pub(crate) request: u64,
    /// The time of its last event; 0 before the first.
    pub(crate) event_at: i64,
    /// The time of its first event.
    pub(crate) first_event_at: i64,
    /// Whether storage's notification confirmed it, and no client has yet.
    pub(crate) awaits_client: bool,
    /// Who confirmed it after that.
    pub(crate) confirmed_by: Option<usize>,
}

/// An id that was given up.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RetiredModel {
    /// When its object was removed.
    pub(crate) object_deleted_at: Option<i64>,
    /// When its asset was purged; none where it was no asset's.
    pub(crate) purged_at: Option<i64>,
    /// The id of its multipart upload, to be given up before its object is removed.
    pub(crate) multipart_id: Option<String>,
}

/// What the database must hold.
#[derive(Debug, Clone, Default)]
pub(crate) struct Model {
    pub(crate) reject_mismatch: bool,
    /// `DELETED_RETENTION_DAYS`, in milliseconds.
    pub(crate) retention_ms: i64,
    pub(crate) orgs: Vec<OrganizationId>,
    pub(crate) users: Vec<UserModel>,
    /// Those that are removed, too, so that their places do not change.
    pub(crate) keys: Vec<KeyModel>,
    pub(crate) folders: BTreeMap<String, FolderModel>,
    pub(crate) sessions: BTreeMap<String, SessionModel>,
    pub(crate) assets: BTreeMap<String, AssetModel>,
    pub(crate) retired: BTreeMap<String, RetiredModel>,
    /// Objects that belong to nothing, and when that was noted.
    pub(crate) orphans: BTreeMap<String, i64>,
    /// Those that are removed, too.
    pub(crate) webhooks: Vec<WebhookModel>,
    /// All that webhooks are to be told, ever, in the order of the transactions.
    pub(crate) deliveries: Vec<DeliveryModel>,
    /// Assets that were purged.
    pub(crate) purged: BTreeSet<String>,
    /// How many transactions have changed an asset or a folder.
    pub(crate) step: u64,
    /// When each asset and each folder changed last, by such steps.
    pub(crate) changed: BTreeMap<String, LastChanges>,
}

/// The steps in which something that lists are sorted or filtered by became what it is.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct LastChanges {
    pub(crate) name: u64,
    pub(crate) place: u64,
    pub(crate) trash: u64,
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
    /// Everything but the content type permits the asset: the declared one is read here, and the asset written then.
    Untyped,
    /// Storage's notification has confirmed it: that is read here, and the asset made this confirmation's then.
    AwaitsClient,
    /// What each upload of a batch comes to.
    Batch(Vec<(String, Finding)>),
    /// No part was sent yet: storage is to begin the multipart upload.
    PartsToBegin,
    /// The multipart upload with this id takes parts.
    PartsOpen(String),
    /// What storage makes of the parts decides.
    PartsToComplete,
    UploadConfirmed,
    UploadExpired,
    /// HEAD decides.
    UploadPending,
    Asset,
    AssetUpdated,
    AssetRestored,
    Folder,
    FolderCreated {
        replayed: bool,
    },
    FolderUpdated,
    FolderRestored,
    KeyMade,
    WebhookMade,
    WebhookUpdated,
    Page(PageModel),
    /// Nothing more is said.
    Done,
}

/// What is to be written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Change {
    Session(SessionModel),
    Cancellation,
    /// The id of the multipart upload.
    Multipart(String),
    Asset(AssetModel),
    Folder(FolderModel),
    Key(KeyModel),
    Revocation(Timestamp, u64),
    Webhook(WebhookModel),
}

/// Everything that a request is to write, each with the id of its row; none for a new row, whose id is whatever was
/// chosen.
pub(crate) type Changes = Vec<(Option<String>, Change)>;

impl Model {
    /// A folder that is not in the trash.
    pub(crate) fn live_folder(&self, id: &str) -> Option<&FolderModel> {
        self.folders.get(id).filter(|folder| folder.deleted_at.is_none())
    }
}
