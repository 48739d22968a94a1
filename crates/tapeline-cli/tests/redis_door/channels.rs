//! Subscribers: what they hear, how often, in which order, and what others hear of what they publish.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::json;
use tapeline_faults::RedisServer;

use crate::support::{Client, Hub};
use crate::{client, hub};

#[test]
fn a_subscriber_hears_the_bare_data_once_for_each_subscription_that_covers_it() {
    let hub = hub();
    let mut listener = client(&hub);
    assert_eq!(listener.say("SUBSCRIBE news.a"), r"*3\r\n$9\r\nsubscribe\r\n$6\r\nnews.a\r\n:1\r\n");
    assert_eq!(listener.say("PSUBSCRIBE news.* *.a"), r"*3\r\n$10\r\npsubscribe\r\n$6\r\nnews.*\r\n:2\r\n");
    assert_eq!(listener.hear(), r"*3\r\n$10\r\npsubscribe\r\n$3\r\n*.a\r\n:3\r\n");
    let mut publisher = client(&hub);
    assert_eq!(publisher.ask(&["PUBLISH", "news.a", "{\"x\": 1.50}"]), r":3\r\n");
    let mut heard: Vec<String> = (0..3).map(|_| listener.hear()).collect();
    heard.sort();
    assert_eq!(
        heard,
        [
            r#"*3\r\n$7\r\nmessage\r\n$6\r\nnews.a\r\n$11\r\n{\"x\": 1.50}\r\n"#,
            r#"*4\r\n$8\r\npmessage\r\n$3\r\n*.a\r\n$6\r\nnews.a\r\n$11\r\n{\"x\": 1.50}\r\n"#,
            r#"*4\r\n$8\r\npmessage\r\n$6\r\nnews.*\r\n$6\r\nnews.a\r\n$11\r\n{\"x\": 1.50}\r\n"#,
        ]
    );
    listener.assert_silent();
    assert_eq!(listener.say("UNSUBSCRIBE news.a"), r"*3\r\n$11\r\nunsubscribe\r\n$6\r\nnews.a\r\n:2\r\n");
    assert_eq!(publisher.say("PUBLISH news.a 1"), r":2\r\n");
}

#[test]
fn resp_3_tells_messages_apart_from_answers() {
    let hub = hub();
    let mut both = client(&hub);
    both.say("HELLO 3");
    assert_eq!(both.say("SUBSCRIBE c"), r">3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n");
    assert_eq!(both.say("GET missing"), r"_\r\n");
    let mut publisher = client(&hub);
    publisher.say("PUBLISH c 1");
    assert_eq!(both.hear(), r">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\n1\r\n");
    assert_eq!(both.say("SSUBSCRIBE s"), r">3\r\n$10\r\nssubscribe\r\n$1\r\ns\r\n:1\r\n");
    assert_eq!(publisher.say("SPUBLISH s 2"), r":1\r\n");
    assert_eq!(both.hear(), r">3\r\n$8\r\nsmessage\r\n$1\r\ns\r\n$1\r\n2\r\n");
    assert!(both.say("SUBSCRIBE s").starts_with("-ERR "));
    assert_eq!(both.say("SUNSUBSCRIBE"), r">3\r\n$12\r\nsunsubscribe\r\n$1\r\ns\r\n:0\r\n");
}

