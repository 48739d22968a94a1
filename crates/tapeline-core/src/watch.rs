//! What one shard, which sees every message of the hub, keeps of each channel: how many messages came and when the last
//! one did. Once a second it looks at all of them: who is busy, and who has fallen out of its rhythm. What it finds is
//! put on the board and published as `freshness:{of}`.
//!
//! It costs a message a few instructions and no lock; whatever takes longer waits for the look.

use std::collections::VecDeque;
use std::hash::BuildHasher;
use std::sync::Arc;

use bytes::Bytes;
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use tapeline_schema::Delivery;
use tapeline_schema::events::{Freshness, FreshnessState};

use uuid::Uuid;

use crate::board::{BusyChannel, Change, Changed, LateChannel, Seen};
use crate::broker::{Drafts, SLICE};
use crate::channel::Channel;
use crate::clock::Now;
use crate::command::Publication;
use crate::hours::MarketHours;
use crate::message::{Draft, Message};
use crate::rhythm::{Heard, Rhythm};
use crate::rights::Grant;
use crate::shard::Shard;

/// Channels that are watched. For one more, those that have been silent for longest are given up.
const WATCHED: usize = 65_536;
/// So many at once.
const GIVEN_UP: usize = WATCHED / 16;
/// A channel that has been silent for so long is forgotten where nobody was told that it is late.
const FORGOTTEN_US: u64 = 3_600_000_000;
/// After so long, in any case: by then its last value is forgotten too.
const LONG_FORGOTTEN_US: u64 = 14 * 24 * FORGOTTEN_US;
/// After a longer pause between two looks it was the hub that was late.
const STALLED_US: u64 = 3_000_000;
/// The busiest that are named.
const BUSIEST: usize = 20;
/// The family that the watch publishes, and does not watch.
const FAMILY: &str = "freshness";
/// Whom its messages are from.
pub(crate) const PRINCIPAL: &str = "hub";
/// Bytes of the data that are compared.
const COMPARED: usize = 4_096;
/// The place of channels that are not watched.
const UNWATCHED: u32 = u32::MAX - 1;

/// What is kept of a channel.
struct Watched {
    name: Box<str>,
    /// Since the last look.
    messages: u64,
    newest_us: u64,
    longest_us: u64,
    /// What a message said, in short: of the first after each look, and of each while they repeat.
    print: u64,
    same: bool,
    /// The newest message's: by it several nodes that notice the same say it once.
    newest: Uuid,
    /// Whether it has a freshness: the newest is all that matters of it.
    has_freshness: bool,
    /// Its number among the market hours.
    hours: Option<usize>,
    /// When its market was last seen closed, by the monotonic clock.
    closed_us: u64,
    rhythm: Rhythm,
    state: FreshnessState,
    /// Its subscribers were told that it is stale, and not yet that it is no longer.
    alarmed: bool,
    /// It waits in `unsent`.
    waits: bool,
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
    /// When markets are open, as of the last look.
    hours: Arc<MarketHours>,
    /// Channels whose state is still to be published, each once: what is published is the newest.
    unsent: VecDeque<u32>,
}

/// What stands for the data where it is compared.
fn print_of(data: &Bytes) -> u64 {
    let compared = data.get(..data.len().min(COMPARED)).unwrap_or_default();
    FixedState::default().hash_one((data.len(), compared))
}

fn has_freshness(channel: &Channel) -> bool {
    channel.spec().delivery != Delivery::Every
}

impl Watch {
    /// A message goes by.
    pub(crate) fn see(&mut self, message: &Message, now: Now) {
        let place = message.channel.watch_place();
        match self.channels.get_mut(place as usize) {
            Some(known) if *known.name == *message.channel.name() => known.see(message, now),
            _ if place == UNWATCHED => {}
            _ => self.see_new(message, now),
        }
    }

    fn see_new(&mut self, message: &Message, now: Now) {
        let channel = &message.channel;
        if channel.spec().family == FAMILY {
            return channel.set_watch_place(UNWATCHED);
        }
        let known = self.places.get(channel.name()).copied();
        let is_full = self.free.is_empty() && self.channels.len() == WATCHED;
        if known.is_none() && is_full {
            self.give_up();
        }
        let Some(place) =
            known.or_else(|| self.free.pop()).or_else(|| u32::try_from(self.channels.len()).ok())
        else {
            return;
        };
        channel.set_watch_place(place);
        if let Some(watched) = self.channels.get_mut(place as usize).filter(|_| known.is_some()) {
            // Its row may be another by now.
            watched.has_freshness = has_freshness(channel);
            return watched.see(message, now);
        }
        let mut watched = Watched::new(channel, self.hours.of(channel.name()));
        watched.see(message, now);
        self.places.insert(channel.name().into(), place);
        match self.channels.get_mut(place as usize) {
            Some(old) => *old = watched,
            None => self.channels.push(watched),
        }
    }

