//! A set of keys at an address: when it is fetched, who waits for it, and how long the last good one serves.
//!
//! A token with an unknown key has the set fetched once for all who wait; then a pause follows, so that tokens with made-up
//! keys cannot drive the issuer. This is the plan only: `fetch` asks, `watch` has the threads.

use std::net::IpAddr;
use std::time::Duration;

use tapeline_core::rights::{Identified, KeyMark};
use tapeline_core::{Now, clock};

use crate::algorithm::Algorithm;
use crate::key::Key;
use crate::settings::JwtSettings;

/// A set is fetched anew at the soonest and at the latest, whatever its answer says.
const FRESH: std::ops::RangeInclusive<Duration> = Duration::from_secs(5 * 60)..=Duration::from_secs(60 * 60);
/// After a fetch that an unknown key asked for, and after one that failed.
pub(crate) const PAUSE: Duration = Duration::from_secs(10);
/// How long the last good set serves when no other can be had.
const LAST_GOOD: Duration = Duration::from_secs(24 * 60 * 60);
/// Tokens that wait for one fetch.
const WAITING_LIMIT: usize = 1_024;
/// Of them, so many of one sender.
const WAITING_OF_ONE: usize = 16;

/// What was fetched.
#[derive(Debug)]
pub struct Fetched {
    /// The body.
    pub body: Vec<u8>,
    /// How long it says that it is fresh.
    pub max_age: Option<Duration>,
}

/// Where a set is fetched, and what is taken from it. Keys from elsewhere are not believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Source {
    /// Empty for nowhere.
    pub url: String,
    pub algorithms: Vec<Algorithm>,
}

impl Source {
    pub(crate) fn of(settings: &JwtSettings) -> Self {
        Source { url: settings.jwks_url.clone(), algorithms: settings.algorithms.clone() }
    }
}

/// A token that waits.
pub(crate) struct Waiting {
    pub credential: String,
    pub address: String,
    /// Whose it is counted as, if it is.
    pub sender: Option<IpAddr>,
    pub answer: Identified,
}

/// What becomes of a token whose key is not known.
pub(crate) enum Asked {
    /// It is judged again when the set has come.
    Waits,
    /// It is not.
    Refused(Waiting, Why),
}

/// Why it does not wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// The set is known well enough: the key is not in it.
    Known,
    /// There is no set, so nothing can be said.
    OutOfReach,
    /// Too many wait already.
    Full,
}

/// See the module.
#[derive(Default)]
pub(crate) struct Remote {
    source: Source,
    keys: Vec<Key>,
    /// Of the set that came last, however long ago and from wherever, with algorithms that are still taken. That a set is
    /// old or its address another says nothing against who was believed by it; only the next set does.
    marks: Vec<(Algorithm, KeyMark)>,
    /// By the monotonic clock, as all that follows.
    fetched_us: Option<u64>,
    due_us: u64,
    /// No unknown key has it fetched before then.
    pause_until_us: u64,
    error: Option<String>,
    waiting: Vec<Waiting>,
    is_fetching: bool,
    /// Somebody asked for it anew while it was on its way: what comes may have been sent before.
    is_wanted_again: bool,
    /// What tells the keys that are in use from others.
    pub applied: Vec<u8>,
}

impl Remote {
    pub(crate) fn new(source: Source) -> Self {
        Remote { source, ..Remote::default() }
    }

    /// Where the set is fetched.
    pub(crate) fn source(&self) -> &Source {
        &self.source
    }

    /// Fetches there from now on, and soon. If that is elsewhere, no key is believed any more and who waited is handed out.
    pub(crate) fn ask_of(&mut self, source: Source, now: Now) -> Vec<Waiting> {
        if self.source == source {
            // Who reloads may have had the issuer take back a key.
            self.due_us = self.due_us.min(self.pause_until_us.max(now.mono_us));
            self.is_wanted_again |= self.is_fetching;
            return Vec::new();
        }
        // Where an algorithm is struck no set has to say so, and perhaps none comes that could.
        let mut marks = std::mem::take(&mut self.marks);
        marks.retain(|(algorithm, _)| !source.url.is_empty() && source.algorithms.contains(algorithm));
        std::mem::replace(self, Remote { marks, ..Remote::new(source) }).waiting
    }

    /// The keys, while they can be believed.
    pub(crate) fn keys(&self, now: Now) -> &[Key] {
        let age = self.fetched_us.map(|at| now.since(at));
        if age.is_some_and(|age| age <= LAST_GOOD) { &self.keys } else { &[] }
    }

    /// By which keys somebody was believed who still is.
    pub(crate) fn marks(&self) -> &[(Algorithm, KeyMark)] {
        &self.marks
    }

    /// How long ago it was fetched, and what went wrong since.
    pub(crate) fn state(&self, now: Now) -> (Option<Duration>, Option<&str>) {
        (self.fetched_us.map(|at| now.since(at)), self.error.as_deref())
    }

    /// A token whose key is not known.
    pub(crate) fn ask(&mut self, waiting: Waiting, now: Now) -> Asked {
        if self.source.url.is_empty() {
            // Until just now there was an address.
            return Asked::Refused(waiting, Why::OutOfReach);
        }
        let may_fetch = self.is_fetching || now.mono_us >= self.pause_until_us;
        if may_fetch {
            let of_one = self.waiting.iter().filter(|other| other.sender == waiting.sender).count();
            let has_room = waiting.sender.is_none() || of_one < WAITING_OF_ONE;
            if !has_room || self.waiting.len() >= WAITING_LIMIT {
                return Asked::Refused(waiting, Why::Full);
            }
            self.waiting.push(waiting);
            return Asked::Waits;
        }
        let why = if self.keys(now).is_empty() { Why::OutOfReach } else { Why::Known };
        Asked::Refused(waiting, why)
    }

    /// How long there is nothing to do.
    pub(crate) fn idle(&self, now: Now) -> Duration {
        if !self.waiting.is_empty() {
            return Duration::ZERO;
        }
        Duration::from_micros(self.due_us.saturating_sub(now.mono_us))
    }

    /// The set is asked for.
    pub(crate) fn on_asking(&mut self) {
        self.is_fetching = true;
    }

    /// The set has come, or not. Who waited, and who comes until it has effect, still waits.
    pub(crate) fn on_fetched(&mut self, outcome: Result<(Vec<Key>, Option<Duration>), String>, now: Now) {
        self.pause_until_us = now.after(PAUSE);
        match outcome {
            Ok((keys, max_age)) => {
                let fresh = max_age.unwrap_or(*FRESH.end()).clamp(*FRESH.start(), *FRESH.end());
                self.marks = keys.iter().flat_map(Key::marks).collect();
                (self.keys, self.fetched_us, self.error) = (keys, Some(now.mono_us), None);
                self.due_us = now.mono_us.saturating_add(clock::micros(fresh));
            }
            Err(told) => {
                self.error = Some(told);
                self.due_us = self.pause_until_us;
            }
        }
        if std::mem::take(&mut self.is_wanted_again) {
            self.due_us = self.pause_until_us;
        }
    }

    /// What has come has effect; who waited is handed out.
    pub(crate) fn on_applied(&mut self) -> Vec<Waiting> {
        self.is_fetching = false;
        std::mem::take(&mut self.waiting)
    }

    /// The hub stops: nobody waits any more.
    pub(crate) fn give_up(&mut self) -> Vec<Waiting> {
        std::mem::take(&mut self.waiting)
    }
}

#[cfg(test)]
#[path = "remote_tests.rs"]
mod tests;
