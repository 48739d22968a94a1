//! Which role gets what, and which of its methods is called.

use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use tapeline_core::feed::{Update, UpdateKind, VenueChannel};

use super::*;
use crate::component::{Component, Failure, Handling};
use crate::data::Data;
use crate::transform::Transform;

fn update(channel: &str, symbol: Option<&str>, data: &str) -> Arc<Update> {
    Arc::new(Update {
        source: "kraken".into(),
        channel: VenueChannel::named(channel),
        kind: UpdateKind::Change,
        symbol: symbol.map(Into::into),
        data: data.to_string().into(),
        id: None,
        sequence: None,
        venue_us: None,
        received: tapeline_core::Now::default(),
    })
}

/// The answer of a call that never waits.
fn answer(member: &Member, update: &Arc<Update>) -> Result<(), Failure> {
    let mut call = member.handle(update);
    match call.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer,
        Poll::Pending => panic!("it waits"),
    }
}

/// Notes which method was called with what.
#[derive(Clone, Default)]
struct Notes(Arc<Mutex<Vec<String>>>);

impl Notes {
    fn note<'a>(&self, words: &[&dyn std::fmt::Display]) -> Handling<'a> {
        let words: Vec<String> = words.iter().map(ToString::to_string).collect();
        self.0.lock().unwrap().push(words.join(" "));
        Box::pin(std::future::ready(Ok(())))
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }

