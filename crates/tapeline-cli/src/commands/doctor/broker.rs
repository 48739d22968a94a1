//! What the message broker rests on: is the Redis or the disk fit for it, and who else is there?

use std::collections::BTreeMap;

use tapeline_schema::ops::{BrokerReport, DiskReport, RedisClient, RedisReport};

use super::super::output::counted;
use super::finding::Findings;

/// A round trip that is felt, and one that is too long.
const SLOW_US: u64 = 5_000;
const TOO_SLOW_US: u64 = 50_000;
/// Less memory for a subscriber than a burst may need.
const BUFFER_BYTES: u64 = 32 << 20;
/// Less room on a disk than is comfortable.
const FREE_BYTES: u64 = 1 << 30;
/// Strangers and channels that are named.
const NAMED: usize = 5;

/// Judges what the hub has found.
pub(super) fn examine(report: &BrokerReport, findings: &mut Findings) {
    if let Some(redis) = &report.redis {
        match &redis.unreachable {
            Some(why) => findings.problem(
                format!("the hub gets no answer from redis at {}: {why}", redis.address),
                "see whether it runs, and whether address, user and password of --broker are right",
            ),
            None => of_redis(redis, findings),
        }
    }
    if let Some(disk) = &report.disk {
        of_disk(disk, findings);
    }
}

fn of_redis(redis: &RedisReport, findings: &mut Findings) {
    latency(redis, findings);
    memory(redis, findings);
    if let Some(limit) = redis.pubsub_limit.filter(|limit| (1..BUFFER_BYTES).contains(limit)) {
        findings.problem(
            format!("redis cuts off a subscriber for which {} wait, and hubs are subscribers", bytes(limit)),
            "CONFIG SET client-output-buffer-limit \"pubsub 256mb 64mb 60\"",
        );
    }
    if redis.persistent == Some(false) {
        findings.note(
            "redis keeps nothing on disk: when it restarts, all messages and offsets are gone and every epoch is new",
            "appendonly yes, where that matters",
        );
    }
    for denied in &redis.denied {
        findings.problem(
            format!("redis refuses what a hub needs: {denied}"),
            "give the hub's user +@all -@dangerous +info +client|kill ~tapeline:* &*, or see what the error says",
        );
    }
    for unseen in &redis.unseen {
        findings.note(
            format!("redis does not let the hub look at it: {unseen}"),
            "the hub works all the same; with +config|get and +client|list more can be said here",
        );
    }
    findings.ok(match redis.hubs {
        0 | 1 => "no other hub shares this redis".to_string(),
        hubs => format!("{hubs} hubs share this redis, this one included"),
    });
    strangers(redis, findings);
}

fn latency(redis: &RedisReport, findings: &mut Findings) {
    let RedisReport { address, version, round_trip_us, .. } = redis;
    #[expect(clippy::cast_precision_loss, reason = "milliseconds for people")]
    let took = format!("{:.1} ms", *round_trip_us as f64 / 1e3);
    let said = format!("redis at {address} is {version} and answers in {took}");
    match *round_trip_us {
        0..SLOW_US => findings.ok(said),
        SLOW_US..TOO_SLOW_US => {
            findings.note(said, "every publish takes a round trip; is it far away, or busy?")
        }
        _ => findings.problem(said, "every publish takes a round trip: look at SLOWLOG and at the network"),
    }
}

fn memory(redis: &RedisReport, findings: &mut Findings) {
    let RedisReport { used_memory, maxmemory, maxmemory_policy, .. } = redis;
    if !maxmemory_policy.is_empty() && maxmemory_policy != "noeviction" {
        findings.problem(
            format!(
                "maxmemory-policy is {maxmemory_policy}: when its memory is full, redis throws away messages, counts and \
                 leases without a word"
            ),
            "CONFIG SET maxmemory-policy noeviction, and give the hubs a redis of their own",
        );
    }
    let used = bytes(*used_memory);
    match *maxmemory {
        0 => findings.note(
            format!("redis uses {used} and may use all that the machine has"),
            "CONFIG SET maxmemory, so that it refuses writes before the machine ends it",
        ),
        most if *used_memory > most / 5 * 4 => findings.problem(
            format!("redis uses {used} of {}; when that is full, publishes are refused", bytes(most)),
            "raise maxmemory, or keep less (keep of the families)",
        ),
        most => findings.ok(format!("redis uses {used} of {}", bytes(most))),
    }
}

