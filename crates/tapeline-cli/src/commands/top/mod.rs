//! `tapeline top`: what a hub is doing right now, on a screen that is drawn anew every second. It asks `/stats` twice and
//! shows what has happened between; `view` computes, `screen` draws.

mod screen;
mod view;
mod watching;

use std::io::IsTerminal;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use ratatui::{DefaultTerminal, Terminal};
use tapeline_schema::ops::StatsAnswer;

use super::access::Access;
use super::hub_url::HubUrl;
use super::output::Output;
use super::request::Asker;
use view::{Sample, View};
use watching::Watching;

/// The screen that is printed where there is no terminal.
const WIDTH: u16 = 120;
const HEIGHT: u16 = 50;
/// Keys are looked for and the screen is drawn at least so often.
const TICK: Duration = Duration::from_millis(250);
/// The least time that an answer has.
const PATIENCE: Duration = Duration::from_secs(2);

/// See rates, delays, slow clients and busy channels as they are now.
#[derive(clap::Args)]
#[command(
    after_help = "Keys: q ends, space holds the screen.\n\nExamples:\n  tapeline top\n  tapeline top --once\n  tapeline top http://127.0.0.1:8000 --every 5"
)]
pub(crate) struct Top {
    /// Where the hub is. [default: http://127.0.0.1:8000]
    #[arg(value_name = "URL")]
    hub: Option<HubUrl>,
    /// The same.
    #[arg(long)]
    url: Option<HubUrl>,
    #[command(flatten)]
    access: Access,
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
        let url = HubUrl::given(self.hub.clone(), self.url.clone())?.with(&self.access);
        let hub = Asker::patient(url.clone(), self.patience());
        let first = sample(&hub, &url)?;
        if self.once || !std::io::stdout().is_terminal() {
            return self.print(&hub, &url, &first);
        }
        let mut terminal = ratatui::try_init().context("the terminal cannot be drawn on")?;
        let ended = self.watch(hub, url, first, &mut terminal);
        ratatui::restore();
        ended
    }

    fn every(&self) -> Duration {
        Duration::from_secs(self.every)
    }

    fn patience(&self) -> Duration {
        self.every().clamp(PATIENCE, 10 * PATIENCE)
    }

    fn print(&self, hub: &Asker, url: &HubUrl, first: &Sample) -> anyhow::Result<()> {
        std::thread::sleep(self.every());
        let view = View::between(&url.to_string(), first, &sample(hub, url)?);
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

    fn watch(
        &self,
        hub: Asker,
        url: HubUrl,
        first: Sample,
        terminal: &mut DefaultTerminal,
    ) -> anyhow::Result<()> {
        let mut watching = Watching::new(url.to_string(), first, self.every() + PATIENCE / 2);
        let samples = samples(hub, url, self.every());
        loop {
            for sampled in samples.try_iter() {
                watching.take(sampled);
            }
            watching.tick(Instant::now());
            terminal.draw(|frame| screen::draw(frame, &watching.view))?;
            match key(TICK)? {
                Key::End => return Ok(()),
                Key::Hold => watching.hold(),
                Key::Nothing => {}
            }
        }
    }
}

/// Asks again and again on a thread of its own, so that a hub that does not answer holds up no key. It ends after the
/// receiver does, or with the process.
fn samples(hub: Asker, url: HubUrl, every: Duration) -> Receiver<anyhow::Result<Sample>> {
    let (tell, told) = sync_channel(1);
    std::thread::spawn(move || {
        let mut due = Instant::now();
        loop {
            due = Instant::now().max(due + every);
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            if tell.send(sample(&hub, &url)).is_err() {
                return;
            }
        }
    });
    told
}

fn sample(hub: &Asker, url: &HubUrl) -> anyhow::Result<Sample> {
    let body = hub.read("/stats")?;
    match serde_json::from_str::<StatsAnswer>(&body) {
        Ok(answer) if !answer.version.is_empty() => Ok(Sample { at: Instant::now(), answer }),
        _ => bail!("what {url} answers to /stats is no hub's answer"),
    }
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
