//! The link to Redis as the rest of a node sees it: ask, and be answered on the link's thread; hear topics; be told when
//! the line is up or down. Nothing here waits. What travels is the line's (`line`); what it means is the caller's.

use std::collections::VecDeque;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::Notify;

use super::line;
use super::request::Request;
pub use super::request::{Answer, LinkError, Patience};
pub use super::resp::{Command, Value};
pub use super::script::Script;
pub use super::socket::{ConnectError, Server};
use super::topics::Topics;
pub use super::topics::{Ready, Topic};
use super::url::Address;

/// Bytes of requests that wait for the line at most.
const WAITING_BYTES: usize = 64 << 20;
/// How long starting waits for the first connection.
const FIRST_TRY: Duration = Duration::from_secs(5);

/// What was published where this node listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// Redis' channel.
    pub topic: Bytes,
    /// What was published.
    pub payload: Bytes,
}

/// What the link tells, on its own thread.
pub trait Events: Send + Sync {
    /// The line is up and all topics are heard; what waited is sent now.
    fn on_up(&self, server: &Server);
    /// The line is down; requests of no patience fail after this.
    fn on_down(&self, why: &str);
    /// Takes what was heard from the front; the link calls again for what is left after [`Link::resume`], and reads no
    /// more until then.
    fn on_heard(&self, heard: &mut VecDeque<Heard>);
    /// What Redis is told before the line is up; other scripts it is told when it turns out not to know them.
    fn scripts(&self) -> Vec<&'static Script> {
        Vec::new()
    }
    /// Some time has passed; called every tenth of a second or so, line or no line.
    fn on_tick(&self) {}
}

/// What waits to be sent.
#[derive(Default)]
pub(super) struct Queue {
    pub(super) waiting: VecDeque<Request>,
    pub(super) bytes: usize,
    pub(super) up: bool,
    /// Why the line is down; empty before the first attempt has failed.
    pub(super) why: String,
    pub(super) closing: Option<Instant>,
    /// Someone wants another line.
    pub(super) broken: Option<String>,
}

impl Queue {
    pub(super) fn why_down(&self) -> String {
        if self.why.is_empty() { "not connected yet".into() } else { self.why.clone() }
    }
}

/// What the link's thread and its users share.
pub(super) struct Shared {
    pub(super) address: Address,
    pub(super) name: String,
    pub(super) events: OnceLock<Weak<dyn Events>>,
    pub(super) queue: Mutex<Queue>,
    pub(super) topics: Mutex<Topics>,
    /// Something is to be sent.
    pub(super) wake: Notify,
    /// Topics have changed.
    pub(super) changed: Notify,
    /// There is room for what was heard.
    pub(super) room: Notify,
}

