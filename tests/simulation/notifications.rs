//! Storage's notifications of objects, and what they changed, compared with what they may change.

use std::collections::BTreeMap;
use std::rc::Rc;

use asset_uploads::domain::timestamp::Timestamp;
use asset_uploads::notifications;
use asset_uploads::platform::OWNER_KEY;

use crate::database;
use crate::invariants;
use crate::model::{Change, HeadResult, Model};
use crate::notification_rules::Notified;
use crate::record::{TaskRecord, Work};
use crate::rest::LARGE_PAGES;
use crate::run::Run;
use crate::schedule::{Action, FolderNamed, Named, Orphans, Wait};
use crate::simulated::TaskPlatform;
use crate::state::State;

impl Run<'_> {
    /// Storage tells of the objects of so many uploads, from this one on, and of some that are no upload's. Whether they
    /// are there is all the same. Where `undisturbed`, all of it is done at once.
    pub(crate) fn notify(&mut self, isolate: u8, upload: u8, uploads: u8, forged: bool, undisturbed: bool) {
        let mut keys: Vec<String> =
            (upload..).take(uploads.into()).map(|n| self.upload(n).object_key()).collect();
        if forged {
            keys.push(self.state.unused_id().object_key());
            keys.extend(["uploads/beach.png".to_owned(), OWNER_KEY.to_owned()]);
        }
        self.begin_notifications(isolate, keys, undisturbed);
    }

    /// A client starts an upload and sends its file. Storage tells of it after a while, somebody changes the asset, and
    /// then the client begins to confirm.
    pub(crate) fn storage_first(
        &mut self,
        client: u8,
        file: u8,
        late: bool,
        change: u8,
        folder: FolderNamed,
    ) {
        if !self.send_undisturbed(client, file) {
            return;
        }
        if late {
            self.wait(Wait::AlmostADay.seconds(), true);
        }
        self.notify(0, 0, 1, false, true);
        let upload = self.upload(0).to_string();
        if self.state.model.borrow().assets.contains_key(&upload) {
            self.state.learn_asset(&upload);
            let others = self.under_way();
            let changes: &[Action] = match change {
                0 => &[],
                1 => &[Action::UpdateAsset { asset: 0, name: Some(3), folder: None }],
                2 => &[Action::DeleteAsset { asset: 0 }],
                _ => &[Action::DeleteAsset { asset: 0 }, Action::RestoreAsset { asset: 0 }],
            };
            for action in changes {
                self.request(client, Named::Nothing, 0, *action);
                self.finish_newest(others);
            }
        }
        self.request(client, Named::Nothing, 1, Action::Confirm { upload: 0, folder, key: Some(0) });
    }

    /// A client starts an upload and sends its file. Just before the deadline it begins to confirm, or storage tells of the
    /// file, and then the sweeper is faster.
    pub(crate) fn at_deadline(&mut self, client: u8, file: u8, by_storage: bool) {
        if !self.send_undisturbed(client, file) {
            return;
        }
        self.wait(Wait::AlmostADay.seconds(), true);
        if by_storage {
            self.notify(1, 0, 1, false, false);
        } else {
            let folder = FolderNamed::Nothing;
            self.request(client, Named::Nothing, 1, Action::Confirm { upload: 0, folder, key: None });
        }
        // Its body has arrived, and it waits for storage.
        self.step(0, 1, None);
        self.wait(Wait::TwoMinutes.seconds(), true);
        let others = self.under_way();
        self.sweep(0, Orphans::Few, LARGE_PAGES);
        self.finish_newest(others);
        let upload = self.upload(0).to_string();
        if self
            .state
            .model
            .borrow()
            .sessions
            .get(&upload)
            .is_some_and(|session| session.expiry_told_at.is_some())
        {
            self.state.count("told that it expired while it is confirmed");
        }
    }

    /// Those that storage did not answer to come again.
    pub(crate) fn notify_again(&mut self) {
        let keys: Vec<String> = self.state.again.take().into_iter().collect();
        self.begin_notifications(0, keys, true);
    }

    fn begin_notifications(&mut self, isolate: u8, keys: Vec<String>, undisturbed: bool) {
        let number = self.next_number();
        let record = Rc::new(TaskRecord { number, work: Work::Confirm, ..TaskRecord::default() });
        let (state, config, now) = (self.state, self.config, self.now());
        let due: Vec<(String, Notified)> = {
            let (model, bucket) = (state.model.borrow(), state.bucket.borrow());
            let head = |key: &String| bucket.head(key).map_or(HeadResult::Missing, HeadResult::Object);
            let heads: BTreeMap<_, _> = keys.iter().map(|key| (key.clone(), head(key))).collect();
            let ids = keys.iter().filter_map(|key| key.strip_prefix("uploads/"));
            ids.map(|id| (id.to_owned(), model.notified(id, number, now, &heads))).collect()
        };
        let before = state.model.borrow().clone();
        let others = self.under_way();
        self.begin(Some(isolate), async move {
            let platform = TaskPlatform { state, record };
            let (_, again) = notifications::run(&platform, config, &keys).await;
            if !again.is_empty() {
                state.count("notification that comes again");
            }
            state.again.borrow_mut().extend(again);
        });
        if undisturbed {
            self.finish_newest(others);
            for (id, due) in due {
                self.state.report(self.state.check_notified(&before, &id, &due));
            }
        }
    }
}

