//! One who asks much: others are answered meanwhile, the hub stops when it is told to, and neither it nor its broker holds
//! more for one connection than is written down.

use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

use tapeline_faults::RedisServer;

use crate::client;
use crate::support::Hub;
use crate::talker::Talker;

/// Long beside what a turn takes, short beside what all of them take.
const SOON: Duration = Duration::from_secs(5);

/// A hub of one shard: all its connections have to share it.
fn narrow(words: &[&str]) -> Hub {
    Hub::with_words(&[&["--shards", "1", "--redis-listen", "127.0.0.1:0"], words].concat())
}

fn encoded<T: AsRef<[u8]>>(words: &[T]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words.iter().map(AsRef::as_ref) {
        bytes.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        bytes.extend_from_slice(word);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

/// While one connection has asked this, another is answered.
fn assert_nobody_else_waits(hub: &Hub, asked: &[u8]) -> Talker {
    let mut other = client(hub);
    assert_eq!(other.say("PING"), r"+PONG\r\n");
    let mut greedy = client(hub);
    greedy.write(asked);
    for _ in 0..3 {
        thread::sleep(Duration::from_millis(50));
        let began = Instant::now();
        assert_eq!(other.say("PING"), r"+PONG\r\n");
        assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    }
    greedy
}

/// A hash of many fields, and one with a long one.
fn fill(hub: &Hub) {
    let mut door = client(hub);
    let fields: Vec<String> = (0..30_000).flat_map(|n| [format!("f{n}"), "1".to_string()]).collect();
    assert_eq!(door.ask(&[&["HSET".to_string(), "h".to_string()][..], &fields].concat()), r":30000\r\n");
    assert_eq!(door.ask(&["HSET", "long", &"a".repeat(900_000), "1"]), r":1\r\n");
}

#[test]
fn many_heavy_commands_at_once_leave_others_their_turn_and_the_hub_its_end() {
    let mut hub = narrow(&[]);
    fill(&hub);
    let pattern = format!("*{}b", "a".repeat(240));
    let scan = encoded(&["HSCAN", "long", "0", "MATCH", &pattern]);
    let mut all = vec![assert_nobody_else_waits(&hub, &scan.repeat(50))];
    for line in [["HGET", "h", "f1"].as_slice(), &["TYPE", "h"], &["HLEN", "h"], &["HGETALL", "h"]] {
        all.push(assert_nobody_else_waits(&hub, &encoded(line).repeat(400)));
    }
    let reads = encoded(&["HGET", "h", "f1"]).repeat(900);
    let transaction = [encoded(&["MULTI"]), reads, encoded(&["EXEC"])].concat();
    all.push(assert_nobody_else_waits(&hub, &transaction));
    let began = Instant::now();
    hub.terminate();
    assert_eq!(hub.wait().code(), Some(0));
    assert!(began.elapsed() < 3 * SOON, "{:?}", began.elapsed());
}

#[test]
fn patterns_over_many_long_names_leave_others_their_turn() {
    let hub = narrow(&[]);
    let mut door = client(&hub);
    for n in 0..9_000 {
        door.send(&["SET", &format!("n:{}{n:04}", "a".repeat(240)), "1"]);
    }
    (0..9_000).for_each(|_| assert_eq!(door.hear(), r"+OK\r\n"));
    let keys = encoded(&["KEYS", &format!("*{}b", "a".repeat(120))]);
    let mut greedy = assert_nobody_else_waits(&hub, &keys.repeat(20));
    (0..20).for_each(|_| assert_eq!(greedy.hear(), r"*0\r\n"));
    for command in [["KEYS", &"a".repeat(300)].as_slice(), &["SCAN", "0", "MATCH", &"a".repeat(300)]] {
        let refused = door.ask(command);
        assert!(
            refused.starts_with("-ERR ") && refused.contains("300") && refused.contains("256"),
            "{refused}"
        );
    }
}

#[test]
fn a_transaction_in_one_piece_looks_at_so_much() {
    let hub = narrow(&[]);
    let mut door = client(&hub);
    assert_eq!(door.ask(&["SET", "k", &"x".repeat(1_000_000)]), r"+OK\r\n");
    door.say("HELLO 3");
    door.say("SUBSCRIBE a");
    door.say("MULTI");
    for _ in 0..100 {
        assert_eq!(door.say("STRLEN k"), r"+QUEUED\r\n");
    }
    let answers = door.say("EXEC");
    assert!(answers.starts_with(r"*100\r\n:1000000\r\n"), "{}", &answers[..40]);
    assert!(answers.contains("-ERR too_large: this transaction has looked at 64 MiB"), "{answers}");
    assert_eq!(door.say("STRLEN k"), r":1000000\r\n");
}

#[test]
fn commands_of_many_keys_do_what_those_of_few_do_and_in_their_order() {
    let hub = narrow(&[]);
    let mut door = client(&hub);
    let names: Vec<String> = (0..1_000).map(|n| format!("k{n}")).collect();
    let pairs: Vec<String> = names.iter().flat_map(|name| [name.clone(), name.clone()]).collect();
    let with = |word: &str, words: &[String]| [&[word.to_string()][..], words].concat();
    door.send(&with("MSET", &pairs));
    door.send(&["SET", "k999", "new"]);
    door.send(&with("MGET", &names));
    door.send(&with("EXISTS", &names));
    door.send(&with("DEL", &names));
    door.send(&["SET", "k999", "again"]);
    door.send(&with("EXISTS", &names));
    assert_eq!(door.hear(), r"+OK\r\n");
    assert_eq!(door.hear(), r"+OK\r\n");
    let values = door.hear();
    assert!(values.starts_with(r"*1000\r\n$2\r\nk0\r\n") && values.ends_with(r"$4\r\nk998\r\n$3\r\nnew\r\n"));
    assert_eq!(door.hear(), r":1000\r\n");
    assert_eq!(door.hear(), r":1000\r\n");
    assert_eq!(door.hear(), r"+OK\r\n");
    assert_eq!(door.hear(), r":1\r\n");
}

#[test]
fn a_scan_for_a_kind_ends_its_steps_early_and_forgets_nothing() {
    let hub = narrow(&[]);
    let mut door = client(&hub);
    for n in 0..8 {
        assert_eq!(door.ask(&["HSET", &format!("h{n}"), "f", &"x".repeat(400_000)]), r":1\r\n");
        assert_eq!(door.ask(&["SET", &format!("s{n}"), "1"]), r"+OK\r\n");
    }
    let (mut cursor, mut steps, mut found) = ("0".to_string(), 0, 0);
    loop {
        let reply = door.say(&format!("SCAN {cursor} COUNT 1000 TYPE hash"));
        let parts: Vec<&str> = reply.split(r"\r\n").collect();
        cursor = parts[2].to_string();
        steps += 1;
        found += parts[3].trim_start_matches('*').parse::<usize>().unwrap();
        if cursor == "0" {
            break;
        }
    }
    assert!(found == 8 && steps > 1, "{found} in {steps}");
}

#[test]
fn one_who_reads_much_and_takes_nothing_leaves_the_broker_to_others() {
    let server = RedisServer::start();
    let hub = narrow(&["--broker", &format!("redis://127.0.0.1:{}", server.port())]);
    let mut other = client(&hub);
    assert_eq!(other.ask(&["SET", "k", &"x".repeat(1_000_000)]), r"+OK\r\n");
    let before = hub.memory_bytes();
    let all = ["MGET", "k", "k", "k", "k", "k", "k", "k", "k"];
    let greedy: Vec<Talker> = [encoded(&all), encoded(&["GET", "k"]), encoded(&["SCAN", "0"])]
        .iter()
        .map(|command| {
            let mut greedy = client(&hub);
            // It may be that not all is taken at once.
            let _ = greedy.stream.set_write_timeout(Some(Duration::from_secs(1)));
            let _ = greedy.stream.write_all(&command.repeat(250));
            greedy
        })
        .collect();
    let mut most = 0;
    for _ in 0..10 {
        thread::sleep(Duration::from_millis(100));
        let began = Instant::now();
        assert_eq!(other.say("SET small 1"), r"+OK\r\n");
        assert_eq!(other.say("GET small"), r"$1\r\n1\r\n");
        assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
        most = most.max(hub.memory_bytes().saturating_sub(before));
    }
    assert!(most < 100 << 20, "{} MiB more", most >> 20);
    assert!(!hub.get("/incidents").text().contains("broker_lost"));
    drop(greedy);
}
