//! A hub that a stand-in exchange feeds, and the books that its clients hold: each is held against the books that there
//! were at the exchange. It does not know what a test breaks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tapeline_faults::kraken::{Kraken, Market, Pace, Pair, checksum};

use super::client::Frame;
use super::{Client, Hub, PATIENCE, eventually};

/// The pairs of made-up markets.
pub(crate) const PAIRS: [&str; 2] = ["BTC/USD", "ETH/USD"];

/// A made-up market of [`PAIRS`] with so many levels a side.
pub(crate) fn market(levels: usize) -> Kraken {
    Kraken::start(Market::synthetic(11, &[Pair::new(PAIRS[0], 1), Pair::new(PAIRS[1], 2)], levels))
}

/// A hub that it feeds, with this configuration and what it logs kept.
pub(crate) fn fed(kraken: &Kraken, depth: usize, config: &str) -> Hub {
    let symbols: Vec<String> = kraken.pairs().into_iter().map(|pair| pair.symbol).collect();
    let (url, symbols, depth) = (kraken.url(), symbols.join(","), depth.to_string());
    let words = ["--feed", "kraken", "--feed-url", &url, "--symbols", &symbols, "--depth", &depth];
    Hub::with_config_and(config, &words)
}

/// How much of a book is held against the exchange's. Its checksum is over ten levels a side: what is lost further down
/// nobody can know of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Looked {
    Whole,
    TopTen,
}

#[derive(Deserialize)]
struct Rows<'a> {
    #[serde(borrow)]
    rows: Vec<Vec<&'a RawValue>>,
    #[serde(default)]
    meta: Value,
    #[serde(default)]
    snapshot: bool,
}

/// A book as a client of `orderbook_rows` holds it, with the digits that came.
#[derive(Debug)]
pub(crate) struct Held {
    symbol: String,
    depth: usize,
    looked: Looked,
    /// By side and price; prices are above 0, so their bits are in their order.
    levels: BTreeMap<(char, u64), (String, String)>,
    meta: Value,
    /// When there was such a book; the next one was not before.
    pub(crate) step: u64,
}

impl Held {
    pub(crate) fn new(symbol: &str, depth: usize, looked: Looked) -> Held {
        let symbol = symbol.to_string();
        Held { symbol, depth, looked, levels: BTreeMap::new(), meta: Value::Null, step: 0 }
    }

    /// The channel of its rows.
    pub(crate) fn channel(&self) -> String {
        format!("orderbook_rows:{}", self.symbol)
    }

    /// Takes in a frame, as the contract says.
    pub(crate) fn apply(&mut self, frame: &Frame) {
        let data: Rows<'_> = serde_json::from_str(frame.data_text()).expect("a table has rows");
        if data.snapshot {
            self.levels.clear();
        }
        for row in &data.rows {
            let [side, price, qty] = &row[..] else { panic!("{row:?} is no row") };
            let side = if side.get() == r#""b""# { 'b' } else { 'a' };
            let key = (side, price.get().parse::<f64>().expect("a price").to_bits());
            match qty.get().parse::<f64>() == Ok(0.0) {
                true => self.levels.remove(&key),
                false => self.levels.insert(key, (price.get().to_string(), qty.get().to_string())),
            };
        }
        self.meta = data.meta;
    }

    fn side(&self, wanted: char) -> Vec<(char, &str, &str)> {
        let of = self.levels.iter().filter(|((side, _), _)| *side == wanted);
        let mut levels: Vec<_> = of.map(|(_, (price, qty))| (wanted, price.as_str(), qty.as_str())).collect();
        if wanted == 'b' {
            levels.reverse();
        }
        levels
    }

