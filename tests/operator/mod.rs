//! An operator: runs the built admin program, and its SQL on SQLite with the migrations.

use std::ffi::OsStr;
use std::process::{Command, Output};

use rusqlite::Connection;
use rusqlite::types::Value;
use rusqlite::types::Value::Text;

use crate::sqlite::{contents, open, rows};

pub(crate) const ORG: &str = "018f4d2e-7c4b-7a35-9c1f-0242ac120001";
pub(crate) const USER: &str = "018f4d2e-7c4b-7a35-9c1f-0242ac120002";
pub(crate) const OTHER: &str = "018f4d2e-7c4b-7a35-9c1f-0242ac120003";

pub(crate) fn admin<S: AsRef<OsStr>>(args: &[S]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_admin")).args(args).output().unwrap()
}

/// SQL and messages of a command that must succeed.
pub(crate) fn sql_of(args: &[&str]) -> (String, String) {
    let Output { status, stdout, stderr } = admin(args);
    let (sql, messages) = (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap());
    assert!(status.success(), "{args:?}: {messages}");
    // The Makefile takes what ends so for SQL. Nothing in it may end it early or begin a comment.
    let statement = sql.strip_suffix(";\n").unwrap();
    assert!(statement.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{sql}");
    assert!(!statement.contains([';', '"', '`', '$', '\\']), "{sql}");
    assert!(!statement.contains("--") && !statement.contains("/*"), "{sql}");
    (sql, messages)
}

/// Runs a command and its SQL.
pub(crate) fn apply(conn: &Connection, args: &[&str]) -> String {
    let (sql, messages) = sql_of(args);
    conn.execute_batch(&sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    messages
}

/// The database with an organization and two users, one a member.
pub(crate) fn organization_with_member() -> Connection {
    let conn = open();
    apply(&conn, &["create-org", "Acme", "--id", ORG]);
    apply(&conn, &["create-user", "ada@example.com", "--id", USER]);
    apply(&conn, &["create-user", "bob@example.com", "--id", OTHER]);
    apply(&conn, &["add-member", ORG, USER, "editor"]);
    conn
}

/// The values of the only row.
pub(crate) fn only(conn: &Connection, sql: &str) -> Vec<Value> {
    let mut rows = rows(conn, sql);
    assert_eq!(rows.len(), 1, "{sql}: {rows:?}");
    rows.remove(0).into_iter().map(|(_, value)| value).collect()
}

pub(crate) fn text(text: &str) -> Value {
    Text(text.to_owned())
}

/// SQLite's clock, in milliseconds.
pub(crate) fn now(conn: &Connection) -> i64 {
    let sql = "SELECT CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)";
    conn.query_row(sql, [], |row| row.get(0)).unwrap()
}

/// Everything there is.
pub(crate) fn everything(conn: &Connection) -> Vec<Vec<Vec<(String, Value)>>> {
    let tables = ["organizations", "users", "memberships", "api_keys", "roles", "role_permissions"];
    let mut all: Vec<_> = tables.iter().map(|table| rows(conn, &format!("SELECT * FROM {table}"))).collect();
    all.extend(contents(conn));
    all
}

/// The command fails, says why, and prints no SQL.
pub(crate) fn expect_failure<S: AsRef<OsStr> + std::fmt::Debug>(args: &[S]) {
    let Output { status, stdout, stderr } = admin(args);
    assert!(!status.success(), "{args:?} was taken");
    assert!(stdout.is_empty(), "{args:?} printed {}", String::from_utf8_lossy(&stdout));
    assert!(!stderr.is_empty(), "{args:?} says nothing");
}
