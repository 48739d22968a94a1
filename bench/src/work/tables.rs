//! Tables at a rate: rows merged once a rate group and sent to many clients, beside the same number of bytes as the
//! newest message of a `latest` family. Both halves run on one server, in turn.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::json;

use crate::fleet::{Fleet, Hear, Plan};
use crate::procfs::{cpu_seconds, float};
use crate::report::{Bound, Goal, Report, Sample};
use crate::server::{Server, Target, scratch};
use crate::session::{Common, Session};
use crate::{text, wire};

const CONFIG: &str = r#"
[[channel]]
template = "shelf:{number}"
type = "shelf"
priority = "high"
delivery = "table"
row_key = ["id"]

[[channel]]
template = "plain:{number}"
type = "plain"
priority = "high"
delivery = "latest"
"#;

/// Settings of `tables`.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct TablesArgs {
    /// Subscribed clients.
    #[arg(long, default_value_t = 1000)]
    clients: usize,
    /// Tables, or channels of the newest message.
    #[arg(long, default_value_t = 100)]
    tables: usize,
    /// Of which each client has so many.
    #[arg(long, default_value_t = 10)]
    subscriptions: usize,
    /// Rows in each table.
    #[arg(long, default_value_t = 50)]
    rows: u64,
    /// Updates of each table a second.
    #[arg(long, default_value_t = 30)]
    updates: u32,
    /// Rows in an update.
    #[arg(long, default_value_t = 5)]
    changed: u64,
    /// Frames a second of each table that a client asks for.
    #[arg(long, default_value_t = 10)]
    rate: u32,
    /// Measured seconds of each half, after two to warm up.
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
}

/// Measures.
pub(crate) fn run(args: &TablesArgs, common: &Common) -> Result<Report> {
    if args.subscriptions > args.tables || args.tables > 9_999 {
        bail!("at most 9,999 tables, and no more subscriptions than tables");
    }
    let mut session = Session::new(common, &[Target::Product], 200)?;
    let config = scratch()?.join("tables.toml");
    std::fs::write(&config, CONFIG).with_context(|| format!("writing {}", config.display()))?;
    session.launch().config = Some(config);
    let load = format!(
        "{} tables of {} rows, {} updates/s each of {} rows; {} clients x {} at {}/s; then as many bytes of a latest family; {} s each",
        args.tables,
        args.rows,
        args.updates,
        args.changed,
        args.clients,
        args.subscriptions,
        args.rate,
        args.seconds
    );
    let goals = vec![Goal::value("CPU per delivered KiB, table / latest", Bound::AtMost(1.5))];
    let mut report = Report::new("tables", load, goals);
    session.measure(&mut report, |server| measure(server, args))?;
    Ok(report)
}

fn measure(server: &Server, args: &TablesArgs) -> Result<Sample> {
    let table = half(server, args, "shelf", |n| update(args, n))?;
    let bytes = usize::try_from(table.data_bytes / table.frames.max(1)).unwrap_or(0);
    let newest = half(server, args, "plain", |n| padded(n, bytes))?;
    let rate = |half: &Half| float(half.frames) / half.seconds;
    let cost = |half: &Half| half.cpu * 1e6 / (float(half.bytes) / 1024.0);
    Ok(vec![
        ("table frames/s", rate(&table)),
        ("latest frames/s", rate(&newest)),
        ("table B/frame", float(table.bytes / table.frames.max(1))),
        ("latest B/frame", float(newest.bytes / newest.frames.max(1))),
        ("table CPU us/KiB", cost(&table)),
        ("latest CPU us/KiB", cost(&newest)),
        ("CPU per delivered KiB, table / latest", cost(&table) / cost(&newest)),
    ])
}

/// The data of update `n` of a table.
fn update(args: &TablesArgs, n: u64) -> String {
    let row =
        |of: u64| json!({"id": (n * 7 + of * 11) % args.rows, "price": 100.25 + float(n % 1_000), "size": n});
    json!({"rows": (0..args.changed).map(row).collect::<Vec<_>>(), "meta": {"n": n}}).to_string()
}

/// Data of so many bytes.
fn padded(n: u64, bytes: usize) -> String {
    let bare = json!({"n": n, "pad": ""}).to_string();
    json!({"n": n, "pad": "x".repeat(bytes.saturating_sub(bare.len()))}).to_string()
}

