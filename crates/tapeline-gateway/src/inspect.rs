//! `GET /inspect` and `GET /incidents`: what the hub knows of one channel or pattern, and what went wrong lately. Facts
//! only; what they mean is said by `tapeline doctor`.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use tapeline_core::broker::{Interest, NEWEST};
use tapeline_core::clock::rfc3339;
use tapeline_core::{Channel, Hub, incidents};
use tapeline_schema::ops::{
    Audience, Covered, IdlePattern, Incident, IncidentsAnswer, InspectedFamily, InspectedHead, Inspection,
};
use tapeline_schema::{ChannelSpec, Pattern};

use crate::app::App;
use crate::asking;
use crate::extract::Asking;
use crate::stats::late_channel;

/// Channels that are counted of what a pattern covers.
const COUNTED: usize = 1_000;
/// Channels that are named of them.
const NAMED: usize = 20;
/// Patterns that are named.
const PATTERNS: usize = 50;

/// What is asked about.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Asked {
    name: String,
    #[serde(default)]
    pattern: bool,
    #[serde(default)]
    broker: bool,
}

/// `GET /incidents`.
pub(crate) async fn incidents(State(app): State<Arc<App>>) -> Json<IncidentsAnswer> {
    let incidents = app.hub.incidents().recent().iter().map(incident).collect();
    Json(IncidentsAnswer { incidents })
}

fn incident(known: &incidents::Incident) -> Incident {
    Incident {
        kind: known.kind.name().to_string(),
        code: known.code.to_string(),
        channel: (!known.channel.is_empty()).then(|| known.channel.to_string()),
        client: known.client.to_string(),
        message: known.message.to_string(),
        count: known.count,
        first_at: rfc3339(known.first_us),
        last_at: rfc3339(known.last_us),
    }
}

/// `GET /inspect?name=`, of a pattern with `&pattern=true`.
pub(crate) async fn inspect(State(app): State<Arc<App>>, Asking(asked): Asking<Asked>) -> Json<Inspection> {
    let mut inspection = match asked.pattern {
        false => of_channel(&app.hub, asked.name).await,
        true => of_pattern(&app.hub, asked.name).await,
    };
    let about = |known: &&incidents::Incident| *known.channel == *inspection.name;
    inspection.incidents = app.hub.incidents().recent().iter().filter(about).map(incident).collect();
    inspection.idle_patterns = idle_patterns(&app.hub).await;
    if asked.broker {
        inspection.broker = asking::report(&app.hub).await.ok();
    }
    Json(inspection)
}

async fn of_channel(hub: &Arc<Hub>, name: String) -> Inspection {
    let catalog = hub.catalog();
    let strict = hub.settings().strict_channels;
    let hint = catalog.suggest(&name);
    if let Err(error) = tapeline_schema::check_name(&name) {
        return Inspection { name, strict, hint, invalid: Some(error.to_string()), ..Inspection::default() };
    }
    let declared = catalog.resolve(&name).declared;
    let mut inspection =
        Inspection { name, strict, declared, hint: hint.filter(|_| !declared), ..Inspection::default() };
    let Ok(channel) = hub.channel(&inspection.name) else { return inspection };
    inspection.family = Some(family(&channel));
    inspection.head = head(hub, &channel).await;
    if channel.is_roll_up() {
        inspection.covers = covered(hub, Interest::RollUp(channel.clone()), COUNTED).await;
    }
    inspection.subscribers = audience(hub, &channel);
    let board = hub.board();
    let late = board.find_late(channel.name()).or_else(|| board.find_quiet(channel.name()));
    inspection.late = late.map(late_channel);
    inspection
}

