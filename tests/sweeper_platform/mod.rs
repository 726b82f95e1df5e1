//! The platform that the sweeper runs on in its tests: the real schema on SQLite, a bucket in memory, a clock, and
//! failures where a test wants them.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;

use asset_uploads::config::{SweepOrphans, SweepSettings};
use asset_uploads::domain::ids::AssetUploadId;
use asset_uploads::domain::multipart::{CompletedPart, Completion};
use asset_uploads::domain::timestamp::Timestamp;
use asset_uploads::domain::upload::StoredObject;
use asset_uploads::domain::webhook::Nudge;
use asset_uploads::platform::{Answered, OWNER_KEY, ObjectPage, Outgoing, Platform, SendError, Usage};
use asset_uploads::storage_error::{StorageError, StorageErrorKind};
use asset_uploads::store::{Rows, Statement};
use asset_uploads::sweeper::{GRACE_SECONDS, PageSize, Report, sweep};
use rusqlite::Connection;

use crate::bucket::{Bucket, PutRequest};
use crate::sqlite::{self, NOW};

pub(crate) const HOUR: u64 = 3_600;
pub(crate) const DAY: u64 = 86_400;
/// Later than any deadline of these tests by more than the grace.
pub(crate) const LATER: Timestamp = Timestamp(NOW.0 + (GRACE_SECONDS as i64 + 86_400) * 1_000);
pub(crate) const FEW: SweepSettings =
    SweepSettings { orphans: SweepOrphans::Few, retention_seconds: 30 * 86_400, max_statements: 50 };
pub(crate) const ALL: SweepSettings = SweepSettings { orphans: SweepOrphans::All, ..FEW };

/// A call of the sweeper to R2.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Call {
    Owner,
    List,
    Delete,
    Abort,
}

/// A database, a bucket, and failures of the calls to them. A page is `PAGE` objects: a handful of uploads fills several.
pub(crate) struct SweeperPlatform<const PAGE: u32 = 2> {
    pub(crate) conn: Connection,
    pub(crate) bucket: Rc<RefCell<Bucket>>,
    pub(crate) now: Cell<Timestamp>,
    /// After so many more storage calls of a sweeper one fails; `true`: after it was carried out.
    pub(crate) failure: Cell<Option<(u32, bool)>>,
    /// A call that always fails, and after how many milliseconds.
    pub(crate) broken: Cell<Option<(Call, u64)>>,
    /// Keys that R2 never removes.
    pub(crate) locked: RefCell<BTreeSet<String>>,
    pub(crate) deletes: Cell<u32>,
    pub(crate) statements: Cell<u32>,
    pub(crate) elapsed_ms: Cell<u64>,
}

impl<const PAGE: u32> SweeperPlatform<PAGE> {
    pub(crate) const PAGES: PageSize = PageSize { objects: PAGE, pages: 2 };

    pub(crate) fn new(conn: Connection) -> Self {
        Self {
            conn,
            now: Cell::new(NOW),
            bucket: Rc::default(),
            failure: Cell::default(),
            broken: Cell::default(),
            locked: RefCell::default(),
            deletes: Cell::default(),
            statements: Cell::default(),
            elapsed_ms: Cell::default(),
        }
    }

    /// The end of a PUT of 640 bytes of `image/png` that was authorized. Uploads are write-once.
    pub(crate) fn put(&self, key: String) {
        let headers = [("content-type", "image/png"), ("if-none-match", "*")];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        let request = PutRequest { url: String::new(), headers, size_bytes: 640 };
        self.bucket.borrow_mut().finish_put(&request, &key, self.now.get());
    }

    /// The keys of all objects but the one that says whose the bucket is.
    pub(crate) fn objects(&self) -> Vec<String> {
        let mut keys = self.bucket.borrow().keys();
        keys.retain(|key| key != OWNER_KEY);
        keys
    }

    pub(crate) fn head(&self, id: AssetUploadId) -> Option<StoredObject> {
        self.bucket.borrow().head(&id.object_key())
    }

    pub(crate) fn has(&self, id: AssetUploadId) -> bool {
        self.head(id).is_some()
    }

    pub(crate) fn count(&self, table: &str) -> i64 {
        self.conn.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
    }

    /// Every asset has the very object that it was made of.
    pub(crate) fn check(&self) {
        for row in sqlite::rows(&self.conn, "SELECT r2_key, etag FROM assets") {
            let [key, etag] = [0, 1].map(|n| match &row[n].1 {
                rusqlite::types::Value::Text(text) => text.clone(),
                other => format!("{other:?}, which is no text"),
            });
            let stored = self.bucket.borrow().head(&key);
            assert_eq!(stored.map(|object| object.etag), Some(etag), "the object of asset {key}");
        }
        let sql = "SELECT 1 FROM retired_uploads r
             WHERE EXISTS (SELECT 1 FROM asset_uploads u WHERE u.id = r.id) OR EXISTS (SELECT 1 FROM assets a WHERE a.id = r.id)";
        assert_eq!(sqlite::rows(&self.conn, sql).len(), 0, "a retired id is in use");
    }

