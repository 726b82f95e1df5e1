//! What all endpoints share: requests in, routes, JSON fields and their errors, replies out.

pub mod fields;
pub mod reply;
pub mod request;
pub mod route;
pub mod schema;
