//! What the registry's keys and values in Redis are called and look like. All keys have one hash tag, so that a script may
//! touch several of them in a cluster too.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tapeline_core::audience::{HeardTopic, Hearing, Who};
use tapeline_core::clock::rfc3339;
use tapeline_core::reply::Topic;
use tapeline_schema::ops::{NodeStats, PresentSession};

/// What all keys begin with.
pub(super) const PREFIX: &str = "tapeline:{registry}:";
/// The leases: each node with the moment when it is taken for dead.
pub(in crate::redis) const NODES: &str = "tapeline:{registry}:nodes";

/// A hash or set of one node: `seats`, `counts`, `heard`.
pub(super) fn key(kind: &str, node: &str) -> String {
    format!("{PREFIX}{kind}:{node}")
}

/// A pair's field among the seats. Either part may hold any text.
pub(super) fn pair_field(client: &str, principal: &str) -> String {
    format!("{}:{client}{principal}", client.len())
}

/// The client id and principal of a field.
pub(super) fn pair_of(field: &str) -> Option<(&str, &str)> {
    let (len, rest) = field.split_once(':')?;
    rest.split_at_checked(len.parse().ok()?)
}

/// Connections and subscriptions, as a seat's value has them.
pub(super) fn seats_of(value: &str) -> (usize, usize) {
    let mut numbers = value.split(' ').map(|number| number.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

/// A topic's field among counts and hearings: a channel and a pattern of the same text differ.
pub(super) fn topic_field(topic: &Topic) -> String {
    match topic {
        Topic::Channel(channel) => channel_field(channel.name()),
        Topic::Pattern(pattern) => format!("p{}", pattern.as_str()),
    }
}

/// The field of a channel.
pub(super) fn channel_field(name: &str) -> String {
    format!("c{name}")
}

/// What a node says of itself.
#[derive(Serialize, Deserialize)]
pub(super) struct Row {
    /// Counts up when its hearings change.
    pub revision: u64,
    pub stats: NodeStats,
}

/// A session that hears a topic.
#[derive(Serialize, Deserialize)]
pub(super) struct Present {
    pub session: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    pub principal: Arc<str>,
    pub since_us: u64,
}

impl Present {
    /// As an answer names it.
    pub(super) fn at(self, node: &str, via: Option<&str>) -> PresentSession {
        PresentSession {
            client: self.client,
            principal: Some(self.principal.to_string()),
            node: node.to_string(),
            since: rfc3339(self.since_us),
            via: via.map(str::to_string),
        }
    }
}

/// The sessions of a topic, as their field has them.
pub(super) fn hearings(heard: &HeardTopic) -> Vec<u8> {
    let one = |hearing: &Hearing| {
        let Who { client, principal } = &*hearing.who;
        let client = client.as_deref().map(str::to_string);
        Present { session: hearing.session, client, principal: principal.clone(), since_us: hearing.since_us }
    };
    let sessions: Vec<Present> = heard.sessions.iter().map(one).collect();
    // Numbers and texts can always be written.
    serde_json::to_vec(&sessions).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pairs_parts_come_apart_again_whatever_they_hold() {
        for (client, principal) in [("a", "b"), ("3:x", "1:y"), ("", ""), ("chart/ä", "10.0.0.1")] {
            assert_eq!(pair_of(&pair_field(client, principal)), Some((client, principal)));
        }
        assert_eq!((pair_of("9:x"), pair_of("x"), pair_of("1:ä")), (None, None, None));
    }
}
