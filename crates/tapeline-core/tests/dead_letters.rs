//! Dead letters of a hub on the memory broker: counted whoever wrote them, kept waiting while there is no room, lost only
//! aloud.

#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tapeline_brokers::memory::MemoryBroker;
use tapeline_core::Directory;
use tapeline_core::broker::{Broker, Drafts, Receipts};
use tapeline_core::command::Publication;
use tapeline_core::dead_letters::{GivenUp, LetterCount, Original};
use tapeline_core::hub::HubParts;
use tapeline_core::registry::LocalRegistry;
use tapeline_core::rights::Grant;
use tapeline_core::store::{Bounds, LocalStore};
use tapeline_core::testkit::ManualClock;
use tapeline_core::testkit::suite::Sink;
use tapeline_core::{Clock, Hub, Settings};
use tapeline_schema::Catalog;
use tapeline_schema::events::DeadLetterReason;

fn open() -> (Hub, Arc<Sink>) {
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::default());
    let broker = Arc::new(MemoryBroker::new(clock.clone(), 7));
    let sink = Arc::new(Sink::default());
    broker.attach(sink.clone());
    let hub = Hub::new(HubParts {
        directory: Arc::new(Directory::new(Catalog::built_in())),
        settings: Settings::default(),
        clock: clock.clone(),
        broker,
        registry: Arc::new(LocalRegistry::default()),
        store: Arc::new(LocalStore::new(clock, Bounds::default())),
        authority: Arc::new(tapeline_core::rights::Off),
        seed: 1,
        shards: 1,
    });
    (hub, sink)
}

fn given_up(source: &str) -> GivenUp<'_> {
    GivenUp {
        source,
        reason: DeadLetterReason::Overflow,
        error: "no room",
        attempts: 1,
        first_us: 0,
        last_us: 0,
        original: Original { channel: "news", data: b"{}", ..Original::default() },
    }
}

fn count(source: &str, reason: &str, taken: u64, lost: u64) -> LetterCount {
    LetterCount { source: source.into(), reason: reason.into(), taken, lost }
}

fn publish(hub: &Hub, kind: Option<&str>, key: Option<&str>) -> bool {
    publish_as("worker", hub, kind, key)
}

fn publish_as(source: &str, hub: &Hub, kind: Option<&str>, key: Option<&str>) -> bool {
    let data = r#"{"reason":"mine","attempts":1,"first_at":1,"last_at":1,"original":7}"#;
    let publication = Publication {
        channel: format!("dead_letters:{source}").into(),
        kind: kind.map(Box::from),
        data: data.into(),
        idempotency_key: key.map(Box::from),
        ..Publication::default()
    };
    let draft = hub.draft(publication, &"ann".into(), &Grant::Anyone, hub.now()).unwrap();
    let drafts: Drafts = std::iter::once(draft).collect();
    let answers = Arc::new(AtomicUsize::new(0));
    let told = answers.clone();
    let receipts: Receipts = Box::new(move |outcomes| {
        told.fetch_add(outcomes.len(), Ordering::Relaxed);
    });
    match hub.publish(drafts, Some(receipts)) {
        Ok(()) => {
            assert_eq!(answers.load(Ordering::Relaxed), 1, "one draft, one answer");
            true
        }
        Err(busy) => {
            assert!(busy.receipts.is_some(), "the publisher's receipts are gone");
            false
        }
    }
}

#[test]
fn every_letter_taken_is_counted_once_by_source_and_reason() {
    let (hub, sink) = open();
    hub.give_up(given_up("kraken"));
    assert!(publish(&hub, None, None));
    sink.fill();
    assert!(!publish(&hub, None, Some("k")), "the hub takes letters without room");
    sink.make_room();
    assert!(publish(&hub, None, Some("k")));
    assert!(publish(&hub, None, Some("k")), "a repeat is answered");
    assert!(publish(&hub, Some("dead_letter_redriven"), None), "a note is no letter");
    assert_eq!(
        hub.dead_letters().counts(),
        [count("kraken", "overflow", 1, 0), count("worker", "mine", 2, 0)]
    );
    sink.check_permits();
}

#[test]
fn a_letter_without_room_waits_for_it_and_past_the_bound_is_counted_as_lost() {
    let (hub, sink) = open();
    sink.fill();
    for _ in 0..1_005 {
        hub.give_up(given_up("kraken"));
    }
    for _ in 0..100 {
        hub.give_up(given_up("other feed's"));
        hub.give_up(given_up("replay"));
    }
    assert!(!hub.flush_dead_letters());
    sink.make_room();
    hub.sweep();
    let counts = hub.dead_letters().counts();
    let of = |source: &str| counts.iter().find(|count| &*count.source == source).unwrap();
    assert_eq!((of("kraken").taken, of("kraken").lost), (1_000, 5), "faster than letters are written");
    assert_eq!((of("replay").taken, of("replay").lost), (24, 76), "no more than 1,024 wait");
    assert_eq!((of("other feed's").taken, of("other feed's").lost), (0, 100), "its name makes no channel");
    assert_eq!(hub.dead_letters().lost(), 181);
    assert_eq!(sink.delivered(1_024).len(), 1_024);
}

#[test]
fn while_the_hub_is_busy_letters_are_offered_to_it_once() {
    let (hub, sink) = open();
    sink.fill();
    for _ in 0..1_000 {
        hub.give_up(given_up("kraken"));
    }
    assert_eq!(hub.stats().waited.read(), 1);
    sink.make_room();
    assert!(hub.flush_dead_letters());
    assert_eq!(hub.dead_letters().counts(), [count("kraken", "overflow", 1_000, 0)]);
    hub.give_up(given_up("kraken"));
    assert_eq!(hub.dead_letters().lost(), 1, "waiting spares a letter no rate");
    hub.give_up(given_up("replay"));
    let delivered = sink.delivered(1_001);
    let letters = delivered.first().map(|letter| letter.channel.family()).unwrap();
    assert_eq!(hub.stats().families.of(letters).taken.read(), 1_001);
}

#[test]
fn whoever_names_many_sources_takes_no_place_and_no_rate_of_the_hubs_own() {
    let (hub, _sink) = open();
    for n in 0..200 {
        assert!(publish_as(&format!("x{n}"), &hub, None, None));
    }
    for source in ["kraken", "replay"] {
        (0..1_000).for_each(|_| hub.give_up(given_up(source)));
    }
    let counts = hub.dead_letters().counts();
    for source in ["kraken", "replay"] {
        assert!(counts.contains(&count(source, "overflow", 1_000, 0)), "{counts:?}");
    }
    assert!(counts.contains(&count("other", "mine", 136, 0)), "{counts:?}");
}

#[test]
fn an_original_as_deep_as_any_and_one_that_is_no_text_are_taken() {
    let (hub, sink) = open();
    let deep = "[".repeat(8_000) + &"]".repeat(8_000);
    for data in [deep.as_bytes(), &[0xff; 16 << 10], &[0x01; 16 << 10], b""] {
        hub.give_up(GivenUp {
            original: Original { data, ..given_up("kraken").original },
            ..given_up("kraken")
        });
    }
    assert_eq!(hub.dead_letters().counts(), [count("kraken", "overflow", 4, 0)]);
    assert_eq!(sink.delivered(4).len(), 4);
}
