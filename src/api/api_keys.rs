//! API keys: making, listing and revoking them.

use serde::Serialize;
use serde_json::value::RawValue;

use super::assets::FIELDS;
use super::context::RequestContext;
use super::endpoint::{Doc, Endpoint, Example, Parameter, Values};
use super::lists::{CURSOR, FROM_PREV, LIMIT, NEWEST_OR_OLDEST};
use crate::config::Config;
use crate::domain::api_key::{ApiKey, KeyName, Limits, MAX_SECONDS, MAX_UPLOAD_KEY_SECONDS, Scope};
use crate::domain::ids::{ApiKeyId, FolderId};
use crate::domain::media::MimePattern;
use crate::domain::page::{Sort, SortBy};
use crate::domain::upload::UploadRules;
use crate::error::{ApiError, DetailValue, ErrorCode, ErrorDetails, FieldError};
use crate::http::fields::{FieldErrors, JsonBody, optional_id, path_id, string, whole_number};
use crate::http::page::{ListQuery, PageResponse};
use crate::http::projection::{Item, Projected};
use crate::http::query::Query;
use crate::http::reply::Reply;
use crate::http::request::Input;
use crate::http::route::Route;
use crate::platform::Platform;
use crate::store::api_keys;
use crate::store::rights::{Caller, Permission};
use crate::token::{self, TokenHash};

const MIN_SECONDS: u64 = 60;
const MAX_UPLOADS: u64 = 1_000;
const MAX_MIME_TYPES: usize = 100;

/// `POST /v1/api-keys`: one D1 transaction.
#[derive(Debug, Clone, PartialEq)]
pub struct Create {
    /// Its name.
    pub name: KeyName,
    /// What it may do.
    pub scope: Scope,
    /// How long it is valid, unless the key that makes it ends sooner.
    pub expires_in_seconds: u64,
    /// What it may upload.
    pub limits: Option<Limits>,
}

/// A key to make. A field that stands twice is an error.
#[derive(Debug)]
#[cfg_attr(
    not(target_arch = "wasm32"),
    derive(schemars::JsonSchema),
    schemars(
        rename = "CreateApiKeyRequest",
        deny_unknown_fields,
        example = serde_json::json!({
            "name": "Page of order 4711",
            "scope": "upload",
            "expires_in_seconds": 900,
            "limits": {"max_uploads": 10, "mime_types": ["image/*"]}
        })
    )
)]
pub struct CreateBody {
    /// What to call it: no control characters.
    #[cfg_attr(
        not(target_arch = "wasm32"),
        schemars(length(min = 1, max = 100), regex(pattern = r"^[^\u0000-\u001f\u007f-\u009f]+$"))
    )]
    pub name: String,
    /// `full`: all that the role permits. `read`: only what `assets:read` permits. `upload`: only to start uploads, to
    /// read, confirm and cancel those that it started itself, and to see what may be uploaded.
    pub scope: Scope,
    /// How long it is valid; at most 86400 (a day) for the scope `upload`. It never outlives the key that makes it.
    #[cfg_attr(not(target_arch = "wasm32"), schemars(range(min = 60, max = 7_776_000)))]
    pub expires_in_seconds: u64,
    /// What it may upload, for the scope `upload` alone; null or absent for what the configuration permits.
    pub limits: Option<Limits>,
}

/// A key that was just made. This is the only answer that ever holds it.
#[derive(Debug, Serialize)]
#[cfg_attr(
    not(target_arch = "wasm32"),
    derive(schemars::JsonSchema),
    schemars(
        example = serde_json::json!({
            "id": "018f4d2f-0b6e-7c13-8f52-9d1a4e7b3c60",
            "name": "Page of order 4711",
            "scope": "upload",
            "org_id": "018f4d2a-11d0-7c52-8b3e-5f0c9d7a6e41",
            "user_id": "018f4d29-8a6c-7e90-b7d2-1c4e5f6a7b83",
            "parent_id": "018f4d2e-93c7-7aa4-b1e8-3f5c6d7e8f90",
            "impersonator_id": null,
            "limits": {"max_uploads": 10, "mime_types": ["image/*"]},
            "uploads_started": 0,
            "created_at": "2026-11-22T12:51:07.042Z",
            "expires_at": "2026-11-22T13:06:07.042Z",
            "revoked_at": null,
            "token": "au_0000000000000000000000000000000000000000000000000"
        })
    )
)]
pub struct NewApiKey {
    /// What is known of it.
    #[serde(flatten)]
    key: ApiKey,
    /// The key itself, for `Authorization: Bearer`. It is not stored and cannot be shown again.
    #[cfg_attr(not(target_arch = "wasm32"), schemars(length(equal = 52)))]
    token: String,
}

