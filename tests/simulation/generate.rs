//! Schedules, drawn at random.

use crate::draw::Draw;
use crate::schedule::{
    Action, Event, Fault, FolderNamed, HandMade, LISTS, Named, Orphans, Schedule, Tampering, UserChange, Wait,
};

/// Events of one simulation at most.
const MAX_EVENTS: u64 = 150;

/// The schedule of a seed.
pub(crate) fn schedule(seed: u64) -> Schedule {
    let mut draw = Draw::new(seed);
    let reject_mismatch = draw.chance(20);
    let retention_days = draw.one(&[30, 30, 1, 0]);
    let events = 1 + draw.below(MAX_EVENTS - 1);
    let events = (0..events).map(|_| event(&mut draw)).collect();
    let last_faults = draw.below(3);
    let last_faults = (0..last_faults).map(|_| (draw.within(0..16), fault(&mut draw))).collect();
    let last_start = draw.maybe(20, |draw| draw.within(0..30));
    Schedule { reject_mismatch, retention_days, events, last_faults, last_start }
}

fn event(draw: &mut Draw) -> Event {
    let isolate = draw.within(0..2);
    match draw.below(140) {
        0..34 => {
            Event::Request { client: client(draw), organization: named(draw), isolate, action: action(draw) }
        }
        34..38 => Event::Upload { client: client(draw), file: file(draw), folder: folder_named(draw) },
        38..45 => {
            // Also after much else has happened to what it made.
            let request = if draw.chance(70) { draw.within(0..4) } else { draw.within(4..20) };
            Event::Repeat { request, isolate }
        }
        45..53 => Event::Send { upload: upload(draw), tampering: draw.maybe(17, tampering) },
        53..55 => Event::StoreByHand { upload: upload(draw), object: hand_made(draw) },
        55..57 => Event::StoreOrphan { key: key(draw) },
        57..62 => Event::Sweep { isolate, orphans: orphans(draw) },
        62..122 => {
            let awaits = if draw.chance(40) { draw.within(1..4) } else { 30 };
            Event::Step { task: draw.within(0..4), awaits, fault: fault_of_step(draw) }
        }
        122 => Event::CutOff { task: draw.within(0..4) },
        123 => Event::EndIsolate { isolate, late: draw.chance(50) },
        124..128 => Event::LateCall { call: draw.within(0..3) },
        128..136 => Event::Wait { wait: wait(draw), late: draw.chance(50) },
        136..138 => Event::ChangeUser { user: draw.within(0..5), change: user_change(draw) },
        _ => Event::ChangeKey { key: draw.within(0..5), revoked: draw.chance(30) },
    }
}

fn action(draw: &mut Draw) -> Action {
    match draw.below(44) {
        0..17 => upload_action(draw),
        17..25 => asset_action(draw),
        25..34 => folder_action(draw),
        _ => list_action(draw),
    }
}

fn upload_action(draw: &mut Draw) -> Action {
    match draw.below(17) {
        0..6 => Action::Start { file: file(draw), key: key(draw) },
        6..14 => Action::Confirm { upload: upload(draw), folder: folder_named(draw), key: key(draw) },
        14..16 => Action::Cancel { upload: upload(draw) },
        _ => Action::ReadUpload { upload: upload(draw) },
    }
}

fn asset_action(draw: &mut Draw) -> Action {
    let asset = upload(draw);
    match draw.below(8) {
        0 => Action::ReadAsset { asset },
        1..4 => {
            Action::UpdateAsset { asset, name: draw.maybe(50, name), folder: draw.maybe(50, folder_named) }
        }
        4..6 => Action::DeleteAsset { asset },
        _ => Action::RestoreAsset { asset },
    }
}

fn folder_action(draw: &mut Draw) -> Action {
    let folder = folder(draw);
    match draw.below(16) {
        0..5 => Action::CreateFolder { name: name(draw), parent: folder_named(draw), key: key(draw) },
        5 => Action::ReadFolder { folder },
        6..10 => {
            Action::UpdateFolder { folder, name: draw.maybe(50, name), parent: draw.maybe(50, folder_named) }
        }
        10..13 => Action::DeleteFolder { folder, recursive: draw.chance(70) },
        _ => Action::RestoreFolder { folder },
    }
}

