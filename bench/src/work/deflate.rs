//! Compressed frames: the same order books to the same number of clients, first plain, then with permessage-deflate.
//! A message must be compressed once whatever the number of clients, so that a delivery costs no more than before.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use flate2::{Decompress, FlushDecompress};

use crate::fleet::{Fleet, Hear, Plan};
use crate::procfs::{cpu_seconds, float};
use crate::report::{Bound, Goal, Report, Sample};
use crate::server::{Server, Target};
use crate::session::{Common, Session};
use crate::template::{self, FIRST_N, Reader};
use crate::{text, wire};

/// No delivery for so long: something was lost.
const STALL: Duration = Duration::from_secs(10);
/// Different books, published in turn.
const BOOKS: u64 = 64;

/// Settings of `deflate`.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct DeflateArgs {
    /// Subscribed clients.
    #[arg(long, default_value_t = 200)]
    clients: usize,
    /// About the bytes of `data`.
    #[arg(long, default_value_t = 4096)]
    payload: usize,
    /// Publishes that are not yet with every client.
    #[arg(long, default_value_t = 4)]
    outstanding: u64,
    /// Measured seconds of each of the two, after one to warm up.
    #[arg(long, default_value_t = 4.0)]
    seconds: f64,
}

/// Measures.
pub(crate) fn run(args: &DeflateArgs, common: &Common) -> Result<Report> {
    let session = Session::new(common, &[Target::Product], args.payload)?;
    let load = format!(
        "1 channel x {} clients, order books of {} B, {} publishes outstanding, {} s plain, {0} clients with deflate",
        args.clients, args.payload, args.outstanding, args.seconds
    );
    let goals = vec![
        Goal::value("compressions/message", Bound::AtMost(1.0)),
        Goal::value("compressions/message", Bound::AtLeast(1.0)),
        Goal::value("CPU ratio", Bound::AtMost(1.25)),
        Goal::value("bytes ratio", Bound::AtMost(0.5)),
    ];
    let mut report = Report::new("deflate", load, goals);
    session.measure(&mut report, |server| measure(server, args))?;
    Ok(report)
}

fn measure(server: &Server, args: &DeflateArgs) -> Result<Sample> {
    let plain = run_once(server, args, false)?;
    if compressions(server.addr)? != 0 {
        bail!("something was compressed for clients that did not ask for it");
    }
    let deflated = run_once(server, args, true)?;
    Ok(vec![
        ("compressions/message", float(compressions(server.addr)?) / float(deflated.published)),
        ("plain CPU us/delivery", plain.cpu_us),
        ("deflate CPU us/delivery", deflated.cpu_us),
        ("CPU ratio", deflated.cpu_us / plain.cpu_us),
        ("plain bytes/delivery", plain.bytes),
        ("deflate bytes/delivery", deflated.bytes),
        ("bytes ratio", deflated.bytes / plain.bytes),
        ("plain deliveries/s", plain.rate),
        ("deflate deliveries/s", deflated.rate),
    ])
}

/// What one of the two gave.
struct Figures {
    published: u64,
    cpu_us: f64,
    bytes: f64,
    rate: f64,
}

fn run_once(server: &Server, args: &DeflateArgs, deflate: bool) -> Result<Figures> {
    let mut heard = Heard::new(args.clients);
    let mut fleet = Fleet::new(server.addr)?;
    let plan = Plan { deflate, ..Plan::subscriber(&[template::channel(0)]) };
    fleet.open(vec![plan; args.clients], 256, &mut heard)?;
    fleet.open(vec![Plan::publisher()], 1, &mut heard)?;
    let books: Vec<String> = (0..BOOKS).map(|seed| book(seed, args.payload)).collect();
    let mut source = Source { args, books, published: 0 };
    source.drive(&mut fleet, &mut heard, Duration::from_secs(1))?;
    let (cpu, deliveries, bytes) = (cpu_seconds(server.pid())?, heard.deliveries, heard.bytes);
    let seconds = source.drive(&mut fleet, &mut heard, Duration::from_secs_f64(args.seconds))?;
    let cpu = cpu_seconds(server.pid())? - cpu;
    let deliveries = float(heard.deliveries - deliveries);
    fleet.check_all_alive()?;
    Ok(Figures {
        published: source.published,
        cpu_us: cpu * 1e6 / deliveries,
        bytes: float(heard.bytes - bytes) / deliveries,
        rate: deliveries / seconds,
    })
}

struct Source<'a> {
    args: &'a DeflateArgs,
    books: Vec<String>,
    published: u64,
}