impl Endpoint for Create {
    const ROUTE: Route = Route::post("/v1/api-keys");
    const PERMISSION: Option<Permission> = Some(Permission::AssetsWrite);
    const DOC: Doc = Doc {
        operation_id: "createApiKey",
        tag: "Account",
        summary: "Make a key",
        description: "The key is the same user's, and acts in the organization of this request. Only a key of the scope `full` makes keys. Revoking a key revokes those that it made; at most four generations are possible, the operator's key being the first. A repeat makes another key.",
        path: &[],
        query: &[],
        idempotency_key: None,
        success: (201, "The key, with `token`, which is shown this once."),
        location: None,
        errors: &[ErrorCode::FolderNotFound],
        body_examples: &[
            Example { name: "page", summary: "For a page that uploads images", changes: "{}" },
            Example {
                name: "backend",
                summary: "For another program, for 90 days",
                changes: r#"{"name": "Importer", "scope": "full", "expires_in_seconds": 7776000, "limits": null}"#,
            },
        ],
        examples: &[],
    };
    type Caller = Caller;
    type Body = CreateBody;
    type Response = NewApiKey;

    fn parse(input: &Input<'_>, config: &Config) -> Result<Self, ApiError> {
        let mut errors = FieldErrors::default();
        let mut body = JsonBody::parse(input)?;
        let name = body.required("name", parse_name);
        let scope = body.required("scope", parse_scope);
        let longest = if scope == Some(Scope::Upload) { MAX_UPLOAD_KEY_SECONDS } else { MAX_SECONDS };
        let seconds = body.required("expires_in_seconds", |value| {
            number(&["body", "expires_in_seconds"], value, MIN_SECONDS..=longest)
        });
        // `Some(None)` for null, `Some(Some(members))` for an object.
        let limits = body.optional("limits", |value| match value.get() {
            "null" => Ok(None),
            _ if scope.is_some_and(|scope| scope != Scope::Upload) => {
                let msg = "Only a key of the scope upload can have limits; leave them out.";
                Err(FieldError::new(&["body", "limits"], "limits_forbidden", msg))
            }
            _ => JsonBody::nested("limits", value).map(Some),
        });
        body.finish(&mut errors);
        let limits = limits.flatten().map(|limits| parse_limits(limits, &config.rules, &mut errors));
        let limits = limits.filter(|limits| *limits != Limits::default());
        let fields = match (name, scope, seconds) {
            (Some(name), Some(scope), Some(expires_in_seconds)) => {
                Some(Self { name, scope, expires_in_seconds, limits })
            }
            _ => None,
        };
        errors.finish(fields)
    }

    async fn handle<P: Platform>(
        self,
        cx: &RequestContext<'_, P>,
        caller: Caller,
    ) -> Result<Reply, ApiError> {
        let now = cx.now();
        let token = token::generate(&cx.random()?);
        let hash = TokenHash::of(&token)
            .ok_or_else(|| ApiError::Internal("a key was made that is not well-formed".to_owned()))?;
        let create = api_keys::Create {
            caller,
            id: ApiKeyId::v7(now.unix_ms(), &cx.random()?),
            token: hash,
            name: self.name,
            scope: self.scope,
            limits: self.limits,
            expires_at: now.plus_seconds(self.expires_in_seconds),
        };
        let key = cx.run(&create).await?;
        Reply::json(201, &NewApiKey { key, token })
    }
}

