//! One channel, many clients: how much a delivery costs when all get the same bytes.

use std::time::Duration;

use anyhow::Result;

use super::loops::{self, Loop};
use crate::fleet::Plan;
use crate::report::{Bound, Goal, Report};
use crate::server::Target;
use crate::session::{Common, Session};
use crate::template;

/// Settings of `fanout`.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct FanoutArgs {
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
    let session =
        Session::new(common, &[Target::Product, Target::FloorA, Target::FloorB, Target::Node], args.payload)?;
    let load = format!(
        "1 channel x {} clients, {} B of data, {} publishes outstanding, {} s",
        args.clients, args.payload, args.outstanding, args.seconds
    );
    let goals = vec![
        Goal::ratio("deliveries/s", Target::FloorB, Bound::AtLeast(0.75)),
        Goal::ratio("server CPU us/delivery", Target::FloorB, Bound::AtMost(1.35)),
    ];
    let mut report = Report::new("fanout", load, goals);
    let settings = Loop {
        payload: args.payload,
        window: args.outstanding,
        warm_up: Duration::from_secs(1),
        duration: Duration::from_secs_f64(args.seconds),
        order: vec![(0, u32::try_from(args.clients)?)],
        dense: true,
    };
    session.measure(&mut report, |server| {
        loops::run(server, &settings, vec![Plan::subscriber(&[template::channel(0)]); args.clients])
    })?;
    Ok(report)
}
