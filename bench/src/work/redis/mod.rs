//! Publishing through the Redis broker, beside its own script pipelined by a plain client in the same run: how many a
//! second, and how long from the publish to the delivery.

mod bare;
mod broker;

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use hdrhistogram::Histogram;

use crate::report::{Bound, Goal, Report, Sample};
use crate::server::{Target, free_port, scratch};
use crate::session::Common;

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct RedisArgs {
    /// Publishers, each to a channel of its own.
    #[arg(long, default_value_t = 64)]
    publishers: usize,
    /// Publishes of each that wait for their receipts.
    #[arg(long, default_value_t = 16)]
    outstanding: usize,
    /// Bytes of data.
    #[arg(long, default_value_t = 200)]
    payload: usize,
    /// How long each is measured.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Publishes a second for the times.
    #[arg(long, default_value_t = 1_000)]
    rate: u64,
}

impl RedisArgs {
    fn window(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }

    fn channel(number: usize) -> String {
        format!("bench:{number}")
    }
}

/// A `redis-server` that keeps nothing.
struct RedisServer {
    child: Child,
    port: u16,
}

impl RedisServer {
    fn start() -> Result<Self> {
        let port = free_port()?.port();
        let mut command = Command::new("redis-server");
        command.args([
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
            "--port",
            &port.to_string(),
        ]);
        command.arg("--dir").arg(scratch()?).stdin(Stdio::null()).stdout(Stdio::null());
        let child =
            command.spawn().context("redis-server is needed (Debian: apt-get install redis-server)")?;
        let server = Self { child, port };
        let since = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            if since.elapsed() > Duration::from_secs(10) {
                bail!("redis-server does not come up on port {port}");
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(server)
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        // It keeps nothing that could be lost.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn run(args: &RedisArgs, common: &Common) -> Result<Report> {
    let goals = vec![
        Goal::ratio("publishes/s", Target::BareRedis, Bound::AtLeast(0.7)),
        Goal::ratio("p99 ms", Target::BareRedis, Bound::AtMost(2.0)),
    ];
    let load = format!(
        "{} publishers x {} outstanding, {} bytes, one subscriber; times at {}/s",
        args.publishers, args.outstanding, args.payload, args.rate
    );
    let mut report = Report::new("redis", load, goals);
    for _ in 0..common.rounds {
        let server = RedisServer::start()?;
        let product = broker::Publishing::open(&server, args)?;
        report.add(Target::Product, sample(product.throughput(args)?, &product.times(args)?));
        let bare = bare::Bare::open(&server, args, &product.commands(args)?)?;
        product.close();
        report.add(Target::BareRedis, sample(bare.throughput(args)?, &bare.times(args)?));
    }
    Ok(report)
}

/// The pauses between two publishes for the times, and when each is due.
fn due_times(args: &RedisArgs) -> impl Iterator<Item = Instant> {
    let (start, count) = (Instant::now(), args.rate * args.seconds);
    let gap = Duration::from_secs(1) / u32::try_from(args.rate.max(1)).unwrap_or(u32::MAX);
    (0..count).map(move |number| start + gap * u32::try_from(number).unwrap_or(u32::MAX))
}

fn wait_until(due: Instant) {
    let left = due.saturating_duration_since(Instant::now());
    if !left.is_zero() {
        std::thread::sleep(left);
    }
}

fn sample(per_second: f64, times: &Histogram<u64>) -> Sample {
    let ms = |quantile: f64| times.value_at_quantile(quantile) as f64 / 1_000_000.0;
    vec![("publishes/s", per_second), ("p50 ms", ms(0.5)), ("p99 ms", ms(0.99))]
}
