//! How a shard learns that a channel counts anew: the old offsets are void, and whoever hears each message is told.
//! Epochs have no order of their own, so a shard knows a late answer by when it asked and when it learned of the new
//! one.

use crate::broker::Head;
use crate::channel::Channel;
use crate::incidents::IncidentKind;
use crate::message::Epoch;
use crate::reply::{GapReason, Reply};
use crate::shard::Shard;
use crate::target::{Cursor, Mode};

impl Shard {
    /// Remembers what an entry's offsets count under; a new epoch voids the old ones.
    pub(crate) fn note_epoch(&mut self, id: u32, epoch: &Epoch) {
        let Some(entry) = self.router.entries.get_mut(id as usize) else { return };
        match &entry.epoch {
            Some(known) if known == epoch => return,
            Some(_) => self.end_epoch(id),
            None => {}
        }
        if let Some(entry) = self.router.entries.get_mut(id as usize) {
            self.learned += 1;
            entry.learned = self.learned;
            entry.epoch = Some(epoch.clone());
        }
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

    /// Whether a message is of the epoch before: the broker's answer to a request may be ahead of the inbox.
    pub(crate) fn is_ended(&self, id: u32, epoch: &Epoch) -> bool {
        self.router.entries.get(id as usize).is_some_and(|entry| entry.ended.as_ref() == Some(epoch))
    }

    /// The offsets of an entry are void from now on. Who hears each message is told from where.
    pub(crate) fn end_epoch(&mut self, id: u32) {
        let Some(entry) = self.router.entries.get_mut(id as usize) else { return };
        self.learned += 1;
        entry.learned = self.learned;
        entry.ended = entry.epoch.take();
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
