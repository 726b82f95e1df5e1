//! The rules of keys that make keys: which are valid, what each scope may touch, and how many uploads a key may start.

use asset_uploads::domain::api_key::Scope;
use asset_uploads::domain::timestamp::Timestamp;
use asset_uploads::error::ErrorCode;

use crate::model::{Change, Changes, Finding, KeyModel, Model, SessionModel};
use crate::request::{ActionModel, NewKeyModel, RequestModel};
use crate::rules::{By, Found};
use crate::sqlite::callers::{Ancestry, Membership};

/// Generations of keys, the operator's being the first.
const GENERATIONS: usize = 4;
/// How long the sweeper keeps a key that has ended: 30 days.
const RETENTION_MS: i64 = 30 * 86_400_000;

impl KeyModel {
    /// When it ended or will end, but for the keys that it descends from.
    fn end(&self) -> Option<Timestamp> {
        let ends = [self.expires_at, self.revoked.map(|(at, _)| at)];
        ends.into_iter().flatten().min_by_key(|end| end.0)
    }

    fn is_over(&self, now: Timestamp) -> bool {
        self.removed || self.revoked.is_some() || self.expires_at.is_some_and(|at| at <= now)
    }

    /// Whether it has started as many uploads as it may.
    fn is_used_up(&self) -> bool {
        self.max_uploads.is_some_and(|most| self.uploads_started >= most)
    }
}

impl Model {
    /// A key and those that it descends from, itself first.
    fn chain(&self, key: usize) -> impl Iterator<Item = &KeyModel> {
        let parent = |key: &&KeyModel| key.parent.and_then(|parent| self.keys.get(parent));
        std::iter::successors(self.keys.get(key), parent)
    }

    /// Whether those that a key descends from let it be valid. Which of them does not is all the same.
    pub(crate) fn ancestry(&self, key: usize, now: Timestamp) -> Ancestry {
        let over = self.chain(key).skip(1).any(|key| key.is_over(now));
        if over { Ancestry::ParentRevoked } else { Ancestry::First }
    }

    /// A key of the scope `upload` touches only what it started itself.
    pub(crate) fn may_touch(&self, key: usize, session: &SessionModel) -> bool {
        self.keys[key].scope != Scope::Upload || session.key == key
    }

    pub(crate) fn may_start(&self, key: usize) -> Result<(), ErrorCode> {
        if self.keys[key].is_used_up() { Err(ErrorCode::UploadLimitReached) } else { Ok(()) }
    }

    pub(crate) fn count_upload(&mut self, key: usize) {
        let key = &mut self.keys[key];
        key.uploads_started += u32::from(key.scope == Scope::Upload);
    }

    fn key_of(&self, id: &str) -> Option<usize> {
        self.keys.iter().position(|key| key.id.as_deref() == Some(id))
    }

    pub(crate) fn revoke(&mut self, id: &str, at: Timestamp, by: u64) {
        if let Some(key) = self.key_of(id) {
            self.keys[key].revoked = Some((at, by));
        }
    }

    pub(crate) fn make_key(&self, by: By, new: &NewKeyModel, id: Option<&str>) -> Found {
        // Made by this very request, in a call before this one whose answer was lost.
        if id.is_some_and(|id| self.key_of(id).is_some()) {
            return Ok((Finding::KeyMade, Vec::new()));
        }
        if self.chain(by.key).count() >= GENERATIONS {
            return Err(ErrorCode::ValidationError);
        }
        let asked = by.now.plus_seconds(new.seconds);
        let parents = self.chain(by.key).filter_map(|key| key.expires_at);
        let key = KeyModel {
            id: None,
            token: None,
            user: Some(by.user),
            impersonator: None,
            org: Some(by.org),
            scope: new.scope,
            parent: Some(by.key),
            max_uploads: new.max_uploads,
            uploads_started: 0,
            created_at: by.now,
            expires_at: parents.chain([asked]).min_by_key(|at| at.0),
            revoked: None,
            removed: false,
        };
        Ok((Finding::KeyMade, vec![(None, Change::Key(key))]))
    }

    /// One's own keys; owners and admins any that is bound to the organization.
    pub(crate) fn revoke_key(&self, by: By, id: &str) -> Found {
        let key = self.key_of(id).map(|key| &self.keys[key]).filter(|key| !key.removed);
        let key = key.filter(|key| match key.org {
            Some(org) => org == by.org && (key.user == Some(by.user) || self.manages_keys(by)),
            None => key.user == Some(by.user),
        });
        let key = key.ok_or(ErrorCode::ApiKeyNotFound)?;
        let change = || (Some(id.to_owned()), Change::Revocation(by.now, by.number));
        Ok((Finding::Done, key.revoked.is_none().then(change).into_iter().collect()))
    }

