//! What is wrong with a feed that is connected to a venue, told once when it begins and once when it is over: on
//! `alerts:{source}`, in the log, and as a list for metrics. Pure: it is shown events and looked at once in a while. It
//! does not decide what a venue's session does about it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tapeline_core::Now;
use tapeline_core::alarm::{Alarm, Bad, Bounds, Turn};
use tapeline_core::command::Publication;
use tapeline_core::feed::VenueChannel;
use tapeline_core::stats::{FeedStats, RaisedRules};
use tapeline_schema::events::AlertState;

use crate::venue::{Event, VenueState};

/// A connection may be away for so long, and [`STEADY`] more.
const AWAY_S: f64 = 5.0;
/// So long it must stay away or stay, so that a venue that accepts and drops does not ring each time.
const STEADY: Duration = Duration::from_secs(5);
/// Asking for everything may take so long on a connection that stands.
const ASKING: Duration = Duration::from_secs(30);
/// A book may be fetched anew for so long.
const RESYNC: Duration = Duration::from_secs(10);
/// What cannot be made good is over when it has not happened again for so long.
const OVER: Duration = Duration::from_secs(60);

/// What a feed can be told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    /// Seconds without a connection, or with one on which not everything could be asked for in time.
    Disconnected,
    /// Channels without data although the connection lives.
    Silent,
    /// Books that are being fetched anew.
    BooksLost,
    /// Messages of orders or balances that are missing, within the last minute.
    Gaps,
    /// Critical messages that became dead letters, within the last minute.
    Spilled,
    /// Subscriptions that the venue refuses or does not answer.
    Unanswered,
    /// The venue is in maintenance, or says a word that is not known.
    Maintenance,
}

impl Rule {
    const ALL: [Self; 7] = [
        Self::Disconnected,
        Self::Silent,
        Self::BooksLost,
        Self::Gaps,
        Self::Spilled,
        Self::Unanswered,
        Self::Maintenance,
    ];

    fn name(self) -> &'static str {
        match self {
            Rule::Disconnected => "disconnected_seconds",
            Rule::Silent => "silent_channels",
            Rule::BooksLost => "books_lost",
            Rule::Gaps => "gaps",
            Rule::Spilled => "critical_spilled",
            Rule::Unanswered => "unanswered_subscriptions",
            Rule::Maintenance => "maintenance",
        }
    }

    fn bounds(self) -> Bounds {
        let (raise, hold) = match self {
            Rule::Disconnected => (AWAY_S, STEADY),
            Rule::BooksLost => (0.0, RESYNC),
            _ => (0.0, Duration::ZERO),
        };
        Bounds { bad: Bad::Above, raise, clear: 0.0, hold }
    }
}

/// A channel of one symbol.
type Place = (VenueChannel, Option<Arc<str>>);

/// What happened lately and cannot be made good.
#[derive(Default)]
struct Lately {
    count: u64,
    last_us: u64,
}

impl Lately {
    fn add(&mut self, more: u64, now: Now) {
        if more > 0 {
            (self.count, self.last_us) = (self.count + more, now.mono_us);
        }
    }

    fn count(&mut self, now: Now) -> u64 {
        if now.since(self.last_us) >= OVER {
            self.count = 0;
        }
        self.count
    }
}

/// See the module.
pub struct FeedAlerts {
    source: Arc<str>,
    alarms: [Alarm; Rule::ALL.len()],
    /// Since when there is no connection on which everything was asked for.
    away_us: Option<u64>,
    /// Since when one stands, as far as can be told by what comes on it.
    standing_us: Option<u64>,
    silent: HashSet<Place>,
    /// How many subscriptions of each place do not come about: candles have one for each length.
    unanswered: HashMap<Place, usize>,
    /// Those that never will.
    refused: HashSet<Place>,
    books_lost: HashSet<Arc<str>>,
    in_maintenance: bool,
    gaps: Lately,
    spilled: Lately,
    spilled_before: u64,
}

impl FeedAlerts {
    /// Alerts on `alerts:{source}`; the feed has yet to connect.
    pub fn new(source: &str, now: Now) -> Self {
        FeedAlerts {
            source: source.into(),
            alarms: Default::default(),
            away_us: Some(now.mono_us),
            standing_us: None,
            silent: HashSet::new(),
            unanswered: HashMap::new(),
            refused: HashSet::new(),
            books_lost: HashSet::new(),
            in_maintenance: false,
            gaps: Lately::default(),
            spilled: Lately::default(),
            spilled_before: 0,
        }
    }