    /// Makes room: those that have been silent for longest are no longer watched.
    fn give_up(&mut self) {
        let mut silent: Vec<(u64, usize)> =
            self.channels.iter().enumerate().map(|(place, watched)| (watched.newest_us, place)).collect();
        let last = silent.len().saturating_sub(1);
        silent.select_nth_unstable(GIVEN_UP.min(last));
        for (_, place) in silent.into_iter().take(GIVEN_UP) {
            self.forget(place);
        }
    }

    fn forget(&mut self, place: usize) {
        let Some(watched) = self.channels.get_mut(place) else { return };
        self.places.remove(&watched.name);
        watched.name = Box::default();
        watched.waits = false;
        self.free.extend(u32::try_from(place).ok());
    }

    /// Markets are open so from now on.
    pub(crate) fn keep_hours(&mut self, hours: &Arc<MarketHours>) {
        if Arc::ptr_eq(&self.hours, hours) {
            return;
        }
        self.hours = hours.clone();
        for watched in self.channels.iter_mut().filter(|watched| !watched.name.is_empty()) {
            watched.hours = hours.of(&watched.name);
        }
    }

    /// Looks at all channels; `judges` where their freshness is wanted. Of one that nobody `hears` silence says nothing.
    pub(crate) fn look(&mut self, now: Now, judges: bool, hears: impl Fn(&str) -> bool) -> Seen {
        let elapsed_us = now.mono_us.saturating_sub(self.looked_us).max(1);
        self.looked_us = now.mono_us;
        let judges = judges && elapsed_us < STALLED_US;
        let (mut seen, mut busy, mut forgotten) = (Seen::default(), Vec::new(), Vec::new());
        let open = self.hours.open(now.wall_us);
        for (place, watched) in self.channels.iter_mut().enumerate().filter(|(_, one)| !one.name.is_empty()) {
            let is_closed = watched.hours.and_then(|hours| open.get(hours)) == Some(&false);
            if is_closed {
                watched.closed_us = now.mono_us;
            }
            if watched.is_forgotten(now) || (watched.messages == 0 && !hears(&watched.name)) {
                forgotten.push(place);
                continue;
            }
            seen.watched += 1;
            watched.look(elapsed_us, now);
            // Who was told that it is stale is not told otherwise because a market closes.
            if is_closed && !watched.state.is_stale() {
                watched.rhythm.excuse(now.mono_us);
            }
            if watched.per_second >= 0.05 {
                busy.push((watched.per_second, place));
            }
            if judges {
                let changed = watched.judge(now, &mut seen);
                if changed && !std::mem::replace(&mut watched.waits, true) {
                    self.unsent.extend(u32::try_from(place).ok());
                }
            }
        }
        forgotten.into_iter().for_each(|place| self.forget(place));
        seen.busiest = self.busiest(busy);
        seen
    }

    fn busiest(&self, mut busy: Vec<(f64, usize)>) -> Vec<BusyChannel> {
        let by_rate = |one: &(f64, usize), other: &(f64, usize)| other.0.total_cmp(&one.0);
        if busy.len() > BUSIEST {
            busy.select_nth_unstable_by(BUSIEST, by_rate);
            busy.truncate(BUSIEST);
        }
        busy.sort_unstable_by(by_rate);
        let named = busy.into_iter().filter_map(|(per_second, place)| {
            Some(BusyChannel { channel: self.channels.get(place)?.name.clone(), per_second })
        });
        named.collect()
    }

    /// What is to be published of a channel that waits, if it still is what waits.
    fn event(&mut self, place: u32, now: Now) -> Option<(Freshness, Uuid)> {
        let watched = self.channels.get_mut(place as usize)?;
        std::mem::take(&mut watched.waits).then(|| {
            let age_ms = watched.rhythm.age_us(now.mono_us) / 1_000;
            (Freshness { of: watched.name.to_string(), state: watched.state, age_ms }, watched.newest)
        })
    }
}

