//! What goes over the wire: requests in, answers out.

mod request;
mod response;

pub use request::*;
pub use response::*;
