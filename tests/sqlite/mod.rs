//! Runs operations on an in-memory SQLite with the real migrations, and fills it with people and things.

#![allow(dead_code, reason = "no test file needs all of it")]
pub(crate) mod callers;
pub(crate) mod fixtures;
pub(crate) mod operations;

use std::cell::Cell;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use asset_uploads::domain::api_key::Scope;
use asset_uploads::domain::asset::User;
use asset_uploads::domain::ids::{
    AssetUploadId, DeliveryId, FolderId, OrganizationId, RequestId, UserId, WebhookId,
};
use asset_uploads::domain::timestamp::Timestamp;
use asset_uploads::domain::webhook::EventType;
use asset_uploads::error::ApiError;
use asset_uploads::store::rights::{self, Access, Caller, CallerOperation, Identity, Permission};
use asset_uploads::store::{Operation, Param, Rows, Statement};
use asset_uploads::token::{self, TokenHash};
use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::types::Value;
use rusqlite::{Connection, Params, params, params_from_iter};

/// The time of every request, unless a test says otherwise: 2026-11-22T12:51:07.042Z.
pub(crate) const NOW: Timestamp = Timestamp(1_795_351_867_042);

/// An empty database as the migrations leave it.
pub(crate) fn open() -> Connection {
    open_at(usize::MAX)
}

/// An empty database as the first so many migrations left it.
pub(crate) fn open_at(migrations: usize) -> Connection {
    let conn = Connection::open_in_memory().unwrap();
    conn.pragma_update(None, "foreign_keys", true).unwrap();
    // One plan a statement, whatever is bound: without it, each binding has SQLite plan anew.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).unwrap();
    // Tests run the same few statements many thousand times.
    conn.set_prepared_statement_cache_capacity(1_000);
    // What D1 documents; SQLite takes more.
    for (limit, value) in [
        (Limit::SQLITE_LIMIT_FUNCTION_ARG, 32),
        (Limit::SQLITE_LIMIT_VARIABLE_NUMBER, 100),
        (Limit::SQLITE_LIMIT_SQL_LENGTH, 100_000),
        (Limit::SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 50),
        (Limit::SQLITE_LIMIT_COMPOUND_SELECT, 5),
    ] {
        conn.set_limit(limit, value).unwrap();
    }
    for path in paths_of_migrations().iter().take(migrations) {
        conn.execute_batch(&std::fs::read_to_string(path).unwrap()).unwrap();
    }
    conn
}

/// Applies the migrations behind the first so many.
pub(crate) fn migrate_from(conn: &Connection, migrations: usize) {
    for path in paths_of_migrations().iter().skip(migrations) {
        conn.execute_batch(&std::fs::read_to_string(path).unwrap()).unwrap();
    }
}

fn paths_of_migrations() -> Vec<std::path::PathBuf> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations");
    let mut migrations: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    migrations.retain(|path| path.extension().is_some_and(|extension| extension == "sql"));
    assert!(!migrations.is_empty(), "no migrations in {folder}");
    migrations.sort();
    migrations
}

/// Runs an operation as D1 does: all its statements in one transaction.
pub(crate) fn run<O: CallerOperation>(conn: &Connection, operation: &O) -> Result<O::Output, ApiError> {
    run_with_identity(conn, operation).0
}

/// Runs an operation; also returns who the caller is.
pub(crate) fn run_with_identity<O: CallerOperation>(
    conn: &Connection,
    operation: &O,
) -> (Result<O::Output, ApiError>, Identity) {
    match rows_of(conn, &operation.statements()) {
        Ok(rows) => {
            let (identity, output) = rights::decode(operation, &rows);
            (output, identity)
        }
        Err(error) => (Err(error), Identity::default()),
    }
}

/// Runs an operation of the system's own.
pub(crate) fn run_system<O: Operation>(conn: &Connection, operation: &O) -> Result<O::Output, ApiError> {
    operation.decode(&rows_of(conn, &operation.statements())?)
}

fn rows_of(conn: &Connection, statements: &[Statement]) -> Result<Rows, ApiError> {
    let texts = transact(conn, statements);
    texts.map(|texts| Rows { texts }).map_err(|error| ApiError::Internal(format!("SQLite: {error}")))
}

/// Runs statements as D1 does: all in one transaction.
pub(crate) fn transact(conn: &Connection, statements: &[Statement]) -> rusqlite::Result<Vec<Vec<String>>> {
    // Dropped on an error, it rolls back.
    let transaction = conn.unchecked_transaction()?;
    let texts = rows_of_statements(&transaction, statements)?;
    transaction.commit()?;
    Ok(texts)
}