impl Watched {
    fn new(channel: &Channel, hours: Option<usize>) -> Self {
        Watched {
            hours,
            closed_us: 0,
            name: channel.name().into(),
            messages: 0,
            newest_us: 0,
            longest_us: 0,
            print: 0,
            same: false,
            newest: Uuid::nil(),
            has_freshness: has_freshness(channel),
            rhythm: Rhythm::default(),
            state: FreshnessState::Fresh,
            alarmed: false,
            waits: false,
            per_second: 0.0,
        }
    }

    fn see(&mut self, message: &Message, now: Now) {
        self.newest = message.id;
        if self.has_freshness && (self.messages == 0 || self.rhythm.repeats()) {
            let print = print_of(&message.data);
            self.same = (self.messages == 0 || self.same) && print == self.print;
            self.print = print;
        }
        if self.newest_us > 0 {
            self.longest_us = self.longest_us.max(now.mono_us.saturating_sub(self.newest_us));
        }
        self.messages += 1;
        self.newest_us = now.mono_us;
    }

    /// A channel whose market is closed is expected back, and its rhythm with it.
    fn is_forgotten(&self, now: Now) -> bool {
        let silent_us = now.mono_us.saturating_sub(self.newest_us);
        let is_quiet = self.state == FreshnessState::Fresh && !self.waits;
        let quiet_us = now.mono_us.saturating_sub(self.newest_us.max(self.closed_us));
        (is_quiet && quiet_us > FORGOTTEN_US) || silent_us > LONG_FORGOTTEN_US
    }

    /// Takes in what has come.
    fn look(&mut self, elapsed_us: u64, now: Now) {
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        let rate = self.messages as f64 * 1e6 / elapsed_us as f64;
        self.per_second += (rate - self.per_second) * 0.3;
        let (messages, longest_us) =
            (std::mem::take(&mut self.messages), std::mem::take(&mut self.longest_us));
        let (same, newest_us) = (self.same && self.has_freshness, self.newest_us.min(now.mono_us));
        self.rhythm.hear(Heard { messages, newest_us, longest_us, same });
    }

    /// How it stands; answers whether that has changed and is to be told. Of a channel of which each message counts it is
    /// only noted: that nobody trades is no fault.
    fn judge(&mut self, now: Now, seen: &mut Seen) -> bool {
        let (state, before) = (self.rhythm.state(now.mono_us), self.state);
        let age_ms = self.rhythm.age_us(now.mono_us) / 1_000;
        if state != FreshnessState::Fresh {
            let (channel, usual_ms) = (self.name.clone(), self.rhythm.usual_us() / 1_000);
            let list = if self.has_freshness { &mut seen.late } else { &mut seen.quiet };
            list.insert(self.name.clone(), LateChannel { channel, state, age_ms, usual_ms });
        }
        if !self.has_freshness {
            return false;
        }
        self.state = state;
        if state != before {
            let was_alarmed = self.alarmed;
            self.alarmed = state.is_stale() || (self.alarmed && state != FreshnessState::Fresh);
            let what = Changed::Freshness { state, was_alarmed, age_ms };
            seen.changes.push(Change { channel: self.name.clone(), what });
        }
        state != before
    }
}

impl Shard {
    /// Looks at what has gone by; publishes whose freshness has changed.
    pub(crate) fn look_around(&mut self, now: Now) {
        let Some(mut watch) = self.watch.take() else { return };
        let hub = self.hub.clone();
        let all = hub.broker().brings_all();
        let hears = |name: &str| all || hub.channel(name).is_ok_and(|channel| hub.is_heard(&channel));
        watch.keep_hours(&hub.settings().market_hours);
        let seen = watch.look(now, hub.settings().freshness, hears);
        self.hub.board().update(seen);
        self.publish_freshness(&mut watch, now);
        self.watch = Some(watch);
    }

    /// As much of it as the hub takes; the rest has its turn at the next look.
    fn publish_freshness(&self, watch: &mut Watch, now: Now) {
        let from: Arc<str> = PRINCIPAL.into();
        while !watch.unsent.is_empty() {
            let places: Vec<u32> = watch.unsent.drain(..watch.unsent.len().min(SLICE)).collect();
            let (mut drafts, mut drafted) = (Drafts::new(), Vec::new());
            for place in places {
                let event = watch.event(place, now);
                if let Some(draft) =
                    event.and_then(|(event, newest)| self.draft_freshness(&event, newest, &from, now))
                {
                    drafts.push(draft);
                    drafted.push(place);
                }
            }
            if !drafts.is_empty() && self.hub.publish(drafts, None).is_err() {
                for place in drafted.into_iter().rev() {
                    watch.unsent.push_front(place);
                    if let Some(watched) = watch.channels.get_mut(place as usize) {
                        watched.waits = true;
                    }
                }
                return;
            }
        }
    }

