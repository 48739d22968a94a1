//! One bus's side of the conversation with a hub, without I/O: it is handed frames and time, and hands out frames
//! to send. Subscriptions and requests outlive connections; what a new connection must be told follows from them.
//!
//! `topic` is what is asked of the hub, `topics` asks and takes answers, `sub` is one subscriber, `heard` how far
//! each channel got, `deliver` brings messages to subscribers, `catch_up` what they have missed, `requests` what
//! waits for an answer.

mod catch_up;
mod deliver;
mod heard;
mod requests;
mod sub;
mod topic;
mod topics;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use tapeline_schema::Catalog;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use crate::error::Error;
use crate::event::Event;
use crate::frame::Fields;
use crate::message::PubSubMessage;
use crate::settings::Settings;

use heard::Heard;
use requests::Requests;
use sub::Sub;
use topic::Topic;

pub(crate) use requests::Answer;
pub(crate) use sub::{NewSub, Since};
pub(crate) use topic::Wish;

/// What was refused for now is asked for again after this.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// After a token was refused on a connection that goes on, the next is given after this: a hub looks at
/// no more than ten wrong ones a minute from an address.
const TOKEN_AGAIN: Duration = Duration::from_secs(10);

/// What a frame means for the connection.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    GoesOn,
    /// The hub asks to come back after a while.
    ComeBack(Duration),
    /// The token is about to end, or the one that was given is refused: give another after this.
    WantsToken(Duration),
}

/// Counts that a program can look at.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) gaps: AtomicU64,
    pub(crate) missed: AtomicU64,
    pub(crate) repeats: AtomicU64,
    pub(crate) panics: AtomicU64,
    pub(crate) reconnects: AtomicU64,
}

/// See the module.
pub(crate) struct Session {
    settings: Arc<Settings>,
    counts: Arc<Counts>,
    catalog: Catalog,
    topics: BTreeMap<u64, Topic>,
    by_name: HashMap<Arc<str>, u64>,
    subs: BTreeMap<u64, Sub>,
    heard: Heard,
    requests: Requests,
    outgoing: VecDeque<String>,
    /// In bytes, of those of this connection.
    largest_request: Option<usize>,
    /// The mark of the token that was given last and not answered yet.
    token: Option<u64>,
    next_req: u64,
    connected: bool,
    ask_again: Option<Instant>,
    /// What the hub said without being asked, most likely the reason of the close that follows.
    complaint: Option<Error>,
}

impl Session {
    pub(crate) fn new(settings: Arc<Settings>, counts: Arc<Counts>) -> Self {
        let requests = Requests::new(settings.waiting_requests, settings.waiting_bytes);
        Session {
            settings,
            counts,
            catalog: Catalog::built_in(),
            topics: BTreeMap::new(),
            by_name: HashMap::new(),
            subs: BTreeMap::new(),
            heard: Heard::default(),
            requests,
            outgoing: VecDeque::new(),
            largest_request: None,
            token: None,
            next_req: 0,
            connected: false,
            ask_again: None,
            complaint: None,
        }
    }

    /// A connection begins: everything that stands is asked for again, what waits for an answer is sent again.
    pub(crate) fn on_connected(&mut self) {
        self.connected = true;
        self.outgoing.clear();
        self.outgoing.push_back(PING.to_string());
        for id in self.topics.keys().copied().collect::<Vec<_>>() {
            self.ask(id);
        }
        let texts = self.requests.texts();
        self.largest_request = texts.iter().map(String::len).max();
        self.outgoing.extend(texts);
    }

    /// The hub hung up because something was too large for it. Of all that was asked on this connection that must
    /// hold for the largest, wherever it stood; it is told, and all others can be sent again. Answers whether it can
    /// have been a request at all.
    pub(crate) fn on_too_large(&mut self, error: &Error) -> bool {
        let Some(bytes) = self.largest_request else { return false };
        for answer in self.requests.take_from(bytes) {
            self.answer(answer, Err(error.clone()), Instant::now());
        }
        true
    }

    /// The connection is over, or there was none.
    pub(crate) fn on_lost(&mut self) {
        self.connected = false;
        self.token = None;
        self.outgoing.clear();
        for topic in self.topics.values_mut() {
            topic.on_lost();
        }
    }

    /// Everything ends for this reason; what still waits is told.
    pub(crate) fn end(&mut self, error: &Error) {
        for sub in std::mem::take(&mut self.subs).into_values() {
            sub.end(error);
        }
        self.topics.clear();
        self.by_name.clear();
        self.requests.end(error);
    }

    /// The next frame to send.
    pub(crate) fn take_outgoing(&mut self) -> Option<String> {
        self.outgoing.pop_front()
    }

    pub(crate) fn has_outgoing(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// Asks for a sign of life.
    pub(crate) fn ping(&mut self) {
        self.outgoing.push_back(PING.to_string());
    }

    /// The hub's last words that answered nothing.
    pub(crate) fn take_complaint(&mut self) -> Option<Error> {
        self.complaint.take()
    }

    /// When [`Session::on_time`] wants to be called.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.ask_again
    }

