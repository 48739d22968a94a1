//! When all outboxes together come over their bound: what is given up first, how soon, and what nobody may give up.
//! One shard with the memory broker; sockets take bytes when the test says so.

#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "a test may fail loudly")]

use std::collections::BTreeMap;
use std::io::IoSlice;
use std::sync::Arc;

use tapeline_brokers::memory::MemoryBroker;
use tapeline_core::Directory;
use tapeline_core::command::{Publication, Wanted};
use tapeline_core::hub::HubParts;
use tapeline_core::registry::LocalRegistry;
use tapeline_core::rights::Grant;
use tapeline_core::session::Arrival;
use tapeline_core::store::{Bounds, LocalStore};
use tapeline_core::testkit::{LINES, ManualClock, RoomyInbox};
use tapeline_core::{Clock, Command, Hub, Pipes, Settings, Shard, Written};
use tapeline_schema::{Catalog, ChannelSpec, Delivery, Priority};

/// The families of this test, the least urgent first.
const FAMILIES: [(&str, Priority); 4] = [
    ("low", Priority::Low),
    ("medium", Priority::Medium),
    ("high", Priority::High),
    ("critical", Priority::Critical),
];
/// Bytes of data in a message.
const DATA: usize = 1_000;
/// A little more than what such a message weighs with all that goes with it.
const WEIGHT: usize = 1_260;

/// What sockets have taken; those that are not listed take nothing.
#[derive(Default)]
struct Sockets(BTreeMap<u32, String>);

impl Pipes for Sockets {
    fn write(&mut self, slot: u32, slices: &[IoSlice<'_>]) -> Written {
        let Some(taken) = self.0.get_mut(&slot) else { return Written::Blocked };
        slices.iter().for_each(|slice| taken.push_str(&String::from_utf8_lossy(slice)));
        Written::Bytes(slices.iter().map(|slice| slice.len()).sum())
    }
}

struct Bench {
    hub: Arc<Hub>,
    shard: Shard,
    inbox: Arc<RoomyInbox>,
    sockets: Sockets,
    clock: Arc<ManualClock>,
}

impl Bench {
    fn new(outboxes_bytes: usize) -> Self {
        let mut catalog = Catalog::built_in();
        for (name, priority) in FAMILIES {
            let spec = ChannelSpec::of(&format!("{name}:{{key}}"), name, priority, Delivery::Every);
            catalog.add(spec.keep(10_000, None)).expect("the family is sound");
        }
        let clock = Arc::new(ManualClock::default());
        let hub = Arc::new(Hub::new(HubParts {
            directory: Arc::new(Directory::new(catalog)),
            settings: Settings { outboxes_bytes, outbox_bytes: 100 * WEIGHT, ..Settings::default() },
            clock: clock.clone(),
            broker: Arc::new(MemoryBroker::new(clock.clone(), 7)),
            registry: Arc::new(LocalRegistry::default()),
            store: Arc::new(LocalStore::new(clock.clone(), Bounds::default())),
            authority: Arc::new(tapeline_core::rights::Off),
            seed: 7,
            shards: 1,
        }));
        let inbox = Arc::new(RoomyInbox::default());
        hub.broker().attach(inbox.clone());
        let shard = Shard::new(hub.clone(), 0, inbox.clone());
        Bench { hub, shard, inbox, sockets: Sockets::default(), clock }
    }

    /// A client that has subscribed and then stopped reading.
    fn stuck(&mut self, channels: &[&str]) -> u32 {
        let arrival = Arrival {
            principal: "p".into(),
            address: "127.0.0.1".into(),
            seat: None,
            client: None,
            grant: Grant::Anyone,
            wire: &LINES,
            notices: true,
            heartbeat: false,
            beat: None,
        };
        let now = self.clock.now();
        let slot = self.shard.open(arrival, now).slot;
        let wanted = channels.iter().map(|name| Wanted::Channel((*name).into())).collect();
        self.shard.handle(slot, Command::Subscribe { wanted, options: Box::default(), req: None }, now);
        self.sockets.0.insert(slot, String::new());
        self.settle();
        self.sockets.0.remove(&slot);
        slot
    }

