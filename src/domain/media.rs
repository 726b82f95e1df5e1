//! Media types: parsing, the list of those permitted, and what kind of asset one makes.

use std::fmt;

use mediatype::MediaType;
use serde::Serialize;

/// A media type without parameters, lower-case, at most 255 bytes: `image/png`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct MimeType(String);

impl MimeType {
    /// Reads a Content-Type: lower-cases it and drops its parameters. `None` when it is malformed.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > 255 {
            return None;
        }
        let essence = MediaType::parse(text.trim()).ok()?.essence().to_string().to_ascii_lowercase();
        // The parser lets `*` through, which RFC 6838 does not: `image/*` is a pattern, not a type.
        (!essence.contains('*')).then_some(Self(essence))
    }

    /// `image/png`
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The patterns that permit it: itself, and its whole `type/*` unless it is XML.
    pub fn patterns(&self) -> Vec<String> {
        let whole = (!self.is_xml()).then(|| format!("{}/*", self.top_level()));
        std::iter::once(self.0.clone()).chain(whole).collect()
    }

    /// What stands before the slash.
    pub(super) fn top_level(&self) -> &str {
        self.0.split('/').next().unwrap_or_default()
    }

    /// Whether it is XML, such as SVG, which a browser may run scripts from.
    pub(super) fn is_xml(&self) -> bool {
        self.0.ends_with("xml")
    }
}

impl fmt::Display for MimeType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What an asset is to a person who looks through a library.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(
    not(target_arch = "wasm32"),
    derive(schemars::JsonSchema),
    schemars(inline, rename_all = "lowercase")
)]
pub enum AssetType {
    /// `image/*`
    Image,
    /// `video/*`
    Video,
    /// `audio/*`
    Audio,
    /// Text, PDF and office formats.
    Document,
    /// All else.
    File,
}

impl AssetType {
    /// The kind of asset that this media type makes.
    pub fn of(mime: &MimeType) -> Self {
        match mime.top_level() {
            "image" => Self::Image,
            "video" => Self::Video,
            "audio" => Self::Audio,
            "text" => Self::Document,
            _ if is_document(mime.as_str()) => Self::Document,
            _ => Self::File,
        }
    }

    /// All of them.
    pub const ALL: [Self; 5] = [Self::Image, Self::Video, Self::Audio, Self::Document, Self::File];

    /// As stored and sent.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Video => "video",
            Self::Audio => "audio",
            Self::Document => "document",
            Self::File => "file",
        }
    }
}

/// Formats under `application/` that people open to read.
fn is_document(mime: &str) -> bool {
    const EXACT: [&str; 6] = [
        "application/pdf",
        "application/rtf",
        "application/epub+zip",
        "application/msword",
        "application/vnd.ms-excel",
        "application/vnd.ms-powerpoint",
    ];
    const FAMILIES: [&str; 2] =
        ["application/vnd.openxmlformats-officedocument.", "application/vnd.oasis.opendocument."];
    EXACT.contains(&mime) || FAMILIES.iter().any(|family| mime.starts_with(family))
}

/// Which media types may become assets: patterns that permit and patterns, marked `!`, that forbid.
/// A type passes when one permits it and none forbids it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedTypes {
    permit: Vec<MimePattern>,
    forbid: Vec<MimePattern>,
}

/// `type/subtype`, or a whole `type/*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MimePattern(Pattern);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Pattern {
    Exact(MimeType),
    /// Holds `type/`, slash included, so that `image/*` does not match `imagery/x`.
    Whole(String),
}

impl MimePattern {
    /// Reads one; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        match text.strip_suffix("/*") {
            // Parsed with a subtype put in, to have the same rules for what a type's name may hold.
            Some(kind) => MimeType::parse(&format!("{kind}/x"))
                .map(|mime| Self(Pattern::Whole(format!("{}/", mime.top_level())))),
            None if text.contains(['*', ';']) => None,
            None => MimeType::parse(text).map(|mime| Self(Pattern::Exact(mime))),
        }
    }

    /// The one type that matches; `None` for a whole `type/*`.
    pub fn exact(&self) -> Option<&str> {
        match &self.0 {
            Pattern::Exact(mime) => Some(mime.as_str()),
            Pattern::Whole(_) => None,
        }
    }

    /// What every type that matches begins with, the slash included; `None` for a single type.
    pub fn prefix(&self) -> Option<&str> {
        match &self.0 {
            Pattern::Exact(_) => None,
            Pattern::Whole(prefix) => Some(prefix),
        }
    }

    /// Whether types that match can make assets of this type.
    fn may_be(&self, asset_type: AssetType) -> bool {
        match &self.0 {
            Pattern::Exact(mime) => AssetType::of(mime) == asset_type,
            // Documents and others.
            Pattern::Whole(prefix) if prefix == "application/" => {
                matches!(asset_type, AssetType::Document | AssetType::File)
            }
            Pattern::Whole(prefix) => {
                MimeType::parse(&format!("{prefix}x")).is_some_and(|mime| AssetType::of(&mime) == asset_type)
            }
        }
    }

    fn matches(&self, mime: &MimeType) -> bool {
        match &self.0 {
            Pattern::Exact(exact) => exact == mime,
            Pattern::Whole(prefix) => mime.as_str().starts_with(prefix.as_str()),
        }
    }
}