/// Runs statements one after the other, within D1's limits: the rows of each.
pub(crate) fn rows_of_statements(
    conn: &Connection,
    statements: &[Statement],
) -> rusqlite::Result<Vec<Vec<String>>> {
    assert!(!statements.is_empty(), "D1 rejects an empty batch");
    let mut texts = Vec::new();
    for statement in statements {
        let mut prepared = conn.prepare_cached(statement.sql)?;
        let rows = prepared.query_map(params_from_iter(statement.params.iter().map(bound)), |row| {
            assert_eq!(row.as_ref().column_count(), 1, "one column a row: {}", statement.sql);
            row.get::<_, String>("json")
        })?;
        texts.push(rows.collect::<Result<_, _>>()?);
    }
    Ok(texts)
}

/// The output of a future that never waits: SQLite and a bucket in memory answer at once.
pub(crate) fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("nothing here waits"),
    }
}

/// A parameter as it reaches SQLite through D1, where every number is a double.
#[allow(clippy::cast_precision_loss, reason = "D1 loses it too")]
pub(crate) fn bound(param: &Param) -> Value {
    match param {
        Param::Text(text) => Value::Text(text.clone()),
        Param::Int(number) => Value::Real(*number as f64),
        Param::Null => Value::Null,
    }
}

/// Every row of a query, every value as SQLite holds it.
pub(crate) fn rows(conn: &Connection, sql: &str) -> Vec<Vec<(String, Value)>> {
    let mut prepared = conn.prepare(sql).unwrap();
    let names: Vec<String> = prepared.column_names().map(str::to_owned).collect();
    let row = |row: &rusqlite::Row<'_>| {
        names.iter().enumerate().map(|(n, name)| Ok((name.clone(), row.get(n)?))).collect()
    };
    prepared.query_map([], row).unwrap().collect::<Result<_, _>>().unwrap()
}

/// Everything that a confirmation could have touched.
pub(crate) fn contents(conn: &Connection) -> [Vec<Vec<(String, Value)>>; 5] {
    ["assets", "asset_uploads", "folders", "webhooks", "webhook_deliveries"]
        .map(|table| rows(conn, &format!("SELECT * FROM {table} ORDER BY id")))
}

/// How many assets there are.
pub(crate) fn count_assets(conn: &Connection) -> i64 {
    conn.query_row("SELECT count(*) FROM assets", [], |row| row.get(0)).unwrap()
}

/// Bytes that no other call of this thread returns: what makes ids and keys differ. On a new thread they are the same
/// again, so that what a test does there can be repeated.
fn unique() -> [u8; 10] {
    thread_local! {
        static NEXT: Cell<u64> = const { Cell::new(1) };
    }
    let next = NEXT.replace(NEXT.get() + 1);
    let mut bytes = [0; 10];
    bytes[2..].copy_from_slice(&next.to_be_bytes());
    bytes
}

/// When all rows of the fixtures were created.
pub(crate) const CREATED_AT: i64 = 1_700_000_000_000;

/// An id that nothing has.
pub(crate) fn unused_organization_id() -> OrganizationId {
    OrganizationId::v7(CREATED_AT.unsigned_abs(), &unique())
}

/// An id that nothing has.
pub(crate) fn unused_folder_id() -> FolderId {
    FolderId::v7(CREATED_AT.unsigned_abs(), &unique())
}

/// An id that nothing has.
pub(crate) fn unused_upload_id() -> AssetUploadId {
    AssetUploadId::v7(CREATED_AT.unsigned_abs(), &unique())
}

/// An id that no other request has.
pub(crate) fn new_request_id() -> RequestId {
    RequestId::v7(NOW.unix_ms(), &unique())
}

/// A well-formed key that nobody has.
pub(crate) fn unused_token() -> String {
    let mut random = [0; 32];
    random[..10].copy_from_slice(&unique());
    token::generate(&random)
}

/// The hash of a key that nobody has.
pub(crate) fn unused_key() -> TokenHash {
    TokenHash::of(&unused_token()).unwrap()
}

/// A user with an API key.
#[derive(Debug, Clone)]
pub(crate) struct Person {
    pub(crate) user: User,
    pub(crate) key: TokenHash,
}

impl Person {
    /// A request that names no organization.
    pub(crate) fn caller(&self, access: impl Into<TestAccess>) -> Caller {
        let TestAccess(access) = access.into();
        Caller { token: self.key.clone(), organization: None, now: NOW, access, ignores_expiry: false }
    }
}

/// What an operation needs of its caller. Of a permission alone: the keys that it is for, and whether it writes.
pub(crate) struct TestAccess(pub(crate) Access);

