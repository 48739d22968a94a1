//! Message brokers by config: one a process and config, its bounds, its health.

use std::time::Duration;

use serde_json::json;
use tapeline::{BrokerType, Error, MessageBrokerConfig, get_message_broker};

/// Longer than anything here should take.
const PATIENCE: Duration = Duration::from_secs(20);

fn config(name: &str) -> MessageBrokerConfig {
    MessageBrokerConfig { url: Some(format!("memory://{name}")), ..MessageBrokerConfig::default() }
}

#[tokio::test]
async fn one_config_is_one_broker_and_another_is_another() {
    let first = get_message_broker(config("one")).await.unwrap();
    let same = get_message_broker(config("one")).await.unwrap();
    let other = get_message_broker(config("other")).await.unwrap();
    let mut heard = first.subscribe("desk").await.unwrap();
    other.publish("desk", "elsewhere").await.unwrap();
    same.publish("desk", "here").await.unwrap();
    let message = tokio::time::timeout(PATIENCE, heard.next()).await.expect("it is due").expect("it goes on");
    assert_eq!((message.topic(), message.data()), ("desk", &json!("here")));
    first.store().set("a:b", 1).await.unwrap();
    assert_eq!(same.store().get("a:b").await, Ok(Some(1)));
    first.close().await;
    assert!(!same.health_check().await);
    let again = get_message_broker(config("one")).await.unwrap();
    assert!(again.health_check().await);
}

#[tokio::test]
async fn one_subscriber_too_many_is_refused_until_another_leaves() {
    let config = MessageBrokerConfig { max_subscribers: 2, ..config("seats") };
    let broker = get_message_broker(config).await.unwrap();
    let first = broker.subscribe("a").await.unwrap();
    let _second = broker.subscribe("training.*").await.unwrap();
    let refused = broker.subscribe("b").await.err();
    assert_eq!(refused, Some(Error::TooManySubscribers { limit: 2 }));
    assert!(refused.unwrap().to_string().contains("max_subscribers"));
    drop(first);
    assert!(broker.subscribe("b").await.is_ok());
}

#[tokio::test]
async fn of_a_full_queue_the_newest_progress_is_kept() {
    let config = MessageBrokerConfig { max_queue_size: 4, ..config("queue") };
    let broker = get_message_broker(config).await.unwrap();
    let mut heard = broker.subscribe("training.progress").await.unwrap();
    for step in 1..=100 {
        let data = json!({"experiment_id": "e", "current_step": step, "total_steps": 100, "epoch": 0, "progress": step});
        broker.publish("training.progress:e", data).await.unwrap();
    }
    let mut last = 0;
    while last < 100 {
        let message =
            tokio::time::timeout(PATIENCE, heard.next()).await.expect("it is due").expect("it goes on");
        let step = message.get("current_step").and_then(serde_json::Value::as_u64).expect("a step");
        assert!(step > last, "{step} after {last}");
        last = step;
    }
    assert!(heard.conflated() > 0);
}

#[tokio::test]
async fn a_broker_that_is_nowhere_says_where_it_was_looked_for() {
    let config = MessageBrokerConfig {
        broker_type: Some(BrokerType::Hub),
        url: Some("ws://127.0.0.1:9".to_string()),
        ..MessageBrokerConfig::default()
    };
    let error = get_message_broker(config).await.expect_err("nobody listens on the discard port");
    assert!(error.to_string().contains("ws://127.0.0.1:9"), "{error}");
}
