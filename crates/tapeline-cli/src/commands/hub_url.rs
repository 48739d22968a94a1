//! Where a hub is, and with which token it is asked. `http` and `ws` mean the same hub, and so do `https` and `wss`, so
//! that one address serves every command.

use std::fmt;
use std::net::{IpAddr, ToSocketAddrs};
use std::str::FromStr;

use super::access::Access;

/// Where a hub is that was started without more words.
pub(crate) const USUAL: &str = "http://127.0.0.1:8000";

/// A hub's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HubUrl {
    /// Whether it is `https` and `wss`.
    tls: bool,
    /// `host:port`, the port always given.
    authority: String,
    /// Empty, or what follows from the `/` on.
    path: String,
    access: Access,
}

impl HubUrl {
    /// The same, asked with this token.
    pub(crate) fn with(mut self, access: &Access) -> Self {
        self.access = access.clone();
        self
    }

    /// With which token it is asked.
    pub(crate) fn access(&self) -> &Access {
        &self.access
    }

    fn scheme(&self) -> &'static str {
        if self.tls { "https" } else { "http" }
    }

    /// Whether TLS is spoken.
    pub(crate) fn is_tls(&self) -> bool {
        self.tls
    }

    /// For a connection.
    pub(crate) fn authority(&self) -> &str {
        &self.authority
    }

    /// Whether it is this machine, by an address that no other can reach.
    pub(crate) fn is_loopback(&self) -> bool {
        let host = self.authority.rsplit_once(':').map_or(self.authority.as_str(), |(host, _)| host);
        let host = host.trim_matches(['[', ']']);
        host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }

    /// For a request; `path` starts with `/`. The WebSocket's own path is not part of it.
    pub(crate) fn http(&self, path: &str) -> String {
        let base = match self.path.find("/ws") {
            Some(at) if matches!(self.path.as_bytes().get(at + 3), None | Some(b'/' | b'?')) => {
                self.path.get(..at)
            }
            _ => Some(self.path.as_str()),
        };
        format!(
            "{}://{}{}{path}",
            self.scheme(),
            self.authority,
            base.unwrap_or_default().trim_end_matches('/')
        )
    }

    /// For a WebSocket; without a path it is the hub's usual one.
    pub(crate) fn ws(&self) -> String {
        let path = if self.path.trim_end_matches('/').is_empty() { "/ws" } else { &self.path };
        let scheme = if self.tls { "wss" } else { "ws" };
        format!("{scheme}://{}{path}", self.authority)
    }

    /// What to say when nobody is there, and what to do about it. A name that leads nowhere is told apart only here: to
    /// those who connect it is an error like others.
    pub(crate) fn nobody(&self) -> (String, &'static str) {
        match self.authority.to_socket_addrs() {
            Ok(_) => (format!("no hub answers at {self}"), "start one with tapeline serve"),
            Err(_) => (format!("{self}: there is no such host"), "check how its name is spelled"),
        }
    }

    /// Both in one sentence.
    pub(crate) fn no_answer(&self) -> anyhow::Error {
        let (what, remedy) = self.nobody();
        anyhow::anyhow!("{what}; {remedy}")
    }

    /// Of an address that may stand as a word or after `--url`: the one that is given.
    ///
    /// # Errors
    /// It is given twice.
    pub(crate) fn given(word: Option<HubUrl>, option: Option<HubUrl>) -> anyhow::Result<HubUrl> {
        match (word, option) {
            (Some(word), Some(_)) => {
                anyhow::bail!("the hub's address is given twice: as {word} and with --url")
            }
            (Some(url), None) | (None, Some(url)) => Ok(url),
            (None, None) => USUAL.parse().map_err(anyhow::Error::msg),
        }
    }

    /// Whether this can only be meant as an address: `scheme://…`, or a port of an IP address or of `localhost`.
    pub(crate) fn is_meant_by(text: &str) -> bool {
        let authority = text.split(['/', '?']).next().unwrap_or_default();
        let Some((host, port)) = authority.rsplit_once(':') else { return false };
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let is_host = host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok();
        text.contains("://") || (is_host && port.parse::<u16>().is_ok())
    }
}

impl fmt::Display for HubUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme(), self.authority)
    }
}