#[test]
fn a_roll_up_names_itself_and_json_doors_get_json() {
    let hub = hub();
    let mut listener = client(&hub);
    listener.say("SUBSCRIBE market_data");
    let mut web = Client::connect(&hub);
    web.subscribe("market_data:AAPL");
    let price = r#"{"symbol":"AAPL","price":1.50,"change":0,"volume":3}"#;
    let mut publisher = client(&hub);
    assert_eq!(publisher.ask(&["PUBLISH", "market_data:AAPL", price]), r":2\r\n");
    let escaped = price.as_bytes().escape_ascii().to_string();
    assert_eq!(
        listener.hear(),
        format!(r"*3\r\n$7\r\nmessage\r\n$11\r\nmarket_data\r\n${}\r\n{escaped}\r\n", price.len())
    );
    let heard = web.next().json;
    assert_eq!((&heard["channel"], &heard["data"]["price"]), (&json!("market_data:AAPL"), &json!(1.5)));
    let refused = publisher.say("PUBLISH market_data:AAPL nonsense");
    assert!(refused.starts_with("-ERR invalid_data: "), "{refused}");
    let refused = publisher.ask(&["PUBLISH", "market_data:AAPL", "{}"]);
    assert!(refused.starts_with("-ERR invalid_data: ") && refused.contains("symbol"), "{refused}");
}

#[test]
fn any_bytes_may_be_published_where_no_family_says_otherwise() {
    let hub = hub();
    let mut listener = client(&hub);
    listener.say("SUBSCRIBE raw");
    let mut web = Client::connect(&hub);
    web.subscribe("raw");
    let mut publisher = client(&hub);
    assert_eq!(publisher.ask(&[&b"PUBLISH"[..], b"raw", b"\xff\x00\r\n"]), r":2\r\n");
    assert_eq!(listener.hear(), r"*3\r\n$7\r\nmessage\r\n$3\r\nraw\r\n$4\r\n\xff\x00\r\n\r\n");
    let heard = web.next().json;
    assert_eq!((&heard["data_b64"], &heard["data"]), (&json!("/wANCg=="), &json!(null)));
    publisher.say("PUBLISH raw text");
    assert_eq!(web.next().json["data_b64"], json!("dGV4dA=="));
}

#[test]
fn messages_of_others_reach_redis_clients_in_order_and_none_after_the_goodbye() {
    let hub = hub();
    let mut listener = client(&hub);
    listener.say("SUBSCRIBE c");
    let mut publisher = client(&hub);
    for n in 0..500 {
        publisher.send(&["PUBLISH", "c", &n.to_string()]);
    }
    for n in 0..500 {
        let text = n.to_string();
        let message = format!(r"*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n${}\r\n{text}\r\n", text.len());
        assert_eq!(listener.hear(), message);
    }
    for _ in 0..20 {
        for n in 0..50 {
            publisher.send(&["PUBLISH", "c", &n.to_string()]);
        }
        listener.send(&["UNSUBSCRIBE", "c"]);
        while !listener.hear().contains("unsubscribe") {}
        listener.assert_silent();
        listener.say("SUBSCRIBE c");
    }
}

#[test]
fn who_hears_what_is_counted_as_in_redis() {
    let hub = hub();
    let (mut one, mut two) = (client(&hub), client(&hub));
    one.say("SUBSCRIBE a");
    two.send(&["SUBSCRIBE", "a", "b"]);
    two.hear();
    two.hear();
    two.say("PSUBSCRIBE a*");
    let mut asking = client(&hub);
    assert_eq!(
        asking.say("PUBSUB NUMSUB a b c"),
        r"*6\r\n$1\r\na\r\n:2\r\n$1\r\nb\r\n:1\r\n$1\r\nc\r\n:0\r\n"
    );
    assert_eq!(asking.say("PUBSUB NUMPAT"), r":1\r\n");
    assert_eq!(asking.say("PUBSUB CHANNELS [b]"), r"*1\r\n$1\r\nb\r\n");
    assert_eq!(asking.say("PUBLISH a x"), r":3\r\n");
    drop(two);
    assert!(crate::support::eventually(|| asking.say("PUBLISH a x") == r":1\r\n"));
}

