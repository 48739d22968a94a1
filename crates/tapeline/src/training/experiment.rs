//! The record of a run, put together from its config in the store and the last values of its channels.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tapeline_schema::events::{Extra, MetricsUpdate, ProgressUpdate, StatusUpdate, TrainingError};
use tokio::try_join;

use super::outgoing::Kind;
use super::records::{self, About, KEPT};
use crate::base_channel::BaseChannel;
use crate::error::Error;
use crate::message::PubSubMessage;

/// What is known of a training run.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Experiment {
    /// Its id.
    pub experiment_id: String,
    /// Whose it is.
    pub namespace: Option<String>,
    /// As it was given; `None` where the run was never created.
    pub config: Option<Box<RawValue>>,
    /// `created`, `running`, `completed`, `failed`, `stopped`, or what its script says.
    pub status: String,
    /// What was said with the status.
    pub message: Option<String>,
    /// In percent: 0 at the start, 100 when it is completed.
    pub progress: f64,
    /// Steps done.
    pub current_step: Option<f64>,
    /// Steps to do.
    pub total_steps: Option<f64>,
    /// Passes over the data.
    pub epoch: Option<f64>,
    /// What was measured last.
    pub metrics: Extra,
    /// The last error.
    pub error: Option<ExperimentError>,
    /// When something was said last, RFC 3339.
    pub updated_at: Option<String>,
}

/// What a run met.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ExperimentError {
    /// In a sentence.
    pub message: String,
    /// Where, as the language prints it.
    pub stack_trace: Option<String>,
}

/// What was said last, each with when.
#[derive(Default)]
struct Last {
    status: Option<(PubSubMessage, StatusUpdate)>,
    progress: Option<(PubSubMessage, ProgressUpdate)>,
    metrics: Option<(PubSubMessage, MetricsUpdate)>,
    error: Option<(PubSubMessage, TrainingError)>,
    log: Option<PubSubMessage>,
}

/// Asks for all there is of a run.
pub(super) async fn read(base: &BaseChannel, id: &str) -> Result<Option<Experiment>, Error> {
    let last = async |kind: Kind| base.bus().last(&base.channel(kind.name(), id)).await;
    let (kept, status, progress, metrics, error, log) = try_join!(
        records::read(base, id),
        last(Kind::Status),
        last(Kind::Progress),
        last(Kind::Metrics),
        last(Kind::Error),
        last(Kind::Log),
    )?;
    let (config, about) = match kept {
        Some(kept) => (Some(kept.config), kept.about),
        None => (None, About::default()),
    };
    let since = Since { created: &about.created, oldest: oldest_id() };
    let last = Last {
        status: since.typed(status),
        progress: since.typed(progress),
        metrics: since.typed(metrics),
        error: since.typed(error),
        log: log.filter(|message| since.counts(message)),
    };
    let is_known = config.is_some() || last.newest().is_some();
    let experiment = assemble(id, config, about, last);
    let is_ours = base.namespace().is_none_or(|own| experiment.namespace.as_deref() == Some(own));
    Ok((is_known && is_ours).then_some(experiment))
}

/// What counts: not of an earlier run, and not older than a record is kept. Ids grow with time (UUID version 7).
struct Since<'a> {
    created: &'a str,
    oldest: String,
}

impl Since<'_> {
    fn counts(&self, message: &PubSubMessage) -> bool {
        message.id() >= self.created && message.id() >= self.oldest.as_str()
    }

    fn typed<E: DeserializeOwned>(&self, message: Option<PubSubMessage>) -> Option<(PubSubMessage, E)> {
        let message = message.filter(|message| self.counts(message))?;
        let event = message.parse().ok()?;
        Some((message, event))
    }
}

/// The first part of ids as they were made when the oldest record that is kept was written.
fn oldest_id() -> String {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let hex = format!("{:012x}", since.saturating_sub(KEPT).as_millis());
    let (high, low) = hex.split_at(8);
    format!("{high}-{low}")
}

impl Last {
    fn newest(&self) -> Option<&PubSubMessage> {
        let said = [
            self.status.as_ref().map(|(message, _)| message),
            self.progress.as_ref().map(|(message, _)| message),
            self.metrics.as_ref().map(|(message, _)| message),
            self.error.as_ref().map(|(message, _)| message),
            self.log.as_ref(),
        ];
        said.into_iter().flatten().max_by_key(|message| message.id())
    }
}

fn assemble(id: &str, config: Option<Box<RawValue>>, about: About, last: Last) -> Experiment {
    let newest = last.newest();
    let updated_at = newest.map(|message| message.timestamp().to_string());
    let said = newest.and_then(|message| message.get("namespace")?.as_str().map(Into::into));
    let progress = progress_of(&last);
    let status = last.status.map(|(_, event)| event);
    let steps = last.progress.map(|(_, event)| event);
    let (metrics, measured_epoch) =
        last.metrics.map_or_else(Default::default, |(_, event)| (event.metrics, event.epoch));
    let error = last.error.map(|(_, event)| event);
    Experiment {
        experiment_id: id.to_string(),
        namespace: about.namespace.or(said),
        config,
        status: status.as_ref().map_or_else(|| "created".to_string(), |event| event.status.clone()),
        message: status.and_then(|event| event.message),
        progress,
        current_step: steps.as_ref().map(|event| event.current_step),
        total_steps: steps.as_ref().map(|event| event.total_steps),
        epoch: steps.map(|event| event.epoch).or(measured_epoch),
        metrics,
        error: error.map(|event| ExperimentError { message: event.message, stack_trace: event.stack_trace }),
        updated_at,
    }
}

/// 100 when completed; else what was said last, with a status or as progress.
fn progress_of(last: &Last) -> f64 {
    let with_status = last.status.as_ref().and_then(|(message, event)| Some((message.id(), event.progress?)));
    let own = last.progress.as_ref().map(|(message, event)| (message.id(), event.progress));
    let is_completed = last.status.as_ref().is_some_and(|(_, event)| event.status == "completed");
    let newest = [with_status, own].into_iter().flatten().max_by_key(|(id, _)| *id);
    if is_completed { 100.0 } else { newest.map_or(0.0, |(_, progress)| progress) }
}
