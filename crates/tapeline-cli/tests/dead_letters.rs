//! Dead letters of a running hub: written by workers, listed, shown, counted, published again and purged.

#![expect(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail loudly")]

#[expect(dead_code, reason = "each test file uses its own part of the support")]
mod support;

use std::fs::File;
use std::io::Write;
use std::process::ExitStatus;

use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use serde_json::{Value, json};
use support::{Client, Hub, eventually, run_to_end};

/// A letter as a worker publishes it.
fn letter(reason: &str, original: &Value) -> String {
    let at = "2026-01-01T12:00:00Z";
    json!({"reason": reason, "attempts": 3, "first_at": at, "last_at": at, "original": original,
        "error": "a trade of nothing"})
    .to_string()
}

fn trade(quantity: f64) -> Value {
    let data = json!({"portfolio_id": "p1", "symbol": "AAPL", "trade_type": "BUY", "quantity": quantity, "price": 1});
    json!({"channel": "trades:p1", "data": data, "correlation_id": "c-7"})
}

fn give_up(hub: &Hub, source: &str, reason: &str, original: &Value) -> u64 {
    let receipt = hub.publish(&format!("dead_letters:{source}"), &letter(reason, original));
    receipt["offset"].as_u64().expect("a receipt has an offset")
}

fn good(hub: &Hub, words: &[&str]) -> String {
    let (status, out, err) = hub.run(words);
    assert!(status.success(), "{words:?}: {err}\n{out}");
    out
}

fn bad(hub: &Hub, words: &[&str]) -> (String, String) {
    let (status, out, err) = hub.run(words);
    assert_eq!(status.code(), Some(1), "{words:?}: {err}\n{out}");
    (out, err)
}

fn list(hub: &Hub, query: &str) -> Value {
    let answer = hub.get(&format!("/dead-letters{query}"));
    assert_eq!(answer.status(), 200, "{}", answer.text());
    answer.json()
}

fn places(listed: &Value) -> Vec<(String, u64)> {
    let letters = listed["letters"].as_array().expect("a list");
    let place = |letter: &Value| {
        let source = letter["source"].as_str().expect("a source").to_string();
        (source, letter["offset"].as_u64().expect("an offset"))
    };
    letters.iter().map(place).collect()
}

fn redrive(hub: &Hub, body: &Value) -> Value {
    let answer = hub.post("/admin/dead-letters/redrive", body.to_string());
    assert_eq!(answer.status(), 200, "{}", answer.text());
    answer.json()
}

fn purge(hub: &Hub, body: &Value) -> Value {
    let answer = hub.post("/admin/dead-letters/purge", body.to_string());
    assert_eq!(answer.status(), 200, "{}", answer.text());
    answer.json()
}

fn history(hub: &Hub, channel: &str) -> usize {
    hub.get(&format!("/history/{channel}?limit=1000")).json()["messages"].as_array().expect("a list").len()
}