#[test]
fn names_of_any_bytes_are_one_channel_for_everybody() {
    let hub = hub();
    let mut listener = client(&hub);
    let name = "chat room \u{1168}, 100%";
    let shown = name.as_bytes().escape_ascii();
    let confirmed = format!(r"*3\r\n$9\r\nsubscribe\r\n${}\r\n{shown}\r\n:1\r\n", name.len());
    assert_eq!(listener.ask(&["SUBSCRIBE", name]), confirmed);
    let pattern = "chat\\ room*\u{1168}*";
    let confirmed = listener.ask(&["PSUBSCRIBE", pattern]);
    assert!(confirmed.contains(&pattern.as_bytes().escape_ascii().to_string()), "{confirmed}");
    assert_eq!(client(&hub).ask(&["PUBLISH", name, "1"]), r":2\r\n");
    let heard = [listener.hear(), listener.hear()].concat();
    assert!(heard.contains(&format!(r"message\r\n${}\r\n{shown}\r\n$1\r\n1", name.len())), "{heard}");
    assert!(
        heard.contains(&format!(
            r"pmessage\r\n${}\r\n{}\r\n",
            pattern.len(),
            pattern.as_bytes().escape_ascii()
        )),
        "{heard}"
    );
    let last = hub.get("/last/chat%2520room%2520%25E1%2585%25A8%252C%2520100%25");
    assert_eq!((last.status(), &last.json()["data"]), (200, &json!(1)), "{}", last.text());
}

#[test]
fn a_subscription_that_ends_before_it_stood_is_answered_all_the_same() {
    let hub = hub();
    let mut door = client(&hub);
    for _ in 0..100 {
        door.write(b"SUBSCRIBE a b\r\nUNSUBSCRIBE a\r\nSUBSCRIBE a\r\nPSUBSCRIBE *\r\nUNSUBSCRIBE\r\nPUNSUBSCRIBE\r\nSUBSCRIBE c\r\nRESET\r\nPING\r\n");
        let heard: Vec<String> = (0..11).map(|_| door.hear()).collect();
        assert_eq!(heard[10], r"+PONG\r\n", "{heard:?}");
        assert_eq!(heard[9], r"+RESET\r\n", "{heard:?}");
    }
}

#[test]
fn no_message_comes_into_a_transactions_answer() {
    let dir = crate::support::temporary("data");
    let hub = Hub::in_dir(&dir, &["--redis-listen", "127.0.0.1:0"]);
    let mut door = client(&hub);
    door.say("HELLO 3");
    door.say("SUBSCRIBE c");
    let mut publisher = client(&hub);
    let flood = std::thread::spawn(move || {
        (0..20_000).for_each(|n| publisher.send(&["PUBLISH", "c", &n.to_string()]));
        (0..20_000).for_each(|_| assert_eq!(publisher.hear(), r":1\r\n"));
    });
    let hear = |door: &mut crate::Talker| loop {
        let heard = door.hear();
        if !heard.starts_with(">3") {
            return heard;
        }
    };
    for n in 1..=50 {
        for line in ["MULTI", "INCR k", "PING", "SET t x", "GET t", "GET k", "HGET t f", "EXEC", "GET t"] {
            door.send(&line.split(' ').collect::<Vec<_>>());
        }
        assert_eq!(hear(&mut door), r"+OK\r\n");
        (0..6).for_each(|_| assert_eq!(hear(&mut door), r"+QUEUED\r\n"));
        let (digits, wrong) =
            (n.to_string().len(), "WRONGTYPE Operation against a key holding the wrong kind of value");
        let all = format!(r"*6\r\n:{n}\r\n+PONG\r\n+OK\r\n$1\r\nx\r\n${digits}\r\n{n}\r\n-{wrong}\r\n");
        assert_eq!(hear(&mut door), all);
        assert_eq!(hear(&mut door), r"$1\r\nx\r\n");
    }
    flood.join().unwrap();
    drop(hub);
    let _ = std::fs::remove_dir_all(dir);
}

