//! From records back to what was kept. A record that a channel already has in it is passed over, for the channel and for
//! each roll-up by itself, so that the log may begin anywhere before a snapshot's channels were copied.

use std::sync::Arc;

use bytes::Bytes;
use smallvec::SmallVec;
use tapeline_core::broker::Head;
use tapeline_core::channel::ChannelMap;
use tapeline_core::message::{Draft, Epoch, IdempotencyKey, Message, RollUpMark, is_json};
use tapeline_core::store::{Change, Key, State as StoreState};
use tapeline_core::table::take_apart;
use tapeline_core::{Channel, Directory, Receipt};
use uuid::Uuid;

use super::record::{Entry, Known, Record, Stand, Told};
use crate::kept::Stripes;

/// See the module.
pub(super) struct Replaying<'a> {
    pub(super) directory: &'a Directory,
    pub(super) stripes: &'a Stripes,
    pub(super) store: StoreState,
    /// Keys that are older are forgotten.
    pub(super) keys_since_us: u64,
    /// Whose channels are, as told last.
    pub(super) owners: ChannelMap<Box<str>>,
    /// Records of channels that the catalogue now has as something else.
    pub(super) passed_over: u64,
    /// The newest number of a record.
    pub(super) newest: u64,
}

impl Replaying<'_> {
    /// The channel of this name, if it is still what it was.
    fn channel(&mut self, name: &str, table: bool) -> Option<Channel> {
        let channel = self.directory.channel(name).ok().filter(|channel| channel.is_table() == table);
        self.passed_over += u64::from(channel.is_none());
        channel
    }

    /// Takes a record of the log.
    pub(super) fn take(&mut self, number: u64, record: Record<'_>) {
        self.newest = self.newest.max(number);
        match record {
            Record::Message(told) => self.take_message(number, &told),
            Record::Begun { channel, table, epoch } => {
                let Some(channel) = self.channel(channel, table) else { return };
                let mut locked = self.stripes.lock(&channel, &[]);
                if locked.held(&channel).is_some_and(|state| state.record() >= number) {
                    return;
                }
                if let Some(state) = locked.restore(&channel, epoch.into()) {
                    state.set_record(number);
                }
            }
            Record::Forgot { channel, epoch, through } => self.take_forgot(number, channel, epoch, through),
            Record::Lapsed { channel } => {
                let Ok(channel) = self.directory.channel(channel) else { return };
                let mut locked = self.stripes.lock(&channel, &[]);
                if let Some(state) = locked.held(&channel).filter(|state| state.record() < number) {
                    state.set_lapsed(true);
                }
            }
            Record::Owned { channel, table, owner } => {
                let Some(channel) = self.channel(channel, table) else { return };
                let mut locked = self.stripes.lock(&channel, &[]);
                if locked.held(&channel).is_none_or(|state| state.record() < number) {
                    self.owners.insert(channel.clone(), owner.into());
                }
            }
            Record::Entry(entry) => self.take_entry(&entry),
            Record::Synced { .. } | Record::Stand(_) | Record::Known(_) | Record::End { .. } => {}
        }
    }

    /// Takes a record of a snapshot.
    pub(super) fn put_back(&mut self, record: Record<'_>) {
        match record {
            Record::Stand(stand) => self.put_stand(&stand),
            Record::Message(told) => self.put_message(&told),
            Record::Known(known) => self.put_known(&known),
            Record::Owned { channel, table, owner } => {
                if let Some(channel) = self.channel(channel, table) {
                    self.owners.insert(channel, owner.into());
                }
            }
            Record::Entry(entry) => self.take_entry(&entry),
            _ => {}
        }
    }

    fn take_message(&mut self, number: u64, told: &Told<'_>) {
        let Some(channel) = self.channel(told.channel, told.table) else { return };
        let Some((draft, marks)) = self.draft(&channel, told) else { return };
        let roll_ups: SmallVec<[Channel; 2]> = marks.iter().map(|mark| mark.channel.clone()).collect();
        let mut locked = self.stripes.lock(&channel, &roll_ups);
        let mut wants = |channel: &Channel| locked.held(channel).is_none_or(|state| state.record() < number);
        let wanted = wants(&channel);
        let wanted_by: SmallVec<[bool; 2]> = roll_ups.iter().map(wants).collect();
        let (mut draft, epoch, timestamp_us) = (draft, Epoch::from(told.epoch), told.timestamp_us);
        if wanted && let Some(state) = locked.restore(&channel, epoch.clone()) {
            state.take_rows(&mut draft, told.offset);
            state.set_lapsed(false);
            if let Some((principal, key)) = told.key.filter(|_| timestamp_us >= self.keys_since_us) {
                let key = IdempotencyKey { principal: principal.into(), key: key.into() };
                let receipt = receipt(told.offset, epoch.clone(), draft.id);
                state.remember(key, receipt, timestamp_us);
            }
        }
        let message = Arc::new(Message::new(draft, told.offset, epoch.clone(), marks.clone()));
        let places = marks.iter().map(|mark| (&mark.channel, mark.offset, &mark.epoch));
        let places = std::iter::once((&channel, told.offset, &epoch)).chain(places);
        for ((channel, offset, epoch), wanted) in places.zip([wanted].into_iter().chain(wanted_by)) {
            if wanted && let Some(state) = locked.restore(channel, epoch.clone()) {
                state.has_counted(offset);
                state.keep(&message, offset, timestamp_us);
                state.set_record(number);
            }
        }
    }

    /// What was published, as far as it still fits its channel.
    fn draft(&mut self, channel: &Channel, told: &Told<'_>) -> Option<(Draft, SmallVec<[RollUpMark; 1]>)> {
        let (mut data, mut rows) = (Bytes::copy_from_slice(told.data), None);
        if told.table {
            let Ok((taken, apart)) = take_apart(channel.spec(), told.data) else {
                self.passed_over += 1;
                return None;
            };
            (data, rows) = (taken, Some(Box::new(apart)));
        } else if channel.declared() && !is_json(&data) {
            // It was published while nobody had declared the name, which then took any bytes.
            self.passed_over += 1;
            return None;
        }
        let marks = told.marks.iter().filter_map(|(name, epoch, offset)| {
            let roll_up = channel.roll_ups().iter().find(|known| known.name() == *name)?;
            let mark = RollUpMark { channel: roll_up.clone(), offset: *offset, epoch: (*epoch).into() };
            roll_up.counts_for_itself().then_some(mark)
        });
        let draft = Draft {
            channel: channel.clone(),
            kind: told.kind.map(Into::into),
            data,
            rows,
            correlation_id: told.correlation_id.map(Into::into),
            idempotency: None,
            owner: None,
            from_plain_name: false,
            id: Uuid::from_bytes(told.id),
            timestamp_us: told.timestamp_us,
        };
        Some((draft, marks.collect()))
    }

    fn take_forgot(&mut self, number: u64, name: &str, epoch: &str, through: u64) {
        let Ok(channel) = self.directory.channel(name) else { return };
        let (channel, roll_ups, mut locked) = self.stripes.lock_run(&channel);
        let of_epoch = locked.held(&channel).is_some_and(|state| **state.epoch() == *epoch);
        if of_epoch {
            // What is forgotten twice stays forgotten: offsets beyond `through` came later.
            locked.forget(&channel, &roll_ups, through, 0);
            for known in [&channel].into_iter().chain(&roll_ups) {
                if let Some(state) = locked.held(known) {
                    state.set_record(number);
                }
            }
        }
    }

    fn take_entry(&mut self, entry: &Entry<'_>) {
        let Ok(key) = Key::parse(entry.key) else { return };
        self.store.restore(Change {
            key,
            version: entry.version,
            value: entry.value.map(Bytes::copy_from_slice),
            expires_us: (entry.expires_us > 0).then_some(entry.expires_us),
        });
    }

    fn put_stand(&mut self, stand: &Stand<'_>) {
        let Some(channel) = self.channel(stand.channel, stand.table) else { return };
        let mut locked = self.stripes.lock(&channel, &[]);
        if let Some(state) = locked.restore(&channel, stand.epoch.into()) {
            state.stand(stand.top, stand.record, stand.touched_us);
            state.set_lapsed(stand.lapsed);
        }
        self.newest = self.newest.max(stand.record);
    }

    fn put_message(&mut self, told: &Told<'_>) {
        let Some(channel) = self.channel(told.channel, told.table) else { return };
        let Some((mut draft, marks)) = self.draft(&channel, told) else { return };
        // The bits count the roll-ups as they were then.
        let mut places: SmallVec<[&Channel; 2]> = SmallVec::new();
        if told.places & 1 == 1 {
            places.push(&channel);
        }
        for (n, (name, ..)) in told.marks.iter().enumerate() {
            if told.places.checked_shr(u32::try_from(n).unwrap_or(u32::MAX) + 1).unwrap_or(0) & 1 == 1 {
                places.extend(marks.iter().map(|mark| &mark.channel).filter(|known| known.name() == *name));
            }
        }
        let others: SmallVec<[Channel; 2]> = marks.iter().map(|mark| mark.channel.clone()).collect();
        let mut locked = self.stripes.lock(&channel, &others);
        if told.places & 1 == 1
            && let Some(state) = locked.held(&channel)
        {
            state.take_rows(&mut draft, told.offset);
        }
        let message = Arc::new(Message::new(draft, told.offset, told.epoch.into(), marks.clone()));
        for channel in places {
            if let Some(state) = locked.held(channel) {
                state.put_back(&message);
            }
        }
    }

    fn put_known(&mut self, known: &Known<'_>) {
        if known.at_us < self.keys_since_us {
            return;
        }
        let Ok(channel) = self.directory.channel(known.channel) else { return };
        let mut locked = self.stripes.lock(&channel, &[]);
        if let Some(state) = locked.held(&channel) {
            let key = IdempotencyKey { principal: known.principal.into(), key: known.key.into() };
            let receipt = receipt(known.offset, known.epoch.into(), Uuid::from_bytes(known.id));
            state.remember(key, receipt, known.at_us);
        }
    }

    /// The snapshot is read.
    pub(super) fn put_in_order(&mut self) {
        self.stripes.each(|state| state.put_in_order(0));
    }
}

