//! One channel or pattern: does it exist, who publishes, who listens, and what went wrong with it?

use tapeline_schema::Pattern;
use tapeline_schema::events::FreshnessState;
use tapeline_schema::ops::{Covered, IdlePattern, InspectedFamily, Inspection, LateChannel};

use super::super::hub_url::HubUrl;
use super::super::output::counted;
use super::super::request::encoded;
use super::asking::Asking;
use super::finding::{Findings, spell_ms};
use super::{example, incidents};

/// Up to so many channels are counted.
const COUNTED: u64 = 1_000;
/// What speaks this often and stops has a fault; what speaks more seldom may have nothing to say.
const CLEAR_RHYTHM_MS: u64 = 5_000;

/// Examines what the hub knows; answers whether the name can be subscribed to.
pub(super) fn examine(hub: &Asking, name: &str, is_pattern: bool, findings: &mut Findings) -> bool {
    let path = format!("/inspect?name={}&pattern={is_pattern}", encoded(name));
    let is_hubs = |known: &Inspection| known.name == name && known.is_pattern == is_pattern;
    let Some(known) = hub.read(&path, is_hubs, findings) else { return true };
    let can_be = can_be(&known, findings);
    if can_be && is_pattern {
        pattern(&known, findings);
    } else if can_be {
        channel(&known, &hub.url, findings);
    }
    // Of a name that cannot be, that it was refused to others says nothing more.
    incidents::examine(&known.incidents, can_be, findings);
    if !is_pattern {
        idle_patterns(&known.idle_patterns, Some(name), findings);
    }
    can_be
}

fn can_be(known: &Inspection, findings: &mut Findings) -> bool {
    let (name, hint) = (&known.name, known.hint.as_deref().map(did_you_mean).unwrap_or_default());
    if let Some(invalid) = &known.invalid {
        let key = if known.is_pattern { "pattern" } else { "channel" };
        findings.problem(format!("there can be no {key} {name}: {invalid}"), hint);
        return false;
    }
    let is_refused = !known.is_pattern && !known.declared && known.strict;
    if is_refused {
        let text = format!("no family declares {name}, and strict_channels refuses such names");
        findings.problem(text, hint);
    }
    !is_refused
}

fn channel(known: &Inspection, url: &HubUrl, findings: &mut Findings) {
    let is_used = known.head.is_some() || known.subscribers.sessions > 0;
    if !known.declared && !is_used && known.hint.is_some() {
        let hint = known.hint.as_deref().map(did_you_mean).unwrap_or_default();
        let name = &known.name;
        return findings.problem(
            format!("no family declares {name}, nothing has been published on it and nobody listens"),
            hint,
        );
    }
    declared(known, findings);
    messages(known, url, findings);
    subscribers(known, findings);
}

fn did_you_mean(hint: &str) -> String {
    format!("did you mean {hint}?")
}

fn declared(known: &Inspection, findings: &mut Findings) {
    let (name, hint) = (&known.name, known.hint.as_deref().map(did_you_mean).unwrap_or_default());
    let family = known.family.clone().unwrap_or_default();
    let InspectedFamily { template, kind, priority, delivery, keep_count, .. } = &family;
    let kept = match family.keep_age_s {
        0 => format!("{keep_count} kept"),
        seconds => format!("{keep_count} kept for {}", spell_ms(seconds * 1_000)),
    };
    match known.declared {
        true if family.is_roll_up => {
            let heard = channels(&known.covers.clone().unwrap_or_default());
            findings.ok(format!("{name} is a roll-up, {delivery}, {priority}; it hears {heard}"));
        }
        true => findings.ok(format!(
            "{name} is declared: {template}, type {kind}, {delivery}, {priority} priority, {kept}"
        )),
        false => findings.note(format!("no family declares {name}: each message in order, {kept}"), hint),
    }
}

/// How many.
fn channels(covered: &Covered) -> String {
    let least = if covered.count >= COUNTED { "at least " } else { "" };
    format!("{least}{}", counted(covered.count, "channel"))
}

fn messages(known: &Inspection, url: &HubUrl, findings: &mut Findings) {
    let name = &known.name;
    let family = known.family.clone().unwrap_or_default();
    match &known.late {
        Some(quiet) if family.delivery == "every" => return silent(quiet, findings),
        Some(late_channel) => return late(late_channel, findings),
        None => {}
    }
    match &known.head {
        Some(head) => match head.age_ms {
            Some(age) => {
                findings.ok(format!(
                    "the last message came {} ago; its offset is {}",
                    spell_ms(age),
                    head.offset
                ));
            }
            None => findings.note(
                match head.offset {
                    1 => "1 message was published, and it is no longer kept".to_string(),
                    more => {
                        format!("{} were published, none of them is still kept", counted(more, "message"))
                    }
                },
                "",
            ),
        },
        None if family.is_roll_up && known.covers.as_ref().is_some_and(|covered| covered.count > 0) => {}
        None => findings.problem(
            format!(
                "nothing has been published on {name}: no publisher, or it uses another name or another hub"
            ),
            example::command(name, &family.template, url).map_or_else(
                || "tapeline top shows the channels that are busy".to_string(),
                |command| format!("try: {command}"),
            ),
        ),
    }
}

