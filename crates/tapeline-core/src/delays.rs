//! How long live messages took from their receipt to the write that carried them. A flush serves many sessions, most of
//! them with the same message, so what is alike is counted together and the clock is read once.

use crate::clock::Now;
use crate::stats::ShardStats;

/// Bits of a lane.
const LANE_BITS: u32 = 2;

/// A message's lane and the time of its receipt in one number, which is quick to compare. Never 0 after 1970.
pub(crate) fn received(lane: usize, received_us: u64) -> u64 {
    (received_us << LANE_BITS) | lane as u64
}

/// Of those who hear a channel, one in so many is timed: enough to know how long they all wait.
const TIMED: usize = 8;

/// Which of so many targets are timed: the first one, and the step to the next. Each has its turn as offsets go on.
pub(crate) fn timed(targets: usize, offset: u64) -> (usize, usize) {
    let turns = targets.clamp(1, TIMED) as u64;
    (usize::try_from(offset % turns).unwrap_or_default(), TIMED)
}

/// What one flush has written and not yet timed.
#[derive(Default)]
pub(crate) struct Delays {
    /// The newest message, and the sessions that it is the oldest of. 0 stands for none, and its count for nothing.
    newest: u64,
    sessions: u64,
    /// Those before.
    others: Vec<(u64, u64)>,
}

impl Delays {
    /// A session's outbox is empty now; this was its oldest live message.
    #[inline]
    pub(crate) fn note(&mut self, oldest: u64) {
        if oldest == self.newest {
            self.sessions += 1;
        } else {
            self.others.push((self.newest, self.sessions));
            (self.newest, self.sessions) = (oldest, 1);
        }
    }

    /// Times all of them by the end of the flush: the last written is exact, the others a little too long.
    pub(crate) fn count(&mut self, stats: &ShardStats, now: impl FnOnce() -> Now) {
        let newest = (std::mem::take(&mut self.newest), std::mem::take(&mut self.sessions));
        if newest.0 == 0 && self.others.is_empty() {
            return;
        }
        let now = now();
        for (message, sessions) in self.others.drain(..).chain([newest]).filter(|(message, _)| *message > 0) {
            let lane = usize::try_from(message & ((1 << LANE_BITS) - 1)).unwrap_or_default();
            stats.count_delay(lane, now.wall_us.saturating_sub(message >> LANE_BITS), sessions);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_of_a_few_has_its_turn_and_of_many_each_eighth() {
        let timed_of = |targets: usize, offset: u64| -> Vec<usize> {
            let (first, step) = timed(targets, offset);
            (0..targets).skip(first).step_by(step).collect()
        };
        assert_eq!([1, 2, 3, 4].map(|offset| timed_of(1, offset)), [[0], [0], [0], [0]]);
        assert_eq!([1, 2, 3, 4].map(|offset| timed_of(3, offset)), [[1], [2], [0], [1]]);
        assert_eq!(timed_of(20, 9), [1, 9, 17]);
    }

    #[test]
    fn each_session_is_timed_once_in_the_lane_of_its_oldest_message() {
        let (stats, mut delays) = (ShardStats::default(), Delays::default());
        let [critical, low] = [received(0, 1_000), received(3, 1_000)];
        for oldest in [0, critical, critical, low, 0, critical] {
            delays.note(oldest);
        }
        let now = || Now { mono_us: 0, wall_us: 1_090 };
        delays.count(&stats, now);
        delays.count(&stats, || unreachable!("there is nothing left to time"));
        let counted = |lane: usize| stats.delays[lane].buckets();
        assert_eq!((counted(0)[0], counted(3)[0], stats.delays[0].sum_us()), (3, 1, 270));
        assert_eq!(counted(1).iter().sum::<u64>(), 0);
    }
}
