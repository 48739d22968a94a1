//! Training channels and the store on a hub inside of this process: records, typed updates, namespaces, many runs at once.
//! Each test has a hub of its own.

#![expect(clippy::expect_used, clippy::panic, reason = "a test may fail loudly")]

use std::time::Duration;

use serde_json::{Value, json};
use tapeline::{Error, ErrorCode, EventBus, Experiment, TrainingChannel, Update, Updates};

/// Longer than anything here should take.
const PATIENCE: Duration = Duration::from_secs(20);

async fn bus(name: &str) -> EventBus {
    tapeline::connect(&format!("memory://{name}")).await.expect("a hub of one's own always answers")
}

async fn record(training: &TrainingChannel, id: &str) -> Experiment {
    training.get_experiment(id).await.expect("the hub answers").unwrap_or_else(|| panic!("{id} is not known"))
}

async fn next<E: serde::de::DeserializeOwned>(updates: &mut Updates<E>) -> Update<E> {
    tokio::time::timeout(PATIENCE, updates.next()).await.expect("an update is due").expect("it goes on")
}

#[tokio::test]
async fn the_store_keeps_typed_values_and_says_who_was_first() {
    let bus = bus("store").await;
    let store = bus.store();
    assert_eq!(store.get::<u32>("desk:limit:a:max").await, Ok(None));
    let version = store.set("desk:limit:a:max", 5).if_absent().await.unwrap();
    let refused = store.set("desk:limit:a:max", 6).if_absent().await.unwrap_err();
    assert_eq!(refused.code(), Some(ErrorCode::VersionConflict));
    let entry = store.entry("desk:limit:a:max").await.unwrap().expect("it was set");
    assert_eq!((entry.version, entry.json(), entry.parse::<u32>()), (version, "5", Ok(5)));
    store.set("desk:limit:b:max", json!({"n": 1.5})).ttl(Duration::from_secs(60)).await.unwrap();
    let page = store.list("desk:limit:", None, 1).await.unwrap();
    assert_eq!((page.entries.len(), page.next.as_deref()), (1, Some("desk:limit:a:max")));
    let page = store.list("desk:limit:", page.next.as_deref(), 1).await.unwrap();
    assert!(page.next.is_none() && page.entries[0].expires_at.is_some());
    let refused = store.delete("desk:limit:a:max").if_version(version + 1).await.unwrap_err();
    assert_eq!(refused.code(), Some(ErrorCode::VersionConflict));
    assert_eq!(store.delete("desk:limit:a:max").if_version(version).await, Ok(true));
    assert_eq!(store.delete("desk:limit:a:max").await, Ok(false));
    let refused = store.set("no namespace", 1).await.unwrap_err();
    assert_eq!(refused.code(), Some(ErrorCode::InvalidRequest));
    assert!(matches!(store.get::<u32>("desk:limit:b:max").await, Err(Error::Data(_))));
}

#[tokio::test]
async fn a_record_follows_its_run_from_the_config_to_the_end() {
    let bus = bus("record").await;
    let training = TrainingChannel::new(&bus, "ppo");
    assert!(training.get_experiment("exp_1").await.unwrap().is_none());
    let config = json!({"agent_type": "PPO", "symbol": "EUR/USD", "timesteps": 10_000});
    training.create_experiment("exp_1", &config).await.unwrap();
    let run = record(&training, "exp_1").await;
    assert_eq!((run.status.as_str(), run.progress, run.namespace.as_deref()), ("created", 0.0, Some("ppo")));
    let kept: Value = serde_json::from_str(run.config.expect("it was given one").get()).unwrap();
    assert_eq!(kept, config);
    training.publish_status("exp_1", "running", "PPO training started");
    training.publish_metrics("exp_1", json!({"loss": 0.045, "reward": 1250.5}));
    training.publish_error("exp_1", "NaN in loss", "train.py:7");
    training.publish_progress("exp_1", 500.0, 10_000.0, 5.0).await.unwrap();
    let run = record(&training, "exp_1").await;
    assert_eq!((run.status.as_str(), run.message.as_deref()), ("running", Some("PPO training started")));
    assert_eq!((run.current_step, run.total_steps, run.epoch), (Some(500.0), Some(10_000.0), Some(5.0)));
    assert_eq!((run.progress, run.metrics.get("loss")), (5.0, Some(&json!(0.045))));
    let error = run.error.expect("it met one");
    assert_eq!((&*error.message, error.stack_trace.as_deref()), ("NaN in loss", Some("train.py:7")));
    assert!(run.updated_at.is_some_and(|at| at.ends_with('Z')));
    training.publish_status("exp_1", "completed", "Training finished successfully").await.unwrap();
    let run = record(&training, "exp_1").await;
    assert_eq!((run.status.as_str(), run.progress), ("completed", 100.0));
}

