//! Sessions that are spoken to as Redis does, and such with a heartbeat of their own: deliveries by subscription, one line,
//! answers in the order of their requests. One shard with the memory broker and a wire that writes lines.

#![expect(clippy::expect_used, reason = "a test may fail loudly")]

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tapeline_brokers::memory::MemoryBroker;
use tapeline_core::beats::Beat;
use tapeline_core::command::{Publication, SubscribeOptions, Wanted};
use tapeline_core::hub::HubParts;
use tapeline_core::message::{Message, Way, Wire, slot};
use tapeline_core::registry::LocalRegistry;
use tapeline_core::rights::{Grant, Identity};
use tapeline_core::session::Arrival;
use tapeline_core::shard::Note;
use tapeline_core::store::{Bounds, LocalStore};
use tapeline_core::testkit::{ManualClock, OpenSocket, RoomyInbox};
use tapeline_core::{Clock, Command, Directory, Hub, Reply, Settings, Shard};
use tapeline_schema::{Catalog, CloseCode};

/// Lines that say in which ways a message is heard.
struct Ways;

static WAYS: Ways = Ways;

impl Wire for Ways {
    fn slot(&self) -> usize {
        slot::RESP2
    }

    fn message(&self, message: &Message) -> Box<[u8]> {
        self.named(message, &[])
    }

    fn by_subscription(&self) -> bool {
        true
    }

    fn named(&self, message: &Message, ways: &[Way]) -> Box<[u8]> {
        let data = String::from_utf8_lossy(&message.data);
        if ways.is_empty() {
            return format!("{} {data}\n", message.channel.name()).into_bytes().into();
        }
        let each = ways
            .iter()
            .map(|way| format!("{}/{} {} {data}\n", way.topic.name(), way.tag, message.channel.name()));
        each.collect::<String>().into_bytes().into()
    }

    fn turn(&self, req: &str) -> Option<u64> {
        req.parse().ok()
    }

    fn reply(&self, reply: &Reply) -> Bytes {
        match reply {
            Reply::Confirmed(confirmation) => format!("+{}\n", confirmation.topic.name()).into(),
            Reply::Unsubscribed { topic: Some((_, name)), .. } => format!("-{name}\n").into(),
            Reply::Error { refusal, .. } => format!("!{}\n", refusal.code.name()).into(),
            _ => Bytes::new(),
        }
    }

    fn close(&self, _code: CloseCode, _reason: &str) -> Bytes {
        Bytes::new()
    }

    fn ping(&self) -> Bytes {
        "?\n".into()
    }
}

struct Desk {
    hub: Arc<Hub>,
    shard: Shard,
    inbox: Arc<RoomyInbox>,
    socket: OpenSocket,
    clock: Arc<ManualClock>,
}

impl Desk {
    fn new() -> Self {
        let clock = Arc::new(ManualClock::default());
        let hub = Arc::new(Hub::new(HubParts {
            directory: Arc::new(Directory::new(Catalog::built_in())),
            settings: Settings::default(),
            clock: clock.clone(),
            broker: Arc::new(MemoryBroker::new(clock.clone(), 7)),
            registry: Arc::new(LocalRegistry::default()),
            store: Arc::new(LocalStore::new(clock.clone(), Bounds::default())),
            authority: Arc::new(tapeline_core::rights::Off),
            seed: 7,
            shards: 1,
        }));
        let inbox = Arc::new(RoomyInbox::default());
        hub.broker().attach(inbox.clone());
        let shard = Shard::new(hub.clone(), 0, inbox.clone());
        Desk { hub, shard, inbox, socket: OpenSocket::default(), clock }
    }

    fn open(&mut self, beat: Option<Beat>) -> u32 {
        self.open_as(Grant::Anyone, beat)
    }

    fn open_as(&mut self, grant: Grant, beat: Option<Beat>) -> u32 {
        let arrival = Arrival {
            principal: "p".into(),
            address: "127.0.0.1".into(),
            seat: None,
            client: None,
            grant,
            wire: &WAYS,
            notices: false,
            heartbeat: false,
            beat,
        };
        self.shard.open(arrival, self.clock.now()).slot
    }

