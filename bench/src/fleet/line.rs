//! A load client's socket, plain or behind TLS. It knows no frame.

use std::io::{self, ErrorKind, Read, Write};
use std::sync::Arc;

use anyhow::Result;
use mio::net::TcpStream;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};

/// See the module.
pub(super) struct Line {
    pub(super) stream: TcpStream,
    tls: Option<Box<ClientConnection>>,
}

impl Line {
    pub(super) fn new(stream: TcpStream, tls: Option<&Arc<ClientConfig>>) -> Result<Self> {
        let tls = match tls {
            None => None,
            Some(config) => {
                let mut tls = ClientConnection::new(config.clone(), ServerName::try_from("localhost")?)?;
                // What is said before the handshake is over waits there.
                tls.set_buffer_limit(None);
                Some(Box::new(tls))
            }
        };
        Ok(Line { stream, tls })
    }

    /// Takes what the socket takes; behind TLS all of it, of which [`Line::flush`] sends the rest.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else { return self.stream.write(bytes) };
        let taken = tls.writer().write(bytes)?;
        self.flush()?;
        Ok(taken)
    }

    /// Sends what TLS has to say.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        let Some(tls) = &mut self.tls else { return Ok(()) };
        while tls.wants_write() {
            match tls.write_tls(&mut self.stream) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads; fewer bytes than there is room for mean that there are no more now.
    pub(super) fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else { return self.stream.read(room) };
        let mut filled = 0;
        while let Some(rest) = room.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match tls.reader().read(rest) {
                Ok(0) => break,
                Ok(n) => {
                    filled += n;
                    continue;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
            match tls.read_tls(&mut self.stream) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock && filled > 0 => break,
                Err(error) => return Err(error),
            }
            tls.process_new_packets().map_err(io::Error::other)?;
            // Without its answers a handshake does not end.
            while tls.wants_write() {
                match tls.write_tls(&mut self.stream) {
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    other => other?,
                };
            }
        }
        Ok(filled)
    }
}
