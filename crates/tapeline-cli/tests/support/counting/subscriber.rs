//! A subscriber that writes down all it hears, and comes back where it was: to the next of its hubs when its connection
//! ends, with the last place it has seen.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Value, json};

use super::{Heard, Place};
use crate::support::client::{Frame, with};
use crate::support::{Client, Hub, PATIENCE, eventually};

/// How often it looks whether it is to stop or to move.
const LOOK_UP: Duration = Duration::from_millis(50);

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    moves: AtomicBool,
    log: Mutex<Vec<Heard>>,
}

impl Shared {
    fn log(&self) -> MutexGuard<'_, Vec<Heard>> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// See the module.
pub(crate) struct Subscriber {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// What is asked for, and where it stands.
struct Course {
    request: Value,
    /// The channel or roll-up; `None` for a pattern.
    channel: Option<String>,
    places: BTreeMap<String, Place>,
    /// The hub's time at the last confirmation; a pattern resumes from it what it has no place of.
    time: Value,
}

impl Subscriber {
    /// Hears a channel or roll-up; stands when this returns.
    pub(crate) fn to(hubs: &[&Hub], channel: &str) -> Subscriber {
        let request = json!({"action": "subscribe", "channel": channel});
        Subscriber::start(hubs, request, Some(channel.to_string()))
    }

    /// Hears a pattern; stands when this returns.
    pub(crate) fn to_pattern(hubs: &[&Hub], pattern: &str) -> Subscriber {
        Subscriber::start(hubs, json!({"action": "subscribe", "pattern": pattern}), None)
    }

    fn start(hubs: &[&Hub], request: Value, channel: Option<String>) -> Subscriber {
        let shared = Arc::new(Shared::default());
        let addresses: Vec<String> = hubs.iter().map(|hub| hub.address().to_string()).collect();
        let course = Course { request, channel, places: BTreeMap::new(), time: Value::Null };
        let own = shared.clone();
        let thread = Some(std::thread::spawn(move || run(&own, &addresses, course)));
        let subscriber = Subscriber { shared, thread };
        subscriber.wait_for("a confirmation", |heard| matches!(heard, Heard::Confirmed { .. }));
        subscriber
    }

    /// All that was heard until now.
    pub(crate) fn heard(&self) -> Vec<Heard> {
        self.shared.log().clone()
    }

    /// Waits until something of which this is true has been heard, at any time.
    pub(crate) fn wait_for(&self, what: &str, is: impl Fn(&Heard) -> bool) {
        self.wait_until(what, |heard| heard.iter().any(&is));
    }

    /// Waits until this notice has been heard so often.
    pub(crate) fn wait_for_notices(&self, notice: &str, times: usize) {
        self.wait_until(notice, |heard| {
            heard.iter().filter(|heard| heard.is_notice(notice)).count() >= times
        });
    }

    /// Waits until this is true of all that was heard.
    pub(crate) fn wait_until(&self, what: &str, holds: impl Fn(&[Heard]) -> bool) {
        let came = eventually(|| holds(&self.shared.log()));
        if !came {
            let heard = self.heard();
            let last: Vec<&Heard> = heard.iter().rev().take(10).collect();
            panic!("{what} did not come within {PATIENCE:?}; the last things heard: {last:?}");
        }
    }

    /// How many messages were heard until now.
    pub(crate) fn messages(&self) -> usize {
        self.count(|heard| matches!(heard, Heard::Message { .. }))
    }

    /// How often this notice was heard until now.
    pub(crate) fn notices(&self, notice: &str) -> usize {
        self.count(|heard| heard.is_notice(notice))
    }

    fn count(&self, is: impl Fn(&Heard) -> bool) -> usize {
        self.shared.log().iter().filter(|heard| is(heard)).count()
    }

    /// Leaves its hub for the next one and resumes there; stands again when this returns.
    pub(crate) fn move_on(&self) {
        let before = self.confirmations();
        self.shared.moves.store(true, Ordering::Relaxed);
        assert!(eventually(|| self.confirmations() > before), "it is not confirmed on the next hub");
    }

