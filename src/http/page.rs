//! Lists over HTTP: the parameters that all of them take, and their cursors.
//!
//! A cursor is lower-case hexadecimal digits: the CRC-32 (IEEE) of what it is bound to and of its payload, 4 bytes, then
//! the payload, JSON: `[organization id, row's id, whether it lies above the row, row's sort value]`. It is no secret and
//! gives no right. The checksum is there to tell a client that it mixed cursors up.

use crc::{CRC_32_ISO_HDLC, Crc, NoTable};
use serde::Serialize;

use super::fields::FieldErrors;
use super::projection::{Fields, Item};
use super::query::Query;
use crate::domain::ids::OrganizationId;
use crate::domain::page::{Page, PageRequest, Position, Sort, SortBy, SortKey};
use crate::error::{ApiError, FieldError};
use crate::hex;

/// Rows of a page, unless the request says otherwise.
pub const DEFAULT_LIMIT: u32 = 50;
/// Rows of a page at most.
pub const MAX_LIMIT: u32 = 500;
/// The parameters that every list takes.
const SHARED: [&str; 6] = ["limit", "pq", "from_prev", "sort_by", "fields", "embed"];

/// What a request asks of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct ListQuery {
    /// Rows and their order.
    pub page: PageRequest,
    /// The organization that the cursor was made for.
    pub organization: Option<OrganizationId>,
    /// What of each item is answered.
    pub fields: Fields,
    /// What cursors are bound to, beside the organization: the list, its order and its filters.
    binding: String,
}

impl ListQuery {
    /// Reads the parameters that every list takes. `list` is its name, `default` its order unless the request says
    /// otherwise. All of its own parameters must have been read.
    pub fn parse<T: Item>(list: &str, default: Sort, mut query: Query, errors: &mut FieldErrors) -> Self {
        let fields = Fields::parse::<T>(&mut query, errors);
        Self::parse_rest(list, T::SORTED_BY, default, query, fields, errors)
    }

    /// Not generic over the item, so that the Worker has this code once.
    fn parse_rest(
        list: &str,
        sorted_by: &[SortBy],
        default: Sort,
        mut query: Query,
        fields: Fields,
        errors: &mut FieldErrors,
    ) -> Self {
        let limit = query.optional("limit", errors, parse_limit).unwrap_or(DEFAULT_LIMIT);
        let backward = query.flag("from_prev", errors);
        let sort = query.optional("sort_by", errors, |text| parse_sort(text, sorted_by)).unwrap_or(default);
        let order = if sort.descending { "desc" } else { "asc" };
        let filters = query.filters(&SHARED);
        let binding = format!("{list}\n{}:{order}\n{filters}", sort.by.as_str());
        let cursor = query.optional("pq", errors, |text| {
            decode(text, &binding, sort.by).ok_or_else(FieldError::wrong_cursor)
        });
        query.finish(errors);
        let (organization, from) = cursor.unzip();
        Self { page: PageRequest { sort, limit, from, backward }, organization, fields, binding }
    }

    /// The answer that holds a page's items as they are shown.
    ///
    /// # Errors
    /// `Validation` when the cursor was made for another organization than the one that the request acts in.
    pub fn answer<T, I>(
        &self,
        org: OrganizationId,
        page: &Page<T>,
        items: Vec<I>,
    ) -> Result<PageResponse<I>, ApiError> {
        if self.organization.is_some_and(|organization| organization != org) {
            return Err(ApiError::Validation(vec![FieldError::wrong_cursor()]));
        }
        let cursor = |position: &Option<Position>| Some(encode(&self.binding, org, position.as_ref()?));
        Ok(PageResponse { items, next_pq: cursor(&page.next), prev_pq: cursor(&page.prev) })
    }
}

/// A cursor as openapi.json shows one.
#[cfg(not(target_arch = "wasm32"))]
pub const EXAMPLE_CURSOR: &str =
    "5d0c5d0c5b2230313866346432612d313164302d376335322d386233652d356630633964376136653431225d";

/// A page of a list.
#[derive(Debug, Serialize)]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema), schemars(rename = "{I}Page"))]
pub struct PageResponse<I> {
    /// The items, in the list's order. A page may hold fewer than `limit` although more follow.
    items: Vec<I>,
    /// The cursor of the next page, for `pq`; null where nothing follows.
    #[cfg_attr(not(target_arch = "wasm32"), schemars(example = EXAMPLE_CURSOR))]
    next_pq: Option<String>,
    /// The cursor of the page before, for `pq` with `from_prev=true`; null where nothing precedes.
    #[cfg_attr(not(target_arch = "wasm32"), schemars(example = EXAMPLE_CURSOR))]
    prev_pq: Option<String>,
}

fn parse_limit(text: &str) -> Result<u32, FieldError> {
    let number = Some(text).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    number.and_then(|text| text.parse().ok()).filter(|limit| (1..=MAX_LIMIT).contains(limit)).ok_or_else(
        || {
            let msg = format!("Must be a whole number from 1 to {MAX_LIMIT}.");
            FieldError::new(&["query", "limit"], "limit", msg)
        },
    )
}

fn parse_sort(text: &str, sorted_by: &[SortBy]) -> Result<Sort, FieldError> {
    let found = text.split_once(':').and_then(|(field, order)| {
        let by = sorted_by.iter().copied().find(|by| by.as_str() == field)?;
        let descending = match order {
            "asc" => false,
            "desc" => true,
            _ => return None,
        };
        Some(Sort { by, descending })
    });
    found.ok_or_else(|| {
        let orders = sorted_by.iter().map(|by| format!("{0}:asc, {0}:desc", by.as_str()));
        let msg = format!("Must be one of {}.", orders.collect::<Vec<_>>().join(", "));
        FieldError::new(&["query", "sort_by"], "enum", msg)
    })
}

impl FieldError {
    /// Of a cursor that is none, or another list's.
    pub fn wrong_cursor() -> Self {
        let msg = "Must be next_pq or prev_pq of an answer to the same list, with the same sort_by, filters and organization.";
        Self::new(&["query", "pq"], "cursor", msg)
    }
}

fn checksum(binding: &str, payload: &[u8]) -> [u8; 4] {
    const CRC32: Crc<u32, NoTable> = Crc::<u32, NoTable>::new(&CRC_32_ISO_HDLC);
    let mut digest = CRC32.digest();
    digest.update(binding.as_bytes());
    digest.update(payload);
    digest.finalize().to_be_bytes()
}

fn encode(binding: &str, org: OrganizationId, position: &Position) -> String {
    // Texts, numbers and bools cannot fail to serialize.
    let payload = serde_json::to_vec(&(org, &position.id, position.above, &position.key)).unwrap_or_default();
    hex::hex(&checksum(binding, &payload)) + &hex::hex(&payload)
}

fn decode(text: &str, binding: &str, by: SortBy) -> Option<(OrganizationId, Position)> {
    let bytes = hex::parse(text)?;
    let (check, payload) = bytes.split_at_checked(4)?;
    if check != checksum(binding, payload) {
        return None;
    }
    let (org, id, above, key) = serde_json::from_slice(payload).ok()?;
    let fits = matches!((by, &key), (SortBy::CreatedAt, SortKey::Time(_)) | (SortBy::Name, SortKey::Text(_)));
    fits.then_some((org, Position { key, id, above }))
}
