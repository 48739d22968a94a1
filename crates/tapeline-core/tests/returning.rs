//! What sessions hear of a broker that was away: the notices, what they missed meanwhile, and a gap where nobody can say;
//! and of an answer of it that comes too late.
//! One shard with the memory broker; what is delivered is lost when the test says so.

#![expect(clippy::expect_used, reason = "a test may fail loudly")]

use std::sync::Arc;
use std::time::Duration;

use tapeline_brokers::memory::MemoryBroker;
use tapeline_core::Directory;
use tapeline_core::broker::Head;
use tapeline_core::command::{Publication, SubscribeOptions, Wanted};
use tapeline_core::hub::HubParts;
use tapeline_core::registry::LocalRegistry;
use tapeline_core::rights::Grant;
use tapeline_core::session::Arrival;
use tapeline_core::shard::Note;
use tapeline_core::store::{Bounds, LocalStore};
use tapeline_core::testkit::{LINES, ManualClock, OpenSocket, RoomyInbox};
use tapeline_core::{Clock, Command, Hub, Settings, Shard};
use tapeline_schema::{Catalog, ChannelSpec, Delivery, Priority};

struct Desk {
    hub: Arc<Hub>,
    broker: Arc<MemoryBroker>,
    shard: Shard,
    inbox: Arc<RoomyInbox>,
    socket: OpenSocket,
    clock: Arc<ManualClock>,
}

impl Desk {
    fn new() -> Self {
        let clock = Arc::new(ManualClock::default());
        let broker = Arc::new(MemoryBroker::new(clock.clone(), 7));
        let hub = Arc::new(Hub::new(HubParts {
            directory: Arc::new(Directory::new(Catalog::built_in())),
            settings: Settings::default(),
            clock: clock.clone(),
            broker: broker.clone(),
            registry: Arc::new(LocalRegistry::default()),
            store: Arc::new(LocalStore::new(clock.clone(), Bounds::default())),
            authority: Arc::new(tapeline_core::rights::Off),
            seed: 7,
            shards: 1,
        }));
        let inbox = Arc::new(RoomyInbox::default());
        hub.broker().attach(inbox.clone());
        let shard = Shard::new(hub.clone(), 0, inbox.clone());
        Desk { hub, broker, shard, inbox, socket: OpenSocket::default(), clock }
    }

    fn open(&mut self) -> u32 {
        let arrival = Arrival {
            principal: "p".into(),
            address: "127.0.0.1".into(),
            seat: None,
            client: None,
            grant: Grant::Anyone,
            wire: &LINES,
            notices: true,
            heartbeat: false,
            beat: None,
        };
        self.shard.open(arrival, self.clock.now()).slot
    }

    fn subscribe(&mut self, wanted: Wanted) {
        self.subscribe_at(wanted, None);
    }

    fn subscribe_at(&mut self, wanted: Wanted, max_rate: Option<u32>) {
        let slot = self.open();
        let options = Box::new(SubscribeOptions { max_rate, ..SubscribeOptions::default() });
        let command = Command::Subscribe { wanted: vec![wanted], options, req: None };
        self.shard.handle(slot, command, self.clock.now());
    }

    /// Asks for each message of a channel.
    fn ask_each(&mut self, slot: u32, name: &str) {
        self.ask(slot, Wanted::Channel(name.into()), Some(Delivery::Every));
    }

    fn ask(&mut self, slot: u32, wanted: Wanted, delivery: Option<Delivery>) {
        let options = Box::new(SubscribeOptions { delivery, ..SubscribeOptions::default() });
        let command = Command::Subscribe { wanted: vec![wanted], options, req: None };
        self.shard.handle(slot, command, self.clock.now());
    }

    /// A hub with a family that is forgotten after a second, whose newest message is heard already.
    fn with_brief() -> Self {
        let mut desk = Desk::new();
        let mut catalog = Catalog::built_in();
        let row = ChannelSpec::of("brief:{key}", "brief", Priority::Medium, Delivery::Every);
        catalog.add(row.idle_ttl(Duration::from_secs(1))).expect("the family is sound");
        desk.hub.replace_catalog(catalog).expect("the catalogue is sound");
        desk.subscribe(Wanted::Pattern("brief:*".into()));
        desk.heard();
        desk.publish(BRIEF);
        desk.route();
        assert_eq!(desk.heard(), "brief:a 1;");
        desk
    }

    /// The broker forgets the channel and begins it anew; answers the new epoch.
    fn begin_anew(&mut self) {
        self.clock.advance(Duration::from_secs(5));
        self.broker.sweep();
        self.publish(BRIEF);
    }

    fn publish(&self, channel: &str) {
        self.publish_data(channel, "{}");
    }

