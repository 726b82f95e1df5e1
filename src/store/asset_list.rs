//! Lists of assets.

use super::page::{self, Bounds, page_sql};
use super::rights::{AuthorizedCaller, Caller, CallerOperation};
use super::{Param, Statement};
use crate::domain::asset::{Asset, User};
use crate::domain::ids::{FolderId, OrganizationId, UserId};
use crate::domain::media::{AssetType, MimePattern};
use crate::domain::page::{Page, PageRequest, SortBy, SortKey, prefix_end};
use crate::domain::timestamp::Timestamp;
use crate::error::ApiError;

/// Which assets a list has: those to which all of it applies.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Filter {
    /// In this folder; in none, for `Some(None)`.
    pub folder: Option<Option<FolderId>>,
    /// Of this type.
    pub asset_type: Option<AssetType>,
    /// Of this media type.
    pub mime_type: Option<MimePattern>,
    /// Made by this user.
    pub created_by: Option<UserId>,
    /// Made at this time or later.
    pub created_from: Option<Timestamp>,
    /// Made earlier.
    pub created_before: Option<Timestamp>,
    /// Whose name begins so, without regard to the case of ASCII letters.
    pub name_prefix: Option<String>,
    /// Those in the trash; else those that are not.
    pub deleted: bool,
}

/// Reads one page.
#[derive(Debug, Clone, PartialEq)]
pub struct List<'a> {
    /// Who asks.
    pub caller: Caller,
    /// Which assets.
    pub filter: &'a Filter,
    /// Which of them, in which order.
    pub page: &'a PageRequest,
    /// Whether the users who made them are read, too.
    pub with_users: bool,
}

/// What [`List`] finds.
#[derive(Debug, PartialEq)]
pub struct Listed {
    /// The organization.
    pub org_id: OrganizationId,
    /// The assets.
    pub page: Page<Asset>,
    /// The users who made them, each once, where they were asked for.
    pub users: Vec<User>,
}

// ?16 asset type, ?17 media type, ?18 the beginning of one, ?19 user, ?20 from, ?21 before, ?22 the least name, ?23 the
// first that is too great (NULL: none is), ?24 folder or ''. Each is NULL where it does not matter, or the index has it.
macro_rules! assets_sql {
    ($index:literal, $key:literal, $ascending:expr) => {
        page_sql!(
            "assets_json",
            $index,
            "(?16 IS NULL OR t.asset_type = ?16)
               AND (?17 IS NULL OR t.mime_type = ?17)
               AND (?18 IS NULL OR substr(t.mime_type, 1, length(?18)) = ?18)
               AND (?19 IS NULL OR t.created_by = ?19)
               AND (?20 IS NULL OR t.created_at >= ?20)
               AND (?21 IS NULL OR t.created_at < ?21)
               AND (?22 IS NULL OR t.name >= ?22 AND t.name < ifnull(?23, x''))
               AND (?24 IS NULL OR ifnull(t.folder_id, '') = ?24)",
            $key,
            $ascending
        )
    };
}

/// The indexes that a page can be read from.
#[derive(Clone, Copy)]
enum Index {
    All,
    Folder,
    Type,
    Trash,
}

impl Filter {
    fn index(&self, by: SortBy) -> Index {
        match (self.deleted, self.folder, self.asset_type, by) {
            (true, ..) => Index::Trash,
            (false, Some(_), ..) => Index::Folder,
            (false, None, Some(_), SortBy::CreatedAt) => Index::Type,
            (false, None, _, _) => Index::All,
        }
    }
}

