//! What the database holds of keys, and what holds of them however it came about.

use asset_uploads::domain::timestamp::Timestamp;
use rusqlite::Connection;

use crate::database::{ids, or_null, texts};
use crate::model::{KeyModel, Model};
use crate::state::State;

/// Every column but the name and the hash, which requests with the key show to be right.
pub(crate) const KEYS: &str = "
    SELECT concat_ws('|', id, user_id, coalesce(org_id, '-'), coalesce(impersonator_id, '-'), scope,
      coalesce(parent_id, '-'), coalesce(limits, '-'), uploads_started, created_at, coalesce(expires_at, '-'),
      coalesce(revoked_at, '-'))
    FROM api_keys ORDER BY id";
pub(crate) const KEY_COLUMNS: &str = "id|user_id|org_id|impersonator_id|scope|parent_id|limits|uploads_started|created_at|expires_at|revoked_at";

pub(crate) fn key_text(model: &Model, id: &str, key: &KeyModel) -> String {
    let user = |user: Option<usize>| or_null(user.map(|user| model.users[user].id.to_string()));
    format!(
        "{id}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}",
        user(key.user),
        or_null(key.org.map(|org| model.orgs[org].to_string())),
        user(key.impersonator),
        key.scope.as_str(),
        or_null(key.parent.and_then(|parent| model.keys[parent].id.clone())),
        or_null(key.max_uploads.map(|most| format!(r#"{{"max_uploads":{most}}}"#))),
        key.uploads_started,
        key.created_at.0,
        or_null(key.expires_at.map(|at| at.0.to_string())),
        or_null(key.revoked.map(|(at, _)| at.0.to_string())),
    )
}

/// Keys that cannot be, each with what is wrong: read without the model.
const IMPOSSIBLE: [(&str, &str); 4] = [
    (
        "has started more uploads than it may, or than it counts",
        "SELECT k.id FROM api_keys k
         WHERE k.scope = 'upload' AND k.limits ->> 'max_uploads' IS NOT NULL
           AND (k.uploads_started > k.limits ->> 'max_uploads'
             OR k.uploads_started < (SELECT count(*) FROM asset_uploads u WHERE u.api_key_id = k.id))",
    ),
    (
        "is of a fifth generation",
        "SELECT k.id FROM api_keys k
         JOIN api_keys a ON a.id = k.parent_id
         JOIN api_keys b ON b.id = a.parent_id
         JOIN api_keys c ON c.id = b.parent_id
         WHERE c.parent_id IS NOT NULL",
    ),
    (
        "outlives its parent",
        "SELECT k.id FROM api_keys k JOIN api_keys p ON p.id = k.parent_id
         WHERE p.expires_at < ifnull(k.expires_at, 9e15)",
    ),
    (
        "has lost its parent, or is of another user",
        "SELECT k.id FROM api_keys k LEFT JOIN api_keys p ON p.id = k.parent_id
         WHERE k.parent_id IS NOT NULL AND p.user_id IS NOT k.user_id",
    ),
];

/// Whether all keys can be.
pub(crate) fn check(conn: &Connection) -> Result<(), String> {
    for (wrong, sql) in IMPOSSIBLE {
        if let Some(id) = texts(conn, sql).first() {
            return Err(format!("the key {id} {wrong}"));
        }
    }
    Ok(())
}

impl State<'_> {
    /// The sweeper changed something: only keys that ended long ago are gone, each after every key that it made.
    pub(crate) fn compare_removed_keys(&self, model: &mut Model, now: Timestamp) {
        let present = ids(&self.world.conn, "api_keys");
        let is_gone =
            |key: &KeyModel| !key.removed && key.id.as_ref().is_some_and(|id| !present.contains(id));
        let gone: Vec<usize> = (0..model.keys.len()).filter(|n| is_gone(&model.keys[*n])).collect();
        for n in &gone {
            if !model.may_remove_key(*n, now) {
                self.violate(format!("the sweeper removes a key that is not due: {:?}", model.keys[*n]));
            }
        }
        for n in gone {
            self.count("key purged");
            model.keys[n].removed = true;
        }
        self.report(check(&self.world.conn));
    }
}
