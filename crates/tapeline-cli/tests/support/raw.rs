//! Bytes as they are: requests that no library would send and frames that no library would make.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use super::{Hub, PATIENCE};

/// The example key of RFC 6455, section 1.3, and what must answer it.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
/// See [`KEY`].
pub(crate) const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// One TCP connection.
pub(crate) struct Raw {
    stream: TcpStream,
    read: Vec<u8>,
    /// Heartbeats go on coming, so that a time-out of each read would not do.
    deadline: Instant,
}

/// The first line and the headers of an answer.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) status: u16,
    lines: Vec<(String, String)>,
}

impl Head {
    /// The value of a header, whatever its case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.lines.iter().find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// One WebSocket frame of the server.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct RawFrame {
    pub(crate) opcode: u8,
    /// RSV1.
    pub(crate) compressed: bool,
    pub(crate) payload: Vec<u8>,
}

impl RawFrame {
    /// The code of a close frame.
    pub(crate) fn close_code(&self) -> Option<u16> {
        let code = self.payload.first_chunk::<2>().filter(|_| self.opcode == 8)?;
        Some(u16::from_be_bytes(*code))
    }
}

/// A sound upgrade request for this path, with further header lines (each ending in `\r\n`).
pub(crate) fn handshake(hub: &Hub, path: &str, more: &str) -> String {
    handshake_at(hub.address(), path, more)
}

fn handshake_at(address: &str, path: &str, more: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n{more}\r\n",
        address
    )
}

/// A client's frame, masked as it must be.
pub(crate) fn masked(opcode: u8, payload: impl AsRef<[u8]>) -> Vec<u8> {
    masked_frame(0x80 | opcode, payload.as_ref())
}

