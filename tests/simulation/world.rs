//! Where a simulation takes place: a database with two organizations and their people, which every run leaves as it
//! found it, and the configuration.

use asset_uploads::config::Config;
use asset_uploads::domain::api_key::Scope;
use asset_uploads::domain::timestamp::Timestamp;
use asset_uploads::store::Statement;
use asset_uploads::token::TokenHash;
use rusqlite::Connection;

use crate::model::{FolderModel, KeyModel, MAX_BYTES, Model, PART_BYTES, UserModel};
use crate::sqlite::callers::Membership;
use crate::sqlite::{self, CREATED_AT, Key, NOW, Person, unused_token};

/// The S3 side of the bucket.
pub(crate) const S3: [&str; 4] = ["https://s3.example", "files", "id", "secret"];
/// An id that nothing has.
pub(crate) const UNKNOWN_ID: &str = "00000000-0000-4000-8000-000000000000";

/// The users, by their place in [`Model::users`].
const USERS: [(&str, [Membership; 2]); 7] = [
    ("Edith", [Membership::As("editor"), Membership::None]),
    ("Emil", [Membership::As("admin"), Membership::As("editor")]),
    ("Vera", [Membership::As("viewer"), Membership::None]),
    ("Otto", [Membership::None, Membership::As("owner")]),
    ("Mia", [Membership::As("editor"), Membership::As("editor")]),
    ("Nadja", [Membership::WithoutRole, Membership::None]),
    ("Sue", [Membership::None, Membership::None]),
];

/// A key's user, the organization it is bound to, who looks through it, and how many seconds it lives.
type KeyOf = (usize, Option<usize>, Option<usize>, Option<u64>);

/// The keys, by their place in [`Model::keys`]; behind them come one that nobody has, none, and no key at all.
const KEYS: [KeyOf; 9] = [
    (0, None, None, None),
    (0, None, None, None),
    (1, Some(0), None, None),
    (2, None, None, None),
    (3, None, None, None),
    (4, None, None, None),
    (5, None, None, None),
    (0, None, Some(6), None),
    (0, Some(0), None, Some(7_200)),
];

/// The organization and the name of each folder that is there from the beginning.
const FOLDERS: [(usize, &str); 3] = [(1, "Photos"), (0, "Films"), (0, "Photos")];

/// A key that nobody has.
fn nobodys_key() -> KeyModel {
    KeyModel {
        id: None,
        token: None,
        user: None,
        impersonator: None,
        org: None,
        scope: Scope::Full,
        parent: None,
        max_uploads: None,
        uploads_started: 0,
        created_at: Timestamp(CREATED_AT),
        expires_at: None,
        revoked: None,
        removed: false,
    }
}

pub(crate) struct World {
    pub(crate) conn: Connection,
    pub(crate) config: Config,
    /// The same with `DECLARED_MISMATCH=reject`.
    pub(crate) strict_config: Config,
    pub(crate) model: Model,
    /// The folders that are there from the beginning.
    pub(crate) known_folders: Vec<String>,
}

impl World {
    pub(crate) fn new() -> Self {
        let conn = sqlite::open();
        let orgs = vec![sqlite::organization(&conn), sqlite::organization(&conn)];
        let users: Vec<_> = USERS.iter().map(|(name, _)| sqlite::user(&conn, name)).collect();
        for (user, (_, memberships)) in users.iter().zip(USERS) {
            for (org, membership) in orgs.iter().zip(memberships) {
                match membership {
                    Membership::None => {}
                    Membership::WithoutRole => sqlite::add_member(&conn, user, *org, None),
                    Membership::As(role) => sqlite::add_member(&conn, user, *org, Some(role)),
                }
            }
        }
        let mut keys: Vec<KeyModel> = KEYS
            .iter()
            .map(|(user, org, impersonator, seconds)| {
                let expires_at = seconds.map(|seconds| NOW.plus_seconds(seconds));
                let key = Key {
                    org: org.map(|org| orgs[org]),
                    impersonator: impersonator.map(|user| users[user].id),
                    expires_at,
                    ..Key::default()
                };
                let token = sqlite::give_token(&conn, &users[*user], key);
                KeyModel {
                    id: Some(sqlite::key_id(&conn, &TokenHash::of(&token).unwrap())),
                    token: Some(token),
                    user: Some(*user),
                    impersonator: *impersonator,
                    org: *org,
                    expires_at,
                    ..nobodys_key()
                }
            })
            .collect();
        let nobodys = KeyModel { token: Some(unused_token()), ..nobodys_key() };
        keys.push(nobodys.clone());
        keys.push(KeyModel { token: Some("au_mistyped".to_owned()), ..nobodys.clone() });
        keys.push(KeyModel { token: None, ..nobodys });
        let person = Person { user: users[0].clone(), key: sqlite::unused_key() };
        let folders = FOLDERS.map(|(org, name)| {
            let id = sqlite::folder(&conn, orgs[org], &person, None).to_string();
            let sql = "UPDATE folders SET name = ?1 WHERE id = ?2 RETURNING created_at";
            let created_at = conn.query_row(sql, [name, &id], |row| row.get(0)).map(Timestamp).unwrap();
            let folder = FolderModel {
                org,
                parent: None,
                name,
                created_by: 0,
                created_at,
                updated_at: created_at,
                deleted_at: None,
                deleted_with: None,
                first: None,
                request: 0,
            };
            (id, folder)
        });
        let known_folders = folders.iter().map(|(id, _)| id.clone()).collect();
        let users = users
            .iter()
            .zip(USERS)
            .map(|(user, (_, memberships))| UserModel {
                id: user.id,
                disabled: false,
                verified: true,
                memberships,
            })
            .collect();
        let max_bytes = MAX_BYTES.to_string();
        let part_bytes = PART_BYTES.to_string();
        let variables = [
            ("MAX_UPLOAD_BYTES", &*max_bytes),
            ("MULTIPART_PART_BYTES", &*part_bytes),
            ("ALLOWED_MIME_TYPES", "image/*, video/*"),
            ("AUTO_CONFIRM", "true"),
        ];
        let strict = [&variables[..], &[("DECLARED_MISMATCH", "reject")]].concat();
        let model = Model { orgs, users, keys, folders: folders.into(), ..Model::default() };
        Self {
            conn,
            config: crate::requests::config(&variables),
            strict_config: crate::requests::config(&strict),
            model,
            known_folders,
        }
    }

    /// Does something with the database and undoes it.
    pub(crate) fn undone<T>(&self, run: impl FnOnce() -> T) -> T {
        self.conn.execute_batch("SAVEPOINT run").unwrap();
        let output = run();
        self.conn.execute_batch("ROLLBACK TO run; RELEASE run").unwrap();
        output
    }

    /// Runs statements as D1 does: all of them or none.
    pub(crate) fn transact(&self, statements: &[Statement]) -> rusqlite::Result<Vec<Vec<String>>> {
        self.conn.prepare_cached("SAVEPOINT batch")?.execute([])?;
        let texts = sqlite::rows_of_statements(&self.conn, statements);
        if texts.is_err() {
            self.conn.prepare_cached("ROLLBACK TO batch")?.execute([])?;
        }
        self.conn.prepare_cached("RELEASE batch")?.execute([])?;
        texts
    }

    /// Runs one statement of the operator's.
    pub(crate) fn execute(&self, sql: &str, params: impl rusqlite::Params) {
        self.conn.prepare_cached(sql).unwrap().execute(params).unwrap();
    }
}

/// Where all simulations begin.
pub(crate) const BEGINNING: Timestamp = NOW;