    /// Asks again for what was refused for now.
    pub(crate) fn on_time(&mut self, now: Instant) {
        if self.ask_again.is_none_or(|at| now < at) {
            return;
        }
        self.ask_again = None;
        let refused: Vec<u64> =
            self.topics.iter().filter(|(_, topic)| topic.is_idle()).map(|(id, _)| *id).collect();
        if self.connected {
            refused.into_iter().for_each(|id| self.ask(id));
        }
        self.on_room();
    }

    fn ask_again_soon(&mut self, now: Instant) {
        self.ask_again.get_or_insert(now + ASK_AGAIN);
    }

    /// Whether the hub answers what it was asked: a refusal to talk is no greeting.
    pub(crate) fn is_greeting(text: &str) -> bool {
        Fields::read(text).is_some_and(|fields| fields.text("type").is_some_and(|kind| kind != "error"))
    }

    /// Takes a frame in.
    pub(crate) fn handle(&mut self, text: &Utf8Bytes, now: Instant) -> Flow {
        let Some(fields) = Fields::read(text) else {
            tracing::warn!(frame = %text.chars().take(200).collect::<String>(), "a frame is not a hub's");
            return Flow::GoesOn;
        };
        match &*fields.text("type").unwrap_or_default() {
            "subscription_confirmed" => self.on_confirmed(&fields),
            "error" => return self.on_error(&fields, now),
            "gap" => self.on_gap(&fields),
            "notice" => self.on_notice(&fields),
            "published" | "history" | "last" => self.on_answer(text, &fields, now),
            "reconnect" => {
                let after = fields.number("after_ms").unwrap_or_default();
                return Flow::ComeBack(Duration::from_millis(after));
            }
            "token_expiring" => return Flow::WantsToken(Duration::ZERO),
            "token_ok" => {
                self.token = None;
                let expires_at = fields.text("expires_at");
                tracing::info!(?expires_at, "the hub takes the new token");
            }
            kind if tapeline_schema::is_reserved_type(kind) => {}
            _ => match PubSubMessage::from_fields(text, &fields) {
                Some(message) => self.on_message(&message),
                // A later hub may say more than this version knows.
                None => tracing::debug!("a frame of an unknown type was passed over"),
            },
        }
        Flow::GoesOn
    }

    fn on_error(&mut self, fields: &Fields<'_>, now: Instant) -> Flow {
        let error = refusal(fields);
        let Some(req) = fields.number("req") else {
            tracing::warn!(%error, "the hub complains");
            self.complain(error);
            return Flow::GoesOn;
        };
        if self.token.take_if(|token| *token == req).is_some() {
            tracing::warn!(%error, "the hub refuses the new token");
            return Flow::WantsToken(TOKEN_AGAIN);
        }
        match self.requests.take(req) {
            Some(answer) => self.answer(answer, Err(error), now),
            None => self.on_refused(req, &error, now),
        }
        Flow::GoesOn
    }

    /// Most likely the reason of the end that follows.
    pub(crate) fn complain(&mut self, error: Error) {
        self.complaint = Some(error);
    }

    /// Gives the hub another token on this connection.
    pub(crate) fn give_token(&mut self, token: &str) {
        let req = self.take_req();
        self.token = Some(req);
        // Before all else: what waits may be allowed by it.
        self.outgoing.push_front(json!({ "action": "token", "token": token, "req": req }).to_string());
    }

    fn on_answer(&mut self, text: &Utf8Bytes, fields: &Fields<'_>, now: Instant) {
        let answer = fields.number("req").and_then(|req| self.requests.take(req));
        if let Some(answer) = answer {
            self.answer(answer, Ok(text), now);
        }
    }

    fn answer(&mut self, answer: Answer, result: Result<&Utf8Bytes, Error>, now: Instant) {
        match answer {
            // Who asked may have stopped waiting.
            Answer::Caller(caller) => drop(caller.send(result.cloned())),
            Answer::CatchUp { sub, counter } => self.on_page(sub, &counter, result, now),
        }
    }

    /// Sends a request, a JSON object without its mark. It is sent again after a reconnect until it is answered or
    /// nobody waits any more.
    pub(crate) fn request(&mut self, object: &str, answer: Answer) {
        let req = self.take_req();
        let text = format!("{},\"req\":{req}}}", object.strip_suffix('}').unwrap_or(object));
        if self.requests.add(req, text.clone(), answer) && self.connected {
            self.largest_request = self.largest_request.max(Some(text.len()));
            self.outgoing.push_back(text);
        }
    }

    fn take_req(&mut self) -> u64 {
        self.next_req += 1;
        self.next_req
    }
}

const PING: &str = r#"{"action":"ping"}"#;

fn refusal(fields: &Fields<'_>) -> Error {
    let text = |name| fields.text(name).unwrap_or_default().into_owned();
    Error::refused(text("code"), text("message"))
}

fn count(counter: &AtomicU64, by: u64) {
    counter.fetch_add(by, Ordering::Relaxed);
}

/// Said once for everybody who does not read events.
fn ended(error: &Error) -> Event {
    Event::Ended(error.clone())
}

#[cfg(test)]
mod tests;