/// The same with this first byte: FIN, reserved bits, opcode.
pub(crate) fn masked_frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [7, 77, 177, 250];
    let mut frame = header(first, 0x80, payload.len());
    frame.extend_from_slice(&mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// A client's frame without a mask, which no client may send.
pub(crate) fn unmasked(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = header(0x80 | opcode, 0, payload.len());
    frame.extend_from_slice(payload);
    frame
}

fn header(first: u8, mask_bit: u8, len: usize) -> Vec<u8> {
    let mut frame = vec![first];
    match len {
        0..=125 => frame.push(mask_bit | u8::try_from(len).expect("it is short")),
        126..=0xffff => {
            frame.push(mask_bit | 126);
            frame.extend_from_slice(&u16::try_from(len).expect("it fits").to_be_bytes());
        }
        _ => {
            frame.push(mask_bit | 127);
            frame.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    frame
}

impl Raw {
    /// Connects and sends these bytes.
    pub(crate) fn send_to(hub: &Hub, bytes: impl AsRef<[u8]>) -> Raw {
        Raw::send_at(hub.address(), bytes)
    }

    /// The same at an address.
    pub(crate) fn send_at(address: &str, bytes: impl AsRef<[u8]>) -> Raw {
        let stream = TcpStream::connect(address).expect("the hub accepts connections");
        stream.set_write_timeout(Some(PATIENCE)).expect("a time-out can be set");
        stream.set_nodelay(true).expect("TCP_NODELAY can be set");
        let mut raw = Raw::of(stream);
        raw.send(bytes);
        raw
    }

    /// A connection that stands.
    pub(crate) fn of(stream: TcpStream) -> Raw {
        Raw { stream, read: Vec::new(), deadline: Instant::now() + PATIENCE }
    }

    /// An upgraded connection.
    pub(crate) fn open(hub: &Hub, path: &str) -> Raw {
        let mut raw = Raw::send_to(hub, handshake(hub, path, ""));
        assert_eq!(raw.head().status, 101, "{path} is upgraded");
        raw
    }

    /// An upgraded connection, or `None` where nobody answers.
    pub(crate) fn try_open(address: &str, path: &str) -> Option<Raw> {
        let stream = TcpStream::connect(address).ok()?;
        stream.set_write_timeout(Some(PATIENCE)).ok()?;
        stream.set_nodelay(true).ok()?;
        let mut raw = Raw::of(stream);
        raw.stream.write_all(handshake_at(address, path, "").as_bytes()).ok()?;
        while !raw.read.windows(4).any(|window| window == b"\r\n\r\n") {
            if !raw.fill() {
                return None;
            }
        }
        (raw.head().status == 101).then_some(raw)
    }

    /// Sends these bytes.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).expect("the hub reads");
    }

    fn fill(&mut self) -> bool {
        let mut buffer = [0; 16 << 10];
        let left = self.deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        self.stream.set_read_timeout(Some(left)).expect("a time-out can be set");
        match self.stream.read(&mut buffer) {
            Ok(0) => false,
            Ok(n) => {
                self.read.extend_from_slice(&buffer[..n]);
                true
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => false,
            Err(error) if error.kind() == ErrorKind::Interrupted => self.fill(),
            Err(error) => panic!("not all came within {PATIENCE:?}: {error}; unread: {:?}", self.unread()),
        }
    }

    fn unread(&self) -> String {
        String::from_utf8_lossy(&self.read).chars().take(500).collect()
    }

    fn take(&mut self, count: usize) -> Vec<u8> {
        while self.read.len() < count {
            assert!(self.fill(), "the connection ended after {} of {count} bytes", self.read.len());
        }
        self.read.drain(..count).collect()
    }

    /// The head of the answer.
    pub(crate) fn head(&mut self) -> Head {
        let end = loop {
            if let Some(at) = self.read.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
            assert!(self.fill(), "the connection ended before its answer: {:?}", self.unread());
        };
        let text = String::from_utf8(self.take(end)).expect("a head is text");
        let mut lines = text.trim_end().split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|code| code.parse().ok());
        let status = status.unwrap_or_else(|| panic!("this is no status line: {text:?}"));
        let pairs = lines.filter_map(|line| line.split_once(':'));
        Head {
            status,
            lines: pairs.map(|(name, value)| (name.to_string(), value.trim().to_string())).collect(),
        }
    }

    /// So many bytes of a body.
    pub(crate) fn body(&mut self, len: usize) -> Vec<u8> {
        self.take(len)
    }

    /// Everything until the connection ends.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        while self.fill() {}
        std::mem::take(&mut self.read)
    }

    /// The server's next frame.
    pub(crate) fn frame(&mut self) -> RawFrame {
        let start = self.take(2);
        assert_eq!(start[1] & 0x80, 0, "a server's frame is not masked");
        let len = match start[1] {
            126 => usize::from(u16::from_be_bytes(self.take(2).try_into().expect("two bytes"))),
            127 => usize::try_from(u64::from_be_bytes(self.take(8).try_into().expect("eight bytes")))
                .expect("it fits"),
            len => usize::from(len),
        };
        RawFrame { opcode: start[0] & 0x0f, compressed: start[0] & 0x40 != 0, payload: self.take(len) }
    }

    /// Whether the server has ended the connection and sent nothing more.
    pub(crate) fn is_at_end(&mut self) -> bool {
        self.read.is_empty() && !self.fill()
    }

    /// The connection, with what was read of it already.
    pub(crate) fn into_parts(self) -> (TcpStream, Vec<u8>) {
        (self.stream, self.read)
    }

    /// Says that nothing more will be sent, and goes on reading.
    pub(crate) fn shut_down_sending(&self) {
        self.stream.shutdown(Shutdown::Write).expect("a connection can be shut down");
    }

    /// Ends the connection with a reset: what has arrived is not read.
    pub(crate) fn reset(self) {
        let mut one = [0];
        let unread = self.stream.peek(&mut one).expect("something arrives");
        assert_eq!(unread, 1, "without unread bytes this would not be a reset");
    }
}
