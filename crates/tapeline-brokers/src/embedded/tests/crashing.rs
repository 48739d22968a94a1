//! Crashes at every change of the disk: whatever was acknowledged is there once and in order, no offset is given twice in
//! an epoch, and tables are what was published, however much of the rest was written.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tapeline_core::broker::{Broker, Drafts, NEWEST};
use tapeline_core::message::Draft;
use tapeline_core::table::take_apart;
use tapeline_core::testkit::Rng;
use tapeline_core::testkit::suite::Subject;
use tapeline_core::{Receipt, Refusal};

use super::super::{Durability, EmbeddedBroker};
use super::fake::Fake;
use super::{Opens, small};

/// How lives end.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Ends {
    /// The process is killed.
    Kill,
    /// The machine stops.
    Power,
    /// One or the other.
    Either,
}

impl Ends {
    fn is_power(self, rng: &mut Rng) -> bool {
        self == Ends::Power || self == Ends::Either && rng.below(2) == 0
    }
}

/// What must be true after every crash.
#[derive(Default)]
struct Truth {
    /// Acknowledged: by channel, then by epoch and offset, what was published.
    said: BTreeMap<String, Vec<(String, u64, String)>>,
    /// Whom each offset of an epoch was given to, acknowledged or only seen.
    given: HashMap<(String, String, u64), String>,
    /// Rows of the table by key.
    rows: BTreeMap<u64, u64>,
    rows_sure: bool,
}

impl Truth {
    fn gave(&mut self, channel: &str, epoch: &str, offset: u64, data: &str) {
        let key = (channel.to_string(), epoch.to_string(), offset);
        let first = self.given.entry(key).or_insert_with(|| data.to_string());
        assert_eq!(first, data, "{channel} gave offset {offset} of {epoch} twice");
    }
}

const CHANNELS: [&str; 3] = ["trades:a", "trades:b", "market_trades:a"];

struct Life {
    subject: Subject,
    broker: Arc<EmbeddedBroker>,
}

fn live(opens: &Opens) -> Life {
    let mut broker = None;
    let subject = Subject::new(|clock, directory| {
        let opened = opens.broker(clock, directory).expect("what a crash leaves can be opened");
        broker = Some(opened.clone());
        opened
    });
    Life { subject, broker: broker.expect("it was opened") }
}

fn draft(subject: &Subject, channel: &str, data: &str) -> Draft {
    let draft = subject.draft(channel);
    if !draft.channel.is_table() {
        return Draft { data: Bytes::copy_from_slice(data.as_bytes()), ..draft };
    }
    let (data, rows) = take_apart(draft.channel.spec(), data.as_bytes()).unwrap();
    Draft { data, rows: Some(Box::new(rows)), ..draft }
}

/// Publishes and waits for what becomes of it; nothing where the disk has died.
fn publish(life: &Life, disk: &Fake, drafts: Vec<Draft>) -> Option<Vec<Result<Receipt, Refusal>>> {
    let (to, from) = sync_channel(1);
    let answer = Box::new(move |results| {
        let _ = to.send(results);
    });
    assert!(life.broker.publish(Drafts::from_vec(drafts), Some(answer)).is_ok(), "the sink has room");
    let since = Instant::now();
    loop {
        match from.recv_timeout(Duration::from_millis(50)) {
            Ok(results) => return Some(results),
            Err(_) if disk.is_dead() => return None,
            Err(_) => assert!(since.elapsed() < Duration::from_secs(10), "a publish is never answered"),
        }
    }
}

