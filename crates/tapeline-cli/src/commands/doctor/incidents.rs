//! What went wrong lately, as findings: each kind with what to do about it.

use jiff::Timestamp;
use tapeline_schema::ops::Incident;

use super::super::output::{counted, grouped};
use super::finding::{Findings, spell_ms};

/// Kinds of trouble that are told.
const TOLD: usize = 12;
/// What was last seen longer ago is worth a note at most.
const RECENT_MS: u64 = 15 * 60 * 1_000;

/// Incidents of one kind and code.
struct Group<'a> {
    newest: &'a Incident,
    /// The newest that names a channel.
    example: Option<&'a Incident>,
    /// Incidents that name one; each is about another.
    channels: u64,
    /// Whether there is one about more channels than the hub remembers by name.
    has_more: bool,
    count: u64,
}

/// Tells the newest kinds of trouble. Where they may be no problem, they are notes.
pub(super) fn examine(incidents: &[Incident], may_be_problems: bool, findings: &mut Findings) {
    let (now, groups) = (Timestamp::now(), groups(incidents));
    for group in groups.iter().take(TOLD) {
        let newest = group.newest;
        let age_ms = newest
            .last_at
            .parse::<Timestamp>()
            .map_or(0, |at| u64::try_from(now.duration_since(at).as_millis()).unwrap_or_default());
        let text = sentence(group, age_ms);
        let remedy = remedy(&newest.kind, &newest.code);
        if may_be_problems && age_ms < RECENT_MS && is_problem(group) {
            findings.problem(text, remedy);
        } else {
            findings.note(text, remedy);
        }
    }
    if groups.len() > TOLD {
        let more = counted((groups.len() - TOLD) as u64, "more kind");
        findings.note(format!("and {more} of incidents"), "GET /incidents has all of them");
    }
}

/// In the order of their newest.
fn groups(incidents: &[Incident]) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for incident in incidents {
        let key = |one: &Incident| (one.kind.clone(), one.code.clone());
        let known = groups.iter().position(|group| key(group.newest) == key(incident));
        let known = known.unwrap_or_else(|| {
            let newest = incident;
            groups.push(Group { newest, example: None, channels: 0, has_more: false, count: 0 });
            groups.len() - 1
        });
        let Some(group) = groups.get_mut(known) else { continue };
        group.count += incident.count;
        if incident.channel.is_some() {
            group.channels += 1;
            group.example.get_or_insert(incident);
        } else {
            group.has_more |= incident.count > 1 && is_about_a_channel(incident);
        }
    }
    groups
}

/// Trouble of this kind names a channel, unless it is what a client did to more of them than are remembered each.
fn is_about_a_channel(incident: &Incident) -> bool {
    match incident.kind.as_str() {
        "publish_refused" | "request_refused" => matches!(
            incident.code.as_str(),
            "bad_channel" | "bad_pattern" | "invalid_data" | "undeclared_channel" | "limit_subscriptions"
        ),
        "not_recovered" | "gap" => true,
        _ => false,
    }
}

/// Nobody loses anything by a gap that is told, and whoever is refused is told too: but a publisher that is refused, and a
/// client that was promised to recover, want to know.
fn is_problem(group: &Group<'_>) -> bool {
    group.newest.code != "rate_limited" || group.count > 1
}

/// The counts are of all clients; the hub knows only the last of them.
fn sentence(group: &Group<'_>, age_ms: u64) -> String {
    let shown = group.example.unwrap_or(group.newest);
    let (Incident { kind, code, client, .. }, message) = (group.newest, &shown.message);
    let ago = format!("{} ago", spell_ms(age_ms));
    let (mut who, mut last) = (String::new(), String::new());
    match (client.is_empty(), group.count) {
        (true, _) => {}
        (false, 1) => who = format!(" of {client}"),
        (false, _) => last = format!("of {client} "),
    }
    let when = match group.count {
        1 => format!("once, {ago}"),
        count => format!("{} times, last {last}{ago}", grouped(count)),
    };
    let example = shown.channel.as_deref().unwrap_or_default();
    let on = match (group.channels, group.has_more) {
        (0, false) => String::new(),
        (0, true) => " on several channels".to_string(),
        (1, false) => format!(" on {example}"),
        (count, false) => format!(" on {}, such as {example},", counted(count, "channel")),
        (count, true) => format!(" on more than {}, such as {example},", counted(count, "channel")),
    };
    let (what, happened) = match kind.as_str() {
        "publish_refused" => ("publishes", "were refused"),
        "request_refused" => ("requests", "were refused"),
        "connection_refused" => ("connections", "were not let in"),
        "not_recovered" => ("recovery", "did not happen, the client was told recovered: false"),
        "gap" => ("a gap", "was told"),
        "closed" => ("connections", "were closed by the hub"),
        other => (other, "happened"),
    };
    let code = match kind.as_str() {
        "not_recovered" | "gap" => String::new(),
        _ => format!("{code}: "),
    };
    format!("{what}{who}{on} {happened} ({when}): {code}{message}")
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

    fn refused(channel: Option<&str>, client: &str, count: u64) -> Incident {
        Incident {
            kind: "publish_refused".into(),
            code: "bad_channel".into(),
            channel: channel.map(str::to_string),
            client: client.into(),
            message: "no spaces".into(),
            count,
            last_at: Timestamp::now().to_string(),
            ..Incident::default()
        }
    }

    fn told(incidents: &[Incident]) -> String {
        let mut findings = Findings::default();
        examine(incidents, true, &mut findings);
        findings.text(false)
    }

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
        let text = told(&[incident]);
        for part in [
            "PROBLEM",
            "recovery on trades:p did not happen",
            "2 times, last of desk (10.0.0.1)",
            "keep.count",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }

    #[test]
    fn the_same_on_many_channels_is_one_problem_with_a_sum_and_an_example() {
        let mut many = vec![refused(None, "noisy", 968)];
        many.extend((0..32).map(|n| refused(Some(&format!("bad {n}")), "noisy", 1)));
        let text = told(&many);
        let expected =
            "publishes on more than 32 channels, such as bad 0, were refused (1,000 times, last of noisy ";
        assert!(text.contains(expected) && text.ends_with("\n1 problem\n"), "{text}");
        let text = told(&many[..1]);
        assert!(text.contains("publishes on several channels were refused (968 times"), "{text}");
        let text = told(&many[1..3]);
        assert!(text.contains("on 2 channels, such as bad 0, were refused (2 times"), "{text}");
        let text = told(&[refused(Some("a b"), "one", 1)]);
        assert!(text.contains("publishes of one on a b were refused (once, 0.0 s ago)"), "{text}");
    }

    #[test]
    fn what_is_long_ago_or_known_to_be_impossible_is_a_note() {
        let old = Incident { last_at: "2020-01-01T00:00:00Z".into(), ..refused(Some("a b"), "one", 1) };
        assert!(told(&[old]).starts_with("note"));
        let mut findings = Findings::default();
        examine(&[refused(Some("a b"), "one", 1)], false, &mut findings);
        assert!(!findings.has_problem());
    }
}
