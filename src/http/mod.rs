//! What all endpoints share: requests in, routes, JSON fields, queries and their errors, pages and replies out.

pub mod fields;
pub mod page;
pub mod projection;
pub mod query;
pub mod reply;
pub mod request;
pub mod route;
pub mod schema;
