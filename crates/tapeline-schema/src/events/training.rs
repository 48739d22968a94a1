//! Training runs: status, progress, metrics, logs, errors. All published by the training script.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::values::{Extra, Time};

/// A training run begins, ends or changes its state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StatusUpdate {
    /// The run, as the channel's key names it.
    pub experiment_id: String,
    /// `created`, `running`, `completed`, `failed` or `stopped`.
    pub status: String,
    /// In a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The group that the run belongs to; the message is collected under `{namespace}.…` too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// When the publisher says it was so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<Time>,
    /// How far the run is, in percent from 0 to 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<f64>,
}

/// A training run met an error.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TrainingError {
    /// The run, as the channel's key names it.
    pub experiment_id: String,
    /// What went wrong.
    pub message: String,
    /// Where, as the language prints it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stack_trace: Option<String>,
    /// The group that the run belongs to; the message is collected under `{namespace}.…` too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// When the publisher says it was so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<Time>,
    /// How far the run is, in percent from 0 to 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<f64>,
}

/// A line of a training run's log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LogUpdate {
    /// The run, as the channel's key names it.
    pub experiment_id: String,
    /// The line.
    pub message: String,
    /// `debug`, `info`, `warning` or `error`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<String>,
    /// The group that the run belongs to; the message is collected under `{namespace}.…` too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// When the publisher says it was so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<Time>,
    /// How far the run is, in percent from 0 to 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<f64>,
}

/// How far a training run is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProgressUpdate {
    /// The run, as the channel's key names it.
    pub experiment_id: String,
    /// Steps done.
    pub current_step: f64,
    /// Steps to do.
    pub total_steps: f64,
    /// Passes over the data so far; part of one counts as a fraction.
    pub epoch: f64,
    /// In percent from 0 to 100.
    pub progress: f64,
    /// The group that the run belongs to; the message is collected under `{namespace}.…` too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// When the publisher says it was so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<Time>,
}

/// What a training run measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MetricsUpdate {
    /// The run, as the channel's key names it.
    pub experiment_id: String,
    /// The measures by name: `{"loss":0.045}`.
    pub metrics: Extra,
    /// The step they are of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current_step: Option<f64>,
    /// The epoch they are of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<f64>,
    /// The group that the run belongs to; the message is collected under `{namespace}.…` too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// When the publisher says it was so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<Time>,
}
