//! All channels, spread over locks. Several locks are always taken in the order of their numbers.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use foldhash::fast::FixedState;
use smallvec::SmallVec;
use std::hash::BuildHasher;
use tapeline_core::broker::{Interest, Sources};
use tapeline_core::channel::ChannelMap;
use tapeline_core::message::{Draft, Epoch, IdempotencyKey, Message, RollUpMark};
use tapeline_core::{Channel, Receipt};

use super::CHANNELS_LIMIT;
use super::state::State;

const STRIPES: usize = 64;
/// Channels looked at to find one that is long idle, when there are too many.
const EVICTION_SAMPLE: usize = 64;

type Map = ChannelMap<State>;

/// See the module.
pub(crate) struct Stripes {
    maps: Box<[Mutex<Map>]>,
    /// The sources of each roll-up, in the order of their first message.
    roll_ups: RwLock<ChannelMap<Vec<Channel>>>,
    count: AtomicUsize,
    epochs: AtomicU64,
    seed: u64,
}

/// What counting a draft came to.
pub(crate) enum Counted {
    /// It repeats an earlier one.
    Repeat(Receipt),
    /// It is new, and has these places.
    New(Place),
    /// It says that its channel is somebody else's than the first one's who did.
    Conflict,
}

/// What a draft has been given by counting.
pub(crate) struct Place {
    pub(crate) receipt: Receipt,
    pub(crate) marks: SmallVec<[RollUpMark; 1]>,
    pub(crate) key: Option<Box<IdempotencyKey>>,
    /// It is the first one that says whose its channel is.
    pub(crate) claims: bool,
}

/// The channels of an interest.
pub(crate) struct Listed {
    /// All but those that stand still.
    pub(crate) sources: Sources,
    /// Whether there are channels of rows that have ended, which still wait for what is being written for them.
    pub(crate) stands_still: bool,
}

