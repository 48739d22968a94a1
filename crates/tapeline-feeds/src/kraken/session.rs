//! A session with Kraken, public or private, without I/O: what to send when, and what time brings about. It begins anew
//! with every connection; nothing of an old one is looked at. What messages say is taken in by [`hearing`]; it does not
//! know who listens.

mod hearing;

use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::FixedState;
use hashbrown::HashSet;
use tapeline_core::Now;
use tapeline_core::feed::VenueChannel;

use super::attempts::Attempts;
use super::books::Books;
use super::complaints::Complaints;
use super::credential::Credential;
use super::pace::Pace;
use super::private::Account;
use super::rebuilds::Rebuilds;
use super::refusal::Refusal;
use super::request::ping;
use super::settings::{Access, KrakenSettings, SettingsError};
use super::silence::Silences;
use super::subscriptions::{Gate, Subscriptions};
use super::trades::Trades;
use super::watchdog::{Quiet, Watchdog};
use crate::book::Book;
use crate::random::Random;
use crate::venue::{self, Counts, Event, Lost, Step, VenueState};

/// Symbols whose names are kept, so that each is one piece of memory; an account may have orders in any instrument.
const NAMES_LIMIT: usize = 20_000;

/// Where a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// There is none, and one is to be made.
    Idle,
    /// It is on its way.
    Connecting,
    /// It stands, since then.
    Open { since_us: u64 },
    /// It is to be closed, and what comes on it is not looked at.
    Closing,
}

/// See the module.
pub struct Session {
    settings: KrakenSettings,
    dice: Random,
    phase: Phase,
    attempts: Attempts,
    pace: Pace,
    watchdog: Watchdog,
    subscriptions: Subscriptions,
    credential: Option<Credential>,
    /// How the venue is, as it said on this connection.
    state: Option<VenueState>,
    /// Since when the venue can be asked for something.
    ready_us: Option<u64>,
    /// Whether the precisions of instruments are known on this connection.
    knows_instruments: bool,
    silences: Silences,
    books: Books,
    rebuilds: Rebuilds,
    trades: Trades,
    account: Account,
    complaints: Complaints,
    names: HashSet<Arc<str>, FixedState>,
    /// Why the connection is to be closed.
    broken: Option<String>,
    /// What came up where nothing can be told; it is with the next step.
    untold: Vec<Event>,
    is_connected_told: bool,
    /// Nothing is to be done before, by the monotonic clock; 0 after anything that may change that.
    wake_us: u64,
    counts: Counts,
}

impl Session {
    /// A session by these settings; the seed is for the waits between connections.
    ///
    /// # Errors
    /// The settings ask for what the venue does not have.
    pub fn new(settings: KrakenSettings, seed: u64) -> Result<Self, SettingsError> {
        settings.check()?;
        let mut books = Books::new();
        if settings.wants(&VenueChannel::Book) {
            settings.symbols.iter().for_each(|symbol| books.watch(symbol, settings.depth));
        }
        Ok(Session {
            dice: Random::new(seed),
            phase: Phase::Idle,
            attempts: Attempts::new(settings.attempts),
            pace: Pace::new(settings.requests_per_second, settings.request_burst),
            watchdog: Watchdog::default(),
            subscriptions: Subscriptions::new(&settings),
            credential: (settings.access == Access::Private).then(Credential::new),
            state: None,
            ready_us: None,
            knows_instruments: false,
            silences: Silences::new(&settings.patience.silence),
            books,
            rebuilds: Rebuilds::default(),
            trades: Trades::default(),
            account: Account::new(),
            complaints: Complaints::default(),
            names: settings.symbols.iter().cloned().collect(),
            broken: None,
            untold: Vec::new(),
            is_connected_told: false,
            wake_us: 0,
            counts: Counts::default(),
            settings,
        })
    }

    /// The one piece of memory with this name.
    fn name(&mut self, symbol: &str) -> Arc<str> {
        if let Some(name) = self.names.get(symbol) {
            return name.clone();
        }
        let name: Arc<str> = symbol.into();
        if self.names.len() < NAMES_LIMIT {
            self.names.insert(name.clone());
        }
        name
    }

    /// Whether the venue can be asked for something, or when.
    fn ready(&self, now: Now, since_us: u64) -> Result<(), u64> {
        match self.state {
            Some(VenueState::Maintenance) => Err(u64::MAX),
            Some(_) => Ok(()),
            None => reached(now, since_us, self.settings.patience.status),
        }
    }

