//! The line that tests break can be broken in each way, and healed.

use super::*;
use crate::resp::{Connection, Reply};
use crate::{RedisServer, eventually};

fn pong() -> Reply {
    Reply::Simple("PONG".to_owned())
}

fn open() -> (RedisServer, Proxy, Connection) {
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port());
    let mut client = Connection::to_port(proxy.port()).unwrap();
    assert_eq!(client.ask(&["PING"]).unwrap(), pong());
    (server, proxy, client)
}

fn works(proxy: &Proxy) -> bool {
    Connection::to_port(proxy.port()).and_then(|mut client| client.ask(&["PING"])).is_ok()
}

#[test]
fn a_line_that_is_cut_resets_old_and_new_connections_until_it_is_healed() {
    let (_server, proxy, mut client) = open();
    proxy.cut();
    assert_eq!(client.read().unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert!(!works(&proxy));
    proxy.heal();
    assert!(works(&proxy));
}

#[test]
fn what_is_held_arrives_when_the_line_is_healed_also_from_who_has_gone() {
    let (server, proxy, mut client) = open();
    let mut gone = Connection::to_port(proxy.port()).unwrap();
    gone.ask(&["PING"]).unwrap();
    proxy.hold();
    client.send(&["INCR", "a"]).unwrap();
    gone.send(&["INCR", "b"]).unwrap();
    drop(gone);
    assert_eq!(server.ask(&["EXISTS", "a", "b"]), Reply::Int(0));
    proxy.heal();
    assert_eq!(client.read().unwrap(), Reply::Int(1));
    assert!(eventually(|| server.ask(&["EXISTS", "b"]) == Reply::Int(1)));
}

#[test]
fn what_is_held_is_gone_when_the_line_is_cut_meanwhile() {
    let (server, proxy, mut client) = open();
    proxy.hold();
    client.send(&["INCR", "a"]).unwrap();
    proxy.cut();
    proxy.heal();
    assert!(client.read().is_err());
    assert!(works(&proxy));
    assert_eq!(server.ask(&["EXISTS", "a"]), Reply::Int(0));
}

#[test]
fn a_reply_breaks_off_in_its_middle() {
    let (_server, proxy, mut client) = open();
    proxy.reset_after(3);
    client.send(&["ECHO", "hello"]).unwrap();
    assert!(client.read().is_err(), "the head of the reply passes, its data does not");
    assert!(works(&proxy), "only once");
}

#[test]
fn a_line_leads_elsewhere_and_counts_its_connections() {
    let (server, proxy, _client) = open();
    let other = RedisServer::start();
    server.tell(&["SET", "a", "first"]);
    other.tell(&["SET", "a", "second"]);
    proxy.lead_to(other.port());
    let mut client = Connection::to_port(proxy.port()).unwrap();
    assert_eq!(client.ask(&["GET", "a"]).unwrap().text(), "second");
    assert_eq!(proxy.connections(), 1);
    drop(client);
    assert!(eventually(|| proxy.connections() == 0));
}
