//! `tapeline top`: what a hub is doing right now, on a screen that is drawn anew every second. It asks `/stats` twice and
//! shows what has happened between; `view` computes, `screen` draws.

mod screen;
mod view;

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use anyhow::Context;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use ratatui::{DefaultTerminal, Terminal};
use tapeline_schema::ops::StatsAnswer;

use super::hub_url::HubUrl;
use super::output::Output;
use super::request::Asker;
use view::{Sample, View};

/// The screen that is printed where there is no terminal.
const WIDTH: u16 = 120;
const HEIGHT: u16 = 50;

/// See rates, delays, slow clients and busy channels as they are now.
#[derive(clap::Args)]
#[command(
    after_help = "Keys: q ends, space holds the screen.\n\nExamples:\n  tapeline top\n  tapeline top --once\n  tapeline top --url http://127.0.0.1:8000 --every 5"
)]
pub(crate) struct Top {
    /// Where the hub is.
    #[arg(long, default_value = "http://127.0.0.1:8000")]
    url: HubUrl,
    /// Seconds between two looks.
    #[arg(long, value_name = "SECONDS", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    every: u64,
    /// Print one screen and end; also where standard output is no terminal.
    #[arg(long)]
    once: bool,
}

/// What the keyboard asks for.
enum Key {
    End,
    Hold,
    Nothing,
}

impl Top {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let hub = Asker::new(self.url.clone());
        let first = sample(&hub)?;
        if self.once || !std::io::stdout().is_terminal() {
            return self.print(&hub, &first);
        }
        let mut terminal = ratatui::try_init().context("the terminal cannot be drawn on")?;
        let ended = self.watch(&hub, first, &mut terminal);
        ratatui::restore();
        ended
    }

    fn every(&self) -> Duration {
        Duration::from_secs(self.every)
    }

    fn print(&self, hub: &Asker, first: &Sample) -> anyhow::Result<()> {
        std::thread::sleep(self.every());
        let view = View::between(&self.url.to_string(), first, &sample(hub)?);
        let mut terminal = Terminal::new(TestBackend::new(WIDTH, HEIGHT))?;
        terminal.draw(|frame| screen::draw(frame, &view))?;
        let mut out = Output::new();
        let buffer = terminal.backend().buffer();
        let lines: Vec<String> = buffer
            .content
            .chunks(usize::from(WIDTH))
            .map(|cells| cells.iter().map(|cell| cell.symbol()).collect::<String>().trim_end().to_string())
            .collect();
        let used = lines.iter().rposition(|line| !line.is_empty()).map_or(0, |last| last + 1);
        for line in lines.iter().take(used) {
            out.line(line)?;
        }
        out.flush()
    }

    fn watch(&self, hub: &Asker, first: Sample, terminal: &mut DefaultTerminal) -> anyhow::Result<()> {
        let mut earlier = first;
        let mut view = View::between(&self.url.to_string(), &earlier, &earlier);
        let mut held = false;
        let mut due = Instant::now() + self.every();
        loop {
            terminal.draw(|frame| screen::draw(frame, &view))?;
            match key(due.saturating_duration_since(Instant::now()))? {
                Key::End => return Ok(()),
                Key::Hold => held = !held,
                Key::Nothing => {}
            }
            view.held = held;
            if Instant::now() < due {
                continue;
            }
            due = Instant::now() + self.every();
            match sample(hub) {
                Ok(later) => {
                    if !held {
                        view = View::between(&self.url.to_string(), &earlier, &later);
                    }
                    earlier = later;
                }
                // A hub that is started again is what one watches for.
                Err(error) => view.trouble = Some(format!("{error:#}")),
            }
        }
    }
}

fn sample(hub: &Asker) -> anyhow::Result<Sample> {
    let body = hub.read("/stats")?;
    let answer: StatsAnswer = serde_json::from_str(&body).context("the answer is not a hub's")?;
    Ok(Sample { at: Instant::now(), answer })
}

/// The next key, if one comes in time.
fn key(within: Duration) -> anyhow::Result<Key> {
    if !event::poll(within)? {
        return Ok(Key::Nothing);
    }
    let Event::Key(key) = event::read()? else { return Ok(Key::Nothing) };
    if key.kind != KeyEventKind::Press {
        return Ok(Key::Nothing);
    }
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    Ok(match key.code {
        KeyCode::Char('c') if control => Key::End,
        KeyCode::Char('q') | KeyCode::Esc => Key::End,
        KeyCode::Char(' ') => Key::Hold,
        _ => Key::Nothing,
    })
}
