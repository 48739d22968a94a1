//! `tapeline dlq show`: one letter whole.

use anyhow::Context;
use serde_json::value::RawValue;
use tapeline_gateway::dead_letters::Letter;

use super::super::access::Access;
use super::super::hub_url::HubUrl;
use super::super::output::{Output, shown};
use super::super::request::{Asker, encoded};

/// Show one letter whole.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  tapeline dlq show kraken 3\n  tapeline dlq show kraken 3 --json | jq .original"
)]
pub(super) struct Show {
    /// Who gave up.
    source: String,
    /// The letter's place, as `dlq list` prints it.
    offset: u64,
    /// Where the hub is.
    #[arg(long, default_value = "http://127.0.0.1:8000")]
    url: HubUrl,
    #[command(flatten)]
    access: Access,
    /// Print the hub's answer as it came.
    #[arg(long)]
    json: bool,
}

impl Show {
    pub(super) fn run(self, out: &mut Output) -> anyhow::Result<()> {
        let path = format!("/dead-letters/letter?source={}&offset={}", encoded(&self.source), self.offset);
        let body = Asker::new(self.url.with(&self.access)).read(&path)?;
        if self.json {
            out.line(&body)?;
            return out.flush();
        }
        let letter: Letter = serde_json::from_str(&body).context("the answer is not a hub's")?;
        for (name, value) in lines(&letter) {
            out.line(&shown(&format!("{name:<9} {value}")))?;
        }
        out.flush()
    }
}

fn lines(letter: &Letter) -> Vec<(&'static str, String)> {
    let Letter { source, offset, epoch, .. } = letter;
    let redriven = letter.redriven.as_ref().map_or("no".to_string(), |redriven| {
        format!("{}, {} offset {} epoch {}", redriven.at, redriven.channel, redriven.offset, redriven.epoch)
    });
    let (tries, first, last) = (letter.attempts.get(), time(&letter.first_at), time(&letter.last_at));
    vec![
        ("letter", format!("{source} offset {offset} epoch {epoch}, id {}", letter.id)),
        ("taken", letter.timestamp.clone()),
        ("reason", letter.reason.clone()),
        ("error", letter.error.clone().unwrap_or_else(|| "not said".to_string())),
        ("tried", format!("{tries}×, first {first}, last {last}")),
        ("redriven", redriven),
        ("original", letter.original.get().to_string()),
    ]
}

/// A time without its quotes; what is none, as it came.
fn time(written: &RawValue) -> String {
    serde_json::from_str(written.get()).unwrap_or_else(|_| written.get().to_string())
}
