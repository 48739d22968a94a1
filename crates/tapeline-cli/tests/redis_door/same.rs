//! The same conversations with a real Redis and with the door, compared byte by byte, in both versions of the protocol.

use tapeline_faults::RedisServer;

use crate::talker::Talker;
use crate::{client, hub};

/// One client's words, a line each; `_` stands for an empty word.
const LINES: &[&str] = &[
    // Connections.
    "PING",
    "ping hello",
    "PING a b",
    "ECHO hello",
    "ECHO",
    "SELECT 0",
    "SELECT 15",
    "SELECT 16",
    "SELECT x",
    "CLIENT SETNAME me",
    "CLIENT GETNAME",
    "CLIENT SETNAME a\nb",
    "CLIENT NO-EVICT on",
    "CLIENT NO-EVICT maybe",
    "CLIENT nothing",
    "CLIENT GETNAME x",
    "CLIENT",
    "AUTH",
    "AUTH secret",
    "AUTH default secret",
    "AUTH somebody secret",
    "AUTH a b c",
    "HELLO 4",
    "HELLO x",
    "HELLO 2 SETNAME",
    "HELLO 2 NOTHING x",
    "WAIT 0 0",
    "WAIT x 0",
    "COMMAND INFO nosuch",
    "NOSUCH",
    "NOSUCH a b c",
    "nosuch aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb ccc",
    "COMMAND nothing",
    "PUBSUB nothing",
    "CONFIG GET databases",
    "CONFIG GET save",
    "CONFIG GET appendonly",
    "CONFIG GET nothing*",
    // Channels.
    "PUBLISH nobody hello",
    "SPUBLISH nobody hello",
    "PUBLISH nobody",
    "PUBSUB CHANNELS",
    "PUBSUB NUMSUB a b",
    "PUBSUB NUMSUB",
    "PUBSUB NUMPAT",
    "PUBSUB NUMPAT x",
    "PUBSUB CHANNELS a b",
    "PUBSUB SHARDCHANNELS a b",
    "PUBSUB CHANNELS _",
    "UNSUBSCRIBE",
    "PUNSUBSCRIBE",
    "SUNSUBSCRIBE",
    "UNSUBSCRIBE foo",
    // Strings.
    "GET missing",
    "SET foo bar",
    "GET foo",
    "SET foo _",
    "GET foo",
    "STRLEN foo",
    "SET foo 1",
    "GET foo",
    "INCR foo",
    "INCRBY foo 41",
    "DECR foo",
    "DECRBY foo 2",
    "INCRBY foo x",
    "INCRBY foo 9223372036854775807",
    "DECRBY foo -9223372036854775808",
    "SET foo 1.5",
    "INCR foo",
    "APPEND foo 25",
    "GET foo",
    "APPEND fresh abc",
    "GETRANGE fresh 0 1",
    "GETRANGE fresh -2 -1",
    "GETRANGE fresh 1 100",
    "GETRANGE fresh 5 10",
    "GETRANGE fresh -1 -3",
    "GETRANGE fresh x 1",
    "SET foo {\"a\":1}",
    "GET foo",
    "SET foo \"quoted\"",
    "GET foo",
    "SET foo 007",
    "GET foo",
    "SET foo new NX",
    "SET other new NX",
    "SET missing2 v XX",
    "SET other again XX GET",
    "SET other third GET",
    "SET other x NX XX",
    "SET other x EX",
    "SET other x EX 0",
    "SET other x EX -1",
    "SET other x EX y",
    "SET other x EX 1 PX 1",
    "SET other x EX 1 KEEPTTL",
    "SET other x nothing",
    "SET other x EX 100",
    "TTL other",
    "SET other y KEEPTTL",
    "TTL other",
    "SET other z",
    "TTL other",
    "SETNX other a",
    "SETNX another a",
    "SETEX timed 100 v",
    "SETEX timed 0 v",
    "PSETEX timed 0 v",
    "TTL timed",
    "GETSET timed w",
    "TTL timed",
    "GETDEL timed",
    "GETDEL timed",
    "SET gone v",
    "SET gone w EXAT 1",
    "GET gone",
    "SET gone w PXAT 1 GET",
    "EXISTS gone",
    "SET gone w EXAT 1 XX",
    "SET gone w EXAT 1 NX",
    "GET gone",
    "SET gone v",
    "SET gone w EXAT 1 NX",
    "GET gone",
    "SET gone w PXAT 1 GET",
    "GET gone",
    "SET gone v",
    "SET gone w EXAT 1 XX",
    "EXISTS gone",
    "MSET a 1 b 2",
    "MSET a 1 b",
    "MGET a b missing",
    "SET",
    "SET a",
    "GET",
    "GET a b",
    // Keys.
    "EXISTS a b missing a",
    "DEL a missing b",
    "UNLINK another",
    "TYPE foo",
    "TYPE missing",
    "EXPIRE foo 100",
    "TTL foo",
    "EXPIRE foo 200 NX",
    "EXPIRE foo 200 XX",
    "EXPIRE foo 100 GT",
    "EXPIRE foo 100 LT",
    "EXPIRE foo 100 NX XX",
    "EXPIRE foo 100 GT LT",
    "EXPIRE foo 100 nothing",
    "EXPIRE foo x",
    "EXPIRE missing 100",
    "PERSIST foo",
    "PERSIST foo",
    "TTL foo",
    "PTTL missing",
    "EXPIREAT foo 1",
    "EXISTS foo",
    "KEYS fres?",
    "KEYS nothing*",
    "SCAN x",
    "SCAN 0 COUNT 0",
    "SCAN 0 nothing",
    "SCAN 0 MATCH fresh COUNT 100",
    // Hashes.
    "HSET h a 1 b two",
    "HSET h a 2 c 3",
    "HSET h a",
    "HGET h a",
    "HGET h missing",
    "HGET missing a",
    "HMGET h a missing b",
    "HGETALL h",
    "HGETALL missing",
    "HKEYS h",
    "HVALS h",
    "HLEN h",
    "HEXISTS h a",
    "HEXISTS h missing",
    "HSTRLEN h b",
    "HSETNX h a 9",
    "HSETNX h d 9",
    "HINCRBY h a 5",
    "HINCRBY h b 5",
    "HINCRBY h new 5",
    "HINCRBY h a 9223372036854775807",
    "HSCAN h 0 MATCH [ab] COUNT 10",
    "TYPE h",
    "HDEL h a missing",
    "HDEL h b c d new",
    "EXISTS h",
    "HMSET h x 1 y 2",
    "HMSET h x",
    "SET s text",
    "HGET s a",
    "HSET s a 1",
    "DEL h s",
    // Transactions.
    "EXEC",
    "DISCARD",
    "MULTI",
    "MULTI",
    "SET t 1",
    "INCR t",
    "GET t",
    "PUBLISH nobody x",
    "EXEC",
    "MULTI",
    "SET t 5",
    "DISCARD",
    "GET t",
    "MULTI",
    "NOSUCH",
    "SET t 6",
    "EXEC",
    "MULTI",
    "GET",
    "EXEC",
    "GET t",
    "MULTI",
    "INCR fresh",
    "GET t",
    "EXEC",
    "MULTI",
    "WATCH t",
    "EXEC",
    "MULTI",
    "EXEC",
    "UNWATCH",
    "DEL t fresh other",
    "RESET",
    "PING",
];

