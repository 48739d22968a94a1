//! Tokens for the private socket: given, or fetched from the venue's REST interface with a signed request
//! (<https://docs.kraken.com/api/docs/guides/spot-rest-auth>). Key, secret, signature and token are in no error, no log
//! and no `Debug`. It does not know when a token is needed.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::{digest, hmac};
use serde::Deserialize;
use tapeline_core::clock::Clock;
use tapeline_runtime::trusted;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use crate::live::TokenSource;

/// The venue's REST interface.
pub const REST_URL: &str = "https://api.kraken.com";
/// What is asked there; the signature is about it too.
const PATH: &str = "/0/private/GetWebSocketsToken";
/// For a whole fetch.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of an answer that are read; a token's has about 200.
const ANSWER_BYTES: u64 = 64 << 10;

/// Why tokens cannot be fetched at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The secret is not what the venue gives out.
    #[error("the API secret is no base64")]
    Secret,
    /// The key cannot stand in a header.
    #[error("the API key is empty, or has characters that no key has")]
    Key,
    /// The address.
    #[error("the address {0:?} is neither https:// nor http://")]
    Url(String),
    /// Whom to believe.
    #[error("{0}")]
    Trust(String),
}

/// A token that somebody else has fetched. It is good for one connection; the venue lets it go after 15 minutes.
pub struct GivenToken(String);

impl GivenToken {
    /// As the venue gave it.
    pub fn new(token: String) -> Self {
        GivenToken(token)
    }
}

impl TokenSource for GivenToken {
    fn fetch(&self) -> Result<String, String> {
        Ok(self.0.clone())
    }
}

/// Tokens by an API key that has the permission "WebSocket interface"; it needs no other.
pub struct FetchedTokens {
    url: String,
    key: String,
    secret: hmac::Key,
    clock: Arc<dyn Clock>,
    last_nonce: AtomicU64,
    agent: ureq::Agent,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    error: Vec<String>,
    result: Option<Granted>,
}

#[derive(Deserialize)]
struct Granted {
    token: String,
}

impl FetchedTokens {
    /// By this key and its secret, from [`REST_URL`] or a stand-in.
    ///
    /// # Errors
    /// The key, the secret, the address, or the certificates of `ca` cannot be used.
    pub fn new(
        url: &str,
        key: &str,
        secret: &str,
        ca: Option<&Path>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, KeyError> {
        if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(KeyError::Key);
        }
        let secret = BASE64.decode(secret.trim()).map_err(|_| KeyError::Secret)?;
        if secret.is_empty() {
            return Err(KeyError::Secret);
        }
        Ok(FetchedTokens {
            url: format!("{}{PATH}", url.trim_end_matches('/')),
            key: key.to_string(),
            secret: hmac::Key::new(hmac::HMAC_SHA512, &secret),
            clock,
            last_nonce: AtomicU64::new(0),
            agent: agent(url, ca)?,
        })
    }

    /// A number that the venue has not seen from this key: microseconds since 1970, so that it grows over restarts too,
    /// and one more than the last where the clock was set back.
    fn nonce(&self) -> u64 {
        let wall_us = self.clock.now().wall_us;
        let next = |last: u64| Some(wall_us.max(last.saturating_add(1)));
        let last = self.last_nonce.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        wall_us.max(last.unwrap_or_default().saturating_add(1))
    }

    fn ask(&self) -> Result<Vec<u8>, String> {
        let nonce = self.nonce().to_string();
        let body = format!("nonce={nonce}");
        let request = self
            .agent
            .post(&self.url)
            .header("API-Key", &self.key)
            .header("API-Sign", signature(&self.secret, PATH, &nonce, &body))
            .content_type("application/x-www-form-urlencoded");
        let response = request.send(body).map_err(|error| format!("the token cannot be fetched: {error}"))?;
        let status = response.status();
        let mut answer = Vec::new();
        let reader = response.into_body().into_reader();
        let read = reader.take(ANSWER_BYTES).read_to_end(&mut answer);
        read.map_err(|error| format!("the answer with the token breaks off: {error}"))?;
        if status == 200 { Ok(answer) } else { Err(format!("asked for a token the venue answers {status}")) }
    }
}

impl TokenSource for FetchedTokens {
    fn fetch(&self) -> Result<String, String> {
        read(&self.ask()?)
    }
}

/// The token of an answer. What cannot be read is not shown: there may be a token in it.
fn read(answer: &[u8]) -> Result<String, String> {
    let answer: Answer =
        serde_json::from_slice(answer).map_err(|_| "the answer with the token cannot be read".to_string())?;
    match (answer.error.is_empty(), answer.result) {
        (true, Some(granted)) if !granted.token.is_empty() => Ok(granted.token),
        (true, _) => Err("there is no token in the answer".to_string()),
        (false, _) => Err(answer.error.join(", ")),
    }
}

/// `HMAC-SHA512(secret, path ‖ SHA-256(nonce ‖ body))` in base64.
fn signature(secret: &hmac::Key, path: &str, nonce: &str, body: &str) -> String {
    let digest = digest::digest(&digest::SHA256, format!("{nonce}{body}").as_bytes());
    let mut signing = hmac::Context::with_key(secret);
    signing.update(path.as_bytes());
    signing.update(digest.as_ref());
    BASE64.encode(signing.sign())
}

fn agent(url: &str, ca: Option<&Path>) -> Result<ureq::Agent, KeyError> {
    let mut roots = Vec::new();
    if url.starts_with("https://") {
        let found = trusted(ca).map_err(|error| KeyError::Trust(error.to_string()))?;
        roots.extend(found.iter().map(|der| Certificate::from_der(der).to_owned()));
    } else if !url.starts_with("http://") {
        return Err(KeyError::Url(url.to_string()));
    }
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::new_with_certs(&roots))
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .build();
    let config = ureq::Agent::config_builder()
        .tls_config(tls)
        // Nobody between, whatever the environment says: the request is signed with the account's key.
        .proxy(None)
        .timeout_global(Some(PATIENCE))
        .max_redirects(0)
        .max_redirects_will_error(false)
        .http_status_as_error(false)
        .user_agent("tapeline")
        .accept("application/json")
        .max_idle_connections(0)
        .build();
    Ok(config.new_agent())
}

#[cfg(test)]
mod tests;
