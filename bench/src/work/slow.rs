//! A few clients that never read, among many that do: the fast ones must not notice, and the server
//! must not keep everything for the stuck.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::latency::{Pacer, Stopwatch};
use crate::fleet::{Fleet, Plan, Reading};
use crate::procfs::{float, memory};
use crate::report::{Bound, Goal, Report, Sample};
use crate::server::{Server, Target};
use crate::session::{Common, Session};
use crate::template::{self, Publish};

/// Settings of `slow`.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct SlowArgs {
    /// Clients that read.
    #[arg(long, default_value_t = 990)]
    fast: usize,
    /// Clients that never read.
    #[arg(long, default_value_t = 10)]
    stuck: usize,
    /// Bytes of `data`.
    #[arg(long, default_value_t = 20_000)]
    payload: usize,
    /// Messages a second.
    #[arg(long, default_value_t = 20)]
    rate: u32,
    /// Seconds.
    #[arg(long, default_value_t = 20.0)]
    seconds: f64,
}

/// Measures.
pub(crate) fn run(args: &SlowArgs, common: &Common) -> Result<Report> {
    let session = Session::new(common, &[Target::Product, Target::FloorA, Target::Node], args.payload)?;
    let load = format!(
        "{} fast and {} stuck clients, {} B of data, {} messages/s, {} s; then the same without the stuck",
        args.fast, args.stuck, args.payload, args.rate, args.seconds
    );
    let goals = vec![
        Goal::value("least share of a fast client %", Bound::AtLeast(99.0)),
        Goal::value("p99 with / without", Bound::AtMost(1.5)),
        Goal::value("RSS growth MiB", Bound::AtMost(16.0)),
    ];
    let mut report = Report::new("slow", load, goals);
    session.in_turn(|target| {
        let with = session.with(target, |server| measure(server, args, args.stuck))?;
        let without = session.with(target, |server| measure(server, args, 0))?;
        report.add(target, join(&with, &without));
        Ok(())
    })?;
    Ok(report)
}

struct Outcome {
    least_share: f64,
    p50_ms: f64,
    p99_ms: f64,
    growth_mib: f64,
    foreign: u64,
    cut_off: usize,
}

fn join(with: &Outcome, without: &Outcome) -> Sample {
    vec![
        ("least share of a fast client %", with.least_share),
        ("p50 ms", with.p50_ms),
        ("p99 ms", with.p99_ms),
        ("p99 ms without", without.p99_ms),
        ("p99 with / without", with.p99_ms / without.p99_ms),
        ("RSS growth MiB", with.growth_mib),
        ("RSS growth MiB without", without.growth_mib),
        ("fast clients: gaps and errors", float(with.foreign)),
        ("fast clients cut off", float(u64::try_from(with.cut_off).unwrap_or(0))),
    ]
}

fn measure(server: &Server, args: &SlowArgs, stuck: usize) -> Result<Outcome> {
    let mut watch = Stopwatch::new(args.fast + stuck)?;
    let mut fleet = Fleet::new(server.addr)?;
    let plan = Plan::subscriber(&[template::channel(0)]);
    fleet.open(vec![plan.clone(); args.fast], 256, &mut watch)?;
    fleet.open(vec![plan.reading(Reading::Never); stuck], 256, &mut watch)?;
    fleet.open(vec![Plan::publisher()], 1, &mut watch)?;
    let before = memory(server.pid())?.rss_kib;
    let mut peak = before;
    let mut pacer = Pacer::new(args.rate, Publish::new(args.payload), args.fast + stuck);
    pacer.run(&mut fleet, &mut watch, Duration::from_secs_f64(args.seconds), |_| {
        peak = peak.max(memory(server.pid())?.rss_kib);
        Ok(())
    })?;
    // What arrives within a second of the end counts, what comes later does not.
    let end = Instant::now() + Duration::from_secs(1);
    while Instant::now() < end {
        fleet.poll(Duration::from_millis(20), &mut watch)?;
    }
    watch.check_order()?;
    peak = peak.max(memory(server.pid())?.rss_kib);
    let least = watch.heard.iter().take(args.fast).min().copied().unwrap_or(0);
    Ok(Outcome {
        least_share: float(least) * 100.0 / float(pacer.sent.max(1)),
        p50_ms: watch.quantile_ms(0.5),
        p99_ms: watch.quantile_ms(0.99),
        growth_mib: float(peak - before) / 1024.0,
        foreign: watch.foreign,
        cut_off: fleet.lost,
    })
}
