//! Schedules, drawn at random.

use crate::choices::{FIRST_KEYS, KEY_SECONDS, LISTS, usual_seconds};
use crate::draw::Draw;
use crate::pick::{
    client, fault, fault_of_step, file, folder, folder_named, hand_made, key, made_key, max_uploads, name,
    named, orphans, parts, receiver, scope, tampering, upload, user_change, wait,
};
use crate::schedule::{Action, Event, Schedule};

/// Events of one simulation at most.
const MAX_EVENTS: u64 = 170;

/// The schedule of a seed.
pub(crate) fn schedule(seed: u64) -> Schedule {
    let mut draw = Draw::new(seed);
    let reject_mismatch = draw.chance(20);
    let retention_days = draw.one(&[30, 30, 1, 0]);
    let has_queue = draw.chance(80);
    let webhooks = draw.one(&[0b1111, 0b1111, 0b0111, 0b0001, 0b0010, 0b0100, 0b1000, 0]);
    let events = 1 + draw.below(MAX_EVENTS - 1);
    let events = (0..events).map(|_| event(&mut draw)).collect();
    let last_faults = draw.below(3);
    let last_faults = (0..last_faults).map(|_| (draw.within(0..16), fault(&mut draw))).collect();
    let last_start = draw.maybe(20, |draw| draw.within(0..30));
    Schedule { reject_mismatch, retention_days, has_queue, webhooks, events, last_faults, last_start }
}