#[test]
fn what_cannot_be_answered_in_one_piece_is_refused_and_not_done() {
    let hub = hub();
    let mut door = client(&hub);
    door.say("HELLO 3");
    let transact = |door: &mut crate::Talker, lines: &[&str]| {
        door.say("MULTI");
        lines.iter().for_each(|line| assert_eq!(door.say(line), r"+QUEUED\r\n"));
        door.say("EXEC")
    };
    let refused = transact(&mut door, &["SET k 1", "subscribe c"]);
    assert!(refused.starts_with("-ERR EXEC: "), "{refused}");
    door.say("SUBSCRIBE c");
    let refused = transact(&mut door, &["SET k 1", "PUBLISH c 1"]);
    assert!(refused.starts_with("-ERR EXEC: "), "{refused}");
    assert_eq!(transact(&mut door, &["GET k"]), r"*1\r\n_\r\n");
    door.say("UNSUBSCRIBE");
    assert_eq!(transact(&mut door, &["PUBLISH c 1"]), r"*1\r\n:0\r\n");
}

#[test]
fn what_was_written_before_a_publish_is_there_when_it_is_heard() {
    let dir = crate::support::temporary("data");
    let hub = Hub::in_dir(&dir, &["--redis-listen", "127.0.0.1:0"]);
    let (mut listener, mut publisher, mut reader) = (client(&hub), client(&hub), client(&hub));
    listener.say("SUBSCRIBE c");
    let others = [client(&hub), client(&hub)].map(|mut other| {
        // Where others change the same hash, a change takes more than one try.
        std::thread::spawn(move || (0..300).for_each(|_| _ = other.say("HINCRBY h other 1")))
    });
    for n in 1..=50 {
        let n = n.to_string();
        publisher.send(&["HINCRBY", "h", "own", "1"]);
        publisher.send(&["PUBLISH", "c", &n]);
        listener.hear();
        assert_eq!(reader.say("HGET h own"), format!(r"${}\r\n{n}\r\n", n.len()));
        (0..2).for_each(|_| _ = publisher.hear());
    }
    others.into_iter().for_each(|other| other.join().unwrap());
    drop(hub);
    let _ = std::fs::remove_dir_all(dir);
}

#[test]
fn nobody_is_closed_for_saying_nothing() {
    let config = "[limits]\nidle_timeout_s = 1\nheartbeat_s = 0.2\n";
    let hub = Hub::with_config_and(config, &["--redis-listen", "127.0.0.1:0"]);
    let mut silent = client(&hub);
    silent.say("SUBSCRIBE c");
    std::thread::sleep(Duration::from_millis(3_500));
    client(&hub).say("PUBLISH c 1");
    assert_eq!(silent.hear(), r"*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\n1\r\n");
}

#[test]
fn no_message_comes_before_its_subscription_is_confirmed() {
    let server = RedisServer::start();
    let address = format!("redis://127.0.0.1:{}", server.port());
    let hub = Hub::with_words(&["--broker", &address, "--redis-listen", "127.0.0.1:0"]);
    let mut keeper = client(&hub);
    keeper.say("SUBSCRIBE hot");
    let stop = Arc::new(AtomicBool::new(false));
    let mut publisher = client(&hub);
    let (stopped, mut heard) = (stop.clone(), 0);
    let flood = std::thread::spawn(move || {
        while !stopped.load(Ordering::Relaxed) {
            (0..20).for_each(|_| publisher.send(&["PUBLISH", "hot", "x"]));
            (0..20).for_each(|_| _ = publisher.hear());
        }
    });
    for n in 0..100 {
        let mut door = client(&hub);
        let (new, pattern) = (format!("new:{n}"), format!("*ne*{n}"));
        // A name that the hub has to ask for, and one that it hears already.
        door.write(format!("SUBSCRIBE {new} hot\r\nPSUBSCRIBE h?t {pattern}\r\n").as_bytes());
        let mut confirmed = Vec::new();
        while confirmed.len() < 4 {
            let said = door.hear();
            let words: Vec<&str> = said.split("\\r\\n").collect();
            match words[2] {
                "message" => assert!(confirmed.contains(&"hot".to_string()), "{said} after {confirmed:?}"),
                "pmessage" => assert!(confirmed.contains(&"h?t".to_string()), "{said} after {confirmed:?}"),
                _ => confirmed.push(words[4].to_string()),
            }
            heard += usize::from(words[2].ends_with("message"));
        }
        assert_eq!(confirmed, [new, "hot".to_string(), "h?t".to_string(), pattern]);
    }
    stop.store(true, Ordering::Relaxed);
    flood.join().unwrap();
    assert!(heard > 0, "nothing was published meanwhile");
}

