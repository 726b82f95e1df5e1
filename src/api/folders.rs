//! Folders: making, reading, renaming and moving one.

use serde::Serialize;
use serde_json::value::RawValue;

use super::context::RequestContext;
use super::endpoint::{Doc, Endpoint, Example, Parameter, Values};
use crate::config::Config;
use crate::domain::folder::{Ancestor, Folder, FolderName};
use crate::domain::idempotency::IdempotencyKey;
use crate::domain::ids::FolderId;
use crate::error::{ApiError, ErrorCode, FieldError};
use crate::http::fields::{FieldErrors, JsonBody, optional_id, path_id, string};
use crate::http::query::Query;
use crate::http::reply::Reply;
use crate::http::request::Input;
use crate::http::route::Route;
use crate::platform::Platform;
use crate::store::folders;
use crate::store::rights::{Caller, Permission};

/// The path parameter of a folder's endpoints.
pub(super) const ID: Parameter =
    Parameter { name: "folder_id", description: "The id of the folder.", values: Values::Id };

/// The id in the path.
pub(super) fn parse_id(input: &Input<'_>, errors: &mut FieldErrors) -> Option<FolderId> {
    errors.check(path_id(ID.name, input.path.get(0), FolderId::parse))
}

fn parse_name(value: &RawValue) -> Result<FolderName, FieldError> {
    const MSG: &str = "Must be a string of 1 to 255 characters, not . or .., without control characters.";
    let text = string("name", value, MSG)?;
    FolderName::parse(&text).ok_or_else(|| FieldError::new(&["body", "name"], "folder_name", MSG))
}

fn parse_parent(value: &RawValue) -> Result<Option<FolderId>, FieldError> {
    optional_id(&["body", "parent_id"], value, FolderId::parse)
}

/// `POST /v1/asset-folders`: one D1 transaction.
#[derive(Debug, Clone, PartialEq)]
pub struct Create {
    /// The client's name for this folder.
    pub idempotency_key: Option<IdempotencyKey>,
    /// Its name.
    pub name: FolderName,
    /// The folder to put it in.
    pub parent_id: Option<FolderId>,
}

/// A folder to make. A field that stands twice is an error.
#[derive(Debug)]
#[cfg_attr(
    not(target_arch = "wasm32"),
    derive(schemars::JsonSchema),
    schemars(rename = "CreateFolderRequest", deny_unknown_fields, example = serde_json::json!({"name": "Holiday"}))
)]
pub struct CreateBody {
    /// Its name: no control characters, not `.` or `..`, and no sibling's, without regard to the case of ASCII letters.
    #[cfg_attr(
        not(target_arch = "wasm32"),
        schemars(
            length(min = 1, max = 255),
            regex(pattern = r"^[^\u0000-\u001f\u007f-\u009f]+$"),
            extend("not" = {"enum": [".", ".."]})
        )
    )]
    pub name: String,
    /// The folder to put it in; null or absent for none. Folders can be at most 32 deep.
    pub parent_id: Option<FolderId>,
}

impl Endpoint for Create {
    const ROUTE: Route = Route::post("/v1/asset-folders");
    const PERMISSION: Option<Permission> = Some(Permission::AssetsWrite);
    const DOC: Doc = Doc {
        operation_id: "createAssetFolder",
        tag: "Folders",
        summary: "Make a folder",
        description: "",
        path: &[],
        query: &[],
        idempotency_key: Some(
            "A repeat with the same key and the same body, from the same API key and with the same `X-Organization-Id`, is answered with the same folder as it is now, marked `Idempotent-Replayed`; with another body it is 422, and while the folder is in the trash 404.",
        ),
        success: (201, "The folder exists."),
        location: Some(Read::ROUTE),
        errors: &[ErrorCode::FolderNotFound, ErrorCode::FolderNameTaken],
        body_examples: &[
            Example { name: "top", summary: "At the top", changes: "{}" },
            Example {
                name: "inside",
                summary: "In another folder",
                changes: r#"{"parent_id": "018f4d2b-52e7-7d18-a0c4-6b1f3e8d9a27"}"#,
            },
        ],
        examples: &[],
    };
    type Caller = Caller;
    type Body = CreateBody;
    type Response = Folder;

    fn parse(input: &Input<'_>, _: &Config) -> Result<Self, ApiError> {
        let mut errors = FieldErrors::default();
        let mut body = JsonBody::parse(input)?;
        let name = body.required("name", parse_name);
        let parent_id = body.optional("parent_id", parse_parent).flatten();
        body.finish(&mut errors);
        let idempotency_key = errors.check(input.headers.idempotency_key());
        let fields = name.zip(idempotency_key);
        errors.finish(fields.map(|(name, idempotency_key)| Self { idempotency_key, name, parent_id }))
    }

    async fn handle<P: Platform>(
        self,
        cx: &RequestContext<'_, P>,
        caller: Caller,
    ) -> Result<Reply, ApiError> {
        let folder_id = match &self.idempotency_key {
            Some(key) => {
                FolderId::for_idempotency_key(caller.token.as_str(), caller.organization.as_ref(), key)
            }
            None => FolderId::v7(cx.now().unix_ms(), &cx.random()?),
        };
        let Self { name, parent_id, .. } = self;
        let create = folders::Create { caller, folder_id, name, parent_id, request_id: cx.request_id };
        let folders::Created { folder, existed } = cx.run(&create).await?;
        let reply =
            Reply::json(201, &folder)?.with_header("location", format!("/v1/asset-folders/{}", folder.id));
        let replayed = existed && self.idempotency_key.is_some();
        Ok(reply.replayed(replayed))
    }
}

