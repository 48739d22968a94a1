//! What is subscribed to, item by item: wanted, asked for, held, on its way out and in again, or refused for good. An
//! answer is about one instrument of a request; what is not answered is asked again. It does not know how fast requests
//! may leave, nor what the data say.

use std::sync::Arc;
use std::time::Duration;

use tapeline_core::Now;
use tapeline_core::clock::micros;
use tapeline_core::feed::VenueChannel;

use super::complaints::cut;
use super::message::Answer;
use super::refusal::Refusal;
use super::request::{Method, Request};
use super::settings::{Access, KrakenSettings, is_by_symbol};
use crate::venue::{Counts, Event};

/// Instruments of one request.
const BATCH: usize = 100;
/// So often something is tried before it is told; it goes on being tried.
const TOLD_TRIES: u32 = 3;
/// The longest time between two tries, in seconds.
const LONGEST_S: u64 = 60;

/// How a subscription stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// To be asked for when it is due.
    Wanted,
    /// Asked for; without an answer when it is due it is asked for again.
    Asked,
    /// The venue sends it.
    Held,
    /// To be ended, and asked for anew after that.
    Stale,
    /// Its end was asked for; when it is due the end is taken for granted.
    Leaving,
    /// The venue does not have it, and will not.
    Refused,
}

#[derive(Debug)]
struct Item {
    channel: VenueChannel,
    symbol: Option<Arc<str>>,
    interval_minutes: Option<u32>,
    standing: Standing,
    /// By the monotonic clock: when there is something to do.
    due_us: u64,
    /// Not to be asked for before, after its end.
    again_us: u64,
    req_id: u64,
    /// Tries without success.
    tries: u32,
    was_asked: bool,
}

/// What an answer has changed, beyond the subscription itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing.
    Fine,
    /// The token is not believed.
    BadToken,
    /// Requests came too fast.
    TooFast,
}

/// Whether books may be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gate {
    /// Everything.
    Open,
    /// All but books, which wait for how exactly instruments are written.
    NoBooks,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Subscriptions {
    items: Vec<Item>,
    patience_us: u64,
    last_req_id: u64,
}

impl Item {
    fn want(&mut self, due_us: u64) {
        self.standing = Standing::Wanted;
        self.due_us = due_us;
    }

    /// Without success: later again, and later still the next time.
    fn fail(&mut self, now: Now, counts: &mut Counts, error: Option<&str>, events: &mut Vec<Event>) {
        let seconds = 1_u64.checked_shl(self.tries).unwrap_or(LONGEST_S).min(LONGEST_S);
        self.want(now.after(Duration::from_secs(seconds)));
        self.count_try(counts, error, events);
    }

    /// One more try without success; the third in a row is told.
    fn count_try(&mut self, counts: &mut Counts, error: Option<&str>, events: &mut Vec<Event>) {
        self.tries = self.tries.saturating_add(1);
        counts.retries += 1;
        if self.tries == TOLD_TRIES {
            let (channel, symbol) = (self.channel.clone(), self.symbol.clone());
            events.push(Event::Unanswered { channel, symbol, error: error.map(|error| cut(error).into()) });
        }
    }

    /// What is to be sent for it, if anything is.
    fn method(&self, now: Now, gate: Gate) -> Option<Method> {
        let is_shut = gate == Gate::NoBooks && self.channel == VenueChannel::Book;
        match self.standing {
            Standing::Wanted if self.due_us <= now.mono_us && !is_shut => Some(Method::Subscribe),
            Standing::Stale if self.due_us <= now.mono_us => Some(Method::Unsubscribe),
            _ => None,
        }
    }

    fn is(&self, channel: &VenueChannel, symbol: &str) -> bool {
        self.channel == *channel && self.symbol.as_deref() == Some(symbol)
    }
}

impl Subscriptions {
    /// What these settings ask for: instruments first, books last.
    pub(super) fn new(settings: &KrakenSettings) -> Self {
        let mut subscriptions = Subscriptions {
            items: Vec::new(),
            patience_us: micros(settings.patience.answer),
            last_req_id: 0,
        };
        let needs_precisions = settings.access == Access::Public && settings.wants(&VenueChannel::Book);
        if needs_precisions || settings.wants(&VenueChannel::Instrument) {
            subscriptions.add(&VenueChannel::Instrument, None, None);
        }
        use VenueChannel as C;
        for channel in [C::Ticker, C::Trade, C::Ohlc, C::Book, C::Executions, C::Balances] {
            if settings.wants(&channel) {
                subscriptions.add_all(&channel, settings);
            }
        }
        subscriptions
    }

