//! What the sweeper may do, and when.

use asset_uploads::domain::timestamp::Timestamp;

use crate::model::Model;

/// How long after its deadline a session is left alone: eight days.
const GRACE_MS: i64 = 8 * 86_400_000;
/// How long an object without session is known before it may be removed: a week.
const NOTICE_MS: i64 = 7 * 86_400_000;
/// How long an id stays retired after its object was removed: a day.
const SETTLE_MS: i64 = 86_400_000;

impl Model {
    /// Whether an object may be removed now: nobody has it, and nobody can get it.
    pub(crate) fn may_remove(&self, key: &str) -> Result<(), String> {
        let Some(id) = key.strip_prefix("uploads/") else {
            return Err(format!("{key}, which is no upload's, is removed"));
        };
        if self.assets.contains_key(id) {
            return Err(format!("{key}, the object of an asset, is removed"));
        }
        match self.sessions.get(id) {
            Some(session) if !session.cancelled => {
                Err(format!("{key}, the object of an upload that is not cancelled, is removed"))
            }
            Some(_) => Ok(()),
            None if self.retired.contains_key(id) => Ok(()),
            None => Err(format!("{key}, whose id is not retired, is removed")),
        }
    }

    /// Whether the sweeper may delete a session at this time.
    pub(crate) fn may_delete_session(&self, id: &str, now: Timestamp) -> bool {
        !self.assets.contains_key(id)
            && self.sessions.get(id).is_some_and(|session| session.expires_at.0 + GRACE_MS <= now.0)
    }

    /// Whether the sweeper may retire an id at this time; `uploaded_at`: the age of its object.
    pub(crate) fn may_retire(&self, id: &str, now: Timestamp, uploaded_at: Option<Timestamp>) -> bool {
        let orphan = || {
            self.orphans.get(id).is_some_and(|noted_at| noted_at + NOTICE_MS <= now.0)
                && uploaded_at.is_none_or(|at| at.0 + GRACE_MS <= now.0)
        };
        !self.assets.contains_key(id)
            && if self.sessions.contains_key(id) { self.may_delete_session(id, now) } else { orphan() }
    }

    /// Whether the sweeper may forget a retired id at this time.
    pub(crate) fn may_forget(&self, id: &str, now: Timestamp) -> bool {
        self.retired
            .get(id)
            // A purged upload stays retired for good.
            .filter(|retired| retired.purged_at.is_none())
            .and_then(|retired| retired.object_deleted_at)
            .is_some_and(|deleted_at| deleted_at + SETTLE_MS <= now.0)
    }

    /// Whether what was deleted at this time may be purged.
    pub(crate) fn may_purge(&self, deleted_at: Timestamp, now: Timestamp) -> bool {
        deleted_at.0 + self.retention_ms <= now.0
    }
}
