//! Points in time.

use chrono::{DateTime, SecondsFormat};
use serde::{Deserialize, Serialize, Serializer, ser::Error};

/// Milliseconds since the Unix epoch, UTC. Serializes as RFC 3339 with milliseconds and `Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(transparent)]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema), schemars(inline))]
pub struct Timestamp(
    #[cfg_attr(not(target_arch = "wasm32"), schemars(with = "String", extend("format" = "date-time")))]
    pub  i64,
);

impl Timestamp {
    /// Reads RFC 3339, such as `2026-11-22T12:51:07.042Z`. Fractions of a millisecond are rounded up: of stored times,
    /// the same lie before it.
    pub fn from_rfc3339(text: &str) -> Option<Self> {
        let time = DateTime::parse_from_rfc3339(text).ok()?;
        let fraction = i64::from(time.timestamp_subsec_nanos() % 1_000_000 != 0);
        time.timestamp_millis().checked_add(fraction).map(Self)
    }

    /// Milliseconds since the Unix epoch, never negative.
    pub fn unix_ms(self) -> u64 {
        u64::try_from(self.0).unwrap_or_default()
    }

    /// Whole seconds since the Unix epoch.
    pub fn unix_seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// The beginning of this second.
    #[must_use]
    pub fn whole_second(self) -> Self {
        Self(self.0 - self.0.rem_euclid(1000))
    }

    /// Milliseconds from here to there; 0 when that lies in the past.
    pub fn elapsed_ms(self, then: Self) -> u64 {
        u64::try_from(then.0.saturating_sub(self.0)).unwrap_or_default()
    }

    /// Whole seconds from here to there; 0 when that lies in the past.
    pub fn seconds_until(self, then: Self) -> u64 {
        u64::try_from(then.0.saturating_sub(self.0) / 1000).unwrap_or_default()
    }

    /// The time so many seconds later.
    #[must_use]
    pub fn plus_seconds(self, seconds: u64) -> Self {
        Self(self.0.saturating_add(i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1000)))
    }

    /// The time so many milliseconds later.
    #[must_use]
    pub fn plus_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_add(i64::try_from(ms).unwrap_or(i64::MAX)))
    }

    /// The time so many seconds earlier.
    #[must_use]
    pub fn minus_seconds(self, seconds: u64) -> Self {
        Self(self.0.saturating_sub(i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1000)))
    }

    /// `2026-11-22T12:51:07.042Z`; `None` outside the years 0 to 9999, which RFC 3339 cannot write.
    pub fn to_rfc3339(self) -> Option<String> {
        let text = DateTime::from_timestamp_millis(self.0)?.to_rfc3339_opts(SecondsFormat::Millis, true);
        (text.len() == "2026-11-22T12:51:07.042Z".len()).then_some(text)
    }

    /// `20261122T125107Z`, the basic format of ISO 8601 to the second; `None` as for RFC 3339.
    pub fn basic(self) -> Option<String> {
        let text = self.to_rfc3339()?;
        let seconds = text.split('.').next()?;
        Some(seconds.chars().filter(char::is_ascii_alphanumeric).chain(['Z']).collect())
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = self.to_rfc3339().ok_or_else(|| S::Error::custom("time out of range"))?;
        serializer.serialize_str(&text)
    }
}
