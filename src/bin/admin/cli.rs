//! The command line: every command, its arguments, and what they may be.

use clap::{Parser, Subcommand, ValueEnum};
use uuid::Uuid;

/// Makes and changes organizations, users, members and API keys, as SQL.
#[derive(Parser)]
#[command(name = "admin", version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
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
    /// Change the role of a member
    SetRole {
        /// The organization's id
        org: Uuid,
        /// The user's id
        user: Uuid,
        /// The member's role from now on
        role: Role,
    },
    /// End a membership; the user's keys stay, but have no rights in the organization
    RemoveMember {
        /// The organization's id
        org: Uuid,
        /// The user's id
        user: Uuid,
    },
    /// Disable a user: no key of theirs works until enable-user
    DisableUser {
        /// The user's id
        id: Uuid,
    },
    /// Enable a disabled user again; revoked keys stay revoked
    EnableUser {
        /// The user's id
        id: Uuid,
    },
    /// Mark a user's e-mail address as verified; without that no key of theirs works
    VerifyEmail {
        /// The user's id
        id: Uuid,
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
        /// Makes it an impersonation key: the user who reads as the other user with it, and may not write
        #[arg(long)]
        impersonator: Option<Uuid>,
        /// Days until it expires; never unless given
        #[arg(long, value_parser = clap::value_parser!(u64).range(1..=36_500))]
        expires_in_days: Option<u64>,
    },
    /// Revoke an API key
    RevokeKey {
        /// The key's id, as `list keys` shows it
        id: Uuid,
    },
    /// List rows of a table
    List {
        /// The table
        what: Table,
    },
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Role {
    Owner,
    Admin,
    Editor,
    Viewer,
}

impl Role {
    /// As the table `roles` and the command line have it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Admin => "admin",
            Self::Editor => "editor",
            Self::Viewer => "viewer",
        }
    }
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Table {
    Orgs,
    Users,
    Members,
    Keys,
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