fn parse_name(value: &RawValue) -> Result<KeyName, FieldError> {
    const MSG: &str = "Must be a string of 1 to 100 characters, without control characters.";
    let text = string("name", value, MSG)?;
    KeyName::parse(&text).ok_or_else(|| FieldError::new(&["body", "name"], "key_name", MSG))
}

fn parse_scope(value: &RawValue) -> Result<Scope, FieldError> {
    const MSG: &str = "Must be full, read or upload.";
    let text = string("scope", value, MSG)?;
    let scope = Scope::ALL.into_iter().find(|scope| scope.as_str() == text);
    scope.ok_or_else(|| FieldError::new(&["body", "scope"], "enum", MSG))
}

fn number(loc: &[&str], value: &RawValue, range: std::ops::RangeInclusive<u64>) -> Result<u64, FieldError> {
    let not_whole = || FieldError::new(loc, "int_type", "Must be a whole number.");
    let number = whole_number(value).ok_or_else(not_whole)?;
    number.filter(|number| range.contains(number)).ok_or_else(|| {
        let msg = format!("Must be from {} to {}.", range.start(), range.end());
        let limit = Some(DetailValue::Number(*range.end()));
        FieldError::new(loc, "out_of_range", msg).with(ErrorDetails { limit, ..ErrorDetails::default() })
    })
}

/// Reads limits, each narrower than what the configuration permits.
fn parse_limits(mut body: JsonBody<'_>, rules: &UploadRules, errors: &mut FieldErrors) -> Limits {
    let unless_null = |value: &RawValue| value.get() != "null";
    let max_uploads = body.optional("max_uploads", |value| {
        let parse = || number(&["body", "limits", "max_uploads"], value, 1..=MAX_UPLOADS);
        unless_null(value).then(parse).transpose()
    });
    let max_size_bytes = body.optional("max_size_bytes", |value| {
        let parse = || number(&["body", "limits", "max_size_bytes"], value, 1..=rules.max_bytes);
        unless_null(value).then(parse).transpose()
    });
    let mime_types = body.optional("mime_types", |value| {
        unless_null(value).then(|| parse_mime_types(value, rules)).transpose()
    });
    let folder_id = body
        .optional("folder_id", |value| optional_id(&["body", "limits", "folder_id"], value, FolderId::parse));
    body.finish(errors);
    Limits {
        max_uploads: max_uploads.flatten().and_then(|number| u32::try_from(number).ok()),
        max_size_bytes: max_size_bytes.flatten(),
        mime_types: mime_types.flatten(),
        folder_id: folder_id.flatten(),
    }
}

fn parse_mime_types(value: &RawValue, rules: &UploadRules) -> Result<Vec<String>, FieldError> {
    const LOC: [&str; 3] = ["body", "limits", "mime_types"];
    let not_a_list = || {
        let msg = "Must be a list of 1 to 100 media types such as image/png or image/*.";
        FieldError::new(&LOC, "mime_types", msg)
    };
    let texts: Vec<String> = serde_json::from_str(value.get()).map_err(|_| not_a_list())?;
    if texts.is_empty() || texts.len() > MAX_MIME_TYPES {
        return Err(not_a_list());
    }
    let patterns: Option<Vec<_>> = texts.iter().map(|text| MimePattern::parse(text)).collect();
    let patterns = patterns.ok_or_else(not_a_list)?;
    if patterns.iter().all(|pattern| rules.allowed_types.covers(pattern)) {
        return Ok(patterns.iter().map(MimePattern::to_string).collect());
    }
    let limit = Some(DetailValue::List(rules.allowed_types.patterns()));
    Err(FieldError::new(&LOC, "mime_type_not_allowed", "Not all of these media types are permitted.")
        .with(ErrorDetails { limit, ..ErrorDetails::default() }))
}

/// `GET /v1/api-keys`: one D1 transaction.
#[derive(Debug, Clone, PartialEq)]
pub struct List {
    /// Which of them, in which order.
    pub list: ListQuery,
}

