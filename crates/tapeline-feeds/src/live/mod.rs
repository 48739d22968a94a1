//! Drives a venue's session: a thread of its own with the socket, TLS, the clock and the fetching of tokens. It does
//! what [`Session::next`] says and hands in what comes. It knows no venue, and nothing of who hears the events: a
//! [`Sink`] that takes long holds up only this one connection.

mod driver;
mod lines;
mod socket;
#[cfg(test)]
mod tests;

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tapeline_core::clock::Clock;
use tapeline_runtime::SystemClock;
use tokio::sync::watch;

use crate::venue::{Counts, Event, Session};
use driver::Driver;

/// The longest message that is taken, unless said otherwise: a snapshot of all instruments has about 1 MiB.
pub const FRAME_BYTES: usize = 8 << 20;
/// For the opening of a connection, name look-up and handshakes included, unless said otherwise.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Who hears what a session tells.
pub trait Sink: Send {
    /// Takes in what came of one message, or of time, in order. It is called on the thread that reads the socket, so it
    /// should not wait for anybody.
    fn handle(&mut self, events: &[Event], session: &dyn Session);

    /// How often [`Sink::on_tick`] is to be called; asked once, at the start.
    fn tick(&self) -> Option<Duration> {
        None
    }

    /// Called in the rhythm of [`Sink::tick`], whether something came or not.
    fn on_tick(&mut self, _session: &dyn Session) {}
}

/// Where tokens come from.
pub trait TokenSource: Send + Sync {
    /// A token, now; may wait for a network, on a thread that is meant for it.
    ///
    /// # Errors
    /// The venue's words, or why it could not be asked; never a secret.
    fn fetch(&self) -> Result<String, String>;
}

/// What a driver needs besides the session.
#[derive(Clone)]
pub struct Line {
    /// Read for every message; the one that those who hear the events read too.
    pub clock: Arc<dyn Clock>,
    /// For sessions that ask for tokens.
    pub tokens: Option<Arc<dyn TokenSource>>,
    /// Certificates to trust, instead of those that the system trusts.
    pub ca: Option<PathBuf>,
    /// For the opening of a connection.
    pub connect_timeout: Duration,
    /// The longest message that is taken; a longer one ends the connection.
    pub frame_bytes: usize,
}

impl Default for Line {
    fn default() -> Self {
        Line {
            clock: Arc::new(SystemClock::default()),
            tokens: None,
            ca: None,
            connect_timeout: CONNECT_TIMEOUT,
            frame_bytes: FRAME_BYTES,
        }
    }
}

/// What a driver has seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LiveStats {
    /// Which connection this is, counted from 1; 0 before the first.
    pub generation: u64,
    /// Whether it stands.
    pub is_open: bool,
    /// Frames of any kind.
    pub frames: u64,
    /// Bytes of text.
    pub bytes: u64,
    /// What the session counted.
    pub session: Counts,
}

/// What the driver's thread and whoever holds it share.
#[derive(Default)]
struct Shared {
    generation: AtomicU64,
    is_open: AtomicBool,
    frames: AtomicU64,
    bytes: AtomicU64,
    session: Mutex<Counts>,
}

/// A session that is being driven.
pub struct Live {
    stop: watch::Sender<bool>,
    shared: Arc<Shared>,
    thread: JoinHandle<()>,
}

impl Live {
    /// Starts the thread `feed:NAME`; it connects by itself.
    ///
    /// # Errors
    /// The system has no thread left, or no room for its timers.
    pub fn start(name: &str, session: Box<dyn Session>, sink: Box<dyn Sink>, line: Line) -> io::Result<Self> {
        let (stop, stopped) = watch::channel(false);
        let shared = Arc::new(Shared::default());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            // For name look-ups and fetching tokens.
            .max_blocking_threads(2)
            .build()?;
        let driver = Driver::new(name, session, sink, line, shared.clone());
        let run = move || {
            runtime.block_on(driver.run(stopped));
            // A token that is being fetched is nobody's concern any more.
            runtime.shutdown_background();
        };
        let thread = std::thread::Builder::new().name(format!("feed:{name}")).spawn(run)?;
        Ok(Live { stop, shared, thread })
    }

    /// What it has seen so far.
    pub fn stats(&self) -> LiveStats {
        LiveStats {
            generation: self.shared.generation.load(Ordering::Relaxed),
            is_open: self.shared.is_open.load(Ordering::Relaxed),
            frames: self.shared.frames.load(Ordering::Relaxed),
            bytes: self.shared.bytes.load(Ordering::Relaxed),
            session: self.shared.session.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }

    /// Whether its thread runs; it ends only when stopped, or when a sink panics.
    pub fn is_running(&self) -> bool {
        !self.thread.is_finished()
    }

    /// Says goodbye to the venue and waits for the thread; who takes nothing is not waited for long.
    pub fn stop(self) {
        self.stop.send_replace(true);
        if self.thread.join().is_err() {
            tracing::error!("the thread of a feed panicked");
        }
    }
}
