//! What a node's registry tells Redis and hears of it: one beat every two seconds, and each change of a pair's seats at
//! once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};
use std::time::{Duration, Instant};

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use tapeline_core::Hub;
use tapeline_core::registry::{Keeper, Pair, Pairs};
use tapeline_schema::ops::NodeStats;

use super::super::link::{Command, Link, LinkError, Patience, Script, Value, lock};
use super::others::{Counts, Others};
use super::words::{NODES, PREFIX, Row, hearings, key, pair_field, pair_of, seats_of, topic_field};
use super::{NAMED, TOPICS};

/// Pairs whose counts at other nodes are asked for in one beat.
const SHARED: usize = 16_384;
/// Fields of one command.
const FIELDS: usize = 1_024;

/// More than can be connected, and yet a number in Lua.
const NO_LIMIT: u64 = 1 << 52;

static ADMIT: Script = Script::new(include_str!("admit.lua"));
static BEAT: Script = Script::new(include_str!("beat.lua"));

/// What the beats remember.
#[derive(Default)]
struct Beats {
    revision: u64,
    /// Pairs with connections at other nodes too, by field.
    shared: HashMap<String, Arc<Pair>, FixedState>,
    /// Fields of pairs that have come to other nodes, not yet among them.
    told: Vec<String>,
    /// What was heard at nodes that are gone.
    gone: Vec<Vec<(Box<str>, usize)>>,
    /// When Redis answered last.
    answered: Option<Instant>,
}

/// See the module.
pub(super) struct Desk {
    pub(super) link: Arc<Link>,
    node: Box<str>,
    lease: Duration,
    /// Held from the moment a pair's connections are read until they are on their way.
    pub(super) order: Mutex<()>,
    /// Redis may lack what this node has said.
    again: Arc<AtomicBool>,
    beats: Mutex<Beats>,
    others: RwLock<Others>,
}

/// Tells Redis of each change of a pair's seats.
pub(super) struct Telling(pub(super) Arc<Desk>);

impl Keeper for Telling {
    fn on_change(&self, pair: &Arc<Pair>) {
        let _order = lock(&self.0.order);
        self.0.say(std::slice::from_ref(pair));
    }
}

impl Desk {
    pub(super) fn new(link: Arc<Link>, node: &str, lease: Duration) -> Self {
        Desk {
            link,
            node: node.into(),
            lease,
            order: Mutex::default(),
            again: Arc::new(AtomicBool::new(true)),
            beats: Mutex::default(),
            others: RwLock::default(),
        }
    }

    pub(super) fn lease_ms(&self) -> u64 {
        u64::try_from(self.lease.as_millis()).unwrap_or(u64::MAX)
    }

    pub(super) fn others(&self) -> RwLockReadGuard<'_, Others> {
        self.others.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for a pair's seats, taken already; a limit of nothing only says that they are taken.
    pub(super) fn ask_for(&self, pair: &Pair, limit: Option<usize>) -> Command {
        ADMIT
            .command(&[NODES])
            .arg(PREFIX)
            .arg(&*self.node)
            .number(self.lease_ms())
            .arg(pair_field(pair.client(), pair.principal()))
            .number(pair.connections() as u64)
            .number(pair.subscriptions() as u64)
            .number(limit.map_or(NO_LIMIT, |limit| limit as u64))
    }

    /// Says how many seats these pairs have; under the lock of `order`.
    fn say(self: &Arc<Self>, pairs: &[Arc<Pair>]) {
        for pairs in pairs.chunks(FIELDS) {
            let (taken, left): (Vec<Arc<Pair>>, Vec<Arc<Pair>>) =
                pairs.iter().cloned().partition(|pair| pair.connections() > 0);
            let commands: Vec<Command> = taken.iter().map(|pair| self.ask_for(pair, None)).collect();
            let desk = self.clone();
            // It may come while this thread still asks, so `order` is not locked in the answer.
            let answer = move |values: Result<Vec<Value>, LinkError>| match values {
                Ok(values) => taken.iter().zip(values).for_each(|(pair, value)| {
                    desk.on_admitted(pair, Ok(value));
                }),
                Err(_) => desk.again.store(true, Ordering::Relaxed),
            };
            if !commands.is_empty() {
                self.link.ask_all(&commands, Patience::Now, Box::new(answer));
            }
            if !left.is_empty() {
                let fields = left.iter().map(|pair| pair_field(pair.client(), pair.principal()));
                self.tell(&[Command::new("HDEL").arg(key("seats", &self.node)).args(fields)]);
            }
        }
    }
}

