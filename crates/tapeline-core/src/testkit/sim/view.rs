//! One session as its client sees it: nothing but the frames that arrived in bytes, held against the model.
//!
//! A message may come twice to a session only if in between a subscription that covered it was ended, or older messages
//! were asked for, or the newest was by another subscription.

use std::collections::HashMap;

use super::asked::{Manner, Standing, Start};
use super::gaps::covering;
use super::heard::Heard;
use super::model::{Model, Space};
use super::tables::{ClientTable, Said};
use super::wire::{Frame, Place};
use crate::channel::Channel;
use crate::message::Epoch;

/// See the module.
#[derive(Default)]
pub(super) struct View {
    pub standing: Vec<Standing>,
    pub closing: bool,
    /// A family that it heard has changed: what still arrives is of a row that is gone.
    pub void: bool,
    pub messages: u64,
    pub gap_offsets: u64,
    pub conflated: u64,
    /// Its socket takes everything at once and every step ends with a flush, so that rates can be measured.
    pub prompt: bool,
    /// Starts that count from their confirmation on, by `req`.
    confirmed_later: HashMap<u64, (String, Start)>,
    pub seen: HashMap<u64, u32>,
    pub heard: HashMap<String, Heard>,
    /// Where the client stands under each name, to resume from.
    pub reached: HashMap<String, (Epoch, u64)>,
    pub tables: HashMap<String, ClientTable>,
}

pub(super) type Checked = Result<(), String>;

impl View {
    pub(super) fn new(prompt: bool) -> Self {
        View { prompt, ..View::default() }
    }

    pub(super) fn find(&mut self, name: &str) -> Option<&mut Standing> {
        self.standing.iter_mut().find(|standing| standing.topic.name() == name)
    }

    /// The client asks. Asking again for another delivery ends the subscription and starts a new one.
    pub(super) fn subscribe(&mut self, asked: Standing, resumes: bool, model: &Model) {
        for space in model.spaces.values().filter(|_| resumes) {
            let asks =
                asked.covers(&space.channel) || space.channel.roll_ups().iter().any(|up| asked.covers(up));
            if asks && covering(&self.standing, model, space) > 0 {
                self.heard.entry(space.channel.name().to_string()).or_default().ended += 1;
            }
        }
        match self.find(asked.topic.name()) {
            Some(known) if known.delivery == asked.delivery => {
                if known.rate != asked.rate {
                    // With a rate or without, a family may be served in another way.
                    known.listed = false;
                    known.starts.clear();
                    known.frontiers.clear();
                }
                known.rate = asked.rate;
                for heard in self.heard.values_mut() {
                    heard.came_us = [0; 2];
                }
            }
            Some(_) => {
                self.unsubscribe(asked.topic.name(), model);
                self.standing.push(asked);
            }
            None => self.standing.push(asked),
        }
    }

    /// The client has asked to hear no more.
    pub(super) fn unsubscribe(&mut self, name: &str, model: &Model) {
        let Some(at) = self.standing.iter().position(|standing| standing.topic.name() == name) else {
            return;
        };
        let ended = self.standing.swap_remove(at);
        // Its confirmation is on its way all the same.
        for (_, (topic, start)) in self.confirmed_later.extract_if(|_, (topic, _)| topic == name) {
            let heard = self.heard.entry(topic).or_default();
            heard.expected_voids.extend(start.void_from);
            heard.claim(&start);
        }
        for space in model.spaces.values() {
            let mut sources = model.spaces.values().filter(|s| s.channel.roll_ups().contains(&space.channel));
            let through = space.channel.roll_ups().iter().any(|roll_up| ended.covers(roll_up))
                || sources.any(|source| ended.covers(&source.channel));
            if ended.covers(&space.channel) || through {
                self.heard.entry(space.channel.name().to_string()).or_default().ended += 1;
            }
        }
    }

