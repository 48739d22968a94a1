//! One channel, many clients: how much a delivery costs when all get the same bytes.

use std::time::Duration;

use anyhow::Result;

use super::loops::{self, Loop};
use crate::fleet::{Door, Plan};
use crate::report::{Bound, Goal, Report};
use crate::server::Target;
use crate::session::{Common, Session};
use crate::template;

/// Settings of `fanout`.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct FanoutArgs {
    /// Where the clients come in.
    #[arg(long, value_enum, default_value = "native")]
    door: Door,
    /// Subscribed clients.
    #[arg(long, default_value_t = 1000)]
    clients: usize,
    /// Bytes of `data`.
    #[arg(long, default_value_t = 200)]
    payload: usize,
    /// Publishes that are not yet with every client.
    #[arg(long, default_value_t = 8)]
    outstanding: u64,
    /// Measured seconds, after one to warm up.
    #[arg(long, default_value_t = 6.0)]
    seconds: f64,
}

/// Measures.
pub(crate) fn run(args: &FanoutArgs, common: &Common) -> Result<Report> {
    let session = Session::at(args.door, common, args.payload)?;
    let load = format!(
        "1 channel x {} clients, {} B of data, {} publishes outstanding, {} s",
        args.clients, args.payload, args.outstanding, args.seconds
    );
    let mut report = Report::new(args.door.report("fanout"), load, goals(args.door));
    let settings = Loop {
        door: args.door,
        payload: args.payload,
        window: args.outstanding,
        warm_up: Duration::from_secs(1),
        duration: Duration::from_secs_f64(args.seconds),
        order: vec![(0, u32::try_from(args.clients)?)],
        dense: true,
    };
    session.measure(&mut report, |server| {
        loops::run(server, &settings, vec![Plan::at(args.door, &[template::channel(0)]); args.clients])
    })?;
    Ok(report)
}

/// By each door another server is the measure; where none is, there is no goal.
fn goals(door: Door) -> Vec<Goal> {
    let ratio = |metric, target, least| Goal::ratio(metric, target, Bound::AtLeast(least));
    match door {
        Door::Native => vec![
            ratio("deliveries/s", Target::FloorB, 0.75),
            Goal::ratio("server CPU us/delivery", Target::FloorB, Bound::AtMost(1.35)),
        ],
        Door::SocketIo => vec![ratio("deliveries/CPU s", Target::NodeSocketIo, 4.0)],
        Door::Redis => vec![
            ratio("deliveries/s", Target::RedisServer, 0.9),
            ratio("deliveries/CPU s", Target::RedisServer, 0.9),
        ],
        Door::Polling | Door::Sse => Vec::new(),
    }
}
