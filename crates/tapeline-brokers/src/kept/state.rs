//! What is kept of one channel: its counter, its messages within retention, the keys of recent publishes.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use tapeline_core::broker::{Head, NEWEST, Page};
use tapeline_core::clock::micros;
use tapeline_core::message::{Draft, Epoch, IdempotencyKey, Message};
use tapeline_core::{Channel, Receipt};
use tapeline_schema::Keep;

use super::rows::Held;

/// A repeated key is recognised for so long.
const KEY_LIFE: Duration = Duration::from_secs(300);

/// The same in microseconds.
pub(crate) const KEY_LIFE_US: u64 = 300_000_000;

/// Keys remembered at most for one channel; then the oldest is forgotten early.
const KEYS_LIMIT: usize = 65_536;

/// The first receipts of recent publishes that gave a key, oldest first in `order`.
#[derive(Default)]
struct Keys {
    receipts: HashMap<IdempotencyKey, Receipt, FixedState>,
    order: VecDeque<(u64, IdempotencyKey)>,
}

/// See the module.
pub(crate) struct State {
    channel: Channel,
    epoch: Epoch,
    /// The newest offset given out; beyond `top` while what it was given to is being written.
    counted: u64,
    /// The newest offset of what is kept and told.
    top: u64,
    /// The newest record of it in the log, if its broker writes one.
    record: u64,
    /// Messages of it went by that are not in the log.
    lapsed: bool,
    /// An owner that was counted and not settled: nobody may be told of it yet.
    claimed: Option<Box<str>>,
    kept: VecDeque<Arc<Message>>,
    kept_bytes: usize,
    /// The rows, where the family's delivery is `table`; then only the newest message is kept beside them.
    held: Option<Box<Held>>,
    keys: Option<Box<Keys>>,
    joined: usize,
    touched_us: u64,
}

impl State {
    pub(crate) fn new(channel: Channel, epoch: Epoch) -> Self {
        let held = channel.is_table().then(Box::default);
        State {
            channel,
            epoch,
            counted: 0,
            top: 0,
            record: 0,
            lapsed: false,
            claimed: None,
            kept: VecDeque::new(),
            kept_bytes: 0,
            held,
            keys: None,
            joined: 0,
            // Just made: nobody may think it idle before it is used.
            touched_us: u64::MAX,
        }
    }

    /// Forgets everything but who has joined.
    pub(crate) fn begin_anew(&mut self, channel: Channel, epoch: Epoch) {
        *self = State { joined: self.joined, ..State::new(channel, epoch) };
    }

    /// Keeps by another row from now on.
    pub(crate) fn go_on_as(&mut self, channel: Channel) {
        self.channel = channel;
    }

    /// Counts one message, which is settled later.
    pub(crate) fn count(&mut self) -> (u64, Epoch) {
        self.counted += 1;
        (self.counted, self.epoch.clone())
    }

    /// Its owner, or who will be once what was counted is settled.
    pub(crate) fn owner(&self) -> Option<&str> {
        self.channel.owner().or(self.claimed.as_deref())
    }

    /// The first owner of the channel, from when this is settled.
    pub(crate) fn claim(&mut self, owner: &str) {
        self.claimed = Some(owner.into());
    }

    /// Whoever asks is told whose it is from now on.
    pub(crate) fn settle_owner(&mut self) {
        if let Some(owner) = self.claimed.take() {
            self.channel.set_owner(&owner);
        }
    }

    /// Takes back what was counted and not settled.
    pub(crate) fn uncount(&mut self, now_us: u64) {
        self.counted = self.top;
        self.claimed = None;
        self.touched_by(now_us);
    }

    /// Was used at this time at the latest, so that it can become idle.
    pub(crate) fn touched_by(&mut self, now_us: u64) {
        self.touched_us = self.touched_us.min(now_us);
    }

    /// Whether something was counted and is not settled: then it can be neither forgotten nor begun anew.
    pub(crate) fn is_pending(&self) -> bool {
        self.counted != self.top
    }

    /// Has a table take a draft's rows, which then say what its subscribers get.
    pub(crate) fn take_rows(&mut self, draft: &mut Draft, offset: u64) {
        if let Some(held) = &mut self.held {
            held.take(draft, offset);
        }
    }

    /// Keeps a message that has this offset here, and tells it from now on.
    pub(crate) fn keep(&mut self, message: &Arc<Message>, offset: u64, now_us: u64) {
        self.top = offset;
        self.touched_us = now_us;
        self.kept_bytes += message.data.len();
        self.kept.push_back(message.clone());
        self.trim(now_us);
    }

    fn trim(&mut self, now_us: u64) {
        let keep = match self.held {
            None => self.channel.spec().keep,
            Some(_) => Keep { count: 1, age: None, bytes: None },
        };
        let count = keep.count.max(1);
        let too_old = keep.age.map_or(0, |age| now_us.saturating_sub(micros(age)));
        while let Some(oldest) = self.kept.front() {
            let too_many = self.kept.len() > count;
            let too_large = keep.bytes.is_some_and(|bytes| self.kept_bytes > bytes && self.kept.len() > 1);
            if !too_many && !too_large && oldest.timestamp_us >= too_old {
                break;
            }
            self.kept_bytes -= oldest.data.len();
            self.kept.pop_front();
        }
        self.shrink();
    }