impl FromStr for HubUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (tls, rest) = match text.split_once("://") {
            None => (false, text),
            Some(("http" | "ws", rest)) => (false, rest),
            Some(("https" | "wss", rest)) => (true, rest),
            Some((scheme, _)) => {
                return Err(format!("{scheme}:// is not one of http://, https://, ws://, wss://"));
            }
        };
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        if path.starts_with('#') {
            return Err("a # has no meaning here".to_string());
        }
        let path = if path.starts_with('?') { format!("/ws{path}") } else { path.to_string() };
        let usual = if tls { "443" } else { "80" };
        Ok(HubUrl { tls, authority: with_port(authority, usual)?, path, access: Access::default() })
    }
}

/// The authority with the usual port where it names none.
fn with_port(authority: &str, usual: &str) -> Result<String, String> {
    if authority.contains('@') {
        return Err("user names and passwords are not taken".to_string());
    }
    // The colons inside of [::1] are not the one before a port.
    let after_host = authority.rfind(']').map_or(0, |at| at + 1);
    let tail = authority.get(after_host..).unwrap_or_default();
    let (host_end, port) = match tail.rfind(':') {
        Some(at) => (after_host + at, tail.get(at + 1..).unwrap_or_default()),
        None => (authority.len(), usual),
    };
    let host = authority.get(..host_end).unwrap_or_default();
    if host.is_empty() || host.contains(char::is_whitespace) {
        return Err("the host is missing, such as in http://127.0.0.1:8000".to_string());
    }
    match port.parse::<u16>() {
        Ok(port) => Ok(format!("{host}:{port}")),
        Err(_) => Err(format!("{port:?} is not a port")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> HubUrl {
        text.parse().unwrap()
    }

    #[test]
    fn http_and_ws_name_the_same_hub() {
        for text in ["http://h:1", "ws://h:1", "ws://h:1/ws", "http://h:1/", "h:1", "ws://h:1/ws/my/id"] {
            assert_eq!(parsed(text).http("/stats"), "http://h:1/stats", "{text}");
        }
        for text in ["http://h:1", "ws://h:1", "ws://h:1/ws", "http://h:1/"] {
            assert_eq!(parsed(text).ws(), "ws://h:1/ws", "{text}");
            assert_eq!(parsed(text).to_string(), "http://h:1", "{text}");
        }
    }

    #[test]
    fn a_path_before_the_hub_and_a_client_id_stay() {
        assert_eq!(parsed("http://h:1/hub").http("/stats"), "http://h:1/hub/stats");
        assert_eq!(parsed("ws://h:1/hub/ws").http("/stats"), "http://h:1/hub/stats");
        assert_eq!(parsed("ws://h:1/wsx").http("/stats"), "http://h:1/wsx/stats");
        assert_eq!(parsed("ws://h:1/ws/id?notices=0").ws(), "ws://h:1/ws/id?notices=0");
        assert_eq!(parsed("ws://h:1?notices=0").ws(), "ws://h:1/ws?notices=0");
    }

    #[test]
    fn https_and_wss_name_the_same_hub_whose_usual_port_is_443() {
        for text in ["https://h", "wss://h", "wss://h:443/ws", "https://h:443/"] {
            let url = parsed(text);
            assert_eq!(url.http("/stats"), "https://h:443/stats", "{text}");
            assert_eq!(url.ws(), "wss://h:443/ws", "{text}");
            assert_eq!((url.to_string().as_str(), url.is_tls()), ("https://h:443", true), "{text}");
        }
    }

    #[test]
    fn the_port_is_80_where_none_is_given() {
        assert_eq!(parsed("http://h").authority(), "h:80");
        assert_eq!(parsed("http://[::1]:9").authority(), "[::1]:9");
        assert_eq!(parsed("http://[::1]").authority(), "[::1]:80");
    }

    #[test]
    fn an_address_is_told_from_a_channel() {
        for text in ["http://h", "ftp://h", "127.0.0.1:8000", "localhost:1/ws", "[::1]:8000", "LOCALHOST:80"]
        {
            assert!(HubUrl::is_meant_by(text), "{text}");
        }
        for text in
            ["market_data:AAPL", "localhost", "localhost:x", "news", "127.0.0.1", "h:80", "a/b:1", ":80"]
        {
            assert!(!HubUrl::is_meant_by(text), "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused_with_the_reason() {
        let cases = [
            ("ftp://h", "ftp:// is not one of"),
            ("http://", "the host is missing"),
            ("http://:80", "the host is missing"),
            ("http://h:port", "\"port\" is not a port"),
            ("http://h:99999", "is not a port"),
            ("http://me:secret@h", "user names"),
        ];
        for (text, expected) in cases {
            let told = text.parse::<HubUrl>().unwrap_err();
            assert!(told.contains(expected), "{text}: {told}");
        }
    }
}
