//! Many channels with few clients each: nothing to join, so every delivery is a write of its own and
//! finding the subscribers counts.

use std::time::Duration;

use anyhow::{Result, bail};

use super::loops::{self, Loop};
use crate::fleet::{Door, Plan};
use crate::report::{Bound, Goal, Report};
use crate::server::Target;
use crate::session::{Common, Session};
use crate::template;

const SEED: u64 = 20_260_101;

/// Settings of `channels`.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct ChannelsArgs {
    /// Channels, at most 10,000.
    #[arg(long, default_value_t = 1000)]
    channels: usize,
    /// Subscribed clients.
    #[arg(long, default_value_t = 1000)]
    clients: usize,
    /// Different channels that each client has.
    #[arg(long, default_value_t = 10)]
    subscriptions: usize,
    /// Bytes of `data`.
    #[arg(long, default_value_t = 200)]
    payload: usize,
    /// Publishes that are not yet with every client.
    #[arg(long, default_value_t = 64)]
    outstanding: u64,
    /// Measured seconds, after one to warm up.
    #[arg(long, default_value_t = 6.0)]
    seconds: f64,
}

/// Measures.
pub(crate) fn run(args: &ChannelsArgs, common: &Common) -> Result<Report> {
    if args.channels > 10_000 || args.subscriptions > args.channels {
        bail!("at most 10,000 channels, and no more subscriptions than channels");
    }
    let session = Session::new(common, &[Target::Product, Target::FloorA, Target::Node], args.payload)?;
    let load = format!(
        "{} channels, {} clients x {} subscriptions (seed {SEED}), {} B of data, {} publishes outstanding, {} s",
        args.channels, args.clients, args.subscriptions, args.payload, args.outstanding, args.seconds
    );
    let goals = vec![
        Goal::ratio("deliveries/s", Target::FloorA, Bound::AtLeast(0.9)),
        Goal::ratio("server CPU us/delivery", Target::FloorA, Bound::AtMost(1.2)),
    ];
    let mut report = Report::new("channels", load, goals);
    let (plans, order) = draw(args);
    let settings = Loop {
        door: Door::Native,
        payload: args.payload,
        window: args.outstanding,
        warm_up: Duration::from_secs(1),
        duration: Duration::from_secs_f64(args.seconds),
        order,
        dense: false,
    };
    session.measure(&mut report, |server| loops::run(server, &settings, plans.clone()))?;
    Ok(report)
}

/// Draws who subscribes to what, and in which order the channels are published to.
fn draw(args: &ChannelsArgs) -> (Vec<Plan>, Vec<(usize, u32)>) {
    let mut random = SplitMix(SEED);
    let mut counts = vec![0_u32; args.channels];
    let mut plans = Vec::with_capacity(args.clients);
    for _ in 0..args.clients {
        let mut own = Vec::with_capacity(args.subscriptions);
        while own.len() < args.subscriptions {
            let channel = random.below(args.channels);
            if !own.contains(&channel) {
                own.push(channel);
                counts.iter_mut().skip(channel).take(1).for_each(|count| *count += 1);
            }
        }
        let names: Vec<String> = own.into_iter().map(template::channel).collect();
        plans.push(Plan::subscriber(&names));
    }
    let heard: Vec<(usize, u32)> = counts.into_iter().enumerate().filter(|(_, count)| *count > 0).collect();
    let picks = (0..65_536).filter_map(|_| heard.get(random.below(heard.len())).copied());
    (plans, picks.collect())
}

/// SplitMix64: enough chance for a draw that must be the same everywhere.
struct SplitMix(u64);

impl SplitMix {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        usize::try_from(mixed % u64::try_from(bound.max(1)).unwrap_or(1)).unwrap_or(0)
    }
}
