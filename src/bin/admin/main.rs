//! Makes and changes organizations, users, members and API keys: prints SQL for `wrangler d1 execute` on standard
//! output, and what a person must read (ids, the one sight of a key) on standard error.
//!
//! `make admin ARGS="..."` runs it against the local database, `make admin-remote` against the real one. Both show the
//! messages only when D1 has accepted the SQL.

mod cli;
mod sql;

use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use asset_uploads::domain::timestamp::Timestamp;
use asset_uploads::token;
use clap::Parser;
use uuid::Uuid;

use cli::{Cli, Command, Role, Table};
use sql::{optional, quote};

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(sql) => {
            println!("{sql}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("admin: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<String, String> {
    let now = now()?;
    Ok(match command {
        Command::CreateOrg { name, id } => {
            let id = id.map_or_else(|| new_id(now), Ok)?;
            eprintln!("organization {id}");
            format!(
                "INSERT INTO organizations (id, name, created_at) VALUES ({}, {}, {});",
                quote(&id.to_string()),
                quote(&name),
                now.0
            )
        }
        Command::CreateUser { email, id, first_name, last_name, avatar_url, unverified } => {
            let id = id.map_or_else(|| new_id(now), Ok)?;
            eprintln!("user {id}");
            format!(
                "INSERT INTO users (id, email, first_name, last_name, avatar_url, email_verified_at, created_at) \
                 VALUES ({}, {}, {}, {}, {}, {}, {});",
                quote(&id.to_string()),
                quote(&email),
                optional(first_name.as_deref()),
                optional(last_name.as_deref()),
                optional(avatar_url.as_deref()),
                if unverified { "NULL".to_owned() } else { now.0.to_string() },
                now.0
            )
        }
        Command::AddMember { org, user, role } => format!(
            "INSERT INTO memberships (org_id, user_id, role) VALUES ({}, {}, {}) \
             ON CONFLICT (user_id, org_id) DO UPDATE SET role = excluded.role;",
            quote(&org.to_string()),
            quote(&user.to_string()),
            optional(role.map(Role::name))
        ),
        Command::SetRole { org, user, role } => {
            explain_no_row("member: add-member makes one");
            format!(
                "UPDATE memberships SET role = {} WHERE org_id = {} AND user_id = {} RETURNING org_id, user_id, role;",
                quote(role.name()),
                quote(&org.to_string()),
                quote(&user.to_string())
            )
        }
        Command::RemoveMember { org, user } => {
            explain_no_row("member");
            format!(
                "DELETE FROM memberships WHERE org_id = {} AND user_id = {} RETURNING org_id, user_id, role;",
                quote(&org.to_string()),
                quote(&user.to_string())
            )
        }
        Command::DisableUser { id } => {
            explain_no_row("user");
            format!(
                "UPDATE users SET disabled_at = COALESCE(disabled_at, {}) WHERE id = {} RETURNING id, email, disabled_at;",
                now.0,
                quote(&id.to_string())
            )
        }
        Command::EnableUser { id } => {
            explain_no_row("user");
            format!(
                "UPDATE users SET disabled_at = NULL WHERE id = {} RETURNING id, email, disabled_at;",
                quote(&id.to_string())
            )
        }
        Command::VerifyEmail { id } => {
            explain_no_row("user");
            format!(
                "UPDATE users SET email_verified_at = COALESCE(email_verified_at, {}) WHERE id = {} \
                 RETURNING id, email, email_verified_at;",
                now.0,
                quote(&id.to_string())
            )
        }
        Command::CreateKey { user, name, org, impersonator, expires_in_days } => {
            let id = new_id(now)?;
            let token = token::generate(&random()?);
            let hash = token::TokenHash::of(&token).ok_or("made a malformed key")?;
            let expires_at = expires_in_days.map(|days| now.plus_seconds(days * 86_400).0.to_string());
            eprintln!("key {id}\nShown this once, keep it secret: {token}");
            format!(
                "INSERT INTO api_keys (id, token_hash, user_id, org_id, impersonator_id, name, created_at, expires_at) \
                 VALUES ({}, {}, {}, {}, {}, {}, {}, {});",
                quote(&id.to_string()),
                quote(hash.as_str()),
                quote(&user.to_string()),
                optional(org.map(|id| id.to_string()).as_deref()),
                optional(impersonator.map(|id| id.to_string()).as_deref()),
                quote(&name),
                now.0,
                expires_at.as_deref().unwrap_or("NULL")
            )
        }
        Command::RevokeKey { id } => {
            explain_no_row("key");
            format!(
                "UPDATE api_keys SET revoked_at = COALESCE(revoked_at, {}) WHERE id = {} RETURNING id, name, revoked_at;",
                now.0,
                quote(&id.to_string())
            )
        }
        Command::List { what } => match what {
            Table::Orgs => "SELECT id, name, created_at FROM organizations ORDER BY name;",
            Table::Users => {
                "SELECT id, email, first_name, last_name, email_verified_at, disabled_at FROM users ORDER BY email;"
            }
            Table::Members => {
                "SELECT o.name AS organization, u.email, m.role, m.org_id, m.user_id FROM memberships m \
                 JOIN organizations o ON o.id = m.org_id JOIN users u ON u.id = m.user_id ORDER BY o.name, u.email;"
            }
            Table::Keys => {
                "SELECT k.id, k.name, u.email, k.org_id, k.impersonator_id, k.expires_at, k.revoked_at FROM api_keys k \
                 JOIN users u ON u.id = k.user_id ORDER BY u.email, k.created_at;"
            }
        }
        .to_owned(),
    })
}

/// This program cannot see whether there is what it changes: the row that RETURNING shows tells.
fn explain_no_row(what: &str) {
    eprintln!("If no row is shown, there is no such {what}.");
}

fn new_id(now: Timestamp) -> Result<Uuid, String> {
    Ok(uuid::Builder::from_unix_timestamp_millis(now.unix_ms(), &random()?).into_uuid())
}

fn random<const N: usize>() -> Result<[u8; N], String> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| format!("no random bytes: {error}"))?;
    Ok(bytes)
}

/// The one place outside the Worker that reads a clock.
#[allow(clippy::disallowed_methods)]
fn now() -> Result<Timestamp, String> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).map_err(|_| "the clock is before 1970")?;
    i64::try_from(since.as_millis()).map(Timestamp).map_err(|_| "the clock is out of range".to_owned())
}
