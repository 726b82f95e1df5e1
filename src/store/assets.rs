//! Assets: reading one, changing it, and the trash.

use serde::Deserialize;

use super::rights::{AuthorizedCaller, Caller, CallerOperation};
use super::{Param, Statement};
use crate::domain::asset::{Asset, User};
use crate::domain::ids::{AssetId, FolderId};
use crate::domain::upload::Filename;
use crate::error::ApiError;

/// An asset in the database, in the trash or not.
#[derive(Debug, Deserialize)]
pub struct Found {
    asset: Asset,
    created_by_user: User,
    folder_found: u8,
}

/// Reads the caller, and the asset with the user who made it and whether a folder is there.
fn find(caller: &Caller, asset_id: AssetId, folder_id: Option<FolderId>) -> Statement {
    // ?1 caller, ?2 asset, ?3 folder or NULL.
    const SQL: &str = "
        SELECT json_object('user_id', c.user_id, 'org_id', c.org_id, 'auth_error', c.auth_error,
          'due_webhooks', json(c.due_webhooks), 'found', json(CASE WHEN a.id IS NOT NULL THEN json_object(
            'asset', json(a.json), 'created_by_user', json(w.json), 'folder_found', f.id IS NOT NULL) END)) AS json
        FROM caller_rights c
        LEFT JOIN assets_json a ON a.id = ?2 AND a.org_id = c.org_id AND c.auth_error IS NULL
        LEFT JOIN users_json w ON w.id = a.created_by
        LEFT JOIN folders f ON f.id = ?3 AND f.org_id = a.org_id AND f.deleted_at IS NULL
        WHERE c.request = ?1";
    let params = vec![caller.param(), Param::from(&asset_id), Param::from(folder_id.as_ref())];
    Statement { sql: SQL, params }
}

fn present(found: Option<Found>) -> Result<Found, ApiError> {
    found.filter(|found| found.asset.deleted_at.is_none()).ok_or(ApiError::AssetNotFound)
}

/// Reads an asset that is not deleted.
#[derive(Debug, Clone, PartialEq)]
pub struct Read {
    /// Who asks.
    pub caller: Caller,
    /// The asset.
    pub asset_id: AssetId,
}

impl CallerOperation for Read {
    type Found = Found;
    type Output = (Asset, User);

    fn statements(&self) -> Vec<Statement> {
        vec![find(&self.caller, self.asset_id, None)]
    }

    fn decode(&self, _: AuthorizedCaller, found: Option<Found>) -> Result<(Asset, User), ApiError> {
        present(found).map(|found| (found.asset, found.created_by_user))
    }
}

/// Renames an asset, or moves it. Where nothing changes nothing is written.
#[derive(Debug, Clone, PartialEq)]
pub struct Update {
    /// Who changes it.
    pub caller: Caller,
    /// The asset.
    pub asset_id: AssetId,
    /// Its new name.
    pub name: Option<Filename>,
    /// Its new folder; `Some(None)` takes it out of its folder.
    pub folder_id: Option<Option<FolderId>>,
}

impl CallerOperation for Update {
    type Found = Found;
    type Output = Asset;

    fn statements(&self) -> Vec<Statement> {
        // ?1 to ?3 as in `find`, ?4 1 where the folder changes, ?5 name or NULL.
        const UPDATE: &str = "
            UPDATE assets
            SET name = ifnull(?5, name), folder_id = CASE WHEN ?4 THEN ?3 ELSE folder_id END, updated_at = c.now,
              event_at = max(c.now, ifnull(event_at, 0) + 1)
            FROM caller_rights c
            WHERE c.request = ?1
              AND c.auth_error IS NULL
              AND assets.id = ?2 AND assets.org_id = c.org_id AND assets.deleted_at IS NULL
              AND (assets.name <> ?5 COLLATE BINARY OR (?4 AND assets.folder_id IS NOT ?3))
              AND (?3 IS NULL OR EXISTS (
                SELECT 1 FROM folders f WHERE f.id = ?3 AND f.org_id = c.org_id AND f.deleted_at IS NULL))";
        let find = find(&self.caller, self.asset_id, self.folder_id.flatten());
        let mut params = find.params.clone();
        params.push(Param::Int(self.folder_id.is_some().into()));
        params.push(self.name.as_ref().map_or(Param::Null, |name| Param::from(&name.as_str())));
        vec![Statement { sql: UPDATE, params }, find]
    }

    fn decode(&self, _: AuthorizedCaller, found: Option<Found>) -> Result<Asset, ApiError> {
        let found = present(found)?;
        if self.folder_id.flatten().is_some() && found.folder_found == 0 {
            return Err(ApiError::FolderNotFound);
        }
        Ok(found.asset)
    }
}

/// Puts an asset into the trash.
#[derive(Debug, Clone, PartialEq)]
pub struct Delete {
    /// Who deletes it.
    pub caller: Caller,
    /// The asset.
    pub asset_id: AssetId,
}

impl CallerOperation for Delete {
    type Found = Found;
    type Output = ();

    fn statements(&self) -> Vec<Statement> {
        // ?1 caller, ?2 asset.
        const DELETE: &str = "
            UPDATE assets SET deleted_at = c.now, deleted_by = c.user_id, event_at = max(c.now, ifnull(event_at, 0) + 1)
            FROM caller_rights c
            WHERE c.request = ?1
              AND c.auth_error IS NULL
              AND assets.id = ?2 AND assets.org_id = c.org_id AND assets.deleted_at IS NULL";
        let params = vec![self.caller.param(), Param::from(&self.asset_id)];
        vec![Statement { sql: DELETE, params }, find(&self.caller, self.asset_id, None)]
    }

    fn decode(&self, _: AuthorizedCaller, found: Option<Found>) -> Result<(), ApiError> {
        // Also if it was in the trash before: a client that got no answer repeats the request.
        found.map(drop).ok_or(ApiError::AssetNotFound)
    }
}

/// Takes an asset out of the trash.
#[derive(Debug, Clone, PartialEq)]
pub struct Restore {
    /// Who restores it.
    pub caller: Caller,
    /// The asset.
    pub asset_id: AssetId,
}

impl CallerOperation for Restore {
    type Found = Found;
    type Output = (Asset, User);

    fn statements(&self) -> Vec<Statement> {
        // ?1 caller, ?2 asset. Into no folder where its own is gone.
        const RESTORE: &str = "
            UPDATE assets
            SET deleted_at = NULL, deleted_by = NULL, deleted_with = NULL,
              folder_id = (SELECT f.id FROM folders f WHERE f.id = assets.folder_id AND f.deleted_at IS NULL),
              event_at = max(c.now, ifnull(event_at, 0) + 1)
            FROM caller_rights c
            WHERE c.request = ?1
              AND c.auth_error IS NULL
              AND assets.id = ?2 AND assets.org_id = c.org_id AND assets.deleted_at IS NOT NULL";
        let params = vec![self.caller.param(), Param::from(&self.asset_id)];
        vec![Statement { sql: RESTORE, params }, find(&self.caller, self.asset_id, None)]
    }

    fn decode(&self, _: AuthorizedCaller, found: Option<Found>) -> Result<(Asset, User), ApiError> {
        present(found).map(|found| (found.asset, found.created_by_user))
    }
}
