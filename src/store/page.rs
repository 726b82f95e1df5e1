//! Pages of a list as SQL, the same for every list.
//!
//! A page is read from an index that has the list's order, between two positions. What no index answers is checked row
//! by row; then the search ends after [`WINDOW`] rows, and the page may be short.

use serde::Deserialize;

use super::Param;
use super::rights::Caller;
use crate::domain::asset::User;
use crate::domain::page::{FoundRows, Page, PageRequest, SortBy, SortKey};

/// Rows that are looked at for a page where each has to be checked. With their index entries, those that tell where the
/// search ended, and those behind the page, a page reads less than 5,000 rows.
const WINDOW: u32 = 1_100;
/// Rows that are looked at to tell whether a page has something behind it.
const WINDOW_BEHIND: u32 = 500;

/// The statement of a page: one complete text for each index and direction, because SQLite chooses its index by the
/// text. `$view` has the rows and their `json`; `$index` selects what is in the index, where `?2` is the value that the
/// index is filtered by: in `likelihood(.., 0.0001)`, or SQLite may take a narrower index and check all of its rows, which
/// it thinks as cheap. Where `$exists` is given and false there is no such list. `$filter` is checked row by row, with parameters from `?16` on; `$key` is the index's order.
///
/// ?3 and ?4 are the least value and id of the page, ?5 and ?6 the first that are too great, ?7 its rows and one more, ?8
/// the rows to look at, ?9 1 where the filter matters; ?10 to ?13 are as ?3 to ?6 for what lies behind the page, and ?14
/// the rows to look at there; ?15 is 1 where users are to be read: one row for each of the page's, because a list of their
/// ids would be billed as rows, too. A value of NULL is above all others, as x'' is.
#[rustfmt::skip]
macro_rules! page_sql {
    ($view:literal, $index:literal, $filter:literal, $key:literal, $ascending:expr) => {
        page_sql!("true", $view, $index, $filter, $key, $ascending)
    };
    ($exists:literal, $view:literal, $index:literal, $filter:literal, $key:literal, $ascending:expr) => {
        if $ascending {
            page_sql!(@ $exists, $view, $index, $filter, $key, "ASC", "DESC")
        } else {
            page_sql!(@ $exists, $view, $index, $filter, $key, "DESC", "ASC")
        }
    };
    (@ $exists:literal, $view:literal, $index:literal, $filter:literal, $key:literal, $scan:literal, $back:literal) => { concat!(
"SELECT json_object('user_id', c.user_id, 'org_id', c.org_id, 'auth_error', c.auth_error,
  'found', json(CASE WHEN c.auth_error IS NULL AND ", $exists, " THEN (
    SELECT json_object(
      'rows', json(p.rows),
      'users', json(p.users),
      'scanned_to', json(CASE WHEN ?9 AND p.found < ?7 THEN (
        SELECT json_array(t.", $key, ", t.id)
        FROM ", $view, " t
        WHERE t.org_id = c.org_id AND ", $index, "
          AND (t.", $key, ", t.id) >= (?3, ?4) AND (t.", $key, ", t.id) < (ifnull(?5, x''), ?6)
        ORDER BY t.", $key, " ", $scan, ", t.id ", $scan, " LIMIT 1 OFFSET ?8 - 1) END),
      'behind', CASE
        WHEN ?14 = 0 THEN 0
        WHEN EXISTS (
          SELECT 1
          FROM (
            SELECT t.*
            FROM ", $view, " t
            WHERE t.org_id = c.org_id AND ", $index, "
              AND (t.", $key, ", t.id) >= (?10, ?11) AND (t.", $key, ", t.id) < (ifnull(?12, x''), ?13)
            ORDER BY t.", $key, " ", $back, ", t.id ", $back, " LIMIT ?14) t
          WHERE ", $filter, ") THEN 1
        WHEN ?9 THEN EXISTS (
          SELECT 1
          FROM ", $view, " t
          WHERE t.org_id = c.org_id AND ", $index, "
            AND (t.", $key, ", t.id) >= (?10, ?11) AND (t.", $key, ", t.id) < (ifnull(?12, x''), ?13)
          ORDER BY t.", $key, " ", $back, ", t.id ", $back, " LIMIT 1 OFFSET ?14 - 1)
        ELSE 0 END)
    FROM (
      SELECT json_group_array(json(t.json)) AS rows, count(*) AS found,
        '[' || group_concat(DISTINCT t.user) || ']' AS users
      FROM (
        SELECT t.json,
          CASE WHEN ?15 THEN (SELECT w.json FROM users_json w WHERE w.id = t.created_by) END AS user
        FROM (
          SELECT t.*
          FROM ", $view, " t
          WHERE t.org_id = c.org_id AND ", $index, "
            AND (t.", $key, ", t.id) >= (?3, ?4) AND (t.", $key, ", t.id) < (ifnull(?5, x''), ?6)
          ORDER BY t.", $key, " ", $scan, ", t.id ", $scan, " LIMIT ?8) t
        WHERE ", $filter, " LIMIT ?7) t) p) END)) AS json
FROM caller_rights c
WHERE c.request = ?1"
    ) };
}
pub(super) use page_sql;

