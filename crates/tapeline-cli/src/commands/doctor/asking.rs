//! Questions of the doctor to a hub over HTTP. Each has a few seconds; what is missing, silent or no hub's is a finding and
//! no end.

use std::time::Duration;

use serde::de::DeserializeOwned;

use super::super::hub_url::HubUrl;
use super::super::request::{Answer, Asker, UNAUTHORIZED, Unanswered, refusal_in};
use super::finding::Findings;

/// How long an answer may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(3);
/// Who sees what is refused.
const OPERATORS: &str = "ask with an operator's token to see more: docs/security.md";
/// What to do about a port that says nothing.
const SILENT: &str = "it hangs, or it is no hub: look at the process that listens there";

/// A hub that has said which one it is.
pub(super) struct Asking {
    pub(super) url: HubUrl,
    /// Whether it asks nobody who they are.
    pub(super) is_open: bool,
    version: String,
    asker: Asker,
}

/// One question over a connection of its own; nothing where a finding says why.
pub(super) fn ask(url: &HubUrl, path: &str) -> Result<Answer, Unanswered> {
    Asker::patient(url.clone(), PATIENCE).get(path)
}

/// Why nothing came back, as a finding.
pub(super) fn unanswered(error: Unanswered, findings: &mut Findings) {
    match error {
        Unanswered::Nobody(what, remedy) => {
            findings.problem(what, format!("{remedy}, or give the hub's address with --url"));
        }
        Unanswered::Silent(..) => findings.problem(error.to_string(), SILENT),
        Unanswered::NoToken(text) => findings.problem(text, "give another file with --token-file"),
        Unanswered::Broken(text) => findings.problem(text, "look at what listens there"),
    }
}

impl Asking {
    pub(super) fn new(url: HubUrl, version: String, is_open: bool) -> Self {
        let asker = Asker::patient(url.clone(), PATIENCE);
        Asking { url, is_open, version, asker }
    }

    /// The answer to `GET path`, which must be what a hub says; otherwise a finding says what came instead.
    pub(super) fn read<T: DeserializeOwned>(
        &self,
        path: &str,
        is_hubs: impl Fn(&T) -> bool,
        findings: &mut Findings,
    ) -> Option<T> {
        let route = path.split('?').next().unwrap_or_default();
        let answer = match self.asker.get(path) {
            Ok(answer) => answer,
            Err(error) => {
                unanswered(error, findings);
                return None;
            }
        };
        match answer.status {
            200 => {}
            UNAUTHORIZED => {
                let told = refusal_in(answer.body.as_bytes()).unwrap_or_else(|| "HTTP 401".to_string());
                findings.problem(format!("{route} is refused: {told}"), self.url.access().remedy());
                return None;
            }
            403 => {
                let told = refusal_in(answer.body.as_bytes()).unwrap_or_else(|| "HTTP 403".to_string());
                findings.note(format!("{route} is not for this token: {told}"), OPERATORS);
                return None;
            }
            404 => {
                let (version, own) = (&self.version, env!("CARGO_PKG_VERSION"));
                let text = format!("this hub is {version} and knows no {route}; this command is {own}");
                findings.note(text, "update the hub, or ask it with the tapeline of its own version");
                return None;
            }
            status => {
                let told = refusal_in(answer.body.as_bytes()).unwrap_or_else(|| format!("HTTP {status}"));
                findings.problem(format!("{route} is refused: {told}"), "see the hub's log");
                return None;
            }
        }
        let known = serde_json::from_str(&answer.body).ok().filter(is_hubs);
        if known.is_none() {
            findings.problem(
                format!("what {} answers to {route} is no hub's answer", self.url),
                "is there another program, or a proxy, in between?",
            );
        }
        known
    }
}
