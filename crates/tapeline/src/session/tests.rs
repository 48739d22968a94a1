//! The session by script: frames in, frames and events out. No socket, no time.

use futures_util::FutureExt;
use futures_util::future::poll_fn;
use serde_json::{Value, json};
use tapeline_schema::Delivery;
use tokio::sync::{Notify, oneshot};

use super::*;
use crate::queue::Queue;

struct Script {
    session: Session,
    room: Arc<Notify>,
    next_id: u64,
}

struct Reader {
    id: u64,
    queue: Arc<Queue>,
    confirmed: oneshot::Receiver<Result<(), Error>>,
}

impl Script {
    /// Connected, and the first ping taken.
    fn new(queue_messages: usize) -> Self {
        let settings = Arc::new(Settings { queue_messages, ..Settings::default() });
        let mut script =
            Script { session: Session::new(settings, Arc::default()), room: Arc::default(), next_id: 0 };
        script.connect();
        script
    }

    fn connect(&mut self) {
        self.session.on_connected();
        assert_eq!(self.sent().first().map(|frame| frame["action"].clone()), Some(json!("ping")));
    }

    fn subscribe(&mut self, name: &str) -> Reader {
        self.subscribe_with(name, Wish::default(), None)
    }

    fn subscribe_with(&mut self, name: &str, wish: Wish, since: Option<Since>) -> Reader {
        self.next_id += 1;
        let id = self.next_id;
        let most = self.session.settings.queue_messages;
        let queue = Arc::new(Queue::new(self.room.clone(), most, 1 << 20));
        let (confirm, confirmed) = oneshot::channel();
        self.session.subscribe(NewSub { id, name: name.into(), wish, since, queue: queue.clone(), confirm });
        Reader { id, queue, confirmed }
    }

    /// All frames that wait to be sent.
    fn sent(&mut self) -> Vec<Value> {
        std::iter::from_fn(|| self.session.take_outgoing())
            .map(|text| serde_json::from_str(&text).unwrap())
            .collect()
    }

    /// The one frame that waits to be sent.
    fn asked(&mut self) -> Value {
        let sent = self.sent();
        assert_eq!(sent.len(), 1, "{sent:?}");
        sent[0].clone()
    }

    fn hears(&mut self, frame: Value) -> Flow {
        self.session.handle(&Utf8Bytes::from(frame.to_string()), Instant::now())
    }

    fn confirm(&mut self, asked: &Value, offset: u64) {
        let name = &asked["channel"];
        self.hears(json!({"type": "subscription_confirmed", "channel": name, "offset": offset,
            "epoch": "e", "time": "T", "req": asked["req"]}));
    }

    fn hears_message(&mut self, channel: &str, offset: u64) {
        self.hears(message(channel, offset));
    }
}

fn message(channel: &str, offset: u64) -> Value {
    json!({"type": "t", "channel": channel, "data": offset, "timestamp": "x", "id": "i",
        "offset": offset, "epoch": "e"})
}

fn history(channel: &str, offsets: &[u64], next: Option<u64>, asked: &Value) -> Value {
    let messages: Vec<_> = offsets.iter().map(|offset| message(channel, *offset)).collect();
    json!({"type": "history", "channel": channel, "epoch": "e", "messages": messages, "next": next,
        "req": asked["req"]})
}

impl Reader {
    /// What waits: offsets, and gaps as `from-to`.
    fn takes(&self) -> Vec<String> {
        std::iter::from_fn(|| poll_fn(|context| self.queue.poll_next(context)).now_or_never().flatten())
            .map(|event| match event {
                Event::Message(message) => message.offset().to_string(),
                Event::Gap(gap) => format!("{}-{}", gap.from, gap.to.unwrap_or_default()),
                other => format!("{other:?}"),
            })
            .collect()
    }
}

