//! A pipeline's numbers for Prometheus, in OpenMetrics 1.0. Every label has a bound: lanes, reasons and rules are tables,
//! components and sources are what the owner registered; no symbol becomes a label.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, MetricEncoder, NoLabelSet, text,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};
use tapeline_core::stats::BOUNDS_US;

use crate::monitor::{Core, LANE_NAMES, MB};
use crate::report::Facts;
use crate::stats::{BreakerState, ComponentStats, SourceStats};
use crate::worker::{Histogram, Stage};

/// All metrics as text, ended by `# EOF`.
pub(crate) fn text(core: &Core) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Page(core.facts())));
    let mut told = String::new();
    // Writing into a text cannot fail.
    let _ = text::encode(&mut told, &registry);
    told
}

/// All that is collected.
struct Page(Facts);

impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Page")
    }
}

type Told = Result<(), fmt::Error>;
type Labels<'l, const N: usize> = [(&'static str, &'l str); N];

/// One metric after another.
struct Writer<'a>(DescriptorEncoder<'a>);

impl Writer<'_> {
    fn begin<'s>(
        &'s mut self,
        name: &'s str,
        help: &str,
        unit: Option<&'s Unit>,
        kind: MetricType,
    ) -> Result<MetricEncoder<'s>, fmt::Error> {
        self.0.encode_descriptor(name, help, unit, kind)
    }

    fn counters<'l, const N: usize, V: EncodeCounterValue>(
        &mut self,
        name: &str,
        help: &str,
        counts: impl IntoIterator<Item = (Labels<'l, N>, V)>,
    ) -> Told {
        let mut metric = self.begin(name, help, None, MetricType::Counter)?;
        for (labels, count) in counts {
            metric.encode_family(&labels)?.encode_counter::<NoLabelSet, V, u64>(&count, None)?;
        }
        Ok(())
    }

    fn gauges<'l, const N: usize, V: EncodeGaugeValue>(
        &mut self,
        (name, unit): (&str, Option<Unit>),
        help: &str,
        values: impl IntoIterator<Item = (Labels<'l, N>, V)>,
    ) -> Told {
        let mut metric = self.begin(name, help, unit.as_ref(), MetricType::Gauge)?;
        for (labels, value) in values {
            metric.encode_family(&labels)?.encode_gauge(&value)?;
        }
        Ok(())
    }

    fn seconds<'l, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        histograms: impl IntoIterator<Item = (Labels<'l, N>, &'l Histogram)>,
    ) -> Told {
        let mut metric = self.begin(name, help, Some(&Unit::Seconds), MetricType::Histogram)?;
        for (labels, timed) in histograms {
            let mut passed = 0;
            let bounds = BOUNDS_US.iter().map(|us| (seconds(*us), timed.within(*us)));
            let bounds = bounds.chain([(f64::INFINITY, timed.count())]);
            let buckets: Vec<(f64, u64)> = bounds
                .map(|(bound, within)| (bound, within - std::mem::replace(&mut passed, within)))
                .collect();
            let encoded = &mut metric.encode_family(&labels)?;
            encoded.encode_histogram::<NoLabelSet>(seconds(timed.sum_us()), timed.count(), &buckets, None)?;
        }
        Ok(())
    }
}

#[expect(clippy::cast_precision_loss, reason = "seconds for people")]
fn seconds(us: u64) -> f64 {
    us as f64 / 1e6
}

impl Collector for Page {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Told {
        let mut page = Writer(encoder);
        self.process(&mut page)?;
        self.sources(&mut page)?;
        self.components(&mut page)?;
        self.calls(&mut page)?;
        self.letters(&mut page)?;
        self.alerts(&mut page)
    }
}

impl Page {
    fn process(&self, page: &mut Writer<'_>) -> Told {
        let bytes = self.0.metrics.memory_mb * MB;
        let help = "Memory of the process that is resident, as of now";
        page.gauges(
            ("process_resident_memory", Some(Unit::Bytes)),
            help,
            [([("pipeline", &*self.0.name)], bytes)],
        )
    }

