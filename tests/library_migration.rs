//! Migration 0005 on a database that holds what no request leaves behind: equal siblings, and things in deleted folders.

use rusqlite::Connection;
use rusqlite::types::Value;

use crate::sqlite;

/// A UUID with this number at its end.
fn id(n: u32) -> String {
    format!("00000000-0000-4000-8000-{n:012}")
}

/// A database of before the migration, with an organization 1 and a user 2.
fn before() -> Connection {
    let conn = sqlite::open_at(4);
    conn.execute("INSERT INTO organizations VALUES (?1, 'Acme', 1)", [id(1)]).unwrap();
    conn.execute("INSERT INTO users (id, email, created_at) VALUES (?1, 'ada@example.com', 1)", [id(2)])
        .unwrap();
    conn
}

fn folder(conn: &Connection, n: u32, parent: Option<u32>, name: &str, deleted_at: Option<i64>) {
    let sql =
        "INSERT INTO folders (id, org_id, parent_id, name, created_by, created_at, updated_at, deleted_at)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, 7, ?7)";
    conn.execute(sql, (id(n), id(1), parent.map(id), name, id(2), n, deleted_at)).unwrap();
}

fn asset(conn: &Connection, n: u32, folder: u32, deleted_at: Option<i64>) {
    let sql = "INSERT INTO assets (id, org_id, folder_id, name, r2_key, mime_type, size_bytes, asset_type, source_type,
                 source_id, etag, confirmation_key, created_by, created_at, updated_at, deleted_at, request_id,
                 confirmed_folder_id)
               VALUES (?1, ?2, ?3, 'beach.png', 'uploads/' || ?1, 'image/png', 5, 'image', 'upload', ?1, 'e', 'k', ?4, 8, 9,
                 ?5, 'r', ?3)";
    conn.execute(sql, (id(n), id(1), id(folder), id(2), deleted_at)).unwrap();
}

fn number(value: &Value) -> Option<u32> {
    match value {
        Value::Text(text) => text.rsplit('-').next()?.parse().ok(),
        _ => None,
    }
}

/// Number, number of what it lies in, and name.
fn places(conn: &Connection, sql: &str) -> Vec<(u32, Option<u32>, String)> {
    let rows = sqlite::rows(conn, sql).into_iter().map(|row| {
        let name = if let Value::Text(text) = &row[2].1 { text.clone() } else { String::new() };
        (number(&row[0].1).unwrap(), number(&row[1].1), name)
    });
    rows.collect()
}

#[test]
fn equal_siblings_are_renamed_the_oldest_excepted() {
    let conn = before();
    for (n, parent, name, deleted_at) in [
        (10, None, "x", None),
        (11, None, "X", None),
        (12, None, "x (2)", None),
        (13, None, "x", None),
        (14, Some(10), "x", None),
        (15, Some(10), "x", None),
        (16, None, "x", Some(5)),
        (17, None, "y", None),
        (18, Some(10), "é", None),
        (19, Some(10), "É", None),
    ] {
        folder(&conn, n, parent, name, deleted_at);
    }
    sqlite::migrate_from(&conn, 4);
    let found = places(&conn, "SELECT id, parent_id, name FROM folders ORDER BY id");
    let names: Vec<&str> = found.iter().map(|(_, _, name)| name.as_str()).collect();
    assert_eq!(names, ["x", "X (3)", "x (2)", "x (4)", "x", "x (2)", "x", "y", "é", "É"]);
}

#[test]
fn what_lies_in_a_deleted_folder_leaves_it_unless_it_is_deleted_too() {
    let conn = before();
    folder(&conn, 10, None, "gone", Some(5));
    folder(&conn, 11, Some(10), "left behind", None);
    folder(&conn, 12, Some(10), "gone too", Some(6));
    folder(&conn, 13, Some(11), "below", None);
    asset(&conn, 20, 10, None);
    asset(&conn, 21, 10, Some(4));
    asset(&conn, 22, 13, None);
    sqlite::migrate_from(&conn, 4);
    assert_eq!(
        places(&conn, "SELECT id, parent_id, name FROM folders ORDER BY id"),
        [
            (10, None, "gone".to_owned()),
            (11, None, "left behind".to_owned()),
            (12, Some(10), "gone too".to_owned()),
            (13, Some(11), "below".to_owned()),
        ]
    );
    let assets = places(&conn, "SELECT id, folder_id, name FROM assets ORDER BY id");
    let in_folders: Vec<_> = assets.iter().map(|(n, folder, _)| (*n, *folder)).collect();
    assert_eq!(in_folders, [(20, None), (21, Some(10)), (22, Some(13))]);
}

/// Every other column is as it was, and the references hold.
#[test]
fn rows_are_copied_whole() {
    let conn = before();
    folder(&conn, 10, None, "Holiday", None);
    asset(&conn, 20, 10, None);
    let tables = ["SELECT * FROM folders", "SELECT * FROM assets"];
    let old = tables.map(|sql| sqlite::rows(&conn, sql));
    sqlite::migrate_from(&conn, 4);
    for (old, sql) in old.iter().zip(tables) {
        let new = sqlite::rows(&conn, sql);
        for (column, value) in &old[0] {
            assert!(new[0].contains(&(column.clone(), value.clone())), "{sql}: {column}");
        }
        assert!(new[0].iter().all(|(column, value)| {
            old[0].iter().any(|(known, _)| known == column)
                || *value == Value::Null
                || (column.as_str(), value) == ("awaits_client", &Value::Integer(0))
        }));
    }
    let broken = conn.prepare("PRAGMA foreign_key_check").unwrap().exists([]).unwrap();
    assert!(!broken);
    // Whoever deletes the folder's row is refused while the asset is there.
    assert!(conn.execute("DELETE FROM folders", []).is_err());
    assert!(conn.execute("INSERT INTO assets SELECT * FROM assets", []).is_err());
}
