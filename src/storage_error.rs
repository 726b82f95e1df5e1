//! What an error of D1 or R2 means. The bindings give no codes that can be relied on (their variants differ from
//! method to method), so the text decides.

use crate::domain::multipart::Completion;
use crate::error::ApiError;

/// What to do about a storage error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StorageErrorKind {
    /// Transient: retry the call.
    Transient,
    /// Storage is overloaded, too slow or not permitted: answer 503, since a retry would add load.
    Overloaded,
    /// A mistake, such as SQL that D1 rejects.
    Unexpected,
}

/// A storage call that failed, its repeats included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StorageError {
    /// What to do about it.
    pub kind: StorageErrorKind,
    /// Text for the log, which begins with the storage's name: `D1: Network connection lost`.
    pub message: String,
}

impl From<StorageError> for ApiError {
    fn from(error: StorageError) -> Self {
        match error.kind {
            StorageErrorKind::Transient | StorageErrorKind::Overloaded => Self::unavailable(error.message),
            StorageErrorKind::Unexpected => Self::Internal(error.message),
        }
    }
}

/// From Cloudflare's list of D1 errors: those after which the same transaction may be sent again.
const D1_TRANSIENT: [&str; 4] = [
    "Network connection lost",
    "storage caused object to be reset",
    "reset because its code was updated",
    "Cannot resolve D1 DB due to transient issue",
];

/// Overload, time-outs and exhausted limits.
const D1_OVERLOADED: [&str; 7] = [
    "overloaded",
    "Too many requests queued",
    "timed out",
    "timeout",
    "exceeded its memory limit",
    "exceeded its CPU time limit",
    "internal error",
];

/// R2's error of a multipart upload that does not exist, or no longer.
const NO_SUCH_UPLOAD: &str = "(10024)";

/// R2's errors of parts that cannot be put together: one that it does not have (10025), that is smaller than 5 MiB
/// (10011), too large (100100), or of another size than the others (10048), or no ETag (10029).
const R2_INVALID_PARTS: [&str; 5] = ["(10025)", "(10011)", "(100100)", "(10048)", "(10029)"];

/// R2's error codes that no repeat changes, of those that our calls can meet: credentials (10002, 10003, 10042), a bucket
/// or key that cannot be (10005, 10006, 10020), what R2 forbids (10031, 10037) and a locked object (10069), a multipart
/// upload that does not exist, and a binding that is not there. From Cloudflare's list of R2's error codes.
const R2_PERMANENT: [&str; 11] = [
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
    NO_SUCH_UPLOAD,
];

impl StorageErrorKind {
    /// Of a D1 error with this text.
    pub fn of_d1(message: &str) -> Self {
        if D1_TRANSIENT.iter().any(|text| message.contains(text)) {
            Self::Transient
        } else if D1_OVERLOADED.iter().any(|text| message.contains(text)) {
            Self::Overloaded
        } else {
            Self::Unexpected
        }
    }

    /// Of an R2 error with this text. Every call is safe to repeat, and a lost connection has no code: so whatever is not
    /// known to last is repeated. The object's state is unknown after any error, so there is no
    /// `Unexpected`.
    pub fn of_r2(message: &str) -> Self {
        let permanent = R2_PERMANENT.iter().chain(&R2_INVALID_PARTS).any(|code| message.contains(code));
        if permanent { Self::Overloaded } else { Self::Transient }
    }
}

impl StorageError {
    /// Whether R2 has no such multipart upload.
    pub fn is_no_such_upload(&self) -> bool {
        self.message.contains(NO_SUCH_UPLOAD)
    }

    /// What the failure to complete a multipart upload means.
    ///
    /// # Errors
    /// This error, where R2 did not decide.
    pub fn into_completion(self) -> Result<Completion, Self> {
        if self.is_no_such_upload() {
            Ok(Completion::NoSuchUpload)
        } else if R2_INVALID_PARTS.iter().any(|code| self.message.contains(code)) {
            Ok(Completion::Rejected)
        } else {
            Err(self)
        }
    }
}

/// How often a storage call is made at most.
pub const MAX_CALLS: u32 = 3;

/// Milliseconds to wait before call number `call` (2 is the first repeat): full jitter below a ceiling that doubles,
/// 500 and 1000 ms, so at most about 1.5 s in all. `random` is uniform in 0..=u16::MAX.
pub fn backoff_ms(call: u32, random: u16) -> u64 {
    let ceiling = 250_u64 << call.clamp(1, 3).saturating_sub(1);
    ceiling * u64::from(random) / u64::from(u16::MAX)
}
