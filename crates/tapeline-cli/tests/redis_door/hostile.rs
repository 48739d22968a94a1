//! Bad input: Redis' own words, and the end of the connection; the hub and everybody else go on.

use std::io::Write;
use std::time::{Duration, Instant};

use crate::support::Hub;
use crate::{client, hub};

#[test]
fn what_breaks_the_protocol_is_said_and_the_connection_closed() {
    let hub = hub();
    let endless = vec![b'x'; 70 << 10];
    for (bytes, said) in [
        (&b"*x\r\n"[..], "invalid multibulk length"),
        (b"*2147483647\r\n", "invalid multibulk length"),
        (b"*1\r\n$1073741824\r\n", "invalid bulk length"),
        (b"*1\r\n$-5\r\n", "invalid bulk length"),
        (b"*1\r\n!4\r\n", "expected '$', got '!'"),
        (b"GET \"a\r\n", "unbalanced quotes in request"),
        (&endless, "too big inline request"),
    ] {
        let mut door = client(&hub);
        door.write(b"PING\r\n");
        door.write(bytes);
        assert_eq!(door.hear(), r"+PONG\r\n");
        assert_eq!(door.hear(), format!(r"-ERR Protocol error: {said}\r\n"));
        assert!(door.is_closed(), "{said}");
    }
    assert_eq!(client(&hub).say("PING"), r"+PONG\r\n");
}

#[test]
fn what_was_asked_before_the_bad_input_is_answered_first() {
    let hub = hub();
    let mut door = client(&hub);
    door.write(b"PUBLISH c 1\r\nSET k v\r\nGET k\r\n*x\r\nPING\r\n");
    assert_eq!(door.hear(), r":0\r\n");
    assert_eq!(door.hear(), r"+OK\r\n");
    assert_eq!(door.hear(), r"$1\r\nv\r\n");
    assert!(door.hear().starts_with("-ERR Protocol error"));
    assert!(door.is_closed());
}

#[test]
fn a_browser_that_was_made_to_come_here_gets_nothing() {
    let hub = hub();
    let request = b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: text/plain\r\n\r\nSET stolen 1\r\n";
    let mut page = client(&hub);
    page.write(request);
    assert!(page.is_closed());
    let mut page = client(&hub);
    page.write(b"Host: 127.0.0.1\r\nSET stolen 1\r\n");
    assert!(page.is_closed());
    assert_eq!(client(&hub).say("EXISTS stolen"), r":0\r\n");
}

