//! `/metrics` as a scraper reads it, in both formats: families, causes and lanes are counted as they happen, whatever
//! strangers do the number of series has a bound, and `tapeline top` shows the same.

#![expect(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail loudly")]

#[expect(dead_code, reason = "each test file uses its own part of the support")]
mod support;

use std::collections::BTreeMap;

use serde_json::json;
use support::{Client, Hub, eventually};

/// Samples by name and labels as they stand, with each line held against the format.
fn samples(text: &str) -> BTreeMap<String, f64> {
    let mut types = BTreeMap::new();
    let mut samples = BTreeMap::new();
    for line in text.lines().filter(|line| *line != "# EOF") {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap_or_else(|| panic!("{line}"));
            assert!(types.insert(name.to_string(), kind.to_string()).is_none(), "{name} is described twice");
            continue;
        }
        if line.starts_with("# HELP ") || line.starts_with("# UNIT ") {
            continue;
        }
        let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no sample: {line}"));
        let value: f64 = value.parse().unwrap_or_else(|_| panic!("no number: {line}"));
        assert!(samples.insert(series.to_string(), value).is_none(), "{series} stands twice");
        let name = series.split('{').next().unwrap_or_default();
        let known = types.keys().any(|known| name.starts_with(known.as_str()));
        assert!(known, "{name} has no type before it");
    }
    samples
}

fn metrics(hub: &Hub) -> BTreeMap<String, f64> {
    samples(hub.get("/metrics").text())
}