    /// Whether it is a book that there was, no earlier than the last one, with its checksum.
    pub(crate) fn check(&mut self, kraken: &Kraken) -> Result<(), String> {
        let (mut bids, mut asks) = (self.side('b'), self.side('a'));
        let crossed = bids.first().zip(asks.first()).is_some_and(|(bid, ask)| {
            bid.1.parse::<f64>().unwrap_or_default() >= ask.1.parse::<f64>().unwrap_or_default()
        });
        if crossed {
            return Err(format!("the book is crossed: {:?} and {:?}", bids.first(), asks.first()));
        }
        let depth = if self.looked == Looked::TopTen { 10 } else { self.depth };
        // A client that looks at the whole has no more than the exchange: what was pushed out must be gone.
        if self.looked == Looked::TopTen {
            bids.truncate(depth);
            asks.truncate(depth);
        }
        let texts = |levels: &[(char, &str, &str)]| -> Vec<(String, String)> {
            levels.iter().take(10).map(|(_, price, qty)| (price.to_string(), qty.to_string())).collect()
        };
        let (bid_texts, ask_texts) = (texts(&bids), texts(&asks));
        let stood = kraken.existed(&self.symbol, depth, bids.into_iter().chain(asks));
        let Some(stood) = stood.iter().filter(|stood| stood.step >= self.step).min_by_key(|stood| stood.step)
        else {
            return Err(format!(
                "there was no such book of {} after step {} ({} such before): bids {:?}, asks {:?}, meta {}",
                self.symbol,
                self.step,
                stood.len(),
                bid_texts,
                ask_texts,
                self.meta
            ));
        };
        let found = checksum(
            ask_texts.iter().map(|(price, qty)| (price.as_str(), qty.as_str())),
            bid_texts.iter().map(|(price, qty)| (price.as_str(), qty.as_str())),
        );
        if found != stood.checksum {
            return Err(format!("the checksum is {found}, it was {}", stood.checksum));
        }
        // What is being fetched anew has none.
        if self.meta["resync"] != true && self.meta["checksum"] != found {
            return Err(format!("the checksum is {found}, and with it came {}", self.meta));
        }
        self.step = stood.step;
        Ok(())
    }

    /// Whether it is the exchange's book as it is now.
    pub(crate) fn is_newest(&self, kraken: &Kraken) -> bool {
        let depth = if self.looked == Looked::TopTen { 10 } else { self.depth };
        let (mut bids, mut asks) = (self.side('b'), self.side('a'));
        // A client that looks at the whole has no more than the exchange: what was pushed out must be gone.
        if self.looked == Looked::TopTen {
            bids.truncate(depth);
            asks.truncate(depth);
        }
        let now = kraken.book(&self.symbol, depth);
        let now = now.iter().map(|(side, price, qty)| (*side, price.as_str(), qty.as_str()));
        bids.into_iter().chain(asks).eq(now)
    }
}

/// How a client reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Habit {
    /// As fast as it can.
    Fast,
    /// It asked for so many a second.
    Limited(u32),
    /// It reads nothing while the market makes so many steps, then everything, and so on.
    Stuck(u64),
}

/// What the clients and the test know of one another.
pub(crate) struct Desk<'a> {
    pub(crate) kraken: &'a Kraken,
    pub(crate) hub: &'a Hub,
    depth: usize,
    looked: Looked,
    /// Nothing more happens.
    over: AtomicBool,
    /// Somebody has failed; the others need not go on.
    failed: AtomicBool,
    /// Of the fast client, by pair: the step of the book that it holds.
    steps: BTreeMap<String, AtomicU64>,
}

/// Lets the others know where one fails.
struct Failing<'a>(&'a AtomicBool);

impl Drop for Failing<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}