/// A channel that has fallen out of its rhythm.
pub(super) fn late(late: &LateChannel, findings: &mut Findings) {
    let LateChannel { channel, state, age_ms, usual_ms } = late;
    let usual = spell_ms((*usual_ms).max(100));
    match state {
        FreshnessState::Fresh => {}
        FreshnessState::Delayed => findings.note(
            format!("{channel} is late: nothing for {}, where a message usually comes every {usual}", spell_ms(*age_ms)),
            "",
        ),
        FreshnessState::Stale => findings.problem(
            format!(
                "the data of {channel} has stopped: nothing for {}, where a message usually comes every {usual}; \
                 connections and heartbeats go on regardless",
                spell_ms(*age_ms)
            ),
            format!("look at its publisher; subscribe to freshness:{channel} to be told"),
        ),
        FreshnessState::Frozen => findings.problem(
            format!("{channel} is frozen: messages come, but what they say has not changed"),
            "look at its publisher: it may repeat its last value",
        ),
    }
}

/// A channel of which each message counts: that nothing happens may be no fault, but where much did it is worth a look.
/// Nobody is told of it.
fn silent(late: &LateChannel, findings: &mut Findings) {
    let LateChannel { channel, state, age_ms, usual_ms } = late;
    let text = format!(
        "{channel} has said nothing for {}, where a message usually came every {}",
        spell_ms(*age_ms),
        spell_ms((*usual_ms).max(100))
    );
    match state {
        FreshnessState::Stale if *usual_ms < CLEAR_RHYTHM_MS => findings
            .problem(format!("{text}; connections and heartbeats go on regardless"), "look at its publisher"),
        FreshnessState::Fresh | FreshnessState::Frozen => {}
        _ => findings.note(text, "perhaps there is nothing to say; if not, look at its publisher"),
    }
}

fn subscribers(known: &Inspection, findings: &mut Findings) {
    let heard = &known.subscribers;
    if heard.sessions == 0 {
        return findings.note(format!("nobody listens to {} at this hub", known.name), "");
    }
    let mut ways = Vec::new();
    if heard.by_name > 0 {
        ways.push(format!("{} by its name", heard.by_name));
    }
    ways.extend(heard.by_roll_up.iter().map(|(name, count)| format!("{count} through {name}")));
    ways.extend(heard.by_pattern.iter().map(|(pattern, count)| format!("{count} through {pattern}")));
    let once = if ways.len() > 1 { "; who hears it in several ways gets each message once" } else { "" };
    findings.ok(format!("{}: {}{once}", listening(heard.sessions), ways.join(", ")));
}

fn listening(sessions: u64) -> String {
    format!("{} {}", counted(sessions, "session"), if sessions == 1 { "listens" } else { "listen" })
}

fn pattern(known: &Inspection, findings: &mut Findings) {
    let covered = known.covers.clone().unwrap_or_default();
    if covered.count == 0 {
        let hint = known.hint.as_deref().map_or(
            "in a pattern, . and : mean nothing: * stands for any text; tapeline channel list shows the families"
                .to_string(),
            did_you_mean,
        );
        findings.problem(format!("the pattern {} matches no channel", known.name), hint);
    } else {
        let more = if covered.count > covered.names.len() as u64 { ", …" } else { "" };
        findings.ok(format!(
            "the pattern matches {}: {}{more}",
            channels(&covered),
            covered.names.join(", ")
        ));
    }
    match known.subscribers.sessions {
        0 => findings.note("nobody listens to this pattern at this hub", ""),
        sessions => findings.ok(format!("{} to this pattern", listening(sessions))),
    }
}

/// Patterns that somebody listens to in vain; those that were meant for `channel` are its problem.
pub(super) fn idle_patterns(idle: &[IdlePattern], channel: Option<&str>, findings: &mut Findings) {
    for idle in idle {
        let meant = idle.hint.as_deref().map(Pattern::parse).and_then(Result::ok);
        if channel.is_some_and(|name| !meant.is_some_and(|meant| meant.matches(name))) {
            continue;
        }
        let hint = idle.hint.as_deref().map(did_you_mean).unwrap_or_default();
        let text =
            format!("{} to the pattern {}, which matches no channel", listening(idle.sessions), idle.pattern);
        match idle.hint {
            Some(_) => findings.problem(text, hint),
            None => findings.note(text, hint),
        }
    }
}
