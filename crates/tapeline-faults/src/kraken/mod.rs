//! A stand-in for the exchange Kraken that speaks its WebSocket protocol, version 2, over plain connections: it replays
//! recordings or a made-up market at any pace and depth, breaks what a test tells it to break, and knows which books
//! there really were. It keeps its books and checksums by code of its own, so that it and a feed check one another.

mod account;
mod asking;
mod book;
mod candles;
mod digits;
mod market;
mod rest;
mod server;
mod synthetic;
#[cfg(test)]
mod tests;
mod truth;
mod venue;

use std::net::TcpListener;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use crate::{eventually, free_port};
use server::{Door, Shared};
use venue::{Out, Refusal, Venue};

pub use digits::checksum;
pub use market::{Market, Pair};
pub use truth::Stood;

/// How fast the market moves by itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// Only when it is told to ([`Kraken::advance`]).
    Still,
    /// So many steps a second.
    PerSecond(f64),
    /// So many times as fast as it was recorded.
    Times(f64),
}

/// What goes wrong with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is not sent.
    Lost,
    /// It is sent twice.
    Doubled,
    /// The first half of its text is sent.
    Halved,
    /// The checksum is another (of books).
    WrongChecksum,
    /// The best bid has another quantity than the checksum says (of books).
    WrongRow,
}

/// Something that the stand-in was asked.
#[derive(Clone, Debug)]
pub struct Request {
    /// The number of the connection, from 1.
    pub connection: u64,
    /// When it was read.
    pub at: Instant,
    /// Whether it came to the private port.
    pub is_private: bool,
    /// What was asked.
    pub json: Value,
}

/// A level: side `b` or `a`, price and quantity with their digits.
pub type LevelText = (char, String, String);

/// See the module.
pub struct Kraken {
    shared: Shared,
    /// Taken when it ends.
    runtime: Option<Runtime>,
    ports: [(Door, u16); 3],
    accepting: Mutex<Vec<JoinHandle<std::io::Result<()>>>>,
}

impl Kraken {
    /// Opens with this market, which does not move yet.
    pub fn start(market: Market) -> Kraken {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime can be started");
        let shared = Shared(Arc::new(Mutex::new(Venue::new(market))));
        runtime.spawn(shared.clone().run());
        let ports = [Door::Public, Door::Private, Door::Rest].map(|door| (door, free_port()));
        let kraken = Kraken { shared, runtime: Some(runtime), ports, accepting: Mutex::default() };
        kraken.open();
        kraken
    }

    fn port(&self, wanted: Door) -> u16 {
        self.ports.iter().find(|(door, _)| *door == wanted).map_or(0, |(_, port)| *port)
    }

    /// Where market data is.
    pub fn url(&self) -> String {
        format!("ws://127.0.0.1:{}/v2", self.port(Door::Public))
    }

    /// Where executions and balances are.
    pub fn private_url(&self) -> String {
        format!("ws://127.0.0.1:{}/v2", self.port(Door::Private))
    }

