//! What the scripts have to be told of a channel: where it lies in Redis and what is kept of it. Worked out once for each
//! channel in use and remembered.
//!
//! Keys are laid out so that all that one script touches lies in one slot of a cluster: the tag is the channel's first
//! roll-up that counts for itself, which its own script counts too, else one of 64 buckets.

use std::sync::{Arc, PoisonError, RwLock};

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use tapeline_core::Channel;
use tapeline_core::clock::micros;
use tapeline_schema::{Catalog, ChannelSpec, Pattern};

use super::resp::Command;

/// Channels remembered; then all are worked out again.
const REMEMBERED: usize = 16_384;
pub(super) const BUCKETS: u64 = 64;
/// Beyond its idle time and its age a channel lies in Redis for so much longer.
const GRACE_MS: u64 = 3_600_000;

/// How messages of a channel are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Latest,
    History,
    Table,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Latest => "latest",
            Kind::History => "history",
            Kind::Table => "table",
        }
    }
}

/// One channel's keys and row, as the scripts take them.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) channel: Channel,
    pub(super) kind: Kind,
    /// Another one where another row would have been counted anew.
    pub(super) row: String,
    pub(super) tag: String,
    pub(super) meta: String,
    pub(super) stream: String,
    pub(super) index: String,
    pub(super) rows: String,
    pub(super) order: String,
    pub(super) count: String,
    pub(super) bytes: String,
    pub(super) age: String,
    pub(super) ttl: String,
    pub(super) roll_ups: Vec<RollUp>,
    /// Whether its data is also published bare, under its plain name.
    pub(super) mirrored: bool,
}

/// A roll-up as its source's script takes it.
#[derive(Debug)]
pub(super) struct RollUp {
    pub(super) sources: String,
    /// Itself; `None` where a roll-up's own message goes to who hears the roll-up.
    pub(super) plan: Option<Arc<Plan>>,
    pub(super) name: String,
}

impl RollUp {
    /// Its plan, where it counts for itself.
    pub(super) fn counting(&self) -> Option<&Plan> {
        self.plan.as_deref().filter(|plan| plan.channel.counts_for_itself())
    }
}

impl Plan {
    fn new(channel: &Channel) -> Self {
        let (name, spec) = (channel.name(), channel.spec());
        let tag = tag(channel);
        let key = |what: &str| format!("tapeline:{{{tag}}}:{what}:{name}");
        let of = |roll_up: &Channel| RollUp {
            sources: sources_key(&tag, roll_up.name()),
            plan: Some(Arc::new(Plan::new(roll_up))),
            name: roll_up.name().to_owned(),
        };
        let mut roll_ups: Vec<RollUp> =
            channel.roll_ups().iter().map(|roll_up| of(roll_up.current())).collect();
        if channel.is_roll_up() {
            roll_ups.push(RollUp { sources: sources_key(&tag, name), plan: None, name: name.to_owned() });
        }
        let kind = if channel.is_table() {
            Kind::Table
        } else if channel.keeps_history() {
            Kind::History
        } else {
            Kind::Latest
        };
        let age = spec.keep.age.map(micros);
        let ttl = (micros(spec.idle_ttl).max(age.unwrap_or(0)) / 1_000).saturating_add(GRACE_MS);
        Plan {
            kind,
            row: row_of(channel),
            meta: meta_key(&tag, name),
            stream: key("s"),
            index: index_key(&tag),
            rows: key("t"),
            order: key("z"),
            count: spec.keep.count.max(1).to_string(),
            bytes: spec.keep.bytes.map(|bytes| bytes.to_string()).unwrap_or_default(),
            // A table's rows have no age.
            age: age.filter(|_| kind != Kind::Table).map(|age| age.to_string()).unwrap_or_default(),
            ttl: ttl.to_string(),
            channel: channel.clone(),
            tag,
            roll_ups,
            mirrored: false,
        }
    }