#[test]
fn a_workers_letter_is_listed_shown_and_counted() {
    let hub = Hub::start();
    give_up(&hub, "risk", "validation", &trade(0.0));
    give_up(&hub, "feeds/eu:1", "my own word", &json!("anything"));
    give_up(&hub, "risk", "timeout", &trade(2.0));
    let listed = list(&hub, "");
    assert_eq!(places(&listed), [("risk".into(), 2), ("feeds/eu:1".into(), 1), ("risk".into(), 1)]);
    let first = &listed["letters"][2];
    assert_eq!(
        (&first["reason"], &first["attempts"], &first["redriven"]),
        (&"validation".into(), &3.into(), &Value::Null)
    );
    assert_eq!((&first["original"], &first["error"]), (&trade(0.0), &"a trade of nothing".into()));
    let total = |source: &str, reason: &str| json!({"source": source, "reason": reason, "outstanding": 1, "redriven": 0});
    let totals = [total("feeds/eu:1", "my own word"), total("risk", "timeout"), total("risk", "validation")];
    assert_eq!(listed["totals"], json!(totals));
    assert_eq!(places(&list(&hub, "?source=feeds%2Feu:1")), [("feeds/eu:1".into(), 1)]);
    assert_eq!(places(&list(&hub, "?reason=timeout")), [("risk".into(), 2)]);
    let page = list(&hub, "?limit=2");
    assert_eq!(places(&page).len(), 2);
    let rest = list(&hub, &format!("?limit=2&before={}", page["next"]));
    assert_eq!((places(&rest), &rest["next"]), (vec![("risk".into(), 1)], &Value::Null));
    let counted = json!({"feeds/eu:1": {"my own word": 1}, "risk": {"timeout": 1, "validation": 1}});
    assert_eq!(hub.stats()["dead_letters"], counted);
    let one = hub.get("/dead-letters/letter?source=feeds/eu:1&offset=1").json();
    assert_eq!((&one["original"], &one["source"]), (&"anything".into(), &"feeds/eu:1".into()));
    let table = good(&hub, &["dlq", "list", "--source", "risk"]);
    let lines: Vec<&str> = table.lines().collect();
    assert!(
        lines[1].starts_with("risk") && lines[1].contains("timeout") && lines[1].contains("trades:p1"),
        "{table}"
    );
    assert_eq!(lines[3], "2 letters outstanding: risk timeout 1, risk validation 1");
    let shown = good(&hub, &["dlq", "show", "feeds/eu:1", "1"]);
    assert!(shown.contains("reason    my own word") && shown.contains("original  \"anything\""), "{shown}");
    let at = "2026-01-01T12:00:00Z";
    assert!(shown.contains(&format!("tried     3×, first {at}, last {at}\n")), "{shown}");
    let json: Value = serde_json::from_str(&good(&hub, &["dlq", "list", "--json"])).expect("JSON");
    assert_eq!(json["totals"], json!(totals));
}

#[test]
fn questions_that_make_no_sense_are_refused_with_the_reason() {
    let hub = Hub::start();
    for path in [
        "?limit=0",
        "?limit=1001",
        "?all=maybe",
        "?sources=a",
        "?before=x",
        "/letter?source=a",
        "/letter?source=a&offset=1&x=1",
    ] {
        let (status, code) = hub.get(&format!("/dead-letters{path}")).refusal();
        assert_eq!((status, &*code), (400, "invalid_request"), "{path}");
    }
    assert_eq!(hub.get("/dead-letters?source=a%20b").refusal(), (400, "bad_channel".into()));
    assert_eq!(hub.get("/dead-letters/letter?source=nobody&offset=1").refusal(), (404, "not_found".into()));
    for (path, body) in [
        ("redrive", json!({"source": "a"})),
        ("redrive", json!({"source": "a", "all": true, "reason": "x"})),
        ("redrive", json!({"source": "a", "all": true, "limit": 0})),
        ("redrive", json!({"source": "a", "offsets": vec![1; 1_001]})),
        ("redrive", json!({"source": "a", "all": true, "who": 1})),
        ("redrive", json!({"source": "a", "all": true, "epoch": "another"})),
        ("purge", json!({})),
        ("purge", json!({"source": "a", "all": true})),
        ("purge", json!({"source": ""})),
        ("purge", json!({"all": true, "through": 1})),
        ("purge", json!({"source": "a", "epoch": "another"})),
    ] {
        let answer = hub.post(&format!("/admin/dead-letters/{path}"), body.to_string());
        assert_eq!(answer.refusal(), (400, "invalid_request".into()), "{path} {body}");
    }
    let proxied = hub.request("POST", "/admin/dead-letters/purge", "Via: x\r\n", r#"{"all":true}"#);
    assert_eq!(proxied.refusal(), (403, "forbidden".into()));
}

#[test]
fn a_letter_is_published_again_once_though_it_is_asked_for_twice() {
    let hub = Hub::start();
    let mut client = Client::connect(&hub);
    client.subscribe("trades:p1");
    give_up(&hub, "risk", "timeout", &trade(2.0));
    let asked = json!({"source": "risk", "offsets": [1]});
    let dry = redrive(&hub, &json!({"source": "risk", "all": true, "dry_run": true}));
    assert_eq!(dry["results"], json!([{"offset": 1, "outcome": "would_redrive", "channel": "trades:p1"}]));
    let done = redrive(&hub, &asked);
    let expected = json!({"offset": 1, "outcome": "redriven", "channel": "trades:p1", "published_offset": 1});
    assert_eq!(done["results"], json!([expected]));
    let again = redrive(&hub, &asked);
    assert_eq!(again["results"][0]["outcome"], "already_redriven");
    assert_eq!(redrive(&hub, &json!({"source": "risk", "all": true}))["results"], json!([]));
    let frame = client.next();
    assert_eq!((&frame.json["data"], &frame.json["correlation_id"]), (&trade(2.0)["data"], &"c-7".into()));
    assert_eq!(history(&hub, "trades:p1"), 1);
    assert!(places(&list(&hub, "")).is_empty(), "what is done is still outstanding");
    let all = list(&hub, "?all=1");
    assert_eq!(places(&all), [("risk".into(), 1)]);
    assert_eq!(all["letters"][0]["redriven"]["channel"], "trades:p1");
    assert_eq!(
        all["totals"],
        json!([{"source": "risk", "reason": "timeout", "outstanding": 0, "redriven": 1}])
    );
    let one = hub.get("/dead-letters/letter?source=risk&offset=1").json();
    assert_eq!(one["redriven"], all["letters"][0]["redriven"]);
    assert_eq!(hub.stats()["dead_letters"], json!({"risk": {"timeout": 1}}), "a note is no letter");
    let told = good(&hub, &["dlq", "redrive", "--source", "risk", "1"]);
    assert!(told.contains("was redriven before"), "{told}");
    assert!(good(&hub, &["dlq", "list"]).contains("1 letter redriven (--all lists them)"));
}

#[test]
fn operators_who_redrive_at_the_same_time_publish_each_letter_once() {
    let hub = Hub::start();
    for quantity in 1..=20 {
        give_up(&hub, "risk", "timeout", &trade(f64::from(quantity)));
    }
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| redrive(&hub, &json!({"source": "risk", "all": true})));
        }
    });
    assert_eq!(history(&hub, "trades:p1"), 20);
    assert_eq!(history(&hub, "dead_letters:risk"), 40, "one note a letter");
    assert!(places(&list(&hub, "")).is_empty());
}

