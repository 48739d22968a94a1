//! Training runs: state, progress, measures, log, errors.

use tapeline_schema::events::{Extra, LogUpdate, MetricsUpdate, ProgressUpdate, StatusUpdate, TrainingError};

use crate::bus::EventBus;
use crate::publish::Publish;

impl EventBus {
    /// A run begins, ends or changes its state, on `training.status:{experiment_id}`.
    pub fn publish_training_status(
        &self,
        experiment_id: impl Into<String>,
        status: impl Into<String>,
    ) -> Publish<'_> {
        self.publish_event(&StatusUpdate {
            experiment_id: experiment_id.into(),
            status: status.into(),
            message: None,
            namespace: None,
            timestamp: None,
            progress: None,
        })
    }

    /// A run met an error, on `training.error:{experiment_id}`.
    pub fn publish_training_error(
        &self,
        experiment_id: impl Into<String>,
        message: impl Into<String>,
    ) -> Publish<'_> {
        self.publish_event(&TrainingError {
            experiment_id: experiment_id.into(),
            message: message.into(),
            stack_trace: None,
            namespace: None,
            timestamp: None,
            progress: None,
        })
    }

    /// A line of a run's log, on `training.log:{experiment_id}`.
    pub fn publish_training_log(
        &self,
        experiment_id: impl Into<String>,
        message: impl Into<String>,
    ) -> Publish<'_> {
        self.publish_event(&LogUpdate {
            experiment_id: experiment_id.into(),
            message: message.into(),
            level: None,
            namespace: None,
            timestamp: None,
            progress: None,
        })
    }

    /// How far a run is, in steps of so many, on `training.progress:{experiment_id}`. The percentage follows from
    /// the steps.
    pub fn publish_training_progress(
        &self,
        experiment_id: impl Into<String>,
        current_step: f64,
        total_steps: f64,
        epoch: f64,
    ) -> Publish<'_> {
        let progress = if total_steps > 0.0 { 100.0 * current_step / total_steps } else { 0.0 };
        self.publish_event(&ProgressUpdate {
            experiment_id: experiment_id.into(),
            current_step,
            total_steps,
            epoch,
            progress,
            namespace: None,
            timestamp: None,
        })
    }

    /// What a run measured, on `training.metrics:{experiment_id}`.
    pub fn publish_training_metrics(&self, experiment_id: impl Into<String>, metrics: Extra) -> Publish<'_> {
        self.publish_event(&MetricsUpdate {
            experiment_id: experiment_id.into(),
            metrics,
            current_step: None,
            epoch: None,
            namespace: None,
            timestamp: None,
        })
    }
}
