//! What the sweeper changed in the database, compared with what it may do.

use std::collections::BTreeSet;

use asset_uploads::domain::timestamp::Timestamp;

use crate::database;
use crate::invariants;
use crate::model::{Model, RetiredModel};
use crate::state::State;

impl State<'_> {
    /// The sweeper changed something: only what may be given up is gone.
    pub(crate) fn compare_sweeper(&self) {
        let (mut model, now) = (self.model.borrow_mut(), self.clock.get());
        let (conn, told) = (&self.world.conn, model.deliveries.len());
        let assets = database::ids(conn, "assets");
        let folders = database::ids(conn, "folders");
        let purged: BTreeSet<String> =
            model.assets.keys().filter(|id| !assets.contains(*id)).cloned().collect();
        let purged_folders: BTreeSet<String> =
            model.folders.keys().filter(|id| !folders.contains(*id)).cloned().collect();
        self.report(check_purge(&model, &purged, &purged_folders, now));
        self.compare_parts(&mut model, now);
        self.compare_told(&mut model, now);
        self.compare_retired(&mut model, &purged, now);
        let sessions = database::ids(conn, "asset_uploads");
        let gone: Vec<String> = model.sessions.keys().filter(|id| !sessions.contains(*id)).cloned().collect();
        for id in gone {
            if !purged.contains(&id) && !model.may_delete_session(&id, now) {
                self.violate(format!("the sweeper deletes the session {id}, which is not due"));
            }
            if model.is_to_be_told(&id) {
                self.violate(format!("the sweeper deletes the session {id}, and has not told of it"));
            }
            model.sessions.remove(&id);
        }
        for id in &purged {
            self.count("asset purged");
            model.tell_of_purge(id);
            model.assets.remove(id);
        }
        for id in &purged_folders {
            self.count("folder purged");
            model.folders.remove(id);
        }
        self.compare_removed_keys(&mut model, now);
        self.compare_forgotten(&mut model, now);
        model.step += u64::from(!purged.is_empty() || !purged_folders.is_empty());
        model.purged.extend(purged);
        model.orphans = database::orphans(conn);
        self.count_told(&model, told);
        self.report(database::compare(conn, &model));
        self.report(invariants::check(&model));
    }

    /// Parts are forgotten once they are given up, of sessions past their deadline.
    fn compare_parts(&self, model: &mut Model, now: Timestamp) {
        let open = self.bucket.borrow().open_multiparts();
        for id in database::without_parts(&self.world.conn) {
            let Some(session) = model.sessions.get_mut(&id) else { continue };
            let Some(multipart_id) = session.multipart_id.take() else { continue };
            self.count("parts forgotten");
            if open.contains(&multipart_id) || session.expires_at > now {
                self.violate(format!("the sweeper forgets the parts of {id} too early"));
            }
        }
    }

    fn compare_retired(&self, model: &mut Model, purged: &BTreeSet<String>, now: Timestamp) {
        let retired = database::retired(&self.world.conn);
        for id in purged.iter().filter(|id| !retired.contains_key(*id)) {
            self.violate(format!("the sweeper purges {id}, but does not retire it"));
        }
        let open = self.bucket.borrow().open_multiparts();
        for (id, RetiredModel { object_deleted_at, purged_at, multipart_id }) in &retired {
            let uploaded_at = self.bucket.borrow().uploaded_at(&format!("uploads/{id}"));
            if purged.contains(id) {
                if object_deleted_at.is_some() || purged_at.is_none() {
                    self.violate(format!("the sweeper purges {id}, but does not retire it for good"));
                }
                continue;
            }
            let Some(known) = model.retired.get(id) else {
                if purged_at.is_some() || !model.may_retire(id, now, uploaded_at) {
                    self.violate(format!("the sweeper retires {id}, which is not due"));
                }
                let begun = model.sessions.get(id).and_then(|session| session.multipart_id.as_ref());
                if multipart_id.as_ref() != begun {
                    self.violate(format!("{id} is retired with the parts {multipart_id:?}, not {begun:?}"));
                }
                self.count(if multipart_id.is_some() { "retired with parts" } else { "retired" });
                continue;
            };
            let has_parts = multipart_id.as_ref().is_some_and(|id| open.contains(id));
            if object_deleted_at.is_some() && has_parts {
                self.violate(format!("the sweeper says that {id} is gone, but its parts are there"));
            }
            if known.multipart_id != *multipart_id {
                self.violate(format!("the sweeper forgets the parts of {id}"));
            }
            if known.purged_at != *purged_at {
                self.violate(format!("the sweeper forgets that {id} was purged"));
            }
            match (known.object_deleted_at, object_deleted_at) {
                // Of a purged upload another object may arrive afterwards.
                (None, Some(_))
                    if uploaded_at.is_some_and(|at| purged_at.is_none_or(|purged| at.0 < purged)) =>
                {
                    self.violate(format!(
                        "the sweeper says that the object of {id} is gone, but it is there"
                    ));
                }
                (Some(_), None) if purged_at.is_none() => {
                    self.violate(format!("the sweeper has the object of {id} to remove again"));
                }
                (Some(_), None) => self.count("to be removed again"),
                _ => {}
            }
        }
        for id in model.retired.keys().filter(|id| !retired.contains_key(*id)) {
            if !model.may_forget(id, now) {
                self.violate(format!("the sweeper forgets {id} too early"));
            }
        }
        model.retired = retired;
    }
}

/// Only what has been in the trash long enough is purged, and of each deletion all of it.
fn check_purge(
    model: &Model,
    assets: &BTreeSet<String>,
    folders: &BTreeSet<String>,
    now: Timestamp,
) -> Result<(), String> {
    let deleted_assets = model
        .assets
        .iter()
        .map(|(id, asset)| (id, asset.deleted.map(|(at, _)| at), &asset.deleted_with, assets.contains(id)));
    let deleted_folders = model
        .folders
        .iter()
        .map(|(id, folder)| (id, folder.deleted_at, &folder.deleted_with, folders.contains(id)));
    for (id, deleted_at, deleted_with, purged) in deleted_assets.chain(deleted_folders) {
        if purged && !deleted_at.is_some_and(|at| model.may_purge(at, now)) {
            return Err(format!("the sweeper purges {id}, which is not due"));
        }
        if deleted_with.as_ref().is_some_and(|root| folders.contains(root) != purged) {
            return Err(format!(
                "the sweeper purges a part of a deletion: {id} was deleted with {deleted_with:?}"
            ));
        }
    }
    Ok(())
}