#[tokio::test]
async fn a_run_that_begins_anew_has_nothing_of_the_one_before() {
    let bus = bus("again").await;
    let training = TrainingChannel::new(&bus, None);
    training.create_experiment("exp_1", json!({"try": 1}));
    training.publish_progress("exp_1", 9.0, 10.0, 1.0);
    training.publish_metrics("exp_1", json!({"loss": 1}));
    training.publish_error("exp_1", "out of memory", None).await.unwrap();
    training.create_experiment("exp_1", json!({"try": 2})).await.unwrap();
    let run = record(&training, "exp_1").await;
    assert_eq!((run.status.as_str(), run.progress, run.current_step), ("created", 0.0, None));
    assert!(run.error.is_none() && run.metrics.is_empty());
    assert_eq!(run.config.expect("it has one").get(), r#"{"try":2}"#);
}

#[tokio::test]
async fn who_has_no_namespace_sees_all_and_who_has_one_sees_its_own() {
    let bus = bus("namespaces").await;
    let [one, two] = ["one", "two"].map(|name| TrainingChannel::new(&bus, name));
    let all = TrainingChannel::new(&bus, None);
    let mut of_one = one.subscribe_to_status_updates().await.unwrap();
    let mut of_all = all.subscribe_to_status_updates().await.unwrap();
    two.create_experiment("exp_2", json!({})).await.unwrap();
    one.create_experiment("exp_1", json!({})).await.unwrap();
    one.publish_status("exp_1", "running", None).await.unwrap();
    for expected in ["exp_2 created", "exp_1 created", "exp_1 running"] {
        let update = next(&mut of_all).await;
        assert_eq!(format!("{} {}", update.event.experiment_id, update.event.status), expected);
        assert_eq!(update.message.topic(), "training.status");
    }
    for expected in ["created", "running"] {
        let event = next(&mut of_one).await.event;
        assert_eq!(
            (&*event.experiment_id, &*event.status, event.namespace.as_deref()),
            ("exp_1", expected, Some("one"))
        );
    }
    assert!(one.get_experiment("exp_2").await.unwrap().is_none());
    assert_eq!(record(&all, "exp_2").await.namespace.as_deref(), Some("two"));
}

#[tokio::test]
async fn every_kind_of_update_comes_typed() {
    let bus = bus("kinds").await;
    let training = TrainingChannel::new(&bus, None);
    let mut progress = training.subscribe_to_progress_updates().await.unwrap();
    let mut metrics = training.subscribe_to_metrics_updates().await.unwrap();
    let mut log = training.subscribe_to_log_updates().await.unwrap();
    let mut errors = training.subscribe_to_errors().await.unwrap();
    training.publish_progress("e", 1.0, 4.0, 0.0);
    training.publish_metrics("e", json!({"loss": 2.5}));
    training.publish_log("e", "epoch 1", "info");
    training.publish_error("e", "NaN", "train.py:7\ntrain.py:8");
    assert_eq!(next(&mut progress).await.event.progress, 25.0);
    assert_eq!(next(&mut metrics).await.event.metrics["loss"], json!(2.5));
    assert_eq!(next(&mut log).await.event.level.as_deref(), Some("info"));
    assert_eq!(next(&mut errors).await.event.stack_trace.as_deref(), Some("train.py:7\ntrain.py:8"));
}

#[tokio::test]
async fn who_comes_late_is_told_the_last_of_each_run() {
    let bus = bus("late").await;
    let training = TrainingChannel::new(&bus, None);
    for id in ["a", "b"] {
        training.create_experiment(id, json!({}));
        training.publish_status(id, "running", None);
    }
    training.flush().await;
    // The documents' quick start: publish first, then subscribe.
    let mut statuses = training.subscribe_to_status_updates().await.unwrap();
    let mut told = Vec::new();
    for _ in 0..2 {
        let event = next(&mut statuses).await.event;
        told.push(format!("{} {}", event.experiment_id, event.status));
    }
    told.sort();
    assert_eq!(told, ["a running", "b running"]);
    // A connection of its own: one that hears a channel already is not told its last message again.
    let other = tapeline::connect("memory://late").await.expect("the same hub");
    for id in ["a", "b"] {
        let mut one = other.subscribe_stream(format!("training.status:{id}")).await.unwrap();
        let event = tokio::time::timeout(PATIENCE, one.next()).await.expect("it is due").expect("it goes on");
        assert_eq!(event.message().expect("a message").get("status"), Some(&json!("running")));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_runs_at_once_do_not_meet() {
    const STEPS: u32 = 50;
    let bus = bus("eight").await;
    let watching = TrainingChannel::new(&bus, None);
    let mut statuses = watching.subscribe_to_status_updates().await.unwrap();
    let runs = (0..8_u32).map(|n| {
        let bus = bus.clone();
        tokio::spawn(async move {
            let training = TrainingChannel::new(&bus, None);
            let id = format!("exp_{n}");
            training.create_experiment(&id, json!({"n": n})).await.unwrap();
            training.publish_status(&id, "running", None);
            for step in 1..=STEPS {
                training.publish_progress(&id, f64::from(step), f64::from(STEPS), f64::from(n));
                training.publish_metrics(&id, json!({"run": n, "step": step}));
                tokio::task::yield_now().await;
            }
            let is_last = n == 7;
            training.publish_status(&id, if is_last { "failed" } else { "completed" }, None).await.unwrap();
        })
    });
    for run in runs.collect::<Vec<_>>() {
        run.await.expect("a run comes to its end");
    }
    let mut said = std::collections::BTreeMap::<String, Vec<String>>::new();
    for _ in 0..8 * 3 {
        let event = next(&mut statuses).await.event;
        said.entry(event.experiment_id).or_default().push(event.status);
    }
    for n in 0..8_u32 {
        let id = format!("exp_{n}");
        let end = if n == 7 { "failed" } else { "completed" };
        assert_eq!(said[&id], ["created", "running", end], "{id}");
        let run = record(&watching, &id).await;
        assert_eq!(
            (run.status.as_str(), run.current_step, run.epoch),
            (end, Some(f64::from(STEPS)), Some(f64::from(n)))
        );
        assert_eq!((&run.metrics["run"], &run.metrics["step"]), (&json!(n), &json!(STEPS)));
        assert_eq!(run.config.expect("it has one").get(), format!("{{\"n\":{n}}}"));
    }
}

#[tokio::test]
async fn a_publish_returns_at_once_and_says_later_what_became_of_it() {
    let bus = bus("at once").await;
    let training = TrainingChannel::new(&bus, None);
    let refused = training.publish_status("a name with blanks", "running", None).await.unwrap_err();
    assert_eq!(refused.code(), Some(ErrorCode::BadChannel));
    assert!(matches!(training.publish_metrics("e", 5).await, Err(Error::Data(_))));
    let large = "x".repeat(2 << 20);
    assert!(matches!(training.publish_error("e", &large, None).await, Err(Error::TooLarge { .. })));
    assert!(matches!(training.create_experiment("e", &large).await, Err(Error::TooLarge { .. })));
    for step in 0..5_000 {
        training.publish_progress("e", f64::from(step), 5_000.0, 0.0);
    }
    let statistics = training.statistics();
    assert_eq!((statistics.conflated, statistics.dropped, statistics.waiting), (4_999, 3, 1));
    training.flush().await;
    assert_eq!(training.statistics().waiting, 0);
    assert_eq!(record(&training, "e").await.current_step, Some(4_999.0));
}
