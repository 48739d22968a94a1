//! Drives a session over lines of text: from standard input (`-`) or a TCP connection (`tcp://HOST:PORT`), as a process
//! beside a vendor's gateway writes them. A thread reads, another one does what the session says. Nothing is ever sent,
//! and standard input that ends does not come back. It knows no venue.

use std::io::{self, BufRead, BufReader, Read};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::{Line, Live, Shared, Sink};
use crate::venue::{Event, Session, Step};

/// Lines that are read ahead; then whoever writes them has to wait.
const AHEAD: usize = 256;
/// How often it is looked at whether to stop.
const LOOK: Duration = Duration::from_millis(100);
/// For a connection, at most: whoever stops the feed waits for it.
const CONNECT_LIMIT: Duration = Duration::from_secs(3);
/// Standard input, as an address.
const STDIN: &str = "-";

/// What a reader says.
enum Heard {
    Line(String),
    End(String),
}

/// A source that stands.
struct Reading {
    lines: Receiver<Heard>,
    /// To end a reader that waits; nothing ends one of standard input.
    socket: Option<TcpStream>,
}

impl Drop for Reading {
    fn drop(&mut self) {
        if let Some(socket) = &self.socket {
            // It may have ended by itself.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}

impl Live {
    /// As [`Live::start`], for a session whose address is `-` or `tcp://HOST:PORT`. It ends by itself when standard input
    /// does.
    ///
    /// # Errors
    /// The system has no thread left.
    pub fn start_lines(
        name: &str,
        session: Box<dyn Session>,
        sink: Box<dyn Sink>,
        line: Line,
    ) -> io::Result<Self> {
        let (stop, stopped) = watch::channel(false);
        let shared = Arc::new(Shared::default());
        let mut driver = Lines {
            name: name.to_owned(),
            tick: sink.tick(),
            session,
            sink,
            line,
            shared: shared.clone(),
            events: Vec::new(),
            reading: None,
            connect_at: None,
            is_over: false,
        };
        let run = move || driver.run(&stopped);
        let thread = std::thread::Builder::new().name(format!("feed:{name}")).spawn(run)?;
        Ok(Live { stop, shared, thread })
    }
}

struct Lines {
    name: String,
    tick: Option<Duration>,
    session: Box<dyn Session>,
    sink: Box<dyn Sink>,
    line: Line,
    shared: Arc<Shared>,
    events: Vec<Event>,
    reading: Option<Reading>,
    connect_at: Option<(String, Instant)>,
    is_over: bool,
}

impl Lines {
    fn run(&mut self, stopped: &watch::Receiver<bool>) {
        let mut ticked = Instant::now();
        while !*stopped.borrow() && !self.is_over {
            let mut wait = self.obey().min(LOOK);
            if let Some(tick) = self.tick {
                if ticked.elapsed() >= tick {
                    self.sink.on_tick(&*self.session);
                    ticked = Instant::now();
                }
                wait = wait.min(tick);
            }
            self.show();
            self.wait(wait);
        }
        self.show();
        self.shared.is_open.store(false, Ordering::Relaxed);
    }

    /// Does what the session says; how long it then waits.
    fn obey(&mut self) -> Duration {
        loop {
            let now = self.line.clock.now();
            let step = self.session.next(now, &mut self.events);
            self.tell();
            match step {
                Step::Wait { until_us } => {
                    return Duration::from_micros(until_us.saturating_sub(now.mono_us));
                }
                Step::Connect { url, after } => self.connect_at = Some((url, Instant::now() + after)),
                Step::Close { why } => self.on_lost(&why),
                Step::FetchToken { .. } => {
                    self.session.on_token(Err("lines need no token".to_owned()), now);
                }
                Step::Send(_) => tracing::debug!("feed {} has nobody to send to", self.name),
            }
        }
    }

    /// Waits for a line, or until it is time to connect.
    fn wait(&mut self, wait: Duration) {
        if let Some((url, at)) = self.connect_at.take() {
            let left = at.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return self.connect(&url);
            }
            std::thread::sleep(left.min(wait));
            self.connect_at = Some((url, at));
            return;
        }
        let Some(reading) = &self.reading else { return std::thread::sleep(wait) };
        match reading.lines.recv_timeout(wait) {
            Ok(Heard::Line(line)) => self.on_line(&line),
            Ok(Heard::End(why)) => self.on_end(&why),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => self.on_end("the reader ended"),
        }
    }

    fn connect(&mut self, url: &str) {
        match open(url, &self.line) {
            Ok(reading) => {
                let generation = self.shared.generation.fetch_add(1, Ordering::Relaxed) + 1;
                self.shared.is_open.store(true, Ordering::Relaxed);
                tracing::info!(generation, "feed {} is connected", self.name);
                self.reading = Some(reading);
                self.session.on_open(self.line.clock.now());
            }
            Err(error) => self.on_lost(&format!("cannot read from {url}: {error}")),
        }
    }

    fn on_line(&mut self, line: &str) {
        self.shared.frames.fetch_add(1, Ordering::Relaxed);
        self.shared.bytes.fetch_add(line.len() as u64, Ordering::Relaxed);
        self.session.on_text(line, self.line.clock.now(), &mut self.events);
        self.tell();
    }

    fn on_end(&mut self, why: &str) {
        self.is_over = self.reading.as_ref().is_some_and(|reading| reading.socket.is_none());
        self.on_lost(why);
    }

    fn on_lost(&mut self, why: &str) {
        tracing::warn!("feed {} is not connected: {why}", self.name);
        self.shared.is_open.store(false, Ordering::Relaxed);
        self.reading = None;
        self.session.on_closed(why, self.line.clock.now(), &mut self.events);
        self.tell();
    }

    fn tell(&mut self) {
        if !self.events.is_empty() {
            self.sink.handle(&self.events, &*self.session);
            self.events.clear();
        }
    }

    fn show(&self) {
        let mut shown = self.shared.session.lock().unwrap_or_else(PoisonError::into_inner);
        shown.clone_from(self.session.counts());
    }
}

fn open(url: &str, line: &Line) -> io::Result<Reading> {
    let (say, lines) = sync_channel(AHEAD);
    if url == STDIN {
        start_reader(io::stdin(), say, line.frame_bytes)?;
        return Ok(Reading { lines, socket: None });
    }
    let address = url
        .strip_prefix("tcp://")
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "lines come from - or tcp://HOST:PORT"))?;
    let address = address.to_socket_addrs()?.next().ok_or(io::ErrorKind::NotFound)?;
    let socket = TcpStream::connect_timeout(&address, line.connect_timeout.min(CONNECT_LIMIT))?;
    start_reader(socket.try_clone()?, say, line.frame_bytes)?;
    Ok(Reading { lines, socket: Some(socket) })
}

