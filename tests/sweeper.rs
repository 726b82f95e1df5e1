//! The sweeper on the real schema: what it removes and what it leaves, in any order of events, cut off
//! anywhere and with any number of runs at once.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests are tests")]

mod sqlite;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use asset_uploads::config::SweepOrphans;
use asset_uploads::domain::idempotency::IdempotencyKey;
use asset_uploads::domain::ids::{AssetUploadId, OBJECT_PREFIX};
use asset_uploads::domain::media::MimeType;
use asset_uploads::domain::timestamp::Timestamp;
use asset_uploads::domain::upload::{Filename, ObjectState, StoredObject};
use asset_uploads::error::ApiError;
use asset_uploads::store::Operation;
use asset_uploads::store::confirm::Confirm;
use asset_uploads::store::rights::{Caller, Permission};
use asset_uploads::store::sweep::Retire;
use asset_uploads::store::uploads::{Cancel, Create};
use asset_uploads::sweeper::{GRACE_SECONDS, Listed, Page, SETTLE_SECONDS, Storage, Swept, sweep};
use proptest::prelude::*;
use rusqlite::Connection;
use sqlite::studio::{RULES, confirm, studio};
use sqlite::{NOW, Person, run, session};

const HOUR: u64 = 3_600;
/// Later than any deadline of these tests by more than the grace.
const LATER: Timestamp = Timestamp(NOW.0 + (GRACE_SECONDS as i64 + 86_400) * 1_000);

/// A database, a bucket, and faults in reaching them.
struct World {
    conn: Connection,
    /// Key, ETag and when it was stored.
    bucket: RefCell<BTreeMap<String, (String, Timestamp)>>,
    now: Cell<Timestamp>,
    /// After so many more storage calls of a sweeper one fails; `true`: after it was carried out.
    fault: Cell<Option<(u32, bool)>>,
    etags: Cell<u32>,
}

impl World {
    fn new(conn: Connection) -> Self {
        let (bucket, now) = (RefCell::default(), Cell::new(NOW));
        Self { conn, bucket, now, fault: Cell::default(), etags: Cell::default() }
    }

    /// Stores an object, unless there is one: uploads are write-once.
    fn put(&self, key: String) {
        let etag = self.etags.get() + 1;
        self.etags.set(etag);
        self.bucket.borrow_mut().entry(key).or_insert_with(|| (format!("etag-{etag}"), self.now.get()));
    }

    fn objects(&self) -> Vec<String> {
        self.bucket.borrow().keys().cloned().collect()
    }

    fn count(&self, table: &str) -> i64 {
        self.conn.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
    }

    /// Every asset has the very object that it was made of.
    fn check(&self) {
        for row in sqlite::rows(&self.conn, "SELECT r2_key, etag FROM assets") {
            let [key, etag] = [0, 1].map(|n| match &row[n].1 {
                rusqlite::types::Value::Text(text) => text.clone(),
                other => format!("{other:?}, which is no text"),
            });
            let stored = self.bucket.borrow().get(&key).map(|(etag, _)| etag.clone());
            assert_eq!(stored, Some(etag), "the object of asset {key}");
        }
        let sql = "SELECT 1 FROM retired_uploads r
             WHERE EXISTS (SELECT 1 FROM asset_uploads u WHERE u.id = r.id) OR EXISTS (SELECT 1 FROM assets a WHERE a.id = r.id)";
        assert_eq!(sqlite::rows(&self.conn, sql).len(), 0, "a retired id is in use");
    }

    /// Others may act before a storage call is carried out, and between that and its answer.
    async fn call<T>(&self, call: impl FnOnce() -> T) -> Result<T, ApiError> {
        let lost = || Err(ApiError::unavailable("lost"));
        pause().await;
        let fault = self.fault.take();
        if fault == Some((0, false)) {
            return lost();
        }
        let answer = call();
        self.fault.set(fault.and_then(|(calls, after)| Some((calls.checked_sub(1)?, after))));
        pause().await;
        if fault == Some((0, true)) { lost() } else { Ok(answer) }
    }

    fn sweep_now(&self) -> Swept {
        let mut swept = Swept::default();
        finish(Box::pin(sweep(self, self.now.get(), SweepOrphans::Few, &mut swept))).unwrap();
        self.check();
        swept
    }
}

