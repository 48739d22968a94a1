//! Whether a connection lives: every frame counts, of whatever kind. After some quiet the venue is asked for a sign of
//! life; without one the connection is given up. Only the monotonic clock counts, and a machine that slept asks before
//! it gives up.

use std::time::Duration;

use tapeline_core::Now;
use tapeline_core::clock::micros;

/// What the quiet asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quiet {
    /// Nothing, until then by the monotonic clock.
    Until(u64),
    /// Ask for a sign of life.
    Ask,
    /// The connection is dead, after so long.
    Dead(Duration),
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Watchdog {
    heard_us: u64,
    asked_us: Option<u64>,
}

impl Watchdog {
    pub(super) fn on_frame(&mut self, now: Now) {
        *self = Watchdog { heard_us: now.mono_us, asked_us: None };
    }

    /// What to do now, for this patience before asking and with the answer.
    pub(super) fn look(&mut self, now: Now, idle: Duration, pong: Duration) -> Quiet {
        let due_us = match self.asked_us {
            None => self.heard_us.saturating_add(micros(idle)),
            Some(asked_us) => asked_us.saturating_add(micros(pong)),
        };
        if now.mono_us < due_us {
            return Quiet::Until(due_us);
        }
        if self.asked_us.is_some() {
            return Quiet::Dead(now.since(self.heard_us));
        }
        self.asked_us = Some(now.mono_us);
        Quiet::Ask
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: Duration = Duration::from_secs(5);

    fn at(seconds: u64) -> Now {
        Now { mono_us: seconds * 1_000_000, wall_us: 0 }
    }

    #[test]
    fn quiet_is_asked_about_before_it_is_death() {
        let mut watchdog = Watchdog::default();
        watchdog.on_frame(at(1));
        assert_eq!(watchdog.look(at(5), IDLE, IDLE), Quiet::Until(6_000_000));
        assert_eq!(watchdog.look(at(6), IDLE, IDLE), Quiet::Ask);
        assert_eq!(watchdog.look(at(10), IDLE, IDLE), Quiet::Until(11_000_000));
        assert_eq!(watchdog.look(at(11), IDLE, IDLE), Quiet::Dead(Duration::from_secs(10)));
    }

    #[test]
    fn any_frame_is_a_sign_of_life() {
        let mut watchdog = Watchdog::default();
        watchdog.on_frame(at(1));
        assert_eq!(watchdog.look(at(6), IDLE, IDLE), Quiet::Ask);
        watchdog.on_frame(at(10));
        assert_eq!(watchdog.look(at(11), IDLE, IDLE), Quiet::Until(15_000_000));
    }

    #[test]
    fn a_machine_that_slept_for_a_day_asks_first() {
        let mut watchdog = Watchdog::default();
        watchdog.on_frame(at(1));
        assert_eq!(watchdog.look(at(86_400), IDLE, IDLE), Quiet::Ask);
        assert_eq!(watchdog.look(at(86_404), IDLE, IDLE), Quiet::Until(86_405_000_000));
    }
}
