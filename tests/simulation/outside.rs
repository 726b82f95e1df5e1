//! What a simulation's surroundings do: storage calls that fail, receivers of webhooks, and time that passes.

use serde::{Deserialize, Serialize};

/// What a webhook's receiver answers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) enum Receiver {
    Up,
    /// 500 the next time, then 200, and so on.
    Wavering,
    /// 200 the next time.
    WaveringUp,
    Failing,
    /// What is sent never arrives.
    Gone,
    /// It gets what is sent, and the answer is lost.
    Mute,
    /// The platform sends nothing more.
    Forbidden,
}

/// What happens to one storage call.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) enum Fault {
    /// The connection is lost before the call arrives.
    LostBefore,
    /// The call is carried out, then the connection is lost.
    LostAfter,
    /// Storage is overloaded and does nothing.
    Overloaded,
    /// No answer ever comes, and the call is never carried out.
    HangsBefore,
    /// No answer ever comes, though the call is carried out at once.
    HangsAfter,
    /// No answer ever comes, and the call is carried out later, if at all.
    HangsLate,
}

/// How long to wait.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) enum Wait {
    Second,
    /// Longer than a webhook may be held for delivery.
    TwoMinutes,
    FiveMinutes,
    SixteenMinutes,
    AnHour,
    AlmostADay,
    ADay,
    EightDays,
    AMonth,
}

impl Wait {
    pub(crate) fn seconds(self) -> u64 {
        match self {
            Self::Second => 1,
            Self::TwoMinutes => 120,
            Self::FiveMinutes => 300,
            Self::SixteenMinutes => 960,
            Self::AnHour => 3_600,
            // A minute before the deadline of what was started before it.
            Self::AlmostADay => 86_340,
            Self::ADay => 86_400,
            Self::EightDays => 8 * 86_400,
            Self::AMonth => 30 * 86_400,
        }
    }
}
