//! `tapeline dlq redrive`: originals published again, in as many requests as it takes, and no faster than the hub lets.

use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, bail};
use tapeline_gateway::dead_letters::{Outcome, Redrive, RedriveAnswer, RedriveRequest};

use super::super::access::Access;
use super::super::hub_url::HubUrl;
use super::super::output::{Output, cell, columns, note};
use super::super::request::Asker;
use super::letters;

/// Publish originals again, each on its own channel, the oldest first.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  tapeline dlq redrive --source kraken 3 7
  tapeline dlq redrive --source kraken --reason overflow --dry-run
  tapeline dlq redrive --source kraken --all")]
#[command(group = clap::ArgGroup::new("which").required(true).args(["offsets", "reason", "all"]))]
pub(super) struct RedriveLetters {
    /// The letters' places, as `dlq list` prints them.
    #[arg(value_name = "OFFSET")]
    offsets: Vec<u64>,
    /// Whose letters.
    #[arg(long)]
    source: String,
    /// All that are outstanding with this reason.
    #[arg(long)]
    reason: Option<String>,
    /// All that are outstanding.
    #[arg(long)]
    all: bool,
    /// Say what would be published, and publish nothing.
    #[arg(long)]
    dry_run: bool,
    /// Where the hub is; it answers to this machine alone.
    #[arg(long, default_value = "http://127.0.0.1:8000")]
    url: HubUrl,
    #[command(flatten)]
    access: Access,
    /// Print the hub's answers as they came, one a line.
    #[arg(long)]
    json: bool,
}

impl RedriveLetters {
    pub(super) fn run(self, out: &mut Output) -> anyhow::Result<()> {
        let hub = Asker::new(self.url.with(&self.access));
        let mut asked = RedriveRequest {
            source: self.source,
            offsets: (!self.offsets.is_empty()).then_some(self.offsets),
            reason: self.reason,
            all: self.all,
            dry_run: self.dry_run,
            ..RedriveRequest::default()
        };
        let mut tally = Tally::default();
        let mut waited = false;
        loop {
            let body = serde_json::to_string(&asked).context("the request cannot be written as JSON")?;
            let body = hub.post_json("/admin/dead-letters/redrive", &body)?;
            let answer: RedriveAnswer = serde_json::from_str(&body).context("the answer is not a hub's")?;
            if self.json {
                out.line(&body)?;
            } else {
                out.text(&table(&answer.results))?;
            }
            out.flush()?;
            tally.add(&answer.results);
            // Where it has to wait, the hub may have come no further.
            match answer.next.filter(|next| *next > asked.after || answer.retry_after_ms.is_some()) {
                Some(next) => asked.after = next,
                None => break,
            }
            if let Some(pause_ms) = answer.retry_after_ms {
                if !waited {
                    note(
                        "the hub takes no more at once (limits.publishes_per_second); going on as fast as it does",
                    );
                }
                waited = true;
                sleep(Duration::from_millis(pause_ms));
            }
        }
        if !self.json {
            out.line(&tally.summary())?;
            out.flush()?;
        }
        match tally.count(Outcome::Refused) + tally.count(Outcome::Missing) {
            0 => Ok(()),
            bad => bail!("{} could not be redriven; what was refused stays", letters(bad)),
        }
    }
}

/// How many letters had each outcome, in the order in which they are told.
struct Tally([(Outcome, u64); 5]);

impl Default for Tally {
    fn default() -> Self {
        use Outcome::{AlreadyRedriven, Missing, Redriven, Refused, WouldRedrive};
        Tally([Redriven, WouldRedrive, AlreadyRedriven, Refused, Missing].map(|outcome| (outcome, 0)))
    }
}

impl Tally {
    fn add(&mut self, results: &[Redrive]) {
        for (outcome, count) in &mut self.0 {
            *count += results.iter().filter(|result| result.outcome == *outcome).count() as u64;
        }
    }

    fn count(&self, wanted: Outcome) -> u64 {
        self.0.iter().filter(|(outcome, _)| *outcome == wanted).map(|(_, count)| count).sum()
    }

    fn summary(&self) -> String {
        let told = self.0.iter().filter(|(_, count)| *count > 0);
        let parts: Vec<String> = told.map(|(outcome, count)| format!("{count} {}", word(*outcome))).collect();
        if parts.is_empty() { "no letter to redrive".to_string() } else { parts.join(", ") }
    }
}

fn table(results: &[Redrive]) -> String {
    let rows: Vec<[String; 4]> = results.iter().map(row).collect();
    columns(&rows, 0..1)
}

fn row(result: &Redrive) -> [String; 4] {
    let error = result.error.as_ref().map(|error| format!("{} ({})", error.message, error.code));
    let place = result.published_offset.map(|offset| format!("offset {offset}"));
    [
        result.offset.to_string(),
        word(result.outcome).to_string(),
        cell(result.channel.as_deref().unwrap_or_default(), 128),
        cell(&error.or(place).unwrap_or_default(), 200),
    ]
}

fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Redriven => "redriven",
        Outcome::WouldRedrive => "would be redriven",
        Outcome::AlreadyRedriven => "was redriven before",
        Outcome::Refused => "refused",
        Outcome::Missing => "is not there",
    }
}
