//! The opening handshake: may this HTTP request become a WebSocket, and what answers it (RFC 6455, 4.2).
//!
//! Owns the rules over header values and the key's answer. Pure: headers are looked up through [`Headers`].
//! Refuses to know HTTP libraries, routes, origins and tokens; extensions are negotiated in `extensions`.

use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose::STANDARD},
};
use sha1::{Digest, Sha1};

const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Takes keys whose last character has stray bits: some clients write 22 random characters and `==`.
const KEY_ENGINE: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireCanonical),
);

/// How the rules look at a request's headers.
pub trait Headers {
    /// Shows every value of the header `name` (in lower case), in order; one that is not text is shown as `""`.
    fn each(&self, name: &str, see: &mut dyn FnMut(&str));
}

impl Headers for &[(&str, &str)] {
    fn each(&self, name: &str, see: &mut dyn FnMut(&str)) {
        self.iter().filter(|(own, _)| own.eq_ignore_ascii_case(name)).for_each(|(_, value)| see(value));
    }
}

/// What the rules need of a request.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// As it stood in the request line.
    pub method: &'a str,
    /// Major and minor.
    pub http_version: (u8, u8),
    /// The request's headers.
    pub headers: &'a dyn Headers,
}

/// The request may become a WebSocket: answer 101 with `Upgrade: websocket`, `Connection: Upgrade`, and this.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accept {
    /// The value of `Sec-WebSocket-Accept`.
    pub accept_key: String,
}

/// Why a request does not become a WebSocket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    /// Anything but GET.
    #[error("a websocket is opened with GET")]
    Method,
    /// HTTP/1.0 has no upgrade.
    #[error("a websocket needs HTTP/1.1 or later")]
    HttpVersion,
    /// `Upgrade` does not list `websocket`.
    #[error("header upgrade does not contain websocket")]
    Upgrade,
    /// `Connection` does not list `upgrade`.
    #[error("header connection does not contain upgrade")]
    Connection,
    /// Absent or not 13.
    #[error("header sec-websocket-version is not 13")]
    Version,
    /// Not exactly one.
    #[error("there are {0} headers sec-websocket-key, there must be 1")]
    KeyCount(usize),
    /// Not 16 bytes in base64.
    #[error("header sec-websocket-key is not the base64 of 16 bytes")]
    Key,
}

impl HandshakeError {
    /// The status that refuses the request.
    pub fn status(&self) -> u16 {
        match self {
            Self::Method => 405,
            Self::Version => 426,
            _ => 400,
        }
    }

    /// The name of this error for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Method => "websocket_method",
            Self::HttpVersion => "websocket_http_version",
            Self::Upgrade => "websocket_upgrade",
            Self::Connection => "websocket_connection",
            Self::Version => "websocket_version",
            Self::KeyCount(_) | Self::Key => "websocket_key",
        }
    }

    /// A header that must stand in the refusal (RFC 6455, 4.4; RFC 9110, 15.5.6).
    pub fn header(&self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Version => Some(("Sec-WebSocket-Version", "13")),
            Self::Method => Some(("Allow", "GET")),
            _ => None,
        }
    }
}

/// Checks every rule of the opening handshake.
pub fn check(request: &Request<'_>) -> Result<Accept, HandshakeError> {
    if request.method != "GET" {
        return Err(HandshakeError::Method);
    }
    if request.http_version < (1, 1) {
        return Err(HandshakeError::HttpVersion);
    }
    if !lists(request.headers, "upgrade", "websocket") {
        return Err(HandshakeError::Upgrade);
    }
    if !lists(request.headers, "connection", "upgrade") {
        return Err(HandshakeError::Connection);
    }
    let (mut versions, mut known) = (0, false);
    request.headers.each("sec-websocket-version", &mut |value| {
        versions += 1;
        known = value.trim() == "13";
    });
    if versions != 1 || !known {
        return Err(HandshakeError::Version);
    }
    let (mut keys, mut answer) = (0, Err(HandshakeError::KeyCount(0)));
    request.headers.each("sec-websocket-key", &mut |value| {
        keys += 1;
        answer = if keys == 1 { accept_key(value.trim()) } else { Err(HandshakeError::KeyCount(keys)) };
    });
    answer.map(|accept_key| Accept { accept_key })
}

/// The value of `Sec-WebSocket-Accept` for a `Sec-WebSocket-Key`.
pub fn accept_key(key: &str) -> Result<String, HandshakeError> {
    let mut bytes = [0; 18];
    if KEY_ENGINE.decode_slice(key, &mut bytes) != Ok(16) {
        return Err(HandshakeError::Key);
    }
    let digest = Sha1::new().chain_update(key).chain_update(GUID).finalize();
    Ok(STANDARD.encode(digest))
}

/// The first of the client's `Sec-WebSocket-Protocol` names that `known` has, in the client's order of preference.
///
/// Names are compared as they are: they are case-sensitive tokens.
pub fn select_protocol<'k>(headers: &dyn Headers, known: &[&'k str]) -> Option<&'k str> {
    let mut chosen = None;
    headers.each("sec-websocket-protocol", &mut |value| {
        let mut offers = value.split(',').map(str::trim);
        chosen =
            chosen.or_else(|| offers.find_map(|offer| known.iter().copied().find(|name| *name == offer)));
    });
    chosen
}

fn lists(headers: &dyn Headers, name: &str, token: &str) -> bool {
    let mut found = false;
    headers.each(name, &mut |value| {
        found |= value.split(',').any(|item| item.trim().eq_ignore_ascii_case(token));
    });
    found
}

#[cfg(test)]
#[path = "handshake_tests.rs"]
mod tests;
