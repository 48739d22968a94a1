//! Everyone is cut off in the same moment and comes back at once: connect, upgrade, subscribe, be
//! confirmed. A full accept queue turns clients away for a second, so its overflows are counted.

use std::time::Instant;

use anyhow::Result;

use crate::fleet::{Fleet, Hear, Plan};
use crate::procfs::{cpu_seconds, float, listen_drops};
use crate::report::{Bound, Goal, Report, Sample};
use crate::server::{Server, Target};
use crate::session::{Common, Session};
use crate::template;

/// Settings of `storm`.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct StormArgs {
    /// Subscribed clients.
    #[arg(long, default_value_t = 5000)]
    clients: usize,
    /// Storms on each server; their median counts.
    #[arg(long, default_value_t = 3)]
    storms: usize,
    /// Clients on the way at a time; default: all.
    #[arg(long, default_value_t = usize::MAX, hide_default_value = true)]
    at_once: usize,
}

/// Measures.
pub(crate) fn run(args: &StormArgs, common: &Common) -> Result<Report> {
    let session = Session::new(common, &[Target::Product, Target::Node, Target::FloorA], 200)?;
    let load = format!("{} clients reset and back at once, median of {} storms", args.clients, args.storms);
    let goals = vec![
        Goal::ratio("all resubscribed s", Target::Node, Bound::AtMost(2.0)),
        Goal::value("listen overflows", Bound::AtMost(0.0)),
    ];
    let mut report = Report::new("storm", load, goals);
    session.measure(&mut report, |server| measure(server, args))?;
    Ok(report)
}

struct Deaf;

impl Hear for Deaf {
    fn on_text(&mut self, _client: usize, _payload: &[u8], _now_ns: u64) {}
}

fn measure(server: &Server, args: &StormArgs) -> Result<Sample> {
    let mut fleet = Fleet::new(server.addr)?;
    fleet.open(vec![Plan::subscriber(&[template::channel(0)]); args.clients], 256, &mut Deaf)?;
    let (mut times, mut retries) = (Vec::new(), 0);
    let (drops, cpu) = (listen_drops()?, cpu_seconds(server.pid())?);
    for _ in 0..args.storms {
        let start = Instant::now();
        retries += fleet.reset_and_return(args.at_once, &mut Deaf)?;
        times.push(start.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    fleet.check_all_alive()?;
    let clients = float(u64::try_from(args.clients * args.storms.max(1))?);
    Ok(vec![
        ("all resubscribed s", times.get(times.len() / 2).copied().unwrap_or_default()),
        ("slowest storm s", times.last().copied().unwrap_or_default()),
        ("listen overflows", float(listen_drops()? - drops)),
        ("retries", float(u64::try_from(retries)?)),
        ("server CPU us/client", (cpu_seconds(server.pid())? - cpu) * 1e6 / clients),
    ])
}
