//! The sweeper where storage fails: a run that is cut off, calls that never succeed, objects that cannot be removed.

use asset_uploads::domain::ids::AssetUploadId;
use asset_uploads::sweeper::{GRACE_SECONDS, MAX_RUN_MS, SET_ASIDE_SECONDS};

use crate::sqlite::fixtures::pending_upload;
use crate::sqlite::{self, NOW, session};
use crate::sweeper_platform::{Call, DAY, FEW, HOUR, LATER, SweeperPlatform};

#[test]
fn the_next_run_completes_one_that_was_interrupted_anywhere() {
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
fn a_failed_call_to_r2_does_not_stop_the_other_tasks() {
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
fn objects_that_cannot_be_removed_do_not_delay_the_others() {
    let (conn, org, editor, _) = pending_upload();
    let platform: SweeperPlatform = SweeperPlatform::new(conn);
    let ids: Vec<AssetUploadId> = (0..300).map(|_| session(&platform.conn, org, &editor, NOW)).collect();
    ids.iter().for_each(|id| platform.put(id.object_key()));
    platform.locked.replace(ids[..200].iter().map(AssetUploadId::object_key).collect());
    platform.now.set(LATER);
    for _ in 0..80 {
        platform.sweep(FEW);
    }
    assert_eq!((platform.objects().len(), platform.count("asset_uploads")), (200, 0));
}
