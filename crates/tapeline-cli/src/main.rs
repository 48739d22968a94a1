//! The binary `tapeline`: reads the command line and hands over to one file a command.

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

mod authority;
mod commands;
mod config;
mod demo;
mod foreign;
mod listening;
mod live;
mod log;
mod machine;
mod reload;
mod serve;

use std::io::Write;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

const EXAMPLES: &str = "\
Examples:
  tapeline serve --demo                 run a hub with a synthetic market
  tapeline sub 'market_data:*'          print what channels say
  tapeline pub news '{\"text\":\"hello\"}'  publish to one
  tapeline stats --watch                see what the hub is doing";

#[derive(Parser)]
#[command(name = "tapeline", version, about = "A real-time message hub for trading teams.", after_help = EXAMPLES)]
struct Cli {
    /// Believe the certificates in this file (PEM) when a hub is at https:// or wss://; also TAPELINE_CA. [default: the system's]
    #[arg(long, global = true, value_name = "FILE")]
    ca: Option<std::path::PathBuf>,
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
    /// See rates, delays, slow clients and busy channels as they are now.
    Top(commands::Top),
    /// Watch what runs elsewhere: training runs, with a progress bar each.
    Monitor(commands::Monitor),
    /// Print what a venue says, without a hub.
    Feed(commands::Feed),
    /// Find out why something does not arrive.
    Doctor(commands::Doctor),
    /// Print types of a hub's channels.
    Types(commands::Types),
    /// Play recordings into a hub.
    Replay(commands::Replay),
    /// Show, add and remove the families of a running hub.
    Channel(commands::Channel),
    /// Show, publish again and purge dead letters.
    Dlq(commands::Dlq),
    /// Make tokens and keys, and see what is wrong with a token.
    Token(commands::Token),
    /// Look into a data directory.
    Data(commands::Data),
    /// Write a running hub's data directory into one file.
    Backup(commands::Backup),
    /// Put a backup into a new directory.
    Restore(commands::Restore),
    /// Show the hub's settings and where each comes from; check or reload a file.
    Config(commands::ShowConfig),
    /// Print completions for a shell.
    Completions(commands::Completions),
}

fn main() -> ExitCode {
    log::start();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return ended_early(&error),
    };
    commands::believe(cli.ca);
    let outcome = match cli.command {
        Command::Serve(serve) => serve.run(),
        Command::Pub(publish) => publish.run(),
        Command::Sub(sub) => sub.run(),
        Command::Stats(stats) => stats.run(),
        Command::Top(top) => top.run(),
        Command::Monitor(monitor) => monitor.run(),
        Command::Feed(feed) => feed.run(),
        Command::Doctor(doctor) => doctor.run(),
        Command::Types(types) => types.run(),
        Command::Replay(replay) => replay.run(),
        Command::Channel(channel) => channel.run(),
        Command::Dlq(dlq) => dlq.run(),
        Command::Token(token) => token.run(),
        Command::Data(data) => data.run(),
        Command::Backup(backup) => backup.run(),
        Command::Restore(restore) => restore.run(),
        Command::Config(config) => config.run(),
        Command::Completions(completions) => completions.run(Cli::command()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The causes in one line; a backtrace would tell a user nothing.
            let error = commands::lines_shown(&format!("{error:#}"));
            let _ = writeln!(std::io::stderr(), "error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Help, or words that are no command. The words are repeated, so they must be harmless for a terminal.
fn ended_early(error: &clap::Error) -> ExitCode {
    let said = error.render().to_string();
    if !error.use_stderr() || commands::lines_shown(&said) == said.trim_end() {
        error.exit();
    }
    let _ = writeln!(std::io::stderr(), "{}", commands::lines_shown(&said));
    ExitCode::from(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every command and what is below it, with the words that lead there.
    fn walk(command: &clap::Command, path: &str, found: &mut Vec<(String, String)>) {
        for inner in command.get_subcommands().filter(|inner| inner.get_name() != "help") {
            walk(inner, &format!("{path} {}", inner.get_name()), found);
        }
        let help = command.clone().bin_name(path).render_long_help().to_string();
        found.push((path.to_string(), help));
    }

    #[test]
    fn every_help_ends_with_an_example_of_that_command() {
        let mut found = Vec::new();
        walk(&Cli::command(), "tapeline", &mut found);
        assert!(found.len() > 10, "{found:?}");
        for (path, help) in found {
            let examples = help.rsplit_once("Example").map(|(_, examples)| examples);
            assert!(examples.is_some_and(|examples| examples.contains(&path)), "{path}:\n{help}");
        }
    }

    #[test]
    fn the_command_line_has_no_contradictions() {
        Cli::command().debug_assert();
    }
}
