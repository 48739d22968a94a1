//! The narrow waist: what a message broker does for the hub, and what the hub's shards do for a broker.
//!
//! A broker orders, keeps and relays messages. It counts, keeps and delivers in one atomic step per channel, so
//! order, retention and resume agree. It does not know sessions, protocols or queues.
//!
//! The catalogue may change under a channel that the broker keeps ([`Channel::current`]). When it next looks at the
//! channel it takes the new row; where the channel has ended it counts anew, with nothing kept but who has joined.

use std::sync::Arc;

use smallvec::SmallVec;
use tapeline_schema::Pattern;
use tapeline_schema::ops::BrokerReport;

use crate::channel::Channel;
use crate::error::Refusal;
use crate::message::{Draft, Epoch, Message, Receipt};
use crate::reply::Topic;

/// Drafts published together, at most [`SLICE`].
pub type Drafts = SmallVec<[Draft; 1]>;

/// Messages of one channel, in its order.
pub type Messages = SmallVec<[Arc<Message>; 1]>;

/// As `after` of [`Broker::read`]: the newest message.
pub const NEWEST: u64 = u64::MAX;

/// The most messages that permits are taken for at once.
pub const SLICE: usize = 256;

/// Called once with one result a draft, in the drafts' order; from any thread, possibly before `publish` returns.
pub type Receipts = Box<dyn FnOnce(Vec<Result<Receipt, Refusal>>) + Send>;

/// The broker cannot take the drafts now; here they are again.
pub struct Busy {
    /// What was not published.
    pub drafts: Drafts,
    /// Its receipts, not called.
    pub receipts: Option<Receipts>,
}

/// What a subscriber wants to hear of: more than one source channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Interest {
    /// All channels whose names match.
    Pattern(Pattern),
    /// All sources of this roll-up, and the roll-up's own name.
    RollUp(Channel),
}

impl Interest {
    /// What a subscription that hears each source wants.
    pub fn of(topic: &Topic) -> Self {
        match topic {
            Topic::Channel(channel) => Interest::RollUp(channel.clone()),
            Topic::Pattern(pattern) => Interest::Pattern(pattern.clone()),
        }
    }
}

/// Where a channel stands.
#[derive(Clone, Debug)]
pub struct Head {
    /// What its offsets count under; never longer than an [`Epoch`] has room for.
    pub epoch: Epoch,
    /// The newest offset, 0 before the first message.
    pub top: u64,
    /// The oldest kept offset; `top + 1` if nothing is kept.
    pub oldest: u64,
}

/// A piece of what a channel keeps.
#[derive(Clone, Debug)]
pub struct Page {
    /// Where the channel stood when it was read.
    pub head: Head,
    /// In order. Where the channel keeps history they are dense, but for what was forgotten of a roll-up's sources; fewer
    /// than were asked for reach to the channel's end.
    pub messages: Vec<Arc<Message>>,
}

/// The sources of an interest.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// Each with where it stands.
    pub heads: Vec<(Channel, Head)>,
    /// Whether there are more than the limit let through.
    pub partial: bool,
}

/// How a broker is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// All publishes are taken.
    Ok,
    /// What it rests on is out of reach or refuses: publishes are refused or held.
    Degraded,
    /// There is no room for what is to be kept; the rest goes on.
    StorageFull,
}

impl Condition {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Condition::Ok => "ok",
            Condition::Degraded => "degraded",
            Condition::StorageFull => "storage_full",
        }
    }
}

/// Whether a broker can do its work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// How it is.
    pub condition: Condition,
    /// For people.
    pub detail: String,
}

impl Health {
    /// All is well.
    pub fn ok(detail: impl Into<String>) -> Self {
        Health { condition: Condition::Ok, detail: detail.into() }
    }
}

