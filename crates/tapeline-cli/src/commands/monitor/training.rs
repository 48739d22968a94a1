//! `tapeline monitor training`: hears all that training runs say and shows it, as bars on a terminal, else as lines.

use std::time::Duration;

use anyhow::{Context, bail};
use tapeline::{BaseChannel, Event, Events, PubSubMessage};
use tokio::time::Instant;

use super::super::access::Access;
use super::super::hub_url::HubUrl;
use super::super::output::Output;
use super::run::Run;
use super::view::View;

/// With `--once`: the hub has told the last values when it has been silent for so long.
const QUIET: Duration = Duration::from_millis(500);
/// And in any case when so much time has passed: runs that go on are never silent.
const AT_MOST: Duration = Duration::from_secs(2);
/// Runs that are shown; then the one that has been silent for longest goes.
const SHOWN: usize = 200;

/// Watch training runs: a progress bar each.
#[derive(clap::Args)]
#[command(
    after_help = "On a terminal each run has a bar; elsewhere each update is a line.\n\nExamples:\n  tapeline monitor training\n  tapeline monitor training --namespace ppo_training\n  tapeline monitor training http://127.0.0.1:8000 --once"
)]
pub(crate) struct Training {
    /// Where the hub is. [default: http://127.0.0.1:8000]
    #[arg(value_name = "URL")]
    hub: Option<HubUrl>,
    /// The same.
    #[arg(long)]
    url: Option<HubUrl>,
    #[command(flatten)]
    access: Access,
    /// Only runs of this namespace.
    #[arg(long, value_name = "N")]
    namespace: Option<String>,
    /// Print each run as it is now, and end.
    #[arg(long)]
    once: bool,
}

impl Training {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let url = HubUrl::given(self.hub.clone(), self.url.clone())?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.context("the network cannot be used")?.block_on(self.watch(url))
    }

    async fn watch(self, url: HubUrl) -> anyhow::Result<()> {
        let settings = tapeline::Settings { token: self.access.source(), ..Default::default() };
        let bus = match tapeline::connect_with(&url.ws(), settings).await {
            Err(tapeline::Error::NoAnswer { .. }) => return Err(url.no_answer()),
            Err(tapeline::Error::Unauthorized { reason }) => {
                bail!("refused: {reason}; {}", self.access.remedy())
            }
            other => other?,
        };
        let base = BaseChannel::new(&bus, "training");
        let base = match &self.namespace {
            Some(namespace) => base.in_namespace(namespace),
            None => base,
        };
        let mut events = bus.subscribe_stream(base.topic("*")).await?;
        let mut runs = Runs::default();
        if self.once {
            let end = Instant::now() + AT_MOST;
            while let Ok(message) =
                tokio::time::timeout_at(end.min(Instant::now() + QUIET), next(&mut events)).await
            {
                let message = message?;
                if base.sees(&message) {
                    runs.take(&message);
                }
            }
            return print(&runs);
        }
        let mut view = View::new(&url);
        loop {
            let message = next(&mut events).await?;
            if base.sees(&message)
                && let Some(told) = runs.take(&message)
            {
                view.show(told.run, &told.line)?;
                told.gone.iter().for_each(|gone| view.forget(gone));
            }
        }
    }
}

/// The next message; an error after the end.
async fn next(events: &mut Events) -> anyhow::Result<PubSubMessage> {
    loop {
        match events.next().await {
            Some(Event::Message(message)) => return Ok(message),
            Some(Event::Gap(_) | Event::Notice(_)) => {}
            Some(Event::Ended(error)) => return Err(error.into()),
            None => bail!("the connection has ended"),
        }
    }
}

fn print(runs: &Runs) -> anyhow::Result<()> {
    let mut out = Output::new();
    if runs.0.is_empty() {
        out.line("no training run has said anything yet")?;
    }
    for run in &runs.0 {
        out.line(&run.summary())?;
    }
    out.flush()
}

/// All runs, in the order of their first word.
#[derive(Default)]
struct Runs(Vec<Run>);

/// What a message has changed.
struct Told<'a> {
    run: &'a Run,
    line: String,
    /// The run that had to make room.
    gone: Option<String>,
}

impl Runs {
    /// Takes what a message says; nothing where it is about no run.
    fn take(&mut self, message: &PubSubMessage) -> Option<Told<'_>> {
        let id = message
            .get("experiment_id")
            .and_then(|id| id.as_str())
            .or_else(|| message.key("experiment_id"))?;
        let at = self.0.iter().position(|run| run.id == id);
        let mut run = at.map_or_else(|| Run::new(id), |at| self.0.remove(at));
        let line = run.take(message.topic(), message.data());
        let Some(line) = line else {
            if let Some(at) = at {
                self.0.insert(at, run);
            }
            return None;
        };
        run.heard = std::time::Instant::now();
        let at = at.unwrap_or(self.0.len());
        self.0.insert(at, run);
        let gone = (self.0.len() > SHOWN).then(|| self.forget_one()).flatten();
        let run = self.0.iter().find(|run| run.id == id)?;
        Some(Told { run, line, gone })
    }

    fn forget_one(&mut self) -> Option<String> {
        let at = (0..self.0.len()).min_by_key(|at| self.0.get(*at).map(|run| run.heard))?;
        Some(self.0.remove(at).id)
    }
}
