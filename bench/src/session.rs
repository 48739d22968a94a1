//! A session: the servers in turn, round after round, each fresh. In turn, because a shared machine
//! drifts; fresh, because memory and caches of one run are no business of the next.

use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::capture;
use crate::fleet::Door;
use crate::report::{Report, Sample};
use crate::server::{Launch, Server, Target, scratch};

/// What all workloads take.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Common {
    /// How often each server is measured; the table shows medians.
    #[arg(long, global = true, default_value_t = 3)]
    pub(crate) rounds: usize,
    /// Which servers, instead of the workload's own choice.
    #[arg(long, global = true, value_enum, value_delimiter = ',')]
    pub(crate) servers: Vec<Target>,
    /// Writes all figures to this file.
    #[arg(long, global = true)]
    pub(crate) json: Option<PathBuf>,
    /// The product's binary; default: target/release/tapeline in the repository.
    #[arg(long, global = true)]
    pub(crate) product: Option<PathBuf>,
    /// Fails when a goal is missed.
    #[arg(long, global = true)]
    pub(crate) strict: bool,
}

/// A session of one workload.
pub(crate) struct Session {
    launch: Launch,
    servers: Vec<Target>,
    rounds: usize,
}

impl Session {
    /// Prepares the servers; `payload` is the size of `data` in the floor's frame.
    pub(crate) fn new(common: &Common, usual: &[Target], payload: usize) -> Result<Self> {
        let root = root()?;
        let product = common.product.clone().unwrap_or_else(|| root.join("target/release/tapeline"));
        let servers = if common.servers.is_empty() { usual.to_vec() } else { common.servers.clone() };
        let launch = Launch {
            root,
            product,
            config: None,
            certificate: None,
            redis: false,
            frame_file: None,
            payload,
        };
        let mut session = Self { launch, servers, rounds: common.rounds };
        session.capture(payload)?;
        Ok(session)
    }

    /// Prepares everybody who has this door.
    pub(crate) fn at(door: Door, common: &Common, payload: usize) -> Result<Self> {
        let mut session = Self::new(common, door.targets(), payload)?;
        session.launch.redis = door == Door::Redis;
        Ok(session)
    }

    /// Gives the floor the product's own encoding, when both take part.
    fn capture(&mut self, payload: usize) -> Result<()> {
        let takes_part = |target| self.servers.contains(&target);
        if !takes_part(Target::Product) || !(takes_part(Target::FloorA) || takes_part(Target::FloorB)) {
            return Ok(());
        }
        let server = Server::start(Target::Product, &self.launch)?;
        let frame = capture::delivered_frame(server.addr, payload)
            .with_context(|| format!("capturing the product's frame; it said: {}", server.last_words()))?;
        let path = scratch()?.join(format!("{payload}.frame"));
        std::fs::write(&path, frame)?;
        self.launch.frame_file = Some(path);
        Ok(())
    }

    /// How to start a server.
    pub(crate) fn launch(&mut self) -> &mut Launch {
        &mut self.launch
    }

    /// Measures all servers in all rounds.
    pub(crate) fn measure(&self, report: &mut Report, run: impl Fn(&Server) -> Result<Sample>) -> Result<()> {
        self.in_turn(|target| {
            let sample = self.with(target, &run)?;
            report.add(target, sample);
            Ok(())
        })
    }

    /// Calls `run` for each server that takes part, as often as there are rounds.
    pub(crate) fn in_turn(&self, mut run: impl FnMut(Target) -> Result<()>) -> Result<()> {
        for round in 1..=self.rounds {
            eprintln!("round {round} of {}", self.rounds);
            for &target in &self.servers {
                run(target)?;
            }
        }
        Ok(())
    }

    /// Starts a server for one run.
    pub(crate) fn with<T>(&self, target: Target, run: impl FnOnce(&Server) -> Result<T>) -> Result<T> {
        let server = Server::start(target, &self.launch)?;
        run(&server).with_context(|| format!("measuring {}; it said: {}", target.name(), server.last_words()))
    }
}

/// The repository: the folder above the current one that has the bench in it.
pub(crate) fn root() -> Result<PathBuf> {
    let here = std::env::current_dir()?;
    let root = here.ancestors().find(|folder| folder.join("bench/node/package.json").is_file());
    Ok(root.context("run the bench inside the repository")?.to_path_buf())
}
