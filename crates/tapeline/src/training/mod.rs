//! Training runs: what a training script says of them, what a dashboard hears, and the record of each.
//!
//! Publishing never holds a run up: what is said waits in a bounded queue for a task that sends it, progress and metrics
//! give way to newer ones, and what is lost is counted. A record is the config in the store and the last values of the
//! run's channels, so that it is the same whoever published.

mod experiment;
mod outgoing;
mod records;
mod sending;
mod updates;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde::Serialize;
use serde_json::value::to_raw_value;
use tapeline_schema::events::{LogUpdate, MetricsUpdate, ProgressUpdate, StatusUpdate, TrainingError};

pub use experiment::{Experiment, ExperimentError};
pub use outgoing::Sent;
pub use updates::{Update, Updates};

use crate::base_channel::BaseChannel;
use crate::bus::EventBus;
use crate::error::Error;
use outgoing::{Handle, Item, Kind};

/// What became of what a [`TrainingChannel`] was told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TrainingStatistics {
    /// Progress and metrics that newer ones replaced while they waited.
    pub conflated: u64,
    /// What was lost: for lack of room, or because the hub did not take it.
    pub dropped: u64,
    /// What waits now.
    pub waiting: usize,
}

/// Training runs on a bus. Cheap to clone; clones share one queue.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), tapeline::Error> {
/// use serde_json::json;
/// # let bus = tapeline::connect("memory://training").await?;
/// let training = tapeline::TrainingChannel::new(&bus, "ppo_training");
/// training.create_experiment("exp_1", json!({"agent_type": "PPO", "timesteps": 10_000}));
/// training.publish_status("exp_1", "running", "PPO training started");
/// training.publish_progress("exp_1", 500.0, 10_000.0, 5.0);
/// training.publish_metrics("exp_1", json!({"loss": 0.045}));
/// training.flush().await;
/// let run = training.get_experiment("exp_1").await?.expect("it was created");
/// assert_eq!((run.status.as_str(), run.progress), ("running", 5.0));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct TrainingChannel {
    base: BaseChannel,
    outgoing: Arc<Handle>,
}

