//! Questions to a hub over HTTP, and its refusals as sentences.

use std::fmt::{self, Write};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use serde::Deserialize;
use ureq::Agent;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use super::hub_url::HubUrl;
use super::trust;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// `/stats` names up to a thousand channels.
const ANSWER_BYTES: u64 = 16 << 20;

/// The status of an answer to whoever needs a token, or another one.
pub(crate) const UNAUTHORIZED: u16 = 401;

/// A hub that is asked; keeps its connection.
pub(crate) struct Asker {
    agent: Agent,
    hub: HubUrl,
    patience: Duration,
}

/// What came back, whether it is good or not.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

/// Why nothing came back.
#[derive(Debug)]
pub(crate) enum Unanswered {
    /// Nobody is there: that, and what to do about it.
    Nobody(String, &'static str),
    /// Somebody takes connections and says nothing for so long.
    Silent(HubUrl, Duration),
    /// What came is no HTTP, or broke off.
    Broken(String),
    /// Nobody was asked: there is no token where one was to be.
    NoToken(String),
}

impl fmt::Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unanswered::Nobody(what, remedy) => write!(f, "{what}; {remedy}"),
            Unanswered::Silent(hub, patience) => {
                let seconds = patience.as_secs();
                write!(f, "{hub} accepts connections but answered nothing within {seconds} s")
            }
            Unanswered::Broken(text) | Unanswered::NoToken(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for Unanswered {}

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

/// Nobody is believed where no certificate can be read; that is said when the hub is asked.
fn tls_config(hub: &HubUrl) -> TlsConfig {
    let roots = if hub.is_tls() { trust::roots().unwrap_or_default() } else { Vec::new() };
    let roots: Vec<_> = roots.iter().map(|root| Certificate::from_der(root).to_owned()).collect();
    TlsConfig::builder()
        .root_certs(RootCerts::Specific(Arc::new(roots)))
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .build()
}

impl Asker {
    pub(crate) fn new(hub: HubUrl) -> Self {
        Asker::patient(hub, ANSWER_TIMEOUT)
    }

    /// One that waits so long for an answer.
    pub(crate) fn patient(hub: HubUrl, patience: Duration) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .tls_config(tls_config(&hub))
            .timeout_connect(Some(CONNECT_TIMEOUT.min(patience)))
            .timeout_send_request(Some(patience))
            .timeout_send_body(Some(patience))
            .timeout_recv_response(Some(patience))
            .timeout_recv_body(Some(patience))
            .build();
        Asker { agent: config.into(), hub, patience }
    }

    pub(crate) fn read(&self, path: &str) -> anyhow::Result<String> {
        self.good(self.get(path)?)
    }

    /// Whatever comes back.
    pub(crate) fn get(&self, path: &str) -> Result<Answer, Unanswered> {
        self.answer(self.signed(self.agent.get(self.hub.http(path)))?.call())
    }

    pub(crate) fn post_json(&self, path: &str, body: &str) -> anyhow::Result<String> {
        let request = self.agent.post(self.hub.http(path)).header("content-type", "application/json");
        self.good(self.answer(self.signed(request)?.send(body))?)
    }

    pub(crate) fn delete(&self, path: &str) -> anyhow::Result<String> {
        self.good(self.answer(self.signed(self.agent.delete(self.hub.http(path)))?.call())?)
    }

    /// Writes a good answer's body, however long it is, to `to`.
    pub(crate) fn copy(&self, path: &str, to: &mut impl io::Write) -> anyhow::Result<()> {
        // It takes as long as it is long; before its first byte the hub may have much to do.
        let request = self.signed(self.agent.get(self.hub.http(path)))?.config();
        let request = request.timeout_recv_response(None).timeout_recv_body(None).build();
        let asked = request.call();
        let mut response = asked.map_err(|error| self.failure(error))?;
        if response.status().is_success() {
            let copied = io::copy(&mut response.body_mut().as_reader(), to);
            return copied.map(|_| ()).with_context(|| format!("the answer of {} broke off", self.hub));
        }
        self.good(self.answer(Ok(response))?).map(|_| ())
    }

    /// With the token, read anew where it is in a file: a command may go on for longer than a token.
    fn signed<B>(&self, request: ureq::RequestBuilder<B>) -> Result<ureq::RequestBuilder<B>, Unanswered> {
        let token = self.hub.access().token().map_err(|error| Unanswered::NoToken(format!("{error:#}")))?;
        Ok(match token {
            Some(token) => request.header("authorization", format!("Bearer {token}")),
            None => request,
        })
    }

    fn answer(
        &self,
        asked: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> Result<Answer, Unanswered> {
        let mut response = asked.map_err(|error| self.failure(error))?;
        let status = response.status().as_u16();
        let body = response.body_mut().with_config().limit(ANSWER_BYTES).read_to_string();
        let broken = |error| Unanswered::Broken(format!("the answer of {} broke off: {error}", self.hub));
        Ok(Answer { status, body: body.map_err(broken)? })
    }

    /// The body of a good answer.
    fn good(&self, answer: Answer) -> anyhow::Result<String> {
        if (200..300).contains(&answer.status) {
            return Ok(answer.body);
        }
        match refusal_in(answer.body.as_bytes()) {
            Some(told) if answer.status == UNAUTHORIZED => {
                bail!("refused: {told}; {}", self.hub.access().remedy())
            }
            Some(told) => bail!("refused: {told}"),
            None => bail!("{} answers HTTP {}; is it a Tapeline hub?", self.hub, answer.status),
        }
    }

    fn failure(&self, error: ureq::Error) -> Unanswered {
        match error {
            ureq::Error::Rustls(error) => Unanswered::Broken(trust::against(&self.hub, &error)),
            ureq::Error::Tls(told) => Unanswered::Broken(format!("no TLS with {}: {told}", self.hub)),
            ureq::Error::Io(error) if let Some(told) = trust::distrust(&self.hub, &error) => {
                Unanswered::Broken(told)
            }
            // A name that leads nowhere comes as an error of the connection.
            ureq::Error::Io(_)
            | ureq::Error::ConnectionFailed
            | ureq::Error::HostNotFound
            | ureq::Error::Timeout(ureq::Timeout::Connect) => {
                let (what, remedy) = self.hub.nobody();
                Unanswered::Nobody(what, remedy)
            }
            ureq::Error::Timeout(_) => Unanswered::Silent(self.hub.clone(), self.patience),
            error => Unanswered::Broken(format!("{} does not answer as a hub does: {error}", self.hub)),
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
