//! How what a request writes changes the model.

use asset_uploads::domain::timestamp::Timestamp;

use crate::model::{Change, KeyModel, LastChanges, Model};

impl Model {
    /// `now` is the time of the request.
    pub(crate) fn apply(&mut self, id: &str, change: Change, now: Timestamp) {
        let step = self.step;
        let stamp = |old: Option<LastChanges>, same: [bool; 3]| {
            let of = |n: usize, old: u64| if same[n] { old } else { step };
            let old = old.unwrap_or_default();
            LastChanges { name: of(0, old.name), place: of(1, old.place), trash: of(2, old.trash) }
        };
        let last = self.changed.get(id).copied();
        match change {
            Change::Session(session) => {
                self.count_upload(session.key);
                self.sessions.insert(id.to_owned(), session);
            }
            Change::Key(key) => self.keys.push(KeyModel { id: Some(id.to_owned()), ..key }),
            Change::Revocation(at, by) => self.revoke(id, at, by),
            Change::Webhook(webhook) => self.put_webhook(id, webhook),
            Change::Cancellation => {
                if let Some(session) = self.sessions.get_mut(id) {
                    session.cancelled = true;
                }
            }
            Change::Multipart(multipart_id) => {
                if let Some(session) = self.sessions.get_mut(id) {
                    session.multipart_id = Some(multipart_id);
                }
            }
            Change::Asset(mut asset) => {
                self.tell_of_change(id, &mut asset, now);
                let same = self.assets.get(id).map_or([false; 3], |old| {
                    [
                        old.name == asset.name,
                        old.folder == asset.folder,
                        old.deleted.is_some() == asset.deleted.is_some(),
                    ]
                });
                self.changed.insert(id.to_owned(), stamp(last, same));
                self.assets.insert(id.to_owned(), asset);
            }
            Change::Folder(folder) => {
                let same = self.folders.get(id).map_or([false; 3], |old| {
                    [
                        old.name == folder.name,
                        old.parent == folder.parent,
                        old.deleted_at.is_some() == folder.deleted_at.is_some(),
                    ]
                });
                self.changed.insert(id.to_owned(), stamp(last, same));
                self.folders.insert(id.to_owned(), folder);
            }
        }
    }
}