/// One life between two crashes.
fn act(life: &Life, disk: &Fake, truth: &mut Truth, rng: &mut Rng, number: &mut u64) {
    let steps = rng.below(12) + 1;
    for _ in 0..steps {
        if disk.is_dead() {
            return;
        }
        match rng.below(10) {
            0 => {
                // It fails where the disk dies meanwhile.
                let _ = life.broker.compact();
            }
            1 | 2 => {
                *number += 1;
                let (key, value) = (rng.below(3) as u64, *number);
                let data = format!(r#"{{"id":{key},"v":{value}}}"#);
                let results = publish(life, disk, vec![draft(&life.subject, "shelf:a", &data)]);
                if results.is_some_and(|results| results[0].is_ok()) {
                    truth.rows.insert(key, value);
                } else {
                    truth.rows_sure = false;
                }
            }
            _ => {
                let channel = CHANNELS[rng.below(3)];
                let texts: Vec<String> = (0..=rng.below(3))
                    .map(|_| {
                        *number += 1;
                        format!("\"{number}{}\"", "x".repeat(rng.below(300)))
                    })
                    .collect();
                let drafts = texts.iter().map(|text| draft(&life.subject, channel, text)).collect();
                for (result, text) in publish(life, disk, drafts).into_iter().flatten().zip(&texts) {
                    let Ok(receipt) = result else { continue };
                    let epoch = receipt.epoch.to_string();
                    truth.gave(channel, &epoch, receipt.offset, text);
                    truth.said.entry(channel.to_string()).or_default().push((
                        epoch,
                        receipt.offset,
                        text.clone(),
                    ));
                }
            }
        }
    }
}

/// Compares what is kept with what was acknowledged.
fn check(life: &Life, truth: &mut Truth, sure: bool) {
    for channel in CHANNELS {
        let page = life.subject.read(channel, 0, usize::MAX);
        let kept: Vec<(u64, String)> = page
            .messages
            .iter()
            .map(|message| (message.offset, String::from_utf8_lossy(&message.data).into_owned()))
            .collect();
        assert!(kept.is_sorted_by(|one, other| one.0 < other.0), "{channel} is out of order: {kept:?}");
        for (offset, text) in &kept {
            truth.gave(channel, &page.head.epoch, *offset, text);
        }
        let said = truth.said.entry(channel.to_string()).or_default();
        if sure {
            let mut left = kept.iter();
            for (_, offset, text) in said.iter() {
                let there = left.any(|(at, known)| at == offset && known == text);
                assert!(there, "{channel} has lost {text} at {offset}");
            }
        } else {
            // What is there is still in order; what was acknowledged and not synced may be gone.
            said.retain(|(_, offset, text)| kept.iter().any(|(at, known)| at == offset && known == text));
        }
        // Whatever the epoch was, it goes on from the newest.
        assert!(
            kept.last().is_none_or(|(newest, _)| *newest == page.head.top),
            "{channel} has a hole at its end"
        );
    }
    let roll_up = life.subject.offsets("trades", 0, usize::MAX);
    assert!(roll_up.is_sorted_by(|one, other| one < other), "the roll-up is out of order: {roll_up:?}");
    let of_sources = life.subject.offsets("trades:a", 0, usize::MAX).len()
        + life.subject.offsets("trades:b", 0, usize::MAX).len();
    assert_eq!(roll_up.len(), of_sources, "the roll-up keeps what its sources keep");
    let table = life.subject.read("shelf:a", NEWEST, 1);
    let text = table.messages.first().map(|message| String::from_utf8_lossy(&message.data).into_owned());
    let text = text.unwrap_or_default();
    if sure && truth.rows_sure {
        for (key, value) in &truth.rows {
            let row = format!(r#"{{"id":{key},"v":{value}}}"#);
            assert!(text.contains(&row), "the table lacks {row}: {text}");
        }
    }
    // From here on the table is what it is found to be.
    truth.rows_sure = true;
    truth.rows.clear();
    for row in text.split("{\"id\":").skip(1) {
        let digits = |text: &str| text.chars().take_while(char::is_ascii_digit).collect::<String>();
        let (key, rest) = row.split_once(",\"v\":").expect("a row of the test");
        truth.rows.insert(key.parse().unwrap(), digits(rest).parse().unwrap());
    }
}

/// What the next life finds, and the boot in which it does.
fn crash(disk: &Fake, boot: &mut usize, ends: Ends, rng: &mut Rng) -> Fake {
    disk.stop();
    if !ends.is_power(rng) {
        return disk.after_kill();
    }
    *boot += 1;
    disk.after_power_loss(|below| rng.below(below))
}

/// Lives after one another, each of which ends after some changes of the disk.
fn run(seed: u64, durability: Durability, ends: Ends) {
    let mut rng = Rng::new(seed);
    let mut truth = Truth { rows_sure: true, ..Truth::default() };
    let (mut disk, mut number, mut boot) = (Fake::default(), 0, 0_usize);
    const BOOTS: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let sure = ends == Ends::Kill || durability == Durability::EveryBatch;
    for life_number in 0..8 {
        let opens = Opens {
            disk: Arc::new(disk.clone()),
            storage: small(durability),
            boot: BOOTS[boot % 8],
            seed: seed * 100 + life_number,
        };
        let life = live(&opens);
        check(&life, &mut truth, sure);
        disk.stop_after(rng.below(40) as u64 + 1, rng.below(100));
        act(&life, &disk, &mut truth, &mut rng, &mut number);
        let next = crash(&disk, &mut boot, ends, &mut rng);
        drop(life);
        disk = next;
        if rng.below(4) == 0 {
            let opens = Opens {
                disk: Arc::new(disk.clone()),
                boot: BOOTS[boot % 8],
                seed: opens.seed + 1_000_000,
                ..opens
            };
            crash_while_opening(&disk, &mut rng, &opens);
            disk = crash(&disk, &mut boot, ends, &mut rng);
        }
    }
}

/// The start itself may be cut short.
fn crash_while_opening(disk: &Fake, rng: &mut Rng, opens: &Opens) {
    disk.stop_after(rng.below(12) as u64 + 1, rng.below(100));
    drop(Subject::new(|clock, directory| match opens.broker(clock.clone(), directory) {
        Ok(broker) => broker,
        Err(_) => Arc::new(crate::memory::MemoryBroker::new(clock, 1)),
    }));
}

/// Seeds for about this long, each printed when it fails.
fn for_seeds(first: u64, time: Duration, run: impl Fn(u64) + std::panic::RefUnwindSafe) {
    let since = Instant::now();
    let mut seed = first;
    while since.elapsed() < time {
        if let Err(cause) = std::panic::catch_unwind(|| run(seed)) {
            eprintln!("seed {seed}");
            std::panic::resume_unwind(cause);
        }
        seed += 1;
    }
    assert!(seed > first + 3, "only {} seeds", seed - first);
}

const TIME: Duration = Duration::from_secs(5);

#[test]
fn a_process_killed_at_any_change_of_the_disk_loses_nothing_that_was_acknowledged() {
    for_seeds(1, TIME, |seed| run(seed, Durability::default(), Ends::Kill));
}

#[test]
fn a_machine_that_stops_at_any_change_of_the_disk_loses_nothing_that_was_synced_before_it_was_acknowledged() {
    for_seeds(1, TIME, |seed| run(seed, Durability::EveryBatch, Ends::Power));
}

#[test]
fn what_was_synced_stays_when_processes_are_killed_and_machines_stop_in_turn() {
    for_seeds(1, TIME, |seed| run(seed, Durability::EveryBatch, Ends::Either));
}

#[test]
fn a_machine_that_stops_before_the_sync_gives_no_offset_twice_in_an_epoch() {
    for_seeds(1, TIME, |seed| run(seed, Durability::Exit, Ends::Power));
}

#[test]
fn no_offset_is_given_twice_when_processes_are_killed_and_machines_stop_in_turn() {
    for_seeds(1, TIME, |seed| run(seed, Durability::default(), Ends::Either));
}
