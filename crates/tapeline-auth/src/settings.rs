//! What the configuration says about authentication, and whether that can be: who is asked, what tokens must be, where keys
//! come from.

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use tapeline_core::network::Network;

use crate::algorithm::Algorithm;
use crate::api_key::KeySettings;
use crate::claims::Rules;

/// Whether anybody is asked who they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// On where there are keys; else off on loopback, and refused elsewhere.
    #[default]
    Auto,
    /// Everybody is asked.
    On,
    /// Nobody is asked.
    Off,
}

impl Mode {
    /// All, with the word of each.
    pub const ALL: [(Mode, &'static str); 3] = [(Mode::Auto, "auto"), (Mode::On, "on"), (Mode::Off, "off")];

    /// As it is written.
    pub fn word(self) -> &'static str {
        Self::ALL.iter().find(|(mode, _)| *mode == self).map_or("auto", |(_, word)| word)
    }
}

/// `[auth]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Whether anybody is asked.
    pub mode: Mode,
    /// Whether who brings nothing is let in, to read what is public.
    pub anonymous: bool,
    /// How long a connection may take to say who it is.
    pub first_message_timeout: Duration,
    /// Tokens that may be wrong in a minute, for one address; 0 for any number.
    pub failures_per_minute: u32,
    /// Whose wrong tokens are not counted, as the limits of addresses do not concern them.
    pub exempt: Vec<Network>,
    /// Tokens.
    pub jwt: JwtSettings,
    /// API keys.
    pub keys: Vec<KeySettings>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            mode: Mode::Auto,
            anonymous: false,
            first_message_timeout: Duration::from_secs(10),
            failures_per_minute: 10,
            exempt: Vec::new(),
            jwt: JwtSettings::default(),
            keys: Vec::new(),
        }
    }
}

/// `[auth.jwt]`
#[derive(Clone, PartialEq, Eq)]
pub struct JwtSettings {
    /// Those that are taken.
    pub algorithms: Vec<Algorithm>,
    /// A secret; empty for none.
    pub secret: String,
    /// A file that holds one; empty for none, as the next two.
    pub secret_file: String,
    /// A PEM file of public keys.
    pub public_key_file: String,
    /// A set of public keys.
    pub jwks_file: String,
    /// Where such a set is fetched; empty for nowhere.
    pub jwks_url: String,
    /// What tokens must say.
    pub rules: Rules,
}

impl Default for JwtSettings {
    fn default() -> Self {
        JwtSettings {
            algorithms: Algorithm::USUAL.to_vec(),
            secret: String::new(),
            secret_file: String::new(),
            public_key_file: String::new(),
            jwks_file: String::new(),
            jwks_url: String::new(),
            rules: Rules::default(),
        }
    }
}

/// Without the secret.
impl fmt::Debug for JwtSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secret = if self.secret.is_empty() { "none" } else { "given" };
        f.debug_struct("JwtSettings")
            .field("algorithms", &self.algorithms)
            .field("secret", &secret)
            .field("secret_file", &self.secret_file)
            .field("public_key_file", &self.public_key_file)
            .field("jwks_file", &self.jwks_file)
            .field("jwks_url", &self.jwks_url)
            .field("rules", &self.rules)
            .finish()
    }
}

impl JwtSettings {
    /// The files that keys come from.
    pub(crate) fn files(&self) -> impl Iterator<Item = &Path> {
        let all = [&self.secret_file, &self.public_key_file, &self.jwks_file];
        all.into_iter().filter(|path| !path.is_empty()).map(Path::new)
    }

    /// Whether tokens can be believed at all.
    pub fn is_configured(&self) -> bool {
        !self.secret.is_empty() || !self.jwks_url.is_empty() || self.files().next().is_some()
    }
}

impl Settings {
    /// Whether anybody could show who they are.
    pub fn is_configured(&self) -> bool {
        self.jwt.is_configured() || !self.keys.is_empty()
    }

    /// Whether everybody is asked, for a hub that listens there.
    ///
    /// # Errors
    /// It would be open to others without that having been said, or closed to everybody.
    pub fn is_on(&self, listens: &[SocketAddr]) -> Result<bool, String> {
        match self.mode {
            Mode::Off => Ok(false),
            Mode::On if !self.is_configured() && !self.anonymous => {
                Err("auth.mode is on, but nobody could be let in: \
                 there is no [[auth.key]], nothing in auth.jwt, and auth.anonymous is false"
                    .to_string())
            }
            Mode::On => Ok(true),
            Mode::Auto if self.is_configured() => Ok(true),
            Mode::Auto => match listens.iter().find(|address| !address.ip().to_canonical().is_loopback()) {
                None => Ok(false),
                Some(address) => Err(format!(
                    "{address} is reachable from elsewhere and nothing says who may do what; add an [[auth.key]] \
                     (tapeline token key) or [auth.jwt], or open the hub to everybody with auth = \"off\""
                )),
            },
        }
    }
}

/// Whether keys may be fetched from there: by https, or by http from this machine alone.
///
/// # Errors
/// The rest of a sentence that names the address.
pub fn check_url(url: &str) -> Result<(), String> {
    let told = || format!("{url:?} is no https:// address; http:// is for this machine alone");
    let uri: ureq::http::Uri = url.parse().map_err(|_| told())?;
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    let is_here = host == "localhost" || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
    let has_login = uri.authority().is_some_and(|authority| authority.as_str().contains('@'));
    match uri.scheme_str() {
        _ if host.is_empty() => Err(told()),
        _ if has_login => Err("an address of keys holds no password".to_string()),
        Some("https") => Ok(()),
        Some("http") if is_here => Ok(()),
        _ => Err(told()),
    }
}

#[cfg(test)]
#[path = "settings_tests.rs"]
mod tests;