impl State<'_> {
    /// What a notification was due has come about, where nobody disturbed it.
    fn check_notified(&self, before: &Model, id: &str, due: &Notified) -> Result<(), String> {
        let model = self.model.borrow();
        let asset = model.assets.get(id);
        let rejected = |model: &Model| model.sessions.get(id).and_then(|session| session.rejected.clone());
        let right = match due {
            Notified::Confirmed(_) => asset.is_some_and(|asset| asset.awaits_client),
            Notified::Rejected(code) => {
                let now = self.clock.get().0;
                let expected = if before.may_reject(id, now) {
                    Some((now, code.as_str().to_owned()))
                } else {
                    rejected(before)
                };
                asset.is_none() && rejected(&model) == expected
            }
            Notified::Ignored => asset == before.assets.get(id) && rejected(&model) == rejected(before),
        };
        self.count(match due {
            Notified::Confirmed(_) => "notified: confirmed".to_owned(),
            Notified::Rejected(code) => format!("notified: {}", code.as_str()),
            Notified::Ignored => "notified: nothing to do".to_owned(),
        });
        if right {
            return Ok(());
        }
        Err(format!(
            "the notification of {id} must come to {due:?}, and there is {asset:?}, {:?}",
            rejected(&model)
        ))
    }

    /// A task of notifications changed something.
    pub(crate) fn compare_notifications(&self, record: &TaskRecord) {
        let (mut model, now) = (self.model.borrow_mut(), self.clock.get());
        let (conn, told) = (&self.world.conn, model.deliveries.len());
        model.step += 1;
        for text in database::texts(conn, "SELECT id || '|' || created_at FROM assets WHERE awaits_client") {
            let (id, at) = text.split_once('|').unwrap_or_default();
            let at = Timestamp(at.parse().unwrap_or_default());
            if model.assets.contains_key(id) {
                continue;
            }
            match model.notified(id, record.number, at, &record.heads.borrow()) {
                Notified::Confirmed(asset) if at <= now => {
                    self.count("confirmed by storage");
                    let key = model.sessions.get(id).map(|session| &model.keys[session.key]);
                    if key.is_some_and(|key| key.expires_at.is_some_and(|expired| expired <= at)) {
                        self.count("storage confirms with a key that has expired");
                    }
                    model.apply(id, Change::Asset(*asset), at);
                }
                other => self.violate(format!("storage's notification confirms {id}, which is {other:?}")),
            }
        }
        let sql = "SELECT id || '|' || rejected_at || '|' || (rejection ->> 'code')
            FROM asset_uploads WHERE rejected_at IS NOT NULL";
        for text in database::texts(conn, sql) {
            let parts: Vec<&str> = text.split('|').collect();
            let (id, at, code) = (parts[0], parts[1].parse().unwrap_or_default(), parts[2]);
            if model.sessions.get(id).is_some_and(|session| session.rejected.is_some()) {
                continue;
            }
            if !model.may_reject(id, at) || at > now.0 {
                self.violate(format!("storage's notification rejects {id} at {at} with {code}"));
            }
            model.tell_of_rejection(id, at, code);
        }
        self.count_told(&model, told);
        self.report(database::compare(conn, &model));
        self.report(invariants::check(&model));
    }
}
