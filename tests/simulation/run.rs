//! One simulation: it plays a schedule, and compares every answer with the model.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use asset_uploads::api::answer::answer;
use asset_uploads::config::Config;
use asset_uploads::domain::timestamp::Timestamp;
use asset_uploads::sweeper::PageSize;

use crate::bucket::Bucket;
use crate::client::{ArrivingRequest, http_request};
use crate::model::Model;
use crate::platform::client::TestAnswer;
use crate::record::TaskRecord;
use crate::request::{ActionModel, RequestModel};
use crate::schedule::{Action, Event, Fault, Named, Schedule};
use crate::simulated::TaskPlatform;
use crate::state::State;
use crate::statistics::Statistics;
use crate::world::{BEGINNING, S3, World};

/// A page of the sweeper: so few objects that a handful of uploads fills several.
const PAGES: PageSize = PageSize { objects: 2, pages: 2 };
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

pub(crate) struct Run<'a> {
    pub(crate) state: &'a State<'a>,
    pub(crate) config: &'a Config,
    pub(crate) retention_seconds: u64,
    tasks: Vec<Task<'a>>,
    /// Requests that were sent, the newest last.
    requests: Vec<RequestModel>,
    /// Ids of uploads in parts that clients were to start.
    pub(crate) in_parts: BTreeSet<String>,
    /// Requests and runs of the sweeper so far.
    count: u64,
}

/// Plays a schedule: what it came to, or what was not as it must be.
pub(crate) fn play(world: &World, schedule: &Schedule) -> Result<Statistics, String> {
    world.undone(|| {
        let [endpoint, name, id, secret] = S3;
        let retention_seconds = u64::from(schedule.retention_days) * 86_400;
        let model = Model {
            reject_mismatch: schedule.reject_mismatch,
            retention_ms: i64::from(schedule.retention_days) * 86_400_000,
            ..world.model.clone()
        };
        let state = State {
            world,
            model: RefCell::new(model),
            bucket: RefCell::new(Bucket::new(endpoint, name, id, secret)),
            clock: Cell::new(BEGINNING),
            fault: Cell::default(),
            isolate_ends: Cell::default(),
            late: RefCell::default(),
            uploads: RefCell::default(),
            assets: RefCell::default(),
            folders: RefCell::new(world.known_folders.clone()),
            cursors: RefCell::default(),
            made_keys: RefCell::default(),
            webhooks: RefCell::default(),
            queue: RefCell::default(),
            again: RefCell::default(),
            has_queue: schedule.has_queue,
            receivers: RefCell::default(),
            received: RefCell::default(),
            random: RefCell::default(),
            begun: RefCell::default(),
            completions: RefCell::default(),
            violation: RefCell::default(),
            statistics: RefCell::default(),
        };
        state.make_first_webhooks(schedule.webhooks);
        let config = if schedule.reject_mismatch { &world.strict_config } else { &world.config };
        let (tasks, requests, in_parts) = Default::default();
        let mut run = Run { state: &state, config, retention_seconds, tasks, requests, in_parts, count: 0 };
        for (n, event) in schedule.events.iter().enumerate() {
            run.play(event);
            run.check().map_err(|text| format!("after event {n}, {event:?}: {text}"))?;
        }
        run.come_to_rest(schedule).map_err(|text| format!("at the end: {text}"))?;
        drop(run);
        Ok(state.statistics.into_inner())
    })
}

/// The `n`-th from the end; counts around.
pub(crate) fn newest<T>(list: &[T], n: u8) -> Option<usize> {
    list.len().checked_sub(1).map(|last| last - usize::from(n) % list.len())
}

