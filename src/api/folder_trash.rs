//! Folders in the trash: deleting one, and restoring it.

use super::context::RequestContext;
use super::endpoint::{Doc, Endpoint, Parameter, Values};
use super::folders::{self, ID, parse_id};
use crate::config::Config;
use crate::domain::folder::Folder;
use crate::domain::ids::FolderId;
use crate::error::{ApiError, ErrorCode};
use crate::http::fields::{FieldErrors, JsonBody};
use crate::http::query::Query;
use crate::http::reply::Reply;
use crate::http::request::Input;
use crate::http::route::Route;
use crate::platform::Platform;
use crate::store::folder_trash;
use crate::store::rights::{Caller, Permission};

/// `DELETE /v1/asset-folders/{folder_id}`: one D1 transaction.
#[derive(Debug, Clone, PartialEq)]
pub struct Delete {
    /// The folder.
    pub folder_id: FolderId,
    /// Whether what is in it goes with it.
    pub recursive: bool,
}

impl Endpoint for Delete {
    const ROUTE: Route = Route::delete("/v1/asset-folders/{folder_id}");
    const PERMISSION: Option<Permission> = Some(Permission::AssetsWrite);
    const DOC: Doc = Doc {
        operation_id: "deleteAssetFolder",
        tag: "Folders",
        summary: "Put a folder into the trash",
        description: "All of it or nothing, at most 5,000 folders and assets beneath it. It can be restored until it is purged, which happens some days later (30, unless the operator says otherwise). A repeat is answered the same while it is in the trash.",
        path: &[ID],
        query: &[Parameter {
            name: "recursive",
            description: "Whether every folder and asset beneath goes with it. Without it the folder must be empty.",
            values: Values::Bool,
        }],
        idempotency_key: None,
        success: (204, "The folder is in the trash. No body."),
        location: None,
        errors: &[ErrorCode::FolderNotFound, ErrorCode::FolderNotEmpty, ErrorCode::FolderTooLarge],
        body_examples: &[],
        examples: &[],
    };
    type Caller = Caller;
    type Body = ();
    type Response = ();

    fn parse(input: &Input<'_>, _: &Config) -> Result<Self, ApiError> {
        let mut errors = FieldErrors::default();
        let folder_id = parse_id(input, &mut errors);
        let mut query = Query::parse(input.query);
        let recursive = query.flag("recursive", &mut errors);
        query.finish(&mut errors);
        errors.finish(folder_id.map(|folder_id| Self { folder_id, recursive }))
    }

    async fn handle<P: Platform>(
        self,
        cx: &RequestContext<'_, P>,
        caller: Caller,
    ) -> Result<Reply, ApiError> {
        let Self { folder_id, recursive } = self;
        cx.run(&folder_trash::Delete { caller, folder_id, recursive }).await?;
        Ok(Reply::empty(204))
    }
}

/// `POST /v1/asset-folders/{folder_id}/restorations`: one D1 transaction.
#[derive(Debug, Clone, PartialEq)]
pub struct Restore {
    /// The folder.
    pub folder_id: FolderId,
}

impl Endpoint for Restore {
    const ROUTE: Route = Route::post("/v1/asset-folders/{folder_id}/restorations");
    const PERMISSION: Option<Permission> = Some(Permission::AssetsWrite);
    const DOC: Doc = Doc {
        operation_id: "createAssetFolderRestoration",
        tag: "Folders",
        summary: "Take a folder out of the trash",
        description: "Undoes the deletion that put it there as a whole, with every folder and asset that it put into the trash; the folder that was deleted returns to its parent, or to the top if that is gone. A folder that is not in the trash is answered as it is. One that has been purged is unknown. It is 422 if the folders would be more than 32 deep.",
        path: &[ID],
        query: &[],
        idempotency_key: None,
        success: (201, "The folder is not in the trash."),
        location: Some(folders::Read::ROUTE),
        errors: &[ErrorCode::FolderNotFound, ErrorCode::FolderNameTaken],
        body_examples: &[],
        examples: &[],
    };
    type Caller = Caller;
    type Body = ();
    type Response = Folder;

    fn parse(input: &Input<'_>, _: &Config) -> Result<Self, ApiError> {
        let mut errors = FieldErrors::default();
        JsonBody::parse_optional(input)?.finish(&mut errors);
        let folder_id = parse_id(input, &mut errors);
        errors.finish(folder_id.map(|folder_id| Self { folder_id }))
    }

    async fn handle<P: Platform>(
        self,
        cx: &RequestContext<'_, P>,
        caller: Caller,
    ) -> Result<Reply, ApiError> {
        let folder = cx.run(&folder_trash::Restore { caller, folder_id: self.folder_id }).await?;
        let location = format!("/v1/asset-folders/{}", folder.id);
        Ok(Reply::json(201, &folder)?.with_header("location", location))
    }
}
