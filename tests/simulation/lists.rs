//! Lists: what a page must hold, and what a whole walk must have shown.

use asset_uploads::error::ErrorCode;

use crate::model::{Finding, LastChanges, Model};
use crate::rules::Found;

/// Which rows a list has.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Filter {
    /// Those that are not deleted.
    Live,
    /// In this folder, or in none.
    In(Option<String>),
    Trash,
    /// In the trash, and in this folder, or in none.
    TrashOf(Option<String>),
    /// Of this `asset_type`.
    Type(&'static str),
    /// Of a media type that begins so.
    Mime(&'static str),
    /// With a name that begins so.
    Prefix(&'static str),
}

/// A list, and its order.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ListOf {
    /// Of assets; else of folders.
    pub(crate) assets: bool,
    pub(crate) filter: Filter,
    /// Else by `created_at`.
    pub(crate) by_name: bool,
    pub(crate) descending: bool,
}

/// What a request asks of a list.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ListRequest {
    pub(crate) of: ListOf,
    pub(crate) limit: usize,
    pub(crate) backward: bool,
    pub(crate) cursor: Option<Cursor>,
    /// Whether the cursor is another list's.
    pub(crate) malformed: bool,
}

/// A value that a list is sorted by, as it compares.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Key {
    Time(i64),
    Name(String),
}

/// A position: directly beside a row, as values ascend.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Position {
    row: (Key, String),
    /// Whether it lies above the row.
    above: bool,
}

/// A cursor that a client has been given.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Cursor {
    pub(crate) text: String,
    pub(crate) of: ListOf,
    /// Of the page that it comes with.
    pub(crate) limit: usize,
    pub(crate) org: usize,
    pub(crate) position: Position,
    /// Whether it is `prev_pq`.
    pub(crate) backward: bool,
    /// What the walk has shown that leads here; none where it did not begin at an end of the list.
    pub(crate) walk: Option<Walk>,
}

/// The pages of a walk so far.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Walk {
    /// The step in which it began.
    pub(crate) began: u64,
    /// Ids, in the order in which they were shown.
    pub(crate) shown: Vec<String>,
    pub(crate) pages: u64,
}

/// What a page must hold.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PageModel {
    pub(crate) org: usize,
    pub(crate) ids: Vec<String>,
    pub(crate) next: Option<Position>,
    pub(crate) prev: Option<Position>,
    /// When it was read.
    pub(crate) step: u64,
    /// What has been in the list since the walk began, and has kept everything that counts.
    pub(crate) stayed: Vec<String>,
}

impl ListRequest {
    /// Its path and its query.
    pub(crate) fn path(&self) -> String {
        let ListOf { assets, filter, by_name, descending } = &self.of;
        let or_none = |id: &Option<String>| id.clone().unwrap_or_else(|| "none".to_owned());
        let place = if *assets { "folder_id" } else { "parent_id" };
        let filter = match filter {
            Filter::Live => String::new(),
            Filter::In(id) => format!("&{place}={}", or_none(id)),
            Filter::Trash => "&deleted=true".to_owned(),
            Filter::TrashOf(id) => format!("&deleted=true&{place}={}", or_none(id)),
            Filter::Type(kind) => format!("&asset_type={kind}"),
            Filter::Mime(prefix) => format!("&mime_type={prefix}*"),
            Filter::Prefix(prefix) => format!("&name_prefix={prefix}"),
        };
        format!(
            "/v1/{}?limit={}&sort_by={}:{}{filter}{}{}",
            if *assets { "assets" } else { "asset-folders" },
            self.limit,
            if *by_name { "name" } else { "created_at" },
            if *descending { "desc" } else { "asc" },
            if self.backward { "&from_prev=true" } else { "" },
            self.cursor.as_ref().map(|cursor| format!("&pq={}", cursor.text)).unwrap_or_default(),
        )
    }

    /// The walk that the page goes on with.
    pub(crate) fn walk(&self, page: &PageModel) -> Option<Walk> {
        match &self.cursor {
            None => Some(Walk { began: page.step, shown: Vec::new(), pages: 0 }),
            Some(cursor) if cursor.backward == self.backward => cursor.walk.clone(),
            Some(_) => None,
        }
    }
}

/// What of a row counts for lists.
struct Row<'a> {
    place: &'a Option<String>,
    name: &'a str,
    mime_type: &'a str,
    deleted: bool,
}

