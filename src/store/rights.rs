//! The caller's rights. One SQL view, `caller_rights`, guards every write and gives the reason for an error.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Param, Rows, Statement, parse};
use crate::domain::api_key::Scope;
use crate::domain::ids::{OrganizationId, UserId, WebhookId};
use crate::domain::timestamp::Timestamp;
use crate::error::{ApiError, AuthError};
use crate::token::TokenHash;

/// What a caller must be permitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    /// Nothing: any valid key will do.
    AnyKey,
    /// Read assets and uploads.
    AssetsRead,
    /// Start, confirm and cancel uploads, and all else that changes something.
    AssetsWrite,
    /// See and change webhooks, and what was delivered to them.
    WebhooksManage,
}

impl Permission {
    /// As in `role_permissions.permission`; `None` where no role has to permit it.
    pub const fn as_str(self) -> Option<&'static str> {
        match self {
            Self::AnyKey => None,
            Self::AssetsRead => Some("assets:read"),
            Self::AssetsWrite => Some("assets:write"),
            Self::WebhooksManage => Some("webhooks:manage"),
        }
    }

    /// The keys that may make use of it, unless an endpoint says otherwise.
    pub const fn scopes(self) -> &'static [Scope] {
        match self {
            Self::AnyKey => &Scope::ALL,
            Self::AssetsRead => &[Scope::Full, Scope::Read],
            Self::AssetsWrite | Self::WebhooksManage => &[Scope::Full],
        }
    }
}

/// What an operation needs of its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Access {
    /// What the role must permit.
    pub permission: Permission,
    /// Which keys may do it.
    pub scopes: &'static [Scope],
    /// Whether it would change something, which an impersonation key may not.
    pub writes: bool,
}

/// The caller of a request, and what the rights are checked against.
#[derive(Debug, Clone, PartialEq)]
pub struct Caller {
    /// The hash of the key.
    pub token: TokenHash,
    /// The organization that the request names.
    pub organization: Option<OrganizationId>,
    /// When the request was complete.
    pub now: Timestamp,
    /// What the operation needs.
    pub access: Access,
    /// Whether the key may have expired: where storage has told of the object of an upload that it started.
    pub ignores_expiry: bool,
}

impl Caller {
    /// `?1` of every statement for a caller: what `caller_rights.request` is compared with.
    pub fn param(&self) -> Param {
        #[derive(Serialize)]
        struct Request<'a> {
            token_hash: &'a str,
            org_id: Option<OrganizationId>,
            now: i64,
            permission: Option<&'static str>,
            scopes: &'static [Scope],
            writes: bool,
            #[serde(skip_serializing_if = "Option::is_none")]
            ignores_expiry: Option<u8>,
        }
        let request = Request {
            token_hash: self.token.as_str(),
            org_id: self.organization,
            now: self.now.0,
            permission: self.access.permission.as_str(),
            scopes: self.access.scopes,
            writes: self.access.writes,
            ignores_expiry: self.ignores_expiry.then_some(1),
        };
        // Texts and numbers cannot fail to serialize.
        Param::Text(serde_json::to_string(&[request]).unwrap_or_default())
    }
}

/// The caller, as far as it was found; for the log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Identity {
    /// The key's user.
    pub user_id: Option<UserId>,
    /// The organization acted in.
    pub org_id: Option<OrganizationId>,
}

/// A caller who has the rights for the operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuthorizedCaller {
    /// The key's user.
    pub user_id: UserId,
    org_id: Option<OrganizationId>,
}

impl AuthorizedCaller {
    /// The organization acted in.
    ///
    /// # Errors
    /// `Internal` where there is none, as may be where any key will do ([`Permission::AnyKey`]), and only there.
    pub fn organization(&self) -> Result<OrganizationId, ApiError> {
        self.org_id.ok_or_else(|| ApiError::Internal("rights without an organization".to_owned()))
    }
}