/// Values that a page lies between: from the first of them, to before the second. `None` is no bound.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Bounds {
    /// The least value.
    pub from: Option<SortKey>,
    /// The first value that is too great.
    pub before: Option<SortKey>,
}

/// A value and an id, as SQL compares them.
type Place = (Param, Param);

/// The parameters of [`page_sql`] up to ?15. `filtered` says whether rows have to be checked one by one.
pub fn params(
    caller: &Caller,
    index: Param,
    bounds: &Bounds,
    request: &PageRequest,
    filtered: bool,
    users: bool,
) -> Vec<Param> {
    let least: Place = match (&bounds.from, request.sort.by) {
        (Some(key), _) => (param(key), Param::Text(String::new())),
        (None, SortBy::CreatedAt) => (Param::Int(i64::MIN), Param::Text(String::new())),
        (None, SortBy::Name) => (Param::Text(String::new()), Param::Text(String::new())),
    };
    let too_great: Place = (bounds.before.as_ref().map_or(Param::Null, param), Param::Text(String::new()));
    // A position above a row compares as a text that begins with its id.
    let from = request.from.as_ref().map(|from| {
        let id = if from.above { format!("{}~", from.id) } else { from.id.clone() };
        (param(&from.key), Param::Text(id))
    });
    let rows = request.limit + 1;
    let (window, behind) = if filtered { (WINDOW, WINDOW_BEHIND) } else { (rows, 1) };
    let behind = if from.is_some() { behind } else { 0 };
    let from_or = |place: &Place| from.clone().unwrap_or_else(|| place.clone());
    let (page, other) = if request.reads_ascending() {
        ((from_or(&least), too_great.clone()), (least.clone(), from_or(&least)))
    } else {
        ((least.clone(), from_or(&too_great)), (from_or(&too_great), too_great.clone()))
    };
    let flat = |((a, b), (c, d)): (Place, Place)| [a, b, c, d];
    let mut params = vec![caller.param(), index];
    params.extend(flat(page));
    params.extend([Param::Int(rows.into()), Param::Int(window.into()), Param::Int(filtered.into())]);
    params.extend(flat(other));
    params.extend([Param::Int(behind.into()), Param::Int(users.into())]);
    params
}

fn param(key: &SortKey) -> Param {
    match key {
        SortKey::Time(ms) => Param::Int(*ms),
        SortKey::Text(text) => Param::from(text),
    }
}

/// What the statement of a page finds.
#[derive(Debug, Deserialize)]
pub struct Found<T> {
    rows: Vec<T>,
    scanned_to: Option<(SortKey, String)>,
    behind: u8,
    users: Option<Vec<User>>,
}

impl<T> Found<T> {
    /// The page, and the users where they were asked for.
    pub fn page(
        self,
        request: &PageRequest,
        place: impl Fn(&T) -> (SortKey, String),
    ) -> (Page<T>, Vec<User>) {
        let found = FoundRows { rows: self.rows, scanned_to: self.scanned_to, behind: self.behind != 0 };
        (request.page(found, place), self.users.unwrap_or_default())
    }
}
