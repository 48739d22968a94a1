//! `tapeline dlq list`: a line a letter, and how many there are by source and reason.

use anyhow::Context;
use serde::Deserialize;
use tapeline_gateway::dead_letters::{Letter, Letters, Total};

use super::super::access::Access;
use super::super::hub_url::HubUrl;
use super::super::output::{Output, cell, columns, grouped};
use super::super::request::{Asker, encoded};
use super::letters;

/// List letters, newest first, and count them by source and reason.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  tapeline dlq list
  tapeline dlq list --source kraken --reason overflow --limit 20
  tapeline dlq list --all --json")]
pub(super) struct List {
    /// Only of this source.
    #[arg(long)]
    source: Option<String>,
    /// Only with this reason.
    #[arg(long)]
    reason: Option<String>,
    /// Those too that were published again.
    #[arg(long)]
    all: bool,
    /// At most so many, 1 to 1,000.
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
    /// Those before this page: what the page before it ends with.
    #[arg(long, value_name = "N")]
    before: Option<u64>,
    /// Where the hub is.
    #[arg(long, default_value = "http://127.0.0.1:8000")]
    url: HubUrl,
    #[command(flatten)]
    access: Access,
    /// Print the hub's answer as it came.
    #[arg(long)]
    json: bool,
}

impl List {
    pub(super) fn run(self, out: &mut Output) -> anyhow::Result<()> {
        let mut path = format!("/dead-letters?limit={}", self.limit);
        for (name, text) in [("source", &self.source), ("reason", &self.reason)] {
            if let Some(text) = text {
                path.push_str(&format!("&{name}={}", encoded(text)));
            }
        }
        if let Some(before) = self.before {
            path.push_str(&format!("&before={before}"));
        }
        if self.all {
            path.push_str("&all=1");
        }
        let body = Asker::new(self.url.with(&self.access)).read(&path)?;
        if self.json {
            out.line(&body)?;
            return out.flush();
        }
        let told: Letters = serde_json::from_str(&body).context("the answer is not a hub's")?;
        if !told.letters.is_empty() {
            out.text(&table(&told.letters))?;
        }
        for line in sums(&told, self.all) {
            out.line(&line)?;
        }
        out.flush()
    }
}

fn table(letters: &[Letter]) -> String {
    let head = ["source", "offset", "taken", "reason", "tries", "channel", "error", "redriven"];
    let mut rows = vec![head.map(str::to_string)];
    rows.extend(letters.iter().map(|letter| {
        let redriven = letter.redriven.as_ref().map_or("", |_| "yes");
        [
            cell(&letter.source, 40),
            letter.offset.to_string(),
            cell(letter.timestamp.get(..19).unwrap_or(&letter.timestamp), 30),
            cell(&letter.reason, 30),
            cell(letter.attempts.get(), 8),
            cell(&channel(letter), 48),
            cell(letter.error.as_deref().unwrap_or_default(), 60),
            redriven.to_string(),
        ]
    }));
    columns(&rows, 1..2)
}

/// The original's channel, if it names one.
fn channel(letter: &Letter) -> String {
    #[derive(Deserialize)]
    struct Named {
        channel: String,
    }
    serde_json::from_str::<Named>(letter.original.get()).map(|named| named.channel).unwrap_or_default()
}

fn sums(told: &Letters, all: bool) -> Vec<String> {
    let sum = |of: fn(&Total) -> u64| told.totals.iter().map(of).sum::<u64>();
    let (outstanding, redriven) = (sum(|total| total.outstanding), sum(|total| total.redriven));
    let mut lines = Vec::new();
    let mut line = format!("{} outstanding", letters(outstanding));
    let each = told.totals.iter().filter(|total| total.outstanding > 0).map(|total| {
        format!("{} {} {}", cell(&total.source, 40), cell(&total.reason, 30), grouped(total.outstanding))
    });
    let each: Vec<String> = each.collect();
    if !each.is_empty() {
        line.push_str(&format!(": {}", each.join(", ")));
    }
    lines.push(line);
    if redriven > 0 {
        let hint = if all { "" } else { " (--all lists them)" };
        lines.push(format!("{} redriven{hint}", letters(redriven)));
    }
    if let Some(next) = told.next {
        lines.push(format!("there are more: --before {next}"));
    }
    if !told.complete {
        lines.push(
            "older letters were not looked at: there are too many bytes of them; name a --source".to_string(),
        );
    }
    lines
}