#[test]
fn two_subscribers_of_one_name_ask_once_and_both_are_told() {
    let mut script = Script::new(8);
    let (mut one, mut two) = (script.subscribe("desk"), script.subscribe("desk"));
    let asked = script.asked();
    assert_eq!(one.confirmed.try_recv(), Err(oneshot::error::TryRecvError::Empty));
    script.confirm(&asked, 3);
    assert_eq!((one.confirmed.try_recv(), two.confirmed.try_recv()), (Ok(Ok(())), Ok(Ok(()))));
    script.session.unsubscribe(one.id);
    assert!(script.sent().is_empty());
    script.session.unsubscribe(two.id);
    assert_eq!(script.asked(), json!({"action": "unsubscribe", "channel": "desk"}));
}

#[test]
fn who_was_slow_reads_pages_until_it_meets_what_comes() {
    let mut script = Script::new(8);
    let reader = script.subscribe("trades:p1");
    let asked = script.asked();
    script.confirm(&asked, 0);
    for n in 1..=12 {
        script.hears_message("trades:p1", n);
    }
    assert_eq!(reader.takes(), ["1", "2", "3", "4", "5", "6", "7", "8"]);
    script.session.on_room();
    let page = script.asked();
    assert_eq!((&page["since"], &page["limit"]), (&json!({"offset": 8, "epoch": "e"}), &json!(4)));
    // While a page is on its way, what comes live is passed over: it will be on a page.
    script.hears_message("trades:p1", 13);
    script.hears(history("trades:p1", &[9, 10, 11], Some(11), &page));
    assert_eq!(reader.takes(), ["9", "10", "11"]);
    let page = script.asked();
    // The page tells of 15 before it came live.
    script.hears(history("trades:p1", &[12, 13, 14, 15], None, &page));
    for n in 14..=17 {
        script.hears_message("trades:p1", n);
    }
    assert_eq!(reader.takes(), ["12", "13", "14", "15", "16", "17"]);
    assert!(script.sent().is_empty(), "it is live again");
}

#[test]
fn what_a_page_shows_to_be_gone_is_told_in_its_place() {
    let mut script = Script::new(2);
    let reader = script.subscribe("desk");
    let asked = script.asked();
    script.confirm(&asked, 0);
    for n in 1..=9 {
        script.hears_message("desk", n);
    }
    assert_eq!(reader.takes(), ["1", "2"]);
    script.session.on_room();
    let page = script.asked();
    script.hears(history("desk", &[6], Some(6), &page));
    assert_eq!(reader.takes(), ["3-5", "6"]);
    script.session.on_room();
    let page = script.asked();
    // Meanwhile nothing is kept any more.
    script.hears(history("desk", &[], None, &page));
    script.hears_message("desk", 10);
    assert_eq!(reader.takes(), ["7-9", "10"]);
}

#[test]
fn a_page_that_is_older_than_what_came_is_no_proof_of_a_loss() {
    let mut script = Script::new(8);
    let all = Since { offset: 0, epoch: None };
    let reader = script.subscribe_with("desk", Wish::default(), Some(all));
    let asked = script.asked();
    script.confirm(&asked, 0);
    let page = script.asked();
    // The hub read the page before this was published, and answers after it.
    script.hears_message("desk", 1);
    script.hears(history("desk", &[], None, &page));
    let page = script.asked();
    script.hears(history("desk", &[1], None, &page));
    assert_eq!(reader.takes(), ["1"]);
}

#[test]
fn an_unanswered_page_is_asked_for_again_on_the_next_connection() {
    let mut script = Script::new(8);
    let all = Since { offset: 0, epoch: None };
    let reader = script.subscribe_with("desk", Wish::default(), Some(all));
    let asked = script.asked();
    script.confirm(&asked, 1);
    let page = script.asked();
    script.session.on_lost();
    script.session.on_connected();
    let sent = script.sent();
    assert_eq!(sent.len(), 3, "{sent:?}");
    assert_eq!(sent[2], page);
    script.confirm(&sent[1], 1);
    script.hears(history("desk", &[1], None, &page));
    assert_eq!(reader.takes(), ["1"]);
    script.hears_message("desk", 2);
    assert_eq!(reader.takes(), ["2"]);
}

