//! What the venue's messages say, taken in: each becomes events, and what it changes in the session. It sends nothing;
//! that is for the next step.

use std::sync::Arc;

use bytes::Bytes;
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use serde::Deserialize;
use serde_json::value::RawValue;
use tapeline_core::Now;
use tapeline_core::feed::{Update, UpdateKind, VenueChannel};

use super::super::books::Outcome;
use super::super::complaints::cut;
use super::super::message::{
    Answer, Balances, BookMessage, Instruments, Items, Message, Status, Text, Trade,
};
use super::super::private::{Numbered, Told};
use super::super::rebuilds::overdue_us;
use super::super::subscriptions::Verdict;
use super::super::trades::Place;
use super::Session;
use crate::venue::{Event, Lost, VenueState};

/// Rows of one message of a book for each level of its depth, and some more: more are not those of such a book, and
/// would cost much.
const ROWS_A_LEVEL: usize = 4;
const ROWS_MORE: usize = 1_000;

/// A message's elements as they came.
#[derive(Deserialize)]
struct Elements<'a> {
    #[serde(borrow)]
    data: Vec<&'a RawValue>,
}

/// What one element of a message brings.
struct Piece<'a> {
    channel: VenueChannel,
    kind: UpdateKind,
    symbol: Option<Arc<str>>,
    raw: &'a str,
    id: Option<Box<str>>,
    sequence: Option<u64>,
    timestamp: Option<&'a str>,
}

impl Session {
    pub(super) fn hear(&mut self, text: &str, now: Now, events: &mut Vec<Event>) {
        match Message::parse(text) {
            Ok(message) => self.handle(message, text, now, events),
            Err(error) if error.is_of_book(text) => {
                self.counts.malformed += 1;
                self.on_unreadable_book(text, now, events);
            }
            Err(error) if error.is_stray() => self.counts.strays += 1,
            Err(error) => {
                // Its words may be an account's: what cannot be read is not shown.
                tracing::debug!("a message of {} cannot be read: {error}", self.settings.source);
                self.counts.malformed += 1;
            }
        }
    }

    /// A change of a book is not known. The checksum is of ten levels, so it may never tell: the book is fetched anew,
    /// and where it cannot be seen which one, all are.
    fn on_unreadable_book(&mut self, text: &str, now: Now, events: &mut Vec<Event>) {
        let named = only_symbol(text).and_then(|symbol| self.names.get(symbol).cloned());
        match named.filter(|symbol| self.books.state(symbol).is_some()) {
            Some(symbol) => self.lose_book(&symbol, now, events),
            None => self.books.whole().iter().for_each(|symbol| self.lose_book(symbol, now, events)),
        }
    }

    fn lose_book(&mut self, symbol: &Arc<str>, now: Now, events: &mut Vec<Event>) {
        if self.books.book(symbol).is_some() {
            events.push(Event::BookLost { symbol: symbol.clone(), why: Lost::Malformed });
            self.rebuild(symbol, now);
        }
    }

    fn handle(&mut self, message: Message<'_>, text: &str, now: Now, events: &mut Vec<Event>) {
        use VenueChannel as C;
        match message {
            Message::Book(message) => self.on_book(message, now, events),
            Message::Ticker(items) => {
                for item in &items.items {
                    let timestamp = item.fields.timestamp.as_deref();
                    self.on_item(
                        C::Ticker,
                        &item.fields.symbol,
                        items.kind,
                        item.raw,
                        timestamp,
                        now,
                        events,
                    );
                }
            }
            Message::Ohlc(items) => {
                let timestamp = items.timestamp.as_deref();
                for item in &items.items {
                    self.on_item(C::Ohlc, &item.fields.symbol, items.kind, item.raw, timestamp, now, events);
                }
            }
            Message::Trade(items) => self.on_trades(items, now, events),
            Message::Executions(items) => {
                if self.is_in_order(&C::Executions, items.kind, items.sequence, events) {
                    let tells_open = self.settings.snap_orders;
                    let told = self.account.handle_executions(&items, tells_open, now, &mut self.counts);
                    told.into_iter().for_each(|told| self.tell_private(C::Executions, told, now, events));
                }
            }
            Message::Balances(balances) => self.on_balances(&balances, now, events),
            Message::Instrument(instruments) => self.on_instruments(&instruments, now, events),
            Message::Status(status) => self.on_status(&status, text, now, events),
            Message::Heartbeat => self.pass_on(C::Heartbeat, text, now, events),
            Message::Answer(answer) => self.on_answer(&answer, now, events),
            Message::Error(error) => self.on_error(&error, now),
            Message::Pong { .. } | Message::Other { .. } => {}
        }
    }