    fn shrink(&mut self) {
        if self.kept.capacity() > 64 && self.kept.len() * 4 < self.kept.capacity() {
            self.kept.shrink_to(self.kept.len() * 2);
        }
    }

    /// What it counts under.
    pub(crate) fn epoch(&self) -> &Epoch {
        &self.epoch
    }

    /// The newest offset that is told.
    pub(crate) fn top(&self) -> u64 {
        self.top
    }

    /// The newest offset given out.
    pub(crate) fn counted(&self) -> u64 {
        self.counted
    }

    /// What a copy of it must have, so that [`State::put_back`] makes it again: the messages within retention, or a table's
    /// newest message with all rows.
    pub(crate) fn messages(&mut self, now_us: u64) -> Vec<Arc<Message>> {
        match self.held {
            Some(_) => self.read(NEWEST, 1, now_us).messages,
            None => {
                self.trim(now_us);
                self.kept.iter().cloned().collect()
            }
        }
    }

    /// The keys that are remembered of what is told, with when, oldest first.
    pub(crate) fn keys(&self) -> impl Iterator<Item = (u64, &IdempotencyKey, &Receipt)> {
        let keys = self.keys.as_deref();
        let order = keys.into_iter().flat_map(|keys| keys.order.iter().map(move |known| (keys, known)));
        order
            .filter_map(|(keys, (at, key))| Some((*at, key, keys.receipts.get(key)?)))
            .filter(|(_, _, first)| first.epoch == self.epoch && first.offset <= self.top)
    }

    /// Stands where it stood when it was copied.
    pub(crate) fn stand(&mut self, top: u64, record: u64, touched_us: u64) {
        (self.top, self.counted, self.record, self.touched_us) = (top, top, record, touched_us);
    }

    /// Keeps a message again, whatever its place among the others; [`State::put_in_order`] comes after the last.
    pub(crate) fn put_back(&mut self, message: &Arc<Message>) {
        self.kept_bytes += message.data.len();
        self.kept.push_back(message.clone());
    }

    /// Orders what was put back, and keeps of it what its row says.
    pub(crate) fn put_in_order(&mut self, now_us: u64) {
        let channel = &self.channel;
        let place = |message: &Arc<Message>| message.offset_in(channel);
        if !self.kept.iter().is_sorted_by_key(place) {
            self.kept.make_contiguous().sort_by_cached_key(place);
        }
        self.trim(now_us);
    }

    /// Counts on under another epoch.
    pub(crate) fn count_under(&mut self, epoch: Epoch) {
        for first in self.keys.iter_mut().flat_map(|keys| keys.receipts.values_mut()) {
            if first.epoch == self.epoch {
                first.epoch = epoch.clone();
            }
        }
        self.epoch = epoch;
        self.lapsed = false;
    }

    /// Replaces every message by what `change` makes of it.
    pub(crate) fn change_messages(&mut self, mut change: impl FnMut(&Arc<Message>) -> Arc<Message>) {
        for message in &mut self.kept {
            *message = change(message);
        }
        if let Some(held) = &mut self.held {
            held.forget_told();
        }
    }

    /// Whether messages of it went by that are not in the log.
    pub(crate) fn has_lapsed(&self) -> bool {
        self.lapsed
    }

    pub(crate) fn set_lapsed(&mut self, lapsed: bool) {
        self.lapsed = lapsed;
    }

    /// Counts on from an offset that was given out earlier.
    pub(crate) fn has_counted(&mut self, offset: u64) {
        self.counted = self.counted.max(offset);
    }

    /// The newest record of it in the log.
    pub(crate) fn record(&self) -> u64 {
        self.record
    }

    pub(crate) fn set_record(&mut self, record: u64) {
        self.record = self.record.max(record);
    }

    /// Whether it keeps messages rather than rows.
    pub(crate) fn is_history(&self) -> bool {
        self.held.is_none()
    }

    /// Keeps no longer what is `unwanted`, and answers how many messages that were.
    pub(crate) fn forget(&mut self, now_us: u64, unwanted: impl Fn(&Message) -> bool) -> u64 {
        self.trim(now_us);
        let (before, mut bytes) = (self.kept.len(), 0);
        self.kept.retain(|message| {
            let goes = unwanted(message);
            bytes += if goes { message.data.len() } else { 0 };
            !goes
        });
        self.kept_bytes -= bytes;
        self.shrink();
        (before - self.kept.len()) as u64
    }

