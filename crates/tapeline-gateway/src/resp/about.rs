//! What the hub says of itself to those who take it for a Redis: `INFO`, `CONFIG GET`, `COMMAND`, `TIME`.

use std::fmt::Write as _;

use tapeline_schema::Pattern;

use super::Outcome;
use super::table;
use super::talk::Call;
use super::wire::REDIS_VERSION;

/// Patterns that one `CONFIG GET` takes.
const PATTERNS: usize = 64;

/// Writes one section.
type Push = fn(&mut String, &Call<'_, '_>);

/// What `INFO` can be asked for, and what of it.
const SECTIONS: [(&str, Push); 6] = [
    ("server", server),
    ("clients", clients),
    ("persistence", |out, _| out.push_str("loading:0\r\nasync_loading:0\r\n")),
    ("stats", stats),
    ("replication", |out, _| out.push_str("role:master\r\nconnected_slaves:0\r\n")),
    ("cluster", |out, _| out.push_str("cluster_enabled:0\r\n")),
];

pub(super) fn info(call: &mut Call<'_, '_>) -> Outcome {
    let words = call.words;
    let all = ["all", "default", "everything"];
    let mut text = String::new();
    for (name, push) in SECTIONS {
        let is_asked = |place| words.is(place, name) || all.iter().any(|all| words.is(place, all));
        if words.len() > 1 && !(1..words.len()).any(is_asked) {
            continue;
        }
        if !text.is_empty() {
            text.push_str("\r\n");
        }
        let (first, rest) = name.split_at(1);
        let _ = write!(text, "# {}{rest}\r\n", first.to_ascii_uppercase());
        push(&mut text, call);
    }
    call.reply(|writer| _ = writer.text(&text))
}

fn server(out: &mut String, call: &Call<'_, '_>) {
    let hub = call.port.hub();
    let _ = write!(
        out,
        "redis_version:{REDIS_VERSION}\r\nredis_mode:standalone\r\ntapeline_version:{}\r\nos:{}\r\narch_bits:{}\r\nprocess_id:{}\r\nrun_id:{}\r\n",
        env!("CARGO_PKG_VERSION"),
        std::env::consts::OS,
        usize::BITS,
        std::process::id(),
        hub.instance(),
    );
}

fn clients(out: &mut String, call: &Call<'_, '_>) {
    let shards = call.port.hub().shard_stats();
    let sessions: u64 = shards.iter().map(|shard| shard.sessions.read()).sum();
    let most = call.port.hub().settings().connections;
    let _ = write!(out, "connected_clients:{sessions}\r\nmaxclients:{most}\r\nblocked_clients:0\r\n");
}

fn stats(out: &mut String, call: &Call<'_, '_>) {
    let hub = call.port.hub();
    let opened: u64 = hub.shard_stats().iter().map(|shard| shard.opened.read()).sum();
    let _ = write!(
        out,
        "total_connections_received:{opened}\r\npubsub_channels:{}\r\npubsub_patterns:{}\r\n",
        hub.subscribed_channels().count(),
        hub.subscribed_patterns().len(),
    );
}

pub(super) fn config(call: &mut Call<'_, '_>) -> Outcome {
    let words = call.words;
    if words.is(1, "set") || words.is(1, "rewrite") || words.is(1, "resetstat") {
        return call.fail("ERR the hub's settings are in its own file and flags, see `tapeline config`");
    }
    if !words.is(1, "get") {
        return call.no_subcommand();
    }
    if words.len() < 3 {
        return call.odd_arguments();
    }
    if words.len() > 2 + PATTERNS {
        return call.fail("ERR too_large: CONFIG GET takes at most 64 patterns here");
    }
    let (publish_bytes, connections) = {
        let settings = call.port.hub().settings();
        (settings.publish_bytes.to_string(), settings.connections.to_string())
    };
    let known = [
        ("appendonly", "no"),
        ("databases", "16"),
        ("maxclients", &connections),
        ("maxmemory", "0"),
        ("maxmemory-policy", "noeviction"),
        ("notify-keyspace-events", ""),
        ("proto-max-bulk-len", &publish_bytes),
        ("save", ""),
        ("timeout", "0"),
    ];
    let patterns: Vec<Pattern> = words
        .from(2)
        .filter_map(|word| Pattern::parse(&String::from_utf8_lossy(word).to_ascii_lowercase()).ok())
        .collect();
    let asked = |name: &str| patterns.iter().any(|pattern| pattern.matches(name));
    let found: Vec<(&str, &str)> = known.into_iter().filter(|(name, _)| asked(name)).collect();
    call.reply(|writer| {
        writer.map(found.len());
        for (name, value) in found {
            writer.bulk(name.as_bytes()).bulk(value.as_bytes());
        }
    })
}

pub(super) fn command(call: &mut Call<'_, '_>) -> Outcome {
    let words = call.words;
    if words.is(1, "count") {
        return call.reply(|writer| _ = writer.integer(i64::try_from(table::names().count()).unwrap_or(0)));
    }
    if words.is(1, "list") {
        return call.reply(|writer| {
            writer.array(table::names().count());
            for name in table::names() {
                writer.bulk(name.as_bytes());
            }
        });
    }
    if words.is(1, "docs") {
        return call.reply(|writer| _ = writer.map(0));
    }
    if words.is(1, "info") {
        return call.reply(|writer| {
            writer.array(words.len() - 2);
            for _ in 2..words.len() {
                writer.null();
            }
        });
    }
    if words.len() > 1 {
        return call.no_subcommand();
    }
    call.reply(|writer| _ = writer.array(0))
}

pub(super) fn time(call: &mut Call<'_, '_>) -> Outcome {
    let wall_us = call.port.now().wall_us;
    let (seconds, micros) = ((wall_us / 1_000_000).to_string(), (wall_us % 1_000_000).to_string());
    call.reply(|writer| _ = writer.array(2).bulk(seconds.as_bytes()).bulk(micros.as_bytes()))
}
