//! Lists of folders.

use super::page::{self, Bounds, page_sql};
use super::rights::{AuthorizedCaller, Caller, CallerOperation};
use super::{Param, Statement};
use crate::domain::folder::Folder;
use crate::domain::ids::{FolderId, OrganizationId};
use crate::domain::page::{Page, PageRequest, SortBy};
use crate::error::ApiError;

/// Which folders a list has: those to which all of it applies.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Filter {
    /// In this folder; at the top, for `Some(None)`.
    pub parent: Option<Option<FolderId>>,
    /// Those in the trash; else those that are not.
    pub deleted: bool,
}

/// Reads one page.
#[derive(Debug, Clone, PartialEq)]
pub struct List<'a> {
    /// Who asks.
    pub caller: Caller,
    /// Which folders.
    pub filter: &'a Filter,
    /// Which of them, in which order.
    pub page: &'a PageRequest,
}

// ?16 parent or '', NULL where it does not matter or the index has it.
macro_rules! folders_sql {
    ($index:literal, $key:literal, $ascending:expr) => {
        page_sql!("folders_json", $index, "(?16 IS NULL OR ifnull(t.parent_id, '') = ?16)", $key, $ascending)
    };
}

/// The indexes that a page can be read from.
#[derive(Clone, Copy)]
enum Index {
    All,
    Parent,
    Trash,
}

fn sql(index: Index, by: SortBy, ascending: bool) -> &'static str {
    match (index, by) {
        (Index::All, SortBy::CreatedAt) => {
            folders_sql!("t.deleted_at IS NULL", "created_at", ascending)
        }
        (Index::All, SortBy::Name) => {
            folders_sql!("t.deleted_at IS NULL", "name", ascending)
        }
        (Index::Parent, SortBy::CreatedAt) => {
            folders_sql!(
                "likelihood(t.parent_id IS ?2, 0.0001) AND t.deleted_at IS NULL",
                "created_at",
                ascending
            )
        }
        (Index::Parent, SortBy::Name) => {
            folders_sql!("likelihood(t.parent_id IS ?2, 0.0001) AND t.deleted_at IS NULL", "name", ascending)
        }
        (Index::Trash, SortBy::CreatedAt) => {
            folders_sql!("t.deleted_at IS NOT NULL", "created_at", ascending)
        }
        (Index::Trash, SortBy::Name) => {
            folders_sql!("t.deleted_at IS NOT NULL", "name", ascending)
        }
    }
}

impl CallerOperation for List<'_> {
    type Found = page::Found<Folder>;
    /// The organization, and the page.
    type Output = (OrganizationId, Page<Folder>);

    fn statements(&self) -> Vec<Statement> {
        let Filter { parent, deleted } = self.filter;
        let (index, filter) = match (deleted, parent) {
            (true, Some(parent)) => {
                (Index::Trash, Param::Text(parent.map(|id| id.to_string()).unwrap_or_default()))
            }
            (true, None) => (Index::Trash, Param::Null),
            (false, Some(_)) => (Index::Parent, Param::Null),
            (false, None) => (Index::All, Param::Null),
        };
        let indexed = Param::from(parent.flatten().as_ref());
        let filtered = filter != Param::Null;
        let bounds = Bounds::default();
        let mut params = page::params(&self.caller, indexed, &bounds, self.page, filtered, false);
        params.push(filter);
        vec![Statement { sql: sql(index, self.page.sort.by, self.page.reads_ascending()), params }]
    }

    fn decode(&self, caller: AuthorizedCaller, found: Option<Self::Found>) -> Result<Self::Output, ApiError> {
        let found = found.ok_or_else(|| ApiError::Internal("a list without a page".to_owned()))?;
        let by = self.page.sort.by;
        let place = |folder: &Folder| (by.key(folder.created_at, &folder.name), folder.id.to_string());
        let (page, _) = found.page(self.page, place);
        Ok((caller.organization()?, page))
    }
}
