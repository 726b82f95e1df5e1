//! Handlers of assets.

use super::exchange::Exchange;
use crate::config::Config;
use crate::error::ApiError;
use crate::store::assets::Read;
use crate::store::rights::Permission;
use crate::wire::{AssetResponse, ItemRequest, Reply};

/// `GET /v1/assets/{asset_id}`: one D1 transaction.
pub(super) async fn read(exchange: &Exchange, config: &Config, id: &str) -> Result<Reply, ApiError> {
    let token = exchange.token()?;
    let head = exchange.head()?;
    let request = match ItemRequest::parse("asset_id", id, &head, &exchange.query) {
        Ok(request) => request,
        Err(fault) => return Err(exchange.refuse(token, Permission::Read, &head, fault).await),
    };
    let caller = exchange.caller(token, request.organization, Permission::Read);
    let (asset, user) = exchange.run(&Read { caller, asset_id: request.id }).await?;
    let url = config.asset_url(&asset.r2_key, &exchange.origin, exchange.now.get())?;
    Reply::json(200, &AssetResponse::new(&asset, request.embed_user.then_some(&user), url, &config.links))
}
