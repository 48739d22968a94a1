//! Dice from a seed: SplitMix64, so that a seed gives the same market, and the same waits, on every machine and release.

use std::time::Duration;

/// A seeded sequence of numbers; <https://prng.di.unimi.it/splitmix64.c>.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Random(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number in `from..=to`.
    pub(crate) fn between(&mut self, from: i64, to: i64) -> i64 {
        let span = to.saturating_sub(from).max(0).unsigned_abs();
        let offset = self.next() % span.saturating_add(1);
        from.saturating_add(i64::try_from(offset).unwrap_or_default())
    }

    /// A number around 0, at most `reach` from it, the farther the rarer.
    pub(crate) fn around_zero(&mut self, reach: i64) -> i64 {
        (0..4).map(|_| self.between(-reach, reach)).sum::<i64>() / 4
    }

    /// Whether something that happens in `percent` of cases happens.
    pub(crate) fn chance(&mut self, percent: i64) -> bool {
        self.between(1, 100) <= percent
    }

    /// A fraction in `0.0..=1.0`.
    pub(crate) fn fraction(&mut self) -> f64 {
        // A fraction of 2^32 is fine enough for seconds.
        f64::from(u32::try_from(self.next() >> 32).unwrap_or_default()) / f64::from(u32::MAX)
    }

    /// A duration between half and one and a half of `mean`.
    pub(crate) fn jitter(&mut self, mean: Duration) -> Duration {
        let half = mean / 2;
        half + self.up_to(mean)
    }

    /// A duration of at most `most`.
    pub(crate) fn up_to(&mut self, most: Duration) -> Duration {
        let micros = i64::try_from(most.as_micros()).unwrap_or(i64::MAX);
        Duration::from_micros(self.between(0, micros).unsigned_abs())
    }

    /// One of `choices`; the first of none is the default.
    pub(crate) fn pick<T: Copy + Default>(&mut self, choices: &[T]) -> T {
        let last = i64::try_from(choices.len()).unwrap_or(i64::MAX) - 1;
        let at = usize::try_from(self.between(0, last)).unwrap_or_default();
        choices.get(at).copied().unwrap_or_default()
    }
}
