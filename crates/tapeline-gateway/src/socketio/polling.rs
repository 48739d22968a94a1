//! Long polling: GET brings what the session has to say, POST what the client has. One of each at a time. It knows no
//! packet but those that keep the connection.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use tapeline_codec::engineio::{Packet, Piece, Refused, SEPARATOR, pieces, push_binary, push_text};
use tapeline_codec::websocket::encoder::{header_len, payload_of};

use super::refused;
use super::table::{Session, State, Table, Turn};
use crate::app::App;
use crate::bodies;

/// Far longer than a packet takes that was sent before a poll.
const SAID_ALREADY: Duration = Duration::from_millis(25);
/// A poll ends with nothing to say.
const NOOP: &str = "6";
/// What bounds the body of a post.
const LIMIT: &str = "limits.publish_bytes, and 4096 for what is around it";
/// The session ends.
const CLOSE: &str = "1";

pub(super) fn text(body: impl Into<axum::body::Body>) -> Response {
    let headers = [(header::CONTENT_TYPE, "text/plain; charset=UTF-8"), (header::CACHE_CONTROL, "no-store")];
    (StatusCode::OK, headers, body.into()).into_response()
}

/// What a session has written, as the body of a poll.
struct Told {
    body: Vec<u8>,
    /// It said goodbye.
    closed: bool,
    /// There is more than heartbeats in it.
    matters: bool,
}

/// Takes the frames apart that the session writes to all transports alike.
fn told(mut frames: &[u8]) -> Told {
    let mut told = Told { body: Vec::new(), closed: false, matters: false };
    while let Some((frame, rest)) = split(frames) {
        let payload = payload_of(frame);
        match frame.first().map(|first| first & 0x0f) {
            Some(0x1) => {
                told.matters |= !matches!(payload, b"2" | b"6");
                push_text(&mut told.body, payload);
            }
            Some(0x2) => {
                told.matters = true;
                push_binary(&mut told.body, payload);
            }
            Some(0x8) => told.closed = true,
            _ => {}
        }
        frames = rest;
    }
    told
}

/// The first frame; its length stands as RFC 6455 section 5.2 has it.
fn split(frames: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = match frames.get(1)? & 0x7f {
        126 => usize::from(u16::from_be_bytes(frames.get(2..4)?.try_into().ok()?)),
        127 => usize::try_from(u64::from_be_bytes(frames.get(2..10)?.try_into().ok()?)).ok()?,
        short => usize::from(short),
    };
    frames.split_at_checked(header_len(length).checked_add(length)?)
}

/// `GET` of a session.
pub(super) async fn get(table: &Table, session: &Session) -> Response {
    let Some(_turn) = Turn::take(&session.getting) else {
        table.end(session, CLOSE);
        return refused(Refused::Request, "two polls at once");
    };
    let mut state = session.state.subscribe();
    let began = *state.borrow();
    let Some(far) = session.far() else { return gone(table, &session.sid) };
    let waiting = far.try_read();
    if !waiting.is_empty() {
        let told = told(&waiting);
        if !told.matters && (told.closed || session.is_overdue()) {
            table.end(session, CLOSE);
            return refused(Refused::Session, "");
        }
        return answer(table, session, told);
    }
    if far.is_ended() {
        table.end(session, CLOSE);
        return refused(Refused::Session, "");
    }
    let bytes = tokio::select! {
        biased;
        _ = state.wait_for(|state| !matches!(state, State::Polling | State::Trying)) => None,
        bytes = far.read() => Some(bytes),
    };
    let Some(bytes) = bytes else { return sent_home(table, session, began).await };
    match bytes {
        Some(bytes) => answer(table, session, told(&bytes)),
        None => {
            table.end(session, CLOSE);
            text(CLOSE)
        }
    }
}

/// A poll that is no longer to wait, of a session that stood there when it began.
async fn sent_home(table: &Table, session: &Session, began: State) -> Response {
    let mut state = session.state.subscribe();
    let now = *state.borrow();
    let is_upgraded = match now {
        State::Ended(last) => return text(last),
        // Who polls while a WebSocket is tried may have said on it already that it has changed.
        State::Probed if began != State::Polling => {
            let upgraded = state.wait_for(|state| *state == State::Upgraded);
            matches!(tokio::time::timeout(SAID_ALREADY, upgraded).await, Ok(Ok(_)))
        }
        other => other == State::Upgraded && began != State::Polling,
    };
    if is_upgraded { gone(table, &session.sid) } else { text(NOOP) }
}

