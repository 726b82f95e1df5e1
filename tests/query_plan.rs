//! How SQLite finds the rows of each operation: by key, never by reading a table through. D1 bills the
//! rows read, and one slow statement holds up the whole database.

use std::collections::BTreeSet;

use asset_uploads::domain::ids::UserId;
use asset_uploads::domain::media::{AssetType, MimePattern};
use asset_uploads::domain::page::{PageRequest, Sort, SortBy};
use asset_uploads::store::purge::{PurgeAssets, PurgeFolders};
use asset_uploads::store::removals::{ExpiredParts, NextRemovals};
use asset_uploads::store::rights::{CallerOperation, Permission};
use asset_uploads::store::sweep::Begin;
use asset_uploads::store::{Operation, Statement, asset_list, folder_list};
use rusqlite::{Connection, StatementStatus, params_from_iter};

use crate::sqlite::operations::{self, Kind};
use crate::sqlite::{self, NOW, Person, bound};

/// One line of EXPLAIN QUERY PLAN.
#[derive(Debug, Clone, PartialEq)]
struct Step {
    id: i64,
    parent: i64,
    detail: String,
}

fn plan(conn: &Connection, statement: &Statement) -> Vec<Step> {
    let mut explain = conn.prepare(&format!("EXPLAIN QUERY PLAN {}", statement.sql)).unwrap();
    let values = params_from_iter(statement.params.iter().map(bound));
    let step = |row: &rusqlite::Row<'_>| {
        Ok(Step { id: row.get("id")?, parent: row.get("parent")?, detail: row.get("detail")? })
    };
    explain.query_map(values, step).unwrap().collect::<Result<_, _>>().unwrap()
}

/// The steps that read more than they need to. Fine are a SEARCH by equality; one between two positions of a list, in an
/// index that has the list's order; and what makes no rows of its own: subqueries, and scans of what they found. A sort
/// in memory is always too much.
fn costly(plan: &[Step]) -> Vec<&str> {
    let is_lookup = |step: &&Step| {
        let by = step.detail.split_once(" (").map_or("", |(_, by)| by).trim_end_matches(" LEFT-JOIN");
        let by = ["created_at", "name"].iter().fold(by.to_owned(), |by, key| {
            by.replace(&format!("({key},id)>(?,?) AND ({key},id)<(?,?)"), "page=?")
        });
        // Whether a webhook has something that is due.
        let by = by.replace("webhook_id=? AND due_at<?", "due=?");
        step.detail.starts_with("SEARCH ")
            && !step.detail.contains("AUTOMATIC")
            && by.trim_end_matches(')').split(" AND ").all(|term| term.ends_with("=?"))
    };
    // By name: `t` is what the query calls it, `tree` the common table itself.
    let is_subquery = |step: &&Step| {
        let name = step.detail.trim_start_matches("SCAN ").trim_start_matches("SEARCH ");
        let recursive = |step: &Step| {
            plan.iter().any(|other| other.id == step.parent && other.detail == "RECURSIVE STEP")
        };
        plan.iter().any(|other| {
            other.detail == format!("CO-ROUTINE {name}") || other.detail == format!("MATERIALIZE {name}")
        }) || recursive(step)
    };
    let is_frame = |step: &&Step| {
        [
            "CORRELATED SCALAR SUBQUERY ",
            "CORRELATED LIST SUBQUERY ",
            "SCALAR SUBQUERY ",
            "LIST SUBQUERY ",
            "CO-ROUTINE ",
            "MATERIALIZE ",
            "MULTI-INDEX OR",
            "INDEX ",
            "SETUP",
            "RECURSIVE STEP",
            "REUSE SUBQUERY ",
            "SCAN CONSTANT ROW",
            "COMPOUND QUERY",
            "LEFT-MOST SUBQUERY",
            "UNION ALL",
            // Of the users of one page.
            "USE TEMP B-TREE FOR group_concat(DISTINCT)",
        ]
        .iter()
        .any(|frame| step.detail.starts_with(frame))
    };
    // The rows that json_each makes of a request, of a page, or of a list in one of them (3).
    let is_json =
        |step: &&Step| [1, 3].iter().any(|n| step.detail.ends_with(&format!(" VIRTUAL TABLE INDEX {n}:")));
    plan.iter()
        .filter(|step| !is_lookup(step) && !is_subquery(step) && !is_frame(step) && !is_json(step))
        .map(|step| step.detail.as_str())
        .collect()
}

