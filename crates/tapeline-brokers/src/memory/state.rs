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

/// Keys remembered at most for one channel; then the oldest is forgotten early.
const KEYS_LIMIT: usize = 65_536;

/// The first receipts of recent publishes that gave a key, oldest first in `order`.
#[derive(Default)]
struct Keys {
    receipts: HashMap<IdempotencyKey, Receipt, FixedState>,
    order: VecDeque<(u64, IdempotencyKey)>,
}

/// See the module.
pub(super) struct State {
    channel: Channel,
    epoch: Epoch,
    top: u64,
    kept: VecDeque<Arc<Message>>,
    kept_bytes: usize,
    /// The rows, where the family's delivery is `table`; then only the newest message is kept beside them.
    held: Option<Box<Held>>,
    keys: Option<Box<Keys>>,
    joined: usize,
    touched_us: u64,
}

impl State {
    pub(super) fn new(channel: Channel, epoch: Epoch) -> Self {
        let held = channel.is_table().then(Box::default);
        State {
            channel,
            epoch,
            top: 0,
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
    pub(super) fn begin_anew(&mut self, channel: Channel, epoch: Epoch) {
        *self = State { joined: self.joined, ..State::new(channel, epoch) };
    }

    /// Keeps by another row from now on.
    pub(super) fn go_on_as(&mut self, channel: Channel) {
        self.channel = channel;
    }

    /// Counts one message; the caller keeps it under the same lock.
    pub(super) fn count(&mut self) -> (u64, Epoch) {
        self.top += 1;
        (self.top, self.epoch.clone())
    }

    /// Counts a draft, whose rows a table takes.
    pub(super) fn count_draft(&mut self, draft: &mut Draft) -> (u64, Epoch) {
        let (offset, epoch) = self.count();
        if let Some(held) = &mut self.held {
            held.take(draft, offset);
        }
        (offset, epoch)
    }

    pub(super) fn keep(&mut self, message: &Arc<Message>, now_us: u64) {
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

    /// Whether it keeps messages rather than rows.
    pub(super) fn is_history(&self) -> bool {
        self.held.is_none()
    }

    /// Keeps no longer what is `unwanted`, and answers how many messages that were.
    pub(super) fn forget(&mut self, now_us: u64, unwanted: impl Fn(&Message) -> bool) -> u64 {
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
    pub(super) fn repeated(&mut self, key: &IdempotencyKey, now_us: u64) -> Option<Receipt> {
        let keys = self.keys.as_deref_mut()?;
        while keys.order.front().is_some_and(|(at, _)| at + micros(KEY_LIFE) < now_us) {
            if let Some((_, old)) = keys.order.pop_front() {
                keys.receipts.remove(&old);
            }
        }
        keys.receipts.get(key).map(|first| Receipt { duplicate: true, ..first.clone() })
    }

    pub(super) fn remember(&mut self, key: IdempotencyKey, receipt: Receipt, now_us: u64) {
        let keys = self.keys.get_or_insert_default();
        if keys.order.len() >= KEYS_LIMIT
            && let Some((_, old)) = keys.order.pop_front()
        {
            keys.receipts.remove(&old);
        }
        keys.order.push_back((now_us, key.clone()));
        keys.receipts.insert(key, receipt);
    }

    pub(super) fn head(&self) -> Head {
        let first = self.kept.front().and_then(|message| message.offset_in(&self.channel));
        Head { epoch: self.epoch.clone(), top: self.top, oldest: first.unwrap_or(self.top + 1) }
    }

    pub(super) fn join(&mut self, now_us: u64) -> Head {
        self.joined += 1;
        self.touched_us = now_us;
        self.trim(now_us);
        self.head()
    }

    pub(super) fn leave(&mut self, now_us: u64) {
        self.joined = self.joined.saturating_sub(1);
        self.touched_us = now_us;
    }

    pub(super) fn read(&mut self, after: u64, limit: usize, now_us: u64) -> Page {
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

    pub(super) fn channel(&self) -> &Channel {
        &self.channel
    }

    pub(super) fn is_joined(&self) -> bool {
        self.joined > 0
    }

    pub(super) fn touched_us(&self) -> u64 {
        self.touched_us
    }

    /// Whether nobody will miss it: idle past its row's time, its newest message past its age, nobody joined.
    pub(super) fn is_forgettable(&mut self, now_us: u64) -> bool {
        if self.is_joined() {
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
