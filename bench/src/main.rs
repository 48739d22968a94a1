//! Benchmarks with a floor to compare with. Each subcommand is one workload: it starts the servers on
//! free ports, loads them from this process, and prints medians, ratios and goals. See `README.md`.

mod capture;
mod clock;
mod fleet;
mod floor;
mod procfs;
mod report;
mod server;
mod session;
mod template;
mod text;
mod wire;
mod work;

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::{Args, FromArgMatches, Parser, Subcommand};

use fleet::Door;
use report::Report;
use session::Common;
use work::{
    auth, books, channels, deflate, durable, fanout, idle, ingest, latency, pipeline, redis, redis_publish,
    replay, slow, storm, tables, tls,
};

#[derive(Debug, Parser)]
#[command(name = "tapeline-bench", about = "Measures Tapeline against a floor and against Node")]
struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The floor server.
    Floor(floor::FloorArgs),
    /// One channel, many clients, closed loop.
    Fanout(fanout::FanoutArgs),
    /// A steady rate: publish to callback.
    Latency(latency::LatencyArgs),
    /// Many channels, few clients each, closed loop.
    Channels(channels::ChannelsArgs),
    /// Compressed frames beside plain ones, closed loop.
    Deflate(deflate::DeflateArgs),
    /// A broker that writes to disk beside the memory broker, in this process.
    Durable(durable::DurableArgs),
    /// Memory per idle subscribed client.
    Idle(idle::IdleArgs),
    /// Publishing over HTTP, in batches, over WebSocket.
    Ingest(ingest::IngestArgs),
    /// Clients that never read, among many that do.
    Slow(slow::SlowArgs),
    /// All clients cut off and back at once.
    Storm(storm::StormArgs),
    /// Rows merged at a rate, beside as many bytes of a latest family.
    Tables(tables::TablesArgs),
    /// A fan-out behind TLS beside a plain one, and a silent client's memory.
    Tls(tls::TlsArgs),
    /// Publishing through Redis, beside its script alone.
    Redis(redis::RedisArgs),
    /// PUBLISH through the Redis door, beside a real one.
    RedisPublish(redis_publish::RedisPublishArgs),
    /// Fan-out, PUBLISH and times by every door but the native one.
    Doors,
    /// Messages through a pipeline's components beside a bare loop, in this process.
    Pipeline(pipeline::PipelineArgs),
    /// Tokens that were never seen beside a bare signature check, in this process.
    Auth(auth::AuthArgs),
    /// Order books with every checksum verified, beside a bare parse-and-apply loop, in this process.
    Books(books::BooksArgs),
    /// Recorded markets, checked to the byte.
    Replay(replay::ReplayArgs),
    /// All workloads as they stand, the replay at full speed.
    All,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = match &cli.command {
        Command::Floor(args) => floor::run(args),
        _ => measure(&cli),
    };
    server::remove_scratch();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tapeline-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn measure(cli: &Cli) -> Result<()> {
    server::raise_file_limit()?;
    server::end_children_on_signal()?;
    let common = &cli.common;
    let mut failures = Vec::new();
    let mut reports = Vec::new();
    match &cli.command {
        Command::Floor(_) => {}
        Command::Fanout(args) => reports.push(fanout::run(args, common)?),
        Command::Latency(args) => reports.push(latency::run(args, common)?),
        Command::Channels(args) => reports.push(channels::run(args, common)?),
        Command::Deflate(args) => reports.push(deflate::run(args, common)?),
        Command::Durable(args) => reports.push(durable::run(args, common)?),
        Command::Idle(args) => reports.push(idle::run(args, common)?),
        Command::Ingest(args) => reports.push(ingest::run(args, common)?),
        Command::Slow(args) => reports.push(slow::run(args, common)?),
        Command::Storm(args) => reports.push(storm::run(args, common)?),
        Command::Tables(args) => reports.push(tables::run(args, common)?),
        Command::Tls(args) => reports.push(tls::run(args, common)?),
        Command::Redis(args) => reports.push(redis::run(args, common)?),
        Command::RedisPublish(args) => reports.push(redis_publish::run(args, common)?),
        Command::Doors => failures = run_doors(common, &mut reports)?,
        Command::Pipeline(args) => reports.push(pipeline::run(args, common)?),
        Command::Auth(args) => reports.push(auth::run(args, common)?),
        Command::Books(args) => reports.push(books::run(args, common)?),
        Command::Replay(args) => {
            let (report, found) = replay::run(args, common)?;
            reports.push(report);
            failures = found;
        }
        Command::All => failures = run_all(common, &mut reports)?,
    }
    for report in &reports {
        println!("{}", report.table());
    }
    if let Some(path) = &common.json {
        report::write_json(path, &reports)?;
    }
    if !failures.is_empty() {
        bail!("not as it should be:\n{}", failures.join("\n"));
    }
    if common.strict && !reports.iter().all(Report::met) {
        bail!("a goal is missed");
    }
    Ok(())
}