#[test]
fn what_happens_is_counted_by_family_lane_and_cause() {
    let hub = Hub::start();
    let mut client = Client::connect(&hub);
    client.subscribe("trades:p");
    client.subscribe_with("orderbook:A", json!({"max_rate": 1}));
    let trade = r#"{"portfolio_id":"p","symbol":"A","trade_type":"BUY","quantity":1,"price":2}"#;
    hub.publish("trades:p", trade);
    hub.post("/publish", r#"{"channel":"trades:p","data":{}}"#);
    hub.publish("anything", "1");
    let keyed = r#"{"channel":"anything","data":1,"idempotency_key":"k"}"#;
    hub.post("/publish", keyed);
    hub.post("/publish", keyed);
    // Last and all at once: in a second the newest of them leaves too.
    hub.publish_all("orderbook:A", (0..5).map(|n| format!("{{\"n\":{n}}}")));
    assert!(eventually(|| client.settle().is_empty()));
    let found = metrics(&hub);
    let sample = |series: &str| *found.get(series).unwrap_or_else(|| panic!("{series} in {found:#?}"));
    for (series, expected) in [
        ("tapeline_messages_published_total{family=\"orderbook\",priority=\"high\"}", 5.0),
        ("tapeline_messages_published_total{family=\"trades\",priority=\"critical\"}", 1.0),
        ("tapeline_messages_published_total{family=\"(no family)\",priority=\"medium\"}", 2.0),
        ("tapeline_publishes_duplicate_total{family=\"(no family)\",priority=\"medium\"}", 1.0),
        ("tapeline_messages_delivered_total{family=\"trades\",priority=\"critical\"}", 1.0),
        ("tapeline_messages_delivered_total{family=\"orderbook\",priority=\"high\"}", 1.0),
        ("tapeline_messages_conflated_total{family=\"orderbook\",priority=\"high\",cause=\"max_rate\"}", 3.0),
        ("tapeline_messages_conflated_total{family=\"orderbook\",priority=\"high\",cause=\"pressure\"}", 0.0),
        ("tapeline_publishes_refused_total{code=\"invalid_data\"}", 1.0),
        ("tapeline_incidents_total{kind=\"publish_refused\"}", 1.0),
        ("tapeline_connections{protocol=\"websocket\"}", 1.0),
        ("tapeline_subscriptions", 2.0),
        ("tapeline_delivery_delay_seconds_count{priority=\"critical\"}", 1.0),
        ("tapeline_http_requests_total{route=\"/publish\",status=\"2xx\"}", 4.0),
        ("tapeline_http_requests_total{route=\"/publish\",status=\"4xx\"}", 1.0),
    ] {
        assert_eq!(sample(series), expected, "{series}");
    }
    assert!(sample("process_resident_memory_bytes") > 1e6);
    let infinite = sample("tapeline_delivery_delay_seconds_bucket{le=\"+Inf\",priority=\"critical\"}");
    assert_eq!(infinite, 1.0, "buckets add up");
}

#[test]
fn the_format_is_the_one_that_is_asked_for() {
    let hub = Hub::start();
    hub.publish("news", "{}");
    let plain = hub.get("/metrics");
    assert_eq!(plain.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    assert!(plain.text().contains("# TYPE tapeline_messages_published_total counter\n"), "{}", plain.text());
    assert!(!plain.text().contains("# EOF") && !plain.text().contains("# UNIT"));
    let accept = "Accept: application/openmetrics-text;version=1.0.0,text/plain;q=0.5\r\n";
    let open = hub.request("GET", "/metrics", accept, "");
    assert_eq!(
        open.header("content-type"),
        Some("application/openmetrics-text; version=1.0.0; charset=utf-8")
    );
    assert!(open.text().contains("# TYPE tapeline_messages_published counter\n"), "{}", open.text());
    assert!(open.text().ends_with("\n# EOF\n"));
    let names = |text: &str| {
        samples(text).into_keys().filter(|name| name.starts_with("tapeline_m")).collect::<Vec<_>>()
    };
    assert_eq!(names(plain.text()), names(open.text()));
}

#[test]
fn whatever_strangers_do_the_number_of_series_has_a_bound() {
    let hub = Hub::start();
    let letter = |source: &str, reason: &str| {
        let data = json!({"reason": reason, "attempts": 1, "first_at": "2026-01-01T00:00:00Z",
            "last_at": "2026-01-01T00:00:00Z", "original": {}});
        json!({"channel": format!("dead_letters:{source}"), "data": data}).to_string()
    };
    for n in 0..300 {
        let family = json!({"template": format!("own{n}:{{k}}"), "type": "t"}).to_string();
        assert_eq!(hub.post("/admin/channels", family).status(), 200);
        hub.publish(&format!("own{n}:a"), "1");
        hub.publish(&format!("stranger{n}"), "1");
        hub.get(&format!("/nowhere{n}"));
        hub.post("/publish", letter(&format!("source{n}"), &format!("reason\"\\{n}")));
    }
    let found = metrics(&hub);
    let count = |start: &str| found.keys().filter(|name| name.starts_with(start)).count();
    assert!(
        count("tapeline_messages_published_total") <= 256,
        "{}",
        count("tapeline_messages_published_total")
    );
    assert_eq!(found["tapeline_messages_published_total{family=\"(no family)\",priority=\"medium\"}"], 300.0);
    assert!(found["tapeline_messages_published_total{family=\"(all others)\",priority=\"medium\"}"] > 0.0);
    assert_eq!(found["tapeline_http_requests_total{route=\"none\",status=\"4xx\"}"], 300.0);
    assert!((1..=65 * 33).contains(&count("tapeline_dead_letters_total")));
    assert!(found.len() < 6_000, "{} series", found.len());
    let letters: f64 = found
        .iter()
        .filter(|(name, _)| name.starts_with("tapeline_dead_letters_total"))
        .map(|(_, n)| n)
        .sum();
    assert_eq!(letters, 300.0, "what is counted together is counted");
}

#[test]
fn top_prints_a_screen_where_there_is_no_terminal() {
    let hub = Hub::start();
    let mut client = Client::connect_to(&hub, "/ws/desk-7");
    client.subscribe("news");
    for _ in 0..5 {
        hub.publish("news", "{}");
    }
    let (status, out, err) = hub.run(&["top", "--once"]);
    assert!(status.success(), "{err}");
    for part in [
        "1 connection  ",
        "1 subscription ",
        "1 channel ",
        "published",
        "busiest channels",
        "news",
        "no client is slow",
    ] {
        assert!(out.contains(part), "{part}:\n{out}");
    }
    assert!(!out.contains('\u{1b}'), "no escapes where there is no terminal");
}