impl Source<'_> {
    /// Keeps so many publishes outstanding for a time, then waits for the last; answers the seconds it took.
    fn drive(&mut self, fleet: &mut Fleet, heard: &mut Heard, time: Duration) -> Result<f64> {
        let start = Instant::now();
        let mut progress = (start, heard.deliveries);
        loop {
            let now = Instant::now();
            let is_over = now - start >= time;
            if is_over && heard.complete() == self.published {
                return Ok((now - start).as_secs_f64());
            }
            while !is_over && self.published < heard.complete() + self.args.outstanding {
                self.publish(fleet)?;
            }
            fleet.poll(Duration::from_millis(100), heard)?;
            if let Some(trouble) = heard.trouble.take() {
                bail!(trouble);
            }
            if progress.1 != heard.deliveries {
                progress = (now, heard.deliveries);
            } else if now - progress.0 > STALL {
                bail!("no delivery for {STALL:?} after {} publishes", self.published);
            }
        }
    }

    fn publish(&mut self, fleet: &mut Fleet) -> Result<()> {
        let book = usize::try_from(self.published % BOOKS)?;
        let book = self.books.get(book).context("there are books")?;
        let (channel, n) = (template::channel(0), FIRST_N + self.published);
        let publish = format!(r#"{{"action":"publish","channel":"{channel}","data":{{"n":{n},{book}}}}}"#);
        self.published += 1;
        fleet.send(self.args.clients, &wire::text(&publish))
    }
}

/// What the clients hear. The first to hear a frame has it inflated and read; all others must hear the same bytes.
struct Heard {
    /// Frames that not every client has, the oldest first.
    frames: std::collections::VecDeque<Box<[u8]>>,
    /// How many frames every client had, and were let go of.
    let_go: u64,
    /// By client.
    counts: Vec<u64>,
    deliveries: u64,
    bytes: u64,
    trouble: Option<String>,
    inflater: Decompress,
}

impl Heard {
    fn new(clients: usize) -> Self {
        Self {
            frames: std::collections::VecDeque::new(),
            let_go: 0,
            counts: vec![0; clients],
            deliveries: 0,
            bytes: 0,
            trouble: None,
            inflater: Decompress::new(false),
        }
    }

    /// How many frames every client has.
    fn complete(&mut self) -> u64 {
        let least = self.counts.iter().copied().min().unwrap_or(0);
        while self.let_go < least {
            self.frames.pop_front();
            self.let_go += 1;
        }
        least
    }

    /// The number that a frame carries; a compressed one never starts as JSON does.
    fn number(&mut self, payload: &[u8]) -> Option<u64> {
        if payload.starts_with(b"{") {
            return Reader::default().n(payload);
        }
        let mut out = Vec::with_capacity(1 << 20);
        self.inflater.reset(false);
        self.inflater.decompress_vec(payload, &mut out, FlushDecompress::Sync).ok()?;
        Reader::default().n(&out)
    }
}

impl Hear for Heard {
    fn on_text(&mut self, client: usize, payload: &[u8], _now_ns: u64) {
        let Some(count) = self.counts.get_mut(client) else { return };
        let nth = *count;
        *count += 1;
        self.deliveries += 1;
        self.bytes += u64::try_from(payload.len()).unwrap_or(0);
        let place = usize::try_from(nth - self.let_go).unwrap_or(usize::MAX);
        let is_right = match self.frames.get(place) {
            Some(frame) => **frame == *payload,
            None => {
                self.frames.push_back(payload.into());
                self.number(payload) == Some(FIRST_N + nth)
            }
        };
        if !is_right && self.trouble.is_none() {
            self.trouble =
                Some(format!("client {client} heard another frame {nth}: {}", text::excerpt(payload)));
        }
    }
}

/// Two sides of levels, of about so many bytes: prices near one another, quantities without a pattern.
fn book(seed: u64, bytes: usize) -> String {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(1);
    let mut below = move |end: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % end
    };
    let mut side = |up: bool| {
        let mut cents = 6_678_770_u64;
        let mut levels = Vec::new();
        let mut len = 0;
        while len < bytes / 2 {
            cents = if up { cents + 1 + below(9) } else { cents - 1 - below(9) };
            let (quantity, dust) = (below(3), below(100_000_000));
            let level = format!("[{}.{:02},{quantity}.{dust:08}]", cents / 100, cents % 100);
            len += level.len() + 1;
            levels.push(level);
        }
        levels.join(",")
    };
    format!(r#""bids":[{}],"asks":[{}]"#, side(false), side(true))
}

/// Messages that the product has compressed so far.
fn compressions(addr: SocketAddr) -> Result<u64> {
    let mut stream = TcpStream::connect(addr)?;
    write!(stream, "GET /stats HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (_, body) = answer.split_once("\r\n\r\n").context("/stats has no body")?;
    let stats: serde_json::Value = serde_json::from_str(body)?;
    let count = stats.pointer("/compressed/messages").and_then(serde_json::Value::as_u64);
    count.context("/stats counts no compressed messages")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_book_has_about_its_bytes_and_is_json() {
        let book = book(7, 4_096);
        assert!((4_000..4_300).contains(&book.len()), "{}", book.len());
        let json: serde_json::Value = serde_json::from_str(&format!("{{{book}}}")).unwrap();
        assert!(json.pointer("/asks/40/1").unwrap().is_f64());
    }
}
