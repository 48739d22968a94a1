//! One load client: connecting, then the bytes of its door, whole messages at a time.

use std::io;
use std::net::SocketAddr;

use anyhow::{Result, bail};

use super::door::{Speech, Stage, Turn};
use super::line::Line;
use super::{Hear, Plan, Reading};
use crate::clock::Clock;

pub(super) struct Conn {
    pub(super) line: Line,
    speech: Speech,
    connecting: bool,
    stage: Stage,
    pub(super) reading: Reading,
    /// It has been counted as ready.
    pub(super) counted: bool,
    /// A paced client with bytes to read.
    pub(super) waiting: bool,
    partial: Vec<u8>,
    pub(super) out: Vec<u8>,
}

impl Conn {
    pub(super) fn new(line: Line, plan: &Plan) -> Self {
        Self {
            line,
            speech: Speech::new(plan.door),
            connecting: true,
            stage: Stage::Opening,
            reading: plan.reading,
            counted: false,
            waiting: false,
            partial: Vec::new(),
            out: Vec::new(),
        }
    }

    pub(super) fn is_ready(&self) -> bool {
        self.stage == Stage::Ready
    }

    /// Whether a ready client leaves its bytes where they are. Edges come once: a paced client
    /// remembers that there was one.
    pub(super) fn holds_back(&mut self, budget: usize) -> bool {
        match self.reading {
            Reading::Free => false,
            Reading::Never => self.is_ready(),
            Reading::AtMost(_) if self.is_ready() && budget == usize::MAX => {
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

    pub(super) fn on_writable(&mut self, addr: SocketAddr, plan: &Plan) -> io::Result<()> {
        if self.connecting {
            if let Some(error) = self.line.stream.take_error()? {
                return Err(error);
            }
            if self.line.stream.peer_addr().is_err() {
                return Ok(());
            }
            self.connecting = false;
            let opening = self.speech.opening(&addr.to_string(), plan);
            return self.write(&opening);
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

    /// Takes apart what has come, and says what that asks for; answers how many bytes are done with.
    fn hear(
        &mut self,
        bytes: &[u8],
        client: usize,
        now_ns: u64,
        plan: &Plan,
        hear: &mut impl Hear,
    ) -> Result<usize> {
        let mut turn = Turn { stage: &mut self.stage, plan, say: Vec::new(), client, now_ns, hear };
        let used = self.speech.hear(bytes, &mut turn)?;
        let say = turn.say;
        if !say.is_empty() {
            self.write(&say)?;
        }
        Ok(used)
    }
}