fn sql(index: Index, by: SortBy, ascending: bool) -> &'static str {
    match (index, by) {
        (Index::All, SortBy::CreatedAt) => {
            assets_sql!("t.deleted_at IS NULL", "created_at", ascending)
        }
        (Index::All, SortBy::Name) => {
            assets_sql!("t.deleted_at IS NULL", "name", ascending)
        }
        (Index::Folder, SortBy::CreatedAt) => {
            assets_sql!(
                "likelihood(t.folder_id IS ?2, 0.0001) AND t.deleted_at IS NULL",
                "created_at",
                ascending
            )
        }
        (Index::Folder, SortBy::Name) => {
            assets_sql!("likelihood(t.folder_id IS ?2, 0.0001) AND t.deleted_at IS NULL", "name", ascending)
        }
        (Index::Type, _) => {
            assets_sql!(
                "likelihood(t.asset_type = ?2, 0.0001) AND t.deleted_at IS NULL",
                "created_at",
                ascending
            )
        }
        (Index::Trash, SortBy::CreatedAt) => {
            assets_sql!("t.deleted_at IS NOT NULL", "created_at", ascending)
        }
        (Index::Trash, SortBy::Name) => {
            assets_sql!("t.deleted_at IS NOT NULL", "name", ascending)
        }
    }
}

impl CallerOperation for List<'_> {
    type Found = page::Found<Asset>;
    type Output = Listed;

    fn statements(&self) -> Vec<Statement> {
        let Filter { folder, asset_type, mime_type, created_by, created_from, created_before, .. } =
            self.filter;
        let by = self.page.sort.by;
        let index = self.filter.index(by);
        let names = self.filter.name_prefix.as_ref().map(|prefix| (prefix.clone(), prefix_end(prefix)));
        // What the index answers is no filter any more.
        let time = |time: &Option<Timestamp>| time.map(|time| Param::Int(time.0));
        let text = |text: Option<String>| text.map(Param::Text);
        let mut filters = [
            text(asset_type.map(|asset_type| asset_type.as_str().to_owned())),
            text(mime_type.as_ref().and_then(MimePattern::exact).map(str::to_owned)),
            text(mime_type.as_ref().and_then(MimePattern::prefix).map(str::to_owned)),
            text(created_by.map(|id| id.to_string())),
            time(created_from),
            time(created_before),
            text(names.as_ref().map(|(from, _)| from.clone())),
            text(names.as_ref().and_then(|(_, before)| before.clone())),
            text(folder.map(|folder| folder.map(|id| id.to_string()).unwrap_or_default())),
        ];
        let [of_type, .., of_folder] = &mut filters;
        let indexed = match index {
            Index::Folder => {
                of_folder.take();
                Param::from(folder.flatten().as_ref())
            }
            Index::Type => of_type.take().unwrap_or(Param::Null),
            Index::All | Index::Trash => Param::Null,
        };
        let [.., from, before, least, too_great, _] = &mut filters;
        let bounds = match by {
            SortBy::CreatedAt => {
                (_, _) = (from.take(), before.take());
                let key = |time: &Option<Timestamp>| time.map(|time| SortKey::Time(time.0));
                Bounds { from: key(created_from), before: key(created_before) }
            }
            SortBy::Name => {
                (_, _) = (least.take(), too_great.take());
                let (from, before) = names.unzip();
                Bounds { from: from.map(SortKey::Text), before: before.flatten().map(SortKey::Text) }
            }
        };
        let filtered = filters.iter().any(Option::is_some);
        let mut params = page::params(&self.caller, indexed, &bounds, self.page, filtered, self.with_users);
        params.extend(filters.into_iter().map(|filter| filter.unwrap_or(Param::Null)));
        vec![Statement { sql: sql(index, by, self.page.reads_ascending()), params }]
    }

    fn decode(&self, caller: AuthorizedCaller, found: Option<Self::Found>) -> Result<Listed, ApiError> {
        let found = found.ok_or_else(|| ApiError::Internal("a list without a page".to_owned()))?;
        let by = self.page.sort.by;
        let place = |asset: &Asset| (by.key(asset.created_at, &asset.name), asset.id.to_string());
        let (page, users) = found.page(self.page, place);
        Ok(Listed { org_id: caller.organization()?, page, users })
    }
}