#[test]
fn many_letters_are_redriven_in_their_order_and_those_that_are_refused_stay() {
    let hub = Hub::start();
    let unfit = json!({"channel": "trades:p1", "data": {"portfolio_id": "p1"}});
    let unfits = [
        (unfit, "invalid_data"),
        (json!({"data": {}}), "no channel"),
        (json!("text"), "no channel"),
        (json!({"channel": "dead_letters:risk", "data": {}}), "not published to dead_letters again"),
        (json!({"channel": "news", "cut_bytes": 99_999}), "99999 bytes"),
        (json!({"channel": "news", "text": "not {json"}), "not JSON"),
        (json!({"channel": "not a name", "data": {}}), "bad_channel"),
        (json!({"channel": "news", "type": "gap", "data": {}}), "reserved_type"),
    ];
    for (original, _) in &unfits {
        give_up(&hub, "risk", "other", original);
    }
    for quantity in 1..=130 {
        give_up(&hub, "risk", "timeout", &trade(f64::from(quantity)));
    }
    let (out, err) = bad(&hub, &["dlq", "redrive", "--source", "risk", "--all"]);
    assert!(out.contains("130 redriven, 8 refused"), "{out}");
    assert!(err.contains("8 letters could not be redriven; what was refused stays"), "{err}");
    for ((_, why), line) in unfits.iter().zip(out.lines()) {
        assert!(line.contains("refused") && line.contains(why), "{why}: {line}");
    }
    let kept = hub.get("/history/trades:p1?limit=1000").json();
    let kept = kept["messages"].as_array().expect("a list").iter();
    let quantities: Vec<f64> =
        kept.map(|message| message["data"]["quantity"].as_f64().expect("a number")).collect();
    assert!(quantities.iter().copied().eq((1..=130).map(f64::from)), "{quantities:?}");
    let left = list(&hub, "?source=risk");
    let beyond = redrive(&hub, &json!({"source": "risk", "all": true, "after": u64::MAX}));
    assert_eq!(beyond, json!({"results": [], "next": null}));
    let some =
        redrive(&hub, &json!({"source": "risk", "offsets": [99_999, 2, 1], "limit": 2, "dry_run": true}));
    let outcomes: Vec<&Value> =
        some["results"].as_array().expect("a list").iter().map(|r| &r["outcome"]).collect();
    assert_eq!((outcomes, &some["next"]), (vec![&json!("refused"); 2], &json!(2)));
    let rest = redrive(&hub, &json!({"source": "risk", "offsets": [99_999, 2, 1], "after": 2}));
    assert_eq!(rest, json!({"results": [{"offset": 99_999, "outcome": "missing"}], "next": null}));
    assert!(places(&left).into_iter().map(|(_, offset)| offset).eq((1..=8).rev()), "{left}");
}

