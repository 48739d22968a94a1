//! Who is connected, over all nodes on one Redis. Each node holds a lease of 10 s, renewed every two, and everything that
//! it says hangs on that lease: seats of its connections, what its sessions hear, its counters. A dead node's lease runs
//! out and all of it is gone.
//!
//! Connections are counted exactly: a script adds up what all living nodes have seated. Everything else is as the others
//! said last. Out of Redis' reach a node counts alone. How commands travel is the link's.

mod desk;
mod others;
#[cfg(test)]
mod tests;
mod words;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tapeline_core::broker::{Condition, Health};
use tapeline_core::registry::{Admission, HeardElsewhere, Pairs, Registry};
use tapeline_core::{Channel, Hub};
use tapeline_schema::ops::{NodeStats, PresentSession};

use super::link::{Command, Link, LinkError, Patience, Value, lock};
use desk::{Desk, Telling};
pub(super) use words::NODES;
use words::{Present, key};

/// How long a node that says nothing is taken for alive.
const LEASE: Duration = Duration::from_secs(10);
/// Who connects waits so long for what the others have seated, well below what a request over HTTP waits.
const ADMIT_WITHIN: Duration = Duration::from_secs(1);
/// Topics that one beat tells of; others wait for the next.
const TOPICS: usize = 4_096;
/// Sessions that are named of each.
const NAMED: usize = 100;

/// See the module.
pub struct RedisRegistry {
    desk: Arc<Desk>,
    pairs: Pairs,
}

impl RedisRegistry {
    /// The registry of the node of this name.
    pub fn new(link: Arc<Link>, node: &str) -> Self {
        RedisRegistry::with_lease(link, node, LEASE)
    }

    fn with_lease(link: Arc<Link>, node: &str, lease: Duration) -> Self {
        let desk = Arc::new(Desk::new(link, node, lease));
        RedisRegistry { pairs: Pairs::kept_by(Arc::new(Telling(desk.clone()))), desk }
    }
}

/// An answer that may come before the question has been asked to its end; then whoever asks passes it on, so that nothing
/// is done under the asker's lock.
enum Pending<T> {
    Asking,
    Answered(T),
    Asked,
}

type Answer = Box<dyn FnOnce(Admission) + Send>;

impl Registry for RedisRegistry {
    fn admit(&self, client: &str, principal: &str, limit: usize, answer: Answer) {
        let pair = self.pairs.pair(client, principal);
        let pending = Arc::new(Mutex::new(Pending::Asking));
        let told = pending.clone();
        {
            // Seats are told in the order in which they are taken.
            let _order = lock(&self.desk.order);
            let Some(seat) = pair.take_seat(limit) else {
                return answer(Admission::Refused(pair.on_refused()));
            };
            let command = self.desk.ask_for(&pair, Some(limit));
            let desk = self.desk.clone();
            // While there is no line this node counts alone at once.
            let up = self.desk.link.is_up();
            let patience = if up { Patience::For(ADMIT_WITHIN) } else { Patience::Now };
            self.desk.link.ask(&command, patience, move |outcome| {
                let admission = match desk.on_admitted(&pair, outcome) {
                    true => {
                        pair.on_admitted();
                        Admission::Granted(seat)
                    }
                    false => {
                        drop(seat);
                        Admission::Refused(pair.on_refused())
                    }
                };
                let mut pending = lock(&told);
                if matches!(*pending, Pending::Asking) {
                    *pending = Pending::Answered((answer, admission));
                    return;
                }
                drop(pending);
                answer(admission);
            });
        }
        let early = std::mem::replace(&mut *lock(&pending), Pending::Asked);
        if let Pending::Answered((answer, admission)) = early {
            answer(admission);
        }
    }

    fn beat(&self, hub: &Hub, own: NodeStats) {
        self.desk.beat(&self.pairs, hub, own);
    }

    fn subscribers(&self, channel: &Channel) -> usize {
        self.desk.others().subscribers(channel)
    }

    fn hearers(&self, channel: &Channel, limit: usize, answer: Box<dyn FnOnce(HeardElsewhere) + Send>) {
        let (ways, count) = {
            let others = self.desk.others();
            (others.ways(channel), others.subscribers(channel))
        };
        if ways.is_empty() {
            return answer(HeardElsewhere::default());
        }
        let commands: Vec<Command> = ways
            .iter()
            .map(|(node, ways)| {
                Command::new("HMGET").arg(key("heard", node)).args(ways.iter().map(|way| &way.field))
            })
            .collect();
        let named = move |values: Result<Vec<Value>, LinkError>| {
            let values = values.unwrap_or_default();
            answer(listed(&ways, &values, limit).unwrap_or(HeardElsewhere { count, sessions: Vec::new() }));
        };
        self.desk.link.ask_all(&commands, Patience::Now, Box::new(named));
    }

    fn nodes(&self) -> Vec<NodeStats> {
        self.desk.others().rows()
    }

    fn health(&self) -> Option<Health> {
        Some(match self.desk.link.why_down() {
            None => Health::ok(format!("{} other hubs", self.desk.others().names().len())),
            Some(why) => Health {
                condition: Condition::Degraded,
                detail: format!("limits, presence and counts are of this hub alone: {why}"),
            },
        })
    }

    fn sweep(&self) {
        self.pairs.sweep();
    }

    fn close(&self) {
        self.desk.leave();
    }
}

/// The sessions of all nodes, each once; counted too where no list was cut short.
fn listed(ways: &[(Box<str>, Vec<others::Way>)], values: &[Value], limit: usize) -> Option<HeardElsewhere> {
    if values.len() < ways.len() {
        return None;
    }
    let (mut sessions, mut count): (Vec<PresentSession>, usize) = (Vec::new(), 0);
    for ((node, ways), value) in ways.iter().zip(values) {
        let mut seen: Vec<u64> = Vec::new();
        let mut unnamed = 0;
        for (way, value) in ways.iter().zip(value.parts()) {
            let listed: Vec<Present> =
                value.bytes().and_then(|json| serde_json::from_slice(json).ok()).unwrap_or_default();
            unnamed += way.count.saturating_sub(listed.len().max(way.count.min(NAMED)));
            for present in listed {
                if !seen.contains(&present.session) {
                    seen.push(present.session);
                    if sessions.len() < limit {
                        sessions.push(present.at(node, way.via.as_deref()));
                    }
                }
            }
        }
        count += seen.len() + unnamed;
    }
    Some(HeardElsewhere { count, sessions })
}
