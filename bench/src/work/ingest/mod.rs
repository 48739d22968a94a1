//! How fast messages come in: one by one over HTTP, in batches, over WebSocket; always one channel
//! (`market_data:AAPL`, delivered as `latest`) and one subscriber, whose share is said.

mod http;
mod quote;
mod socket;

use std::time::Duration;

use anyhow::{Result, bail};

use crate::fleet::{Fleet, Hear, Plan};
use crate::procfs::{cpu_seconds, float};
use crate::report::{Bound, Goal, Report, Sample};
use crate::server::{Server, Target};
use crate::session::{Common, Session};
use quote::CHANNEL;

/// Settings of `ingest`.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct IngestArgs {
    /// HTTP keep-alive connections, one request outstanding on each.
    #[arg(long, default_value_t = 16)]
    connections: usize,
    /// Connections that send batches. With one, the server waits while the bench reads the answer.
    #[arg(long, default_value_t = 2)]
    batch_connections: usize,
    /// Messages in a batch.
    #[arg(long, default_value_t = 500)]
    batch: usize,
    /// Publishing WebSockets.
    #[arg(long, default_value_t = 4)]
    publishers: usize,
    /// WebSocket publishes that the subscriber has not got past.
    #[arg(long, default_value_t = 256)]
    outstanding: u64,
    /// Measured seconds of each part, after half a second to warm up.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
}

impl IngestArgs {
    fn duration(&self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }
}

const WARM_UP: Duration = Duration::from_millis(500);

/// Measures.
pub(crate) fn run(args: &IngestArgs, common: &Common) -> Result<Report> {
    let usual = [Target::Product, Target::NodeHttp, Target::Node, Target::SerdeLoop];
    let session = Session::new(common, &usual, 200)?;
    let load = format!(
        "{CHANNEL}, 1 subscriber; HTTP on {} connections, batches of {} on {}, WebSocket on {} with {} outstanding; {} s each",
        args.connections, args.batch, args.batch_connections, args.publishers, args.outstanding, args.seconds
    );
    let goals = vec![
        Goal::ratio("HTTP publishes/s", Target::NodeHttp, Bound::AtLeast(1.3)),
        Goal::ratio("batch publishes/s", Target::SerdeLoop, Bound::AtLeast(0.5)),
        Goal::ratio("WebSocket publishes/s", Target::Node, Bound::AtLeast(1.8)),
    ];
    let mut report = Report::new("ingest", load, goals);
    session.in_turn(|target| {
        let mut sample = Sample::new();
        if matches!(target, Target::FloorA | Target::FloorB) {
            bail!("the floor knows no {CHANNEL}; ingest measures product, node, node-http and serde-loop");
        }
        if matches!(target, Target::Product | Target::NodeHttp) {
            sample.extend(session.with(target, |server| by_http(server, args, Part::Single))?);
            sample.extend(session.with(target, |server| by_http(server, args, Part::Batch))?);
        }
        if target != Target::NodeHttp && target != Target::SerdeLoop {
            sample.extend(session.with(target, |server| socket::run(server, args))?);
        }
        if target == Target::SerdeLoop {
            let rate = quote::parse_loop(args.batch, args.duration())?;
            sample.push(("batch publishes/s", rate));
        }
        report.add(target, sample);
        Ok(())
    })?;
    Ok(report)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Single,
    Batch,
}

/// The one subscriber.
#[derive(Default)]
struct Listener {
    deliveries: u64,
    /// The channel's offset as last seen; of servers that do not count, the number of deliveries.
    seen: u64,
}

impl Hear for Listener {
    fn on_text(&mut self, _client: usize, payload: &[u8], _now_ns: u64) {
        self.deliveries += 1;
        let at = crate::text::find_last(payload, br#""offset":"#);
        let offset = at.and_then(|at| crate::text::digits(payload, at + br#""offset":"#.len()));
        self.seen = self.seen.max(offset.unwrap_or(self.deliveries));
    }
}

fn by_http(server: &Server, args: &IngestArgs, part: Part) -> Result<Sample> {
    let host = server.addr.to_string();
    let (per_request, connections, requests) = match part {
        Part::Single => (1, args.connections, quote::requests(&host)),
        Part::Batch => (args.batch, args.batch_connections, quote::batch_requests(&host, args.batch)),
    };
    let mut listener = Listener::default();
    let mut fleet = Fleet::new(server.addr)?;
    if server.target == Target::Product {
        fleet.open(vec![Plan::subscriber(&[CHANNEL.to_owned()])], 1, &mut listener)?;
    }
    let mut load = http::Load::open(server.addr, connections, requests)?;
    let mut listen = |listener: &mut Listener| fleet.poll(Duration::ZERO, listener);
    load.drive(WARM_UP, || listen(&mut listener))?;
    let (cpu, before) = (cpu_seconds(server.pid())?, listener.deliveries);
    let (answers, elapsed) = load.drive(args.duration(), || listen(&mut listener))?;
    let cpu = cpu_seconds(server.pid())? - cpu;
    if server.target == Target::Product && listener.deliveries == before {
        bail!("the subscriber heard nothing");
    }
    let publishes = float(answers * u64::try_from(per_request)?);
    let seen = float(listener.deliveries - before) * 100.0 / publishes;
    let names = match part {
        Part::Single => ["HTTP publishes/s", "HTTP CPU us/publish", "HTTP seen %"],
        Part::Batch => ["batch publishes/s", "batch CPU us/publish", "batch seen %"],
    };
    let figures = [publishes / elapsed, cpu * 1e6 / publishes, seen];
    let known = if server.target == Target::Product { 3 } else { 2 };
    Ok(names.into_iter().zip(figures).take(known).collect())
}