    /// Takes in what a session tells.
    pub fn handle(&mut self, events: &[Event], now: Now) {
        events.iter().for_each(|event| self.handle_one(event, now));
    }

    fn handle_one(&mut self, event: &Event, now: Now) {
        match event {
            Event::Book(change) => {
                if change.is_snapshot && !self.books_lost.is_empty() {
                    self.books_lost.remove(&change.symbol);
                }
            }
            Event::BookLost { symbol, .. } => {
                self.books_lost.insert(symbol.clone());
            }
            // What anybody trades is numbered too, but only an account's own is a loss that somebody must know of.
            Event::Gap { channel, .. } if channel.is_private() => self.gaps.add(1, now),
            Event::Gap { .. } | Event::Update(_) => {}
            Event::Connected => self.away_us = None,
            Event::Disconnected { .. } => {
                self.away_us.get_or_insert(now.mono_us);
                (self.standing_us, self.in_maintenance) = (None, false);
                // Nothing can be said of them until it is back.
                self.silent.clear();
                self.books_lost.clear();
                self.unanswered.clear();
            }
            Event::State(state) => {
                self.standing_us.get_or_insert(now.mono_us);
                self.in_maintenance = matches!(state, VenueState::Maintenance | VenueState::Unknown);
                self.silent.clear();
            }
            Event::Refused { channel, symbol, .. } => {
                self.answer(channel, symbol.as_ref());
                self.refused.insert((channel.clone(), symbol.clone()));
            }
            Event::Unanswered { channel, symbol, .. } => {
                *self.unanswered.entry((channel.clone(), symbol.clone())).or_default() += 1;
            }
            Event::Held { channel, symbol } => self.answer(channel, symbol.as_ref()),
            Event::Silent { channel, symbol, .. } => {
                self.silent.insert((channel.clone(), symbol.clone()));
            }
            Event::Resumed { channel, symbol } => {
                self.silent.remove(&(channel.clone(), symbol.clone()));
            }
        }
    }

    /// One subscription of this place is not unanswered any more.
    fn answer(&mut self, channel: &VenueChannel, symbol: Option<&Arc<str>>) {
        let place = (channel.clone(), symbol.cloned());
        let Some(left) = self.unanswered.get_mut(&place) else { return };
        *left = left.saturating_sub(1);
        if *left == 0 {
            self.unanswered.remove(&place);
        }
    }

    /// Looks at everything, and appends what is to be published; call it about once a second.
    pub fn look(&mut self, stats: &FeedStats, now: Now, due: &mut Vec<Publication>) {
        let spilled = stats.spilled.read();
        self.spilled.add(spilled.saturating_sub(self.spilled_before), now);
        self.spilled_before = spilled;
        let raised = stats.venue().raised();
        for (at, rule) in Rule::ALL.into_iter().enumerate() {
            let (bounds, value) = (rule.bounds(), self.value(rule, now));
            let Some(alarm) = self.alarms.get_mut(at) else { continue };
            if let Some(turn) = alarm.look(&bounds, Some(value), now) {
                tell(&self.source, rule, &turn, raised);
                due.extend(publication(&self.source, rule, &turn));
            }
        }
    }

    /// How long the feed is away. A connection that stands stops the clock while everything is asked for, and only
    /// once it was does the clock begin anew.
    fn away(&self, now: Now) -> Duration {
        let Some(away_us) = self.away_us else { return Duration::ZERO };
        if self.in_maintenance {
            return Duration::ZERO;
        }
        let stands = self.standing_us.map_or(Duration::ZERO, |since_us| now.since(since_us));
        now.since(away_us).saturating_sub(stands.min(ASKING))
    }

    #[expect(clippy::cast_precision_loss, reason = "counts for people")]
    fn value(&mut self, rule: Rule, now: Now) -> f64 {
        match rule {
            Rule::Disconnected => self.away(now).as_secs_f64(),
            Rule::Silent => self.silent.len() as f64,
            Rule::BooksLost => self.books_lost.len() as f64,
            Rule::Gaps => self.gaps.count(now) as f64,
            Rule::Spilled => self.spilled.count(now) as f64,
            Rule::Unanswered => (self.unanswered.values().sum::<usize>() + self.refused.len()) as f64,
            Rule::Maintenance => f64::from(u8::from(self.in_maintenance)),
        }
    }
}

