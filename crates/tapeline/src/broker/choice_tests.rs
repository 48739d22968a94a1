//! Which broker is meant: every way to say it, and every way to contradict oneself.

use super::*;

type Variables<'a> = &'a [(&'a str, &'a str)];

fn chosen(config: &MessageBrokerConfig, variables: &[(&str, &str)]) -> Result<String, String> {
    let variable = |name: &str| {
        variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_string())
    };
    url(config, &variable).map_err(|error| error.to_string())
}

fn plain(variables: &[(&str, &str)]) -> Result<String, String> {
    chosen(&MessageBrokerConfig::default(), variables)
}

#[test]
fn variables_say_where_messages_are_kept() {
    let cases: &[(Variables, &str)] = &[
        (&[], "memory://"),
        (&[("MESSAGE_BROKER_TYPE", "memory"), ("REDIS_HOST", "localhost")], "memory://"),
        (&[("REDIS_URL", "redis://elsewhere")], "memory://"),
        (&[("MESSAGE_BROKER_TYPE", "redis")], "redis://localhost:6379/0"),
        (
            &[
                ("MESSAGE_BROKER_TYPE", "Redis"),
                ("REDIS_HOST", "r.example"),
                ("REDIS_PORT", "7000"),
                ("REDIS_DB", "2"),
                ("REDIS_PASSWORD", "p@ss:w/rd"),
            ],
            "redis://:p%40ss%3Aw%2Frd@r.example:7000/2",
        ),
        (&[("MESSAGE_BROKER_TYPE", "redis"), ("REDIS_HOST", "::1")], "redis://[::1]:6379/0"),
        (&[("MESSAGE_BROKER_TYPE", "redis"), ("REDIS_URL", "rediss://u:p@h:7/1")], "rediss://u:p@h:7/1"),
        (
            &[
                ("MESSAGE_BROKER_TYPE", "redis"),
                ("REDIS_URL", "redis://h"),
                ("REDIS_HOST", "h"),
                ("REDIS_PORT", "6379"),
            ],
            "redis://h",
        ),
        (&[("MESSAGE_BROKER_TYPE", "hub"), ("TAPELINE_URL", "ws://h:1")], "ws://h:1"),
        (&[("TAPELINE_URL", "redis://h"), ("MESSAGE_BROKER_TYPE", "redis")], "redis://h"),
        (&[("TAPELINE_URL", "http://h:1"), ("REDIS_URL", "redis://i")], "http://h:1"),
        (&[("TAPELINE_URL", "redis://h"), ("REDIS_URL", "redis://h:6379/0")], "redis://h"),
        (
            &[("MESSAGE_BROKER_TYPE", "redis"), ("REDIS_URL", "redis://h/1"), ("REDIS_PASSWORD", "p@ss")],
            "redis://:p%40ss@h/1",
        ),
        (&[("TAPELINE_URL", "redis://me@h"), ("REDIS_PASSWORD", "p")], "redis://me:p@h"),
    ];
    for (variables, expected) in cases {
        assert_eq!(plain(variables).as_deref(), Ok(*expected), "{variables:?}");
    }
}