impl Shared {
    pub(super) fn events(&self) -> Option<Arc<dyn Events>> {
        self.events.get()?.upgrade()
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// See the module.
pub struct Link {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Link {
    /// A link that leads nowhere until it is started.
    pub fn new(address: Address, name: &str) -> Self {
        let shared = Arc::new(Shared {
            address,
            name: name.to_owned(),
            events: OnceLock::new(),
            queue: Mutex::default(),
            topics: Mutex::default(),
            wake: Notify::new(),
            changed: Notify::new(),
            room: Notify::new(),
        });
        Link { shared, thread: Mutex::default() }
    }

    /// A link that is started at once.
    ///
    /// # Errors
    /// As [`Link::start`].
    pub fn open(address: Address, name: &str, events: Weak<dyn Events>) -> Result<Self, ConnectError> {
        let link = Link::new(address, name);
        link.start(events).map(|()| link)
    }

    /// Starts the link's thread and waits for its first attempt. A Redis that is merely out of reach is tried again and
    /// again.
    ///
    /// # Errors
    /// Redis does not let us in, or there is no thread.
    pub fn start(&self, events: Weak<dyn Events>) -> Result<(), ConnectError> {
        // Started twice, it would be one link with two threads; the first one's events stay.
        let _ = self.shared.events.set(events);
        let (to, first) = sync_channel(1);
        *lock(&self.thread) = Some(spawn(self.shared.clone(), to)?);
        match first.recv_timeout(FIRST_TRY) {
            Ok(Err(denied @ ConnectError::Denied(_))) => Err(denied),
            Ok(Err(ConnectError::Unreachable(why))) => {
                tracing::warn!("{}: {why}; trying again", self.shared.address);
                Ok(())
            }
            Ok(Ok(())) | Err(RecvTimeoutError::Timeout) => Ok(()),
            Err(RecvTimeoutError::Disconnected) => {
                Err(ConnectError::Unreachable("the thread has ended".into()))
            }
        }
    }

    /// Asks Redis one thing; an error that Redis answers is [`LinkError::Refused`].
    pub fn ask(
        &self,
        command: &Command,
        patience: Patience,
        answer: impl FnOnce(Result<Value, LinkError>) + Send + 'static,
    ) {
        let one = move |values: Result<Vec<Value>, LinkError>| {
            answer(values.and_then(|mut values| match values.pop() {
                Some(Value::Error(error)) => Err(LinkError::Refused(error)),
                Some(value) => Ok(value),
                None => Ok(Value::Nil),
            }));
        };
        self.ask_all(std::slice::from_ref(command), patience, Box::new(one));
    }

    /// Asks several things in one piece, in order; one value each, errors among them. All commands that run a script run
    /// the same one.
    pub fn ask_all(&self, commands: &[Command], patience: Patience, answer: Answer) {
        let mut request = Request::new(commands, patience, answer);
        let error = {
            let mut queue = lock(&self.shared.queue);
            if queue.closing.is_some() || (!queue.up && patience == Patience::Now) {
                LinkError::NotSent(queue.why_down())
            } else if queue.bytes + request.weight() > WAITING_BYTES && !queue.waiting.is_empty() {
                LinkError::Full
            } else {
                queue.bytes += request.weight();
                queue.waiting.push_back(request);
                drop(queue);
                return self.shared.wake.notify_one();
            }
        };
        request.fail(error);
    }

    /// Hears a topic from when `ready` is called; calls are counted.
    pub fn listen(&self, topic: Topic, ready: Ready) {
        let heard = lock(&self.shared.topics).add(topic, ready);
        match heard {
            Some(ready) => ready(),
            None => self.shared.changed.notify_one(),
        }
    }

    /// Takes one [`Link::listen`] back.
    pub fn unlisten(&self, topic: &Topic) {
        let waiting = lock(&self.shared.topics).remove(topic);
        self.shared.changed.notify_one();
        waiting.into_iter().for_each(|ready| ready());
    }

    /// There may be room again for what was heard.
    pub fn resume(&self) -> impl FnOnce() + Send + 'static {
        let shared = self.shared.clone();
        move || shared.room.notify_one()
    }

    /// Takes another line instead of this one, which leads to the wrong place.
    pub fn reconnect(&self, why: &str) {
        lock(&self.shared.queue).broken = Some(why.to_owned());
    }

    /// Whether there is a line.
    pub fn is_up(&self) -> bool {
        lock(&self.shared.queue).up
    }

    /// Why there is none.
    pub fn why_down(&self) -> Option<String> {
        let queue = lock(&self.shared.queue);
        (!queue.up).then(|| queue.why_down())
    }

    /// Whether there is none because it broke or could not be had, and not because it is about to come up first.
    pub(super) fn has_failed(&self) -> bool {
        let queue = lock(&self.shared.queue);
        !queue.up && !queue.why.is_empty()
    }

    /// Where it leads.
    pub fn address(&self) -> &Address {
        &self.shared.address
    }

    /// Sends what waits, if that is soon, and ends the thread.
    pub fn close(&self) {
        lock(&self.shared.queue).closing.get_or_insert_with(Instant::now);
        self.shared.wake.notify_one();
        let thread = lock(&self.thread).take();
        // The link's own thread may hold the last handle; it cannot wait for itself.
        if let Some(thread) = thread.filter(|thread| thread.thread().id() != std::thread::current().id())
            && thread.join().is_err()
        {
            tracing::error!("the thread of the link to redis has panicked");
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.close();
    }
}

fn spawn(
    shared: Arc<Shared>,
    first: SyncSender<Result<(), ConnectError>>,
) -> Result<JoinHandle<()>, ConnectError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    let thread = std::thread::Builder::new().name("redis".into());
    let run = move || runtime.block_on(line::run(&shared, first));
    Ok(thread.spawn(run)?)
}

#[cfg(test)]
#[path = "link_tests.rs"]
mod tests;
