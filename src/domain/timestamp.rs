//! Points in time.

use chrono::{DateTime, SecondsFormat};
use serde::{Deserialize, Serialize, Serializer, ser::Error};

/// Milliseconds since the Unix epoch, UTC. Serializes as RFC 3339 with milliseconds and `Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// `2026-11-22T12:51:07.042Z`; `None` outside the years 0 to 9999, which RFC 3339 cannot write.
    pub fn to_rfc3339(self) -> Option<String> {
        let text = DateTime::from_timestamp_millis(self.0)?.to_rfc3339_opts(SecondsFormat::Millis, true);
        (text.len() == "2026-11-22T12:51:07.042Z".len()).then_some(text)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = self.to_rfc3339().ok_or_else(|| S::Error::custom("time out of range"))?;
        serializer.serialize_str(&text)
    }
}
