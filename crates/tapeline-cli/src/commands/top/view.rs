//! What is shown, computed from two answers of a hub: rates, delays of this interval, and the lists as they are.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tapeline_schema::Priority;
use tapeline_schema::ops::{BusyChannel, Delay, FamilyCounts, LateChannel, SlowClient, StatsAnswer};

/// An answer and when it came.
pub(super) struct Sample {
    pub at: Instant,
    pub answer: StatsAnswer,
}

/// How long messages of a priority took.
#[derive(Debug, PartialEq)]
pub(super) struct Took {
    pub priority: &'static str,
    /// Writes that were timed.
    pub writes: u64,
    /// Upper bounds in microseconds; `None` above the last one.
    pub p50_us: Option<u64>,
    pub p99_us: Option<u64>,
}

/// A family's rates.
#[derive(Debug, PartialEq)]
pub(super) struct FamilyRates {
    pub family: String,
    pub priority: String,
    pub published: f64,
    pub delivered: f64,
    pub conflated: f64,
    pub dropped: f64,
}

/// A number that grows, as a rate and in all.
#[derive(Debug, PartialEq)]
pub(super) struct Rate {
    pub name: &'static str,
    pub per_second: f64,
    pub in_all: u64,
    /// Each cause with its count in all, where there are several.
    pub causes: Vec<(String, u64)>,
}

/// See the module.
pub(super) struct View {
    pub title: String,
    pub uptime: Duration,
    pub connections: u64,
    pub subscriptions: u64,
    /// Channels that said something within the hour.
    pub channels: u64,
    pub waiting_bytes: u64,
    pub bytes_per_second: f64,
    pub rates: Vec<Rate>,
    pub took: Vec<Took>,
    pub busiest: Vec<BusyChannel>,
    pub slowest: Vec<SlowClient>,
    pub late: Vec<LateChannel>,
    pub families: Vec<FamilyRates>,
    pub incidents: Vec<(String, u64)>,
    /// Why the last question was not answered.
    pub trouble: Option<String>,
    pub held: bool,
}