    /// Whether books may be asked for, and when they may at the latest.
    fn gate(&mut self, now: Now) -> (Gate, u64) {
        let is_settled = self.knows_instruments || self.subscriptions.is_refused(&VenueChannel::Instrument);
        let since_us = *self.ready_us.get_or_insert(now.mono_us);
        match reached(now, since_us, self.settings.patience.instruments) {
            Err(at_us) if !is_settled => (Gate::NoBooks, at_us),
            _ => (Gate::Open, u64::MAX),
        }
    }

    /// What an open connection is to do.
    fn serve(&mut self, now: Now, since_us: u64, events: &mut Vec<Event>) -> Step {
        if now.mono_us < self.wake_us {
            return Step::Wait { until_us: self.wake_us };
        }
        if let Some(why) = self.broken.take() {
            self.phase = Phase::Closing;
            return Step::Close { why };
        }
        let mut wake_us = match self.look_alive(now) {
            Ok(until_us) => until_us,
            Err(step) => return step,
        };
        self.look_after(now, events);
        wake_us = wake_us.min(self.look_at_silences(now, events)).min(self.rebuilds.due_us());
        match self.ask(now, since_us, events) {
            Ok(step) => step,
            Err(until_us) => {
                self.wake_us = wake_us.min(until_us).min(self.subscriptions.due_us(now));
                Step::Wait { until_us: self.wake_us }
            }
        }
    }

    /// Until when the connection is taken to live, or what to do about it.
    fn look_alive(&mut self, now: Now) -> Result<u64, Step> {
        let patience = &self.settings.patience;
        let pong = match self.state {
            Some(VenueState::Maintenance) => patience.maintenance,
            _ => patience.pong,
        };
        match self.watchdog.look(now, patience.idle, pong) {
            Quiet::Until(until_us) => Ok(until_us),
            Quiet::Ask => {
                self.pace.take_anyway(now);
                Err(Step::Send(ping(self.subscriptions.next_req_id())))
            }
            Quiet::Dead(since) => {
                self.phase = Phase::Closing;
                Err(Step::Close {
                    why: format!("nothing has come for {since:?}, not even an answer to a ping"),
                })
            }
        }
    }

    /// What is overdue: answers, and snapshots of books.
    fn look_after(&mut self, now: Now, events: &mut Vec<Event>) {
        self.subscriptions.on_time(now, &mut self.counts, events);
        for symbol in self.rebuilds.take_overdue(now) {
            events.push(Event::BookLost { symbol: symbol.clone(), why: Lost::Unanswered });
            self.rebuild(&symbol, now);
        }
    }

    fn look_at_silences(&mut self, now: Now, events: &mut Vec<Event>) -> u64 {
        match self.state {
            // Who has said nothing of its state has no reason to be silent.
            Some(VenueState::Online) | None => self.silences.look(now, &mut self.counts, events),
            _ => u64::MAX,
        }
    }

    /// The next thing to ask the venue for, or when there may be one.
    fn ask(&mut self, now: Now, since_us: u64, events: &mut Vec<Event>) -> Result<Step, u64> {
        self.ready(now, since_us)?;
        if let Some(credential) = &mut self.credential {
            if let Some(after) = credential.take_wish() {
                return Ok(Step::FetchToken { after });
            }
            if credential.token().is_none() {
                return Err(u64::MAX);
            }
        }
        let (gate, gate_us) = self.gate(now);
        if !self.subscriptions.has_due(now, gate) {
            self.tell_connected(events);
            return Err(gate_us);
        }
        self.pace.take(now)?;
        let Some(request) = self.subscriptions.take(now, gate) else { return Err(gate_us) };
        let token = self.credential.as_ref().and_then(Credential::token);
        Ok(Step::Send(request.text(&self.settings, token)))
    }

    fn tell_connected(&mut self, events: &mut Vec<Event>) {
        // Anybody may ask; only what is held shows that an account's token is believed.
        let is_let_in = self.credential.is_none() || self.subscriptions.is_any_held();
        if !self.is_connected_told && is_let_in && self.subscriptions.is_all_asked() {
            self.is_connected_told = true;
            events.push(Event::Connected);
        }
    }