impl Desk {
    /// Whether Redis has let a connection in. Who gets no answer from it is let in by this node's own count.
    pub(super) fn on_admitted(self: &Arc<Self>, pair: &Arc<Pair>, outcome: Result<Value, LinkError>) -> bool {
        let number = |at: usize| match &outcome {
            Ok(value) => value.part(at).and_then(Value::number).and_then(|n| usize::try_from(n).ok()),
            Err(_) => None,
        };
        let (Some(granted), Some(connections), Some(subscriptions)) = (number(0), number(1), number(2))
        else {
            self.again.store(true, Ordering::Relaxed);
            return true;
        };
        pair.set_elsewhere(connections, subscriptions);
        if connections > 0 {
            let field = pair_field(pair.client(), pair.principal());
            lock(&self.beats).shared.insert(field, pair.clone());
        }
        granted == 1
    }

    /// Sends what needs no answer; if it does not arrive, everything is said again.
    fn tell(&self, commands: &[Command]) {
        let again = self.again.clone();
        // It may come while this thread still asks, so nothing is locked in the answer.
        let answer = move |values: Result<Vec<Value>, LinkError>| {
            if values.is_err() {
                again.store(true, Ordering::Relaxed);
            }
        };
        self.link.ask_all(commands, Patience::Now, Box::new(answer));
    }
}

impl Desk {
    /// Tells Redis of this node and has it say who else lives.
    pub(super) fn beat(self: &Arc<Self>, pairs: &Pairs, hub: &Hub, stats: NodeStats) {
        let again = self.again.swap(false, Ordering::Relaxed);
        let topics = hub.changed_topics(again, TOPICS, NAMED);
        let (revision, shared) = {
            let mut beats = lock(&self.beats);
            beats.gone.drain(..).for_each(|heard| hub.on_node_gone(&heard));
            for field in std::mem::take(&mut beats.told) {
                if let Some((client, principal)) = pair_of(&field) {
                    let pair = pairs.pair(client, principal);
                    beats.shared.insert(field, pair);
                }
            }
            beats.shared.retain(|_, pair| pair.connections() > 0);
            beats.revision += u64::from(again || !topics.is_empty());
            (beats.revision, beats.shared.values().cloned().collect::<Vec<_>>())
        };
        self.forget_if_alone();
        let mut commands = Vec::new();
        if again {
            let kinds = ["seats", "counts", "heard"].map(|kind| key(kind, &self.node));
            commands.push(Command::new("UNLINK").args(kinds));
        }
        for heard in &topics {
            let field = topic_field(&heard.topic);
            let (counts, named) = (key("counts", &self.node), key("heard", &self.node));
            if heard.count == 0 {
                commands.push(Command::new("HDEL").arg(counts).arg(&field));
                commands.push(Command::new("HDEL").arg(named).arg(&field));
            } else {
                commands.push(Command::new("HSET").arg(counts).arg(&field).number(heard.count as u64));
                commands.push(Command::new("HSET").arg(named).arg(&field).arg(hearings(heard)));
            }
        }
        let row = serde_json::to_string(&Row { revision, stats }).unwrap_or_default();
        let beat = BEAT.command(&[NODES]).arg(PREFIX).arg(&*self.node).number(self.lease_ms()).arg(row);
        let desk = self.clone();
        let answer = move |values: Result<Vec<Value>, LinkError>| desk.on_beat(values, again);
        let _order = lock(&self.order);
        for pair in shared {
            let field = pair_field(pair.client(), pair.principal());
            let seats = format!("{} {}", pair.connections(), pair.subscriptions());
            commands.push(Command::new("HSET").arg(key("seats", &self.node)).arg(field).arg(seats));
        }
        commands.push(beat);
        self.link.ask_all(&commands, Patience::Now, Box::new(answer));
        if again {
            self.say(&pairs.list());
        }
    }

    /// Without an answer for as long as a lease, what others said no longer counts.
    fn forget_if_alone(&self) {
        let is_alone = lock(&self.beats).answered.is_some_and(|at| at.elapsed() > self.lease);
        if is_alone {
            *self.others.write().unwrap_or_else(PoisonError::into_inner) = Others::default();
            lock(&self.beats).shared.drain().for_each(|(_, pair)| pair.set_elsewhere(0, 0));
        }
    }

