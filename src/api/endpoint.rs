//! What an endpoint is, and the order in which its request is checked.

use std::pin::Pin;

use super::context::RequestContext;
use crate::config::Config;
use crate::domain::api_key::Scope;
use crate::domain::ids::OrganizationId;
use crate::domain::timestamp::Timestamp;
use crate::error::{ApiError, AuthError, ErrorCode, FieldError};
use crate::http::reply::Reply;
use crate::http::request::{Body, BodyLimit, IncomingRequest, Input, RequestHeaders};
use crate::http::route::{PathParams, Route};
use crate::http::schema::Schema;
use crate::platform::Platform;
use crate::store::rights::{Access, Caller, CheckRights, Permission};
use crate::token::TokenHash;

/// One endpoint. It is listed in the table of `api`; routing, the order of the checks, the log, openapi.json, the
/// rights matrix and the budget follow from what it states here.
#[allow(async_fn_in_trait, reason = "a Worker has one thread, so nobody needs the futures to be Send")]
pub trait Endpoint: Sized {
    /// Method and path.
    const ROUTE: Route;
    /// What the caller must be permitted; `None` where no key is needed.
    const PERMISSION: Option<Permission>;
    /// Which keys may send it.
    const SCOPES: &'static [Scope] = match Self::PERMISSION {
        Some(permission) => permission.scopes(),
        None => &[],
    };
    /// How large a body it reads.
    const BODY_LIMIT: BodyLimit = BodyLimit::Kib64;
    /// What openapi.json says about it, beside the types.
    const DOC: Doc;
    /// Who calls: [`Caller`], where the table has `serve`; [`Anyone`], where it has `serve_public`.
    type Caller;
    /// The JSON body of a request; `()` for none.
    type Body: Schema;
    /// The JSON body of the answer; `()` for none.
    type Response: Schema;

    /// Reads the request.
    ///
    /// # Errors
    /// `BadRequest` when the body cannot be read, else `Validation` with every error of the fields.
    fn parse(input: &Input<'_>, config: &Config) -> Result<Self, ApiError>;

    /// Carries out the request.
    ///
    /// # Errors
    /// Those that `DOC` lists, those of the caller's rights, and of storage.
    async fn handle<P: Platform>(
        self,
        cx: &RequestContext<'_, P>,
        caller: Self::Caller,
    ) -> Result<Reply, ApiError>;
}

/// A caller without a key.
#[derive(Debug, Clone, Copy)]
pub struct Anyone;

/// The documentation of an endpoint in openapi.json, beside its types.
#[derive(Debug, Clone, Copy)]
pub struct Doc {
    /// The operation's name in generated clients.
    pub operation_id: &'static str,
    /// Its group.
    pub tag: &'static str,
    /// A few words.
    pub summary: &'static str,
    /// Sentences, in Markdown.
    pub description: &'static str,
    /// Parameters of the path, in order, with what each is.
    pub path: &'static [Parameter],
    /// Parameters of the query.
    pub query: &'static [Parameter],
    /// What a repeat with the same `Idempotency-Key` gets; `None` where the header is not read.
    pub idempotency_key: Option<&'static str>,
    /// The status of success, and what it means.
    pub success: (u16, &'static str),
    /// What `Location` names, where success has it.
    pub location: Option<Route>,
    /// Errors beside those that every endpoint has, in the order of the checks.
    pub errors: &'static [ErrorCode],
    /// Bodies to send; none for the example of the type alone.
    pub body_examples: &'static [Example],
    /// Bodies of success; none for the example of the type alone.
    pub examples: &'static [Example],
}

/// A body as an example: the one that its type has, with changes.
#[derive(Debug, Clone, Copy)]
pub struct Example {
    /// A word for it.
    pub name: &'static str,
    /// What it shows.
    pub summary: &'static str,
    /// A JSON object: the members that differ.
    pub changes: &'static str,
}

/// A parameter of the path or of the query.
#[derive(Debug, Clone, Copy)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub description: &'static str,
    /// Its type.
    pub values: Values,
}