    /// A book is not to be used: it is fetched anew, later the more often that was in vain.
    fn rebuild(&mut self, symbol: &Arc<str>, now: Now) {
        let again_us = self.rebuilds.on_lost(symbol, now);
        self.books.watch(symbol, self.settings.depth);
        self.silences.pause(&VenueChannel::Book, symbol);
        self.subscriptions.renew_one(&VenueChannel::Book, symbol, now, again_us);
        self.counts.resyncs += 1;
        self.wake_us = 0;
    }

    fn lose_books(&mut self, why: &Lost, events: &mut Vec<Event>) {
        for symbol in self.rebuilds.lose_all() {
            events.push(Event::BookLost { symbol, why: why.clone() });
        }
        self.books.wait_for_snapshots();
    }

    /// An account's events of the time between two connections come only as far as the venue remembers them.
    fn tell_private_gaps(&self, events: &mut Vec<Event>) {
        for channel in [VenueChannel::Executions, VenueChannel::Balances] {
            if self.subscriptions.is_held(&channel) {
                events.push(Event::Gap { channel, symbol: None, why: Lost::Disconnected });
            }
        }
    }

    fn break_off(&mut self, why: String) {
        self.broken.get_or_insert(why);
        self.wake_us = 0;
    }
}

/// Whether so long has passed since then, or when it will have.
fn reached(now: Now, since_us: u64, patience: Duration) -> Result<(), u64> {
    let at_us = since_us.saturating_add(tapeline_core::clock::micros(patience));
    if now.mono_us >= at_us { Ok(()) } else { Err(at_us) }
}

impl venue::Session for Session {
    fn next(&mut self, now: Now, events: &mut Vec<Event>) -> Step {
        events.append(&mut self.untold);
        match self.phase {
            Phase::Idle => {
                self.phase = Phase::Connecting;
                let after = self.attempts.next(now, self.dice.fraction());
                Step::Connect { url: self.settings.url.clone(), after }
            }
            Phase::Connecting | Phase::Closing => Step::Wait { until_us: u64::MAX },
            Phase::Open { since_us } => self.serve(now, since_us, events),
        }
    }

    fn on_open(&mut self, now: Now) {
        self.phase = Phase::Open { since_us: now.mono_us };
        self.counts.connections += 1;
        self.watchdog.on_frame(now);
        self.subscriptions.begin_anew();
        self.account.begin_anew();
        if let Some(credential) = &mut self.credential {
            credential.begin_anew();
        }
        self.wake_us = 0;
    }

    fn on_alive(&mut self, now: Now) {
        self.watchdog.on_frame(now);
    }

    fn on_text(&mut self, text: &str, now: Now, events: &mut Vec<Event>) {
        events.append(&mut self.untold);
        let is_open = matches!(self.phase, Phase::Open { .. });
        if !is_open || self.broken.is_some() {
            self.counts.late += 1;
            return;
        }
        self.counts.messages += 1;
        self.watchdog.on_frame(now);
        self.hear(text, now, events);
    }

    fn on_closed(&mut self, why: &str, now: Now, events: &mut Vec<Event>) {
        events.append(&mut self.untold);
        if let Phase::Open { since_us } = self.phase
            && reached(now, since_us, self.settings.patience.steady).is_ok()
        {
            self.attempts.reset();
        }
        self.counts.disconnects += 1;
        self.lose_books(&Lost::Disconnected, events);
        self.tell_private_gaps(events);
        self.subscriptions.begin_anew();
        self.silences.forget();
        (self.phase, self.state, self.ready_us, self.broken) = (Phase::Idle, None, None, None);
        (self.knows_instruments, self.is_connected_told, self.wake_us) = (false, false, 0);
        events.push(Event::Disconnected { why: why.into() });
    }

    fn on_token(&mut self, token: Result<String, String>, _now: Now) {
        self.wake_us = 0;
        let first_req_id = self.subscriptions.peek_req_id();
        let Some(credential) = &mut self.credential else { return };
        match token {
            Ok(token) => credential.on_token(token, first_req_id),
            Err(error) if Refusal::of(&error) == Refusal::ForGood => {
                credential.on_denial();
                self.subscriptions.refuse_all(&error, &mut self.counts, &mut self.untold);
            }
            Err(error) => {
                tracing::warn!("no token for {}: {error}", self.settings.source);
                credential.on_failure(self.dice.fraction());
            }
        }
    }

    fn book(&self, symbol: &str) -> Option<&Book> {
        self.books.book(symbol)
    }

    fn counts(&self) -> &Counts {
        &self.counts
    }
}

#[cfg(test)]
mod tests;
