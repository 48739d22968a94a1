//! Memory as a whole: what is refused where the process has too much, in which order and how that is said; and the bodies
//! of all requests together.

#![expect(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail loudly")]

#[expect(dead_code, reason = "each test file uses its own part of the support")]
mod support;

use std::time::{Duration, Instant};

use support::raw::handshake;
use support::{Client, Hub, Raw, eventually};

const FAMILIES: &str = "[[channel]]\ntemplate = \"vital:{x}\"\ntype = \"vital\"\npriority = \"critical\"\n\
                        keep = { count = 1000, bytes = 1000000000 }\n";
const LOAD_MB: usize = 150;
/// What the hub has in use may change while it is looked at.
const TRIES: usize = 10;
/// One of each priority, the least urgent first.
const CHANNELS: [&str; 4] = ["news", "undeclared", "orderbook:A", "vital:1"];

/// Gives the hub a limit of memory, in hundredths of what it has in use.
fn limit(hub: &Hub, hundredths: usize) {
    let bytes = hub.memory_bytes() / 100 * hundredths;
    hub.rewrite(&format!("{FAMILIES}[limits]\nmemory_bytes = {bytes}\n"));
    let reloaded = hub.post("/admin/reload", "");
    assert_eq!(reloaded.status(), 200, "{}", reloaded.text());
}

fn step(hub: &Hub) -> u64 {
    hub.stats()["memory"]["step"].as_u64().expect("a step is a number")
}

/// Whether it holds before the hub has looked twice at its memory.
fn within_a_look(mut holds: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + Duration::from_secs(2);
    while Instant::now() < end {
        if holds() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    false
}

fn statuses(hub: &Hub) -> [u16; 4] {
    CHANNELS.map(|channel| hub.post("/publish", format!(r#"{{"channel":"{channel}","data":{{}}}}"#)).status())
}

#[test]
fn over_its_memory_the_hub_refuses_the_least_urgent_first_and_the_critical_never() {
    let hub = Hub::with_config(FAMILIES);
    // So much that what comes and goes beside it is less than a step.
    let load = format!(r#"{{"channel":"vital:0","data":"{}"}}"#, "x".repeat(1_000_000));
    for _ in 0..LOAD_MB {
        assert_eq!(hub.post("/publish", &load).status(), 200);
    }
    let mut stays = Client::connect(&hub);
    stays.subscribe("vital:1");
    let mut said = 0;
    // A step is a sixteenth of the limit.
    for (hundredths, expected) in
        [(97, [503, 200, 200, 200]), (92, [503, 503, 200, 200]), (80, [503, 503, 503, 200])]
    {
        let wanted = expected.iter().filter(|status| **status == 503).count() as u64;
        let held = (0..TRIES).any(|_| {
            limit(&hub, 200);
            assert!(eventually(|| step(&hub) == 0));
            limit(&hub, hundredths);
            let comes = within_a_look(|| step(&hub) == wanted);
            let told = statuses(&hub);
            said += 1;
            // Memory may have come or gone meanwhile.
            let held = comes && step(&hub) == wanted;
            assert!(!held || told == expected, "on step {wanted}: {told:?}");
            held
        });
        assert!(held, "{}", hub.stats()["memory"]);
    }
    let refused = hub.post("/publish", r#"{"channel":"news","data":{}}"#);
    assert_eq!(refused.refusal(), (503, "overloaded".to_string()));
    assert!(refused.text().contains("news is of low priority: "), "{}", refused.text());
    assert!(refused.text().contains("limits.memory_bytes"), "{}", refused.text());
    assert!(refused.header("retry-after").is_some());
    let mut late = Raw::send_to(&hub, handshake(&hub, "/ws", ""));
    let head = late.head();
    assert_eq!((head.status, head.header("retry-after").is_some()), (503, true));
    let health = hub.get("/health");
    assert_eq!((health.status(), &health.json()["memory"]["status"]), (503, &"degraded".into()));
    assert!(health.text().contains("all publishes but critical ones are refused"), "{}", health.text());
    assert!(hub.get("/metrics").text().contains("\ntapeline_memory_pressure 3\n"));
    assert_eq!(hub.stats()["turned_away"]["memory"], 1);
    assert!(hub.stats()["refused_by"]["overloaded"].as_u64() >= Some(6), "{}", hub.stats()["refused_by"]);
    limit(&hub, 200);
    assert!(eventually(|| hub.get("/health").status() == 200));
    assert_eq!(statuses(&hub), [200; 4]);
    assert_eq!(Raw::send_to(&hub, handshake(&hub, "/ws", "")).head().status, 101);
    assert_eq!(stays.offsets_until(said + 1).len() as u64, said + 1);
}

#[test]
fn it_is_in_the_log_when_memory_is_short_and_when_it_is_not() {
    let hub = Hub::with_log_and_config("[limits]\nmemory_bytes = 1000000\n");
    assert!(eventually(|| hub
        .log()
        .contains("memory is over its limit (limits.memory_bytes): new sessions")));
    hub.rewrite("[limits]\nmemory_bytes = 0\n");
    assert_eq!(hub.post("/admin/reload", "").status(), 200);
    assert!(eventually(|| hub.log().contains("memory is below its limit again")));
}

#[test]
fn the_bodies_of_all_requests_together_have_a_bound() {
    let hub = Hub::with_config("[limits]\nbodies_bytes = 100000\n");
    let head = |len: usize| {
        format!("POST /publish HTTP/1.1\r\nHost: {}\r\nContent-Length: {len}\r\n\r\n", hub.address())
    };
    let mut holds = Raw::send_to(&hub, head(200_000));
    holds.send([b' '; 99_999]);
    let held = || hub.get("/metrics").text().contains("\ntapeline_bodies_bytes 99999\n");
    assert!(eventually(held));
    let answer = hub.post("/publish", r#"{"channel":"c","data":1}"#);
    assert_eq!(answer.refusal(), (503, "overloaded".to_string()));
    assert!(answer.text().contains("limits.bodies_bytes"), "{}", answer.text());
    assert!(answer.header("retry-after").is_some());
    assert_eq!(hub.get("/last/news").status(), 404, "who brings no body is answered");
    assert_eq!(hub.stats()["turned_away"]["bodies"], 1);
    holds.send([b' '; 2]);
    assert_eq!(holds.head().status, 503, "nor may one take more than all of it");
    drop(holds);
    assert!(eventually(|| hub.post("/publish", r#"{"channel":"c","data":1}"#).status() == 200));
}
