//! The registries of several nodes against one real Redis: what one says the others know, and what ends with a node.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Instant;

use bytes::Bytes;
use tapeline_core::command::Wanted;
use tapeline_core::hub::HubParts;
use tapeline_core::registry::Seat;
use tapeline_core::rights::Grant;
use tapeline_core::session::Arrival;
use tapeline_core::store::{Bounds, LocalStore};
use tapeline_core::testkit::{ManualClock, RoomyInbox};
use tapeline_core::{Clock, Command as Asked, Directory, Message, Reply, Settings, Shard, Wire};
use tapeline_schema::{Catalog, CloseCode, Pattern};

use super::super::link::{Events, Heard, Server};
use super::super::testing::RedisServer;
use super::super::url::Address;
use super::*;
use crate::memory::MemoryBroker;

const PATIENCE: Duration = Duration::from_secs(30);
/// Longer than a test takes.
const LONG: Duration = Duration::from_secs(60);

struct Deaf;

impl Events for Deaf {
    fn on_up(&self, _: &Server) {}
    fn on_down(&self, _: &str) {}
    fn on_heard(&self, _: &mut VecDeque<Heard>) {}
}

struct Mute;

static MUTE: Mute = Mute;

impl Wire for Mute {
    fn slot(&self) -> usize {
        0
    }
    fn message(&self, _: &Message) -> Box<[u8]> {
        Box::default()
    }
    fn reply(&self, _: &Reply) -> Bytes {
        Bytes::new()
    }
    fn ping(&self) -> Bytes {
        Bytes::new()
    }
    fn close(&self, _: CloseCode, _: &str) -> Bytes {
        Bytes::new()
    }
}

/// A hub with one shard, whose messages stay in its own memory.
struct Node {
    hub: Arc<Hub>,
    shard: Shard,
    registry: Arc<RedisRegistry>,
    link: Arc<Link>,
    inbox: Arc<RoomyInbox>,
    clock: Arc<ManualClock>,
    _deaf: Arc<Deaf>,
}

impl Node {
    fn start(redis: &RedisServer, seed: u64, lease: Duration) -> Node {
        let deaf = Arc::new(Deaf);
        let events: Arc<dyn Events> = deaf.clone();
        let link = Arc::new(Link::new(Address::parse(&redis.url()).unwrap(), "test"));
        link.start(Arc::downgrade(&events)).unwrap();
        eventually(|| link.is_up());
        let registry = Arc::new(RedisRegistry::with_lease(link.clone(), &format!("{seed:016x}"), lease));
        let clock = Arc::new(ManualClock::default());
        let settings =
            Settings { presence_events: vec![Pattern::parse("room").unwrap()], ..Settings::default() };
        let hub = Arc::new(Hub::new(HubParts {
            directory: Arc::new(Directory::new(Catalog::built_in())),
            settings,
            clock: clock.clone(),
            broker: Arc::new(MemoryBroker::new(clock.clone(), seed)),
            registry: registry.clone(),
            store: Arc::new(LocalStore::new(clock.clone(), Bounds::default())),
            authority: Arc::new(tapeline_core::rights::Off),
            seed,
            shards: 1,
        }));
        let inbox = Arc::new(RoomyInbox::default());
        hub.broker().attach(inbox.clone());
        let shard = Shard::new(hub.clone(), 0, inbox.clone());
        Node { hub, shard, registry, link, inbox, clock, _deaf: deaf }
    }

    fn beat(&self) {
        let own = NodeStats { instance: self.hub.instance().into(), published: 7, ..NodeStats::default() };
        self.registry.beat(&self.hub, own);
    }

    /// A session that hears this.
    fn hear(&mut self, client: &str, wanted: Wanted) -> u32 {
        let arrival = Arrival {
            principal: "10.0.0.1".into(),
            address: "127.0.0.1".into(),
            seat: None,
            client: Some(client.into()),
            grant: Grant::Anyone,
            wire: &MUTE,
            notices: false,
            heartbeat: false,
            beat: None,
        };
        let slot = self.shard.open(arrival, self.clock.now()).slot;
        let subscribe = Asked::Subscribe { wanted: vec![wanted], options: Box::default(), req: None };
        self.shard.handle(slot, subscribe, self.clock.now());
        slot
    }

