//! `tapeline stats`: what `/stats` says, as a table, once or every second.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use anyhow::Context;
use jiff::Timestamp;
use tapeline_schema::ops::{ChannelStats, NodeStats, StatsAnswer};

use super::access::Access;
use super::hub_url::HubUrl;
use super::output::{Output, grouped, shown};
use super::request::Asker;

const WATCH_INTERVAL: Duration = Duration::from_secs(1);
/// Hubs speak every two seconds; one that has not for so long may be gone.
const SILENT_MS: u64 = 5_000;
/// Home, and from there each line and at last the rest of the screen is cleared: a whole clear would flicker.
const HOME: &str = "\x1b[H";
const CLEAR_LINE: &str = "\x1b[K\n";
const CLEAR_REST: &str = "\x1b[J";

/// Show what a hub is doing.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  tapeline stats\n  tapeline stats --watch --url http://127.0.0.1:8000")]
pub(crate) struct Stats {
    /// Where the hub is.
    #[arg(long, default_value = "http://127.0.0.1:8000")]
    url: HubUrl,
    #[command(flatten)]
    access: Access,
    /// Print the hub's answer as it came.
    #[arg(long)]
    json: bool,
    /// Ask again every second, and show rates.
    #[arg(long)]
    watch: bool,
}

/// An answer and when it came, for the rates of the next one.
struct Sample {
    at: Instant,
    answer: StatsAnswer,
}

impl Stats {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let hub = Asker::new(self.url.clone().with(&self.access));
        let mut out = Output::new();
        let mut earlier = None;
        let screen = self.watch && !self.json && std::io::stdout().is_terminal();
        if screen {
            out.text("\x1b[2J")?;
        }
        loop {
            match hub.read("/stats") {
                Ok(body) if self.json => out.line(&body)?,
                Ok(body) => {
                    let answer = serde_json::from_str(&body).context("the answer is not a hub's")?;
                    let sample = Sample { at: Instant::now(), answer };
                    let text = table(&sample, earlier.as_ref(), rows_left(screen));
                    show(&mut out, &text, screen)?;
                    earlier = Some(sample);
                }
                // A hub that is started again is what one watches for.
                Err(error) if earlier.is_some() && screen => show(&mut out, &format!("{error:#}\n"), screen)?,
                Err(error) => return Err(error),
            }
            out.flush()?;
            if !self.watch {
                return Ok(());
            }
            std::thread::sleep(WATCH_INTERVAL);
        }
    }
}

fn show(out: &mut Output, text: &str, screen: bool) -> anyhow::Result<()> {
    if !screen {
        return out.text(text);
    }
    out.text(HOME)?;
    out.text(&text.replace('\n', CLEAR_LINE))?;
    out.text(CLEAR_REST)
}

/// Lines of the terminal, where the table must fit in one.
fn rows_left(screen: bool) -> usize {
    let size = screen.then(|| rustix::termios::tcgetwinsize(std::io::stdout()).ok()).flatten();
    size.map_or(usize::MAX, |size| usize::from(size.ws_row).max(12))
}

/// The whole text, at most `rows` lines.
fn table(sample: &Sample, earlier: Option<&Sample>, rows: usize) -> String {
    let StatsAnswer { version, uptime_s, connections, clients, subscriptions, .. } = &sample.answer;
    let mut text = format!("tapeline {} up {}\n\n", shown(version), spell(Duration::from_secs(*uptime_s)));
    for (name, value) in
        [("connections", connections), ("clients", clients), ("subscriptions", subscriptions)]
    {
        let _ = writeln!(text, "{name:<14}{:>16}", grouped(*value));
    }
    for (name, count) in COUNTS {
        let _ = write!(text, "{name:<14}{:>16}", grouped(count(&sample.answer)));
        if let Some(rate) = earlier.and_then(|earlier| rate(sample, earlier, *count)) {
            let _ = write!(text, "{:>12} a second", grouped(rate));
        }
        text.push('\n');
    }
    push_causes(&mut text, "dropped", &sample.answer.dropped);
    push_causes(&mut text, "closed", &sample.answer.closed);
    push_nodes(&mut text, &sample.answer.nodes);
    push_channels(&mut text, &sample.answer.channels, rows);
    text
}

type Count = fn(&StatsAnswer) -> u64;

/// What grows, with its name.
const COUNTS: &[(&str, Count)] = &[
    ("published", |answer| answer.published),
    ("delivered", |answer| answer.delivered),
    ("conflated", |answer| answer.conflated),
    ("refused", |answer| answer.refused),
];

/// `None` where the hub has been started anew meanwhile.
fn rate(sample: &Sample, earlier: &Sample, count: Count) -> Option<u64> {
    let more = count(&sample.answer).checked_sub(count(&earlier.answer))?;
    let micros = u64::try_from(sample.at.duration_since(earlier.at).as_micros()).ok()?;
    more.saturating_mul(1_000_000).checked_div(micros)
}

fn push_causes(text: &mut String, name: &str, causes: &BTreeMap<String, u64>) {
    let _ = write!(text, "{name:<14}{:>16}", grouped(causes.values().sum()));
    let named = causes.iter().filter(|(_, count)| **count > 0);
    let named: Vec<String> =
        named.map(|(cause, count)| format!("{} {}", shown(cause), grouped(*count))).collect();
    let _ = writeln!(text, "{}{}", if named.is_empty() { "" } else { "   " }, named.join(", "));
}

