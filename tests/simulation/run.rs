//! One simulation: it plays a schedule, and compares every answer with the model.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use asset_uploads::api::answer::answer;
use asset_uploads::config::{Config, SweepOrphans, SweepSettings};
use asset_uploads::domain::idempotency::IdempotencyKey;
use asset_uploads::domain::ids::AssetUploadId;
use asset_uploads::domain::timestamp::Timestamp;
use asset_uploads::error::{ApiError, ErrorCode};
use asset_uploads::http::request::{Body, IncomingRequest};
use asset_uploads::sweeper::{PageSize, sweep};
use asset_uploads::token::TokenHash;

use crate::answers::KnownUpload;
use crate::bucket::{Bucket, PutRequest};
use crate::database;
use crate::model::{ActionModel, Declared, MAX_BYTES, Model, RequestModel};
use crate::platform::client::{TestAnswer, TestRequest};
use crate::schedule::{
    Action, AssetChange, CONFIRMATIONS, Event, FILES, Fault, FolderNamed, HandMade, Named, Orphans, Schedule,
    Tampering, UserChange,
};
use crate::simulated::{State, TaskPlatform, TaskRecord, pause};
use crate::sqlite::callers::Membership;
use crate::statistics::Statistics;
use crate::world::{BEGINNING, S3, UNKNOWN_FOLDER, World};

/// A page of the sweeper: so few objects that a handful of uploads fills several.
const PAGES: PageSize = PageSize { objects: 2, pages: 2 };
/// When everything has become quiet.
const LARGE_PAGES: PageSize = PageSize { objects: 1_000, pages: 5 };
/// A transfer takes no longer: a day.
const LONGEST_TRANSFER_SECONDS: u64 = 86_400;
/// A storage call arrives no later than this: an hour.
const LATEST_CALL_SECONDS: u64 = 3_600;

/// What is under way.
struct Task<'a> {
    future: Pin<Box<dyn Future<Output = ()> + 'a>>,
    /// The isolate of the Worker; none for a client's transfer.
    isolate: Option<u8>,
    started: Timestamp,
}

struct Run<'a> {
    state: &'a State<'a>,
    config: &'a Config,
    tasks: Vec<Task<'a>>,
    /// Requests that were sent, the newest last.
    requests: Vec<RequestModel>,
    /// Requests and runs of the sweeper so far.
    count: u64,
}

/// Plays a schedule: what it came to, or what was not as it must be.
pub(crate) fn play(world: &World, schedule: &Schedule) -> Result<Statistics, String> {
    world.undone(|| {
        let [endpoint, name, id, secret] = S3;
        let model = Model { reject_mismatch: schedule.reject_mismatch, ..world.model.clone() };
        let state = State {
            world,
            model: RefCell::new(model),
            bucket: RefCell::new(Bucket::new(endpoint, name, id, secret)),
            clock: Cell::new(BEGINNING),
            fault: Cell::default(),
            isolate_ends: Cell::default(),
            late: RefCell::default(),
            uploads: RefCell::default(),
            random: Cell::default(),
            violation: RefCell::default(),
            statistics: RefCell::default(),
        };
        let config = if schedule.reject_mismatch { &world.strict_config } else { &world.config };
        let (tasks, requests) = Default::default();
        let mut run = Run { state: &state, config, tasks, requests, count: 0 };
        for (n, event) in schedule.events.iter().enumerate() {
            run.play(event);
            run.check().map_err(|text| format!("after event {n}, {event:?}: {text}"))?;
        }
        run.come_to_rest(&schedule.last_faults).map_err(|text| format!("at the end: {text}"))?;
        drop(run);
        Ok(state.statistics.into_inner())
    })
}

/// The `n`-th from the end; counts around.
fn newest<T>(list: &[T], n: u8) -> Option<usize> {
    list.len().checked_sub(1).map(|last| last - usize::from(n) % list.len())
}