/// Every statement of every operation that a request runs for a caller.
fn statements(by: &Person) -> Vec<(&'static str, Statement)> {
    let of = |kind: Kind| {
        let statements = kind.build(by.caller(kind.access), sqlite::unused_upload_id()).any_statements();
        statements.into_iter().map(move |statement| (kind.name, statement))
    };
    operations::all().into_iter().flat_map(of).collect()
}

#[test]
fn every_row_is_found_by_its_key() {
    let conn = sqlite::open();
    let org = sqlite::organization(&conn);
    let editor = sqlite::admin(&conn, org);
    for (name, statement) in statements(&editor) {
        let plan = plan(&conn, &statement);
        // Three lists, each read in order and no further than a page, are made one.
        let merged = vec!["USE TEMP B-TREE FOR ORDER BY"];
        let permitted = match name {
            name if name.contains("api_keys::List") => merged,
            // The earlier secrets of one webhook, four at most.
            name if name.contains("webhooks::Rotate") && statement.sql.contains("UPDATE") => {
                vec!["MERGE (UNION ALL)", "LEFT", "RIGHT", "USE TEMP B-TREE FOR ORDER BY"]
            }
            _ => Vec::new(),
        };
        assert_eq!(costly(&plan), permitted, "{name}: {plan:#?}");
        // At the least key, user, membership and role are looked up.
        let lookups = plan.iter().filter(|step| step.detail.starts_with("SEARCH ")).count();
        assert!(lookups >= 4, "{name}: {plan:#?}");
    }
}

/// Every page of every list, with each filter and without, in each order and direction.
#[test]
fn every_page_is_read_from_an_index_in_its_order() {
    let conn = sqlite::open();
    let caller = sqlite::editor(&conn, sqlite::organization(&conn)).caller(Permission::AssetsRead);
    let folder = Some(Some(sqlite::unused_folder_id()));
    let all = asset_list::Filter::default;
    let assets = [
        all(),
        asset_list::Filter { folder, ..all() },
        asset_list::Filter { folder: Some(None), ..all() },
        asset_list::Filter { asset_type: Some(AssetType::Image), ..all() },
        asset_list::Filter { mime_type: MimePattern::parse("image/*"), ..all() },
        asset_list::Filter { created_by: UserId::parse("018f4d29-8a6c-7e90-b7d2-1c4e5f6a7b83"), ..all() },
        asset_list::Filter { created_from: Some(NOW), created_before: Some(NOW), ..all() },
        asset_list::Filter { name_prefix: Some("b".to_owned()), ..all() },
        asset_list::Filter { folder, asset_type: Some(AssetType::Image), deleted: true, ..all() },
    ];
    let folders = [None, Some(None), folder]
        .into_iter()
        .flat_map(|parent| [false, true].map(|deleted| folder_list::Filter { parent, deleted }));
    let folders: Vec<_> = folders.collect();
    let mut texts = BTreeSet::new();
    for by in [SortBy::CreatedAt, SortBy::Name] {
        for (descending, backward) in [(false, false), (false, true), (true, false), (true, true)] {
            let sort = Sort { by, descending };
            let page = &PageRequest { sort, limit: 50, from: None, backward };
            let lists = assets.iter().map(|filter| {
                asset_list::List { caller: caller.clone(), filter, page, with_users: true }.statements()
            });
            let lists = lists.chain(
                folders
                    .iter()
                    .map(|filter| folder_list::List { caller: caller.clone(), filter, page }.statements()),
            );
            for statement in lists.flatten() {
                let plan = plan(&conn, &statement);
                assert_eq!(costly(&plan), Vec::<&str>::new(), "{page:?}: {plan:#?}");
                texts.insert(statement.sql);
            }
        }
    }
    // All that there are.
    assert_eq!(texts.len(), 14 + 12);
}

/// What the sweeper purges is found by its index, too, however much is in the trash.
#[test]
fn what_is_to_be_purged_is_found_by_its_index() {
    let conn = sqlite::open();
    let assets = PurgeAssets { deleted_before: NOW, now: NOW, limit: 10 }.statements();
    let folders = PurgeFolders { deleted_before: NOW, now: NOW, limit: 10 }.statements();
    for statement in assets.iter().chain(&folders) {
        let plan = plan(&conn, statement);
        let due = ["assets_to_purge (deleted_at<?)", "folders_to_purge (deleted_at<?)"];
        let costly: Vec<&str> = costly(&plan)
            .into_iter()
            // One row; what is due, in the order in which it is; a window over ten rows.
            .filter(|step| {
                *step != "SCAN s" && *step != "SCAN sweeper" && !due.iter().any(|due| step.ends_with(due))
            })
            .collect();
        assert_eq!(costly, Vec::<&str>::new(), "{}: {plan:#?}", statement.sql);
    }
}

