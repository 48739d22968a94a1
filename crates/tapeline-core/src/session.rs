//! One connected client, whatever protocol: who it is, what it may, what it has asked for, and its outbox.
//! Features live elsewhere; this type only remembers.

use std::sync::Arc;

use tapeline_schema::{Delivery, ErrorCode};

use crate::audience::{Hearing, Who};
use crate::beats::Beat;
use crate::clock::Now;
use crate::error::Refusal;
use crate::hub::Hub;
use crate::message::Wire;
use crate::outbox::Outbox;
use crate::places::Places;
use crate::rates::{Bucket, Patience, User};
use crate::registry::Seat;
use crate::reply::Topic;
use crate::rights::Grant;
use crate::settings::Settings;
use crate::subscriptions::Subscriptions;
use crate::turns::Turns;

/// What is known of a client when it connects.
pub struct Arrival {
    /// Token subject, else remote address.
    pub principal: Arc<str>,
    /// Where it comes from.
    pub address: Arc<str>,
    /// Its counted connection, if it gave a client id.
    pub seat: Option<Box<Seat>>,
    /// The client id that it gave.
    pub client: Option<Box<str>>,
    /// What it may do.
    pub grant: Grant,
    /// Its byte format.
    pub wire: &'static dyn Wire,
    /// Whether it is told of conflation.
    pub notices: bool,
    /// Whether silence is broken by heartbeats.
    pub heartbeat: bool,
    /// The heartbeat that its protocol prescribes, if it does.
    pub beat: Option<Beat>,
}

/// A standing request to hear a topic.
#[derive(Debug)]
pub(crate) struct Subscription {
    pub id: u32,
    pub topic: Topic,
    pub delivery: Option<Delivery>,
    pub max_rate: Option<u32>,
    /// The wire's own mark.
    pub tag: u8,
    /// Waiting for the broker's answer.
    pub joining: bool,
    /// It has more sources than the broker listed.
    pub partial: bool,
}

/// See the module.
pub(crate) struct Session {
    pub serial: u64,
    pub who: Arc<Who>,
    pub seat: Option<Box<Seat>>,
    pub grant: Grant,
    pub address: Arc<str>,
    pub outbox: Outbox,
    pub subscriptions: Subscriptions,
    /// Where its targets are in the router.
    pub places: Places,
    /// Entries of targets in catch-up.
    pub behind: Vec<u32>,
    /// Pages in a row that had to wait for another target.
    pub waits: usize,
    /// Conflated under pressure since it came.
    pub conflated: u64,
    /// Some of it has not been told; its targets know what.
    pub untold: bool,
    pub next_subscription: u32,
    /// Answers under way, at most [`crate::shard::IN_FLIGHT`].
    pub in_flight: u32,
    pub opened_us: u64,
    /// The oldest live message since the outbox was empty, as [`crate::delays`] remembers it; 0 if there was none.
    pub oldest: u64,
    pub sent_us: u64,
    /// The last sign of life.
    pub heard_us: u64,
    /// Its socket was full and took bytes again, since it was last looked at.
    pub took_bytes: bool,
    /// When it was sent a ping since; 0 if it was not.
    pub pinged_us: u64,
    pub requests: Bucket,
    pub publishes: Bucket,
    pub bytes: Bucket,
    /// Its principal's rates, from when they were first asked for.
    user: Option<Arc<User>>,
    /// From when it was first told that it goes too fast.
    pub patience: Option<Box<Patience>>,
    /// Since when the client has begun a message and not ended it; 0 if it has not.
    pub unfinished_us: u64,
    /// When the socket stopped taking bytes; 0 while it takes them.
    pub blocked_us: u64,
    pub reading: bool,
    pub dirty: bool,
    pub urgent: bool,
    pub closing: bool,
    pub subscribed_once: bool,
    /// How often a token of it was taken.
    pub identified: u64,
    /// It was told that its token is about to end.
    pub warned: bool,
    /// Who it is was judged before it came here: a revocation in between has not been looked for.
    pub unweighed: bool,
    pub notices: bool,
    pub heartbeat: bool,
    pub beat: Option<Beat>,
    /// The order of its answers, from when its protocol first asked for a place in it.
    pub turns: Option<Box<Turns>>,
}

impl Session {
    pub(crate) fn new(arrival: Arrival, serial: u64, now_us: u64) -> Self {
        Session {
            serial,
            who: Arc::new(Who { client: arrival.client, principal: arrival.principal }),
            seat: arrival.seat,
            grant: arrival.grant,
            address: arrival.address,
            outbox: Outbox::new(arrival.wire),
            subscriptions: Subscriptions::default(),
            places: Places::default(),
            behind: Vec::new(),
            waits: 0,
            conflated: 0,
            untold: false,
            next_subscription: 0,
            in_flight: 0,
            opened_us: now_us,
            oldest: 0,
            sent_us: now_us,
            heard_us: now_us,
            took_bytes: false,
            pinged_us: 0,
            requests: Bucket::default(),
            publishes: Bucket::default(),
            bytes: Bucket::default(),
            user: None,
            patience: None,
            unfinished_us: 0,
            blocked_us: 0,
            reading: false,
            dirty: false,
            urgent: false,
            closing: false,
            subscribed_once: false,
            identified: 0,
            warned: false,
            unweighed: true,
            notices: arrival.notices,
            heartbeat: arrival.heartbeat,
            beat: arrival.beat,
            turns: None,
        }
    }

