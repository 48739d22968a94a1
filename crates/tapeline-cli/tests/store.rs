//! The store over HTTP, against the real binary.

#![expect(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail loudly")]

#[expect(dead_code, reason = "each test file uses its own part of the support")]
mod support;

use serde_json::json;
use support::http::Answer;
use support::{Hub, eventually};

const JSON: &str = "Content-Type: application/json\r\n";

fn put(hub: &Hub, target: &str, value: &str) -> Answer {
    hub.request("PUT", &format!("/store/{target}"), JSON, value)
}

/// Sets a value and answers its version.
fn set(hub: &Hub, target: &str, value: &str) -> u64 {
    let answer = put(hub, target, value);
    assert_eq!(answer.status(), 200, "{}", answer.text());
    answer.json()["version"].as_u64().expect("a receipt has a version")
}

fn refused(answer: &Answer) -> (u16, String) {
    answer.refusal()
}

#[test]
fn a_value_comes_back_as_it_was_put_with_its_version() {
    let hub = Hub::start();
    let value = "{ \"price\" : 1.50 , \"big\":123456789012345678901234567890 }";
    let version = set(&hub, "training:experiment:exp_123:config", &format!(" {value}\n"));
    let answer = hub.get("/store/training:experiment:exp_123:config");
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.header("etag"), Some(&*format!("\"{version}\"")));
    let expected =
        format!("{{\"key\":\"training:experiment:exp_123:config\",\"version\":{version},\"value\":{value}}}");
    assert_eq!(answer.text(), expected);
    set(&hub, "fx:rate:EUR%2FUSD:mid", "1.08");
    assert_eq!(hub.get("/store/fx:rate:EUR/USD:mid").json()["value"], json!(1.08));
}

#[test]
fn a_deleted_value_and_one_that_never_was_are_no_value() {
    let hub = Hub::start();
    assert_eq!(refused(&hub.get("/store/a:b")), (404, "no_value".into()));
    set(&hub, "a:b", "null");
    assert_eq!(hub.get("/store/a:b").json()["value"], json!(null));
    let gone = hub.request("DELETE", "/store/a:b", "", "");
    assert_eq!((gone.status(), gone.json()), (200, json!({"key": "a:b", "deleted": true})));
    assert_eq!(refused(&hub.get("/store/a:b")), (404, "no_value".into()));
    assert_eq!(refused(&hub.request("DELETE", "/store/a:b", "", "")), (404, "no_value".into()));
}

#[test]
fn a_value_that_is_not_the_expected_one_stays() {
    let hub = Hub::start();
    let first = set(&hub, "a:b?expect=absent", "1");
    assert_eq!(refused(&put(&hub, "a:b?expect=absent", "2")), (409, "version_conflict".into()));
    let second = set(&hub, &format!("a:b?expect={first}"), "2");
    assert!(second > first);
    let stale = put(&hub, &format!("a:b?expect={first}"), "3");
    assert_eq!(refused(&stale), (409, "version_conflict".into()));
    let told = format!("a:b is at version {second}, expected was {first}");
    assert_eq!(stale.json()["error"]["message"], json!(told));
    let stale = hub.request("DELETE", &format!("/store/a:b?expect={first}"), "", "");
    assert_eq!(refused(&stale), (409, "version_conflict".into()));
    assert_eq!(hub.get("/store/a:b").json()["value"], json!(2));
}

#[test]
fn what_a_header_expects_fails_as_a_precondition() {
    let hub = Hub::start();
    let with =
        |header: &str, value: &str| hub.request("PUT", "/store/a:b", &format!("{JSON}{header}\r\n"), value);
    assert_eq!(with("If-None-Match: *", "1").status(), 200);
    assert_eq!(refused(&with("If-None-Match: *", "2")), (412, "version_conflict".into()));
    let tag = hub.get("/store/a:b").header("etag").expect("an entry has one").to_string();
    assert_eq!(with(&format!("If-Match: {tag}"), "2").status(), 200);
    assert_eq!(refused(&with(&format!("If-Match: {tag}"), "3")), (412, "version_conflict".into()));
    let gone = hub.request("DELETE", "/store/a:b", &format!("If-Match: {tag}\r\n"), "");
    assert_eq!(refused(&gone), (412, "version_conflict".into()));
    let both = hub.request("DELETE", "/store/a:b?expect=1", &format!("If-Match: {tag}\r\n"), "");
    assert_eq!(refused(&both), (400, "invalid_request".into()));
}