#[test]
fn wishes_of_one_name_are_joined_so_that_nobody_gets_less_than_it_asked_for() {
    let wish = |delivery, max_rate| Wish { delivery, max_rate };
    let (every, latest) = (Some(Delivery::Every), Some(Delivery::Latest));
    assert_eq!(wish(None, Some(2)).with(wish(None, Some(10))), wish(None, Some(10)));
    assert_eq!(wish(None, Some(2)).with(wish(None, None)), wish(None, None));
    assert_eq!(wish(latest, None).with(wish(every, None)), wish(every, None));
    assert_eq!(wish(latest, Some(2)).with(wish(every, None)), wish(every, None));
    assert_eq!(wish(latest, None).with(wish(None, None)), wish(None, None));
    assert_eq!(wish(latest, Some(5)).with(wish(latest, Some(5))), wish(latest, Some(5)));
}

#[test]
fn a_wish_that_the_hub_refuses_costs_only_who_had_it() {
    let mut script = Script::new(8);
    let mut old = script.subscribe("market_data:AAPL");
    let asked = script.asked();
    script.confirm(&asked, 0);
    assert_eq!(old.confirmed.try_recv(), Ok(Ok(())));
    let every = Wish { delivery: Some(Delivery::Every), max_rate: None };
    let mut new = script.subscribe_with("market_data:AAPL", every, None);
    let asked = script.asked();
    assert_eq!(asked["delivery"], "every");
    script.hears(
        json!({"type": "error", "code": "unsupported_delivery", "message": "no", "req": asked["req"]}),
    );
    assert!(matches!(new.confirmed.try_recv(), Ok(Err(Error::Refused { .. }))));
    script.hears_message("market_data:AAPL", 1);
    assert_eq!(old.takes(), ["1"]);
    script.session.on_lost();
    script.session.on_connected();
    assert_eq!(script.sent()[1].get("delivery"), None, "the refused wish is forgotten");
}

#[test]
fn a_message_of_a_roll_up_reaches_whoever_covers_it_once_each() {
    let mut script = Script::new(8);
    let readers: Vec<_> = ["trades:p1", "trades", "trades:*"].map(|name| script.subscribe(name)).into();
    for asked in script.sent() {
        if asked.get("channel").is_some() {
            script.confirm(&asked, 0);
        }
    }
    let mut trade = message("trades:p1", 1);
    trade["rollup"] = json!({"trades": {"offset": 7, "epoch": "r"}});
    script.hears(trade.clone());
    script.hears(trade);
    for reader in &readers {
        assert_eq!(reader.takes(), ["1"]);
    }
    script.session.on_lost();
    script.session.on_connected();
    let since: Vec<_> = script.sent().iter().skip(1).map(|asked| asked["since"].clone()).collect();
    assert_eq!(since[0], json!({"offset": 1, "epoch": "e"}));
    assert_eq!(since[1], json!({"offset": 7, "epoch": "r"}), "a roll-up goes by its own count");
}

#[test]
fn a_gap_of_the_source_is_none_of_a_roll_up_that_counts_for_itself() {
    let mut script = Script::new(8);
    let (source, roll_up) = (script.subscribe("trades:p1"), script.subscribe("trades"));
    for asked in script.sent() {
        script.confirm(&asked, 0);
    }
    script.hears(json!({"type": "gap", "channel": "trades:p1", "from": 2, "to": 3, "reason": "trimmed"}));
    assert_eq!((source.takes(), roll_up.takes()), (vec!["2-3".to_string()], vec![]));
}

#[test]
fn what_is_no_frame_of_a_hub_is_passed_over() {
    let mut script = Script::new(8);
    for text in ["", "[]", "{", r#"{"type":7}"#, r#"{"type":"new_thing"}"#, r#"{"type":"pong"}"#] {
        assert_eq!(script.session.handle(&Utf8Bytes::from_static(text), Instant::now()), Flow::GoesOn);
    }
    assert_eq!(
        script.hears(json!({"type": "reconnect", "after_ms": 7})),
        Flow::ComeBack(Duration::from_millis(7))
    );
    assert!(script.sent().is_empty());
}