impl Storage for World {
    // Small, so that a handful of uploads fills several.
    const PAGE: u32 = 2;
    const MAX_PAGES: u32 = 2;

    async fn run<O: Operation>(&self, operation: &O) -> Result<O::Output, ApiError> {
        self.call(|| run(&self.conn, operation)).await?
    }

    async fn list(&self, after: &str, limit: u32) -> Result<Page, ApiError> {
        self.call(|| {
            let bucket = self.bucket.borrow();
            let behind =
                bucket.iter().filter(|(key, _)| key.starts_with(OBJECT_PREFIX) && key.as_str() > after);
            let listed = |(key, (_, at)): (&String, &(String, Timestamp))| Listed {
                key: key.clone(),
                uploaded_at: *at,
            };
            let objects: Vec<Listed> = behind.clone().take(limit as usize).map(listed).collect();
            let truncated = behind.count() > objects.len();
            Page { objects, truncated }
        })
        .await
    }

    async fn delete(&self, keys: &[String]) -> Result<(), ApiError> {
        assert!(keys.len() <= Self::PAGE as usize);
        self.call(|| self.bucket.borrow_mut().retain(|key, _| !keys.contains(key))).await
    }
}

/// Lets others act.
async fn pause() {
    let mut paused = false;
    poll_fn(|_| if std::mem::replace(&mut paused, true) { Poll::Ready(()) } else { Poll::Pending }).await;
}