    /// Nothing for a name that leaves no room for the family's before it.
    fn draft_freshness(&self, event: &Freshness, newest: Uuid, from: &Arc<str>, now: Now) -> Option<Draft> {
        let channel = format!("{FAMILY}:{}", event.of);
        tapeline_schema::check_name(&channel).ok()?;
        let data = serde_json::to_vec(event).ok()?;
        let idempotency_key = Some(format!("{}/{newest}", event.state.name()).into());
        let publication =
            Publication { channel: &*channel, data: data.into(), idempotency_key, ..Publication::default() };
        self.hub.drafter(from, &Grant::Anyone, now).draft(publication, None).ok()
    }
}

#[cfg(test)]
mod tests {
    use smallvec::SmallVec;
    use tapeline_schema::Catalog;

    use super::*;
    use crate::directory::Directory;
    use crate::message::{Draft, Epoch};

    const SECOND: u64 = 1_000_000;

    struct Desk {
        directory: Directory,
        watch: Watch,
        now_us: u64,
    }

    impl Desk {
        fn new() -> Self {
            Desk { directory: Directory::new(Catalog::built_in()), watch: Watch::default(), now_us: SECOND }
        }

        fn now(&self) -> Now {
            Now { mono_us: self.now_us, wall_us: self.now_us }
        }

        fn see(&mut self, channel: &str, data: &str) {
            let channel = self.directory.channel(channel).unwrap();
            let data = Bytes::copy_from_slice(data.as_bytes());
            let draft = Draft {
                channel,
                kind: None,
                data,
                rows: None,
                correlation_id: None,
                idempotency: None,
                owner: None,
                from_plain_name: false,
                id: uuid::Uuid::nil(),
                timestamp_us: self.now_us,
            };
            let message = Message::new(draft, 1, Epoch::from("e"), SmallVec::new());
            self.watch.see(&message, self.now());
        }

        /// Seconds, each with these messages, and a look at its end; answers the changes.
        fn seconds(&mut self, count: u64, each: &[(&str, &str)]) -> Vec<(String, FreshnessState)> {
            let mut changes = Vec::new();
            for _ in 0..count {
                for (channel, data) in each {
                    self.now_us += SECOND / 10;
                    self.see(channel, data);
                }
                self.now_us += SECOND - each.len() as u64 * SECOND / 10;
                let seen = self.watch.look(self.now(), true, |_| true);
                changes.extend(seen.changes.into_iter().filter_map(|change| match change.what {
                    Changed::Freshness { state, .. } => Some((change.channel.into(), state)),
                    Changed::BookResync => None,
                }));
            }
            changes
        }
    }

    fn told(name: &str, states: &[FreshnessState]) -> Vec<(String, FreshnessState)> {
        states.iter().map(|state| (name.to_string(), *state)).collect()
    }

    #[test]
    fn of_a_channel_that_nobody_hears_any_more_silence_says_nothing() {
        let mut desk = Desk::new();
        for n in 0..10 {
            assert_eq!(desk.seconds(1, &[("market_data:A", &n.to_string())]), []);
        }
        desk.now_us += 20 * SECOND;
        let seen = desk.watch.look(desk.now(), true, |_| false);
        assert_eq!((seen.watched, seen.changes.len()), (0, 0));
        assert_eq!(desk.seconds(20, &[]), [], "it is watched anew when it is heard again");
    }

    #[test]
    fn a_channel_that_falls_silent_is_told_until_it_speaks_again_even_days_later() {
        use FreshnessState::{Delayed, Fresh, Stale};
        let mut desk = Desk::new();
        let moving: Vec<(u64, String)> = (0..10).map(|n| (n, n.to_string())).collect();
        for (_, data) in &moving {
            assert_eq!(desk.seconds(1, &[("market_data:A", data)]), []);
        }
        assert_eq!(desk.seconds(20, &[]), told("market_data:A", &[Delayed, Stale]));
        assert_eq!(desk.watch.unsent.len(), 1, "what waits to be published waits once");
        desk.now_us += 3 * 24 * 3_600 * SECOND;
        desk.watch.look(desk.now(), true, |_| true);
        assert_eq!(desk.seconds(1, &[("market_data:A", "x")]), told("market_data:A", &[Fresh]));
    }

