//! A connection's line as its shard reads and writes it: a socket, plain or with TLS that the shard drives itself, or a
//! line in memory.
//! It owns what TLS still holds: of what a session is sent at most one record, which counts as unsent. The queue stays
//! the session's outbox. It knows no session and no protocol.

use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::Shutdown;

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use rustls::ServerConnection;
use tapeline_core::Written;

use crate::conduit::Near;

/// What is encrypted before the socket is asked to take it: the most that one record has.
const RECORD_BYTES: usize = 16 << 10;
/// Bytes taken from one socket in a turn, so that records without content do not hold the others up.
const TURN_BYTES: usize = 64 << 10;

/// What came of reading.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// So many bytes, and nothing more for now.
    All(usize),
    /// So many bytes, maybe none, and there may be more at once.
    Some(usize),
    /// The other side is gone, or says nothing more.
    End,
}

/// See the module.
pub(crate) enum Pipe {
    Plain(TcpStream),
    Tls(Box<TlsPipe>),
    /// No socket at all.
    Conduit(Near),
}

/// A socket whose TLS handshake is over.
pub(crate) struct TlsPipe {
    stream: TcpStream,
    tls: ServerConnection,
    /// The last byte of what was written has been encrypted, but was not counted: what it is part of has not left.
    withheld: bool,
    /// Nothing more can be read; what was decrypted before may still wait in TLS.
    broken: bool,
}

impl Pipe {
    pub(crate) fn new(stream: TcpStream, tls: Option<Box<ServerConnection>>) -> Self {
        match tls {
            None => Pipe::Plain(stream),
            Some(tls) => Pipe::Tls(Box::new(TlsPipe { stream, tls: *tls, withheld: false, broken: false })),
        }
    }

    fn stream(&mut self) -> Option<&mut TcpStream> {
        match self {
            Pipe::Plain(stream) => Some(stream),
            Pipe::Tls(pipe) => Some(&mut pipe.stream),
            Pipe::Conduit(_) => None,
        }
    }

    /// From now on the thread is told under this token when there is something to read, or room to write.
    pub(crate) fn register(&mut self, registry: &Registry, token: usize) -> io::Result<()> {
        if let Pipe::Conduit(near) = self {
            near.register(token);
        }
        match self.stream() {
            Some(stream) => registry.register(stream, Token(token), Interest::READABLE | Interest::WRITABLE),
            None => Ok(()),
        }
    }

