//! What happens in a simulation, one event after the other: drawn from a seed, or read from a file.

use proptest::prelude::*;
use proptest::sample::select;
use serde::{Deserialize, Serialize};

/// A whole simulation. The same schedule always comes to the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Schedule {
    /// `DECLARED_MISMATCH=reject`
    pub(crate) reject_mismatch: bool,
    /// In this order.
    pub(crate) events: Vec<Event>,
    /// At the end, when there is most to remove, the sweeper runs once with each of these faults, before it is left
    /// alone.
    pub(crate) last_faults: Vec<(u8, Fault)>,
    /// After so many awaits of the sweeper, then, an upload is started whose object has been there for weeks.
    pub(crate) last_start: Option<u8>,
}

/// The Idempotency-Key of that upload, which no event uses.
pub(crate) const LAST_KEY: u8 = 2;

/// One event. Numbers of uploads, tasks, requests and late calls count back from the newest, and wrap around, so that
/// every schedule is a possible one, also with events left out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum Event {
    /// A client sends a request to an isolate.
    Request { client: u8, organization: Named, isolate: u8, action: Action },
    /// A client sends a request again, as it was.
    Repeat { request: u8, isolate: u8 },
    /// A client begins to send a file to its signed URL.
    Send { upload: u8, tampering: Option<Tampering> },
    /// The operator stores an object under the key of an upload that has none.
    StoreByHand { upload: u8, object: HandMade },
    /// An object appears that belongs to nothing: under the id of an upload that a client's Idempotency-Key leads to and
    /// that does not exist, or under one that nobody knows.
    StoreOrphan { key: Option<u8> },
    /// The cron starts the sweeper.
    Sweep { isolate: u8, orphans: Orphans },
    /// Something under way goes on for so many awaits. `fault` meets a storage call, behind so many that are carried out.
    Step { task: u8, awaits: u8, fault: Option<(u8, Fault)> },
    /// A client goes away in the middle of its transfer.
    CutOff { task: u8 },
    /// An isolate ends with all that runs in it; its storage calls under way are carried out later, or never.
    EndIsolate { isolate: u8, late: bool },
    /// A storage call that nobody waits for any more is carried out.
    LateCall { call: u8 },
    /// Time passes.
    Wait { wait: Wait, late: bool },
    /// The operator changes a user or a key.
    ChangeUser { user: u8, change: UserChange },
    /// The operator revokes a key, or takes that back.
    ChangeKey { key: u8, revoked: bool },
    /// A folder is deleted or restored.
    ChangeFolder { folder: u8, deleted: bool },
    /// An asset is moved, deleted or restored.
    ChangeAsset { upload: u8, change: AssetChange },
}

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) enum Action {
    /// `file` is a place in `FILES`, `key` an Idempotency-Key.
    Start {
        file: u8,
        key: Option<u8>,
    },
    /// `body` is a place in `CONFIRMATIONS`.
    Confirm {
        upload: u8,
        body: u8,
        key: Option<u8>,
    },
    Cancel {
        upload: u8,
    },
    ReadUpload {
        upload: u8,
    },
    ReadAsset {
        upload: u8,
    },
}

/// What `X-Organization-Id` names.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) enum Named {
    Nothing,
    Acme,
    Other,
    Unknown,
    Malformed,
}

/// How a PUT differs from what was signed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) enum Tampering {
    Length,
    Type,
    Name,
    Overwrite,
}

/// An object that no client sent.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) enum HandMade {
    AsDeclared,
    Empty,
    TooLarge,
    OtherSize,
    OtherType,
    Forbidden,
    Untyped,
    CustomerKey,
}

/// `SWEEP_ORPHANS`
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) enum Orphans {
    Few,
    All,
    None,
}

/// What happens to one storage call.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) enum Fault {
    /// The connection is lost before the call arrives.
    LostBefore,
    /// The call is carried out, then the connection is lost.
    LostAfter,
    /// Storage is overloaded and does nothing.
    Overloaded,
    /// No answer ever comes, and the call is never carried out.
    HangsBefore,
    /// No answer ever comes, though the call is carried out at once.
    HangsAfter,
    /// No answer ever comes, and the call is carried out later, if at all.
    HangsLate,
}

