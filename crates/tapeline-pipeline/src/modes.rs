//! The three modes: each a visible set of the same numbers. What a mode does is all here.

use std::fmt;

use crate::config::{AlertConfig, BreakerConfig, PerformanceConfig, QueueConfig, RetryConfig};

/// How much is measured, and what is bought with memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Mode {
    /// No monitor, nothing measured: for tests, and where there is little room.
    Basic,
    /// The document's defaults, with a monitor.
    #[default]
    Balanced,
    /// Larger lanes, shorter calls, closer looks: for many messages, with more memory.
    HighPerformance,
}

/// Whether a pipeline is watched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Monitoring {
    /// It is.
    #[default]
    On,
    /// It is not.
    Off,
}

/// Every number of a pipeline.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    /// Lanes, calls and deduplication (`MessageQueueConfig` in the document).
    pub queue: QueueConfig,
    /// What is measured.
    pub performance: PerformanceConfig,
    /// When somebody is told.
    pub alerts: AlertConfig,
    /// When a failed call is tried again.
    pub retry: RetryConfig,
    /// When a component is switched off.
    pub breaker: BreakerConfig,
    /// Whether there is a monitor.
    pub monitoring: Monitoring,
}

impl Mode {
    /// All of them.
    pub const ALL: [Mode; 3] = [Mode::Basic, Mode::Balanced, Mode::HighPerformance];

    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Mode::Basic => "basic",
            Mode::Balanced => "balanced",
            Mode::HighPerformance => "high-performance",
        }
    }

    /// The numbers of the mode.
    pub fn settings(self) -> Settings {
        let balanced = Settings::default();
        match self {
            Mode::Basic => Settings {
                performance: PerformanceConfig {
                    enable_metrics: false,
                    enable_latency_tracking: false,
                    ..balanced.performance
                },
                monitoring: Monitoring::Off,
                ..balanced
            },
            Mode::Balanced => balanced,
            Mode::HighPerformance => Settings {
                queue: QueueConfig {
                    max_size: 10_000,
                    timeout_seconds: 0.25,
                    priority_multiplier: 4.0,
                    ..balanced.queue
                },
                performance: PerformanceConfig {
                    metrics_interval_seconds: 10.0,
                    max_processing_time_ms: 1.0,
                    memory_usage_threshold_mb: 400.0,
                    ..balanced.performance
                },
                alerts: AlertConfig {
                    max_latency_ms: 10.0,
                    max_memory_mb: 1_000.0,
                    queue_size_warning_threshold: 15_000,
                    queue_size_critical_threshold: 18_000,
                    ..balanced.alerts
                },
                ..balanced
            },
        }
    }
}

impl Settings {
    /// The numbers that the document names, with its names for them.
    pub fn rows(&self) -> Vec<(&'static str, String)> {
        let (queue, performance, alerts) = (&self.queue, &self.performance, &self.alerts);
        let monitor = if self.monitoring == Monitoring::On { "yes" } else { "no" };
        vec![
            ("monitor", monitor.to_string()),
            ("max_size", queue.max_size.to_string()),
            ("timeout_seconds", queue.timeout_seconds.to_string()),
            ("priority_multiplier", queue.priority_multiplier.to_string()),
            ("enable_deduplication", queue.enable_deduplication.to_string()),
            ("dedup_window_seconds", queue.dedup_window_seconds.to_string()),
            ("enable_metrics", performance.enable_metrics.to_string()),
            ("metrics_interval_seconds", performance.metrics_interval_seconds.to_string()),
            ("max_processing_time_ms", performance.max_processing_time_ms.to_string()),
            ("enable_latency_tracking", performance.enable_latency_tracking.to_string()),
            ("memory_usage_threshold_mb", performance.memory_usage_threshold_mb.to_string()),
            ("max_latency_ms", alerts.max_latency_ms.to_string()),
            ("max_memory_mb", alerts.max_memory_mb.to_string()),
            ("max_error_rate_percent", alerts.max_error_rate_percent.to_string()),
            ("max_drop_rate_percent", alerts.max_drop_rate_percent.to_string()),
            ("min_throughput_msgs_per_sec", alerts.min_throughput_msgs_per_sec.to_string()),
            ("queue_size_warning_threshold", alerts.queue_size_warning_threshold.to_string()),
            ("queue_size_critical_threshold", alerts.queue_size_critical_threshold.to_string()),
        ]
    }
}

/// The modes side by side, as a table of Markdown.
#[derive(Clone, Copy, Debug, Default)]
pub struct Comparison;

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [basic, balanced, high] = Mode::ALL.map(|mode| mode.settings().rows());
        let [first, second, third] = Mode::ALL.map(Mode::name);
        writeln!(f, "| setting | {first} | {second} | {third} |\n|---|---|---|---|")?;
        for (((name, basic), (_, balanced)), (_, high)) in basic.iter().zip(&balanced).zip(&high) {
            writeln!(f, "| `{name}` | {basic} | {balanced} | {high} |")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn balanced_is_the_documents_defaults() {
        let rows = Mode::default().settings().rows();
        let told: Vec<&str> = rows.iter().map(|(_, value)| value.as_str()).collect();
        let (queue, performance) = (["1000", "1", "2", "true", "0.1"], ["true", "30", "5", "true", "100"]);
        let alerts = ["50", "500", "5", "2", "1", "1500", "1800"];
        assert_eq!(told, [&["yes"][..], &queue, &performance, &alerts].concat());
    }

    #[test]
    fn the_page_shows_the_numbers_of_each_mode() {
        let page = include_str!("../../../docs/pipeline.md");
        assert!(
            page.contains(&Comparison.to_string()),
            "docs/pipeline.md is to have this table:\n{Comparison}"
        );
    }

    #[test]
    fn a_mode_alerts_before_its_lanes_are_full() {
        for mode in Mode::ALL {
            let settings = mode.settings();
            let critical = settings.queue.max_size as f64 * settings.queue.priority_multiplier;
            let all = critical + 3.0 * settings.queue.max_size as f64;
            assert!((settings.alerts.queue_size_critical_threshold as f64) < all, "{}", mode.name());
        }
    }
}
