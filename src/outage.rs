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

/// R2's error codes that no repeat changes, of those that a HEAD, a list or a delete can meet: credentials
/// (10002, 10003, 10042), a bucket or key that cannot be (10005, 10006, 10020), what R2 forbids (10031, 10037)
/// and a locked object (10069), and a binding that is not there. From Cloudflare's list of R2's error codes.
const R2_PERMANENT: [&str; 10] = [
    "no binding",
    "(10002)",
    "(10003)",
    "(10005)",
    "(10006)",
    "(10020)",
    "(10031)",
    "(10037)",
    "(10042)",
    "(10069)",
];

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

    /// Judges the text of an R2 error. HEAD, list and delete are safe to repeat, and a lost connection has no
    /// code: so whatever is not known to last is tried again. The object's state is unknown after any error,
    /// so there is no `Unforeseen`.
    pub fn of_r2(message: &str) -> Self {
        if R2_PERMANENT.iter().any(|code| message.contains(code)) { Self::Shed } else { Self::Transient }
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