#[test]
fn a_value_is_gone_when_its_time_is_over() {
    let hub = Hub::start();
    set(&hub, "a:long?ttl_s=3600", "1");
    let expires_at = hub.get("/store/a:long").json()["expires_at"].as_str().map(str::len);
    assert_eq!(expires_at, Some("2026-01-01T12:00:00.000001Z".len()));
    set(&hub, "a:short?ttl_s=0.2", "1");
    assert!(eventually(|| hub.get("/store/a:short").status() == 404));
    assert_eq!(hub.get("/store?prefix=a:").json()["entries"].as_array().map(Vec::len), Some(1));
}

#[test]
fn a_listing_goes_page_by_page_through_a_prefix() {
    let hub = Hub::start();
    for n in 0..5 {
        set(&hub, &format!("training:experiment:exp_{n}:config"), &format!("{{\"n\":{n}}}"));
    }
    set(&hub, "other:x", "0");
    let mut after = String::new();
    let mut seen = Vec::new();
    loop {
        let page = hub.get(&format!("/store?prefix=training:&limit=2&after={after}")).json();
        let entries = page["entries"].as_array().expect("a list");
        seen.extend(entries.iter().map(|entry| entry["value"]["n"].as_u64().expect("a number")));
        match page["next"].as_str() {
            Some(next) => after = next.to_string(),
            None => break,
        }
    }
    assert_eq!(seen, [0, 1, 2, 3, 4]);
    assert_eq!(hub.get("/store").json()["entries"].as_array().map(Vec::len), Some(6));
}

#[test]
fn what_cannot_be_kept_is_refused_with_its_reason() {
    let hub = Hub::start();
    let long = format!("a:{}", "k".repeat(300));
    let large = format!("\"{}\"", "x".repeat(1 << 20));
    let cases = [
        ("plain", "1", 400, "invalid_request", "has no namespace"),
        ("a:%20", "1", 400, "invalid_request", "' ' at byte 2"),
        (&long, "1", 400, "invalid_request", "the limit is 256"),
        ("a:b", "{", 400, "bad_json", "EOF"),
        ("a:b", "1 2", 400, "bad_json", "trailing"),
        ("a:b", "", 400, "bad_json", "EOF"),
        ("a:b", &large, 413, "too_large", "limits.publish_bytes"),
        ("a:b?ttl_s=0", "1", 400, "invalid_request", "ttl_s is 0"),
        ("a:b?ttl_s=soon", "1", 400, "invalid_request", "ttl_s"),
        ("a:b?expect=1.5", "1", 400, "invalid_request", "must be absent or a version"),
        ("a:b?ttl=5", "1", 400, "invalid_request", "unknown field"),
    ];
    for (target, value, status, code, told) in cases {
        let answer = put(&hub, target, value);
        assert_eq!(refused(&answer), (status, code.into()), "{target}");
        assert!(answer.text().contains(told), "{target}: {}", answer.text());
    }
    let other = hub.request("PUT", "/store/a:b", "Content-Type: text/plain\r\n", "1");
    assert_eq!(refused(&other), (415, "unsupported_media_type".into()));
    for query in ["limit=0", "limit=1001", "prefix=a%20b", "after=%2A", "like=a"] {
        let answer = hub.get(&format!("/store?{query}"));
        assert_eq!(refused(&answer), (400, "invalid_request".into()), "{query}");
    }
    assert_eq!(refused(&hub.get("/store/a:b")), (404, "no_value".into()));
}

