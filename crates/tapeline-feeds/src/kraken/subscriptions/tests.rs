//! Subscriptions: batches, answers for each symbol, and what is asked again.

use super::*;
use crate::kraken::message::Message;

fn settings(symbols: usize) -> KrakenSettings {
    KrakenSettings {
        symbols: (0..symbols).map(|number| format!("S{number}/USD").into()).collect(),
        channels: vec![VenueChannel::Ticker],
        ..KrakenSettings::default()
    }
}

struct Asking {
    subscriptions: Subscriptions,
    now: Now,
    counts: Counts,
    events: Vec<Event>,
    held: usize,
}

impl Asking {
    fn new(settings: &KrakenSettings) -> Self {
        let now = Now { mono_us: 1_000_000, wall_us: 0 };
        let subscriptions = Subscriptions::new(settings);
        Asking { subscriptions, now, counts: Counts::default(), events: Vec::new(), held: 0 }
    }

    fn take(&mut self) -> Option<Request> {
        self.subscriptions.take(self.now, Gate::Open)
    }

    fn answer(&mut self, text: &str) -> Verdict {
        let Ok(Message::Answer(answer)) = Message::parse(text) else { panic!("{text}") };
        let held = &mut self.held;
        let on_held = |_: &VenueChannel, _: Option<&Arc<str>>| *held += 1;
        self.subscriptions.handle(&answer, self.now, &mut self.counts, &mut self.events, on_held)
    }

    fn accept(&mut self, req_id: u64, symbol: &str) -> Verdict {
        self.answer(&format!(
            r#"{{"method":"subscribe","req_id":{req_id},"success":true,"result":{{"channel":"ticker","symbol":"{symbol}"}}}}"#
        ))
    }

    fn refuse(&mut self, req_id: u64, symbol: &str, error: &str) -> Verdict {
        self.answer(&format!(
            r#"{{"method":"subscribe","req_id":{req_id},"success":false,"error":"{error}","symbol":"{symbol}"}}"#
        ))
    }

    fn pass(&mut self, seconds: u64) {
        self.now.mono_us += seconds * 1_000_000;
        self.subscriptions.on_time(self.now, &mut self.counts, &mut self.events);
    }
}

#[test]
fn two_hundred_and_fifty_symbols_are_three_requests_with_numbers_of_their_own() {
    let mut asking = Asking::new(&settings(250));
    let requests: Vec<_> = std::iter::from_fn(|| asking.take()).collect();
    let shape: Vec<_> = requests.iter().map(|request| (request.req_id, request.symbols.len())).collect();
    assert_eq!(shape, [(1, 100), (2, 100), (3, 50)]);
    assert!(asking.subscriptions.is_all_asked());
}

#[test]
fn of_one_request_some_may_be_held_some_refused_for_good_and_some_asked_again() {
    let mut asking = Asking::new(&settings(4));
    asking.take();
    asking.accept(1, "S0/USD");
    asking.refuse(1, "S1/USD", "Currency pair not supported S1/USD");
    asking.refuse(1, "S2/USD", "EService:Busy");
    assert_eq!((asking.held, asking.counts.refused, asking.counts.retries), (1, 1, 1));
    assert!(
        matches!(&asking.events[..], [Event::Refused { symbol: Some(symbol), .. }] if &**symbol == "S1/USD")
    );
    assert_eq!(asking.take(), None);
    asking.pass(1);
    assert_eq!(asking.take().unwrap().symbols, ["S2/USD".into()]);
    // The fourth was never answered.
    asking.pass(4);
    asking.pass(1);
    assert_eq!(asking.take().unwrap().symbols, ["S3/USD".into()]);
    asking.subscriptions.begin_anew();
    let again = asking.take().unwrap().symbols;
    assert_eq!(
        again,
        ["S0/USD".into(), "S2/USD".into(), "S3/USD".into()],
        "what was refused for good is left alone"
    );
}

#[test]
fn what_the_venue_says_at_length_is_cut() {
    let mut asking = Asking::new(&settings(1));
    asking.take();
    asking.refuse(1, "S0/USD", &format!("Currency pair not supported {}", "x".repeat(100_000)));
    assert!(matches!(&asking.events[..], [Event::Refused { error, .. }] if error.len() == 200));
}

