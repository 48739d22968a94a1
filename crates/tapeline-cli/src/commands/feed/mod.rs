//! `tapeline feed`: prints what a venue says, without a hub. The settings are those of `tapeline serve --feed`; `show`
//! makes a line of an event for eyes, `json` one for programs.

mod json;
mod show;

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use tapeline_core::Clock;
use tapeline_feeds::live::{Live, Sink};
use tapeline_feeds::venue::{Event, Session};
use tapeline_runtime::SystemClock;

use super::output::{Output, counted, note};
use crate::config::{Flag, Layers, without_password};
use crate::{live, log};

/// Lines that may wait for the terminal; then the venue waits.
const LINES: usize = 1_024;
/// For the end, where the terminal takes nothing.
const GRACE: Duration = Duration::from_secs(1);

/// Print what a venue says, without a hub.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  tapeline feed kraken --symbols BTC/USD,ETH/USD
  tapeline feed kraken --symbols BTC/USD --channels book --depth 100 --json | jq .rows
  tapeline feed futu --url tcp://127.0.0.1:11200")]
pub(crate) struct Feed {
    /// The venue: kraken, futu.
    venue: String,
    /// Where it is. [default: Kraken's own]
    #[arg(long, value_name = "URL", allow_hyphen_values = true)]
    url: Option<String>,
    /// Pairs to ask Kraken for.
    #[arg(long, value_name = "A,B")]
    symbols: Option<String>,
    /// Levels a side of its books: 10, 25, 100, 500 or 1000. [default: 10]
    #[arg(long, value_name = "N")]
    depth: Option<u32>,
    /// What it is asked for. [default: ticker,book,trade,ohlc]
    #[arg(long, value_name = "A,B")]
    channels: Option<String>,
    /// A file with the token for executions and balances.
    #[arg(long, value_name = "FILE")]
    token_file: Option<String>,
    /// Take [feed] of this file for what is not said here.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print one JSON object a line.
    #[arg(long)]
    json: bool,
    /// End after so many lines.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
}

/// What the threads tell the one that prints.
enum Said {
    Line(String),
    /// The user wants no more.
    End,
}

/// How a line looks.
#[derive(Clone, Copy)]
enum Form {
    Text,
    Json,
}

/// Makes lines of events.
struct Printer {
    form: Form,
    lines: Arc<SyncSender<Said>>,
    /// Of the session, as of the last event.
    clock: Arc<dyn Clock>,
}

impl Sink for Printer {
    fn handle(&mut self, events: &[Event], session: &dyn Session) {
        let now = self.clock.now();
        for event in events {
            let line = match self.form {
                Form::Text => show::line(event, session, now),
                Form::Json => json::line(event, now),
            };
            // Nobody prints any more: the command ends.
            let _ = line.map(|line| self.lines.send(Said::Line(line)));
        }
    }
}

impl Feed {
    fn layers(&self) -> Layers {
        let given = [
            ("the venue", "feed.names", Some(self.venue.clone())),
            ("--url", "feed.urls", self.url.clone()),
            ("--symbols", "feed.symbols", self.symbols.clone()),
            ("--depth", "feed.depth", self.depth.map(|depth| depth.to_string())),
            ("--channels", "feed.channels", self.channels.clone()),
            ("--token-file", "feed.token_file", self.token_file.clone()),
        ];
        let flag = |(flag, name, text): (&'static str, &'static str, Option<String>)| {
            text.map(|text| Flag { flag, name, text })
        };
        Layers::new(self.config.clone(), given.into_iter().filter_map(flag).collect())
    }

    pub(crate) fn run(self) -> anyhow::Result<()> {
        let values = self.layers().load()?.config.feed;
        // What the log would say is printed, but for what is a fault of the program.
        log::set("error", log::Format::Text);
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
        let form = if self.json { Form::Json } else { Form::Text };
        let (lines, said) = sync_channel(LINES);
        let lines = Arc::new(lines);
        let mut running = Vec::new();
        for (venue, url) in values.venues() {
            if let Form::Text = form {
                note(&format!("{} at {}", venue.name(), without_password(url)));
            }
            for planned in live::plan(&values, venue, url, &clock)? {
                let printer = Printer { form, lines: lines.clone(), clock: clock.clone() };
                running.push(planned.start(Box::new(printer))?);
            }
        }
        if running.is_empty() {
            bail!("nothing is asked for");
        }
        end_on_interrupt(Arc::downgrade(&lines))?;
        // When the last venue has ended (standard input may), so do the lines.
        drop(lines);
        let printed = print(&said, self.count);
        let told = summary(&running);
        // Who still waits for room among the lines is let go.
        drop(said);
        running.into_iter().for_each(Live::stop);
        printed?;
        note(&told);
        Ok(())
    }
}

fn print(said: &Receiver<Said>, count: Option<u64>) -> anyhow::Result<()> {
    let mut out = Output::new();
    let mut left = count;
    while let Ok(Said::Line(line)) = said.recv() {
        out.line(&line)?;
        left = left.map(|left| left - 1);
        if left == Some(0) {
            break;
        }
        // A burst is written at once, its last line without waiting for the next burst.
        let mut next = said.try_recv();
        while let Ok(Said::Line(line)) = next {
            out.line(&line)?;
            left = left.map(|left| left - 1);
            if left == Some(0) {
                return out.flush();
            }
            next = said.try_recv();
        }
        out.flush()?;
        if let Ok(Said::End) = next {
            return Ok(());
        }
    }
    out.flush()
}

/// Ends the command at Ctrl-C or SIGTERM: with what it has to say, or without where the terminal takes nothing.
fn end_on_interrupt(lines: Weak<SyncSender<Said>>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("signals cannot be watched")?;
    let wait = move || {
        runtime.block_on(async {
            let mut terminate =
                tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).ok()?;
            tokio::select! {
                _ = tokio::signal::ctrl_c() => Some(()),
                _ = terminate.recv() => Some(()),
            }
        });
        let end = Instant::now() + GRACE;
        let try_end = || lines.upgrade().is_none_or(|lines| lines.try_send(Said::End).is_ok());
        while !try_end() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(10));
        }
        std::thread::sleep(GRACE);
        std::process::exit(0);
    };
    std::thread::Builder::new()
        .name("signals".to_string())
        .spawn(wait)
        .context("no thread can be started")?;
    Ok(())
}

/// What came of it, in a sentence.
fn summary(running: &[Live]) -> String {
    let all: Vec<_> = running.iter().map(|live| live.stats().session).collect();
    let sum = |of: fn(&tapeline_feeds::venue::Counts) -> u64| all.iter().map(of).sum::<u64>();
    let mut parts = vec![counted(sum(|counts| counts.messages), "message")];
    let wrong = [
        (sum(|counts| counts.checksum_failures), "checksum that did not hold", "checksums that did not hold"),
        (sum(|counts| counts.gaps), "gap", "gaps"),
        (sum(|counts| counts.disconnects), "lost connection", "lost connections"),
        (sum(|counts| counts.strays + counts.malformed), "message not understood", "messages not understood"),
    ];
    for (count, one, many) in wrong.into_iter().filter(|(count, ..)| *count > 0) {
        parts.push(format!("{count} {}", if count == 1 { one } else { many }));
    }
    parts.join(", ")
}
