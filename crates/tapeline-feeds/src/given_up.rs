//! What a feed's publication leaves behind when the hub does not take it: a dead letter of the feed. It does not decide
//! what is given up.

use bytes::Bytes;
use tapeline_core::command::Publication;
use tapeline_core::dead_letters::{GivenUp, Original};
use tapeline_core::{Channel, Draft, Hub, Refusal};
use tapeline_schema::events::DeadLetterReason;

/// What stays of a draft that is on its way, without what only the hub needs.
pub(crate) struct Sent {
    channel: Channel,
    kind: Option<Box<str>>,
    data: Bytes,
    correlation_id: Option<Box<str>>,
    idempotency_key: Option<Box<str>>,
    owner: Option<Box<str>>,
    at_us: u64,
}

impl From<&Draft> for Sent {
    fn from(draft: &Draft) -> Self {
        Sent {
            channel: draft.channel.clone(),
            kind: draft.kind.clone(),
            data: draft.data.clone(),
            correlation_id: draft.correlation_id.clone(),
            idempotency_key: draft.idempotency.as_ref().map(|idempotency| idempotency.key.clone()),
            owner: draft.owner.clone(),
            at_us: draft.timestamp_us,
        }
    }
}

impl Sent {
    /// Where it was going.
    pub(crate) fn channel(&self) -> &Channel {
        &self.channel
    }

    /// The broker refused it.
    pub(crate) fn refused(&self, hub: &Hub, principal: &str, refusal: &Refusal) {
        give_up(hub, principal, DeadLetterReason::Refused, &sentence(refusal), self.at_us, self.original());
    }

    /// It waited for room for too long.
    pub(crate) fn dropped(&self, hub: &Hub, principal: &str, error: &str) {
        give_up(hub, principal, DeadLetterReason::Overflow, error, self.at_us, self.original());
    }

    fn original(&self) -> Original<'_> {
        Original {
            channel: self.channel.name(),
            kind: self.kind.as_deref(),
            data: &self.data,
            correlation_id: self.correlation_id.as_deref(),
            idempotency_key: self.idempotency_key.as_deref(),
            owner: self.owner.as_deref(),
        }
    }
}

/// The hub refused it at once.
pub(crate) fn refused(hub: &Hub, principal: &str, publication: &Publication, refusal: &Refusal) {
    let original = Original {
        channel: &publication.channel,
        kind: publication.kind.as_deref(),
        data: &publication.data,
        correlation_id: publication.correlation_id.as_deref(),
        idempotency_key: publication.idempotency_key.as_deref(),
        owner: publication.owner.as_deref(),
    };
    let at_us = hub.now().wall_us;
    give_up(hub, principal, DeadLetterReason::Refused, &sentence(refusal), at_us, original);
}

fn sentence(refusal: &Refusal) -> String {
    format!("{}: {refusal}", refusal.code)
}

fn give_up(
    hub: &Hub,
    principal: &str,
    reason: DeadLetterReason,
    error: &str,
    first_us: u64,
    original: Original<'_>,
) {
    // The feed's own name: its principal says besides that it is one.
    let source = principal.strip_prefix("feed:").unwrap_or(principal);
    let last_us = hub.now().wall_us;
    hub.give_up(GivenUp { source, reason, error, attempts: 1, first_us, last_us, original });
}