    fn publish_row(&self, channel: &str) {
        self.publish_data(channel, r#"{"agent_id":"a","status":"busy"}"#);
    }

    fn publish_data(&self, channel: &str, data: &'static str) {
        let publication =
            Publication { channel: channel.into(), data: data.into(), ..Publication::default() };
        let draft = self.hub.draft(publication, &"p".into(), &Grant::Anyone, self.clock.now());
        let drafts = [draft.expect("the publication is sound")].into_iter().collect();
        assert!(self.hub.publish(drafts, None).is_ok(), "the inbox is never full");
    }

    fn lose(&self) {
        self.inbox.take_messages();
    }

    fn note(&mut self, note: Note) {
        self.shard.on_note(note, self.clock.now());
    }

    /// The broker says where a channel stands.
    fn say_head(&mut self, name: &str, epoch: &str, top: u64) {
        let channel = self.hub.channel(name).expect("a sound name");
        self.note(Note::Head(Box::new((channel, Head { epoch: epoch.into(), top, oldest: 1 }))));
    }

    /// The epoch of what has been delivered last.
    fn route(&mut self) -> String {
        let mut epoch = String::new();
        for message in self.inbox.take_messages() {
            epoch = message.epoch.to_string();
            self.shard.route(&message, false, self.clock.now());
        }
        epoch
    }

    /// Answers come, and nothing leaves.
    fn settle(&mut self) {
        loop {
            let notes = self.inbox.take_notes();
            if notes.is_empty() {
                return;
            }
            notes.into_iter().for_each(|note| self.note(note));
        }
    }

    /// What the client has been sent since the last call, when nothing is under way any more.
    fn heard(&mut self) -> String {
        loop {
            while self.shard.flush(&mut self.socket, 100, self.clock.now()) {}
            let notes = self.inbox.take_notes();
            if notes.is_empty() {
                return self.socket.take();
            }
            notes.into_iter().for_each(|note| self.note(note));
        }
    }
}

const NEWS: &str = "news";
const BRIEF: &str = "brief:a";

#[test]
fn what_was_lost_is_read_when_the_broker_says_where_the_channel_stands() {
    let mut desk = Desk::new();
    desk.subscribe(Wanted::Channel(NEWS.into()));
    desk.heard();
    desk.publish(NEWS);
    let epoch = desk.route();
    assert_eq!(desk.heard(), "news 1;");
    desk.publish(NEWS);
    desk.publish(NEWS);
    desk.lose();
    desk.say_head(NEWS, &epoch, 3);
    assert_eq!(desk.heard(), "news 2;news 3;");
    desk.say_head(NEWS, &epoch, 3);
    assert_eq!(desk.heard(), "", "nothing twice");
    desk.publish(NEWS);
    desk.route();
    assert_eq!(desk.heard(), "news 4;");
}

#[test]
fn where_the_channel_stands_is_read_no_faster_than_the_rate_that_was_asked_for() {
    const NAME: &str = "portfolio:p";
    let mut desk = Desk::new();
    desk.subscribe_at(Wanted::Channel(NAME.into()), Some(1));
    desk.heard();
    desk.publish(NAME);
    let epoch = desk.route();
    assert_eq!(desk.heard(), "portfolio:p 1;");
    desk.publish(NAME);
    desk.route();
    desk.publish(NAME);
    desk.lose();
    desk.say_head(NAME, &epoch, 3);
    assert_eq!(desk.heard(), "", "the second has not passed");
    desk.clock.advance(Duration::from_secs(1));
    desk.shard.tick(desk.clock.now());
    assert_eq!(desk.heard(), "portfolio:p 3;", "the newest, though it never came by");
}

#[test]
fn a_source_that_began_while_the_broker_was_away_reaches_the_pattern_that_covers_it() {
    let mut desk = Desk::new();
    desk.subscribe(Wanted::Pattern("my.*".into()));
    desk.heard();
    desk.publish("my.own");
    let epoch = desk.inbox.take_messages().first().map(|message| message.epoch.to_string());
    desk.say_head("my.own", &epoch.expect("it was delivered"), 1);
    assert_eq!(desk.heard(), "my.own 1;");
}

#[test]
fn another_epoch_is_told_as_a_gap_without_waiting_for_its_next_message() {
    let mut desk = Desk::with_brief();
    desk.begin_anew();
    let epoch = desk.inbox.take_messages().first().map(|message| message.epoch.to_string());
    desk.say_head(BRIEF, &epoch.expect("it was delivered"), 1);
    assert_eq!(desk.heard(), "gap 2 None epoch;brief:a 1;");
}

#[test]
fn what_was_said_of_an_older_epoch_and_comes_late_is_not_believed() {
    let mut desk = Desk::with_brief();
    desk.say_head(BRIEF, "older", 7);
    assert_eq!(desk.heard(), "");
    desk.publish(BRIEF);
    desk.route();
    assert_eq!(desk.heard(), "brief:a 2;", "it counts as before");
    desk.say_head(BRIEF, "older", 7);
    desk.publish(BRIEF);
    desk.route();
    assert_eq!(desk.heard(), "brief:a 3;", "nor before the broker has been asked");
}

#[test]
fn messages_of_an_older_epoch_behind_an_answer_that_was_ahead_of_them_end_nothing() {
    let mut desk = Desk::with_brief();
    desk.begin_anew();
    let overtaken = desk.inbox.take_messages();
    desk.begin_anew();
    desk.lose();
    // The answer is ahead of what came between the two.
    desk.subscribe(Wanted::Channel(BRIEF.into()));
    assert_eq!(desk.heard(), "gap 2 None epoch;hears brief:a;");
    overtaken.iter().for_each(|message| desk.shard.route(message, false, desk.clock.now()));
    desk.heard();
    desk.publish(BRIEF);
    desk.route();
    let heard = desk.heard();
    assert_eq!(heard.matches("brief:a 2;").count(), 2, "both hear it: {heard}");
}

#[test]
fn what_waits_of_a_table_is_not_overtaken_by_what_another_delivery_brings_later() {
    const NAME: &str = "board:a";
    const CHANGE: &str = r#"{"rows":[{"row":"1"}],"snapshot":false}"#;
    let mut desk = Desk::new();
    let mut catalog = Catalog::built_in();
    let board = ChannelSpec::of("board:{k}", "board", Priority::Medium, Delivery::Table);
    catalog.add(board.keyed_by(&["row"])).expect("the family is sound");
    desk.hub.replace_catalog(catalog).expect("the catalogue is sound");
    let slot = desk.open();
    desk.publish_data(NAME, CHANGE);
    desk.route();
    desk.ask(slot, Wanted::Channel(NAME.into()), None);
    desk.settle();
    // The broker's answers are late.
    desk.ask(slot, Wanted::Pattern("board:*".into()), Some(Delivery::Every));
    desk.publish_data(NAME, CHANGE);
    desk.route();
    desk.ask(slot, Wanted::Pattern("board:*".into()), Some(Delivery::Latest));
    desk.publish_data(NAME, r#"{"rows":[],"snapshot":true}"#);
    desk.route();
    let heard = desk.heard();
    let offsets: Vec<&str> = heard.split(';').filter_map(|said| said.strip_prefix("board:a ")).collect();
    assert!(offsets.is_sorted() && offsets.last() == Some(&"3"), "{heard}");
}

#[test]
fn what_nobody_counted_is_a_gap_for_who_hears_each_message() {
    let mut desk = Desk::new();
    desk.subscribe(Wanted::Channel(NEWS.into()));
    desk.subscribe(Wanted::Channel("portfolio:p".into()));
    desk.subscribe(Wanted::Channel("trades".into()));
    desk.heard();
    for name in [NEWS, "portfolio:p", "nobody.hears.it", "trades:p"] {
        let channel = desk.hub.channel(name).expect("a sound name");
        desk.note(Note::Lost(channel));
    }
    assert_eq!(
        desk.heard(),
        "gap 1 None broker;gap 1 None broker;",
        "of the news, and of the roll-up of trades"
    );
}

#[test]
fn who_is_there_and_who_comes_is_told_that_the_broker_is_away_and_that_it_is_back() {
    let mut desk = Desk::new();
    desk.open();
    desk.note(Note::Degraded(true));
    assert_eq!(desk.heard(), "degraded true;");
    desk.note(Note::Degraded(true));
    assert_eq!(desk.heard(), "", "once");
    desk.open();
    assert_eq!(desk.heard(), "degraded true;", "also who comes late");
    desk.note(Note::Degraded(false));
    assert_eq!(desk.heard(), "degraded false;degraded false;");
}

#[test]
fn a_list_of_sources_from_before_their_family_changed_is_asked_for_again() {
    let mut desk = Desk::new();
    desk.publish("rare:a");
    desk.subscribe(Wanted::Pattern("rare:*".into()));
    desk.lose();
    let mut catalog = Catalog::built_in();
    let row = ChannelSpec::of("rare:{key}", "rare", Priority::Medium, Delivery::Every);
    catalog.add(row).expect("the family is sound");
    let replaced = desk.hub.replace_catalog(catalog).expect("the catalogue is sound");
    assert!(replaced.ended.iter().any(|name| **name == *"rare:a"), "{:?}", replaced.ended);
    desk.publish("rare:a");
    desk.lose();
    assert_eq!(desk.heard(), "hears rare:*;", "no gap of a count that the client never heard of");
    desk.publish("rare:a");
    desk.route();
    assert_eq!(desk.heard(), "rare:a 2;");
}

#[test]
fn a_table_that_was_begun_with_is_not_said_to_be_missing_by_an_answer_that_comes_late() {
    const NAME: &str = "agent_status";
    let mut desk = Desk::new();
    let slot = desk.open();
    desk.publish_row(NAME);
    desk.ask_each(slot, NAME);
    let late = desk.inbox.take_notes();
    desk.publish_row(NAME);
    desk.lose();
    desk.ask_each(slot, NAME);
    assert_eq!(desk.heard(), "hears agent_status;agent_status 2;");
    desk.publish_row(NAME);
    desk.route();
    assert_eq!(desk.heard(), "agent_status 3;");
    late.into_iter().for_each(|note| desk.note(note));
    assert_eq!(desk.heard(), "hears agent_status;agent_status 3;", "the whole table, and no gap of 2");
}