impl fmt::Display for MimePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Pattern::Exact(exact) => exact.fmt(f),
            Pattern::Whole(prefix) => write!(f, "{prefix}*"),
        }
    }
}

impl AllowedTypes {
    /// Reads patterns such as `image/*`, `application/pdf` and `!image/svg+xml`. The error is the first
    /// entry that is no such pattern, or empty text when nothing is permitted at all.
    pub fn parse<'a>(entries: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        let mut allowed = Self { permit: Vec::new(), forbid: Vec::new() };
        for entry in entries {
            let (list, text) = match entry.strip_prefix('!') {
                Some(rest) => (&mut allowed.forbid, rest),
                None => (&mut allowed.permit, entry),
            };
            list.push(MimePattern::parse(text).ok_or_else(|| entry.to_owned())?);
        }
        if allowed.permit.is_empty() { Err(String::new()) } else { Ok(allowed) }
    }

    /// Whether an object of this type may become an asset. `type/*` permits no XML: that must be named.
    pub fn permits(&self, mime: &MimeType) -> bool {
        let names = |pattern: &MimePattern| pattern.exact().is_some() || !mime.is_xml();
        self.permit.iter().any(|pattern| pattern.matches(mime) && names(pattern))
            && !self.forbid.iter().any(|pattern| pattern.matches(mime))
    }

    /// Whether a pattern permits nothing beyond, apart from types that are forbidden one by one.
    pub fn covers(&self, pattern: &MimePattern) -> bool {
        match &pattern.0 {
            Pattern::Exact(mime) => self.permits(mime),
            Pattern::Whole(_) => self.permit.contains(pattern) && !self.forbid.contains(pattern),
        }
    }

    /// What both this and one of the patterns permits.
    pub fn narrowed(&self, patterns: &[MimePattern]) -> Self {
        let (covered, others): (Vec<_>, Vec<_>) = patterns.iter().partition(|pattern| self.covers(pattern));
        let in_others = |pattern: &&MimePattern| match &pattern.0 {
            Pattern::Exact(mime) => !mime.is_xml() && others.iter().any(|other| other.matches(mime)),
            Pattern::Whole(_) => false,
        };
        let named = self.permit.iter().filter(in_others);
        Self { permit: covered.into_iter().chain(named).cloned().collect(), forbid: self.forbid.clone() }
    }

    /// What permits assets of one type: the patterns that permit such types, then those that forbid some of them,
    /// marked `!`. Empty where none is permitted.
    pub fn patterns_of(&self, asset_type: AssetType) -> Vec<String> {
        let permit: Vec<_> = self.permit.iter().filter(|pattern| pattern.may_be(asset_type)).collect();
        // Of a type that is named, what forbids it is known here; of `type/*` what it forbids has to be told.
        let (whole, named): (Vec<_>, Vec<_>) =
            permit.into_iter().partition(|pattern| pattern.exact().is_none());
        let permitted = |pattern: &&MimePattern| match &pattern.0 {
            Pattern::Exact(mime) => self.permits(mime),
            Pattern::Whole(_) => !self.forbid.contains(pattern),
        };
        let named: Vec<_> = named.into_iter().filter(permitted).collect();
        let whole: Vec<_> = whole.into_iter().filter(permitted).collect();
        let narrows = |forbidden: &&MimePattern| match &forbidden.0 {
            Pattern::Exact(mime) => {
                forbidden.may_be(asset_type) && whole.iter().any(|pattern| pattern.matches(mime))
            }
            Pattern::Whole(_) => false,
        };
        let forbid = self.forbid.iter().filter(narrows).map(|pattern| format!("!{pattern}"));
        let permit = whole.iter().chain(&named).map(|pattern| pattern.to_string());
        permit.chain(forbid).collect()
    }

    /// The patterns as configured, permitting ones first.
    pub fn patterns(&self) -> Vec<String> {
        let permit = self.permit.iter().map(MimePattern::to_string);
        permit.chain(self.forbid.iter().map(|pattern| format!("!{pattern}"))).collect()
    }
}