/// One step of something under way; its output when that was the last.
fn step<T>(future: &mut Pin<Box<dyn Future<Output = T> + '_>>) -> Option<T> {
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

fn finish<T>(mut future: Pin<Box<dyn Future<Output = T> + '_>>) -> T {
    loop {
        if let Some(output) = step(&mut future) {
            return output;
        }
    }
}

#[test]
fn what_nobody_confirmed_goes_after_its_grace_and_what_was_confirmed_stays() {
    let (conn, org, editor, expired) = studio();
    let confirmed = session(&conn, org, &editor, Timestamp(NOW.0 + 1));
    let cancelled = session(&conn, org, &editor, Timestamp(NOW.0 + 1));
    session(&conn, org, &editor, Timestamp(NOW.0 + 1)); // nothing is ever sent to this one
    let pending = session(&conn, org, &editor, LATER);
    let world = World::new(conn);
    for id in [expired, confirmed, cancelled, pending] {
        world.put(id.object_key());
    }
    let object =
        RULES.verify(StoredObject { etag: "etag-2".to_owned(), ..sqlite::studio::stored(640, "image/png") });
    run(&world.conn, &Confirm { object, ..confirm(&editor, confirmed) }).unwrap();
    run(&world.conn, &Cancel { caller: editor.asks_to(Permission::Write), asset_upload_id: cancelled })
        .unwrap();

    // Within the grace nothing happens at all.
    world.now.set(Timestamp(NOW.0 + GRACE_SECONDS as i64 * 1_000));
    assert_eq!(world.sweep_now(), Swept { objects_compared: 4, ..Swept::default() });
    assert_eq!((world.count("asset_uploads"), world.objects().len()), (5, 4));

    world.now.set(Timestamp(NOW.0 + 1 + GRACE_SECONDS as i64 * 1_000));
    let swept = world.sweep_now();
    assert_eq!((swept.sessions_judged, swept.sessions_retired, swept.objects_removed), (4, 3, 3));
    assert_eq!(world.objects(), {
        let mut keys = [confirmed.object_key(), pending.object_key()];
        keys.sort();
        keys
    });
    assert_eq!((world.count("asset_uploads"), world.count("retired_uploads")), (2, 3));

    // A settling time later the ids are forgotten; nothing is judged or removed twice.
    assert_eq!(world.sweep_now(), Swept { objects_compared: 2, ..Swept::default() });
    assert_eq!(world.count("retired_uploads"), 3);
    world.now.set(world.now.get().plus_seconds(SETTLE_SECONDS));
    world.sweep_now();
    assert_eq!(world.count("retired_uploads"), 0);
}

#[test]
fn a_confirmation_and_the_sweeper_never_both_have_an_upload() {
    for sweeper_first in [true, false] {
        let (conn, _, editor, upload) = studio();
        let retire = Retire { due: LATER, limit: 10 };
        // It came in when it was still in time, and reaches the database only now.
        let late = confirm(&editor, upload);
        let retired = if sweeper_first {
            let retired = run(&conn, &retire).unwrap().retired;
            assert_eq!(run(&conn, &late), Err(ApiError::AssetUploadNotFound));
            retired
        } else {
            run(&conn, &late).unwrap();
            run(&conn, &retire).unwrap().retired
        };
        assert_eq!((retired, sqlite::assets(&conn)), if sweeper_first { (1, 0) } else { (0, 1) });
    }
}

#[test]
fn the_deadline_and_the_grace_do_not_overlap() {
    // A request that comes in at the last moment has the whole grace to reach the database.
    let (conn, _, editor, upload) = studio();
    let last_moment = Timestamp(NOW.0);
    let due = Timestamp(last_moment.0 + GRACE_SECONDS as i64 * 1_000).minus_seconds(GRACE_SECONDS);
    assert_eq!(run(&conn, &Retire { due, limit: 10 }).unwrap().judged, 0);
    run(&conn, &confirm(&editor, upload)).unwrap();
}

#[test]
fn orphans_go_and_other_peoples_files_stay() {
    let (conn, org, editor, _) = studio();
    let world = World::new(conn);
    let orphans: Vec<String> = (0..3).map(|_| sqlite::nobodys_session().object_key()).collect();
    let imported = sqlite::nobodys_session().object_key();
    let foreign =
        ["uploads/readme.txt", "uploads/", "uploads/018F4D2E-7C4B-7A35-9C1F-0242AC120002", "elsewhere"];
    for key in orphans.iter().chain([&imported]).map(String::as_str).chain(foreign) {
        world.put(key.to_owned());
    }
    // An asset that an operator recorded by hand, under an id of its own.
    let sql = "INSERT INTO assets SELECT ?1, ?2, NULL, 'x', ?3, 'image/png', 1, 'image', 'import', 'x', etag, 'k', ?4, 0, 0, NULL, NULL
         FROM (SELECT ?5 AS etag)";
    let etag = world.bucket.borrow()[&imported].0.clone();
    let id = sqlite::nobodys_session().to_string();
    world.conn.execute(sql, (id, org.to_string(), &imported, editor.user.id.to_string(), etag)).unwrap();

    // Too young: whoever restores a database from a backup has the grace to notice.
    let swept = world.sweep_now();
    assert_eq!((swept.objects_orphaned, swept.objects_removed), (0, 0));
    world.now.set(LATER);
    let mut total = Swept::default();
    for _ in 0..4 {
        let swept = world.sweep_now();
        total.objects_orphaned += swept.objects_orphaned;
        total.objects_removed += swept.objects_removed;
        assert!(swept.objects_compared <= World::PAGE * World::MAX_PAGES);
    }
    assert_eq!(
        (total.objects_orphaned, total.objects_removed),
        (3, 4),
        "three orphans, and the session of the studio"
    );
    let mut left: Vec<&str> = foreign.into_iter().chain([imported.as_str()]).collect();
    left.sort_unstable();
    assert_eq!(world.objects(), left);
}

#[test]
fn a_run_that_is_cut_off_anywhere_is_made_up_for_by_the_next() {
    let outcome = |fault: Option<(u32, bool)>| {
        let (conn, org, editor, upload) = studio();
        let kept = session(&conn, org, &editor, Timestamp(LATER.0 + 1));
        let world = World::new(conn);
        for id in [upload, kept, sqlite::nobodys_session()] {
            world.put(id.object_key());
        }
        world.now.set(LATER);
        world.fault.set(fault);
        let failed =
            finish(Box::pin(sweep(&world, LATER, SweepOrphans::Few, &mut Swept::default()))).is_err();
        world.fault.set(None);
        world.sweep_now();
        let retired = "SELECT object_deleted_at IS NOT NULL AS gone FROM retired_uploads";
        let counts = (world.count("asset_uploads"), world.objects().len());
        (failed, counts, sqlite::rows(&world.conn, retired))
    };
    let (_, counts, retired) = outcome(None);
    assert_eq!((counts, retired.len()), ((1, 1), 2));
    for after in [false, true] {
        let cut_off = (0..).map(|calls| outcome(Some((calls, after)))).take_while(|(failed, ..)| *failed);
        let calls = cut_off.inspect(|(_, c, r)| assert_eq!((c, r), (&counts, &retired))).count();
        assert!(calls >= 8, "{calls}");
    }
}

#[test]
fn an_orphan_is_left_alone_for_its_grace() {
    let (conn, ..) = studio();
    let world = World::new(conn);
    world.put(sqlite::nobodys_session().object_key());
    for (ms, left) in [(GRACE_SECONDS as i64 * 1_000 - 1, 1), (GRACE_SECONDS as i64 * 1_000, 0)] {
        world.now.set(Timestamp(NOW.0 + ms));
        world.sweep_now();
        assert_eq!(world.objects().len(), left, "{ms}");
    }
}

/// A database that is another bucket's, or lost its rows, must not cost the objects too.
#[test]
fn many_orphans_are_left_alone_until_the_operator_says_so() {
    struct Wide(World);
    impl Storage for Wide {
        const PAGE: u32 = 30;
        const MAX_PAGES: u32 = 2;
        async fn run<O: Operation>(&self, operation: &O) -> Result<O::Output, ApiError> {
            run(&self.0.conn, operation)
        }
        async fn list(&self, after: &str, limit: u32) -> Result<Page, ApiError> {
            self.0.list(after, limit).await
        }
        async fn delete(&self, keys: &[String]) -> Result<(), ApiError> {
            self.0.bucket.borrow_mut().retain(|key, _| !keys.contains(key));
            Ok(())
        }
    }
    let sweep_all = |world: &Wide, orphans| {
        let mut swept = Swept::default();
        finish(Box::pin(sweep(world, LATER, orphans, &mut swept))).map(|()| swept.objects_orphaned)
    };
    for (kept, orphans, few) in
        [(0, 10, true), (0, 11, false), (11, 11, true), (10, 11, false), (0, 45, false)]
    {
        let (conn, org, editor, _) = studio();
        let world = Wide(World::new(conn));
        for _ in 0..kept {
            world.0.put(session(&world.0.conn, org, &editor, LATER).object_key());
        }
        for _ in 0..orphans {
            world.0.put(sqlite::nobodys_session().object_key());
        }
        assert_eq!(sweep_all(&world, SweepOrphans::None), Ok(0));
        let outcome = sweep_all(&world, SweepOrphans::Few);
        assert_eq!(outcome.is_ok(), few, "{orphans} orphans among {kept} others: {outcome:?}");
        if !few {
            assert_eq!(outcome.unwrap_err().status_and_code().0, 500);
            assert_eq!(world.0.objects().len(), kept + orphans);
            // It begins with the same page the next time.
            assert!(sweep_all(&world, SweepOrphans::Few).is_err());
            sweep_all(&world, SweepOrphans::All).unwrap();
        }
        assert_eq!(world.0.objects().len(), kept);
    }
}

/// A database was restored, or somebody was at it by hand.
#[test]
fn what_is_in_use_is_not_removed_whatever_was_said_of_it_before() {
    let (conn, org, editor, confirmed) = studio();
    let pending = session(&conn, org, &editor, LATER);
    let world = World::new(conn);
    for id in [confirmed, pending] {
        world.put(id.object_key());
    }
    run(&world.conn, &confirm(&editor, confirmed)).unwrap();
    for id in [confirmed, pending] {
        world.conn.execute("INSERT INTO retired_uploads (id) VALUES (?1)", [id.to_string()]).unwrap();
    }
    world.now.set(LATER);
    finish(Box::pin(sweep(&world, LATER, SweepOrphans::All, &mut Swept::default()))).unwrap();
    assert_eq!((world.objects().len(), world.count("asset_uploads"), world.count("assets")), (2, 2, 1));
}

#[test]
fn while_objects_cannot_be_removed_nothing_more_is_retired() {
    let (conn, org, editor, upload) = studio();
    let world = World::new(conn);
    world.put(upload.object_key());
    world.now.set(LATER);
    let mut swept = Swept::default();
    // All is well up to the removal: Forget, NextObjects, Retire, ReadMark, list, RetireOrphans, NextObjects.
    world.fault.set(Some((7, false)));
    assert!(finish(Box::pin(sweep(&world, LATER, SweepOrphans::Few, &mut swept))).is_err());
    assert_eq!((swept.sessions_retired, swept.objects_removed), (1, 0));
    session(&world.conn, org, &editor, Timestamp(NOW.0 + 2));
    for _ in 0..3 {
        let mut swept = Swept::default();
        world.fault.set(Some((2, false)));
        assert!(finish(Box::pin(sweep(&world, LATER, SweepOrphans::Few, &mut swept))).is_err());
        assert_eq!(swept, Swept::default());
    }
    let swept = world.sweep_now();
    assert_eq!((swept.sessions_retired, swept.objects_removed, world.objects().len()), (1, 2, 0));
}

#[test]
fn an_id_that_is_being_removed_cannot_be_started_again() {
    let (conn, _, editor, _) = studio();
    let world = World::new(conn);
    let create = create(&editor, Some(1), NOW);
    run(&world.conn, &create).unwrap();
    world.now.set(LATER);
    world.sweep_now();
    let again = Create { expires_at: LATER.plus_seconds(60), ..create };
    let refused = run(&world.conn, &again).unwrap_err();
    assert_eq!(refused.status_and_code(), (422, "VALIDATION_ERROR"));
    assert_eq!(world.count("asset_uploads"), 0);
    world.now.set(LATER.plus_seconds(SETTLE_SECONDS));
    world.sweep_now();
    run(&world.conn, &again).unwrap();
    assert_eq!(world.count("asset_uploads"), 1);
}

/// The plans of the sweeper's statements go through the index of deadlines and through keys: a run's work
/// does not grow with the tables.
#[test]
fn a_run_reads_no_more_than_its_pages() {
    let costs = [20, 1_000].map(|confirmed| {
        let (conn, org, editor, _) = studio();
        for n in 1..=confirmed {
            let upload = session(&conn, org, &editor, Timestamp(NOW.0 + n));
            run(&conn, &confirm(&editor, upload)).unwrap();
        }
        // Half-way: a run must neither begin anew nor read to the end.
        let due = Timestamp(NOW.0 + confirmed / 2);
        run(&conn, &Retire { due, limit: 10_000 }).unwrap();
        let retire = Retire { due: LATER, limit: 5 };
        let steps = retire.statements().into_iter().map(|statement| {
            let mut prepared = conn.prepare(statement.sql).unwrap();
            let values = rusqlite::params_from_iter(statement.params.iter().map(sqlite::bound));
            prepared.query_map(values, |_| Ok(())).unwrap().for_each(drop);
            prepared.get_status(rusqlite::StatementStatus::VmStep)
        });
        steps.sum::<i32>()
    });
    assert!(costs[1] <= costs[0] + 50, "{costs:?}");
}

fn create(by: &Person, intent: Option<u8>, now: Timestamp) -> Create {
    let caller = Caller { now, ..by.asks_to(Permission::Write) };
    let asset_upload_id = match intent {
        Some(n) => AssetUploadId::for_intent(&by.key, None, &IdempotencyKey::parse(&n.to_string()).unwrap()),
        None => sqlite::nobodys_session(),
    };
    Create {
        caller,
        asset_upload_id,
        filename: Filename::parse("beach.png").unwrap(),
        mime_type: MimeType::parse("image/png").unwrap(),
        size_bytes: 640,
        expires_at: now.plus_seconds(HOUR),
    }
}

/// What may happen next.
#[derive(Debug, Clone)]
enum Event {
    Create {
        intent: Option<u8>,
    },
    /// Begins to send a file while its URL is valid.
    Send {
        upload: usize,
    },
    Confirm {
        upload: usize,
    },
    Cancel {
        upload: usize,
    },
    Sweep,
    /// A step of something under way.
    Step {
        task: usize,
    },
    /// It ends without another step.
    CutOff {
        task: usize,
    },
    Fault {
        calls: u32,
        after: bool,
    },
    Wait {
        hours: u64,
    },
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => prop::option::weighted(0.8, 0..2_u8).prop_map(|intent| Event::Create { intent }),
        3 => (0..8_usize).prop_map(|upload| Event::Send { upload }),
        3 => (0..8_usize).prop_map(|upload| Event::Confirm { upload }),
        1 => (0..8_usize).prop_map(|upload| Event::Cancel { upload }),
        4 => Just(Event::Sweep),
        30 => (0..6_usize).prop_map(|task| Event::Step { task }),
        1 => (0..6_usize).prop_map(|task| Event::CutOff { task }),
        1 => (0..9_u32, any::<bool>()).prop_map(|(calls, after)| Event::Fault { calls, after }),
        3 => prop_oneof![Just(0), Just(2), Just(12), Just(24), Just(200)].prop_map(|hours| Event::Wait { hours }),
    ]
}

