//! Keep-alive HTTP connections without pipelining: each sends ready-made requests, the next when the
//! answer to the last is there. The answers are only measured, and checked for their status.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use crate::text;

/// How often the subscriber is listened to between answers.
const LISTEN: Duration = Duration::from_millis(1);
const STALL: Duration = Duration::from_secs(10);

struct Conn {
    stream: TcpStream,
    /// Which request is on the way, and how much of it is written.
    request: usize,
    written: usize,
    /// The part of the answer that is there.
    answer: Vec<u8>,
}

/// All connections.
pub(super) struct Load {
    poll: Poll,
    events: Events,
    requests: Vec<Vec<u8>>,
    conns: Vec<Conn>,
    next: usize,
    answers: u64,
    buf: Vec<u8>,
}

impl Load {
    /// Connects and sends the first request on each connection.
    pub(super) fn open(addr: SocketAddr, connections: usize, requests: Vec<Vec<u8>>) -> Result<Self> {
        let poll = Poll::new()?;
        let mut conns = Vec::with_capacity(connections);
        for index in 0..connections {
            let stream = std::net::TcpStream::connect(addr)?;
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            let mut stream = TcpStream::from_std(stream);
            poll.registry().register(&mut stream, Token(index), Interest::READABLE | Interest::WRITABLE)?;
            let request = index % requests.len().max(1);
            conns.push(Conn { stream, request, written: 0, answer: Vec::new() });
        }
        let events = Events::with_capacity(1024);
        Ok(Self { poll, events, requests, next: conns.len(), conns, answers: 0, buf: vec![0; 256 << 10] })
    }

    /// Keeps every connection busy for a time; answers how many answers came in how many seconds.
    pub(super) fn drive(
        &mut self,
        time: Duration,
        mut listen: impl FnMut() -> Result<()>,
    ) -> Result<(u64, f64)> {
        let start = Instant::now();
        let before = self.answers;
        let (mut listened, mut progress) = (start, (start, before));
        loop {
            self.poll.poll(&mut self.events, Some(Duration::from_millis(100)))?;
            let events = std::mem::replace(&mut self.events, Events::with_capacity(0));
            for event in &events {
                self.on_event(event.token().0)?;
            }
            self.events = events;
            let now = Instant::now();
            if now - listened >= LISTEN {
                listened = now;
                listen()?;
            }
            if progress.1 != self.answers {
                progress = (now, self.answers);
            } else if now - progress.0 > STALL {
                bail!("no answer for {STALL:?}");
            }
            if now - start >= time {
                return Ok((self.answers - before, (now - start).as_secs_f64()));
            }
        }
    }

    fn on_event(&mut self, index: usize) -> Result<()> {
        let conn = self.conns.get_mut(index).context("an event for nobody")?;
        conn.write(&self.requests)?;
        loop {
            let count = match conn.stream.read(&mut self.buf) {
                Ok(0) => bail!("the server closed a keep-alive connection: {}", text::excerpt(&conn.answer)),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.into()),
            };
            let read = self.buf.get(..count).unwrap_or_default();
            // Most answers come whole; only a split one is copied.
            let whole = if conn.answer.is_empty() && is_whole(read)? {
                true
            } else {
                conn.answer.extend_from_slice(read);
                is_whole(&conn.answer)?
            };
            if whole {
                conn.answer.clear();
                conn.request = self.next % self.requests.len().max(1);
                conn.written = 0;
                self.next += 1;
                self.answers += 1;
                conn.write(&self.requests)?;
            }
            if count < self.buf.len() {
                return Ok(());
            }
        }
    }
}

impl Conn {
    fn write(&mut self, requests: &[Vec<u8>]) -> Result<()> {
        let request = requests.get(self.request).context("no requests")?;
        loop {
            let rest = request.get(self.written..).unwrap_or_default();
            if rest.is_empty() {
                return Ok(());
            }
            match self.stream.write(rest) {
                Ok(count) => self.written += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Whether an answer is complete; anything but a 200 with a length ends the run.
fn is_whole(answer: &[u8]) -> Result<bool> {
    let Some(end) = text::find(answer, b"\r\n\r\n") else { return Ok(false) };
    let (head, body) = answer.split_at_checked(end + 4).unwrap_or_default();
    if !head.starts_with(b"HTTP/1.1 200") {
        bail!("not a 200: {}", text::excerpt(answer));
    }
    // Refused items of a batch carry an error each; the first would stand near the front.
    if text::find(body.get(..256).unwrap_or(body), br#""error""#).is_some() {
        bail!("a publish was refused: {}", text::excerpt(body));
    }
    let length = content_length(head).with_context(|| format!("no length: {}", text::excerpt(answer)))?;
    if body.len() > length {
        bail!("an answer is longer than it says");
    }
    Ok(body.len() == length)
}

fn content_length(head: &[u8]) -> Option<usize> {
    const NAME: &[u8] = b"content-length:";
    let lines = head.split(|&byte| byte == b'\n');
    let named = |line: &&[u8]| line.get(..NAME.len()).is_some_and(|name| name.eq_ignore_ascii_case(NAME));
    let line = lines.into_iter().find(named)?;
    let at = line.iter().position(u8::is_ascii_digit)?;
    usize::try_from(text::digits(line, at)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_whole_when_its_length_is_there() {
        let answer = b"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\n{}";
        assert!(is_whole(answer).unwrap());
        assert!(!is_whole(answer.get(..answer.len() - 1).unwrap()).unwrap());
        assert!(is_whole(b"HTTP/1.1 500 Oh\r\n\r\n").is_err());
    }
}
