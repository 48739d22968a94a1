//! `cargo xtask test`: every suite in order, each one's time, and the verdict.
//!
//! A failing suite does not stop the ones after it. The last line is `N passed, N failed`, counted in suites.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::root::Root;
use crate::{browser, conformance, debian, deny, documents, doors, hostile, metrics, pages, sim, spec, tidy};

struct Suite {
    name: &'static str,
    about: &'static str,
    run: fn(&Root) -> Result<()>,
}

struct Outcome {
    name: &'static str,
    took: Duration,
    result: Result<()>,
}

/// The same worlds every time, on a fast machine too, so that a red run is the change's doing; `cargo xtask sim` looks at
/// new ones.
const SIMULATED: &[&str] = &["--seed", "31", "--seconds", "10", "--worlds", "12000"];

/// Cheapest first, so that a slip in formatting shows in seconds.
const SUITES: &[Suite] = &[
    Suite { name: "fmt", about: "formatting", run: |root| root.cargo(&["fmt", "--all", "--check"]) },
    Suite { name: "clippy", about: "lints, warnings as errors", run: clippy },
    Suite { name: "tidy", about: "what clippy cannot check", run: tidy::run },
    Suite { name: "deny", about: "what the dependencies may be", run: deny::run },
    Suite { name: "unit", about: "cargo test", run: unit },
    Suite { name: "pages", about: "every command and answer of the pages", run: pages::run },
    Suite { name: "spec", about: "documents and types as others read them", run: spec::run },
    Suite { name: "build", about: "the release binary", run: conformance::build },
    Suite { name: "conformance", about: "Autobahn's WebSocket cases", run: conformance::run },
    Suite { name: "documents", about: "the documents' own code against the binary", run: documents::run },
    Suite { name: "doors", about: "clients that teams already have, unmodified", run: doors::run },
    Suite { name: "browser", about: "the live page in a browser", run: browser::run },
    Suite { name: "metrics", about: "the metrics as Prometheus reads them", run: metrics::run },
    Suite { name: "hostile", about: "hostile requests against the binary, fuzz targets", run: hostile::run },
    Suite { name: "sim", about: "the simulator, for 10 s", run: |root| sim::run(root, SIMULATED) },
];

fn clippy(root: &Root) -> Result<()> {
    root.cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])
}

fn unit(root: &Root) -> Result<()> {
    // The tests start their own.
    debian::server(root, "redis-server")?;
    root.cargo(&["test", "--workspace", "--no-fail-fast"])
}

/// The suites, one a line, for the help text.
pub(crate) fn list() -> String {
    SUITES.iter().map(|suite| format!("    {:<12} {}\n", suite.name, suite.about)).collect()
}

/// Runs all suites, or the one named.
pub(crate) fn run(root: &Root, only: Option<&str>) -> Result<()> {
    let chosen: Vec<&Suite> =
        SUITES.iter().filter(|suite| only.is_none_or(|name| name == suite.name)).collect();
    if chosen.is_empty() {
        bail!("no suite named `{}`; there are:\n{}", only.unwrap_or_default(), list());
    }
    let outcomes: Vec<Outcome> = chosen.into_iter().map(|suite| suite.take(root)).collect();
    print!("{}", summary(&outcomes));
    if outcomes.iter().any(|outcome| outcome.result.is_err()) {
        // The summary has said which and why; an error line after it would no longer leave the count last.
        std::process::exit(1);
    }
    Ok(())
}

impl Suite {
    fn take(&self, root: &Root) -> Outcome {
        println!("\n== {}: {}", self.name, self.about);
        let started = Instant::now();
        let result = (self.run)(root);
        if let Err(error) = &result {
            println!("{} failed: {error:#}", self.name);
        }
        Outcome { name: self.name, took: started.elapsed(), result }
    }
}

/// The table of times, why the failed ones failed, and the closing count.
fn summary(outcomes: &[Outcome]) -> String {
    let mut text = String::from("\nsuite            time  result\n");
    let mut failed = 0;
    for outcome in outcomes {
        let verdict = match &outcome.result {
            Ok(()) => "passed".to_owned(),
            Err(error) => {
                failed += 1;
                format!("FAILED: {}", format!("{error:#}").lines().next().unwrap_or_default())
            }
        };
        text += &format!("{:<12} {:>6.1} s  {verdict}\n", outcome.name, outcome.took.as_secs_f64());
    }
    text + &format!("{} passed, {failed} failed\n", outcomes.len() - failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::anyhow;

    #[test]
    fn the_last_line_of_the_summary_counts_suites() {
        let took = Duration::from_millis(1500);
        let outcomes = [
            Outcome { name: "fmt", took, result: Ok(()) },
            Outcome { name: "tidy", took, result: Err(anyhow!("2 findings")) },
        ];
        let text = summary(&outcomes);
        assert!(text.contains("fmt             1.5 s  passed\n"), "{text}");
        assert!(text.contains("tidy            1.5 s  FAILED: 2 findings\n"), "{text}");
        assert!(text.ends_with("\n1 passed, 1 failed\n"), "{text}");
    }
}
