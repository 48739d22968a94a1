//! One socket of the floor: the upgrade, frame boundaries in, bytes out. What does not fit into the
//! socket waits here without a bound: the floor defends itself against nobody.

use std::io::{self, Read, Write};

use base64::Engine;
use mio::net::TcpStream;
use sha1::{Digest, Sha1};

use crate::template::key_from;
use crate::{text, wire};

/// `{"action":"` is 11 bytes; the next tells `publish` from `subscribe`.
const ACTION_AT: usize = 11;

/// What a client said.
pub(super) enum Heard<'a> {
    Subscribe(usize),
    Publish { text: &'a [u8], mask: [u8; 4] },
}

pub(super) struct Conn {
    stream: TcpStream,
    upgraded: bool,
    /// The beginning of a request or frame whose rest has not come.
    partial: Vec<u8>,
    pending: Vec<u8>,
    pub(super) channels: Vec<usize>,
}

impl Conn {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self { stream, upgraded: false, partial: Vec::new(), pending: Vec::new(), channels: Vec::new() }
    }

    /// Reads behind what was left over. `None` when the peer is gone, else how far `buf` is filled
    /// and whether more may wait. A read that does not fill the buffer has emptied the socket.
    pub(super) fn fill(&mut self, buf: &mut [u8]) -> Option<(usize, bool)> {
        let held = self.partial.len();
        buf.get_mut(..held)?.copy_from_slice(&self.partial);
        self.partial.clear();
        let rest = buf.get_mut(held..)?;
        match self.stream.read(rest) {
            Ok(0) => None,
            Ok(count) => Some((held + count, count == rest.len())),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Some((held, false)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Some((held, true)),
            Err(_) => None,
        }
    }

    /// Takes bytes apart; false when the connection should go.
    pub(super) fn hear(&mut self, mut bytes: &[u8], mut on: impl FnMut(Heard<'_>)) -> bool {
        if !self.upgraded {
            let Some(end) = text::find(bytes, b"\r\n\r\n") else {
                self.partial.extend_from_slice(bytes);
                return true;
            };
            if !self.upgrade(bytes.get(..end).unwrap_or_default()) {
                return false;
            }
            bytes = bytes.get(end + 4..).unwrap_or_default();
        }
        while let Some(header) = wire::header(bytes) {
            let whole = header.at + header.len;
            let (Some(payload), Some(mask)) = (bytes.get(header.at..whole), header.mask) else { break };
            let action =
                payload.get(ACTION_AT).zip(key_from(mask, ACTION_AT).next()).map(|(byte, key)| byte ^ key);
            match (header.opcode, action) {
                (wire::TEXT, Some(b'p')) => on(Heard::Publish { text: payload, mask }),
                (wire::TEXT, Some(b's')) => self.subscribe(payload, mask, &mut on),
                (wire::CLOSE, _) => return false,
                _ => {}
            }
            bytes = bytes.get(whole..).unwrap_or_default();
        }
        self.partial.extend_from_slice(bytes);
        true
    }

    fn upgrade(&mut self, head: &[u8]) -> bool {
        let head = String::from_utf8_lossy(head);
        let is_key = |name: &str| name.trim().eq_ignore_ascii_case("sec-websocket-key");
        let mut pairs = head.lines().filter_map(|line| line.split_once(':'));
        let Some((_, key)) = pairs.find(|(name, _)| is_key(name)) else { return false };
        let hash = Sha1::new()
            .chain_update(key.trim())
            .chain_update("258EAFA5-E914-47DA-95CA-C5AB0DC85B11")
            .finalize();
        let accept = base64::engine::general_purpose::STANDARD.encode(hash);
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\n\r\n"
        );
        self.upgraded = true;
        self.write(answer.as_bytes());
        true
    }

    fn subscribe(&mut self, payload: &[u8], mask: [u8; 4], on: &mut impl FnMut(Heard<'_>)) {
        let plain: Vec<u8> = payload.iter().zip(key_from(mask, 0)).map(|(byte, key)| byte ^ key).collect();
        let Ok(asked) = serde_json::from_slice::<serde_json::Value>(&plain) else { return };
        let many =
            asked.get("channels").and_then(|list| list.as_array()).map(Vec::as_slice).unwrap_or_default();
        let names = asked.get("channel").into_iter().chain(many).filter_map(|name| name.as_str());
        for name in names {
            let number = name
                .rsplit(':')
                .next()
                .and_then(|digits| digits.parse().ok())
                .filter(|&n: &usize| n < 10_000);
            let channel = number.unwrap_or(0);
            on(Heard::Subscribe(channel));
            self.channels.push(channel);
            let answer = format!(r#"{{"type":"subscription_confirmed","channel":"{name}"}}"#);
            let mut frame = Vec::new();
            wire::put_plain(&mut frame, wire::TEXT, answer.as_bytes());
            self.write(&frame);
        }
    }

    /// Writes, or keeps what the socket does not take. A broken socket is noticed at its next read.
    pub(super) fn write(&mut self, bytes: &[u8]) {
        if !self.pending.is_empty() {
            self.pending.extend_from_slice(bytes);
            return;
        }
        let written = self.stream.write(bytes).unwrap_or(0);
        if let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
            self.pending.extend_from_slice(rest);
        }
    }

    /// Writes what waits; false when the peer is gone.
    pub(super) fn flush(&mut self) -> bool {
        let mut written = 0;
        let alive = loop {
            let rest = self.pending.get(written..).unwrap_or_default();
            if rest.is_empty() {
                break true;
            }
            match self.stream.write(rest) {
                Ok(count) => written += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break true,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break false,
            }
        };
        self.pending.drain(..written);
        alive
    }
}
