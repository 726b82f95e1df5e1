//! Folders: making, reading, renaming and moving one.

use serde::Deserialize;

use super::rights::{AuthorizedCaller, Caller, CallerOperation};
use super::uploads::{key_error, reused_key};
use super::{Param, Statement};
use crate::domain::folder::{Ancestor, Folder, FolderName};
use crate::domain::ids::{FolderId, RequestId};
use crate::error::{ApiError, FieldError};

/// Why a folder may not be put somewhere: `error` of the view `folder_placements`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum PlacementError {
    ParentNotFound,
    Cycle,
    TooDeep,
    NameTaken,
}

impl PlacementError {
    /// The error of a request that names the parent at `loc`.
    pub(super) fn at(self, loc: &[&str]) -> ApiError {
        match self {
            Self::ParentNotFound => ApiError::FolderNotFound,
            Self::Cycle => ApiError::FolderCycle,
            Self::TooDeep => {
                let msg = "Folders can be at most 32 deep.";
                ApiError::Validation(vec![FieldError::new(loc, "folder_too_deep", msg)])
            }
            Self::NameTaken => ApiError::FolderNameTaken,
        }
    }
}

const PARENT: [&str; 2] = ["body", "parent_id"];

/// Makes a folder.
#[derive(Debug, Clone, PartialEq)]
pub struct Create {
    /// Who makes it.
    pub caller: Caller,
    /// The new folder's id. A repeat with the same Idempotency-Key has the same id.
    pub folder_id: FolderId,
    /// Its name.
    pub name: FolderName,
    /// The folder to put it in.
    pub parent_id: Option<FolderId>,
    /// Shows whether this request or another one made it.
    pub request_id: RequestId,
}

/// A folder that was made.
#[derive(Debug, Clone, PartialEq)]
pub struct Created {
    /// The folder as it is now.
    pub folder: Folder,
    /// Whether an earlier request made it.
    pub existed: bool,
}

/// What [`Create`] finds.
#[derive(Debug, Deserialize)]
pub struct FoundNew {
    folder: Option<Folder>,
    first_name: Option<String>,
    first_parent_id: Option<FolderId>,
    request_id: Option<RequestId>,
    error: Option<PlacementError>,
}

impl CallerOperation for Create {
    type Found = FoundNew;
    type Output = Created;

    fn statements(&self) -> Vec<Statement> {
        // ?1 caller, ?2 folder, ?3 parent or NULL, ?4 name, ?5 request id.
        const INSERT: &str = "
            INSERT INTO folders (id, org_id, parent_id, name, created_by, created_at, updated_at, first_name,
              first_parent_id, request_id)
            SELECT ?2, c.org_id, ?3, ?4, c.user_id, c.now, c.now, ?4, ?3, ?5
            FROM caller_rights c
            CROSS JOIN folder_placements p ON p.request = json_array(json_object(
              'org_id', c.org_id, 'id', ?2, 'parent_id', ?3, 'name', ?4, 'moves', 1))
            WHERE c.request = ?1
              AND c.auth_error IS NULL
              AND p.error IS NULL
            ON CONFLICT (id) DO NOTHING";
        const FIND: &str = "
            SELECT json_object('user_id', c.user_id, 'org_id', c.org_id, 'auth_error', c.auth_error,
              'found', json(CASE WHEN c.auth_error IS NULL THEN json_object(
                'folder', json(f.json), 'first_name', f.first_name, 'first_parent_id', f.first_parent_id,
                'request_id', f.request_id,
                'error', CASE WHEN f.id IS NULL THEN (
                  SELECT p.error FROM folder_placements p WHERE p.request = json_array(json_object(
                    'org_id', c.org_id, 'id', ?2, 'parent_id', ?3, 'name', ?4, 'moves', 1))) END) END)) AS json
            FROM caller_rights c
            LEFT JOIN folders_json f ON f.id = ?2 AND f.org_id = c.org_id AND c.auth_error IS NULL
            WHERE c.request = ?1";
        let mut params = vec![
            self.caller.param(),
            Param::from(&self.folder_id),
            Param::from(self.parent_id.as_ref()),
            Param::from(&self.name.as_str()),
        ];
        let find = Statement { sql: FIND, params: params.clone() };
        params.push(Param::from(&self.request_id));
        vec![Statement { sql: INSERT, params }, find]
    }

    fn decode(&self, _: AuthorizedCaller, found: Option<FoundNew>) -> Result<Created, ApiError> {
        let found = found.ok_or_else(|| ApiError::Internal("a folder without an answer".to_owned()))?;
        let Some(folder) = found.folder else {
            // Without an error the id is taken: only an Idempotency-Key leads to one that is, of another organization,
            // if the caller's default organization has changed.
            let taken = || key_error("This key was used in another organization; use another key.");
            return Err(found.error.map_or_else(taken, |error| error.at(&PARENT)));
        };
        // Written by this very request: now, or by a call before it whose answer was lost.
        if found.request_id == Some(self.request_id) {
            return Ok(Created { folder, existed: false });
        }
        if found.first_name.as_deref() != Some(self.name.as_str()) || found.first_parent_id != self.parent_id
        {
            return Err(reused_key());
        }
        if folder.deleted_at.is_some() {
            return Err(ApiError::FolderNotFound);
        }
        Ok(Created { folder, existed: true })
    }
}

/// Reads a folder that is not deleted, with its ancestors.
#[derive(Debug, Clone, PartialEq)]
pub struct Read {
    /// Who asks.
    pub caller: Caller,
    /// The folder.
    pub folder_id: FolderId,
}