/// Each hub, where there are several.
fn push_nodes(text: &mut String, nodes: &[NodeStats]) {
    if nodes.len() < 2 {
        return;
    }
    let _ = writeln!(text, "\n{:<18}{:>12}{:>16}{:>12}   at", "hub", "connections", "delivered", "up");
    for node in nodes {
        let NodeStats { instance, address, connections, delivered, uptime_s, seen_ms, .. } = node;
        let up = spell(Duration::from_secs(*uptime_s));
        let at = address.as_deref().unwrap_or("?");
        let late = match seen_ms {
            0..SILENT_MS => String::new(),
            ms => format!(", silent for {}", spell(Duration::from_millis(*ms))),
        };
        let (instance, at) = (shown(instance), shown(at));
        let _ = writeln!(
            text,
            "{instance:<18}{:>12}{:>16}{up:>12}   {at}{late}",
            grouped(*connections),
            grouped(*delivered)
        );
    }
}

fn push_channels(text: &mut String, channels: &BTreeMap<String, ChannelStats>, rows: usize) {
    if channels.is_empty() {
        text.push_str("\nno channels yet\n");
        return;
    }
    // Two lines of heading, perhaps one for the rest, and the line the cursor stands on.
    let room = rows.saturating_sub(text.lines().count() + 4).max(1);
    let mut sorted: Vec<_> = channels.iter().collect();
    sorted.sort_by_key(|(name, channel)| (std::cmp::Reverse(channel.subscribers), *name));
    let width = sorted.iter().map(|(name, _)| name.len()).max().unwrap_or_default().clamp(16, 48);
    let _ = writeln!(text, "\n{:<width$}{:>14}   last message", "channel", "subscribers");
    let now = Timestamp::now();
    for (name, channel) in sorted.iter().take(room) {
        let last = channel.last_at.as_deref().map_or("none".to_string(), |at| ago(at, now));
        let _ = writeln!(text, "{:<width$}{:>14}   {last}", shown(name), grouped(channel.subscribers));
    }
    if sorted.len() > room {
        let _ = writeln!(text, "and {} more", sorted.len() - room);
    }
}

/// Clocks differ between machines: what is not yet past was just now.
fn ago(at: &str, now: Timestamp) -> String {
    let Ok(at) = at.parse::<Timestamp>() else { return shown(at).into_owned() };
    let past = Duration::try_from(now.duration_since(at)).unwrap_or_default();
    if past < Duration::from_secs(1) { "now".to_string() } else { format!("{} ago", spell(past)) }
}

fn spell(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{} h {} min", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds / 3_600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(at: Instant, json: &str) -> Sample {
        Sample { at, answer: serde_json::from_str(json).unwrap() }
    }

    #[test]
    fn durations_are_said_in_two_units() {
        let said = [0, 59, 61, 3_661, 90_000].map(|seconds| spell(Duration::from_secs(seconds)));
        assert_eq!(said, ["0 s", "59 s", "1 min 1 s", "1 h 1 min", "1 d 1 h"]);
    }

    #[test]
    fn rates_come_from_two_answers_and_not_across_a_restart() {
        let start = Instant::now();
        let earlier = sample(start, r#"{"published":100}"#);
        let later = start + Duration::from_millis(500);
        let text = table(&sample(later, r#"{"published":150}"#), Some(&earlier), usize::MAX);
        assert!(text.contains("published                  150         100 a second\n"), "{text}");
        let text = table(&sample(later, r#"{"published":3}"#), Some(&earlier), usize::MAX);
        assert!(text.contains("published                    3\n"), "{text}");
    }

    #[test]
    fn channels_that_do_not_fit_are_counted() {
        let channels: BTreeMap<String, ChannelStats> =
            (0..50).map(|n| (format!("c{n}"), ChannelStats::default())).collect();
        let answer = StatsAnswer { channels, ..StatsAnswer::default() };
        let text = table(&Sample { at: Instant::now(), answer }, None, 24);
        assert!(text.lines().count() < 24, "{text}");
        assert!(text.ends_with(" more\n"), "{text}");
    }

    #[test]
    fn several_hubs_are_shown_one_by_one() {
        let one = r#"{"instance":"a1","connections":1,"address":"h:1"}"#;
        let two = r#"{"instance":"b2","connections":2,"seen_ms":9000}"#;
        let both = format!(r#"{{"connections":3,"nodes":[{one},{two}]}}"#);
        let text = table(&sample(Instant::now(), &both), None, usize::MAX);
        assert!(text.contains("a1                           1"), "{text}");
        assert!(text.contains("?, silent for 9 s"), "{text}");
        let text = table(&sample(Instant::now(), &format!(r#"{{"nodes":[{one}]}}"#)), None, usize::MAX);
        assert!(!text.contains("h:1"), "{text}");
    }

    #[test]
    fn causes_are_named_where_there_were_any() {
        let text = table(
            &sample(Instant::now(), r#"{"dropped":{"trimmed":3,"overflow":0},"closed":{}}"#),
            None,
            usize::MAX,
        );
        assert!(text.contains("dropped                      3   trimmed 3\n"), "{text}");
        assert!(text.contains("closed                       0\n"), "{text}");
    }
}
