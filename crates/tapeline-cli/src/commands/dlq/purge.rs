//! `tapeline dlq purge`: letters forgotten for good, after a question.

use std::io::{IsTerminal, stdin};

use anyhow::{Context, bail};
use tapeline_gateway::dead_letters::{PurgeRequest, Purged};

use super::super::access::Access;
use super::super::channel::Age;
use super::super::hub_url::HubUrl;
use super::super::output::{Output, cell, grouped, note};
use super::super::request::Asker;

/// Forget letters for good.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  tapeline dlq purge --source kraken
  tapeline dlq purge --source kraken --through 41 --yes
  tapeline dlq purge --all --older-than 7d --yes")]
#[command(group = clap::ArgGroup::new("whose").required(true).args(["source", "all"]))]
pub(super) struct Purge {
    /// One source's.
    #[arg(long)]
    source: Option<String>,
    /// Every source's.
    #[arg(long)]
    all: bool,
    /// Only up to this offset of the source.
    #[arg(long, value_name = "OFFSET", requires = "source")]
    through: Option<u64>,
    /// Only those older than this: 90s, 15m, 24h, 7d.
    #[arg(long, value_name = "AGE")]
    older_than: Option<Age>,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
    /// Where the hub is; it answers to this machine alone.
    #[arg(long, default_value = "http://127.0.0.1:8000")]
    url: HubUrl,
    #[command(flatten)]
    access: Access,
    /// Print the hub's answer as it came.
    #[arg(long)]
    json: bool,
}

impl Purge {
    pub(super) fn run(self, out: &mut Output) -> anyhow::Result<()> {
        if !self.yes {
            self.ask()?;
        }
        let asked = PurgeRequest {
            source: self.source,
            all: self.all,
            through: self.through,
            epoch: None,
            older_than_s: self.older_than.map(|Age(seconds)| seconds),
        };
        let body = serde_json::to_string(&asked).context("the request cannot be written as JSON")?;
        let body = Asker::new(self.url.with(&self.access)).post_json("/admin/dead-letters/purge", &body)?;
        if self.json {
            out.line(&body)?;
            return out.flush();
        }
        let purged: Purged = serde_json::from_str(&body).context("the answer is not a hub's")?;
        for source in &purged.sources {
            let name = if source.source.is_empty() { "dead_letters itself" } else { &source.source };
            out.line(&format!("{}: {} purged", cell(name, 128), grouped(source.purged)))?;
        }
        let noun = if purged.purged == 1 { "message" } else { "messages" };
        out.line(&format!("{} {noun} purged: letters, and notes about them", grouped(purged.purged)))?;
        out.flush()
    }

    fn ask(&self) -> anyhow::Result<()> {
        if !stdin().is_terminal() {
            bail!("what is purged is gone for good; say --yes where nobody can be asked");
        }
        let whose = self.source.as_deref().map_or("every source".to_string(), |source| format!("{source:?}"));
        note(&format!("Forget dead letters of {whose} for good? [y/N]"));
        let mut answer = String::new();
        stdin().read_line(&mut answer).context("the answer cannot be read")?;
        match answer.trim() {
            "y" | "Y" | "yes" => Ok(()),
            _ => bail!("nothing was purged"),
        }
    }
}