impl<'a> Run<'a> {
    fn play(&mut self, event: &Event) {
        match *event {
            Event::Request { client, organization, isolate, action } => {
                let action = self.action(client.into(), organization, action);
                self.send(RequestModel { client: client.into(), organization, action }, isolate);
            }
            Event::Repeat { request, isolate } => {
                if let Some(n) = newest(&self.requests, request) {
                    self.send(self.requests[n].clone(), isolate);
                }
            }
            Event::Send { upload, tampering } => self.transfer(upload, tampering),
            Event::StoreByHand { upload, object } => self.store_by_hand(upload, object),
            Event::StoreOrphan => {
                let id = self.state.unused_id();
                self.state.bucket.borrow_mut().put(&id.object_key(), 10, Some("image/png"), self.now());
            }
            Event::Sweep { isolate, orphans } => self.sweep(isolate, orphans, PAGES),
            Event::Step { task, awaits, fault } => self.step(task, awaits, fault),
            Event::CutOff { task } => {
                let is_transfer = |task: &&mut Task<'_>| task.isolate.is_none();
                let task = newest(&self.tasks, task);
                if task.and_then(|task| self.tasks.get_mut(task)).as_ref().is_some_and(is_transfer) {
                    drop(task.map(|task| self.tasks.remove(task)));
                }
            }
            Event::EndIsolate { isolate, late } => {
                self.state.count("isolate ended");
                self.state.isolate_ends.set(Some(late));
                self.tasks.retain(|task| task.isolate != Some(isolate));
                self.state.isolate_ends.set(None);
            }
            Event::LateCall { call } => {
                let n = newest(&self.state.late.borrow(), call);
                if let Some(n) = n {
                    let call = self.state.late.borrow_mut().remove(n);
                    self.state.carry_out_late(&call);
                }
            }
            Event::Wait { wait, late } => self.wait(wait.seconds(), late),
            Event::ChangeUser { user, change } => self.change_user(user.into(), change),
            Event::ChangeKey { key, revoked } => {
                self.state.model.borrow_mut().keys[usize::from(key)].revoked = revoked;
                let token = self.state.model.borrow().keys[usize::from(key)].token.clone();
                let hash = TokenHash::of(&token.unwrap()).unwrap();
                let at = revoked.then_some(self.now().0);
                let sql = "UPDATE api_keys SET revoked_at = ?1 WHERE token_hash = ?2";
                self.state.world.execute(sql, rusqlite::params![at, hash.as_str()]);
            }
            Event::ChangeFolder { folder, deleted } => {
                let mut model = self.state.model.borrow_mut();
                let folder = &mut model.folders[usize::from(folder)];
                folder.deleted = deleted;
                let sql = "UPDATE folders SET deleted_at = ?1 WHERE id = ?2";
                let at = deleted.then_some(self.now().0);
                self.state.world.execute(sql, rusqlite::params![at, folder.id.to_string()]);
            }
            Event::ChangeAsset { upload, change } => self.change_asset(upload, change),
        }
    }

    fn now(&self) -> Timestamp {
        self.state.clock.get()
    }

    fn check(&self) -> Result<(), String> {
        if let Some(violation) = self.state.violation.borrow_mut().take() {
            return Err(violation);
        }
        let (model, bucket) = (self.state.model.borrow(), self.state.bucket.borrow());
        for (id, asset) in &model.assets {
            let object = bucket.head(&format!("uploads/{id}"));
            let object = object.ok_or_else(|| format!("the object of asset {id} is gone"))?;
            if object.etag != asset.etag || object.size_bytes != asset.size_bytes {
                return Err(format!("asset {id} is {asset:?}, but its object {object:?}"));
            }
        }
        Ok(())
    }

    /// The upload that a number means; one that nobody knows where there is none yet.
    fn upload(&self, n: u8) -> AssetUploadId {
        self.known_upload(n).map_or_else(|| self.state.unused_id(), |upload| upload.id)
    }

    fn known_upload(&self, n: u8) -> Option<KnownUpload> {
        let uploads = self.state.uploads.borrow();
        newest(&uploads, n).map(|n| uploads[n].clone())
    }

