//! The admin commands as an operator runs them: organizations, users and members, and which input fails.

use std::ffi::OsStr;
use std::process::Output;

use asset_uploads::domain::ids::OrganizationId;
use rusqlite::Connection;
use rusqlite::types::Value;
use rusqlite::types::Value::{Integer, Null, Text};

use crate::operator::{
    ORG, OTHER, USER, admin, apply, everything, expect_failure, now, only, organization_with_member, sql_of,
    text,
};
use crate::sqlite::{open, rows};

/// Texts that mean something to SQL, to a shell, to a splitter of statements or to a terminal.
const HOSTILE: [&str; 26] = [
    "'",
    "''",
    "O'Brien",
    "'; DROP TABLE users; --",
    "'); DELETE FROM api_keys; --",
    "\\'; SELECT 1; --",
    "\"; SELECT 1; --",
    "a;b",
    "a -- b",
    "/* a */ b",
    "a */ b",
    "' || (SELECT token_hash FROM api_keys) || '",
    "CAST(x'00' AS TEXT)",
    "x'41'",
    "$(touch /tmp/x)",
    "`touch /tmp/x`",
    "$HOME ${PATH} %PATH%",
    "a\\",
    "a && b | c > d < e & f",
    "?1 :a @b $c %s {}",
    "line\u{2028}line\u{2029}para",
    "😀 👩‍👩‍👧 日本 Ünï",
    "\u{202e}txt.exe\u{feff}\u{200b}",
    "-- a",
    "  spaces around  ",
    "BEGIN; COMMIT",
];

const NONE: Vec<Vec<(String, Value)>> = Vec::new();

fn role_of(conn: &Connection, user: &str) -> Value {
    let sql = format!("SELECT role FROM memberships WHERE org_id = '{ORG}' AND user_id = '{user}'");
    only(conn, &sql).remove(0)
}

fn row_of(user: &str) -> String {
    format!("SELECT * FROM users WHERE id = '{user}'")
}

/// One column of what `list` shows.
fn listed(conn: &Connection, what: &str, column: &str) -> Vec<Value> {
    let rows = rows(conn, &sql_of(&["list", what]).0).into_iter();
    rows.map(|row| row.into_iter().find(|(name, _)| name == column).unwrap().1).collect()
}

#[test]
fn organizations_are_made() {
    let conn = open();
    let messages = apply(&conn, &["create-org", "Acme"]);
    let [id, name, created_at] = only(&conn, "SELECT * FROM organizations").try_into().unwrap();
    let Text(id) = id else { panic!("{id:?}") };
    assert!(OrganizationId::parse(&id).is_some() && id.as_bytes()[14] == b'7', "{id}");
    assert_eq!((messages.as_str(), name), (format!("organization {id}\n").as_str(), text("Acme")));
    let Integer(created_at) = created_at else { panic!("{created_at:?}") };
    assert!((now(&conn) - created_at).abs() < 60_000, "{created_at}");
}

#[test]
fn hostile_names_are_stored_exactly() {
    let conn = organization_with_member();
    let before = everything(&conn);
    for (n, hostile) in HOSTILE.iter().enumerate() {
        apply(&conn, &["create-org", "--", hostile]);
        let email = format!("{n}{hostile}@{hostile}");
        apply(
            &conn,
            &[
                "create-user",
                &format!("--first-name={hostile}"),
                &format!("--last-name={hostile}"),
                &format!("--avatar-url={hostile}"),
                &email,
            ],
        );
        apply(&conn, &["create-key", USER, &format!("--name={hostile}")]);

        let newest = |table: &str, columns: &str| {
            only(&conn, &format!("SELECT {columns} FROM {table} WHERE id = (SELECT max(id) FROM {table})"))
        };
        assert_eq!(newest("organizations", "name"), [text(hostile)]);
        let user = newest("users", "email, first_name, last_name, avatar_url");
        assert_eq!(user, [&email, *hostile, hostile, hostile].map(text));
        assert_eq!(newest("api_keys", "name"), [text(hostile)]);
    }
    // And nothing else has happened.
    let after = everything(&conn);
    let changed = [0, 1, 3];
    for (n, (before, after)) in before.iter().zip(&after).enumerate() {
        let added = if changed.contains(&n) { HOSTILE.len() } else { 0 };
        assert_eq!(after.len(), before.len() + added, "table {n}");
        assert!(before.iter().all(|row| after.contains(row)), "table {n}");
    }
}

