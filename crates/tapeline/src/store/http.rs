//! The store of a hub elsewhere, over its HTTP port. A hub that is out of reach is tried again until the caller's time is
//! over, as long as nothing was sent; what was sent and not answered is an error, since it may have been done.

use std::fmt::{Display, Write as _};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::AUTHORIZATION;
use hyper::{Method, Request, StatusCode};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::{ClientConfig, RootCertStore};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{Condition, StoreEntry, StorePage, Writing};
use crate::error::Error;
use crate::token::{Tokens, bearer};

/// Before it is tried again, at first; it doubles up to the last.
const PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// A listing is about 4 MiB, a value at most what a hub may be set to take.
const ANSWER_BYTES: usize = 128 << 20;

/// See the module. Keeps its connections.
pub(crate) struct Http {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    /// `http://host:port`, or `https:`, and what stands before the hub's own paths.
    base: String,
    tokens: Arc<Tokens>,
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

#[derive(Deserialize)]
struct Receipt {
    version: u64,
}

impl Http {
    /// For the hub whose WebSocket is at `url`.
    pub(super) fn new(authority: &str, url: &str, tls: Option<&ClientConfig>, tokens: Arc<Tokens>) -> Self {
        let path = url.split_once(authority).map_or("", |(_, path)| path);
        let path = path.split('?').next().unwrap_or_default();
        let own = path
            .match_indices("/ws")
            .map(|(at, _)| at)
            .find(|at| matches!(path.as_bytes().get(at + 3), None | Some(b'/')));
        let before = own.and_then(|at| path.get(..at)).unwrap_or(path).trim_end_matches('/');
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.enforce_http(false);
        let scheme = if tls.is_some() { "https" } else { "http" };
        // Without TLS nobody has to be believed.
        let nobody =
            || ClientConfig::builder().with_root_certificates(RootCertStore::empty()).with_no_client_auth();
        let tls = tls.cloned().unwrap_or_else(nobody);
        let https = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1();
        Http {
            client: Client::builder(TokioExecutor::new()).build(https.wrap_connector(connector)),
            base: format!("{scheme}://{authority}{before}"),
            tokens,
        }
    }

    pub(super) async fn is_well(&self) -> bool {
        self.ask(Method::GET, "/health", String::new()).await.is_ok()
    }