/// What RESP 2 allows while there are subscriptions, and what not.
const WHILE_SUBSCRIBED: &[&str] = &[
    "SUBSCRIBE a",
    "SUBSCRIBE a",
    "PSUBSCRIBE n*",
    "SSUBSCRIBE s",
    "PING",
    "PING hello",
    "GET a",
    "PUBLISH a b",
    "CLIENT LIST",
    "MULTI",
    "NOSUCH",
    "UNSUBSCRIBE nothing",
    "SUNSUBSCRIBE",
    "UNSUBSCRIBE a",
    "PUNSUBSCRIBE n*",
    "PING",
    "SUBSCRIBE x",
    "RESET",
    "GET missing",
];

fn words(line: &str) -> Vec<String> {
    line.split(' ').map(|word| if word == "_" { String::new() } else { word.to_string() }).collect()
}

/// Both are told the same; what they answer otherwise is listed.
fn compare(redis: &mut Talker, door: &mut Talker, lines: &[&str], version: u8) -> Vec<String> {
    let mut other = Vec::new();
    for line in lines {
        let (real, ours) = (redis.ask(&words(line)), door.ask(&words(line)));
        if real != ours {
            other.push(format!("RESP {version}, {line}:\n  Redis {real}\n  door  {ours}"));
        }
        if *line == "RESET" && version == 3 {
            for one in [&mut *redis, &mut *door] {
                one.say("HELLO 3");
            }
        }
    }
    other
}

