//! The parameters of a list in openapi.json.

use super::endpoint::{Parameter, Values};
use crate::http::page::{DEFAULT_LIMIT, MAX_LIMIT};

/// `limit`
pub(super) const LIMIT: Parameter = Parameter {
    name: "limit",
    description: "How many items a page holds at most.",
    values: Values::Integer { min: 1, max: MAX_LIMIT as i64, default: Some(DEFAULT_LIMIT as i64) },
};

/// `pq`
pub(super) const CURSOR: Parameter = Parameter {
    name: "pq",
    description: "Where the page begins: `next_pq` or `prev_pq` of an earlier answer to the same list, with the same `sort_by`, filters and organization. Without it, at the list's beginning, or at its end with `from_prev=true`.",
    values: Values::Cursor,
};

/// `from_prev`
pub(super) const FROM_PREV: Parameter = Parameter {
    name: "from_prev",
    description: "Whether the page lies before `pq`, not behind it.",
    values: Values::Bool,
};

/// `sort_by` of lists without names.
pub(super) const NEWEST_OR_OLDEST: Parameter = Parameter {
    name: "sort_by",
    description: "The order; equal values are ordered by id. Unless it is given: `created_at:desc`.",
    values: Values::OneOf(&["created_at:desc", "created_at:asc"]),
};

/// What lists are sorted by.
pub(super) const ORDERS: Values =
    Values::OneOf(&["created_at:desc", "created_at:asc", "name:asc", "name:desc"]);

/// `deleted`
pub(super) const DELETED: Parameter = Parameter {
    name: "deleted",
    description: "Only what is in the trash; else only what is not.",
    values: Values::Bool,
};
