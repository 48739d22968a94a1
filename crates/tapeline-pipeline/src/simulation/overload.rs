//! A source that is faster than its components for a minute, and a clock that leaps while a call is under way.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tapeline_core::clock::Clock;
use tapeline_core::feed::VenueChannel;
use tapeline_core::testkit::{ManualClock, Rng};

use super::actor::{Actor, Taste};
use crate::cell::Cell;
use crate::config::QueueConfig;
use crate::dead_letters::{MemoryBounds, MemoryLetters};
use crate::floor::{Floor, FloorParts, Patience, Pushed, Routes, Taker};
use crate::intake::IntakeConfig;
use crate::testing::update;
use crate::worker::{Bounds, Step, Worker};

fn floor(clock: &Arc<ManualClock>) -> Floor {
    floor_with(clock, MemoryBounds::default())
}

fn floor_with(clock: &Arc<ManualClock>, bounds: MemoryBounds) -> Floor {
    Floor::new(FloorParts {
        clock: clock.clone(),
        letters: Arc::new(MemoryLetters::new(bounds)),
        queue: QueueConfig::default(),
        intake: IntakeConfig::default(),
        run: 1,
    })
}

fn actor(floor: &Floor, number: u64, taste: Taste) -> Actor {
    let name: Arc<str> = format!("component {number}").into();
    let worker = Worker::new(name.clone(), floor.run, Bounds::default(), Box::new(|| 0.5));
    Actor::new(Arc::new(Cell::new(number, name, worker)), taste, Rng::new(number))
}

fn connect(floor: &Floor, actors: &[Actor]) {
    let taker = |actor: &Actor| Taker {
        cell: actor.cell.clone(),
        takes: VenueChannel::ALL.to_vec(),
        skips: Vec::new(),
    };
    floor.set_routes(Routes::new(actors.iter().map(taker).collect()));
}

#[test]
fn a_source_that_is_faster_for_a_minute_costs_what_the_lanes_say_and_no_critical_message() {
    let clock = Arc::new(ManualClock::default());
    let floor = floor(&clock);
    let mut actors = [actor(&floor, 0, Taste::Slow), actor(&floor, 1, Taste::Good)];
    connect(&floor, &actors);
    let gate = floor.gate("kraken");
    let channels = ["ticker", "ticker", "ticker", "trade", "heartbeat", "executions"];
    let (mut numbers, mut critical) = (HashMap::new(), 0);
    // Sixty seconds of a hundred messages each twenty-millisecond call could take two of.
    for round in 0..60_000_u64 {
        let channel = channels[usize::try_from(round).unwrap() % channels.len()];
        // Few enough of the critical ones that the component could take them alone.
        let is_rare = channel != "executions" || round % 60 == 5;
        if is_rare {
            let symbol = format!("S{}", round % 7);
            let number = numbers.entry((channel, symbol.clone())).or_insert(0);
            *number += 1;
            let pushed = floor.push(&gate, &Arc::new(update(channel, &symbol, *number)), Patience::None);
            assert_eq!(pushed, Some(Pushed::Accepted));
            critical += u64::from(channel == "executions");
        }
        clock.advance(Duration::from_millis(1));
        actors.iter_mut().for_each(|actor| actor.act(&floor));
        let stats = actors[0].cell.lock().stats();
        assert!(stats.balances() && stats.queued.iter().sum::<u64>() <= 5_001, "{stats:?}");
    }
    for _ in 0..400_000 {
        clock.advance(Duration::from_millis(5));
        actors.iter_mut().for_each(|actor| actor.act(&floor));
        if actors[0].cell.lock().stats().queued == [0; 4] {
            break;
        }
    }
    let of = |actor: &Actor, channel: &str| {
        let taken = actor.delivered.iter().filter(|((name, _), _)| name.starts_with(channel));
        taken.map(|((name, number), _)| (name.clone(), *number)).collect::<Vec<_>>()
    };
    let slow = actors[0].cell.lock().stats();
    assert_eq!(of(&actors[0], "executions").len() as u64, critical, "{slow:?}");
    assert!(slow.dead_lettered.is_empty() && slow.conflated > 0 && slow.dropped["overflow"] > 0, "{slow:?}");
    assert!(!of(&actors[0], "heartbeat").is_empty(), "the lowest lane is served too");
    // What is latest ends with the newest of each symbol.
    let newest: HashMap<String, u64> = of(&actors[0], "ticker").into_iter().collect();
    for ((channel, symbol), number) in numbers.iter().filter(|((channel, _), _)| *channel == "ticker") {
        assert_eq!(newest[&format!("{channel}:{symbol}")], *number);
    }
    let good = actors[1].cell.lock().stats();
    assert_eq!(good.delivered, good.accepted, "the other component has everything");
}