/// `GET /v1/asset-folders/{folder_id}`: one D1 transaction.
#[derive(Debug, Clone, PartialEq)]
pub struct Read {
    /// The folder.
    pub folder_id: FolderId,
}

impl Endpoint for Read {
    const ROUTE: Route = Route::get("/v1/asset-folders/{folder_id}");
    const PERMISSION: Option<Permission> = Some(Permission::AssetsRead);
    const DOC: Doc = Doc {
        operation_id: "getAssetFolder",
        tag: "Folders",
        summary: "Read a folder, and where it lies",
        description: "",
        path: &[ID],
        query: &[],
        idempotency_key: None,
        success: (200, "The folder."),
        location: None,
        errors: &[ErrorCode::FolderNotFound],
        body_examples: &[],
        examples: &[],
    };
    type Caller = Caller;
    type Body = ();
    type Response = FolderWithPath;

    fn parse(input: &Input<'_>, _: &Config) -> Result<Self, ApiError> {
        let mut errors = FieldErrors::default();
        let folder_id = parse_id(input, &mut errors);
        Query::parse(input.query).finish(&mut errors);
        errors.finish(folder_id.map(|folder_id| Self { folder_id }))
    }

    async fn handle<P: Platform>(
        self,
        cx: &RequestContext<'_, P>,
        caller: Caller,
    ) -> Result<Reply, ApiError> {
        let (folder, path) = cx.run(&folders::Read { caller, folder_id: self.folder_id }).await?;
        Reply::json(200, &FolderWithPath { folder, path })
    }
}

/// A folder, and where it lies.
#[derive(Debug, Serialize)]
#[cfg_attr(
    not(target_arch = "wasm32"),
    derive(schemars::JsonSchema),
    schemars(
        example = serde_json::json!({
            "id": "018f4d2b-52e7-7d18-a0c4-6b1f3e8d9a27",
            "org_id": "018f4d2a-11d0-7c52-8b3e-5f0c9d7a6e41",
            "parent_id": "018f4d2b-4c11-7b02-9d35-2e8a7f604c19",
            "name": "Holiday",
            "created_by": "018f4d29-8a6c-7e90-b7d2-1c4e5f6a7b83",
            "created_at": "2026-11-22T12:51:07.042Z",
            "updated_at": "2026-11-22T12:51:07.042Z",
            "deleted_at": null,
            "path": [{"id": "018f4d2b-4c11-7b02-9d35-2e8a7f604c19", "name": "Photos"}]
        })
    )
)]
pub struct FolderWithPath {
    #[serde(flatten)]
    folder: Folder,
    /// The folders that it lies in, outermost first; empty at the top.
    path: Vec<Ancestor>,
}

/// `PATCH /v1/asset-folders/{folder_id}`: one D1 transaction.
#[derive(Debug, Clone, PartialEq)]
pub struct Update {
    /// The folder.
    pub folder_id: FolderId,
    /// Its new name.
    pub name: Option<FolderName>,
    /// The folder to put it in; `Some(None)` puts it at the top.
    pub parent_id: Option<Option<FolderId>>,
}

/// What to change of a folder: at least one field. What is left out stays as it is.
#[derive(Debug)]
#[cfg_attr(
    not(target_arch = "wasm32"),
    derive(schemars::JsonSchema),
    schemars(
        rename = "UpdateFolderRequest",
        deny_unknown_fields,
        extend("minProperties" = 1),
        example = serde_json::json!({"name": "Holiday 2026", "parent_id": null})
    )
)]
pub struct UpdateBody {
    /// Its new name, with the same rules as that of a new folder.
    #[cfg_attr(
        not(target_arch = "wasm32"),
        schemars(
            extend("type" = "string"),
            length(min = 1, max = 255),
            regex(pattern = r"^[^\u0000-\u001f\u007f-\u009f]+$"),
            extend("not" = {"enum": [".", ".."]})
        )
    )]
    pub name: Option<String>,
    /// The folder to put it in; null puts it at the top.
    pub parent_id: Option<FolderId>,
}

impl Endpoint for Update {
    const ROUTE: Route = Route::patch("/v1/asset-folders/{folder_id}");
    const PERMISSION: Option<Permission> = Some(Permission::AssetsWrite);
    const DOC: Doc = Doc {
        operation_id: "updateAssetFolder",
        tag: "Folders",
        summary: "Rename or move a folder",
        description: "What is in it moves with it.",
        path: &[ID],
        query: &[],
        idempotency_key: None,
        success: (200, "The folder as it is now."),
        location: None,
        errors: &[ErrorCode::FolderNotFound, ErrorCode::FolderCycle, ErrorCode::FolderNameTaken],
        body_examples: &[Example { name: "both", summary: "A new name, at the top", changes: "{}" }],
        examples: &[],
    };
    type Caller = Caller;
    type Body = UpdateBody;
    type Response = Folder;

    fn parse(input: &Input<'_>, _: &Config) -> Result<Self, ApiError> {
        let mut errors = FieldErrors::default();
        let mut body = JsonBody::parse(input)?;
        let name = body.optional("name", parse_name);
        let parent_id = body.optional("parent_id", parse_parent);
        body.require_one("Send name, parent_id or both.");
        body.finish(&mut errors);
        let folder_id = parse_id(input, &mut errors);
        errors.finish(folder_id.map(|folder_id| Self { folder_id, name, parent_id }))
    }

    async fn handle<P: Platform>(
        self,
        cx: &RequestContext<'_, P>,
        caller: Caller,
    ) -> Result<Reply, ApiError> {
        let Self { folder_id, name, parent_id } = self;
        let folder = cx.run(&folders::Update { caller, folder_id, name, parent_id }).await?;
        Reply::json(200, &folder)
    }
}
