//! How far a replay is: a bar where standard error is a terminal, else a line every few seconds.

use std::cell::Cell;
use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::super::output::{grouped, note};

const LINE_INTERVAL: Duration = Duration::from_secs(5);
const BAR: &str = "{elapsed_precise} [{bar:32}] {percent:>3} %  {msg}";

/// What the whole is counted in.
enum Whole {
    Messages,
    /// Read of the files so far.
    Bytes(Arc<AtomicU64>),
}

enum Shown {
    Bar(ProgressBar),
    /// When the last line was printed.
    Lines(Cell<Instant>),
}

/// See the module.
pub(super) struct Progress {
    whole: Whole,
    total: u64,
    started: Instant,
    shown: Shown,
}

impl Progress {
    pub(super) fn of_messages(total: u64) -> Self {
        Self::new(Whole::Messages, total)
    }

    /// `read` grows towards `total` as the files are read.
    pub(super) fn of_bytes(total: u64, read: Arc<AtomicU64>) -> Self {
        Self::new(Whole::Bytes(read), total)
    }

    fn new(whole: Whole, total: u64) -> Self {
        let started = Instant::now();
        let shown = if std::io::stderr().is_terminal() {
            let style = ProgressStyle::with_template(BAR).unwrap_or_else(|_| ProgressStyle::default_bar());
            Shown::Bar(ProgressBar::new(total).with_style(style.progress_chars("=> ")))
        } else {
            Shown::Lines(Cell::new(started))
        };
        Progress { whole, total, started, shown }
    }

    pub(super) fn show(&self, answered: u64) {
        let done = match &self.whole {
            Whole::Messages => answered,
            Whole::Bytes(read) => read.load(Ordering::Relaxed),
        };
        let rate = answered as f64 / self.started.elapsed().as_secs_f64().max(0.001);
        let said = format!("{} published, {} a second", grouped(answered), grouped(rate as u64));
        match &self.shown {
            Shown::Bar(bar) => {
                bar.set_message(said);
                bar.set_position(done.min(self.total));
            }
            Shown::Lines(last) if last.get().elapsed() >= LINE_INTERVAL => {
                last.set(Instant::now());
                let percent = done.min(self.total) * 100 / self.total.max(1);
                note(&format!("{percent} %, {said}"));
            }
            Shown::Lines(_) => {}
        }
    }

    /// Takes the bar away: what follows is said in words.
    pub(super) fn end(&self) {
        if let Shown::Bar(bar) = &self.shown {
            bar.finish_and_clear();
        }
    }
}
