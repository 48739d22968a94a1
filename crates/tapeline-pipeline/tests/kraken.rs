//! From an exchange to components: the stand-in for Kraken, both of its sockets, the feed's driver, a pipeline with the
//! document's roles, and a callback of before.

#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;
use tapeline_core::feed::VenueChannel;
use tapeline_faults::kraken::{Kraken, Market, Pace, Pair};
use tapeline_feeds::kraken::token::GivenToken;
use tapeline_feeds::kraken::{KrakenSettings, Session as KrakenSession};
use tapeline_feeds::live::{Line, Live, Sink};
use tapeline_feeds::venue::{Event, Session};
use tapeline_pipeline::component::{Component, Failure, Handling};
use tapeline_pipeline::{ComponentOptions, Pipeline, PipelineConfig, Source};

const LONG: Duration = Duration::from_secs(60);

/// Puts what a session tells into a pipeline.
struct IntoPipeline {
    name: Arc<str>,
    source: Source,
}

impl Sink for IntoPipeline {
    fn handle(&mut self, events: &[Event], session: &dyn Session) {
        for event in events {
            if let Some(update) = event.update(&self.name, session, 10) {
                // An exchange's socket cannot wait.
                let _ = self.source.push(update);
            }
        }
    }
}

type Heard = Arc<Mutex<BTreeMap<String, Vec<Value>>>>;

/// Writes down what it is called with, or fails at everything.
struct Notes {
    heard: Heard,
    fails: bool,
}

impl Component for Notes {
    fn takes(&self, _: &VenueChannel) -> bool {
        true
    }

    fn handle<'a>(&'a self, update: &'a Arc<tapeline_core::feed::Update>) -> Handling<'a> {
        Box::pin(async move {
            if self.fails {
                return Err(Failure::Transient("the database is away".to_string()));
            }
            let data = update.json().map_err(|error| Failure::Message(error.to_string()))?;
            self.heard.lock().unwrap().entry(update.channel.name().to_string()).or_default().push(data);
            Ok(())
        })
    }
}

/// Waits until it is so; the machine may be slow.
fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < LONG, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn drive(settings: KrakenSettings, pipeline: &Pipeline) -> Live {
    let source = pipeline.source(&settings.source);
    let sink = IntoPipeline { name: settings.source.clone(), source };
    let line = Line { tokens: Some(Arc::new(GivenToken::new("sesame".to_string()))), ..Line::default() };
    let name = settings.source.to_string();
    let session = KrakenSession::new(settings, 1).unwrap();
    Live::start(&name, Box::new(session), Box::new(sink), line).unwrap()
}

#[test]
fn all_seven_channels_of_an_exchange_reach_the_components_though_one_of_them_fails_at_everything() {
    let kraken = Kraken::start(Market::synthetic(7, &[Pair::new("BTC/USD", 1)], 1_200));
    kraken.accept_token("sesame");
    kraken.hold("USD", "100.5000");
    let pipeline = Pipeline::builder(PipelineConfig::default()).start().unwrap();
    let (heard, nothing) = (Heard::default(), Heard::default());
    let channels = VenueChannel::ALL;
    let whole = Notes { heard: heard.clone(), fails: false };
    let broken = Notes { heard: nothing.clone(), fails: true };
    pipeline.register("risk", Arc::new(whole), &channels, ComponentOptions::default()).unwrap();
    pipeline.register("broken", Arc::new(broken), &channels, ComponentOptions::default()).unwrap();
    let public = KrakenSettings {
        url: kraken.url(),
        symbols: vec!["BTC/USD".into()],
        channels: vec![
            VenueChannel::Ticker,
            VenueChannel::Book,
            VenueChannel::Trade,
            VenueChannel::Ohlc,
            VenueChannel::Heartbeat,
        ],
        ..KrakenSettings::default()
    };
    let private = KrakenSettings {
        url: kraken.private_url(),
        source: "kraken.account".into(),
        ..KrakenSettings::private()
    };
    let lives = [drive(public, &pipeline), drive(private, &pipeline)];
    kraken.wait_for("executions", None);
    kraken.heartbeats(Some(Duration::from_millis(20)));
    kraken.execution(
        r#"{"order_id":"O1","exec_id":"E1","exec_type":"trade","order_status":"filled","symbol":"BTC/USD","side":"buy","last_qty":0.10000000,"last_price":65000.0,"timestamp":"2026-01-01T00:00:00.000000Z"}"#,
    );
    let has = |channel: &str| heard.lock().unwrap().contains_key(channel);
    // Heartbeats come only while nothing else does.
    wait_until("no heartbeat has come", || has("heartbeat"));
    kraken.pace(Pace::Times(10.0));
    for channel in ["ticker", "book", "trade", "ohlc", "executions", "balances"] {
        wait_until(channel, || has(channel));
    }
    wait_until("the fill has not come", || {
        heard.lock().unwrap()["executions"].iter().any(|fill| fill["exec_id"] == "E1")
    });
    lives.into_iter().for_each(Live::stop);
    let stats = pipeline.stop(LONG);
    for (name, counts) in &stats.components {
        assert!(counts.balances(), "{name}: {counts:?}");
    }
    let (risk, broken) = (&stats.components["risk"], &stats.components["broken"]);
    assert_eq!((risk.accepted, risk.dead_lettered.len()), (broken.accepted, 0));
    assert!(broken.delivered == 0 && nothing.lock().unwrap().is_empty());
    let critical = heard.lock().unwrap().iter().fold(0, |sum, (channel, heard)| {
        sum + if VenueChannel::named(channel).is_private() { heard.len() as u64 } else { 0 }
    });
    let letters: u64 = broken.dead_lettered.values().sum();
    assert!(letters >= critical, "what is critical and could not be taken is kept: {broken:?}");
    for source in stats.sources.values() {
        assert_eq!(
            source.taken_in,
            source.invalid + source.deduplicated + source.refused + source.accepted,
            "{source:?}"
        );
    }
}
