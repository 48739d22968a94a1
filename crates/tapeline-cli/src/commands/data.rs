//! `tapeline data du`: what each family takes in a data directory, of a running hub or one that is stopped.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tapeline_brokers::embedded;
use tapeline_core::Directory;
use tapeline_gateway::data::{DataUsage, FamilyBytes};

use super::access::Access;
use super::hub_url::HubUrl;
use super::output::{Output, columns, grouped};
use super::request::Asker;
use crate::config::Layers;

/// Look into a data directory.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  tapeline data du /var/lib/tapeline")]
pub(crate) struct Data {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Show how many bytes each family takes.
    Du(Du),
}

/// Show how many bytes each family takes.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  tapeline data du /var/lib/tapeline\n  tapeline data du http://127.0.0.1:8000\n  tapeline data du /var/lib/tapeline --config tapeline.toml"
)]
struct Du {
    /// A data directory, or a running hub on this machine.
    #[arg(value_name = "DIR|URL")]
    of: String,
    /// The configuration whose families the directory was written with.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    access: Access,
}

impl Data {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let Action::Du(du) = self.action;
        du.run()
    }
}

impl Du {
    fn run(self) -> anyhow::Result<()> {
        let mut families = match self.of.contains("://") {
            true => {
                let hub: HubUrl = self.of.parse().map_err(anyhow::Error::msg)?;
                serde_json::from_str::<DataUsage>(
                    &Asker::new(hub.with(&self.access)).read("/admin/data/usage")?,
                )?
                .families
            }
            false => self.of_directory()?,
        };
        families.sort_by_key(|family| std::cmp::Reverse(family.log + family.snapshot));
        let head = ["family", "live", "log", "snapshot"].map(str::to_string);
        let rows = families.iter().map(|family| {
            let name = if family.family.is_empty() { "(store)" } else { &family.family };
            [name.to_string(), grouped(family.live), grouped(family.log), grouped(family.snapshot)]
        });
        let table: Vec<[String; 4]> = std::iter::once(head).chain(rows).collect();
        Output::new().text(&columns(&table, 1..4))
    }

    fn of_directory(&self) -> anyhow::Result<Vec<FamilyBytes>> {
        let config = Layers::new(self.config.clone(), Vec::new()).load()?.config;
        let catalog = config.catalog(&[]).map_err(|misfit| misfit.error)?;
        let found = embedded::usage(Path::new(&self.of), &Arc::new(Directory::new(catalog)))?;
        let family = |usage: embedded::FamilyUsage| FamilyBytes {
            family: usage.family,
            live: usage.live,
            log: usage.log,
            snapshot: usage.snapshot,
        };
        Ok(found.into_iter().map(family).collect())
    }
}
