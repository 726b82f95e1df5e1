//! What a storage error's text means. The bindings give no codes that can be relied on (their variants
//! differ from method to method), so the text is all there is to judge by.

/// What to do about a storage error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outage {
    /// It passes by itself: try again at once.
    Transient,
    /// Storage is overloaded or too slow: answer 503, as a retry would add to it.
    Shed,
    /// Not an outage but a mistake, such as refused SQL.
    Unforeseen,
}

/// From Cloudflare's list of D1 errors: those after which the same transaction may be sent again.
const D1_TRANSIENT: [&str; 4] = [
    "Network connection lost",
    "storage caused object to be reset",
    "reset because its code was updated",
    "Cannot resolve D1 DB due to transient issue",
];

/// Overload, time-outs and exhausted limits: D1 is there, but not for us now.
const D1_SHED: [&str; 7] = [
    "overloaded",
    "Too many requests queued",
    "timed out",
    "timeout",
    "exceeded its memory limit",
    "exceeded its CPU time limit",
    "internal error",
];

/// R2's error codes that pass by themselves: internal error, service unavailable, too many requests.
const R2_TRANSIENT: [&str; 3] = ["(10001)", "(10043)", "(10058)"];

impl Outage {
    /// Judges the text of a D1 error.
    pub fn of_d1(message: &str) -> Self {
        if D1_TRANSIENT.iter().any(|text| message.contains(text)) {
            Self::Transient
        } else if D1_SHED.iter().any(|text| message.contains(text)) {
            Self::Shed
        } else {
            Self::Unforeseen
        }
    }

    /// Judges the text of an R2 error. Whatever R2 says, the object's state is unknown then, so there
    /// is no `Unforeseen`.
    pub fn of_r2(message: &str) -> Self {
        if R2_TRANSIENT.iter().any(|code| message.contains(code)) { Self::Transient } else { Self::Shed }
    }
}

/// How often a storage call is tried at most.
pub const MAX_ATTEMPTS: u32 = 3;

/// Milliseconds to wait before attempt `attempt` (2 is the first retry): full jitter below a ceiling
/// that doubles, 500 and 1000 ms, so at most about 1.5 s in all. `random` is uniform in 0..=u16::MAX.
pub fn backoff_ms(attempt: u32, random: u16) -> u64 {
    let ceiling = 250_u64 << attempt.clamp(1, 3).saturating_sub(1);
    ceiling * u64::from(random) / u64::from(u16::MAX)
}
