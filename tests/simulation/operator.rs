//! What the operator does beside the API: it changes users and keys, and stores objects.

use asset_uploads::domain::ids::AssetUploadId;
use asset_uploads::token::TokenHash;

use crate::answers::KnownUpload;
use crate::model::{MAX_BYTES, Model};
use crate::run::Run;
use crate::schedule::{HandMade, Named, UserChange};
use crate::sqlite::callers::Membership;

impl Run<'_> {
    pub(crate) fn store_by_hand(&self, upload: u8, object: HandMade) {
        let Some(KnownUpload { id, declared, .. }) = self.known_upload(upload) else { return };
        let key = id.object_key();
        let pending =
            self.state.model.borrow().sessions.get(&id.to_string()).is_some_and(|session| !session.cancelled);
        // Nobody but the operator could then replace the object of an asset, with the parts that a client sent.
        if declared.multipart || !pending || self.state.bucket.borrow().head(&key).is_some() {
            return;
        }
        let (size, mime_type) = match object {
            HandMade::AsDeclared | HandMade::CustomerKey => (declared.size_bytes, Some(declared.mime_type)),
            HandMade::Empty => (0, Some(declared.mime_type)),
            HandMade::TooLarge => (MAX_BYTES + 1, Some(declared.mime_type)),
            HandMade::OtherSize => (1, Some(declared.mime_type)),
            HandMade::OtherType => (declared.size_bytes, Some("image/gif")),
            HandMade::Forbidden => (declared.size_bytes, Some("image/svg+xml")),
            HandMade::Untyped => (declared.size_bytes, None),
        };
        self.state.bucket.borrow_mut().put(&key, size, mime_type, self.now());
        self.state.bucket.borrow_mut().set_customer_key(&key, object == HandMade::CustomerKey);
    }

    pub(crate) fn store_orphan(&self, key: Option<u8>) {
        let id = key.and_then(|key| self.id_for_key(0, Named::Nothing, key));
        let purged = || {
            let model = self.state.model.borrow();
            model.purged.last().and_then(|id| AssetUploadId::parse(id))
        };
        let id = id.or_else(purged).unwrap_or_else(|| self.state.unused_id());
        let object_key = id.object_key();
        let (model, mut bucket) = (self.state.model.borrow(), self.state.bucket.borrow_mut());
        let id = id.to_string();
        let retired = model.retired.get(&id).is_some_and(|retired| retired.purged_at.is_none());
        // Nor here.
        let in_parts = self.in_parts.contains(&id);
        let in_use = model.sessions.contains_key(&id) || retired || in_parts;
        if !in_use && bucket.head(&object_key).is_none() {
            bucket.put(&object_key, 10, Some("image/png"), self.now());
        }
    }

    pub(crate) fn change_key(&self, key: usize, revoked: bool) {
        let mut model = self.state.model.borrow_mut();
        let hash = TokenHash::of(model.keys[key].token.as_deref().unwrap()).unwrap();
        let at = revoked.then_some(self.now().0);
        model.keys[key].revoked = revoked.then_some((self.now(), 0));
        let sql = "UPDATE api_keys SET revoked_at = ?1 WHERE token_hash = ?2";
        self.state.world.execute(sql, rusqlite::params![at, hash.as_str()]);
    }

    pub(crate) fn change_user(&self, user: usize, change: UserChange) {
        let mut model = self.state.model.borrow_mut();
        let Model { users, orgs, .. } = &mut *model;
        let (user, org) = (&mut users[user], orgs[0].to_string());
        let id = user.id.to_string();
        let world = self.state.world;
        let set = |column: &str, value: Option<i64>| {
            world.execute(
                &format!("UPDATE users SET {column} = ?1 WHERE id = ?2"),
                rusqlite::params![value, id],
            );
        };
        let mut set_membership = |membership, role: Option<Option<&str>>| {
            user.memberships[0] = membership;
            world.execute(
                "DELETE FROM memberships WHERE user_id = ?1 AND org_id = ?2",
                rusqlite::params![id, org],
            );
            if let Some(role) = role {
                let sql = "INSERT INTO memberships (user_id, org_id, role) VALUES (?1, ?2, ?3)";
                world.execute(sql, rusqlite::params![id, org, role]);
            }
        };
        match change {
            UserChange::Leave => set_membership(Membership::None, None),
            UserChange::WithoutRole => set_membership(Membership::WithoutRole, Some(None)),
            UserChange::Viewer => set_membership(Membership::As("viewer"), Some(Some("viewer"))),
            UserChange::Editor => set_membership(Membership::As("editor"), Some(Some("editor"))),
            UserChange::Owner => set_membership(Membership::As("owner"), Some(Some("owner"))),
            UserChange::Disable | UserChange::Enable => {
                user.disabled = change == UserChange::Disable;
                set("disabled_at", user.disabled.then_some(1));
            }
            UserChange::Verify | UserChange::Unverify => {
                user.verified = change == UserChange::Verify;
                set("email_verified_at", user.verified.then_some(1));
            }
        }
    }
}
