//! The store from both sides: what Redis clients set, HTTP clients read, and the other way round.

use std::thread;
use std::time::{Duration, Instant};

use crate::support::{Hub, temporary};
use crate::{client, hub};

fn value(hub: &Hub, key: &str) -> String {
    let answer = hub.get(&format!("/store/{key}"));
    assert_eq!(answer.status(), 200, "{}", answer.text());
    answer.json()["value"].to_string()
}

#[test]
fn what_redis_clients_set_others_read_as_json_and_the_other_way_round() {
    let hub = hub();
    let mut door = client(&hub);
    for (word, json) in [
        (&b"17"[..], "17"),
        (b"hello", "\"hello\""),
        (b"{\"a\":1}", "{\"a\":1}"),
        (b"\xff", "{\"data_b64\":\"/w==\"}"),
    ] {
        door.ask(&[&b"SET"[..], b"user:7", word]);
        assert_eq!(value(&hub, "user:7"), json);
        assert_eq!(door.say("GET user:7"), format!(r"${}\r\n{}\r\n", word.len(), word.escape_ascii()));
    }
    door.ask(&["HSET", "user:8", "name", "Ann", "age", "40"]);
    assert_eq!(value(&hub, "user:8"), r#"{"age":40,"name":"Ann"}"#);
    assert_eq!(
        hub.request("PUT", "/store/user:9", "Content-Type: application/json\r\n", r#"{"x": "y"}"#).status(),
        200
    );
    assert_eq!(door.say("HGET user:9 x"), r"$1\r\ny\r\n");
    assert_eq!(door.say("GET user:9"), r#"$10\r\n{\"x\": \"y\"}\r\n"#);
    assert_eq!(
        hub.request("PUT", "/store/user:9", "Content-Type: application/json\r\n", "\"text\"").status(),
        200
    );
    assert_eq!(door.say("GET user:9"), r"$4\r\ntext\r\n");
    assert_eq!(
        door.say("HGET user:9 x"),
        r"-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"
    );
}

#[test]
fn keys_without_a_namespace_are_the_doors_own_and_flushed_alone() {
    let hub = hub();
    let mut door = client(&hub);
    door.say("MSET foo 1 user:7 2 redis:bar 3");
    door.ask(&["SET", "my key", "4"]);
    assert_eq!(value(&hub, "redis:foo"), "1");
    assert_eq!(value(&hub, "redis:my%2520key"), "4");
    assert_eq!(door.say("GET bar"), r"$1\r\n3\r\n");
    let mut listed: Vec<String> = door.say("KEYS *").split(r"\r\n").map(str::to_string).collect();
    listed.sort();
    for name in ["bar", "foo", "my key", "user:7"] {
        assert!(listed.contains(&name.to_string()), "{listed:?}");
    }
    assert_eq!(door.say("DBSIZE"), r":4\r\n");
    assert_eq!(door.say("KEYS user:*"), r"*1\r\n$6\r\nuser:7\r\n");
    assert_eq!(door.say("FLUSHALL"), r"+OK\r\n");
    assert_eq!(door.say("KEYS *"), r"*1\r\n$6\r\nuser:7\r\n");
}

#[test]
fn a_scan_sees_every_key_once_over_any_connection() {
    let hub = hub();
    let mut door = client(&hub);
    for n in 0..250 {
        door.send(&["SET", &format!("k{n}"), "1"]);
        door.send(&["HSET", &format!("h:{n}"), "f", "1"]);
    }
    (0..500).for_each(|_| _ = door.hear());
    let scan = |more: &str| {
        let (mut cursor, mut names) = ("0".to_string(), Vec::new());
        loop {
            let reply = client(&hub).say(&format!("SCAN {cursor} COUNT 37{more}"));
            let parts: Vec<&str> = reply.split(r"\r\n").collect();
            cursor = parts[2].to_string();
            names.extend(parts[4..].iter().skip(1).step_by(2).map(|name| name.to_string()));
            if cursor == "0" {
                names.sort();
                return names;
            }
        }
    };
    let all = scan("");
    let mut once = all.clone();
    once.dedup();
    assert_eq!((all.len(), once.len()), (500, 500));
    assert_eq!(scan(" MATCH k?").len(), 10);
    assert_eq!(scan(" TYPE hash").len(), 250);
    assert_eq!(client(&hub).say("SCAN 999999"), r"-ERR invalid cursor\r\n");
}

#[test]
fn counters_are_exact_however_many_count_at_once() {
    let dir = temporary("data");
    let hub = Hub::in_dir(&dir, &["--redis-listen", "127.0.0.1:0"]);
    let address = hub.redis_address().to_string();
    let count = move || {
        let mut door = crate::Talker::to(&address);
        for _ in 0..100 {
            door.send(&["INCR", "n"]);
            door.send(&["HINCRBY", "h", "f", "2"]);
            door.send(&["GET", "n"]);
        }
        let mut last = 0;
        for n in 0..300 {
            let reply = door.hear();
            assert!(!reply.starts_with('-'), "{reply}");
            if n % 3 == 0 {
                let now: i64 = reply.trim_start_matches(':').trim_end_matches(r"\r\n").parse().unwrap();
                assert!(now > last, "a client sees its own changes in order");
                last = now;
            }
        }
    };
    let threads: Vec<_> = (0..4).map(|_| thread::spawn(count.clone())).collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(client(&hub).say("GET n"), r"$3\r\n400\r\n");
    assert_eq!(client(&hub).say("HGET h f"), r"$3\r\n800\r\n");
    drop(hub);
    let _ = std::fs::remove_dir_all(dir);
}

#[test]
fn what_is_set_is_seen_by_the_next_command_of_a_pipeline() {
    let dir = temporary("data");
    let hub = Hub::in_dir(&dir, &["--redis-listen", "127.0.0.1:0"]);
    let mut door = client(&hub);
    for n in 0..200 {
        let n = n.to_string();
        door.send(&["SET", "k", &n]);
        door.send(&["GET", "k"]);
    }
    for n in 0..200 {
        let text = n.to_string();
        assert_eq!(door.hear(), r"+OK\r\n");
        assert_eq!(door.hear(), format!(r"${}\r\n{text}\r\n", text.len()));
    }
    drop(hub);
    let _ = std::fs::remove_dir_all(dir);
}

#[test]
fn times_to_live_end() {
    let hub = hub();
    let mut door = client(&hub);
    door.say("SET k v PX 60");
    assert_eq!(door.say("EXISTS k"), r":1\r\n");
    assert!(crate::support::eventually(|| door.say("GET k") == r"$-1\r\n"));
    assert_eq!(door.say("TTL k"), r":-2\r\n");
}

#[test]
fn what_waited_for_the_disk_is_answered_as_soon_as_it_can_be() {
    let dir = temporary("data");
    let hub = Hub::in_dir(&dir, &["--redis-listen", "127.0.0.1:0"]);
    let mut door = client(&hub);
    let began = Instant::now();
    for _ in 0..20 {
        door.write(b"SET q b\r\nGET q\r\n");
        assert_eq!((door.hear(), door.hear()), (r"+OK\r\n".to_string(), r"$1\r\nb\r\n".to_string()));
    }
    // Answers that waited for the next sweep of the shard took a second each.
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    drop(hub);
    let _ = std::fs::remove_dir_all(dir);
}
