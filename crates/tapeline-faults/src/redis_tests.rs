//! The server that tests break can be broken, and comes back.

use super::*;

fn keeps(server: &RedisServer) -> String {
    server.ask(&["GET", "a"]).text()
}

#[test]
fn a_server_that_is_stopped_comes_back_with_its_data_and_one_that_is_emptied_without() {
    let mut server = RedisServer::start();
    server.tell(&["SET", "a", "1"]);
    server.stop();
    assert!(Connection::to_port(server.port()).is_err());
    server.start_again();
    assert_eq!(keeps(&server), "1");
    server.start_empty();
    assert_eq!(keeps(&server), "");
}

#[test]
fn a_replica_is_in_step_refuses_writes_and_takes_over() {
    let mut master = RedisServer::start();
    let replica = RedisServer::replica_of(&master);
    master.tell(&["SET", "a", "1"]);
    assert!(eventually(|| keeps(&replica) == "1"));
    assert!(replica.ask(&["SET", "a", "2"]).text().starts_with("READONLY"));
    master.kill();
    replica.tell(&["REPLICAOF", "NO", "ONE"]);
    replica.tell(&["SET", "a", "2"]);
    assert_eq!(keeps(&replica), "2");
}

#[test]
fn a_server_that_cannot_save_refuses_writes_until_it_can() {
    let server = RedisServer::start();
    server.stop_saving();
    assert!(server.ask(&["SET", "a", "1"]).text().starts_with("MISCONF"));
    server.go_on_saving();
    server.tell(&["SET", "a", "1"]);
}

#[test]
fn a_frozen_server_answers_when_it_is_thawed() {
    let server = RedisServer::start();
    let mut client = server.connect();
    server.freeze();
    client.send(&["PING"]).unwrap();
    server.thaw();
    assert_eq!(client.read().unwrap(), Reply::Simple("PONG".to_owned()));
}

#[test]
fn the_warden_is_let_in_whatever_the_password_and_others_are_not() {
    let server = RedisServer::with(&["requirepass secret"]);
    assert!(server.connect().ask(&["GET", "a"]).unwrap().text().starts_with("NOAUTH"));
    server.tell(&["SET", "a", "1"]);
}

#[test]
fn a_listener_hears_what_is_published_and_its_folder_goes_with_the_server() {
    let server = RedisServer::start();
    let mut listener = server.connect().subscribe("c").unwrap();
    server.tell(&["PUBLISH", "c", "one"]);
    assert_eq!(listener.hear(), "one");
    let folder = server.folder.clone();
    drop(server);
    assert!(!folder.exists());
}