    fn sources(&self, page: &mut Writer<'_>) -> Told {
        type Row = (&'static str, fn(&SourceStats) -> u64);
        const RESULTS: [Row; 4] = [
            ("accepted", |stats| stats.accepted),
            ("invalid", |stats| stats.invalid),
            ("deduplicated", |stats| stats.deduplicated),
            ("refused", |stats| stats.refused),
        ];
        let sources = || self.0.stats.sources.iter();
        let counts = sources().flat_map(|(source, stats)| {
            RESULTS.map(|(result, count)| ([("source", source.as_str()), ("result", result)], count(stats)))
        });
        page.counters(
            "tapeline_messages_received",
            "Updates that sources put in, by what became of them",
            counts,
        )?;
        let repeats = sources().map(|(source, stats)| ([("source", source.as_str())], stats.deduplicated));
        page.counters("tapeline_dedup_hits", "Updates that had come before", repeats)?;
        let beats = self.0.pulses.iter().filter_map(|(source, pulse)| {
            Some(([("source", source.as_str())], self.0.now.since(pulse.beat_us?).as_secs_f64()))
        });
        page.gauges(
            ("tapeline_source_heartbeat_age", Some(Unit::Seconds)),
            "Since a source's last heartbeat",
            beats,
        )
    }

    fn each(&self, count: fn(&ComponentStats) -> u64) -> impl Iterator<Item = (Labels<'_, 1>, u64)> {
        self.0
            .stats
            .components
            .iter()
            .map(move |(name, stats)| ([("component", name.as_str())], count(stats)))
    }

    fn components(&self, page: &mut Writer<'_>) -> Told {
        let components = || self.0.stats.components.iter();
        let each = |count| self.each(count);
        page.counters(
            "tapeline_messages_accepted",
            "Updates given to components",
            each(|stats| stats.accepted),
        )?;
        page.counters(
            "tapeline_messages_delivered",
            "Updates whose call succeeded",
            each(|stats| stats.delivered),
        )?;
        page.counters(
            "tapeline_messages_conflated",
            "Updates that gave way to newer ones",
            each(|stats| stats.conflated),
        )?;
        let dropped = components().flat_map(|(name, stats)| {
            stats
                .dropped
                .iter()
                .map(move |(reason, count)| ([("component", name.as_str()), ("reason", reason)], *count))
        });
        page.counters("tapeline_messages_dropped", "Updates that were dropped, by cause", dropped)?;
        let skipped = each(|stats| stats.skipped);
        page.counters("tapeline_messages_skipped", "Updates that components have no method for", skipped)?;
        let waiting = components().flat_map(|(name, stats)| {
            let lanes = LANE_NAMES.into_iter().zip(stats.queued);
            lanes.map(move |(lane, count)| ([("component", name.as_str()), ("lane", lane)], count))
        });
        page.gauges(("tapeline_queue_depth", None), "Updates that wait, by lane", waiting)?;
        let circuit = each(|stats| match stats.breaker {
            BreakerState::Closed => 0,
            BreakerState::Open => 1,
            BreakerState::HalfOpen => 2,
        });
        page.gauges(("tapeline_circuit_state", None), "Breakers: 0 closed, 1 open, 2 on trial", circuit)?;
        let hung = each(|stats| u64::from(stats.hung));
        page.gauges(
            ("tapeline_component_hung", None),
            "1 while a component does not come back from a call",
            hung,
        )
    }

    fn calls(&self, page: &mut Writer<'_>) -> Told {
        page.counters("tapeline_calls", "Calls of components", self.each(|stats| stats.calls))?;
        let failed = self.0.stats.components.iter().flat_map(|(name, stats)| {
            stats
                .failed
                .iter()
                .map(move |(class, count)| ([("component", name.as_str()), ("class", class)], *count))
        });
        page.counters("tapeline_handler_errors", "Calls that failed, by kind", failed)?;
        page.counters(
            "tapeline_slow_calls",
            "Calls that took longer than max_processing_time_ms",
            self.each(|stats| stats.slow),
        )?;
        page.counters("tapeline_retries", "Calls that were tried again", self.each(|stats| stats.retried))?;
        let timed = || {
            self.0.latencies.iter().flat_map(|(name, timed)| {
                LANE_NAMES.into_iter().zip(0..).map(move |(lane, place)| (&**name, timed, lane, place))
            })
        };
        for (stage, metric, help) in [
            (Stage::Called, "tapeline_queue_wait", "From receipt to the beginning of a call"),
            (Stage::Done, "tapeline_handler", "From receipt to the end of a call"),
        ] {
            let histograms = timed().filter_map(|(name, timed, lane, place)| {
                let histogram = timed.of(place, stage).filter(|histogram| histogram.count() > 0)?;
                Some(([("component", name), ("lane", lane)], histogram))
            });
            page.seconds(metric, help, histograms)?;
        }
        Ok(())
    }

    fn letters(&self, page: &mut Writer<'_>) -> Told {
        let given_up = self.0.stats.components.iter().flat_map(|(name, stats)| {
            let reasons = stats.dead_lettered.iter();
            reasons.map(move |(reason, count)| ([("component", name.as_str()), ("reason", reason)], *count))
        });
        // Another name than that of the gauge below: a counter `x` has the sample `x_total`, and may not be a gauge too.
        page.counters("tapeline_dead_lettered", "Updates that became dead letters, by reason", given_up)?;
        let redriven = self.each(|stats| stats.redriven);
        page.counters("tapeline_dead_letters_redriven", "Dead letters that were sent anew", redriven)?;
        let kept = &self.0.kept;
        let letters = kept
            .letters
            .iter()
            .map(|((component, reason), count)| ([("component", &**component), ("reason", reason)], *count));
        page.gauges(("tapeline_dead_letters", None), "Dead letters that are kept", letters)?;
        let now = self.0.now.wall_us;
        let oldest = kept.oldest_us.map_or(0.0, |oldest_us| seconds(now.saturating_sub(oldest_us)));
        let name = ("tapeline_dead_letters_oldest", Some(Unit::Seconds));
        page.gauges(
            name,
            "Age of the oldest dead letter; 0 for none",
            [([("pipeline", &*self.0.name)], oldest)],
        )
    }

    fn alerts(&self, page: &mut Writer<'_>) -> Told {
        let raised = self.0.alerts.iter().map(|alert| ([("rule", alert.rule.as_str())], 1_u64));
        page.gauges(("tapeline_alert", None), "1 for each alert that is raised and not resolved", raised)?;
        let turns = self.0.counts.iter().flat_map(|(rule, count)| {
            [("raised", count.raised), ("resolved", count.resolved)]
                .map(|(state, times)| ([("rule", rule.name()), ("state", state)], times))
        });
        page.counters("tapeline_alerts", "Times that a rule was raised or resolved", turns)
    }
}
