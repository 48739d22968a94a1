//! The venue's own words as they go into logs and alerts: cut, and its complaints about a connection at most once a
//! second, with how many they stand for. It does not know what they mean.

use tapeline_core::Now;

/// Bytes of the venue's words that are shown.
const SHOWN_BYTES: usize = 200;
/// The time between two complaints that are shown.
const PAUSE_US: u64 = 1_000_000;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Complaints {
    shown_us: Option<u64>,
    /// Since the last one that was shown.
    count: u64,
}

impl Complaints {
    /// One more. If it is to be shown, how many it stands for.
    pub(super) fn take(&mut self, now: Now) -> Option<u64> {
        self.count += 1;
        if self.shown_us.is_some_and(|shown_us| now.mono_us.saturating_sub(shown_us) < PAUSE_US) {
            return None;
        }
        self.shown_us = Some(now.mono_us);
        Some(std::mem::take(&mut self.count))
    }
}

/// The beginning of the venue's words.
pub(super) fn cut(words: &str) -> &str {
    words.get(..words.floor_char_boundary(SHOWN_BYTES)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complaints_are_shown_once_a_second_and_counted() {
        let mut complaints = Complaints::default();
        let shown: Vec<_> = (0..25)
            .filter_map(|tenth| complaints.take(Now { mono_us: tenth * 100_000, wall_us: 0 }))
            .collect();
        assert_eq!(shown, [1, 10, 10]);
    }

    #[test]
    fn long_words_are_cut_between_characters() {
        assert_eq!(cut("Exceeded msg rate"), "Exceeded msg rate");
        assert_eq!(cut(&"é".repeat(1_000)).len(), 200);
        assert_eq!(cut(&format!("x{}", "é".repeat(1_000))).len(), 199);
    }
}