/// A message broker.
pub trait Broker: Send + Sync {
    /// Says where messages are to be delivered. Called once, before anything else.
    fn attach(&self, sink: Arc<dyn Deliver>);
    /// Counts, keeps and delivers each draft, in order; `Busy` gives all of them back.
    fn publish(&self, drafts: Drafts, receipts: Option<Receipts>) -> Result<(), Box<Busy>>;
    /// Says that this node wants the channel's messages, and answers where the channel stands.
    fn join(&self, channel: &Channel, answer: Box<dyn FnOnce(Head) + Send>);
    /// Says that this node no longer wants the channel's messages.
    fn leave(&self, channel: &Channel);
    /// Says that this node wants the messages of an interest's sources, whichever those are or come to be. Asked before
    /// [`Broker::sources`], whose answer waits until what is published reaches the node. A broker that hands every
    /// message to its node anyway does nothing.
    fn listen(&self, _interest: &Interest) {}
    /// Takes back one [`Broker::listen`].
    fn unlisten(&self, _interest: &Interest) {}
    /// Reads at most `limit` kept messages after `after`; the newest where the channel keeps no history.
    fn read(&self, channel: &Channel, after: u64, limit: usize, answer: Box<dyn FnOnce(Page) + Send>);
    /// Lists an interest's sources, at most `limit`.
    fn sources(&self, interest: &Interest, limit: usize, answer: Box<dyn FnOnce(Sources) + Send>);
    /// Forgets what is kept of a channel up to this offset, in its roll-ups too, and answers how many messages of the
    /// channel that were. Offsets go on, the epoch stays, and whoever hears the channel notices nothing; who reads later
    /// finds what was forgotten missing. A roll-up forgets only what it keeps itself. A table is its rows and forgets
    /// nothing.
    fn forget(&self, channel: &Channel, through: u64, answer: Box<dyn FnOnce(u64) + Send>);
    /// Whether each message reaches this node, whatever it listens to.
    fn brings_all(&self) -> bool {
        true
    }
    /// Whether the broker works.
    fn health(&self) -> Health;
    /// Looks at what the broker rests on, which may take a while; for people.
    fn inspect(&self, answer: Box<dyn FnOnce(BrokerReport) + Send>) {
        answer(BrokerReport::default());
    }
    /// Finishes what was acknowledged and lets go of its resources.
    fn close(&self);
}

/// The right to deliver this many messages to every shard; unused ones go back when dropped.
pub struct Permits {
    left: usize,
    back: Arc<dyn Deliver>,
}

impl Permits {
    /// For implementations of [`Deliver::permits`] that have just counted `left` messages in every inbox.
    pub fn counted(left: usize, back: Arc<dyn Deliver>) -> Self {
        Permits { left, back }
    }

    /// Uses this many; `false` if there are fewer.
    pub fn take(&mut self, count: usize) -> bool {
        let left = self.left.checked_sub(count);
        self.left = left.unwrap_or(self.left);
        left.is_some()
    }
}

impl Drop for Permits {
    fn drop(&mut self) {
        if self.left > 0 {
            self.back.give_back(self.left);
        }
    }
}

/// The shards' inboxes, as a broker sees them. No method waits.
pub trait Deliver: Send + Sync {
    /// Room for `count` messages in every shard's inbox, or `None` if one is too full.
    fn permits(self: Arc<Self>, count: usize) -> Option<Permits>;
    /// Hands messages of one channel to every shard, for a permit each. Calls for one channel come in its order.
    fn deliver(&self, permits: &mut Permits, messages: Messages);
    /// A publish repeated an earlier one and went nowhere.
    fn on_repeat(&self, _channel: &Channel) {}
    /// A draft was refused by the row that its channel has by now.
    fn on_refusal(&self, _channel: &Channel, _refusal: &Refusal) {}
    /// Where a channel stands, said unasked: the broker may have missed messages of it. Whoever hears the channel and
    /// stands elsewhere reads what is lacking.
    fn on_head(&self, _channel: &Channel, _head: &Head) {}
    /// Messages meant for this channel may have been lost before they were counted: no offset is missing, but whoever
    /// hears each of them has to know.
    fn on_lost(&self, _channel: &Channel) {}
    /// What the broker rests on is out of reach from now on (`true`), or is back.
    fn on_degraded(&self, _degraded: bool) {}
    /// Takes unused permits back.
    fn give_back(&self, count: usize);
    /// Calls `wake` once when there may be room again; at once if there is.
    fn when_room(&self, wake: Box<dyn FnOnce() + Send>);
}
