//! Who is asked who they are, and what each may: the same as at every other door.

use serde_json::json;

use crate::client;
use crate::support::people::{auth, key, token};
use crate::support::{Hub, run_to_end, serve};

fn guarded(settings: &str, keys: &[&crate::support::people::Key]) -> Hub {
    Hub::with_config_and(&auth(settings, keys), &["--redis-listen", "127.0.0.1:0"])
}

#[test]
fn a_stranger_is_told_so_and_may_bring_little() {
    let hub = guarded("", &[]);
    let mut stranger = client(&hub);
    for line in ["PING", "GET a", "SUBSCRIBE a", "PUBLISH a b", "CLIENT ID"] {
        assert_eq!(stranger.say(line), r"-NOAUTH Authentication required.\r\n", "{line}");
    }
    assert!(
        stranger
            .say("HELLO 3")
            .starts_with("-NOAUTH HELLO must be called with the client already authenticated")
    );
    assert!(stranger.say("NOSUCH").starts_with("-ERR unknown command 'NOSUCH'"));
    stranger.write(b"*11\r\n");
    assert_eq!(stranger.hear(), r"-ERR Protocol error: unauthenticated multibulk length\r\n");
    assert!(stranger.is_closed());
    let mut stranger = client(&hub);
    stranger.write(b"*2\r\n$4\r\nAUTH\r\n$16385\r\n");
    assert_eq!(stranger.hear(), r"-ERR Protocol error: unauthenticated bulk length\r\n");
    assert!(stranger.is_closed());
}

#[test]
fn a_token_or_a_key_is_the_password() {
    let worker = key("read = [\"*\"]\npublish = [\"*\"]");
    let hub = guarded("", &[&worker]);
    let mut one = client(&hub);
    // What follows in the same write is read after the answer.
    one.send(&["AUTH", &worker.text]);
    one.send(&["PING"]);
    assert_eq!(one.hear(), r"+OK\r\n");
    assert_eq!(one.hear(), r"+PONG\r\n");
    let joe = token("joe", &json!({}));
    let mut two = client(&hub);
    let greeting = two.ask(&["HELLO", "3", "AUTH", "default", &joe, "SETNAME", "me"]);
    assert!(greeting.starts_with(r"%7\r\n$6\r\nserver\r\n"), "{greeting}");
    assert_eq!(two.say("CLIENT GETNAME"), r"$2\r\nme\r\n");
    // The same token once more.
    two.ask(&["HELLO", "2", "AUTH", "default", &joe, "SETNAME", "again"]);
    assert_eq!(two.say("CLIENT GETNAME"), r"$5\r\nagain\r\n");
    assert_eq!(two.say("CONFIG GET save"), r"*2\r\n$4\r\nsave\r\n$0\r\n\r\n");
    assert_eq!(two.say("GET nothing:here").split(' ').next().unwrap(), "-NOPERM");
    let mut wrong = client(&hub);
    assert!(
        wrong
            .say("AUTH nonsense")
            .starts_with("-WRONGPASS invalid username-password pair or user is disabled.")
    );
    assert!(wrong.is_closed());
    let mut wrong = client(&hub);
    assert!(wrong.say("HELLO 3 AUTH default nonsense").starts_with("-WRONGPASS "));
    assert!(wrong.is_closed());
}

#[test]
fn each_may_what_it_may_elsewhere() {
    let rights = json!({
        "read": ["desk:*"], "publish": ["desk:1"], "store": {"read": ["app:*"], "write": ["app:x"]},
        "keys": {"portfolio_id": ["p1"]},
    });
    let hub = guarded("", &[]);
    let mut ann = client(&hub);
    ann.ask(&["AUTH", &token("ann", &rights)]);
    for line in [
        "SUBSCRIBE trades:p2",
        "SUBSCRIBE trades",
        "PUBLISH desk:2 1",
        "GET other:x",
        "SET app:y 1",
        "KEYS *",
        "DBSIZE",
        "FLUSHALL",
        "PUBSUB CHANNELS",
        "INCR other:x",
    ] {
        let reply = ann.say(line);
        assert!(reply.starts_with("-NOPERM forbidden: "), "{line}: {reply}");
    }
    assert_eq!(ann.say("PUBLISH desk:1 1"), r":0\r\n");
    assert_eq!(ann.say("SET app:x 1"), r"+OK\r\n");
    assert_eq!(ann.say("INCR app:x"), r":2\r\n");
    assert_eq!(ann.say("KEYS app:*"), r"*1\r\n$5\r\napp:x\r\n");
    assert_eq!(ann.say("SUBSCRIBE trades:p1"), r"*3\r\n$9\r\nsubscribe\r\n$9\r\ntrades:p1\r\n:1\r\n");
    assert_eq!(ann.say("PSUBSCRIBE desk:*"), r"*3\r\n$10\r\npsubscribe\r\n$6\r\ndesk:*\r\n:2\r\n");
}

#[test]
fn who_has_the_doors_own_keys_may_flush_them_and_list_them_by_their_whole_name() {
    let hub = guarded("", &[]);
    let mut ann = client(&hub);
    ann.ask(&["AUTH", &token("ann", &json!({"store": {"read": ["redis:*"], "write": ["redis:*"]}}))]);
    assert_eq!(ann.say("MSET foo 1 bar 2"), r"+OK\r\n");
    for line in ["KEYS f*", "SCAN 0", "DBSIZE"] {
        let reply = ann.say(line);
        assert!(reply.starts_with("-NOPERM forbidden: "), "{line}: {reply}");
    }
    assert_eq!(ann.say("FLUSHALL"), r"+OK\r\n");
    assert_eq!(ann.say("EXISTS foo bar"), r":0\r\n");
}

#[test]
fn a_token_ends_and_the_connection_with_it() {
    use crate::support::people::{SECRET, claims, signed};
    let hub = guarded("leeway_s = 0", &[]);
    let mut joe = client(&hub);
    assert_eq!(joe.ask(&["AUTH", &signed(SECRET, &claims("joe", &json!({}), 3))]), r"+OK\r\n");
    assert!(joe.is_closed());
}

#[test]
fn a_password_where_nobody_is_asked_is_what_redis_says_it_is() {
    let hub = crate::hub();
    let mut door = client(&hub);
    assert!(
        door.say("AUTH secret").starts_with("-ERR AUTH <password> called without any password configured")
    );
    assert_eq!(door.say("AUTH default secret"), r"+OK\r\n");
}

#[test]
fn the_door_opens_on_loopback_alone_where_nobody_is_asked_who_they_are() {
    let mut command = serve("127.0.0.1:0");
    command.args(["--redis-listen", "0.0.0.0:0"]);
    let (status, _, err) = run_to_end(command);
    assert!(status.code() == Some(1) && err.contains("0.0.0.0:0 is reachable from elsewhere"), "{err}");
}