#[test]
fn a_clock_that_leaps_while_a_call_is_under_way_does_not_make_it_hung() {
    let clock = Arc::new(ManualClock::default());
    let floor = floor(&clock);
    let actors = [actor(&floor, 0, Taste::Good)];
    connect(&floor, &actors);
    let cells = [actors[0].cell.clone()];
    let gate = floor.gate("kraken");
    for (number, looks) in [(1, 1), (2, 2)] {
        let pushed = floor.push(&gate, &Arc::new(update("executions", "a", number)), Patience::None);
        assert_eq!(pushed, Some(Pushed::Accepted));
        let Step::Call { id, .. } = floor.step(&cells[0], None, clock.now()) else {
            panic!("a call is next")
        };
        clock.advance(Duration::from_secs(3_600));
        let mut late = HashMap::new();
        (0..looks).for_each(|_| late = crate::thread::look(&floor, &cells, &late));
        assert_eq!(cells[0].lock().is_hung(), looks > 1);
        floor.step(&cells[0], Some((id, crate::worker::Outcome::Delivered)), clock.now());
    }
    let stats = cells[0].lock().stats();
    assert_eq!((stats.delivered, stats.dead_lettered["timeout"]), (1, 1));
}

#[test]
fn a_component_that_hangs_and_has_filled_its_share_of_a_small_store_costs_the_others_nothing() {
    let clock = Arc::new(ManualClock::default());
    let floor = floor_with(&clock, MemoryBounds { letters: 10, ..MemoryBounds::default() });
    let mut actors: Vec<Actor> = (0..3).map(|number| actor(&floor, number, Taste::Good)).collect();
    connect(&floor, &actors);
    let gate = floor.gate("kraken");
    // The first never asks for anything: its thread is in a call that does not come back.
    for number in 1..=3_000 {
        let pushed = floor.push(&gate, &Arc::new(update("executions", "a", number)), Patience::None);
        assert_eq!(pushed, Some(Pushed::Accepted));
        clock.advance(Duration::from_millis(1));
        actors.iter_mut().skip(1).for_each(|actor| actor.act(&floor));
    }
    for actor in &actors[1..] {
        let stats = actor.cell.lock().stats();
        assert!(stats.delivered == 3_000 && stats.dropped.is_empty(), "{stats:?}");
    }
    let stats = actors[0].cell.lock().stats();
    assert!(stats.balances() && stats.queued[0] == 2_000, "{stats:?}");
    assert_eq!((stats.dead_lettered["overflow"], stats.dropped["no_room_for_letters"]), (5, 995));
    assert_eq!(floor.letters.kept().letters.values().sum::<u64>(), 5, "half of the store is left");
}

#[test]
fn a_critical_update_that_nobody_has_room_for_stays_its_sources() {
    let clock = Arc::new(ManualClock::default());
    let floor = floor_with(&clock, MemoryBounds { letters: 0, ..MemoryBounds::default() });
    let actors = [actor(&floor, 0, Taste::Good), actor(&floor, 1, Taste::Good)];
    connect(&floor, &actors);
    let gate = floor.gate("kraken");
    let mut pushed = (1..=2_001_u64)
        .map(|number| floor.push(&gate, &Arc::new(update("executions", "a", number)), Patience::None));
    assert!(pushed.by_ref().take(2_000).all(|pushed| pushed == Some(Pushed::Accepted)));
    assert_eq!(pushed.next(), Some(Some(Pushed::Refused(crate::floor::Refusal::NoRoom))));
    for actor in &actors {
        let stats = actor.cell.lock().stats();
        assert!(stats.balances() && stats.dropped.is_empty() && stats.accepted == 2_000, "{stats:?}");
    }
}

#[test]
fn venues_that_share_a_source_and_a_symbol_do_not_conflate_each_other() {
    let clock = Arc::new(ManualClock::default());
    let floor = floor(&clock);
    let of = |source: &str| tapeline_core::feed::Update { source: source.into(), ..update("ticker", "a", 1) };
    assert_ne!(floor.key(&of("kraken")), floor.key(&of("futu")));
    assert_eq!(floor.key(&of("kraken")), floor.key(&of("kraken")));
}
