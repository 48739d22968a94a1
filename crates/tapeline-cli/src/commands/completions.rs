//! `tapeline completions`: a script that has a shell complete this program's commands and flags.

use super::output::Output;

/// Print completions for a shell.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  source <(tapeline completions bash)\n  tapeline completions fish > ~/.config/fish/completions/tapeline.fish"
)]
pub(crate) struct Completions {
    /// Which shell.
    shell: clap_complete::Shell,
}

impl Completions {
    pub(crate) fn run(self, mut program: clap::Command) -> anyhow::Result<()> {
        let name = program.get_name().to_string();
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut program, name, &mut script);
        let mut out = Output::new();
        out.text(&String::from_utf8_lossy(&script))?;
        out.flush()
    }
}
