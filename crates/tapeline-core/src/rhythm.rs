//! A channel's own rhythm, and whether it has fallen out of it. Pure: it is shown, once in a while, how many messages came
//! and when the last of them did.
//!
//! The usual interval and how far it varies are smoothed as TCP smooths round trips (RFC 6298): what is late is later than
//! the usual interval and four times its variation, and than three times the longest pause of late. An interval counts for
//! no more than what is late by then, so that an outage does not become the rhythm.

use tapeline_schema::events::FreshnessState;

/// Before so many messages there is no rhythm.
const LEARNING: u64 = 5;
/// Nor before it was learned so often.
const LEARNED: u32 = 2;
/// A channel that usually speaks more seldom has no rhythm to speak of.
const SLOWEST_US: u64 = 60_000_000;
/// Nothing is late before this.
const LEAST_US: u64 = 2_000_000;
/// Late, and so many times as late, is stale.
const STALE: u64 = 3;
/// Looks in a row at which the same came again, before that counts as frozen.
const FROZEN_LOOKS: u32 = 10;
/// Messages within them.
const FROZEN_MESSAGES: u64 = 20;

/// What has come since the last look.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Heard {
    /// How many messages.
    pub messages: u64,
    /// When the newest came, by the monotonic clock; of any time if none came.
    pub newest_us: u64,
    /// The longest time between two of them, or before the first.
    pub longest_us: u64,
    /// Whether the data was the same as before, as far as it was compared.
    pub same: bool,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rhythm {
    messages: u64,
    learned: u32,
    newest_us: u64,
    usual_us: u64,
    varies_us: u64,
    /// The longest pause, fading.
    pause_us: u64,
    same_looks: u32,
    same_messages: u64,
}

impl Rhythm {
    /// Takes in what came.
    pub(crate) fn hear(&mut self, heard: Heard) {
        if heard.messages == 0 {
            return;
        }
        if self.messages > 0 {
            let interval_us = heard.newest_us.saturating_sub(self.newest_us) / heard.messages;
            self.learn(interval_us, heard.longest_us);
        }
        if heard.same {
            self.same_looks += 1;
            self.same_messages += heard.messages;
        } else {
            (self.same_looks, self.same_messages) = (0, 0);
        }
        self.messages += heard.messages;
        self.newest_us = heard.newest_us;
    }

    fn learn(&mut self, interval_us: u64, longest_us: u64) {
        let most_us = if self.is_known() { self.late_us() } else { u64::MAX };
        let (interval_us, longest_us) = (interval_us.clamp(1, most_us), longest_us.min(most_us));
        self.pause_us = longest_us.max(self.pause_us - self.pause_us / 8);
        self.learned = self.learned.saturating_add(1);
        if self.learned == 1 {
            (self.usual_us, self.varies_us) = (interval_us, interval_us / 2);
            return;
        }
        let off = interval_us.abs_diff(self.usual_us);
        self.varies_us = (3 * self.varies_us + off) / 4;
        self.usual_us = ((7 * self.usual_us + interval_us) / 8).max(1);
    }

    fn is_known(&self) -> bool {
        self.messages >= LEARNING && self.learned >= LEARNED
    }

    fn late_us(&self) -> u64 {
        let usual_us = self.usual_us.saturating_add(4 * self.varies_us);
        usual_us.max(3 * self.usual_us.max(self.pause_us)).max(LEAST_US)
    }

    /// The usual time between messages in microseconds; 0 while it is not known.
    pub(crate) fn usual_us(&self) -> u64 {
        if self.is_known() { self.usual_us } else { 0 }
    }

    /// How long it has been silent.
    pub(crate) fn age_us(&self, now_us: u64) -> u64 {
        now_us.saturating_sub(self.newest_us)
    }

    /// Silence up to now was no fault: a pause begins here.
    pub(crate) fn excuse(&mut self, now_us: u64) {
        if self.messages > 0 {
            self.newest_us = now_us;
        }
        (self.same_looks, self.same_messages) = (0, 0);
    }

    /// Whether the last look showed the same as the one before: then every message is worth comparing.
    pub(crate) fn repeats(&self) -> bool {
        self.same_looks > 0
    }

    /// How it stands at this time.
    pub(crate) fn state(&self, now_us: u64) -> FreshnessState {
        if !self.is_known() || self.usual_us > SLOWEST_US {
            return FreshnessState::Fresh;
        }
        let late_us = self.late_us();
        match self.age_us(now_us) {
            age if age > STALE * late_us => FreshnessState::Stale,
            age if age > late_us => FreshnessState::Delayed,
            _ if self.same_looks >= FROZEN_LOOKS && self.same_messages >= FROZEN_MESSAGES => {
                FreshnessState::Frozen
            }
            _ => FreshnessState::Fresh,
        }
    }
}

