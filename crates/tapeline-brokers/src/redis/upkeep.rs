//! What a node does now and then without being asked: it keeps what is joined from expiring, and takes the names of
//! expired channels off the lists. A little at a time; every node does it, which does no harm.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tapeline_core::Channel;

use super::joined::Look;
use super::link::{Command, Patience, Value, lock};
use super::node::Node;
use super::plan::{index_key, meta_key, sources_key, tags};
use super::scripts::SWEEP;

/// How often everything joined is looked at, a fraction of the shortest expiry; in how many ticks at most, and how much
/// at once at least.
const LOOK_EVERY: Duration = Duration::from_secs(600);
const LOOK_TICKS: usize = 3_000;
const LOOK_SLICE: usize = 32;
/// How often a list is looked at, and how many of its names.
const SWEEP_EVERY: Duration = Duration::from_secs(1);
const SWEEP_SLICE: u64 = 64;

/// Where the upkeep stands.
#[derive(Default)]
pub(super) struct Upkeep {
    to_look_at: Vec<Channel>,
    /// How many of them at once.
    slice: usize,
    looked: Option<Instant>,
    /// Lists to be swept: the tag and the key of each.
    to_sweep: Vec<(String, String)>,
    swept: Option<Instant>,
}

fn is_due(last: &mut Option<Instant>, every: Duration) -> bool {
    let now = Instant::now();
    let due = last.is_none_or(|last| now.saturating_duration_since(last) >= every);
    if due {
        *last = Some(now);
    }
    due
}

impl Node {
    pub(super) fn keep_up(self: &Arc<Self>) {
        if !self.link.is_up() {
            return;
        }
        let (channels, list) = {
            let mut upkeep = lock(&self.upkeep);
            // What is left of the last time is not put off by the next.
            if upkeep.to_look_at.is_empty() && is_due(&mut upkeep.looked, LOOK_EVERY) {
                self.plans.clear();
                upkeep.to_look_at = lock(&self.joined).channels();
                upkeep.slice = upkeep.to_look_at.len().div_ceil(LOOK_TICKS).max(LOOK_SLICE);
            }
            let left = upkeep.to_look_at.len().saturating_sub(upkeep.slice);
            let channels = upkeep.to_look_at.split_off(left);
            let sweeps = is_due(&mut upkeep.swept, SWEEP_EVERY);
            if sweeps && upkeep.to_sweep.is_empty() {
                upkeep.to_sweep = self.lists();
            }
            (channels, if sweeps { upkeep.to_sweep.pop() } else { None })
        };
        self.look_at(channels, Look::Heads);
        if let Some((tag, list)) = list {
            self.sweep(tag, list);
        }
    }

    fn lists(&self) -> Vec<(String, String)> {
        let catalog = self.directory.catalog();
        let mut lists = Vec::new();
        for tag in tags(&catalog) {
            lists.extend(catalog.roll_ups().map(|roll_up| (tag.clone(), sources_key(&tag, roll_up))));
            lists.push((tag.clone(), index_key(&tag)));
        }
        lists
    }

    pub(super) fn sweep(self: &Arc<Self>, tag: String, list: String) {
        let some = Command::new("ZRANDMEMBER").arg(&list).number(SWEEP_SLICE);
        let node = self.clone();
        self.link.ask(&some, Patience::Now, move |names| {
            let names: Vec<String> = match &names {
                Ok(names) => names.parts().iter().filter_map(Value::text).map(str::to_owned).collect(),
                Err(_) => return,
            };
            if names.is_empty() {
                return;
            }
            let keys: Vec<String> =
                std::iter::once(list).chain(names.iter().map(|name| meta_key(&tag, name))).collect();
            // It is tried again the next time round.
            node.link.ask(&SWEEP.command(&keys).args(&names), Patience::Now, |_| {});
        });
    }
}
