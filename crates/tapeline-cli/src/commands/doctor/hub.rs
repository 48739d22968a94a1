//! The hub itself: does it answer, is it one, is it well, and whom does it leave behind?

use std::collections::BTreeMap;

use anyhow::Context;
use serde::Deserialize;
use tapeline_schema::ops::{IncidentsAnswer, Inspection, StatsAnswer};

use super::super::hub_url::HubUrl;
use super::super::output::grouped;
use super::super::request::Asker;
use super::finding::{Findings, counted, spell_ms};
use super::{channel, incidents};

/// Connections that are made to see whether one hub answers all of them.
const PROBES: usize = 8;
/// Late channels that are named.
const LATE: usize = 5;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Health {
    status: String,
    version: String,
    instance: String,
    #[serde(flatten)]
    parts: BTreeMap<String, serde_json::Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Part {
    status: String,
    detail: String,
}

/// Whether there is a hub to ask more of.
pub(super) fn examine(url: &HubUrl, findings: &mut Findings) -> bool {
    let mut seen = BTreeMap::<String, usize>::new();
    let mut first = None;
    for _ in 0..PROBES {
        // A connection each: behind a balancer, another hub may take it.
        match ask(url) {
            Ok(health) => {
                *seen.entry(health.instance.clone()).or_default() += 1;
                first.get_or_insert(health);
            }
            Err(error) if first.is_none() => {
                findings.problem(
                    format!("{error:#}"),
                    "start one with tapeline serve, or give its address with --url",
                );
                return false;
            }
            Err(error) => {
                findings.problem(
                    format!("the address answers only sometimes: {error:#}"),
                    "look at what stands between here and the hub",
                );
                return false;
            }
        }
    }
    let Some(health) = first else { return false };
    let broker = health.parts.get("broker").cloned().map(part).unwrap_or_default();
    findings.ok(format!("a hub answers at {url}: tapeline {}, broker {}", health.version, broker.detail));
    if seen.len() > 1 {
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
    for (name, found) in health.parts {
        let part = part(found);
        if !part.status.is_empty() && part.status != "ok" {
            findings.problem(format!("{name} is {}: {}", part.status, part.detail), "see the hub's log");
        }
    }
    if health.status != "ok" {
        findings.problem(format!("the hub says that it is {}", health.status), "see /health");
    }
    true
}

fn part(value: serde_json::Value) -> Part {
    serde_json::from_value(value).unwrap_or_default()
}

fn ask(url: &HubUrl) -> anyhow::Result<Health> {
    let body = Asker::new(url.clone()).read("/health")?;
    let health: Option<Health> = serde_json::from_str(&body).ok();
    health.filter(|health| !health.version.is_empty()).with_context(|| format!("{url} is no Tapeline hub"))
}

/// What the hub has counted and noticed, where no channel was asked about.
pub(super) fn examine_inside(url: &HubUrl, findings: &mut Findings) -> anyhow::Result<()> {
    let hub = Asker::new(url.clone());
    let stats: StatsAnswer = serde_json::from_str(&hub.read("/stats")?).context("/stats is not a hub's")?;
    let everything: Inspection = serde_json::from_str(&hub.read("/inspect?name=*&pattern=true")?)
        .context("/inspect is not a hub's")?;
    let told: IncidentsAnswer =
        serde_json::from_str(&hub.read("/incidents")?).context("/incidents is not a hub's")?;
    findings.ok(format!(
        "{} connections, {} subscriptions, {} channels, {} published, {} delivered",
        grouped(stats.connections),
        grouped(stats.subscriptions),
        grouped(stats.channels.len() as u64),
        grouped(stats.published),
        grouped(stats.delivered)
    ));
    if stats.published == 0 {
        findings.note(
            "nothing has been published since the hub started",
            "tapeline pub CHANNEL JSON publishes; tapeline serve --demo has a synthetic market",
        );
    }
    late(&stats, findings);
    slow(&stats, findings);
    let dead: Vec<_> = stats.feeds.iter().filter(|(_, feed)| feed.dropped + feed.refused > 0).collect();
    for (name, feed) in dead {
        findings.problem(
            format!("{name}: {} messages dropped and {} refused", feed.dropped, feed.refused),
            "the hub's log says why; dead letters of this feed hold what was given up",
        );
    }
    channel::idle_patterns(&everything.idle_patterns, None, findings);
    incidents::examine(&told.incidents, findings);
    Ok(())
}

fn late(stats: &StatsAnswer, findings: &mut Findings) {
    for late in stats.late.iter().filter(|late| late.state.is_stale()).take(LATE) {
        channel::late(late, findings);
    }
    let more = stats.late.iter().filter(|late| late.state.is_stale()).count().saturating_sub(LATE);
    if more > 0 {
        findings.problem(format!("and {more} more channels have gone quiet"), "tapeline top shows them");
    }
    if stats.late.is_empty() && stats.published > 0 {
        findings.ok("every channel with a rhythm keeps it");
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
                "{} is slow: {} bytes wait for it{blocked}, it catches up in {}",
                slow.client,
                grouped(slow.waiting_bytes),
                counted(slow.behind, "channel")
            ),
            "nobody else waits for it; ask for less with max_rate, or read faster",
        );
    }
}
