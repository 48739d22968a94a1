//! What was found, in the order it was looked for, and how it is printed.

use std::fmt::Write;

use serde::Serialize;

use super::super::output::shown;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    Ok,
    Note,
    Problem,
}

/// One thing.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Finding {
    level: Level,
    text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
}

/// All of them.
#[derive(Debug, Default, Serialize)]
pub(super) struct Findings {
    findings: Vec<Finding>,
}

impl Findings {
    fn add(&mut self, level: Level, text: impl Into<String>, remedy: Option<String>) {
        let (text, remedy) = (text.into(), remedy.filter(|remedy| !remedy.is_empty()));
        self.findings.push(Finding { level, text, remedy });
    }

    /// As it should be.
    pub(super) fn ok(&mut self, text: impl Into<String>) {
        self.add(Level::Ok, text, None);
    }

    /// Worth knowing, and perhaps meant so.
    pub(super) fn note(&mut self, text: impl Into<String>, remedy: impl Into<String>) {
        self.add(Level::Note, text, Some(remedy.into()));
    }

    /// Something does not work; the remedy says what to do.
    pub(super) fn problem(&mut self, text: impl Into<String>, remedy: impl Into<String>) {
        self.add(Level::Problem, text, Some(remedy.into()));
    }

    pub(super) fn has_problem(&self) -> bool {
        self.findings.iter().any(|finding| finding.level == Level::Problem)
    }

    /// For people. What others have said in it is made harmless.
    pub(super) fn text(&self, colored: bool) -> String {
        let mut text = String::new();
        for finding in &self.findings {
            let (word, color) = match finding.level {
                Level::Ok => ("ok", "\x1b[32m"),
                Level::Note => ("note", "\x1b[33m"),
                Level::Problem => ("PROBLEM", "\x1b[1;31m"),
            };
            let (color, end) = if colored { (color, "\x1b[0m") } else { ("", "") };
            let _ = writeln!(text, "{color}{word:<8}{end}{}", one_line(&finding.text));
            if let Some(remedy) = &finding.remedy {
                let _ = writeln!(text, "        -> {}", one_line(remedy));
            }
        }
        let problems = self.findings.iter().filter(|finding| finding.level == Level::Problem).count();
        let _ = match problems {
            0 => writeln!(text, "no problem found"),
            1 => writeln!(text, "1 problem"),
            more => writeln!(text, "{more} problems"),
        };
        text
    }
}

fn one_line(text: &str) -> String {
    shown(text).replace(['\n', '\r'], " ")
}

/// `0.2 s`, `12 s`, `5 min`, `3 h`, `2 d`.
#[expect(clippy::cast_precision_loss, reason = "a tenth of a second for people")]
pub(super) fn spell_ms(ms: u64) -> String {
    match ms {
        0..10_000 => format!("{:.1} s", ms as f64 / 1e3),
        10_000..120_000 => format!("{} s", ms / 1_000),
        120_000..7_200_000 => format!("{} min", ms / 60_000),
        7_200_000..172_800_000 => format!("{} h", ms / 3_600_000),
        _ => format!("{} d", ms / 86_400_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_are_told_in_order_with_what_to_do() {
        let mut findings = Findings::default();
        findings.ok("a hub answers");
        findings.note("nobody listens", "");
        findings.problem("it is \u{1b}[2Jquiet", "look at\nits publisher");
        assert_eq!(
            findings.text(false),
            "ok      a hub answers\nnote    nobody listens\nPROBLEM it is \\u{1b}[2Jquiet\n        -> look at its \
             publisher\n1 problem\n"
        );
        assert!(findings.has_problem());
    }

    #[test]
    fn times_are_said_in_one_unit() {
        let said = [120, 12_000, 300_000, 10_800_000, 200_000_000].map(spell_ms);
        assert_eq!(said, ["0.1 s", "12 s", "5 min", "3 h", "2 d"]);
    }
}