    fn manages_keys(&self, by: By) -> bool {
        matches!(self.users[by.user].memberships[by.org], Membership::As("owner" | "admin"))
    }

    /// Whether the sweeper may remove a key at this time: it and all that descend from it ended 30 days ago.
    pub(crate) fn may_remove_key(&self, key: usize, now: Timestamp) -> bool {
        let ended = |key: &KeyModel| key.end().is_some_and(|end| end.0 + RETENTION_MS <= now.0);
        let children =
            self.keys.iter().enumerate().filter(|(_, child)| child.parent == Some(key) && !child.removed);
        ended(&self.keys[key])
            && children.map(|(child, _)| child).all(|child| self.may_remove_key(child, now))
    }

    /// The ids of keys that the sweeper should have removed by now.
    pub(crate) fn keys_left_over(&self, now: Timestamp) -> Vec<&str> {
        let present = self.keys.iter().enumerate().filter(|(_, key)| !key.removed);
        let due = present.filter(|(n, _)| self.may_remove_key(*n, now));
        due.filter_map(|(_, key)| key.id.as_deref()).collect()
    }

    /// What a request comes across that its answer alone does not tell, for the statistics.
    pub(crate) fn key_cases(
        &self,
        number: u64,
        request: &RequestModel,
        now: Timestamp,
        finding: &Finding,
        changes: &Changes,
    ) -> Vec<String> {
        let (client, action) = (request.client, &request.action);
        let key = &self.keys[client];
        let mut cases: Vec<&str> = Vec::new();
        let mut add = |found: bool, case| cases.extend(found.then_some(case));
        match finding {
            Finding::Error(ErrorCode::Unauthorized) => {
                let revoked_above = self.chain(client).skip(1).any(|key| key.revoked.is_some());
                add(!key.is_over(now) && revoked_above, "a key's ancestor is revoked");
                let expired = key.expires_at.is_some_and(|at| at <= now) && key.revoked.is_none();
                add(key.parent.is_some() && expired && !key.removed, "a made key has expired");
                let by_itself = self.chain(client).any(|key| key.revoked.is_some_and(|(_, by)| by == number));
                add(by_itself, "a key that revoked itself asks again");
            }
            Finding::Error(ErrorCode::PermissionDenied) => {
                let scope = !action.access().scopes.contains(&key.scope);
                add(scope && key.scope == Scope::Read, "another scope is needed than read");
                add(scope && key.scope == Scope::Upload, "another scope is needed than upload");
            }
            Finding::Error(ErrorCode::AssetUploadNotFound) => {
                let session = request.id().and_then(|id| self.sessions.get(&id));
                let others = |session: &SessionModel| !session.cancelled && !self.may_touch(client, session);
                add(session.is_some_and(others), "the upload of another key");
            }
            Finding::Error(ErrorCode::UploadLimitReached) => {
                let cancelled = |session: &SessionModel| session.key == client && session.cancelled;
                add(self.sessions.values().any(cancelled), "no upload is left, though some were cancelled");
            }
            Finding::Error(ErrorCode::ValidationError) => {
                let fifth = matches!(action, ActionModel::MakeKey { key: Ok(_), .. });
                add(fifth && self.chain(client).count() == GENERATIONS, "a fifth generation");
            }
            Finding::Started { replayed: true } => {
                add(key.is_used_up(), "a replay when no more uploads may be started");
            }
            _ => {}
        }
        for (id, change) in changes {
            match change {
                Change::Key(new) => {
                    add(self.chain(client).count() + 1 == GENERATIONS, "a fourth generation");
                    let same = key.expires_at.is_some() && new.expires_at == key.expires_at;
                    add(same, "a key lives no longer than its parent");
                }
                Change::Revocation(..) => {
                    let whose = id.as_ref().and_then(|id| self.keys[self.key_of(id)?].user);
                    add(whose != key.user, "a manager revokes the key of another");
                }
                _ => {}
            }
        }
        let mut cases: Vec<String> = cases.into_iter().map(str::to_owned).collect();
        if key.parent.is_some() && !matches!(finding, Finding::Error(_)) {
            let replayed = matches!(finding, Finding::Started { replayed: true });
            let (scope, kind) = (key.scope.as_str(), action.kind());
            cases.push(format!("key of scope {scope}: {kind}{}", if replayed { ", replayed" } else { "" }));
        }
        cases
    }
}