    fn action(&self, client: usize, organization: Named, action: Action) -> ActionModel {
        match action {
            Action::Start { file, key } => {
                let id = key.and_then(|key| self.id_for_key(client, organization, key));
                ActionModel::Start { file: file_of(file), id, key, body: FILES[usize::from(file)] }
            }
            Action::Confirm { upload, body, key } => {
                let folder = CONFIRMATIONS[usize::from(body)];
                ActionModel::Confirm { upload: self.upload(upload), folder, key }
            }
            Action::Cancel { upload } => ActionModel::Cancel { upload: self.upload(upload) },
            Action::ReadUpload { upload } => ActionModel::ReadUpload { upload: self.upload(upload) },
            Action::ReadAsset { upload } => ActionModel::ReadAsset { upload: self.upload(upload) },
        }
    }

    /// The id of the upload that a client means by an Idempotency-Key.
    fn id_for_key(&self, client: usize, organization: Named, key: u8) -> Option<AssetUploadId> {
        let model = self.state.model.borrow();
        let hash = TokenHash::of(model.keys[client].token.as_deref()?)?;
        let organization = match organization {
            Named::Acme => Some(&model.orgs[0]),
            Named::Other => Some(&model.orgs[1]),
            Named::Nothing => None,
            // Denied before the id counts.
            Named::Unknown | Named::Malformed => return None,
        };
        let key = IdempotencyKey::parse(&format!("key-{key}"))?;
        Some(AssetUploadId::for_idempotency_key(hash.as_str(), organization, &key))
    }

    fn send(&mut self, request: RequestModel, isolate: u8) {
        self.count += 1;
        let (state, config) = (self.state, self.config);
        let arriving = ArrivingRequest { request: self.http_request(&request), state };
        let record = Rc::new(TaskRecord {
            number: self.count,
            request: Some(request.clone()),
            ..TaskRecord::default()
        });
        let platform = TaskPlatform { state, record: record.clone() };
        let started = self.now();
        self.requests.push(request);
        self.begin(Some(isolate), async move {
            // Of a request without a body all has arrived at once.
            record.arrived_at.set(Some(state.clock.get()));
            let arriving = ArrivingWith { arriving: &arriving, record: &record };
            let answer = answer(&arriving, &platform, Ok(config)).await;
            let answer = TestAnswer::new(answer, true, Default::default());
            answer.check(&arriving.arriving.request, started, false);
            state.receive(&record, &answer);
        });
    }

    /// Begins something, which goes on as far as to its first await.
    fn begin(&mut self, isolate: Option<u8>, future: impl Future<Output = ()> + 'a) {
        self.tasks.push(Task { future: Box::pin(future), isolate, started: self.now() });
        self.poll(self.tasks.len() - 1);
    }

