//! `tapeline backup` and `tapeline restore`: a data directory in one file, made of a running hub, and back.

use std::fs::OpenOptions;
use std::path::PathBuf;

use anyhow::{Context, bail};
use tapeline_brokers::embedded;

use super::access::Access;
use super::hub_url::HubUrl;
use super::output::Output;
use super::request::Asker;

/// Write a running hub's data directory into one file.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  tapeline backup monday.tape\n  tapeline backup monday.tape --url http://127.0.0.1:8001"
)]
pub(crate) struct Backup {
    /// Where to; a file that is there already is left alone.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Where the hub is; it answers to this machine alone.
    #[arg(long, default_value = "http://127.0.0.1:8000")]
    url: HubUrl,
    #[command(flatten)]
    access: Access,
}

impl Backup {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let shown = self.file.display();
        let made = OpenOptions::new().write(true).create_new(true).open(&self.file);
        let mut file = made.with_context(|| format!("{shown} cannot be made"))?;
        let copied = Asker::new(self.url.with(&self.access)).copy("/admin/data/backup", &mut file);
        let synced = copied.and_then(|()| Ok(file.sync_all()?));
        let contents = synced.and_then(|()| Ok(embedded::verify(&self.file)?));
        let contents = contents.inspect_err(|_| {
            // Half a backup is worse than none.
            let _ = std::fs::remove_file(&self.file);
        })?;
        let bytes: u64 = contents.iter().map(|(_, len)| len).sum();
        Output::new().line(&format!("{shown}: {} files, {bytes} bytes, checked", contents.len()))?;
        Ok(())
    }
}

/// Put a backup into a new directory.
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  tapeline restore monday.tape /var/lib/tapeline-new\n\nEvery channel goes on under a new epoch: what was published after the backup is gone, and clients are told so."
)]
pub(crate) struct Restore {
    /// What `tapeline backup` has written.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// A directory with nothing in it; it is made if there is none.
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

impl Restore {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        if !self.file.is_file() {
            bail!("{} is no file", self.file.display());
        }
        let contents = embedded::restore(&self.file, &self.dir)?;
        let bytes: u64 = contents.iter().map(|(_, len)| len).sum();
        let dir = self.dir.display();
        Output::new().line(&format!("{dir}: {bytes} bytes restored; start with --data-dir {dir}"))?;
        Ok(())
    }
}
