//! Just enough of Redis' protocol: ask, read one reply, hear what is published. Not for speed.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use crate::PATIENCE;

/// One reply of Redis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// A word such as `OK`.
    Simple(String),
    /// What it refuses, and why.
    Error(String),
    /// A number.
    Int(i64),
    /// Bytes, or nothing.
    Bulk(Option<Vec<u8>>),
    /// Several, or nothing.
    Array(Option<Vec<Reply>>),
}

impl Reply {
    /// As text; of several, one a line.
    pub fn text(&self) -> String {
        match self {
            Reply::Simple(text) | Reply::Error(text) => text.clone(),
            Reply::Int(number) => number.to_string(),
            Reply::Bulk(bytes) => String::from_utf8_lossy(bytes.as_deref().unwrap_or_default()).into_owned(),
            Reply::Array(replies) => {
                let texts = replies.iter().flatten().map(Reply::text);
                texts.collect::<Vec<_>>().join("\n")
            }
        }
    }

    /// Whether it refuses.
    pub fn is_error(&self) -> bool {
        matches!(self, Reply::Error(_))
    }
}

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// One connection to Redis.
pub struct Connection {
    reader: BufReader<Box<dyn Read + Send>>,
    stream: Stream,
}

impl Connection {
    /// To this port of the loopback.
    ///
    /// # Errors
    /// Nobody is there.
    pub fn to_port(port: u16) -> io::Result<Connection> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Connection { reader: BufReader::new(Box::new(stream.try_clone()?)), stream: Stream::Tcp(stream) })
    }

    /// To this socket file.
    pub(crate) fn to_file(path: &std::path::Path) -> io::Result<Connection> {
        let stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Connection { reader: BufReader::new(Box::new(stream.try_clone()?)), stream: Stream::Unix(stream) })
    }

    /// Sends one command without waiting for its reply.
    ///
    /// # Errors
    /// The connection has ended.
    pub fn send<T: AsRef<[u8]>>(&mut self, words: &[T]) -> io::Result<()> {
        let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
        for word in words.iter().map(AsRef::as_ref) {
            bytes.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
            bytes.extend_from_slice(word);
            bytes.extend_from_slice(b"\r\n");
        }
        match &mut self.stream {
            Stream::Tcp(stream) => stream.write_all(&bytes),
            Stream::Unix(stream) => stream.write_all(&bytes),
        }
    }

    /// The next reply.
    ///
    /// # Errors
    /// The connection has ended, or nothing came.
    pub fn read(&mut self) -> io::Result<Reply> {
        let line = self.line()?;
        let (kind, rest) = line.split_at_checked(1).ok_or_else(|| odd(&line))?;
        let len = || rest.parse::<i64>().map_err(|_| odd(&line));
        Ok(match kind {
            "+" => Reply::Simple(rest.to_owned()),
            "-" => Reply::Error(rest.to_owned()),
            ":" => Reply::Int(len()?),
            "$" => match usize::try_from(len()?) {
                Ok(len) => Reply::Bulk(Some(self.bytes(len)?)),
                Err(_) => Reply::Bulk(None),
            },
            "*" => match usize::try_from(len()?) {
                Ok(len) => Reply::Array(Some((0..len).map(|_| self.read()).collect::<io::Result<_>>()?)),
                Err(_) => Reply::Array(None),
            },
            _ => return Err(odd(&line)),
        })
    }

    /// Sends one command and reads its reply.
    ///
    /// # Errors
    /// The connection has ended, or nothing came.
    pub fn ask<T: AsRef<[u8]>>(&mut self, words: &[T]) -> io::Result<Reply> {
        self.send(words)?;
        self.read()
    }

    /// Hears this channel from now on.
    ///
    /// # Errors
    /// The connection has ended, or nothing came.
    pub fn subscribe(mut self, channel: &str) -> io::Result<Listener> {
        self.ask(&["SUBSCRIBE", channel])?;
        Ok(Listener { connection: self })
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.reader.read_line(&mut line)? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end().to_owned())
    }

    fn bytes(&mut self, len: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; len + 2];
        self.reader.read_exact(&mut bytes)?;
        bytes.truncate(len);
        Ok(bytes)
    }

    fn set_patience(&self, time: Duration) -> io::Result<()> {
        match &self.stream {
            Stream::Tcp(stream) => stream.set_read_timeout(Some(time)),
            Stream::Unix(stream) => stream.set_read_timeout(Some(time)),
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let _ = match &self.stream {
            Stream::Tcp(stream) => stream.shutdown(Shutdown::Both),
            Stream::Unix(stream) => stream.shutdown(Shutdown::Both),
        };
    }
}

fn odd(line: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, format!("this is no reply of Redis: {line:?}"))
}

/// A plain subscriber of one channel.
pub struct Listener {
    connection: Connection,
}

impl Listener {
    /// What is published next, or `None` if nothing comes for so long.
    pub fn hear_within(&mut self, time: Duration) -> Option<String> {
        self.connection.set_patience(time).expect("a time-out can be set");
        match self.connection.read() {
            Ok(Reply::Array(Some(parts))) => parts.last().map(Reply::text),
            Ok(other) => panic!("a subscriber hears no {other:?}"),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => None,
            Err(error) => panic!("the subscriber's connection ended: {error}"),
        }
    }

    /// What is published next. Fails if nothing comes.
    pub fn hear(&mut self) -> String {
        self.hear_within(PATIENCE).unwrap_or_else(|| panic!("nothing was published within {PATIENCE:?}"))
    }
}
