//! Whose a channel is, over nodes: the one on which nobody said so knows it too, before it tells anything of the channel.

use tapeline_core::Channel;
use tapeline_core::broker::{Interest, NEWEST};
use tapeline_core::message::Draft;
use tapeline_schema::{Catalog, ChannelSpec, Delivery, ErrorCode, Priority, Readers};

use super::support::{Node, pattern};
use crate::redis::testing::RedisServer;

fn two() -> (RedisServer, Node, Node) {
    let server = RedisServer::start();
    let (one, other) = (Node::open(&server.url()), Node::open(&server.url()));
    (server, one, other)
}

/// With a space, as nobody forbids it.
const ANN: &str = "ann =of the desk";

fn code(node: &Node, draft: Draft) -> Option<ErrorCode> {
    node.results(vec![draft]).remove(0).err().map(|refusal| refusal.code)
}

fn claim(node: &Node, channel: &str) {
    assert_eq!(code(node, node.owned(channel, ANN)), None);
}

#[test]
fn another_node_knows_the_owner_from_a_join_a_read_a_list_and_a_refusal() {
    let (_server, one, other) = two();
    for channel in
        ["executions:joined", "executions:read", "executions:listed", "balances:newest", "executions:no"]
    {
        claim(&one, channel);
        assert_eq!(one.channel(channel).owner(), Some(ANN), "{channel}: the receipt came without it");
    }
    let of = |node: &Node, channel: &str| node.channel(channel).owner().map(str::to_owned);
    other.join("executions:joined");
    assert_eq!(of(&other, "executions:joined").as_deref(), Some(ANN), "a join");
    other.read("executions:read", 0, 0);
    assert_eq!(of(&other, "executions:read").as_deref(), Some(ANN), "a read of nothing");
    let newest = other.read("balances:newest", NEWEST, 1).messages.remove(0);
    assert_eq!(newest.channel.owner(), Some(ANN), "a message that was read");
    let all = Interest::RollUp(other.channel("executions"));
    for sources in [other.sources(&all), other.sources(&pattern("executions:l*"))] {
        let listed = |channel: &&Channel| channel.name() == "executions:listed";
        let listed = sources.heads.iter().map(|(channel, _)| channel).find(listed).unwrap();
        assert_eq!(listed.owner(), Some(ANN), "a list");
    }
    let refused = code(&other, other.owned("executions:no", "bob"));
    assert_eq!(refused, Some(ErrorCode::OwnerConflict));
    assert_eq!(of(&other, "executions:no").as_deref(), Some(ANN), "a refusal");
}