    /// An element of a channel by symbol, if anybody asked for it.
    #[expect(clippy::too_many_arguments, reason = "an element, where it stands, and when it came")]
    fn on_item(
        &mut self,
        channel: VenueChannel,
        symbol: &Text<'_>,
        kind: UpdateKind,
        raw: &str,
        timestamp: Option<&str>,
        now: Now,
        events: &mut Vec<Event>,
    ) {
        let Some(symbol) = self.asked_for(&channel, symbol) else { return };
        self.on_data(&channel, &symbol, kind, now, events);
        let piece = Piece { channel, kind, symbol: Some(symbol), raw, id: None, sequence: None, timestamp };
        events.push(Event::Update(self.update(piece, now)));
    }

    /// The symbol, if the session subscribes to this channel of it.
    fn asked_for(&mut self, channel: &VenueChannel, symbol: &str) -> Option<Arc<str>> {
        let known = self.names.get(symbol).filter(|_| self.settings.wants(channel)).cloned();
        if known.is_none() {
            self.counts.ignored += 1;
        }
        known
    }

    fn on_data(
        &mut self,
        channel: &VenueChannel,
        symbol: &Arc<str>,
        kind: UpdateKind,
        now: Now,
        events: &mut Vec<Event>,
    ) {
        self.silences.on_data(channel, symbol, now, events);
        if kind == UpdateKind::Snapshot && self.subscriptions.on_snapshot(channel, Some(symbol), events) {
            self.silences.watch(channel, symbol, now);
        }
    }

    fn on_book(&mut self, message: BookMessage<'_>, now: Now, events: &mut Vec<Event>) {
        let Some(symbol) = self.asked_for(&VenueChannel::Book, &message.symbol) else { return };
        if message.rows.len() > ROWS_A_LEVEL * self.settings.depth + ROWS_MORE {
            self.counts.malformed += 1;
            self.lose_book(&symbol, now, events);
            return;
        }
        // One of a subscription that is to end would be a book that nothing keeps right.
        let is_snapshot = message.kind == UpdateKind::Snapshot;
        if is_snapshot && !self.subscriptions.is_expected(&VenueChannel::Book, &symbol) {
            self.counts.ignored += 1;
            return;
        }
        self.on_data(&VenueChannel::Book, &symbol, message.kind, now, events);
        match self.books.handle(message, now) {
            Outcome::Applied(change) => {
                if change.is_snapshot {
                    self.rebuilds.on_whole(&symbol, now);
                }
                events.push(Event::Book(change));
            }
            Outcome::Ignored => self.counts.ignored += 1,
            Outcome::Mismatch { expected, found } => {
                self.counts.checksum_failures += 1;
                let why = Lost::Checksum { expected, found };
                events.push(Event::BookLost { symbol: symbol.clone(), why });
                self.rebuild(&symbol, now);
            }
        }
    }

    fn on_trades(&mut self, mut items: Items<'_, Trade<'_>>, now: Now, events: &mut Vec<Event>) {
        // Numbers only grow, in whichever order a snapshot has them.
        items.items.sort_by_key(|item| item.fields.trade_id);
        self.look_at_numbers(&items, events);
        for item in &items.items {
            let Some(symbol) = self.asked_for(&VenueChannel::Trade, &item.fields.symbol) else { continue };
            self.on_data(&VenueChannel::Trade, &symbol, items.kind, now, events);
            let number = item.fields.trade_id;
            match self.trades.handle(&symbol, number) {
                Place::Next => {}
                Place::Repeated => {
                    self.counts.repeated += 1;
                    continue;
                }
                Place::After(from, to) => {
                    self.on_gap(VenueChannel::Trade, Some(symbol.clone()), from, to, events);
                }
            }
            let piece = Piece {
                channel: VenueChannel::Trade,
                kind: items.kind,
                id: Some(format!("{symbol}:{number}").into()),
                symbol: Some(symbol),
                raw: item.raw,
                sequence: Some(number),
                timestamp: item.fields.timestamp.as_deref(),
            };
            events.push(Event::Update(self.update(piece, now)));
        }
    }

