//! Whether a measure is out of bounds, said once when it begins and once when it is over. Pure: it is shown the
//! measure once in a while. It does not know where alerts go.
//!
//! It is raised at one bound and resolved at another, and only once the measure has stood there for a while, so that
//! a measure that swings around a bound does not ring each time.

use std::time::Duration;

use tapeline_schema::events::{Alert, AlertState};

use crate::clock::{Now, rfc3339};

/// Which side of a bound is bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bad {
    /// More than the bound.
    Above,
    /// Less than the bound.
    Below,
}

/// What a measure may be.
#[derive(Clone, Debug, PartialEq)]
pub struct Bounds {
    /// Which side is bad.
    pub bad: Bad,
    /// Raised past this.
    pub raise: f64,
    /// Resolved once it is back at this; on the good side of `raise`.
    pub clear: f64,
    /// How long it must have stood past a bound, each way.
    pub hold: Duration,
}

impl Bounds {
    /// Too much is bad; it is resolved at four fifths.
    pub fn at_most(raise: f64, hold: Duration) -> Self {
        Bounds { bad: Bad::Above, raise, clear: raise * 0.8, hold }
    }

    /// Too little is bad; it is resolved at one and a quarter times as much.
    pub fn at_least(raise: f64, hold: Duration) -> Self {
        Bounds { bad: Bad::Below, raise, clear: raise * 1.25, hold }
    }

    fn is_past_raise(&self, value: f64) -> bool {
        match self.bad {
            Bad::Above => value > self.raise,
            Bad::Below => value < self.raise,
        }
    }

    fn is_clear(&self, value: f64) -> bool {
        match self.bad {
            Bad::Above => value <= self.clear,
            Bad::Below => value >= self.clear,
        }
    }
}

/// How an alarm that is on goes off, besides its bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Release {
    /// How long the measure must have stood past the bound that resolves it.
    pub hold: Duration,
    /// Without anything to measure for so long, it is resolved with the last measure; `None` is never.
    pub quiet: Option<Duration>,
}

/// The state of one rule of one source.
#[derive(Clone, Debug, Default)]
pub struct Alarm {
    /// Since when it is on, microseconds since 1970.
    raised_us: Option<u64>,
    /// Since when the measure stands past the bound that would change that, by the monotonic clock.
    pending_us: Option<u64>,
    /// Since when there is nothing to measure, by the monotonic clock.
    quiet_us: Option<u64>,
    /// The last measure.
    last: f64,
}

/// An alarm has gone on or off.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Turn {
    /// On or off.
    pub state: AlertState,
    /// What was measured.
    pub value: f64,
    /// Since when it is on or was, microseconds since 1970.
    pub since_us: u64,
}

impl Alarm {
    /// An alarm that was raised before, so that it is resolved and not raised again.
    pub fn raised_at(wall_us: u64) -> Self {
        Alarm { raised_us: Some(wall_us), ..Alarm::default() }
    }

    /// Whether it is on.
    pub fn is_on(&self) -> bool {
        self.raised_us.is_some()
    }

    /// Takes in the measure as it is now; `None` is not enough to measure by, and changes nothing.
    pub fn look(&mut self, bounds: &Bounds, value: Option<f64>, now: Now) -> Option<Turn> {
        self.look_until(bounds, Release { hold: bounds.hold, quiet: None }, value, now)
    }

    /// [`Alarm::look`], with its own way of going off: a hold of its own, and an end where there is nothing to measure.
    pub fn look_until(
        &mut self,
        bounds: &Bounds,
        release: Release,
        value: Option<f64>,
        now: Now,
    ) -> Option<Turn> {
        let Some(value) = value else { return self.look_at_nothing(release, now) };
        (self.quiet_us, self.last) = (None, value);
        let (turns, hold) = match self.is_on() {
            true => (bounds.is_clear(value), release.hold),
            false => (bounds.is_past_raise(value), bounds.hold),
        };
        if !turns {
            self.pending_us = None;
            return None;
        }
        let pending_us = *self.pending_us.get_or_insert(now.mono_us);
        if now.since(pending_us) < hold {
            return None;
        }
        Some(self.turn(now))
    }

    fn look_at_nothing(&mut self, release: Release, now: Now) -> Option<Turn> {
        self.pending_us = None;
        let quiet_us = *self.quiet_us.get_or_insert(now.mono_us);
        let is_over = self.is_on() && release.quiet.is_some_and(|quiet| now.since(quiet_us) >= quiet);
        is_over.then(|| self.turn(now))
    }

    /// Goes on, or off.
    fn turn(&mut self, now: Now) -> Turn {
        self.pending_us = None;
        match self.raised_us.take() {
            Some(since_us) => Turn { state: AlertState::Resolved, value: self.last, since_us },
            None => {
                self.raised_us = Some(now.wall_us);
                Turn { state: AlertState::Raised, value: self.last, since_us: now.wall_us }
            }
        }
    }

