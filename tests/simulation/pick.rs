//! The smaller choices of a schedule, drawn at random: how often each comes.

use asset_uploads::domain::api_key::Scope;

use crate::choices::FIRST_KEYS;
use crate::draw::Draw;
use crate::schedule::{
    Fault, FolderNamed, HandMade, Named, Orphans, PartsNamed, Receiver, Tampering, UserChange, Wait,
};

/// Mostly one of the newest.
pub(crate) fn upload(draw: &mut Draw) -> u8 {
    match draw.below(9) {
        0..5 => 0,
        5..8 => 1,
        _ => draw.within(2..6),
    }
}

/// Mostly one of the newest.
pub(crate) fn folder(draw: &mut Draw) -> u8 {
    match draw.below(10) {
        0..4 => 0,
        4..7 => 1,
        _ => draw.within(2..7),
    }
}

pub(crate) fn folder_named(draw: &mut Draw) -> FolderNamed {
    match draw.below(19) {
        0..6 => FolderNamed::Nothing,
        6..18 => FolderNamed::Folder(folder(draw)),
        _ => draw.one(&[FolderNamed::Unknown, FolderNamed::NoUuid, FolderNamed::NoJson]),
    }
}

/// Mostly a valid one.
pub(crate) fn name(draw: &mut Draw) -> u8 {
    if draw.below(13) < 12 { draw.within(0..4) } else { 4 }
}

pub(crate) fn file(draw: &mut Draw) -> u8 {
    match draw.below(16) {
        0..6 => 0,
        6..9 => 1,
        9..11 => 2,
        11..14 => 6,
        14 => 7,
        _ => draw.within(3..6),
    }
}

pub(crate) fn key(draw: &mut Draw) -> Option<u8> {
    draw.one(&[None, None, Some(0), Some(0), Some(0), Some(0), Some(1)])
}

pub(crate) fn named(draw: &mut Draw) -> Named {
    match draw.below(12) {
        0..8 => Named::Nothing,
        8..11 => Named::Acme,
        _ => draw.one(&[Named::Other, Named::Unknown, Named::Malformed]),
    }
}

/// Mostly Edith, sometimes with her second key, or Emil; sometimes anybody, or whoever has a key that was made.
pub(crate) fn client(draw: &mut Draw) -> u8 {
    match draw.below(30) {
        0..10 => 0,
        10..12 => 1,
        12..16 => 2,
        16..19 => draw.within(3..FIRST_KEYS),
        _ => made_key(draw),
    }
}

pub(crate) fn fault(draw: &mut Draw) -> Fault {
    draw.one(&[
        Fault::LostBefore,
        Fault::LostAfter,
        Fault::Overloaded,
        Fault::HangsBefore,
        Fault::HangsAfter,
        Fault::HangsLate,
    ])
}

/// Mostly of the first call that is carried out; the sweeper makes a dozen.
pub(crate) fn fault_of_step(draw: &mut Draw) -> Option<(u8, Fault)> {
    draw.maybe(17, |draw| (if draw.chance(67) { 0 } else { draw.within(1..12) }, fault(draw)))
}

pub(crate) fn wait(draw: &mut Draw) -> Wait {
    match draw.below(15) {
        14 => Wait::TwoMinutes,
        0..6 => Wait::Second,
        6..10 => Wait::FiveMinutes,
        10..12 => draw.one(&[Wait::SixteenMinutes, Wait::AnHour, Wait::AlmostADay]),
        _ => draw.one(&[Wait::ADay, Wait::EightDays, Wait::AMonth]),
    }
}

/// Mostly up.
pub(crate) fn receiver(draw: &mut Draw) -> Receiver {
    draw.one(&[
        Receiver::Up,
        Receiver::Up,
        Receiver::Up,
        Receiver::Wavering,
        Receiver::Failing,
        Receiver::Failing,
        Receiver::Gone,
        Receiver::Mute,
        Receiver::Forbidden,
    ])
}

pub(crate) fn orphans(draw: &mut Draw) -> Orphans {
    if draw.below(7) < 6 { Orphans::Few } else { draw.one(&[Orphans::All, Orphans::None]) }
}

pub(crate) fn hand_made(draw: &mut Draw) -> HandMade {
    draw.one(&[
        HandMade::AsDeclared,
        HandMade::Empty,
        HandMade::TooLarge,
        HandMade::OtherSize,
        HandMade::OtherType,
        HandMade::Forbidden,
        HandMade::Untyped,
        HandMade::CustomerKey,
    ])
}

pub(crate) fn tampering(draw: &mut Draw) -> Tampering {
    draw.one(&[Tampering::Length, Tampering::Type, Tampering::Name, Tampering::Overwrite])
}

/// Mostly back to what lets a user act.
pub(crate) fn user_change(draw: &mut Draw) -> UserChange {
    draw.one(&[
        UserChange::Disable,
        UserChange::Enable,
        UserChange::Unverify,
        UserChange::Verify,
        UserChange::Leave,
        UserChange::WithoutRole,
        UserChange::Viewer,
        UserChange::Owner,
        UserChange::Editor,
        UserChange::Editor,
        UserChange::Editor,
    ])
}

pub(crate) fn scope(draw: &mut Draw) -> Scope {
    draw.one(&[Scope::Upload, Scope::Upload, Scope::Upload, Scope::Full, Scope::Full, Scope::Read])
}

pub(crate) fn max_uploads(draw: &mut Draw, scope: Scope) -> Option<u8> {
    if scope == Scope::Upload { draw.one(&[None, Some(1), Some(1), Some(1), Some(2), Some(3)]) } else { None }
}

/// Mostly the newest.
pub(crate) fn made_key(draw: &mut Draw) -> u8 {
    FIRST_KEYS + if draw.chance(60) { 0 } else { draw.within(1..4) }
}

/// Mostly all.
pub(crate) fn parts(draw: &mut Draw) -> PartsNamed {
    if draw.chance(75) {
        return PartsNamed::All;
    }
    draw.one(&[
        PartsNamed::First,
        PartsNamed::First,
        PartsNamed::Second,
        PartsNamed::Repeated,
        PartsNamed::OneTooMany,
        PartsNamed::Nothing,
        PartsNamed::NoJson,
    ])
}