/// The type of a parameter.
#[derive(Debug, Clone, Copy)]
pub enum Values {
    /// A UUID.
    Id,
    /// A UUID, or this word.
    IdOr(&'static str),
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// A whole number.
    Integer {
        /// The smallest.
        min: i64,
        /// The largest.
        max: i64,
        /// What counts without the parameter.
        default: Option<i64>,
    },
    /// `true` or `false`.
    Bool,
    /// A point in time, RFC 3339.
    DateTime,
    /// A cursor of a list.
    Cursor,
    /// Any text; holds an example.
    Text(&'static str),
}

/// An endpoint as openapi.json and the tests see it.
#[derive(Debug, Clone, Copy)]
pub struct Description {
    /// Method and path.
    pub route: Route,
    /// What the caller must be permitted.
    pub permission: Option<Permission>,
    /// Which keys may send it.
    pub scopes: &'static [Scope],
    /// How large a body it reads.
    pub body_limit: BodyLimit,
    /// Its documentation.
    pub doc: Doc,
}

/// Visits the endpoints as types.
pub trait Visitor {
    /// Visits one.
    fn visit<E: Endpoint>(&mut self);
}

impl Description {
    /// The description of one endpoint.
    pub fn of<E: Endpoint>() -> Self {
        Self {
            route: E::ROUTE,
            permission: E::PERMISSION,
            scopes: E::SCOPES,
            body_limit: E::BODY_LIMIT,
            doc: E::DOC,
        }
    }

    /// What it needs of its caller; `None` where no key is needed.
    pub fn access(&self) -> Option<Access> {
        let (scopes, writes) = (self.scopes, self.route.method.writes());
        self.permission.map(|permission| Access { permission, scopes, writes })
    }
}

/// Serves an endpoint that needs no key.
///
/// # Errors
/// Those of its handler.
pub async fn serve_public<E: Endpoint<Caller = Anyone>, P: Platform>(
    cx: &RequestContext<'_, P>,
    request: &impl IncomingRequest,
    path: PathParams<'_>,
) -> Result<Reply, ApiError> {
    const {
        assert!(
            E::PERMISSION.is_none(),
            "an endpoint with `type Caller = Anyone` checks no permission: set PERMISSION to None, or Caller to Caller"
        );
    }
    let headers = RequestHeaders::of(request)?;
    let input = Input { path, query: cx.query, headers: &headers, body: &Body::Bytes(Vec::new()) };
    E::parse(&input, cx.config)?.handle(cx, Anyone).await
}

/// Serves an endpoint for a caller with a key. This function alone knows the order of the checks; the numbers are
/// those of docs/behaviour.md.
///
/// # Errors
/// The first that applies.
pub async fn serve<E: Endpoint<Caller = Caller>, P: Platform>(
    cx: &RequestContext<'_, P>,
    request: &impl IncomingRequest,
    path: PathParams<'_>,
) -> Result<Reply, ApiError> {
    let access = const {
        match E::PERMISSION {
            Some(permission) => Access { permission, scopes: E::SCOPES, writes: E::ROUTE.method.writes() },
            None => panic!("an endpoint with `type Caller = Caller` needs a PERMISSION"),
        }
    };
    // 3, for a missing or malformed key: no storage call.
    let token = TokenHash::from_authorization(request.header("authorization")?.as_deref())
        .ok_or(AuthError::Unauthorized)?;
    let body_limit = E::ROUTE.method.has_body().then_some(E::BODY_LIMIT);
    let Received { headers, body, now } = receive(cx, request, body_limit).await?;
    // 9 and 10 are known now, but rights come first.
    let input = Input { path, query: cx.query, headers: &headers, body: &body };
    let Parsed { endpoint, organization, organization_readable } = parse::<E>(&input, cx.config);
    let caller = Caller { token, organization, now, access, ignores_expiry: false };
    match endpoint {
        // 3 to 8 are checked in the transaction that does the work, and so are those from 11 on.
        Ok(endpoint) => endpoint.handle(cx, caller).await,
        Err(error) => Err(first_error(cx, caller, organization_readable, error).await),
    }
}

/// A request that has arrived.
struct Received {
    headers: RequestHeaders,
    body: Body,
    now: Timestamp,
}

// This and the functions below are not generic over the endpoint, so that the Worker has each of them once.

async fn receive<P: Platform>(
    cx: &RequestContext<'_, P>,
    request: &impl IncomingRequest,
    body_limit: Option<BodyLimit>,
) -> Result<Received, ApiError> {
    let headers = RequestHeaders::of(request)?;
    let body = match body_limit {
        Some(limit) => request.body(limit).await,
        None => Body::Bytes(Vec::new()),
    };
    // The whole request has arrived, and every check uses this time: sending the body slowly cannot outlive a key or a
    // deadline, and slow storage makes no request late.
    Ok(Received { headers, body, now: cx.complete() })
}

/// The error of a request that is invalid: errors of the caller's rights come first. Boxed, so that the Worker has this
/// code once.
fn first_error<'a, P: Platform>(
    cx: &'a RequestContext<'_, P>,
    caller: Caller,
    organization_readable: bool,
    error: ApiError,
) -> Pin<Box<dyn Future<Output = ApiError> + 'a>> {
    use AuthError::{
        ImpersonationReadOnly, OrganizationMembershipRequired, PermissionDenied, RoleUnresolved,
    };
    Box::pin(async move {
        match cx.run(&CheckRights { caller }).await {
            Ok(()) => error,
            // Without an organization, rights can be checked only as far as the key and its user.
            Err(ApiError::Auth(
                OrganizationMembershipRequired | RoleUnresolved | ImpersonationReadOnly | PermissionDenied,
            )) if !organization_readable => error,
            Err(first) => first,
        }
    })
}

/// A request as it was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Parsed<E> {
    /// What the endpoint reads, or rows 9 and 10 with every error.
    pub endpoint: Result<E, ApiError>,
    /// The organization that the request names.
    pub organization: Option<OrganizationId>,
    /// False where it names one that cannot be read, which is among the errors.
    pub organization_readable: bool,
}

/// Reads a request for an endpoint.
pub fn parse<E: Endpoint>(input: &Input<'_>, config: &Config) -> Parsed<E> {
    let endpoint = E::parse(input, config);
    match input.headers.organization() {
        Ok(organization) => Parsed { endpoint, organization, organization_readable: true },
        Err(unreadable) => {
            let endpoint = Err(with_error(endpoint.err(), unreadable));
            Parsed { endpoint, organization: None, organization_readable: false }
        }
    }
}

/// Adds the error of an unreadable organization to the other errors of a request.
fn with_error(error: Option<ApiError>, unreadable: FieldError) -> ApiError {
    match error {
        Some(ApiError::Validation(mut errors)) => {
            errors.push(unreadable);
            ApiError::Validation(errors)
        }
        Some(error @ ApiError::BadRequest(_)) => error,
        _ => ApiError::Validation(vec![unreadable]),
    }
}