/// A poll of a session that polls no more.
pub(super) fn gone(table: &Table, sid: &str) -> Response {
    if table.is_crossing(sid) { text(NOOP) } else { refused(Refused::Session, "") }
}

fn answer(table: &Table, session: &Session, told: Told) -> Response {
    let Told { mut body, closed, .. } = told;
    if closed {
        push_text(&mut body, CLOSE.as_bytes());
        table.end(session, CLOSE);
    }
    if body.is_empty() {
        body.extend_from_slice(NOOP.as_bytes());
    }
    text(body)
}

/// The packets of a body up to a close, and whether there is one.
fn until_close(body: &str) -> Result<(&str, bool), String> {
    let mut end = 0;
    for piece in pieces(body) {
        match Piece::parse(piece).map_err(|broken| broken.to_string())? {
            Piece::Text(Packet::Close) => return Ok((body.get(..end).unwrap_or_default(), true)),
            _ => end += piece.len() + 1,
        }
    }
    Ok((body, false))
}

/// `POST` of a session.
pub(super) async fn post(
    app: &App,
    table: &Table,
    session: Arc<Session>,
    request: Request,
    limit: usize,
) -> Response {
    let Some(_turn) = Turn::take(&session.posting) else {
        table.end(&session, CLOSE);
        return refused(Refused::Request, "two posts at once");
    };
    let Some(far) = session.far() else { return refused(Refused::Request, "the session does not poll") };
    let body = match bodies::body(app, request, limit, LIMIT).await {
        Ok(body) => body,
        Err(failure) => return failure.into_response(),
    };
    let read =
        std::str::from_utf8(&body).map_err(|_| "the body is not UTF-8".to_string()).and_then(until_close);
    let (packets, closes) = match read {
        Ok(read) => read,
        Err(fault) => {
            table.end(&session, CLOSE);
            return refused(Refused::Request, &fault);
        }
    };
    if !packets.is_empty() {
        let mut bytes = Vec::with_capacity(packets.len() + 1);
        bytes.extend_from_slice(packets.trim_end_matches(char::from(SEPARATOR)).as_bytes());
        bytes.push(SEPARATOR);
        if far.is_ended() {
            return refused(Refused::Session, "");
        }
        session.on_heard();
        // A session that ends meanwhile has more to say about it, which a poll brings.
        let _ = far.write(bytes).await;
    }
    if closes {
        table.end_by_client(&session, NOOP);
    }
    text("ok")
}

#[cfg(test)]
mod tests {
    use tapeline_codec::websocket::encoder::{binary_frame, close_frame, text_frame};

    use super::*;

    #[test]
    fn frames_of_every_length_become_a_body() {
        for length in [0, 1, 125, 126, 65_535, 65_536] {
            let packet = vec![b'4'; length];
            let frames = [text_frame(&packet), binary_frame(&[1, 2]), text_frame(b"2")].concat();
            let told = told(&frames);
            let expected = [&*packet, b"\x1ebAQI=\x1e2"].concat();
            let expected = if length == 0 { &expected[1..] } else { &expected[..] };
            assert_eq!(told.body, expected, "{length}");
            assert!(!told.closed && told.matters);
        }
        let told = told(&[text_frame(b"2"), close_frame(Some(1001), "")].concat());
        assert!(told.closed && !told.matters);
    }

    #[test]
    fn what_follows_a_close_is_not_heard() {
        assert_eq!(until_close("1"), Ok(("", true)));
        assert_eq!(until_close("4a\u{1e}1\u{1e}4b"), Ok(("4a\u{1e}", true)));
        assert_eq!(until_close("4a\u{1e}3"), Ok(("4a\u{1e}3", false)));
        for broken in ["", "abc", "4a\u{1e}", "b*", "4a\u{1e}x"] {
            assert!(until_close(broken).is_err(), "{broken}");
        }
    }
}
