//! One load client: connecting, upgrading, subscribing, then frames.

use std::io;
use std::net::SocketAddr;

use anyhow::{Result, bail};

use super::line::Line;
use super::{Hear, Plan, Reading, is_confirmation};
use crate::clock::Clock;
use crate::wire;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Connecting,
    Upgrading,
    Confirming(usize),
    Ready,
}

pub(super) struct Conn {
    pub(super) line: Line,
    pub(super) phase: Phase,
    pub(super) reading: Reading,
    /// It has been counted as ready.
    pub(super) counted: bool,
    /// A paced client with bytes to read.
    pub(super) waiting: bool,
    partial: Vec<u8>,
    pub(super) out: Vec<u8>,
}

impl Conn {
    pub(super) fn new(line: Line, reading: Reading) -> Self {
        Self {
            line,
            phase: Phase::Connecting,
            reading,
            counted: false,
            waiting: false,
            partial: Vec::new(),
            out: Vec::new(),
        }
    }

    /// Whether a ready client leaves its bytes where they are. Edges come once: a paced client
    /// remembers that there was one.
    pub(super) fn holds_back(&mut self, budget: usize) -> bool {
        match self.reading {
            Reading::Free => false,
            Reading::Never => self.phase == Phase::Ready,
            Reading::AtMost(_) if self.phase == Phase::Ready && budget == usize::MAX => {
                self.waiting = true;
                true
            }
            Reading::AtMost(_) => false,
        }
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if !self.out.is_empty() {
            self.out.extend_from_slice(bytes);
            return Ok(());
        }
        let written = match self.line.write(bytes) {
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => 0,
            other => other?,
        };
        self.out.extend_from_slice(bytes.get(written..).unwrap_or_default());
        Ok(())
    }

    pub(super) fn on_writable(&mut self, addr: SocketAddr, deflate: bool) -> io::Result<()> {
        if self.phase == Phase::Connecting {
            if let Some(error) = self.line.stream.take_error()? {
                return Err(error);
            }
            if self.line.stream.peer_addr().is_err() {
                return Ok(());
            }
            self.phase = Phase::Upgrading;
            return self.write(&wire::upgrade_request(&addr.to_string(), deflate));
        }
        self.line.flush()?;
        while !self.out.is_empty() {
            match self.line.write(&self.out) {
                Ok(count) => drop(self.out.drain(..count)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads and hands on whole frames; false when the server ended the connection.
    pub(super) fn read(
        &mut self,
        buf: &mut [u8],
        mut budget: usize,
        client: usize,
        clock: Clock,
        plan: &Plan,
        hear: &mut impl Hear,
    ) -> Result<bool> {
        loop {
            let held = self.partial.len();
            let Some((kept, rest)) = buf.split_at_mut_checked(held).filter(|(_, rest)| !rest.is_empty())
            else {
                bail!("a frame exceeds the bench's buffer of {} bytes", buf.len());
            };
            kept.copy_from_slice(&self.partial);
            let room = rest.len().min(budget);
            let count = match self.line.read(rest.get_mut(..room).unwrap_or_default()) {
                Ok(0) => return Ok(false),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => return Ok(false),
            };
            let filled = buf.get(..held + count).unwrap_or_default();
            let used = self.hear(filled, client, clock.now_ns(), plan, hear)?;
            self.partial.clear();
            self.partial.extend_from_slice(filled.get(used..).unwrap_or_default());
            // A short read has emptied the socket (epoll(7)): no second call only to hear "would block".
            if count < room {
                return Ok(true);
            }
            budget -= count.min(budget);
            if budget == 0 {
                self.waiting = true;
                return Ok(true);
            }
        }
    }

    /// Takes apart what has come; answers how many bytes are done with.
    fn hear(
        &mut self,
        bytes: &[u8],
        client: usize,
        now_ns: u64,
        plan: &Plan,
        hear: &mut impl Hear,
    ) -> Result<usize> {
        let mut used = 0;
        if matches!(self.phase, Phase::Connecting | Phase::Upgrading) {
            let Some(end) = wire::upgrade_answer(bytes)? else { return Ok(0) };
            used = end;
            self.phase = if plan.confirms == 0 { Phase::Ready } else { Phase::Confirming(plan.confirms) };
            self.write(&plan.subscribe)?;
        }
        while let Some((header, payload, whole)) = wire::frame(bytes.get(used..).unwrap_or_default())? {
            used += whole;
            match (header.opcode, self.phase) {
                (wire::TEXT, Phase::Confirming(left)) if is_confirmation(payload)? => {
                    self.phase = if left == 1 { Phase::Ready } else { Phase::Confirming(left - 1) };
                }
                (wire::TEXT, _) => hear.on_text(client, payload, now_ns),
                (wire::PING, _) => {
                    let mut pong = Vec::new();
                    wire::put_masked(&mut pong, wire::PONG, payload);
                    self.write(&pong)?;
                }
                (wire::CLOSE, _) => {
                    let code = payload.first_chunk::<2>().map(|code| u16::from_be_bytes(*code));
                    let reason = payload.get(2..).map(crate::text::excerpt).unwrap_or_default();
                    bail!("the server closed with {code:?} {reason}");
                }
                _ => {}
            }
        }
        Ok(used)
    }
}
