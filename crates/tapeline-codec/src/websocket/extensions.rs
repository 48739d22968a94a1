//! Which offer of permessage-deflate is accepted, and what answers it (RFC 7692, 7.1; RFC 6455, 9.1).
//!
//! Owns the grammar of `Sec-WebSocket-Extensions` and the choice: no context is ever kept between messages, neither
//! here nor by the client, so that one compressed frame serves everybody and an idle connection costs no window.
//! Refuses to know how bytes are deflated.

use super::handshake::Headers;

const NAME: &str = "permessage-deflate";

/// The window of the frames that are shared by all clients, as a power of two.
const SHARED_WINDOW_BITS: u8 = 15;

/// The offer that was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Agreement {
    server_window_bits: Option<u8>,
}

impl Agreement {
    /// The value of `Sec-WebSocket-Extensions` in the answer.
    pub fn answer(self) -> String {
        let mut answer = format!("{NAME}; server_no_context_takeover; client_no_context_takeover");
        if let Some(bits) = self.server_window_bits {
            answer += &format!("; server_max_window_bits={bits}");
        }
        answer
    }

    /// Whether the client has room for the window of shared compressed frames. One that has not is sent plain ones,
    /// which RFC 7692 always allows (section 6), and may compress what it sends.
    pub fn takes_shared_frames(self) -> bool {
        self.server_window_bits.is_none_or(|bits| bits >= SHARED_WINDOW_BITS)
    }
}

/// Accepts one of the client's offers: the first one that shared frames fit, else the first one with a smaller window.
///
/// An offer with an unknown, repeated or ill-formed parameter is declined, which never fails the connection.
pub fn accept_deflate(headers: &dyn Headers) -> Option<Agreement> {
    let mut smaller = None;
    let mut best = None;
    headers.each("sec-websocket-extensions", &mut |value| {
        for agreement in split(value, ',').filter_map(read_offer) {
            if agreement.takes_shared_frames() {
                best = best.or(Some(agreement));
            } else {
                smaller = smaller.or(Some(agreement));
            }
        }
    });
    best.or(smaller)
}

/// What accepting this offer would mean, or `None` if it is for something else or not sound.
fn read_offer(offer: &str) -> Option<Agreement> {
    let mut parts = split(offer, ';');
    if !parts.next()?.trim().eq_ignore_ascii_case(NAME) {
        return None;
    }
    let mut server_window_bits = None;
    let mut seen = [false; 4];
    for part in parts {
        let (name, value) = match part.split_once('=') {
            Some((name, value)) => (name.trim(), Some(value.trim())),
            None => (part.trim(), None),
        };
        let which = match (name, value) {
            ("server_no_context_takeover", None) => 0,
            ("client_no_context_takeover", None) => 1,
            ("server_max_window_bits", Some(value)) => {
                server_window_bits = Some(window_bits(value)?);
                2
            }
            // Says that its own window could be limited. Inflating needs no memory between messages, so it is not.
            ("client_max_window_bits", None) => 3,
            ("client_max_window_bits", Some(value)) => {
                window_bits(value)?;
                3
            }
            _ => return None,
        };
        let known = seen.get_mut(which)?;
        if std::mem::replace(known, true) {
            return None;
        }
    }
    Some(Agreement { server_window_bits })
}

/// 8 to 15, without leading zeros, bare or in quotes.
fn window_bits(value: &str) -> Option<u8> {
    let bare = value.strip_prefix('"').map_or(Some(value), |rest| rest.strip_suffix('"'))?;
    match bare {
        "8" => Some(8),
        "9" => Some(9),
        "10" => Some(10),
        "11" => Some(11),
        "12" => Some(12),
        "13" => Some(13),
        "14" => Some(14),
        "15" => Some(15),
        _ => None,
    }
}

/// The pieces between separators that do not stand in a quoted string.
fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |c| {
        let is_literal = escaped;
        escaped = quoted && !is_literal && c == '\\';
        if c == '"' && !is_literal {
            quoted = !quoted;
        }
        c == separator && !quoted
    })
}

#[cfg(test)]
#[path = "extensions_tests.rs"]
mod tests;
