//! API keys: making, listing and revoking them.

use serde::Deserialize;

use super::page::{self, Bounds};
use super::rights::{AuthorizedCaller, Caller, CallerOperation};
use super::{Param, Statement};
use crate::domain::api_key::{ApiKey, KeyName, Limits, MAX_GENERATIONS, Scope};
use crate::domain::ids::{ApiKeyId, OrganizationId};
use crate::domain::page::{Page, PageRequest};
use crate::domain::timestamp::Timestamp;
use crate::error::{ApiError, FieldError};
use crate::token::TokenHash;

/// Makes a key of the caller's, for the organization acted in.
#[derive(Debug, Clone, PartialEq)]
pub struct Create {
    /// Who makes it.
    pub caller: Caller,
    /// Its id.
    pub id: ApiKeyId,
    /// Its hash.
    pub token: TokenHash,
    /// Its name.
    pub name: KeyName,
    /// What it may do.
    pub scope: Scope,
    /// What it may upload.
    pub limits: Option<Limits>,
    /// When it ends, unless the key that makes it ends sooner.
    pub expires_at: Timestamp,
}

/// What [`Create`] finds.
#[derive(Debug, Deserialize)]
pub struct FoundNew {
    key: Option<ApiKey>,
    generation: u8,
    folder_found: u8,
}

impl CallerOperation for Create {
    type Found = FoundNew;
    type Output = ApiKey;

    fn statements(&self) -> Vec<Statement> {
        // ?1 caller, ?2 key, ?3 folder of its limits or NULL, ?4 hash, ?5 name, ?6 scope, ?7 limits, ?8 end, ?9
        // generations.
        const INSERT: &str = "
            INSERT INTO api_keys (id, token_hash, user_id, org_id, name, scope, parent_id, limits, created_at, expires_at)
            SELECT ?2, ?4, c.user_id, c.org_id, ?5, ?6, c.key_id, ?7, c.now, min(?8, ifnull(c.expires_at, ?8))
            FROM caller_rights c
            WHERE c.request = ?1
              AND c.auth_error IS NULL
              AND c.generation < ?9
              AND (?3 IS NULL OR EXISTS (
                SELECT 1 FROM folders f WHERE f.id = ?3 AND f.org_id = c.org_id AND f.deleted_at IS NULL))
            ON CONFLICT (id) DO NOTHING";
        const FIND: &str = "
            SELECT json_object('user_id', c.user_id, 'org_id', c.org_id, 'auth_error', c.auth_error,
              'found', json(CASE WHEN c.auth_error IS NULL THEN json_object(
                'key', json(k.json), 'generation', c.generation, 'folder_found', ?3 IS NULL OR f.id IS NOT NULL) END)) AS json
            FROM caller_rights c
            LEFT JOIN api_keys_json k ON k.id = ?2 AND k.user_id = c.user_id
            LEFT JOIN folders f ON f.id = ?3 AND f.org_id = c.org_id AND f.deleted_at IS NULL
            WHERE c.request = ?1";
        // Numbers and texts cannot fail to serialize.
        let limits = self.limits.as_ref().map(|limits| serde_json::to_string(limits).unwrap_or_default());
        let folder = self.limits.as_ref().and_then(|limits| limits.folder_id.as_ref());
        let mut params = vec![self.caller.param(), Param::from(&self.id), Param::from(folder)];
        let find = Statement { sql: FIND, params: params.clone() };
        params.extend([
            Param::from(&self.token.as_str()),
            Param::from(&self.name.as_str()),
            Param::from(&self.scope.as_str()),
            Param::from(limits.as_ref()),
            Param::Int(self.expires_at.0),
            Param::Int(MAX_GENERATIONS.into()),
        ]);
        vec![Statement { sql: INSERT, params }, find]
    }

    fn decode(&self, _: AuthorizedCaller, found: Option<FoundNew>) -> Result<ApiKey, ApiError> {
        let internal = || ApiError::Internal("nothing forbade the key, yet none was written".to_owned());
        let FoundNew { key, generation, folder_found } = found.ok_or_else(internal)?;
        if let Some(key) = key {
            return Ok(key);
        }
        if generation >= MAX_GENERATIONS {
            let msg = "This key is of the fourth generation, which is the last; make the key with one that was made earlier.";
            let loc = ["header", "Authorization"];
            return Err(ApiError::Validation(vec![FieldError::new(&loc, "too_many_generations", msg)]));
        }
        Err(if folder_found == 0 { ApiError::FolderNotFound } else { internal() })
    }
}

/// Revokes a key, and with it those that descend from it.
#[derive(Debug, Clone, PartialEq)]
pub struct Revoke {
    /// Who revokes it.
    pub caller: Caller,
    /// The key.
    pub id: ApiKeyId,
}

impl CallerOperation for Revoke {
    type Found = bool;
    type Output = ();

