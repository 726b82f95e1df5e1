//! Schedules, drawn at random.

use proptest::prelude::*;
use proptest::sample::select;

use crate::schedule::{
    Action, Event, Fault, FolderNamed, HandMade, Named, Orphans, Schedule, Tampering, UserChange, Wait,
};

/// Mostly one of the newest.
fn upload() -> impl Strategy<Value = u8> {
    prop_oneof![5 => Just(0_u8), 3 => Just(1_u8), 1 => 2..6_u8]
}

fn key() -> impl Strategy<Value = Option<u8>> {
    prop_oneof![2 => Just(None), 4 => Just(Some(0_u8)), 1 => Just(Some(1_u8))]
}

fn isolate() -> impl Strategy<Value = u8> {
    0..2_u8
}

/// Mostly one of the newest.
fn folder() -> impl Strategy<Value = u8> {
    prop_oneof![4 => Just(0_u8), 3 => Just(1_u8), 3 => 2..7_u8]
}

fn folder_named() -> impl Strategy<Value = FolderNamed> {
    prop_oneof![
        6 => Just(FolderNamed::Nothing),
        12 => folder().prop_map(FolderNamed::Folder),
        1 => select(vec![FolderNamed::Unknown, FolderNamed::NoUuid, FolderNamed::NoJson]),
    ]
}

/// Mostly a valid one.
fn name() -> impl Strategy<Value = u8> {
    prop_oneof![12 => 0..4_u8, 1 => Just(4_u8)]
}

fn file() -> impl Strategy<Value = u8> {
    prop_oneof![6 => Just(0_u8), 3 => Just(1_u8), 2 => Just(2_u8), 1 => 3..6_u8]
}

fn upload_action() -> impl Strategy<Value = Action> {
    prop_oneof![
        6 => (file(), key()).prop_map(|(file, key)| Action::Start { file, key }),
        8 => (upload(), folder_named(), key())
            .prop_map(|(upload, folder, key)| Action::Confirm { upload, folder, key }),
        2 => upload().prop_map(|upload| Action::Cancel { upload }),
        1 => upload().prop_map(|upload| Action::ReadUpload { upload }),
    ]
}

fn asset_action() -> impl Strategy<Value = Action> {
    let change = (upload(), prop::option::of(name()), prop::option::of(folder_named()));
    prop_oneof![
        1 => upload().prop_map(|asset| Action::ReadAsset { asset }),
        3 => change.prop_map(|(asset, name, folder)| Action::UpdateAsset { asset, name, folder }),
        2 => upload().prop_map(|asset| Action::DeleteAsset { asset }),
        2 => upload().prop_map(|asset| Action::RestoreAsset { asset }),
    ]
}

fn folder_action() -> impl Strategy<Value = Action> {
    let change = (folder(), prop::option::of(name()), prop::option::of(folder_named()));
    prop_oneof![
        5 => (name(), folder_named(), key())
            .prop_map(|(name, parent, key)| Action::CreateFolder { name, parent, key }),
        1 => folder().prop_map(|folder| Action::ReadFolder { folder }),
        4 => change.prop_map(|(folder, name, parent)| Action::UpdateFolder { folder, name, parent }),
        3 => (folder(), prop::bool::weighted(0.7))
            .prop_map(|(folder, recursive)| Action::DeleteFolder { folder, recursive }),
        3 => folder().prop_map(|folder| Action::RestoreFolder { folder }),
    ]
}

fn list_action() -> impl Strategy<Value = Action> {
    let limit = prop_oneof![6 => 1..3_u8, 1 => Just(50_u8)];
    let first = (0..18_u8, folder(), limit, prop::bool::weighted(0.3));
    let cursor = prop_oneof![6 => Just(0_u8), 2 => 1..4_u8];
    let page = (cursor, prop::bool::weighted(0.15), prop::bool::weighted(0.05));
    prop_oneof![
        2 => first.prop_map(|(list, folder, limit, backward)| Action::List { list, folder, limit, backward }),
        5 => page.prop_map(|(cursor, turned, mistaken)| Action::Page { cursor, turned, mistaken }),
    ]
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        17 => upload_action(),
        8 => asset_action(),
        9 => folder_action(),
        8 => list_action(),
    ]
}

fn named() -> impl Strategy<Value = Named> {
    prop_oneof![
        8 => Just(Named::Nothing),
        3 => Just(Named::Acme),
        1 => select(vec![Named::Other, Named::Unknown, Named::Malformed]),
    ]
}

