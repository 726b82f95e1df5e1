//! Plays many schedules, on all cores, and makes the one that fails as short as it can.

use std::panic::{AssertUnwindSafe, catch_unwind, set_hook};
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::generate::schedule;
use crate::run::play;
use crate::schedule::Schedule;
use crate::shorter::Shorter;
use crate::statistics::Statistics;
use crate::world::World;

/// Schedules that are tried to make a failing one shorter, unless told otherwise.
const SHORTER: u64 = 20_000;

/// Plays the schedules of seeds from `from` on, `seeds` of them or as many as fit into a time: how many, and what they
/// came to. Panics at the first that fails.
#[allow(
    clippy::disallowed_methods,
    reason = "how long the test itself takes is no argument of the code under test"
)]
pub(crate) fn explore(from: u64, seeds: u64, time: Option<Duration>) -> (u64, Statistics) {
    let (next, played) = (AtomicU64::new(0), AtomicU64::new(0));
    let (failed, total) = (Mutex::new(None), Mutex::new(Statistics::default()));
    let started = Instant::now();
    // A panic of the code under test is a failure as any other, told once.
    set_hook(Box::new(|_| {}));
    thread::scope(|scope| {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        for _ in 0..cores {
            scope.spawn(|| {
                let mut world = World::new();
                let mut statistics = Statistics::default();
                while failed.lock().unwrap().is_none() && time.is_none_or(|time| started.elapsed() < time) {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= seeds {
                        break;
                    }
                    let seed = from + n;
                    match outcome(&mut world, &schedule(seed)) {
                        Ok(found) => statistics.add(found),
                        Err(_) => {
                            failed.lock().unwrap().get_or_insert(seed);
                        }
                    }
                    played.fetch_add(1, Ordering::Relaxed);
                }
                total.lock().unwrap().add(statistics);
            });
        }
    });
    drop(std::panic::take_hook());
    if let Some(seed) = failed.into_inner().unwrap() {
        report(seed);
    }
    (played.into_inner(), total.into_inner().unwrap())
}

/// Plays a schedule that was written by an earlier failure.
pub(crate) fn replay(path: &str) {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("SCHEDULE={path}: {error}"));
    let schedule: Schedule =
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("SCHEDULE={path} is no schedule: {error}"));
    match play(&World::new(), &schedule) {
        Ok(statistics) => println!("{path} passes: {statistics}"),
        Err(text) => panic!("{path}: {text}"),
    }
}

/// Plays a schedule; a panic is a failure, too.
fn outcome(world: &mut World, schedule: &Schedule) -> Result<Statistics, String> {
    catch_unwind(AssertUnwindSafe(|| play(world, schedule))).unwrap_or_else(|panic| {
        // What the panic left behind is nobody's.
        *world = World::new();
        let text = panic.downcast_ref::<String>().cloned();
        Err(format!(
            "panic: {}",
            text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
        ))
    })
}

/// Makes the schedule of a seed that fails as short as it can, and panics with it.
fn report(seed: u64) -> ! {
    // On a thread of its own, where ids begin anew.
    let (schedule, failure) = thread::scope(|scope| scope.spawn(|| shortest(seed)).join().unwrap());
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("build/simulation/seed-{seed}.json"));
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, serde_json::to_string_pretty(&schedule).unwrap()).unwrap();
    let Schedule { reject_mismatch, retention_days, has_queue, webhooks, events, last_faults, last_start } =
        &schedule;
    let events: Vec<String> =
        events.iter().enumerate().map(|(n, event)| format!("  {n}: {event:?}")).collect();
    panic!(
        "seed {seed} fails {failure}\nThe shortest schedule found, {} events, reject_mismatch: {reject_mismatch}, retention_days: {retention_days}, has_queue: {has_queue}, webhooks: {webhooks}, last_faults: {last_faults:?}, last_start: {last_start:?}:\n{}\ntests/simulation/schedule.rs says what the events are. Uploads, assets, folders, cursors, tasks, requests and late calls count back from the newest, which is 0.\nPlay it again: make simulate SCHEDULE={}",
        events.len(),
        events.join("\n"),
        path.display()
    );
}

fn shortest(seed: u64) -> (Schedule, String) {
    set_hook(Box::new(|_| {}));
    let mut world = World::new();
    let schedule = schedule(seed);
    let Err(failure) = outcome(&mut world, &schedule) else {
        panic!("seed {seed} fails, but not when it is played again");
    };
    let tries_left = crate::number("SIMULATION_SHORTER").unwrap_or(SHORTER);
    let fails = |schedule: &Schedule| outcome(&mut world, schedule).err();
    let mut shorter = Shorter { schedule, failure, tries_left, fails };
    shorter.find();
    drop(std::panic::take_hook());
    (shorter.schedule, shorter.failure)
}
