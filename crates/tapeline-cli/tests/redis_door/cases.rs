//! The command cases of a public collection, as far as the commands go: each asked of an empty hub.

use serde_json::Value;

use crate::support::recordings;
use crate::talker::Talker;
use crate::{client, hub};

/// Commands of the collection that the door answers.
const COMMANDS: &[&str] = &[
    "append",
    "dbsize",
    "decr",
    "decrby",
    "del",
    "discard",
    "exec",
    "exists",
    "expire",
    "expireat",
    "expiretime",
    "flushall",
    "flushdb",
    "get",
    "getdel",
    "getrange",
    "getset",
    "hdel",
    "hexists",
    "hget",
    "hgetall",
    "hincrby",
    "hkeys",
    "hlen",
    "hmget",
    "hmset",
    "hscan",
    "hset",
    "hsetnx",
    "hstrlen",
    "hvals",
    "incr",
    "incrby",
    "keys",
    "mget",
    "mset",
    "multi",
    "persist",
    "pexpire",
    "pexpireat",
    "pexpiretime",
    "psetex",
    "psubscribe",
    "pttl",
    "quit",
    "scan",
    "set",
    "setex",
    "setnx",
    "strlen",
    "touch",
    "ttl",
    "type",
    "unlink",
    "unwatch",
];

/// A reply as the collection writes it.
fn value(reply: &str) -> Value {
    let (value, rest) = one(reply);
    assert_eq!(rest, "", "{reply}");
    value
}

fn one(reply: &str) -> (Value, &str) {
    let (head, rest) = reply.split_once(r"\r\n").unwrap();
    let (kind, text) = head.split_at(1);
    match kind {
        "+" | "-" => (text.into(), rest),
        ":" => (text.parse::<i64>().unwrap().into(), rest),
        "$" if text == "-1" => (Value::Null, rest),
        "$" => {
            let (text, rest) = rest.split_at(text.parse().unwrap());
            (text.into(), rest.strip_prefix(r"\r\n").unwrap())
        }
        "*" => {
            let mut rest = rest;
            let mut parts = Vec::new();
            for _ in 0..text.parse::<usize>().unwrap() {
                let (part, left) = one(rest);
                parts.push(part);
                rest = left;
            }
            (parts.into(), rest)
        }
        _ => panic!("{reply}"),
    }
}

/// As a set, where the order says nothing.
fn sorted(value: &Value) -> Value {
    let mut texts: Vec<String> =
        value.as_array().into_iter().flatten().map(|part| sorted(part).to_string()).collect();
    texts.sort();
    if value.is_array() { texts.into() } else { value.clone() }
}

#[test]
fn the_collections_cases_are_answered_as_redis_answers_them() {
    let Some(folder) = recordings("redis-command-cases") else { return };
    let text = std::fs::read_to_string(folder.join("cts.json")).unwrap();
    let all: Vec<Value> = serde_json::from_str(&text).unwrap();
    let hub = hub();
    let (mut asked, mut other) = (0, Vec::new());
    for case in &all {
        let lines: Vec<&str> = case["command"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        let is_ours =
            |line: &&str| COMMANDS.contains(&line.split(' ').next().unwrap().to_lowercase().as_str());
        if !lines.iter().all(is_ours) {
            continue;
        }
        asked += 1;
        client(&hub).say("FLUSHALL");
        let mut door: Talker = client(&hub);
        for (line, wanted) in lines.iter().zip(case["result"].as_array().unwrap()) {
            let words: Vec<&str> = line.split(' ').map(|word| word.trim_matches('"')).collect();
            let heard = value(&door.ask(&words));
            let is_same = match case["sort_result"].as_bool() {
                Some(true) => sorted(&heard) == sorted(wanted),
                _ => heard == *wanted,
            };
            if !is_same {
                other.push(format!("{}: {line}: {heard} instead of {wanted}", case["name"]));
            }
        }
    }
    assert!(asked >= 75, "only {asked} cases");
    assert!(other.is_empty(), "{} of {asked}:\n{}", other.len(), other.join("\n"));
}