#[test]
fn an_old_price_does_not_take_the_place_of_a_newer_one() {
    let hub = Hub::start();
    let price = |price: f64| json!({"symbol": "AAPL", "price": price, "change": 0, "volume": 1});
    give_up(&hub, "risk", "timeout", &json!({"channel": "market_data:AAPL", "data": price(1.0)}));
    hub.publish("market_data:AAPL", &price(2.0).to_string());
    let answer = redrive(&hub, &json!({"source": "risk", "all": true}));
    assert_eq!(answer["results"][0]["outcome"], "refused", "{answer}");
    assert_eq!(hub.get("/last/market_data:AAPL").json()["data"]["price"], 2.0);
}

/// A price that was first tried at this time, or at the letter's own.
fn late_price(price: f64, first_at: &Value) -> String {
    let data = json!({"symbol": "AAPL", "price": price, "change": 0, "volume": 1});
    json!({"reason": "timeout", "attempts": 3, "first_at": first_at, "last_at": "2026-01-01T12:00:00Z",
        "original": {"channel": "market_data:AAPL", "data": data}})
    .to_string()
}

#[test]
fn a_price_that_came_while_an_original_was_tried_keeps_its_place() {
    let hub = Hub::start();
    let price = json!({"symbol": "AAPL", "price": 2.0, "change": 0, "volume": 1});
    hub.publish("market_data:AAPL", &price.to_string());
    // The letters are written after the price, their originals were tried before.
    for first_at in [json!("2026-01-01T12:00:00Z"), json!(1_767_268_800_000_u64)] {
        hub.publish("dead_letters:risk", &late_price(1.0, &first_at));
    }
    let answer = redrive(&hub, &json!({"source": "risk", "all": true}));
    for result in answer["results"].as_array().expect("a list") {
        assert_eq!(result["error"]["code"], "invalid_data", "{answer}");
    }
    assert_eq!(hub.get("/last/market_data:AAPL").json()["data"]["price"], 2.0);
    // One that does not say when it was tried was tried when it was written.
    hub.publish("dead_letters:risk", &late_price(3.0, &"just now".into()));
    hub.publish("dead_letters:risk", &late_price(4.0, &"2999-01-01T00:00:00Z".into()));
    let answer = redrive(&hub, &json!({"source": "risk", "offsets": [3, 4]}));
    assert_eq!(answer["results"][1]["outcome"], "redriven", "{answer}");
    assert_eq!(hub.get("/last/market_data:AAPL").json()["data"]["price"], 4.0);
}

#[test]
fn of_several_originals_of_a_price_the_newest_comes_last_and_stays() {
    let hub = Hub::start();
    for (price, second) in [(1.0, 1), (3.0, 3), (2.0, 2)] {
        let first_at = format!("2026-01-01T12:00:0{second}Z");
        hub.publish("dead_letters:risk", &late_price(price, &first_at.into()));
    }
    for _ in 0..3 {
        redrive(&hub, &json!({"source": "risk", "all": true, "limit": 1}));
    }
    redrive(&hub, &json!({"source": "risk", "all": true}));
    assert_eq!(hub.get("/last/market_data:AAPL").json()["data"]["price"], 3.0);
    assert_eq!(places(&list(&hub, "")), [("risk".into(), 3)], "the older one is refused and stays");
}