#[cfg(test)]
mod tests {
    use FreshnessState::{Delayed, Fresh, Frozen, Stale};

    use super::*;

    const SECOND: u64 = 1_000_000;

    /// Messages of a channel, looked at once a second.
    #[derive(Default)]
    struct Played {
        rhythm: Rhythm,
        now_us: u64,
        newest_us: u64,
    }

    impl Played {
        /// So many looks, with messages at these moments of each `every` seconds.
        fn go(&mut self, looks: u64, every: u64, moments: &[u64], same: bool) {
            for _ in 0..looks {
                let mut heard = Heard { same, ..Heard::default() };
                let second = self.now_us / SECOND;
                for moment in moments.iter().filter(|moment| second % every == *moment / SECOND) {
                    let at = self.now_us + moment % SECOND;
                    if self.newest_us > 0 {
                        heard.longest_us = heard.longest_us.max(at - self.newest_us);
                    }
                    self.newest_us = at;
                    (heard.messages, heard.newest_us) = (heard.messages + 1, at);
                }
                self.now_us += SECOND;
                self.rhythm.hear(heard);
            }
        }

        fn ten_a_second(&mut self, looks: u64, same: bool) {
            let moments: Vec<u64> = (0..10).map(|n| n * SECOND / 10).collect();
            self.go(looks, 1, &moments, same);
        }

        fn state_in(&self, seconds: u64) -> FreshnessState {
            self.rhythm.state(self.now_us + seconds * SECOND)
        }
    }

    #[test]
    fn what_comes_ten_times_a_second_is_delayed_after_two_seconds_and_stale_after_six() {
        let mut played = Played::default();
        played.ten_a_second(10, false);
        assert_eq!(played.rhythm.usual_us(), SECOND / 10);
        assert_eq!(
            [1, 2, 3, 5, 7].map(|seconds| played.state_in(seconds)),
            [Fresh, Delayed, Delayed, Delayed, Stale]
        );
    }

    #[test]
    fn a_slow_channel_has_more_time_and_a_very_slow_one_all_of_it() {
        let mut played = Played::default();
        played.go(100, 10, &[0], false);
        assert_eq!(played.state_in(15), Fresh);
        assert_eq!(played.state_in(30), Delayed);
        assert_eq!(played.state_in(100), Stale);
        let mut played = Played::default();
        played.go(1_200, 120, &[0], false);
        assert_eq!(played.state_in(10_000), Fresh);
    }

    #[test]
    fn bursts_are_a_rhythm_too() {
        let burst: Vec<u64> = (0..50).collect();
        let mut played = Played::default();
        for _ in 0..60 {
            played.go(1, 10, &burst, false);
            assert_eq!(played.rhythm.state(played.now_us), Fresh, "at {} s", played.now_us / SECOND);
        }
        assert_eq!(played.state_in(200), Stale);
    }

    #[test]
    fn a_channel_without_a_rhythm_is_never_late() {
        let mut played = Played::default();
        assert_eq!(played.state_in(100), Fresh);
        played.ten_a_second(1, false);
        assert_eq!(
            (played.state_in(100), played.rhythm.usual_us()),
            (Fresh, 0),
            "ten at once and never again"
        );
    }

    #[test]
    fn an_outage_does_not_become_the_rhythm() {
        let mut played = Played::default();
        played.ten_a_second(20, false);
        played.go(300, 1, &[], false);
        assert_eq!(played.state_in(0), Stale);
        played.ten_a_second(20, false);
        assert_eq!(played.state_in(0), Fresh);
        assert_eq!(played.state_in(10), Stale, "it drops again");
    }

    #[test]
    fn a_channel_that_slows_down_is_fresh_again_in_time() {
        let mut played = Played::default();
        played.ten_a_second(20, false);
        played.go(300, 10, &[0], false);
        for _ in 0..50 {
            played.go(1, 10, &[0], false);
            assert_eq!(played.state_in(0), Fresh);
        }
    }

    #[test]
    fn a_pause_that_is_excused_is_neither_late_nor_learned() {
        let mut played = Played::default();
        played.ten_a_second(20, false);
        for _ in 0..50_000 {
            played.go(1, 1, &[], false);
            played.rhythm.excuse(played.now_us);
            assert_eq!(played.state_in(0), Fresh);
        }
        assert_eq!(played.rhythm.usual_us(), SECOND / 10);
        assert_eq!((played.state_in(1), played.state_in(7)), (Fresh, Stale), "from the end of the pause on");
    }

    #[test]
    fn the_same_again_and_again_is_frozen_until_something_changes() {
        let mut played = Played::default();
        played.ten_a_second(9, true);
        assert_eq!(played.state_in(0), Fresh);
        played.ten_a_second(1, true);
        assert_eq!(played.state_in(0), Frozen);
        played.ten_a_second(1, false);
        assert_eq!(played.state_in(0), Fresh);
    }
}
