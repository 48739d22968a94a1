//! The conformance suite. The suite hears every message without asking for it, so each subject listens to all channels.

use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use tapeline_core::Broker;
use tapeline_core::broker::Interest;
use tapeline_core::testkit::suite::{Open, Subject};
use tapeline_schema::Pattern;

use crate::redis::RedisBroker;
use crate::redis::testing::RedisServer;
use crate::redis::url::Address;

fn open(server: &RedisServer) -> Subject {
    Subject::new(|clock, directory| {
        let address = Address::parse(&server.url()).unwrap();
        let broker = RedisBroker::open(address, clock, directory, 7, Vec::new()).unwrap();
        let all = Interest::Pattern(Pattern::parse("*").unwrap());
        broker.listen(&all);
        let (to, from) = sync_channel(1);
        broker.sources(&all, 0, Box::new(move |_| to.send(()).unwrap()));
        from.recv().unwrap();
        Arc::new(broker)
    })
}

/// Pub/sub knows no databases, so each promise has a server of its own.
fn hold(promise: fn(Open<'_>)) {
    let server = RedisServer::start();
    promise(&|| open(&server));
}

tapeline_core::broker_promises!(hold);
