//! The hub itself: does it answer, is it one, is it well, and whom does it leave behind?

use std::collections::BTreeMap;

use serde::Deserialize;
use tapeline_schema::ops::{Incident, Inspection, StatsAnswer};

use super::super::hub_url::HubUrl;
use super::super::output::{counted, grouped};
use super::super::request::Unanswered;
use super::asking::{Asking, ask, unanswered};
use super::finding::{Findings, spell_ms};
use super::{broker, channel, incidents};

/// Connections that are made to see whether one hub answers all of them.
const PROBES: usize = 8;
/// Late channels that are named, and counts of dead letters.
const NAMED: usize = 5;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Health {
    status: String,
    version: String,
    instance: String,
    /// Nothing, of a hub that knows no tokens.
    authentication: String,
    #[serde(flatten)]
    parts: BTreeMap<String, serde_json::Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Part {
    status: String,
    detail: String,
}

/// What `/incidents` says; a hub does not leave the list out.
#[derive(Deserialize)]
struct Told {
    incidents: Vec<Incident>,
}

/// The hub, if there is one to ask more of.
pub(super) fn examine(url: &HubUrl, findings: &mut Findings) -> Option<Asking> {
    let mut seen = BTreeMap::<String, usize>::new();
    let mut first = None;
    for _ in 0..PROBES {
        // A connection each: behind a balancer, another hub may take it.
        match health(url) {
            Ok(health) => {
                *seen.entry(health.instance.clone()).or_default() += 1;
                first.get_or_insert(health);
            }
            Err(error) if first.is_none() => {
                unanswered(error, findings);
                return None;
            }
            Err(error) => {
                findings.problem(
                    format!("the address answers only sometimes: {error}"),
                    "look at what stands between here and the hub",
                );
                return None;
            }
        }
    }
    let Health { status, version, authentication, parts, .. } = first?;
    let broker = parts.get("broker").cloned().map(part).unwrap_or_default();
    findings.ok(format!("a hub answers at {url}: tapeline {version}, broker {}", broker.detail));
    door(url, &authentication, findings);
    let asking = Asking::new(url.clone(), version, authentication == "off");
    behind(&seen, &asking, findings);
    for (name, found) in parts {
        let part = part(found);
        if !part.status.is_empty() && part.status != "ok" {
            findings.problem(format!("{name} is {}: {}", part.status, part.detail), "see the hub's log");
        }
    }
    if status != "ok" {
        findings.problem(format!("the hub says that it is {status}"), "see /health");
    }
    Some(asking)
}

/// Whether anybody is asked who they are.
fn door(url: &HubUrl, authentication: &str, findings: &mut Findings) {
    match authentication {
        "on" => findings.ok("authentication is on"),
        "off" if url.is_loopback() => findings.ok("authentication is off; the hub answers on this machine"),
        "off" => findings.note(
            "authentication is off: whoever reaches this address may read and publish everything",
            "docs/security.md says how to switch it on",
        ),
        _ => {}
    }
}

/// How many hubs there are, by the instances that answered.
fn behind(seen: &BTreeMap<String, usize>, hub: &Asking, findings: &mut Findings) {
    if seen.contains_key("") {
        let text = "cannot tell how many hubs stand behind the address: /health names no instance";
        findings.note(text, "hubs of this command's version do; what is between may leave it out");
    } else if seen.len() > 1 && share_a_broker(seen, hub, findings) {
        findings.ok(format!("{} hubs on one message broker answer at this address", seen.len()));
    } else if seen.len() > 1 {
        findings.problem(
            format!(
                "{} different hubs answer at this address, each with messages of its own: a subscriber gets only what is \
                 published at its own hub",
                seen.len()
            ),
            "run one hub, or give all of them one message broker; check the load balancer and the number of workers",
        );
    } else {
        findings.ok(format!("one hub stands behind the address ({PROBES} connections)"));
    }
}

/// Whether all of them are nodes of one broker, as one of them says.
fn share_a_broker(seen: &BTreeMap<String, usize>, hub: &Asking, findings: &mut Findings) -> bool {
    let is_hubs = |stats: &StatsAnswer| !stats.version.is_empty();
    let stats = hub.read("/stats", is_hubs, findings).unwrap_or_default();
    seen.keys().all(|instance| stats.nodes.iter().any(|node| node.instance == *instance))
}

fn part(value: serde_json::Value) -> Part {
    serde_json::from_value(value).unwrap_or_default()
}

fn health(url: &HubUrl) -> Result<Health, Unanswered> {
    let answer = ask(url, "/health")?;
    let health: Option<Health> = serde_json::from_str(&answer.body).ok();
    let no_hub =
        || Unanswered::Broken(format!("{url} is no Tapeline hub (HTTP {} to /health)", answer.status));
    health.filter(|health| !health.version.is_empty()).ok_or_else(no_hub)
}

/// What the hub has counted and noticed, where no channel was asked about.
pub(super) fn examine_inside(hub: &Asking, findings: &mut Findings) {
    let is_hubs = |stats: &StatsAnswer| !stats.version.is_empty();
    if let Some(stats) = hub.read("/stats", is_hubs, findings) {
        counts(&stats, findings);
        late(&stats, findings);
        slow(&stats, findings);
        feeds(&stats, findings);
        venues(&stats, findings);
        dead_letters(&stats, findings);
    }
    let is_hubs = |known: &Inspection| known.name == "*" && known.is_pattern;
    if let Some(everything) = hub.read("/inspect?name=*&pattern=true&broker=true", is_hubs, findings) {
        broker::examine(&everything.broker.clone().unwrap_or_default(), findings);
        channel::idle_patterns(&everything.idle_patterns, None, findings);
    }
    if let Some(Told { incidents }) = hub.read("/incidents", |_| true, findings) {
        incidents::examine(&incidents, true, findings);
    }
}

fn counts(stats: &StatsAnswer, findings: &mut Findings) {
    findings.ok(format!(
        "{}, {}, {} heard within the hour, {} published, {} delivered",
        counted(stats.connections, "connection"),
        counted(stats.subscriptions, "subscription"),
        counted(stats.channels_watched, "channel"),
        grouped(stats.published),
        grouped(stats.delivered)
    ));
    if stats.published == 0 {
        findings.note(
            "nothing has been published since the hub started",
            "tapeline pub CHANNEL JSON publishes; tapeline serve --demo has a synthetic market",
        );
    }
}

/// How feeds are that are connected to a venue.
fn venues(stats: &StatsAnswer, findings: &mut Findings) {
    for (name, feed) in &stats.feeds {
        let Some(venue) = &feed.venue else { continue };
        let heard = match &venue.heard_at {
            Some(at) => format!("the last message came at {at}"),
            None => "no message has come yet".to_string(),
        };
        let state = if venue.connected { "connected to its venue" } else { "not connected to its venue" };
        let told = format!("{name} is {state}; {heard}");
        match venue.connected {
            true if venue.alerts.is_empty() => findings.ok(told),
            true => findings.problem(
                format!("{told}; alerts: {}", venue.alerts.join(", ")),
                "docs/feeds.md says what each alert means; the hub's log says more",
            ),
            false => findings.problem(
                told,
                "the hub's log says why; it tries again by itself, after at most a minute each time",
            ),
        }
        if venue.checksum_failures > 0 {
            findings.note(
                format!(
                    "{name}: {} did not match their checksum since the hub started, {} fetched anew",
                    counted(venue.checksum_failures, "book"),
                    grouped(venue.resyncs)
                ),
                "now and then it is a lost message; again and again it is a wrong precision",
            );
        }
    }
}

/// They count since the hub started, so that they do not say whether it still goes on.
fn feeds(stats: &StatsAnswer, findings: &mut Findings) {
    for (name, feed) in stats.feeds.iter().filter(|(_, feed)| feed.dropped + feed.refused > 0) {
        findings.note(
            format!(
                "{name}: {} dropped and {} refused since the hub started",
                counted(feed.dropped, "message"),
                grouped(feed.refused)
            ),
            "the hub's log says why; tapeline dlq list shows what was given up",
        );
    }
}

fn dead_letters(stats: &StatsAnswer, findings: &mut Findings) {
    let (lost, all_lost) = by_source(&stats.dead_letters_lost);
    if all_lost > 0 {
        findings.problem(
            format!("{} could not be kept and are lost: {lost}", counted(all_lost, "dead letter")),
            "see the hub's log; tapeline dlq list shows those that are kept",
        );
    }
    let (taken, all) = by_source(&stats.dead_letters);
    if all > 0 {
        findings.note(
            format!("{} since the hub started: {taken}", counted(all, "dead letter")),
            "tapeline dlq list shows them",
        );
    }
}

/// `kraken overflow 3, redis bad_json 1`, and the sum.
fn by_source(counts: &BTreeMap<String, BTreeMap<String, u64>>) -> (String, u64) {
    let each = counts.iter().flat_map(|(source, reasons)| {
        reasons.iter().map(move |(reason, count)| format!("{source} {reason} {}", grouped(*count)))
    });
    let told: Vec<String> = each.take(NAMED).collect();
    let more = if counts.values().map(BTreeMap::len).sum::<usize>() > NAMED { ", …" } else { "" };
    (told.join(", ") + more, counts.values().flat_map(BTreeMap::values).sum())
}

fn late(stats: &StatsAnswer, findings: &mut Findings) {
    for late in stats.late.iter().filter(|late| late.state.is_stale()).take(NAMED) {
        channel::late(late, findings);
    }
    let more = stats.late.iter().filter(|late| late.state.is_stale()).count().saturating_sub(NAMED);
    if more > 0 {
        let (more, have) = (counted(more as u64, "more channel"), if more == 1 { "has" } else { "have" });
        findings.problem(format!("and {more} {have} gone quiet"), "tapeline top shows them");
    }
    if stats.late.is_empty() && stats.published > 0 {
        findings.ok("every latest and table channel with a rhythm keeps it");
    }
}

fn slow(stats: &StatsAnswer, findings: &mut Findings) {
    for slow in stats.slowest.iter().filter(|slow| slow.blocked_ms >= 1_000 || slow.behind > 0) {
        let blocked = match slow.blocked_ms {
            0 => String::new(),
            ms => format!(", its socket has taken nothing for {}", spell_ms(ms)),
        };
        findings.note(
            format!(
                "{} is slow: {} to send{blocked}, it catches up in {}",
                slow.client,
                counted(slow.waiting_bytes, "byte"),
                counted(slow.behind, "channel")
            ),
            "nobody else waits for it; ask for less with max_rate, or read faster",
        );
    }
}