    pub(super) async fn get(&self, key: &str) -> Result<Option<StoreEntry>, Error> {
        match self.ask(Method::GET, &place(key), String::new()).await {
            Ok(body) => read(&body).map(Some),
            Err(Error::Refused { code, .. }) if code == "no_value" => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn set(&self, key: &str, writing: Writing) -> Result<u64, Error> {
        let Writing { value, ttl, condition } = writing;
        let ttl = ttl.map(|ttl| ("ttl_s", ttl.as_secs_f64().to_string()));
        let target = place(key) + &query(ttl.into_iter().chain(expectation(condition)));
        let body = self.ask(Method::PUT, &target, value).await?;
        read::<Receipt>(&body).map(|receipt| receipt.version)
    }

    pub(super) async fn delete(&self, key: &str, condition: Condition) -> Result<bool, Error> {
        let target = place(key) + &query(expectation(condition).into_iter());
        match self.ask(Method::DELETE, &target, String::new()).await {
            Ok(_) => Ok(true),
            Err(Error::Refused { code, .. }) if code == "no_value" => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<StorePage, Error> {
        let after = after.map(|after| ("after", after.to_string()));
        let asked = [("prefix", prefix.to_string()), ("limit", limit.to_string())];
        let target = format!("/store{}", query(asked.into_iter().chain(after)));
        read(&self.ask(Method::GET, &target, String::new()).await?)
    }

    /// The body of a good answer. A token that has ended meanwhile is renewed once.
    async fn ask(&self, method: Method, target: &str, body: String) -> Result<Bytes, Error> {
        let (body, token) = (Bytes::from(body), self.tokens.current().await?);
        match self.ask_with(&method, target, &body, token.as_deref()).await {
            Err(Error::Unauthorized { .. }) if self.tokens.can_change() => {
                let token = self.tokens.fetch().await?;
                self.ask_with(&method, target, &body, token.as_deref()).await
            }
            answered => answered,
        }
    }

    async fn ask_with(
        &self,
        method: &Method,
        target: &str,
        body: &Bytes,
        token: Option<&str>,
    ) -> Result<Bytes, Error> {
        let unaskable = |error: &dyn Display| Error::Data(format!("{target} cannot be asked for: {error}"));
        let token = token.map(bearer).transpose().map_err(|error| unaskable(&error))?;
        let mut pause = PAUSE;
        let response = loop {
            let mut request = Request::builder()
                .method(method.clone())
                .uri(format!("{}{target}", self.base))
                .header("content-type", "application/json")
                .body(Full::new(body.clone()))
                .map_err(|error| unaskable(&error))?;
            if let Some(token) = &token {
                request.headers_mut().insert(AUTHORIZATION, token.clone());
            }
            match self.client.request(request).await {
                Ok(response) => break response,
                Err(error) if error.is_connect() => tokio::time::sleep(pause).await,
                Err(error) => return Err(self.no_answer(&error)),
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        };
        let status = response.status();
        let collected = Limited::new(response.into_body(), ANSWER_BYTES).collect().await;
        let body = collected.map_err(|error| self.no_answer(&*error))?.to_bytes();
        if status.is_success() { Ok(body) } else { Err(self.refused(status, &body)) }
    }

    fn no_answer(&self, error: &(impl std::error::Error + ?Sized)) -> Error {
        let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
        Error::NoAnswer { url: self.base.clone(), reason: format!("{error}{cause}") }
    }

    fn refused(&self, status: StatusCode, body: &[u8]) -> Error {
        match refusal_in(body) {
            Some(refusal) => refusal,
            None => {
                let (url, reason) = (self.base.clone(), format!("HTTP {status} without a code"));
                match status {
                    StatusCode::UNAUTHORIZED => Error::Unauthorized { reason },
                    // A proxy whose hub is away says so.
                    StatusCode::BAD_GATEWAY
                    | StatusCode::SERVICE_UNAVAILABLE
                    | StatusCode::GATEWAY_TIMEOUT => Error::NoAnswer { url, reason },
                    _ => Error::BadUrl { url, reason },
                }
            }
        }
    }
}

/// What a hub's refusal says.
pub(crate) fn refusal_in(body: &[u8]) -> Option<Error> {
    let Refused { error: Why { code, message } } = serde_json::from_slice(body).ok()?;
    Some(Error::refused(code, message))
}

fn place(key: &str) -> String {
    format!("/store/{}", encoded(key))
}

fn expectation(condition: Condition) -> Option<(&'static str, String)> {
    match condition {
        Condition::None => None,
        Condition::Absent => Some(("expect", "absent".to_string())),
        Condition::Version(version) => Some(("expect", version.to_string())),
    }
}

fn query(parts: impl Iterator<Item = (&'static str, String)>) -> String {
    let mut text = String::new();
    for (name, value) in parts {
        text.push(if text.is_empty() { '?' } else { '&' });
        text.push_str(name);
        text.push('=');
        text.push_str(&encoded(&value));
    }
    text
}

/// A name as a part of a path or a query.
fn encoded(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b':' => {
                text.push(char::from(byte));
            }
            other => {
                // A string can always be written.
                let _ = write!(text, "%{other:02X}");
            }
        }
    }
    text
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(body)
        .map_err(|error| Error::Data(format!("the store's answer cannot be read: {error}")))
}

#[cfg(test)]
mod tests {
    use tapeline_schema::Retry;

    use super::*;

    fn http(authority: &str, url: &str) -> Http {
        Http::new(authority, url, None, Arc::new(Tokens::new(None, Duration::ZERO)))
    }

    #[test]
    fn the_store_is_beside_the_hubs_websocket() {
        for (authority, url, base) in [
            ("h:1", "ws://h:1/ws", "http://h:1"),
            ("h:1", "ws://h:1/ws/chart-BTC/USD?notices=0", "http://h:1"),
            ("h:1", "ws://h:1/hub/ws", "http://h:1/hub"),
            ("h:1", "ws://h:1/wsx/ws/me", "http://h:1/wsx"),
            ("h:1", "ws://h:1/hub/", "http://h:1/hub"),
        ] {
            assert_eq!(http(authority, url).base, base, "{url}");
        }
    }

    #[test]
    fn who_answers_without_a_code_is_no_hub_unless_it_stands_before_one() {
        let http = http("h:1", "ws://h:1/ws");
        for (status, retry) in [(404, Retry::Never), (500, Retry::Never), (502, Retry::Later)] {
            let error = http.refused(StatusCode::from_u16(status).unwrap(), b"<html>");
            assert_eq!(error.retry(), retry, "{error}");
            assert!(error.to_string().contains(&format!("HTTP {status}")), "{error}");
        }
    }

    #[test]
    fn keys_are_one_part_of_the_path() {
        assert_eq!(place("fx:EUR/USD%"), "/store/fx:EUR%2FUSD%25");
        let parts = [("prefix", "a&b".to_string()), ("limit", "1".to_string())];
        assert_eq!(query(parts.into_iter()), "?prefix=a%26b&limit=1");
    }
}
