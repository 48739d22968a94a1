//! The binary `tapeline`: reads the command line and hands over to one file a command.

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

mod commands;
mod config;
mod demo;
mod family_schema;
mod serve;

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// A real-time message hub for trading teams.
#[derive(Parser)]
#[command(name = "tapeline", version, about, after_help = "Example:\n  tapeline serve --demo")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a hub.
    Serve(serve::Serve),
    /// Publish JSON to a channel.
    Pub(commands::Pub),
    /// Print what channels say.
    Sub(commands::Sub),
    /// Show what a hub is doing.
    Stats(commands::Stats),
    /// Print types of a hub's channels.
    Types(commands::Types),
    /// Play recordings into a hub.
    Replay(commands::Replay),
}

fn main() -> ExitCode {
    let filter = tracing_subscriber::EnvFilter::try_from_env("TAPELINE_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let outcome = match Cli::parse().command {
        Command::Serve(serve) => serve.run(),
        Command::Pub(publish) => publish.run(),
        Command::Sub(sub) => sub.run(),
        Command::Stats(stats) => stats.run(),
        Command::Types(types) => types.run(),
        Command::Replay(replay) => replay.run(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The causes in one line; a backtrace would tell a user nothing.
            let _ = writeln!(std::io::stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