/// Mostly Edith, sometimes with her second key, or Emil; sometimes anybody.
fn client() -> impl Strategy<Value = u8> {
    prop_oneof![10 => Just(0_u8), 2 => Just(1_u8), 4 => Just(2_u8), 3 => 3..12_u8]
}

fn fault() -> impl Strategy<Value = Fault> {
    select(vec![
        Fault::LostBefore,
        Fault::LostAfter,
        Fault::Overloaded,
        Fault::HangsBefore,
        Fault::HangsAfter,
        Fault::HangsLate,
    ])
}

/// Mostly of the first call that is carried out; the sweeper makes a dozen.
fn fault_of_step() -> impl Strategy<Value = Option<(u8, Fault)>> {
    let calls = prop_oneof![2 => Just(0_u8), 1 => 1..12_u8];
    prop_oneof![5 => Just(None), 1 => (calls, fault()).prop_map(Some)]
}

fn wait() -> impl Strategy<Value = Wait> {
    prop_oneof![
        6 => Just(Wait::Second),
        4 => Just(Wait::FiveMinutes),
        2 => select(vec![Wait::SixteenMinutes, Wait::AnHour, Wait::AlmostADay]),
        2 => select(vec![Wait::ADay, Wait::EightDays, Wait::AMonth]),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    let object = select(vec![
        HandMade::AsDeclared,
        HandMade::Empty,
        HandMade::TooLarge,
        HandMade::OtherSize,
        HandMade::OtherType,
        HandMade::Forbidden,
        HandMade::Untyped,
        HandMade::CustomerKey,
    ]);
    let tampering = select(vec![Tampering::Length, Tampering::Type, Tampering::Name, Tampering::Overwrite]);
    let tampering = prop_oneof![5 => Just(None), 1 => tampering.prop_map(Some)];
    let orphans = prop_oneof![6 => Just(Orphans::Few), 1 => select(vec![Orphans::All, Orphans::None])];
    let user_change = select(vec![
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
    ]);
    prop_oneof![
        34 => (client(), named(), isolate(), action()).prop_map(|(client, organization, isolate, action)| {
            Event::Request { client, organization, isolate, action }
        }),
        4 => (client(), file(), folder_named())
            .prop_map(|(client, file, folder)| Event::Upload { client, file, folder }),
        5 => (0..4_u8, isolate()).prop_map(|(request, isolate)| Event::Repeat { request, isolate }),
        10 => (upload(), tampering).prop_map(|(upload, tampering)| Event::Send { upload, tampering }),
        2 => (upload(), object).prop_map(|(upload, object)| Event::StoreByHand { upload, object }),
        2 => key().prop_map(|key| Event::StoreOrphan { key }),
        5 => (isolate(), orphans).prop_map(|(isolate, orphans)| Event::Sweep { isolate, orphans }),
        60 => (0..4_u8, prop_oneof![2 => 1..4_u8, 3 => Just(30_u8)], fault_of_step())
            .prop_map(|(task, awaits, fault)| Event::Step { task, awaits, fault }),
        1 => (0..4_u8).prop_map(|task| Event::CutOff { task }),
        1 => (isolate(), any::<bool>()).prop_map(|(isolate, late)| Event::EndIsolate { isolate, late }),
        4 => (0..3_u8).prop_map(|call| Event::LateCall { call }),
        6 => (wait(), any::<bool>()).prop_map(|(wait, late)| Event::Wait { wait, late }),
        1 => (0..5_u8, user_change).prop_map(|(user, change)| Event::ChangeUser { user, change }),
        1 => (0..5_u8, prop::bool::weighted(0.3)).prop_map(|(key, revoked)| Event::ChangeKey { key, revoked }),
    ]
}

/// Events of one simulation at most.
const MAX_EVENTS: usize = 150;

/// All schedules.
pub(crate) fn schedules() -> impl Strategy<Value = Schedule> {
    let last_faults = prop::collection::vec((0..16_u8, fault()), 0..3);
    let last_start = prop::option::weighted(0.2, 0..30_u8);
    let retention_days = select(vec![30_u8, 30, 1, 0]);
    (
        prop::bool::weighted(0.2),
        retention_days,
        prop::collection::vec(event(), 1..MAX_EVENTS),
        last_faults,
        last_start,
    )
        .prop_map(|(reject_mismatch, retention_days, events, last_faults, last_start)| Schedule {
            reject_mismatch,
            retention_days,
            events,
            last_faults,
            last_start,
        })
}
