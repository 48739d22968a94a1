//! Families of a running hub: listed, added and removed while channels are published to and heard.

#![expect(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail loudly")]

#[expect(dead_code, reason = "each test file uses its own part of the support")]
mod support;

use serde_json::{Value, json};
use support::{Client, Hub, run_to_end};

const FILE: &str = "[[channel]]\ntemplate = \"fills:{account}\"\ntype = \"fill\"\npriority = \"critical\"\n";
const ADD_FX: &[&str] =
    &["channel", "add", "fx:{pair}", "--type", "fx_rate", "--delivery", "latest", "--rolls-up-to", "all_fx"];

fn listed(hub: &Hub, family: &str) -> Option<Value> {
    let listing = hub.get("/channels").json();
    let families = listing["channels"].as_array().expect("a list");
    families.iter().find(|found| found["family"] == family).cloned()
}

fn good(hub: &Hub, words: &[&str]) -> String {
    let (status, out, err) = hub.run(words);
    assert!(status.success(), "{words:?}: {err}");
    out
}

fn bad(hub: &Hub, words: &[&str]) -> String {
    let (status, _, err) = hub.run(words);
    assert_eq!(status.code(), Some(1), "{words:?}: {err}");
    err
}

#[test]
fn every_family_is_listed_with_where_it_was_declared_and_how_much_it_is_used() {
    let hub = Hub::with_config(FILE);
    good(&hub, ADD_FX);
    let mut client = Client::connect(&hub);
    client.subscribe("fx:EURUSD");
    client.subscribe("all_fx");
    hub.publish("fx:GBPUSD", "1");
    let fx = listed(&hub, "fx").expect("it was added");
    let expected = json!({
        "family": "fx", "template": "fx:{pair}", "type": "fx_rate", "priority": "medium", "delivery": "latest",
        "origin": "live", "rolls_up_to": ["all_fx"], "channels": 2, "subscribers": 1
    });
    for (key, value) in expected.as_object().expect("an object") {
        assert_eq!(fx[key], *value, "{key} of {fx}");
    }
    assert_eq!(listed(&hub, "fills").expect("it is in the file")["origin"], "file");
    assert_eq!(listed(&hub, "trades").expect("it is built in")["origin"], "built_in");
    let table = good(&hub, &["channel", "list"]);
    let row = table.lines().find(|line| line.starts_with("fx:{pair}")).expect("a line");
    let cells: Vec<&str> = row.split_whitespace().collect();
    assert_eq!(cells, ["fx:{pair}", "fx_rate", "medium", "latest", "1", "all_fx", "live", "2", "1"]);
    let json: Value = serde_json::from_str(&good(&hub, &["channel", "list", "--json"])).expect("JSON");
    assert_eq!(json, hub.get("/channels").json());
}

#[test]
fn what_is_printed_for_an_added_family_can_be_pasted_into_the_file() {
    let hub = Hub::with_config("");
    let words = [
        "channel",
        "add",
        "risk:{desk}",
        "--type",
        "risk",
        "--delivery",
        "table",
        "--row-key",
        "symbol,side",
    ];
    let more = [
        "--keep-count",
        "9",
        "--idle-ttl",
        "2h",
        "--removed-when",
        "qty=0",
        "--max-rate",
        "5",
        "--priority",
        "low",
    ];
    let out = good(&hub, &[&words[..], &more[..]].concat());
    assert!(out.contains("it lives until the hub ends; add it to the configuration file"), "{out}");
    let toml = out.split_once("[[channel]]").expect("lines to paste").1;
    let live = listed(&hub, "risk").expect("it was added");
    let other = Hub::with_config(&format!("[[channel]]{toml}"));
    let mut of_file = listed(&other, "risk").expect("it is in the file");
    of_file["origin"] = json!("live");
    assert_eq!(of_file, live);
    assert_eq!((&live["row_key"], &live["idle_ttl_s"]), (&json!(["symbol", "side"]), &json!(7_200)));
}