/// What [`Read`] finds.
#[derive(Debug, Deserialize)]
pub struct FoundPath {
    folder: Folder,
    /// Innermost first.
    path: Vec<Ancestor>,
}

impl CallerOperation for Read {
    type Found = FoundPath;
    /// The folder, and its ancestors, outermost first.
    type Output = (Folder, Vec<Ancestor>);

    fn statements(&self) -> Vec<Statement> {
        // ?1 caller, ?2 folder.
        const SQL: &str = "
            SELECT json_object('user_id', c.user_id, 'org_id', c.org_id, 'auth_error', c.auth_error,
              'found', json(CASE WHEN f.id IS NOT NULL THEN json_object(
                'folder', json(f.json),
                'path', json((
                  WITH RECURSIVE up (id, name, parent_id, level) AS (
                    SELECT p.id, p.name, p.parent_id, 1 FROM folders p WHERE p.id = f.parent_id
                    UNION ALL
                    SELECT p.id, p.name, p.parent_id, u.level + 1
                    FROM up u
                    CROSS JOIN folders p ON p.id = u.parent_id
                    WHERE u.level <= 32)
                  SELECT json_group_array(json_object('id', up.id, 'name', up.name)) FROM up))) END)) AS json
            FROM caller_rights c
            LEFT JOIN folders_json f
              ON f.id = ?2 AND f.org_id = c.org_id AND f.deleted_at IS NULL AND c.auth_error IS NULL
            WHERE c.request = ?1";
        vec![Statement { sql: SQL, params: vec![self.caller.param(), Param::from(&self.folder_id)] }]
    }

    fn decode(&self, _: AuthorizedCaller, found: Option<FoundPath>) -> Result<Self::Output, ApiError> {
        let FoundPath { folder, mut path } = found.ok_or(ApiError::FolderNotFound)?;
        path.reverse();
        Ok((folder, path))
    }
}

/// Renames a folder, or moves it. Where nothing changes nothing is written.
#[derive(Debug, Clone, PartialEq)]
pub struct Update {
    /// Who changes it.
    pub caller: Caller,
    /// The folder.
    pub folder_id: FolderId,
    /// Its new name.
    pub name: Option<FolderName>,
    /// The folder to put it in; `Some(None)` puts it at the top.
    pub parent_id: Option<Option<FolderId>>,
}

/// What [`Update`] finds.
#[derive(Debug, Deserialize)]
pub struct FoundChanged {
    folder: Folder,
    /// Why it was not changed.
    error: Option<PlacementError>,
}

impl CallerOperation for Update {
    type Found = FoundChanged;
    type Output = Folder;

    fn statements(&self) -> Vec<Statement> {
        // ?1 caller, ?2 folder, ?3 parent or NULL, ?4 1 where the parent changes, ?5 name or NULL.
        const UPDATE: &str = "
            UPDATE folders
            SET name = ifnull(?5, folders.name), parent_id = CASE WHEN ?4 THEN ?3 ELSE folders.parent_id END,
              updated_at = c.now
            FROM caller_rights c
            CROSS JOIN folders f ON f.id = ?2 AND f.org_id = c.org_id AND f.deleted_at IS NULL
            CROSS JOIN folder_placements p ON p.request = json_array(json_object(
              'org_id', c.org_id, 'id', f.id, 'parent_id', CASE WHEN ?4 THEN ?3 ELSE f.parent_id END,
              'name', ifnull(?5, f.name), 'moves', ?4))
            WHERE c.request = ?1
              AND c.auth_error IS NULL
              AND (f.name <> ?5 COLLATE BINARY OR (?4 AND f.parent_id IS NOT ?3))
              AND p.error IS NULL
              AND folders.id = f.id";
        // It was changed if it is now as it was to become.
        const FIND: &str = "
            SELECT json_object('user_id', c.user_id, 'org_id', c.org_id, 'auth_error', c.auth_error,
              'found', json(CASE WHEN f.id IS NOT NULL THEN json_object(
                'folder', json(f.json),
                'error', CASE
                  WHEN f.name <> ?5 COLLATE BINARY OR (?4 AND f.parent_id IS NOT ?3) THEN (
                    SELECT p.error FROM folder_placements p WHERE p.request = json_array(json_object(
                      'org_id', c.org_id, 'id', f.id, 'parent_id', CASE WHEN ?4 THEN ?3 ELSE f.parent_id END,
                      'name', ifnull(?5, f.name), 'moves', ?4))) END) END)) AS json
            FROM caller_rights c
            LEFT JOIN folders_json f
              ON f.id = ?2 AND f.org_id = c.org_id AND f.deleted_at IS NULL AND c.auth_error IS NULL
            WHERE c.request = ?1";
        let params = vec![
            self.caller.param(),
            Param::from(&self.folder_id),
            Param::from(self.parent_id.flatten().as_ref()),
            Param::Int(self.parent_id.is_some().into()),
            self.name.as_ref().map_or(Param::Null, |name| Param::from(&name.as_str())),
        ];
        vec![Statement { sql: UPDATE, params: params.clone() }, Statement { sql: FIND, params }]
    }

    fn decode(&self, _: AuthorizedCaller, found: Option<FoundChanged>) -> Result<Folder, ApiError> {
        let FoundChanged { folder, error } = found.ok_or(ApiError::FolderNotFound)?;
        error.map_or(Ok(folder), |error| Err(error.at(&PARENT)))
    }
}