    fn admit(&self, limit: usize) -> Receiver<Result<Seat, u64>> {
        let (to, from) = sync_channel(1);
        let answer = move |admission| {
            let told = match admission {
                Admission::Granted(seat) => Ok(seat),
                Admission::Refused(wait) => Err(wait.as_secs()),
            };
            // Who asked may not want to know.
            let _ = to.send(told);
        };
        self.registry.admit("chart", "10.0.0.1", limit, Box::new(answer));
        from
    }

    fn seat(&self, limit: usize) -> Result<Seat, u64> {
        self.admit(limit).recv_timeout(PATIENCE).unwrap()
    }

    fn subscribers(&self, channel: &str) -> usize {
        self.hub.subscribers(&self.hub.channel(channel).unwrap())
    }

    fn hearers(&self, channel: &str, limit: usize) -> HeardElsewhere {
        let (to, from) = sync_channel(1);
        let channel = self.hub.channel(channel).unwrap();
        self.registry.hearers(&channel, limit, Box::new(move |heard| to.send(heard).unwrap()));
        from.recv_timeout(PATIENCE).unwrap()
    }
}

fn channel(name: &str) -> Wanted {
    Wanted::Channel(name.into())
}

fn eventually(mut holds: impl FnMut() -> bool) {
    let since = Instant::now();
    while !holds() {
        assert!(since.elapsed() < PATIENCE, "it does not come to hold");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn connections_of_a_pair_are_limited_over_all_nodes() {
    let redis = RedisServer::start();
    let [one, two] = [1, 2].map(|seed| Node::start(&redis, seed, LONG));
    one.beat();
    two.beat();
    let first = one.seat(3).ok().unwrap();
    let _second = two.seat(3).ok().unwrap();
    let _third = two.seat(3).ok().unwrap();
    assert_eq!(one.seat(3).err(), Some(0), "the first refusal is answered at once");
    assert_eq!(two.seat(3).err(), Some(0));
    assert_eq!(two.seat(3).err(), Some(1), "the next one waits");
    drop(first);
    eventually(|| two.seat(3).is_ok());
}

#[test]
fn whoever_comes_at_the_same_moment_no_more_come_in_than_may() {
    let redis = RedisServer::start();
    let nodes: Vec<Node> = (1..=3).map(|seed| Node::start(&redis, seed, LONG)).collect();
    nodes.iter().for_each(Node::beat);
    eventually(|| {
        nodes.iter().all(|node| {
            node.registry.nodes().len() == 2 || {
                node.beat();
                false
            }
        })
    });
    let asked: Vec<_> = (0..30).map(|n| nodes[n % 3].admit(10)).collect();
    let granted: Vec<Seat> =
        asked.iter().filter_map(|answer| answer.recv_timeout(PATIENCE).unwrap().ok()).collect();
    assert_eq!(granted.len(), 10);
}

#[test]
fn a_node_that_dies_lets_go_of_its_seats_and_its_sessions_are_said_to_have_left() {
    let redis = RedisServer::start();
    let lease = Duration::from_secs(3);
    let (one, mut two) = (Node::start(&redis, 1, lease), Node::start(&redis, 2, lease));
    one.beat();
    two.hear("ann", channel("room"));
    two.beat();
    let _lost = two.seat(1).ok().unwrap();
    eventually(|| {
        one.beat();
        two.beat();
        one.subscribers("room") == 1
    });
    assert_eq!(one.seat(1).err(), Some(0));
    two.link.close();
    eventually(|| {
        one.beat();
        one.registry.nodes().is_empty()
    });
    assert_eq!((one.subscribers("room"), one.hearers("room", 9).count), (0, 0));
    assert!(one.seat(1).is_ok());
    assert_eq!(redis.ask("EXISTS tapeline:{registry}:counts:0000000000000002"), ":0");
    let mut one = one;
    eventually(|| {
        one.beat();
        one.clock.advance(Duration::from_secs(2));
        one.shard.tick(one.clock.now());
        one.inbox.take_messages().iter().any(|message| {
            let data = String::from_utf8_lossy(&message.data).to_string();
            message.channel.name() == "presence:room"
                && data.contains(r#""event":"changed""#)
                && data.contains(r#""missed":1"#)
        })
    });
}

#[test]
fn who_hears_a_channel_at_another_node_is_counted_and_named_with_the_way() {
    let redis = RedisServer::start();
    let (one, mut two) = (Node::start(&redis, 1, LONG), Node::start(&redis, 2, LONG));
    one.beat();
    let ann = two.hear("ann", channel("market_data:AAPL"));
    two.hear("bob", channel("price_updates"));
    two.hear("eve", Wanted::Pattern("market_data:*".into()));
    two.beat();
    eventually(|| {
        one.beat();
        one.subscribers("market_data:AAPL") == 3
    });
    let heard = one.hearers("market_data:AAPL", 9);
    let mut named: Vec<_> = heard
        .sessions
        .iter()
        .map(|one| (one.client.as_deref().unwrap_or_default(), one.via.as_deref().unwrap_or_default()))
        .collect();
    named.sort_unstable();
    assert_eq!(named, [("ann", ""), ("bob", "price_updates"), ("eve", "market_data:*")]);
    assert_eq!(heard.sessions[0].node, two.hub.instance());
    assert_eq!((heard.count, one.subscribers("market_data:TSLA")), (3, 2));
    let few = one.hearers("market_data:AAPL", 1);
    assert_eq!((few.count, few.sessions.len()), (3, 1));
    two.shard.remove(ann);
    two.beat();
    eventually(|| {
        one.beat();
        one.subscribers("market_data:AAPL") == 2
    });
    let rows = one.registry.nodes();
    assert_eq!(
        rows.iter().map(|row| (&*row.instance, row.published)).collect::<Vec<_>>(),
        [(two.hub.instance(), 7)]
    );
    assert!(rows[0].seen_ms < 10_000, "{rows:?}");
}

#[test]
fn subscriptions_of_a_pair_are_limited_by_what_other_nodes_said() {
    let redis = RedisServer::start();
    let [one, two] = [1, 2].map(|seed| Node::start(&redis, seed, LONG));
    one.beat();
    two.beat();
    let here = one.seat(9).ok().unwrap();
    assert!((0..3).all(|_| here.pair().add_subscription(5)));
    let there = two.seat(9).ok().unwrap();
    // The first node learns with its beat that the pair has come elsewhere, and says what it has.
    eventually(|| {
        one.beat();
        two.beat();
        let fitted = (0..5).filter(|_| there.pair().add_subscription(5)).count();
        (0..fitted).for_each(|_| there.pair().drop_subscription());
        fitted == 2
    });
}

#[test]
fn a_redis_that_comes_back_empty_is_told_everything_again() {
    let mut redis = RedisServer::start();
    let (one, mut two) = (Node::start(&redis, 1, LONG), Node::start(&redis, 2, LONG));
    two.hear("ann", channel("news"));
    let _seat = two.seat(1).ok().unwrap();
    let known = |one: &Node, two: &Node| {
        one.beat();
        two.beat();
        one.subscribers("news") == 1 && one.seat(1).is_err()
    };
    eventually(|| known(&one, &two));
    redis.kill();
    eventually(|| !one.link.is_up() && !two.link.is_up());
    let alone = one.seat(1);
    assert!(alone.is_ok(), "out of reach, a node counts alone");
    assert_eq!(one.registry.health().map(|health| health.condition), Some(Condition::Degraded));
    drop(alone);
    redis.restart(&[]);
    eventually(|| known(&one, &two));
}

#[test]
fn a_node_that_leaves_is_gone_at_once() {
    let redis = RedisServer::start();
    let (one, mut two) = (Node::start(&redis, 1, LONG), Node::start(&redis, 2, LONG));
    two.hear("ann", channel("news"));
    eventually(|| {
        one.beat();
        two.beat();
        one.subscribers("news") == 1
    });
    two.registry.close();
    eventually(|| {
        one.beat();
        one.registry.nodes().is_empty() && one.subscribers("news") == 0
    });
    assert_eq!(redis.ask("EXISTS tapeline:{registry}:heard:0000000000000002"), ":0");
}