    fn ask(&mut self, slot: u32, command: impl FnOnce(Option<Box<str>>) -> Command) {
        let turn = self.shard.take_turn(slot).to_string();
        let now = self.clock.now();
        self.shard.handle(slot, command(Some(turn.into())), now);
        self.settle();
    }

    fn subscribe(&mut self, slot: u32, wanted: Wanted, tag: u8) {
        let options = Box::new(SubscribeOptions { tag, ..SubscribeOptions::default() });
        self.ask(slot, |req| Command::Subscribe { wanted: vec![wanted], options, req });
    }

    fn settle(&mut self) {
        let now = self.clock.now();
        loop {
            let (notes, messages) = (self.inbox.take_notes(), self.inbox.take_messages());
            if notes.is_empty() && messages.is_empty() {
                break;
            }
            notes.into_iter().for_each(|note| self.shard.on_note(note, now));
            messages.iter().for_each(|message| self.shard.route(message, false, now));
        }
        while self.shard.flush(&mut self.socket, 16, now) {}
    }

    fn publish(&mut self, channel: &str, data: &str) {
        let publication = Publication {
            channel: channel.into(),
            data: Bytes::from(data.to_string()),
            raw: true,
            ..Publication::default()
        };
        let draft = self.hub.draft(publication, &"q".into(), &Grant::Anyone, self.clock.now());
        let draft = draft.map_err(|refused| refused.refusal).expect("it may be published");
        assert!(self.hub.publish([draft].into_iter().collect(), None).is_ok(), "the inbox is never full");
    }

    fn said(&mut self) -> String {
        self.settle();
        self.socket.take()
    }
}

fn channel(name: &str) -> Wanted {
    Wanted::Channel(name.into())
}

fn pattern(text: &str) -> Wanted {
    Wanted::Pattern(text.into())
}

const TRADE: &str = r#"{"portfolio_id":"p","symbol":"A","trade_type":"BUY","quantity":1,"price":2}"#;

#[test]
fn a_message_is_delivered_once_for_each_subscription_that_covers_it_and_names_it() {
    let mut desk = Desk::new();
    let slot = desk.open(None);
    desk.subscribe(slot, channel("foo"), 0);
    desk.publish("foo", "1");
    assert_eq!(desk.said(), "+foo\nfoo 1\n");
    desk.subscribe(slot, pattern("f*"), 0);
    desk.subscribe(slot, pattern("fo?"), 0);
    desk.said();
    desk.publish("foo", "2");
    desk.publish("fax", "3");
    assert_eq!(desk.said(), "foo/0 foo 2\nf*/0 foo 2\nfo?/0 foo 2\nf*/0 fax 3\n");
    let foo = desk.hub.channel("foo").unwrap();
    assert_eq!(desk.hub.subscribers(&foo), 3, "as Redis counts");
    desk.ask(slot, |req| Command::Unsubscribe { wanted: vec![pattern("f*")], req });
    desk.ask(slot, |req| Command::Unsubscribe { wanted: vec![pattern("fo?")], req });
    desk.said();
    desk.publish("foo", "4");
    assert_eq!(desk.said(), "foo 4\n");
}

#[test]
fn a_roll_up_is_named_and_does_not_hide_its_sources() {
    let mut desk = Desk::new();
    let slot = desk.open(None);
    desk.subscribe(slot, channel("trades"), 0);
    desk.subscribe(slot, channel("trades:p"), 1);
    desk.subscribe(slot, pattern("trades*"), 0);
    desk.said();
    desk.publish("trades:p", TRADE);
    let said = desk.said();
    let mut lines: Vec<&str> = said.lines().map(|line| line.split(' ').next().unwrap()).collect();
    lines.sort_unstable();
    assert_eq!(lines, ["trades*/0", "trades/0", "trades:p/1"], "{said}");
}

