//! The sweeper on the real schema: what it removes and what it leaves, in any order of events, cut off
//! anywhere and with any number of runs at once.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code may panic")]

mod sqlite;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use asset_uploads::config::{SweepOrphans, SweepSettings};
use asset_uploads::domain::idempotency::IdempotencyKey;
use asset_uploads::domain::ids::AssetUploadId;
use asset_uploads::domain::media::MimeType;
use asset_uploads::domain::timestamp::Timestamp;
use asset_uploads::domain::upload::{Filename, ObjectState, StoredObject};
use asset_uploads::error::ApiError;
use asset_uploads::platform::{ListedObject, ObjectPage, Platform, Usage};
use asset_uploads::storage_error::{StorageError, StorageErrorKind};
use asset_uploads::store::confirm::Confirm;
use asset_uploads::store::rights::{Caller, Permission};
use asset_uploads::store::sweep::{NoteOrphans, Retire};
use asset_uploads::store::uploads::{Cancel, Create};
use asset_uploads::store::{Operation, Rows, Statement};
use asset_uploads::sweeper::{
    GRACE_SECONDS, MAX_RUN_MS, ORPHAN_NOTICE_SECONDS, PageSize, Report, SET_ASIDE_SECONDS, SETTLE_SECONDS,
    sweep,
};
use proptest::prelude::*;
use rusqlite::Connection;
use sqlite::fixtures::{RULES, confirm, pending_upload};
use sqlite::{NOW, Person, run, run_system, session};

const HOUR: u64 = 3_600;
const DAY: u64 = 86_400;
/// Later than any deadline of these tests by more than the grace.
const LATER: Timestamp = Timestamp(NOW.0 + (GRACE_SECONDS as i64 + 86_400) * 1_000);
const FEW: SweepSettings = SweepSettings { orphans: SweepOrphans::Few, max_statements: 50 };
/// For runs side by side, which share the count.
const UNBOUNDED: SweepSettings = SweepSettings { max_statements: u32::MAX, ..FEW };
const ALL: SweepSettings = SweepSettings { orphans: SweepOrphans::All, ..FEW };

/// A call of the sweeper to R2.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Call {
    Owner,
    List,
    Delete,
}

/// Key, ETag and when it was stored.
type Bucket = BTreeMap<String, (String, Timestamp)>;

/// A database, a bucket, and failures of the calls to them. A page is `PAGE` objects: a handful of uploads fills several.
struct SweeperPlatform<const PAGE: u32 = 2> {
    conn: Connection,
    bucket: Rc<RefCell<Bucket>>,
    /// The database that the bucket belongs to.
    owner: Rc<RefCell<Option<String>>>,
    now: Cell<Timestamp>,
    /// After so many more storage calls of a sweeper one fails; `true`: after it was carried out.
    failure: Cell<Option<(u32, bool)>>,
    /// A call that always fails, and after how many milliseconds.
    broken: Cell<Option<(Call, u64)>>,
    /// Keys that R2 never removes.
    locked: RefCell<BTreeSet<String>>,
    etags: Cell<u32>,
    deletes: Cell<u32>,
    statements: Cell<u32>,
    elapsed_ms: Cell<u64>,
}

impl<const PAGE: u32> SweeperPlatform<PAGE> {
    const PAGES: PageSize = PageSize { objects: PAGE, pages: 2 };

