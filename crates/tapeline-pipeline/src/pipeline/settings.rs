//! Which numbers of a configuration make sense. What does not is refused where it is set, with its name: nothing is
//! silently taken for something else.

use super::{ComponentOptions, PipelineConfig, PipelineError};
use crate::config::{BreakerConfig, QueueConfig, RetryConfig};

/// The longest time in seconds: a hundred years.
const LONGEST_SECONDS: f64 = 3.2e9;

pub(super) fn check(config: &PipelineConfig) -> Result<(), PipelineError> {
    queue(&config.queue)?;
    retry(&config.retry)?;
    breaker(&config.breaker)?;
    let performance = &config.performance;
    positive("metrics_interval_seconds", performance.metrics_interval_seconds)?;
    not_negative("max_processing_time_ms", performance.max_processing_time_ms)?;
    not_negative("memory_usage_threshold_mb", performance.memory_usage_threshold_mb)?;
    not_zero("max_bytes", config.intake.max_bytes)
}

pub(super) fn check_options(options: &ComponentOptions) -> Result<(), PipelineError> {
    options.queue.as_ref().map_or(Ok(()), queue)?;
    options.retry.as_ref().map_or(Ok(()), retry)?;
    options.breaker.as_ref().map_or(Ok(()), breaker)
}

fn queue(queue: &QueueConfig) -> Result<(), PipelineError> {
    not_zero("max_size", queue.max_size)?;
    positive("timeout_seconds", queue.timeout_seconds)?;
    let times = queue.priority_multiplier;
    ask("priority_multiplier", times, (1.0..=1_000.0).contains(&times), "between 1 and 1000")?;
    not_negative("dedup_window_seconds", queue.dedup_window_seconds)
}

fn retry(retry: &RetryConfig) -> Result<(), PipelineError> {
    ask("attempts", f64::from(retry.attempts), retry.attempts > 0, "at least 1")
}

fn breaker(breaker: &BreakerConfig) -> Result<(), PipelineError> {
    let percent = breaker.failure_rate_percent;
    ask("failure_rate_percent", percent, percent > 0.0 && percent.is_finite(), "greater than 0")?;
    let trials = breaker.trial_calls;
    ask("trial_calls", f64::from(trials), trials > 0, "at least 1")
}

fn positive(name: &'static str, seconds: f64) -> Result<(), PipelineError> {
    ask(name, seconds, seconds > 0.0 && seconds <= LONGEST_SECONDS, "greater than 0 and at most 3.2e9")
}

fn not_negative(name: &'static str, number: f64) -> Result<(), PipelineError> {
    ask(name, number, number >= 0.0 && number.is_finite(), "0 or greater, and finite")
}

fn not_zero(name: &'static str, number: usize) -> Result<(), PipelineError> {
    ask(name, 0.0, number > 0, "at least 1")
}

fn ask(name: &'static str, value: f64, is_so: bool, must: &'static str) -> Result<(), PipelineError> {
    if is_so { Ok(()) } else { Err(PipelineError::Setting { name, value, must }) }
}
