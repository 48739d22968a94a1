//! The message broker for many nodes: everything in Redis, so that hubs that share one behave as one hub.
//!
//! One script a publish counts, keeps and publishes ([`outgoing`], `scripts/`); a node delivers what it hears by pub/sub,
//! its own messages included ([`node`]). It delivers nothing of its own accord, so while Redis is away nobody hears
//! anything that others will not.

mod batch;
mod finding;
mod frame;
pub mod intake;
mod joined;
mod line;
pub mod link;
mod node;
mod outgoing;
mod plan;
mod publishing;
mod reading;
pub mod registry;
mod report;
mod request;
mod resp;
mod script;
mod scripts;
mod seen;
mod socket;
pub mod store;
#[cfg(test)]
pub(crate) mod testing;
mod topics;
mod upkeep;
pub mod url;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tapeline_core::broker::{Busy, Condition, Drafts, Head, Health, Interest, Page, Receipts, Sources};
use tapeline_core::{Broker, Channel, Clock, Deliver, Directory, Draft, Refusal};
use tapeline_schema::ops::BrokerReport;
use tapeline_schema::{ErrorCode, Pattern};

use link::{ConnectError, Link, lock};
use node::Node;
use outgoing::When;
use url::Address;

/// See the module.
pub struct RedisBroker {
    node: Arc<Node>,
}

impl RedisBroker {
    /// Opens a broker over the Redis at this address; messages of `mirror` are also published bare, under their plain
    /// names. One that is out of reach is tried again and again.
    ///
    /// # Errors
    /// Redis does not let us in.
    pub fn open(
        address: Address,
        clock: Arc<dyn Clock>,
        directory: Arc<Directory>,
        seed: u64,
        mirror: Vec<Pattern>,
    ) -> Result<Self, ConnectError> {
        let link = Arc::new(Link::new(address, &format!("tapeline-{}", std::process::id())));
        let node = Node::new(link.clone(), clock, directory, seed, mirror);
        link.start(node.me.clone())?;
        Ok(RedisBroker { node })
    }

    /// The link, for who keeps other things in the same Redis.
    pub fn link(&self) -> Arc<Link> {
        self.node.link.clone()
    }

    /// The command that publishes this draft, as it goes over the wire: for who measures Redis without a hub.
    pub fn command_of(&self, draft: &Draft) -> Vec<u8> {
        let mut packed = Vec::new();
        self.node.command(draft, When::Always).0.pack(&mut packed);
        packed
    }
}

impl Broker for RedisBroker {
    fn attach(&self, sink: Arc<dyn Deliver>) {
        // A second call would be a programming error and changes nothing.
        let _ = self.node.sink.set(sink);
        self.node.tell_condition();
    }

    fn publish(&self, drafts: Drafts, receipts: Option<Receipts>) -> Result<(), Box<Busy>> {
        let Some(sink) = self.node.sink.get() else {
            let refusal = Refusal::new(ErrorCode::Internal, "the message broker is not attached");
            if let Some(receipts) = receipts {
                receipts(drafts.iter().map(|_| Err(refusal.clone())).collect());
            }
            return Ok(());
        };
        self.node.publish(drafts, receipts, sink)
    }

    fn join(&self, channel: &Channel, answer: Box<dyn FnOnce(Head) + Send>) {
        self.node.join(channel, answer);
    }

    fn leave(&self, channel: &Channel) {
        self.node.leave(channel);
    }

    fn listen(&self, interest: &Interest) {
        self.node.listen(interest);
    }

    fn unlisten(&self, interest: &Interest) {
        self.node.unlisten(interest);
    }

    fn read(&self, channel: &Channel, after: u64, limit: usize, answer: Box<dyn FnOnce(Page) + Send>) {
        self.node.read(channel, after, limit, answer);
    }

    fn sources(&self, interest: &Interest, limit: usize, answer: Box<dyn FnOnce(Sources) + Send>) {
        self.node.sources(interest, limit, answer);
    }

    fn forget(&self, channel: &Channel, through: u64, answer: Box<dyn FnOnce(u64) + Send>) {
        self.node.forget(channel, through, answer);
    }

    fn brings_all(&self) -> bool {
        false
    }

    fn health(&self) -> Health {
        let address = self.node.link.address();
        let (refusing, held) = {
            let outbox = lock(&self.node.outbox);
            (outbox.refusing(), (outbox.held(), outbox.replaced))
        };
        let waiting = match held {
            (0, 0) => String::new(),
            (held, replaced) => format!("; {held} messages held, {replaced} gave way to newer ones"),
        };
        let dropped = match self.node.dropped.load(Ordering::Relaxed) {
            0 => String::new(),
            dropped => {
                format!("; {dropped} messages passed over, which this hub's catalogue has other rows for")
            }
        };
        if let Some(why) = self.node.link.why_down() {
            let detail = format!("{address} is out of reach: {why}{waiting}{dropped}");
            return Health { condition: Condition::Degraded, detail };
        }
        if let Some(why) = refusing {
            let detail = format!("{address} refuses writes: {why}{waiting}{dropped}");
            return Health { condition: Condition::Degraded, detail };
        }
        let version = lock(&self.node.server).version.clone();
        Health::ok(format!("{address}, Redis {version}{waiting}{dropped}"))
    }

    fn inspect(&self, answer: Box<dyn FnOnce(BrokerReport) + Send>) {
        report::make(&self.node.link, &self.node.directory, answer);
    }

    fn close(&self) {
        self.node.link.close();
        self.node.end_outbox();
    }
}

impl Drop for RedisBroker {
    fn drop(&mut self) {
        // Requests under way hold the node; the thread would outlive its broker.
        self.close();
    }
}

#[cfg(test)]
mod tests;
