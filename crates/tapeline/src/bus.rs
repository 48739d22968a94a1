//! The bus: what a program holds. Publishing, subscribing and reading are requests to the task behind it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;
use serde_json::json;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio_tungstenite::tungstenite::Utf8Bytes;

use crate::address::Address;
use crate::error::Error;
use crate::history::History;
use crate::link::{Command, ConnectionState, Link};
use crate::message::{Place, PubSubMessage};
use crate::publish::{KeySource, Publish};
use crate::queue::Queue;
use crate::session::{Answer, Counts, Session};
use crate::settings::Settings;
use crate::socket::Target;
use crate::store::Reach;
use crate::subscribe::{Subscribe, Task};
use crate::subscription::{Events, Subscription};
use crate::token::{TokenSource, Tokens};
use tapeline_core::backoff::Backoff;

/// Commands on their way to the task; callers wait beyond it.
const COMMANDS: usize = 256;

/// A connection to a hub that heals itself. Cheap to clone; the connection ends with [`EventBus::close`], or when
/// the last clone and the last [`Events`] are dropped.
#[derive(Clone)]
pub struct EventBus {
    commands: mpsc::Sender<Command>,
    shared: Arc<Shared>,
}

struct Shared {
    reach: Reach,
    settings: Arc<Settings>,
    counts: Arc<Counts>,
    keys: KeySource,
    room: Arc<Notify>,
    state: watch::Receiver<ConnectionState>,
    next_id: AtomicU64,
}

/// What happened on a bus since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statistics {
    /// Gaps that subscribers were told of.
    pub gaps: u64,
    /// Messages known to be missing in them.
    pub missed: u64,
    /// Messages that came twice and were dropped.
    pub repeats: u64,
    /// Calls of subscribers that panicked.
    pub panics: u64,
    /// Connections that were lost.
    pub reconnects: u64,
}

/// Connects to the hub at a URL: `ws://host:port` or `http://host:port`. A URL without a path gets `/ws`; `/ws/my-id`
/// gives the connection a client id. `memory://`, `redis://host:6379` and `file:DIR` are a hub inside of this process that
/// keeps its messages there; processes that name one Redis hear one another.
///
/// # Errors
/// A URL that is none, or a hub that does not answer. Once the hub has answered, losses are healed.
pub async fn connect(url: &str) -> Result<EventBus, Error> {
    connect_with(url, Settings::default()).await
}

/// [`connect`] with bounds of your own.
///
/// # Errors
/// As [`connect`].
pub async fn connect_with(url: &str, settings: Settings) -> Result<EventBus, Error> {
    let settings = Arc::new(settings.sane());
    let target = Arc::new(open(Address::parse(url)?, settings.clone()).await?);
    let counts = Arc::<Counts>::default();
    let (commands, queue) = mpsc::channel(COMMANDS);
    let (state, watching) = watch::channel(ConnectionState::Connecting);
    let room = Arc::new(Notify::new());
    let tokens = Arc::new(tokens(&target, &settings));
    let reach = Reach::to(&target, &tokens);
    let link = Link {
        target,
        tokens,
        settings: settings.clone(),
        counts: counts.clone(),
        session: Session::new(settings.clone(), counts.clone()),
        commands: queue,
        room: room.clone(),
        state,
        backoff: Backoff::new(settings.backoff_base, settings.backoff_cap),
        renewing: None,
        closing: None,
    };
    tokio::spawn(link.run());
    let (keys, next_id) = (KeySource::default(), AtomicU64::new(1));
    let shared = Arc::new(Shared { reach, settings, counts, keys, room, state: watching, next_id });
    let bus = EventBus { commands, shared };
    let mut state = bus.state();
    let arrived = state.wait_for(|state| *state != ConnectionState::Connecting).await;
    match arrived.map(|state| state.clone()) {
        Ok(ConnectionState::Closed(error)) => Err(error),
        Ok(_) => Ok(bus),
        Err(_) => Err(Error::BusClosed),
    }
}

/// A hub of this process asks for none.
fn tokens(target: &Target, settings: &Settings) -> Tokens {
    let source = match target {
        Target::Private(..) => None,
        Target::Hub { .. } => settings.token.clone().or_else(TokenSource::by_variable),
    };
    Tokens::new(source, settings.connect_timeout)
}

/// A hub of this process may have to connect to somewhere first, which waits.
async fn open(address: Address, settings: Arc<Settings>) -> Result<Target, Error> {
    match address {
        Address::Hub { .. } => Target::open(address, &settings),
        Address::Private(_) => {
            let opened = tokio::task::spawn_blocking(move || Target::open(address, &settings)).await;
            opened.unwrap_or_else(|error| Err(Error::Invalid(format!("no hub could be started: {error}"))))
        }
    }
}

