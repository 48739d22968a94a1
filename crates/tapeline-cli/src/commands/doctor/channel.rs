//! One channel or pattern: does it exist, who publishes, who listens, and what went wrong with it?

use anyhow::Context;
use tapeline_schema::Pattern;
use tapeline_schema::events::FreshnessState;
use tapeline_schema::ops::{IdlePattern, InspectedFamily, Inspection, LateChannel};

use super::super::hub_url::HubUrl;
use super::super::request::{Asker, encoded};
use super::finding::{Findings, counted, spell_ms};
use super::incidents;

/// Examines what the hub knows.
pub(super) fn examine(
    url: &HubUrl,
    name: &str,
    is_pattern: bool,
    findings: &mut Findings,
) -> anyhow::Result<()> {
    let key = if is_pattern { "pattern" } else { "channel" };
    let body =
        Asker::new(url.clone()).read(&format!("/inspect?name={}&pattern={is_pattern}", encoded(name)))?;
    let known: Inspection = serde_json::from_str(&body).context("/inspect is not a hub's")?;
    if let Some(invalid) = &known.invalid {
        let hint = known.hint.as_deref().map(did_you_mean).unwrap_or_default();
        findings.problem(format!("there can be no {key} {name}: {invalid}"), hint);
    } else if is_pattern {
        pattern(&known, findings);
    } else {
        declared(&known, findings);
        messages(&known, findings);
        subscribers(&known, findings);
    }
    incidents::examine(&known.incidents, findings);
    if !is_pattern {
        idle_patterns(&known.idle_patterns, Some(name), findings);
    }
    Ok(())
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
    match (known.declared, known.strict) {
        (true, _) if family.is_roll_up => {
            let covers = known.covers.as_ref().map_or(0, |covered| covered.count);
            findings.ok(format!(
                "{name} is a roll-up, {delivery}, {priority}; it hears {}",
                counted(covers, "channel")
            ));
        }
        (true, _) => findings.ok(format!(
            "{name} is declared: {template}, type {kind}, {delivery}, {priority} priority, {kept}"
        )),
        (false, true) => findings
            .problem(format!("no family declares {name}, and strict_channels refuses such names"), hint),
        (false, false) if hint.is_empty() => {
            findings.note(format!("no family declares {name}: each message in order, {kept}"), hint);
        }
        (false, false) => findings.problem(format!("no family declares {name}"), hint),
    }
}

fn messages(known: &Inspection, findings: &mut Findings) {
    let name = &known.name;
    let is_roll_up = known.family.as_ref().is_some_and(|family| family.is_roll_up);
    if let Some(late_channel) = &known.late {
        return late(late_channel, findings);
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
                format!("{} were published, none of them is still kept", counted(head.offset, "message")),
                "",
            ),
        },
        None if is_roll_up && known.covers.as_ref().is_some_and(|covered| covered.count > 0) => {}
        None => findings.problem(
            format!(
                "nothing has been published on {name}: no publisher, or it uses another name or another hub"
            ),
            format!("try: tapeline pub {name} JSON; tapeline top shows the channels that are busy"),
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
    if sessions == 1 { "1 session listens".to_string() } else { format!("{sessions} sessions listen") }
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
            counted(covered.count, "channel"),
            covered.names.join(", ")
        ));
    }
    findings.ok(format!("{} to this pattern", listening(known.subscribers.sessions)));
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
