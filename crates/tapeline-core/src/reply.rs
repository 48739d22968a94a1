//! What the hub says to one session beside messages. A wire turns it into bytes at once; nothing keeps it.

use std::sync::Arc;

use crate::channel::Channel;
use crate::command::Req;
use crate::error::Refusal;
use crate::message::{Epoch, Message, Receipt};
use tapeline_schema::Pattern;
use tapeline_schema::events::FreshnessState;

/// What a subscription covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Topic {
    /// One channel or roll-up.
    Channel(Channel),
    /// All channels that match.
    Pattern(Pattern),
}

impl Topic {
    /// The channel's name or the pattern's text.
    pub fn name(&self) -> &str {
        match self {
            Topic::Channel(channel) => channel.name(),
            Topic::Pattern(pattern) => pattern.as_str(),
        }
    }

    /// Whether it asks for the channel: by its name, by a pattern, or as one of its roll-ups.
    pub fn covers(&self, channel: &Channel) -> bool {
        match self {
            Topic::Channel(asked) => asked == channel || channel.roll_ups().contains(asked),
            Topic::Pattern(pattern) => pattern.matches(channel.name()),
        }
    }
}

/// Why offsets are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GapReason {
    /// Retention has passed them.
    Trimmed,
    /// The channel's counter began anew.
    Epoch,
    /// They did not fit and are not kept.
    Overflow,
    /// The broker lost them.
    Broker,
}

impl GapReason {
    /// For people.
    pub fn why(self) -> &'static str {
        match self {
            GapReason::Trimmed => "they are no longer kept",
            GapReason::Epoch => "the channel began anew",
            GapReason::Overflow => "they did not fit into the outbox and are not kept",
            GapReason::Broker => "the message broker lost them",
        }
    }

    /// As on the wire.
    pub fn name(self) -> &'static str {
        match self {
            GapReason::Trimmed => "trimmed",
            GapReason::Epoch => "epoch",
            GapReason::Overflow => "overflow",
            GapReason::Broker => "broker",
        }
    }
}

/// What is true of a subscription at the moment of its confirmation.
#[derive(Clone, Debug)]
pub struct Confirmation {
    /// What was subscribed.
    pub topic: Topic,
    /// Where the channel stands: newest offset and epoch. Absent for what has no counter of its own.
    pub head: Option<(u64, Epoch)>,
    /// The offset of `head`'s epoch that the client stands at once it has read this: all after it follows. Absent where
    /// what leads up to `head` comes as a whole, so that no offset says how much of it the client has.
    pub stands: Option<u64>,
    /// Present when `since` was given: nothing is missing.
    pub recovered: Option<bool>,
    /// Whether the last values sent are all there are.
    pub partial: bool,
    /// The steps that the rate was rounded to.
    pub max_rate: Option<u32>,
    /// "did you mean …", for undeclared names.
    pub hint: Option<String>,
    /// What a roll-up or pattern covers.
    pub covers: Option<Vec<Box<str>>>,
    /// The hub's time, microseconds since 1970.
    pub time_us: u64,
    /// Echoed.
    pub req: Req,
}

/// One answer or notice.
#[derive(Clone, Debug)]
pub enum Reply {
    /// A subscription stands.
    Confirmed(Box<Confirmation>),
    /// A subscription is over.
    Unsubscribed {
        /// What it was of; absent for "all".
        topic: Option<(bool, Box<str>)>,
        /// Echoed.
        req: Req,
    },
    /// Offsets `from..=to` will not come.
    Gap {
        /// Of this channel.
        channel: Channel,
        /// The first missing.
        from: u64,
        /// The last missing, where it is known.
        to: Option<u64>,
        /// Why.
        reason: GapReason,
    },
    /// So many messages of a channel were replaced by newer ones before they were sent.
    Conflated {
        /// Of this channel.
        channel: Channel,
        /// Since the last such notice.
        count: u64,
    },
    /// A channel has fallen out of its rhythm, or come back to it.
    Freshness {
        /// This one.
        channel: Channel,
        /// How it stands now.
        state: FreshnessState,
        /// How long it has been silent.
        age_ms: u64,
    },
    /// The book of a channel was found wrong: it is fetched anew, and comes whole when it is right again.
    BookResync {
        /// This one.
        channel: Channel,
    },
    /// What the message broker rests on is out of reach (`true`), or back.
    Degraded(bool),
    /// A publish was counted.
    Published {
        /// Where.
        channel: Channel,
        /// As what.
        receipt: Receipt,
        /// Sessions that hear the channel now.
        subscribers: usize,
        /// Echoed.
        req: Req,
    },
    /// The newest message.
    Last {
        /// Of this channel.
        channel: Channel,
        /// Absent if there is none.
        message: Option<Arc<Message>>,
        /// Echoed.
        req: Req,
    },
    /// Kept messages.
    History {
        /// Of this channel.
        channel: Channel,
        /// What their offsets count under.
        epoch: Epoch,
        /// In order.
        messages: Vec<Arc<Message>>,
        /// Ask again with this offset for more; absent at the end.
        next: Option<u64>,
        /// Echoed.
        req: Req,
    },
    /// The session's subscriptions.
    Subscriptions {
        /// Pattern or not, name.
        topics: Vec<(bool, Box<str>)>,
        /// Echoed.
        req: Req,
    },
    /// Answer to a ping, or a heartbeat after silence.
    Time {
        /// Whether it answers a ping.
        pong: bool,
        /// The hub's time, microseconds since 1970.
        time_us: u64,
        /// Echoed.
        req: Req,
    },
    /// The client is who it says it is.
    TokenOk {
        /// When that ends, microseconds since 1970.
        until_us: Option<u64>,
        /// Echoed.
        req: Req,
    },
    /// The client's token ends in so many seconds; a new one may be sent before.
    TokenExpiring {
        /// Whole seconds.
        in_s: u64,
    },
    /// The hub stops: connect again, here or elsewhere, in so many milliseconds.
    Reconnect {
        /// The connection is closed by the hub then.
        after_ms: u64,
    },
    /// Something was refused.
    Error {
        /// Why.
        refusal: Refusal,
        /// About this channel or pattern.
        about: Option<Box<str>>,
        /// Echoed.
        req: Req,
    },
}

impl Reply {
    /// The client's mark on the request that this answers; nothing where the hub speaks on its own account.
    pub fn req(&self) -> &Req {
        match self {
            Reply::Confirmed(confirmation) => &confirmation.req,
            Reply::Unsubscribed { req, .. }
            | Reply::Published { req, .. }
            | Reply::Last { req, .. }
            | Reply::History { req, .. }
            | Reply::Subscriptions { req, .. }
            | Reply::Time { req, .. }
            | Reply::TokenOk { req, .. }
            | Reply::Error { req, .. } => req,
            Reply::Gap { .. }
            | Reply::Conflated { .. }
            | Reply::Freshness { .. }
            | Reply::BookResync { .. }
            | Reply::Degraded(_)
            | Reply::TokenExpiring { .. }
            | Reply::Reconnect { .. } => &None,
        }
    }
}