    /// Publishes so many and routes them, without time going on.
    fn publish(&mut self, channel: &str, count: usize) {
        let principal = "p".into();
        for _ in 0..count {
            let data = format!("\"{}\"", "x".repeat(DATA)).into();
            let publication = Publication { channel: channel.into(), data, ..Publication::default() };
            let draft = self.hub.draft(publication, &principal, &Grant::Anyone, self.clock.now());
            let drafts = [draft.expect("the publication is sound")].into_iter().collect();
            assert!(self.hub.publish(drafts, None).is_ok(), "the inbox is never full");
            self.route();
        }
    }

    fn route(&mut self) {
        let messages = self.inbox.take_messages();
        for message in messages {
            self.shard.route(&message, false, self.clock.now());
            self.shard.flush(&mut self.sockets, 100, self.clock.now());
        }
    }

    /// Until nothing is under way.
    fn settle(&mut self) {
        loop {
            while self.shard.flush(&mut self.sockets, 100, self.clock.now()) {}
            let notes = self.inbox.take_notes();
            if notes.is_empty() {
                return;
            }
            notes.into_iter().for_each(|note| self.shard.on_note(note, self.clock.now()));
        }
    }

    /// What waits for this client, by family: what its socket takes before the broker is read again.
    fn waiting(&mut self, slot: u32) -> BTreeMap<String, usize> {
        self.sockets.0.insert(slot, String::new());
        self.shard.on_writable(slot);
        while self.shard.flush(&mut self.sockets, 100, self.clock.now()) {}
        let mut waiting = BTreeMap::new();
        for line in self.sockets.0[&slot].split_terminator(';') {
            *waiting.entry(line.split([':', ' ']).next().unwrap_or_default().to_string()).or_default() += 1;
        }
        waiting
    }

