//! Every operation that a request runs for a caller: a new one is one line in `all`, without which a test of
//! tests/rights.rs fails.

use std::sync::LazyLock;

use asset_uploads::domain::api_key::{KeyName, Limits, Scope};
use asset_uploads::domain::folder::FolderName;
use asset_uploads::domain::ids::{ApiKeyId, AssetUploadId, DeliveryId, FolderId, OrganizationId, WebhookId};
use asset_uploads::domain::page::{PageRequest, Sort, SortBy};
use asset_uploads::domain::upload::Filename;
use asset_uploads::domain::webhook::EventType;
use asset_uploads::error::ApiError;
use asset_uploads::store::confirm::Confirm;
use asset_uploads::store::rights::{
    self, Access, Caller, CallerOperation, CheckRights, Identity, Permission,
};
use asset_uploads::store::{
    Rows, Statement, account, api_keys, asset_list, assets, deliveries, folder_list, folder_trash, folders,
    multipart, uploads, webhooks,
};
use rusqlite::{Connection, params_from_iter};

use super::fixtures::{ConfirmOne, DEADLINE, confirm_for, create_for};
use super::{Key, OF_UPLOADS, Person, TestAccess, asset, folder, new_request_id, session, unused_upload_id};
use crate::sqlite;

const PAGE: PageRequest = PageRequest {
    sort: Sort { by: SortBy::Name, descending: false },
    limit: 50,
    from: None,
    backward: false,
};
const NEWEST: PageRequest = PageRequest { sort: Sort { by: SortBy::CreatedAt, descending: true }, ..PAGE };
static ALL_ASSETS: LazyLock<asset_list::Filter> = LazyLock::new(asset_list::Filter::default);
static ALL_FOLDERS: LazyLock<folder_list::Filter> = LazyLock::new(folder_list::Filter::default);

/// An operation without its types.
pub(crate) trait AnyOperation {
    /// The statements of its transaction.
    fn any_statements(&self) -> Vec<Statement>;
    /// Who called, and whether it succeeded.
    fn any_decode(&self, rows: &Rows) -> (Identity, Result<(), ApiError>);
}

impl<O: CallerOperation> AnyOperation for O {
    fn any_statements(&self) -> Vec<Statement> {
        self.statements()
    }

    fn any_decode(&self, rows: &Rows) -> (Identity, Result<(), ApiError>) {
        let (identity, output) = rights::decode(self, rows);
        (identity, output.map(drop))
    }
}

/// What an operation needs to succeed for a caller who may.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Target {
    /// Nothing: it names no upload, or makes one.
    Nothing,
    /// A key of the caller's, beside the one that is sent, for the organization.
    OwnKey,
    /// A pending upload of the caller's organization.
    PendingUpload,
    /// The same, sent in parts.
    MultipartUpload,
    /// An asset of the caller's organization.
    Asset,
    /// The same, in the trash.
    DeletedAsset,
    /// A folder of the caller's organization, with a folder and an asset in it.
    Folder,
    /// The same, all of it in the trash.
    DeletedFolder,
    /// A webhook of the caller's organization.
    Webhook,
    /// The same, with a delivery of the same id.
    Delivery,
}

/// A folder's id that a target stands for.
fn folder_id(id: AssetUploadId) -> FolderId {
    FolderId::parse(&id.to_string()).unwrap()
}

/// A webhook's id that a target stands for.
fn webhook_id(id: AssetUploadId) -> WebhookId {
    WebhookId::parse(&id.to_string()).unwrap()
}

/// The id of its delivery.
fn delivery_id(id: AssetUploadId) -> DeliveryId {
    DeliveryId::parse(&id.to_string()).unwrap()
}

