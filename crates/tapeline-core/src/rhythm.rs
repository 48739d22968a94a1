//! A channel's own rhythm, and whether it has fallen out of it. Pure: it is shown, once in a while, how many messages came
//! and when the last of them did.
//!
//! The usual interval and how far it varies are smoothed as TCP smooths round trips (RFC 6298): what is late is later than
//! the usual interval and four times its variation.

use tapeline_schema::events::FreshnessState;

/// Before so many messages there is no rhythm.
const LEARNING: u64 = 5;
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
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heard {
    /// How many messages.
    pub messages: u64,
    /// When the newest came, by the monotonic clock; of any time if none came.
    pub newest_us: u64,
    /// Whether the data was the same as before, as far as it was compared.
    pub same: bool,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rhythm {
    messages: u64,
    newest_us: u64,
    usual_us: u64,
    varies_us: u64,
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
            self.learn(heard.newest_us.saturating_sub(self.newest_us) / heard.messages);
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

    fn learn(&mut self, interval_us: u64) {
        if self.usual_us == 0 {
            (self.usual_us, self.varies_us) = (interval_us.max(1), interval_us / 2);
            return;
        }
        let off = interval_us.abs_diff(self.usual_us);
        self.varies_us = (3 * self.varies_us + off) / 4;
        self.usual_us = ((7 * self.usual_us + interval_us) / 8).max(1);
    }

    /// The usual time between messages in microseconds; 0 while it is not known.
    pub(crate) fn usual_us(&self) -> u64 {
        if self.messages >= LEARNING { self.usual_us } else { 0 }
    }

    /// How long it has been silent.
    pub(crate) fn age_us(&self, now_us: u64) -> u64 {
        now_us.saturating_sub(self.newest_us)
    }

    /// How it stands at this time.
    pub(crate) fn state(&self, now_us: u64) -> FreshnessState {
        if self.messages < LEARNING || self.usual_us > SLOWEST_US {
            return FreshnessState::Fresh;
        }
        let late_us = (self.usual_us + 4 * self.varies_us).max(3 * self.usual_us).max(LEAST_US);
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

    /// Messages at this interval for so many looks, a second apart; answers the time of the last look.
    fn play(rhythm: &mut Rhythm, interval_us: u64, looks: u64, from_us: u64, same: bool) -> u64 {
        let mut next = from_us + interval_us;
        for look in 1..=looks {
            let (until, mut messages, mut newest_us) = (from_us + look * SECOND, 0, 0);
            while next <= until {
                (messages, newest_us, next) = (messages + 1, next, next + interval_us);
            }
            rhythm.hear(Heard { messages, newest_us, same });
        }
        from_us + looks * SECOND
    }

    #[test]
    fn what_comes_ten_times_a_second_is_delayed_after_two_seconds_and_stale_after_six() {
        let mut rhythm = Rhythm::default();
        let end = play(&mut rhythm, SECOND / 10, 10, 0, false);
        assert_eq!(rhythm.usual_us(), SECOND / 10);
        let states = [1, 2, 3, 6, 7].map(|seconds| rhythm.state(end + seconds * SECOND));
        assert_eq!(states, [Fresh, Fresh, Delayed, Delayed, Stale]);
    }

    #[test]
    fn a_slow_channel_has_more_time_and_a_very_slow_one_all_of_it() {
        let mut rhythm = Rhythm::default();
        let end = play(&mut rhythm, 10 * SECOND, 100, 0, false);
        assert_eq!(rhythm.state(end + 25 * SECOND), Fresh);
        assert_eq!(rhythm.state(end + 40 * SECOND), Delayed);
        assert_eq!(rhythm.state(end + 100 * SECOND), Stale);
        let mut rhythm = Rhythm::default();
        let end = play(&mut rhythm, 120 * SECOND, 1_200, 0, false);
        assert_eq!(rhythm.state(end + 10_000 * SECOND), Fresh);
    }

    #[test]
    fn a_channel_without_a_rhythm_is_never_late() {
        let mut rhythm = Rhythm::default();
        assert_eq!(rhythm.state(100 * SECOND), Fresh);
        rhythm.hear(Heard { messages: 4, newest_us: SECOND, same: false });
        assert_eq!((rhythm.state(100 * SECOND), rhythm.usual_us()), (Fresh, 0));
    }

    #[test]
    fn the_same_again_and_again_is_frozen_until_something_changes() {
        let mut rhythm = Rhythm::default();
        let end = play(&mut rhythm, SECOND / 10, 9, 0, true);
        assert_eq!(rhythm.state(end), Fresh);
        let end = play(&mut rhythm, SECOND / 10, 1, end, true);
        assert_eq!(rhythm.state(end), Frozen);
        let end = play(&mut rhythm, SECOND / 10, 1, end, false);
        assert_eq!(rhythm.state(end), Fresh);
    }

    #[test]
    fn one_that_speaks_again_is_fresh_at_once() {
        let mut rhythm = Rhythm::default();
        let end = play(&mut rhythm, SECOND / 10, 10, 0, false) + 60 * SECOND;
        assert_eq!(rhythm.state(end), Stale);
        rhythm.hear(Heard { messages: 1, newest_us: end, same: false });
        assert_eq!(rhythm.state(end), Fresh);
    }
}
