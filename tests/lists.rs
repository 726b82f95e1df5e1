//! Lists of assets: every page against an oracle in Rust, and walks while others write.

use std::collections::BTreeSet;

use asset_uploads::domain::asset::Asset;
use asset_uploads::domain::ids::{AssetUploadId, FolderId, OrganizationId, UserId};
use asset_uploads::domain::media::{AssetType, MimePattern};
use asset_uploads::domain::page::{Page, PageRequest, Position, Sort, SortBy};
use asset_uploads::domain::timestamp::Timestamp;
use asset_uploads::store::asset_list::{Filter, List};
use asset_uploads::store::rights::Permission;
use proptest::prelude::*;
use proptest::sample::select;
use rusqlite::Connection;

use crate::sqlite::fixtures::DEADLINE;
use crate::sqlite::{self, Person, run};

const NAMES: [&str; 8] = ["a", "A", "ab", "Ab", "b", "@", "[", "ä"];
const TYPES: [(&str, &str); 3] = [("image/png", "image"), ("image/gif", "image"), ("video/mp4", "video")];

struct Library {
    conn: Connection,
    org: OrganizationId,
    people: [Person; 2],
    folders: [Option<FolderId>; 3],
}

/// What of an asset its place in lists depends on, by number.
#[derive(Debug, Clone)]
struct Row {
    name: usize,
    created_at: i64,
    kind: usize,
    folder: usize,
    by: usize,
    deleted: bool,
}

fn row() -> impl Strategy<Value = Row> {
    (0..NAMES.len(), 0..4_i64, 0..TYPES.len(), 0..3_usize, 0..2_usize, prop::bool::weighted(0.2)).prop_map(
        |(name, created_at, kind, folder, by, deleted)| Row { name, created_at, kind, folder, by, deleted },
    )
}

impl Library {
    fn new() -> Self {
        let conn = sqlite::open();
        let org = sqlite::organization(&conn);
        let people = [(); 2].map(|()| sqlite::editor(&conn, org));
        let folder = || Some(sqlite::folder(&conn, org, &people[0], None));
        let folders = [None, folder(), folder()];
        Self { org, people, folders, conn }
    }

    fn add(&self, row: &Row) -> AssetUploadId {
        let upload = sqlite::session(&self.conn, self.org, &self.people[row.by], DEADLINE);
        sqlite::asset(&self.conn, upload, self.folders[row.folder], "");
        let (mime_type, asset_type) = TYPES[row.kind];
        let sql =
            "UPDATE assets SET name = ?2, created_at = ?3, mime_type = ?4, asset_type = ?5, deleted_at = ?6
                   WHERE id = ?1";
        let deleted_at = row.deleted.then_some(1);
        let params = (upload.to_string(), NAMES[row.name], row.created_at, mime_type, asset_type, deleted_at);
        self.conn.execute(sql, params).unwrap();
        upload
    }

    fn page(&self, filter: &Filter, page: &PageRequest) -> Page<Asset> {
        let caller = self.people[0].caller(Permission::AssetsRead);
        let listed = run(&self.conn, &List { caller, filter, page, with_users: true }).unwrap();
        assert_eq!(listed.org_id, self.org);
        let users: BTreeSet<String> = listed.users.iter().map(|user| user.id.to_string()).collect();
        let made: BTreeSet<String> = listed.page.items.iter().map(|one| one.created_by.to_string()).collect();
        // Of the row behind the page, too, if there is one.
        assert!(users.is_superset(&made) && users.len() <= listed.users.len());
        listed.page
    }

