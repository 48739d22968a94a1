//! A publisher that goes on whatever happens, one message after the other, and writes down how each ended.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;
use ureq::Agent;

use super::{Fate, Place, Publication};
use crate::support::{Hub, PATIENCE, eventually};

/// Between two messages: so many that an outage meets some, so few that all are kept through it.
const PACE: Duration = Duration::from_millis(3);
/// Numbers of one publisher.
const BLOCK: u64 = 1_000_000;

/// Nobody else's numbers.
fn block() -> u64 {
    static BLOCKS: AtomicU64 = AtomicU64::new(1);
    BLOCKS.fetch_add(1, Ordering::Relaxed) * BLOCK
}

/// Publishes one message, the last one of a test for example.
pub(crate) fn publish_one(hub: &Hub, channel: &str) -> Publication {
    publish(&agent(), hub.address(), channel, block())
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    log: Mutex<Vec<Publication>>,
}

/// See the module.
pub(crate) struct Publisher {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Publisher {
    /// Publishes on this channel through the first of these hubs that answers.
    pub(crate) fn start(hubs: &[&Hub], channel: &str) -> Publisher {
        let first = block();
        let shared = Arc::new(Shared::default());
        let (own, channel) = (shared.clone(), channel.to_string());
        let addresses: Vec<String> = hubs.iter().map(|hub| hub.address().to_string()).collect();
        let run = move || {
            let agent = agent();
            let mut at = 0;
            for number in first.. {
                if own.stop.load(Ordering::Relaxed) {
                    return;
                }
                let publication = publish(&agent, &addresses[at % addresses.len()], &channel, number);
                // Gone; the next one may still be there.
                at += usize::from(publication.status == 0);
                own.log.lock().unwrap_or_else(PoisonError::into_inner).push(publication);
                std::thread::sleep(PACE);
            }
        };
        Publisher { shared, thread: Some(std::thread::spawn(run)) }
    }

    /// How all ended until now.
    pub(crate) fn publications(&self) -> Vec<Publication> {
        self.shared.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until a publish, begun from now on, is acknowledged.
    pub(crate) fn wait_for_acknowledged(&self) {
        let since = Instant::now();
        self.wait_for("acknowledged", |publication| {
            publication.begun >= since && matches!(publication.fate, Fate::Acknowledged(_))
        });
    }

    /// Waits until a publish has ended with this status, after `since`.
    pub(crate) fn wait_for_status(&self, status: u16, since: Instant) {
        self.wait_for(&format!("answered with {status}"), |publication| {
            publication.begun + publication.took >= since && publication.status == status
        });
    }

    fn wait_for(&self, what: &str, is: impl Fn(&Publication) -> bool) {
        let came = eventually(|| {
            let log = self.shared.log.lock().unwrap_or_else(PoisonError::into_inner);
            log.iter().rev().any(&is)
        });
        assert!(came, "no publish was {what} within {PATIENCE:?}: {:?}", self.last());
    }

    fn last(&self) -> Option<Publication> {
        self.publications().pop()
    }

    /// Stops and answers how all ended.
    pub(crate) fn stop(mut self) -> Vec<Publication> {
        self.end();
        self.publications()
    }

    fn end(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
            && !std::thread::panicking()
        {
            panic!("a publisher has panicked");
        }
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.end();
    }
}

fn agent() -> Agent {
    Agent::config_builder().timeout_global(Some(PATIENCE)).http_status_as_error(false).build().into()
}

/// Publishes one number. All required fields of a trade are there, and an order book takes any.
fn publish(agent: &Agent, address: &str, channel: &str, number: u64) -> Publication {
    let body = format!(
        r#"{{"channel":"{channel}","data":{{"portfolio_id":"p","symbol":"A","trade_type":"BUY","quantity":1,"price":2,"n":{number}}}}}"#
    );
    let begun = Instant::now();
    let sent = agent
        .post(format!("http://{address}/publish"))
        .header("Content-Type", "application/json")
        .send(body.as_bytes());
    let answer =
        sent.and_then(|mut answer| Ok((answer.status().as_u16(), answer.body_mut().read_to_string()?)));
    let (status, text) = answer.unwrap_or_default();
    let fate = if status == 0 { Fate::Unknown } else { fate(status, &text) };
    Publication { number, channel: channel.to_string(), fate, status, begun, took: begun.elapsed() }
}

fn fate(status: u16, text: &str) -> Fate {
    let answer: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in {text}"));
    match status {
        200 => Fate::Acknowledged(Place::new(
            answer["offset"].as_u64().unwrap_or_else(|| panic!("no offset in {text}")),
            answer["epoch"].as_str().unwrap_or_else(|| panic!("no epoch in {text}")),
        )),
        202 => {
            assert!(answer["held"] == true && answer["offset"].is_null(), "{text}");
            Fate::Held
        }
        _ => {
            let error = &answer["error"];
            // What was sent when the line broke: the hub does not claim to know.
            if error["message"].as_str().is_some_and(|message| message.contains("nobody knows")) {
                return Fate::Unknown;
            }
            Fate::Refused(error["code"].as_str().unwrap_or_else(|| panic!("no code in {text}")).to_string())
        }
    }
}