type Task<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// As the Worker does it: HEAD, then the transaction.
async fn confirm_as_the_worker(world: &World, by: &Person, id: AssetUploadId) {
    let caller = Caller { now: world.now.get(), ..by.asks_to(Permission::Write) };
    pause().await;
    let etag = world.bucket.borrow().get(&id.object_key()).map(|(etag, _)| etag.clone());
    let object = match etag {
        Some(etag) => RULES.verify(StoredObject { etag, ..sqlite::studio::stored(640, "image/png") }),
        None => ObjectState::Missing,
    };
    pause().await;
    // Whatever it comes to; `check` sees what it left.
    drop(run(&world.conn, &Confirm { caller, object, ..confirm(by, id) }));
}

async fn cancel_as_the_worker(world: &World, by: &Person, id: AssetUploadId) {
    let caller = Caller { now: world.now.get(), ..by.asks_to(Permission::Write) };
    pause().await;
    if run(&world.conn, &Cancel { caller, asset_upload_id: id }).is_ok() {
        pause().await;
        world.bucket.borrow_mut().remove(&id.object_key());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn in_any_order_of_events_every_asset_keeps_its_object(events in prop::collection::vec(event(), 1..120)) {
        let (conn, _, editor, _) = studio();
        let world = World::new(conn);
        let mut uploads: Vec<Create> = Vec::new();
        let mut tasks: Vec<Task<'_>> = Vec::new();
        for event in events {
            match event {
                Event::Create { intent } => {
                    let create = create(&editor, intent, world.now.get());
                    if run(&world.conn, &create).is_ok() {
                        uploads.insert(0, create);
                    }
                }
                Event::Send { upload } => {
                    if let Some(create) = uploads.get(upload).filter(|create| create.expires_at > world.now.get()) {
                        let key = create.asset_upload_id.object_key();
                        let world = &world;
                        tasks.push(Box::pin(async move { pause().await; world.put(key) }));
                    }
                }
                Event::Confirm { upload } => {
                    if let Some(create) = uploads.get(upload) {
                        tasks.push(Box::pin(confirm_as_the_worker(&world, &editor, create.asset_upload_id)));
                    }
                }
                Event::Cancel { upload } => {
                    if let Some(create) = uploads.get(upload) {
                        tasks.push(Box::pin(cancel_as_the_worker(&world, &editor, create.asset_upload_id)));
                    }
                }
                Event::Sweep => {
                    let (world, now) = (&world, world.now.get());
                    tasks.push(Box::pin(async move { drop(sweep(world, now, SweepOrphans::Few, &mut Swept::default()).await) }));
                }
                Event::Step { task } => {
                    if tasks.get_mut(task).and_then(step).is_some() {
                        drop(tasks.remove(task));
                    }
                }
                Event::CutOff { task } => if task < tasks.len() { drop(tasks.remove(task)) },
                Event::Fault { calls, after } => world.fault.set(Some((calls, after))),
                // The platform lets nothing run for hours: what is under way ends, here or elsewhere.
                Event::Wait { hours } => {
                    tasks.iter_mut().for_each(|task| while step(task).is_none() {});
                    tasks.clear();
                    world.now.set(world.now.get().plus_seconds(hours * HOUR));
                }
            }
            world.check();
        }
        tasks.iter_mut().for_each(|task| while step(task).is_none() { world.check() });
        drop(tasks);
        world.fault.set(None);
        let assets = world.count("assets");

        // Left alone, it comes to rest: every object has its asset, and nothing else is kept.
        world.now.set(world.now.get().plus_seconds(2 * GRACE_SECONDS));
        // Every run gets on by a page at least, of everything there is.
        let runs = 2 + world.count("asset_uploads") + world.count("retired_uploads") + world.objects().len() as i64;
        (0..runs).for_each(|_| _ = world.sweep_now());
        world.now.set(world.now.get().plus_seconds(SETTLE_SECONDS));
        (0..runs).for_each(|_| _ = world.sweep_now());
        let kept = ["assets", "asset_uploads", "retired_uploads"].map(|table| world.count(table));
        prop_assert_eq!((kept, world.objects().len() as i64), ([assets, assets, 0], assets));
    }
}