fn family(channel: &Channel) -> InspectedFamily {
    let spec: &ChannelSpec = channel.spec();
    InspectedFamily {
        template: if channel.declared() { spec.template.clone() } else { channel.name().to_string() },
        kind: spec.kind.to_string(),
        priority: spec.priority.name().to_string(),
        delivery: spec.delivery.name().to_string(),
        is_roll_up: channel.is_roll_up(),
        keep_count: spec.keep.count as u64,
        keep_age_s: spec.keep.age.map_or(0, |age| age.as_secs()),
        rolls_up_to: channel.roll_ups().iter().map(|roll_up| roll_up.name().to_string()).collect(),
    }
}

async fn head(hub: &Hub, channel: &Channel) -> Option<InspectedHead> {
    let page = asking::page(hub, channel, NEWEST, 1).await.ok().filter(|page| page.head.top > 0)?;
    let at_us = page.messages.first().map(|message| message.timestamp_us);
    Some(InspectedHead {
        offset: page.head.top,
        oldest: page.head.oldest,
        epoch: page.head.epoch.to_string(),
        last_at: at_us.map(rfc3339),
        age_ms: at_us.map(|at_us| hub.now().wall_us.saturating_sub(at_us) / 1_000),
    })
}

/// Nothing where the broker gives no answer.
async fn covered(hub: &Hub, interest: Interest, limit: usize) -> Option<Covered> {
    let sources = asking::sources(hub, &interest, limit).await.ok()?;
    let mut names: Vec<String> =
        sources.heads.iter().map(|(channel, _)| channel.name().to_string()).collect();
    names.sort_unstable();
    let count = names.len() as u64;
    names.truncate(NAMED);
    Some(Covered { names, count })
}

fn audience(hub: &Hub, channel: &Channel) -> Audience {
    let roll_ups =
        channel.roll_ups().iter().map(|roll_up| (roll_up.name(), hub.subscribers_by_name(roll_up)));
    let patterns = hub.subscribed_patterns();
    let matching = patterns.iter().filter(|(pattern, _)| pattern.matches(channel.name()));
    let matching = matching.map(|(pattern, sessions)| (pattern.as_str(), *sessions));
    Audience {
        sessions: hub.subscribers(channel) as u64,
        by_name: hub.subscribers_by_name(channel) as u64,
        by_roll_up: counted(roll_ups),
        by_pattern: counted(matching.take(PATTERNS)),
    }
}

fn counted<'a>(counts: impl Iterator<Item = (&'a str, usize)>) -> BTreeMap<String, u64> {
    counts.filter(|(_, count)| *count > 0).map(|(name, count)| (name.to_string(), count as u64)).collect()
}

async fn of_pattern(hub: &Hub, text: String) -> Inspection {
    let strict = hub.settings().strict_channels;
    let named = Inspection { name: text, is_pattern: true, strict, ..Inspection::default() };
    let pattern = match Pattern::parse(&named.name) {
        Ok(pattern) => pattern,
        Err(error) => return Inspection { invalid: Some(error.to_string()), ..named },
    };
    let covers = covered(hub, Interest::Pattern(pattern), COUNTED).await;
    let matches_none = covers.as_ref().is_some_and(|covers| covers.count == 0);
    let hint = if matches_none { hub.suggest_pattern(&named.name) } else { None };
    let standing = hub.subscribed_patterns();
    let sessions =
        standing.iter().find(|(known, _)| known.as_str() == named.name).map_or(0, |(_, count)| *count as u64);
    let subscribers = Audience { sessions, by_name: sessions, ..Audience::default() };
    Inspection { hint, covers, subscribers, ..named }
}

async fn idle_patterns(hub: &Hub) -> Vec<IdlePattern> {
    let mut idle = Vec::new();
    for (pattern, sessions) in hub.subscribed_patterns() {
        if idle.len() == PATTERNS {
            break;
        }
        let text = pattern.as_str().to_string();
        // Who is away would be asked for each of them.
        let Some(covers) = covered(hub, Interest::Pattern(pattern), 1).await else { break };
        if covers.count == 0 {
            let hint = hub.suggest_pattern(&text);
            idle.push(IdlePattern { pattern: text, sessions: sessions as u64, hint });
        }
    }
    idle
}