/// One transaction for a caller. It must be safe to repeat when its answer was lost after the commit.
pub trait CallerOperation {
    /// What that row has found, beside the caller.
    type Found: DeserializeOwned;
    /// Its result.
    type Output;

    /// The statements, in order. `?1` of each is [`Caller::param`], and each reads `caller_rights`: a write only
    /// where `auth_error` is NULL. One of them returns one row of JSON, or none where the key is unknown:
    /// `{"user_id", "org_id", "auth_error", "due_webhooks", "found"}`, `found` being null where there is nothing, and
    /// `due_webhooks` left out where the operation delivers nothing to webhooks. It is the last one, unless those behind it
    /// return nothing.
    fn statements(&self) -> Vec<Statement>;

    /// Decodes that row.
    ///
    /// # Errors
    /// In the order of docs/behaviour.md, from row 11 on; `Internal` when rows are not as expected.
    fn decode(&self, caller: AuthorizedCaller, found: Option<Self::Found>) -> Result<Self::Output, ApiError>;
}

#[derive(Deserialize)]
struct CallerRow<'a> {
    user_id: UserId,
    org_id: Option<OrganizationId>,
    auth_error: Option<AuthError>,
    #[serde(default)]
    due_webhooks: Option<Vec<WebhookId>>,
    // A caller that may not has nothing found for it. Read for itself, so that the Worker has the code that reads the
    // rest of the row once, not for every operation.
    #[serde(borrow)]
    found: Option<&'a RawValue>,
}

/// Decodes the rows of an operation: who called, and the result.
///
/// # Errors
/// `Auth` when the caller lacks the rights (rows 3 to 8 of docs/behaviour.md), else the errors of the operation.
pub fn decode<O: CallerOperation>(operation: &O, rows: &Rows) -> (Identity, Result<O::Output, ApiError>) {
    let (identity, _, output) = decode_with_webhooks(operation, rows);
    (identity, output)
}

/// The same, with the organization's webhooks that have something to be delivered.
///
/// # Errors
/// As [`decode`].
pub fn decode_with_webhooks<O: CallerOperation>(
    operation: &O,
    rows: &Rows,
) -> (Identity, Vec<WebhookId>, Result<O::Output, ApiError>) {
    let row: CallerRow<'_> = match rows.last_row() {
        Ok(Some(row)) => row,
        // The key is unknown.
        Ok(None) => return (Identity::default(), Vec::new(), Err(AuthError::Unauthorized.into())),
        Err(error) => return (Identity::default(), Vec::new(), Err(error)),
    };
    let identity = Identity { user_id: Some(row.user_id), org_id: row.org_id };
    let due_webhooks = row.due_webhooks.unwrap_or_default();
    let caller = AuthorizedCaller { user_id: row.user_id, org_id: row.org_id };
    let output = match row.auth_error {
        Some(error) => Err(error.into()),
        None => found(rows, row.found).and_then(|found| operation.decode(caller, found)),
    };
    (identity, due_webhooks, output)
}

/// What was found.
fn found<F: DeserializeOwned>(rows: &Rows, json: Option<&RawValue>) -> Result<Option<F>, ApiError> {
    json.map(|json| parse(rows.texts.len().saturating_sub(1), json.get())).transpose()
}

/// Asks for the rights alone: for a request that has errors, since rights are checked before them.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckRights {
    /// Who asks.
    pub caller: Caller,
}

impl CallerOperation for CheckRights {
    type Found = ();
    type Output = ();

    fn statements(&self) -> Vec<Statement> {
        const SQL: &str = "
            SELECT json_object('user_id', c.user_id, 'org_id', c.org_id, 'auth_error', c.auth_error, 'found', NULL)
              AS json
            FROM caller_rights c
            WHERE c.request = ?1";
        vec![Statement { sql: SQL, params: vec![self.caller.param()] }]
    }

    fn decode(&self, _: AuthorizedCaller, _: Option<()>) -> Result<(), ApiError> {
        Ok(())
    }
}