fn strangers(redis: &RedisReport, findings: &mut Findings) {
    let named = |clients: &[RedisClient]| {
        let one = |client: &RedisClient| match client.name.as_str() {
            "" => client.address.clone(),
            name => format!("{name} ({})", client.address),
        };
        let mut names: Vec<String> = clients.iter().take(NAMED).map(one).collect();
        if clients.len() > NAMED {
            names.push("…".to_string());
        }
        names.join(", ")
    };
    for (clients, what) in [(&redis.publishers, "published last"), (&redis.listeners, "subscribe")] {
        if !clients.is_empty() {
            let count = counted(clients.len() as u64, "connection");
            findings.ok(format!("{count} to redis that are no hub's {what}: {}", named(clients)));
        }
    }
    let heard: &BTreeMap<String, u64> = &redis.plain_names;
    if !heard.is_empty() {
        let names: Vec<String> =
            heard.iter().take(NAMED).map(|(name, count)| format!("{name} ({count})")).collect();
        let more = if heard.len() > NAMED { ", …" } else { "" };
        findings
            .ok(format!("heard under plain names in redis, by hubs and others: {}{more}", names.join(", ")));
    }
}

fn of_disk(disk: &DiskReport, findings: &mut Findings) {
    let DiskReport { directory, free_bytes, durability, failed } = disk;
    if let Some(failed) = failed {
        findings.problem(
            format!("{directory} takes no writes: {failed}"),
            "make room or mend the disk, then start the hub again",
        );
    }
    let said =
        format!("messages are kept in {directory}, {durability}; {} are free there", bytes(*free_bytes));
    if *free_bytes < FREE_BYTES {
        findings.problem(said, "make room: on a full disk, families that keep messages refuse them");
    } else {
        findings.ok(said);
    }
}

/// As people say it.
fn bytes(count: u64) -> String {
    let units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
    let (mut whole, mut unit) = (count, 0);
    while whole >= 10_240 && unit + 1 < units.len() {
        (whole, unit) = (whole / 1_024, unit + 1);
    }
    format!("{whole} {}", units.get(unit).copied().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(report: &BrokerReport) -> String {
        let mut findings = Findings::default();
        examine(report, &mut findings);
        findings.text(false)
    }

    fn healthy() -> RedisReport {
        RedisReport {
            address: "h:6379".into(),
            version: "7.0.15".into(),
            round_trip_us: 120,
            used_memory: 1 << 20,
            maxmemory: 1 << 30,
            maxmemory_policy: "noeviction".into(),
            persistent: Some(true),
            pubsub_limit: Some(256 << 20),
            hubs: 1,
            ..RedisReport::default()
        }
    }

    fn of(redis: RedisReport) -> String {
        text(&BrokerReport { redis: Some(redis), disk: None })
    }

    #[test]
    fn a_healthy_redis_has_no_problem_and_no_note() {
        let told = of(healthy());
        assert!(told.contains("redis at h:6379 is 7.0.15 and answers in 0.1 ms"), "{told}");
        assert!(told.lines().all(|line| line.starts_with("ok") || line == "no problem found"), "{told}");
    }

    #[test]
    fn each_fault_is_named() {
        type Fault = fn(&mut RedisReport);
        let faults: [(&str, Fault); 9] = [
            ("throws away messages", |redis| redis.maxmemory_policy = "allkeys-lru".into()),
            ("publishes are refused", |redis| redis.used_memory = redis.maxmemory),
            ("all that the machine has", |redis| redis.maxmemory = 0),
            ("cuts off a subscriber for which 8192 KiB wait", |redis| redis.pubsub_limit = Some(8 << 20)),
            ("keeps nothing on disk", |redis| redis.persistent = Some(false)),
            ("refuses what a hub needs: XADD", |redis| redis.denied = vec!["XADD: NOPERM".into()]),
            ("does not let the hub look", |redis| redis.unseen = vec!["NOPERM config".into()]),
            ("every publish takes a round trip", |redis| redis.round_trip_us = 60_000),
            ("no answer from redis at h:6379: gone", |redis| redis.unreachable = Some("gone".into())),
        ];
        for (words, plant) in faults {
            let mut redis = healthy();
            plant(&mut redis);
            let told = of(redis);
            assert!(told.contains(words), "{words}: {told}");
        }
    }

    #[test]
    fn a_disk_that_is_full_or_failed_is_a_problem() {
        let disk = DiskReport {
            directory: "/data".into(),
            free_bytes: 1 << 20,
            durability: "synced every 10 ms".into(),
            failed: Some("no space left".into()),
        };
        let told = text(&BrokerReport { redis: None, disk: Some(disk) });
        assert!(told.contains("/data takes no writes: no space left"), "{told}");
        assert!(told.contains("synced every 10 ms; 1024 KiB are free there"), "{told}");
    }
}
