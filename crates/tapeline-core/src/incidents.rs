//! What went wrong lately, whom it concerned and how often: what `tapeline doctor` and operators look at. Bounded, and
//! deduplicated: the same trouble about the same channel counts up instead of pushing others out.
//!
//! It refuses to judge: what an incident means for a user is said where it is shown.

use std::collections::VecDeque;
use std::sync::{Mutex, OnceLock, PoisonError, TryLockError};

use crate::clock::Now;
use crate::stats::Count;
use crate::text::cut;

/// How many are remembered of one kind and client; what comes on top of that is one together, about no channel.
pub const OF_ONE_CLIENT: usize = 32;
/// How many are remembered.
pub const INCIDENTS: usize = 256;
/// Bytes that are remembered of a name or a sentence.
const TEXT_BYTES: usize = 256;

macro_rules! kinds {
    ($($kind:ident $name:literal $doc:literal)*) => {
        /// What went wrong.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum IncidentKind {
            $(#[doc = $doc] $kind,)*
        }

        impl IncidentKind {
            /// Every kind.
            pub const ALL: &[IncidentKind] = &[$(IncidentKind::$kind,)*];

            /// As it is written.
            pub fn name(self) -> &'static str {
                match self { $(IncidentKind::$kind => $name,)* }
            }
        }
    };
}

kinds! {
    PublishRefused    "publish_refused"    "A publish was refused."
    RequestRefused    "request_refused"    "What a client asked for, such as a subscription, was refused."
    ConnectionRefused "connection_refused" "A connection was not let in."
    NotRecovered      "not_recovered"      "A client came back with its place and could not be given all that it missed."
    Gap               "gap"                "A subscriber of every message was told that some will not come."
    Closed            "closed"             "The hub closed a connection."
    BrokerLost        "broker_lost"        "What the message broker rests on was out of reach."
}

/// Trouble, as it is reported.
#[derive(Clone, Copy, Debug)]
pub struct Trouble<'a> {
    /// What kind.
    pub kind: IncidentKind,
    /// The error code or the cause, in one word.
    pub code: &'static str,
    /// The channel or pattern that it is about; empty if it is about none.
    pub channel: &'a str,
    /// Whom it concerns.
    pub client: &'a str,
    /// In a sentence.
    pub message: &'a str,
}

/// Trouble that was remembered.
#[derive(Clone, Debug)]
pub struct Incident {
    /// What kind.
    pub kind: IncidentKind,
    /// The error code or the cause, in one word.
    pub code: &'static str,
    /// The channel or pattern that it is about, as it was given; empty if it is about none.
    pub channel: Box<str>,
    /// Whom it concerned last: a client id and an address, or a feed's name.
    pub client: Box<str>,
    /// The newest sentence that was said about it.
    pub message: Box<str>,
    /// How often since `first_us`.
    pub count: u64,
    /// When it was first seen, microseconds since 1970.
    pub first_us: u64,
    /// When it was last seen, microseconds since 1970.
    pub last_us: u64,
}

