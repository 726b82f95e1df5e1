//! The admin commands for API keys: what one shows and stores, what a key may do, and its end; and what
//! the commands for members and users do to the keys' rights.

use asset_uploads::domain::ids::OrganizationId;
use asset_uploads::domain::timestamp::Timestamp;
use asset_uploads::error::{ApiError, AuthError};
use asset_uploads::store::rights::{Caller, CheckRights, Permission};
use asset_uploads::token::TokenHash;
use rusqlite::Connection;
use rusqlite::types::Value;
use rusqlite::types::Value::{Integer, Null, Text};

use crate::operator::{ORG, OTHER, USER, apply, now, only, organization_with_member, sql_of, text};
use crate::sqlite::{TestAccess, rows, run};

/// The key that a command shows.
fn token(messages: &str) -> &str {
    let at = messages.find("au_").unwrap();
    assert_eq!(messages.matches("au_").count(), 1, "{messages}");
    messages[at..].split_whitespace().next().unwrap()
}

/// Whether the holder of a key may act, in the organization named or that of the key or user.
fn may(conn: &Connection, token: &str, org: Option<&str>, permission: Permission) -> Result<(), ApiError> {
    let caller = Caller {
        token: TokenHash::of(token).unwrap(),
        organization: org.map(|id| OrganizationId::parse(id).unwrap()),
        // After what the program took for now.
        now: Timestamp(now(conn) + 1000),
        access: TestAccess::from(permission).0,
        ignores_expiry: false,
    };
    run(conn, &CheckRights { caller })
}

#[test]
fn a_key_is_shown_once_and_works() {
    let conn = organization_with_member();
    let (sql, messages) = sql_of(&["create-key", USER, "--name", "laptop"]);
    let token = token(&messages);
    let hash = TokenHash::of(token).unwrap();
    assert!(!sql.contains("au_") && !sql.contains(&token[3..]), "{sql}");
    assert!(sql.contains(&format!("'{}'", hash.as_str())), "{sql}");
    assert_eq!(
        may(&conn, token, None, Permission::AssetsWrite),
        Err(ApiError::Auth(AuthError::Unauthorized))
    );
    conn.execute_batch(&sql).unwrap();
    assert_eq!(may(&conn, token, None, Permission::AssetsWrite), Ok(()));

    let columns = "token_hash, user_id, org_id, impersonator_id, name, expires_at, revoked_at, id";
    let [rest @ .., Text(id)] = &only(&conn, &format!("SELECT {columns} FROM api_keys"))[..] else {
        panic!()
    };
    assert_eq!(rest, [text(hash.as_str()), text(USER), Null, Null, text("laptop"), Null, Null]);
    assert!(messages.starts_with(&format!("key {id}\n")), "{messages}");
}

#[test]
fn no_two_keys_are_alike() {
    let outputs = [(); 3].map(|()| sql_of(&["create-key", USER, "--name", "laptop"]));
    let mut tokens: Vec<&str> = outputs.iter().map(|(_, messages)| token(messages)).collect();
    tokens.sort_unstable();
    tokens.dedup();
    assert_eq!(tokens.len(), 3);
}

#[test]
fn a_key_may_be_bound_given_to_an_impersonator_and_limited_in_time() {
    let conn = organization_with_member();
    apply(&conn, &["create-org", "Other", "--id", OTHER]);
    apply(&conn, &["add-member", OTHER, USER, "editor"]);

    let messages = apply(&conn, &["create-key", USER, "--name", "bound", "--org", ORG]);
    assert_eq!(may(&conn, token(&messages), None, Permission::AssetsWrite), Ok(()));
    let elsewhere = may(&conn, token(&messages), Some(OTHER), Permission::AssetsWrite);
    assert_eq!(elsewhere, Err(ApiError::Auth(AuthError::OrganizationMembershipRequired)));

    let messages =
        apply(&conn, &["create-key", USER, "--name", "impersonation", "--org", ORG, "--impersonator", OTHER]);
    assert_eq!(may(&conn, token(&messages), None, Permission::AssetsRead), Ok(()));
    let write = may(&conn, token(&messages), None, Permission::AssetsWrite);
    assert_eq!(write, Err(ApiError::Auth(AuthError::ImpersonationReadOnly)));

    apply(&conn, &["create-key", USER, "--name", "limited", "--expires-in-days", "30"]);
    let life = "SELECT expires_at - created_at FROM api_keys WHERE name = 'limited'";
    assert_eq!(only(&conn, life), [Integer(30 * 86_400_000)]);
}

