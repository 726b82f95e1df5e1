//! Assets: reading one.

use serde::Deserialize;

use super::rights::{AuthorizedCaller, Caller, CallerOperation};
use super::{Param, Statement};
use crate::domain::asset::{Asset, User};
use crate::domain::ids::AssetId;
use crate::error::ApiError;

/// Reads an asset that is not deleted.
#[derive(Debug, Clone, PartialEq)]
pub struct Read {
    /// Who asks.
    pub caller: Caller,
    /// The asset.
    pub asset_id: AssetId,
}

/// What [`Read`] finds.
#[derive(Debug, Deserialize)]
pub struct Found {
    asset: Asset,
    created_by_user: User,
}

impl CallerOperation for Read {
    type Found = Found;
    type Output = (Asset, User);

    fn statements(&self) -> Vec<Statement> {
        // ?1 caller, ?2 asset.
        const SQL: &str = "
            SELECT json_object('user_id', c.user_id, 'org_id', c.org_id, 'auth_error', c.auth_error,
              'found', json(CASE WHEN a.id IS NOT NULL THEN json_object(
                'asset', json(a.json), 'created_by_user', json(w.json)) END)) AS json
            FROM caller_rights c
            LEFT JOIN assets_json a
              ON a.id = ?2 AND a.org_id = c.org_id AND a.deleted_at IS NULL AND c.auth_error IS NULL
            LEFT JOIN users_json w ON w.id = a.created_by
            WHERE c.request = ?1";
        vec![Statement { sql: SQL, params: vec![self.caller.param(), Param::from(&self.asset_id)] }]
    }

    fn decode(&self, _: AuthorizedCaller, found: Option<Found>) -> Result<(Asset, User), ApiError> {
        found.map(|found| (found.asset, found.created_by_user)).ok_or(ApiError::AssetNotFound)
    }
}
