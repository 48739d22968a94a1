//! What time brings about: silence, signs of life, waits between connections, the pace of requests.

use std::time::Duration;

use serde_json::json;
use tapeline_core::feed::VenueChannel;

use super::talk::{SECOND, Talk, acks, heartbeat, instruments, refusal, settings, status};
use crate::venue::{Event, Session as _, Step, VenueState};

fn ticker() -> Talk {
    let mut talk = Talk::greeted(settings(&["ticker"], &["BTC/USD"]));
    talk.accept();
    talk.steps();
    talk.events.clear();
    talk
}

fn price(symbol: &str) -> serde_json::Value {
    json!({"channel": "ticker", "type": "update", "data": [{"symbol": symbol, "last": 1.5}]})
}

#[test]
fn a_socket_without_any_frame_is_asked_for_a_sign_of_life_and_then_closed() {
    let mut talk = ticker();
    let steps = talk.pass(60 * SECOND);
    let [(asked, Step::Send(ping)), (closed, Step::Close { why })] = &steps[..] else { panic!("{steps:?}") };
    assert_eq!((*asked, *closed), (5 * SECOND, 10 * SECOND));
    assert!(ping.contains("\"ping\"") && why.contains("nothing has come for 10s"), "{ping} {why}");
}

#[test]
fn heartbeats_pongs_and_strays_are_signs_of_life() {
    let mut talk = ticker();
    for sign in [heartbeat().to_string(), "CloudFlare WebSocket proxy restarting".to_string()] {
        for _ in 0..10 {
            assert_eq!(talk.pass(4 * SECOND), []);
            talk.say(&sign);
        }
    }
    for _ in 0..10 {
        for (_, step) in talk.pass(5 * SECOND) {
            let Step::Send(ping) = step else { panic!("{step:?}") };
            acks(&serde_json::from_str(&ping).unwrap()).into_iter().for_each(|pong| talk.say(pong));
        }
    }
    assert_eq!(talk.session.counts().strays, 10);
    assert_eq!(talk.session.counts().disconnects, 0);
}

#[test]
fn a_frame_without_text_is_a_sign_of_life_too() {
    let mut talk = ticker();
    for _ in 0..10 {
        assert_eq!(talk.pass(4 * SECOND), []);
        talk.session.on_alive(talk.now);
    }
}

/// Lets time pass with a heartbeat every second.
fn beat(talk: &mut Talk, seconds: u32) {
    for _ in 0..seconds {
        talk.say(heartbeat());
        assert_eq!(talk.pass(SECOND), []);
    }
}

#[test]
fn a_channel_without_data_on_a_living_socket_is_told_once_and_again_when_it_has_data() {
    let mut talk = ticker();
    talk.say(price("BTC/USD"));
    talk.events.clear();
    let since_us = talk.now.mono_us;
    beat(&mut talk, 119);
    assert!(talk.events.is_empty());
    beat(&mut talk, 300);
    let events = talk.take_events();
    let [Event::Silent { channel: VenueChannel::Ticker, symbol: None, since_us: told_us }] = &events[..]
    else {
        panic!("{events:?}")
    };
    assert_eq!(*told_us, since_us);
    talk.say(price("BTC/USD"));
    let events = talk.take_events();
    assert!(matches!(&events[..], [Event::Resumed { .. }, Event::Update(_)]), "{events:?}");
    assert_eq!(talk.session.counts().silences, 1);
}

#[test]
fn a_quiet_instrument_is_no_fault_while_another_has_tickers() {
    let mut talk = Talk::greeted(settings(&["ticker"], &["BTC/USD", "ETH/USD"]));
    talk.accept();
    for _ in 0..10 {
        beat(&mut talk, 100);
        talk.say(price("BTC/USD"));
    }
    assert!(!talk.take_events().iter().any(|event| matches!(event, Event::Silent { .. })));
    beat(&mut talk, 130);
    let events = talk.take_events();
    assert!(matches!(&events[..], [Event::Silent { symbol: None, .. }]), "{events:?}");
}

