//! One side of a conversation: a session whose time stands still until it is moved.

use std::time::Duration;

use serde_json::{Value, json};
use tapeline_core::Now;
use tapeline_core::clock::micros;

use crate::kraken::{KrakenSettings, Session};
use crate::venue::{Event, Session as _, Step};

pub(super) const SECOND: Duration = Duration::from_secs(1);

/// Long after a machine was started, so that a time of 0 would show.
const START_US: u64 = 1_000_000_000;

pub(super) struct Talk {
    pub(super) session: Session,
    pub(super) now: Now,
    pub(super) events: Vec<Event>,
}

pub(super) fn settings(channels: &[&str], symbols: &[&str]) -> KrakenSettings {
    use tapeline_core::feed::VenueChannel;
    KrakenSettings {
        channels: channels.iter().map(|name| VenueChannel::named(name)).collect(),
        symbols: symbols.iter().map(|symbol| (*symbol).into()).collect(),
        ..KrakenSettings::default()
    }
}

impl Talk {
    /// Before the first connection.
    pub(super) fn new(settings: KrakenSettings) -> Self {
        let session = Session::new(settings, 7).unwrap();
        Talk { session, now: Now { mono_us: START_US, wall_us: 1_700_000_000_000_000 }, events: Vec::new() }
    }

    /// Connected, and greeted by a venue that is online.
    pub(super) fn greeted(settings: KrakenSettings) -> Self {
        let mut talk = Self::new(settings);
        talk.connect();
        talk.say(status("online"));
        talk.events.clear();
        talk
    }

    /// Waits until the session wants to connect, and lets it.
    pub(super) fn connect(&mut self) {
        loop {
            match self.session.next(self.now, &mut self.events) {
                Step::Connect { after, .. } => {
                    self.move_by(after);
                    self.session.on_open(self.now);
                    return;
                }
                Step::Wait { until_us } => {
                    assert!(until_us < u64::MAX, "nothing will ever happen");
                    self.now.mono_us = until_us;
                }
                step => panic!("{step:?}"),
            }
        }
    }

    pub(super) fn move_by(&mut self, time: Duration) {
        self.now.mono_us += micros(time);
        self.now.wall_us += micros(time);
    }

    pub(super) fn say(&mut self, text: impl ToString) {
        self.session.on_text(&text.to_string(), self.now, &mut self.events);
    }

    /// What the session wants now, until it waits.
    pub(super) fn steps(&mut self) -> Vec<Step> {
        let mut steps = Vec::new();
        loop {
            match self.session.next(self.now, &mut self.events) {
                Step::Wait { .. } => return steps,
                step => steps.push(step),
            }
            assert!(steps.len() < 1_000, "there is no end to it: {:?}", steps.last());
        }
    }

    /// What it sends now.
    pub(super) fn sent(&mut self) -> Vec<Value> {
        let text = |step| match step {
            Step::Send(text) => serde_json::from_str(&text).unwrap(),
            step => panic!("{step:?}"),
        };
        self.steps().into_iter().map(text).collect()
    }

    /// Lets so much time pass; what the session wanted meanwhile, and after how long.
    pub(super) fn pass(&mut self, time: Duration) -> Vec<(Duration, Step)> {
        let (start_us, end_us) = (self.now.mono_us, self.now.mono_us + micros(time));
        let mut steps = Vec::new();
        loop {
            let passed = Duration::from_micros(self.now.mono_us - start_us);
            match self.session.next(self.now, &mut self.events) {
                Step::Wait { until_us } if until_us >= end_us => {
                    let rest = end_us - self.now.mono_us;
                    self.move_by(Duration::from_micros(rest));
                    return steps;
                }
                Step::Wait { until_us } => {
                    assert!(until_us > self.now.mono_us, "it waits for the past");
                    self.move_by(Duration::from_micros(until_us - self.now.mono_us));
                }
                step => {
                    assert!(steps.len() < 10_000, "there is no end to it: {step:?}");
                    let ends = matches!(step, Step::Close { .. });
                    steps.push((passed, step));
                    if ends {
                        return steps;
                    }
                }
            }
        }
    }

    /// Accepts every request as the venue would; what was subscribed to.
    pub(super) fn accept(&mut self) -> Vec<Value> {
        let requests = self.sent();
        requests.iter().flat_map(acks).for_each(|ack| self.say(ack));
        requests
    }

    pub(super) fn close(&mut self, why: &str) {
        self.session.on_closed(why, self.now, &mut self.events);
    }

    pub(super) fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// The data of updates of a channel since the last look, other events left out.
    pub(super) fn updates(&mut self, channel: &str) -> Vec<String> {
        let data = |event| match event {
            Event::Update(update) if update.channel.name() == channel => {
                Some(String::from_utf8(update.data.to_vec()).unwrap())
            }
            _ => None,
        };
        self.take_events().into_iter().filter_map(data).collect()
    }
}

/// The answers to a request, one for each symbol.
pub(super) fn acks(request: &Value) -> Vec<Value> {
    let (method, req_id) = (&request["method"], &request["req_id"]);
    if method == "ping" {
        return vec![json!({"method": "pong", "req_id": req_id})];
    }
    let channel = &request["params"]["channel"];
    let symbols = request["params"]["symbol"].as_array().cloned().unwrap_or(vec![Value::Null]);
    let ack = |symbol| {
        let mut result = json!({"channel": channel, "snapshot": true});
        if symbol != Value::Null {
            result["symbol"] = symbol;
        }
        json!({"method": method, "req_id": req_id, "success": true, "result": result})
    };
    symbols.into_iter().map(ack).collect()
}

pub(super) fn refusal(request: &Value, symbol: Option<&str>, error: &str) -> Value {
    let (method, req_id) = (&request["method"], &request["req_id"]);
    let mut answer = json!({"method": method, "req_id": req_id, "success": false, "error": error});
    if let Some(symbol) = symbol {
        answer["symbol"] = symbol.into();
    }
    answer
}

pub(super) fn status(system: &str) -> Value {
    let state = json!({"api_version": "v2", "connection_id": 1, "system": system, "version": "2.0.4"});
    json!({"channel": "status", "type": "update", "data": [state]})
}

pub(super) fn heartbeat() -> Value {
    json!({"channel": "heartbeat"})
}

/// Two pairs with the precisions of vector A.
pub(super) fn instruments() -> Value {
    let pair =
        |symbol| json!({"symbol": symbol, "status": "online", "price_precision": 1, "qty_precision": 8});
    let pairs = [pair("BTC/USD"), pair("ETH/USD")];
    json!({"channel": "instrument", "type": "snapshot", "data": {"assets": [], "pairs": pairs}})
}
