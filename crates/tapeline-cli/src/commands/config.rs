//! `tapeline config`: the effective settings and where each comes from; `check` reads a file without starting
//! anything, `reload` has a running hub read its file again, `reference` writes the page of all settings.

use std::fmt::Write;
use std::path::PathBuf;

use anyhow::{Context, anyhow};
use rustix::process::{Pid, Signal, kill_process};
use tapeline_auth::advice;
use tapeline_gateway::admin::{Change, Reloaded};

use super::access::Access;
use super::hub_url::HubUrl;
use super::output::Output;
use super::request::Asker;
use crate::config::{Layers, effective, reference};
use crate::serve::ServeFlags;

/// Show the hub's settings and where each comes from; check or reload a file.
#[derive(clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  tapeline config --config tapeline.toml\n  tapeline config check tapeline.toml\n  tapeline config reload"
)]
pub(crate) struct ShowConfig {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    flags: ServeFlags,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Read a file as a hub would, and say what is wrong with it.
    Check(Check),
    /// Have a running hub read its file again.
    Reload(Reload),
    /// Write the page of all settings, as Markdown.
    #[command(after_help = "Example:\n  tapeline config reference > docs/configuration.md")]
    Reference,
}

/// Read a file as a hub would, and say what is wrong with it.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  tapeline config check tapeline.toml && tapeline config reload")]
struct Check {
    /// The file.
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// Have a running hub read its file again.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  tapeline config reload\n  tapeline config reload --url http://127.0.0.1:8002\n  tapeline config reload --pid 4711"
)]
struct Reload {
    /// Where the hub is; it answers to this machine alone.
    #[arg(long, default_value = "http://127.0.0.1:8000")]
    url: HubUrl,
    #[command(flatten)]
    access: Access,
    /// Send SIGHUP to this process instead; its log says what became of it.
    #[arg(long, value_name = "PID", conflicts_with = "url")]
    pid: Option<i32>,
    /// Print the hub's answer as it came.
    #[arg(long, conflicts_with = "pid")]
    json: bool,
}

impl ShowConfig {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let text = match self.action {
            None => effective(&self.flags.layers().load()?),
            Some(Action::Check(check)) => check.run()?,
            Some(Action::Reload(reload)) => reload.run()?,
            Some(Action::Reference) => reference(),
        };
        let mut out = Output::new();
        out.text(&text)?;
        out.flush()
    }
}

impl Check {
    fn run(self) -> anyhow::Result<String> {
        let place = self.file.display().to_string();
        let layers = Layers { path: Some(self.file), ..Layers::default() };
        let config = layers.load()?.config;
        crate::authority::check(&config).map_err(|told| anyhow!("{place}: {told}"))?;
        let families = config.families.len();
        let noun = if families == 1 { "family" } else { "families" };
        let mut text = format!("{place}: good, {families} {noun}\n");
        for weakness in advice::weaknesses(&config.auth) {
            let _ = writeln!(text, "could be stronger: {weakness}");
        }
        Ok(text)
    }
}

impl Reload {
    fn run(self) -> anyhow::Result<String> {
        if let Some(number) = self.pid {
            let pid = Pid::from_raw(number).filter(|_| number > 0).context("a process id is above 0")?;
            kill_process(pid, Signal::HUP).with_context(|| format!("process {number} cannot be told"))?;
            return Ok(format!("process {number} was told; its log says what became of it\n"));
        }
        let body = Asker::new(self.url.with(&self.access)).post_json("/admin/reload", "")?;
        if self.json {
            return Ok(body + "\n");
        }
        let told: Reloaded = serde_json::from_str(&body).context("the answer is not a hub's")?;
        Ok(words(&told))
    }
}

fn words(told: &Reloaded) -> String {
    let mut text = String::new();
    for Change { name, from, to } in &told.changed {
        let _ = writeln!(text, "{name} is now {to}, was {from}");
    }
    let families = [
        ("added", &told.families_added),
        ("changed", &told.families_changed),
        ("removed", &told.families_removed),
    ];
    for (what, names) in families {
        for name in names {
            let _ = writeln!(text, "family {name} was {what}");
        }
    }
    if told.channels_ended > 0 {
        let _ = writeln!(text, "{} channels in use begin anew", told.channels_ended);
    }
    if text.is_empty() {
        text.push_str("nothing has changed\n");
    }
    for Change { name, from, to } in &told.restart {
        let _ = writeln!(text, "{name} stays {from} until the hub is started again; the new value is {to}");
    }
    text
}
