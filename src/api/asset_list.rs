//! The list of assets.

use super::asset_response::AssetResponse;
use super::assets::{EMBED, FIELDS, parse_embed};
use super::context::RequestContext;
use super::endpoint::{Doc, Endpoint, Parameter, Values};
use super::lists::{CURSOR, DELETED, FROM_PREV, LIMIT, ORDERS};
use crate::config::Config;
use crate::domain::asset::{Asset, User};
use crate::domain::ids::{FolderId, UserId};
use crate::domain::media::{AssetType, MimePattern};
use crate::domain::page::{Sort, SortBy};
use crate::domain::timestamp::Timestamp;
use crate::error::{ApiError, FieldError};
use crate::http::fields::FieldErrors;
use crate::http::page::{ListQuery, PageResponse};
use crate::http::projection::Projected;
use crate::http::query::{Query, query_id, query_id_or};
use crate::http::reply::Reply;
use crate::http::request::Input;
use crate::http::route::Route;
use crate::platform::Platform;
use crate::store::asset_list::{self, Filter};
use crate::store::rights::{Caller, Permission};

/// `GET /v1/assets`: one D1 transaction.
#[derive(Debug, Clone, PartialEq)]
pub struct List {
    /// Which assets.
    pub filter: Filter,
    /// Which of them, in which order.
    pub list: ListQuery,
    /// Whether each is answered with the user who made it.
    pub embed_user: bool,
}

impl Endpoint for List {
    const ROUTE: Route = Route::get("/v1/assets");
    const PERMISSION: Option<Permission> = Some(Permission::AssetsRead);
    const DOC: Doc = Doc {
        operation_id: "listAssets",
        tag: "Media",
        summary: "List assets",
        description: "Filters can be combined; each asset listed meets all of them. Whatever is inserted, deleted or changed meanwhile: a walk from page to page shows what existed throughout, and kept what it is sorted and filtered by, exactly once. With filters that no index has, a page may hold fewer items than `limit`, or none, although more follow: go on until `next_pq` is null.",
        path: &[],
        query: &[
            LIMIT,
            CURSOR,
            FROM_PREV,
            Parameter {
                name: "sort_by",
                description: "The order; equal values are ordered by id. Unless it is given: `created_at:desc`, and with `name_prefix` `name:asc`. Names are sorted without regard to the case of ASCII letters.",
                values: ORDERS,
            },
            FIELDS,
            EMBED,
            Parameter {
                name: "folder_id",
                description: "Assets in this folder, not in those in it; with `none`, assets in no folder.",
                values: Values::IdOr("none"),
            },
            Parameter {
                name: "asset_type",
                description: "Assets of this type.",
                values: Values::OneOf(&["image", "video", "audio", "document", "file"]),
            },
            Parameter {
                name: "mime_type",
                description: "Assets of this media type: `image/png`, or `image/*`.",
                values: Values::Text("image/*"),
            },
            Parameter {
                name: "created_by",
                description: "Assets that this user confirmed.",
                values: Values::Id,
            },
            Parameter {
                name: "created_from",
                description: "Assets that were confirmed at this time or later.",
                values: Values::DateTime,
            },
            Parameter {
                name: "created_before",
                description: "Assets that were confirmed before this time.",
                values: Values::DateTime,
            },
            Parameter {
                name: "name_prefix",
                description: "Assets whose names begin so, without regard to the case of ASCII letters: 1 to 500 characters.",
                values: Values::Text("sun"),
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
    type Response = PageResponse<Projected<'static, AssetResponse<'static>>>;

    fn parse(input: &Input<'_>, _: &Config) -> Result<Self, ApiError> {
        let mut errors = FieldErrors::default();
        let mut query = Query::parse(input.query);
        let embed_user = parse_embed(&mut query, &mut errors);
        let folder = query.optional("folder_id", &mut errors, |text| {
            query_id_or("folder_id", "none", text, FolderId::parse)
        });
        let asset_type = query.optional("asset_type", &mut errors, parse_asset_type);
        let mime_type = query.optional("mime_type", &mut errors, parse_mime_pattern);
        let created_by =
            query.optional("created_by", &mut errors, |text| query_id("created_by", text, UserId::parse));
        let created_from =
            query.optional("created_from", &mut errors, |text| parse_time("created_from", text));
        let created_before =
            query.optional("created_before", &mut errors, |text| parse_time("created_before", text));
        let name_prefix = query.optional("name_prefix", &mut errors, parse_prefix);
        let deleted = query.flag("deleted", &mut errors);
        let default = if name_prefix.is_some() {
            Sort { by: SortBy::Name, descending: false }
        } else {
            Sort { by: SortBy::CreatedAt, descending: true }
        };
        let list = ListQuery::parse::<AssetResponse<'_>>("assets", default, query, &mut errors);
        let filter = Filter {
            folder,
            asset_type,
            mime_type,
            created_by,
            created_from,
            created_before,
            name_prefix,
            deleted,
        };
        errors.finish(Some(Self { filter, list, embed_user }))
    }

    async fn handle<P: Platform>(
        self,
        cx: &RequestContext<'_, P>,
        caller: Caller,
    ) -> Result<Reply, ApiError> {
        let Self { filter, list, embed_user } = &self;
        let operation = asset_list::List { caller, filter, page: &list.page, with_users: *embed_user };
        let listed = cx.run(&operation).await?;
        let with_urls = AssetResponse::needs_url(&list.fields);
        let urls = with_urls.then(|| cx.config.asset_urls(cx.origin, cx.now())).transpose()?;
        let user_of = |asset: &Asset| listed.users.iter().find(|user: &&User| user.id == asset.created_by);
        let items = listed.page.items.iter().map(|asset| {
            let url = urls.as_ref().and_then(|urls| urls.url(&asset.r2_key));
            let user = embed_user.then(|| user_of(asset)).flatten();
            list.fields.of(AssetResponse::new(asset, user, url, &cx.config.links))
        });
        Reply::json(200, &list.answer(listed.org_id, &listed.page, items.collect())?)
    }
}

fn parse_asset_type(text: &str) -> Result<AssetType, FieldError> {
    AssetType::ALL.into_iter().find(|asset_type| asset_type.as_str() == text).ok_or_else(|| {
        let msg = "Must be image, video, audio, document or file.";
        FieldError::new(&["query", "asset_type"], "enum", msg)
    })
}

fn parse_mime_pattern(text: &str) -> Result<MimePattern, FieldError> {
    MimePattern::parse(text).ok_or_else(|| {
        let msg = "Must be a media type such as image/png, or image/*.";
        FieldError::new(&["query", "mime_type"], "mime_type_parsing", msg)
    })
}

fn parse_time(name: &str, text: &str) -> Result<Timestamp, FieldError> {
    Timestamp::from_rfc3339(text).ok_or_else(|| {
        let msg =
            "Must be a time as in RFC 3339, such as 2026-11-22T12:51:07Z; a + in it has to be sent as %2B.";
        FieldError::new(&["query", name], "datetime_parsing", msg)
    })
}

fn parse_prefix(text: &str) -> Result<String, FieldError> {
    Some(text).filter(|text| (1..=500).contains(&text.chars().count())).map(str::to_owned).ok_or_else(|| {
        FieldError::new(&["query", "name_prefix"], "name_prefix", "Must be 1 to 500 characters.")
    })
}
