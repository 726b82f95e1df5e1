//! What happens in a simulation, one event after the other: drawn from a seed (generate.rs), or read from a file.

use asset_uploads::domain::api_key::Scope;
use serde::{Deserialize, Serialize};

pub(crate) use crate::outside::{Fault, Receiver, Wait};

/// A whole simulation. The same schedule always comes to the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Schedule {
    /// `DECLARED_MISMATCH=reject`
    pub(crate) reject_mismatch: bool,
    /// `DELETED_RETENTION_DAYS`
    pub(crate) retention_days: u8,
    /// Whether there is a queue.
    pub(crate) has_queue: bool,
    /// Which of `FIRST_WEBHOOKS` are there from the beginning: a bit for each.
    pub(crate) webhooks: u8,
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

/// One event. Numbers of uploads, assets, folders, cursors, tasks, requests and late calls count back from the newest, and
/// wrap around, so that every schedule is a possible one, also with events left out. Clients and keys below `FIRST_KEYS`
/// are those that are there from the beginning; from there on, numbers count back from the newest that was made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum Event {
    /// A client sends a request to an isolate.
    Request { client: u8, organization: Named, isolate: u8, action: Action },
    /// A client sends a request again, as it was.
    Repeat { request: u8, isolate: u8 },
    /// A client starts an upload, sends its file and confirms it into a folder, and nobody disturbs it.
    Upload { client: u8, file: u8, folder: FolderNamed },
    /// A client makes a key that makes a key, and so on; the last of so many has a scope. Nobody disturbs it.
    MakeKeys { client: u8, keys: u8, scope: Scope, max_uploads: Option<u8> },
    /// A client begins to send a file to its signed URL.
    Send { upload: u8, tampering: Option<Tampering> },
    /// A client begins to send a part, to its signed URL; longer than signed, where `tampered`.
    SendPart { upload: u8, part: u8, tampered: bool },
    /// A client starts an upload in parts, has them signed, sends the first and then the others: so many of these steps,
    /// and nobody disturbs it. What comes next, it asks for at once of two isolates, where `twice`.
    InParts { client: u8, file: u8, steps: u8, twice: bool },
    /// A client starts so many uploads and sends their files, to confirm them together, and nobody disturbs it. The first
    /// file comes by hand and has no type, where `untyped`.
    Several { client: u8, uploads: u8, untyped: bool },
    /// The operator stores an object under the key of an upload that has none and is not sent in parts.
    StoreByHand { upload: u8, object: HandMade },
    /// An object appears that belongs to nothing: under the id of an upload that a client's Idempotency-Key leads to and
    /// that does not exist, or was purged; without a key, under that of any that was purged, or else one that nobody knows.
    StoreOrphan { key: Option<u8> },
    /// The cron starts the sweeper.
    Sweep { isolate: u8, orphans: Orphans },
    /// The queue hands over so many messages, from this one on. They come again later, where `twice`.
    Messages { isolate: u8, message: u8, count: u8, twice: bool },
    /// The queue loses a message.
    LoseMessage { message: u8 },
    /// The cron of every minute.
    Cron { isolate: u8 },
    /// The receiver of a webhook answers like this from now on. So many attempts are made then, each when it is due, and
    /// nobody disturbs them.
    Receiver { webhook: u8, answers: Receiver, attempts: u8 },
    /// Storage tells of the objects of so many uploads, from this one on, whether they are there or not; of objects that
    /// are no upload's, too, where `forged`.
    Notify { isolate: u8, upload: u8, uploads: u8, forged: bool, undisturbed: bool },
    /// A client starts an upload and sends its file. Storage tells of it, a day later where `late`; the asset is renamed,
    /// put into the trash, or taken out of it again, by `change`; and the client begins to confirm.
    StorageFirst { client: u8, file: u8, late: bool, change: u8, folder: FolderNamed },
    /// A client starts an upload and sends its file. A confirmation begins just before the deadline, and the sweeper comes
    /// after it.
    AtDeadline { client: u8, file: u8, by_storage: bool },
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
}

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) enum Action {
    /// `file` is a place in `FILES`, `key` an Idempotency-Key.
    Start {
        file: u8,
        key: Option<u8>,
    },
    Confirm {
        upload: u8,
        folder: FolderNamed,
        key: Option<u8>,
    },
    /// Each upload once, also where several numbers mean the same; one that nobody knows first, where `unknown`.
    ConfirmBatch {
        items: [Option<(u8, FolderNamed)>; 3],
        unknown: bool,
        key: Option<u8>,
    },
    SignParts {
        upload: u8,
        parts: PartsNamed,
    },
    /// With another ETag of the first part, where `wrong`.
    Complete {
        upload: u8,
        parts: PartsNamed,
        wrong: bool,
    },
    Cancel {
        upload: u8,
    },
    ReadUpload {
        upload: u8,
    },
    ReadAsset {
        asset: u8,
    },
    /// `name` is a place in `ASSET_NAMES`.
    UpdateAsset {
        asset: u8,
        name: Option<u8>,
        folder: Option<FolderNamed>,
    },
    DeleteAsset {
        asset: u8,
    },
    RestoreAsset {
        asset: u8,
    },
    /// `name` is a place in `FOLDER_NAMES`.
    CreateFolder {
        name: u8,
        parent: FolderNamed,
        key: Option<u8>,
    },
    ReadFolder {
        folder: u8,
    },
    UpdateFolder {
        folder: u8,
        name: Option<u8>,
        parent: Option<FolderNamed>,
    },
    DeleteFolder {
        folder: u8,
        recursive: bool,
    },
    RestoreFolder {
        folder: u8,
    },
    /// `seconds` is a place in `KEY_SECONDS`.
    MakeKey {
        scope: Scope,
        max_uploads: Option<u8>,
        seconds: u8,
    },
    RevokeKey {
        key: u8,
    },
    /// The first page of a list, or its last. `list` is a place in `LISTS`.
    List {
        list: u8,
        folder: u8,
        limit: u8,
        backward: bool,
    },
    /// `types` is a place in `EVENT_TYPES`.
    MakeWebhook {
        types: u8,
        url: u8,
    },
    UpdateWebhook {
        webhook: u8,
        types: Option<u8>,
        disabled: Option<bool>,
    },
    DeleteWebhook {
        webhook: u8,
    },
    /// The page that a cursor leads to; in the other direction, where `turned`; asked of another order, where `mistaken`.
    Page {
        cursor: u8,
        turned: bool,
        mistaken: bool,
    },
}

/// What a body names as a folder.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) enum FolderNamed {
    Nothing,
    Folder(u8),
    Unknown,
    NoUuid,
    NoJson,
}

/// Which parts a body names.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) enum PartsNamed {
    All,
    First,
    Second,
    Repeated,
    OneTooMany,
    Nothing,
    NoJson,
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
    Owner,
}