    /// The names of what a publish counts: the channel, and its roll-ups that count for themselves.
    pub(super) fn counted(&self) -> impl Iterator<Item = &str> {
        let roll_ups = self.roll_ups.iter().filter_map(RollUp::counting);
        std::iter::once(self.channel.name()).chain(roll_ups.map(|plan| plan.channel.name()))
    }

    /// Where a publish with this idempotency key is remembered.
    pub(super) fn idempotency(&self, principal: &str, key: &str) -> String {
        let name = self.channel.name();
        format!("tapeline:{{{}}}:k:{name}:{}:{principal}{key}", self.tag, principal.len())
    }

    /// The first arguments of the scripts that read.
    pub(super) fn push_row(&self, command: &mut Command, now_us: u64) {
        for arg in [self.channel.name(), &self.row, self.kind.name(), &self.count, &self.age] {
            command.push(arg.as_bytes());
        }
        command.push_number(now_us);
    }

    pub(super) fn kind_name(&self) -> &'static str {
        self.kind.name()
    }
}

/// The plans of channels in use.
pub(super) struct Plans {
    known: RwLock<HashMap<Box<str>, Arc<Plan>, FixedState>>,
    mirror: Vec<Pattern>,
}

impl Plans {
    /// None yet; channels that match `mirror` will be mirrored.
    pub(super) fn new(mirror: Vec<Pattern>) -> Self {
        Plans { known: RwLock::default(), mirror }
    }

    /// Lets go of all channels: those that are held here count as in use.
    pub(super) fn clear(&self) {
        self.known.write().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The plan of this very channel.
    pub(super) fn of(&self, channel: &Channel) -> Arc<Plan> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner).get(channel.name()).cloned();
        if let Some(plan) = known.filter(|plan| plan.channel.is(channel)) {
            return plan;
        }
        let mirrored = self.mirror.iter().any(|pattern| pattern.matches(channel.name()));
        let plan = Arc::new(Plan { mirrored, ..Plan::new(channel) });
        let mut plans = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if plans.len() >= REMEMBERED {
            plans.clear();
        }
        plans.insert(channel.name().into(), plan.clone());
        plan
    }
}

fn tag(channel: &Channel) -> String {
    let counting = |channel: &Channel| channel.counts_for_itself();
    let first = channel.roll_ups().iter().map(Channel::current).find(|roll_up| counting(roll_up));
    match first.or(Some(channel).filter(|channel| counting(channel))) {
        Some(roll_up) => roll_up.name().to_owned(),
        None => (fnv(channel.name()) % BUCKETS).to_string(),
    }
}

/// Every tag that a channel may lie under.
pub(super) fn tags(catalog: &Catalog) -> Vec<String> {
    let buckets = (0..BUCKETS).map(|bucket| bucket.to_string());
    buckets.chain(catalog.roll_ups().map(str::to_owned)).collect()
}

/// Where it is kept how a channel stands.
pub(super) fn meta_key(tag: &str, name: &str) -> String {
    format!("tapeline:{{{tag}}}:m:{name}")
}

/// Where all channels of a tag are listed.
pub(super) fn index_key(tag: &str) -> String {
    format!("tapeline:{{{tag}}}:i")
}

/// Where the sources of a roll-up are listed that lie under a tag.
pub(super) fn sources_key(tag: &str, roll_up: &str) -> String {
    format!("tapeline:{{{tag}}}:u:{roll_up}")
}

/// What of a row makes a channel begin anew when it changes; the same on all nodes.
fn row_of(channel: &Channel) -> String {
    let spec = channel.spec();
    let ChannelSpec { template, kind, priority, delivery, rolls_up_to, row_key, removed_when, .. } = spec;
    let declared = channel.declared();
    let text = if channel.is_roll_up() {
        format!("roll-up {declared} {priority:?} {delivery:?} {row_key:?} {removed_when:?}")
    } else {
        format!(
            "{declared} {template} {kind} {priority:?} {delivery:?} {rolls_up_to:?} {row_key:?} {removed_when:?}"
        )
    };
    format!("{:016x}", fnv(&text))
}

/// FNV-1a: the same on every node and in every version.
fn fnv(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