    /// An object with methods that take what their arity says.
    fn object(&self, methods: &[(&'static str, Arity)]) -> Arc<dyn Object> {
        Arc::new(Noting(self.clone(), methods.to_vec()))
    }
}

struct Noting(Notes, Vec<(&'static str, Arity)>);

impl Object for Noting {
    fn method(&self, name: &str) -> Option<Arity> {
        self.1.iter().find(|(known, _)| *known == name).map(|(_, arity)| *arity)
    }

    fn call<'a>(&'a self, method: &'a str, with: Arguments<'a>) -> Handling<'a> {
        match self.method(method).unwrap() {
            Arity::Data => self.0.note(&[&method, with.data]),
            Arity::KeyAndData => self.0.note(&[&method, &with.key, with.data]),
        }
    }
}

const BALANCES: &str = r#"[{"asset":"BTC","balance":1.20}]"#;

/// What is called when one of each of the document's channels comes.
fn called(role: Role, methods: &[&'static str]) -> Vec<String> {
    let notes = Notes::default();
    let methods: Vec<_> = methods.iter().map(|name| (*name, Arity::KeyAndData)).collect();
    let member = Member::new(role, notes.object(&methods));
    for channel in ["balances", "executions", "ticker", "book", "ohlc", "trade", "heartbeat", "level3"] {
        let update = update(channel, Some("BTC/USD"), if channel == "balances" { BALANCES } else { "1" });
        if member.takes(&update.channel) {
            answer(&member, &update).unwrap();
        }
    }
    notes.take().iter().map(|line| line.split(' ').next().unwrap().to_owned()).collect()
}

#[test]
fn each_role_gets_the_channels_of_the_document() {
    let any = ["process_websocket_data"];
    let channels = |role| {
        let notes = Notes::default();
        let member = Member::new(role, notes.object(&[(any[0], Arity::Data)]));
        member.channels().iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(channels(Role::BalanceManager), ["balances", "executions"]);
    assert_eq!(channels(Role::TradingEngine), ["executions", "ticker", "book", "trade"]);
    assert_eq!(channels(Role::StrategyManager), ["ticker", "book", "ohlc"]);
    assert_eq!(channels(Role::RiskManager), ["ticker", "book", "trade", "ohlc"]);
    assert_eq!(called(Role::Custom, &any), [any[0]; 7]);
}

#[test]
fn each_role_is_called_by_the_documents_methods() {
    let trading = ["update_ticker", "update_orderbook", "process_execution"];
    let in_order = ["process_execution", "update_ticker", "update_orderbook"];
    assert_eq!(called(Role::TradingEngine, &trading), in_order);
    let strategy = ["on_ticker_update", "on_ohlc_update"];
    assert_eq!(called(Role::StrategyManager, &strategy), strategy);
    assert_eq!(called(Role::StrategyManager, &["on_book_update"]), ["on_book_update"]);
    let both = called(Role::StrategyManager, &["on_book_update", "on_orderbook_update"]);
    assert_eq!(both, ["on_orderbook_update"]);
    assert_eq!(called(Role::RiskManager, &["process_market_data"]), ["process_market_data"; 4]);
    assert_eq!(called(Role::Custom, &["process_market_data"]), ["process_market_data"; 4]);
    assert_eq!(called(Role::TradingEngine, &["on_trade_update"]), ["on_trade_update"]);
}

#[test]
fn a_balance_manager_gets_a_map_or_the_list_and_never_both() {
    let (map, list) = ("process_websocket_update", "_handle_balance_message");
    let notes = Notes::default();
    for (methods, expected) in [
        (vec![map, list], format!(r#"{map} {{"BTC":{{"asset":"BTC","balance":1.20}}}}"#)),
        (vec![list], format!("{list} {BALANCES}")),
    ] {
        let methods: Vec<_> = methods.into_iter().map(|name| (name, Arity::Data)).collect();
        let member = Member::new(Role::BalanceManager, notes.object(&methods));
        answer(&member, &update("balances", None, BALANCES)).unwrap();
        assert_eq!(notes.take(), [expected]);
    }
}

#[test]
fn arity_decides_whether_a_method_is_given_the_symbol() {
    let notes = Notes::default();
    let methods = [("on_ticker_update", Arity::KeyAndData), ("on_trade_update", Arity::Data)];
    let member = Member::new(Role::Custom, notes.object(&methods));
    answer(&member, &update("ticker", Some("BTC/USD"), "1")).unwrap();
    answer(&member, &update("trade", Some("BTC/USD"), "2")).unwrap();
    assert_eq!(notes.take(), ["on_ticker_update BTC/USD 1", "on_trade_update 2"]);
    let any = Member::new(Role::Custom, notes.object(&[("process_websocket_data", Arity::KeyAndData)]));
    answer(&any, &update("ticker", Some("BTC/USD"), "3")).unwrap();
    assert_eq!(notes.take(), ["process_websocket_data ticker 3"]);
}

#[test]
fn a_channel_without_a_name_of_its_own_is_called_by_its_name() {
    let notes = Notes::default();
    let object = notes.object(&[("on_news_update", Arity::Data)]);
    let member = Member::of(Role::Custom, object, vec![VenueChannel::named("news")]);
    answer(&member, &update("news", None, "1")).unwrap();
    assert_eq!(notes.take(), ["on_news_update 1"]);
}

#[test]
fn a_component_without_the_method_keeps_the_channel_and_does_not_take_it() {
    let member =
        Member::new(Role::StrategyManager, Notes::default().object(&[("on_ohlc_update", Arity::Data)]));
    assert!(member.channels().contains(&VenueChannel::Ticker));
    assert!(!member.takes(&VenueChannel::Ticker) && member.takes(&VenueChannel::Ohlc));
    assert!(!member.takes(&VenueChannel::Trade));
}

#[test]
fn a_transformation_that_fails_is_the_messages_fault() {
    let notes = Notes::default();
    let object = || notes.object(&[("on_ticker_update", Arity::Data)]);
    let ticker = update("ticker", Some("BTC/USD"), r#"{"last":65972.80}"#);
    let strings = Member::new(Role::Custom, object()).with_transform(Transform::digits_as_strings());
    answer(&strings, &ticker).unwrap();
    assert_eq!(notes.take(), [r#"on_ticker_update {"last":"65972.80"}"#]);
    for (function, error) in [
        (Transform::new(|_, _| Err("no volume".into())), "no volume"),
        (Transform::new(|_, _| Ok(Data::new("{"))), "a transformation made what is not JSON: {"),
    ] {
        let member = Member::new(Role::Custom, object()).with_transform(function);
        assert_eq!(answer(&member, &ticker), Err(Failure::Message(error.into())));
    }
    let balances =
        Member::new(Role::BalanceManager, notes.object(&[("process_websocket_update", Arity::Data)]));
    let error = answer(&balances, &update("balances", None, r#"[{"balance":1}]"#));
    assert_eq!(error, Err(Failure::Message("balance 1 names no asset".into())));
    assert!(notes.take().is_empty(), "nobody is called with it");
}

#[test]
fn rust_types_are_called_through_the_trait_of_their_role() {
    struct Engine(Notes);
    impl TradingEngine for Engine {
        fn update_ticker<'a>(&'a self, symbol: &'a str, ticker: &'a Data) -> Handling<'a> {
            self.0.note(&[&"ticker", &symbol, ticker])
        }
        fn update_orderbook<'a>(&'a self, symbol: &'a str, book: &'a Data) -> Handling<'a> {
            self.0.note(&[&"book", &symbol, book])
        }
        fn process_execution<'a>(&'a self, execution: &'a Data) -> Handling<'a> {
            self.0.note(&[&"execution", execution])
        }
    }
    struct Listing(Notes);
    impl BalanceManager for Listing {
        fn has(&self, method: &str) -> bool {
            method == "_handle_balance_message"
        }
        fn handle_balance_message<'a>(&'a self, balances: &'a Data) -> Handling<'a> {
            self.0.note(&[&"balances", balances])
        }
    }
    let notes = Notes::default();
    let engine = Arc::new(Engine(notes.clone()));
    let member = Member::new(Role::TradingEngine, trading_engine(engine.clone()));
    for channel in ["ticker", "book", "executions"] {
        answer(&member, &update(channel, Some("BTC/USD"), "1")).unwrap();
    }
    assert!(!member.takes(&VenueChannel::Trade));
    let balances = Member::new(Role::BalanceManager, balance_manager(Listing(notes.clone())));
    answer(&balances, &update("balances", None, BALANCES)).unwrap();
    assert!(!balances.takes(&VenueChannel::Executions), "it has no process_execution");
    let listed = format!("balances {BALANCES}");
    assert_eq!(notes.take(), ["ticker BTC/USD 1", "book BTC/USD 1", "execution 1", listed.as_str()]);
}
