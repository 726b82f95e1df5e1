//! Random choices that follow from a seed. By hand, because proptest takes longer to make a schedule than it takes to
//! play it.

use std::ops::Range;

/// Random numbers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Draw(u64);

impl Draw {
    pub(crate) fn new(seed: u64) -> Self {
        Self(mix(seed))
    }

    /// SplitMix64: every number once.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// One less than `n`.
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.next() % n.max(1)
    }

    /// One of a range.
    pub(crate) fn within(&mut self, range: Range<u8>) -> u8 {
        let length = range.end.saturating_sub(range.start);
        range.start + u8::try_from(self.below(length.into())).unwrap_or_default()
    }

    /// True in so many of a hundred cases.
    pub(crate) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub(crate) fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[usize::try_from(self.below(of.len() as u64)).unwrap_or_default()]
    }

    /// Something in so many of a hundred cases, else nothing.
    pub(crate) fn maybe<T>(&mut self, percent: u64, some: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.chance(percent).then(|| some(self))
    }
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
