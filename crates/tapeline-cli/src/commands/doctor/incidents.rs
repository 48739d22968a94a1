//! What went wrong lately, as findings: each kind with what to do about it.

use jiff::Timestamp;
use tapeline_schema::ops::Incident;

use super::finding::{Findings, spell_ms};

/// Incidents that are told.
const TOLD: usize = 12;
/// What was last seen longer ago is worth a note at most.
const RECENT_MS: u64 = 15 * 60 * 1_000;

/// Tells the newest ones.
pub(super) fn examine(incidents: &[Incident], findings: &mut Findings) {
    let now = Timestamp::now();
    for incident in incidents.iter().take(TOLD) {
        let age_ms = incident
            .last_at
            .parse::<Timestamp>()
            .map_or(0, |at| u64::try_from(now.duration_since(at).as_millis()).unwrap_or_default());
        let text = sentence(incident, age_ms);
        let remedy = remedy(&incident.kind, &incident.code);
        if age_ms < RECENT_MS && is_problem(incident) {
            findings.problem(text, remedy);
        } else {
            findings.note(text, remedy);
        }
    }
    if incidents.len() > TOLD {
        findings
            .note(format!("and {} more incidents", incidents.len() - TOLD), "GET /incidents has all of them");
    }
}

/// Nobody loses anything by a gap that is told, and whoever is refused is told too: but a publisher that is refused, and a
/// client that was promised to recover, want to know.
fn is_problem(incident: &Incident) -> bool {
    incident.code != "rate_limited" || incident.count > 1
}

fn sentence(incident: &Incident, age_ms: u64) -> String {
    let Incident { kind, code, channel, client, message, count, .. } = incident;
    let times = if *count == 1 { "once".to_string() } else { format!("{count} times") };
    let when = format!("{times}, last {} ago", spell_ms(age_ms));
    let on = channel.as_deref().map(|channel| format!(" on {channel}")).unwrap_or_default();
    let who = if client.is_empty() { String::new() } else { format!(" of {client}") };
    match kind.as_str() {
        "publish_refused" => format!("publishes{who}{on} were refused ({when}): {code}: {message}"),
        "request_refused" => format!("requests{who}{on} were refused ({when}): {code}: {message}"),
        "connection_refused" => format!("connections{who} were not let in ({when}): {code}: {message}"),
        "not_recovered" => {
            format!(
                "recovery{who}{on} did not happen, the client was told recovered: false ({when}): {message}"
            )
        }
        "gap" => format!("a gap was told{who}{on} ({when}): {message}"),
        "closed" => format!("the hub closed connections{who} ({when}): {code}: {message}"),
        other => format!("{other}{who}{on} ({when}): {code}: {message}"),
    }
}

fn remedy(kind: &str, code: &str) -> &'static str {
    match (kind, code) {
        ("not_recovered", "epoch") => {
            "the channel began anew (the hub was restarted, or the channel forgotten): take recovered: false as \
             \"read everything again\""
        }
        ("not_recovered" | "gap", "trimmed") => {
            "keep more of the family (keep.count, keep.age), reconnect sooner, or read faster"
        }
        ("gap", "overflow") => {
            "the family keeps nothing to catch up from: read faster, or take delivery latest"
        }
        ("gap", "epoch") => "read the channel again from its last value or its history",
        (_, "limit_subscriptions" | "limit_connections") => {
            "raise the limit that is named, or close what is not needed; limits count by client id and address"
        }
        (_, "foreign_origin") => {
            "add the page's origin to http.allowed_origins and run tapeline config reload"
        }
        (_, "bad_channel") => {
            "channel names have no spaces, commas or wildcards; wildcards go into \"pattern\""
        }
        (_, "bad_pattern") => "patterns are Redis globs: * ? [abc]",
        (_, "bad_json") => "what was sent is not JSON; see the publisher",
        (_, "invalid_data") => {
            "the data lacks what its family requires: docs/reference/channels.md, or GET /channels"
        }
        (_, "undeclared_channel") => "declare the family, or set strict_channels = false",
        (_, "rate_limited") => "limits.requests_per_second and limits.publishes_per_second set the pace",
        (_, "too_large") => "send less at once, or raise the limit that is named",
        ("closed", "slow") => "the client does not read; ask for less with max_rate",
        ("closed", "idle") => "the client or a proxy has gone without a word",
        (_, "overloaded") => "more waits for clients than limits.outboxes_bytes allows: see tapeline top",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_incident_names_who_what_how_often_and_what_to_do() {
        let incident = Incident {
            kind: "not_recovered".into(),
            code: "trimmed".into(),
            channel: Some("trades:p".into()),
            client: "desk (10.0.0.1)".into(),
            message: "it came back after offset 3; what is kept begins at 101".into(),
            count: 2,
            last_at: Timestamp::now().to_string(),
            ..Incident::default()
        };
        let mut findings = Findings::default();
        examine(&[incident], &mut findings);
        let text = findings.text(false);
        for part in ["PROBLEM", "desk (10.0.0.1)", "trades:p", "did not happen", "2 times", "keep.count"] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}