impl Desk<'_> {
    /// Clients of every habit hold all books while `breaks` does what it does; in the end all have the newest.
    /// Answers of which pairs the fast one was told that they are fetched anew.
    pub(crate) fn hold_through(
        kraken: &Kraken,
        hub: &Hub,
        depth: usize,
        looked: Looked,
        breaks: impl FnOnce(&Desk<'_>),
    ) -> BTreeSet<String> {
        let pairs: Vec<String> = kraken.pairs().into_iter().map(|pair| pair.symbol).collect();
        for symbol in &pairs {
            // From now on it is known what it was.
            kraken.book(symbol, if looked == Looked::TopTen { 10 } else { depth });
            kraken.wait_for("book", Some(symbol));
        }
        let steps = pairs.iter().map(|symbol| (symbol.clone(), AtomicU64::new(0))).collect();
        let desk = Desk { kraken, hub, depth, looked, over: false.into(), failed: false.into(), steps };
        std::thread::scope(|scope| {
            let _failing = Failing(&desk.failed);
            let desk = &desk;
            for habit in [Habit::Limited(5), Habit::Stuck(1_000)] {
                scope.spawn(move || desk.follow(habit));
            }
            let fast = scope.spawn(|| desk.follow(Habit::Fast));
            kraken.pace(Pace::PerSecond(if depth > 100 { 40.0 } else { 150.0 }));
            breaks(desk);
            kraken.pace(Pace::Still);
            desk.over.store(true, Ordering::Relaxed);
            fast.join().unwrap_or_else(|_| panic!("the fast client failed"))
        })
    }

    /// Waits until the fast client has newer books of all pairs than there are now.
    pub(crate) fn go_on(&self, what: &str) {
        let after = self.kraken.steps() + 10;
        let is_newer = |step: &AtomicU64| step.load(Ordering::Relaxed) > after;
        assert!(
            eventually(|| self.has_failed() || self.steps.values().all(is_newer)) && !self.has_failed(),
            "no book came after {what} (step {after}): {:?}; {}\n{}",
            self.steps,
            self.hub.stats()["feeds"],
            self.hub.log()
        );
    }

    fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    fn follow(&self, habit: Habit) -> BTreeSet<String> {
        let _failing = Failing(&self.failed);
        let mut client = Client::connect(self.hub);
        let mut books: BTreeMap<String, Held> = BTreeMap::new();
        for symbol in self.steps.keys() {
            let held = Held::new(symbol, self.depth, self.looked);
            let mut request = json!({"action": "subscribe", "channel": held.channel()});
            if let Habit::Limited(rate) = habit {
                request["max_rate"] = rate.into();
            }
            client.send(&request);
            books.insert(held.channel(), held);
        }
        let mut told = BTreeSet::new();
        let mut last = Instant::now();
        let mut until = 0;
        while !self.has_failed() && !self.is_over(&books) {
            if let Habit::Stuck(steps) = habit
                && self.kraken.steps() >= until
            {
                until = self.kraken.steps() + steps;
                eventually(|| {
                    self.has_failed() || self.over.load(Ordering::Relaxed) || self.kraken.steps() >= until
                });
                until = self.kraken.steps() + steps;
            }
            let Some(frame) = client.read_within(Duration::from_millis(100)) else {
                assert!(
                    !self.over.load(Ordering::Relaxed) || last.elapsed() < PATIENCE,
                    "{habit:?}: it ends elsewhere"
                );
                continue;
            };
            let frame = frame.unwrap_or_else(|closed| panic!("{habit:?}: {closed:?}"));
            last = Instant::now();
            if frame.kind() == "notice" && frame.json["notice"] == "book_resync" {
                told.insert(frame.channel().to_string());
            }
            let Some(held) = books.get_mut(frame.channel()).filter(|_| frame.is_message()) else { continue };
            held.apply(&frame);
            held.check(self.kraken)
                .unwrap_or_else(|wrong| panic!("{habit:?}: {wrong}\nby {}", short(&frame.text)));
            if habit == Habit::Fast {
                self.steps[&held.symbol].store(held.step, Ordering::Relaxed);
            }
        }
        told
    }

    fn is_over(&self, books: &BTreeMap<String, Held>) -> bool {
        self.over.load(Ordering::Relaxed)
            && self.kraken.pairs().len() == books.len()
            && books.values().all(|held| held.is_newest(self.kraken))
    }
}

fn short(text: &str) -> &str {
    text.get(..600).unwrap_or(text)
}