    fn http_request(&self, request: &RequestModel) -> TestRequest {
        let model = self.state.model.borrow();
        let (method, path, key, body) = match &request.action {
            ActionModel::Start { body, key, .. } => {
                ("POST", "/v1/asset-uploads".to_owned(), *key, Some((*body).to_owned()))
            }
            ActionModel::Confirm { upload, folder, key } => {
                let body = match folder {
                    FolderNamed::None => "{}".to_owned(),
                    FolderNamed::Folder(n) => format!(r#"{{"folder_id":"{}"}}"#, model.folders[*n].id),
                    FolderNamed::Unknown => format!(r#"{{"folder_id":"{UNKNOWN_FOLDER}"}}"#),
                    FolderNamed::NoUuid => r#"{"folder_id":5}"#.to_owned(),
                    FolderNamed::NoJson => "nonsense".to_owned(),
                };
                ("POST", format!("/v1/asset-uploads/{upload}/confirmations"), *key, Some(body))
            }
            ActionModel::Cancel { upload } => ("DELETE", format!("/v1/asset-uploads/{upload}"), None, None),
            ActionModel::ReadUpload { upload } => ("GET", format!("/v1/asset-uploads/{upload}"), None, None),
            ActionModel::ReadAsset { upload } => {
                ("GET", format!("/v1/assets/{upload}?embed=created_by_user"), None, None)
            }
        };
        let mut http = TestRequest::new(method, &path);
        if let Some(token) = &model.keys[request.client].token {
            http = http.token(token);
        }
        let organization = match request.organization {
            Named::Nothing => None,
            Named::Acme => Some(model.orgs[0].to_string()),
            Named::Other => Some(model.orgs[1].to_string()),
            Named::Unknown => Some(UNKNOWN_FOLDER.to_owned()),
            Named::Malformed => Some("Acme".to_owned()),
        };
        if let Some(organization) = organization {
            http = http.header("x-organization-id", &organization);
        }
        if let Some(key) = key {
            http = http.header("idempotency-key", &format!("key-{key}"));
        }
        if let Some(body) = body { http.json(&body) } else { http }
    }

    /// A client begins to send a file: storage checks the request now, and has the file when the transfer ends.
    fn transfer(&mut self, upload: u8, tampering: Option<Tampering>) {
        let Some(upload) = self.known_upload(upload) else { return };
        let mut put = upload.put.clone();
        match tampering {
            None => {}
            Some(Tampering::Length) => put.size_bytes += 1,
            Some(Tampering::Type) => set_header(&mut put, "content-type", "image/gif"),
            Some(Tampering::Name) => set_header(&mut put, "content-disposition", "inline"),
            Some(Tampering::Overwrite) => put.headers.retain(|(name, _)| name != "if-none-match"),
        }
        let (now, key) = (self.now(), upload.id.object_key());
        let expected = match () {
            () if tampering.is_some() || upload.url_expires_at <= now => Err(403),
            () if self.state.bucket.borrow().head(&key).is_some() => Err(412),
            () => Ok(key.clone()),
        };
        let authorized = self.state.bucket.borrow().authorize_put(&put, now);
        if authorized != expected {
            let text =
                format!("storage answers {authorized:?} instead of {expected:?} to {tampering:?} of {key}");
            return self.state.violate(text);
        }
        match authorized {
            Ok(key) => {
                let state = self.state;
                self.begin(None, async move {
                    pause().await;
                    let status = state.bucket.borrow_mut().finish_put(&put, &key, state.clock.get());
                    state.count(format!("PUT {status}"));
                });
            }
            Err(status) => self.state.count(format!("PUT {status}")),
        }
    }

    fn store_by_hand(&mut self, upload: u8, object: HandMade) {
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

    fn sweep(&mut self, isolate: u8, orphans: Orphans, pages: PageSize) {
        self.count += 1;
        let (state, now) = (self.state, self.now());
        let record = Rc::new(TaskRecord { number: self.count, ..TaskRecord::default() });
        let orphans = match orphans {
            Orphans::Few => SweepOrphans::Few,
            Orphans::All => SweepOrphans::All,
            Orphans::None => SweepOrphans::None,
        };
        let settings = SweepSettings { orphans, max_statements: 50 };
        self.begin(Some(isolate), async move {
            let platform = TaskPlatform { state, record };
            let report = sweep(&platform, now, settings, pages).await;
            if platform.record.statements.get() > settings.max_statements {
                state.violate(format!("a run of the sweeper sends too many statements: {report:?}"));
            }
            state.count("sweep");
        });
    }

    fn step(&mut self, task: u8, awaits: u8, fault: Option<(u8, Fault)>) {
        let Some(n) = newest(&self.tasks, task) else { return };
        self.state.fault.set(fault);
        for _ in 0..awaits {
            if self.poll(n) {
                break;
            }
        }
        self.state.fault.set(None);
    }

    /// One step of a task; true where that was its last.
    fn poll(&mut self, n: usize) -> bool {
        match self.tasks[n].future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Pending => false,
            Poll::Ready(()) => {
                drop(self.tasks.remove(n));
                true
            }
        }
    }

    /// Lets everything of the Worker's that is under way come to its end.
    fn finish_tasks(&mut self) {
        while let Some(n) = self.tasks.iter().position(|task| task.isolate.is_some()) {
            self.poll(n);
        }
    }

    fn wait(&mut self, seconds: u64, late: bool) {
        // No request takes minutes.
        if seconds >= 300 {
            self.finish_tasks();
        }
        let then = self.now().plus_seconds(seconds);
        let too_old = |sent_at: Timestamp, limit: u64| sent_at.plus_seconds(limit) <= then;
        let calls: Vec<_> = {
            let mut calls = self.state.late.borrow_mut();
            let (arriving, waiting) =
                calls.drain(..).partition(|call| too_old(call.sent_at, LATEST_CALL_SECONDS));
            *calls = waiting;
            arriving
        };
        calls.iter().filter(|_| late).for_each(|call| self.state.carry_out_late(call));
        while let Some(n) = self
            .tasks
            .iter()
            .position(|task| task.isolate.is_none() && too_old(task.started, LONGEST_TRANSFER_SECONDS))
        {
            if late {
                self.poll(n);
            } else {
                drop(self.tasks.remove(n));
            }
        }
        self.state.clock.set(then);
    }

    fn change_user(&mut self, user: usize, change: UserChange) {
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

    fn change_asset(&mut self, upload: u8, change: AssetChange) {
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

    /// Left alone, everything comes to rest: every object has its asset, and nothing else is kept.
    fn come_to_rest(&mut self, faults: &[(u8, Fault)]) -> Result<(), String> {
        self.finish_tasks();
        self.check()?;
        let mut faults = faults.iter();
        // A grace, an orphan's notice, an object set aside, an id settled; each begins on another day.
        for days in [32, 9, 2, 2] {
            self.wait(days * 86_400, true);
            self.check()?;
            for fault in faults.by_ref().take(1).copied().map(Some).chain([None; 3]) {
                self.state.fault.set(fault);
                self.sweep(0, Orphans::All, LARGE_PAGES);
                self.finish_tasks();
                self.state.fault.set(None);
                self.check()?;
            }
        }
        let (model, conn) = (self.state.model.borrow(), &self.state.world.conn);
        let kept = self.state.bucket.borrow().keys();
        let kept: Vec<&str> = kept.iter().filter_map(|key| key.strip_prefix("uploads/")).collect();
        let expected: Vec<&str> = model.assets.keys().map(String::as_str).collect();
        if kept != expected {
            return Err(format!("the bucket has {kept:?}, and there are assets {expected:?}"));
        }
        let sessions: Vec<&str> = model.sessions.keys().map(String::as_str).collect();
        let (retired, orphans) = (database::retired(conn), database::orphans(conn));
        if sessions != expected || !retired.is_empty() || !orphans.is_empty() {
            return Err(format!(
                "nothing but assets is to be kept: sessions {sessions:?}, retired {retired:?}, orphans {orphans:?}"
            ));
        }
        Ok(())
    }
}

fn file_of(file: u8) -> Result<Declared, ErrorCode> {
    match file {
        0 => Ok(Declared { filename: "beach.png", mime_type: "image/png", size_bytes: 640 }),
        1 => Ok(Declared { filename: "clip.mp4", mime_type: "video/mp4", size_bytes: 999 }),
        2 => Ok(Declared { filename: "beach.png", mime_type: "image/png", size_bytes: 641 }),
        5 => Err(ErrorCode::BadRequest),
        _ => Err(ErrorCode::ValidationError),
    }
}

fn set_header(put: &mut PutRequest, name: &str, value: &str) {
    for (_, old) in put.headers.iter_mut().filter(|(other, _)| other == name) {
        *old = value.to_owned();
    }
}

/// A request whose body is still on the way.
struct ArrivingRequest<'a> {
    request: TestRequest,
    state: &'a State<'a>,
}

/// The same, and who is to know when it has arrived.
struct ArrivingWith<'a> {
    arriving: &'a ArrivingRequest<'a>,
    record: &'a TaskRecord,
}

impl IncomingRequest for ArrivingWith<'_> {
    fn method(&self) -> &str {
        &self.arriving.request.method
    }

    fn url(&self) -> &str {
        &self.arriving.request.url
    }

    fn header(&self, name: &'static str) -> Result<Option<String>, ApiError> {
        Ok(self.arriving.request.headers.get(name).cloned())
    }

    async fn body(&self) -> Body {
        pause().await;
        self.record.arrived_at.set(Some(self.arriving.state.clock.get()));
        self.arriving.request.body.clone()
    }
}