    fn add_all(&mut self, channel: &VenueChannel, settings: &KrakenSettings) {
        if !is_by_symbol(channel) {
            return self.add(channel, None, None);
        }
        let mut intervals = vec![None];
        if *channel == VenueChannel::Ohlc {
            intervals = settings.ohlc_intervals_minutes.iter().copied().map(Some).collect();
        }
        for interval in intervals {
            for symbol in &settings.symbols {
                self.add(channel, Some(symbol.clone()), interval);
            }
        }
    }

    fn add(&mut self, channel: &VenueChannel, symbol: Option<Arc<str>>, interval_minutes: Option<u32>) {
        let channel = channel.clone();
        let standing = Standing::Wanted;
        let (due_us, again_us, req_id, tries, was_asked) = (0, 0, 0, 0, false);
        self.items.push(Item {
            channel,
            symbol,
            interval_minutes,
            standing,
            due_us,
            again_us,
            req_id,
            tries,
            was_asked,
        });
    }

    /// A new connection: everything is asked for anew, except what was refused for good.
    pub(super) fn begin_anew(&mut self) {
        for item in self.items.iter_mut().filter(|item| item.standing != Standing::Refused) {
            item.want(0);
            (item.again_us, item.req_id, item.tries, item.was_asked) = (0, 0, 0, false);
        }
    }

    /// The venue was away on this connection: everything that it was asked for is ended and asked for anew.
    pub(super) fn renew(&mut self, now: Now) {
        for item in &mut self.items {
            if matches!(item.standing, Standing::Held | Standing::Asked) {
                item.standing = Standing::Stale;
                (item.due_us, item.again_us) = (now.mono_us, now.mono_us);
            }
        }
    }

    /// Ends this subscription now and asks for it anew, not before then.
    pub(super) fn renew_one(&mut self, channel: &VenueChannel, symbol: &str, now: Now, again_us: u64) {
        for item in self.items.iter_mut().filter(|item| item.is(channel, symbol)) {
            match item.standing {
                Standing::Held | Standing::Asked => {
                    item.standing = Standing::Stale;
                    (item.due_us, item.again_us) = (now.mono_us, again_us);
                }
                Standing::Wanted => item.due_us = item.due_us.max(again_us),
                Standing::Stale | Standing::Leaving => item.again_us = item.again_us.max(again_us),
                Standing::Refused => {}
            }
        }
    }

    /// A number that no other request has.
    pub(super) fn next_req_id(&mut self) -> u64 {
        self.last_req_id += 1;
        self.last_req_id
    }

    /// The number that the next request will have.
    pub(super) fn peek_req_id(&self) -> u64 {
        self.last_req_id + 1
    }

    /// The next request, for as many instruments as fit.
    pub(super) fn take(&mut self, now: Now, gate: Gate) -> Option<Request> {
        let first = self.items.iter().find(|item| item.method(now, gate).is_some())?;
        let method = first.method(now, gate)?;
        let (channel, interval_minutes) = (first.channel.clone(), first.interval_minutes);
        let req_id = self.next_req_id();
        let due_us = now.mono_us.saturating_add(self.patience_us);
        let mut symbols = Vec::new();
        let is_same = |item: &&mut Item| {
            item.channel == channel
                && item.interval_minutes == interval_minutes
                && item.method(now, gate) == Some(method)
        };
        for item in self.items.iter_mut().filter(is_same).take(BATCH) {
            item.standing = match method {
                Method::Subscribe => Standing::Asked,
                Method::Unsubscribe => Standing::Leaving,
            };
            (item.due_us, item.req_id, item.was_asked) = (due_us, req_id, true);
            symbols.extend(item.symbol.clone());
        }
        Some(Request { method, req_id, channel, interval_minutes, symbols })
    }

    /// Whether [`Subscriptions::take`] has something.
    pub(super) fn has_due(&self, now: Now, gate: Gate) -> bool {
        self.items.iter().any(|item| item.method(now, gate).is_some())
    }

    /// When time alone brings something to do.
    pub(super) fn due_us(&self, now: Now) -> u64 {
        let waits = |item: &&Item| {
            let is_timed = !matches!(item.standing, Standing::Held | Standing::Refused);
            is_timed && item.due_us > now.mono_us
        };
        self.items.iter().filter(waits).map(|item| item.due_us).min().unwrap_or(u64::MAX)
    }

    /// What was not answered in time is wanted again; an end that was not answered is one.
    pub(super) fn on_time(&mut self, now: Now, counts: &mut Counts, events: &mut Vec<Event>) {
        for item in self.items.iter_mut().filter(|item| item.due_us <= now.mono_us) {
            match item.standing {
                Standing::Asked => item.fail(now, counts, None, events),
                Standing::Leaving => item.want(item.again_us),
                _ => {}
            }
        }
    }