#[test]
fn pages_from_elsewhere_and_foreign_names_reach_no_value() {
    let hub = Hub::start();
    set(&hub, "a:b", "1");
    let evil = "Origin: https://evil.example\r\n";
    let write = hub.request("PUT", "/store/a:b", &format!("{JSON}{evil}"), "2");
    assert_eq!(refused(&write), (403, "foreign_origin".into()));
    assert_eq!(refused(&hub.request("GET", "/store/a:b", evil, "")), (403, "foreign_origin".into()));
    let own = "Origin: http://localhost:3000\r\nAccess-Control-Request-Method: PUT\r\n";
    let asked = hub.request("OPTIONS", "/store/a:b", own, "");
    assert_eq!(asked.header("access-control-allow-methods"), Some("GET, PUT, DELETE"));
    assert_eq!(hub.get("/store/a:b").json()["value"], json!(1));
}

/// A few threads, since the library must also work where the hub's answers come on another.
fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

#[test]
fn the_library_reaches_the_store_of_a_hub_elsewhere() {
    let hub = Hub::start();
    runtime().block_on(async {
        let bus =
            tapeline::connect(&format!("ws://{}/ws/desk-1", hub.address())).await.expect("the hub answers");
        let store = bus.store();
        assert_eq!(store.get::<u32>("fx:rate:EUR/USD:mid").await, Ok(None));
        let version = store.set("fx:rate:EUR/USD:mid", 1.08).if_absent().await.expect("there is none");
        let refused = store.set("fx:rate:EUR/USD:mid", 1.09).if_absent().await.expect_err("there is one");
        assert_eq!(refused.code(), Some(tapeline::ErrorCode::VersionConflict));
        let ttl = std::time::Duration::from_secs(60);
        store.set("fx:rate:EUR/USD:mid", 1.09).if_version(version).ttl(ttl).await.expect("it is this one");
        let page = store.list("fx:", None, 10).await.expect("the hub answers");
        let entry = &page.entries[0];
        assert_eq!((&*entry.key, entry.json(), page.next.is_none()), ("fx:rate:EUR/USD:mid", "1.09", true));
        assert!(entry.expires_at.is_some());
        let late = store.delete("fx:rate:EUR/USD:mid").if_version(version).await.expect_err("it is another");
        assert_eq!(late.code(), Some(tapeline::ErrorCode::VersionConflict));
        assert_eq!(store.delete("fx:rate:EUR/USD:mid").await, Ok(true));
        assert_eq!(store.delete("fx:rate:EUR/USD:mid").await, Ok(false));
    });
}

#[test]
fn a_training_script_and_a_dashboard_are_two_processes_of_one_hub() {
    let hub = Hub::start();
    let url = format!("ws://{}", hub.address());
    // Each with a runtime of its own, as two processes have.
    let (script, dashboard) = (runtime(), runtime());
    let watching = dashboard.block_on(async {
        let bus = tapeline::connect(&url).await.expect("the hub answers");
        tapeline::TrainingChannel::new(&bus, None)
    });
    let mut progress = dashboard.block_on(watching.subscribe_to_progress_updates()).expect("confirmed");
    script.block_on(async {
        let bus = tapeline::connect(&url).await.expect("the hub answers");
        let training = tapeline::TrainingChannel::new(&bus, "ppo_training");
        training.create_experiment("exp_20241201_001", json!({"agent_type": "PPO"}));
        training.publish_status("exp_20241201_001", "running", "PPO training started");
        training.publish_progress("exp_20241201_001", 500.0, 10_000.0, 5.0);
        training.flush().await;
        assert_eq!(training.statistics().dropped, 0);
    });
    let update = dashboard.block_on(progress.next()).expect("it goes on");
    assert_eq!((update.event.current_step, update.event.progress), (500.0, 5.0));
    let run = dashboard.block_on(watching.get_experiment("exp_20241201_001")).expect("the hub answers");
    let run = run.expect("it was created");
    assert_eq!(
        (&*run.status, run.progress, run.namespace.as_deref()),
        ("running", 5.0, Some("ppo_training"))
    );
    let kept = hub.get("/store/training:experiment:exp_20241201_001:config").json();
    assert_eq!(kept["value"], json!({"agent_type": "PPO"}));
    assert!(kept["expires_at"].is_string(), "a record goes away a week after the last word of its run");
}
