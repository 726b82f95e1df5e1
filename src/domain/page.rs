//! Pages of a list: its order, positions in it, and which part of it a page is read from.
//!
//! A list is sorted by one field, and where that is equal by id. A position lies between two neighbours of that order,
//! so that it has a meaning whatever is inserted or deleted around it.

use std::fmt;

use serde::Serialize;
use serde::de::{Deserialize, Deserializer, Visitor};

use super::timestamp::Timestamp;

/// What a list is sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SortBy {
    /// `created_at`
    CreatedAt,
    /// `name`, without regard to the case of ASCII letters.
    Name,
}

impl SortBy {
    /// The field's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CreatedAt => "created_at",
            Self::Name => "name",
        }
    }

    /// What a row with these values is sorted by.
    pub fn key(self, created_at: Timestamp, name: &str) -> SortKey {
        match self {
            Self::CreatedAt => SortKey::Time(created_at.0),
            Self::Name => SortKey::Text(name.to_owned()),
        }
    }
}

/// The order of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sort {
    /// The field.
    pub by: SortBy,
    /// Largest first.
    pub descending: bool,
}

/// A value of the field that a list is sorted by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum SortKey {
    /// Milliseconds since the Unix epoch.
    Time(i64),
    /// A name.
    Text(String),
}

// By hand, because the derived one buffers values of every type: 2 KB (gzipped).
impl<'de> Deserialize<'de> for SortKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Key;
        impl Visitor<'_> for Key {
            type Value = SortKey;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a time or a name")
            }

            fn visit_i64<E>(self, ms: i64) -> Result<SortKey, E> {
                Ok(SortKey::Time(ms))
            }

            fn visit_u64<E>(self, ms: u64) -> Result<SortKey, E> {
                Ok(SortKey::Time(i64::try_from(ms).unwrap_or(i64::MAX)))
            }

            fn visit_str<E>(self, text: &str) -> Result<SortKey, E> {
                Ok(SortKey::Text(text.to_owned()))
            }
        }
        deserializer.deserialize_any(Key)
    }
}

/// A position in a list: directly beside the row that has, or had, this value and this id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// The row's value.
    pub key: SortKey,
    /// The row's id.
    pub id: String,
    /// Whether it lies above the row, as values ascend; else below it.
    pub above: bool,
}

/// What a page is to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRequest {
    /// The order.
    pub sort: Sort,
    /// Rows at most.
    pub limit: u32,
    /// Where to begin; `None` for the list's beginning, or its end where the page is read backward.
    pub from: Option<Position>,
    /// Whether the page lies before that position, in the list's order.
    pub backward: bool,
}

/// The rows of a page, in the list's order, and where to read on.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    /// The rows.
    pub items: Vec<T>,
    /// Behind the last row; `None` where nothing follows.
    pub next: Option<Position>,
    /// Before the first row; `None` where nothing precedes.
    pub prev: Option<Position>,
}

/// What was found for a page.
#[derive(Debug, Clone, PartialEq)]
pub struct FoundRows<T> {
    /// The rows in the order in which they were read, one more than the page holds where there are more.
    pub rows: Vec<T>,
    /// The value and the id of the last row that was looked at, where the search ended before the list.
    pub scanned_to: Option<(SortKey, String)>,
    /// Whether there may be rows on the other side of the position that the page began at.
    pub behind: bool,
}

impl PageRequest {
    /// Whether rows are read in ascending order: a page that lies before its position is read backward.
    pub fn reads_ascending(&self) -> bool {
        self.sort.descending == self.backward
    }

    /// Makes a page of what was found; `place` is a row's value and id.
    pub fn page<T>(&self, found: FoundRows<T>, place: impl Fn(&T) -> (SortKey, String)) -> Page<T> {
        let FoundRows { mut rows, scanned_to, behind } = found;
        let ascending = self.reads_ascending();
        let more = rows.len() > self.limit as usize;
        rows.truncate(self.limit as usize);
        let last = if more { rows.last().map(&place) } else { scanned_to };
        let far = last.map(|(key, id)| Position { key, id, above: ascending });
        let first = rows.first().map(&place).map(|(key, id)| Position { key, id, above: !ascending });
        let near = first.or_else(|| self.from.clone()).filter(|_| behind);
        if self.backward {
            rows.reverse();
            Page { items: rows, next: near, prev: far }
        } else {
            Page { items: rows, next: far, prev: near }
        }
    }
}

/// The least text that is greater than every text with this prefix, as SQLite's NOCASE compares them: ASCII letters as
/// lower-case ones, then byte by byte. `None` where no text is.
pub fn prefix_end(prefix: &str) -> Option<String> {
    let mut text = prefix.to_ascii_lowercase();
    while let Some(last) = text.pop() {
        let next = match last {
            // What follows in that order: `A` to `Z` count as `a` to `z`.
            '@' => Some('['),
            '\u{d7ff}' => Some('\u{e000}'),
            _ => char::from_u32(u32::from(last) + 1),
        };
        if let Some(next) = next {
            text.push(next);
            return Some(text);
        }
    }
    None
}
