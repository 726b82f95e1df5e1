//! The caller's rights: the one rule that guards every write and explains every refusal.

use serde::Deserialize;

use super::{Operation, Param, Rows, Statement};
use crate::domain::ids::{OrganizationId, UserId};
use crate::domain::timestamp::Timestamp;
use crate::error::{ApiError, Refusal};
use crate::token::TokenHash;

/// SQL of a statement that acts for a caller: the rule of rights.sql as the table `caller` (one row, or
/// none for an unknown key; `refusal` is NULL exactly when the caller may), then the given texts.
/// `?1` to `?4` are the caller's; see [`Caller::params`].
macro_rules! for_caller {
    ($($sql:expr),+) => {
        concat!(include_str!("rights.sql"), $($sql),+)
    };
}
pub(super) use for_caller;

/// SQL of the caller `c` as JSON for [`CallerRow`].
macro_rules! caller_json {
    () => {
        "json_object('user_id', c.user_id, 'org_id', c.org_id, 'refusal', c.refusal)"
    };
}
pub(super) use caller_json;

/// A permission of a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    /// To see assets.
    Read,
    /// To make and change them.
    Write,
}

impl Permission {
    /// As in `role_permissions.permission`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "assets:read",
            Self::Write => "assets:write",
        }
    }
}

/// Who asks, for which organization, when, and what for.
#[derive(Debug, Clone, PartialEq)]
pub struct Caller {
    /// The hash of the key.
    pub token: TokenHash,
    /// The organization that the request names.
    pub organization: Option<OrganizationId>,
    /// The moment of the request.
    pub now: Timestamp,
    /// What the operation needs.
    pub permission: Permission,
}

impl Caller {
    /// `?1` to `?4`: key hash, named organization or NULL, now, permission.
    pub(super) fn params(&self) -> Vec<Param> {
        vec![
            Param::from(&self.token.as_str()),
            Param::from(self.organization.as_ref()),
            Param::Int(self.now.0),
            Param::from(&self.permission.as_str()),
        ]
    }
}

/// Who the caller is found to be, as far as it is; for the log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Identity {
    /// The key's user.
    pub user_id: Option<UserId>,
    /// The organization acted in.
    pub org_id: Option<OrganizationId>,
}

/// The columns of `caller` that every operation selects.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) struct CallerRow {
    pub(super) user_id: UserId,
    org_id: Option<OrganizationId>,
    refusal: Option<Refusal>,
}

/// Notes who called.
///
/// # Errors
/// Why the caller may not: no row at all is an unknown key.
pub(super) fn judge(row: Option<CallerRow>, identity: &mut Identity) -> Result<(), Refusal> {
    let row = row.ok_or(Refusal::Unauthorized)?;
    *identity = Identity { user_id: Some(row.user_id), org_id: row.org_id };
    row.refusal.map_or(Ok(()), Err)
}

/// Asks for the rights alone: for a request that is faulty, since rights are judged before faults.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckRights {
    /// Who asks.
    pub caller: Caller,
    /// False where the named organization cannot be read: then only the key and its user are judged.
    pub organization_readable: bool,
}

impl Operation for CheckRights {
    type Output = ();

    fn statements(&self) -> Vec<Statement> {
        const SQL: &str = for_caller!("SELECT ", caller_json!(), " AS json FROM caller c");
        vec![Statement { sql: SQL, params: self.caller.params() }]
    }

    fn decode(&self, rows: &Rows, identity: &mut Identity) -> Result<(), ApiError> {
        match judge(rows.first(0)?, identity) {
            Err(refusal @ (Refusal::Unauthorized | Refusal::EmailNotVerified)) => Err(refusal.into()),
            Err(refusal) if self.organization_readable => Err(refusal.into()),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}