    /// Takes back a turn that could not be told, so that the next look makes it again.
    pub fn undo(&mut self, turn: Turn) {
        self.raised_us = (turn.state == AlertState::Resolved).then_some(turn.since_us);
    }
}

impl Turn {
    /// The event that tells it.
    pub fn alert(&self, source: &str, rule: &str, bounds: &Bounds) -> Alert {
        Alert {
            source: source.to_string(),
            rule: rule.to_string(),
            state: self.state,
            value: self.value,
            threshold: bounds.raise,
            since: rfc3339(self.since_us).into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Now {
        Now { mono_us: seconds * 1_000_000, wall_us: 1_000 + seconds }
    }

    /// The states that an alarm turns to when it is shown these, one a second.
    fn turns(bounds: &Bounds, values: impl IntoIterator<Item = f64>) -> Vec<(u64, AlertState)> {
        let mut alarm = Alarm::default();
        let looked = values.into_iter().zip(0..);
        looked
            .filter_map(|(value, n)| alarm.look(bounds, Some(value), at(n)).map(|turn| (n, turn.state)))
            .collect()
    }

    #[test]
    fn it_is_raised_once_and_resolved_once_below_another_bound() {
        let bounds = Bounds::at_most(100.0, Duration::ZERO);
        let values = [90.0, 101.0, 200.0, 95.0, 81.0, 80.0, 70.0, 100.0];
        assert_eq!(turns(&bounds, values), [(1, AlertState::Raised), (5, AlertState::Resolved)]);
    }

    #[test]
    fn a_square_wave_around_the_bound_does_not_ring() {
        let bounds = Bounds::at_most(100.0, Duration::from_secs(3));
        let wave = (0..100).map(|n| if n % 4 < 2 { 150.0 } else { 50.0 });
        assert_eq!(turns(&bounds, wave), []);
        let bounds = Bounds::at_most(100.0, Duration::ZERO);
        let wave = (0..100).map(|n| if n % 2 == 0 { 101.0 } else { 99.0 });
        assert_eq!(turns(&bounds, wave), [(0, AlertState::Raised)]);
    }

    #[test]
    fn it_must_have_stood_past_the_bound_for_its_time() {
        let bounds = Bounds::at_least(1.0, Duration::from_secs(5));
        let values = std::iter::repeat_n(0.0, 10).chain(std::iter::repeat_n(1.2, 10)).chain([1.25; 10]);
        assert_eq!(turns(&bounds, values), [(5, AlertState::Raised), (25, AlertState::Resolved)]);
    }

    #[test]
    fn what_cannot_be_measured_changes_nothing() {
        let bounds = Bounds::at_most(1.0, Duration::from_secs(2));
        let mut alarm = Alarm::default();
        assert_eq!(alarm.look(&bounds, Some(2.0), at(0)), None);
        assert_eq!(alarm.look(&bounds, None, at(1)), None);
        assert_eq!(alarm.look(&bounds, Some(2.0), at(2)), None, "its time begins anew");
        let turn = alarm.look(&bounds, Some(2.0), at(4)).unwrap();
        assert_eq!(turn, Turn { state: AlertState::Raised, value: 2.0, since_us: 1_004 });
        assert!(alarm.is_on());
        alarm.undo(turn);
        assert!(!alarm.is_on());
    }

    #[test]
    fn it_is_resolved_with_the_last_measure_when_nothing_was_measured_for_longer() {
        let bounds = Bounds::at_most(1.0, Duration::ZERO);
        let release = Release { hold: Duration::ZERO, quiet: Some(Duration::from_secs(3)) };
        let mut alarm = Alarm::default();
        let mut look = |value, second| alarm.look_until(&bounds, release, value, at(second));
        assert_eq!(look(None, 0), None, "what is not on does not end");
        assert!(look(Some(2.0), 10).is_some_and(|turn| turn.state == AlertState::Raised));
        assert_eq!((look(None, 11), look(None, 13)), (None, None));
        assert_eq!(
            (look(Some(5.0), 14), look(None, 15), look(None, 17)),
            (None, None, None),
            "it begins anew"
        );
        let turn = look(None, 18).unwrap();
        assert_eq!(turn, Turn { state: AlertState::Resolved, value: 5.0, since_us: 1_010 });
        assert_eq!(look(None, 40), None);
    }

    #[test]
    fn what_is_raised_at_once_may_have_to_be_well_for_a_while_until_it_is_resolved() {
        let bounds = Bounds { bad: Bad::Above, raise: 0.0, clear: 0.0, hold: Duration::ZERO };
        let release = Release { hold: Duration::from_secs(30), quiet: None };
        let mut alarm = Alarm::default();
        let swings = (0..200).map(|n| (n, if n < 100 && n % 5 < 3 { 1.0 } else { 0.0 }));
        let turns: Vec<_> = swings
            .filter_map(|(n, value)| Some((n, alarm.look_until(&bounds, release, Some(value), at(n))?.state)))
            .collect();
        assert_eq!(turns, [(0, AlertState::Raised), (128, AlertState::Resolved)]);
    }
}
