//! Whole conversations without a hub: frames in, the next connection's requests out.

use super::super::frame::Frame;
use super::*;

fn topics(names: &[&str], since: Option<&str>) -> Topics {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let since: Option<Since> = since.map(|since| since.parse().unwrap());
    Topics::new(&names, since.as_ref(), None, None).unwrap()
}

/// Whether a message is news, or what a frame of the hub's own means.
fn tell(topics: &mut Topics, frame: &Value) -> Result<bool, Verdict> {
    match Frame::read(&frame.to_string()).unwrap() {
        Frame::Message(message) => Ok(topics.note_message(&message)),
        Frame::Said(said) => Err(topics.note_said(&said)),
    }
}

fn message(channel: &str, offset: u64, epoch: &str) -> Value {
    json!({ "type": "t", "channel": channel, "data": 1, "timestamp": "T", "offset": offset, "epoch": epoch })
}

fn confirmed(req: u64, channel: &str, offset: u64, epoch: &str) -> Value {
    json!({ "type": "subscription_confirmed", "channel": channel, "offset": offset, "epoch": epoch, "req": req,
            "time": "2026-01-01T12:00:00Z" })
}

fn since(topics: &mut Topics) -> Vec<Value> {
    let requests = topics.requests();
    let parsed = requests.iter().map(|request| serde_json::from_str::<Value>(request).unwrap());
    parsed.map(|request| request.get("since").cloned().unwrap_or_default()).collect()
}