#[test]
fn every_ascii_character_is_stored_or_rejected() {
    let conn = organization_with_member();
    for byte in 1..=127_u8 {
        let name = format!("a{}b", char::from(byte));
        if byte.is_ascii_control() {
            expect_failure(&["create-org", &name]);
        } else {
            apply(&conn, &["create-org", &name]);
            assert_eq!(
                rows(
                    &conn,
                    &format!("SELECT 1 FROM organizations WHERE name = CAST(x'61{byte:02x}62' AS TEXT)")
                )
                .len(),
                1
            );
        }
    }
}

#[test]
fn users_are_made() {
    let conn = open();
    let messages = apply(&conn, &["create-user", "ada@example.com"]);
    let columns = "email, first_name, last_name, avatar_url, disabled_at, email_verified_at = created_at, id";
    let [rest @ .., Text(id)] = &only(&conn, &format!("SELECT {columns} FROM users"))[..] else { panic!() };
    assert_eq!(rest, [text("ada@example.com"), Null, Null, Null, Null, Integer(1)]);
    assert_eq!(messages, format!("user {id}\n"));

    apply(&conn, &["create-user", "bob@example.com", "--unverified", "--id", OTHER, "--first-name", "Bob"]);
    let bob = format!("SELECT email, first_name, email_verified_at FROM users WHERE id = '{OTHER}'");
    assert_eq!(only(&conn, &bob), [text("bob@example.com"), text("Bob"), Null]);
}

#[test]
fn ids_are_stored_as_the_worker_reads_them() {
    let conn = open();
    let forms = [ORG.to_uppercase(), format!("{{{USER}}}"), format!("urn:uuid:{OTHER}")];
    for form in &forms {
        apply(&conn, &["create-org", "Acme", "--id", form]);
    }
    let ids = rows(&conn, "SELECT id FROM organizations ORDER BY id");
    let ids: Vec<Value> = ids.into_iter().map(|mut row| row.remove(0).1).collect();
    assert_eq!(ids, [ORG, USER, OTHER].map(text));
}

#[test]
fn membership_is_given_and_changed() {
    let conn = organization_with_member();
    let role =
        || only(&conn, &format!("SELECT org_id, user_id, role FROM memberships WHERE user_id = '{OTHER}'"));
    apply(&conn, &["add-member", ORG, OTHER]);
    assert_eq!(role(), [text(ORG), text(OTHER), Null]);
    for name in ["owner", "admin", "editor", "viewer"] {
        apply(&conn, &["add-member", ORG, OTHER, name]);
        assert_eq!(role(), [text(ORG), text(OTHER), text(name)]);
    }
    apply(&conn, &["add-member", ORG, OTHER]);
    assert_eq!(role()[2], Null);
    let editor = format!("SELECT role FROM memberships WHERE user_id = '{USER}'");
    assert_eq!(only(&conn, &editor), [text("editor")]);
}

#[test]
fn a_members_role_is_set() {
    let conn = organization_with_member();
    let before = rows(&conn, "SELECT * FROM memberships");
    for name in ["owner", "admin", "viewer", "viewer", "editor"] {
        let (sql, _) = sql_of(&["set-role", ORG, USER, name]);
        assert_eq!(only(&conn, &sql), [text(ORG), text(USER), text(name)]);
        assert_eq!(role_of(&conn, USER), text(name));
        assert_eq!(listed(&conn, "members", "role"), [text(name)]);
    }
    assert_eq!(rows(&conn, "SELECT * FROM memberships"), before);

    // One who was invited without a role gets the first one so, too.
    apply(&conn, &["add-member", ORG, OTHER]);
    apply(&conn, &["set-role", ORG, OTHER, "viewer"]);
    assert_eq!([role_of(&conn, OTHER), role_of(&conn, USER)], [text("viewer"), text("editor")]);
}

#[test]
fn a_member_is_removed_from_one_organization() {
    let conn = organization_with_member();
    apply(&conn, &["create-org", "Other", "--id", OTHER]);
    apply(&conn, &["add-member", OTHER, USER, "owner"]);
    apply(&conn, &["add-member", ORG, OTHER, "viewer"]);
    let (sql, _) = sql_of(&["remove-member", ORG, USER]);
    assert_eq!(only(&conn, &sql), [text(ORG), text(USER), text("editor")]);
    let left = "SELECT org_id, user_id, role FROM memberships ORDER BY role";
    let left: Vec<Vec<Value>> =
        rows(&conn, left).into_iter().map(|row| row.into_iter().map(|(_, value)| value).collect()).collect();
    assert_eq!(left, [[text(OTHER), text(USER), text("owner")], [text(ORG), text(OTHER), text("viewer")]]);

    // Again, there is nobody to remove.
    let before = everything(&conn);
    assert_eq!(rows(&conn, &sql_of(&["remove-member", ORG, USER]).0), NONE);
    assert_eq!(everything(&conn), before);
}