#[test]
fn a_letter_that_cannot_be_read_hides_no_other() {
    let hub = Hub::start();
    let at = r#""first_at":"2026-01-01T12:00:00Z","last_at":"2026-01-01T12:00:00Z""#;
    let original = trade(5.0);
    let unreadable = [
        format!(r#"{{"reason":"timeout","attempts":3,{at},"error":"\ud800","original":{original}}}"#),
        format!(r#"{{"reason":"timeout","attempts":3,"attempts":4,{at},"original":{original}}}"#),
        format!(r#"{{"reason":"timeout","attempts":3,{at},"original":{original},"\udc00":1}}"#),
    ];
    for letter in &unreadable {
        hub.publish("dead_letters:risk", letter);
    }
    give_up(&hub, "risk", "timeout", &trade(1.0));
    let listed = list(&hub, "");
    assert_eq!(places(&listed).len(), 4);
    for (at, attempts) in [(2, 4), (3, 3)] {
        let letter = &listed["letters"][at];
        let error = letter["error"].as_str().expect("an error");
        assert!(error.starts_with("cannot be read: "), "{error}");
        assert_eq!((&letter["attempts"], &letter["original"]), (&attempts.into(), &original));
    }
    // A name that is no text leaves nothing to look up.
    let letter = &listed["letters"][1];
    assert_eq!((&letter["attempts"], &letter["original"]), (&Value::Null, &Value::Null));
    let table = good(&hub, &["dlq", "list"]);
    assert_eq!(table.matches("cannot be read: ").count(), 3, "{table}");
    for offset in 1..=3 {
        let refusal = hub.get(&format!("/dead-letters/letter?source=risk&offset={offset}")).refusal();
        assert_eq!(refusal, (400, "invalid_data".into()));
        let (_, err) = bad(&hub, &["dlq", "show", "risk", &offset.to_string()]);
        assert!(err.contains(&format!("letter {offset} of \"risk\" cannot be read: ")), "{err}");
    }
    good(&hub, &["dlq", "show", "risk", "4"]);
    let (out, _) = bad(&hub, &["dlq", "redrive", "--source", "risk", "--all"]);
    assert!(out.contains("1 redriven, 3 refused"), "{out}");
}

#[test]
fn what_a_redrive_refuses_is_counted_as_no_publish() {
    let hub = Hub::with_config("[limits]\npublishes_per_second = 1\npublishes_burst = 1\n");
    let unfit = json!({"channel": "trades:p1", "data": {"portfolio_id": "p1"}});
    give_up(&hub, "risk", "other", &unfit);
    give_up(&hub, "risk", "other", &trade(1.0));
    give_up(&hub, "risk", "other", &trade(2.0));
    for dry_run in [true, true, false] {
        let asked = json!({"source": "risk", "all": true, "dry_run": dry_run});
        let answer = redrive(&hub, &asked);
        assert_eq!(answer["results"][0]["outcome"], "refused", "{answer}");
        assert_eq!(answer["retry_after_ms"].is_number(), !dry_run, "{answer}");
    }
    let after = hub.stats();
    assert_eq!((&after["refused"], &after["incidents"]["publish_refused"]), (&json!(0), &json!(0)));
    assert_eq!(history(&hub, "trades:p1"), 1);
}

#[test]
fn a_redrive_stops_where_publishes_are_limited_and_the_command_goes_on_by_itself() {
    let hub = Hub::with_config("[limits]\npublishes_per_second = 20\n");
    // Each over a connection of its own, as limits are counted by connection.
    for quantity in 1..=60 {
        give_up(&hub, "risk", "timeout", &trade(f64::from(quantity)));
    }
    let offsets: Vec<u64> = (1..=60).chain([99_999]).collect();
    let mut asked = json!({"source": "risk", "offsets": offsets, "dry_run": true});
    let dry = redrive(&hub, &asked);
    assert_eq!((dry["results"].as_array().map(Vec::len), dry.get("retry_after_ms")), (Some(61), None));
    asked["dry_run"] = false.into();
    let answer = redrive(&hub, &asked);
    let results = answer["results"].as_array().expect("a list");
    assert!((20..60).contains(&results.len()), "{answer}");
    assert!(results.iter().all(|result| result["outcome"] == "redriven"), "{answer}");
    assert_eq!(answer["next"], results.len(), "the place of the last one that was published: {answer}");
    assert_eq!(answer["retry_after_ms"], 1_000);
    let (status, out, err) = hub.run(&["dlq", "redrive", "--source", "risk", "--all"]);
    assert!(status.success(), "{err}\n{out}");
    assert!(err.contains("limits.publishes_per_second"), "{err}");
    assert_eq!(out.lines().last(), Some(&*format!("{} redriven", 60 - results.len())));
    assert!(places(&list(&hub, "")).is_empty());
    let kept = hub.get("/history/trades:p1?limit=1000").json();
    let kept = kept["messages"].as_array().expect("a list").iter();
    assert!(
        kept.map(|message| &message["data"]["quantity"]).eq((1..=60)
            .map(f64::from)
            .map(Value::from)
            .collect::<Vec<_>>()
            .iter())
    );
}

/// The hub's standard input is a terminal on which this was typed.
fn typed(hub: &Hub, words: &[&str], answer: &str) -> (ExitStatus, String, String) {
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal can be had");
    grantpt(&terminal).expect("it is ours");
    unlockpt(&terminal).expect("it can be opened");
    let other = ioctl_tiocgptpeer(&terminal, OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("it has a side");
    let mut keyboard = File::from(terminal);
    keyboard.write_all(answer.as_bytes()).expect("a terminal takes what is typed");
    let mut command = tapeline_faults::command(env!("CARGO_BIN_EXE_tapeline"));
    command.args(words).args(["--url", &format!("http://{}", hub.address())]).stdin(other);
    run_to_end(command)
}

#[test]
fn on_a_terminal_a_purge_asks_and_only_a_yes_purges() {
    let hub = Hub::start();
    give_up(&hub, "risk", "timeout", &trade(1.0));
    for answer in ["n\n", "\n", "yet\n", "\u{4}"] {
        let (status, _, err) = typed(&hub, &["dlq", "purge", "--source", "risk"], answer);
        assert_eq!(status.code(), Some(1), "{answer:?}: {err}");
        assert!(err.contains("Forget dead letters of \"risk\" for good? [y/N]"), "{err}");
        assert!(err.contains("nothing was purged"), "{answer:?}: {err}");
        assert_eq!(history(&hub, "dead_letters:risk"), 1);
    }
    for answer in ["y\n", "Y\n", "yes\n"] {
        let (status, out, err) = typed(&hub, &["dlq", "purge", "--all"], answer);
        assert!(status.success() && err.contains("of every source for good?"), "{answer:?}: {err}");
        assert!(out.contains("1 message purged"), "{out}");
        give_up(&hub, "risk", "timeout", &trade(1.0));
    }
}

#[test]
fn what_is_purged_is_gone_everywhere_and_whoever_hears_the_channel_notices_nothing() {
    let hub = Hub::start();
    let mut roll_up = Client::connect(&hub);
    let mut single = Client::connect(&hub);
    roll_up.subscribe("dead_letters");
    single.subscribe("dead_letters:risk");
    for _ in 0..3 {
        give_up(&hub, "risk", "timeout", &trade(1.0));
        give_up(&hub, "kraken", "overflow", &trade(1.0));
    }
    for _ in 0..6 {
        roll_up.next();
    }
    let places_before = (0..3).map(|_| single.next()).last().expect("three came").place();
    let purged = purge(&hub, &json!({"source": "risk", "through": 2}));
    assert_eq!(purged, json!({"purged": 2, "sources": [{"source": "risk", "purged": 2, "through": 2}]}));
    assert_eq!((history(&hub, "dead_letters:risk"), history(&hub, "dead_letters")), (1, 4));
    assert_eq!(places(&list(&hub, "?source=risk")), [("risk".into(), 3)]);
    assert_eq!(places(&list(&hub, "")).len(), 4);
    good(&hub, &["dlq", "purge", "--source", "risk", "--yes"]);
    assert_eq!(hub.get("/last/dead_letters:risk").refusal(), (404, "no_value".into()));
    assert_eq!(hub.get("/dead-letters/letter?source=risk&offset=3").refusal().0, 404);
    assert_eq!((history(&hub, "dead_letters:risk"), history(&hub, "dead_letters")), (0, 3));
    // Offsets go on under the same epoch, and the subscribers hear the next letter as the next thing at all.
    assert_eq!(give_up(&hub, "risk", "timeout", &trade(1.0)), 4);
    let next = single.next();
    assert_eq!((next.offset(), next.place()["epoch"].clone()), (4, places_before["epoch"].clone()));
    assert_eq!(roll_up.next().json["rollup"]["dead_letters"]["offset"], 7);
    let all = good(&hub, &["dlq", "purge", "--all", "--yes"]);
    assert!(all.contains("4 messages purged"), "{all}");
    assert_eq!((history(&hub, "dead_letters:kraken"), history(&hub, "dead_letters")), (0, 0));
    assert_eq!(list(&hub, "?all=1")["totals"], json!([]));
}

#[test]
fn who_resumes_from_before_a_purge_is_told_what_is_missing_and_gets_the_rest() {
    let hub = Hub::start();
    let mut first = Client::connect(&hub);
    first.subscribe("dead_letters");
    for _ in 0..3 {
        give_up(&hub, "kraken", "overflow", &trade(1.0));
        give_up(&hub, "risk", "timeout", &trade(1.0));
    }
    let epoch = first.next().json["rollup"]["dead_letters"]["epoch"].clone();
    purge(&hub, &json!({"source": "risk"}));
    let mut late = Client::connect(&hub);
    late.send(
        &json!({"action": "subscribe", "channel": "dead_letters", "since": {"offset": 0, "epoch": epoch}}),
    );
    let mut told = Vec::new();
    while told.len() < 6 {
        let frame = late.next();
        match frame.kind() {
            "gap" => {
                assert_eq!(
                    (&frame.json["reason"], &frame.json["channel"]),
                    (&"trimmed".into(), &"dead_letters".into())
                );
                told.push(format!("gap {} {}", frame.json["from"], frame.json["to"]));
            }
            "dead_letter" => told.push(frame.json["rollup"]["dead_letters"]["offset"].to_string()),
            _ => {}
        }
    }
    assert_eq!(told, ["1", "gap 2 2", "3", "gap 4 4", "5", "gap 6 6"]);
    give_up(&hub, "risk", "timeout", &trade(1.0));
    assert_eq!(late.next().json["rollup"]["dead_letters"]["offset"], 7);
}

#[test]
fn only_letters_older_than_an_age_are_purged() {
    let hub = Hub::start();
    give_up(&hub, "risk", "timeout", &trade(1.0));
    assert_eq!(purge(&hub, &json!({"all": true, "older_than_s": 60}))["purged"], 0);
    assert_eq!(purge(&hub, &json!({"all": true, "older_than_s": 0}))["purged"], 1);
    let (_, err) = bad(&hub, &["dlq", "purge", "--all", "--older-than", "1h"]);
    assert!(err.contains("--yes"), "{err}");
}

#[test]
fn hostile_text_in_a_letter_cannot_steer_the_terminal() {
    let hub = Hub::start();
    let evil = "\u{1b}[2J\u{9b}1m\u{202e}\r\n\u{7}";
    let original = json!({"channel": format!("news{evil}"), "data": evil});
    let at = evil;
    let letter = json!({"reason": evil, "attempts": 1, "first_at": at, "last_at": at, "original": original, "error": evil});
    hub.publish("dead_letters:x", &letter.to_string());
    let outputs = [
        good(&hub, &["dlq", "list"]),
        good(&hub, &["dlq", "show", "x", "1"]),
        bad(&hub, &["dlq", "redrive", "--source", "x", "--all"]).0,
    ];
    for output in outputs {
        let steering = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(!output.contains(steering), "{output:?}");
    }
    assert!(good(&hub, &["dlq", "list"]).contains("\\u{1b}[2J"), "the text is not to be seen at all");
}

#[test]
fn a_page_of_large_letters_is_bounded_and_so_is_the_table_of_counts() {
    let hub = Hub::start();
    let large = json!({"channel": "news", "data": "x".repeat(900_000)});
    for _ in 0..40 {
        give_up(&hub, "large", "timeout", &large);
    }
    let answer = hub.get("/dead-letters");
    assert!(answer.body.len() < 5 << 20, "{} bytes in one page", answer.body.len());
    let listed = answer.json();
    assert_eq!((places(&listed).len(), &listed["complete"]), (4, &false.into()));
    let next = list(&hub, &format!("?before={}", listed["next"]));
    assert_eq!(places(&next)[0], ("large".into(), 36));
    hub.publish_each((0..200).map(|n| (format!("dead_letters:s{n}"), letter("r", &json!(1)))));
    let counted = hub.stats()["dead_letters"].clone();
    let sources = counted.as_object().expect("an object");
    assert!(sources.len() <= 65, "{} sources are told apart", sources.len());
    let sum: u64 = sources.values().map(|reasons| reasons["r"].as_u64().unwrap_or_default()).sum();
    assert!(eventually(|| sum == 200), "{counted}");
}