    /// The offsets of this family that the client has been sent.
    fn offsets(&self, slot: u32, family: &str) -> Vec<usize> {
        let lines = self.sockets.0[&slot].split_terminator(';').filter(|line| line.starts_with(family));
        lines.filter_map(|line| line.split(' ').nth(1)?.parse().ok()).collect()
    }
}

fn counts(expected: &[(&str, usize)]) -> BTreeMap<String, usize> {
    expected.iter().map(|(name, count)| ((*name).to_string(), *count)).collect()
}

#[test]
fn the_least_urgent_lane_is_given_up_first_and_the_critical_one_last() {
    let all = FAMILIES.map(|(name, _)| format!("{name}:x"));
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    for (given_up, left) in FAMILIES.iter().enumerate().map(|(at, _)| (at + 1, &FAMILIES[at + 1..])) {
        // Ten of each, and with the last of them room for no more than the lanes that stay.
        let mut bench = Bench::new(10 * WEIGHT * (4 - given_up) + 9 * WEIGHT);
        let slot = bench.stuck(&all);
        for (name, _) in FAMILIES.iter().rev() {
            bench.publish(&format!("{name}:x"), 10);
        }
        let waiting = bench.waiting(slot);
        for (name, _) in left.iter().filter(|(name, _)| *name == "critical") {
            assert_eq!(waiting.get(*name), Some(&10), "{given_up} lanes are too many: {waiting:?}");
        }
        let lanes: Vec<usize> =
            FAMILIES.iter().map(|(name, _)| waiting.get(*name).copied().unwrap_or_default()).collect();
        let first = lanes.iter().position(|count| *count == 10).unwrap_or(lanes.len());
        assert!(first > 0, "the low lane goes first: {lanes:?}");
        assert!(lanes[first..].iter().all(|count| *count == 10), "a more urgent lane went before: {lanes:?}");
        bench.settle();
        for (name, _) in FAMILIES {
            assert_eq!(bench.offsets(slot, name).len(), 10, "all of {name} is read again");
        }
    }
}

#[test]
fn it_is_shed_with_the_message_that_crosses_the_bound_not_at_the_next_second() {
    let bound = 20 * WEIGHT;
    let mut bench = Bench::new(bound);
    let slots = [bench.stuck(&["low:x"]), bench.stuck(&["low:x"])];
    for _ in 0..200 {
        bench.publish("low:x", 1);
        let stats = &bench.hub.shard_stats()[0];
        let waiting = usize::try_from(stats.waiting_bytes.read()).expect("it fits");
        assert!(waiting <= bound, "{waiting} bytes wait");
    }
    let waiting: usize = slots.map(|slot| bench.waiting(slot).values().sum::<usize>()).iter().sum();
    assert!(waiting <= 20, "no second has passed, and {waiting} messages wait");
    bench.settle();
    for slot in slots {
        assert_eq!(bench.offsets(slot, "low"), (1..=200).collect::<Vec<_>>());
    }
}

#[test]
fn within_a_lane_the_largest_goes_first() {
    let mut bench = Bench::new(30 * WEIGHT);
    let (small, large) = (bench.stuck(&["low:a"]), bench.stuck(&["low:a", "low:b"]));
    bench.publish("low:a", 5);
    bench.publish("low:b", 25);
    assert_eq!(bench.waiting(small), counts(&[("low", 5)]));
    assert!(bench.waiting(large).get("low").copied().unwrap_or_default() < 20);
    bench.settle();
    assert_eq!(bench.offsets(large, "low:b"), (1..=25).collect::<Vec<_>>());
}

#[test]
fn who_reads_is_spared_while_somebody_does_not() {
    let mut bench = Bench::new(30 * WEIGHT);
    let (stuck, reading) = (bench.stuck(&["low:x"]), bench.stuck(&["low:x"]));
    bench.waiting(reading);
    bench.publish("low:x", 100);
    assert_eq!(bench.offsets(reading, "low"), (1..=100).collect::<Vec<_>>());
    assert_eq!(bench.hub.shard_stats()[0].total(|family| &family.catch_ups), 1);
    bench.waiting(stuck);
    bench.settle();
    assert_eq!(bench.offsets(stuck, "low"), (1..=100).collect::<Vec<_>>());
}

#[test]
fn what_only_one_client_is_told_stays_and_who_holds_too_much_of_it_is_closed() {
    let mut bench = Bench::new(30 * WEIGHT);
    bench.publish("low:x", 1);
    let (modest, greedy) = (bench.stuck(&["high:x"]), bench.stuck(&[]));
    bench.publish("high:x", 3);
    let now = bench.clock.now();
    for _ in 0..60 {
        bench.shard.handle(greedy, Command::Last { channel: "low:x".into(), req: None }, now);
    }
    let notes = bench.inbox.take_notes();
    notes.into_iter().for_each(|note| bench.shard.on_note(note, now));
    bench.shard.tick(now);
    assert_eq!(bench.hub.shard_stats()[0].closed_overloaded.read(), 1);
    bench.waiting(greedy);
    assert!(bench.sockets.0[&greedy].ends_with("closed 1013;"));
    bench.waiting(modest);
    bench.settle();
    assert_eq!(bench.offsets(modest, "high"), [1, 2, 3]);
}

#[test]
fn where_memory_is_short_half_as_much_may_wait_and_nothing_is_lost_by_it() {
    let mut bench = Bench::new(40 * WEIGHT);
    let slot = bench.stuck(&["low:x", "critical:x"]);
    bench.publish("critical:x", 10);
    bench.publish("low:x", 20);
    assert_eq!(bench.waiting(slot), counts(&[("low", 20), ("critical", 10)]), "all of it fits");
    let slot = bench.stuck(&["low:x", "critical:x"]);
    bench.publish("critical:x", 10);
    bench.publish("low:x", 20);
    bench.hub.pressure().read(101, 100);
    bench.clock.advance(std::time::Duration::from_secs(1));
    bench.shard.tick(bench.clock.now());
    let left = bench.waiting(slot);
    assert_eq!(left.get("critical"), Some(&10), "the critical lane goes last");
    assert!(left.get("low").copied().unwrap_or_default() < 20, "{left:?}");
    let refused = bench.hub.pressure().refuses(Priority::Low);
    assert!(refused, "and nothing more is taken that is not urgent");
    bench.hub.pressure().read(0, 100);
    bench.settle();
    assert_eq!(bench.offsets(slot, "low"), (21..=40).collect::<Vec<_>>());
    assert_eq!(bench.offsets(slot, "critical"), (11..=20).collect::<Vec<_>>());
}