#[test]
fn what_is_never_answered_is_told_once_and_asked_for_ever() {
    let mut asking = Asking::new(&settings(1));
    let (mut asked, mut at) = (0, Vec::new());
    for second in 0..600 {
        if asking.take().is_some() {
            asked += 1;
            at.push(second);
        }
        asking.pass(1);
    }
    assert_eq!(&at[..5], [0, 6, 13, 22, 35]);
    assert!(asked > 12, "{asked}");
    assert!(matches!(&asking.events[..], [Event::Unanswered { error: None, .. }]), "{:?}", asking.events);
}

#[test]
fn what_was_told_as_unanswered_is_told_again_once_it_is_held() {
    let mut asking = Asking::new(&settings(1));
    let mut last = 0;
    for _ in 0..30 {
        last = asking.take().map_or(last, |request| request.req_id);
        asking.pass(1);
    }
    while asking.take().is_none() {
        asking.pass(1);
    }
    asking.accept(last + 1, "S0/USD");
    assert!(
        matches!(&asking.events[..], [Event::Unanswered { .. }, Event::Held { symbol: Some(_), .. }]),
        "{:?}",
        asking.events
    );
}

#[test]
fn an_answer_to_another_request_changes_nothing() {
    let mut asking = Asking::new(&settings(1));
    asking.take();
    asking.refuse(9, "S0/USD", "Currency pair not supported S0/USD");
    asking.accept(1, "S9/USD");
    asking.answer(r#"{"method":"subscribe","success":false,"error":"Unsupported event"}"#);
    assert_eq!((asking.held, asking.events.len()), (0, 0));
    asking.accept(1, "S0/USD");
    assert_eq!(asking.held, 1);
}

#[test]
fn a_rate_that_was_exceeded_and_a_token_that_is_not_believed_are_told() {
    let mut asking = Asking::new(&settings(2));
    asking.take();
    assert_eq!(asking.refuse(1, "S0/USD", "EAPI:Rate limit exceeded"), Verdict::TooFast);
    assert_eq!(asking.refuse(1, "S1/USD", "ESession:Invalid session"), Verdict::BadToken);
    assert_eq!(asking.take().unwrap().symbols, ["S1/USD".into()]);
}

#[test]
fn a_subscription_is_ended_before_it_is_asked_for_anew_and_not_before_its_time() {
    let mut asking = Asking::new(&settings(2));
    asking.take();
    asking.accept(1, "S0/USD");
    let again_us = asking.now.mono_us + 4_000_000;
    asking.subscriptions.renew_one(&VenueChannel::Ticker, "S0/USD", asking.now, again_us);
    let end = asking.take().unwrap();
    assert_eq!((end.method, end.symbols), (Method::Unsubscribe, vec!["S0/USD".into()]));
    asking.answer(r#"{"method":"unsubscribe","req_id":2,"success":false,"error":"Subscription not found","symbol":"S0/USD"}"#);
    asking.pass(3);
    assert_eq!(asking.take(), None);
    asking.pass(1);
    assert_eq!(asking.take().unwrap().method, Method::Subscribe);
}

#[test]
fn an_end_that_is_not_answered_is_taken_for_granted() {
    let mut asking = Asking::new(&settings(1));
    asking.take();
    asking.accept(1, "S0/USD");
    asking.subscriptions.renew(asking.now);
    assert_eq!(asking.take().unwrap().method, Method::Unsubscribe);
    asking.pass(5);
    assert_eq!(asking.take().unwrap().method, Method::Subscribe);
}

#[test]
fn candles_of_two_lengths_are_two_requests() {
    let mut settings = settings(2);
    settings.channels = vec![VenueChannel::Ohlc];
    settings.ohlc_intervals_minutes = vec![1, 60];
    let mut asking = Asking::new(&settings);
    let intervals: Vec<_> =
        std::iter::from_fn(|| asking.take()).map(|request| request.interval_minutes).collect();
    assert_eq!(intervals, [Some(1), Some(60)]);
}