fn start_reader(from: impl Read + Send + 'static, say: SyncSender<Heard>, limit: usize) -> io::Result<()> {
    let read = move || {
        let end = read_lines(BufReader::new(from), limit, |line| say.send(Heard::Line(line)).is_ok());
        // Where nobody listens any more, nobody needs to know.
        let _ = say.send(Heard::End(end));
    };
    std::thread::Builder::new().name("feed:lines".to_owned()).spawn(read).map(drop)
}

/// Hands over each line until the end, or until one is too long or nobody takes them; why it ended.
fn read_lines(mut from: impl BufRead, limit: usize, mut hand_over: impl FnMut(String) -> bool) -> String {
    let bound = limit as u64 + 1;
    let mut line = Vec::new();
    loop {
        line.clear();
        match (&mut from).take(bound).read_until(b'\n', &mut line) {
            Err(error) => return format!("the connection broke: {error}"),
            Ok(0) => return "the input ended".to_owned(),
            Ok(_) if line.len() > limit => return format!("a line is longer than {limit} bytes"),
            Ok(_) if !hand_over(String::from_utf8_lossy(&line).trim_end().to_owned()) => {
                return "nobody takes the lines".to_owned();
            }
            Ok(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::TcpListener;
    use std::sync::mpsc::Sender;

    use super::*;
    use crate::futu::{Futu, FutuSettings};

    /// Says which event came.
    struct Told(Sender<String>);

    impl Sink for Told {
        fn handle(&mut self, events: &[Event], _: &dyn Session) {
            for event in events {
                let word = match event {
                    Event::Connected => "connected".to_owned(),
                    Event::Disconnected { why } => format!("disconnected: {why}"),
                    Event::Book(change) => format!("book {}", change.symbol),
                    Event::BookLost { .. } => "lost".to_owned(),
                    other => format!("{other:?}"),
                };
                self.0.send(word).unwrap();
            }
        }
    }

    #[test]
    fn lines_of_a_socket_reach_the_session_and_a_lost_one_is_connected_again() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("tcp://{}", listener.local_addr().unwrap());
        #[expect(clippy::disallowed_methods, reason = "a test that reads what it is told")]
        let (say, told) = std::sync::mpsc::channel();
        let session = Futu::new(FutuSettings { url, ..FutuSettings::default() }, || 0.0);
        let live =
            Live::start_lines("futu", Box::new(session), Box::new(Told(say)), Line::default()).unwrap();
        for _ in 0..2 {
            let (mut gateway, _) = listener.accept().unwrap();
            gateway.write_all(b"{\"code\":\"HK.1\",\"Bid\":[[10,1]],\"Ask\":[]}\nstray\n").unwrap();
            assert_eq!(told.recv().unwrap(), "connected");
            assert_eq!(told.recv().unwrap(), "book HK.1");
            drop(gateway);
            assert_eq!(told.recv().unwrap(), "lost");
            assert_eq!(told.recv().unwrap(), "disconnected: the input ended");
        }
        assert_eq!(live.stats().session.strays, 2);
        live.stop();
    }

    #[test]
    fn a_line_without_end_is_not_kept() {
        let mut lines = Vec::new();
        let take = |line| {
            lines.push(line);
            true
        };
        let end = read_lines(&b"a\r\n\nlong one\nb"[..], 8, take);
        assert_eq!(
            (lines, end.as_str()),
            (vec!["a".to_owned(), String::new()], "a line is longer than 8 bytes")
        );
        let end = read_lines(&b"a\nb"[..], 8, |_| false);
        assert_eq!(end, "nobody takes the lines");
    }
}
