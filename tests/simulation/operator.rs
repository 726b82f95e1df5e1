//! What the operator does beside the API: it changes users, keys, folders and assets, and stores objects.

use asset_uploads::token::TokenHash;

use crate::answers::KnownUpload;
use crate::model::{MAX_BYTES, Model};
use crate::run::Run;
use crate::schedule::{AssetChange, HandMade, Named, UserChange};
use crate::sqlite::callers::Membership;

impl Run<'_> {
    pub(crate) fn store_by_hand(&self, upload: u8, object: HandMade) {
        let Some(KnownUpload { id, declared, .. }) = self.known_upload(upload) else { return };
        let key = id.object_key();
        let pending =
            self.state.model.borrow().sessions.get(&id.to_string()).is_some_and(|session| !session.cancelled);
        if !pending || self.state.bucket.borrow().head(&key).is_some() {
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
        let id = id.unwrap_or_else(|| self.state.unused_id());
        let object_key = id.object_key();
        let (model, mut bucket) = (self.state.model.borrow(), self.state.bucket.borrow_mut());
        let in_use =
            model.sessions.contains_key(&id.to_string()) || model.retired.contains_key(&id.to_string());
        if !in_use && bucket.head(&object_key).is_none() {
            bucket.put(&object_key, 10, Some("image/png"), self.now());
        }
    }

    pub(crate) fn change_key(&self, key: usize, revoked: bool) {
        let mut model = self.state.model.borrow_mut();
        model.keys[key].revoked = revoked;
        let hash = TokenHash::of(model.keys[key].token.as_deref().unwrap()).unwrap();
        let at = revoked.then_some(self.now().0);
        let sql = "UPDATE api_keys SET revoked_at = ?1 WHERE token_hash = ?2";
        self.state.world.execute(sql, rusqlite::params![at, hash.as_str()]);
    }

    pub(crate) fn change_folder(&self, folder: usize, deleted: bool) {
        let mut model = self.state.model.borrow_mut();
        let folder = &mut model.folders[folder];
        folder.deleted = deleted;
        let at = deleted.then_some(self.now().0);
        let sql = "UPDATE folders SET deleted_at = ?1 WHERE id = ?2";
        self.state.world.execute(sql, rusqlite::params![at, folder.id.to_string()]);
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

    pub(crate) fn change_asset(&self, upload: u8, change: AssetChange) {
        let (id, now) = (self.upload(upload).to_string(), self.now());
        let mut model = self.state.model.borrow_mut();
        let Model { assets, folders, users, .. } = &mut *model;
        let Some(asset) = assets.get_mut(&id) else { return };
        match change {
            AssetChange::Move { folder } => {
                let folder = folder.map(|n| folders[usize::from(n)].clone());
                if folder.as_ref().is_some_and(|folder| folder.deleted || folder.org != asset.org) {
                    return;
                }
                asset.folder = folder.map(|folder| folder.id);
            }
            AssetChange::Delete => asset.deleted = Some((now, asset.created_by)),
            AssetChange::Restore => asset.deleted = None,
        }
        asset.updated_at = now;
        let sql = "UPDATE assets SET folder_id = ?2, deleted_at = ?3, deleted_by = ?4, updated_at = ?5 WHERE id = ?1";
        let params = rusqlite::params![
            id,
            asset.folder.map(|id| id.to_string()),
            asset.deleted.map(|(at, _)| at.0),
            asset.deleted.map(|(_, by)| users[by].id.to_string()),
            now.0
        ];
        self.state.world.execute(sql, params);
    }
}
