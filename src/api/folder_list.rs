//! The list of folders.

use super::assets::FIELDS;
use super::context::RequestContext;
use super::endpoint::{Doc, Endpoint, Parameter, Values};
use super::lists::{CURSOR, DELETED, FROM_PREV, LIMIT, ORDERS};
use crate::config::Config;
use crate::domain::folder::Folder;
use crate::domain::ids::FolderId;
use crate::domain::page::{Sort, SortBy};
use crate::error::ApiError;
use crate::http::fields::FieldErrors;
use crate::http::page::{ListQuery, PageResponse};
use crate::http::projection::{Item, Projected};
use crate::http::query::{Query, query_id_or};
use crate::http::reply::Reply;
use crate::http::request::Input;
use crate::http::route::Route;
use crate::platform::Platform;
use crate::store::folder_list::{self, Filter};
use crate::store::rights::{Caller, Permission};

/// `GET /v1/asset-folders`: one D1 transaction.
#[derive(Debug, Clone, PartialEq)]
pub struct List {
    /// Which folders.
    pub filter: Filter,
    /// Which of them, in which order.
    pub list: ListQuery,
}

impl Item for &Folder {
    const FIELDS: &'static [&'static str] =
        &["id", "org_id", "parent_id", "name", "created_by", "created_at", "updated_at", "deleted_at"];
}

impl Endpoint for List {
    const ROUTE: Route = Route::get("/v1/asset-folders");
    const PERMISSION: Option<Permission> = Some(Permission::AssetsRead);
    const DOC: Doc = Doc {
        operation_id: "listAssetFolders",
        tag: "Folders",
        summary: "List folders",
        description: "All folders of the organization, unless `parent_id` says which. A walk from page to page shows what existed throughout, and kept its place and what it is sorted by, exactly once.",
        path: &[],
        query: &[
            LIMIT,
            CURSOR,
            FROM_PREV,
            Parameter {
                name: "sort_by",
                description: "The order; equal values are ordered by id. Unless it is given: `name:asc`. Names are sorted without regard to the case of ASCII letters.",
                values: ORDERS,
            },
            FIELDS,
            Parameter {
                name: "parent_id",
                description: "Folders in this folder, not in those in it; with `none`, those at the top.",
                values: Values::IdOr("none"),
            },
            DELETED,
        ],
        idempotency_key: None,
        success: (200, "A page of the list."),
        location: None,
        errors: &[],
        body_examples: &[],
        examples: &[],
    };
    type Caller = Caller;
    type Body = ();
    type Response = PageResponse<Projected<'static, Folder>>;

    fn parse(input: &Input<'_>, _: &Config) -> Result<Self, ApiError> {
        let mut errors = FieldErrors::default();
        let mut query = Query::parse(input.query);
        let parent = query.optional("parent_id", &mut errors, |text| {
            query_id_or("parent_id", "none", text, FolderId::parse)
        });
        let deleted = query.flag("deleted", &mut errors);
        let default = Sort { by: SortBy::Name, descending: false };
        let list = ListQuery::parse::<&Folder>("folders", default, query, &mut errors);
        errors.finish(Some(Self { filter: Filter { parent, deleted }, list }))
    }

    async fn handle<P: Platform>(
        self,
        cx: &RequestContext<'_, P>,
        caller: Caller,
    ) -> Result<Reply, ApiError> {
        let Self { filter, list } = &self;
        let (org, page) = cx.run(&folder_list::List { caller, filter, page: &list.page }).await?;
        let items = page.items.iter().map(|folder| list.fields.of(folder)).collect();
        Reply::json(200, &list.answer(org, &page, items)?)
    }
}
