//! `tapeline monitor`: what runs elsewhere, live.

mod run;
mod training;
mod view;

pub(crate) use training::Training;

/// Watch what runs elsewhere.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  tapeline monitor training\n  tapeline monitor training --once")]
pub(crate) struct Monitor {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    /// Watch training runs: a progress bar each.
    Training(Training),
}

impl Monitor {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let What::Training(training) = self.what;
        training.run()
    }
}
