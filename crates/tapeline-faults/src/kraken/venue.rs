//! The stand-in without its sockets: the true books, who is subscribed to what, and what is to be sent to whom, broken as
//! the test says. A server drives it under one lock, so every message has its place in one order.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::sync::Notify;

use super::account::Account;
use super::book::{Row, Side, View, World};
use super::candles::Candles;
use super::digits::units;
use super::market::{Market, Pair, Step, Steps};
use super::truth::Truth;
use super::{Fault, Pace, Request};

/// Trades that are told at first to who asks for them.
const TRADES: usize = 50;
/// Messages that may wait for a client that does not read; then its connection is cut, as the venue does.
const WAITING_LIMIT: usize = 200_000;

/// What a connection is to do next.
#[derive(Clone, Debug)]
pub(super) enum Out {
    Text(String),
    Close(u16),
    Cut,
}

/// Something that a connection asked for.
#[derive(Clone, Debug)]
pub(super) struct Subscription {
    pub channel: String,
    pub symbol: Option<String>,
    /// The depth of a book, the interval of candles.
    pub option: Option<u64>,
    /// Of the last message, where they are numbered.
    pub sequence: u64,
}

/// A connection.
#[derive(Debug)]
pub(super) struct Line {
    pub is_private: bool,
    pub is_frozen: bool,
    pub subscriptions: Vec<Subscription>,
    out: VecDeque<Out>,
    pub wake: Arc<Notify>,
    last_out: Instant,
}

/// Something of a channel that is to go wrong, so many times.
#[derive(Debug)]
struct Spoil {
    channel: String,
    symbol: Option<String>,
    fault: Fault,
    left: u32,
}

/// Subscriptions that are refused.
#[derive(Debug)]
pub(super) struct Refusal {
    pub channel: String,
    pub error: String,
    pub left: u32,
}

/// See the module.
pub(super) struct Venue {
    pub pairs: Vec<Pair>,
    depth: usize,
    worlds: BTreeMap<String, World>,
    views: BTreeMap<(String, usize), View>,
    pub tickers: BTreeMap<String, String>,
    trades: BTreeMap<String, VecDeque<String>>,
    pub candles: Candles,
    pub truth: Truth,
    pub steps: u64,
    source: std::iter::Peekable<Steps>,
    pub account: Account,
    pub lines: BTreeMap<u64, Line>,
    pub opened: u64,
    pub requests: Vec<Request>,
    pub pace: Pace,
    pub system: String,
    pub heartbeats: Option<Duration>,
    pub ack_after: Duration,
    pub refuses: Vec<Refusal>,
    pub exceeded: u32,
    pub connections_refused: u32,
    spoils: Vec<Spoil>,
}

impl Venue {
    pub(super) fn new(market: Market) -> Venue {
        let mut venue = Venue {
            pairs: market.pairs,
            depth: market.depth,
            worlds: BTreeMap::new(),
            views: BTreeMap::new(),
            tickers: BTreeMap::new(),
            trades: BTreeMap::new(),
            candles: Candles::default(),
            truth: Truth::default(),
            steps: 0,
            source: market.steps.peekable(),
            account: Account::default(),
            lines: BTreeMap::new(),
            opened: 0,
            requests: Vec::new(),
            pace: Pace::Still,
            system: "online".to_string(),
            heartbeats: Some(Duration::from_secs(1)),
            ack_after: Duration::ZERO,
            refuses: Vec::new(),
            exceeded: 0,
            connections_refused: 0,
            spoils: Vec::new(),
        };
        for step in market.first {
            venue.happen(step);
        }
        venue
    }

    /// The next step of the market; `false` at its end.
    pub(super) fn step(&mut self) -> bool {
        let Some((_, step)) = self.source.next() else { return false };
        self.steps += 1;
        self.happen(step);
        true
    }

