//! How SQLite finds the rows of each operation: by key, never by reading a table through. D1 bills the
//! rows read, and one slow statement holds up the whole database.

#![allow(clippy::unwrap_used, reason = "test code may panic")]

mod sqlite;

use asset_uploads::store::Statement;
use rusqlite::{Connection, StatementStatus, params_from_iter};
use sqlite::operations::{self, Kind};
use sqlite::{Person, bound};

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

/// The steps that read more than they need to. Fine are a SEARCH by equality, and the SCAN of a
/// subquery that itself makes one such SEARCH, as that of `default_org_id`, which ends after two rows.
fn costly(plan: &[Step]) -> Vec<&str> {
    let is_lookup = |step: &&Step| {
        let by = step.detail.split_once('(').map_or("", |(_, by)| by).trim_end_matches(" LEFT-JOIN");
        step.detail.starts_with("SEARCH ")
            && !step.detail.contains("AUTOMATIC")
            && by.trim_end_matches(')').split(" AND ").all(|term| term.ends_with("=?"))
    };
    let is_bounded_scan = |step: &&Step| {
        let name = step.detail.strip_prefix("SCAN ").unwrap_or_default();
        let routine = plan.iter().find(|other| other.detail == format!("CO-ROUTINE {name}"));
        routine.is_some_and(|routine| {
            let inner: Vec<&Step> = plan.iter().filter(|other| other.parent == routine.id).collect();
            routine.parent == step.parent
                && inner
                    .iter()
                    .map(|inner| inner.detail.as_str())
                    .eq(["SEARCH m USING PRIMARY KEY (user_id=?)"])
        })
    };
    let is_frame = |step: &&Step| {
        ["CORRELATED SCALAR SUBQUERY ", "SCALAR SUBQUERY ", "CO-ROUTINE "]
            .iter()
            .any(|frame| step.detail.starts_with(frame))
    };
    // The one row that json_each makes of the request.
    let is_request = |step: &&Step| step.detail == "SCAN r VIRTUAL TABLE INDEX 1:";
    plan.iter()
        .filter(|step| !is_lookup(step) && !is_bounded_scan(step) && !is_frame(step) && !is_request(step))
        .map(|step| step.detail.as_str())
        .collect()
}

/// Every statement of every operation that a request runs for a caller.
fn statements(by: &Person) -> Vec<(&'static str, Statement)> {
    let of = |kind: Kind| {
        let statements = kind.build(by.caller(kind.permission), sqlite::unused_upload_id()).any_statements();
        statements.into_iter().map(move |statement| (kind.name, statement))
    };
    operations::all().into_iter().flat_map(of).collect()
}

#[test]
fn every_row_is_found_by_its_key() {
    let conn = sqlite::open();
    let org = sqlite::organization(&conn);
    let editor = sqlite::editor(&conn, org);
    for (name, statement) in statements(&editor) {
        let plan = plan(&conn, &statement);
        assert_eq!(costly(&plan), Vec::<&str>::new(), "{name}: {plan:#?}");
        // At the least key, user, membership and role are looked up.
        let lookups = plan.iter().filter(|step| step.detail.starts_with("SEARCH ")).count();
        assert!(lookups >= 4, "{name}: {plan:#?}");
    }
}

/// The test above relies on this: `costly` finds the plans that read too much, and no others.
#[test]
fn costly_plans_are_recognized() {
    let conn = sqlite::open();
    for (sql, expected) in [
        ("SELECT * FROM users WHERE id = 'x'", vec![]),
        ("SELECT * FROM users WHERE first_name = 'x'", vec!["SCAN users"]),
        ("SELECT * FROM users u WHERE first_name = 'x'", vec!["SCAN u"]),
        ("SELECT * FROM users WHERE id > 'x'", vec!["SEARCH users USING PRIMARY KEY (id>?)"]),
        ("SELECT * FROM users ORDER BY email", vec!["SCAN users USING INDEX sqlite_autoindex_users_2"]),
        (
            "SELECT count(*) FROM (SELECT 1 FROM memberships m WHERE m.org_id = 'x' LIMIT 2)",
            vec!["SCAN m", "SCAN (subquery-1)"],
        ),
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
        let steps = statements(&editor).into_iter().map(|(_, statement)| {
            let mut prepared = conn.prepare(statement.sql).unwrap();
            let values = params_from_iter(statement.params.iter().map(bound));
            prepared.query_map(values, |_| Ok(())).unwrap().for_each(drop);
            prepared.get_status(StatementStatus::VmStep)
        });
        steps.collect::<Vec<i32>>()
    });
    assert_eq!(few, many);
}