#[test]
fn a_revoked_key_is_useless_from_then_on() {
    let conn = organization_with_member();
    let messages = apply(&conn, &["create-key", USER, "--name", "laptop"]);
    let kept = apply(&conn, &["create-key", USER, "--name", "phone"]);
    let id = &messages["key ".len()..][..36];
    let (sql, _) = sql_of(&["revoke-key", id]);
    let shown = only(&conn, &sql);
    assert_eq!(shown[..2], [text(id), text("laptop")]);
    let unauthorized = Err(ApiError::Auth(AuthError::Unauthorized));
    assert_eq!(may(&conn, token(&messages), None, Permission::AssetsRead), unauthorized);
    assert_eq!(may(&conn, token(&kept), None, Permission::AssetsRead), Ok(()));

    // Again, it stays revoked from the first time on; an unknown one shows no row.
    conn.execute("UPDATE api_keys SET revoked_at = 1 WHERE revoked_at IS NOT NULL", []).unwrap();
    let (sql, _) = sql_of(&["revoke-key", id]);
    assert_eq!(only(&conn, &sql), [text(id), text("laptop"), Integer(1)]);
    let (sql, _) = sql_of(&["revoke-key", OTHER]);
    assert_eq!(rows(&conn, &sql), Vec::<Vec<(String, Value)>>::new());
}

fn denied(error: AuthError) -> Result<(), ApiError> {
    Err(ApiError::Auth(error))
}

#[test]
fn a_removed_member_keeps_no_rights_there() {
    let conn = organization_with_member();
    apply(&conn, &["create-org", "Other", "--id", OTHER]);
    apply(&conn, &["add-member", OTHER, USER, "editor"]);
    let free = apply(&conn, &["create-key", USER, "--name", "free"]);
    let bound = apply(&conn, &["create-key", USER, "--name", "bound", "--org", ORG]);
    assert_eq!(may(&conn, token(&free), Some(ORG), Permission::AssetsWrite), Ok(()));
    assert_eq!(may(&conn, token(&bound), None, Permission::AssetsWrite), Ok(()));

    apply(&conn, &["remove-member", ORG, USER]);
    let no_member = || denied(AuthError::OrganizationMembershipRequired);
    for permission in [Permission::AssetsRead, Permission::AssetsWrite] {
        assert_eq!(may(&conn, token(&free), Some(ORG), permission), no_member());
        assert_eq!(may(&conn, token(&bound), None, permission), no_member());
        assert_eq!(may(&conn, token(&bound), Some(OTHER), permission), no_member());
        // What is left of the memberships still counts.
        assert_eq!(may(&conn, token(&free), Some(OTHER), permission), Ok(()));
        assert_eq!(may(&conn, token(&free), None, permission), Ok(()));
    }

    apply(&conn, &["remove-member", OTHER, USER]);
    assert_eq!(may(&conn, token(&free), None, Permission::AssetsRead), no_member());
}

#[test]
fn a_role_that_is_set_takes_effect_at_once() {
    let conn = organization_with_member();
    let messages = apply(&conn, &["create-key", USER, "--name", "laptop"]);
    let may = |permission| may(&conn, token(&messages), None, permission);
    assert_eq!(may(Permission::AssetsWrite), Ok(()));
    apply(&conn, &["set-role", ORG, USER, "viewer"]);
    assert_eq!(
        [may(Permission::AssetsRead), may(Permission::AssetsWrite)],
        [Ok(()), denied(AuthError::PermissionDenied)]
    );
    apply(&conn, &["set-role", ORG, USER, "owner"]);
    assert_eq!(may(Permission::AssetsWrite), Ok(()));
}

#[test]
fn a_disabled_user_has_no_rights_until_enabled() {
    let conn = organization_with_member();
    apply(&conn, &["add-member", ORG, OTHER, "editor"]);
    let mine = apply(&conn, &["create-key", USER, "--name", "laptop"]);
    let revoked = apply(&conn, &["create-key", USER, "--name", "lost"]);
    apply(&conn, &["revoke-key", &revoked["key ".len()..][..36]]);
    let others = apply(&conn, &["create-key", OTHER, "--name", "laptop"]);

    apply(&conn, &["disable-user", USER]);
    assert_eq!(may(&conn, token(&mine), None, Permission::AssetsRead), denied(AuthError::Unauthorized));
    assert_eq!(may(&conn, token(&others), None, Permission::AssetsWrite), Ok(()));

    apply(&conn, &["enable-user", USER]);
    assert_eq!(may(&conn, token(&mine), None, Permission::AssetsWrite), Ok(()));
    assert_eq!(may(&conn, token(&revoked), None, Permission::AssetsRead), denied(AuthError::Unauthorized));
}

#[test]
fn a_user_may_act_once_the_address_is_verified() {
    let conn = organization_with_member();
    let late = "018f4d2e-7c4b-7a35-9c1f-0242ac120004";
    apply(&conn, &["create-user", "cleo@example.com", "--id", late, "--unverified"]);
    apply(&conn, &["add-member", ORG, late, "editor"]);
    let messages = apply(&conn, &["create-key", late, "--name", "laptop"]);
    assert_eq!(
        may(&conn, token(&messages), None, Permission::AssetsRead),
        denied(AuthError::EmailNotVerified)
    );
    apply(&conn, &["verify-email", late]);
    assert_eq!(may(&conn, token(&messages), None, Permission::AssetsWrite), Ok(()));
}