    /// From now on it counts as this principal's. Answers who it was.
    pub(crate) fn rename(&mut self, principal: &Arc<str>) -> Arc<Who> {
        let who = Arc::new(Who { client: self.who.client.clone(), principal: principal.clone() });
        self.user = None;
        std::mem::replace(&mut self.who, who)
    }

    /// Its principal's rates, where they are limited.
    pub(crate) fn user(&mut self, hub: &Hub, now: Now) -> Option<&User> {
        if self.user.is_none() {
            self.user = hub.user(&self.who.principal, now);
        }
        self.user.as_deref()
    }

    /// Its name for people: the client id, if it gave one, and where it is.
    pub(crate) fn called(&self) -> String {
        called(self.who.client.as_deref(), &self.who.principal)
    }

    /// That it hears something, from now on.
    pub(crate) fn hearing(&self, now: Now) -> Hearing {
        let each_way = self.outbox.wire().by_subscription();
        Hearing { session: self.serial, since_us: now.wall_us, each_way, who: self.who.clone() }
    }

    pub(crate) fn is_blocked(&self) -> bool {
        self.blocked_us != 0
    }

    /// Whether everything it is owed has left.
    pub(crate) fn is_settled(&self) -> bool {
        let joining = self.subscriptions.iter().any(|subscription| subscription.joining);
        let owed = self.reading || joining || self.in_flight > 0 || !self.behind.is_empty();
        self.outbox.is_empty() && !owed
    }

    pub(crate) fn place(&self, entry: u32) -> Option<usize> {
        self.places.find(entry).map(|place| place.index as usize)
    }

    pub(crate) fn subscription(&mut self, id: u32) -> Option<&mut Subscription> {
        self.subscriptions.by_id_mut(id)
    }

    pub(crate) fn find(&self, topic: &Topic) -> Option<&Subscription> {
        self.subscriptions.find(topic)
    }

    pub(crate) fn find_by_name(&self, is_pattern: bool, name: &str) -> Option<&Subscription> {
        self.subscriptions.find_by_name(is_pattern, name)
    }

    /// Counts a new subscription, or says which limit it is over.
    pub(crate) fn admit_subscription(&mut self, settings: &Settings) -> Result<(), Refusal> {
        let Some(seat) = self.seat.as_mut() else {
            let limit = settings.subscriptions_per_connection;
            return over_limit(
                self.subscriptions.len() < limit,
                limit,
                "limits.subscriptions_per_connection",
            );
        };
        if !seat.regain() {
            return Err(Refusal::new(
                ErrorCode::LimitConnections,
                "Connection limit exceeded (limits.connections_per_client)",
            ));
        }
        let limit = settings.subscriptions_per_client;
        over_limit(seat.pair().add_subscription(limit), limit, "limits.subscriptions_per_client")
    }

    pub(crate) fn forget_subscription(&mut self, id: u32) -> Option<Subscription> {
        let ended = self.subscriptions.remove(id)?;
        if let Some(seat) = &self.seat {
            seat.pair().drop_subscription();
        }
        Some(ended)
    }
}

/// What a protocol may know of its session.
pub struct SessionView<'a> {
    pub(crate) session: &'a Session,
}

impl SessionView<'_> {
    /// Never used again by this hub.
    pub fn serial(&self) -> u64 {
        self.session.serial
    }

    /// Who it is.
    pub fn principal(&self) -> &Arc<str> {
        &self.session.who.principal
    }

    /// What it may do.
    pub fn grant(&self) -> &Grant {
        &self.session.grant
    }

    /// How often a token of it was taken.
    pub fn identified(&self) -> u64 {
        self.session.identified
    }

    /// Requests that are not answered yet.
    pub fn in_flight(&self) -> u32 {
        self.session.in_flight
    }

    /// Places in the order of answers that were taken and whose answers have not left.
    pub fn unanswered(&self) -> usize {
        self.session.turns.as_ref().map_or(0, |turns| turns.len())
    }

    /// How many subscriptions it has.
    pub fn subscriptions(&self) -> usize {
        self.session.subscriptions.len()
    }

    /// The wire's mark of this subscription; nothing where there is none.
    pub fn heard(&self, is_pattern: bool, name: &str) -> Option<u8> {
        self.session.find_by_name(is_pattern, name).map(|known| known.tag)
    }

    /// What it has subscribed: whether it is a pattern, the wire's mark, and the name.
    pub fn topics(&self) -> impl Iterator<Item = (bool, u8, &str)> {
        let topic = |known: &Topic| matches!(known, Topic::Pattern(_));
        self.session
            .subscriptions
            .iter()
            .map(move |known| (topic(&known.topic), known.tag, known.topic.name()))
    }

    /// How it is written to.
    pub fn wire(&self) -> &'static dyn Wire {
        self.session.outbox.wire()
    }
}

/// A client's name for people.
pub fn called(client: Option<&str>, principal: &str) -> String {
    client.map_or_else(|| principal.to_string(), |client| format!("{client} ({principal})"))
}

fn over_limit(fits: bool, limit: usize, setting: &str) -> Result<(), Refusal> {
    if fits {
        return Ok(());
    }
    let message = format!("{} subscriptions, the limit is {limit} ({setting})", limit + 1);
    Err(Refusal::new(ErrorCode::LimitSubscriptions, message))
}