impl EventBus {
    /// Publishes data on a channel; nothing happens until it is awaited.
    ///
    /// ```
    /// # async fn run(bus: tapeline::EventBus) -> Result<(), tapeline::Error> {
    /// let data = serde_json::json!({"what": "rebalance"});
    /// let published = bus.publish("desk", data).kind("plan").correlation_id("order-7").await?;
    /// assert!(published.offset > 0);
    /// # Ok(()) }
    /// ```
    pub fn publish(&self, channel: impl Into<String>, data: impl Serialize) -> Publish<'_> {
        let data =
            serde_json::to_string(&data).map_err(|error| Error::Data(format!("data is not JSON: {error}")));
        Publish::new(self, channel.into(), data)
    }

    /// As [`EventBus::publish`], with data that is JSON text already; it leaves as it is, digit for digit.
    pub fn publish_json(&self, channel: impl Into<String>, json: impl Into<String>) -> Publish<'_> {
        Publish::new(self, channel.into(), Ok(json.into()))
    }

    /// Calls a function, or an async one, with each message of a channel, roll-up or pattern, one after the other.
    /// A name with `*`, `?` or `[` is a pattern. Awaited, it returns when the hub has confirmed.
    ///
    /// The calls go on as long as the bus lives; dropping the [`Subscription`] does not end them,
    /// [`Subscription::unsubscribe`] does. Missing messages are logged, counted and told to
    /// [`Subscribe::on_gap`].
    pub fn subscribe<F, R, Kind>(&self, name: impl Into<String>, call: F) -> Subscribe<'_, Subscription>
    where
        F: FnMut(PubSubMessage) -> R + Send + 'static,
        R: Task<Kind> + Send + 'static,
        Kind: 'static,
    {
        Subscribe::calling(self, name.into(), call)
    }

    /// The messages and gaps of a channel, roll-up or pattern as a stream. Dropping it ends the subscription.
    pub fn subscribe_stream(&self, name: impl Into<String>) -> Subscribe<'_, Events> {
        Subscribe::streaming(self, name.into())
    }

    /// Kept messages of a channel after an offset, at most `limit` (the hub answers at most 1,000 and 1 MiB).
    ///
    /// # Errors
    /// What the hub refuses, such as `no_history` for a roll-up of last values.
    pub async fn history(
        &self,
        channel: &str,
        since: Option<&Place>,
        limit: usize,
    ) -> Result<History, Error> {
        let mut request = json!({ "action": "history", "channel": channel, "limit": limit });
        if let (Some(since), Some(request)) = (since, request.as_object_mut()) {
            let since = json!({ "offset": since.offset, "epoch": &*since.epoch });
            request.insert("since".into(), since);
        }
        let answer = self.request(request.to_string(), format!("history of {channel}")).await?;
        History::read(&answer).ok_or_else(|| Error::Data(format!("history of {channel} cannot be read")))
    }

    /// The newest message of a channel, if there is one.
    ///
    /// # Errors
    /// What the hub refuses.
    pub async fn last(&self, channel: &str) -> Result<Option<PubSubMessage>, Error> {
        let request = json!({ "action": "last", "channel": channel }).to_string();
        let answer = self.request(request, format!("last of {channel}")).await?;
        Ok(crate::history::read_last(&answer))
    }

    /// How the connection is, now and when it changes.
    pub fn state(&self) -> watch::Receiver<ConnectionState> {
        self.shared.state.clone()
    }

    /// What happened so far.
    pub fn statistics(&self) -> Statistics {
        let counts = &self.shared.counts;
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Statistics {
            gaps: read(&counts.gaps),
            missed: read(&counts.missed),
            repeats: read(&counts.repeats),
            panics: read(&counts.panics),
            reconnects: read(&counts.reconnects),
        }
    }

    /// Ends the connection. Subscriptions end, requests that wait fail with [`Error::BusClosed`].
    pub async fn close(&self) {
        let (done, closed) = oneshot::channel();
        if self.commands.send(Command::Close(done)).await.is_ok() {
            // It may have ended by itself meanwhile.
            let _ = closed.await;
        }
    }

    /// Asks the hub, through losses, until the answer or the time-out.
    pub(crate) async fn request(&self, object: String, what: String) -> Result<Utf8Bytes, Error> {
        let asked = async {
            let (answer, answered) = oneshot::channel();
            self.send(Command::Request(object, Answer::Caller(answer))).await?;
            answered.await.unwrap_or(Err(Error::BusClosed))
        };
        self.within(what, asked).await
    }

    /// The answer to what was asked, if it comes in time.
    pub(crate) async fn within<T>(
        &self,
        what: String,
        asked: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let after = self.shared.settings.request_timeout;
        match tokio::time::timeout(after, asked).await {
            Ok(result) => result,
            Err(_) => Err(Error::Timeout { what, after }),
        }
    }

    /// Where the store is.
    pub(crate) fn reach(&self) -> &Reach {
        &self.shared.reach
    }

    pub(crate) async fn send(&self, command: Command) -> Result<(), Error> {
        self.commands.send(command).await.map_err(|_| self.ended())
    }

    /// Why nothing can be asked any more.
    fn ended(&self) -> Error {
        match &*self.shared.state.borrow() {
            ConnectionState::Closed(error) => error.clone(),
            _ => Error::BusClosed,
        }
    }

    pub(crate) fn commands(&self) -> &mpsc::Sender<Command> {
        &self.commands
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    pub(crate) fn counts(&self) -> &Arc<Counts> {
        &self.shared.counts
    }

    pub(crate) fn next_key(&self) -> String {
        self.shared.keys.next()
    }

    /// A queue for a new subscriber, and its number.
    pub(crate) fn new_queue(&self) -> (u64, Arc<Queue>) {
        let Settings { queue_messages, queue_bytes, .. } = *self.shared.settings;
        let queue = Queue::new(self.shared.room.clone(), queue_messages, queue_bytes);
        (self.shared.next_id.fetch_add(1, Ordering::Relaxed), Arc::new(queue))
    }
}

impl std::fmt::Debug for EventBus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EventBus").field("state", &*self.shared.state.borrow()).finish_non_exhaustive()
    }
}