/// How long to wait.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) enum Wait {
    Second,
    FiveMinutes,
    SixteenMinutes,
    AnHour,
    AlmostADay,
    ADay,
    EightDays,
    AMonth,
}

impl Wait {
    pub(crate) fn seconds(self) -> u64 {
        match self {
            Self::Second => 1,
            Self::FiveMinutes => 300,
            Self::SixteenMinutes => 960,
            Self::AnHour => 3_600,
            // A minute before the deadline of what was started before it.
            Self::AlmostADay => 86_340,
            Self::ADay => 86_400,
            Self::EightDays => 8 * 86_400,
            Self::AMonth => 30 * 86_400,
        }
    }
}

/// What changes of a user.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) enum UserChange {
    Disable,
    Enable,
    Unverify,
    Verify,
    Leave,
    WithoutRole,
    Viewer,
    Editor,
}

/// What changes of an asset.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) enum AssetChange {
    Move { folder: Option<u8> },
    Delete,
    Restore,
}

/// The file that a start declares: its body, and what is right about it.
pub(crate) const FILES: [&str; 6] = [
    r#"{"filename":"beach.png","mime_type":"image/png","size_bytes":640}"#,
    r#"{"filename":"clip.mp4","mime_type":"Video/MP4","size_bytes":999}"#,
    r#"{"filename":"beach.png","mime_type":"image/png","size_bytes":641}"#,
    r#"{"filename":"beach.png","mime_type":"image/png","size_bytes":0}"#,
    r#"{"filename":"beach.svg","mime_type":"image/svg+xml","size_bytes":640}"#,
    "nonsense",
];

/// The folder that the body of a confirmation names.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum FolderNamed {
    None,
    Folder(usize),
    Unknown,
    NoUuid,
    NoJson,
}

/// The bodies of confirmations. Folders 0 and 1 are Acme's, 2 is the other organization's.
pub(crate) const CONFIRMATIONS: [FolderNamed; 7] = [
    FolderNamed::None,
    FolderNamed::Folder(0),
    FolderNamed::Folder(1),
    FolderNamed::Folder(2),
    FolderNamed::Unknown,
    FolderNamed::NoUuid,
    FolderNamed::NoJson,
];

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

fn action() -> impl Strategy<Value = Action> {
    let file = prop_oneof![6 => Just(0_u8), 3 => Just(1_u8), 2 => Just(2_u8), 1 => 3..6_u8];
    let body = prop_oneof![6 => Just(0_u8), 4 => Just(1_u8), 1 => 2..7_u8];
    prop_oneof![
        6 => (file, key()).prop_map(|(file, key)| Action::Start { file, key }),
        8 => (upload(), body, key()).prop_map(|(upload, body, key)| Action::Confirm { upload, body, key }),
        2 => upload().prop_map(|upload| Action::Cancel { upload }),
        1 => upload().prop_map(|upload| Action::ReadUpload { upload }),
        1 => upload().prop_map(|upload| Action::ReadAsset { upload }),
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
    let asset_change = prop_oneof![
        prop::option::of(0..2_u8).prop_map(|folder| AssetChange::Move { folder }),
        Just(AssetChange::Delete),
        Just(AssetChange::Restore),
    ];
    prop_oneof![
        24 => (client(), named(), isolate(), action()).prop_map(|(client, organization, isolate, action)| {
            Event::Request { client, organization, isolate, action }
        }),
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
        2 => (0..3_u8, any::<bool>()).prop_map(|(folder, deleted)| Event::ChangeFolder { folder, deleted }),
        2 => (upload(), asset_change).prop_map(|(upload, change)| Event::ChangeAsset { upload, change }),
    ]
}

/// Events of one simulation at most.
const MAX_EVENTS: usize = 150;

/// All schedules.
pub(crate) fn schedules() -> impl Strategy<Value = Schedule> {
    let last_faults = prop::collection::vec((0..16_u8, fault()), 0..3);
    let last_start = prop::option::weighted(0.2, 0..30_u8);
    (prop::bool::weighted(0.2), prop::collection::vec(event(), 1..MAX_EVENTS), last_faults, last_start)
        .prop_map(|(reject_mismatch, events, last_faults, last_start)| Schedule {
            reject_mismatch,
            events,
            last_faults,
            last_start,
        })
}