impl TrainingChannel {
    /// With a namespace, publishes under it and sees only it; without one, sees all.
    pub fn new<'n>(bus: &EventBus, namespace: impl Into<Option<&'n str>>) -> Self {
        let base = BaseChannel::new(bus, "training");
        let base = match namespace.into() {
            Some(namespace) => base.in_namespace(namespace),
            None => base,
        };
        let outgoing = Arc::new(Handle::default());
        tokio::spawn(sending::run(base.clone(), outgoing.queue().clone()));
        TrainingChannel { base, outgoing }
    }

    /// Names and the namespace.
    pub fn base(&self) -> &BaseChannel {
        &self.base
    }

    /// A run is about to begin, with any JSON for its config. What an earlier run of this id left is void.
    pub fn create_experiment(&self, id: &str, config: impl Serialize) -> Sent {
        let config = to_raw_value(&config).map_err(|error| Error::Data(format!("config of {id}: {error}")));
        let status = self.status(id, "created", None);
        match config {
            Ok(config) => self.push(id, Kind::Status, &status, Some(config.get().to_string())),
            Err(error) => Sent::failed(error),
        }
    }

    /// The run's state: `created`, `running`, `completed`, `failed` or `stopped`, and a sentence (or `None`).
    pub fn publish_status<'m>(&self, id: &str, status: &str, message: impl Into<Option<&'m str>>) -> Sent {
        self.push(id, Kind::Status, &self.status(id, status, message.into()), None)
    }

    /// How far the run is, in steps of so many; the percentage follows.
    pub fn publish_progress(&self, id: &str, current_step: f64, total_steps: f64, epoch: f64) -> Sent {
        let progress = if total_steps > 0.0 { 100.0 * current_step / total_steps } else { 0.0 };
        let event = ProgressUpdate {
            experiment_id: id.to_string(),
            current_step,
            total_steps,
            epoch,
            progress: progress.clamp(0.0, 100.0),
            namespace: self.namespace(),
            timestamp: None,
        };
        self.push(id, Kind::Progress, &event, None)
    }

    /// What the run measured: an object of numbers by name.
    pub fn publish_metrics(&self, id: &str, metrics: impl Serialize) -> Sent {
        let metrics = serde_json::to_value(metrics).and_then(serde_json::from_value);
        let metrics = match metrics {
            Ok(metrics) => metrics,
            Err(error) => {
                return Sent::failed(Error::Data(format!("metrics of {id} are no object: {error}")));
            }
        };
        let event = MetricsUpdate {
            experiment_id: id.to_string(),
            metrics,
            current_step: None,
            epoch: None,
            namespace: self.namespace(),
            timestamp: None,
        };
        self.push(id, Kind::Metrics, &event, None)
    }

    /// A line of the run's log, and its level (`debug`, `info`, `warning`, `error`, or `None`).
    pub fn publish_log<'l>(&self, id: &str, message: &str, level: impl Into<Option<&'l str>>) -> Sent {
        let event = LogUpdate {
            experiment_id: id.to_string(),
            message: message.to_string(),
            level: level.into().map(Into::into),
            namespace: self.namespace(),
            timestamp: None,
            progress: None,
        };
        self.push(id, Kind::Log, &event, None)
    }

    /// The run met an error, with its stack trace (or `None`). Whether it goes on is for [`Self::publish_status`] to say.
    pub fn publish_error<'t>(
        &self,
        id: &str,
        message: &str,
        stack_trace: impl Into<Option<&'t str>>,
    ) -> Sent {
        let event = TrainingError {
            experiment_id: id.to_string(),
            message: message.to_string(),
            stack_trace: stack_trace.into().map(Into::into),
            namespace: self.namespace(),
            timestamp: None,
            progress: None,
        };
        self.push(id, Kind::Error, &event, None)
    }

    /// The record of a run: its config and what was said of it last. `None` where nothing is known of it, or where it
    /// belongs to another namespace; what is older than seven days is not known.
    ///
    /// # Errors
    /// The hub cannot be asked.
    pub async fn get_experiment(&self, id: &str) -> Result<Option<Experiment>, Error> {
        experiment::read(&self.base, id).await
    }

    /// Changes of state; the last of each run comes first.
    ///
    /// # Errors
    /// The hub refuses.
    pub async fn subscribe_to_status_updates(&self) -> Result<Updates<StatusUpdate>, Error> {
        Updates::begin(&self.base, Kind::Status).await
    }

    /// Progress; the last of each run comes first.
    ///
    /// # Errors
    /// The hub refuses.
    pub async fn subscribe_to_progress_updates(&self) -> Result<Updates<ProgressUpdate>, Error> {
        Updates::begin(&self.base, Kind::Progress).await
    }

    /// Measures; the last of each run come first.
    ///
    /// # Errors
    /// The hub refuses.
    pub async fn subscribe_to_metrics_updates(&self) -> Result<Updates<MetricsUpdate>, Error> {
        Updates::begin(&self.base, Kind::Metrics).await
    }

    /// Lines of logs.
    ///
    /// # Errors
    /// The hub refuses.
    pub async fn subscribe_to_log_updates(&self) -> Result<Updates<LogUpdate>, Error> {
        Updates::begin(&self.base, Kind::Log).await
    }

    /// Errors.
    ///
    /// # Errors
    /// The hub refuses.
    pub async fn subscribe_to_errors(&self) -> Result<Updates<TrainingError>, Error> {
        Updates::begin(&self.base, Kind::Error).await
    }

    /// Waits until all that was said so far has been taken or lost; before a program ends. While the hub is away states
    /// and errors wait for it: `tokio::time::timeout` bounds that.
    pub async fn flush(&self) {
        self.outgoing.queue().flush().await;
    }

    /// What became of what was said.
    pub fn statistics(&self) -> TrainingStatistics {
        let queue = self.outgoing.queue();
        TrainingStatistics {
            conflated: queue.conflated.load(Ordering::Relaxed),
            dropped: queue.dropped.load(Ordering::Relaxed),
            waiting: queue.len(),
        }
    }

    fn namespace(&self) -> Option<String> {
        self.base.namespace().map(Into::into)
    }

    fn status(&self, id: &str, status: &str, message: Option<&str>) -> StatusUpdate {
        let progress = match status {
            "created" => Some(0.0),
            "completed" => Some(100.0),
            _ => None,
        };
        StatusUpdate {
            experiment_id: id.to_string(),
            status: status.to_string(),
            message: message.map(Into::into),
            namespace: self.namespace(),
            timestamp: None,
            progress,
        }
    }

    fn push(&self, id: &str, kind: Kind, event: &impl Serialize, config: Option<String>) -> Sent {
        match serde_json::to_string(event) {
            Ok(data) => self.outgoing.queue().push(Item {
                experiment: id.into(),
                kind,
                data,
                config,
                key: self.base.bus().next_key(),
                published: None,
                ticket: 0,
                waiting: Vec::new(),
            }),
            Err(error) => Sent::failed(Error::Data(format!("an event of {id} is not JSON: {error}"))),
        }
    }
}