#[test]
fn silence_is_no_fault_while_the_venue_is_not_online() {
    for system in ["maintenance", "cancel_only", "post_only", "halted"] {
        let mut talk = ticker();
        talk.say(status(system));
        beat(&mut talk, 600);
        let events = talk.take_events();
        assert!(matches!(&events[..], [Event::State(_)]), "{system}: {events:?}");
    }
}

#[test]
fn a_venue_in_maintenance_is_asked_for_nothing_and_waited_for() {
    let mut talk = Talk::new(settings(&["ticker"], &["BTC/USD"]));
    talk.connect();
    talk.say(status("maintenance"));
    assert_eq!(talk.steps(), []);
    assert!(matches!(&talk.take_events()[..], [Event::State(VenueState::Maintenance)]));
    for _ in 0..20 {
        for (_, step) in talk.pass(100 * SECOND) {
            assert!(matches!(&step, Step::Send(text) if text.contains("\"ping\"")), "{step:?}");
        }
        talk.say(json!({"method": "pong"}));
    }
    talk.say(status("online"));
    assert_eq!(talk.accept()[0]["params"]["channel"], "ticker");
    talk.steps();
    assert!(matches!(&talk.take_events()[..], [Event::State(VenueState::Online), Event::Connected]));
}

#[test]
fn a_venue_that_is_dead_in_maintenance_is_given_up_in_the_end() {
    let mut talk = Talk::new(settings(&["ticker"], &["BTC/USD"]));
    talk.connect();
    talk.say(status("maintenance"));
    let steps = talk.pass(600 * SECOND);
    assert!(matches!(steps.last(), Some((after, Step::Close { .. })) if *after > 100 * SECOND), "{steps:?}");
}

#[test]
fn where_no_status_comes_it_is_subscribed_without() {
    let mut talk = Talk::new(settings(&["ticker"], &["BTC/USD"]));
    talk.connect();
    let steps = talk.pass(6 * SECOND);
    let sent: Vec<_> = steps.iter().filter(|(_, step)| format!("{step:?}").contains("ticker")).collect();
    assert!(matches!(&sent[..], [(after, _)] if *after == 5 * SECOND), "{steps:?}");
}

#[test]
fn waits_between_connections_grow_and_only_a_connection_that_held_makes_them_small_again() {
    let mut talk = Talk::new(settings(&["ticker"], &["BTC/USD"]));
    let mut wait = |held: Option<Duration>| {
        let step = talk.session.next(talk.now, &mut talk.events);
        let Step::Connect { after, .. } = step else { panic!("{step:?}") };
        talk.move_by(after);
        if let Some(held) = held {
            talk.session.on_open(talk.now);
            talk.move_by(held);
        }
        talk.close("again");
        after
    };
    let lost: Vec<_> = (0..40).map(|_| wait(None)).collect();
    assert_eq!(lost[0], Duration::ZERO);
    assert!(lost[1] <= SECOND && lost.iter().all(|wait| *wait <= 60 * SECOND));
    assert!(lost[10..].iter().any(|wait| *wait > 20 * SECOND), "{lost:?}");
    let short: Vec<_> = (0..20).map(|_| wait(Some(29 * SECOND))).collect();
    assert!(short.iter().any(|wait| *wait > 20 * SECOND), "{short:?}");
    wait(Some(30 * SECOND));
    let good: Vec<_> = (0..20).map(|_| wait(Some(30 * SECOND))).collect();
    assert!(good.iter().all(|wait| *wait <= SECOND), "{good:?}");
}