impl ListOf {
    fn has(&self, row: &Row<'_>) -> bool {
        let begins = |text: &str, prefix: &str| text.to_ascii_lowercase().starts_with(prefix);
        match &self.filter {
            Filter::Live => !row.deleted,
            Filter::In(place) => !row.deleted && row.place == place,
            Filter::Trash => row.deleted,
            Filter::TrashOf(place) => row.deleted && row.place == place,
            Filter::Type(kind) => !row.deleted && row.mime_type.split('/').next() == Some(kind),
            Filter::Mime(prefix) => !row.deleted && begins(row.mime_type, prefix),
            Filter::Prefix(prefix) => !row.deleted && begins(row.name, prefix),
        }
    }

    /// Whether nothing that counts here has changed since a step.
    fn kept(&self, changes: LastChanges, since: u64) -> bool {
        changes.trash <= since
            && (changes.place <= since || !matches!(self.filter, Filter::In(_) | Filter::TrashOf(_)))
            && (changes.name <= since || !self.by_name && !matches!(self.filter, Filter::Prefix(_)))
    }
}

impl Model {
    /// The rows of a list, as values ascend.
    fn rows(&self, of: &ListOf, org: usize) -> Vec<(Key, String)> {
        let key = |name: &str, created_at: i64| {
            if of.by_name { Key::Name(name.to_ascii_lowercase()) } else { Key::Time(created_at) }
        };
        let mut rows: Vec<(Key, String)> = if of.assets {
            let rows = self.assets.iter().filter(|(_, asset)| asset.org == org).map(|(id, asset)| {
                let row = Row {
                    place: &asset.folder,
                    name: asset.name,
                    mime_type: &asset.mime_type,
                    deleted: asset.deleted.is_some(),
                };
                (row, key(asset.name, asset.created_at.0), id)
            });
            rows.filter(|(row, ..)| of.has(row)).map(|(_, key, id)| (key, id.clone())).collect()
        } else {
            let rows = self.folders.iter().filter(|(_, folder)| folder.org == org).map(|(id, folder)| {
                let deleted = folder.deleted_at.is_some();
                let row = Row { place: &folder.parent, name: folder.name, mime_type: "", deleted };
                (row, key(folder.name, folder.created_at.0), id)
            });
            rows.filter(|(row, ..)| of.has(row)).map(|(_, key, id)| (key, id.clone())).collect()
        };
        rows.sort();
        rows
    }

    pub(crate) fn list(&self, list: &ListRequest, org: usize) -> Found {
        let ListRequest { of, limit, backward, cursor, .. } = list;
        if cursor.as_ref().is_some_and(|cursor| cursor.org != org) {
            return Err(ErrorCode::ValidationError);
        }
        let mut rows = self.rows(of, org);
        let began =
            cursor.as_ref().map_or(self.step, |cursor| cursor.walk.as_ref().map_or(0, |walk| walk.began));
        let kept = |id: &str| self.changed.get(id).is_none_or(|changes| of.kept(*changes, began));
        let stayed = rows.iter().map(|(_, id)| id.clone()).filter(|id| kept(id)).collect();
        if of.descending {
            rows.reverse();
        }
        // How many rows come before the position in the list's order.
        let before = cursor.as_ref().map(|Cursor { position: Position { row, above }, .. }| {
            let is_before = |other: &&(Key, String)| match (*other).cmp(row) {
                std::cmp::Ordering::Equal => *above != of.descending,
                order => (order == std::cmp::Ordering::Less) != of.descending,
            };
            rows.iter().filter(is_before).count()
        });
        let (from, to) = if *backward {
            let to = before.unwrap_or(rows.len());
            (to.saturating_sub(*limit), to)
        } else {
            let from = before.unwrap_or(0);
            (from, rows.len().min(from + limit))
        };
        // The client's own position where the page is empty.
        let beside = |row: Option<&(Key, String)>, after: bool| {
            let own = || cursor.as_ref().map(|cursor| cursor.position.clone());
            row.map(|row| Position { row: row.clone(), above: after != of.descending }).or_else(own)
        };
        let page = rows.get(from..to).unwrap_or_default();
        let next = if to < rows.len() { beside(page.last(), true) } else { None };
        let prev = if from > 0 { beside(page.first(), false) } else { None };
        let ids = page.iter().map(|(_, id)| id.clone()).collect();
        Ok((Finding::Page(PageModel { org, ids, next, prev, step: self.step, stayed }), Vec::new()))
    }
}