#[test]
fn every_reply_is_redis_own_in_both_versions_of_the_protocol() {
    let (server, hub) = (RedisServer::start(), hub());
    let address = format!("127.0.0.1:{}", server.port());
    let mut other = Vec::new();
    for version in [2, 3] {
        let (mut redis, mut door) = (Talker::to(&address), client(&hub));
        if version == 3 {
            redis.say("HELLO 3");
            door.say("HELLO 3");
        }
        other.extend(compare(&mut redis, &mut door, LINES, version));
        if version == 2 {
            other.extend(compare(&mut redis, &mut door, WHILE_SUBSCRIBED, version));
        }
    }
    assert!(other.is_empty(), "{} replies are others:\n{}", other.len(), other.join("\n"));
}

#[test]
fn hello_says_what_redis_says_but_for_the_number_of_the_connection() {
    let (server, hub) = (RedisServer::start(), hub());
    let address = format!("127.0.0.1:{}", server.port());
    let (mut redis, mut door) = (Talker::to(&address), client(&hub));
    let without_id = |text: String| {
        let (before, after) = text.split_once("$2\\r\\nid\\r\\n:").expect("it has an id");
        let (_, after) = after.split_once("\\r\\n").expect("a number ends");
        format!("{before}{after}")
    };
    for line in ["HELLO", "HELLO 3", "HELLO", "HELLO 2", "HELLO 3 AUTH default any SETNAME me"] {
        assert_eq!(without_id(door.say(line)), without_id(redis.say(line)), "{line}");
    }
    assert_eq!(door.say("CLIENT GETNAME"), "$2\\r\\nme\\r\\n");
}

/// What comes until the server closes the connection.
fn last_words(talker: &mut Talker) -> Vec<String> {
    std::iter::from_fn(|| talker.try_hear()).collect()
}

#[test]
fn what_was_asked_before_a_goodbye_is_answered_before_it() {
    let (server, hub) = (RedisServer::start(), hub());
    let address = format!("127.0.0.1:{}", server.port());
    for bytes in [
        &b"SUBSCRIBE a hot\r\nQUIT\r\n"[..],
        b"SUBSCRIBE a\r\nSUBSCRIBE b c\r\nPSUBSCRIBE z*\r\nUNSUBSCRIBE a\r\nQUIT\r\n",
        b"SUBSCRIBE a\r\n*x\r\n",
        b"PSUBSCRIBE a*\r\nSSUBSCRIBE s\r\n*1\r\n$x\r\n",
        b"PSUBSCRIBE q*\r\nRESET\r\nGET missing\r\nQUIT\r\n",
        b"PUBLISH a b\r\nSET k 1\r\nSUBSCRIBE a\r\nQUIT\r\n",
    ] {
        let (mut redis, mut door) = (Talker::to(&address), client(&hub));
        redis.write(bytes);
        door.write(bytes);
        assert_eq!(last_words(&mut door), last_words(&mut redis), "{}", bytes.escape_ascii());
    }
}