#[test]
fn a_schema_given_by_a_relative_path_holds_at_once_and_from_a_file_in_another_folder() {
    let folder = support::temporary("schemas");
    let elsewhere = folder.join("elsewhere");
    std::fs::create_dir_all(&elsewhere).expect("the folders can be made");
    let schema = json!({"type": "object", "required": ["side"], "properties": {"side": {"type": "string"}}});
    std::fs::write(folder.join("signal.json"), schema.to_string()).expect("the schema can be written");
    let hub = Hub::with_config("");
    let in_folder = |words: &[&str]| {
        let mut command = tapeline_faults::command(env!("CARGO_BIN_EXE_tapeline"));
        command.args(words).current_dir(&folder);
        let (status, out, err) = run_to_end(command);
        assert!(status.success(), "{words:?}: {err}");
        out
    };
    let url = format!("http://{}", hub.address());
    let words = ["channel", "add", "signals:{desk}", "--type", "signal", "--schema", "signal.json"];
    let out = in_folder(&[&words[..], &["--url", &url]].concat());
    let body = |data: Value| json!({"channel": "signals:a", "data": data}).to_string();
    let (status, code) = hub.post("/publish", body(json!({"side": 1}))).refusal();
    assert_eq!((status, code.as_str()), (400, "invalid_data"));
    assert_eq!(hub.post("/publish", body(json!({"side": "buy"}))).status(), 200);
    let types = good(&hub, &["types", "--lang", "ts"]);
    assert!(types.contains("\"signals:{desk}\": ") && types.contains("  side: string;"), "{types}");
    let toml = out.split_once("[[channel]]").expect("lines to paste").1;
    std::fs::write(elsewhere.join("tapeline.toml"), format!("[[channel]]{toml}")).expect("it can be written");
    let checked = in_folder(&["config", "check", "elsewhere/tapeline.toml"]);
    assert!(checked.contains("good, 1 family"), "{checked}");
    std::fs::remove_dir_all(&folder).expect("the folders can be removed");
}

#[test]
fn a_name_in_use_becomes_declared_and_its_clients_connect_again_and_are_told() {
    let hub = Hub::start();
    let [mut direct, mut pattern, mut other] = [(); 3].map(|()| Client::connect(&hub));
    let undeclared = direct.ask(&json!({"action": "subscribe", "channel": "fx:EURUSD", "req": 1}));
    assert_eq!(undeclared.json["declared"], false);
    pattern.ask(&json!({"action": "subscribe", "pattern": "fx:*", "req": 1}));
    other.subscribe("market_data:AAPL");
    hub.publish("fx:EURUSD", "1");
    let before = direct.message(1);
    assert_eq!(pattern.message(1).kind(), "message");
    let out = good(&hub, ADD_FX);
    assert!(out.starts_with("family fx was added, 1 channel in use begins anew"), "{out}");
    for client in [&mut direct, &mut pattern] {
        assert_eq!(client.closed().code, 1012);
    }
    let mut again = Client::connect(&hub);
    let ask = json!({"action": "subscribe", "channel": "fx:EURUSD", "since": before.place(), "req": 2});
    let confirmed = again.ask(&ask);
    assert_eq!((&confirmed.json["declared"], &confirmed.json["offset"]), (&json!(true), &json!(0)));
    assert_eq!(confirmed.json["recovered"], false, "{}", confirmed.text);
    again.subscribe("all_fx");
    let receipt = hub.publish("fx:EURUSD", "2");
    assert_eq!((&receipt["offset"], &receipt["subscribers"]), (&json!(1), &json!(1)));
    assert_ne!(receipt["epoch"], before.json["epoch"]);
    let message = again.next_of("fx_rate");
    assert_eq!((message.data_text(), &message.json["pair"]), ("2", &json!("EURUSD")));
    hub.publish("market_data:AAPL", "{\"symbol\":\"AAPL\",\"price\":1,\"change\":0,\"volume\":1}");
    assert_eq!(other.next_of("price_update").channel(), "market_data:AAPL", "nobody else was disturbed");
}

