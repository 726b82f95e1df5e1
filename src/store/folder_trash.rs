//! Folders in the trash: deleting one with what is in it, and restoring it.
//!
//! What one deletion puts into the trash belongs together: the folder itself, and each folder and asset beneath it that
//! was not deleted before; those have the folder's id in `deleted_with`.

use serde::Deserialize;

use super::folders::PlacementError;
use super::rights::{AuthorizedCaller, Caller, CallerOperation};
use super::{Param, Statement};
use crate::domain::folder::{Folder, MAX_DELETED};
use crate::domain::ids::FolderId;
use crate::error::ApiError;

/// A folder in the database, in the trash or not.
#[derive(Debug, Deserialize)]
pub struct Found {
    folder: Folder,
    /// Why it was not restored.
    error: Option<PlacementError>,
}

/// Puts a folder into the trash.
#[derive(Debug, Clone, PartialEq)]
pub struct Delete {
    /// Who deletes it.
    pub caller: Caller,
    /// The folder.
    pub folder_id: FolderId,
    /// Whether what is in it goes with it; else it must be empty.
    pub recursive: bool,
}

impl CallerOperation for Delete {
    type Found = Found;
    type Output = ();

    fn statements(&self) -> Vec<Statement> {
        // ?1 caller, ?2 folder.
        const EMPTY: &str = "
            UPDATE folders SET deleted_at = c.now
            FROM caller_rights c
            WHERE c.request = ?1
              AND c.auth_error IS NULL
              AND folders.id = ?2 AND folders.org_id = c.org_id AND folders.deleted_at IS NULL
              AND NOT EXISTS (
                SELECT 1 FROM folders f INDEXED BY folders_by_parent_and_creation
                WHERE f.org_id = c.org_id AND f.parent_id = ?2 AND f.deleted_at IS NULL)
              AND NOT EXISTS (
                SELECT 1 FROM assets a INDEXED BY assets_by_folder_and_creation
                WHERE a.org_id = c.org_id AND a.folder_id = ?2 AND a.deleted_at IS NULL)";
        // ?1 caller, ?2 folder, ?3 how many folders and assets may be beneath it. The tree is read no further than tells
        // that there are more.
        const FOLDER: &str = "
            UPDATE folders SET deleted_at = c.now
            FROM caller_rights c
            WHERE c.request = ?1
              AND c.auth_error IS NULL
              AND folders.id = ?2 AND folders.org_id = c.org_id AND folders.deleted_at IS NULL
              AND (
                WITH RECURSIVE tree (id) AS (
                  SELECT ?2
                  UNION ALL
                  SELECT f.id
                  FROM tree t
                  CROSS JOIN folders f INDEXED BY folders_by_parent_and_creation
                    ON f.org_id = c.org_id AND f.parent_id = t.id AND f.deleted_at IS NULL
                  LIMIT ?3 + 2)
                SELECT (SELECT count(*) - 1 FROM tree) + (SELECT count(*) FROM (
                  SELECT 1
                  FROM tree
                  CROSS JOIN assets a INDEXED BY assets_by_folder_and_creation
                    ON a.org_id = c.org_id AND a.folder_id = tree.id AND a.deleted_at IS NULL
                  LIMIT ?3 + 1))) <= ?3";
        // ?1 caller, ?2 folder: that has been deleted by now, or the tree is empty. Its rows are found by their ids, and not
        // by comparing all rows with it.
        const ASSETS: &str = "
            UPDATE assets SET deleted_at = c.now, deleted_by = c.user_id, deleted_with = ?2,
              event_at = max(c.now, ifnull(event_at, 0) + 1)
            FROM caller_rights c
            WHERE c.request = ?1
              AND c.auth_error IS NULL
              AND assets.org_id = c.org_id AND assets.id IN (
                WITH RECURSIVE tree (id, org_id) AS (
                  SELECT d.id, d.org_id FROM folders d WHERE d.id = ?2 AND d.deleted_at IS NOT NULL
                  UNION ALL
                  SELECT f.id, f.org_id
                  FROM tree t
                  CROSS JOIN folders f INDEXED BY folders_by_parent_and_creation
                    ON f.org_id = t.org_id AND f.parent_id = t.id AND f.deleted_at IS NULL)
                SELECT a.id
                FROM tree
                CROSS JOIN assets a INDEXED BY assets_by_folder_and_creation
                  ON a.org_id = tree.org_id AND a.folder_id = tree.id AND a.deleted_at IS NULL)";
        const FOLDERS: &str = "
            UPDATE folders SET deleted_at = c.now, deleted_with = ?2
            FROM caller_rights c
            WHERE c.request = ?1
              AND c.auth_error IS NULL
              AND folders.org_id = c.org_id AND folders.deleted_at IS NULL AND folders.id IN (
                WITH RECURSIVE tree (id, org_id) AS (
                  SELECT d.id, d.org_id FROM folders d WHERE d.id = ?2 AND d.deleted_at IS NOT NULL
                  UNION ALL
                  SELECT f.id, f.org_id
                  FROM tree t
                  CROSS JOIN folders f INDEXED BY folders_by_parent_and_creation
                    ON f.org_id = t.org_id AND f.parent_id = t.id AND f.deleted_at IS NULL)
                SELECT tree.id FROM tree)";
        const FIND: &str = "
            SELECT json_object('user_id', c.user_id, 'org_id', c.org_id, 'auth_error', c.auth_error,
              'due_webhooks', json(c.due_webhooks), 'found', json(CASE WHEN f.id IS NOT NULL THEN json_object('folder', json(f.json)) END)) AS json
            FROM caller_rights c
            LEFT JOIN folders_json f ON f.id = ?2 AND f.org_id = c.org_id AND c.auth_error IS NULL
            WHERE c.request = ?1";
        let params = vec![self.caller.param(), Param::from(&self.folder_id)];
        let statement = |sql| Statement { sql, params: params.clone() };
        if self.recursive {
            let mut folder = statement(FOLDER);
            folder.params.push(Param::Int(MAX_DELETED.into()));
            vec![folder, statement(ASSETS), statement(FOLDERS), statement(FIND)]
        } else {
            vec![statement(EMPTY), statement(FIND)]
        }
    }

