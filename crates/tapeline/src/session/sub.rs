//! One subscriber: its queue, and where it is behind what its topic has heard.

use std::collections::BTreeMap;
use std::sync::Arc;

use tapeline_schema::Delivery;
use tokio::sync::oneshot;

use crate::error::Error;
use crate::message::{Place, PubSubMessage};
use crate::queue::{Keep, Queue};

use super::ended;
use super::topic::Wish;

/// A place that a subscriber wants to go on from; without an epoch it counts under the current one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Since {
    pub(crate) offset: u64,
    pub(crate) epoch: Option<Arc<str>>,
}

impl From<&Place> for Since {
    fn from(place: &Place) -> Self {
        Since { offset: place.offset, epoch: Some(place.epoch.clone()) }
    }
}

/// A subscriber on its way in.
pub(crate) struct NewSub {
    pub(crate) id: u64,
    pub(crate) name: Arc<str>,
    pub(crate) wish: Wish,
    pub(crate) since: Option<Since>,
    pub(crate) queue: Arc<Queue>,
    pub(crate) confirm: oneshot::Sender<Result<(), Error>>,
}

/// Where a subscriber stands in one counter, if not with the topic.
#[derive(Debug)]
pub(super) enum Behind {
    /// It wants what came after this, when there is room.
    Waiting { after: Since },
    /// A page after this is on its way. When it was asked for, the topic had heard up to `known`.
    Reading { after: Since, known: Option<Place> },
    /// It has read further than the topic has heard.
    Ahead { to: Place },
}

/// See the module.
pub(super) struct Sub {
    pub(super) topic: u64,
    pub(super) wish: Wish,
    pub(super) queue: Arc<Queue>,
    /// Until the hub has answered.
    pub(super) confirm: Option<oneshot::Sender<Result<(), Error>>>,
    /// Ordered, so that the same frames make the same requests.
    pub(super) behind: BTreeMap<Arc<str>, Behind>,
    /// A page is on its way.
    pub(super) reading: bool,
    /// It asked to begin at a place.
    pub(super) resumes: bool,
}

impl Sub {
    /// How it wants messages of a family with this delivery.
    pub(super) fn delivery(&self, family: Delivery) -> Delivery {
        self.wish.delivery.unwrap_or(family)
    }

    /// Brings a message, unless it is or gets behind.
    pub(super) fn offer(
        &mut self,
        counter: &Arc<str>,
        place: &Place,
        family: Delivery,
        message: &PubSubMessage,
    ) {
        match self.behind.get(counter) {
            Some(Behind::Ahead { to }) if to.epoch == place.epoch && place.offset <= to.offset => return,
            Some(Behind::Ahead { .. }) => drop(self.behind.remove(counter)),
            Some(_) => return,
            None => {}
        }
        let keep = if self.delivery(family) == Delivery::Latest { Keep::Newest } else { Keep::All };
        if !self.queue.push(message.clone(), keep) {
            let after = Since { offset: place.offset.saturating_sub(1), epoch: Some(place.epoch.clone()) };
            self.behind.insert(counter.clone(), Behind::Waiting { after });
        }
    }

    /// The last that it hears.
    pub(super) fn end(self, error: &Error) {
        match self.confirm {
            // Who asked may have stopped waiting.
            Some(confirm) => drop(confirm.send(Err(error.clone()))),
            None => self.queue.push_owed(ended(error)),
        }
        self.queue.end();
    }
}