impl Target {
    /// Makes it in an organization; the id that the operation is to name.
    pub(crate) fn insert(self, conn: &Connection, org: OrganizationId, by: &Person) -> AssetUploadId {
        match self {
            Self::Nothing => unused_upload_id(),
            Self::OwnKey => {
                let key = Key { org: Some(org), ..Key::default() };
                let hash = sqlite::key(conn, &by.user, key);
                AssetUploadId::parse(&sqlite::key_id(conn, &hash)).unwrap()
            }
            Self::PendingUpload => session(conn, org, by, DEADLINE),
            Self::MultipartUpload => {
                let upload = session(conn, org, by, DEADLINE);
                let sql = "UPDATE asset_uploads SET part_size = 5242880 WHERE id = ?1";
                assert_eq!(conn.execute(sql, [upload.to_string()]), Ok(1));
                upload
            }
            Self::Asset => {
                let upload = session(conn, org, by, DEADLINE);
                asset(conn, upload, None, "");
                upload
            }
            Self::DeletedAsset => {
                let upload = Self::Asset.insert(conn, org, by);
                conn.execute("UPDATE assets SET deleted_at = 1 WHERE id = ?1", [upload.to_string()]).unwrap();
                upload
            }
            Self::Webhook | Self::Delivery => {
                let webhook = sqlite::webhook(conn, org, by.user.id, &[EventType::UploadExpired]);
                let id = AssetUploadId::parse(&webhook.to_string()).unwrap();
                // Paused, which a delivery on request ends.
                let sql = "UPDATE webhooks SET paused_until = 9000000000000000 WHERE id = ?1";
                assert_eq!(conn.execute(sql, [id.to_string()]), Ok(1));
                if self == Self::Delivery {
                    let delivery = sqlite::delivery(conn, org, webhook);
                    let sql = "UPDATE webhook_deliveries SET id = ?2, created_at = ?3 WHERE id = ?1";
                    let created_at = id.unix_ms().to_string();
                    let changed = conn.execute(sql, [delivery.to_string(), id.to_string(), created_at]);
                    assert_eq!(changed, Ok(1));
                }
                id
            }
            Self::Folder | Self::DeletedFolder => {
                let [outer, inner] = [(); 2].map(|()| folder(conn, org, by, None));
                let ids = [inner, outer].map(|id| id.to_string());
                let upload = session(conn, org, by, DEADLINE);
                asset(conn, upload, Some(inner), "");
                let execute = |sql: &str, ids: &[&str]| {
                    assert_eq!(conn.prepare_cached(sql).unwrap().execute(params_from_iter(ids)), Ok(1));
                };
                execute("UPDATE folders SET parent_id = ?2 WHERE id = ?1", &[&ids[0], &ids[1]]);
                if self == Self::DeletedFolder {
                    let with = "SET deleted_at = 1, deleted_with = ?2 WHERE id = ?1";
                    execute(&format!("UPDATE assets {with}"), &[&upload.to_string(), &ids[1]]);
                    execute(&format!("UPDATE folders {with}"), &[&ids[0], &ids[1]]);
                    execute("UPDATE folders SET deleted_at = 1 WHERE id = ?1", &[&ids[1]]);
                }
                AssetUploadId::parse(&ids[1]).unwrap()
            }
        }
    }

    /// The error where it is another organization's.
    pub(crate) fn not_found(self) -> Option<ApiError> {
        match self {
            Self::Nothing => None,
            Self::OwnKey => Some(ApiError::ApiKeyNotFound),
            Self::PendingUpload | Self::MultipartUpload => Some(ApiError::AssetUploadNotFound),
            Self::Asset | Self::DeletedAsset => Some(ApiError::AssetNotFound),
            Self::Folder | Self::DeletedFolder => Some(ApiError::FolderNotFound),
            Self::Webhook | Self::Delivery => Some(ApiError::WebhookNotFound),
        }
    }
}

/// One kind of operation.
pub(crate) struct Kind {
    /// The type's name.
    pub(crate) name: &'static str,
    /// What its endpoint asks for.
    pub(crate) access: Access,
    /// Whether it writes where it succeeds.
    pub(crate) writes: bool,
    pub(crate) target: Target,
    build: Box<dyn Fn(Caller, AssetUploadId) -> Box<dyn AnyOperation>>,
}

