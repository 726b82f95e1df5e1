//! What the numbers of a schedule stand for: files, names, lists and lifetimes.

use asset_uploads::domain::api_key::Scope;

/// Clients and keys that are there from the beginning.
pub(crate) const FIRST_KEYS: u8 = 12;

/// How long keys are to be valid; the last is too short, and those of more than a day too long for the scope `upload`.
pub(crate) const KEY_SECONDS: [u64; 6] = [86_400, 60, 3_600, 2_592_000, 7_776_000, 59];

/// The longest that a scope permits.
pub(crate) fn usual_seconds(scope: Scope) -> u8 {
    if scope == Scope::Upload { 0 } else { 4 }
}

/// The file that a start declares: its body, and what is right about it.
pub(crate) const FILES: [&str; 8] = [
    r#"{"filename":"beach.png","mime_type":"image/png","size_bytes":640}"#,
    r#"{"filename":"clip.mp4","mime_type":"Video/MP4","size_bytes":999}"#,
    r#"{"filename":"beach.png","mime_type":"image/png","size_bytes":641}"#,
    r#"{"filename":"beach.png","mime_type":"image/png","size_bytes":0}"#,
    r#"{"filename":"beach.svg","mime_type":"image/svg+xml","size_bytes":640}"#,
    "nonsense",
    r#"{"filename":"clip.mp4","mime_type":"video/mp4","size_bytes":5242881,"multipart":true}"#,
    r#"{"filename":"beach.png","mime_type":"image/png","size_bytes":640,"multipart":true}"#,
];

/// New names of assets; the last is none.
pub(crate) const ASSET_NAMES: [&str; 5] = ["beach.png", "Beach.PNG", "clip.mp4", "zoo.png", "a/b.png"];

/// Names of folders; the last is none.
pub(crate) const FOLDER_NAMES: [&str; 5] = ["Photos", "Films", "photos", "Zoo", ".."];

/// How a list is filtered; its folder is the event's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Filtered {
    Live,
    InFolder,
    InNone,
    Trash,
    TrashOfFolder,
    Images,
    Videos,
    Names,
}

/// Lists: of assets or of folders, their filter, whether by name, whether descending.
pub(crate) const LISTS: [(bool, Filtered, bool, bool); 18] = [
    (true, Filtered::Live, false, true),
    (true, Filtered::Live, true, false),
    (true, Filtered::InNone, false, false),
    (true, Filtered::InFolder, false, true),
    (true, Filtered::InFolder, true, true),
    (true, Filtered::Trash, false, true),
    (true, Filtered::Trash, true, false),
    (true, Filtered::TrashOfFolder, false, false),
    (true, Filtered::Images, false, true),
    (true, Filtered::Videos, true, true),
    (true, Filtered::Names, true, false),
    (true, Filtered::Names, false, false),
    (false, Filtered::Live, true, false),
    (false, Filtered::Live, false, true),
    (false, Filtered::InNone, true, true),
    (false, Filtered::InFolder, true, false),
    (false, Filtered::Trash, false, false),
    (false, Filtered::TrashOfFolder, true, false),
];
