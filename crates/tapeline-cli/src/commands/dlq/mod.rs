//! `tapeline dlq`: the dead letters of a running hub, listed, shown, published again and purged.

mod list;
mod purge;
mod redrive;
mod show;

use super::output::Output;

/// Show, publish again and purge dead letters: messages that the hub, a feed or a worker gave up.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  tapeline dlq list                                     what was given up, newest first
  tapeline dlq show kraken 3                            one letter whole
  tapeline dlq redrive --source kraken --reason overflow --dry-run
  tapeline dlq purge --source kraken --older-than 24h --yes")]
pub(crate) struct Dlq {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    /// List letters, newest first, and count them by source and reason.
    List(list::List),
    /// Show one letter whole.
    Show(show::Show),
    /// Publish originals again, each on its own channel.
    Redrive(redrive::RedriveLetters),
    /// Forget letters for good.
    Purge(purge::Purge),
}

impl Dlq {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let mut out = Output::new();
        match self.action {
            Action::List(list) => list.run(&mut out),
            Action::Show(show) => show.run(&mut out),
            Action::Redrive(redrive) => redrive.run(&mut out),
            Action::Purge(purge) => purge.run(&mut out),
        }
    }
}

/// `1 letter`, `2 letters`
fn letters(count: u64) -> String {
    let noun = if count == 1 { "letter" } else { "letters" };
    format!("{} {noun}", super::output::grouped(count))
}
