//! A moderate, steady rate: how long from the publish to each client's callback. The last of 1,000
//! sockets waits for the other 999 in every server, so the floor sets the scale.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use hdrhistogram::Histogram;

use crate::fleet::{Door, Fleet, Hear, Plan};
use crate::procfs::{cpu_seconds, float};
use crate::report::{Bound, Goal, Report, Sample};
use crate::server::{Server, Target};
use crate::session::{Common, Session};
use crate::template::{self, FIRST_N, Publish, Reader};
use crate::text;

/// Settings of `latency`.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct LatencyArgs {
    /// Where the clients come in.
    #[arg(long, value_enum, default_value = "native")]
    door: Door,
    /// Subscribed clients.
    #[arg(long, default_value_t = 1000)]
    clients: usize,
    /// Messages a second.
    #[arg(long, default_value_t = 50)]
    rate: u32,
    /// Bytes of `data`.
    #[arg(long, default_value_t = 200)]
    payload: usize,
    /// Measured seconds, after one to warm up.
    #[arg(long, default_value_t = 20.0)]
    seconds: f64,
}

/// Measures.
pub(crate) fn run(args: &LatencyArgs, common: &Common) -> Result<Report> {
    let session = Session::at(args.door, common, args.payload)?;
    let load = format!(
        "1 channel x {} clients, {} messages/s, {} B of data, {} s; publish to callback",
        args.clients, args.rate, args.payload, args.seconds
    );
    let mut goals = vec![Goal::value("p99 ms", Bound::AtMost(50.0))];
    if args.door == Door::Native {
        goals.push(Goal::ratio("p50 ms", Target::FloorA, Bound::AtMost(1.15)));
        goals.push(Goal::ratio("p99 ms", Target::FloorA, Bound::AtMost(1.3)));
    }
    let mut report = Report::new(args.door.report("latency"), load, goals);
    session.measure(&mut report, |server| measure(server, args))?;
    Ok(report)
}

fn measure(server: &Server, args: &LatencyArgs) -> Result<Sample> {
    let mut watch = Stopwatch::new(args.clients)?;
    let mut fleet = Fleet::new(server.door(args.door)?)?;
    fleet.open(vec![Plan::at(args.door, &[template::channel(0)]); args.clients], 256, &mut watch)?;
    fleet.open(vec![Plan::at(args.door.of_publisher(), &[])], 1, &mut watch)?;
    let mut pacer = Pacer::new(args.rate, Publish::at(args.door, args.payload), args.clients);
    pacer.run(&mut fleet, &mut watch, Duration::from_secs(1), |_| Ok(()))?;
    watch.histogram.reset();
    let cpu = cpu_seconds(server.pid())?;
    let (start, before) = (Instant::now(), pacer.sent);
    pacer.run(&mut fleet, &mut watch, Duration::from_secs_f64(args.seconds), |_| Ok(()))?;
    let elapsed = start.elapsed().as_secs_f64();
    let (cpu_share, rate) =
        ((cpu_seconds(server.pid())? - cpu) / elapsed, float(pacer.sent - before) / elapsed);
    let deadline = Instant::now() + Duration::from_secs(10);
    while watch.heard.iter().any(|&count| count < pacer.sent) {
        fleet.poll(Duration::from_millis(50), &mut watch)?;
        if Instant::now() > deadline {
            bail!("some clients lack messages 10 s after the last of {}", pacer.sent);
        }
    }
    watch.check()?;
    fleet.check_all_alive()?;
    Ok(vec![
        ("p50 ms", watch.quantile_ms(0.5)),
        ("p99 ms", watch.quantile_ms(0.99)),
        ("p99.9 ms", watch.quantile_ms(0.999)),
        ("max ms", watch.quantile_ms(1.0)),
        ("server CPU share", cpu_share),
        ("messages/s", rate),
    ])
}

/// Publishes at a steady rate. A late message is sent at once and timed from when it was sent, so the
/// bench's own delays are not blamed on the server.
pub(super) struct Pacer {
    interval: Duration,
    publish: Publish,
    publisher: usize,
    pub(super) sent: u64,
    out: Vec<u8>,
}

impl Pacer {
    pub(super) fn new(rate: u32, publish: Publish, publisher: usize) -> Self {
        let interval = Duration::from_secs(1) / rate.max(1);
        Self { interval, publish, publisher, sent: 0, out: Vec::new() }
    }

    /// Publishes for a time; `each` is called after every message.
    pub(super) fn run(
        &mut self,
        fleet: &mut Fleet,
        hear: &mut impl Hear,
        time: Duration,
        mut each: impl FnMut(u64) -> Result<()>,
    ) -> Result<()> {
        let end = Instant::now() + time;
        let mut next = Instant::now();
        while next < end {
            let wait = next.saturating_duration_since(Instant::now());
            if !wait.is_zero() {
                fleet.poll(wait, hear)?;
                continue;
            }
            self.publish.put(&mut self.out, 0, FIRST_N + self.sent, fleet.clock.now_ns());
            fleet.send(self.publisher, &self.out)?;
            self.out.clear();
            self.sent += 1;
            next += self.interval;
            each(self.sent)?;
        }
        Ok(())
    }
}

/// Times deliveries and counts them per client.
pub(super) struct Stopwatch {
    reader: Reader,
    pub(super) histogram: Histogram<u64>,
    /// By client: how many messages it has heard.
    pub(super) heard: Vec<u64>,
    last: Vec<u64>,
    disorder: u64,
    missing: u64,
    /// Frames that are no delivery: gaps, errors, notices.
    pub(super) foreign: u64,
    first_foreign: Option<String>,
}

impl Stopwatch {
    pub(super) fn new(clients: usize) -> Result<Self> {
        let histogram = Histogram::new_with_bounds(1_000, 600_000_000_000, 3)?;
        Ok(Self {
            reader: Reader::default(),
            histogram,
            heard: vec![0; clients],
            last: vec![FIRST_N - 1; clients],
            disorder: 0,
            missing: 0,
            foreign: 0,
            first_foreign: None,
        })
    }

    pub(super) fn quantile_ms(&self, quantile: f64) -> f64 {
        float(self.histogram.value_at_quantile(quantile)) / 1e6
    }

    /// Fails when a client heard a message twice or out of order.
    pub(super) fn check_order(&self) -> Result<()> {
        if self.disorder > 0 {
            bail!("{} deliveries came twice or out of order", self.disorder);
        }
        Ok(())
    }

    /// Fails also when a message is missing or a frame is no delivery.
    fn check(&self) -> Result<()> {
        if let Some(frame) = &self.first_foreign {
            bail!("a frame that is no delivery: {frame}");
        }
        if self.missing > 0 {
            bail!("{} messages were skipped", self.missing);
        }
        self.check_order()
    }
}

impl Hear for Stopwatch {
    #[inline]
    fn on_text(&mut self, client: usize, payload: &[u8], now_ns: u64) {
        let Some((n, sent_ns)) = self.reader.n_and_t(payload) else {
            self.foreign += 1;
            self.first_foreign.get_or_insert_with(|| text::excerpt(payload));
            return;
        };
        if let (Some(heard), Some(last)) = (self.heard.get_mut(client), self.last.get_mut(client)) {
            self.disorder += u64::from(n <= *last);
            self.missing += n.saturating_sub(*last + 1);
            *last = n.max(*last);
            *heard += 1;
        }
        self.histogram.saturating_record(now_ns.saturating_sub(sent_ns));
    }
}
