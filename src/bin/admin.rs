//! Makes organizations, users, members and API keys: prints SQL for `wrangler d1 execute` on standard
//! output, and what a person must read (ids, the one sight of a key) on standard error.
//!
//! `make admin ARGS="..."` runs it against the local database, `make admin-remote` against the real one.

use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use asset_uploads::domain::timestamp::Timestamp;
use asset_uploads::token;
use clap::{Parser, Subcommand, ValueEnum};
use uuid::Uuid;

/// Makes organizations, users, members and API keys, as SQL.
#[derive(Parser)]
#[command(name = "admin", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make an organization
    CreateOrg {
        /// Its name
        #[arg(value_parser = text)]
        name: String,
        /// Its id; a new one unless given
        #[arg(long)]
        id: Option<Uuid>,
    },
    /// Make a user
    CreateUser {
        /// E-mail address
        #[arg(value_parser = email)]
        email: String,
        /// Its id; a new one unless given
        #[arg(long)]
        id: Option<Uuid>,
        /// Given name
        #[arg(long, value_parser = text)]
        first_name: Option<String>,
        /// Family name
        #[arg(long, value_parser = text)]
        last_name: Option<String>,
        /// URL of a picture
        #[arg(long, value_parser = text)]
        avatar_url: Option<String>,
        /// The e-mail address is not verified yet: the user may not act
        #[arg(long)]
        unverified: bool,
    },
    /// Make a user a member of an organization, or change the member's role
    AddMember {
        /// The organization's id
        org: Uuid,
        /// The user's id
        user: Uuid,
        /// owner, admin, editor or viewer; none: invited, may not act yet
        role: Option<Role>,
    },
    /// Make an API key; it is shown once and only its hash is stored
    CreateKey {
        /// The id of the user it acts for
        user: Uuid,
        /// What it is for
        #[arg(long, value_parser = text)]
        name: String,
        /// The one organization it may act in
        #[arg(long)]
        org: Option<Uuid>,
        /// The user who looks through the other one's eyes with it, and may not write
        #[arg(long)]
        impersonator: Option<Uuid>,
        /// Days until it expires; never unless given
        #[arg(long, value_parser = clap::value_parser!(u64).range(1..=36_500))]
        expires_in_days: Option<u64>,
    },
    /// Make an API key useless from now on
    RevokeKey {
        /// The key's id, as `list keys` shows it
        id: Uuid,
    },
    /// Show what there is
    List {
        /// Of what
        what: Table,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum Role {
    Owner,
    Admin,
    Editor,
    Viewer,
}

#[derive(Clone, Copy, ValueEnum)]
enum Table {
    Orgs,
    Users,
    Members,
    Keys,
}

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
        Command::AddMember { org, user, role } => {
            let role = role.and_then(|role| role.to_possible_value().map(|value| value.get_name().to_owned()));
            format!(
                "INSERT INTO memberships (org_id, user_id, role) VALUES ({}, {}, {}) \
                 ON CONFLICT (user_id, org_id) DO UPDATE SET role = excluded.role;",
                quote(&org.to_string()),
                quote(&user.to_string()),
                optional(role.as_deref())
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
        Command::RevokeKey { id } => format!(
            // RETURNING shows whether there was such a key.
            "UPDATE api_keys SET revoked_at = COALESCE(revoked_at, {}) WHERE id = {} RETURNING id, name, revoked_at;",
            now.0,
            quote(&id.to_string())
        ),
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

/// An SQL literal. Text of anything but harmless characters is written as the hexadecimal digits of its
/// bytes, so that there is nothing in it that a parser, a splitter of statements or a shell could take
/// for the end of the literal.
fn quote(text: &str) -> String {
    let harmless = |c: char| c.is_ascii_alphanumeric() || " .@_-+".contains(c);
    if text.chars().all(harmless) && !text.contains("--") {
        return format!("'{text}'");
    }
    let digits: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
    format!("CAST(x'{digits}' AS TEXT)")
}

fn optional(text: Option<&str>) -> String {
    text.map_or_else(|| "NULL".to_owned(), quote)
}

/// Text that SQLite keeps whole and that a person can see.
fn text(input: &str) -> Result<String, String> {
    if input.trim().is_empty() {
        return Err("must not be empty".to_owned());
    }
    if input.contains(char::is_control) {
        return Err("must not hold control characters".to_owned());
    }
    Ok(input.to_owned())
}

fn email(input: &str) -> Result<String, String> {
    match input.split_once('@') {
        Some((local, domain)) if !local.is_empty() && !domain.is_empty() => text(input),
        _ => Err("must be an e-mail address".to_owned()),
    }
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
