//! What one shard, which sees every message of the hub, keeps of each channel: how many messages came and when the last
//! one did. Once a second it looks at all of them: who is busy, and who has fallen out of its rhythm. What it finds is
//! put on the board and published as `freshness:{of}`.
//!
//! It costs a message a few instructions and no lock; whatever takes longer waits for the look.

use std::collections::BTreeMap;
use std::hash::BuildHasher;
use std::sync::Arc;

use bytes::Bytes;
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use tapeline_schema::Delivery;
use tapeline_schema::events::{Freshness, FreshnessState};

use crate::board::{BusyChannel, Change, LateChannel, Seen};
use crate::broker::{Drafts, SLICE};
use crate::channel::Channel;
use crate::clock::Now;
use crate::command::Publication;
use crate::message::{Draft, Message};
use crate::rhythm::{Heard, Rhythm};
use crate::session::Grant;
use crate::shard::Shard;

/// Channels that are watched; those that come later have to wait for one to be forgotten.
const WATCHED: usize = 65_536;
/// A channel that has been silent for so long is no longer watched.
const FORGOTTEN_US: u64 = 3_600_000_000;
/// The busiest that are named.
const BUSIEST: usize = 20;
/// Drafts that may wait for a busy hub.
const UNSENT: usize = 4 * SLICE;
/// The family that the watch publishes, and does not watch.
const FAMILY: &str = "freshness";
/// Whom its messages are from.
pub(crate) const PRINCIPAL: &str = "hub";
/// Bytes of the data that are compared.
const COMPARED: usize = 4_096;

/// What is kept of a channel.
struct Watched {
    name: Box<str>,
    /// Since the last look.
    messages: u64,
    newest_us: u64,
    /// The first message after the last look, in short.
    print: u64,
    same: bool,
    /// Whether it has a freshness: the newest is all that matters of it.
    has_freshness: bool,
    rhythm: Rhythm,
    state: FreshnessState,
    per_second: f64,
}

/// See the module.
#[derive(Default)]
pub(crate) struct Watch {
    channels: Vec<Watched>,
    /// Where each is, for channels that do not know it yet: the same name may come as another [`Channel`].
    places: HashMap<Box<str>, u32, FixedState>,
    /// Places in `channels` that may be used anew: their channels are forgotten.
    free: Vec<u32>,
    looked_us: u64,
    unsent: Vec<Draft>,
}

/// What stands for the data where it is compared.
fn print_of(data: &Bytes) -> u64 {
    let compared = data.get(..data.len().min(COMPARED)).unwrap_or_default();
    FixedState::default().hash_one((data.len(), compared))
}

fn has_freshness(channel: &Channel) -> bool {
    let spec = channel.spec();
    spec.delivery != Delivery::Every && spec.family != FAMILY
}

impl Watch {
    /// A message goes by.
    pub(crate) fn see(&mut self, message: &Message, now: Now) {
        let channel = &message.channel;
        let known = self.channels.get_mut(channel.watch_place() as usize);
        match known.filter(|known| *known.name == *channel.name()) {
            Some(known) => known.see(message, now),
            None => self.see_new(message, now),
        }
    }

    fn see_new(&mut self, message: &Message, now: Now) {
        let channel = &message.channel;
        if let Some(place) = self.places.get(channel.name()).copied() {
            channel.set_watch_place(place);
            return self.channels.get_mut(place as usize).map_or((), |known| known.see(message, now));
        }
        let mut watched = Watched {
            name: channel.name().into(),
            messages: 0,
            newest_us: 0,
            print: 0,
            same: false,
            has_freshness: has_freshness(channel),
            rhythm: Rhythm::default(),
            state: FreshnessState::Fresh,
            per_second: 0.0,
        };
        watched.see(message, now);
        let place = match self.free.pop() {
            Some(place) => place,
            None if self.channels.len() < WATCHED => u32::try_from(self.channels.len()).unwrap_or(u32::MAX),
            None => return,
        };
        channel.set_watch_place(place);
        self.places.insert(channel.name().into(), place);
        match self.channels.get_mut(place as usize) {
            Some(old) => *old = watched,
            None => self.channels.push(watched),
        }
    }