#[test]
fn a_removed_familys_channels_go_on_as_undeclared_ones() {
    let hub = Hub::start();
    good(&hub, ADD_FX);
    hub.publish("fx:EURUSD", "1");
    let mut client = Client::connect(&hub);
    client.subscribe("all_fx");
    assert!(good(&hub, &["channel", "remove", "fx"]).contains("begin anew"));
    assert_eq!(client.closed().code, 1012, "the roll-up is gone");
    assert!(listed(&hub, "fx").is_none());
    let mut client = Client::connect(&hub);
    let confirmed = client.ask(&json!({"action": "subscribe", "channel": "fx:EURUSD", "req": 1}));
    assert_eq!((&confirmed.json["declared"], &confirmed.json["offset"]), (&json!(false), &json!(0)));
    hub.publish("fx:EURUSD", "2");
    assert_eq!(client.message(1).kind(), "message");
}

#[test]
fn what_cannot_be_added_or_removed_is_refused_with_the_reason_and_changes_nothing() {
    let hub = Hub::with_config(FILE);
    let before = hub.get("/channels").json();
    let cases: &[(&[&str], &str)] = &[
        (&["channel", "add", "fills:{x}", "--type", "t"], "family fills is declared already"),
        (&["channel", "add", "a:{type}", "--type", "t"], "a key may not be called type"),
        (&["channel", "add", "a:{k}", "--type", "t", "--rolls-up-to", "trades"], "would mix priorities"),
        (&["channel", "remove", "trades"], "family trades is built in and cannot be removed"),
        (&["channel", "remove", "nothing"], "no family is called nothing"),
    ];
    for (words, expected) in cases {
        let err = bad(&hub, words);
        assert!(err.contains(expected), "{expected} in {err}");
    }
    assert_eq!(hub.get("/channels").json(), before);
    let (status, _, err) = hub.run(&["channel", "add", "a", "--type", "t", "--priority", "urgent"]);
    assert_eq!(status.code(), Some(2));
    assert!(err.contains("unknown variant `urgent`, expected one of `critical`"), "{err}");
}

#[test]
fn a_row_of_a_family_in_use_changes_in_what_is_kept_and_not_in_how_it_is_delivered() {
    let file = |count: usize, delivery: &str| {
        format!("{FILE}keep = {{ count = {count} }}\ndelivery = \"{delivery}\"\n")
    };
    let hub = Hub::with_config(&file(9, "every"));
    let mut client = Client::connect(&hub);
    client.subscribe("fills:a");
    hub.publish_all("fills:a", (1..=6).map(|n| n.to_string()));
    let epoch = (1..=6).map(|offset| client.message(offset).json["epoch"].clone()).last().expect("six");
    hub.rewrite(&file(2, "every"));
    assert!(good(&hub, &["config", "reload"]).contains("family fills was changed"));
    hub.publish("fills:a", "7");
    let next = client.next_of("fill");
    assert_eq!((next.offset(), &next.json["epoch"]), (7, &epoch), "the client was not disturbed");
    let kept = hub.get("/history/fills:a").json();
    assert_eq!(kept["messages"].as_array().map(Vec::len), Some(2), "{kept}");
    hub.rewrite(&file(3, "latest"));
    let err = bad(&hub, &["config", "reload"]);
    assert!(err.contains("family fills cannot change like this while fills:a is in use"), "{err}");
    hub.publish("fills:a", "8");
    assert_eq!(client.next_of("fill").offset(), 8);
}

#[test]
fn a_family_added_live_outlives_a_reload_and_a_file_that_declares_it_too_is_refused() {
    let hub = Hub::with_config("");
    good(&hub, ADD_FX);
    hub.rewrite(FILE);
    good(&hub, &["config", "reload"]);
    assert_eq!(listed(&hub, "fx").expect("it stays")["origin"], "live");
    hub.rewrite(&format!("{FILE}[[channel]]\ntemplate = \"fx:{{pair}}\"\ntype = \"fx_rate\"\n"));
    let err = bad(&hub, &["config", "reload"]);
    assert!(err.contains("fx:{pair}, which was added live: family fx is declared already"), "{err}");
    good(&hub, &["channel", "remove", "fx"]);
    good(&hub, &["config", "reload"]);
    assert_eq!(listed(&hub, "fx").expect("it is in the file now")["origin"], "file");
}