    fn on_beat(self: &Arc<Self>, values: Result<Vec<Value>, LinkError>, said_all: bool) {
        let values = match values {
            Ok(values) => values,
            Err(error) => {
                tracing::debug!(%error, "redis was not told of this hub");
                return self.again.store(true, Ordering::Relaxed);
            }
        };
        if let Some(error) = values.iter().find_map(Value::error) {
            tracing::warn!(error, "redis does not take what this hub says of itself");
            self.again.store(true, Ordering::Relaxed);
        }
        let Some([now, held, gone, live, told]) = values.last().map(Value::parts) else { return };
        if held.number() == Some(0) && !said_all {
            self.again.store(true, Ordering::Relaxed);
        }
        let now_ms = now.number().unwrap_or(0);
        let live: Vec<_> = live
            .parts()
            .iter()
            .filter_map(|node| live_node(node, now_ms.saturating_add(self.lease_ms())))
            .collect();
        let stale = {
            let mut others = self.others.write().unwrap_or_else(PoisonError::into_inner);
            let mut beats = lock(&self.beats);
            let gone = gone.parts().iter().filter_map(Value::text);
            beats.gone.extend(gone.map(|node| others.heard_at(node)));
            beats.told.extend(told.parts().iter().filter_map(Value::text).map(str::to_string));
            beats.answered = Some(Instant::now());
            others.take(live)
        };
        self.ask_counts(stale);
        self.ask_shared();
    }

    /// Reads what those nodes count whose revision is another.
    fn ask_counts(self: &Arc<Self>, stale: Vec<(Box<str>, u64)>) {
        if stale.is_empty() {
            return;
        }
        let read = |(node, _): &(Box<str>, u64)| Command::new("HGETALL").arg(key("counts", node));
        let commands: Vec<Command> = stale.iter().map(read).collect();
        let desk = self.clone();
        let answer = move |values: Result<Vec<Value>, LinkError>| {
            let values = values.unwrap_or_default();
            for ((node, revision), value) in
                stale.iter().zip(&values).filter(|(_, value)| value.error().is_none())
            {
                let pair = |pair: &[Value]| match pair {
                    [field, count] => Some((field.text()?.into(), usize::try_from(count.number()?).ok()?)),
                    _ => None,
                };
                let counts: Counts = value.parts().chunks(2).filter_map(pair).collect();
                desk.others
                    .write()
                    .unwrap_or_else(PoisonError::into_inner)
                    .take_counts(node, *revision, counts);
            }
        };
        self.link.ask_all(&commands, Patience::Now, Box::new(answer));
    }

    /// Reads what other nodes count of pairs that are there too.
    fn ask_shared(self: &Arc<Self>) {
        let nodes = self.others().names();
        let shared: Vec<(String, Arc<Pair>)> = {
            let beats = lock(&self.beats);
            beats.shared.iter().take(SHARED).map(|(field, pair)| (field.clone(), pair.clone())).collect()
        };
        for shared in shared.chunks(FIELDS) {
            let fields = || shared.iter().map(|(field, _)| field);
            let read = |node| Command::new("HMGET").arg(key("seats", node)).args(fields());
            let commands: Vec<Command> = nodes.iter().map(|node| read(node)).collect();
            if commands.is_empty() {
                self.take_shared(shared, &[]);
                continue;
            }
            let (desk, shared) = (self.clone(), shared.to_vec());
            let answer = move |values: Result<Vec<Value>, LinkError>| {
                if let Ok(values) = values {
                    desk.take_shared(&shared, &values);
                }
            };
            self.link.ask_all(&commands, Patience::Now, Box::new(answer));
        }
    }

    fn take_shared(&self, shared: &[(String, Arc<Pair>)], nodes: &[Value]) {
        for (at, (field, pair)) in shared.iter().enumerate() {
            let said = nodes.iter().filter_map(|node| node.part(at)?.text()).map(seats_of);
            let (connections, subscriptions) = said.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
            pair.set_elsewhere(connections, subscriptions);
            if connections == 0 {
                // When it comes elsewhere again, this node is told.
                lock(&self.beats).shared.remove(field);
            }
        }
    }

    /// Ends this node's lease and all that hangs on it.
    pub(super) fn leave(&self) {
        let kinds = ["row", "seats", "counts", "heard", "tell"].map(|kind| key(kind, &self.node));
        self.tell(&[Command::new("ZREM").arg(NODES).arg(&*self.node), Command::new("UNLINK").args(kinds)]);
    }
}

/// A living node: its name, its row, and when it said so; a lease that is renewed now ends at `latest_ms`.
fn live_node(value: &Value, latest_ms: u64) -> Option<(Box<str>, Row, Instant)> {
    let [node, until, row] = value.parts() else { return None };
    let age = latest_ms.saturating_sub(until.number()?);
    let said = Instant::now().checked_sub(Duration::from_millis(age))?;
    Some((node.text()?.into(), serde_json::from_slice(row.bytes()?).ok()?, said))
}
