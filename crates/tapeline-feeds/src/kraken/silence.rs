//! Channels that have no data though the connection lives: found once, told once, and told when it is over. Where a quiet
//! instrument is no fault (a ticker comes with trades), only a channel that is quiet as a whole is silent. It does not
//! know whether the venue has a reason; who asks does.

use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use tapeline_core::Now;
use tapeline_core::clock::micros;
use tapeline_core::feed::VenueChannel;

use crate::venue::{Counts, Event};

/// How often it is looked.
const LOOK_US: u64 = 1_000_000;

#[derive(Clone, Copy, Debug)]
struct Heard {
    last_us: u64,
    is_silent: bool,
}

#[derive(Debug)]
struct Watched {
    channel: VenueChannel,
    limit_us: u64,
    /// By instrument, or by `None` alone for the channel as a whole.
    heard: HashMap<Option<Arc<str>>, Heard, FixedState>,
}

impl Watched {
    /// What of it is watched, of this instrument.
    fn part(&self, symbol: &Arc<str>) -> Option<Arc<str>> {
        (self.channel != VenueChannel::Ticker).then(|| symbol.clone())
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Silences {
    channels: Vec<Watched>,
    look_us: u64,
}

impl Silences {
    pub(super) fn new(limits: &[(VenueChannel, Duration)]) -> Self {
        let watched = |(channel, limit): &(VenueChannel, Duration)| Watched {
            channel: channel.clone(),
            limit_us: micros(*limit),
            heard: HashMap::default(),
        };
        Silences { channels: limits.iter().map(watched).collect(), look_us: 0 }
    }

    /// From now on it should have data.
    pub(super) fn watch(&mut self, channel: &VenueChannel, symbol: &Arc<str>, now: Now) {
        let Some(watched) = self.channels.iter_mut().find(|watched| watched.channel == *channel) else {
            return;
        };
        let heard = Heard { last_us: now.mono_us, is_silent: false };
        let part = watched.part(symbol);
        watched.heard.entry(part).or_insert(heard);
    }

    /// It is not subscribed to for now. One that is silent stays so, until it has data.
    pub(super) fn pause(&mut self, channel: &VenueChannel, symbol: &Arc<str>) {
        let Some(watched) = self.channels.iter_mut().find(|watched| watched.channel == *channel) else {
            return;
        };
        let part = watched.part(symbol);
        if part.is_some() && watched.heard.get(&part).is_some_and(|heard| !heard.is_silent) {
            watched.heard.remove(&part);
        }
    }

    /// Nothing is expected any more.
    pub(super) fn forget(&mut self) {
        for watched in &mut self.channels {
            watched.heard.clear();
        }
    }

    /// What was silent had a reason, or may have; the time begins anew.
    pub(super) fn begin_anew(&mut self, now: Now) {
        for heard in self.channels.iter_mut().flat_map(|watched| watched.heard.values_mut()) {
            *heard = Heard { last_us: now.mono_us, is_silent: false };
        }
    }

    /// It has data.
    pub(super) fn on_data(
        &mut self,
        channel: &VenueChannel,
        symbol: &Arc<str>,
        now: Now,
        events: &mut Vec<Event>,
    ) {
        let Some(watched) = self.channels.iter_mut().find(|watched| watched.channel == *channel) else {
            return;
        };
        let part = watched.part(symbol);
        let Some(heard) = watched.heard.get_mut(&part) else { return };
        heard.last_us = now.mono_us;
        if std::mem::take(&mut heard.is_silent) {
            events.push(Event::Resumed { channel: channel.clone(), symbol: part });
        }
    }

    /// Looks, if it is time to; when it is time again.
    pub(super) fn look(&mut self, now: Now, counts: &mut Counts, events: &mut Vec<Event>) -> u64 {
        if self.channels.is_empty() {
            return u64::MAX;
        }
        if now.mono_us < self.look_us {
            return self.look_us;
        }
        self.look_us = now.mono_us.saturating_add(LOOK_US);
        for watched in &mut self.channels {
            for (part, heard) in &mut watched.heard {
                if heard.is_silent || now.mono_us.saturating_sub(heard.last_us) < watched.limit_us {
                    continue;
                }
                heard.is_silent = true;
                counts.silences += 1;
                let (channel, symbol) = (watched.channel.clone(), part.clone());
                events.push(Event::Silent { channel, symbol, since_us: heard.last_us });
            }
        }
        self.look_us
    }
}