    /// Takes in an answer. Which subscriptions are held by it is told to `on_held`.
    pub(super) fn handle(
        &mut self,
        answer: &Answer<'_>,
        now: Now,
        counts: &mut Counts,
        events: &mut Vec<Event>,
        mut on_held: impl FnMut(&VenueChannel, Option<&Arc<str>>),
    ) -> Verdict {
        let Some(req_id) = answer.req_id.filter(|id| *id > 0) else { return Verdict::Fine };
        let is_meant = |item: &&mut Item| {
            let is_named = answer.symbol.is_none() || item.symbol.as_deref() == answer.symbol.as_deref();
            item.req_id == req_id && is_named
        };
        let mut verdict = Verdict::Fine;
        for item in self.items.iter_mut().filter(is_meant) {
            match (item.standing, &answer.outcome) {
                (Standing::Leaving, _) => item.want(item.again_us),
                (Standing::Asked, Ok(_)) => item.hold(events, &mut on_held),
                (Standing::Asked, Err(error)) => {
                    verdict = item.refuse(error, now, counts, events, &mut on_held);
                }
                _ => {}
            }
        }
        verdict
    }

    /// Its data is there, so it is held whatever became of the answer.
    pub(super) fn on_snapshot(
        &mut self,
        channel: &VenueChannel,
        symbol: Option<&str>,
        events: &mut Vec<Event>,
    ) -> bool {
        let is_meant = |item: &&mut Item| {
            item.standing == Standing::Asked && item.channel == *channel && item.symbol.as_deref() == symbol
        };
        let Some(item) = self.items.iter_mut().find(is_meant) else { return false };
        item.hold(events, &mut |_, _| {});
        true
    }

    /// The venue will have none of it: not the account, not the key.
    pub(super) fn refuse_all(&mut self, error: &str, counts: &mut Counts, events: &mut Vec<Event>) {
        for item in self.items.iter_mut().filter(|item| item.standing != Standing::Refused) {
            item.refuse_for_good(error, counts, events);
        }
    }

    /// Whether everything was asked for on this connection that will ever be.
    pub(super) fn is_all_asked(&self) -> bool {
        self.items.iter().all(|item| item.was_asked || item.standing == Standing::Refused)
    }

    /// Whether data of this instrument was asked for, and not yet asked to end.
    pub(super) fn is_expected(&self, channel: &VenueChannel, symbol: &str) -> bool {
        let stands = |item: &&Item| matches!(item.standing, Standing::Asked | Standing::Held);
        self.items.iter().filter(stands).any(|item| item.is(channel, symbol))
    }

    /// Whether the venue sends anything that was asked for.
    pub(super) fn is_any_held(&self) -> bool {
        self.items.iter().any(|item| item.standing == Standing::Held)
    }

    /// Whether nothing of a channel is on its way any more, for better or worse.
    pub(super) fn is_refused(&self, channel: &VenueChannel) -> bool {
        self.items
            .iter()
            .filter(|item| item.channel == *channel)
            .all(|item| item.standing == Standing::Refused)
    }

    /// Whether the venue sends something of this channel.
    pub(super) fn is_held(&self, channel: &VenueChannel) -> bool {
        self.items.iter().any(|item| item.channel == *channel && item.standing == Standing::Held)
    }
}

impl Item {
    fn hold(&mut self, events: &mut Vec<Event>, on_held: &mut impl FnMut(&VenueChannel, Option<&Arc<str>>)) {
        self.standing = Standing::Held;
        if std::mem::take(&mut self.tries) >= TOLD_TRIES {
            events.push(Event::Held { channel: self.channel.clone(), symbol: self.symbol.clone() });
        }
        on_held(&self.channel, self.symbol.as_ref());
    }

    fn refuse(
        &mut self,
        error: &str,
        now: Now,
        counts: &mut Counts,
        events: &mut Vec<Event>,
        on_held: &mut impl FnMut(&VenueChannel, Option<&Arc<str>>),
    ) -> Verdict {
        match Refusal::of(error) {
            Refusal::ForGood => self.refuse_for_good(error, counts, events),
            Refusal::Already => self.hold(events, on_held),
            // The next token decides; until then there is nothing to ask with.
            Refusal::Token => {
                self.want(now.mono_us);
                self.count_try(counts, Some(error), events);
                return Verdict::BadToken;
            }
            Refusal::TooMany => {
                self.fail(now, counts, Some(error), events);
                return Verdict::TooFast;
            }
            Refusal::Later => self.fail(now, counts, Some(error), events),
        }
        Verdict::Fine
    }

    fn refuse_for_good(&mut self, error: &str, counts: &mut Counts, events: &mut Vec<Event>) {
        self.standing = Standing::Refused;
        counts.refused += 1;
        let (channel, symbol) = (self.channel.clone(), self.symbol.clone());
        events.push(Event::Refused { channel, symbol, error: cut(error).into() });
    }
}

#[cfg(test)]
mod tests;