#[test]
fn a_command_that_never_ends_is_given_up_and_a_connection_that_says_nothing_is_not() {
    let hub = Hub::with_config_and("[limits]\nmessage_timeout_s = 0.5\n", &["--redis-listen", "127.0.0.1:0"]);
    let mut silent = client(&hub);
    let mut slow = client(&hub);
    let began = Instant::now();
    slow.write(b"*2\r\n$3\r\nGET\r\n$1000\r\n");
    let mut writer = slow.stream.try_clone().unwrap();
    std::thread::spawn(move || {
        // Byte after byte, as one who wants to keep the place.
        while writer.write_all(b"x").is_ok() && began.elapsed() < Duration::from_secs(2) {
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    assert!(slow.is_closed());
    assert!(began.elapsed() > Duration::from_millis(400), "{:?}", began.elapsed());
    assert_eq!(silent.say("PING"), r"+PONG\r\n");
}

#[test]
fn too_much_is_refused_with_the_limit_and_its_setting() {
    let config = "[limits]\npublish_bytes = 1000\nsubscriptions_per_connection = 2\n";
    let hub = Hub::with_config_and(config, &["--redis-listen", "127.0.0.1:0"]);
    let mut door = client(&hub);
    let large = "x".repeat(999);
    let refused = door.ask(&["SET", "k", &large]);
    assert!(
        refused.starts_with("-ERR too_large: ") && refused.contains("(limits.publish_bytes)"),
        "{refused}"
    );
    door.say("SUBSCRIBE a");
    door.say("SUBSCRIBE b");
    let refused = door.say("SUBSCRIBE c");
    assert!(
        refused.starts_with("-ERR limit_subscriptions: ")
            && refused.contains("(limits.subscriptions_per_connection)"),
        "{refused}"
    );
    let mut door = client(&hub);
    let names: Vec<String> = (0..501).map(|n| format!("c{n}")).collect();
    for word in ["SUBSCRIBE", "UNSUBSCRIBE"] {
        let refused = door.ask(&[&[word.to_string()][..], &names].concat());
        assert!(
            refused.contains("501") && refused.contains("(limits.subscriptions_per_connection)"),
            "{refused}"
        );
    }
    let mut door = client(&hub);
    door.write(b"*2\r\n$3\r\nGET\r\n$1001\r\n");
    assert_eq!(door.hear(), r"-ERR Protocol error: invalid bulk length\r\n");
}

#[test]
fn an_answer_that_would_be_too_large_is_refused_before_it_is_made() {
    let hub = hub();
    let mut door = client(&hub);
    let large = "x".repeat(1_000_000);
    assert_eq!(door.ask(&["SET", "k", &large]), r"+OK\r\n");
    assert_eq!(door.ask(&["HSET", "h", "f", &large[..900_000]]), r":1\r\n");
    let (many, fields) = (vec!["k"; 50_000], vec!["f"; 50_000]);
    for command in [[&["MGET"][..], &many].concat(), [&["HMGET", "h"][..], &fields].concat()] {
        let began = Instant::now();
        let refused = door.ask(&command);
        assert!(refused.starts_with("-ERR too_large: the answer"), "{}", &refused[..refused.len().min(99)]);
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    }
    assert_eq!(door.say("STRLEN k"), r":1000000\r\n");
}

#[test]
fn many_short_words_of_a_transaction_have_their_weight() {
    let hub = hub();
    let mut door = client(&hub);
    door.say("MULTI");
    let words = vec!["x"; 60_000];
    let refused = door.ask(&[&["DEL"][..], &words].concat());
    assert!(refused == r"+QUEUED\r\n", "{refused}");
    let refused = door.ask(&[&["DEL"][..], &words].concat());
    assert!(refused.contains("(limits.publish_bytes)"), "{refused}");
    assert!(door.say("EXEC").starts_with("-EXECABORT"));
}

#[test]
fn what_is_refused_to_end_goes_on() {
    let config = "[limits]\nrequests_per_second = 1\nrequests_burst = 3\n";
    let hub = Hub::with_config_and(config, &["--redis-listen", "127.0.0.1:0"]);
    let mut door = client(&hub);
    for name in ["a", "b", "c"] {
        door.say(&format!("SUBSCRIBE {name}"));
    }
    let refused = door.say("UNSUBSCRIBE a");
    assert!(refused.starts_with("-ERR ") && refused.contains("(limits.requests_per_second)"), "{refused}");
    let refused = door.say("RESET");
    assert!(refused.starts_with("-ERR ") && refused.contains("(limits.requests_per_second)"), "{refused}");
    assert_eq!(client(&hub).say("PUBLISH a 1"), r":1\r\n");
    assert_eq!(door.hear(), r"*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\n1\r\n");
    drop(door);
    let mut door = client(&hub);
    (0..20).for_each(|_| assert_eq!(door.say("RESET"), r"+RESET\r\n"));
}

#[test]
fn connections_of_one_address_are_bounded_and_told_so() {
    let config = "[limits]\nconnections_per_address = 2\nexempt = []\n";
    let hub = Hub::with_config_and(config, &["--redis-listen", "127.0.0.1:0"]);
    let (mut one, two) = (client(&hub), client(&hub));
    assert_eq!(one.say("PING"), r"+PONG\r\n");
    let mut three = client(&hub);
    // As clients do, which ask before they listen.
    three.write(b"PING\r\n");
    let refused = three.hear();
    assert!(
        refused.starts_with("-ERR limit_connections: ")
            && refused.contains("(limits.connections_per_address)"),
        "{refused}"
    );
    assert!(three.is_closed());
    drop(two);
    assert!(crate::support::eventually(|| {
        let mut again = client(&hub);
        again.send(&["PING"]);
        again.try_hear().is_some_and(|reply| reply == r"+PONG\r\n")
    }));
}

#[test]
fn many_who_leave_in_the_middle_of_things_leave_nothing_behind() {
    let hub = hub();
    for n in 0..200 {
        let mut door = client(&hub);
        door.send(&["SUBSCRIBE", "a", "b", "c"]);
        door.send(&["MULTI"]);
        door.write(&b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5\r\nhello\r\n"[..n % 30]);
    }
    let mut door = client(&hub);
    assert!(crate::support::eventually(|| door.say("PUBSUB NUMSUB a") == r"*2\r\n$1\r\na\r\n:0\r\n"));
    assert!(crate::support::eventually(|| hub.stats()["connections"].as_u64() == Some(1)));
}