#[test]
fn what_was_asked_in_one_version_is_answered_in_it() {
    let (server, hub) = (RedisServer::start(), hub());
    let address = format!("127.0.0.1:{}", server.port());
    let (mut redis, mut door) = (Talker::to(&address), client(&hub));
    let bytes = b"HELLO 3\r\nPSUBSCRIBE z*\r\nHELLO 2\r\nSUBSCRIBE a\r\nRESET\r\nPING\r\n";
    redis.write(bytes);
    door.write(bytes);
    for word in ["HELLO 3", "PSUBSCRIBE z*", "HELLO 2", "SUBSCRIBE a", "RESET", "PING"] {
        let (real, ours) = (redis.hear(), door.hear());
        match word.strip_prefix("HELLO") {
            // The number of the connection differs.
            Some(_) => assert_eq!(ours[..40], real[..40], "{word}"),
            None => assert_eq!(ours, real, "{word}"),
        }
    }
}

#[test]
fn inline_commands_are_understood_as_redis_understands_them() {
    let (server, hub) = (RedisServer::start(), hub());
    let address = format!("127.0.0.1:{}", server.port());
    let (mut redis, mut door) = (Talker::to(&address), client(&hub));
    for line in [
        &b"PING\r\n"[..],
        b"PING\n",
        b"  ping   \"a b\"  \r\n",
        b"\r\n\r\nSET 'it\\'s' \"\\x41\\n\"\r\n",
        b"*0\r\n*-1\r\nECHO hi\r\n",
        b"*1\r\n$4\r\nPINGxyPING\r\n",
    ] {
        redis.write(line);
        door.write(line);
        let (real, ours) = (redis.hear(), door.hear());
        assert_eq!(ours, real, "{}", line.escape_ascii());
    }
}

#[test]
fn many_commands_at_once_are_answered_in_order() {
    let hub = hub();
    let mut door = client(&hub);
    let mut bytes = Vec::new();
    for n in 0..2_000 {
        bytes.extend_from_slice(
            format!("SET k{n} {n}\r\nINCR k{n}\r\nPUBLISH c {n}\r\nGET k{n}\r\n").as_bytes(),
        );
    }
    let mut writer = door.stream.try_clone().unwrap();
    let writing = std::thread::spawn(move || std::io::Write::write_all(&mut writer, &bytes).unwrap());
    for n in 0..2_000 {
        assert_eq!(door.hear(), "+OK\\r\\n");
        assert_eq!(door.hear(), format!(":{}\\r\\n", n + 1));
        assert_eq!(door.hear(), ":0\\r\\n");
        let text = (n + 1).to_string();
        assert_eq!(door.hear(), format!("${}\\r\\n{text}\\r\\n", text.len()));
    }
    writing.join().unwrap();
}

/// What go-redis 9 sends when it connects and then publishes, a pipeline at a time, as its source has it.
const GO_REDIS: &[&[&str]] = &[
    &["hello", "3"],
    &["client", "setname", "worker"],
    &["client", "maint_notifications", "on", "moving-endpoint-type", "internal-ip"],
    &["client", "setinfo", "LIB-NAME", "go-redis(,go1.25)"],
    &["client", "setinfo", "LIB-VER", "9.22.0"],
    &["select", "0"],
    &["multi"],
    &["set", "go", "1", "ex", "60"],
    &["incr", "go"],
    &["exec"],
    &["publish", "c", "hello"],
    &["ping"],
];

#[test]
fn what_go_redis_sends_is_answered_as_by_redis() {
    let (server, hub) = (RedisServer::start(), hub());
    let address = format!("127.0.0.1:{}", server.port());
    let (mut redis, mut door) = (Talker::to(&address), client(&hub));
    for words in GO_REDIS {
        redis.send(words);
        door.send(words);
    }
    for words in GO_REDIS {
        let (real, ours) = (redis.hear(), door.hear());
        match words[..] {
            // The number of the connection differs.
            ["hello", ..] => assert_eq!(ours[..40], real[..40]),
            // Redis 7.0 is older than these two; go-redis goes on whatever they are answered.
            ["client", "maint_notifications", ..] | ["client", "setinfo", ..] => {}
            _ => assert_eq!(ours, real, "{words:?}"),
        }
    }
}