    /// Looks at all channels.
    pub(crate) fn look(&mut self, now: Now) -> Seen {
        let elapsed_us = now.mono_us.saturating_sub(self.looked_us).max(1);
        self.looked_us = now.mono_us;
        let mut seen = Seen::default();
        for (place, watched) in self.channels.iter_mut().enumerate() {
            if watched.name.is_empty() {
                continue;
            }
            if now.mono_us.saturating_sub(watched.newest_us) > FORGOTTEN_US {
                self.places.remove(&watched.name);
                watched.name = Box::default();
                self.free.extend(u32::try_from(place).ok());
                continue;
            }
            seen.watched += 1;
            watched.look(elapsed_us, now, &mut seen);
        }
        let by_rate = |one: &BusyChannel, other: &BusyChannel| other.per_second.total_cmp(&one.per_second);
        seen.busiest.sort_by(|one, other| by_rate(one, other).then_with(|| one.channel.cmp(&other.channel)));
        seen.busiest.truncate(BUSIEST);
        seen
    }
}

impl Watched {
    fn see(&mut self, message: &Message, now: Now) {
        if self.messages == 0 && self.has_freshness {
            let print = print_of(&message.data);
            self.same = print == self.print;
            self.print = print;
        }
        self.messages += 1;
        self.newest_us = now.mono_us;
    }

    fn look(&mut self, elapsed_us: u64, now: Now, seen: &mut Seen) {
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        let rate = self.messages as f64 * 1e6 / elapsed_us as f64;
        self.per_second += (rate - self.per_second) * 0.3;
        let heard = Heard { messages: self.messages, newest_us: self.newest_us, same: self.same };
        self.messages = 0;
        if self.per_second >= 0.05 {
            seen.busiest.push(BusyChannel { channel: self.name.clone(), per_second: self.per_second });
        }
        if !self.has_freshness {
            return;
        }
        self.rhythm.hear(heard);
        let (state, before) = (self.rhythm.state(now.mono_us), self.state);
        let age_ms = self.rhythm.age_us(now.mono_us) / 1_000;
        if state != before {
            self.state = state;
            seen.changes.push(Change { channel: self.name.clone(), before, state, age_ms });
        }
        if state != FreshnessState::Fresh {
            let (channel, usual_ms) = (self.name.clone(), self.rhythm.usual_us() / 1_000);
            seen.late.insert(self.name.clone(), LateChannel { channel, state, age_ms, usual_ms });
        }
    }
}

impl Shard {
    /// Looks at what has gone by; publishes whose freshness has changed.
    pub(crate) fn look_around(&mut self, now: Now) {
        let Some(mut watch) = self.watch.take() else { return };
        let mut seen = watch.look(now);
        if !self.hub.settings().freshness {
            seen.late = BTreeMap::new();
            seen.changes.clear();
        }
        let from: Arc<str> = PRINCIPAL.into();
        for change in &seen.changes {
            let channel = format!("{FAMILY}:{}", change.channel);
            if watch.unsent.len() == UNSENT || tapeline_schema::check_name(&channel).is_err() {
                continue;
            }
            let event =
                Freshness { of: change.channel.to_string(), state: change.state, age_ms: change.age_ms };
            let Ok(data) = serde_json::to_vec(&event) else { continue };
            let publication = Publication { channel: &*channel, data: data.into(), ..Publication::default() };
            let drafted = self.hub.drafter(&from, &Grant::Anyone, now).draft(publication, None);
            watch.unsent.extend(drafted.ok());
        }
        self.hub.board().update(seen);
        while !watch.unsent.is_empty() {
            let slice: Drafts = watch.unsent.drain(..watch.unsent.len().min(SLICE)).collect();
            if let Err(busy) = self.hub.publish(slice, None) {
                watch.unsent.splice(..0, busy.drafts);
                break;
            }
        }
        self.watch = Some(watch);
    }
}