#[test]
fn everything_leaves_in_one_line_and_nothing_comes_after_the_end_of_a_subscription() {
    let mut desk = Desk::new();
    let slot = desk.open(None);
    // Of low and of critical priority.
    desk.subscribe(slot, channel("news"), 0);
    desk.subscribe(slot, channel("trades:p"), 0);
    desk.said();
    let now = desk.clock.now();
    desk.publish("news", "{}");
    desk.publish("trades:p", TRADE);
    let messages = desk.inbox.take_messages();
    messages.iter().for_each(|message| desk.shard.route(message, false, now));
    desk.ask(slot, |req| Command::Unsubscribe { wanted: vec![channel("news")], req });
    desk.publish("news", "{}");
    let said = desk.said();
    let first: Vec<&str> = said.lines().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(first, ["news", "trades:p", "-news"], "{said}");
}

#[test]
fn answers_leave_in_the_order_of_their_requests_whoever_finds_them_and_when() {
    let mut desk = Desk::new();
    let slot = desk.open(None);
    let turn = desk.shard.take_turn(slot);
    let (key, mailbox) = desk.shard.await_answer(slot).unwrap();
    desk.subscribe(slot, channel("foo"), 0);
    desk.subscribe(slot, channel("no name"), 0);
    assert_eq!(desk.said(), "", "the first has not been answered");
    assert_eq!(desk.shard.view(slot).unwrap().in_flight(), 1);
    mailbox.post(Note::Answered(Box::new((key, turn, b"first\n".to_vec()))));
    assert_eq!(desk.said(), "first\n+foo\n!bad_channel\n");
    assert_eq!(desk.shard.view(slot).unwrap().in_flight(), 0);
}

/// Asks for all at once and hands the broker's answers in from the last to the first; a flush after each.
fn subscribe_and_answer_backwards(desk: &mut Desk, slot: u32, all: Vec<Wanted>) {
    let now = desk.clock.now();
    let count = all.len();
    for wanted in all {
        let req = Some(desk.shard.take_turn(slot).to_string().into());
        let options = Box::new(SubscribeOptions::default());
        desk.shard.handle(slot, Command::Subscribe { wanted: vec![wanted], options, req }, now);
    }
    let notes = desk.inbox.take_notes();
    assert_eq!(notes.len(), count, "each is answered once");
    desk.publish("hot", "1");
    for note in notes.into_iter().rev() {
        assert_eq!(desk.said(), "", "the first has not begun");
        desk.shard.on_note(note, now);
    }
}

#[test]
fn a_subscription_begins_in_its_turn_whatever_the_broker_answers_first() {
    let mut desk = Desk::new();
    let slot = desk.open(None);
    let all = ["new", "a", "hot", "b"].map(channel).to_vec();
    subscribe_and_answer_backwards(&mut desk, slot, all);
    assert_eq!(desk.said(), "+new\n+a\n+hot\n+b\nhot 1\n");
    desk.publish("hot", "2");
    assert_eq!(desk.said(), "hot 2\n");
    assert_eq!(desk.shard.view(slot).unwrap().unanswered(), 0);
}

#[test]
fn what_covers_a_channel_is_not_named_before_it_has_begun() {
    let mut desk = Desk::new();
    let slot = desk.open(None);
    desk.subscribe(slot, channel("foo"), 0);
    desk.said();
    let now = desk.clock.now();
    let turn = desk.shard.take_turn(slot);
    let req = Some(turn.to_string().into());
    let (wanted, options) = (vec![pattern("f*")], Box::new(SubscribeOptions::default()));
    desk.shard.handle(slot, Command::Subscribe { wanted, options, req }, now);
    let answer = desk.inbox.take_notes();
    desk.publish("foo", "1");
    assert_eq!(desk.said(), "foo 1\n");
    answer.into_iter().for_each(|note| desk.shard.on_note(note, now));
    assert_eq!(desk.said(), "+f*\n");
    desk.publish("foo", "2");
    assert_eq!(desk.said(), "foo/0 foo 2\nf*/0 foo 2\n");
}

