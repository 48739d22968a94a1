//! Where a hub is: a URL taken apart once. `ws` and `http` mean the same hub, and so do `wss` and `https`, so that one
//! address serves every program; `memory://`, `redis://` and `file:` are hubs inside of this process.
//! It opens nothing.

use crate::error::Error;

/// A URL that [`crate::connect`] takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    /// A hub of this process.
    Private(Place),
    /// A hub elsewhere.
    Hub {
        /// `host:port`
        authority: String,
        /// For the handshake.
        url: String,
    },
}

/// What a hub of this process is told apart by, and where it keeps its messages.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// As it was given; may hold a password.
    pub(crate) url: String,
    /// What a message broker is opened with; may hold a password.
    pub(crate) broker: String,
    /// For people.
    pub(crate) shown: String,
}

impl Place {
    /// In memory, by name; usually the empty one.
    pub(crate) fn memory(name: &str) -> Self {
        let url = format!("memory://{name}");
        Place { broker: "memory://".to_string(), shown: url.clone(), url }
    }

    /// Where a message broker of [`tapeline_brokers`] is.
    fn broker(url: &str) -> Self {
        Place { url: url.to_string(), broker: url.to_string(), shown: without_login(url) }
    }
}

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.shown)
    }
}

/// `redis://***@host` of `redis://user:password@host`.
pub(crate) fn without_login(url: &str) -> String {
    if url.starts_with("file:") {
        return url.to_string();
    }
    let (scheme, rest) = url.find("://").map_or(("", url), |at| url.split_at(at + 3));
    match rest.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}***@{host}"),
        None => url.to_string(),
    }
}

/// The scheme of WebSocket behind TLS.
const TLS: &str = "wss";
const KNOWN: &str = "memory://, ws://, wss://, http://, https://, redis://, rediss://, file:DIR";

impl Address {
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let refuse = |reason: &str| Error::BadUrl { url: without_login(text), reason: reason.to_string() };
        if text.starts_with("file:") {
            return Ok(Address::Private(Place::broker(text)));
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(refuse(&format!("it has no scheme; known: {KNOWN}")));
        };
        match scheme {
            "memory" if rest.contains(['/', '?', '#']) => Err(refuse("memory:// takes a name and no path")),
            "memory" => Ok(Address::Private(Place::memory(rest))),
            "ws" | "http" => hub("ws", rest).map_err(|reason| refuse(&reason)),
            "wss" | "https" => hub(TLS, rest).map_err(|reason| refuse(&reason)),
            "redis" | "rediss" => Ok(Address::Private(Place::broker(text))),
            _ => Err(refuse(&format!("the scheme is not one of {KNOWN}"))),
        }
    }
}

/// From what follows `ws://` or `wss://`; a URL without a path gets `/ws`.
fn hub(scheme: &str, rest: &str) -> Result<Address, String> {
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    if path.contains('#') {
        return Err("a # has no meaning here".to_string());
    }
    let authority = with_port(authority, if scheme == TLS { "443" } else { "80" })?;
    let (path, query) = path.split_at(path.find('?').unwrap_or(path.len()));
    let path = if path.trim_end_matches('/').is_empty() { "/ws" } else { path };
    let url = format!("{scheme}://{authority}{path}{query}");
    Ok(Address::Hub { authority, url })
}

/// The authority with the usual port where it names none.
fn with_port(authority: &str, usual: &str) -> Result<String, String> {
    if authority.contains('@') {
        return Err("user names and passwords are not taken".to_string());
    }
    // The colons inside of [::1] are not the one before a port.
    let host_end = authority.rfind(']').map_or(0, |at| at + 1);
    let (head, tail) = authority.split_at(host_end);
    let (name, port) = tail.split_once(':').unwrap_or((tail, usual));
    if head.len() + name.len() == 0 || authority.contains(char::is_whitespace) {
        return Err("the host is missing, such as in ws://127.0.0.1:8000".to_string());
    }
    port.parse::<u16>().map_err(|_| format!("{port:?} is not a port"))?;
    Ok(format!("{head}{name}:{port}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> String {
        match Address::parse(text).unwrap() {
            Address::Hub { url, .. } => url,
            Address::Private(place) => format!("{place:?} on {}", without_login(&place.broker)),
        }
    }

    #[test]
    fn a_url_without_a_path_gets_ws() {
        for text in ["ws://h:1", "ws://h:1/", "http://h:1", "ws://h:1/ws"] {
            assert_eq!(url(text), "ws://h:1/ws", "{text}");
        }
        assert_eq!(url("ws://h:1?notices=0"), "ws://h:1/ws?notices=0");
    }

    #[test]
    fn a_client_id_and_a_path_before_the_hub_stay() {
        assert_eq!(url("ws://h:1/ws/chart-BTC/USD"), "ws://h:1/ws/chart-BTC/USD");
        assert_eq!(url("http://h:1/hub/ws?notices=0"), "ws://h:1/hub/ws?notices=0");
    }

    #[test]
    fn the_port_is_80_or_443_where_none_is_given() {
        assert_eq!(url("ws://h"), "ws://h:80/ws");
        assert_eq!(url("ws://[::1]:9"), "ws://[::1]:9/ws");
        assert_eq!(url("ws://[::1]"), "ws://[::1]:80/ws");
        assert_eq!(url("wss://h"), "wss://h:443/ws");
        assert_eq!(url("https://h:8443"), "wss://h:8443/ws");
    }

    #[test]
    fn memory_may_have_a_name() {
        assert_eq!(url("memory://"), "memory:// on memory://");
        assert_eq!(url("memory://tests"), "memory://tests on memory://");
    }

    #[test]
    fn a_brokers_url_goes_to_a_hub_of_this_process_and_its_login_is_not_shown() {
        assert_eq!(url("redis://h:1/2"), "redis://h:1/2 on redis://h:1/2");
        assert_eq!(url("rediss://me:s@cret@h"), "rediss://***@h on rediss://***@h");
        assert_eq!(url("file:/var/lib/tapeline"), "file:/var/lib/tapeline on file:/var/lib/tapeline");
        for typo in ["redsi://me:secret@h", "redis:me:secret@h", "me:secret@h"] {
            let told = Address::parse(typo).unwrap_err().to_string();
            assert!(!told.contains("secret") && told.contains("***@h"), "{told}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused_with_the_reason() {
        let cases = [
            ("localhost:8000", "no scheme"),
            ("ftp://h", "not one of memory://"),
            ("ws://", "the host is missing"),
            ("ws://:80", "the host is missing"),
            ("ws://h:port", "\"port\" is not a port"),
            ("ws://h:99999", "is not a port"),
            ("ws://me:secret@h", "user names"),
            ("memory://a/b", "no path"),
        ];
        for (text, expected) in cases {
            let told = Address::parse(text).unwrap_err().to_string();
            assert!(told.contains(expected), "{text}: {told}");
        }
    }
}
