//! Figures of several rounds, brought down to medians and held against their goals.

use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::server::Target;

/// What one run of one server gave: names and figures.
pub(crate) type Sample = Vec<(&'static str, f64)>;

/// How a figure must stand to its reference.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

/// A goal for the product.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Goal {
    pub(crate) metric: &'static str,
    /// The bound holds for the ratio to this one's median; without it for the figure itself.
    pub(crate) against: Option<Target>,
    pub(crate) bound: Bound,
}

impl Goal {
    /// A bound for the ratio to another server.
    pub(crate) fn ratio(metric: &'static str, against: Target, bound: Bound) -> Self {
        Self { metric, against: Some(against), bound }
    }

    /// A bound for the figure itself.
    pub(crate) fn value(metric: &'static str, bound: Bound) -> Self {
        Self { metric, against: None, bound }
    }
}

/// All samples of one workload.
pub(crate) struct Report {
    workload: String,
    load: String,
    samples: Vec<(Target, Sample)>,
    goals: Vec<Goal>,
}

struct Verdict {
    goal: String,
    ratio: f64,
    met: bool,
}

impl Report {
    /// An empty report; `load` says in a line what was done.
    pub(crate) fn new(workload: impl Into<String>, load: String, goals: Vec<Goal>) -> Self {
        Self { workload: workload.into(), load, samples: Vec::new(), goals }
    }

    /// Adds a run.
    pub(crate) fn add(&mut self, target: Target, sample: Sample) {
        let figures: Vec<String> =
            sample.iter().map(|(name, figure)| format!("{name} {}", short(*figure))).collect();
        eprintln!("  {:<10} {}", target.name(), figures.join(", "));
        self.samples.push((target, sample));
    }

    fn targets(&self) -> Vec<Target> {
        let mut targets: Vec<Target> = self.samples.iter().map(|(target, _)| *target).collect();
        targets.sort();
        targets.dedup();
        targets
    }

    fn metrics(&self) -> Vec<&'static str> {
        let mut names = Vec::new();
        for (name, _) in self.samples.iter().flat_map(|(_, sample)| sample) {
            if !names.contains(name) {
                names.push(*name);
            }
        }
        names
    }

    fn figures(&self, target: Target, metric: &str) -> Vec<f64> {
        let own = self.samples.iter().filter(|(other, _)| *other == target);
        let mut figures: Vec<f64> = own
            .flat_map(|(_, sample)| sample)
            .filter(|(name, _)| *name == metric)
            .map(|(_, figure)| *figure)
            .collect();
        figures.sort_by(f64::total_cmp);
        figures
    }

    fn median(&self, target: Target, metric: &str) -> Option<f64> {
        let figures = self.figures(target, metric);
        let upper = *figures.get(figures.len() / 2)?;
        let lower = *figures.get(figures.len().checked_sub(1)? / 2)?;
        Some(f64::midpoint(lower, upper))
    }

    fn verdict(&self, goal: &Goal) -> Option<Verdict> {
        let own = self.median(Target::Product, goal.metric)?;
        let (ratio, suffix) = match goal.against {
            Some(other) => (own / self.median(other, goal.metric)?, format!(" x {}", other.name())),
            None => (own, String::new()),
        };
        let (sign, bound, met) = match goal.bound {
            Bound::AtLeast(bound) => (">=", bound, ratio >= bound),
            Bound::AtMost(bound) => ("<=", bound, ratio <= bound),
        };
        Some(Verdict { goal: format!("{sign} {bound}{suffix}"), ratio, met })
    }

    /// Whether every goal that could be judged is met.
    pub(crate) fn met(&self) -> bool {
        self.goals.iter().filter_map(|goal| self.verdict(goal)).all(|verdict| verdict.met)
    }

    /// The table of medians.
    pub(crate) fn table(&self) -> String {
        let targets = self.targets();
        let mut rows = vec![vec!["median".to_owned()]];
        if let Some(head) = rows.first_mut() {
            head.extend(targets.iter().map(|target| target.name().to_owned()));
            head.extend(["goal", "is", ""].map(str::to_owned));
        }
        for metric in self.metrics() {
            let mut row = vec![metric.to_owned()];
            let cell = |target: &Target| self.median(*target, metric).map(short).unwrap_or_default();
            row.extend(targets.iter().map(cell));
            let verdicts =
                self.goals.iter().filter(|goal| goal.metric == metric).filter_map(|goal| self.verdict(goal));
            let mut cells = verdicts.map(|verdict| {
                let word = if verdict.met { "met" } else { "MISSED" };
                [verdict.goal, short(verdict.ratio), word.to_owned()]
            });
            row.extend(cells.next().into_iter().flatten());
            rows.push(row);
            for more in cells {
                let mut row = vec![String::new(); targets.len() + 1];
                row.extend(more);
                rows.push(row);
            }
        }
        format!("\n{}: {}\n{}", self.workload, self.load, align(&rows))
    }

    /// The same for machines, with every round.
    pub(crate) fn json(&self) -> Value {
        let targets = self.targets().into_iter().map(|target| {
            let metrics = self.metrics().into_iter().filter_map(|metric| {
                let median = self.median(target, metric)?;
                Some((metric.to_owned(), json!({ "median": median, "rounds": self.figures(target, metric) })))
            });
            (target.name().to_owned(), Value::Object(metrics.collect()))
        });
        let goals = self.goals.iter().filter_map(|goal| {
            let verdict = self.verdict(goal)?;
            Some(json!({ "metric": goal.metric, "goal": verdict.goal, "is": verdict.ratio, "met": verdict.met }))
        });
        json!({
            "workload": self.workload,
            "load": self.load,
            "servers": Value::Object(targets.collect()),
            "goals": goals.collect::<Vec<_>>(),
        })
    }
}

/// Writes the reports of a session.
pub(crate) fn write_json(path: &Path, reports: &[Report]) -> Result<()> {
    let all: Vec<Value> = reports.iter().map(Report::json).collect();
    let text = serde_json::to_string_pretty(&json!({ "reports": all }))?;
    std::fs::write(path, text + "\n").with_context(|| format!("writing {}", path.display()))
}

fn align(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width =
        |column: usize| rows.iter().filter_map(|row| row.get(column)).map(String::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut out = String::new();
    for row in rows {
        let mut line = String::new();
        for (column, (cell, &width)) in row.iter().zip(&widths).enumerate() {
            let written =
                if column == 0 { write!(line, "{cell:<width$}") } else { write!(line, "  {cell:>width$}") };
            // Writing to a string cannot fail.
            written.unwrap_or_default();
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// A figure with three or four digits that mean something.
pub(crate) fn short(figure: f64) -> String {
    match figure.abs() {
        size if size >= 100.0 || size == 0.0 => format!("{figure:.0}"),
        size if size >= 10.0 => format!("{figure:.1}"),
        size if size >= 1.0 => format!("{figure:.2}"),
        _ => format!("{figure:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_is_judged_by_the_ratio_of_medians() {
        let goal = Goal::ratio("deliveries/s", Target::FloorB, Bound::AtLeast(0.75));
        let mut report = Report::new("fanout", "test".to_owned(), vec![goal]);
        for (own, floor) in [(70.0, 100.0), (80.0, 100.0), (90.0, 1000.0)] {
            report.add(Target::Product, vec![("deliveries/s", own)]);
            report.add(Target::FloorB, vec![("deliveries/s", floor)]);
        }
        assert!(report.met());
        assert!(report.table().contains(">= 0.75 x floor-b"), "{}", report.table());
        let json = report.json();
        assert_eq!(json.pointer("/goals/0/is").unwrap(), 0.8);
    }
}