    /// Whether an instrument's trades are numbered anew, by the highest number that the message has of it.
    fn look_at_numbers(&mut self, items: &Items<'_, Trade<'_>>, events: &mut Vec<Event>) {
        let mut highest: HashMap<&str, u64, FixedState> = HashMap::default();
        for item in &items.items {
            highest.insert(&item.fields.symbol, item.fields.trade_id);
        }
        for (symbol, highest) in highest {
            if self.trades.begins_anew(symbol, highest, items.kind) {
                self.counts.gaps += 1;
                let symbol = self.names.get(symbol).cloned();
                events.push(Event::Gap { channel: VenueChannel::Trade, symbol, why: Lost::Renumbered });
            }
        }
    }

    fn on_gap(
        &mut self,
        channel: VenueChannel,
        symbol: Option<Arc<str>>,
        from: u64,
        to: u64,
        events: &mut Vec<Event>,
    ) {
        self.counts.gaps = self.counts.gaps.saturating_add((to - from).saturating_add(1));
        events.push(Event::Gap { channel, symbol, why: Lost::Numbers { from, to } });
    }

    /// Whether a message of an account's is to be looked at. Where one is missing before it, it is, because a fill that is
    /// at hand is not to be lost too; but what follows comes by a new snapshot.
    fn is_in_order(
        &mut self,
        channel: &VenueChannel,
        kind: UpdateKind,
        sequence: Option<u64>,
        events: &mut Vec<Event>,
    ) -> bool {
        if !self.settings.wants(channel) {
            self.counts.ignored += 1;
            return false;
        }
        if kind == UpdateKind::Snapshot && self.subscriptions.on_snapshot(channel, None, events) {
            self.wake_us = 0;
        }
        match self.account.number(channel, kind, sequence) {
            Numbered::Next => true,
            Numbered::Repeated => {
                self.counts.repeated += 1;
                false
            }
            Numbered::After(from, to) => {
                self.on_gap(channel.clone(), None, from, to, events);
                self.break_off(format!("messages {from} to {to} of {channel} are missing"));
                true
            }
            Numbered::Strange => {
                self.break_off(format!("the messages of {channel} are numbered anew"));
                false
            }
        }
    }

    fn on_balances(&mut self, balances: &Balances<'_>, now: Now, events: &mut Vec<Event>) {
        let (kind, sequence) = match balances {
            Balances::Snapshot(items) => (UpdateKind::Snapshot, items.sequence),
            Balances::Change(items) => (UpdateKind::Change, items.sequence),
        };
        if self.is_in_order(&VenueChannel::Balances, kind, sequence, events)
            && let Some(told) = self.account.handle_balances(balances, &mut self.counts)
        {
            self.tell_private(VenueChannel::Balances, told, now, events);
        }
    }

    fn tell_private(&mut self, channel: VenueChannel, told: Told, now: Now, events: &mut Vec<Event>) {
        let symbol = told.symbol.map(|symbol| self.name(&symbol));
        events.push(Event::Update(Update {
            source: self.settings.source.clone(),
            channel,
            kind: told.kind,
            symbol,
            data: told.data.into(),
            id: told.id.map(Into::into),
            // The venue counts anew with each connection.
            sequence: None,
            venue_us: told.timestamp.as_deref().and_then(venue_us),
            received: now,
        }));
    }

    fn on_instruments(&mut self, instruments: &Instruments<'_>, now: Now, events: &mut Vec<Event>) {
        self.books.handle_instruments(instruments);
        if instruments.kind == UpdateKind::Snapshot {
            self.subscriptions.on_snapshot(&VenueChannel::Instrument, None, events);
            self.knows_instruments = true;
            self.wake_us = 0;
        }
        if !self.settings.wants(&VenueChannel::Instrument) {
            return;
        }
        let kind = instruments.kind;
        let pairs = instruments.pairs.iter().map(|pair| (Some(&*pair.fields.symbol), pair.raw));
        let assets = instruments.assets.iter().map(|asset| (None, asset.raw));
        for (symbol, raw) in assets.chain(pairs) {
            let symbol = symbol.map(|symbol| self.name(symbol));
            let channel = VenueChannel::Instrument;
            let piece = Piece { channel, kind, symbol, raw, id: None, sequence: None, timestamp: None };
            events.push(Event::Update(self.update(piece, now)));
        }
    }