#[test]
fn users_are_disabled_and_enabled() {
    let conn = organization_with_member();
    let (row, untouched) = (only(&conn, &row_of(USER)), only(&conn, &row_of(OTHER)));
    let (sql, _) = sql_of(&["disable-user", USER]);
    let [id, email, Integer(disabled_at)] = &only(&conn, &sql)[..] else { panic!() };
    assert_eq!([id, email], [&text(USER), &text("ada@example.com")]);
    assert!((now(&conn) - disabled_at).abs() < 60_000, "{disabled_at}");
    assert_eq!(listed(&conn, "users", "disabled_at"), [Integer(*disabled_at), Null]);

    // Again, the user stays disabled from the first time on.
    conn.execute("UPDATE users SET disabled_at = 1 WHERE disabled_at IS NOT NULL", []).unwrap();
    let (sql, _) = sql_of(&["disable-user", USER]);
    assert_eq!(only(&conn, &sql), [text(USER), text("ada@example.com"), Integer(1)]);

    for _ in 0..2 {
        let (sql, _) = sql_of(&["enable-user", USER]);
        assert_eq!(only(&conn, &sql), [text(USER), text("ada@example.com"), Null]);
        assert_eq!(only(&conn, &row_of(USER)), row);
    }
    assert_eq!(only(&conn, &row_of(OTHER)), untouched);
}

#[test]
fn an_address_is_verified_once() {
    let conn = open();
    apply(&conn, &["create-user", "ada@example.com", "--id", USER, "--unverified"]);
    apply(&conn, &["create-user", "bob@example.com", "--id", OTHER, "--unverified"]);
    let (sql, _) = sql_of(&["verify-email", USER]);
    let [id, email, Integer(verified_at)] = &only(&conn, &sql)[..] else { panic!() };
    assert_eq!([id, email], [&text(USER), &text("ada@example.com")]);
    assert!((now(&conn) - verified_at).abs() < 60_000, "{verified_at}");
    assert_eq!(listed(&conn, "users", "email_verified_at"), [Integer(*verified_at), Null]);

    conn.execute("UPDATE users SET email_verified_at = 1 WHERE email_verified_at IS NOT NULL", []).unwrap();
    let (sql, _) = sql_of(&["verify-email", USER]);
    assert_eq!(only(&conn, &sql), [text(USER), text("ada@example.com"), Integer(1)]);
}

/// The row that the SQL returns shows that there was one; the program says what no row means.
#[test]
fn changes_of_unknown_ids_show_no_row_and_change_nothing() {
    let conn = organization_with_member();
    apply(&conn, &["create-org", "Other", "--id", OTHER]);
    let nobody = "018f4d2e-7c4b-7a35-9c1f-0242ac12ffff";
    let before = everything(&conn);
    for (args, meaning) in [
        // Bob is no member of Acme, and Ada none of the other organization.
        (&["set-role", ORG, OTHER, "owner"][..], "no such member: add-member makes one"),
        (&["set-role", OTHER, USER, "owner"], "no such member: add-member makes one"),
        (&["set-role", ORG, nobody, "owner"], "no such member: add-member makes one"),
        (&["remove-member", ORG, OTHER], "no such member"),
        (&["remove-member", nobody, USER], "no such member"),
        (&["disable-user", nobody], "no such user"),
        (&["enable-user", nobody], "no such user"),
        (&["verify-email", nobody], "no such user"),
        (&["revoke-key", nobody], "no such key"),
    ] {
        let (sql, messages) = sql_of(args);
        assert_eq!(rows(&conn, &sql), NONE, "{args:?}");
        assert_eq!(messages, format!("If no row is shown, there is {meaning}.\n"), "{args:?}");
    }
    assert_eq!(everything(&conn), before);
}

#[test]
fn lists_show_everything_but_hashes_and_change_nothing() {
    let conn = organization_with_member();
    apply(&conn, &["create-key", USER, "--name", "laptop"]);
    let shown = [("orgs", "Acme"), ("users", "ada@example.com"), ("members", "editor"), ("keys", "laptop")];
    for (what, expected) in shown {
        let (sql, messages) = sql_of(&["list", what]);
        assert_eq!(messages, "");
        assert!(conn.prepare(&sql).unwrap().readonly(), "{sql}");
        let rows = rows(&conn, &sql);
        assert!(
            !rows.is_empty() && rows.iter().flatten().any(|(_, value)| *value == text(expected)),
            "{rows:?}"
        );
        assert!(rows.iter().flatten().all(|(name, _)| name != "token_hash"), "{rows:?}");
    }
}

