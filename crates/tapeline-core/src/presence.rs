//! Comings and goings of sessions as messages of the family `presence:{of}`, for channels that `presence.events` names.
//!
//! Shards note them as they happen; once a second what was noted is published. Everything is bounded: where more happens
//! than is told one by one, the channel's `changed` says how many, and what not even that can tell is counted. It does not
//! know who hears a channel; that is the audience's.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use tapeline_schema::events::{Presence, PresenceEvent};

use crate::audience::Who;
use crate::broker::{Drafts, SLICE};
use crate::clock::Now;
use crate::command::Publication;
use crate::hub::Hub;
use crate::message::Draft;
use crate::reply::Topic;
use crate::rights::Grant;
use crate::stats::Count;
use crate::watch::PRINCIPAL;

/// What the family's channels are called, before the channel that they tell of.
const FAMILY: &str = "presence:";
/// Events that are told one by one in a second: of one channel, and of all.
const OF_ONE: usize = 64;
const OF_ALL: usize = 4_096;
/// Channels that are told of in a second.
const CHANNELS: usize = 1_024;

/// What happened to a channel since it was last told of.
#[derive(Default)]
struct Pending {
    told: Vec<Told>,
    missed: u64,
}

struct Told {
    event: PresenceEvent,
    session: u64,
    who: Arc<Who>,
}

#[derive(Default)]
struct Inner {
    pending: HashMap<Box<str>, Pending, FixedState>,
    /// Of all channels together.
    events: usize,
    /// What found no room in the hub; the rest waits behind it.
    unsent: VecDeque<Draft>,
}

impl Inner {
    /// Takes an event in; `false` if there is no room even to count it.
    fn note(&mut self, of: &str, told: Told) -> bool {
        if !self.pending.contains_key(of) && self.pending.len() >= CHANNELS {
            return false;
        }
        let pending = self.pending.entry(of.into()).or_default();
        let is_back = |one: &Told| one.session == told.session && one.event == PresenceEvent::Left;
        if told.event == PresenceEvent::Joined
            && let Some(at) = pending.told.iter().rposition(is_back)
        {
            // Who asks for the channel in another way has not left it.
            pending.told.remove(at);
            self.events -= 1;
        } else if pending.told.len() < OF_ONE && self.events < OF_ALL && pending.missed == 0 {
            pending.told.push(told);
            self.events += 1;
        } else {
            pending.missed += 1;
        }
        true
    }

    /// Takes in that more happened than can be told one by one.
    fn note_many(&mut self, of: &str, count: u64) -> bool {
        if !self.pending.contains_key(of) && self.pending.len() >= CHANNELS {
            return false;
        }
        self.pending.entry(of.into()).or_default().missed += count;
        true
    }
}

/// See the module.
#[derive(Default)]
pub struct Comings {
    inner: Mutex<Inner>,
    lost: Count,
}