/// Some stripes, held.
pub(crate) struct Locked<'a> {
    stripes: &'a Stripes,
    guards: SmallVec<[(usize, MutexGuard<'a, Map>); 2]>,
}

impl Stripes {
    pub(crate) fn new(seed: u64) -> Self {
        let maps = (0..STRIPES).map(|_| Mutex::default()).collect();
        Stripes {
            maps,
            roll_ups: RwLock::default(),
            count: AtomicUsize::new(0),
            epochs: AtomicU64::new(0),
            // Neighbouring seeds and counts would make the same epochs.
            seed: FixedState::default().hash_one(seed),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Holds the stripes of these channels.
    pub(crate) fn lock(&self, channel: &Channel, others: &[Channel]) -> Locked<'_> {
        let mut numbers: SmallVec<[usize; 4]> = others.iter().chain([channel]).map(number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        let guards = numbers
            .iter()
            .filter_map(|n| Some((*n, self.maps.get(*n)?.lock().unwrap_or_else(PoisonError::into_inner))));
        Locked { stripes: self, guards: guards.collect() }
    }

    /// Holds what a message of this channel, or of its successor, counts in: it, and its roll-ups that count.
    pub(crate) fn lock_run(&self, channel: &Channel) -> (Channel, SmallVec<[Channel; 1]>, Locked<'_>) {
        let (mut channel, mut roll_ups, mut locked) = self.lock_current(channel);
        while channel.is_replaced() || roll_ups.iter().any(Channel::is_replaced) {
            // They were while the locks were waited for.
            drop(locked);
            (channel, roll_ups, locked) = self.lock_current(&channel);
        }
        (channel, roll_ups, locked)
    }

    fn lock_current(&self, channel: &Channel) -> (Channel, SmallVec<[Channel; 1]>, Locked<'_>) {
        let channel = channel.current().clone();
        let roll_ups = channel.roll_ups().iter().map(Channel::current);
        let roll_ups: SmallVec<[Channel; 1]> =
            roll_ups.filter(|roll_up| roll_up.counts_for_itself()).cloned().collect();
        let locked = self.lock(&channel, &roll_ups);
        (channel, roll_ups, locked)
    }

    pub(crate) fn new_epoch(&self) -> Epoch {
        let hash = FixedState::with_seed(self.seed).hash_one(self.epochs.fetch_add(1, Ordering::Relaxed));
        let digit = |at: u32| {
            char::from_digit(u32::try_from((hash >> (at * 5)) & 31).unwrap_or(0), 32).unwrap_or('0')
        };
        (0..8).map(digit).collect::<String>().as_str().into()
    }

    fn add_source(&self, channel: &Channel) {
        for roll_up in channel.roll_ups() {
            let mut roll_ups = self.roll_ups.write().unwrap_or_else(PoisonError::into_inner);
            roll_ups.entry(roll_up.clone()).or_default().push(channel.clone());
        }
    }

    fn drop_source(&self, channel: &Channel) {
        for roll_up in channel.roll_ups() {
            let mut roll_ups = self.roll_ups.write().unwrap_or_else(PoisonError::into_inner);
            if let Some(sources) = roll_ups.get_mut(roll_up) {
                sources.retain(|source| source != channel);
            }
        }
    }

    /// The channels of an interest, with where each stands.
    pub(crate) fn sources(&self, interest: &Interest, limit: usize, now_us: u64) -> Listed {
        let mut found = Sources::default();
        let mut stands_still = false;
        let channels = match interest {
            Interest::RollUp(roll_up) => {
                // Before the sources' lock: stripes are always taken first.
                let own = self.lock(roll_up, &[]).existing(roll_up).map(|_| roll_up);
                let roll_ups = self.roll_ups.read().unwrap_or_else(PoisonError::into_inner);
                let sources = roll_ups.get(roll_up).into_iter().flatten();
                sources.chain(own).take(limit + 1).cloned().collect()
            }
            Interest::Pattern(pattern) => self.matching(|name| pattern.matches(name), limit + 1),
        };
        found.partial = channels.len() > limit;
        for channel in channels.into_iter().take(limit) {
            let mut locked = self.lock(&channel, &[]);
            if locked.stands_still(channel.current()) {
                // Whoever is told of a channel that has ended asks again.
                stands_still = true;
                continue;
            }
            if let Some(state) =
                locked.existing(&channel).filter(|state| of_interest(interest, state.channel()))
            {
                let page = state.read(u64::MAX, 0, now_us);
                found.heads.push((state.channel().clone(), page.head));
            }
        }
        Listed { sources: found, stands_still }
    }

    fn matching(&self, matches: impl Fn(&str) -> bool, limit: usize) -> Vec<Channel> {
        let mut found = Vec::new();
        for map in &self.maps {
            let map = map.lock().unwrap_or_else(PoisonError::into_inner);
            found.extend(
                map.keys().filter(|channel| matches(channel.name())).take(limit - found.len()).cloned(),
            );
        }
        found
    }

    /// Shows every channel's state, stripe after stripe, each of which is held meanwhile.
    pub(crate) fn each(&self, mut see: impl FnMut(&mut State)) {
        for map in &self.maps {
            map.lock().unwrap_or_else(PoisonError::into_inner).values_mut().for_each(&mut see);
        }
    }

    /// Forgets what nobody will miss in one stripe; `turn` picks it.
    pub(crate) fn sweep_one(&self, turn: u64, now_us: u64) {
        let number = usize::try_from(turn % STRIPES as u64).unwrap_or(0);
        let Some(map) = self.maps.get(number) else { return };
        map.lock().unwrap_or_else(PoisonError::into_inner).retain(|_, state| {
            let forget = state.is_forgettable(now_us);
            if forget {
                // Under the stripe's lock: a publish that makes the channel anew adds it to its roll-ups after this.
                self.drop_source(state.channel());
                self.count.fetch_sub(1, Ordering::Relaxed);
            }
            !forget
        });
    }

    /// Forgets what nobody will miss in all stripes.
    pub(crate) fn sweep(&self, now_us: u64) {
        for turn in 0..STRIPES as u64 {
            self.sweep_one(turn, now_us);
        }
    }
}

impl Locked<'_> {
    fn map(&mut self, channel: &Channel) -> Option<&mut Map> {
        let number = number(channel);
        self.guards.iter_mut().find(|(held, _)| *held == number).map(|(_, map)| &mut **map)
    }

    /// Follows a change of the catalogue as far as this channel, which is no older than the state's: one that has ended
    /// counts anew, another takes its new row.
    fn follow(&mut self, channel: &Channel) {
        let stripes = self.stripes;
        let state = self.map(channel).and_then(|map| map.get_mut(channel));
        let Some(state) = state.filter(|state| !state.channel().is(channel)) else { return };
        if state.channel().has_ended() {
            if state.is_pending() {
                // What is being written for the old row comes before the change.
                return;
            }
            stripes.drop_source(state.channel());
            stripes.add_source(channel);
            state.begin_anew(channel.clone(), stripes.new_epoch());
        } else {
            state.go_on_as(channel.clone());
        }
    }

    /// The channel's state, if there is one; its stripe must be held.
    pub(crate) fn existing(&mut self, channel: &Channel) -> Option<&mut State> {
        self.follow(channel.current());
        self.map(channel)?.get_mut(channel)
    }

    /// The channel's state, if there is one, as it is; its stripe must be held.
    pub(crate) fn held(&mut self, channel: &Channel) -> Option<&mut State> {
        self.map(channel)?.get_mut(channel)
    }

    /// The channel's state by this row, made if it is new; its stripe must be held. The channel is one that was the
    /// current one under these locks, so that no state is of a later one.
    #[expect(clippy::panic, reason = "reached only if a caller asks for a channel that it did not lock")]
    pub(crate) fn state(&mut self, channel: &Channel) -> &mut State {
        let stripes = self.stripes;
        let known =
            self.map(channel).and_then(|map| map.get(channel)).map(|state| state.channel().is(channel));
        if known == Some(false) {
            self.follow(channel);
        }
        let Some(map) = self.map(channel) else { panic!("the stripe of {} is not held", channel.name()) };
        if known.is_none() {
            if stripes.count.fetch_add(1, Ordering::Relaxed) >= CHANNELS_LIMIT {
                evict(map, stripes);
            }
            stripes.add_source(channel);
            map.insert(channel.clone(), State::new(channel.clone(), stripes.new_epoch()));
        }
        let Some(state) = map.get_mut(channel) else { panic!("{} is gone", channel.name()) };
        state
    }

    /// Counts a draft; its stripe and those of its channel's roll-ups that count must be held. Neither a repeat is counted nor
    /// what another owner says.
    pub(crate) fn count(&mut self, draft: &mut Draft, roll_ups: &[Channel]) -> Counted {
        let now_us = draft.timestamp_us;
        let key = draft.idempotency.take();
        if let Some(key) = &key
            && let Some(first) = self.state(&draft.channel).repeated(key, now_us)
        {
            return Counted::Repeat(first);
        }
        let mut claims = false;
        if let Some(owner) = &draft.owner {
            let state = self.state(&draft.channel);
            match state.owner() {
                Some(first) if first != &**owner => return Counted::Conflict,
                Some(_) => {}
                None => {
                    claims = true;
                    state.claim(owner);
                }
            }
        }
        let marks = roll_ups.iter().map(|roll_up| {
            let (offset, epoch) = self.state(roll_up).count();
            RollUpMark { channel: roll_up.clone(), offset, epoch }
        });
        let marks = marks.collect();
        let state = self.state(&draft.channel);
        let (offset, epoch) = state.count();
        let receipt = Receipt { offset, epoch, id: draft.id, duplicate: false, held: false };
        if let Some(key) = &key {
            state.remember((**key).clone(), receipt.clone(), now_us);
        }
        Counted::New(Place { receipt, marks, key, claims })
    }

    /// Makes a message of a draft that was counted, and keeps it; the same stripes must be held. `record` is its number in
    /// the log, if there is one.
    pub(crate) fn settle(&mut self, mut draft: Draft, place: Place, record: u64) -> (Receipt, Arc<Message>) {
        let now_us = draft.timestamp_us;
        let (channel, Receipt { offset, epoch, .. }) = (draft.channel.clone(), place.receipt.clone());
        if channel.is_table()
            && let Some(state) = self.held(&channel)
        {
            state.take_rows(&mut draft, offset);
        }
        if place.claims
            && let Some(state) = self.held(&channel)
        {
            state.settle_owner();
        }
        let message = Arc::new(Message::new(draft, offset, epoch, place.marks));
        for (channel, offset, _) in message.places() {
            if let Some(state) = self.held(channel) {
                state.keep(&message, offset, now_us);
                state.set_record(record);
            }
        }
        (place.receipt, message)
    }

    /// Takes back what was counted and not settled.
    pub(crate) fn uncount(&mut self, channel: &Channel, place: &Place, now_us: u64) {
        for roll_up in place.marks.iter().map(|mark| &mark.channel) {
            if let Some(state) = self.held(roll_up) {
                state.uncount(now_us);
            }
        }
        let Some(state) = self.held(channel) else { return };
        state.uncount(now_us);
        if let Some(key) = &place.key {
            state.unremember(key);
        }
    }

    /// Whether the channel's state is of a row that has ended, and still waits for what is being written for it.
    pub(crate) fn stands_still(&mut self, channel: &Channel) -> bool {
        self.held(channel).is_some_and(|state| {
            state.is_pending() && !state.channel().is(channel) && state.channel().has_ended()
        })
    }

    /// Puts a channel back as it was; its stripe must be held.
    pub(crate) fn restore(&mut self, channel: &Channel, epoch: Epoch) -> Option<&mut State> {
        let stripes = self.stripes;
        let map = self.map(channel)?;
        if !map.contains_key(channel) {
            stripes.count.fetch_add(1, Ordering::Relaxed);
            stripes.add_source(channel);
            map.insert(channel.clone(), State::new(channel.clone(), epoch.clone()));
        }
        let state = map.get_mut(channel)?;
        if state.epoch() != &epoch {
            state.begin_anew(channel.clone(), epoch);
        }
        Some(state)
    }

    /// Forgets what the channel and its roll-ups keep of its messages up to an offset; all their stripes must be held.
    /// Answers how many messages of the channel that were.
    pub(crate) fn forget(
        &mut self,
        channel: &Channel,
        roll_ups: &[Channel],
        through: u64,
        now_us: u64,
    ) -> u64 {
        let Some(state) = self.existing(channel) else { return 0 };
        let Some(epoch) = state.is_history().then(|| state.head().epoch) else { return 0 };
        let forgotten = state.forget(now_us, |message| message.offset_in(channel) <= Some(through));
        for roll_up in roll_ups {
            // A roll-up may outlive a source that has been forgotten as idle and begun anew.
            if let Some(state) = self.existing(roll_up) {
                state.forget(now_us, |message| {
                    message.channel == *channel && message.epoch == epoch && message.offset <= through
                });
            }
        }
        forgotten
    }
}

/// Forgets the longest idle of a sample without subscribers.
fn evict(map: &mut Map, stripes: &Stripes) {
    let idle = map.values().filter(|state| !state.is_joined() && !state.is_pending()).take(EVICTION_SAMPLE);
    let oldest = idle.min_by_key(|state| state.touched_us()).map(|state| state.channel().clone());
    if let Some(channel) = oldest {
        map.remove(&channel);
        stripes.drop_source(&channel);
        stripes.count.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Whether it still is, now that it has followed the catalogue.
fn of_interest(interest: &Interest, channel: &Channel) -> bool {
    match interest {
        Interest::Pattern(_) => true,
        Interest::RollUp(roll_up) => channel == roll_up || channel.roll_ups().contains(roll_up),
    }
}

fn number(channel: &Channel) -> usize {
    let hash = FixedState::default().hash_one(channel);
    usize::try_from(hash >> 40).unwrap_or(0) % STRIPES
}