fn list_action(draw: &mut Draw) -> Action {
    if draw.below(7) < 2 {
        let list = draw.within(0..u8::try_from(LISTS.len()).unwrap_or(u8::MAX));
        let limit = if draw.chance(85) { draw.within(1..3) } else { 50 };
        Action::List { list, folder: folder(draw), limit, backward: draw.chance(30) }
    } else {
        let cursor = if draw.chance(75) { 0 } else { draw.within(1..4) };
        Action::Page { cursor, turned: draw.chance(15), mistaken: draw.chance(5) }
    }
}

/// Mostly one of the newest.
fn upload(draw: &mut Draw) -> u8 {
    match draw.below(9) {
        0..5 => 0,
        5..8 => 1,
        _ => draw.within(2..6),
    }
}

/// Mostly one of the newest.
fn folder(draw: &mut Draw) -> u8 {
    match draw.below(10) {
        0..4 => 0,
        4..7 => 1,
        _ => draw.within(2..7),
    }
}

fn folder_named(draw: &mut Draw) -> FolderNamed {
    match draw.below(19) {
        0..6 => FolderNamed::Nothing,
        6..18 => FolderNamed::Folder(folder(draw)),
        _ => draw.one(&[FolderNamed::Unknown, FolderNamed::NoUuid, FolderNamed::NoJson]),
    }
}

/// Mostly a valid one.
fn name(draw: &mut Draw) -> u8 {
    if draw.below(13) < 12 { draw.within(0..4) } else { 4 }
}

fn file(draw: &mut Draw) -> u8 {
    match draw.below(12) {
        0..6 => 0,
        6..9 => 1,
        9..11 => 2,
        _ => draw.within(3..6),
    }
}

fn key(draw: &mut Draw) -> Option<u8> {
    draw.one(&[None, None, Some(0), Some(0), Some(0), Some(0), Some(1)])
}

fn named(draw: &mut Draw) -> Named {
    match draw.below(12) {
        0..8 => Named::Nothing,
        8..11 => Named::Acme,
        _ => draw.one(&[Named::Other, Named::Unknown, Named::Malformed]),
    }
}

/// Mostly Edith, sometimes with her second key, or Emil; sometimes anybody.
fn client(draw: &mut Draw) -> u8 {
    match draw.below(19) {
        0..10 => 0,
        10..12 => 1,
        12..16 => 2,
        _ => draw.within(3..12),
    }
}

fn fault(draw: &mut Draw) -> Fault {
    draw.one(&[
        Fault::LostBefore,
        Fault::LostAfter,
        Fault::Overloaded,
        Fault::HangsBefore,
        Fault::HangsAfter,
        Fault::HangsLate,
    ])
}

/// Mostly of the first call that is carried out; the sweeper makes a dozen.
fn fault_of_step(draw: &mut Draw) -> Option<(u8, Fault)> {
    draw.maybe(17, |draw| (if draw.chance(67) { 0 } else { draw.within(1..12) }, fault(draw)))
}

fn wait(draw: &mut Draw) -> Wait {
    match draw.below(14) {
        0..6 => Wait::Second,
        6..10 => Wait::FiveMinutes,
        10..12 => draw.one(&[Wait::SixteenMinutes, Wait::AnHour, Wait::AlmostADay]),
        _ => draw.one(&[Wait::ADay, Wait::EightDays, Wait::AMonth]),
    }
}

fn orphans(draw: &mut Draw) -> Orphans {
    if draw.below(7) < 6 { Orphans::Few } else { draw.one(&[Orphans::All, Orphans::None]) }
}

fn hand_made(draw: &mut Draw) -> HandMade {
    draw.one(&[
        HandMade::AsDeclared,
        HandMade::Empty,
        HandMade::TooLarge,
        HandMade::OtherSize,
        HandMade::OtherType,
        HandMade::Forbidden,
        HandMade::Untyped,
        HandMade::CustomerKey,
    ])
}

fn tampering(draw: &mut Draw) -> Tampering {
    draw.one(&[Tampering::Length, Tampering::Type, Tampering::Name, Tampering::Overwrite])
}

/// Mostly back to what lets a user act.
fn user_change(draw: &mut Draw) -> UserChange {
    draw.one(&[
        UserChange::Disable,
        UserChange::Enable,
        UserChange::Unverify,
        UserChange::Verify,
        UserChange::Leave,
        UserChange::WithoutRole,
        UserChange::Viewer,
        UserChange::Editor,
        UserChange::Editor,
        UserChange::Editor,
    ])
}
