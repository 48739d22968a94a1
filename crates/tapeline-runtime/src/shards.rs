//! The shard threads: started, fed with connections, stopped.

use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use mio::{Poll, Token, Waker};
use tapeline_core::session::Arrival;
use tapeline_core::{Deliver, Hub, Shard};
use tapeline_schema::CloseCode;

use crate::conduit::{Far, Gone, conduit};
use crate::connection::{Handover, Protocol, Upgrade};
use crate::inbox::{Control, Inbox, Inboxes};
use crate::thread::{ShardThread, WAKER};

/// Where only few sessions have to leave, they do so at this pace: nobody waits long for a hub with one browser.
const LEAVE_EVERY: Duration = Duration::from_millis(20);

/// Why the shards could not be started.
#[derive(Debug)]
pub struct StartError(io::Error);

impl std::fmt::Display for StartError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a shard thread could not be started: {}", self.0)
    }
}

impl std::error::Error for StartError {}

impl From<io::Error> for StartError {
    fn from(error: io::Error) -> Self {
        StartError(error)
    }
}

/// The running shards of a hub.
pub struct Shards {
    inboxes: Vec<Arc<Inbox>>,
    deliver: Arc<Inboxes>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Shards {
    /// Starts as many threads as the hub has shards and attaches the hub's broker to their inboxes.
    pub fn start(hub: &Arc<Hub>) -> Result<Self, StartError> {
        let count = hub.shard_stats().len();
        let mut polls = Vec::with_capacity(count);
        let mut inboxes = Vec::with_capacity(count);
        for _ in 0..count {
            let poll = Poll::new()?;
            inboxes.push(Arc::new(Inbox::new(Waker::new(poll.registry(), Token(WAKER))?)));
            polls.push(poll);
        }
        let deliver =
            Arc::new(Inboxes::new(inboxes.clone(), hub.settings().inbox_messages, hub.stats().clone()));
        hub.broker().attach(deliver.clone());
        let mut threads = Vec::with_capacity(count);
        for (number, (poll, inbox)) in polls.into_iter().zip(&inboxes).enumerate() {
            let (hub, inbox, deliver) = (hub.clone(), inbox.clone(), deliver.clone());
            let thread = std::thread::Builder::new().name(format!("shard-{number}")).spawn(move || {
                let shard = Shard::new(hub.clone(), number, inbox.clone());
                ShardThread::new(hub, shard, inbox, deliver, poll).run();
            })?;
            threads.push(thread);
        }
        Ok(Shards { inboxes, deliver, threads: Mutex::new(threads) })
    }

    /// The shard with the fewest sessions, which has one more from now on.
    fn least(&self) -> Option<&Arc<Inbox>> {
        let least = self.inboxes.iter().min_by_key(|inbox| inbox.load.load(Ordering::Relaxed))?;
        least.load.fetch_add(1, Ordering::Relaxed);
        Some(least)
    }

    /// Gives a connection to the shard with the fewest.
    pub fn open(&self, handover: Handover) {
        if let Some(inbox) = self.least() {
            inbox.control(Control::Open(Box::new(handover)));
        }
    }

    /// Begins a session whose bytes travel through memory: what it writes is read from the far end.
    ///
    /// # Errors
    /// There are no shards.
    pub fn open_conduit(&self, arrival: Arrival, protocol: Box<dyn Protocol>) -> Result<Far, Gone> {
        let inbox = self.least().ok_or(Gone)?;
        let (near, far) = conduit(inbox.clone());
        inbox.control(Control::OpenConduit(Box::new((near, arrival, protocol))));
        Ok(far)
    }

    /// Moves a session from its conduit to a socket. What nobody has read of it yet goes out there first; if the session
    /// has ended meanwhile, the socket is closed.
    pub fn upgrade(&self, far: impl Into<Arc<Far>>, upgrade: Upgrade) {
        let far = far.into();
        let (inbox, _) = far.place();
        inbox.control(Control::Upgrade(Box::new((far, upgrade))));
    }

    /// Sessions there are, or are about to be.
    pub fn sessions(&self) -> usize {
        self.inboxes.iter().map(|inbox| inbox.load.load(Ordering::Relaxed)).sum()
    }

    /// Messages waiting in the fullest inbox.
    pub fn queued(&self) -> usize {
        self.inboxes.iter().map(|inbox| inbox.permitted()).max().unwrap_or_default()
    }

    /// Where publishers that found no room wait.
    pub fn deliver(&self) -> &Arc<impl Deliver + use<>> {
        &self.deliver
    }

    /// Lets every session leave: told when to connect again and closed then, over at most `window`, sooner where there
    /// are few. Each shard drops its clone of `held` when its last session has gone. Does not wait.
    pub fn drain<H: Clone + Send + 'static>(&self, window: Duration, held: &H) {
        let window =
            window.min(LEAVE_EVERY.saturating_mul(u32::try_from(self.sessions()).unwrap_or(u32::MAX)));
        for inbox in &self.inboxes {
            inbox.control(Control::Drain(window, Box::new(held.clone())));
        }
    }

    /// Closes every session and waits for the threads' end.
    pub fn stop(&self, code: CloseCode, reason: &'static str) {
        for inbox in &self.inboxes {
            inbox.control(Control::Stop(code, reason));
        }
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("a shard thread panicked");
            }
        }
    }
}