    /// The list from its beginning to its end, and back again.
    fn walk(&self, filter: &Filter, sort: Sort, limit: u32) -> Vec<String> {
        let mut pages = Vec::new();
        let mut from = None;
        loop {
            let page = self.page(filter, &PageRequest { sort, limit, from, backward: false });
            assert!(page.items.len() <= limit as usize);
            assert_eq!(page.prev.is_none(), pages.is_empty(), "{page:?}");
            from = page.next.clone();
            pages.push(page);
            if from.is_none() {
                break;
            }
        }
        // Backward the same pages come in the other order, but for the last one, which is full now.
        let mut backward = Vec::new();
        let mut from: Option<Position> = None;
        loop {
            let page = self.page(filter, &PageRequest { sort, limit, from, backward: true });
            assert_eq!(page.next.is_none(), backward.is_empty(), "{page:?}");
            from = page.prev.clone();
            backward.push(page);
            if from.is_none() {
                break;
            }
        }
        let ids =
            |page: &Page<Asset>| page.items.iter().map(|asset| asset.id.to_string()).collect::<Vec<_>>();
        let forward: Vec<String> = pages.iter().flat_map(ids).collect();
        let again: Vec<String> = backward.iter().rev().flat_map(ids).collect();
        assert_eq!(forward, again);
        // From any page back: what comes before it.
        for page in &pages {
            let Some(prev) = page.prev.clone() else { continue };
            let before = self.page(filter, &PageRequest { sort, limit, from: Some(prev), backward: true });
            let first =
                ids(page).first().and_then(|id| forward.iter().position(|other| other == id)).unwrap();
            assert_eq!(ids(&before), forward[first.saturating_sub(limit as usize)..first]);
        }
        forward
    }
}

/// What a list has, without SQL.
fn oracle(rows: &[(AssetUploadId, Row)], filter: &Filter, library: &Library, sort: Sort) -> Vec<String> {
    let matches = |row: &Row| {
        let (mime_type, asset_type) = TYPES[row.kind];
        let mime = |pattern: &MimePattern| {
            pattern.exact().is_none_or(|exact| exact == mime_type)
                && pattern.prefix().is_none_or(|prefix| mime_type.starts_with(prefix))
        };
        let name = NAMES[row.name].to_ascii_lowercase();
        row.deleted == filter.deleted
            && filter.folder.is_none_or(|folder| folder == library.folders[row.folder])
            && filter.asset_type.is_none_or(|wanted| wanted.as_str() == asset_type)
            && filter.mime_type.as_ref().is_none_or(mime)
            && filter.created_by.is_none_or(|user| user == library.people[row.by].user.id)
            && filter.created_from.is_none_or(|from| row.created_at >= from.0)
            && filter.created_before.is_none_or(|before| row.created_at < before.0)
            && filter.name_prefix.as_ref().is_none_or(|prefix| name.starts_with(&prefix.to_ascii_lowercase()))
    };
    let mut found: Vec<_> = rows.iter().filter(|(_, row)| matches(row)).collect();
    found.sort_by_key(|(id, row)| match sort.by {
        SortBy::CreatedAt => (row.created_at, String::new(), id.to_string()),
        SortBy::Name => (0, NAMES[row.name].to_ascii_lowercase(), id.to_string()),
    });
    if sort.descending {
        found.reverse();
    }
    found.into_iter().map(|(id, _)| id.to_string()).collect()
}

/// Which filters a test uses, by number: the folder, the type, and so on.
type Chosen = (
    Option<usize>,
    Option<bool>,
    Option<&'static str>,
    Option<usize>,
    Option<i64>,
    Option<i64>,
    Option<&'static str>,
    bool,
);

fn chosen() -> impl Strategy<Value = Chosen> {
    let rarely = 0.2;
    (
        prop::option::weighted(0.3, 0..3_usize),
        prop::option::weighted(rarely, any::<bool>()),
        prop::option::weighted(rarely, select(vec!["image/*", "image/png", "audio/*"])),
        prop::option::weighted(rarely, 0..2_usize),
        prop::option::weighted(rarely, 0..4_i64),
        prop::option::weighted(rarely, 0..5_i64),
        prop::option::weighted(rarely, select(vec!["a", "A", "aB", "@", "[", "ä", "%", "_"])),
        prop::bool::weighted(0.2),
    )
}

fn filter_of(library: &Library, chosen: &Chosen) -> Filter {
    let (folder, image, mime_type, by, from, before, prefix, deleted) = *chosen;
    let user = |by: usize| -> UserId { library.people[by].user.id };
    Filter {
        folder: folder.map(|folder| library.folders[folder]),
        asset_type: image.map(|image| if image { AssetType::Image } else { AssetType::Video }),
        mime_type: mime_type.and_then(MimePattern::parse),
        created_by: by.map(user),
        created_from: from.map(Timestamp),
        created_before: before.map(Timestamp),
        name_prefix: prefix.map(str::to_owned),
        deleted,
    }
}

