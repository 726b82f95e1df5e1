//! Every operation that a request runs for a caller: a new one is one line in `all`, without which a test of
//! tests/rights.rs fails.

use asset_uploads::domain::ids::{AssetUploadId, OrganizationId};
use asset_uploads::error::ApiError;
use asset_uploads::store::confirm::Confirm;
use asset_uploads::store::rights::{self, Caller, CallerOperation, CheckRights, Identity, Permission};
use asset_uploads::store::{Rows, Statement, assets, uploads};
use rusqlite::Connection;

use super::fixtures::{DEADLINE, confirm_for, create_for};
use super::{Person, asset, session, unused_upload_id};

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
    /// A pending upload of the caller's organization.
    PendingUpload,
    /// An asset of the caller's organization.
    Asset,
}

impl Target {
    /// Makes it in an organization; the id that the operation is to name.
    pub(crate) fn insert(self, conn: &Connection, org: OrganizationId, by: &Person) -> AssetUploadId {
        match self {
            Self::Nothing => unused_upload_id(),
            Self::PendingUpload => session(conn, org, by, DEADLINE),
            Self::Asset => {
                let upload = session(conn, org, by, DEADLINE);
                asset(conn, upload, None, "");
                upload
            }
        }
    }

    /// The error where it is another organization's.
    pub(crate) fn not_found(self) -> Option<ApiError> {
        match self {
            Self::Nothing => None,
            Self::PendingUpload => Some(ApiError::AssetUploadNotFound),
            Self::Asset => Some(ApiError::AssetNotFound),
        }
    }
}

/// One kind of operation.
pub(crate) struct Kind {
    /// The type's name.
    pub(crate) name: &'static str,
    /// What its endpoint asks for.
    pub(crate) permission: Permission,
    /// Whether it writes where it succeeds.
    pub(crate) writes: bool,
    pub(crate) target: Target,
    build: Box<dyn Fn(Caller, AssetUploadId) -> Box<dyn AnyOperation>>,
}

impl Kind {
    fn new<O: CallerOperation + 'static>(
        permission: Permission,
        writes: bool,
        target: Target,
        build: fn(Caller, AssetUploadId) -> O,
    ) -> Self {
        let build = move |caller, id| -> Box<dyn AnyOperation> { Box::new(build(caller, id)) };
        Self { name: std::any::type_name::<O>(), permission, writes, target, build: Box::new(build) }
    }

    /// The operation on one upload.
    pub(crate) fn build(&self, caller: Caller, id: AssetUploadId) -> Box<dyn AnyOperation> {
        (self.build)(caller, id)
    }
}

/// All kinds: permission, whether it writes, what it needs, and how it is made.
pub(crate) fn all() -> Vec<Kind> {
    use Permission::{AssetsRead, AssetsWrite};
    use Target::{Asset, Nothing, PendingUpload};
    vec![
        Kind::new(AssetsRead, false, Nothing, |caller, _| CheckRights { caller }),
        Kind::new(AssetsWrite, false, Nothing, |caller, _| CheckRights { caller }),
        Kind::new(AssetsWrite, true, Nothing, create_for),
        Kind::new(AssetsRead, false, PendingUpload, |caller, asset_upload_id| uploads::Read {
            caller,
            asset_upload_id,
        }),
        Kind::new(AssetsWrite, true, PendingUpload, |caller, asset_upload_id| uploads::Cancel {
            caller,
            asset_upload_id,
        }),
        Kind::new(AssetsWrite, true, PendingUpload, |caller, id| -> Confirm<'static> {
            confirm_for(caller, id)
        }),
        Kind::new(AssetsRead, false, Asset, |caller, id| assets::Read { caller, asset_id: id.into() }),
    ]
}