    fn decode(&self, _: AuthorizedCaller, found: Option<Found>) -> Result<(), ApiError> {
        let Found { folder, .. } = found.ok_or(ApiError::FolderNotFound)?;
        match (folder.deleted_at, self.recursive) {
            // Also if it was in the trash before: a client that got no answer repeats the request.
            (Some(_), _) => Ok(()),
            (None, true) => Err(ApiError::FolderTooLarge),
            (None, false) => Err(ApiError::FolderNotEmpty),
        }
    }
}

/// Undoes the deletion that put a folder into the trash: all of it, whichever of its folders is named.
#[derive(Debug, Clone, PartialEq)]
pub struct Restore {
    /// Who restores it.
    pub caller: Caller,
    /// The folder.
    pub folder_id: FolderId,
}

impl CallerOperation for Restore {
    type Found = Found;
    type Output = Folder;

    fn statements(&self) -> Vec<Statement> {
        // ?1 caller, ?2 folder. `x` is the folder, `d` the one that was deleted, and with it `x`. At the top where its
        // parent is gone.
        const DELETED: &str = "
            UPDATE folders
            SET deleted_at = NULL,
              parent_id = (SELECT u.id FROM folders u WHERE u.id = folders.parent_id AND u.deleted_at IS NULL)
            FROM caller_rights c
            CROSS JOIN folders x ON x.id = ?2 AND x.org_id = c.org_id AND x.deleted_at IS NOT NULL
            CROSS JOIN folders d ON d.id = ifnull(x.deleted_with, x.id)
            LEFT JOIN folders u ON u.id = d.parent_id AND u.deleted_at IS NULL
            CROSS JOIN folder_placements p ON p.request = json_array(json_object(
              'org_id', c.org_id, 'id', d.id, 'parent_id', u.id, 'name', d.name, 'moves', 1))
            WHERE c.request = ?1
              AND c.auth_error IS NULL
              AND p.error IS NULL
              AND folders.id = (SELECT ifnull(x.deleted_with, x.id) FROM folders x WHERE x.id = ?2)
              AND folders.id = d.id AND folders.deleted_at IS NOT NULL";
        // What came with it, if it is back by now.
        const ASSETS: &str = "
            UPDATE assets SET deleted_at = NULL, deleted_by = NULL, deleted_with = NULL,
              event_at = max(c.now, ifnull(event_at, 0) + 1)
            FROM caller_rights c
            WHERE c.request = ?1
              AND c.auth_error IS NULL
              AND assets.org_id = c.org_id AND assets.id IN (
                SELECT a.id
                FROM folders x
                CROSS JOIN folders d ON d.id = ifnull(x.deleted_with, x.id) AND d.deleted_at IS NULL
                CROSS JOIN assets a INDEXED BY assets_by_deletion ON a.deleted_with = d.id
                WHERE x.id = ?2)";
        const FOLDERS: &str = "
            UPDATE folders SET deleted_at = NULL, deleted_with = NULL
            FROM caller_rights c
            WHERE c.request = ?1
              AND c.auth_error IS NULL
              AND folders.org_id = c.org_id AND folders.id IN (
                SELECT f.id
                FROM folders x
                CROSS JOIN folders d ON d.id = ifnull(x.deleted_with, x.id) AND d.deleted_at IS NULL
                CROSS JOIN folders f INDEXED BY folders_by_deletion ON f.deleted_with = d.id
                WHERE x.id = ?2)";
        const FIND: &str = "
            SELECT json_object('user_id', c.user_id, 'org_id', c.org_id, 'auth_error', c.auth_error,
              'due_webhooks', json(c.due_webhooks), 'found', json(CASE WHEN x.id IS NOT NULL THEN json_object(
                'folder', json(x.json),
                'error', CASE WHEN x.deleted_at IS NOT NULL THEN (
                  SELECT p.error
                  FROM folders d
                  LEFT JOIN folders u ON u.id = d.parent_id AND u.deleted_at IS NULL
                  CROSS JOIN folder_placements p ON p.request = json_array(json_object(
                    'org_id', d.org_id, 'id', d.id, 'parent_id', u.id, 'name', d.name, 'moves', 1))
                  WHERE d.id = ifnull(x.deleted_with, x.id)) END) END)) AS json
            FROM caller_rights c
            LEFT JOIN folders_json x ON x.id = ?2 AND x.org_id = c.org_id AND c.auth_error IS NULL
            WHERE c.request = ?1";
        let params = vec![self.caller.param(), Param::from(&self.folder_id)];
        [DELETED, ASSETS, FOLDERS, FIND].map(|sql| Statement { sql, params: params.clone() }).into()
    }

    fn decode(&self, _: AuthorizedCaller, found: Option<Found>) -> Result<Folder, ApiError> {
        let Found { folder, error } = found.ok_or(ApiError::FolderNotFound)?;
        error.map_or(Ok(folder), |error| Err(error.at(&["path", "folder_id"])))
    }
}