    fn new(conn: Connection) -> Self {
        Self {
            conn,
            now: Cell::new(NOW),
            bucket: Rc::default(),
            owner: Rc::default(),
            failure: Cell::default(),
            broken: Cell::default(),
            locked: RefCell::default(),
            etags: Cell::default(),
            deletes: Cell::default(),
            statements: Cell::default(),
            elapsed_ms: Cell::default(),
        }
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

    fn has(&self, id: AssetUploadId) -> bool {
        self.bucket.borrow().contains_key(&id.object_key())
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
    async fn call<T>(&self, call: impl FnOnce() -> T) -> Result<T, StorageError> {
        let lost = || Err(unavailable("lost"));
        pause().await;
        let failure = self.failure.take();
        if failure == Some((0, false)) {
            return lost();
        }
        let answer = call();
        self.failure.set(failure.and_then(|(calls, after)| Some((calls.checked_sub(1)?, after))));
        pause().await;
        if failure == Some((0, true)) { lost() } else { Ok(answer) }
    }

    /// A call to R2, which may be broken.
    async fn r2<T>(&self, which: Call, call: impl FnOnce() -> T) -> Result<T, StorageError> {
        match self.broken.get() {
            Some((broken, ms)) if broken == which => {
                self.elapsed_ms.set(self.elapsed_ms.get() + ms);
                Err(unavailable(&format!("R2: {which:?} is broken")))
            }
            _ => self.call(call).await,
        }
    }

    fn sweep(&self, settings: SweepSettings) -> Report {
        self.statements.set(0);
        self.elapsed_ms.set(0);
        let report = finish(Box::pin(sweep(self, self.now.get(), settings, Self::PAGES)));
        assert!(self.statements.get() <= settings.max_statements, "{} statements", self.statements.get());
        report
    }

    /// A run that reports no problems but orphans.
    fn sweep_now(&self) -> Report {
        let report = self.sweep(FEW);
        assert_eq!(report.problems.len(), usize::from(report.orphans_noted > 0), "{:?}", report.problems);
        self.check();
        report
    }

    fn wait(&self, seconds: u64) {
        self.now.set(self.now.get().plus_seconds(seconds));
    }
}

impl<const PAGE: u32> Platform for SweeperPlatform<PAGE> {
    async fn transact(&self, statements: &[Statement]) -> Result<Rows, StorageError> {
        self.statements.set(self.statements.get() + u32::try_from(statements.len()).unwrap());
        let texts = self.call(|| sqlite::transact(&self.conn, statements)).await?;
        Ok(Rows { texts: texts.unwrap() })
    }

    async fn head_object(&self, _: &str) -> Result<Option<StoredObject>, StorageError> {
        let kind = StorageErrorKind::Unexpected;
        Err(StorageError { kind, message: "the sweeper asks for no object".to_owned() })
    }

    async fn list_objects(&self, prefix: &str, after: &str, limit: u32) -> Result<ObjectPage, StorageError> {
        self.r2(Call::List, || {
            let bucket = self.bucket.borrow();
            let behind = bucket.iter().filter(|(key, _)| key.starts_with(prefix) && key.as_str() > after);
            let listed = |(key, (_, at)): (&String, &(String, Timestamp))| ListedObject {
                key: key.clone(),
                uploaded_at: *at,
            };
            let objects: Vec<ListedObject> = behind.clone().take(limit as usize).map(listed).collect();
            let truncated = behind.count() > objects.len();
            ObjectPage { objects, truncated }
        })
        .await
    }

    async fn delete_objects(&self, keys: &[String]) -> Result<(), StorageError> {
        assert!(!keys.is_empty() && keys.len() <= PAGE as usize);
        self.deletes.set(self.deletes.get() + 1);
        if keys.iter().any(|key| self.locked.borrow().contains(key)) {
            return Err(unavailable("R2: delete: locked (10069)"));
        }
        self.r2(Call::Delete, || self.bucket.borrow_mut().retain(|key, _| !keys.contains(key))).await
    }

    async fn bucket_owner(&self, database_id: &str) -> Result<String, StorageError> {
        self.r2(Call::Owner, || self.owner.borrow_mut().get_or_insert_with(|| database_id.to_owned()).clone())
            .await
    }

    fn now(&self) -> Timestamp {
        Timestamp(self.now.get().0 + i64::try_from(self.elapsed_ms.get()).unwrap())
    }

    fn fill_random(&self, _: &mut [u8]) -> Result<(), String> {
        Err("the sweeper draws nothing".to_owned())
    }

    fn usage(&self) -> Usage {
        Usage { statements: self.statements.get(), ..Usage::default() }
    }
}

fn unavailable(message: &str) -> StorageError {
    StorageError { kind: StorageErrorKind::Transient, message: message.to_owned() }
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
    let (conn, org, editor, expired) = pending_upload();
    let confirmed = session(&conn, org, &editor, Timestamp(NOW.0 + 1));
    let cancelled = session(&conn, org, &editor, Timestamp(NOW.0 + 1));
    session(&conn, org, &editor, Timestamp(NOW.0 + 1)); // nothing is ever sent to this one
    let pending = session(&conn, org, &editor, LATER);
    let platform: SweeperPlatform = SweeperPlatform::new(conn);
    for id in [expired, confirmed, cancelled, pending] {
        platform.put(id.object_key());
    }
    let object = RULES.verify(StoredObject {
        etag: "etag-2".to_owned(),
        ..sqlite::fixtures::stored_object(640, "image/png")
    });
    run(&platform.conn, &Confirm { object, ..confirm(&editor, confirmed) }).unwrap();
    run(
        &platform.conn,
        &Cancel { caller: editor.caller(Permission::AssetsWrite), asset_upload_id: cancelled },
    )
    .unwrap();

    // Within the grace nothing happens at all.
    platform.now.set(Timestamp(NOW.0 + GRACE_SECONDS as i64 * 1_000));
    assert_eq!(platform.sweep_now(), Report { objects_compared: 4, ..Report::default() });
    assert_eq!((platform.count("asset_uploads"), platform.objects().len()), (5, 4));

    platform.now.set(Timestamp(NOW.0 + 1 + GRACE_SECONDS as i64 * 1_000));
    let report = platform.sweep_now();
    assert_eq!((report.sessions_checked, report.sessions_retired, report.objects_removed), (4, 3, 3));
    assert_eq!(platform.objects(), {
        let mut keys = [confirmed.object_key(), pending.object_key()];
        keys.sort();
        keys
    });
    assert_eq!((platform.count("asset_uploads"), platform.count("retired_uploads")), (2, 3));

    // A settling time later the ids are forgotten; nothing is checked or removed twice.
    assert_eq!(platform.sweep_now(), Report { objects_compared: 2, ..Report::default() });
    assert_eq!(platform.count("retired_uploads"), 3);
    platform.wait(SETTLE_SECONDS);
    platform.sweep_now();
    assert_eq!(platform.count("retired_uploads"), 0);
}

#[test]
fn a_confirmation_and_the_sweeper_never_both_have_an_upload() {
    for sweeper_first in [true, false] {
        let (conn, _, editor, upload) = pending_upload();
        let retire = Retire { since: Timestamp(0), due: LATER, limit: 10 };
        // It came in when it was still in time, and reaches the database only now.
        let late = confirm(&editor, upload);
        let retired = if sweeper_first {
            let retired = run_system(&conn, &retire).unwrap().retired;
            assert_eq!(run(&conn, &late), Err(ApiError::AssetUploadNotFound));
            retired
        } else {
            run(&conn, &late).unwrap();
            run_system(&conn, &retire).unwrap().retired
        };
        assert_eq!((retired, sqlite::count_assets(&conn)), if sweeper_first { (1, 0) } else { (0, 1) });
    }
}

#[test]
fn an_orphan_is_noted_and_removed_a_week_later_if_it_still_is_one() {
    let (conn, org, editor, _) = pending_upload();
    let platform: SweeperPlatform = SweeperPlatform::new(conn);
    let [gone, adopted, imported, by_hand] = [(); 4].map(|()| sqlite::unused_upload_id());
    for id in [gone, adopted, imported, by_hand] {
        platform.put(id.object_key());
    }
    // Files that no upload can be called are none of ours.
    let foreign = ["uploads/notes.txt".to_owned(), format!("uploads/{}", gone.to_string().to_uppercase())];
    foreign.iter().for_each(|key| platform.put(key.clone()));

    // As old as a signed URL lives, and a day.
    platform.now.set(Timestamp(NOW.0 + GRACE_SECONDS as i64 * 1_000 - 1));
    let young = platform.sweep_now();
    assert_eq!((young.objects_compared, young.objects_foreign, young.orphans_noted), (4, 2, 0));
    platform.now.set(Timestamp(NOW.0 + GRACE_SECONDS as i64 * 1_000));
    let report = platform.sweep_now();
    assert_eq!((report.orphans_noted, report.orphans_retired, report.objects_removed), (4, 0, 0));
    let [problem] = report.problems.as_slice() else { panic!("{:?}", report.problems) };
    assert!(problem.starts_with("4 objects belong to nothing, noted to be removed in 7 days"), "{problem}");
    assert!(problem.contains(&gone.object_key()), "{problem}");
    // Reported once.
    platform.wait(HOUR);
    assert_eq!(platform.sweep_now().orphans_noted, 0);

    // Somebody restores a session and an asset, and removes a file.
    let sql = "INSERT INTO asset_uploads (id, org_id, filename, mime_type, size_bytes, created_by, created_at, expires_at)
         VALUES (?1, ?2, 'x', 'image/png', 1, ?3, 0, ?4)";
    let (org, editor) = (org.to_string(), editor.user.id.to_string());
    let far = LATER.plus_seconds(100 * DAY).0;
    platform.conn.execute(sql, rusqlite::params![adopted.to_string(), org, editor, far]).unwrap();
    let sql = "INSERT INTO assets (id, org_id, name, r2_key, mime_type, size_bytes, asset_type, source_type, source_id,
           etag, confirmation_key, created_by, created_at, updated_at)
         VALUES (?1, ?2, 'x', ?3, 'image/png', 1, 'image', 'import', 'x', ?4, '', ?5, 0, 0)";
    let etag = platform.bucket.borrow()[&imported.object_key()].0.clone();
    let id = sqlite::unused_upload_id().to_string();
    platform.conn.execute(sql, rusqlite::params![id, org, imported.object_key(), etag, editor]).unwrap();
    platform.bucket.borrow_mut().remove(&by_hand.object_key());

    platform.wait(ORPHAN_NOTICE_SECONDS - HOUR - 1);
    platform.sweep_now();
    assert!(platform.has(gone));
    platform.wait(1);
    let report = platform.sweep_now();
    assert_eq!((report.orphans_retired, report.objects_removed), (1, 1));
    let mut left: Vec<String> =
        foreign.into_iter().chain([adopted, imported].map(|id| id.object_key())).collect();
    left.sort();
    assert_eq!(platform.objects(), left);
    (0..2).for_each(|_| _ = platform.sweep_now());
    assert_eq!(platform.count("orphans"), 0, "what is none any more is forgotten");
}

/// A database that lost its rows must not cost the objects too. The share is that of a whole pass of the bucket.
#[test]
fn many_orphans_are_left_alone_until_the_operator_says_so() {
    for (used, young, orphans, removed) in [
        (0, 0, 10, true),
        (0, 0, 11, false),
        // 11 of 110 are a tenth; they stand together, on pages of their own.
        (99, 0, 11, true),
        (98, 0, 11, false),
        (0, 99, 11, true),
        (0, 98, 11, false),
    ] {
        let case = format!("{orphans} orphans among {used} used and {young} young");
        let (conn, org, editor, _) = pending_upload();
        let platform: SweeperPlatform = SweeperPlatform::new(conn);
        platform.now.set(LATER);
        (0..orphans).for_each(|_| platform.put(sqlite::unused_upload_id().object_key()));
        let far = LATER.plus_seconds(1_000 * DAY);
        (0..used).for_each(|_| platform.put(session(&platform.conn, org, &editor, far).object_key()));
        platform.wait(GRACE_SECONDS);
        let whole_pass = || (0..30).map(|_| platform.sweep(FEW)).collect::<Vec<_>>();
        whole_pass();
        assert_eq!(platform.count("orphans"), orphans, "{case}");
        platform.wait(ORPHAN_NOTICE_SECONDS);
        (0..young).for_each(|_| platform.put(sqlite::unused_upload_id().object_key()));
        // No share of an earlier pass counts, whatever it was.
        let reports = whole_pass();
        let total = used + young + orphans;
        let expected = if removed { total - orphans } else { total };
        assert_eq!(platform.objects().len(), usize::try_from(expected).unwrap(), "{case}");
        let held_back = format!("{orphans} of {total} objects belong to nothing");
        let reported =
            reports.iter().filter(|report| report.problems.iter().any(|text| text.starts_with(&held_back)));
        assert_eq!(reported.count() > 0, !removed, "{case}: {:?}", reports.last());

        if !removed {
            // SWEEP_ORPHANS=none removes nothing, and forgets, so that the week begins anew.
            (0..3).for_each(|_| _ = platform.sweep(SweepSettings { orphans: SweepOrphans::None, ..FEW }));
            assert_eq!(platform.count("orphans"), 0);
            (0..30).for_each(|_| _ = platform.sweep(ALL));
            assert_eq!(platform.objects().len(), usize::try_from(total).unwrap(), "{case}");
            platform.wait(ORPHAN_NOTICE_SECONDS);
            (0..30).for_each(|_| _ = platform.sweep(ALL));
            assert_eq!(platform.objects().len(), usize::try_from(total - orphans).unwrap(), "{case}");
        }
    }
}

#[test]
fn two_runs_at_once_count_a_page_once() {
    let (conn, ..) = pending_upload();
    let ids = vec![sqlite::unused_upload_id()];
    let note = |pass, from: &str, to: Option<&str>| {
        let (from, to) = (from.to_owned(), to.map(str::to_owned));
        run_system(&conn, &NoteOrphans { pass, ids: ids.clone(), listed: 7, from, to, now: NOW }).unwrap()
    };
    for _ in 0..2 {
        assert_eq!(note(1, "", Some("uploads/a")).len(), 1);
    }
    for _ in 0..2 {
        note(1, "uploads/a", None);
    }
    // Too late: the pass is over.
    assert_eq!(note(1, "uploads/b", Some("uploads/c")), []);
    let sql = "SELECT pass, object_key, pass_objects, completed_objects, completed_orphans FROM sweeper";
    let row: Vec<_> = sqlite::rows(&conn, sql).remove(0).into_iter().map(|(_, value)| value).collect();
    let number = rusqlite::types::Value::Integer;
    assert_eq!(
        row,
        [number(2), rusqlite::types::Value::Text(String::new()), number(0), number(14), number(1)]
    );
}

/// A staging database that is pointed at production's bucket.
#[test]
fn a_database_never_touches_another_ones_bucket() {
    let production: SweeperPlatform = SweeperPlatform::new(pending_upload().0);
    let (conn, org, editor, own) = pending_upload();
    let mut staging: SweeperPlatform = SweeperPlatform::new(conn);
    (staging.bucket, staging.owner) = (production.bucket.clone(), production.owner.clone());
    for n in 0..3 {
        let id = if n == 0 { own } else { session(&staging.conn, org, &editor, Timestamp(NOW.0 + 1)) };
        staging.put(id.object_key());
    }
    // A handful, which no share would protect.
    let foreign: Vec<AssetUploadId> = (0..5)
        .map(|_| {
            let id = session(
                &production.conn,
                sqlite::organization(&production.conn),
                &editor_of(&production),
                LATER,
            );
            production.put(id.object_key());
            id
        })
        .collect();
    production.sweep_now();

    for days in 0..60 {
        staging.now.set(NOW.plus_seconds(days * DAY));
        for settings in [FEW, ALL] {
            let report = staging.sweep(settings);
            let [problem] = report.problems.as_slice() else { panic!("{:?}", report.problems) };
            assert!(problem.starts_with("this bucket belongs to another database"), "{problem}");
        }
    }
    assert!(foreign.iter().all(|id| production.has(*id)));
    // Nor what it takes for given up: in a copy of production's database, that may have been confirmed meanwhile.
    assert!(staging.has(own));
    assert_eq!(["orphans", "retired_uploads"].map(|table| staging.count(table)), [0, 0]);

    // The operator says that this database is the bucket's now.
    production.owner.take();
    assert_eq!(staging.sweep(FEW).orphans_noted, 5);
}

fn editor_of(platform: &SweeperPlatform) -> Person {
    let org = sqlite::organization(&platform.conn);
    sqlite::editor(&platform.conn, org)
}

#[test]
fn a_run_that_is_cut_off_anywhere_is_made_up_for_by_the_next() {
    let outcome = |failure: Option<(u32, bool)>| {
        let (conn, org, editor, upload) = pending_upload();
        let kept = session(&conn, org, &editor, LATER.plus_seconds(100 * DAY));
        let platform: SweeperPlatform = SweeperPlatform::new(conn);
        for id in [upload, kept, sqlite::unused_upload_id()] {
            platform.put(id.object_key());
        }
        platform.now.set(LATER);
        platform.sweep(FEW);
        let late = session(&platform.conn, org, &editor, LATER);
        platform.put(late.object_key());
        platform.wait(GRACE_SECONDS);
        platform.failure.set(failure);
        let failed = !platform.sweep(FEW).problems.is_empty();
        platform.failure.set(None);
        platform.sweep_now();
        let retired = "SELECT object_deleted_at IS NOT NULL AS gone FROM retired_uploads";
        let counts = (platform.count("asset_uploads"), platform.objects().len());
        (failed, counts, sqlite::rows(&platform.conn, retired))
    };
    let (_, counts, retired) = outcome(None);
    assert_eq!((counts, retired.len()), ((1, 1), 2));
    for after in [false, true] {
        let cut_off = (0..).map(|calls| outcome(Some((calls, after)))).take_while(|(failed, ..)| *failed);
        let calls = cut_off.inspect(|(_, c, r)| assert_eq!((c, r), (&counts, &retired))).count();
        assert!(calls >= 8, "{calls}");
    }
}

/// Each call to R2 fails for ever, at once or after the longest wait: the other duties are done all the same.
#[test]
fn no_call_to_r2_holds_up_the_other_duties() {
    for broken in [Call::Owner, Call::List, Call::Delete] {
        for ms in [0, 30_000] {
            let (conn, org, editor, expired) = pending_upload();
            let platform: SweeperPlatform = SweeperPlatform::new(conn);
            let orphan = sqlite::unused_upload_id();
            for id in [expired, orphan] {
                platform.put(id.object_key());
            }
            platform.now.set(LATER);
            platform.sweep_now();
            assert!(!platform.has(expired));
            let ids: Vec<AssetUploadId> =
                (0..40).map(|_| session(&platform.conn, org, &editor, LATER)).collect();
            ids.iter().for_each(|id| platform.put(id.object_key()));
            platform.wait(GRACE_SECONDS + 1);
            platform.broken.set(Some((broken, ms)));
            for run in 0..20 {
                platform.wait(HOUR);
                let report = platform.sweep(FEW);
                let reported = report.problems.iter().any(|text| text.contains("is broken"));
                // Objects that are set aside are not tried each hour.
                assert!(reported || (broken == Call::Delete && run > 0), "{broken:?}: {report:?}");
                // No call begins after the run's time, and the last one ends.
                assert!(platform.elapsed_ms.get() <= MAX_RUN_MS + 30_000);
                platform.check();
            }
            let sessions_retired = platform.count("asset_uploads") == 0;
            let objects_removed = ids.iter().all(|id| !platform.has(*id));
            let orphan_retired = platform.count("orphans") == 0;
            assert!(sessions_retired, "{broken:?}");
            assert_eq!(objects_removed, broken != Call::Delete, "{broken:?}");
            assert_eq!(orphan_retired, broken == Call::Delete, "{broken:?}");

            // Once it answers again, everything is made up for.
            platform.broken.set(None);
            platform.wait(SET_ASIDE_SECONDS);
            (0..30).for_each(|_| _ = platform.sweep(FEW));
            assert_eq!(platform.objects(), Vec::<String>::new(), "{broken:?}");
        }
    }
}

/// R2 does not remove one object, such as one that a bucket lock protects.
#[test]
fn an_object_that_cannot_be_removed_is_set_aside_with_its_reason() {
    let (conn, org, editor, _) = pending_upload();
    let platform: SweeperPlatform<100> = SweeperPlatform::new(conn);
    let ids: Vec<AssetUploadId> = (0..300).map(|_| session(&platform.conn, org, &editor, NOW)).collect();
    ids.iter().for_each(|id| platform.put(id.object_key()));
    platform.locked.replace([ids[17].object_key(), ids[250].object_key()].into());
    platform.now.set(LATER);
    let report = platform.sweep(FEW);
    assert_eq!((report.objects_removed, report.objects_set_aside), (199, 1), "{:?}", report.problems);
    assert!(
        report.problems[0].ends_with("removals failed: R2: delete: locked (10069)"),
        "{:?}",
        report.problems
    );
    assert_eq!(report.problems[1], format!("set aside for a day: {}", ids[17].object_key()));
    let report = platform.sweep(FEW);
    assert_eq!((report.objects_removed, report.objects_set_aside), (100, 1), "{:?}", report.problems);
    let set_aside = sqlite::rows(
        &platform.conn,
        "SELECT retry_at, removal_error FROM retired_uploads WHERE object_deleted_at IS NULL",
    );
    assert_eq!(set_aside.len(), 2);
    for row in set_aside {
        let values: Vec<_> = row.into_iter().map(|(_, value)| value).collect();
        let later = rusqlite::types::Value::Integer(LATER.plus_seconds(SET_ASIDE_SECONDS).0);
        assert_eq!(values, [later, rusqlite::types::Value::Text("R2: delete: locked (10069)".to_owned())]);
    }

    // Not tried again before its time, and then until it goes.
    let deletes = platform.deletes.get();
    platform.wait(SET_ASIDE_SECONDS - 1);
    platform.sweep_now();
    assert_eq!(platform.deletes.get(), deletes);
    platform.wait(1);
    assert_eq!(platform.sweep(FEW).objects_set_aside, 2);
    platform.locked.take();
    platform.wait(SET_ASIDE_SECONDS);
    assert_eq!(platform.sweep_now().objects_removed, 2);
    assert_eq!(platform.objects(), Vec::<String>::new());
}

/// Far more of them than a run may try: what can be removed still is.
#[test]
fn objects_that_cannot_be_removed_do_not_stand_before_the_others() {
    let (conn, org, editor, _) = pending_upload();
    let platform: SweeperPlatform = SweeperPlatform::new(conn);
    let ids: Vec<AssetUploadId> = (0..300).map(|_| session(&platform.conn, org, &editor, NOW)).collect();
    ids.iter().for_each(|id| platform.put(id.object_key()));
    platform.locked.replace(ids[..200].iter().map(AssetUploadId::object_key).collect());
    platform.now.set(LATER);
    for _ in 0..60 {
        platform.sweep(FEW);
    }
    assert_eq!((platform.objects().len(), platform.count("asset_uploads")), (200, 0));
}

/// A database was restored, or somebody was at it by hand.
#[test]
fn what_is_in_use_is_not_removed_whatever_was_said_of_it_before() {
    let (conn, org, editor, confirmed) = pending_upload();
    let pending = session(&conn, org, &editor, LATER);
    let platform: SweeperPlatform = SweeperPlatform::new(conn);
    for id in [confirmed, pending] {
        platform.put(id.object_key());
    }
    run(&platform.conn, &confirm(&editor, confirmed)).unwrap();
    for id in [confirmed, pending] {
        platform.conn.execute("INSERT INTO retired_uploads (id) VALUES (?1)", [id.to_string()]).unwrap();
    }
    platform.now.set(LATER);
    platform.sweep(ALL);
    assert_eq!(
        (platform.objects().len(), platform.count("asset_uploads"), platform.count("assets")),
        (2, 2, 1)
    );
}

/// As many statements as D1 permits on the Free plan, however much there is to do; more where a variable says so.
#[test]
fn a_run_stays_within_its_statements() {
    let (conn, org, editor, _) = pending_upload();
    let platform: SweeperPlatform<20> = SweeperPlatform::new(conn);
    let ids: Vec<AssetUploadId> = (0..500).map(|_| session(&platform.conn, org, &editor, NOW)).collect();
    ids.iter().for_each(|id| platform.put(id.object_key()));
    (0..10).for_each(|_| platform.put(sqlite::unused_upload_id().object_key()));
    platform.now.set(LATER);
    // `sweep` checks how many statements were sent.
    let report = platform.sweep(FEW);
    assert!((40..=500).contains(&report.sessions_retired), "{report:?}");
    assert!(report.objects_removed >= 40, "{report:?}");
    let report = platform.sweep(SweepSettings { max_statements: 1_000, ..FEW });
    assert_eq!((platform.count("asset_uploads"), platform.objects().len()), (0, 10), "{report:?}");
}

#[test]
fn an_id_that_is_being_removed_cannot_be_started_again() {
    let (conn, _, editor, _) = pending_upload();
    let platform: SweeperPlatform = SweeperPlatform::new(conn);
    let create = create(&editor, Some(1), NOW);
    run(&platform.conn, &create).unwrap();
    platform.now.set(LATER);
    platform.sweep_now();
    let again = Create { expires_at: LATER.plus_seconds(60), ..create };
    let error = run(&platform.conn, &again).unwrap_err();
    assert_eq!((error.code().status(), error.code().as_str()), (422, "VALIDATION_ERROR"));
    assert_eq!(platform.count("asset_uploads"), 0);
    platform.now.set(LATER.plus_seconds(SETTLE_SECONDS));
    platform.sweep_now();
    run(&platform.conn, &again).unwrap();
    assert_eq!(platform.count("asset_uploads"), 1);
}

/// The plans of the sweeper's statements go through the index of deadlines and through keys: a run's work
/// does not grow with the tables.
#[test]
fn a_run_reads_no_more_than_its_pages() {
    let costs = [20, 1_000].map(|confirmed| {
        let (conn, org, editor, _) = pending_upload();
        for n in 1..=confirmed {
            let upload = session(&conn, org, &editor, Timestamp(NOW.0 + n));
            run(&conn, &confirm(&editor, upload)).unwrap();
        }
        // Half-way: a run must neither begin anew nor read to the end.
        let due = Timestamp(NOW.0 + confirmed / 2);
        run_system(&conn, &Retire { since: Timestamp(0), due, limit: 10_000 }).unwrap();
        let retire = Retire { since: due, due: LATER, limit: 5 };
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

fn create(by: &Person, key: Option<u8>, now: Timestamp) -> Create {
    let caller = Caller { now, ..by.caller(Permission::AssetsWrite) };
    let asset_upload_id = match key {
        Some(n) => {
            AssetUploadId::for_intent(by.key.as_str(), None, &IdempotencyKey::parse(&n.to_string()).unwrap())
        }
        None => sqlite::unused_upload_id(),
    };
    Create {
        caller,
        asset_upload_id,
        filename: Filename::parse("beach.png").unwrap(),
        mime_type: MimeType::parse("image/png").unwrap(),
        size_bytes: 640,
        expires_at: now.plus_seconds(HOUR),
        request_id: sqlite::new_request_id(),
    }
}

/// What may happen next.
#[derive(Debug, Clone)]
enum Event {
    Create {
        key: Option<u8>,
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
    Failure {
        calls: u32,
        after: bool,
    },
    Wait {
        hours: u64,
    },
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => prop::option::weighted(0.8, 0..2_u8).prop_map(|key| Event::Create { key }),
        3 => (0..8_usize).prop_map(|upload| Event::Send { upload }),
        3 => (0..8_usize).prop_map(|upload| Event::Confirm { upload }),
        1 => (0..8_usize).prop_map(|upload| Event::Cancel { upload }),
        4 => Just(Event::Sweep),
        30 => (0..6_usize).prop_map(|task| Event::Step { task }),
        1 => (0..6_usize).prop_map(|task| Event::CutOff { task }),
        1 => (0..9_u32, any::<bool>()).prop_map(|(calls, after)| Event::Failure { calls, after }),
        3 => prop_oneof![Just(0), Just(2), Just(12), Just(24), Just(200)].prop_map(|hours| Event::Wait { hours }),
    ]
}

type Task<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// As the Worker does it: HEAD, then the transaction.
async fn confirm_as_the_worker(platform: &SweeperPlatform, by: &Person, id: AssetUploadId) {
    let caller = Caller { now: platform.now.get(), ..by.caller(Permission::AssetsWrite) };
    pause().await;
    let etag = platform.bucket.borrow().get(&id.object_key()).map(|(etag, _)| etag.clone());
    let object = match etag {
        Some(etag) => {
            RULES.verify(StoredObject { etag, ..sqlite::fixtures::stored_object(640, "image/png") })
        }
        None => ObjectState::Missing,
    };
    pause().await;
    // Whatever it comes to; `check` sees what it left.
    drop(run(&platform.conn, &Confirm { caller, object, ..confirm(by, id) }));
}

async fn cancel_as_the_worker(platform: &SweeperPlatform, by: &Person, id: AssetUploadId) {
    let caller = Caller { now: platform.now.get(), ..by.caller(Permission::AssetsWrite) };
    pause().await;
    if run(&platform.conn, &Cancel { caller, asset_upload_id: id }).is_ok() {
        pause().await;
        platform.bucket.borrow_mut().remove(&id.object_key());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn in_any_order_of_events_every_asset_keeps_its_object(events in prop::collection::vec(event(), 1..120)) {
        let (conn, _, editor, _) = pending_upload();
        let platform: SweeperPlatform = SweeperPlatform::new(conn);
        let mut uploads: Vec<Create> = Vec::new();
        let mut tasks: Vec<Task<'_>> = Vec::new();
        for event in events {
            match event {
                Event::Create { key } => {
                    let create = create(&editor, key, platform.now.get());
                    if run(&platform.conn, &create).is_ok() {
                        uploads.insert(0, create);
                    }
                }
                Event::Send { upload } => {
                    if let Some(create) = uploads.get(upload).filter(|create| create.expires_at > platform.now.get()) {
                        let key = create.asset_upload_id.object_key();
                        let platform = &platform;
                        tasks.push(Box::pin(async move { pause().await; platform.put(key) }));
                    }
                }
                Event::Confirm { upload } => {
                    if let Some(create) = uploads.get(upload) {
                        tasks.push(Box::pin(confirm_as_the_worker(&platform, &editor, create.asset_upload_id)));
                    }
                }
                Event::Cancel { upload } => {
                    if let Some(create) = uploads.get(upload) {
                        tasks.push(Box::pin(cancel_as_the_worker(&platform, &editor, create.asset_upload_id)));
                    }
                }
                Event::Sweep => {
                    let (platform, now) = (&platform, platform.now.get());
                    tasks.push(Box::pin(async move { drop(sweep(platform, now, UNBOUNDED, SweeperPlatform::<2>::PAGES).await) }));
                }
                Event::Step { task } => {
                    if tasks.get_mut(task).and_then(step).is_some() {
                        drop(tasks.remove(task));
                    }
                }
                Event::CutOff { task } => if task < tasks.len() { drop(tasks.remove(task)) },
                Event::Failure { calls, after } => platform.failure.set(Some((calls, after))),
                // The platform lets nothing run for hours: what is under way ends, here or elsewhere.
                Event::Wait { hours } => {
                    tasks.iter_mut().for_each(|task| while step(task).is_none() {});
                    tasks.clear();
                    platform.now.set(platform.now.get().plus_seconds(hours * HOUR));
                }
            }
            platform.check();
        }
        tasks.iter_mut().for_each(|task| while step(task).is_none() { platform.check() });
        drop(tasks);
        platform.failure.set(None);
        let assets = platform.count("assets");

        // Left alone, it comes to rest: every object has its asset, and nothing else is kept. Every run gets on by
        // a page at least, of everything there is.
        let runs = 2 + platform.count("asset_uploads") + platform.count("retired_uploads") + platform.objects().len() as i64;
        for seconds in [2 * GRACE_SECONDS, ORPHAN_NOTICE_SECONDS, SET_ASIDE_SECONDS, SETTLE_SECONDS] {
            platform.wait(seconds);
            (0..runs).for_each(|_| _ = platform.sweep_now());
        }
        let kept = ["assets", "asset_uploads", "retired_uploads", "orphans"].map(|table| platform.count(table));
        prop_assert_eq!((kept, platform.objects().len() as i64), ([assets, assets, 0, 0], assets));
    }
}