impl Kind {
    fn new<O: CallerOperation + 'static>(
        access: impl Into<TestAccess>,
        writes: bool,
        target: Target,
        build: fn(Caller, AssetUploadId) -> O,
    ) -> Self {
        let build = move |caller, id| -> Box<dyn AnyOperation> { Box::new(build(caller, id)) };
        let TestAccess(access) = access.into();
        Self { name: std::any::type_name::<O>(), access, writes, target, build: Box::new(build) }
    }

    /// The operation on one upload.
    pub(crate) fn build(&self, caller: Caller, id: AssetUploadId) -> Box<dyn AnyOperation> {
        (self.build)(caller, id)
    }
}

/// All kinds: permission, whether it writes, what it needs, and how it is made.
pub(crate) fn all() -> Vec<Kind> {
    use Permission::{AnyKey, AssetsRead, AssetsWrite, WebhooksManage};
    use Target::{
        Asset, DeletedAsset, DeletedFolder, Delivery, Folder, MultipartUpload, Nothing, OwnKey,
        PendingUpload, Webhook,
    };
    const READ_WEBHOOKS: Access =
        Access { permission: WebhooksManage, scopes: WebhooksManage.scopes(), writes: false };
    const LIST_KEYS: Access = Access { permission: AssetsWrite, scopes: AssetsWrite.scopes(), writes: false };
    const READ_UPLOAD: Access = Access { permission: AssetsRead, scopes: &Scope::ALL, writes: false };
    vec![
        Kind::new(AssetsRead, false, Nothing, |caller, _| CheckRights { caller }),
        Kind::new(AssetsWrite, false, Nothing, |caller, _| CheckRights { caller }),
        Kind::new(AnyKey, false, Nothing, |caller, _| CheckRights { caller }),
        Kind::new(AnyKey, false, Nothing, |caller, _| account::Read { caller }),
        Kind::new(AssetsWrite, true, Nothing, |caller, id| api_keys::Create {
            caller,
            id: ApiKeyId::parse(&id.to_string()).unwrap(),
            token: sqlite::unused_key(),
            name: KeyName::parse("page").unwrap(),
            scope: Scope::Upload,
            limits: Some(Limits::default()),
            expires_at: DEADLINE,
        }),
        Kind::new(LIST_KEYS, false, Nothing, |caller, _| -> api_keys::List<'static> {
            api_keys::List { caller, page: &NEWEST }
        }),
        Kind::new(AssetsWrite, true, OwnKey, |caller, id| api_keys::Revoke {
            caller,
            id: ApiKeyId::parse(&id.to_string()).unwrap(),
        }),
        Kind::new(OF_UPLOADS, true, Nothing, |caller, id| -> uploads::Create<'static> {
            create_for(caller, id)
        }),
        Kind::new(READ_UPLOAD, false, PendingUpload, |caller, asset_upload_id| uploads::Read {
            caller,
            asset_upload_id,
        }),
        Kind::new(OF_UPLOADS, true, PendingUpload, |caller, asset_upload_id| uploads::Cancel {
            caller,
            asset_upload_id,
        }),
        Kind::new(OF_UPLOADS, false, MultipartUpload, |caller, asset_upload_id| multipart::Find {
            caller,
            asset_upload_id,
        }),
        Kind::new(OF_UPLOADS, true, MultipartUpload, |caller, asset_upload_id| multipart::Begin {
            caller,
            asset_upload_id,
            multipart_id: "R2's id".to_owned(),
        }),
        Kind {
            name: std::any::type_name::<Confirm>(),
            ..Kind::new(OF_UPLOADS, true, PendingUpload, |caller, id| -> ConfirmOne<'static> {
                confirm_for(caller, id)
            })
        },
        Kind::new(AssetsRead, false, Asset, |caller, id| assets::Read { caller, asset_id: id.into() }),
        Kind::new(AssetsWrite, true, Asset, |caller, id| assets::Update {
            caller,
            asset_id: id.into(),
            name: Filename::parse("other.png"),
            folder_id: Some(None),
        }),
        Kind::new(AssetsWrite, true, Asset, |caller, id| assets::Delete { caller, asset_id: id.into() }),
        Kind::new(AssetsWrite, true, DeletedAsset, |caller, id| assets::Restore {
            caller,
            asset_id: id.into(),
        }),
        Kind::new(AssetsRead, false, Nothing, |caller, _| -> asset_list::List<'static> {
            asset_list::List { caller, filter: &ALL_ASSETS, page: &PAGE, with_users: true }
        }),
        Kind::new(AssetsRead, false, Nothing, |caller, _| -> folder_list::List<'static> {
            folder_list::List { caller, filter: &ALL_FOLDERS, page: &PAGE }
        }),
        Kind::new(AssetsWrite, true, Nothing, |caller, id| folders::Create {
            caller,
            folder_id: folder_id(id),
            name: FolderName::parse(&format!("New {id}")).unwrap(),
            parent_id: None,
            request_id: new_request_id(),
        }),
        Kind::new(AssetsRead, false, Folder, |caller, id| folders::Read { caller, folder_id: folder_id(id) }),
        Kind::new(AssetsWrite, true, Folder, |caller, id| folders::Update {
            caller,
            folder_id: folder_id(id),
            name: FolderName::parse(&format!("Other {id}")),
            parent_id: Some(None),
        }),
        Kind::new(AssetsWrite, true, Folder, |caller, id| folder_trash::Delete {
            caller,
            folder_id: folder_id(id),
            recursive: true,
        }),
        Kind::new(AssetsWrite, true, DeletedFolder, |caller, id| folder_trash::Restore {
            caller,
            folder_id: folder_id(id),
        }),
        Kind::new(READ_WEBHOOKS, false, Nothing, |caller, _| CheckRights { caller }),
        Kind::new(READ_WEBHOOKS, false, Nothing, |caller, _| -> webhooks::List<'static> {
            webhooks::List { caller, page: &NEWEST }
        }),
        Kind::new(WebhooksManage, true, Nothing, |caller, id| webhooks::Create {
            caller,
            id: webhook_id(id),
            url: "https://hooks.example.com/".to_owned(),
            event_types: EventType::ALL.into(),
            description: None,
        }),
        Kind::new(READ_WEBHOOKS, false, Webhook, |caller, id| webhooks::Read { caller, id: webhook_id(id) }),
        Kind::new(WebhooksManage, true, Webhook, |caller, id| webhooks::Update {
            caller,
            id: webhook_id(id),
            url: None,
            event_types: None,
            description: None,
            disabled: Some(true),
        }),
        Kind::new(WebhooksManage, true, Webhook, |caller, id| webhooks::Delete {
            caller,
            id: webhook_id(id),
        }),
        Kind::new(WebhooksManage, true, Webhook, |caller, id| webhooks::Rotate {
            caller,
            id: webhook_id(id),
            request_id: new_request_id(),
        }),
        Kind::new(WebhooksManage, true, Webhook, |caller, id| deliveries::Test {
            caller,
            webhook_id: webhook_id(id),
            id: delivery_id(id),
        }),
        Kind::new(READ_WEBHOOKS, false, Webhook, |caller, id| -> deliveries::List<'static> {
            deliveries::List { caller, webhook_id: webhook_id(id), page: &NEWEST }
        }),
        Kind::new(READ_WEBHOOKS, false, Delivery, |caller, id| deliveries::Read {
            caller,
            webhook_id: webhook_id(id),
            id: delivery_id(id),
        }),
        Kind::new(WebhooksManage, true, Delivery, |caller, id| deliveries::Redeliver {
            caller,
            webhook_id: webhook_id(id),
            id: delivery_id(id),
            new_id: delivery_id(unused_upload_id()),
        }),
    ]
}
