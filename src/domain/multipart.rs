//! Uploads in parts: how a file is divided, and which parts a request may name.

use crate::error::FieldError;

/// The smallest part that R2 takes, but for the last one: 5 MiB.
pub const MIN_PART_BYTES: u64 = 5 * 1024 * 1024;
/// The largest part: 5 GiB.
pub const MAX_PART_BYTES: u64 = 5 * 1024 * 1024 * 1024;
/// As many parts as a file may have.
pub const MAX_PARTS: u64 = 10_000;

/// How a file is divided: into parts of equal size, of which the last may be smaller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Division {
    size_bytes: u64,
    /// Bytes of every part but the last.
    pub part_size: u64,
    /// How many parts there are, 1 to [`MAX_PARTS`].
    pub part_count: u64,
}

impl Division {
    /// Divides a file of `size_bytes`, at least 1, into parts of `least` bytes, or twice that, and so on: the first size
    /// with which [`MAX_PARTS`] suffice.
    pub fn of(size_bytes: u64, least: u64) -> Self {
        let mut part_size = least.max(1);
        while size_bytes.div_ceil(part_size) > MAX_PARTS {
            part_size = part_size.saturating_mul(2);
        }
        Self::stored(size_bytes, part_size)
    }

    /// The division of a file that was divided before.
    pub fn stored(size_bytes: u64, part_size: u64) -> Self {
        let part_size = part_size.max(1);
        Self { size_bytes, part_size, part_count: size_bytes.div_ceil(part_size) }
    }

    /// Bytes of the part with this number, the first being 1; `None` where there is no such part.
    pub fn size_of(&self, part_number: u64) -> Option<u64> {
        let before = part_number.checked_sub(1)?.checked_mul(self.part_size)?;
        self.size_bytes.checked_sub(before).filter(|rest| *rest > 0).map(|rest| rest.min(self.part_size))
    }

    /// The error of part numbers that are not the file's: some do not exist, or stand twice.
    pub fn check_numbers(&self, part_numbers: &[u64]) -> Option<FieldError> {
        let error = |kind, msg: String| Some(FieldError::new(&["body", "part_numbers"], kind, msg));
        if part_numbers.iter().any(|number| !(1..=self.part_count).contains(number)) {
            return error(
                "out_of_range",
                format!("This upload has the parts 1 to {}; name no others.", self.part_count),
            );
        }
        let mut sorted = part_numbers.to_vec();
        sorted.sort_unstable();
        let repeated = sorted.windows(2).any(|pair| matches!(pair, [one, next] if one == next));
        repeated.then(|| error("repeated", "Name each part once.".to_owned())).flatten()
    }

    /// The error of a list of parts that is not all of the file's, in order, each once.
    pub fn check_complete(&self, parts: &[CompletedPart]) -> Option<FieldError> {
        let complete = (1..=self.part_count).eq(parts.iter().map(|part| part.part_number));
        let msg = format!("Must be all parts from 1 to {}, in this order, each once.", self.part_count);
        (!complete).then(|| FieldError::new(&["body", "parts"], "parts_incomplete", msg))
    }
}

/// A part that is in storage, as the client names it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CompletedPart {
    /// Its number, the first being 1.
    pub part_number: u64,
    /// The ETag that storage answered its PUT with, without quotes.
    pub etag: String,
}

/// What storage made of the parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Completion {
    /// They are one object now.
    Completed,
    /// It does not have these parts. They stay as they are.
    Rejected,
    /// It has no such multipart upload: it was completed before, or aborted.
    NoSuchUpload,
}
