//! Randomness for waits, from the operating system.

use std::hash::{BuildHasher, RandomState};

/// A fraction in `0.0..=1.0` from the operating system's randomness.
pub fn random_fraction() -> f64 {
    let random = RandomState::new().hash_one(0_u8);
    // A fraction of 2^32 is fine enough for seconds.
    f64::from(u32::try_from(random >> 32).unwrap_or_default()) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_fractions_spread_over_the_whole_range() {
        let drawn: Vec<_> = (0..400).map(|_| random_fraction()).collect();
        assert!(drawn.iter().all(|fraction| (0.0..=1.0).contains(fraction)));
        let mean = drawn.iter().sum::<f64>() / 400.0;
        assert!((0.4..0.6).contains(&mean), "{mean}");
        assert!(drawn.iter().any(|fraction| *fraction < 0.1) && drawn.iter().any(|fraction| *fraction > 0.9));
    }
}