#[test]
fn names_with_glob_characters_are_patterns_and_none_is_everything() {
    let mut some = topics(&["news", "training.*", "news"], None);
    assert_eq!(
        some.requests(),
        [
            r#"{"action":"subscribe","channel":"news","req":0}"#,
            r#"{"action":"subscribe","pattern":"training.*","req":1}"#
        ]
    );
    assert_eq!(topics(&[], None).requests(), [r#"{"action":"subscribe","pattern":"*","req":0}"#]);
}

#[test]
fn a_channel_resumes_after_the_last_message_printed() {
    let mut topics = topics(&["news"], None);
    assert_eq!(since(&mut topics), [Value::Null]);
    tell(&mut topics, &confirmed(0, "news", 5, "k")).unwrap_err();
    assert_eq!(since(&mut topics), [json!({ "offset": 5, "epoch": "k" })]);
    assert_eq!(tell(&mut topics, &message("news", 7, "k")), Ok(true));
    assert_eq!(topics.resume_sentence(), "resuming news after offset 7");
    assert_eq!(since(&mut topics), [json!({ "offset": 7, "epoch": "k" })]);
    assert_eq!(tell(&mut topics, &message("news", 7, "k")), Ok(false));
    assert_eq!(tell(&mut topics, &message("news", 8, "k")), Ok(true));
}

#[test]
fn a_new_epoch_starts_at_its_beginning() {
    let mut topics = topics(&["news"], None);
    since(&mut topics);
    tell(&mut topics, &confirmed(0, "news", 5, "k")).unwrap_err();
    tell(&mut topics, &message("news", 6, "k")).unwrap();
    since(&mut topics);
    tell(&mut topics, &confirmed(0, "news", 2, "l")).unwrap_err();
    assert_eq!(since(&mut topics), [json!({ "offset": 0, "epoch": "l" })]);
    assert_eq!(tell(&mut topics, &message("news", 1, "l")), Ok(true));
}

#[test]
fn a_roll_up_resumes_by_its_own_count() {
    let mut topics = topics(&["trades"], None);
    tell(&mut topics, &confirmed(0, "trades", 3, "r")).unwrap_err();
    let mut frame = message("trades:p", 1, "k");
    frame["rollup"] = json!({ "trades": { "offset": 4, "epoch": "r" } });
    assert_eq!(tell(&mut topics, &frame), Ok(true));
    assert_eq!(since(&mut topics), [json!({ "offset": 4, "epoch": "r" })]);
    assert_eq!(tell(&mut topics, &frame), Ok(false));
}

#[test]
fn a_pattern_resumes_each_channel_and_the_rest_from_its_first_confirmation() {
    let mut topics = topics(&["n*"], None);
    topics.requests();
    let frame = |time| json!({ "type": "subscription_confirmed", "pattern": "n*", "req": 0, "time": time });
    tell(&mut topics, &frame("2026-01-01T12:00:00Z")).unwrap_err();
    tell(&mut topics, &message("news", 7, "k")).unwrap();
    tell(&mut topics, &message("nods", 1, "l")).unwrap();
    tell(&mut topics, &frame("2026-01-01T13:00:00Z")).unwrap_err();
    let request: Value = serde_json::from_str(&topics.requests()[0]).unwrap();
    assert_eq!(request["time"], "2026-01-01T12:00:00Z");
    let places = json!({ "news": { "offset": 7, "epoch": "k" }, "nods": { "offset": 1, "epoch": "l" } });
    assert_eq!(request["since"], places);
}

#[test]
fn a_request_stays_below_a_frames_limit_however_many_channels_there_are() {
    let mut topics = topics(&["*"], None);
    tell(&mut topics, &json!({ "type": "subscription_confirmed", "pattern": "*", "req": 0, "time": "T" }))
        .unwrap_err();
    for n in 0..5_000 {
        tell(&mut topics, &message(&format!("channel:{n}"), u64::MAX, "0123456789abcdef")).unwrap();
    }
    let requests = topics.requests();
    assert!((20_000..64 << 10).contains(&requests[0].len()), "{}", requests[0].len());
    // What did not fit into it is replayed, and known already.
    assert_eq!(tell(&mut topics, &message("channel:999", u64::MAX, "0123456789abcdef")), Ok(false));
}

#[test]
fn a_wished_place_is_asked_for_and_kept_until_something_is_printed() {
    let mut topics = topics(&["news"], Some("3@k"));
    assert_eq!(since(&mut topics), [json!({ "offset": 3, "epoch": "k" })]);
    tell(&mut topics, &confirmed(0, "news", 9, "k")).unwrap_err();
    assert_eq!(since(&mut topics), [json!({ "offset": 3, "epoch": "k" })]);
    tell(&mut topics, &confirmed(0, "news", 2, "l")).unwrap_err();
    assert_eq!(since(&mut topics), [json!({ "offset": 0, "epoch": "l" })]);
}

#[test]
fn a_place_is_read_and_refused_where_it_has_no_meaning() {
    assert_eq!("7".parse(), Ok(Since { offset: 7, epoch: None }));
    assert_eq!("7@k3".parse(), Ok(Since { offset: 7, epoch: Some("k3".into()) }));
    for bad in ["", "x", "7@", "@k", "-1"] {
        assert!(bad.parse::<Since>().is_err(), "{bad}");
    }
    let refused = |names: &[&str], since: &str| {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        Topics::new(&names, Some(&since.parse().unwrap()), None, None).is_err()
    };
    assert!(refused(&["n*"], "7"));
    assert!(!refused(&["n*", "news"], "0"));
    assert!(refused(&["a", "b"], "7@k"));
    assert!(!refused(&["a", "b"], "7"));
}

#[test]
fn when_every_subscription_is_refused_there_is_nothing_to_hear() {
    let mut topics = topics(&["a,b", "c"], None);
    topics.requests();
    let error = |req: u64, code: &str| json!({ "type": "error", "code": code, "message": "no", "req": req });
    assert_eq!(tell(&mut topics, &error(0, "bad_channel")), Err(Verdict::Goes));
    assert_eq!(tell(&mut topics, &error(1, "degraded")), Err(Verdict::Goes));
    assert_eq!(tell(&mut topics, &error(1, "some_new_code")), Err(Verdict::NothingToHear));
}
