//! What it costs to keep order books right: the feed's own way from the text of a message to what has changed, every
//! checksum verified, beside a bare loop that parses into floats and applies. Both on this thread and in turns.

use std::collections::{BTreeMap, HashMap};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use flate2::read::MultiGzDecoder;
use rustix::time::{ClockId, clock_gettime};
use serde::Deserialize;
use tapeline_core::Now;
use tapeline_feeds::kraken::books::{Books, Outcome};
use tapeline_feeds::kraken::message::Message;

use crate::procfs::float;
use crate::report::{Bound, Goal, Report};
use crate::server::Target;
use crate::session::{Common, root};

/// Settings of `books`.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct BooksArgs {
    /// Messages of each recording in a round; the recording is played over and over.
    #[arg(long, default_value_t = 200_000)]
    messages: usize,
    /// The folder of recordings, instead of `shared/data` beside the repository.
    #[arg(long)]
    data: Option<PathBuf>,
}

/// A recording's book messages, and how deep its books are.
struct Played {
    depth: usize,
    messages: Vec<String>,
}

/// The bare loop's message.
#[derive(Deserialize)]
struct Bare<'a> {
    channel: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(borrow)]
    data: Vec<BareBook<'a>>,
}

#[derive(Deserialize)]
struct BareBook<'a> {
    symbol: &'a str,
    bids: Vec<BareLevel>,
    asks: Vec<BareLevel>,
}

#[derive(Deserialize)]
struct BareLevel {
    price: f64,
    qty: f64,
}

/// The bare loop's book. The bits of positive floats are ordered as they are.
#[derive(Default)]
struct BareSides {
    bids: BTreeMap<u64, f64>,
    asks: BTreeMap<u64, f64>,
}

/// Compares both at both depths.
pub(crate) fn run(args: &BooksArgs, common: &Common) -> Result<Report> {
    let data = match &args.data {
        Some(folder) => folder.clone(),
        None => root()?.join("../shared/data"),
    };
    let near = read(&data.join("kraken-v2-from-binance/btcusdt-depth10.txt.gz"), 10)?;
    let deep = read(&data.join("kraken-v2-from-cryptofeed-v1/book-depth1000-5pairs.jsonl"), 1_000)?;
    let load = format!(
        "{} messages of each recording in turns: 1 symbol at depth 10, 5 symbols at depth 1000; CPU of this thread",
        args.messages
    );
    let goals = vec![
        Goal::value("bare / books, depth 10", Bound::AtLeast(0.5)),
        Goal::value("bare / books, depth 1000", Bound::AtLeast(0.5)),
    ];
    let mut report = Report::new("books", load, goals);
    for _ in 0..common.rounds {
        let (bare10, books10) = in_turn(&near, args.messages)?;
        let (bare1000, books1000) = in_turn(&deep, args.messages)?;
        report.add(
            Target::Product,
            vec![
                ("bare us, depth 10", bare10),
                ("books us, depth 10", books10),
                ("bare / books, depth 10", bare10 / books10),
                ("bare us, depth 1000", bare1000),
                ("books us, depth 1000", books1000),
                ("bare / books, depth 1000", bare1000 / books1000),
            ],
        );
    }
    Ok(report)
}

/// Whole recordings in turn, one way and the other; CPU microseconds a message of each.
fn in_turn(played: &Played, messages: usize) -> Result<(f64, f64)> {
    let turns = messages.div_ceil(played.messages.len()).max(1);
    let (mut bare, mut books) = (0.0, 0.0);
    for _ in 0..turns {
        let start = cpu_us();
        bare_loop(played)?;
        let middle = cpu_us();
        kept_right(played)?;
        bare += middle - start;
        books += cpu_us() - middle;
    }
    let each = float(u64::try_from(turns * played.messages.len())?);
    Ok((bare / each, books / each))
}

/// Parse and apply; nothing else.
fn bare_loop(played: &Played) -> Result<()> {
    let mut books: HashMap<String, BareSides> = HashMap::new();
    for text in &played.messages {
        let message: Bare<'_> = serde_json::from_str(text)?;
        ensure!(message.channel == "book", "only books are played");
        for data in message.data {
            if !books.contains_key(data.symbol) {
                books.insert(data.symbol.to_owned(), BareSides::default());
            }
            let Some(book) = books.get_mut(data.symbol) else { continue };
            if message.kind == "snapshot" {
                *book = BareSides::default();
            }
            apply(&mut book.bids, &data.bids);
            apply(&mut book.asks, &data.asks);
            while book.bids.len() > played.depth {
                book.bids.pop_first();
            }
            while book.asks.len() > played.depth {
                book.asks.pop_last();
            }
        }
    }
    std::hint::black_box(&books);
    Ok(())
}

fn apply(side: &mut BTreeMap<u64, f64>, levels: &[BareLevel]) {
    for level in levels {
        if level.qty == 0.0 {
            side.remove(&level.price.to_bits());
        } else {
            side.insert(level.price.to_bits(), level.qty);
        }
    }
}

/// The feed's way: text, message, book, checksum, what has changed.
fn kept_right(played: &Played) -> Result<()> {
    let mut books = Books::new();
    let mut rows = 0;
    for text in &played.messages {
        let Message::Book(message) = Message::parse(text)? else { bail!("only books are played") };
        if books.state(&message.symbol).is_none() {
            books.watch(&Arc::from(&*message.symbol), played.depth);
        }
        match books.handle(message, Now::default()) {
            Outcome::Applied(change) => rows += std::hint::black_box(change).rows.len(),
            other => bail!("{other:?} at {text}"),
        }
    }
    ensure!(rows > 0, "nothing has changed");
    Ok(())
}

/// The book messages of a recording, whatever stands before them in a line.
fn read(path: &Path, depth: usize) -> Result<Played> {
    let bytes = std::fs::read(path).with_context(|| format!("reading {}", path.display()))?;
    let mut text = String::new();
    if path.extension().is_some_and(|extension| extension == "gz") {
        MultiGzDecoder::new(&*bytes).read_to_string(&mut text)?;
    } else {
        text = String::from_utf8(bytes)?;
    }
    let message = |line: &str| line.find('{').and_then(|at| line.get(at..)).map(str::to_owned);
    let books = text.lines().filter_map(message).filter(|text| text.contains(r#""channel":"book""#));
    let messages: Vec<String> = books.collect();
    ensure!(!messages.is_empty(), "no books in {}", path.display());
    Ok(Played { depth, messages })
}

/// Processor time of this thread.
fn cpu_us() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let (seconds, nanos) = (u64::try_from(time.tv_sec), u64::try_from(time.tv_nsec));
    float(seconds.unwrap_or_default()) * 1e6 + float(nanos.unwrap_or_default()) / 1e3
}
