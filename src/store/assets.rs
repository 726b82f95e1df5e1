//! Assets: reading one.

use serde::Deserialize;

use super::rights::{Caller, CallerRow, Identity, caller_json, for_caller, judge};
use super::{Operation, Param, Rows, Statement};
use crate::domain::asset::{Asset, User};
use crate::domain::ids::AssetUploadId;
use crate::error::ApiError;

/// SQL of the asset `a` as JSON for [`Asset`], or NULL.
macro_rules! asset_json {
    () => {
        "json(CASE WHEN a.id IS NOT NULL THEN json_object(
           'id', a.id, 'org_id', a.org_id, 'folder_id', a.folder_id, 'name', a.name, 'r2_key', a.r2_key,
           'mime_type', a.mime_type, 'size_bytes', a.size_bytes, 'asset_type', a.asset_type,
           'source_type', a.source_type, 'source_id', a.source_id, 'created_by', a.created_by, 'created_at', a.created_at, 'updated_at', a.updated_at,
           'deleted_at', a.deleted_at, 'deleted_by', a.deleted_by) END)"
    };
}
pub(super) use asset_json;

/// SQL of the user `w` as JSON for [`User`], or NULL.
macro_rules! user_json {
    () => {
        "json(CASE WHEN w.id IS NOT NULL THEN json_object(
           'id', w.id, 'email', w.email, 'first_name', w.first_name, 'last_name', w.last_name,
           'avatar_url', w.avatar_url) END)"
    };
}
pub(super) use user_json;

/// Reads an asset that is not deleted.
#[derive(Debug, Clone, PartialEq)]
pub struct Read {
    /// Who asks.
    pub caller: Caller,
    /// The asset.
    pub asset_id: AssetUploadId,
}

#[derive(Deserialize)]
struct Facts {
    caller: CallerRow,
    asset: Option<Asset>,
    created_by_user: Option<User>,
}

impl Operation for Read {
    type Output = (Asset, User);

    fn statements(&self) -> Vec<Statement> {
        // Beside the caller's ?1 to ?4: ?5 asset.
        const SQL: &str = for_caller!(
            "SELECT json_object(
               'caller', ",
            caller_json!(),
            ", 'asset', ",
            asset_json!(),
            ", 'created_by_user', ",
            user_json!(),
            ") AS json
             FROM caller c
             LEFT JOIN assets a
               ON a.id = ?5 AND a.org_id = c.org_id AND a.deleted_at IS NULL AND c.refusal IS NULL
             LEFT JOIN users w ON w.id = a.created_by"
        );
        let mut params = self.caller.params();
        params.push(Param::from(&self.asset_id));
        vec![Statement { sql: SQL, params }]
    }

    fn decode(&self, rows: &Rows, identity: &mut Identity) -> Result<(Asset, User), ApiError> {
        let facts: Option<Facts> = rows.first(0)?;
        judge(facts.as_ref().map(|facts| facts.caller), identity)?;
        match facts {
            Some(Facts { asset: Some(asset), created_by_user: Some(user), .. }) => Ok((asset, user)),
            _ => Err(ApiError::AssetNotFound),
        }
    }
}
