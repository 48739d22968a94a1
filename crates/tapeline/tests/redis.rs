//! Buses over a real Redis: hubs of different processes that name one Redis behave as one. Two URLs of one Redis are two
//! hubs in this process, which know as little of one another as those of two.

#![expect(clippy::expect_used, reason = "a test may fail loudly")]

use std::time::Duration;

use serde_json::json;
use tapeline::{BrokerType, Event, EventBus, MessageBrokerConfig, TrainingChannel, get_message_broker};
use tapeline_faults::RedisServer;

/// Longer than anything here should take.
const PATIENCE: Duration = Duration::from_secs(20);

async fn two_processes(redis: &RedisServer) -> [EventBus; 2] {
    let port = redis.port();
    let one = tapeline::connect(&format!("redis://127.0.0.1:{port}")).await.expect("Redis is there");
    let two = tapeline::connect(&format!("redis://127.0.0.1:{port}/0")).await.expect("Redis is there");
    [one, two]
}

async fn soon<T>(due: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, due).await.expect("it is due")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_training_script_and_a_dashboard_meet_over_redis() {
    let redis = RedisServer::start();
    let [script, dashboard] = two_processes(&redis).await;
    let watching = TrainingChannel::new(&dashboard, None);
    let mut statuses = watching.subscribe_to_status_updates().await.unwrap();
    let training = TrainingChannel::new(&script, "ppo");
    training.create_experiment("exp_1", json!({"agent_type": "PPO"}));
    training.publish_progress("exp_1", 500.0, 10_000.0, 5.0);
    soon(training.publish_status("exp_1", "running", "started")).await.expect("Redis takes it");
    for expected in ["created", "running"] {
        assert_eq!(soon(statuses.next()).await.expect("it goes on").event.status, expected);
    }
    let run = soon(watching.get_experiment("exp_1")).await.unwrap().expect("it was created");
    assert_eq!((&*run.status, run.progress, run.current_step), ("running", 5.0, Some(500.0)));
    assert_eq!(run.config.expect("it has one").get(), r#"{"agent_type":"PPO"}"#);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_store_is_shared_and_messages_are_heard_once() {
    let redis = RedisServer::start();
    let [one, two] = two_processes(&redis).await;
    let version = one.store().set("a:b", 1).if_absent().await.unwrap();
    assert_eq!(two.store().get("a:b").await, Ok(Some(1)));
    assert!(two.store().set("a:b", 2).if_absent().await.is_err());
    two.store().set("a:b", 2).if_version(version).await.unwrap();
    assert!(one.store().set("a:b", 3).if_version(version).await.is_err());
    let mut heard = two.subscribe_stream("desk").await.unwrap();
    for n in 1..=3 {
        one.publish("desk", n).await.unwrap();
    }
    for n in 1..=3 {
        let Some(Event::Message(message)) = soon(heard.next()).await else { panic!("a message is due") };
        assert_eq!(message.data(), n);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn values_survive_the_application_that_set_them() {
    let redis = RedisServer::start();
    let config = || MessageBrokerConfig {
        broker_type: Some(BrokerType::Redis),
        redis_host: Some("127.0.0.1".to_string()),
        redis_port: Some(redis.port()),
        ..MessageBrokerConfig::default()
    };
    let broker = get_message_broker(config()).await.expect("Redis is there");
    assert!(broker.health_check().await);
    broker.store().set("training:experiment:e:config", json!({"n": 1})).await.unwrap();
    broker.publish("training.status", json!({"experiment_id": "e", "status": "running"})).await.unwrap();
    broker.close().await;
    drop(broker);
    let again = get_message_broker(config()).await.expect("Redis is there");
    assert_eq!(again.store().get("training:experiment:e:config").await, Ok(Some(json!({"n": 1}))));
    let mut heard = again.subscribe("training.*").await.unwrap();
    let message = soon(heard.next()).await.expect("the last status comes first");
    assert_eq!((message.topic(), message.get("status")), ("training.status", Some(&json!("running"))));
}