    fn on_status(&mut self, status: &Status<'_>, text: &str, now: Now, events: &mut Vec<Event>) {
        let state = match &*status.system {
            "online" => VenueState::Online,
            "cancel_only" | "post_only" => VenueState::Limited,
            "maintenance" => VenueState::Maintenance,
            _ => VenueState::Unknown,
        };
        let before = self.state.replace(state);
        if before != Some(state) {
            (self.wake_us, self.ready_us) = (0, None);
            self.silences.begin_anew(now);
            events.push(Event::State(state));
        }
        if before == Some(VenueState::Maintenance) && state != VenueState::Maintenance {
            self.lose_books(&Lost::Maintenance, events);
            self.subscriptions.renew(now);
        }
        if let Ok(Elements { data }) = serde_json::from_str(text) {
            data.iter().for_each(|element| self.pass_on(VenueChannel::Status, element.get(), now, events));
        }
    }

    /// What comes by itself, for those who want it.
    fn pass_on(&mut self, channel: VenueChannel, raw: &str, now: Now, events: &mut Vec<Event>) {
        if self.settings.wants(&channel) {
            let kind = UpdateKind::Change;
            let piece = Piece { channel, kind, symbol: None, raw, id: None, sequence: None, timestamp: None };
            events.push(Event::Update(self.update(piece, now)));
        }
    }

    fn on_answer(&mut self, answer: &Answer<'_>, now: Now, events: &mut Vec<Event>) {
        let (silences, rebuilds, mut is_held) = (&mut self.silences, &mut self.rebuilds, false);
        let by_us = overdue_us(now, self.settings.patience.snapshot);
        let on_held = |channel: &VenueChannel, symbol: Option<&Arc<str>>| {
            is_held = true;
            let Some(symbol) = symbol else { return };
            silences.watch(channel, symbol, now);
            if *channel == VenueChannel::Book {
                rebuilds.on_asked(symbol, by_us);
            }
        };
        let verdict = self.subscriptions.handle(answer, now, &mut self.counts, events, on_held);
        let is_waited_for = self.credential.is_some() && !self.is_connected_told;
        self.wake_us = if is_held && !is_waited_for { self.wake_us.min(by_us) } else { 0 };
        let fraction = self.dice.fraction();
        let credential = self.credential.as_mut();
        match verdict {
            Verdict::Fine if is_held => {
                credential.into_iter().for_each(|credential| credential.on_accepted())
            }
            Verdict::Fine => {}
            Verdict::TooFast => self.pace.slow_down(now),
            Verdict::BadToken => {
                tracing::warn!("{} does not believe the token", self.settings.source);
                let req_id = answer.req_id.unwrap_or_default();
                credential.into_iter().for_each(|credential| credential.on_refused(req_id, fraction));
            }
        }
    }

    /// About the connection, not about a request.
    fn on_error(&mut self, error: &str, now: Now) {
        if let Some(count) = self.complaints.take(now) {
            tracing::warn!(count, "{} says: {}", self.settings.source, cut(error));
        }
        self.pace.slow_down(now);
        self.wake_us = 0;
    }

    fn update(&self, piece: Piece<'_>, received: Now) -> Update {
        Update {
            source: self.settings.source.clone(),
            channel: piece.channel,
            kind: piece.kind,
            symbol: piece.symbol,
            data: Bytes::copy_from_slice(piece.raw.as_bytes()),
            id: piece.id,
            sequence: piece.sequence,
            venue_us: piece.timestamp.and_then(venue_us),
            received,
        }
    }
}

/// The instrument that a text names, if it names one only.
fn only_symbol(text: &str) -> Option<&str> {
    let mut after = text.split(r#""symbol":""#).skip(1);
    let (symbol, _) = after.next()?.split_once('"')?;
    after.next().is_none().then_some(symbol)
}

/// Microseconds since 1970 of a time as the venue writes it.
fn venue_us(timestamp: &str) -> Option<u64> {
    let timestamp: jiff::Timestamp = timestamp.parse().ok()?;
    u64::try_from(timestamp.as_microsecond()).ok()
}
