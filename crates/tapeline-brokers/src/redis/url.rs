//! Where a Redis is and how to be let in, from a URL: `redis://user:password@host:6379/0`, `rediss://` for TLS.
//! Nothing of it is shown but host and port: the rest may be secret.

use std::fmt;
use std::path::PathBuf;

/// See the module.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    /// Name or address; IPv6 without brackets.
    pub host: String,
    /// 6379 unless said.
    pub port: u16,
    /// Whether the line is encrypted.
    pub tls: bool,
    /// Who we are, where Redis has users.
    pub user: Option<String>,
    /// What lets us in.
    pub password: Option<String>,
    /// The database.
    pub db: u32,
    /// A file of certificates that are trusted instead of the system's.
    pub ca: Option<PathBuf>,
}

/// What is wrong with a URL; never the URL itself.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Neither `redis://` nor `rediss://`.
    #[error("a Redis URL starts with redis:// or rediss://")]
    Scheme,
    /// Nothing where the host is due.
    #[error("the Redis URL names no host: redis://HOST:6379")]
    Host,
    /// No number from 1 to 65535.
    #[error("the port in the Redis URL is no number from 1 to 65535")]
    Port,
    /// No number.
    #[error("the path in the Redis URL is the number of a database, such as /0")]
    Database,
    /// `%` without two hexadecimal digits, or no UTF-8.
    #[error("user or password in the Redis URL: after % come two hexadecimal digits, as in %40 for @")]
    Escape,
    /// Not one of ours.
    #[error("option `{0}` in the Redis URL is not known; known: ca=FILE (with rediss://)")]
    Option(String),
}

impl Address {
    /// Takes a URL apart.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn parse(url: &str) -> Result<Self, UrlError> {
        let (scheme, rest) = url.split_once("://").ok_or(UrlError::Scheme)?;
        let tls = match scheme {
            "redis" => false,
            "rediss" => true,
            _ => return Err(UrlError::Scheme),
        };
        let (rest, options) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (secret, place) = match authority.rsplit_once('@') {
            Some((secret, place)) => (Some(secret), place),
            None => (None, authority),
        };
        let (user, password) = match secret.map(|secret| secret.split_once(':').unwrap_or((secret, ""))) {
            Some((user, password)) => (said(user)?, said(password)?),
            None => (None, None),
        };
        let (host, port) = place_of(place)?;
        let db = if path.is_empty() { 0 } else { path.parse().map_err(|_| UrlError::Database)? };
        let mut address = Address { host, port, tls, user, password, db, ca: None };
        for option in options.split('&').filter(|option| !option.is_empty()) {
            match option.split_once('=') {
                Some(("ca", file)) if tls => address.ca = Some(unescape(file)?.into()),
                other => return Err(UrlError::Option(other.map_or(option, |(name, _)| name).to_owned())),
            }
        }
        Ok(address)
    }
}

fn said(part: &str) -> Result<Option<String>, UrlError> {
    if part.is_empty() { Ok(None) } else { unescape(part).map(Some) }
}

fn place_of(place: &str) -> Result<(String, u16), UrlError> {
    let (host, port) = match place.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => (host, None),
        Some((host, port)) => (host, Some(port.strip_prefix(':').ok_or(UrlError::Port)?)),
        None => place.split_once(':').map_or((place, None), |(host, port)| (host, Some(port))),
    };
    if host.is_empty() {
        return Err(UrlError::Host);
    }
    let port = port.map_or(Ok(6_379), str::parse).ok().filter(|port| *port > 0).ok_or(UrlError::Port)?;
    Ok((host.to_owned(), port))
}

fn unescape(text: &str) -> Result<String, UrlError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((plain, after)) = rest.split_once('%') {
        bytes.extend_from_slice(plain.as_bytes());
        let digits = after.get(..2).ok_or(UrlError::Escape)?;
        bytes.push(u8::from_str_radix(digits, 16).map_err(|_| UrlError::Escape)?);
        rest = after.get(2..).unwrap_or_default();
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8(bytes).map_err(|_| UrlError::Escape)
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "rediss" } else { "redis" };
        match self.host.contains(':') {
            true => write!(f, "{scheme}://[{}]:{}", self.host, self.port),
            false => write!(f, "{scheme}://{}:{}", self.host, self.port),
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_host_port_user_password_and_database() {
        let plain = Address::parse("redis://localhost").unwrap();
        assert_eq!((plain.host.as_str(), plain.port, plain.tls, plain.db), ("localhost", 6_379, false, 0));
        let full = Address::parse("rediss://hub:p%40ss%3A@[::1]:7000/3?ca=/etc/ca.pem").unwrap();
        assert_eq!((full.host.as_str(), full.port, full.tls, full.db), ("::1", 7_000, true, 3));
        assert_eq!((full.user.as_deref(), full.password.as_deref()), (Some("hub"), Some("p@ss:")));
        assert_eq!(full.ca, Some("/etc/ca.pem".into()));
        let password = Address::parse("redis://:secret@h/").unwrap();
        assert_eq!((password.user, password.password.as_deref()), (None, Some("secret")));
    }

    #[test]
    fn what_is_wrong_with_a_url_is_named_and_what_is_shown_holds_no_password() {
        for (url, error) in [
            ("memory://", UrlError::Scheme),
            ("redis://", UrlError::Host),
            ("redis://h:0", UrlError::Port),
            ("redis://h:x", UrlError::Port),
            ("redis://h/x", UrlError::Database),
            ("redis://:%4@h", UrlError::Escape),
            ("redis://h?timeout=3", UrlError::Option("timeout".into())),
            ("redis://h?ca=x", UrlError::Option("ca".into())),
        ] {
            assert_eq!(Address::parse(url), Err(error), "{url}");
        }
        let shown = format!("{:?}", Address::parse("redis://u:secret@h/1").unwrap());
        assert_eq!(shown, "redis://h:6379");
    }
}
