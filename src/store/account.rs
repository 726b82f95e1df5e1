//! Reads who the caller is.

use super::Statement;
use super::rights::{AuthorizedCaller, Caller, CallerOperation};
use crate::domain::account::Account;
use crate::error::ApiError;

/// Reads the caller's user, key and organizations.
#[derive(Debug, Clone, PartialEq)]
pub struct Read {
    /// Who asks.
    pub caller: Caller,
}

impl CallerOperation for Read {
    type Found = Account;
    type Output = Account;

    fn statements(&self) -> Vec<Statement> {
        const SQL: &str = "
            SELECT json_object('user_id', c.user_id, 'org_id', c.org_id, 'auth_error', c.auth_error,
              'found', json(CASE WHEN c.auth_error IS NULL THEN json_object(
                'user', json(CASE c.scope WHEN 'upload' THEN json_object('id', u.id) ELSE json_set(
                  u.json, '$.email_verified', json(iif(u.email_verified_at IS NULL, 'false', 'true'))) END),
                'key', json(k.json),
                'organizations', json((
                  SELECT json_group_array(json_object('id', m.org_id, 'name', o.name, 'role', m.role, 'permissions', json((
                    SELECT json_group_array(p.permission) FROM role_permissions p WHERE p.role = m.role))))
                  FROM memberships m
                  JOIN organizations o ON o.id = m.org_id
                  WHERE m.user_id = c.user_id AND (c.scope <> 'upload' OR m.org_id = k.org_id))),
                'current_organization_id', c.org_id) END)) AS json
            FROM caller_rights c
            JOIN users_json u ON u.id = c.user_id
            JOIN api_keys_json k ON k.id = c.key_id
            WHERE c.request = ?1";
        vec![Statement { sql: SQL, params: vec![self.caller.param()] }]
    }

    fn decode(&self, _: AuthorizedCaller, found: Option<Account>) -> Result<Account, ApiError> {
        found.ok_or_else(|| ApiError::Internal("a caller without an account".to_owned()))
    }
}