fn tell(source: &str, rule: Rule, turn: &Turn, raised: &RaisedRules) {
    match turn.state {
        AlertState::Raised => {
            raised.add(rule.name());
            tracing::warn!(feed = source, rule = rule.name(), value = turn.value, "alert raised");
        }
        AlertState::Resolved => {
            raised.remove(rule.name());
            tracing::info!(feed = source, rule = rule.name(), "alert resolved");
        }
    }
}

fn publication(source: &str, rule: Rule, turn: &Turn) -> Option<Publication> {
    let data = serde_json::to_vec(&turn.alert(source, rule.name(), &rule.bounds())).ok()?;
    Some(Publication {
        channel: format!("alerts:{source}").into(),
        data: data.into(),
        ..Publication::default()
    })
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::venue::Lost;

    struct Desk {
        alerts: FeedAlerts,
        stats: FeedStats,
        seconds: u64,
    }

    impl Desk {
        fn new() -> Self {
            Desk { alerts: FeedAlerts::new("kraken", at(0)), stats: FeedStats::default(), seconds: 0 }
        }

        fn say(&mut self, event: Event) {
            self.alerts.handle(&[event], at(self.seconds));
        }

        /// So many seconds, looked at each; answers rule and state of what is published.
        fn wait(&mut self, seconds: u64) -> Vec<(String, String)> {
            let mut due = Vec::new();
            for _ in 0..seconds {
                self.seconds += 1;
                self.alerts.look(&self.stats, at(self.seconds), &mut due);
            }
            let said = due.iter().map(|publication| {
                assert_eq!(&*publication.channel, "alerts:kraken");
                let alert: Value = serde_json::from_slice(&publication.data).unwrap();
                (alert["rule"].as_str().unwrap().to_string(), alert["state"].as_str().unwrap().to_string())
            });
            said.collect()
        }
    }

    fn at(seconds: u64) -> Now {
        Now { mono_us: seconds * 1_000_000, wall_us: seconds * 1_000_000 }
    }

    fn said(rule: &str, state: &str) -> Vec<(String, String)> {
        vec![(rule.to_string(), state.to_string())]
    }

    #[test]
    fn a_connection_that_stays_away_is_told_once_and_once_when_it_is_back() {
        let mut desk = Desk::new();
        assert_eq!(desk.wait(10), []);
        assert_eq!(desk.wait(60), said("disconnected_seconds", "raised"));
        assert_eq!(desk.stats.venue().raised().list(), ["disconnected_seconds"]);
        desk.say(Event::Connected);
        assert_eq!(desk.wait(60), said("disconnected_seconds", "resolved"));
        assert!(desk.stats.venue().raised().list().is_empty());
        desk.say(Event::Disconnected { why: "cut".into() });
        assert_eq!(desk.wait(5), []);
        desk.say(Event::Connected);
        assert_eq!(desk.wait(60), [], "it was back in time");
    }

    #[test]
    fn a_connection_that_stands_has_half_a_minute_to_ask_for_everything() {
        let mut desk = Desk::new();
        desk.say(Event::State(VenueState::Online));
        assert_eq!(desk.wait(38), []);
        assert_eq!(desk.wait(9), said("disconnected_seconds", "raised"));
        let mut desk = Desk::new();
        desk.say(Event::State(VenueState::Maintenance));
        assert_eq!(desk.wait(600), said("maintenance", "raised"), "it stands, and cannot be asked");
        desk.say(Event::Disconnected { why: "cut".into() });
        assert_eq!(desk.wait(1), said("maintenance", "resolved"));
    }

    #[test]
    fn a_venue_that_accepts_and_drops_rings_once() {
        let mut desk = Desk::new();
        let mut told = desk.wait(20);
        for _ in 0..20 {
            desk.say(Event::State(VenueState::Online));
            desk.say(Event::Connected);
            told.extend(desk.wait(3));
            desk.say(Event::Disconnected { why: "dropped".into() });
            told.extend(desk.wait(20));
        }
        assert_eq!(told, said("disconnected_seconds", "raised"));
    }

    #[test]
    fn data_that_stopped_on_a_living_connection_is_told() {
        let mut desk = Desk::new();
        desk.say(Event::Connected);
        let (channel, symbol): Place = (VenueChannel::Ticker, Some("BTC/USD".into()));
        desk.say(Event::Silent { channel: channel.clone(), symbol: symbol.clone(), since_us: 0 });
        assert_eq!(desk.wait(30), said("silent_channels", "raised"));
        desk.say(Event::Resumed { channel, symbol });
        assert_eq!(desk.wait(30), said("silent_channels", "resolved"));
    }

    #[test]
    fn a_book_that_is_soon_right_again_is_no_alert_and_one_that_is_not_is() {
        let mut desk = Desk::new();
        desk.say(Event::Connected);
        let lost =
            || Event::BookLost { symbol: "BTC/USD".into(), why: Lost::Checksum { expected: 1, found: 2 } };
        let whole = || {
            Event::Book(crate::venue::BookChange {
                symbol: "BTC/USD".into(),
                is_snapshot: true,
                rows: Vec::new(),
                checksum: None,
                timestamp: None,
                received: at(0),
            })
        };
        desk.say(lost());
        assert_eq!(desk.wait(5), []);
        desk.say(whole());
        assert_eq!(desk.wait(30), []);
        desk.say(lost());
        assert_eq!(desk.wait(30), said("books_lost", "raised"));
        desk.say(whole());
        assert_eq!(desk.wait(30), said("books_lost", "resolved"));
    }

    #[test]
    fn a_subscription_that_comes_about_is_no_alert_any_more_whatever_its_data_say() {
        let mut desk = Desk::new();
        desk.say(Event::Connected);
        let unanswered = |channel| Event::Unanswered { channel, symbol: None, error: None };
        desk.say(unanswered(VenueChannel::Executions));
        assert_eq!(desk.wait(9), said("unanswered_subscriptions", "raised"));
        desk.say(Event::Held { channel: VenueChannel::Executions, symbol: None });
        assert_eq!(desk.wait(9), said("unanswered_subscriptions", "resolved"));
        // Candles of two lengths are two subscriptions of one place.
        for _ in 0..2 {
            desk.say(unanswered(VenueChannel::Ohlc));
        }
        assert_eq!(desk.wait(9), said("unanswered_subscriptions", "raised"));
        desk.say(Event::Held { channel: VenueChannel::Ohlc, symbol: None });
        assert_eq!(desk.wait(9), []);
        desk.say(Event::Disconnected { why: "cut".into() });
        desk.say(Event::Connected);
        assert_eq!(desk.wait(9), said("unanswered_subscriptions", "resolved"));
    }

    #[test]
    fn what_is_refused_for_good_stays_an_alert_over_connections() {
        let mut desk = Desk::new();
        desk.say(Event::Connected);
        let (channel, symbol, error) = (VenueChannel::Ticker, Some("WWW/USD".into()), "no".into());
        desk.say(Event::Refused { channel, symbol, error });
        assert_eq!(desk.wait(9), said("unanswered_subscriptions", "raised"));
        desk.say(Event::Disconnected { why: "cut".into() });
        desk.say(Event::Connected);
        assert_eq!(desk.wait(9), []);
    }

    #[test]
    fn what_is_lost_for_good_is_over_a_minute_after_the_last() {
        let mut desk = Desk::new();
        desk.say(Event::Connected);
        let gap = |channel| Event::Gap { channel, symbol: None, why: Lost::Numbers { from: 2, to: 3 } };
        desk.say(gap(VenueChannel::Trade));
        assert_eq!(desk.wait(5), []);
        desk.say(gap(VenueChannel::Executions));
        assert_eq!(desk.wait(50), said("gaps", "raised"));
        desk.say(gap(VenueChannel::Executions));
        assert_eq!(desk.wait(50), []);
        assert_eq!(desk.wait(50), said("gaps", "resolved"));
        desk.stats.spilled.add(3);
        assert_eq!(desk.wait(50), said("critical_spilled", "raised"));
        assert_eq!(desk.wait(50), said("critical_spilled", "resolved"));
    }
}
