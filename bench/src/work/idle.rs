//! Many subscribed clients to whom nothing happens: what one costs in the server's memory.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::fleet::{Fleet, Hear, Plan};
use crate::procfs::{cpu_seconds, float, memory};
use crate::report::{Bound, Goal, Report, Sample};
use crate::server::{Server, Target};
use crate::session::{Common, Session};
use crate::template::{self, FIRST_N, Publish};

const PAYLOAD: usize = 200;

/// Settings of `idle`.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct IdleArgs {
    /// Subscribed clients.
    #[arg(long, default_value_t = 10_000)]
    clients: usize,
    /// Channels over which the clients are spread, one each.
    #[arg(long, default_value_t = 1)]
    channels: usize,
    /// Seconds of silence before memory is read.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// The clients negotiate permessage-deflate.
    #[arg(long)]
    deflate: bool,
}

/// Measures.
pub(crate) fn run(args: &IdleArgs, common: &Common) -> Result<Report> {
    if args.channels == 0 || args.channels > 10_000 {
        bail!("1 to 10,000 channels");
    }
    let session = Session::new(common, &[Target::Product, Target::FloorA, Target::Node], PAYLOAD)?;
    let load =
        format!("{} idle clients on {} channels, {} s of silence", args.clients, args.channels, args.seconds);
    let goals = vec![Goal::value("KiB/client", Bound::AtMost(3.0))];
    let mut report = Report::new("idle", load, goals);
    session.measure(&mut report, |server| measure(server, args))?;
    Ok(report)
}

#[derive(Default)]
struct Count(u64);

impl Hear for Count {
    fn on_text(&mut self, _client: usize, _payload: &[u8], _now_ns: u64) {
        self.0 += 1;
    }
}

fn measure(server: &Server, args: &IdleArgs) -> Result<Sample> {
    let mut count = Count::default();
    let mut fleet = Fleet::new(server.addr)?;
    // The first clients pay for what is there once: code pages, tables, thread stacks.
    let plan = |index: usize| Plan {
        deflate: args.deflate,
        ..Plan::subscriber(&[template::channel(index % args.channels)])
    };
    let first = 20.min(args.clients);
    fleet.open((0..first).map(plan).collect(), 256, &mut count)?;
    std::thread::sleep(Duration::from_millis(500));
    let before = memory(server.pid())?;
    fleet.open((first..args.clients).map(plan).collect(), 256, &mut count)?;
    rest(&mut fleet, &mut count, args.seconds)?;
    let idle = memory(server.pid())?;
    let cpu = cpu_seconds(server.pid())?;
    rest(&mut fleet, &mut count, args.seconds)?;
    let cpu_share = (cpu_seconds(server.pid())? - cpu) / args.seconds;

    // Once everyone has heard something, buffers that were allocated on the way show.
    fleet.open(vec![Plan::publisher()], 1, &mut count)?;
    let (mut publish, mut out) = (Publish::new(PAYLOAD), Vec::new());
    for channel in 0..args.channels {
        publish.put(&mut out, channel, FIRST_N, fleet.clock.now_ns());
    }
    fleet.send(args.clients, &out)?;
    let deadline = Instant::now() + Duration::from_secs(20);
    while count.0 < u64::try_from(args.clients)? {
        fleet.poll(Duration::from_millis(50), &mut count)?;
        if Instant::now() > deadline {
            bail!("{} of {} clients heard the one message", count.0, args.clients);
        }
    }
    rest(&mut fleet, &mut count, args.seconds.min(2.0))?;
    let heard = memory(server.pid())?;
    fleet.check_all_alive()?;
    let each =
        |after: u64, before: u64| float(after.saturating_sub(before)) / float_len(args.clients - first);
    Ok(vec![
        ("KiB/client", each(idle.rss_kib, before.rss_kib)),
        ("anonymous KiB/client", each(idle.anon_kib, before.anon_kib)),
        ("KiB/client after one message", each(heard.rss_kib, before.rss_kib)),
        ("whole server MiB", float(idle.rss_kib) / 1024.0),
        ("server CPU share", cpu_share),
    ])
}

fn float_len(len: usize) -> f64 {
    float(u64::try_from(len.max(1)).unwrap_or(1))
}

fn rest(fleet: &mut Fleet, count: &mut Count, seconds: f64) -> Result<()> {
    let end = Instant::now() + Duration::from_secs_f64(seconds);
    while Instant::now() < end {
        fleet.poll(Duration::from_millis(100), count)?;
    }
    Ok(())
}