#[test]
fn thousands_of_names_in_one_command_keep_nobody_waiting() {
    const NAMES: usize = 5_000;
    let hub = hub();
    let (mut door, mut other) = (client(&hub), client(&hub));
    let names: Vec<String> = (0..NAMES).map(|n| format!("channel:{n}")).collect();
    let longest = Arc::new(Mutex::new(Duration::ZERO));
    let stop = Arc::new(AtomicBool::new(false));
    let (stopped, longest_wait) = (stop.clone(), longest.clone());
    let pinging = std::thread::spawn(move || {
        while !stopped.load(Ordering::Relaxed) {
            let asked = Instant::now();
            assert_eq!(other.say("PING"), r"+PONG\r\n");
            let mut longest = longest_wait.lock().unwrap();
            *longest = longest.max(asked.elapsed());
        }
    });
    let mut took = Vec::new();
    for (command, word) in [("SUBSCRIBE", "subscribe"), ("UNSUBSCRIBE", "unsubscribe")] {
        let asked = Instant::now();
        let mut words = vec![command.to_string()];
        words.extend(names.iter().cloned());
        door.send(&words);
        for (n, name) in names.iter().enumerate() {
            let count = if command == "SUBSCRIBE" { n + 1 } else { NAMES - 1 - n };
            let (long, length) = (word.len(), name.len());
            let told = format!(r"*3\r\n${long}\r\n{word}\r\n${length}\r\n{name}\r\n:{count}\r\n");
            assert_eq!(door.hear(), told);
        }
        took.push((asked.elapsed(), std::mem::take(&mut *longest.lock().unwrap())));
    }
    stop.store(true, Ordering::Relaxed);
    pinging.join().unwrap();
    println!("all of them, and the longest wait for a PING meanwhile: {took:?}");
    for (_, longest) in took {
        assert!(longest < Duration::from_secs(1), "somebody else waited {longest:?} for a PING");
    }
}

#[test]
fn what_cannot_be_listed_is_refused_with_the_limit() {
    let hub = hub();
    let mut door = client(&hub);
    let refused = door.ask(&["PUBSUB", "CHANNELS", &"a".repeat(300)]);
    assert!(refused.starts_with("-ERR bad_pattern: "), "{refused}");
    assert!(refused.contains("300") && refused.contains("256"), "{refused}");
}

#[test]
fn all_names_end_at_once_where_none_is_said() {
    let hub = hub();
    let mut door = client(&hub);
    let mut words = vec!["SUBSCRIBE".to_string()];
    words.extend((0..300).map(|n| format!("channel:{n}")));
    door.send(&words);
    door.send(&["PSUBSCRIBE", "p*"]);
    door.send(&["UNSUBSCRIBE"]);
    (0..301).for_each(|_| assert!(door.hear().contains(r"subscribe\r\n")));
    let mut ended: Vec<String> = Vec::new();
    for n in 0..300 {
        let said = door.hear();
        assert!(said.starts_with(r"*3\r\n$11\r\nunsubscribe\r\n"), "{said}");
        assert!(said.ends_with(&format!(r"\r\n:{}\r\n", 300 - n)), "{said}");
        ended.push(said.split(r"\r\n").nth(4).unwrap().to_string());
    }
    ended.sort();
    words.sort();
    assert_eq!(ended, words[1..]);
    assert_eq!(door.say("PUNSUBSCRIBE"), r"*3\r\n$12\r\npunsubscribe\r\n$2\r\np*\r\n:0\r\n");
}
