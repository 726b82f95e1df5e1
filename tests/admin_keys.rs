//! The admin commands for API keys: what one shows and stores, what a key may do, and its end.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "helpers of tests are tests")]

mod operator;
mod sqlite;

use asset_uploads::domain::ids::OrganizationId;
use asset_uploads::domain::timestamp::Timestamp;
use asset_uploads::error::{ApiError, Refusal};
use asset_uploads::store::rights::{Caller, CheckRights, Permission};
use asset_uploads::token::TokenHash;
use operator::{ORG, OTHER, USER, apply, made, now, office, only, text};
use rusqlite::Connection;
use rusqlite::types::Value;
use rusqlite::types::Value::{Integer, Null, Text};
use sqlite::{rows, run};

/// The key that a command shows.
fn token(told: &str) -> &str {
    let at = told.find("au_").unwrap();
    assert_eq!(told.matches("au_").count(), 1, "{told}");
    told[at..].split_whitespace().next().unwrap()
}

/// Whether the holder of a key may act, in the organization named or that of the key or user.
fn may(conn: &Connection, token: &str, org: Option<&str>, permission: Permission) -> Result<(), ApiError> {
    let caller = Caller {
        token: TokenHash::of(token).unwrap(),
        organization: org.map(|id| OrganizationId::parse(id).unwrap()),
        // After what the program took for now.
        now: Timestamp(now(conn) + 1000),
        permission,
    };
    run(conn, &CheckRights { caller, organization_readable: true })
}

#[test]
fn a_key_is_shown_once_and_works() {
    let conn = office();
    let (sql, told) = made(&["create-key", USER, "--name", "laptop"]);
    let token = token(&told);
    let hash = TokenHash::of(token).unwrap();
    assert!(!sql.contains("au_") && !sql.contains(&token[3..]), "{sql}");
    assert!(sql.contains(&format!("'{}'", hash.as_str())), "{sql}");
    assert_eq!(may(&conn, token, None, Permission::Write), Err(ApiError::Refused(Refusal::Unauthorized)));
    conn.execute_batch(&sql).unwrap();
    assert_eq!(may(&conn, token, None, Permission::Write), Ok(()));

    let columns = "token_hash, user_id, org_id, impersonator_id, name, expires_at, revoked_at, id";
    let [rest @ .., Text(id)] = &only(&conn, &format!("SELECT {columns} FROM api_keys"))[..] else {
        panic!()
    };
    assert_eq!(rest, [text(hash.as_str()), text(USER), Null, Null, text("laptop"), Null, Null]);
    assert!(told.starts_with(&format!("key {id}\n")), "{told}");
}

#[test]
fn no_two_keys_are_alike() {
    let outputs = [(); 3].map(|()| made(&["create-key", USER, "--name", "laptop"]));
    let mut tokens: Vec<&str> = outputs.iter().map(|(_, told)| token(told)).collect();
    tokens.sort_unstable();
    tokens.dedup();
    assert_eq!(tokens.len(), 3);
}

#[test]
fn a_key_may_be_bound_lent_and_limited() {
    let conn = office();
    apply(&conn, &["create-org", "Other", "--id", OTHER]);
    apply(&conn, &["add-member", OTHER, USER, "editor"]);

    let told = apply(&conn, &["create-key", USER, "--name", "bound", "--org", ORG]);
    assert_eq!(may(&conn, token(&told), None, Permission::Write), Ok(()));
    let elsewhere = may(&conn, token(&told), Some(OTHER), Permission::Write);
    assert_eq!(elsewhere, Err(ApiError::Refused(Refusal::OrganizationMembershipRequired)));

    let told = apply(&conn, &["create-key", USER, "--name", "lent", "--org", ORG, "--impersonator", OTHER]);
    assert_eq!(may(&conn, token(&told), None, Permission::Read), Ok(()));
    let write = may(&conn, token(&told), None, Permission::Write);
    assert_eq!(write, Err(ApiError::Refused(Refusal::ImpersonationReadOnly)));

    apply(&conn, &["create-key", USER, "--name", "limited", "--expires-in-days", "30"]);
    let life = "SELECT expires_at - created_at FROM api_keys WHERE name = 'limited'";
    assert_eq!(only(&conn, life), [Integer(30 * 86_400_000)]);
}

#[test]
fn a_revoked_key_is_useless_from_then_on() {
    let conn = office();
    let told = apply(&conn, &["create-key", USER, "--name", "laptop"]);
    let kept = apply(&conn, &["create-key", USER, "--name", "phone"]);
    let id = &told["key ".len()..][..36];
    let (sql, _) = made(&["revoke-key", id]);
    let shown = only(&conn, &sql);
    assert_eq!(shown[..2], [text(id), text("laptop")]);
    let unauthorized = Err(ApiError::Refused(Refusal::Unauthorized));
    assert_eq!(may(&conn, token(&told), None, Permission::Read), unauthorized);
    assert_eq!(may(&conn, token(&kept), None, Permission::Read), Ok(()));

    // Again, it stays revoked from the first time on; an unknown one shows no row.
    conn.execute("UPDATE api_keys SET revoked_at = 1 WHERE revoked_at IS NOT NULL", []).unwrap();
    let (sql, _) = made(&["revoke-key", id]);
    assert_eq!(only(&conn, &sql), [text(id), text("laptop"), Integer(1)]);
    let (sql, _) = made(&["revoke-key", OTHER]);
    assert_eq!(rows(&conn, &sql), Vec::<Vec<(String, Value)>>::new());
}
