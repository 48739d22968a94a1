//! A reconnect storm: everybody is cut off in the same moment and comes back at once, through doors that let only so many
//! in a second. All are in again after a bounded number of tries each, and who was in all the time notices nothing.

#![expect(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail loudly")]

#[expect(dead_code, reason = "each test file uses its own part of the support")]
mod support;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::{Value, json};
use support::raw::{handshake, masked};
use support::{Client, Hub, Raw, eventually};

const CLIENTS: usize = 2_000;
/// All of an address are cut off, and come back, together.
const ADDRESSES: usize = 20;
/// New connections that the hub takes at once, and as many a second.
const TOTAL: usize = 400;
/// The same of one address, which is less than its clients.
const EACH: usize = 60;
/// At a rate of 400 a second nobody needs more tries than this, each as late as it was told.
const TRIES: usize = 20;
/// Threads that clients come from.
const THREADS: usize = 20;

/// How often clients were told to wait: by the door of their address, and by everybody's.
#[derive(Default)]
struct Told {
    each: AtomicUsize,
    total: AtomicUsize,
}

impl Told {
    /// Whether the hub has counted the same.
    fn is_counted(&self, hub: &Hub) -> bool {
        let turned_away = &hub.stats()["turned_away"];
        turned_away["handshakes"] == self.each.load(Ordering::Relaxed)
            && turned_away["handshakes_total"] == self.total.load(Ordering::Relaxed)
    }
}

/// A client that is out: where it comes from, how often it has tried, and when it may try again.
struct Out {
    address: usize,
    tries: usize,
    at: Instant,
}

/// Connects and subscribes; `Err` is how long to wait.
fn come(hub: &Hub, address: usize, told: &Told) -> Result<Raw, Duration> {
    let forwarded = format!("X-Forwarded-For: 192.0.2.{address}\r\n");
    let mut raw = Raw::send_to(hub, handshake(hub, "/ws?heartbeat=0", &forwarded));
    let head = raw.head();
    if head.status == 101 {
        raw.send(masked(1, json!({"action": "subscribe", "channel": "orderbook:A"}).to_string()));
        let confirmed: Value = serde_json::from_slice(&raw.frame().payload).expect("a frame is JSON");
        assert_eq!(confirmed["type"], "subscription_confirmed", "{confirmed}");
        return Ok(raw);
    }
    let len = head.header("content-length").and_then(|len| len.parse().ok()).expect("a length");
    let body = String::from_utf8(raw.body(len)).expect("a body is text");
    let (door, count) = match head.status {
        429 => ("limits.handshakes_per_second)", &told.each),
        503 => ("limits.handshakes_per_second_total", &told.total),
        status => panic!("{status}: {body}"),
    };
    assert!(body.contains(door), "{body}");
    count.fetch_add(1, Ordering::Relaxed);
    let wait = head.header("retry-after").and_then(|seconds| seconds.parse().ok()).expect("a wait is told");
    Err(Duration::from_secs(wait))
}

/// Brings the clients of one thread in, each as late as it is told; answers them and the most tries of one.
fn bring_in(hub: &Hub, mut out: Vec<Out>, told: &Told) -> (Vec<Raw>, usize) {
    let (mut inside, mut most) = (Vec::new(), 0);
    while !out.is_empty() {
        let next = out.iter().map(|client| client.at).min().expect("somebody is out");
        thread::sleep(next.saturating_duration_since(Instant::now()));
        let (due, later): (Vec<_>, Vec<_>) = out.into_iter().partition(|client| client.at <= Instant::now());
        out = later;
        for client in due {
            let tries = client.tries + 1;
            most = most.max(tries);
            assert!(tries <= TRIES, "a client of 192.0.2.{} starves", client.address);
            match come(hub, client.address, told) {
                Ok(raw) => inside.push(raw),
                Err(wait) => out.push(Out { tries, at: Instant::now() + wait, ..client }),
            }
        }
    }
    (inside, most)
}

/// Brings everybody in at once; answers them, the most tries of one and the time it took.
fn storm(hub: &Hub, told: &Told) -> (Vec<Raw>, usize, Duration) {
    let start = Instant::now();
    let (mut inside, mut most) = (Vec::new(), 0);
    thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|number| {
                let mine = (0..CLIENTS).filter(move |client| client % THREADS == number);
                let mine =
                    mine.map(|client| Out { address: 1 + client / THREADS % ADDRESSES, tries: 0, at: start });
                let mine: Vec<Out> = mine.collect();
                scope.spawn(move || bring_in(hub, mine, told))
            })
            .collect();
        for thread in threads {
            let (clients, tries) = thread.join().expect("all came in");
            inside.extend(clients);
            most = most.max(tries);
        }
    });
    (inside, most, start.elapsed())
}

/// Somebody who publishes and somebody who hears each message before the next one is said; how many there were.
fn talk(publisher: &mut Client, hearer: &mut Client, is_over: &AtomicBool, said: &AtomicUsize) {
    while !is_over.load(Ordering::Relaxed) {
        let number = said.fetch_add(1, Ordering::Relaxed) + 1;
        publisher.send(&json!({"action": "publish", "channel": "bystander", "data": number, "req": number}));
        let answer = publisher.next();
        assert_eq!(answer.kind(), "published", "{}", answer.text);
        hearer.message(number as u64);
    }
}

#[test]
fn after_a_storm_all_are_in_again_and_who_was_in_has_missed_nothing() {
    let files = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: files, maximum: files }).expect("the limit may be raised");
    let hub = Hub::with_config(&format!(
        "[http]\ntrusted_proxies = [\"127.0.0.1\"]\n[limits]\nheartbeat_s = 3600\n\
         handshakes_per_second = {EACH}\nhandshakes_burst = {EACH}\n\
         handshakes_per_second_total = {TOTAL}\nhandshakes_burst_total = {TOTAL}\n"
    ));
    let mut publisher = Client::connect_to(&hub, "/ws?heartbeat=0");
    let mut hearer = Client::connect_to(&hub, "/ws?heartbeat=0");
    hearer.subscribe("bystander");
    let (is_over, said, told) = (AtomicBool::new(false), AtomicUsize::new(0), Told::default());
    thread::scope(|scope| {
        let talking = scope.spawn(|| talk(&mut publisher, &mut hearer, &is_over, &said));
        let (first, _, _) = storm(&hub, &told);
        assert_eq!(hub.stats()["connections"], CLIENTS + 2);
        drop(first);
        assert!(eventually(|| hub.stats()["connections"] == 2), "all but two are cut off");
        let before = said.load(Ordering::Relaxed);
        let (again, tries, took) = storm(&hub, &told);
        let turns = said.load(Ordering::Relaxed) - before;
        is_over.store(true, Ordering::Relaxed);
        talking.join().expect("the bystander heard each message");
        assert_eq!(hub.stats()["connections"], CLIENTS + 2);
        println!(
            "all were in again after {took:?} and at most {tries} tries; the bystander had {turns} messages"
        );
        let least = Duration::from_secs_f64((CLIENTS - 2 * TOTAL) as f64 / TOTAL as f64);
        assert!(took >= least, "the doors let more in than they may: {took:?}");
        assert!(turns >= 100, "the bystander had {turns} messages in {took:?}");
        // None of them, where a busy machine brings the clients of one address no faster than its door lets them in.
        assert!(eventually(|| told.is_counted(&hub)), "{}", hub.stats()["turned_away"]);
        assert_eq!(hub.stats()["dropped"], json!({"trimmed": 0, "overflow": 0, "epoch": 0}));
        drop(again);
    });
}
