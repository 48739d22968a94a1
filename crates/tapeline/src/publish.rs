//! Publishing: a builder that is awaited. A publish waits through a loss and is sent again after it; its key makes
//! the hub take it once.

use std::fmt::Write;
use std::future::{Future, IntoFuture};
use std::hash::{BuildHasher, RandomState};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::bus::EventBus;
use crate::error::Error;
use crate::frame::Fields;

/// What the hub takes of a publish beside its data, with something left for its mark.
const ENVELOPE_BYTES: usize = 4_000;

/// What the hub says of a publish.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Published {
    /// Where.
    pub channel: String,
    /// Its number in the channel; 0 while it is held.
    pub offset: u64,
    /// What the number counts under.
    pub epoch: String,
    /// The message's id.
    pub id: String,
    /// It repeats an earlier publish with the same key, whose place this is.
    pub duplicate: bool,
    /// The message broker is out of reach, so it has no place yet: it is published when that is back, unless something
    /// newer is there by then.
    pub held: bool,
    /// Sessions that hear the channel now.
    pub subscribers: u64,
}

/// A publish that is on its way when it is awaited.
#[must_use = "nothing is published until it is awaited"]
#[derive(Debug)]
pub struct Publish<'a> {
    bus: &'a EventBus,
    channel: String,
    data: Result<String, Error>,
    kind: Option<String>,
    correlation_id: Option<String>,
    idempotency_key: Option<String>,
    owner: Option<String>,
}

impl<'a> Publish<'a> {
    pub(crate) fn new(bus: &'a EventBus, channel: String, data: Result<String, Error>) -> Self {
        Publish { bus, channel, data, kind: None, correlation_id: None, idempotency_key: None, owner: None }
    }

    /// The message's type; without one it has its family's.
    pub fn kind(mut self, kind: impl Into<String>) -> Self {
        self.kind = Some(kind.into());
        self
    }

    /// Carried end to end, to follow related events by.
    pub fn correlation_id(mut self, id: impl Into<String>) -> Self {
        self.correlation_id = Some(id.into());
        self
    }

    /// Another publish on this channel with the same key within five minutes is answered with this one's place and
    /// goes nowhere. Without a key of yours each publish has one of its own, which covers losses of the connection.
    pub fn idempotency_key(mut self, key: impl Into<String>) -> Self {
        self.idempotency_key = Some(key.into());
        self
    }

    /// Whose channel it is: the subject that may read it, where the family is read by its channels' owners
    /// (`order_status`, `executions`, `balances`). The first owner of a channel stays.
    pub fn owner(mut self, subject: impl Into<String>) -> Self {
        self.owner = Some(subject.into());
        self
    }

    async fn send(self) -> Result<Published, Error> {
        let Publish { bus, channel, data, kind, correlation_id, idempotency_key, owner } = self;
        let data = data?;
        tracing::debug!(target: "publish", "Publishing to channel: {channel}");
        let mut frame = String::with_capacity(data.len() + 256);
        frame.push_str("{\"action\":\"publish\"");
        push(&mut frame, "channel", &channel);
        if let Some(kind) = &kind {
            push(&mut frame, "type", kind);
        }
        if let Some(id) = &correlation_id {
            push(&mut frame, "correlation_id", id);
        }
        if let Some(owner) = &owner {
            push(&mut frame, "owner", owner);
        }
        push(&mut frame, "idempotency_key", &idempotency_key.unwrap_or_else(|| bus.next_key()));
        frame.push_str(",\"data\":");
        frame.push_str(&data);
        frame.push('}');
        let limit = bus.settings().publish_bytes;
        if frame.len() > limit.saturating_add(ENVELOPE_BYTES) {
            let what = format!("a publish to {channel} is {} bytes", frame.len());
            return Err(Error::TooLarge { what, limit, setting: "publish_bytes" });
        }
        let what = format!("a publish to {channel}");
        let answer = bus.request(frame, what).await?;
        let unreadable = || Error::Data(format!("the answer to a publish to {channel} cannot be read"));
        Fields::read(&answer).as_ref().and_then(Published::read).ok_or_else(unreadable)
    }
}

impl Published {
    fn read(fields: &Fields<'_>) -> Option<Self> {
        let held = fields.flag("held").unwrap_or_default();
        let place = fields.number("offset").zip(fields.text("epoch"));
        let (offset, epoch) =
            if held { (0, String::new()) } else { place.map(|(n, e)| (n, e.into_owned()))? };
        Some(Published {
            channel: fields.text("channel")?.into_owned(),
            offset,
            epoch,
            held,
            id: fields.text("id")?.into_owned(),
            duplicate: fields.flag("duplicate").unwrap_or_default(),
            subscribers: fields.number("subscribers").unwrap_or_default(),
        })
    }
}

impl<'a> IntoFuture for Publish<'a> {
    type Output = Result<Published, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}

/// Appends a field of text.
fn push(frame: &mut String, name: &str, value: &str) {
    // A string can always be written.
    let _ = write!(frame, ",\"{name}\":{}", serde_json::Value::from(value));
}

/// Keys that nobody else makes: random for the bus, counted for the publish.
#[derive(Debug)]
pub(crate) struct KeySource {
    random: String,
    next: AtomicU64,
}

impl Default for KeySource {
    fn default() -> Self {
        let random = || RandomState::new().hash_one(std::process::id());
        KeySource { random: format!("{:016x}{:016x}", random(), random()), next: AtomicU64::new(1) }
    }
}

impl KeySource {
    pub(crate) fn next(&self) -> String {
        format!("{}-{}", self.random, self.next.fetch_add(1, Ordering::Relaxed))
    }
}