impl Comings {
    /// Events that could be told neither one by one nor as a number.
    pub fn lost(&self) -> u64 {
        self.lost.read()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Hub {
    /// A session has begun or ended to hear a topic. Of a pattern nothing is told: it is no channel.
    pub(crate) fn note_presence(&self, topic: &Topic, event: PresenceEvent, session: u64, who: &Arc<Who>) {
        let Topic::Channel(channel) = topic else { return };
        let of = channel.name();
        if !self.tells_presence(of) {
            return;
        }
        let told = Told { event, session, who: who.clone() };
        if !self.comings().lock().note(of, told) {
            self.comings().lost.add(1);
        }
    }

    /// So many sessions of another node have left a channel together, and nobody else tells of it.
    pub(crate) fn note_gone(&self, of: &str, count: u64) {
        if !self.tells_presence(of) {
            return;
        }
        let noted = self.comings().lock().note_many(of, count);
        if !noted {
            self.comings().lost.add(count);
        }
    }

    /// Whether comings and goings of this channel are published.
    fn tells_presence(&self, of: &str) -> bool {
        let settings = self.settings();
        // The family does not tell of itself.
        !of.starts_with(FAMILY) && settings.presence_events.iter().any(|pattern| pattern.matches(of))
    }

    /// Publishes what was noted, as far as the hub takes it; the rest has its turn with the next call.
    pub(crate) fn tell_presence(&self, now: Now) {
        let mut inner = self.comings().lock();
        if inner.unsent.is_empty() && !inner.pending.is_empty() {
            let pending = std::mem::take(&mut inner.pending);
            inner.events = 0;
            // Publishing may take a while; who comes meanwhile must not wait for it.
            drop(inner);
            let drafts: VecDeque<Draft> = pending
                .into_iter()
                .flat_map(|(of, pending)| self.draft_presence(&of, pending, now))
                .collect();
            inner = self.comings().lock();
            inner.unsent.extend(drafts);
        }
        while !inner.unsent.is_empty() {
            let most = inner.unsent.len().min(SLICE);
            let drafts: Drafts = inner.unsent.drain(..most).collect();
            drop(inner);
            let busy = self.publish(drafts, None).err();
            inner = self.comings().lock();
            if let Some(busy) = busy {
                busy.drafts.into_iter().rev().for_each(|draft| inner.unsent.push_front(draft));
                return;
            }
        }
    }

    /// Nothing for a name that leaves no room for the family's before it.
    fn draft_presence(&self, of: &str, pending: Pending, now: Now) -> Vec<Draft> {
        let name = format!("{FAMILY}{of}");
        let Ok(count) = self.channel(of).map(|channel| self.subscribers(&channel) as u64) else {
            return Vec::new();
        };
        let from: Arc<str> = PRINCIPAL.into();
        let one = |event: PresenceEvent, who: Option<&Who>, missed: Option<u64>| Presence {
            of: of.to_string(),
            event,
            client: who.and_then(|who| who.client.as_deref()).map(str::to_string),
            principal: who.map(|who| who.principal.to_string()),
            node: self.instance().to_string(),
            count,
            missed,
        };
        let changed = (pending.missed > 0).then(|| one(PresenceEvent::Changed, None, Some(pending.missed)));
        let told = pending.told.iter().map(|told| one(told.event, Some(&told.who), None));
        let drafts = told.chain(changed).filter_map(|event| {
            let data = serde_json::to_vec(&event).ok()?;
            let publication = Publication { channel: &*name, data: data.into(), ..Publication::default() };
            self.drafter(&from, &Grant::Anyone, now).draft(publication, None).ok()
        });
        drafts.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(event: PresenceEvent, session: u64) -> Told {
        Told { event, session, who: Arc::new(Who { client: None, principal: "here".into() }) }
    }

    fn events(inner: &Inner, of: &str) -> (Vec<u64>, u64) {
        let pending = &inner.pending[of];
        (pending.told.iter().map(|told| told.session).collect(), pending.missed)
    }

    #[test]
    fn who_leaves_and_comes_back_before_it_is_told_has_not_left() {
        let mut inner = Inner::default();
        for (event, session) in
            [(PresenceEvent::Left, 1), (PresenceEvent::Joined, 2), (PresenceEvent::Joined, 1)]
        {
            assert!(inner.note("news", told(event, session)));
        }
        assert_eq!((events(&inner, "news"), inner.events), ((vec![2], 0), 1));
    }

    #[test]
    fn a_storm_is_a_number_and_does_not_hide_other_channels() {
        let mut inner = Inner::default();
        for session in 0..1_000 {
            assert!(inner.note("news", told(PresenceEvent::Joined, session)));
        }
        assert!(inner.note("social", told(PresenceEvent::Joined, 7)));
        let (told_of, missed) = events(&inner, "news");
        assert_eq!((told_of.len(), missed), (OF_ONE, 1_000 - OF_ONE as u64));
        assert_eq!(events(&inner, "social"), (vec![7], 0));
    }

    #[test]
    fn beyond_so_many_channels_nothing_is_noted() {
        let mut inner = Inner::default();
        for n in 0..CHANNELS {
            assert!(inner.note(&format!("c{n}"), told(PresenceEvent::Joined, 1)));
        }
        assert!(!inner.note("one more", told(PresenceEvent::Joined, 1)));
        assert!(inner.note("c0", told(PresenceEvent::Left, 1)));
    }
}