impl From<Permission> for TestAccess {
    fn from(permission: Permission) -> Self {
        let writes = permission == Permission::AssetsWrite;
        Self(Access { permission, scopes: permission.scopes(), writes })
    }
}

impl From<Access> for TestAccess {
    fn from(access: Access) -> Self {
        Self(access)
    }
}

/// What starting, confirming or cancelling an upload needs.
pub(crate) const OF_UPLOADS: Access =
    Access { permission: Permission::AssetsWrite, scopes: &[Scope::Full, Scope::Upload], writes: true };

/// What is known of a key beside its user.
#[derive(Debug, Clone, Default)]
pub(crate) struct Key {
    pub(crate) org: Option<OrganizationId>,
    pub(crate) impersonator: Option<UserId>,
    pub(crate) expires_at: Option<Timestamp>,
    pub(crate) revoked_at: Option<Timestamp>,
    /// `None`: full.
    pub(crate) scope: Option<Scope>,
    /// The id of the key that made it.
    pub(crate) parent: Option<String>,
    /// JSON.
    pub(crate) limits: Option<String>,
}

/// Inserts or changes one row.
fn insert(conn: &Connection, sql: &str, params: impl Params) {
    assert_eq!(conn.prepare_cached(sql).unwrap().execute(params), Ok(1));
}

pub(crate) fn organization(conn: &Connection) -> OrganizationId {
    let id = unused_organization_id();
    insert(conn, "INSERT INTO organizations VALUES (?1, 'Acme', ?2)", params![id.to_string(), CREATED_AT]);
    id
}

/// A user with a verified e-mail address, without key or membership.
pub(crate) fn user(conn: &Connection, name: &str) -> User {
    let id = UserId::v7(CREATED_AT.unsigned_abs(), &unique());
    let user = User {
        id,
        email: format!("{name}@{id}.example"),
        first_name: Some(name.to_owned()),
        last_name: None,
        avatar_url: Some(format!("https://faces.example/{name}.png")),
    };
    insert(
        conn,
        "INSERT INTO users (id, email, first_name, last_name, avatar_url, email_verified_at, created_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6)",
        params![id.to_string(), user.email, user.first_name, user.last_name, user.avatar_url, CREATED_AT],
    );
    user
}

pub(crate) fn add_member(conn: &Connection, user: &User, org: OrganizationId, role: Option<&str>) {
    insert(
        conn,
        "INSERT INTO memberships (org_id, user_id, role) VALUES (?1, ?2, ?3)",
        params![org.to_string(), user.id.to_string(), role],
    );
}

/// Gives a user a key; its hash.
pub(crate) fn key(conn: &Connection, user: &User, key: Key) -> TokenHash {
    TokenHash::of(&give_token(conn, user, key)).unwrap()
}

/// Gives a user a key; the key itself.
pub(crate) fn give_token(conn: &Connection, user: &User, key: Key) -> String {
    let token = unused_token();
    let hash = TokenHash::of(&token).unwrap();
    let id = unused_upload_id().to_string();
    let sql = "INSERT INTO api_keys (id, token_hash, user_id, org_id, impersonator_id, name, created_at, expires_at,
                 revoked_at) VALUES (?1, ?2, ?3, ?4, ?5, 'laptop', ?6, ?7, ?8)";
    let values = params![
        id,
        hash.as_str(),
        user.id.to_string(),
        key.org.map(|id| id.to_string()),
        key.impersonator.map(|id| id.to_string()),
        CREATED_AT,
        key.expires_at.map(|time| time.0),
        key.revoked_at.map(|time| time.0),
    ];
    insert(conn, sql, values);
    // A database of before migration 0006 has no such columns.
    if key.scope.is_some() || key.parent.is_some() {
        let scope = key.scope.unwrap_or(Scope::Full).as_str();
        let sql = "UPDATE api_keys SET scope = ?2, parent_id = ?3, limits = ?4 WHERE id = ?1";
        insert(conn, sql, params![id, scope, key.parent, key.limits]);
    }
    token
}

/// The id of a key.
pub(crate) fn key_id(conn: &Connection, hash: &TokenHash) -> String {
    let sql = "SELECT id FROM api_keys WHERE token_hash = ?1";
    conn.query_row(sql, [hash.as_str()], |row| row.get(0)).unwrap()
}

fn member(conn: &Connection, name: &str, org: OrganizationId, role: &str) -> Person {
    let user = user(conn, name);
    add_member(conn, &user, org, Some(role));
    let key = key(conn, &user, Key::default());
    Person { user, key }
}