    /// When the next step is due, since the market's begin.
    pub(super) fn due(&mut self) -> Option<Duration> {
        self.source.peek().map(|(at, _)| *at)
    }

    fn happen(&mut self, step: Step) {
        match step {
            Step::Book { symbol, snapshot, rows, timestamp } => {
                self.book(&symbol, snapshot, &rows, timestamp.as_deref());
            }
            Step::Trade { symbol, data } => {
                let trades = self.trades.entry(symbol.clone()).or_default();
                trades.push_back(data.clone());
                if trades.len() > TRADES {
                    trades.pop_front();
                }
                self.candles.trade(&symbol, &data);
                self.emit("trade", &symbol, None, &message("trade", "update", &[data]));
                for minutes in super::candles::INTERVALS {
                    if self.is_heard("ohlc", &symbol, Some(minutes))
                        && let Some(candle) = self.candles.running(&symbol, minutes)
                    {
                        self.emit("ohlc", &symbol, Some(minutes), &candles("update", &[candle]));
                    }
                }
            }
            Step::Ticker { symbol, data } => {
                self.emit("ticker", &symbol, None, &message("ticker", "update", std::slice::from_ref(&data)));
                self.tickers.insert(symbol, data);
            }
        }
    }

    fn book(&mut self, symbol: &str, snapshot: bool, rows: &[Row], timestamp: Option<&str>) {
        let world = self.worlds.entry(symbol.to_string()).or_default();
        if snapshot {
            world.clear();
        }
        world.apply(rows);
        world.truncate(self.depth);
        let mut said = Vec::new();
        for ((_, depth), view) in self.views.iter_mut().filter(|((of, _), _)| of == symbol) {
            let rows = view.follow(world, rows);
            if !rows.is_empty() {
                self.truth.add(symbol, *depth, self.steps, view);
                said.push((*depth, rows, view.clone()));
            }
        }
        said.retain(|(depth, ..)| self.is_heard("book", symbol, Some(*depth as u64)));
        let Some(fault) = (!said.is_empty()).then(|| self.spoiled("book", symbol)) else { return };
        for (depth, mut rows, view) in said {
            let kind = if snapshot { "snapshot" } else { "update" };
            let rows = if snapshot { view.rows() } else { std::mem::take(&mut rows) };
            let text = book_text(symbol, kind, rows, &view, timestamp, fault);
            self.send_spoiled("book", symbol, Some(depth as u64), &text, fault);
        }
    }

    /// What a book is now, from now on with a record of what it was.
    pub(super) fn view(&mut self, symbol: &str, depth: usize) -> View {
        let world = self.worlds.entry(symbol.to_string()).or_default();
        let key = (symbol.to_string(), depth);
        if !self.views.contains_key(&key) {
            let view = View::of(world, depth);
            self.truth.add(symbol, depth, self.steps, &view);
            self.views.insert(key.clone(), view);
        }
        self.views.get(&key).cloned().expect("it has just been put there")
    }

    /// The snapshot of a book as the venue sends it.
    pub(super) fn book_snapshot(&mut self, symbol: &str, depth: usize) -> String {
        let view = self.view(symbol, depth);
        book_text(symbol, "snapshot", view.rows(), &view, None, None)
    }

    pub(super) fn last_trades(&self, symbol: &str) -> Vec<String> {
        self.trades.get(symbol).map(|trades| trades.iter().cloned().collect()).unwrap_or_default()
    }

    /// What happened to an account's order.
    pub(super) fn execution(&mut self, json: &str) {
        self.account.execution(json);
        self.emit_private("executions", json);
    }

    /// An entry of an account's ledger.
    pub(super) fn ledger(&mut self, json: &str) {
        self.account.ledger(json);
        self.emit_private("balances", json);
    }

