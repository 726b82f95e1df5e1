//! The sweeper and uploads in parts: no parts stay of an upload that was given up.

use asset_uploads::domain::ids::{AssetUploadId, OrganizationId};
use asset_uploads::domain::multipart::{CompletedPart, Completion};
use asset_uploads::store::rights::Permission;
use asset_uploads::store::uploads::Cancel;
use asset_uploads::sweeper::SET_ASIDE_SECONDS;

use crate::sqlite::fixtures::{ConfirmOne, DEADLINE, RULES, confirm, pending_upload};
use crate::sqlite::{self, NOW, Person, run, session};
use crate::sweeper_platform::{Call, FEW, LATER, SweeperPlatform};

struct Uploads<const PAGE: u32> {
    platform: SweeperPlatform<PAGE>,
    org: OrganizationId,
    editor: Person,
}

impl<const PAGE: u32> Uploads<PAGE> {
    fn new() -> Self {
        let (conn, org, editor, _) = pending_upload();
        Self { platform: SweeperPlatform::new(conn), org, editor }
    }

    /// An upload whose only part is in storage; with the id of R2's upload, and the part.
    fn begin(&self) -> (AssetUploadId, String, CompletedPart) {
        let id = session(&self.platform.conn, self.org, &self.editor, DEADLINE);
        let mut bucket = self.platform.bucket.borrow_mut();
        let multipart_id = bucket.create_multipart(&id.object_key(), "image/png");
        let etag = bucket.upload_part(&multipart_id, 1, 640).unwrap();
        let sql = "UPDATE asset_uploads SET part_size = 5242880, multipart_id = ?2 WHERE id = ?1";
        assert_eq!(self.platform.conn.execute(sql, [&id.to_string(), &multipart_id]), Ok(1));
        (id, multipart_id, CompletedPart { part_number: 1, etag })
    }

    fn complete(&self, (id, multipart_id, part): &(AssetUploadId, String, CompletedPart)) {
        let mut bucket = self.platform.bucket.borrow_mut();
        let parts = std::slice::from_ref(part);
        let completion = bucket.complete_multipart(&id.object_key(), multipart_id, parts, NOW);
        assert_eq!(completion, Completion::Completed);
    }

    fn open(&self) -> usize {
        self.platform.bucket.borrow().open_multiparts().len()
    }
}

#[test]
fn what_was_never_confirmed_is_given_up_with_its_parts() {
    let uploads = Uploads::<10>::new();
    let platform = &uploads.platform;
    let [_expired, cancelled, completed, confirmed] = [(); 4].map(|()| uploads.begin());
    let cancel =
        Cancel { caller: uploads.editor.caller(Permission::AssetsWrite), asset_upload_id: cancelled.0 };
    // The abort that follows fails.
    assert_eq!(run(&platform.conn, &cancel), Ok(Some(cancelled.1.clone())));
    uploads.complete(&completed);
    uploads.complete(&confirmed);
    let object = RULES.verify(platform.head(confirmed.0).unwrap());
    run(&platform.conn, &ConfirmOne { object, ..confirm(&uploads.editor, confirmed.0) }).unwrap();
    assert_eq!((uploads.open(), platform.objects().len()), (2, 2));

    platform.now.set(LATER);
    let report = platform.sweep_now();
    // One more session is of the fixtures.
    assert_eq!((report.sessions_retired, report.multipart_aborted, report.objects_removed), (4, 3, 4));
    assert_eq!((uploads.open(), platform.objects()), (0, vec![confirmed.0.object_key()]));
    // Once is enough.
    assert_eq!(platform.sweep_now().multipart_aborted, 0);
}

#[test]
fn an_abort_that_fails_is_repeated_and_holds_up_no_other_removal() {
    let uploads = Uploads::<10>::new();
    let platform = &uploads.platform;
    let (id, ..) = uploads.begin();
    let ordinary = session(&platform.conn, uploads.org, &uploads.editor, DEADLINE);
    platform.put(ordinary.object_key());
    platform.now.set(LATER);
    platform.broken.set(Some((Call::Abort, 30_000)));
    let report = platform.sweep(FEW);
    assert_eq!((report.multipart_aborted, report.objects_set_aside, report.objects_removed), (0, 1, 2));
    assert_eq!(
        report.problems,
        [
            "1 aborts failed: R2: Abort is broken".to_owned(),
            "1 removals failed: R2: Abort is broken".to_owned(),
            format!("set aside for a day: {}", id.object_key())
        ]
    );
    assert_eq!((uploads.open(), platform.objects().len()), (1, 0));
    platform.broken.set(None);
    assert_eq!(platform.sweep_now().multipart_aborted, 0);
    platform.wait(SET_ASIDE_SECONDS);
    assert_eq!((platform.sweep_now().multipart_aborted, uploads.open()), (1, 0));
}

/// R2 would keep them for 7 days, and the session stays for longer.
#[test]
fn parts_are_given_up_as_soon_as_the_deadline_has_passed() {
    let uploads = Uploads::<10>::new();
    let platform = &uploads.platform;
    let [_expired, cancelled, completed, confirmed] = [(); 4].map(|()| uploads.begin());
    let cancel =
        Cancel { caller: uploads.editor.caller(Permission::AssetsWrite), asset_upload_id: cancelled.0 };
    run(&platform.conn, &cancel).unwrap();
    uploads.complete(&completed);
    uploads.complete(&confirmed);
    let object = RULES.verify(platform.head(confirmed.0).unwrap());
    run(&platform.conn, &ConfirmOne { object, ..confirm(&uploads.editor, confirmed.0) }).unwrap();
    let ids = || {
        let sql = "SELECT id FROM asset_uploads WHERE multipart_id IS NOT NULL";
        sqlite::rows(&platform.conn, sql).len()
    };
    platform.sweep_now();
    assert_eq!((uploads.open(), ids()), (2, 4));

    platform.now.set(DEADLINE);
    platform.broken.set(Some((Call::Abort, 0)));
    let report = platform.sweep(FEW);
    assert_eq!(report.problems, ["3 aborts failed: R2: Abort is broken"]);
    // What is confirmed needs none.
    assert_eq!((report.multipart_aborted, uploads.open(), ids()), (0, 2, 3));
    platform.broken.set(None);
    assert_eq!((platform.sweep_now().multipart_aborted, uploads.open(), ids()), (3, 0, 0));
    assert_eq!(platform.sweep_now().multipart_aborted, 0);
    // The sessions and objects stay until the grace is over.
    assert_eq!(platform.objects().len(), 2);
    assert_eq!(platform.count("asset_uploads"), 5);
}

#[test]
fn many_are_given_up_in_one_run_or_more() {
    let uploads = Uploads::<400>::new();
    for _ in 0..600 {
        uploads.begin();
    }
    uploads.platform.now.set(LATER);
    let mut left = 600;
    while left > 0 {
        uploads.platform.sweep_now();
        assert!(uploads.open() < left);
        left = uploads.open();
    }
    assert_eq!(uploads.platform.count("asset_uploads"), 0);
}
