//! What comes back to a shard from whatever thread: the broker's answers, and what it says unasked. Messages take
//! another way, through the inbox's lanes.

use std::sync::Arc;

use crate::broker::{Head, Page, Sources};
use crate::catch_up::PageRequest;
use crate::channel::Channel;
use crate::command::Req;
use crate::error::Refusal;
use crate::identifying::Newcomer;
use crate::kept::KeptRequest;
use crate::message::Receipt;
use crate::registry::Admission;
use crate::rights::Identity;
use crate::shard::SessionKey;
use crate::subscribing::JoinRequest;

/// An answer that comes back to a shard, from whatever thread.
pub enum Note {
    /// Where a channel stands.
    Joined(Box<(JoinRequest, Head)>),
    /// The sources of a roll-up or pattern.
    Sources(Box<(JoinRequest, Sources)>),
    /// A page of catch-up.
    Page(Box<(PageRequest, Page)>),
    /// What became of a publish.
    Published(Box<(SessionKey, Channel, Req, Result<Receipt, Refusal>)>),
    /// Where a channel stands, unasked.
    Head(Box<(Channel, Head)>),
    /// What a channel counts under, and what the shard had learned when it asked.
    Told(Box<(Channel, Head, u64)>),
    /// Messages of a channel may have been lost before they were counted.
    Lost(Channel),
    /// What the broker rests on is out of reach, or back.
    Degraded(bool),
    /// A client's token has been checked.
    Identified(Box<(SessionKey, Req, Result<Arc<Identity>, Refusal>)>),
    /// The registry's answer for who a session turned out to be.
    Seated(Box<(Newcomer, Admission)>),
    /// Kept messages that a client asked for.
    Kept(Box<(SessionKey, KeptRequest, Page)>),
    /// An answer that a protocol had somebody else find, for this place in the order of answers.
    Answered(Box<(SessionKey, u64, Vec<u8>)>),
}

/// Where a shard's notes go.
pub trait Mailbox: Send + Sync {
    /// Hands a note to the shard; never waits.
    fn post(&self, note: Note);
}