    /// A storage call, which may fail before it is carried out or after.
    fn call<T>(&self, call: impl FnOnce() -> T) -> Result<T, StorageError> {
        let lost = || Err(unavailable("lost"));
        let failure = self.failure.take();
        if failure == Some((0, false)) {
            return lost();
        }
        let answer = call();
        self.failure.set(failure.and_then(|(calls, after)| Some((calls.checked_sub(1)?, after))));
        if failure == Some((0, true)) { lost() } else { Ok(answer) }
    }

    /// A call to R2, which may be broken.
    fn r2<T>(&self, which: Call, call: impl FnOnce() -> T) -> Result<T, StorageError> {
        match self.broken.get() {
            Some((broken, ms)) if broken == which => {
                self.elapsed_ms.set(self.elapsed_ms.get() + ms);
                Err(unavailable(&format!("R2: {which:?} is broken")))
            }
            _ => self.call(call),
        }
    }

    pub(crate) fn sweep(&self, settings: SweepSettings) -> Report {
        self.statements.set(0);
        self.elapsed_ms.set(0);
        let report = sqlite::ready(sweep(self, self.now.get(), settings, Self::PAGES));
        assert!(self.statements.get() <= settings.max_statements, "{} statements", self.statements.get());
        report
    }

    /// A run that reports no problems but orphans.
    pub(crate) fn sweep_now(&self) -> Report {
        let report = self.sweep(FEW);
        assert_eq!(report.problems.len(), usize::from(report.orphans_noted > 0), "{:?}", report.problems);
        self.check();
        report
    }

    pub(crate) fn wait(&self, seconds: u64) {
        self.now.set(self.now.get().plus_seconds(seconds));
    }
}

impl<const PAGE: u32> Platform for SweeperPlatform<PAGE> {
    async fn transact(&self, statements: &[Statement]) -> Result<Rows, StorageError> {
        self.statements.set(self.statements.get() + u32::try_from(statements.len()).unwrap());
        let texts = self.call(|| sqlite::transact(&self.conn, statements))?;
        Ok(Rows { texts: texts.unwrap() })
    }

    async fn head_object(&self, _: &str) -> Result<Option<StoredObject>, StorageError> {
        Err(unexpected("the sweeper asks for no object"))
    }

    async fn list_objects(&self, prefix: &str, after: &str, limit: u32) -> Result<ObjectPage, StorageError> {
        self.r2(Call::List, || self.bucket.borrow().list(prefix, after, limit))
    }

    async fn delete_objects(&self, keys: &[String]) -> Result<(), StorageError> {
        assert!(!keys.is_empty() && keys.len() <= PAGE as usize);
        self.deletes.set(self.deletes.get() + 1);
        if keys.iter().any(|key| self.locked.borrow().contains(key)) {
            return Err(unavailable("R2: delete: locked (10069)"));
        }
        self.r2(Call::Delete, || self.bucket.borrow_mut().delete(keys))
    }

    async fn create_multipart(&self, _: &str, _: &str, _: &str) -> Result<String, StorageError> {
        Err(unexpected("the sweeper begins no multipart upload"))
    }

    async fn complete_multipart(
        &self,
        _: &str,
        _: &str,
        _: &[CompletedPart],
    ) -> Result<Completion, StorageError> {
        Err(unexpected("the sweeper completes no multipart upload"))
    }

    async fn abort_multipart(&self, key: &str, multipart_id: &str) -> Result<(), StorageError> {
        self.r2(Call::Abort, || self.bucket.borrow_mut().abort_multipart(key, multipart_id))
    }

    async fn bucket_owner(&self, database_id: &str) -> Result<String, StorageError> {
        self.r2(Call::Owner, || self.bucket.borrow_mut().owner(database_id, self.now.get()))
    }

    async fn post(&self, _: Outgoing<'_>) -> Result<Answered, SendError> {
        panic!("the sweeper delivers nothing");
    }

    async fn send_nudges(&self, _: &[(Nudge, u64)]) -> Result<bool, StorageError> {
        panic!("the sweeper sends no message");
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

pub(crate) fn unavailable(message: &str) -> StorageError {
    StorageError { kind: StorageErrorKind::Transient, message: message.to_owned() }
}

fn unexpected(message: &str) -> StorageError {
    StorageError { kind: StorageErrorKind::Unexpected, message: message.to_owned() }
}