/// May read and write in `org`.
pub(crate) fn editor(conn: &Connection, org: OrganizationId) -> Person {
    member(conn, "Edith", org, "editor")
}

/// May do everything in `org`.
pub(crate) fn admin(conn: &Connection, org: OrganizationId) -> Person {
    member(conn, "Adam", org, "admin")
}

/// May read in `org`.
pub(crate) fn viewer(conn: &Connection, org: OrganizationId) -> Person {
    member(conn, "Vera", org, "viewer")
}

/// Owns another organization, and has nothing to do with any that the test knows.
pub(crate) fn outsider(conn: &Connection) -> (Person, OrganizationId) {
    let org = organization(conn);
    (member(conn, "Otto", org, "owner"), org)
}

/// A folder at the top, whose name no other has; deleted where `deleted_at` says so.
pub(crate) fn folder(
    conn: &Connection,
    org: OrganizationId,
    by: &Person,
    deleted_at: Option<Timestamp>,
) -> FolderId {
    let id = unused_folder_id();
    insert(
        conn,
        "INSERT INTO folders (id, org_id, name, created_by, created_at, updated_at, deleted_at)
         VALUES (?1, ?2, 'Holiday ' || ?1, ?3, ?4, ?4, ?5)",
        params![
            id.to_string(),
            org.to_string(),
            by.user.id.to_string(),
            CREATED_AT,
            deleted_at.map(|time| time.0)
        ],
    );
    id
}

/// A webhook of an organization, for these events.
pub(crate) fn webhook(conn: &Connection, org: OrganizationId, by: UserId, types: &[EventType]) -> WebhookId {
    let id = WebhookId::v7(CREATED_AT.unsigned_abs(), &unique());
    insert(
        conn,
        "INSERT INTO webhooks (id, org_id, url, event_types, created_by, created_at, updated_at)
         VALUES (?1, ?2, 'https://hooks.example.com/' || ?1, ?3, ?4, ?5, ?5)",
        params![
            id.to_string(),
            org.to_string(),
            serde_json::to_string(types).unwrap(),
            by.to_string(),
            CREATED_AT
        ],
    );
    id
}

/// A delivery to a webhook that has failed for good.
pub(crate) fn delivery(conn: &Connection, org: OrganizationId, webhook: WebhookId) -> DeliveryId {
    let id = DeliveryId::v7(NOW.unix_ms(), &unique());
    insert(
        conn,
        "INSERT INTO webhook_deliveries (webhook_id, created_at, id, org_id, event_id, event_type, event_at, data)
         VALUES (?1, ?2, ?3, ?4, ?3, 'webhook.test', ?2, json_object('webhook_id', ?1))",
        params![webhook.to_string(), NOW.0, id.to_string(), org.to_string()],
    );
    id
}

/// An upload session of `beach.png`, declared as 640 bytes of `image/png`.
pub(crate) fn session(
    conn: &Connection,
    org: OrganizationId,
    by: &Person,
    expires_at: Timestamp,
) -> AssetUploadId {
    let id = unused_upload_id();
    let sql = "INSERT INTO asset_uploads (id, org_id, filename, mime_type, size_bytes, created_by, created_at, expires_at)
               VALUES (?1, ?2, 'beach.png', 'image/png', 640, ?3, ?4, ?5)";
    let user = by.user.id.to_string();
    insert(conn, sql, params![id.to_string(), org.to_string(), user, CREATED_AT, expires_at.0]);
    // A database of before migration 0006 has no such column.
    if let Ok(mut update) = conn.prepare_cached(
        "UPDATE asset_uploads SET api_key_id = (SELECT id FROM api_keys WHERE token_hash = ?2) WHERE id = ?1",
    ) {
        update.execute(params![id.to_string(), by.key.as_str()]).unwrap();
    }
    id
}

/// Makes the asset of a session, in the session's organization, as an earlier confirmation left it; `key` is its
/// Idempotency-Key, empty for none.
pub(crate) fn asset(conn: &Connection, upload: AssetUploadId, folder: Option<FolderId>, key: &str) {
    let folder = folder.map(|id| id.to_string());
    let sql = "INSERT INTO assets (id, org_id, folder_id, name, r2_key, mime_type, size_bytes, asset_type,
                 source_type, source_id, etag, confirmation_key, confirmed_folder_id, created_by, created_at, updated_at)
               SELECT id, org_id, ?2, filename, 'uploads/' || id, mime_type, size_bytes, 'image', 'upload',
                 id, 'etag-0', ?3, ?2, created_by, ?4, ?4 FROM asset_uploads WHERE id = ?1";
    insert(conn, sql, params![upload.to_string(), folder, key, CREATED_AT]);
}