/// What one half came to.
struct Half {
    frames: u64,
    bytes: u64,
    data_bytes: u64,
    cpu: f64,
    seconds: f64,
}

fn half(server: &Server, args: &TablesArgs, family: &str, data: impl Fn(u64) -> String) -> Result<Half> {
    let mut count = Count::default();
    let mut fleet = Fleet::new(server.addr)?;
    let name = |number: usize| format!("{family}:{number:04}");
    let mut publisher = Publisher { client: args.clients, family, args, data, n: 0, out: Vec::new() };
    fleet.open((0..args.clients).map(|client| plan(args, client, name)).collect(), 256, &mut count)?;
    fleet.open(vec![Plan::publisher()], 1, &mut count)?;
    publisher.run(&mut fleet, &mut count, Duration::from_secs(2))?;
    count = Count::default();
    let (cpu, start) = (cpu_seconds(server.pid())?, Instant::now());
    publisher.run(&mut fleet, &mut count, Duration::from_secs_f64(args.seconds))?;
    let (cpu, seconds) = (cpu_seconds(server.pid())? - cpu, start.elapsed().as_secs_f64());
    fleet.check_all_alive()?;
    let due = float(u64::from(args.rate) * u64::try_from(args.clients * args.subscriptions)?) * seconds;
    if let Some(frame) = count.foreign {
        bail!("a frame that is no delivery: {frame}");
    }
    if float(count.frames) < due * 0.8 {
        bail!("{} frames of {family} came in {seconds:.1} s, {due:.0} were due", count.frames);
    }
    let Count { frames, bytes, data_bytes, .. } = count;
    Ok(Half { frames, bytes, data_bytes, cpu, seconds })
}

/// A client of some of the channels at the rate.
fn plan(args: &TablesArgs, client: usize, name: impl Fn(usize) -> String) -> Plan {
    let channels: Vec<String> =
        (0..args.subscriptions).map(|n| name((client * args.subscriptions + n) % args.tables)).collect();
    let request = json!({"action": "subscribe", "channels": channels, "max_rate": args.rate});
    Plan { subscribe: wire::text(&request.to_string()).into(), confirms: channels.len(), ..Plan::publisher() }
}

/// Publishes to all channels in turn at a steady rate.
struct Publisher<'a, D> {
    client: usize,
    family: &'a str,
    args: &'a TablesArgs,
    data: D,
    n: u64,
    out: Vec<u8>,
}

impl<D: Fn(u64) -> String> Publisher<'_, D> {
    fn run(&mut self, fleet: &mut Fleet, count: &mut Count, time: Duration) -> Result<()> {
        let tables = u64::try_from(self.args.tables)?;
        let a_second = tables * u64::from(self.args.updates);
        let (start, first) = (Instant::now(), self.n);
        while start.elapsed() < time {
            let due = first + u64::try_from(start.elapsed().as_micros())? * a_second / 1_000_000;
            while self.n < due {
                let (channel, data) = (self.n % tables, (self.data)(self.n));
                let text = format!(
                    r#"{{"action":"publish","channel":"{}:{channel:04}","data":{data}}}"#,
                    self.family
                );
                wire::put_masked(&mut self.out, wire::TEXT, text.as_bytes());
                self.n += 1;
            }
            fleet.send(self.client, &self.out)?;
            self.out.clear();
            fleet.poll(Duration::from_millis(1), count)?;
        }
        Ok(())
    }
}

/// Counts what the clients hear.
#[derive(Default)]
struct Count {
    frames: u64,
    bytes: u64,
    data_bytes: u64,
    foreign: Option<String>,
}

impl Hear for Count {
    #[inline]
    fn on_text(&mut self, _client: usize, payload: &[u8], _now_ns: u64) {
        let (from, to) = (text::find(payload, br#""data":"#), text::find(payload, br#","timestamp":"#));
        let Some((from, to)) = from.zip(to) else {
            self.foreign.get_or_insert_with(|| text::excerpt(payload));
            return;
        };
        self.frames += 1;
        self.bytes += u64::try_from(payload.len()).unwrap_or(0);
        self.data_bytes += u64::try_from(to.saturating_sub(from + 7)).unwrap_or(0);
    }
}