impl<'a> Run<'a> {
    fn play(&mut self, event: &Event) {
        match *event {
            Event::Request { client, organization, isolate, action } => {
                self.request(client, organization, isolate, action);
            }
            Event::Repeat { request, isolate } => {
                if let Some(n) = newest(&self.requests, request) {
                    self.send(self.requests[n].clone(), isolate);
                }
            }
            Event::Upload { client, file, folder } => self.upload_undisturbed(client, file, folder),
            Event::MakeKeys { client, keys, scope, max_uploads } => {
                self.make_keys(client, keys, scope, max_uploads);
            }
            Event::Send { upload, tampering } => self.transfer(upload, tampering),
            Event::SendPart { upload, part, tampered } => self.transfer_part(upload, part, tampered),
            Event::Several { client, uploads, untyped } => self.send_several(client, uploads, untyped),
            Event::InParts { client, file, steps, twice } => {
                self.upload_in_parts(client, file, steps, twice);
            }
            Event::StoreByHand { upload, object } => self.store_by_hand(upload, object),
            Event::StoreOrphan { key } => self.store_orphan(key),
            Event::Sweep { isolate, orphans } => self.sweep(isolate, orphans, PAGES),
            Event::Messages { isolate, message, count, twice } => {
                self.take_messages(isolate, message, count, twice);
            }
            Event::LoseMessage { message } => self.lose_message(message),
            Event::Cron { isolate } => self.cron(isolate),
            Event::Receiver { webhook, answers, attempts } => self.outage(webhook, answers, attempts),
            Event::StorageFirst { client, file, late, change, folder } => {
                self.storage_first(client, file, late, change, folder);
            }
            Event::AtDeadline { client, file, by_storage } => self.at_deadline(client, file, by_storage),
            Event::Notify { isolate, upload, uploads, forged, undisturbed } => {
                self.notify(isolate, upload, uploads, forged, undisturbed);
            }
            Event::Step { task, awaits, fault } => self.step(task, awaits, fault),
            Event::CutOff { task } => {
                let n = newest(&self.tasks, task).filter(|n| self.tasks[*n].isolate.is_none());
                if let Some(n) = n {
                    drop(self.tasks.remove(n));
                }
            }
            Event::EndIsolate { isolate, late } => {
                self.state.count("isolate ended");
                self.state.isolate_ends.set(Some(late));
                self.tasks.retain(|task| task.isolate != Some(isolate));
                self.state.isolate_ends.set(None);
            }
            Event::LateCall { call } => self.state.carry_out_one_late(call),
            Event::Wait { wait, late } => self.wait(wait.seconds(), late),
            Event::ChangeUser { user, change } => self.change_user(user.into(), change),
            Event::ChangeKey { key, revoked } => self.change_key(key.into(), revoked),
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.state.clock.get()
    }

    pub(crate) fn check(&self) -> Result<(), String> {
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

    pub(crate) fn request(&mut self, client: u8, organization: Named, isolate: u8, action: Action) {
        let client = self.client(client);
        if let Some(action) = self.action(client, organization, action) {
            self.send(RequestModel { client, organization, action }, isolate);
        }
    }

    pub(crate) fn under_way(&self) -> usize {
        self.tasks.len()
    }

    /// Lets what has begun come to its end, but for so many that began first.
    pub(crate) fn finish_newest(&mut self, others: usize) {
        while self.tasks.len() > others {
            self.poll(self.tasks.len() - 1);
        }
    }

    pub(crate) fn next_number(&mut self) -> u64 {
        self.count += 1;
        self.count
    }

    fn send(&mut self, request: RequestModel, isolate: u8) {
        self.count += 1;
        let (state, config, started) = (self.state, self.config, self.now());
        let number = self.count;
        let record = Rc::new(TaskRecord { number, request: Some(request.clone()), ..TaskRecord::default() });
        let platform = TaskPlatform { state, record: record.clone() };
        let http = http_request(&state.model.borrow(), &request);
        if let ActionModel::Start { file: Ok(file), id: Some(id), .. } = &request.action
            && file.multipart
        {
            self.in_parts.insert(id.to_string());
        }
        self.requests.push(request);
        self.begin(Some(isolate), async move {
            // Of a request without a body all has arrived at once.
            record.arrived_at.set(Some(state.clock.get()));
            let arriving = ArrivingRequest { http: &http, state, record: &record };
            let answer = answer(&arriving, &platform, Ok(config)).await;
            let answer = TestAnswer::new(answer, true, Default::default());
            answer.check(&http, started, false);
            state.receive(&record, &answer);
            platform.nudge_after(&answer).await;
        });
    }

    /// Begins something, which goes on as far as to its first await.
    pub(crate) fn begin(&mut self, isolate: Option<u8>, future: impl Future<Output = ()> + 'a) {
        self.tasks.push(Task { future: Box::pin(future), isolate, started: self.now() });
        self.poll(self.tasks.len() - 1);
    }

    pub(crate) fn step(&mut self, task: u8, awaits: u8, fault: Option<(u8, Fault)>) {
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
    pub(crate) fn finish_tasks(&mut self) {
        while let Some(n) = self.tasks.iter().position(|task| task.isolate.is_some()) {
            self.poll(n);
        }
    }

    pub(crate) fn wait(&mut self, seconds: u64, late: bool) {
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
}