#[test]
fn clocks_that_an_operator_sets_change_nothing_and_a_machine_that_slept_asks_before_it_gives_up() {
    let mut talk = ticker();
    for wall_us in [0, u64::MAX, 5] {
        talk.now.wall_us = wall_us;
        talk.say(heartbeat());
        assert_eq!(talk.steps(), []);
    }
    talk.now.mono_us += 86_400_000_000;
    let steps = talk.steps();
    assert!(matches!(&steps[..], [Step::Send(text)] if text.contains("ping")), "{steps:?}");
    talk.say(json!({"method": "pong"}));
    assert_eq!(talk.steps(), []);
}

#[test]
fn requests_leave_ten_at_once_and_then_twenty_a_second() {
    let symbols: Vec<String> = (0..3_000).map(|number| format!("S{number}/USD")).collect();
    let symbols: Vec<&str> = symbols.iter().map(String::as_str).collect();
    let mut talk = Talk::greeted(settings(&["ticker"], &symbols));
    let after: Vec<_> = talk.pass(2 * SECOND).into_iter().map(|(after, _)| after.as_millis()).collect();
    assert_eq!(after.len(), 30);
    assert_eq!(&after[8..14], [0, 0, 50, 100, 150, 200]);
}

#[test]
fn a_complaint_about_the_rate_slows_down_and_loses_nothing() {
    let symbols: Vec<String> = (0..3_000).map(|number| format!("S{number}/USD")).collect();
    let symbols: Vec<&str> = symbols.iter().map(String::as_str).collect();
    let mut talk = Talk::greeted(settings(&["ticker"], &symbols));
    assert_eq!(talk.sent().len(), 10);
    talk.say(r#"{"Error":"Exceeded msg rate"}"#);
    let after: Vec<_> = talk.pass(SECOND).into_iter().map(|(after, _)| after.as_millis()).collect();
    assert_eq!(after, [100, 200, 300, 400, 500, 600, 700, 800, 900]);
    let mut held = std::collections::HashSet::new();
    for _ in 0..60 {
        talk.say(heartbeat());
        for (_, step) in talk.pass(SECOND) {
            let Step::Send(text) = step else { panic!("{step:?}") };
            let request = serde_json::from_str(&text).unwrap();
            for ack in acks(&request) {
                held.insert(ack["result"]["symbol"].to_string());
                talk.say(ack);
            }
        }
    }
    assert_eq!(held.len(), 3_000);
}

#[test]
fn a_symbol_that_the_venue_does_not_have_is_told_and_costs_the_others_nothing() {
    let mut talk = Talk::greeted(settings(&["ticker"], &["BTC/USD", "WWW/USD"]));
    let request = talk.sent().remove(0);
    let all = acks(&request);
    talk.say(&all[0]);
    talk.say(refusal(&request, Some("WWW/USD"), "Currency pair not supported WWW/USD"));
    talk.steps();
    let events = talk.take_events();
    let [Event::Connected, Event::Refused { channel: VenueChannel::Ticker, symbol: Some(symbol), error }] =
        &events[..]
    else {
        panic!("{events:?}")
    };
    assert_eq!((&**symbol, &**error), ("WWW/USD", "Currency pair not supported WWW/USD"));
    beat(&mut talk, 100);
    talk.say(price("BTC/USD"));
    assert_eq!(talk.updates("ticker").len(), 1);
}

#[test]
fn trades_are_told_once_over_connections_and_holes_in_their_numbers_are_told() {
    let trades = |kind: &str, numbers: &[u64]| {
        let trade = |number: &u64| format!(r#"{{"symbol":"BTC/USD","price":1.50,"trade_id":{number}}}"#);
        let data: Vec<_> = numbers.iter().map(trade).collect();
        format!(r#"{{"channel":"trade","type":"{kind}","data":[{}]}}"#, data.join(","))
    };
    let mut talk = Talk::greeted(settings(&["trade"], &["BTC/USD"]));
    assert_eq!(talk.accept()[0]["params"]["snapshot"], true);
    talk.steps();
    talk.events.clear();
    talk.say(trades("snapshot", &[52, 51, 50]));
    talk.say(trades("update", &[53]));
    talk.say(trades("update", &[53]));
    let told: Vec<_> = talk.take_events().into_iter().map(|event| format!("{event:?}")).collect();
    assert_eq!(told.len(), 4, "{told:?}");
    assert!(
        told[0].contains("sequence: Some(50)") && told[0].contains(r#"id: Some("BTC/USD:50")"#),
        "{}",
        told[0]
    );
    talk.close("cut");
    talk.connect();
    talk.say(status("online"));
    talk.accept();
    talk.events.clear();
    talk.say(trades("snapshot", &[52, 53, 54]));
    assert_eq!(talk.updates("trade"), [r#"{"symbol":"BTC/USD","price":1.50,"trade_id":54}"#]);
    talk.say(trades("update", &[58]));
    let events = talk.take_events();
    let [Event::Gap { channel: VenueChannel::Trade, why, .. }, Event::Update(_)] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!(*why, crate::venue::Lost::Numbers { from: 55, to: 57 });
    assert_eq!((talk.session.counts().repeated, talk.session.counts().gaps), (3, 3));
}

#[test]
fn a_number_of_a_trade_that_is_absurd_does_not_end_the_trades_for_ever() {
    let trade = |number: u64| {
        format!(
            r#"{{"channel":"trade","type":"update","data":[{{"symbol":"BTC/USD","price":1.50,"trade_id":{number}}}]}}"#
        )
    };
    let mut talk = Talk::greeted(settings(&["trade"], &["BTC/USD"]));
    talk.accept();
    talk.say(trade(u64::MAX));
    talk.take_events();
    (50..60).for_each(|number| talk.say(trade(number)));
    let events = talk.take_events();
    let [Event::Gap { why: crate::venue::Lost::Renumbered, .. }, Event::Update(first), ..] = &events[..]
    else {
        panic!("{events:?}")
    };
    assert_eq!((first.sequence, events.len()), (Some(57), 4));
}

#[test]
fn candles_instruments_status_and_heartbeats_go_out_if_they_are_asked_for() {
    let mut asked = settings(&["ohlc", "instrument", "status", "heartbeat"], &["BTC/USD"]);
    asked.ohlc_intervals_minutes = vec![1, 60];
    let mut talk = Talk::new(asked);
    talk.connect();
    talk.say(status("online"));
    let data = status("online")["data"][0].clone();
    let told: serde_json::Value = serde_json::from_str(&talk.updates("status")[0]).unwrap();
    assert_eq!(told, data);
    assert_eq!(talk.accept().len(), 3);
    talk.say(instruments());
    assert_eq!(talk.updates("instrument").len(), 2);
    talk.say(heartbeat());
    assert_eq!(talk.updates("heartbeat"), [r#"{"channel":"heartbeat"}"#]);
    talk.say(r#"{"channel":"ohlc","type":"update","timestamp":"2024-05-17T11:21:16.318303322Z","data":[{"symbol":"BTC/USD","close":3026.130,"interval":60,"interval_begin":"2024-05-17T11:12:00.000000000Z"}]}"#);
    assert_eq!(talk.updates("ohlc").len(), 1);
}

#[test]
fn texts_of_any_kind_are_counted_and_never_fatal() {
    let mut talk = ticker();
    for text in [
        "",
        "[]",
        "[0,\"book-10\",\"XBT/USD\"]",
        "{",
        "{}",
        "null",
        "{\"channel\":7}",
        "{\"channel\":\"nobody's\"}",
    ] {
        talk.say(text);
    }
    talk.say(r#"{"channel":"ticker","type":"update","data":{"symbol":"BTC/USD"}}"#);
    talk.say(r#"{"channel":"ticker","type":"sideways","data":[]}"#);
    let counts = talk.session.counts();
    assert!(counts.strays >= 6 && counts.malformed >= 2, "{counts:?}");
    assert!(talk.events.is_empty() && talk.steps().is_empty());
}
