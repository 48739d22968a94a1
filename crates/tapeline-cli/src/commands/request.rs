//! Questions to a hub over HTTP, and its refusals as sentences.

use std::fmt::Write;
use std::time::Duration;

use anyhow::{Context, bail};
use serde::Deserialize;
use ureq::Agent;

use super::hub_url::HubUrl;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// `/stats` names up to a thousand channels.
const ANSWER_BYTES: u64 = 16 << 20;

/// A hub that is asked; keeps its connection.
pub(crate) struct Asker {
    agent: Agent,
    hub: HubUrl,
}

#[derive(Deserialize)]
struct Refused {
    error: Why,
}

#[derive(Deserialize)]
struct Why {
    code: String,
    message: String,
}

/// A name as a part of a path or a query.
pub(crate) fn encoded(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                text.push(char::from(byte))
            }
            other => {
                let _ = write!(text, "%{other:02X}");
            }
        }
    }
    text
}

/// What a hub's refusal says: the sentence, then the code.
pub(crate) fn refusal_in(body: &[u8]) -> Option<String> {
    let Refused { error } = serde_json::from_slice(body).ok()?;
    Some(format!("{} ({})", error.message, error.code))
}

impl Asker {
    pub(crate) fn new(hub: HubUrl) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_global(Some(ANSWER_TIMEOUT))
            .build();
        Asker { agent: config.into(), hub }
    }

    pub(crate) fn read(&self, path: &str) -> anyhow::Result<String> {
        self.answer(self.agent.get(self.hub.http(path)).call())
    }

    pub(crate) fn post_json(&self, path: &str, body: &str) -> anyhow::Result<String> {
        let request = self.agent.post(self.hub.http(path)).header("content-type", "application/json");
        self.answer(request.send(body))
    }

    pub(crate) fn delete(&self, path: &str) -> anyhow::Result<String> {
        self.answer(self.agent.delete(self.hub.http(path)).call())
    }

    /// The body of a good answer.
    fn answer(&self, asked: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> anyhow::Result<String> {
        let mut response = match asked {
            Ok(response) => response,
            Err(error) => return Err(self.failure(error)),
        };
        let status = response.status();
        let body = response.body_mut().with_config().limit(ANSWER_BYTES).read_to_string();
        let body = body.with_context(|| format!("the answer of {} broke off", self.hub))?;
        if status.is_success() {
            return Ok(body);
        }
        match refusal_in(body.as_bytes()) {
            Some(told) => bail!("refused: {told}"),
            None => bail!("{} answers HTTP {status}; is it a Tapeline hub?", self.hub),
        }
    }

    fn failure(&self, error: ureq::Error) -> anyhow::Error {
        match error {
            ureq::Error::Io(_)
            | ureq::Error::ConnectionFailed
            | ureq::Error::Timeout(ureq::Timeout::Connect) => self.hub.no_answer(),
            ureq::Error::HostNotFound => anyhow::anyhow!("{}: no such host", self.hub),
            error => anyhow::anyhow!("{} does not answer as a hub does: {error}", self.hub),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_in_a_path_keeps_its_slashes_to_itself() {
        assert_eq!(encoded("fx/spot#1"), "fx%2Fspot%231");
    }
}