impl View {
    /// What happened between two answers. Of a hub that was started anew meanwhile, nothing has.
    pub(super) fn between(hub: &str, earlier: &Sample, later: &Sample) -> View {
        let (now, seconds) = (&later.answer, later.at.duration_since(earlier.at).as_secs_f64());
        let none = StatsAnswer::default();
        let is_same = earlier.answer.instance == now.instance && seconds > 0.0;
        let before = if is_same { &earlier.answer } else { now };
        let per_second = |count: fn(&StatsAnswer) -> u64| rate(count(before), count(now), seconds);
        let one = |name, count: fn(&StatsAnswer) -> u64, causes: &BTreeMap<String, u64>| Rate {
            name,
            per_second: per_second(count),
            in_all: count(now),
            causes: causes.iter().filter(|(_, count)| **count > 0).map(|(n, c)| (n.clone(), *c)).collect(),
        };
        let nothing = &none.conflated_by;
        View {
            title: match now.nodes.len() {
                0 | 1 => format!("tapeline {} at {hub}", now.version),
                hubs => format!("tapeline {} at {hub}, {hubs} hubs", now.version),
            },
            uptime: Duration::from_secs(now.uptime_s),
            connections: now.connections,
            subscriptions: now.subscriptions,
            channels: now.channels_watched,
            waiting_bytes: now.waiting_bytes,
            bytes_per_second: per_second(|answer| answer.delivered_bytes),
            rates: vec![
                one("published", |answer| answer.published, nothing),
                one("delivered", |answer| answer.delivered, nothing),
                one("conflated", |answer| answer.conflated, &now.conflated_by),
                one("dropped", |answer| answer.dropped.values().sum(), &now.dropped),
                one("refused", |answer| answer.refused, &now.refused_by),
                one("catch-ups", |answer| answer.catch_ups, nothing),
                one("closed", |answer| answer.closed.values().sum(), &now.closed),
            ],
            took: took(&before.delay, &now.delay),
            busiest: now.busiest.clone(),
            slowest: now.slowest.clone(),
            late: now.late.clone(),
            families: families(before, now, seconds),
            incidents: now.incidents.iter().filter(|(_, n)| **n > 0).map(|(k, n)| (k.clone(), *n)).collect(),
            trouble: None,
            held: false,
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a rate for people")]
fn rate(before: u64, now: u64, seconds: f64) -> f64 {
    if seconds > 0.0 { now.saturating_sub(before) as f64 / seconds } else { 0.0 }
}

fn families(before: &StatsAnswer, now: &StatsAnswer, seconds: f64) -> Vec<FamilyRates> {
    let none = FamilyCounts::default();
    let mut families: Vec<FamilyRates> = now
        .families
        .iter()
        .map(|(name, counts)| {
            let earlier = before.families.get(name).unwrap_or(&none);
            let of = |count: fn(&FamilyCounts) -> u64| rate(count(earlier), count(counts), seconds);
            FamilyRates {
                family: name.clone(),
                priority: counts.priority.clone(),
                published: of(|counts| counts.published),
                delivered: of(|counts| counts.delivered),
                conflated: of(|counts| counts.conflated.values().sum()),
                dropped: of(|counts| counts.dropped.values().sum()),
            }
        })
        .collect();
    let busy = |family: &FamilyRates| family.delivered + family.published;
    families
        .sort_by(|one, other| busy(other).total_cmp(&busy(one)).then_with(|| one.family.cmp(&other.family)));
    families
}

/// Of each priority, what came into the buckets meanwhile.
fn took(before: &Delay, now: &Delay) -> Vec<Took> {
    let of = |priority: &'static str| {
        let counts = now.buckets.get(priority)?;
        let earlier = before.buckets.get(priority).map_or(&[][..], Vec::as_slice);
        let new: Vec<u64> = counts
            .iter()
            .enumerate()
            .map(|(n, count)| count.saturating_sub(earlier.get(n).copied().unwrap_or_default()))
            .collect();
        let writes = new.iter().sum();
        let percentile = |percent: u64| percentile(&new, &now.bounds_us, percent);
        Some(Took { priority, writes, p50_us: percentile(50), p99_us: percentile(99) })
    };
    Priority::ALL.iter().filter_map(|priority| of(priority.name())).collect()
}

/// The upper bound of the bucket that holds the percentile; `None` above the last bound, or of nothing.
fn percentile(counts: &[u64], bounds_us: &[u64], percent: u64) -> Option<u64> {
    let total: u64 = counts.iter().sum();
    let rank = (total * percent).div_ceil(100).max(1);
    let mut passed = 0;
    for (count, bound) in counts.iter().zip(bounds_us) {
        passed += count;
        if passed >= rank {
            return Some(*bound);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(at: Instant, json: &str) -> Sample {
        Sample { at, answer: serde_json::from_str(json).unwrap() }
    }

    fn rates(view: &View) -> Vec<(&str, f64)> {
        view.rates.iter().take(2).map(|rate| (rate.name, rate.per_second)).collect()
    }

    #[test]
    fn rates_come_from_two_answers_of_one_hub_and_not_across_a_restart() {
        let start = Instant::now();
        let earlier = sample(start, r#"{"instance":"a","published":100,"delivered":1000}"#);
        let later = start + Duration::from_millis(500);
        let view = View::between(
            "h",
            &earlier,
            &sample(later, r#"{"instance":"a","published":150,"delivered":3000}"#),
        );
        assert_eq!(rates(&view), [("published", 100.0), ("delivered", 4_000.0)]);
        let view = View::between(
            "h",
            &earlier,
            &sample(later, r#"{"instance":"b","published":150,"delivered":3000}"#),
        );
        assert_eq!(rates(&view), [("published", 0.0), ("delivered", 0.0)]);
    }

    #[test]
    fn delays_are_those_of_the_interval() {
        let before = Delay {
            bounds_us: vec![100, 1_000, 10_000],
            buckets: BTreeMap::from([("high".to_string(), vec![1_000, 0, 0, 0])]),
        };
        let mut now = before.clone();
        now.buckets.insert("high".to_string(), vec![1_000, 98, 1, 1]);
        let expected = Took { priority: "high", writes: 100, p50_us: Some(1_000), p99_us: Some(10_000) };
        assert_eq!(took(&before, &now), [expected]);
        now.buckets.insert("high".to_string(), vec![1_000, 0, 0, 10]);
        let expected = Took { priority: "high", writes: 10, p50_us: None, p99_us: None };
        assert_eq!(took(&before, &now), [expected]);
    }

    #[test]
    fn the_busiest_family_comes_first_and_causes_without_a_count_are_left_out() {
        let start = Instant::now();
        let earlier =
            sample(start, r#"{"instance":"a","families":{"x":{"delivered":1},"y":{"delivered":1}}}"#);
        let later = sample(
            start + Duration::from_secs(1),
            r#"{"instance":"a","families":{"x":{"delivered":2},"y":{"delivered":9}},"conflated_by":{"pressure":3,"max_rate":0}}"#,
        );
        let view = View::between("h", &earlier, &later);
        assert_eq!(view.families.iter().map(|family| &*family.family).collect::<Vec<_>>(), ["y", "x"]);
        assert_eq!(view.rates[2].causes, [("pressure".to_string(), 3)]);
    }
}