/// Keeps the reports of workloads that are run one after the other. One that fails does not keep the others from running.
fn keep(name: &str, outcome: Result<Report>, reports: &mut Vec<Report>, failures: &mut Vec<String>) {
    eprintln!("{name} done");
    match outcome {
        Ok(report) => reports.push(report),
        Err(error) => failures.push(format!("{name}: {error:#}")),
    }
}

/// What is measured of every door but the native one, with the defaults.
fn run_doors(common: &Common, reports: &mut Vec<Report>) -> Result<Vec<String>> {
    let mut failures = Vec::new();
    for door in [Door::SocketIo, Door::Redis] {
        let outcome = fanout::run(&with(["--door", door.name()])?, common);
        keep(&door.report("fanout"), outcome, reports, &mut failures);
    }
    keep("redis-publish", redis_publish::run(&defaults()?, common), reports, &mut failures);
    for door in [Door::SocketIo, Door::Polling, Door::Sse, Door::Redis] {
        let outcome = latency::run(&with(["--door", door.name()])?, common);
        keep(&door.report("latency"), outcome, reports, &mut failures);
    }
    Ok(failures)
}

/// Every workload with its defaults.
fn run_all(common: &Common, reports: &mut Vec<Report>) -> Result<Vec<String>> {
    let mut failures = Vec::new();
    let mut keep = |name: &str, outcome: Result<Report>| keep(name, outcome, reports, &mut failures);
    keep("fanout", fanout::run(&defaults()?, common));
    keep("latency", latency::run(&defaults()?, common));
    keep("channels", channels::run(&defaults()?, common));
    keep("deflate", deflate::run(&defaults()?, common));
    keep("durable", durable::run(&defaults()?, common));
    keep("idle", idle::run(&defaults()?, common));
    keep("ingest", ingest::run(&defaults()?, common));
    keep("slow", slow::run(&defaults()?, common));
    keep("storm", storm::run(&defaults()?, common));
    keep("tables", tables::run(&defaults()?, common));
    keep("tls", tls::run(&defaults()?, common));
    keep("redis", redis::run(&defaults()?, common));
    keep("pipeline", pipeline::run(&defaults()?, common));
    keep("auth", auth::run(&defaults()?, common));
    keep("books", books::run(&defaults()?, common));
    let replay_args: replay::ReplayArgs = defaults()?;
    match replay::run(&replay_args.at_full_speed(), common) {
        Ok((report, found)) => {
            keep("replay", Ok(report));
            failures.extend(found);
        }
        Err(error) => keep("replay", Err(error)),
    }
    failures.extend(run_doors(common, reports)?);
    Ok(failures)
}

/// A workload's settings as if none were given.
fn defaults<T: Args + FromArgMatches>() -> Result<T> {
    with([])
}

/// A workload's settings as if these were given.
fn with<T: Args + FromArgMatches, const N: usize>(given: [&str; N]) -> Result<T> {
    let command = T::augment_args(clap::Command::new("defaults").no_binary_name(true));
    Ok(T::from_arg_matches(&command.try_get_matches_from(given)?)?)
}
