//! In which ways a session hears a channel, for wires that deliver a message once for each of them and say which it is.
//! It does not know how that is written.

use std::sync::Arc;

use crate::channel::Channel;
use crate::item::{Item, Named};
use crate::message::{Message, Way, Wire};
use crate::reply::Topic;
use crate::session::Session;

/// The ways of one target; none are remembered where the message's own bytes say it all.
#[derive(Debug)]
pub(crate) struct Ways {
    /// The entry's.
    channel: Channel,
    /// For messages of the entry's own channel.
    all: Box<[Way]>,
    /// For those that a roll-up's entry has collected: patterns hear them from their sources' entries.
    by_name: Box<[Way]>,
}

impl Ways {
    /// How the session hears this entry's channel through those of the subscriptions that `covers` names that have
    /// begun: the client has not been told of the others.
    pub(crate) fn of(channel: &Channel, covers: &[u32], session: &Session) -> Option<Arc<Self>> {
        if !session.outbox.wire().by_subscription() {
            return None;
        }
        let covering = covers.iter().filter_map(|id| session.subscriptions.by_id(*id));
        let begun = covering.filter(|known| !known.joining);
        let all: Box<[Way]> = begun.map(|known| Way { topic: known.topic.clone(), tag: known.tag }).collect();
        let is_own = |way: &Way| matches!(&way.topic, Topic::Channel(asked) if asked == channel);
        if let [only] = &*all
            && is_own(only)
            && only.tag == 0
            && !channel.is_roll_up()
        {
            return None;
        }
        let by_name = all.iter().filter(|way| is_own(way)).cloned().collect();
        Some(Arc::new(Ways { channel: channel.clone(), all, by_name }))
    }

    /// How many times a message is delivered.
    pub(crate) fn count(&self, collected: bool) -> usize {
        self.for_message(collected).len()
    }

    fn for_message(&self, collected: bool) -> &[Way] {
        if collected { &self.by_name } else { &self.all }
    }
}

/// What goes into the outbox for a message; nothing where no way leads here. `collected` says that the entry is a
/// roll-up's, and the message one of its sources'.
#[inline]
pub(crate) fn item(
    message: &Arc<Message>,
    ways: Option<&Arc<Ways>>,
    collected: bool,
    wire: &'static dyn Wire,
) -> Option<Item> {
    let Some(ways) = ways else { return Some(Item::Message(message.clone())) };
    let all = ways.for_message(collected);
    if all.is_empty() {
        return None;
    }
    let bytes = wire.named(message, all);
    let (channel, deliveries) = (ways.channel.clone(), all.len() as u64);
    Some(Item::Named(Box::new(Named { message: message.clone(), channel, bytes, deliveries })))
}
