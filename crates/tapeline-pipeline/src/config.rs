//! What can be set, with the defaults of the source document (seeds/004), and the three modes: each a set of the same
//! numbers.

use std::time::Duration;

/// Lanes, calls and deduplication.
#[derive(Clone, Debug, PartialEq)]
pub struct QueueConfig {
    /// Messages that a lane holds; the critical lane holds this times `priority_multiplier`.
    pub max_size: usize,
    /// Seconds that one call of a component may take.
    pub timeout_seconds: f64,
    /// How many times as much the critical lane holds, and how many times as often a lane is served as the next less
    /// urgent one.
    pub priority_multiplier: f64,
    /// Whether the same message again is left out.
    pub enable_deduplication: bool,
    /// Seconds within which it is.
    pub dedup_window_seconds: f64,
}

impl Default for QueueConfig {
    fn default() -> Self {
        QueueConfig {
            max_size: 1_000,
            timeout_seconds: 1.0,
            priority_multiplier: 2.0,
            enable_deduplication: true,
            dedup_window_seconds: 0.1,
        }
    }
}

/// What is measured.
#[derive(Clone, Debug, PartialEq)]
pub struct PerformanceConfig {
    /// Whether anything is.
    pub enable_metrics: bool,
    /// Seconds between two looks.
    pub metrics_interval_seconds: f64,
    /// A call of a component that takes longer, in milliseconds, is counted as slow and alerted.
    pub max_processing_time_ms: f64,
    /// Whether the time from receipt to each stage is measured.
    pub enable_latency_tracking: bool,
    /// Memory of the process in MB above which it is alerted, before `max_memory_mb` of [`AlertConfig`].
    pub memory_usage_threshold_mb: f64,
}

impl Default for PerformanceConfig {
    fn default() -> Self {
        PerformanceConfig {
            enable_metrics: true,
            metrics_interval_seconds: 30.0,
            max_processing_time_ms: 5.0,
            enable_latency_tracking: true,
            memory_usage_threshold_mb: 100.0,
        }
    }
}

/// When somebody is to be told.
#[derive(Clone, Debug, PartialEq)]
pub struct AlertConfig {
    /// From receipt to the end of the call, at the 99th percentile, in milliseconds.
    pub max_latency_ms: f64,
    /// Memory of the process, in MB.
    pub max_memory_mb: f64,
    /// Messages that failed, in percent.
    pub max_error_rate_percent: f64,
    /// Messages that were dropped, in percent.
    pub max_drop_rate_percent: f64,
    /// Messages a second.
    pub min_throughput_msgs_per_sec: f64,
    /// Messages that wait for a component, over all its lanes.
    pub queue_size_warning_threshold: usize,
    /// The same, when it is serious.
    pub queue_size_critical_threshold: usize,
}

impl Default for AlertConfig {
    fn default() -> Self {
        AlertConfig {
            max_latency_ms: 50.0,
            max_memory_mb: 500.0,
            max_error_rate_percent: 5.0,
            max_drop_rate_percent: 2.0,
            min_throughput_msgs_per_sec: 1.0,
            queue_size_warning_threshold: 1_500,
            queue_size_critical_threshold: 1_800,
        }
    }
}

/// When a failed call is tried again; full jitter.
#[derive(Clone, Debug, PartialEq)]
pub struct RetryConfig {
    /// Calls for one message in all.
    pub attempts: u32,
    /// The longest first wait.
    pub base: Duration,
    /// The longest wait.
    pub cap: Duration,
    /// Retries that may be made in a row while everything fails; each first call adds a tenth of one. `None` is no
    /// such bound.
    pub budget: Option<u32>,
}

impl Default for RetryConfig {
    fn default() -> Self {
        RetryConfig {
            attempts: 3,
            base: Duration::from_millis(50),
            cap: Duration::from_secs(2),
            budget: None,
        }
    }
}

/// When a component is switched off for a while.
#[derive(Clone, Debug, PartialEq)]
pub struct BreakerConfig {
    /// Calls are judged over so long a time.
    pub window: Duration,
    /// Not before so many.
    pub minimum_calls: u32,
    /// Switched off when this part of them failed, in percent, or more.
    pub failure_rate_percent: f64,
    /// How long it stays off at first; doubles each time that a trial fails, up to `max_open`.
    pub open: Duration,
    /// How long it stays off at most.
    pub max_open: Duration,
    /// Calls that are let through for a trial.
    pub trial_calls: u32,
}

impl Default for BreakerConfig {
    fn default() -> Self {
        BreakerConfig {
            window: Duration::from_secs(10),
            minimum_calls: 50,
            failure_rate_percent: 50.0,
            open: Duration::from_secs(5),
            max_open: Duration::from_secs(60),
            trial_calls: 10,
        }
    }
}