#[test]
fn the_database_rejects_references_to_unknown_ids() {
    let conn = organization_with_member();
    let nobody = "018f4d2e-7c4b-7a35-9c1f-0242ac12ffff";
    let before = everything(&conn);
    for args in [
        &["add-member", nobody, USER, "editor"][..],
        &["add-member", ORG, nobody, "editor"],
        &["create-key", nobody, "--name", "x"],
        &["create-key", USER, "--name", "x", "--org", nobody],
        &["create-key", USER, "--name", "x", "--impersonator", nobody],
        &["create-org", "Acme", "--id", ORG],
        &["create-user", "ada@example.com"],
    ] {
        assert!(conn.execute_batch(&sql_of(args).0).is_err(), "{args:?}");
    }
    assert_eq!(everything(&conn), before);
}

#[test]
fn bad_input_gives_no_sql() {
    for args in [
        &[][..],
        &["drop-org"],
        &["create-org"],
        &["create-org", ""],
        &["create-org", "   "],
        &["create-org", "\u{a0}\u{2003}"],
        &["create-org", "two\nlines"],
        &["create-org", "two\r\nlines"],
        &["create-org", "tab\tbed"],
        &["create-org", "bell\u{7}"],
        &["create-org", "escape\u{1b}[31m"],
        &["create-org", "c1\u{85}"],
        &["create-org", "delete\u{7f}"],
        &["create-org", "--; DROP TABLE users"],
        &["create-org", "Acme", "Again"],
        &["create-org", "Acme", "--id", "1"],
        &["create-org", "Acme", "--id", "018f4d2e-7c4b-7a35-9c1f-0242ac12000'"],
        &["create-org", "Acme", "--id", ""],
        &["create-user", "ada"],
        &["create-user", "@example.com"],
        &["create-user", "ada@"],
        &["create-user", "ada@example.com\n"],
        &["create-user", "ada@example.com", "--first-name", ""],
        &["create-user", "ada@example.com", "--last-name", "a\nb"],
        &["add-member", ORG],
        &["add-member", ORG, "' OR 1=1"],
        &["add-member", ORG, USER, "king"],
        &["add-member", ORG, USER, "Owner"],
        &["add-member", ORG, USER, "owner'; --"],
        &["set-role", ORG, USER],
        &["set-role", ORG, USER, "king"],
        &["set-role", ORG, USER, "Owner"],
        &["set-role", ORG, USER, "owner'; --"],
        &["set-role", "Acme", USER, "owner"],
        &["set-role", USER, "owner"],
        &["remove-member", ORG],
        &["remove-member", ORG, "ada@example.com"],
        &["remove-member", ORG, USER, "editor"],
        &["disable-user"],
        &["disable-user", "ada@example.com"],
        &["disable-user", USER, OTHER],
        &["enable-user"],
        &["enable-user", "' OR 1=1"],
        &["verify-email"],
        &["verify-email", "ada@example.com"],
        &["create-key", USER],
        &["create-key", USER, "--name", ""],
        &["create-key", USER, "--name", "a\nb"],
        &["create-key", "nobody", "--name", "x"],
        &["create-key", USER, "--name", "x", "--org", "Acme"],
        &["create-key", USER, "--name", "x", "--expires-in-days", "0"],
        &["create-key", USER, "--name", "x", "--expires-in-days", "-1"],
        &["create-key", USER, "--name", "x", "--expires-in-days", "1.5"],
        &["create-key", USER, "--name", "x", "--expires-in-days", "36501"],
        &["create-key", USER, "--name", "x", "--expires-in-days", "18446744073709551616"],
        &["revoke-key"],
        &["revoke-key", "laptop"],
        &["list"],
        &["list", "tokens"],
        &["list", "keys; DROP TABLE users"],
    ] {
        expect_failure(args);
    }
}

#[cfg(unix)]
#[test]
fn text_that_is_no_utf8_gives_no_sql() {
    use std::os::unix::ffi::OsStrExt;
    expect_failure(&[OsStr::new("create-org"), OsStr::from_bytes(b"Acm\xc3")]);
    expect_failure(&[OsStr::new("create-user"), OsStr::from_bytes(b"ada@\xff")]);
}

/// The Makefile sends to D1 what ends in a semicolon, and shows all else.
#[test]
fn help_is_not_taken_for_sql() {
    for args in [&["--help"][..], &["--version"], &["help"], &["create-key", "--help"]] {
        let Output { status, stdout, .. } = admin(args);
        assert!(status.success(), "{args:?}");
        assert!(!String::from_utf8(stdout).unwrap().trim_end().ends_with(';'), "{args:?}");
    }
}