fn sort() -> impl Strategy<Value = Sort> {
    (any::<bool>(), any::<bool>()).prop_map(|(by_name, descending)| Sort {
        by: if by_name { SortBy::Name } else { SortBy::CreatedAt },
        descending,
    })
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { failure_persistence: None, cases, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config(150))]

    #[test]
    fn a_walk_shows_what_the_filters_say_in_order_forward_and_backward(
        rows in prop::collection::vec(row(), 0..14),
        chosen in chosen(),
        sort in sort(),
        limit in 1..6_u32,
    ) {
        let library = Library::new();
        let rows: Vec<_> = rows.into_iter().map(|row| (library.add(&row), row)).collect();
        let filter = filter_of(&library, &chosen);
        prop_assert_eq!(library.walk(&filter, sort, limit), oracle(&rows, &filter, &library, sort));
    }

    #[test]
    fn a_walk_while_others_write_shows_once_what_was_there_throughout(
        rows in prop::collection::vec(row(), 1..14),
        // Between two pages: one that is inserted, one that goes, and one that changes its name and its time.
        changes in prop::collection::vec((row(), 0..14_usize, 0..14_usize, 0..NAMES.len(), 0..4_i64), 0..10),
        chosen in chosen(),
        sort in sort(),
        limit in 1..4_u32,
        backward in any::<bool>(),
    ) {
        let library = Library::new();
        let rows: Vec<_> = rows.into_iter().map(|row| (library.add(&row), row)).collect();
        let filter = filter_of(&library, &chosen);
        let mut lasting = oracle(&rows, &filter, &library, sort);
        let (mut seen, mut from, mut changes) = (Vec::new(), None, changes.into_iter());
        loop {
            let page = library.page(&filter, &PageRequest { sort, limit, from, backward });
            seen.extend(page.items.iter().map(|asset| asset.id.to_string()));
            from = if backward { page.prev } else { page.next };
            if from.is_none() {
                break;
            }
            let Some((new, gone, changed, name, created_at)) = changes.next() else { continue };
            library.add(&new);
            let id = |n: usize| rows[n % rows.len()].0.to_string();
            let sql = "DELETE FROM assets WHERE id = ?1";
            library.conn.execute(sql, [id(gone)]).unwrap();
            let sql = "UPDATE assets SET name = ?2, created_at = ?3 WHERE id = ?1";
            library.conn.execute(sql, (id(changed), NAMES[name], created_at)).unwrap();
            lasting.retain(|one| *one != id(gone) && *one != id(changed));
        }
        for id in lasting {
            prop_assert_eq!(seen.iter().filter(|one| **one == id).count(), 1, "{} in {:?}", id, seen);
        }
    }
}

/// More rows have to be looked at than a page looks at: it is short, and the walk goes on.
#[test]
fn a_rare_asset_is_found_behind_thousands_of_others() {
    let library = Library::new();
    let Library { conn, org, people, .. } = &library;
    let sql = "
        WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 3000)
        INSERT INTO assets (id, org_id, name, r2_key, mime_type, size_bytes, asset_type, source_type, source_id, etag,
          confirmation_key, created_by, created_at, updated_at)
        SELECT printf('00000000-0000-4000-8000-%012d', n), ?1, 'n' || n, 'uploads/' || printf('00000000-0000-4000-8000-%012d', n),
          iif(n IN (1, 2999), 'image/webp', 'image/png'), 1, 'image', 'upload', 'x', 'e', '', ?2, n, n FROM numbers";
    conn.execute(sql, (org.to_string(), people[0].user.id.to_string())).unwrap();
    let filter = Filter { mime_type: MimePattern::parse("image/webp"), ..Filter::default() };
    for (descending, backward) in [(true, false), (false, false), (true, true), (false, true)] {
        let sort = Sort { by: SortBy::CreatedAt, descending };
        let (mut found, mut pages, mut from) = (Vec::new(), 0, None);
        loop {
            let page = library.page(&filter, &PageRequest { sort, limit: 1, from, backward });
            found.extend(page.items.into_iter().map(|asset| asset.created_at.0));
            pages += 1;
            from = if backward { page.prev } else { page.next };
            if from.is_none() {
                break;
            }
        }
        found.sort_unstable();
        assert_eq!(found, [1, 2999]);
        assert!((3..=5).contains(&pages), "{pages}");
    }
}
