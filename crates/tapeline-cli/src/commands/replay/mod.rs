//! `tapeline replay`: plays recordings into a hub over one WebSocket, with a bounded number of unanswered publishes.
//! What is due when is the feed's; this file opens and reports, `drive` sends and counts, `progress` shows.

mod drive;
mod progress;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use anyhow::bail;
use tapeline_feeds::replay::{Format, Recording, ReplayOptions, Speed};
use tapeline_schema::check_name;

use super::access::Access;
use super::hub_url::HubUrl;
use super::output::{Output, grouped, note, shown};
use super::socket::connect;
use drive::{Drive, Ended, Tally};
use progress::Progress;

/// Play recordings into a hub.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  tapeline replay btcusdt.gz --into http://127.0.0.1:8000
  tapeline replay spot-btcusdt.gz usdm-btcusdt.gz --into ws://127.0.0.1:8000 --speed max")]
pub(crate) struct Replay {
    /// Recordings, plain or gzip, of lines `<receive time in ns> <JSON>`; several are merged by time since each
    /// one's start.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The hub to play into. There is no default: whatever listens there takes what is played for real.
    #[arg(long, value_name = "URL")]
    into: HubUrl,
    #[command(flatten)]
    access: Access,
    /// 1 keeps the recorded times, 10 is ten times as fast, max as fast as the window allows.
    #[arg(long, value_name = "1|N|max", default_value = "1")]
    speed: Speed,
    /// Stop after so many publishes.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// Publishes that may wait for their answer.
    #[arg(long, value_name = "N", default_value = "1000", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    window: u32,
    /// Whose words the recordings are in.
    #[arg(long = "as", value_name = "FORMAT", default_value = "binance")]
    format: Words,
    /// Appended to every symbol as -TEXT; without it, files with the same symbol get the beginning of their names.
    #[arg(long, value_name = "TEXT", value_parser = suffix)]
    suffix: Option<String>,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Words {
    /// Streams of trades, book tickers and depth, and depth snapshots.
    Binance,
}

fn suffix(text: &str) -> Result<String, String> {
    check_name(text).map(|()| text.to_string()).map_err(|error| error.to_string())
}

impl Replay {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let read = Arc::new(AtomicU64::new(0));
        let mut recordings = Vec::new();
        let mut bytes = 0;
        for file in &self.files {
            recordings.push(Recording::open(file, read.clone())?);
            bytes += std::fs::metadata(file).map_or(0, |metadata| metadata.len());
        }
        let Words::Binance = self.format;
        let options = ReplayOptions {
            format: Format::Binance,
            speed: self.speed,
            limit: self.limit,
            suffix: self.suffix.clone(),
        };
        let feed = tapeline_feeds::replay::Replay::new(recordings, options)?;
        let progress = match self.limit {
            Some(limit) => Progress::of_messages(limit),
            None => Progress::of_bytes(bytes, read),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(self.play(feed, progress))
    }

    async fn play(&self, feed: tapeline_feeds::replay::Replay, progress: Progress) -> anyhow::Result<()> {
        let into = self.into.clone().with(&self.access);
        let socket = connect(&into).await.map_err(|unconnected| unconnected.into_error(&into))?;
        let mut drive = Drive::new(feed, self.window);
        let ended = drive.run(socket, progress).await;
        let failure = drive.feed.take_failure();
        for (stream, count) in drive.feed.left_out() {
            note(&format!("left out {} of {stream}: no channel for it", grouped(*count)));
        }
        let tally = drive.tally.into_inner();
        report(&tally, drive.started.elapsed())?;
        match (ended, failure) {
            (Ended::Lost(why), _) => {
                let open = tally.sent - tally.answered();
                bail!("{why}; {} publishes had no answer yet", grouped(open))
            }
            (_, Some(failure)) => bail!(failure),
            (Ended::Interrupted, None) => bail!("interrupted before the end"),
            (Ended::Done, None) if tally.refused() > 0 => {
                bail!("the hub refused {}", grouped(tally.refused()))
            }
            (Ended::Done, None) => Ok(()),
        }
    }
}

fn report(tally: &Tally, took: Duration) -> anyhow::Result<()> {
    let mut out = Output::new();
    let rate = tally.published as f64 / took.as_secs_f64().max(0.001);
    out.line(&format!(
        "published {} in {:.2} s ({} a second), refused {}",
        grouped(tally.published),
        took.as_secs_f64(),
        grouped(rate as u64),
        grouped(tally.refused()),
    ))?;
    for (code, refused) in &tally.refusals {
        let line = format!("  {} {code}, first: {}", grouped(refused.count), refused.first);
        out.line(&shown(&line))?;
    }
    out.flush()
}