    fn confirmations(&self) -> usize {
        self.count(|heard| matches!(heard, Heard::Confirmed { .. }))
    }

    /// Stops and answers all that was heard.
    pub(crate) fn stop(mut self) -> Vec<Heard> {
        self.end();
        self.heard()
    }

    fn end(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
            && !std::thread::panicking()
        {
            panic!("a subscriber has panicked");
        }
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.end();
    }
}

fn run(shared: &Shared, addresses: &[String], mut course: Course) {
    for address in addresses.iter().cycle() {
        if shared.stop.load(Ordering::Relaxed) {
            return;
        }
        let Some(mut client) = Client::try_connect(address) else {
            std::thread::sleep(LOOK_UP);
            continue;
        };
        client.send(&course.request());
        while !shared.stop.load(Ordering::Relaxed) && !shared.moves.swap(false, Ordering::Relaxed) {
            match client.read_within(LOOK_UP) {
                Some(Ok(frame)) => {
                    let heard = course.take(&frame);
                    shared.log().extend(heard);
                }
                Some(Err(closed)) => {
                    shared.log().push(Heard::Ended(closed.code));
                    break;
                }
                None => {}
            }
        }
    }
}

impl Course {
    /// The request, with where it was.
    fn request(&self) -> Value {
        let since = match &self.channel {
            _ if self.places.is_empty() => return self.request.clone(),
            Some(channel) => match self.places.get(channel) {
                Some(place) => json!({"offset": place.offset, "epoch": place.epoch}),
                None => return self.request.clone(),
            },
            None => {
                let places = self.places.iter();
                let mut since: Value = places
                    .map(|(name, place)| {
                        (name.clone(), json!({"offset": place.offset, "epoch": place.epoch}))
                    })
                    .collect();
                since["time"] = self.time.clone();
                since
            }
        };
        with(self.request.clone(), json!({ "since": since }))
    }

    fn take(&mut self, frame: &Frame) -> Option<Heard> {
        let json = &frame.json;
        match frame.kind() {
            "subscription_confirmed" => {
                let head = place(json);
                if let (Some(channel), Some(head)) = (&self.channel, &head) {
                    self.places.entry(channel.clone()).or_insert_with(|| head.clone());
                }
                if self.time.is_null() {
                    self.time = json["time"].clone();
                }
                Some(Heard::Confirmed { head, recovered: json["recovered"].as_bool() })
            }
            "gap" => Some(Heard::Gap {
                channel: frame.channel().to_string(),
                from: json["from"].as_u64().unwrap_or_else(|| panic!("no start in {}", frame.text)),
                to: json["to"].as_u64(),
                reason: json["reason"].as_str().unwrap_or_default().to_string(),
            }),
            "notice" => Some(Heard::Notice(json["notice"].as_str().unwrap_or_default().to_string())),
            "error" => panic!("a subscriber was refused: {}", frame.text),
            _ if frame.is_message() => Some(self.hear(frame)),
            _ => None,
        }
    }

    fn hear(&mut self, frame: &Frame) -> Heard {
        let number = frame.json["data"]["n"].as_u64();
        let number = number.unwrap_or_else(|| panic!("no publisher's: {}", frame.text));
        // A roll-up that counts for itself resumes by its own offset, one of last values by each source's.
        let counted = self.channel.as_ref().filter(|channel| *channel != frame.channel());
        let rolled =
            counted.and_then(|channel| Some((channel.clone(), place(&frame.json["rollup"][channel])?)));
        let own = || (frame.channel().to_string(), place(&frame.json).expect("a message has a place"));
        let (channel, place) = rolled.unwrap_or_else(own);
        self.places.insert(channel.clone(), place.clone());
        Heard::Message { channel, number, place }
    }
}

fn place(of: &Value) -> Option<Place> {
    Some(Place::new(of["offset"].as_u64()?, of["epoch"].as_str()?))
}