const BEGIN: Begin = Begin {
    removed_before: NOW,
    keep_orphans: true,
    limit: 10,
    deleted_before: NOW,
    ended_before: NOW,
    delivered_before: NOW,
    now: NOW,
};

/// Parts past their deadline, whatever else is there; and retired uploads, those with parts apart from the others.
#[test]
fn parts_to_be_given_up_are_found_by_their_index() {
    let conn = sqlite::open();
    let plan_of = |statement: &Statement| {
        let plan = plan(&conn, statement);
        costly(&plan).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let by_deadline = "USING INDEX asset_uploads_with_parts (<expr><?)";
    let expired = ExpiredParts { now: NOW, limit: 10 }.statements();
    assert_eq!(plan_of(&expired[0]), [format!("SEARCH asset_uploads {by_deadline}")]);
    let begin = plan_of(&BEGIN.statements()[0]);
    assert!(begin.contains(&format!("SEARCH u {by_deadline}")), "{begin:?}");
    let next = NextRemovals { now: NOW, limit: 10, multipart_limit: 10 }.statements();
    assert_eq!(
        plan_of(&next[0]),
        ["remove", "abort"]
            .map(|what| format!("SEARCH r USING INDEX retired_uploads_to_{what} (retry_at<?)"))
    );
}

#[test]
fn keys_that_have_ended_are_found_by_their_index() {
    let conn = sqlite::open();
    let statements = BEGIN.statements();
    let of_keys = statements.iter().find(|statement| statement.sql.contains("DELETE FROM api_keys")).unwrap();
    let plan = plan(&conn, of_keys);
    // Those that have ended, up to the limit; then every row by its key.
    let expected =
        ["SEARCH k USING COVERING INDEX api_keys_by_end (<expr><?)", "SCAN e", "CREATE BLOOM FILTER"];
    assert_eq!(costly(&plan), expected, "{plan:#?}");
}

/// The tests above rely on this: `costly` finds the plans that read too much, and no others.
#[test]
fn costly_plans_are_recognized() {
    let conn = sqlite::open();
    for (sql, expected) in [
        ("SELECT * FROM users WHERE id = 'x'", vec![]),
        ("SELECT * FROM users WHERE first_name = 'x'", vec!["SCAN users"]),
        ("SELECT * FROM users u WHERE first_name = 'x'", vec!["SCAN u"]),
        ("SELECT * FROM users WHERE id > 'x'", vec!["SEARCH users USING PRIMARY KEY (id>?)"]),
        ("SELECT * FROM users ORDER BY email", vec!["SCAN users USING INDEX sqlite_autoindex_users_2"]),
        ("SELECT * FROM memberships WHERE user_id = 'x' ORDER BY role", vec!["USE TEMP B-TREE FOR ORDER BY"]),
        ("SELECT count(*) FROM (SELECT 1 FROM memberships m WHERE m.org_id = 'x' LIMIT 2)", vec!["SCAN m"]),
    ] {
        assert_eq!(costly(&plan(&conn, &Statement { sql, params: Vec::new() })), expected, "{sql}");
    }
}

/// The one subquery that is scanned stops after two rows, however many there are.
#[test]
fn many_memberships_cost_no_more_than_two() {
    let conn = sqlite::open();
    let [few, many] = [2, 500].map(|memberships| {
        let org = sqlite::organization(&conn);
        let editor = sqlite::editor(&conn, org);
        for _ in 1..memberships {
            sqlite::add_member(&conn, &editor.user, sqlite::organization(&conn), Some("editor"));
        }
        // Whoever asks for all of their organizations reads them all.
        let others = statements(&editor).into_iter().filter(|(name, _)| !name.contains("account::Read"));
        let steps = others.map(|(_, statement)| {
            let mut prepared = conn.prepare(statement.sql).unwrap();
            let values = params_from_iter(statement.params.iter().map(bound));
            prepared.query_map(values, |_| Ok(())).unwrap().for_each(drop);
            prepared.get_status(StatementStatus::VmStep)
        });
        steps.collect::<Vec<i32>>()
    });
    assert_eq!(few, many);
}