#[test]
fn a_message_that_is_heard_or_read_in_a_roll_up_says_whose_its_channel_is() {
    let (server, one, other) = two();
    other.listen(&Interest::RollUp(other.channel("executions")));
    claim(&one, "executions:a");
    // It names nobody, and is ann's all the same.
    one.say("executions:a", r#"{"n":2}"#);
    let owners = other.sink.wait("two messages", |record| {
        let owners = record.messages.iter().map(|message| message.channel.owner().map(str::to_owned));
        (record.messages.len() == 2).then(|| owners.collect::<Vec<_>>())
    });
    assert_eq!(owners, [Some(ANN.to_owned()), Some(ANN.to_owned())]);
    let third = Node::open(&server.url());
    let page = third.read("executions", 0, 10);
    assert!(
        page.messages.len() == 2 && page.messages.iter().all(|message| message.channel.owner() == Some(ANN))
    );
}

#[test]
fn of_two_nodes_that_claim_a_channel_at_once_one_wins() {
    let (_server, one, other) = two();
    for round in 0..50 {
        let name = format!("executions:{round}");
        let claims = [one.start(vec![one.owned(&name, "ann")]), other.start(vec![other.owned(&name, "bob")])];
        let taken = claims.map(|claim| claim.recv().unwrap().remove(0).is_ok());
        assert_ne!(taken[0], taken[1], "{name}");
        let winner = if taken[0] { "ann" } else { "bob" };
        for node in [&one, &other] {
            assert_eq!(node.join(&name).top, 1);
            assert_eq!(node.channel(&name).owner(), Some(winner));
        }
    }
}

#[test]
fn a_redis_that_has_lost_everything_is_told_whose_a_channel_is_by_who_remembers() {
    let (server, one, other) = two();
    claim(&one, "executions:a");
    claim(&one, "order_status:7");
    other.join("executions:a");
    server.ask("FLUSHALL");
    let head = other.join("executions:a");
    assert_eq!(head.top, 0, "redis has lost it");
    assert_eq!(code(&one, one.owned("order_status:7", "bob")), Some(ErrorCode::OwnerConflict));
    let third = Node::open(&server.url());
    assert_eq!(code(&third, third.owned("executions:a", "bob")), Some(ErrorCode::OwnerConflict));
    one.say("order_status:7", r#"{"n":2}"#);
    assert_eq!(code(&third, third.owned("order_status:7", "bob")), Some(ErrorCode::OwnerConflict));
}

#[test]
fn a_node_that_remembers_another_owner_than_redis_has_everybody_asked_anew() {
    let (server, one, other) = two();
    claim(&one, "executions:a");
    other.join("executions:a");
    let (old, changes) = (other.channel("executions:a"), other.directory.changes());
    server.ask("FLUSHALL");
    // Somebody is faster who does not know.
    let third = Node::open(&server.url());
    assert_eq!(code(&third, third.owned("executions:a", "bob")), None);
    let heard = other.sink.wait("bob's message", |record| record.messages.last().cloned());
    assert_eq!(heard.channel.owner(), Some("bob"));
    assert_eq!(old.owner(), Some(ANN), "a channel never changes");
    assert!(old.has_ended() && old.current().is(&heard.channel), "its sessions are not closed");
    assert_eq!(other.directory.changes(), changes + 2);
    assert_eq!(other.join("executions:a").top, 1);
    assert!(other.channel("executions:a").is(&heard.channel));
}

#[test]
fn what_a_roll_up_keeps_of_an_earlier_owner_is_not_read_as_the_next_ones() {
    let (server, one, other) = two();
    claim(&one, "executions:a");
    drop(one);
    // The channel has expired, and its roll-up goes on.
    server.ask("DEL tapeline:{executions}:m:executions:a tapeline:{executions}:s:executions:a");
    assert_eq!(code(&other, other.owned("executions:a", "bob")), None);
    let page = other.read("executions", 0, 10);
    let owners: Vec<_> = page.messages.iter().map(|message| message.channel.owner()).collect();
    assert_eq!(owners, [Some("bob")], "ann's message is read as bob's");
    assert_eq!(page.head.top, 2);
    let fresh = Node::open(&server.url());
    let page = fresh.read("executions", 0, 10);
    let owners: Vec<_> = page.messages.iter().map(|message| message.channel.owner()).collect();
    assert_eq!(owners, [Some("bob")], "a node that knows nothing takes ann for the owner");
}

#[test]
fn what_is_held_while_redis_is_away_keeps_its_first_owner() {
    let mut server = RedisServer::start();
    let node = Node::open(&server.url());
    let row = ChannelSpec::of("mine:{k}", "mine", Priority::High, Delivery::Latest).read(Readers::Owner);
    let mut catalog = Catalog::clone(&node.directory.catalog());
    catalog.add(row).unwrap();
    node.directory.replace(catalog).unwrap();
    server.kill();
    node.wait_degraded(true);
    let owned = |owner: &str| node.owned("mine:a", owner);
    assert!(node.results(vec![owned(ANN)]).remove(0).unwrap().held);
    assert_eq!(code(&node, owned("bob")), Some(ErrorCode::OwnerConflict));
    assert!(node.results(vec![node.draft("mine:a", "2")]).remove(0).unwrap().held);
}
