//! The page of metrics while it is written: one metric after another, each with its labels. It knows no metric.

use std::fmt;

use prometheus_client::encoding::{
    DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, MetricEncoder, NoLabelSet,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;
use tapeline_core::stats::{BOUNDS_US, Histogram};

/// Whether it could be written.
pub(super) type Told = Result<(), fmt::Error>;

/// One metric after another.
pub(super) struct Page<'a>(pub(super) DescriptorEncoder<'a>);

impl Page<'_> {
    pub(super) fn begin<'s>(
        &'s mut self,
        name: &'s str,
        help: &str,
        unit: Option<&'s Unit>,
        kind: MetricType,
    ) -> Result<MetricEncoder<'s>, fmt::Error> {
        // The encoder ends the sentence itself for metrics of its own registry, not for collected ones.
        self.0.encode_descriptor(name, help, unit, kind)
    }

    pub(super) fn counter<V: EncodeCounterValue>(&mut self, name: &str, help: &str, value: V) -> Told {
        self.begin(name, help, None, MetricType::Counter)?.encode_counter::<NoLabelSet, V, u64>(&value, None)
    }

    pub(super) fn gauge<V: EncodeGaugeValue>(&mut self, name: &str, help: &str, value: V) -> Told {
        self.begin(name, help, None, MetricType::Gauge)?.encode_gauge(&value)
    }

    /// A counter with labels.
    pub(super) fn counters<'l, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        keys: [&'static str; N],
        counts: impl IntoIterator<Item = ([&'l str; N], u64)>,
    ) -> Told {
        let mut metric = self.begin(name, help, None, MetricType::Counter)?;
        for (values, count) in counts {
            let labels = labels(keys, values);
            metric.encode_family(&labels)?.encode_counter::<NoLabelSet, u64, u64>(&count, None)?;
        }
        Ok(())
    }

    /// A gauge with labels.
    pub(super) fn gauges<'l, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        keys: [&'static str; N],
        values: impl IntoIterator<Item = ([&'l str; N], u64)>,
    ) -> Told {
        let mut metric = self.begin(name, help, None, MetricType::Gauge)?;
        for (values, value) in values {
            let labels = labels(keys, values);
            metric.encode_family(&labels)?.encode_gauge(&value)?;
        }
        Ok(())
    }

    /// A histogram of seconds by one label.
    pub(super) fn seconds<'l>(
        &mut self,
        name: &str,
        help: &str,
        key: &'static str,
        histograms: impl IntoIterator<Item = (&'l str, Vec<&'l Histogram>)>,
    ) -> Told {
        let mut metric = self.begin(name, help, Some(&Unit::Seconds), MetricType::Histogram)?;
        for (value, parts) in histograms {
            let buckets = Histogram::added_up(parts.iter().copied());
            let bounds = BOUNDS_US.iter().map(|us| seconds(*us)).chain([f64::INFINITY]);
            let buckets: Vec<(f64, u64)> = bounds.zip(buckets).collect();
            let total = buckets.iter().map(|(_, count)| count).sum();
            let sum = seconds(parts.iter().map(|part| part.sum_us()).sum());
            let labels = labels([key], [value]);
            metric.encode_family(&labels)?.encode_histogram::<NoLabelSet>(sum, total, &buckets, None)?;
        }
        Ok(())
    }
}

pub(super) fn labels<'l, const N: usize>(
    keys: [&'static str; N],
    values: [&'l str; N],
) -> [(&'static str, &'l str); N] {
    let mut values = values.into_iter();
    keys.map(|key| (key, values.next().unwrap_or_default()))
}

#[expect(clippy::cast_precision_loss, reason = "seconds for people")]
pub(super) fn seconds(us: u64) -> f64 {
    us as f64 / 1e6
}