    fn emit_private(&mut self, channel: &str, json: &str) {
        let fault = self.spoiled(channel, "");
        for id in self.hearers(channel, None, None) {
            let Some(line) = self.lines.get_mut(&id) else { continue };
            let Some(heard) = line.subscriptions.iter_mut().find(|heard| heard.channel == channel) else {
                continue;
            };
            heard.sequence += 1;
            let text = numbered(channel, "update", &[json.to_string()], heard.sequence);
            send(line, &text, fault);
        }
    }

    /// Something of a channel is to go wrong.
    pub(super) fn spoil(&mut self, channel: &str, symbol: Option<&str>, fault: Fault, times: u32) {
        let (channel, symbol) = (channel.to_string(), symbol.map(str::to_string));
        self.spoils.push(Spoil { channel, symbol, fault, left: times });
    }

    /// Whether nothing is left of what was to go wrong.
    pub(super) fn is_sound(&self) -> bool {
        self.spoils.is_empty()
    }

    fn spoiled(&mut self, channel: &str, symbol: &str) -> Option<Fault> {
        let fits = |spoil: &&mut Spoil| {
            spoil.channel == channel && spoil.symbol.as_deref().is_none_or(|wanted| wanted == symbol)
        };
        let found = self.spoils.iter_mut().find(fits)?;
        found.left -= 1;
        let fault = found.fault;
        self.spoils.retain(|spoil| spoil.left > 0);
        Some(fault)
    }

    fn emit(&mut self, channel: &str, symbol: &str, option: Option<u64>, text: &str) {
        if self.is_heard(channel, symbol, option) {
            let fault = self.spoiled(channel, symbol);
            self.send_spoiled(channel, symbol, option, text, fault);
        }
    }

    fn send_spoiled(
        &mut self,
        channel: &str,
        symbol: &str,
        option: Option<u64>,
        text: &str,
        fault: Option<Fault>,
    ) {
        for id in self.hearers(channel, Some(symbol), option) {
            if let Some(line) = self.lines.get_mut(&id) {
                send(line, text, fault);
            }
        }
    }

    fn hearers(&self, channel: &str, symbol: Option<&str>, option: Option<u64>) -> Vec<u64> {
        let hears = |heard: &Subscription| {
            heard.channel == channel && heard.symbol.as_deref() == symbol && heard.option == option
        };
        let lines = self.lines.iter().filter(|(_, line)| line.subscriptions.iter().any(hears));
        lines.map(|(id, _)| *id).collect()
    }

    fn is_heard(&self, channel: &str, symbol: &str, option: Option<u64>) -> bool {
        !self.hearers(channel, Some(symbol), option).is_empty()
    }

    /// A connection begins; the venue says how it is.
    pub(super) fn open(&mut self, is_private: bool) -> (u64, Arc<Notify>) {
        self.opened += 1;
        let wake = Arc::new(Notify::new());
        let line = Line {
            is_private,
            is_frozen: false,
            subscriptions: Vec::new(),
            out: VecDeque::new(),
            wake: wake.clone(),
            last_out: Instant::now(),
        };
        self.lines.insert(self.opened, line);
        let status = self.status(self.opened);
        self.say(self.opened, &status);
        (self.opened, wake)
    }

    fn status(&self, id: u64) -> String {
        // Longer than 63 bits, as the venue's are.
        let connection = 12_393_906_104_898_154_000 + id;
        let system = &self.system;
        format!(
            r#"{{"channel":"status","type":"update","data":[{{"api_version":"v2","connection_id":{connection},"system":"{system}","version":"2.0.4"}}]}}"#
        )
    }

    /// The venue is so now, and says so.
    pub(super) fn be(&mut self, system: &str) {
        self.system = system.to_string();
        for id in self.lines.keys().copied().collect::<Vec<_>>() {
            let status = self.status(id);
            self.say(id, &status);
        }
    }

    /// Sends to one.
    pub(super) fn say(&mut self, id: u64, text: &str) {
        if let Some(line) = self.lines.get_mut(&id) {
            send(line, text, None);
        }
    }