impl Item for &ApiKey {
    const FIELDS: &'static [&'static str] = &[
        "id",
        "name",
        "scope",
        "org_id",
        "user_id",
        "parent_id",
        "impersonator_id",
        "limits",
        "uploads_started",
        "created_at",
        "expires_at",
        "revoked_at",
    ];
    const SORTED_BY: &'static [SortBy] = &[SortBy::CreatedAt];
}

impl Endpoint for List {
    const ROUTE: Route = Route::get("/v1/api-keys");
    const PERMISSION: Option<Permission> = Some(Permission::AssetsWrite);
    const DOC: Doc = Doc {
        operation_id: "listApiKeys",
        tag: "Account",
        summary: "List keys",
        description: "The caller's own keys of the organization, and those of theirs that are bound to none; owners and admins see all keys of the organization. Keys that were revoked or have expired are listed until the sweeper removes them, 30 days later. Only a key of the scope `full` lists keys.",
        path: &[],
        query: &[LIMIT, CURSOR, FROM_PREV, NEWEST_OR_OLDEST, FIELDS],
        idempotency_key: None,
        success: (200, "A page of the list."),
        location: None,
        errors: &[],
        body_examples: &[],
        examples: &[],
    };
    type Caller = Caller;
    type Body = ();
    type Response = PageResponse<Projected<'static, ApiKey>>;

    fn parse(input: &Input<'_>, _: &Config) -> Result<Self, ApiError> {
        let mut errors = FieldErrors::default();
        let default = Sort { by: SortBy::CreatedAt, descending: true };
        let list = ListQuery::parse::<&ApiKey>("keys", default, Query::parse(input.query), &mut errors);
        errors.finish(Some(Self { list }))
    }

    async fn handle<P: Platform>(
        self,
        cx: &RequestContext<'_, P>,
        caller: Caller,
    ) -> Result<Reply, ApiError> {
        let (org, page) = cx.run(&api_keys::List { caller, page: &self.list.page }).await?;
        let items = page.items.iter().map(|key| self.list.fields.of(key)).collect();
        Reply::json(200, &self.list.answer(org, &page, items)?)
    }
}

/// The path parameter of a key's endpoint.
const ID: Parameter = Parameter { name: "api_key_id", description: "The id of the key.", values: Values::Id };

/// `DELETE /v1/api-keys/{api_key_id}`: one D1 transaction.
#[derive(Debug, Clone, PartialEq)]
pub struct Revoke {
    /// The key.
    pub id: ApiKeyId,
}

impl Endpoint for Revoke {
    const ROUTE: Route = Route::delete("/v1/api-keys/{api_key_id}");
    const PERMISSION: Option<Permission> = Some(Permission::AssetsWrite);
    const DOC: Doc = Doc {
        operation_id: "revokeApiKey",
        tag: "Account",
        summary: "Revoke a key",
        description: "From then on the key and all that it made, directly or not, are answered 401. What they uploaded stays. A repeat is answered the same. One's own keys; owners and admins may revoke every key of the organization. Only a key of the scope `full` revokes keys.",
        path: &[ID],
        query: &[],
        idempotency_key: None,
        success: (204, "The key is revoked. No body."),
        location: None,
        errors: &[ErrorCode::ApiKeyNotFound],
        body_examples: &[],
        examples: &[],
    };
    type Caller = Caller;
    type Body = ();
    type Response = ();

    fn parse(input: &Input<'_>, _: &Config) -> Result<Self, ApiError> {
        let mut errors = FieldErrors::default();
        let id = errors.check(path_id(ID.name, input.path.get(0), ApiKeyId::parse));
        errors.finish(id.map(|id| Self { id }))
    }

    async fn handle<P: Platform>(
        self,
        cx: &RequestContext<'_, P>,
        caller: Caller,
    ) -> Result<Reply, ApiError> {
        cx.run(&api_keys::Revoke { caller, id: self.id }).await?;
        Ok(Reply::empty(204))
    }
}
