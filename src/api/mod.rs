//! The table of endpoints, and what follows from it.

pub mod answer;
pub mod api_keys;
pub mod asset_list;
pub mod asset_response;
pub mod asset_types;
pub mod asset_uploads;
pub mod assets;
pub mod confirmation_batch;
pub mod confirmations;
pub mod context;
pub mod endpoint;
pub mod folder_list;
pub mod folder_trash;
pub mod folders;
pub mod health;
mod lists;
pub mod me;
pub mod multipart;
pub mod started_upload;
pub mod webhook_deliveries;
pub mod webhook_secrets;
pub mod webhook_types;
pub mod webhooks;

use crate::error::ApiError;
use crate::http::reply::Reply;
use crate::http::request::IncomingRequest;
use crate::http::route::{PathParams, Route};
use crate::platform::Platform;
use context::RequestContext;
use endpoint::{Description, Endpoint, Visitor, serve, serve_public};

/// Makes from the table: the routes, their descriptions for openapi.json, and the dispatch of a request.
macro_rules! endpoints {
    ($($serve:ident $endpoint:ty,)*) => {
        /// The routes of all endpoints, in the order of the table.
        pub const ROUTES: &[Route] = &[$(<$endpoint as Endpoint>::ROUTE),*];

        /// The descriptions of all endpoints, in the same order.
        pub fn descriptions() -> Vec<Description> {
            vec![$(Description::of::<$endpoint>()),*]
        }

        /// Visits all endpoints as types, in the same order.
        pub fn visit(visitor: &mut impl Visitor) {
            $(visitor.visit::<$endpoint>();)*
        }

        async fn serve_endpoint<P: Platform>(
            place: usize,
            cx: &RequestContext<'_, P>,
            request: &impl IncomingRequest,
            path: PathParams<'_>,
        ) -> Result<Reply, ApiError> {
            let mut places = 0..;
            $(if places.next() == Some(place) {
                return $serve::<$endpoint, P>(cx, request, path).await;
            })*
            Err(ApiError::NotFound)
        }
    };
}

endpoints! {
    serve_public health::Health,
    serve_public health::Ready,
    serve me::Read,
    serve api_keys::List,
    serve api_keys::Create,
    serve api_keys::Revoke,
    serve asset_uploads::Create,
    serve asset_uploads::Read,
    serve asset_uploads::Cancel,
    serve multipart::SignParts,
    serve multipart::Complete,
    serve confirmations::Confirm,
    serve confirmation_batch::ConfirmBatch,
    serve asset_list::List,
    serve asset_types::Types,
    serve asset_types::SourceTypes,
    serve assets::Read,
    serve assets::Update,
    serve assets::Delete,
    serve assets::Restore,
    serve folder_list::List,
    serve folders::Create,
    serve folders::Read,
    serve folders::Update,
    serve folder_trash::Delete,
    serve folder_trash::Restore,
    serve webhooks::List,
    serve webhooks::Create,
    serve webhook_types::EventTypes,
    serve webhooks::Read,
    serve webhooks::Update,
    serve webhooks::Delete,
    serve webhook_secrets::Rotate,
    serve webhook_deliveries::Test,
    serve webhook_deliveries::List,
    serve webhook_deliveries::Read,
    serve webhook_deliveries::Redeliver,
}
