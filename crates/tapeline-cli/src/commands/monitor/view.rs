//! How training runs are shown: bars that are drawn in place on a terminal, else a line an update.

use std::collections::HashMap;
use std::io::IsTerminal;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::super::hub_url::HubUrl;
use super::super::output::{Output, cell, note};
use super::run::Run;

const BAR: &str = "{prefix:20} [{bar:24}] {percent:>3} %  {wide_msg}";
/// Characters of a run's id.
const ID: usize = 19;
/// Steps of a whole bar.
const WHOLE: u64 = 1_000;

/// See the module.
pub(super) enum View {
    Bars { all: MultiProgress, by_run: HashMap<String, ProgressBar> },
    Lines(Output),
}

impl View {
    pub(super) fn new(hub: &HubUrl) -> Self {
        if !std::io::stdout().is_terminal() {
            return View::Lines(Output::new());
        }
        note(&format!("watching training runs of {hub}; Ctrl-C ends"));
        let all = MultiProgress::with_draw_target(ProgressDrawTarget::stdout());
        View::Bars { all, by_run: HashMap::new() }
    }

    /// A run has said something.
    pub(super) fn show(&mut self, run: &Run, line: &str) -> anyhow::Result<()> {
        match self {
            View::Lines(out) => {
                out.line(line)?;
                out.flush()
            }
            View::Bars { all, by_run } => {
                let bar = by_run.entry(run.id.clone()).or_insert_with(|| {
                    let style = ProgressStyle::with_template(BAR);
                    let style = style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> ");
                    all.add(ProgressBar::new(WHOLE).with_style(style).with_prefix(cell(&run.id, ID)))
                });
                let done = run.progress.clamp(0.0, 100.0) / 100.0 * WHOLE as f64;
                bar.set_message(run.beside());
                bar.set_position(done.round() as u64);
                bar.tick();
                Ok(())
            }
        }
    }

    /// A run is no longer shown.
    pub(super) fn forget(&mut self, id: &str) {
        if let View::Bars { all, by_run } = self
            && let Some(bar) = by_run.remove(id)
        {
            all.remove(&bar);
        }
    }
}