    /// Ends both directions.
    pub(crate) fn shut(&mut self, registry: &Registry) {
        if let Some(stream) = self.stream() {
            let _ = registry.deregister(stream);
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Whether there may be something to read of which nobody will be told.
    pub(crate) fn is_ahead(&self) -> bool {
        match self {
            Pipe::Plain(_) => false,
            Pipe::Tls(_) => true,
            Pipe::Conduit(near) => near.is_readable(),
        }
    }

    /// Reads without waiting.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Heard {
        match self {
            Pipe::Plain(stream) => match stream.read(buffer) {
                Ok(0) => Heard::End,
                Ok(n) if n == buffer.len() => Heard::Some(n),
                Ok(n) => Heard::All(n),
                Err(error) if error.kind() == ErrorKind::WouldBlock => Heard::All(0),
                Err(error) if error.kind() == ErrorKind::Interrupted => Heard::Some(0),
                Err(_) => Heard::End,
            },
            Pipe::Tls(pipe) => pipe.read(buffer),
            Pipe::Conduit(near) => near.read(buffer),
        }
    }

    /// Writes without waiting. What is not taken is offered again, begun frames from where they were left.
    pub(crate) fn write(&mut self, slices: &[IoSlice<'_>]) -> Written {
        match self {
            Pipe::Plain(stream) => write_plain(stream, slices),
            Pipe::Tls(pipe) => pipe.write(slices),
            Pipe::Conduit(near) => near.write(slices),
        }
    }

    /// The socket may take bytes again: those that TLS itself has to say leave although nobody else has.
    pub(crate) fn on_writable(&mut self) {
        if let Pipe::Tls(pipe) = self {
            // Whether the socket is gone is found out by whoever reads or writes next.
            let _ = pipe.flush();
        }
    }

    /// Says that nothing more is written.
    pub(crate) fn close_write(&mut self) -> io::Result<()> {
        if let Pipe::Tls(pipe) = self {
            pipe.tls.send_close_notify();
            // A full socket takes no more; then the end of the connection says it.
            pipe.flush()?;
        }
        if let Pipe::Conduit(near) = self {
            near.end();
        }
        self.stream().map_or(Ok(()), |stream| stream.shutdown(Shutdown::Write))
    }
}

fn write_plain(stream: &mut TcpStream, slices: &[IoSlice<'_>]) -> Written {
    loop {
        let outcome = match slices {
            [only] => stream.write(only),
            several => stream.write_vectored(several),
        };
        match outcome {
            Ok(n) => return Written::Bytes(n),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Written::Blocked,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return Written::Closed,
        }
    }
}

/// The other side says nothing more; what came before it is handed out first.
fn heard_last(filled: usize) -> Heard {
    if filled > 0 { Heard::Some(filled) } else { Heard::End }
}

impl TlsPipe {
    fn read(&mut self, buffer: &mut [u8]) -> Heard {
        let (mut filled, mut taken) = (0, 0);
        while let Some(room) = buffer.get_mut(filled..).filter(|room| !room.is_empty()) {
            match self.tls.reader().read(room) {
                Ok(0) => return heard_last(filled),
                Ok(n) => {
                    filled += n;
                    continue;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => return heard_last(filled),
            }
            if self.broken {
                return heard_last(filled);
            }
            if taken >= TURN_BYTES {
                break;
            }
            match self.tls.read_tls(&mut self.stream) {
                Ok(n) => taken += n,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Heard::All(filled),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => {
                    self.broken = true;
                    continue;
                }
            }
            let judged = self.tls.process_new_packets();
            // An answer of TLS itself, or the alert that says what was wrong.
            self.broken = self.flush().is_err() || judged.is_err();
        }
        Heard::Some(filled)
    }

    /// One record after another, so that what is encrypted and cannot leave is never more than that.
    fn write(&mut self, slices: &[IoSlice<'_>]) -> Written {
        match self.flush() {
            Ok(true) => {}
            Ok(false) => return Written::Blocked,
            Err(_) => return Written::Closed,
        }
        let total: usize = slices.iter().map(|slice| slice.len()).sum();
        let mut taken = usize::from(std::mem::take(&mut self.withheld)).min(total);
        while taken < total {
            match self.encrypt(slices, taken) {
                Some(n) => taken += n,
                None => return Written::Closed,
            }
            match self.flush() {
                Ok(true) => {}
                // Of all that was offered one byte is left, so that it is offered again when the rest has left.
                Ok(false) if taken == total => {
                    self.withheld = true;
                    return Written::Bytes(total - 1);
                }
                Ok(false) => break,
                Err(_) => return Written::Closed,
            }
        }
        Written::Bytes(taken)
    }

    /// Encrypts what follows the first `from` bytes, up to a record.
    fn encrypt(&mut self, slices: &[IoSlice<'_>], from: usize) -> Option<usize> {
        if let [only] = slices {
            let rest = only.get(from..).unwrap_or_default();
            let part = rest.get(..RECORD_BYTES).unwrap_or(rest);
            return self.tls.writer().write(part).ok().filter(|n| *n > 0);
        }
        let mut passed = from;
        let (mut record, mut gathered) = (Vec::with_capacity(slices.len()), 0);
        for slice in slices {
            let rest = slice.get(passed..).unwrap_or_default();
            passed = passed.saturating_sub(slice.len());
            let part = rest.get(..RECORD_BYTES - gathered).unwrap_or(rest);
            if !part.is_empty() {
                gathered += part.len();
                record.push(IoSlice::new(part));
            }
        }
        self.tls.writer().write_vectored(&record).ok().filter(|n| *n > 0)
    }

    /// Writes what is encrypted; whether all of it has left.
    fn flush(&mut self) -> io::Result<bool> {
        while self.tls.wants_write() {
            match self.tls.write_tls(&mut self.stream) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
}

#[cfg(test)]
#[path = "pipe_tests.rs"]
mod tests;