    /// The first receipt of a publish with this key, if it is recent.
    pub(crate) fn repeated(&mut self, key: &IdempotencyKey, now_us: u64) -> Option<Receipt> {
        let keys = self.keys.as_deref_mut()?;
        while keys.order.front().is_some_and(|(at, _)| at + micros(KEY_LIFE) < now_us) {
            if let Some((_, old)) = keys.order.pop_front() {
                keys.receipts.remove(&old);
            }
        }
        keys.receipts.get(key).map(|first| Receipt { duplicate: true, ..first.clone() })
    }

    pub(crate) fn remember(&mut self, key: IdempotencyKey, receipt: Receipt, now_us: u64) {
        let keys = self.keys.get_or_insert_default();
        if keys.order.len() >= KEYS_LIMIT
            && let Some((_, old)) = keys.order.pop_front()
        {
            keys.receipts.remove(&old);
        }
        keys.order.push_back((now_us, key.clone()));
        keys.receipts.insert(key, receipt);
    }

    /// Takes back a key whose publish was not settled.
    pub(crate) fn unremember(&mut self, key: &IdempotencyKey) {
        let Some(keys) = self.keys.as_deref_mut() else { return };
        keys.receipts.remove(key);
        // Those taken back are the newest.
        if let Some(at) = keys.order.iter().rposition(|(_, known)| known == key) {
            keys.order.remove(at);
        }
    }

    pub(crate) fn head(&self) -> Head {
        let first = self.kept.front().and_then(|message| message.offset_in(&self.channel));
        Head { epoch: self.epoch.clone(), top: self.top, oldest: first.unwrap_or(self.top + 1) }
    }

    pub(crate) fn join(&mut self, now_us: u64) -> Head {
        self.joined += 1;
        self.touched_us = now_us;
        self.trim(now_us);
        self.head()
    }

    pub(crate) fn leave(&mut self, now_us: u64) {
        self.joined = self.joined.saturating_sub(1);
        self.touched_us = now_us;
    }

    pub(crate) fn read(&mut self, after: u64, limit: usize, now_us: u64) -> Page {
        self.trim(now_us);
        let head = self.head();
        if let Some(held) = &mut self.held {
            let newest = self.kept.back().filter(|_| limit > 0);
            let messages = newest.and_then(|newest| held.read(after, newest)).into_iter().collect();
            return Page { head, messages };
        }
        let first = match after {
            NEWEST => self.kept.len().saturating_sub(1),
            // Dense, but for what was forgotten.
            after if self.kept.len() as u64 == head.top + 1 - head.oldest => {
                usize::try_from((after + 1).saturating_sub(head.oldest)).unwrap_or(usize::MAX)
            }
            after => self.kept.partition_point(|message| message.offset_in(&self.channel) <= Some(after)),
        };
        let messages = self.kept.iter().skip(first).take(limit).cloned().collect();
        Page { head, messages }
    }

    pub(crate) fn channel(&self) -> &Channel {
        &self.channel
    }

    pub(crate) fn is_joined(&self) -> bool {
        self.joined > 0
    }

    pub(crate) fn touched_us(&self) -> u64 {
        self.touched_us
    }

    /// Whether nobody will miss it: idle past its row's time, its newest message past its age, nobody joined.
    pub(crate) fn is_forgettable(&mut self, now_us: u64) -> bool {
        if self.is_joined() || self.is_pending() {
            return false;
        }
        if self.channel.has_ended() {
            return true;
        }
        self.trim(now_us);
        let remembered = self.keys.as_ref().and_then(|keys| keys.order.back());
        if remembered.is_some_and(|(at, _)| at + micros(KEY_LIFE) >= now_us) {
            return false;
        }
        let spec = self.channel.spec();
        let idle = now_us.saturating_sub(self.touched_us);
        idle > micros(spec.idle_ttl) && spec.keep.age.is_none_or(|age| idle > micros(age))
    }
}

#[cfg(test)]
mod tests {
    use tapeline_core::Directory;
    use tapeline_schema::Catalog;

    use super::*;

    fn key(number: usize) -> IdempotencyKey {
        IdempotencyKey { principal: "someone".into(), key: number.to_string().into() }
    }

    #[test]
    fn a_channel_remembers_so_many_keys_and_forgets_the_oldest_first() {
        let channel = Directory::new(Catalog::built_in()).channel("anything").unwrap();
        let mut state = State::new(channel, "epoch".into());
        for number in 0..=KEYS_LIMIT {
            let (offset, epoch) = state.count();
            let id = Default::default();
            let receipt = Receipt { offset, epoch, id, duplicate: false, held: false };
            assert!(state.repeated(&key(number), 1).is_none());
            state.remember(key(number), receipt, 1);
        }
        assert!(state.repeated(&key(0), 1).is_none(), "the oldest key is still known");
        for number in [1, 2, KEYS_LIMIT] {
            let first = state.repeated(&key(number), 1).unwrap();
            assert_eq!((first.offset, first.duplicate), (number as u64 + 1, true));
        }
        let keys = state.keys.as_ref().unwrap();
        assert_eq!((keys.order.len(), keys.receipts.len()), (KEYS_LIMIT, KEYS_LIMIT));
    }
}