    /// The shard is about to hear where a subscription begins in one name.
    pub(super) fn begin(&mut self, topic: &str, name: &str, start: Start, confirmed_by: Option<u64>) {
        if let Some(req) = confirmed_by {
            self.confirmed_later.insert(req, (name.to_string(), start));
            return;
        }
        let heard = self.heard.entry(name.to_string()).or_default();
        heard.expected_voids.extend(start.void_from);
        heard.begin(&start);
        if heard.epoch.as_ref().is_some_and(|epoch| *epoch != start.epoch) {
            // Its confirmation names no epoch, and neither does a gap.
            heard.epoch = None;
        }
        let merged = self.heard_twice(&start.channel);
        self.drop_table(&start);
        let start = self.unreplayed(topic, name, start, merged);
        let Some(standing) = self.find(topic) else { return };
        standing.begin(name, start);
    }

    /// Who begins anew in a table holds nothing of it.
    fn drop_table(&mut self, start: &Start) {
        if !start.resumed && !self.heard_twice(&start.channel) {
            self.tables.remove(start.channel.name());
        }
    }

    /// What a client holds of a table is a state that existed, or part of it.
    fn on_rows(&mut self, own: &Place, said: &Said, model: &Model) -> Checked {
        let Some(space) = model.spaces.get(&own.channel) else { return Ok(()) };
        let logged = space.count(&own.epoch).and_then(|count| count.at(own.offset));
        // Whether it was a table when that was published: its family may have changed since.
        let Some(existed) = logged.and_then(|logged| logged.table.as_ref()) else { return Ok(()) };
        let heard = self.heard.get(&own.channel);
        let claimed = heard.and_then(|heard| heard.claimed.get(&own.epoch)).copied().unwrap_or_default();
        let table = self.tables.entry(own.channel.clone()).or_default();
        let made_up = table.is_made_up(claimed, own.offset);
        table.apply(said, &own.epoch, own.offset);
        if made_up && !table.is(existed) {
            *table = ClientTable::default();
            table.apply(said, &own.epoch, own.offset);
        }
        match table.is(existed) {
            true => Ok(()),
            false => Err(format!("{own:?}: the client holds {table:?}, the table was {existed:?}")),
        }
    }

    /// A gap has to say that the client's offsets in this name are void from here on.
    pub(super) fn expect_void(&mut self, name: &str, from: u64) {
        let heard = self.heard.entry(name.to_string()).or_default();
        heard.expected_voids.push(from);
        heard.forgotten.push(from);
        heard.epoch = None;
    }

    /// The family of a name has changed, which the client asks for no more, or never did.
    pub(super) fn redeclare(&mut self, name: &str) {
        if let Some(heard) = self.heard.get_mut(name) {
            heard.strays |= heard.ended > 0;
        }
    }

    fn heard_twice(&self, channel: &Channel) -> bool {
        self.standing.iter().filter(|standing| standing.covers(channel)).count() > 1
    }

    /// The last messages are sent again only to who hears the name for the first time.
    fn unreplayed(&self, topic: &str, name: &str, start: Start, merged: bool) -> Start {
        let others = self.standing.iter().filter(|standing| standing.topic.name() != topic);
        let heard =
            merged || others.chain(self.standing.iter()).any(|standing| standing.starts.contains_key(name));
        let heard = heard
            || self.confirmed_later.values().any(|(begun, _)| begun == name)
            || self.heard.get(name).is_some_and(|heard| heard.ended > 0)
            || self.standing.iter().any(|standing| standing.topic.name() == topic && standing.partial);
        match start.manner {
            Manner::Every if heard && !start.resumed => Start { after: start.top, ..start },
            _ => start,
        }
    }