    /// Has every connection do this.
    pub(super) fn all(&mut self, out: &Out) {
        for line in self.lines.values_mut() {
            line.push(out.clone());
        }
    }

    /// What a connection is to do; `None` if it is over.
    pub(super) fn take(&mut self, id: u64) -> Option<Vec<Out>> {
        let line = self.lines.get_mut(&id)?;
        if line.is_frozen { Some(Vec::new()) } else { Some(line.out.drain(..).collect()) }
    }

    /// A heartbeat where nothing was said for a while.
    pub(super) fn beat(&mut self, id: u64) {
        let Some(every) = self.heartbeats else { return };
        let Some(line) = self.lines.get_mut(&id) else { return };
        if !line.subscriptions.is_empty() && line.last_out.elapsed() >= every {
            send(line, r#"{"channel":"heartbeat"}"#, None);
        }
    }

    pub(super) fn asked(&mut self, connection: u64, is_private: bool, json: Value) {
        self.requests.push(Request { connection, at: Instant::now(), is_private, json });
    }
}

impl Line {
    fn push(&mut self, out: Out) {
        self.last_out = Instant::now();
        if self.out.len() >= WAITING_LIMIT && !self.is_frozen {
            self.out.clear();
            self.out.push_back(Out::Cut);
        } else if !self.is_frozen {
            self.out.push_back(out);
        }
        self.wake.notify_one();
    }
}

fn send(line: &mut Line, text: &str, fault: Option<Fault>) {
    let times = match fault {
        Some(Fault::Lost) => 0,
        Some(Fault::Doubled) => 2,
        _ => 1,
    };
    let end = if fault == Some(Fault::Halved) { text.len() / 2 } else { text.len() };
    for _ in 0..times {
        line.push(Out::Text(text.get(..end).unwrap_or(text).to_string()));
    }
}

/// A message of data.
pub(super) fn message(channel: &str, kind: &str, data: &[String]) -> String {
    format!(r#"{{"channel":"{channel}","type":"{kind}","data":[{}]}}"#, data.join(","))
}

/// A message of candles.
pub(super) fn candles(kind: &str, data: &[String]) -> String {
    let now = jiff::Timestamp::now();
    format!(r#"{{"channel":"ohlc","type":"{kind}","timestamp":"{now:.9}","data":[{}]}}"#, data.join(","))
}

/// A message of a channel whose messages are numbered.
pub(super) fn numbered(channel: &str, kind: &str, data: &[String], sequence: u64) -> String {
    format!(r#"{{"channel":"{channel}","type":"{kind}","data":[{}],"sequence":{sequence}}}"#, data.join(","))
}

fn book_text(
    symbol: &str,
    kind: &str,
    mut rows: Vec<Row>,
    view: &View,
    timestamp: Option<&str>,
    fault: Option<Fault>,
) -> String {
    if fault == Some(Fault::WrongRow)
        && let Some(best) = view.side(Side::Bid).first()
    {
        // Where the checksum sees it: another quantity of the best bid.
        let (qty, places) = units(&best.qty);
        rows.push(Row::new(Side::Bid, &best.price, &super::digits::written(qty + 7, places)));
    }
    let checksum = if fault == Some(Fault::WrongChecksum) { view.checksum() ^ 1 } else { view.checksum() };
    let side = |side| {
        let of = rows.iter().filter(|row| row.side == side);
        let text = of.map(|row| format!(r#"{{"price":{},"qty":{}}}"#, row.level.price, row.level.qty));
        text.collect::<Vec<_>>().join(",")
    };
    let timestamp = timestamp.map(|at| format!(r#","timestamp":"{at}""#)).unwrap_or_default();
    let (bids, asks) = (side(Side::Bid), side(Side::Ask));
    let data = format!(
        r#"{{"symbol":"{symbol}","bids":[{bids}],"asks":[{asks}],"checksum":{checksum}{timestamp}}}"#
    );
    message("book", kind, &[data])
}
