//! What the sweeper removes and what it leaves, on the real schema. tests/sweeper_failures.rs has failures, and
//! tests/simulation races.

use asset_uploads::config::{SweepOrphans, SweepSettings};
use asset_uploads::domain::ids::AssetUploadId;
use asset_uploads::domain::timestamp::Timestamp;
use asset_uploads::error::ApiError;
use asset_uploads::platform::OWNER_KEY;
use asset_uploads::store::Operation;
use asset_uploads::store::rights::Permission;
use asset_uploads::store::sweep::{NoteOrphans, Retire, TellExpired};
use asset_uploads::store::uploads::{Cancel, Create};
use asset_uploads::sweeper::{GRACE_SECONDS, ORPHAN_NOTICE_SECONDS, Report, SETTLE_SECONDS};

use crate::sqlite::fixtures::{ConfirmOne, RULES, confirm, create_for, pending_upload};
use crate::sqlite::{self, NOW, Person, run, run_system, session};
use crate::sweeper_platform::{ALL, DAY, FEW, HOUR, LATER, SweeperPlatform};

#[test]
fn unconfirmed_uploads_are_removed_after_the_grace_period_and_confirmed_ones_stay() {
    let (conn, org, editor, expired) = pending_upload();
    let confirmed = session(&conn, org, &editor, Timestamp(NOW.0 + 1));
    let cancelled = session(&conn, org, &editor, Timestamp(NOW.0 + 1));
    session(&conn, org, &editor, Timestamp(NOW.0 + 1)); // nothing is ever sent to this one
    let pending = session(&conn, org, &editor, LATER);
    let platform: SweeperPlatform = SweeperPlatform::new(conn);
    for id in [expired, confirmed, cancelled, pending] {
        platform.put(id.object_key());
    }
    let object = RULES.verify(platform.head(confirmed).unwrap());
    run(&platform.conn, &ConfirmOne { object, ..confirm(&editor, confirmed) }).unwrap();
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

/// No webhook wants to know.
const TELL: TellExpired = TellExpired { now: LATER, clock: LATER, limit: 10_000 };

#[test]
fn an_upload_is_never_both_confirmed_and_retired() {
    for sweeper_first in [true, false] {
        let (conn, _, editor, upload) = pending_upload();
        let retire = Retire { from: Timestamp(0), due: LATER, limit: 10 };
        run_system(&conn, &TELL).unwrap();
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
    let etag = platform.head(imported).unwrap().etag;
    let id = sqlite::unused_upload_id().to_string();
    platform.conn.execute(sql, rusqlite::params![id, org, imported.object_key(), etag, editor]).unwrap();
    platform.bucket.borrow_mut().delete(&[by_hand.object_key()]);

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
fn many_orphans_are_kept_until_the_operator_permits_their_removal() {
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
        let whole_pass = || (0..60).map(|_| platform.sweep(FEW)).collect::<Vec<_>>();
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
            (0..60).for_each(|_| _ = platform.sweep(ALL));
            assert_eq!(platform.objects().len(), usize::try_from(total).unwrap(), "{case}");
            platform.wait(ORPHAN_NOTICE_SECONDS);
            (0..60).for_each(|_| _ = platform.sweep(ALL));
            assert_eq!(platform.objects().len(), usize::try_from(total - orphans).unwrap(), "{case}");
        }
    }
}

#[test]
fn two_runs_at_once_count_a_page_once() {
    let (conn, ..) = pending_upload();
    let listed: Vec<_> = (0..7).map(|_| sqlite::unused_upload_id()).collect();
    let ids = vec![listed[0]];
    let note = |pass, from: &str, to: Option<&str>| {
        let (from, to) = (from.to_owned(), to.map(str::to_owned));
        run_system(&conn, &NoteOrphans { pass, ids: ids.clone(), listed: listed.clone(), from, to, now: NOW })
            .unwrap()
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
fn nothing_is_removed_from_the_bucket_of_another_database() {
    let production: SweeperPlatform = SweeperPlatform::new(pending_upload().0);
    let (conn, org, editor, own) = pending_upload();
    let mut staging: SweeperPlatform = SweeperPlatform::new(conn);
    staging.bucket = production.bucket.clone();
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
    production.bucket.borrow_mut().delete(&[OWNER_KEY.to_owned()]);
    assert_eq!(staging.sweep(FEW).orphans_noted, 5);
}

fn editor_of(platform: &SweeperPlatform) -> Person {
    let org = sqlite::organization(&platform.conn);
    sqlite::editor(&platform.conn, org)
}

/// A database was restored, or somebody was at it by hand.
#[test]
fn what_was_restored_is_kept_even_if_its_id_is_retired_or_an_orphan() {
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
    let create = create_for(editor.caller(Permission::AssetsWrite), sqlite::unused_upload_id());
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
        run_system(&conn, &TELL).unwrap();
        // Half-way: a run must neither begin anew nor read to the end.
        let due = Timestamp(NOW.0 + confirmed / 2);
        run_system(&conn, &Retire { from: Timestamp(0), due, limit: 10_000 }).unwrap();
        let retire = Retire { from: due, due: LATER, limit: 5 };
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