fn receipt(offset: u64, epoch: Epoch, id: Uuid) -> Receipt {
    Receipt { offset, epoch, id, duplicate: false, held: false }
}

/// Has channels count on under new epochs, and what they keep say so: all of them, or those with messages that nobody has
/// written.
pub(super) fn begin_epochs(stripes: &Stripes, all: bool) -> usize {
    let mut changed: ChannelMap<(Epoch, Head)> = Default::default();
    stripes.each(|state| {
        if !all && !state.has_lapsed() {
            return;
        }
        let (old, new) = (state.head(), stripes.new_epoch());
        changed.insert(state.channel().clone(), (new.clone(), old));
        state.count_under(new);
    });
    if changed.is_empty() {
        return 0;
    }
    let renewed = |channel: &Channel, epoch: &Epoch| {
        let (new, old) = changed.get(channel)?;
        (old.epoch == *epoch).then(|| new.clone())
    };
    // A message stays one, however many keep it.
    let mut made: hashbrown::HashMap<*const Message, Arc<Message>, foldhash::fast::FixedState> =
        Default::default();
    stripes.each(|state| {
        state.change_messages(|message| {
            let again = || Arc::new(relabelled(message, &renewed));
            made.entry(Arc::as_ptr(message)).or_insert_with(again).clone()
        });
    });
    changed.len()
}

fn relabelled(message: &Message, renewed: &impl Fn(&Channel, &Epoch) -> Option<Epoch>) -> Message {
    let marks = message.roll_ups.iter().map(|mark| {
        let epoch = renewed(&mark.channel, &mark.epoch).unwrap_or_else(|| mark.epoch.clone());
        RollUpMark { epoch, ..mark.clone() }
    });
    let epoch = renewed(&message.channel, &message.epoch).unwrap_or_else(|| message.epoch.clone());
    let draft = Draft {
        channel: message.channel.clone(),
        kind: message.kind.clone(),
        data: message.data.clone(),
        rows: message.rows.clone(),
        correlation_id: message.correlation_id.clone(),
        idempotency: None,
        owner: None,
        from_plain_name: false,
        id: message.id,
        timestamp_us: message.timestamp_us,
    };
    let mut made = Message::new(draft, message.offset, epoch, marks.collect());
    made.since = message.since;
    made
}
