//! Several hubs on one message broker as one: what this one tells the others of itself, and what they say in its answers.
//! How they come to know of one another is the registry's.

use tapeline_core::Hub;
use tapeline_core::registry::{Admission, HeardElsewhere};
use tapeline_core::{Channel, Refusal};
use tapeline_schema::ops::{NodeStats, StatsAnswer};

use crate::app::App;
use crate::asking::{deadline, question, within};
use crate::stats::{CONFLATED, DROPPED, by_cause, sum};

impl App {
    /// Tells other nodes of this one, and has the registry hear of them; call every [`tapeline_core::registry::BEAT`].
    pub fn beat(&self) {
        self.hub.registry().beat(&self.hub, own(self));
    }
}

/// What this node has counted.
pub(crate) fn own(app: &App) -> NodeStats {
    let hub = &app.hub;
    let sessions = sum(hub, |shard| shard.sessions.read());
    NodeStats {
        instance: hub.instance().to_string(),
        address: app.address.map(|address| address.to_string()),
        version: env!("CARGO_PKG_VERSION").to_string(),
        uptime_s: app.started.elapsed().as_secs(),
        connections: sessions,
        clients: sessions,
        subscriptions: sum(hub, |shard| shard.subscriptions.read()),
        published: hub.stats().published(),
        delivered: sum(hub, |shard| shard.total(|family| &family.delivered)),
        conflated: by_cause(hub, &CONFLATED).values().sum(),
        dropped: by_cause(hub, &DROPPED),
        seen_ms: 0,
    }
}

/// Adds what other nodes counted.
pub(crate) fn add_others(hub: &Hub, answer: &mut StatsAnswer) {
    for other in hub.registry().nodes() {
        answer.connections += other.connections;
        answer.clients += other.clients;
        answer.subscriptions += other.subscriptions;
        answer.published += other.published;
        answer.delivered += other.delivered;
        answer.conflated += other.conflated;
        for (cause, count) in &other.dropped {
            *answer.dropped.entry(cause.clone()).or_default() += count;
        }
        answer.nodes.push(other);
    }
}

/// Asks whether a connection may come in, over all nodes.
pub(crate) async fn admit(
    hub: &Hub,
    client: &str,
    principal: &str,
    limit: usize,
) -> Result<Admission, Refusal> {
    let (answer, answered) = question();
    hub.registry().admit(client, principal, limit, answer);
    within(deadline(), answered).await
}

/// Who hears a channel at other nodes; who is out of reach is only counted, as far as it is known.
pub(crate) async fn hearers(hub: &Hub, channel: &Channel, limit: usize) -> HeardElsewhere {
    let (answer, answered) = question();
    hub.registry().hearers(channel, limit, answer);
    let count = hub.registry().subscribers(channel);
    let unnamed = HeardElsewhere { count, ..HeardElsewhere::default() };
    within(deadline(), answered).await.unwrap_or(unnamed)
}