#[test]
fn a_pattern_whose_sources_are_listed_too_early_is_asked_for_again_in_its_turn() {
    let mut desk = Desk::new();
    let slot = desk.open(None);
    desk.publish("fax", "0");
    desk.said();
    subscribe_and_answer_backwards(&mut desk, slot, vec![channel("new"), pattern("h*"), pattern("f*")]);
    // What has been published meanwhile is on the second list.
    assert_eq!(desk.said(), "+new\n+h*\n+f*\n");
    desk.publish("fax", "1");
    desk.publish("hot", "2");
    assert_eq!(desk.said(), "f*/0 fax 1\nh*/0 hot 2\n");
    assert_eq!(desk.shard.view(slot).unwrap().unanswered(), 0);
}

#[test]
fn a_subscription_that_ends_before_it_began_keeps_no_answer_waiting() {
    let mut desk = Desk::new();
    let slot = desk.open(None);
    let now = desk.clock.now();
    let req = Some(desk.shard.take_turn(slot).to_string().into());
    let (wanted, options) = (vec![channel("foo")], Box::new(SubscribeOptions::default()));
    desk.shard.handle(slot, Command::Subscribe { wanted, options, req }, now);
    let answer = desk.inbox.take_notes();
    desk.ask(slot, |req| Command::Unsubscribe { wanted: vec![channel("foo")], req });
    assert_eq!(desk.said(), "");
    answer.into_iter().for_each(|note| desk.shard.on_note(note, now));
    assert_eq!(desk.said(), "-foo\n");
    assert_eq!(desk.shard.view(slot).unwrap().unanswered(), 0);
}

#[test]
fn what_is_refused_where_it_would_begin_is_answered_in_its_turn_and_leaves_nothing() {
    let mut desk = Desk::new();
    let joe = Identity { subject: "joe".into(), ..Identity::stranger() };
    let slot = desk.open_as(Grant::Known(Arc::new(joe)), None);
    let now = desk.clock.now();
    for n in 0..10 {
        // Whose they are is only known with the broker's answer.
        for name in [format!("order_status:{n}"), format!("order_status:other{n}")] {
            let req = Some(desk.shard.take_turn(slot).to_string().into());
            let (wanted, options) = (vec![channel(&name)], Box::new(SubscribeOptions::default()));
            desk.shard.handle(slot, Command::Subscribe { wanted, options, req }, now);
        }
        assert_eq!(desk.shard.view(slot).unwrap().subscriptions(), 2);
        let notes = desk.inbox.take_notes();
        notes.into_iter().rev().for_each(|note| desk.shard.on_note(note, now));
        assert_eq!(desk.said(), "!forbidden\n!forbidden\n");
        let view = desk.shard.view(slot).unwrap();
        assert_eq!((view.subscriptions(), view.unanswered()), (0, 0));
    }
}

#[test]
fn only_undeclared_names_take_what_is_not_json() {
    let mut desk = Desk::new();
    desk.publish("anything", "\u{0}no json");
    let publication = Publication {
        channel: "news".into(),
        data: Bytes::from("no json"),
        raw: true,
        ..Publication::default()
    };
    let refused = desk.hub.draft(publication, &"q".into(), &Grant::Anyone, desk.clock.now());
    let refused = refused.map_err(|refused| refused.refusal).unwrap_err();
    assert_eq!(refused.code.name(), "invalid_data");
    let messages = desk.inbox.take_messages();
    let mut json = Vec::new();
    messages.first().unwrap().push_json(&mut json);
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!((json.get("data"), json["data_b64"].as_str()), (None, Some("AG5vIGpzb24=")));
}

#[test]
fn who_does_not_answer_its_protocols_ping_in_time_is_gone() {
    let mut desk = Desk::new();
    let ms = Duration::from_millis;
    let beat = Beat { interval: ms(300), timeout: ms(200) };
    let (quick, dead) = (desk.open(Some(beat)), desk.open(Some(beat)));
    let mut pings = 0;
    for _ in 0..100 {
        desk.clock.advance(ms(10));
        let now = desk.clock.now();
        desk.shard.tick(now);
        let said = desk.said();
        pings += said.matches('?').count();
        desk.shard.on_heard(quick, now);
    }
    assert!(desk.shard.is_closing(dead), "it was asked and said nothing");
    assert!(!desk.shard.is_closing(quick));
    // At 300, 600 and 900 ms; the other one only once.
    assert_eq!(pings, 4);
}