#[test]
fn variables_that_contradict_each_other_are_both_named() {
    let cases: &[(Variables, &[&str])] = &[
        (
            &[("TAPELINE_URL", "ws://me:secret@h"), ("MESSAGE_BROKER_TYPE", "redis")],
            &["TAPELINE_URL=ws://***@h", "MESSAGE_BROKER_TYPE=redis"],
        ),
        (
            &[("TAPELINE_URL", "redis://h"), ("MESSAGE_BROKER_TYPE", "memory")],
            &["TAPELINE_URL", "MESSAGE_BROKER_TYPE"],
        ),
        (
            &[("MESSAGE_BROKER_TYPE", "redis"), ("REDIS_URL", "redis://u:secret@h"), ("REDIS_HOST", "i")],
            &["REDIS_URL=redis://***@h", "REDIS_HOST=i"],
        ),
        (
            &[("MESSAGE_BROKER_TYPE", "redis"), ("REDIS_URL", "redis://h/1"), ("REDIS_DB", "2")],
            &["REDIS_URL", "REDIS_DB=2"],
        ),
        (
            &[("TAPELINE_URL", "redis://a"), ("REDIS_URL", "redis://u:secret@b")],
            &["TAPELINE_URL=redis://a", "REDIS_URL"],
        ),
        (&[("TAPELINE_URL", "redis://a"), ("REDIS_HOST", "b")], &["TAPELINE_URL=redis://a", "REDIS_HOST=b"]),
        (
            &[
                ("MESSAGE_BROKER_TYPE", "redis"),
                ("REDIS_URL", "redis://:secret@h"),
                ("REDIS_PASSWORD", "secret2"),
            ],
            &["REDIS_URL=redis://***@h", "REDIS_PASSWORD"],
        ),
        (&[("MESSAGE_BROKER_TYPE", "redis"), ("REDIS_URL", "http://h")], &["REDIS_URL=http://h", "redis://"]),
        (&[("MESSAGE_BROKER_TYPE", "hub")], &["MESSAGE_BROKER_TYPE=hub", "TAPELINE_URL"]),
        (&[("MESSAGE_BROKER_TYPE", "kafka")], &["MESSAGE_BROKER_TYPE", "kafka", "memory, redis, hub"]),
        (&[("MESSAGE_BROKER_TYPE", "redis"), ("REDIS_PORT", "x")], &["REDIS_PORT=x"]),
        (&[("MESSAGE_BROKER_TYPE", "redis"), ("REDIS_PORT", "70000")], &["REDIS_PORT=70000"]),
    ];
    for (variables, told) in cases {
        let error = plain(variables).expect_err("a contradiction");
        assert!(told.iter().all(|told| error.contains(told)), "{variables:?}: {error}");
        assert!(!error.contains("secret"), "{error}");
    }
}

#[test]
fn a_config_stands_over_the_variables_and_is_filled_from_them() {
    let hub = [("TAPELINE_URL", "ws://h:1"), ("MESSAGE_BROKER_TYPE", "hub"), ("REDIS_HOST", "r")];
    let of = |kind| MessageBrokerConfig { broker_type: Some(kind), ..Default::default() };
    assert_eq!(chosen(&of(BrokerType::Memory), &hub).as_deref(), Ok("memory://"));
    assert_eq!(chosen(&of(BrokerType::Redis), &hub).as_deref(), Ok("redis://r:6379/0"));
    assert_eq!(chosen(&of(BrokerType::Hub), &hub).as_deref(), Ok("ws://h:1"));
    let host = Some("redis.example.com".to_string());
    let redis = MessageBrokerConfig { redis_host: host, redis_db: Some(1), ..Default::default() };
    assert_eq!(chosen(&redis, &hub).as_deref(), Ok("redis://redis.example.com:6379/1"));
    let rest = [("REDIS_HOST", "r"), ("REDIS_PORT", "7000"), ("REDIS_DB", "3"), ("REDIS_PASSWORD", "p")];
    assert_eq!(chosen(&redis, &rest).as_deref(), Ok("redis://:p@redis.example.com:7000/1"));
    let db = MessageBrokerConfig { redis_db: Some(1), ..Default::default() };
    assert_eq!(chosen(&db, &rest).as_deref(), Ok("redis://:p@r:7000/1"));
    let error = chosen(&db, &[("REDIS_URL", "redis://h/2")]).expect_err("a contradiction");
    assert!(error.contains("redis_db and REDIS_URL=redis://h/2"), "{error}");
    let url = MessageBrokerConfig { url: Some("memory://tests".into()), ..Default::default() };
    assert_eq!(chosen(&url, &hub).as_deref(), Ok("memory://tests"));
}

#[test]
fn a_config_that_contradicts_itself_is_told_so() {
    let host = MessageBrokerConfig { redis_host: Some("h".into()), ..Default::default() };
    let url = |url: &str| MessageBrokerConfig { url: Some(url.into()), ..Default::default() };
    let cases = [
        (
            MessageBrokerConfig { broker_type: Some(BrokerType::Memory), ..host.clone() },
            "broker_type \"memory\" and redis_host",
        ),
        (MessageBrokerConfig { url: Some("redis://i".into()), ..host }, "url redis://i and redis_host"),
        (
            MessageBrokerConfig { broker_type: Some(BrokerType::Redis), ..url("ws://h") },
            "url ws://h and broker_type \"redis\"",
        ),
    ];
    for (config, told) in cases {
        let error = chosen(&config, &[]).expect_err("a contradiction");
        assert!(error.contains(told), "{config:?}: {error}");
    }
    assert!(!format!("{:?}", url("redis://u:secret@h")).contains("secret"));
}