    #[test]
    fn what_has_no_freshness_is_counted_and_in_time_forgotten() {
        let mut desk = Desk::new();
        assert_eq!(desk.seconds(10, &[("trades:p", "1"), ("freshness:x", "1")]), []);
        assert_eq!(desk.seconds(100, &[]), []);
        assert_eq!(desk.watch.places.len(), 1, "the watch does not watch itself");
        desk.now_us += 2 * FORGOTTEN_US;
        desk.watch.look(desk.now(), true, |_| true);
        assert_eq!((desk.watch.places.len(), desk.watch.free.len()), (0, 1));
        desk.see("news", "1");
        assert_eq!((desk.watch.channels.len(), desk.watch.free.len()), (1, 0), "its place is used anew");
    }

    #[test]
    fn rows_that_take_turns_are_not_the_same_again() {
        let mut desk = Desk::new();
        let rows = [("balances:a", "USDT"), ("balances:a", "BTC"), ("balances:a", "ETH")];
        assert_eq!(desk.seconds(30, &rows), []);
        let same = [("balances:a", "USDT"), ("balances:a", "USDT"), ("balances:a", "USDT")];
        assert_eq!(desk.seconds(30, &same), told("balances:a", &[FreshnessState::Frozen]));
    }

    #[test]
    fn while_a_market_is_closed_its_channels_are_not_late_and_once_it_opens_they_are() {
        use FreshnessState::{Delayed, Stale};
        let mut desk = Desk::new();
        // The desk's clock begins on a Thursday at midnight.
        let hours = ["market_data:* Thu 00:00-00:01 UTC", "market_data:* Thu 10:00-23:00 UTC"];
        desk.watch.keep_hours(&Arc::new(MarketHours::parse(&hours).unwrap()));
        for n in 0..58 {
            assert_eq!(
                desk.seconds(1, &[("market_data:A", &n.to_string()), ("orderbook:A", &n.to_string())]),
                []
            );
        }
        let late = desk.seconds(6, &[]);
        let of = |name: &str| late.iter().filter(|(channel, _)| channel == name).count();
        assert_eq!((of("market_data:A"), of("orderbook:A")), (0, 1), "{late:?}");
        // Longer than a channel is remembered that is merely quiet.
        assert_eq!(desk.seconds(10 * 3_600 - 70, &[]), told("orderbook:A", &[Stale]));
        assert_eq!(desk.seconds(60, &[]), told("market_data:A", &[Delayed, Stale]), "since the opening");
    }

    #[test]
    fn a_channel_that_is_stale_stays_so_when_its_market_closes() {
        use FreshnessState::{Delayed, Fresh, Stale};
        let mut desk = Desk::new();
        let hours = ["market_data:* Thu 00:00-00:01 UTC", "market_data:* Thu 10:00-23:00 UTC"];
        desk.watch.keep_hours(&Arc::new(MarketHours::parse(&hours).unwrap()));
        for n in 0..30 {
            desk.seconds(1, &[("market_data:A", &n.to_string())]);
        }
        assert_eq!(desk.seconds(25, &[]), told("market_data:A", &[Delayed, Stale]));
        assert_eq!(desk.seconds(7_200, &[]), []);
        assert_eq!(desk.seconds(1, &[("market_data:A", "x")]), told("market_data:A", &[Fresh]));
    }

    #[test]
    fn a_hub_that_stood_still_blames_nobody() {
        let mut desk = Desk::new();
        for n in 0..10 {
            desk.seconds(1, &[("market_data:A", &n.to_string())]);
        }
        desk.now_us += 60 * SECOND;
        let seen = desk.watch.look(desk.now(), true, |_| true);
        assert!(seen.changes.is_empty() && seen.late.is_empty(), "{seen:?}");
    }

    #[test]
    fn with_too_many_channels_the_longest_silent_give_way() {
        let mut desk = Desk::new();
        for n in 0..=WATCHED {
            desk.now_us += 1;
            desk.see(&format!("c{n}"), "1");
        }
        assert!(desk.watch.channels.len() <= WATCHED);
        assert!(!desk.watch.places.contains_key("c0"), "the first one");
        assert!(desk.watch.places.contains_key(&*format!("c{WATCHED}")), "the last one");
    }
}