/// Who is told of all trouble at once, in whatever thread it comes up; must not wait.
pub type Witness = Box<dyn Fn(&Trouble<'_>, Now) + Send + Sync>;

/// See the module.
#[derive(Default)]
pub struct Incidents {
    /// The oldest in front.
    recent: Mutex<VecDeque<Incident>>,
    counts: [Count; IncidentKind::ALL.len()],
    witness: OnceLock<Witness>,
}

impl Incidents {
    /// Remembers trouble. Where several threads report at the same moment, some of it is only counted: whoever makes
    /// trouble in a flood must not make others wait.
    pub fn report(&self, trouble: Trouble<'_>, now: Now) {
        if let Some(count) = self.counts.get(trouble.kind as usize) {
            count.add(1);
        }
        if let Some(witness) = self.witness.get() {
            witness(&trouble, now);
        }
        let mut recent = match self.recent.try_lock() {
            Ok(recent) => recent,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        let (client, mut channel) = (cut(trouble.client, TEXT_BYTES), cut(trouble.channel, TEXT_BYTES));
        let of_client = |known: &&Incident| known.kind == trouble.kind && *known.client == *client;
        let is_known = |known: &Incident| {
            (known.kind, known.code) == (trouble.kind, trouble.code) && *known.channel == *channel
        };
        if !recent.iter().any(is_known) && recent.iter().filter(of_client).count() >= OF_ONE_CLIENT {
            channel = "";
        }
        let is_same = |known: &Incident| {
            (known.kind, known.code) == (trouble.kind, trouble.code) && *known.channel == *channel
        };
        let known = recent.iter().rposition(is_same).and_then(|at| recent.remove(at));
        let (count, first_us) = known.map_or((0, now.wall_us), |known| (known.count, known.first_us));
        if recent.len() == INCIDENTS {
            recent.pop_front();
        }
        recent.push_back(Incident {
            kind: trouble.kind,
            code: trouble.code,
            channel: channel.into(),
            client: client.into(),
            message: cut(trouble.message, TEXT_BYTES).into(),
            count: count + 1,
            first_us,
            last_us: now.wall_us,
        });
    }

    /// Has somebody told of all trouble from now on; the first stays.
    pub fn set_witness(&self, witness: Witness) {
        self.witness.get_or_init(|| witness);
    }

    /// The newest first.
    pub fn recent(&self) -> Vec<Incident> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner).iter().rev().cloned().collect()
    }

    /// How many there were of each kind.
    pub fn counts(&self) -> impl Iterator<Item = (IncidentKind, u64)> {
        IncidentKind::ALL.iter().zip(&self.counts).map(|(kind, count)| (*kind, count.read()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trouble<'a>(channel: &'a str, client: &'a str) -> Trouble<'a> {
        Trouble { kind: IncidentKind::PublishRefused, code: "bad_channel", channel, client, message: "no" }
    }

    fn at(us: u64) -> Now {
        Now { mono_us: us, wall_us: us }
    }

    #[test]
    fn the_same_trouble_counts_up_and_comes_to_the_front() {
        let incidents = Incidents::default();
        incidents.report(trouble("a b", "one"), at(1));
        incidents.report(trouble("c d", "one"), at(2));
        incidents.report(trouble("a b", "two"), at(3));
        let recent = incidents.recent();
        let told: Vec<_> =
            recent.iter().map(|one| (&*one.channel, &*one.client, one.count, one.first_us)).collect();
        assert_eq!(told, [("a b", "two", 2, 1), ("c d", "one", 1, 2)]);
        assert_eq!(incidents.counts().next(), Some((IncidentKind::PublishRefused, 3)));
    }

    #[test]
    fn only_so_many_are_remembered_and_of_each_only_so_much() {
        let incidents = Incidents::default();
        for n in 0..2 * INCIDENTS as u64 {
            let (channel, client) = (format!("{n} {}", "é".repeat(TEXT_BYTES)), format!("client {n}"));
            incidents.report(trouble(&channel, &client), at(n));
        }
        let recent = incidents.recent();
        assert_eq!(recent.len(), INCIDENTS);
        assert!(recent[0].channel.starts_with("511 "), "{}", recent[0].channel);
        assert!(recent.iter().all(|one| one.channel.len() <= TEXT_BYTES));
    }

    #[test]
    fn one_client_does_not_push_out_what_others_had() {
        let incidents = Incidents::default();
        incidents.report(trouble("a b", "other"), at(1));
        for n in 0..1_000 {
            incidents.report(trouble(&format!("bad {n}"), "noisy"), at(n));
        }
        let recent = incidents.recent();
        assert_eq!(recent.len(), OF_ONE_CLIENT + 2);
        assert!(recent.iter().any(|one| &*one.client == "other"));
        assert_eq!((&*recent[0].channel, recent[0].count), ("", 1_000 - OF_ONE_CLIENT as u64));
    }
}