    fn statements(&self) -> Vec<Statement> {
        // ?1 caller, ?2 key. Read before it is written: the key may be the caller's own.
        const FIND: &str = "
            SELECT json_object('user_id', c.user_id, 'org_id', c.org_id, 'auth_error', c.auth_error,
              'found', json(CASE WHEN k.id IS NOT NULL THEN 'true' END)) AS json
            FROM caller_rights c
            LEFT JOIN api_keys k ON k.id = ?2 AND c.auth_error IS NULL
              AND (k.user_id = c.user_id OR (c.manages_keys AND k.org_id IS NOT NULL))
              AND ifnull(k.org_id, c.org_id) = c.org_id
            WHERE c.request = ?1";
        const UPDATE: &str = "
            UPDATE api_keys SET revoked_at = (SELECT c.now FROM caller_rights c WHERE c.request = ?1)
            WHERE id = (
                SELECT k.id
                FROM caller_rights c
                JOIN api_keys k ON k.id = ?2 AND c.auth_error IS NULL
                  AND (k.user_id = c.user_id OR (c.manages_keys AND k.org_id IS NOT NULL))
                  AND ifnull(k.org_id, c.org_id) = c.org_id
                WHERE c.request = ?1)
              AND revoked_at IS NULL";
        let params = vec![self.caller.param(), Param::from(&self.id)];
        vec![Statement { sql: FIND, params: params.clone() }, Statement { sql: UPDATE, params }]
    }

    fn decode(&self, _: AuthorizedCaller, found: Option<bool>) -> Result<(), ApiError> {
        found.map(drop).ok_or(ApiError::ApiKeyNotFound)
    }
}

/// Reads one page of the keys that the caller may see: of the organization one's own, or for owners and admins all; and
/// one's own that are bound to no organization.
#[derive(Debug, Clone, PartialEq)]
pub struct List<'a> {
    /// Who asks.
    pub caller: Caller,
    /// Which of them, in which order.
    pub page: &'a PageRequest,
}

// The parameters are those of `page_sql`. Each of the three parts is read from an index that has the order.
#[rustfmt::skip]
macro_rules! keys_sql {
    ($scan:literal) => { concat!(
"SELECT json_object('user_id', c.user_id, 'org_id', c.org_id, 'auth_error', c.auth_error,
  'found', json(CASE WHEN c.auth_error IS NULL THEN (
    SELECT json_object(
      'rows', json(json_group_array(json(t.json))),
      'behind', ?14 <> 0 AND (
        EXISTS (
          SELECT 1
          FROM api_keys t
          WHERE c.manages_keys AND t.org_id = c.org_id
            AND (t.created_at, t.id) >= (?10, ?11) AND (t.created_at, t.id) < (ifnull(?12, x''), ?13))
        OR EXISTS (
          SELECT 1
          FROM api_keys t
          WHERE NOT c.manages_keys AND t.user_id = c.user_id AND t.org_id = c.org_id
            AND (t.created_at, t.id) >= (?10, ?11) AND (t.created_at, t.id) < (ifnull(?12, x''), ?13))
        OR EXISTS (
          SELECT 1
          FROM api_keys t
          WHERE t.user_id = c.user_id AND t.org_id IS NULL
            AND (t.created_at, t.id) >= (?10, ?11) AND (t.created_at, t.id) < (ifnull(?12, x''), ?13))))
    FROM (
      SELECT t.json
      FROM (
        SELECT *
        FROM (
          SELECT t.created_at, t.id, t.json
          FROM api_keys_json t
          WHERE c.manages_keys AND t.org_id = c.org_id
            AND (t.created_at, t.id) >= (?3, ?4) AND (t.created_at, t.id) < (ifnull(?5, x''), ?6)
          ORDER BY t.created_at ", $scan, ", t.id ", $scan, " LIMIT ?7)
        UNION ALL
        SELECT *
        FROM (
          SELECT t.created_at, t.id, t.json
          FROM api_keys_json t
          WHERE NOT c.manages_keys AND t.user_id = c.user_id AND t.org_id = c.org_id
            AND (t.created_at, t.id) >= (?3, ?4) AND (t.created_at, t.id) < (ifnull(?5, x''), ?6)
          ORDER BY t.created_at ", $scan, ", t.id ", $scan, " LIMIT ?7)
        UNION ALL
        SELECT *
        FROM (
          SELECT t.created_at, t.id, t.json
          FROM api_keys_json t
          WHERE t.user_id = c.user_id AND t.org_id IS NULL
            AND (t.created_at, t.id) >= (?3, ?4) AND (t.created_at, t.id) < (ifnull(?5, x''), ?6)
          ORDER BY t.created_at ", $scan, ", t.id ", $scan, " LIMIT ?7)) t
      ORDER BY t.created_at ", $scan, ", t.id ", $scan, " LIMIT ?7) t) END)) AS json
FROM caller_rights c
WHERE c.request = ?1"
    ) };
}

impl CallerOperation for List<'_> {
    type Found = page::Found<ApiKey>;
    /// The organization, and the page.
    type Output = (OrganizationId, Page<ApiKey>);

    fn statements(&self) -> Vec<Statement> {
        let sql = if self.page.reads_ascending() { keys_sql!("ASC") } else { keys_sql!("DESC") };
        let mut params = page::params(&self.caller, Param::Null, &Bounds::default(), self.page, false, false);
        // The text names no more.
        params.truncate(14);
        vec![Statement { sql, params }]
    }

    fn decode(&self, caller: AuthorizedCaller, found: Option<Self::Found>) -> Result<Self::Output, ApiError> {
        let found = found.ok_or_else(|| ApiError::Internal("a list without a page".to_owned()))?;
        let by = self.page.sort.by;
        let place = |key: &ApiKey| (by.key(key.created_at, &key.name), key.id.to_string());
        let (page, _) = found.page(self.page, place);
        Ok((caller.organization()?, page))
    }
}