    /// Where tokens are, without a path.
    pub fn rest_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port(Door::Rest))
    }

    /// Moves the market like this from now on.
    pub fn pace(&self, pace: Pace) {
        self.shared.lock().pace = pace;
    }

    /// Moves the market so many steps; answers how many there were.
    pub fn advance(&self, steps: usize) -> usize {
        let mut venue = self.shared.lock();
        (0..steps).take_while(|_| venue.step()).count()
    }

    /// Steps of the market so far.
    pub fn steps(&self) -> u64 {
        self.shared.lock().steps
    }

    /// What can be traded.
    pub fn pairs(&self) -> Vec<Pair> {
        self.shared.lock().pairs.clone()
    }

    /// A book as it is now; from now on it is known what it was at this depth.
    pub fn book(&self, symbol: &str, depth: usize) -> Vec<LevelText> {
        let view = self.shared.lock().view(symbol, depth);
        let letter = |side| if side == book::Side::Bid { 'b' } else { 'a' };
        let rows = view.rows().into_iter();
        rows.map(|row| (letter(row.side), row.level.price.to_string(), row.level.qty.to_string())).collect()
    }

    /// Whenever there was this book, digit by digit, since its depth was first asked for by anybody.
    pub fn existed<'a>(
        &self,
        symbol: &str,
        depth: usize,
        book: impl IntoIterator<Item = (char, &'a str, &'a str)>,
    ) -> Vec<Stood> {
        self.shared.lock().truth.find(symbol, depth, book)
    }

    /// So many of the next messages of a channel (of a pair, if one is named) go wrong; those that somebody hears count.
    pub fn spoil(&self, channel: &str, symbol: Option<&str>, fault: Fault, times: u32) {
        self.shared.lock().spoil(channel, symbol, fault, times);
    }

    /// Whether everything that was to go wrong has.
    pub fn is_sound(&self) -> bool {
        self.shared.lock().is_sound()
    }

    /// Resets all connections.
    pub fn cut(&self) {
        self.shared.lock().all(&Out::Cut);
    }

    /// Closes all connections with this code.
    pub fn close(&self, code: u16) {
        self.shared.lock().all(&Out::Close(code));
    }

    /// Nothing more is said on the connections that stand, nor are they closed.
    pub fn freeze(&self) {
        self.shared.lock().lines.values_mut().for_each(|line| line.is_frozen = true);
    }

    /// A heartbeat after so long without anything else, or never.
    pub fn heartbeats(&self, every: Option<Duration>) {
        self.shared.lock().heartbeats = every;
    }

    /// Says this text on all connections.
    pub fn say(&self, text: &str) {
        self.shared.lock().all(&Out::Text(text.to_string()));
    }

    /// The venue is `online`, in `maintenance`, `cancel_only`, `post_only`.
    pub fn be(&self, system: &str) {
        self.shared.lock().be(system);
    }

    /// Refuses so many subscriptions of a channel in these words.
    pub fn refuse_subscriptions(&self, channel: &str, error: &str, times: u32) {
        let refusal = Refusal { channel: channel.to_string(), error: error.to_string(), left: times };
        self.shared.lock().refuses.push(refusal);
    }

    /// Answers so many requests with `Exceeded msg rate`, and does nothing about them.
    pub fn exceed_rate(&self, times: u32) {
        self.shared.lock().exceeded = times;
    }

    /// Answers requests so much later from now on.
    pub fn answer_after(&self, time: Duration) {
        self.shared.lock().ack_after = time;
    }

    /// Resets so many of the next connections before they are one.
    pub fn refuse_connections(&self, times: u32) {
        self.shared.lock().connections_refused = times;
    }

    /// Stops: connections are reset, and there is nobody at its ports. The market goes on.
    pub fn stop(&self) {
        let accepting = std::mem::take(&mut *self.accepting.lock().unwrap_or_else(PoisonError::into_inner));
        for accepting in accepting {
            accepting.abort();
            assert!(eventually(|| accepting.is_finished()), "a listener ends when it is told");
        }
        self.cut();
        assert!(eventually(|| self.connections() == 0), "connections end when they are reset");
    }

    /// Is there again, at the same ports.
    pub fn open(&self) {
        let runtime = self.runtime.as_ref().expect("it is there until it is dropped");
        for (door, port) in self.ports {
            let mut listener = None;
            eventually(|| {
                listener = TcpListener::bind(("127.0.0.1", port)).ok();
                listener.is_some()
            });
            let listener = listener.expect("its port is free");
            listener.set_nonblocking(true).expect("a socket can be told");
            let _in_runtime = runtime.enter();
            let accepting = runtime.spawn(self.shared.clone().accept(listener, door));
            self.accepting.lock().unwrap_or_else(PoisonError::into_inner).push(accepting);
        }
    }

    /// Connections that stand.
    pub fn connections(&self) -> usize {
        self.shared.lock().lines.len()
    }

    /// Connections that ever stood.
    pub fn opened(&self) -> u64 {
        self.shared.lock().opened
    }

    /// Subscriptions that stand, of a channel, to a pair if one is named.
    pub fn subscriptions(&self, channel: &str, symbol: Option<&str>) -> usize {
        let venue = self.shared.lock();
        let all = venue.lines.values().filter(|line| !line.is_frozen).flat_map(|line| &line.subscriptions);
        all.filter(|known| {
            known.channel == channel && symbol.is_none_or(|symbol| known.symbol.as_deref() == Some(symbol))
        })
        .count()
    }

    /// Waits until somebody is subscribed to a channel of a pair (of none: for channels without).
    pub fn wait_for(&self, channel: &str, symbol: Option<&str>) {
        assert!(
            eventually(|| self.subscriptions(channel, symbol) > 0),
            "nobody subscribed to {channel} {symbol:?}; asked was {:?}",
            self.requests()
        );
    }

    /// Everything that was asked.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.lock().requests.clone()
    }

    /// Gives out tokens to who signs with this key and secret, which is in base64.
    pub fn give_tokens_to(&self, key: &str, secret: &str) {
        self.shared.lock().account.key = Some((key.to_string(), secret.to_string()));
    }

    /// Takes this token, too.
    pub fn accept_token(&self, token: &str) {
        self.shared.lock().account.accept(token);
    }

    /// Takes no token of before any more; who is subscribed stays so.
    pub fn forget_tokens(&self) {
        self.shared.lock().account.forget_tokens();
    }

    /// How many tokens were given out.
    pub fn tokens_issued(&self) -> u64 {
        self.shared.lock().account.issued()
    }

    /// Something happens to an order: the fields that change, as JSON.
    pub fn execution(&self, json: &str) {
        self.shared.lock().execution(json);
    }

    /// An entry of the ledger, as JSON.
    pub fn ledger(&self, json: &str) {
        self.shared.lock().ledger(json);
    }

    /// The account holds so much of something, which nobody is told.
    pub fn hold(&self, asset: &str, balance: &str) {
        self.shared.lock().account.hold(asset, balance);
    }
}

impl Drop for Kraken {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
