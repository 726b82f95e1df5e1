//! The sweeper beside starts, uploads, confirmations and cancellations, in any order of events: every asset keeps
//! its object, and in the end nothing else is kept.

#![allow(clippy::unwrap_used, reason = "test code may panic")]

mod bucket;
mod sqlite;
mod sweeper_platform;

use std::future::Future;
use std::pin::Pin;

use asset_uploads::domain::idempotency::IdempotencyKey;
use asset_uploads::domain::ids::AssetUploadId;
use asset_uploads::domain::timestamp::Timestamp;
use asset_uploads::domain::upload::ObjectState;
use asset_uploads::store::confirm::Confirm;
use asset_uploads::store::rights::{Caller, Permission};
use asset_uploads::store::uploads::{Cancel, Create};
use asset_uploads::sweeper::{
    GRACE_SECONDS, ORPHAN_NOTICE_SECONDS, SET_ASIDE_SECONDS, SETTLE_SECONDS, sweep,
};
use proptest::prelude::*;
use sqlite::fixtures::{RULES, confirm, create_for, pending_upload};
use sqlite::{Person, run};
use sweeper_platform::{HOUR, SweeperPlatform, UNBOUNDED, pause, step};

fn create(by: &Person, key: Option<u8>, now: Timestamp) -> Create {
    let caller = Caller { now, ..by.caller(Permission::AssetsWrite) };
    let asset_upload_id = match key {
        Some(n) => AssetUploadId::for_idempotency_key(
            by.key.as_str(),
            None,
            &IdempotencyKey::parse(&n.to_string()).unwrap(),
        ),
        None => sqlite::unused_upload_id(),
    };
    Create { expires_at: now.plus_seconds(HOUR), ..create_for(caller, asset_upload_id) }
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
    let object = platform.head(id).map_or(ObjectState::Missing, |object| RULES.verify(object));
    pause().await;
    // Whatever it comes to; `check` sees what it left.
    drop(run(&platform.conn, &Confirm { caller, object, ..confirm(by, id) }));
}

async fn cancel_as_the_worker(platform: &SweeperPlatform, by: &Person, id: AssetUploadId) {
    let caller = Caller { now: platform.now.get(), ..by.caller(Permission::AssetsWrite) };
    pause().await;
    if run(&platform.conn, &Cancel { caller, asset_upload_id: id }).is_ok() {
        pause().await;
        platform.bucket.borrow_mut().delete(&[id.object_key()]);
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
