//! How a shard learns that a channel counts anew: the old offsets are void, and whoever hears each message is told.
//!
//! Epochs have no order of their own. Messages come in theirs, so another epoch among them is a newer one. What the broker
//! answers may be ahead of them: a shard knows a late answer by when it asked and when it learned of the new epoch, and
//! where neither says which of two is newer, it asks.

use crate::broker::{Head, NEWEST, Page};
use crate::channel::Channel;
use crate::incidents::IncidentKind;
use crate::message::Epoch;
use crate::reply::{GapReason, Reply};
use crate::shard::{Note, Shard};
use crate::target::{Cursor, Mode};

impl Shard {
    /// A message came under this epoch. Where the broker's answer was ahead of it, it may be of an older one.
    pub(crate) fn follow_epoch(&mut self, id: u32, epoch: &Epoch) {
        let Some(entry) = self.router.entry(id) else { return };
        let was_ahead = std::mem::take(&mut entry.ahead);
        if was_ahead && entry.epoch.as_ref().is_some_and(|known| known != epoch) {
            self.ask_epoch(id, epoch);
        }
        self.note_epoch(id, epoch);
    }

    /// The broker answered that an entry's offsets count under this epoch.
    pub(crate) fn learn_epoch(&mut self, id: u32, epoch: &Epoch) {
        self.note_epoch(id, epoch);
        if let Some(entry) = self.router.entry(id) {
            entry.ahead = true;
        }
    }

    /// Remembers what an entry's offsets count under; a new epoch voids the old ones.
    fn note_epoch(&mut self, id: u32, epoch: &Epoch) {
        let Some(entry) = self.router.entries.get_mut(id as usize) else { return };
        match &entry.epoch {
            Some(known) if known == epoch => return,
            Some(_) => self.end_epoch(id),
            None => {}
        }
        if let Some(entry) = self.router.entries.get_mut(id as usize) {
            self.learned += 1;
            entry.learned = self.learned;
            // A broker that lost its newest epoch goes on with the one before.
            entry.ended.retain(|ended| ended != epoch);
            entry.epoch = Some(epoch.clone());
        }
    }

    /// Asks the broker what an entry's channel counts under: this epoch was told of it, and nobody knows whether it is over.
    pub(crate) fn ask_epoch(&mut self, id: u32, epoch: &Epoch) {
        let asked = self.learned;
        let Some(entry) = self.router.entry(id) else { return };
        if entry.doubted.replace(epoch.clone()).is_some() {
            return;
        }
        let (channel, mailbox) = (entry.channel.clone(), self.mailbox.clone());
        let told = channel.clone();
        let answer = Box::new(move |page: Page| mailbox.post(Note::Told(Box::new((told, page.head, asked)))));
        self.hub.broker().clone().read(&channel, NEWEST, 1, answer);
    }

    /// The broker says what an entry's channel counts under.
    pub(crate) fn on_told(&mut self, channel: &Channel, head: &Head, asked: u64) {
        let Some(id) = self.router.find(channel).filter(|_| !channel.has_ended()) else { return };
        let overtaken = self.is_overtaken(channel, head, asked);
        let Some(entry) = self.router.entry(id).filter(|entry| entry.channel == *channel) else { return };
        let Some(doubted) = entry.doubted.take() else { return };
        if overtaken {
            return self.ask_epoch(id, &doubted);
        }
        if doubted != head.epoch && entry.epoch.as_ref() != Some(&doubted) {
            entry.end(doubted);
        }
        if head.epoch.is_empty() {
            // The broker has forgotten the channel.
            if entry.epoch.is_some() {
                self.end_epoch(id);
            }
        } else {
            let is_other = entry.epoch.as_ref() != Some(&head.epoch);
            self.learn_epoch(id, &head.epoch);
            // Where nothing was wrong, what is on its way is not passed over.
            if is_other {
                self.read_lacking(id, head);
            }
        }
        // What waited to know may go on.
        let entry = self.router.entries.get(id as usize);
        let targets = entry.into_iter().flat_map(|entry| &entry.targets);
        let waiting: Vec<u32> =
            targets.filter(|target| target.overlap).map(|target| target.session).collect();
        waiting.into_iter().for_each(|slot| self.pump(slot));
    }

    /// Whether a broker's answer was overtaken by a new epoch, of which the shard has heard since it asked, or by a change
    /// of the catalogue that has ended the channel. It is asked again.
    pub(crate) fn is_overtaken(&self, channel: &Channel, head: &Head, asked: u64) -> bool {
        if channel.has_ended() {
            return true;
        }
        let entry = self.router.find(channel).and_then(|id| self.router.entries.get(id as usize));
        entry.is_some_and(|entry| entry.learned > asked && entry.epoch.as_ref() != Some(&head.epoch))
    }

    /// Whether a message is of an epoch that is over: the broker's answer to a request may be ahead of the inbox.
    pub(crate) fn is_ended(&self, id: u32, epoch: &Epoch) -> bool {
        self.router.entries.get(id as usize).is_some_and(|entry| entry.ended.contains(epoch))
    }

    /// The offsets of an entry are void from now on. Who hears each message is told from where.
    pub(crate) fn end_epoch(&mut self, id: u32) {
        let Some(entry) = self.router.entries.get_mut(id as usize) else { return };
        self.learned += 1;
        entry.learned = self.learned;
        if let Some(epoch) = entry.epoch.take() {
            entry.end(epoch);
        }
        let stats = self.stats.families.of(entry.channel.family());
        for group in &mut entry.groups {
            if !std::mem::take(&mut group.pending).is_empty() {
                stats.conflated_rate.bump(u64::from(group.members));
            }
        }
        let mut gaps = Vec::new();
        for target in &mut entry.targets {
            if target.mode == Mode::Every && !matches!(target.cursor, Cursor::Joining | Cursor::Fresh) {
                stats.dropped_epoch.bump(entry.last.saturating_sub(target.sent));
                gaps.push((target.session, target.sent + 1));
            }
            target.restart();
        }
        entry.last = 0;
        let (channel, lane) = (entry.channel.clone(), entry.lane);
        for (slot, from) in gaps {
            let reason = GapReason::Epoch;
            let message = format!("messages from {from} on will not come: {}", reason.why());
            self.report(slot, IncidentKind::Gap, reason.name(), channel.name(), &message);
            let gap = Reply::Gap { channel: channel.clone(), from, to: None, reason: GapReason::Epoch };
            self.reply_in_lane(slot, lane, &gap);
        }
    }
}
