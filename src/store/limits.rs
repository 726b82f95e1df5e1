//! What the limits of a key are compared with: the view `limit_checks`.

use serde::Serialize;

use super::Param;
use crate::domain::media::MimeType;

/// A file that the limits of a key are compared with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct LimitedFile {
    size_bytes: u64,
    /// The patterns that permit its media type.
    mime_types: Vec<String>,
}

impl LimitedFile {
    pub(super) fn new(mime_type: &MimeType, size_bytes: u64) -> Self {
        Self { size_bytes, mime_types: mime_type.patterns() }
    }

    pub(super) fn param(&self) -> Param {
        // Texts and numbers cannot fail to serialize.
        Param::Text(serde_json::to_string(self).unwrap_or_default())
    }
}