fn event(draw: &mut Draw) -> Event {
    let isolate = draw.within(0..2);
    match draw.below(190) {
        0..34 => {
            let client = client(draw);
            let action = if client < FIRST_KEYS { action(draw) } else { action_of_made_key(draw, client) };
            Event::Request { client, organization: named(draw), isolate, action }
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
        138..140 => Event::ChangeKey { key: draw.within(0..5), revoked: draw.chance(30) },
        140..145 => {
            Event::SendPart { upload: upload(draw), part: draw.within(0..2), tampered: draw.chance(8) }
        }
        145..149 => {
            Event::Several { client: client(draw), uploads: draw.within(2..4), untyped: draw.chance(25) }
        }
        149..153 => {
            let (steps, twice) = (draw.one(&[1, 1, 2, 3, 4, 4]), draw.chance(50));
            Event::InParts { client: client(draw), file: draw.one(&[6, 6, 7]), steps, twice }
        }
        156..160 => {
            let (message, count) = (draw.within(0..4), draw.one(&[1, 1, 2, 10]));
            Event::Messages { isolate, message, count, twice: draw.chance(20) }
        }
        168..178 => {
            let (upload, uploads) = (upload(draw), draw.one(&[1, 1, 2, 3]));
            let (forged, undisturbed) = (draw.chance(20), draw.chance(50));
            Event::Notify { isolate, upload, uploads, forged, undisturbed }
        }
        178..182 => {
            let late = draw.chance(20);
            let client = if late { draw.one(&[0, 8, 8]) } else { client(draw) };
            let (file, change) = (file(draw), draw.one(&[0, 0, 1, 1, 2, 3]));
            Event::StorageFirst { client, file, late, change, folder: folder_named(draw) }
        }
        182..184 => {
            Event::AtDeadline { client: draw.one(&[0, 0, 2]), file: file(draw), by_storage: draw.chance(40) }
        }
        160 => Event::LoseMessage { message: draw.within(0..3) },
        161..165 => Event::Cron { isolate },
        165..168 => {
            let attempts = draw.one(&[0, 0, 0, 0, 1, 2, 9]);
            Event::Receiver { webhook: draw.one(&[0, 0, 1, 1, 2, 3]), answers: receiver(draw), attempts }
        }
        153..156 => {
            // Mostly those who may.
            let client = if draw.chance(90) { draw.one(&[2, 2, 4]) } else { client(draw) };
            Event::Request { client, organization: named(draw), isolate, action: webhook_action(draw) }
        }
        _ => {
            let (client, scope) = (client(draw), scope(draw));
            let max_uploads = max_uploads(draw, scope);
            Event::MakeKeys { client, keys: draw.one(&[1, 1, 1, 2, 2, 3, 4]), scope, max_uploads }
        }
    }
}

fn action(draw: &mut Draw) -> Action {
    match draw.below(58) {
        0..28 => upload_action(draw),
        28..36 => asset_action(draw),
        36..45 => folder_action(draw),
        45..48 => key_action(draw, None),
        _ => list_action(draw),
    }
}

fn upload_action(draw: &mut Draw) -> Action {
    match draw.below(28) {
        0..6 => Action::Start { file: file(draw), key: key(draw) },
        6..14 => Action::Confirm { upload: upload(draw), folder: folder_named(draw), key: key(draw) },
        14..16 => Action::Cancel { upload: upload(draw) },
        16..19 => confirm_batch(draw),
        19..23 => Action::SignParts { upload: upload(draw), parts: parts(draw) },
        23..27 => complete(draw),
        _ => Action::ReadUpload { upload: upload(draw) },
    }
}

fn confirm_batch(draw: &mut Draw) -> Action {
    let mut item = |percent, n| {
        draw.maybe(percent, |draw| (if draw.chance(70) { n } else { upload(draw) }, folder_named(draw)))
    };
    let items = [item(95, 0), item(85, 1), item(50, 2)];
    Action::ConfirmBatch { items, unknown: draw.chance(15), key: key(draw) }
}

fn complete(draw: &mut Draw) -> Action {
    Action::Complete { upload: upload(draw), parts: parts(draw), wrong: draw.chance(12) }
}

fn webhook_action(draw: &mut Draw) -> Action {
    let (webhook, types) = (draw.one(&[0, 0, 1, 1, 2, 3]), draw.within(0..5));
    match draw.below(12) {
        0..4 => Action::MakeWebhook { types, url: draw.within(0..2) },
        4..6 => Action::UpdateWebhook {
            webhook,
            types: Some(types),
            disabled: draw.maybe(20, |draw| draw.chance(50)),
        },
        6..11 => Action::UpdateWebhook { webhook, types: None, disabled: Some(draw.chance(35)) },
        _ => Action::DeleteWebhook { webhook },
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

/// Mostly what a key of the scope `upload` may do, or one of the scope `full` alone.
fn action_of_made_key(draw: &mut Draw, client: u8) -> Action {
    match draw.below(23) {
        0..4 => Action::Start { file: file(draw), key: key(draw) },
        4..7 => Action::Confirm { upload: upload(draw), folder: folder_named(draw), key: key(draw) },
        7..9 => Action::Cancel { upload: upload(draw) },
        9 => Action::ReadUpload { upload: upload(draw) },
        10..14 => key_action(draw, Some(client)),
        14 => confirm_batch(draw),
        15 => Action::SignParts { upload: upload(draw), parts: parts(draw) },
        16 => complete(draw),
        _ => action(draw),
    }
}

/// A key that is made or revoked, often `own`.
fn key_action(draw: &mut Draw, own: Option<u8>) -> Action {
    if draw.chance(50) {
        let scope = scope(draw);
        let max_uploads = if draw.chance(95) { max_uploads(draw, scope) } else { Some(1) };
        let last = u8::try_from(KEY_SECONDS.len()).unwrap_or(u8::MAX);
        let seconds = if draw.chance(60) { usual_seconds(scope) } else { draw.within(0..last) };
        Action::MakeKey { scope, max_uploads, seconds }
    } else {
        // Also one that somebody else has, or nobody.
        let others = if draw.chance(80) { made_key(draw) } else { draw.within(0..FIRST_KEYS) };
        Action::RevokeKey { key: own.filter(|_| draw.chance(50)).unwrap_or(others) }
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
