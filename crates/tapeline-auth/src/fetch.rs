//! Fetching a set of keys: one GET, bounded in time and bytes, without following where it is sent elsewhere.

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use ureq::tls::{Certificate, RootCerts, TlsConfig};

use crate::jwks::SET_BYTES;
use crate::remote::Fetched;

/// A whole fetch.
const PATIENCE: Duration = Duration::from_secs(5);

/// Who fetches: the network, or what a test puts in its place.
pub trait Fetch: Send + Sync {
    /// What stands at an address.
    ///
    /// # Errors
    /// The rest of a sentence that names the address.
    fn fetch(&self, url: &str) -> Result<Fetched, String>;
}

/// Over HTTP.
pub struct Http {
    agent: ureq::Agent,
}

impl Http {
    /// Trusts the authorities that the system trusts.
    pub fn new() -> Self {
        let found = rustls_native_certs::load_native_certs();
        let roots: Vec<Certificate<'static>> =
            found.certs.iter().map(|der| Certificate::from_der(der).to_owned()).collect();
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::new_with_certs(&roots))
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .build();
        let config = ureq::Agent::config_builder()
            .tls_config(tls)
            // Nobody between, whatever the environment says: a proxy would give the keys.
            .proxy(None)
            .timeout_global(Some(PATIENCE))
            // A set lives where the configuration says, and nowhere else.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .user_agent("tapeline")
            .accept("application/json")
            .max_idle_connections(0)
            .build();
        Http { agent: config.new_agent() }
    }
}

impl Default for Http {
    fn default() -> Self {
        Self::new()
    }
}

impl Fetch for Http {
    fn fetch(&self, url: &str) -> Result<Fetched, String> {
        let response = self.agent.get(url).call().map_err(|error| format!("cannot be fetched: {error}"))?;
        let status = response.status();
        if status.is_redirection() {
            return Err(format!("answers {status}, and is not followed elsewhere"));
        }
        if status != 200 {
            return Err(format!("answers {status}"));
        }
        let control = response.headers().get("cache-control").and_then(|value| value.to_str().ok());
        let max_age = control.and_then(max_age);
        let mut body = Vec::new();
        let most = SET_BYTES as u64 + 1;
        let reader = response.into_body().into_reader();
        reader.take(most).read_to_end(&mut body).map_err(|error| format!("breaks off: {error}"))?;
        Ok(Fetched { body, max_age })
    }
}

/// `max-age` of a `Cache-Control`.
fn max_age(control: &str) -> Option<Duration> {
    let seconds = control.split(',').find_map(|part| {
        let (name, value) = part.trim().split_once('=')?;
        name.trim().eq_ignore_ascii_case("max-age").then(|| value.trim().trim_matches('"').parse().ok())?
    });
    seconds.map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn max_age_is_found_among_others() {
        let of = |text| max_age(text).map(|age| age.as_secs());
        assert_eq!(of("public, max-age=300, must-revalidate"), Some(300));
        assert_eq!(of("Max-Age=\"60\""), Some(60));
        assert_eq!(of("s-maxage=9"), None);
        assert_eq!(of("max-age=-1"), None);
        assert_eq!(of("no-store"), None);
    }
}