    pub(super) fn on_frame(&mut self, frame: Frame, model: &Model, now_us: u64, mono_us: u64) -> Checked {
        if self.closing {
            return Ok(());
        }
        if self.void {
            self.count(&frame);
            return Ok(());
        }
        match frame {
            Frame::Message { serial, own, roll_ups, said } => {
                self.messages += 1;
                self.on_message(serial, &own, &roll_ups, model, mono_us)?;
                said.map_or(Ok(()), |said| self.on_rows(&own, &said, model))
            }
            Frame::Confirmed { topic, head, recovered, req } => {
                self.on_confirmed(&topic, head, recovered, req)
            }
            Frame::Gap { channel, from, to, reason } => {
                self.on_gap(&channel, (from, to), reason, model, now_us)
            }
            Frame::Conflated { count } => {
                self.conflated += count;
                Ok(())
            }
            Frame::Close => {
                self.closing = true;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn count(&mut self, frame: &Frame) {
        match frame {
            Frame::Message { .. } => self.messages += 1,
            Frame::Gap { from, to: Some(to), .. } => self.gap_offsets += to + 1 - from,
            Frame::Conflated { count } => self.conflated += count,
            Frame::Close => self.closing = true,
            _ => {}
        }
    }

    fn on_confirmed(
        &mut self,
        topic: &str,
        head: Option<Place>,
        recovered: Option<bool>,
        req: u64,
    ) -> Checked {
        let Some((name, start)) = self.confirmed_later.remove(&req) else { return Ok(()) };
        let told = head.as_ref().map(|head| (head.epoch.clone(), head.offset));
        let told_wrong = recovered.is_some_and(|recovered| recovered != start.recovered);
        // Several subscriptions to one name are served together, by the strictest.
        let merged = self.heard_twice(&start.channel);
        if told != Some((start.epoch.clone(), start.top)) {
            return Err(format!("{topic} was confirmed at {told:?}, the broker said {start:?}"));
        }
        let was_merged =
            start.manner == Manner::Latest && self.heard.get(&name).is_some_and(|heard| heard.ended > 0);
        if told_wrong && !merged && !was_merged {
            return Err(format!("{topic} was confirmed as recovered {recovered:?}, the truth is {start:?}"));
        }
        let heard = self.heard.entry(name.clone()).or_default();
        heard.tell_epoch(&start.epoch);
        heard.expected_voids.extend(start.void_from);
        heard.begin(&start);
        let reached = (start.epoch.clone(), start.after.max(if recovered.is_none() { start.top } else { 0 }));
        if start.channel.is_table() {
            // It stands nowhere before it has the rows.
            self.drop_table(&start);
        } else {
            self.reached.entry(name.clone()).or_insert(reached);
        }
        let start = self.unreplayed(topic, &name, start, merged);
        if let Some(standing) = self.find(topic) {
            standing.begin(&name, start);
        }
        Ok(())
    }

    fn on_message(
        &mut self,
        serial: u64,
        own: &Place,
        roll_ups: &[Place],
        model: &Model,
        mono_us: u64,
    ) -> Checked {
        let channel = &own.channel;
        let times = self.seen.entry(serial).or_default();
        *times += 1;
        let (times, ended) = (*times, self.heard.get(channel).map_or(0, |heard| heard.ended));
        // Who wants the newest of it had that; who asks for older ones beside gets all of them.
        let newest = model.spaces.get(channel).is_some_and(|space| {
            let mut covering = self.standing.iter().filter(|standing| standing.covers(&space.channel));
            covering.any(|standing| standing.manner(&space.channel).0 == Manner::Latest)
        });
        // Nobody remembers what was queued under an epoch that is over.
        let places = std::iter::once(own).chain(roll_ups);
        let over = places.filter(|place| {
            let space = model.spaces.get(&place.channel);
            space.and_then(Space::current).is_none_or(|current| current.epoch != place.epoch)
        });
        let rows = model.spaces.get(channel).is_some_and(|space| space.channel.is_table());
        if !rows && times > 1 + ended + u32::from(newest) + u32::from(over.count() > 0) {
            return Err(format!("{channel} {} (serial {serial}) came {times} times", own.offset));
        }
        let mut wanted = false;
        for place in std::iter::once(own).chain(roll_ups) {
            let Some(space) = model.spaces.get(&place.channel) else {
                return Err(format!("a message of {} that nobody published", place.channel));
            };
            let logged = space.count(&place.epoch).and_then(|count| count.at(place.offset));
            if logged.map(|logged| logged.serial) != Some(serial) {
                return Err(format!("{place:?} is not what was published there"));
            }
            wanted |= self.standing.iter().any(|standing| standing.covers(&space.channel));
            self.note(place, space, model)?;
        }
        if !wanted && ended == 0 {
            return Err(format!("{channel} {} came unasked", own.offset));
        }
        self.check_latest(own, model, mono_us)
    }

    /// Who hears every message is told where the old count ended before the new one goes on.
    fn check_epoch_was_told(&self, place: &Place, space: &Space, model: &Model) -> Checked {
        let Some(heard) = self.heard.get(&place.channel) else { return Ok(()) };
        let Some(epoch) = heard.epoch.as_ref().filter(|epoch| **epoch != place.epoch) else { return Ok(()) };
        let mut standing = self.standing.iter().filter(|standing| standing.covers(&space.channel));
        let hears = |standing: &Standing| standing.manner(&space.channel).0 == Manner::Every;
        let alone = covering(&self.standing, model, space) < 2;
        let told = heard.voids.contains_key(epoch) || heard.ended > 0;
        if !told && alone && standing.any(hears) {
            return Err(format!("{} went on in the epoch {} unsaid", place.channel, place.epoch));
        }
        Ok(())
    }

    fn note(&mut self, place: &Place, space: &Space, model: &Model) -> Checked {
        self.check_epoch_was_told(place, space, model)?;
        let heard = self.heard.entry(place.channel.clone()).or_default();
        heard.tell_epoch(&place.epoch);
        self.reached.insert(place.channel.clone(), (place.epoch.clone(), place.offset));
        let said_missing =
            heard.gapped.get(&place.epoch).is_some_and(|gapped| gapped.contains(&place.offset));
        if said_missing && heard.ended == 0 && covering(&self.standing, model, space) < 2 {
            return Err(format!("{} {} came though a gap said it would not", place.channel, place.offset));
        }
        heard.got.entry(place.epoch.clone()).or_default().insert(place.offset);
        let counts: Vec<Epoch> = space.counts.iter().map(|count| count.epoch.clone()).collect();
        let ended = heard.ended;
        for standing in &mut self.standing {
            let every = standing.manner(&space.channel).0 == Manner::Every;
            // Frames of an ended subscription may still have been on their way when this one began.
            let mixed = standing.spreads() && (ended > 0 || standing.mixed);
            if !every || mixed || !standing.covers(&space.channel) {
                continue;
            }
            let Some(after) = standing.after(&place.channel, &place.epoch, &counts) else { continue };
            if place.offset <= after {
                continue;
            }
            let frontier =
                standing.frontiers.entry((place.channel.clone(), place.epoch.clone())).or_insert(after);
            while *frontier < place.offset && heard.has(&place.epoch, *frontier + 1) {
                *frontier += 1;
            }
            if place.offset > *frontier {
                return Err(format!(
                    "{} {} came to {} before {}, and no gap was said",
                    place.channel,
                    place.offset,
                    standing.topic.name(),
                    *frontier + 1
                ));
            }
        }
        Ok(())
    }

    /// Where nobody asked for every message: what is seen only grows, and not faster than the rate.
    fn check_latest(&mut self, own: &Place, model: &Model, mono_us: u64) -> Checked {
        let Some(space) = model.spaces.get(&own.channel) else { return Ok(()) };
        let hears = |standing: &&Standing| {
            standing.covers(&space.channel)
                || space.channel.roll_ups().iter().any(|roll_up| standing.covers(roll_up))
        };
        let rates: Vec<(Manner, u32)> =
            self.standing.iter().filter(hears).map(|standing| standing.manner(&space.channel)).collect();
        let heard = self.heard.entry(own.channel.clone()).or_default();
        if rates.is_empty() || rates.iter().any(|(manner, _)| *manner == Manner::Every) || heard.ended > 0 {
            return Ok(());
        }
        if let Some((epoch, offset)) = &heard.newest
            && *epoch == own.epoch
            && (*offset > own.offset || (*offset == own.offset && !space.channel.is_table()))
        {
            return Err(format!("{} {} came after {offset}", own.channel, own.offset));
        }
        let first = heard.newest.replace((own.epoch.clone(), own.offset)).is_none();
        let fastest = rates.iter().map(|(_, rate)| *rate).max().unwrap_or(0);
        let unlimited = rates.iter().any(|(_, rate)| *rate == 0);
        if unlimited || !self.prompt || first {
            return Ok(());
        }
        // The first message may be the snapshot; and between two of the rate's one may come that was read, because
        // there had been no room for it in its turn.
        let [before, last] = heard.came_us;
        heard.came_us = [last, mono_us];
        if before > 0 && mono_us - before < 1_000_000 / u64::from(fastest) {
            let (one, two) = (mono_us - before, mono_us - last);
            return Err(format!(
                "{} came {two} and {one} us after the last two at {fastest} a second",
                own.channel
            ));
        }
        Ok(())
    }
}
