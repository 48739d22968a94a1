//! Who hears what: a session says who it is, is heard source by source, renews its token, and is sent away when its time
//! is over. One shard with the memory broker; tokens are words that a test's authority knows.

#![expect(clippy::expect_used, clippy::unwrap_used, reason = "a test may fail loudly")]

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tapeline_brokers::memory::MemoryBroker;
use tapeline_core::command::{Publication, Wanted};
use tapeline_core::hub::HubParts;
use tapeline_core::registry::LocalRegistry;
use tapeline_core::rights::{Authority, Grant, Identified, Identity, Rights};
use tapeline_core::session::Arrival;
use tapeline_core::store::{Bounds, LocalStore};
use tapeline_core::testkit::{LINES, ManualClock, OpenSocket, RoomyInbox};
use tapeline_core::{Clock, Command, Directory, Hub, Refusal, Settings, Shard};
use tapeline_schema::{Catalog, ErrorCode, Family, Pattern, Readers};

/// Believes what it was told to believe.
#[derive(Default)]
struct Words {
    known: Mutex<Vec<(&'static str, Arc<Identity>)>>,
    revoked: Mutex<Vec<Arc<str>>>,
    revision: AtomicU64,
}

impl Authority for Words {
    fn is_off(&self) -> bool {
        false
    }

    fn anonymous(&self) -> Option<Arc<Identity>> {
        None
    }

    fn identify(&self, credential: &str, _: &str, answer: Identified) {
        let known = self.known.lock().unwrap();
        let found = known.iter().find(|(word, _)| *word == credential).map(|(_, identity)| identity.clone());
        answer(found.ok_or_else(|| Refusal::new(ErrorCode::InvalidToken, "nobody's")));
    }

    fn revision(&self) -> u64 {
        self.revision.load(Ordering::Relaxed)
    }

    fn is_revoked(&self, identity: &Identity) -> bool {
        self.revoked.lock().unwrap().contains(&identity.subject)
    }
}

fn patterns(texts: &[&str]) -> Vec<Pattern> {
    texts.iter().map(|text| Pattern::parse(text).unwrap()).collect()
}

struct Desk {
    directory: Arc<Directory>,
    hub: Arc<Hub>,
    words: Arc<Words>,
    shard: Shard,
    inbox: Arc<RoomyInbox>,
    socket: OpenSocket,
    clock: Arc<ManualClock>,
    slot: u32,
}

impl Desk {
    /// A hub with one session that has said nothing yet.
    fn new() -> Self {
        let clock = Arc::new(ManualClock::default());
        let words = Arc::new(Words::default());
        let directory = Arc::new(Directory::new(Catalog::built_in()));
        let hub = Arc::new(Hub::new(HubParts {
            directory: directory.clone(),
            settings: Settings { idle_timeout: Duration::ZERO, ..Settings::default() },
            clock: clock.clone(),
            broker: Arc::new(MemoryBroker::new(clock.clone(), 7)),
            registry: Arc::new(LocalRegistry::default()),
            store: Arc::new(LocalStore::new(clock.clone(), Bounds::default())),
            authority: words.clone(),
            seed: 7,
            shards: 1,
        }));
        let inbox = Arc::new(RoomyInbox::default());
        hub.broker().attach(inbox.clone());
        let mut shard = Shard::new(hub.clone(), 0, inbox.clone());
        let arrival = Arrival {
            principal: "127.0.0.1".into(),
            address: "127.0.0.1".into(),
            seat: None,
            client: None,
            grant: Grant::Nobody,
            wire: &LINES,
            notices: true,
            heartbeat: false,
            beat: None,
        };
        let slot = shard.open(arrival, clock.now()).slot;
        Desk { directory, hub, words, shard, inbox, socket: OpenSocket::default(), clock, slot }
    }

    /// From now on the word is a token of this subject with these rights, for so many seconds.
    fn believe(&self, word: &'static str, subject: &str, rights: Rights, seconds: Option<u64>) {
        let until_us = seconds.map(|seconds| self.clock.now().wall_us + seconds * 1_000_000);
        let rights = Arc::new(rights);
        let identity = Identity { subject: subject.into(), rights, until_us, ..Identity::stranger() };
        self.words.known.lock().unwrap().push((word, Arc::new(identity)));
    }

    /// A session that is somebody with these rights.
    fn with(subject: &str, rights: Rights) -> Self {
        let mut desk = Desk::new();
        desk.believe("word", subject, rights, None);
        assert_eq!(desk.token("word"), "token_ok;");
        desk
    }

    /// From now on the catalogue has this family too.
    fn add_family(&self, name: &str, read: Readers) {
        let text = format!(r#"{{"template":"{name}:{{name}}","type":"desk"}}"#);
        let mut family: Family = serde_json::from_str(&text).unwrap();
        family.read = Some(read);
        let mut catalog = Catalog::built_in();
        catalog.add(family.spec().unwrap()).unwrap();
        self.hub.replace_catalog(catalog).unwrap();
    }

    fn say(&mut self, command: Command) -> String {
        self.shard.handle(self.slot, command, self.clock.now());
        self.heard()
    }

    fn token(&mut self, word: &str) -> String {
        self.say(Command::Token { token: word.into(), req: None })
    }

    fn subscribe(&mut self, wanted: Wanted) -> String {
        self.say(Command::Subscribe { wanted: vec![wanted], options: Box::default(), req: None })
    }

    fn channel(&mut self, name: &str) -> String {
        self.subscribe(Wanted::Channel(name.into()))
    }

    fn pattern(&mut self, pattern: &str) -> String {
        self.subscribe(Wanted::Pattern(pattern.into()))
    }

    fn publish(&mut self, channel: &str) -> String {
        let publication = Publication {
            channel: channel.into(),
            kind: Some("note".into()),
            data: "{}".into(),
            ..Publication::default()
        };
        let draft = self.hub.draft(publication, &"p".into(), &Grant::Anyone, self.clock.now());
        let drafts = [draft.expect("the publication is sound")].into_iter().collect();
        assert!(self.hub.publish(drafts, None).is_ok(), "the inbox is never full");
        for message in self.inbox.take_messages() {
            self.shard.route(&message, false, self.clock.now());
        }
        self.heard()
    }

    /// What the client has been sent since the last call, when nothing is under way any more.
    fn heard(&mut self) -> String {
        loop {
            while self.shard.flush(&mut self.socket, 100, self.clock.now()) {}
            let notes = self.inbox.take_notes();
            if notes.is_empty() {
                return self.socket.take();
            }
            notes.into_iter().for_each(|note| self.shard.on_note(note, self.clock.now()));
        }
    }

    fn wait(&mut self, seconds: u64) -> String {
        let mut heard = String::new();
        for _ in 0..seconds {
            self.clock.advance(Duration::from_secs(1));
            self.shard.tick(self.clock.now());
            heard.push_str(&self.heard());
        }
        heard
    }
}

#[test]
fn who_has_said_nothing_may_only_say_who_it_is_and_soon() {
    let mut desk = Desk::new();
    assert_eq!(desk.channel("news"), "invalid_token -;");
    assert_eq!(desk.say(Command::Last { channel: "news".into(), req: None }), "invalid_token -;");
    let publication =
        Box::new(Publication { channel: "news".into(), data: "1".into(), ..Default::default() });
    assert_eq!(desk.say(Command::Publish { publication, req: Some("1".into()) }), "invalid_token -;");
    assert_eq!(desk.say(Command::Ping { req: None }), "pong;");
    assert_eq!(desk.wait(9), "");
    assert_eq!(desk.wait(2), "closed 1008;");
}

#[test]
fn a_token_that_nobody_believes_ends_a_connection_of_nobody() {
    let mut desk = Desk::new();
    assert_eq!(desk.token("guess"), "invalid_token -;closed 1008;");
}

#[test]
fn public_families_are_everybodys_and_others_are_not() {
    let mut desk = Desk::with("ann", Rights::default());
    assert_eq!(desk.channel("market_data:AAPL"), "hears market_data:AAPL;");
    assert_eq!(desk.channel("any:name"), "hears any:name;");
    for name in ["trades:p1", "trades", "orders", "agent_status", "balances:a", "portfolio:p1", "alerts:x"] {
        assert_eq!(desk.channel(name), format!("forbidden {name};"));
    }
    assert_eq!(desk.say(Command::Last { channel: "trades:p1".into(), req: None }), "forbidden trades:p1;");
    let history = Command::History { channel: "trades".into(), since: None, limit: None, req: None };
    assert_eq!(desk.say(history), "forbidden trades;");
    let publication =
        Box::new(Publication { channel: "news".into(), data: "1".into(), ..Default::default() });
    assert_eq!(desk.say(Command::Publish { publication, req: Some("1".into()) }), "forbidden news;");
}

#[test]
fn the_keys_of_a_token_open_what_is_ones_own() {
    let keys = vec![("portfolio_id".into(), vec!["p1".into(), "p2".into()])];
    let mut desk = Desk::with("ann", Rights { keys, ..Rights::default() });
    assert_eq!(desk.channel("trades:p1"), "hears trades:p1;");
    assert_eq!(desk.channel("portfolio:p2"), "hears portfolio:p2;");
    assert_eq!(desk.channel("trades:p3"), "forbidden trades:p3;");
    assert_eq!(desk.channel("notifications:ann"), "hears notifications:ann;");
    assert_eq!(desk.channel("notifications:bob"), "forbidden notifications:bob;");
    assert_eq!(desk.channel("trades"), "forbidden trades;", "the roll-up has everybody's");
}

#[test]
fn a_pattern_is_heard_source_by_source() {
    let keys = vec![("portfolio_id".into(), vec!["p1".into()])];
    let mut desk = Desk::with("ann", Rights { keys, ..Rights::default() });
    desk.publish("trades:p1");
    desk.publish("trades:p2");
    assert_eq!(desk.pattern("*"), "hears *;");
    assert_eq!(desk.publish("trades:p2"), "");
    assert_eq!(desk.publish("trades:p1"), "trades:p1 2;");
    assert_eq!(desk.publish("trades:p9"), "", "a new source is asked about too");
    assert_eq!(desk.publish("any:name"), "any:name 1;");
}

#[test]
fn a_narrower_token_ends_what_it_does_not_allow_and_a_wider_one_lets_hear() {
    let mut desk = Desk::with("ann", Rights { read: patterns(&["agent_*"]), ..Rights::default() });
    assert_eq!(desk.channel("agent_result:a"), "hears agent_result:a;");
    assert_eq!(desk.pattern("agent_result:*"), "hears agent_result:*;");
    assert_eq!(desk.channel("news"), "hears news;");
    assert_eq!(desk.publish("agent_result:b"), "agent_result:b 1;");
    desk.believe("narrow", "ann", Rights::default(), None);
    assert_eq!(desk.token("narrow"), "token_ok;forbidden agent_result:a;");
    assert_eq!(desk.publish("agent_result:a"), "");
    assert_eq!(desk.publish("agent_result:b"), "");
    assert_eq!(desk.publish("news"), "news 1;");
    assert_eq!(desk.token("word"), "token_ok;");
    assert_eq!(desk.publish("agent_result:b"), "agent_result:b 3;");
}

#[test]
fn a_pattern_that_waits_for_the_broker_is_heard_as_the_token_allows_that_came_meanwhile() {
    let mut desk = Desk::with("ann", Rights { read: patterns(&["agent_*"]), ..Rights::default() });
    desk.believe("narrow", "ann", Rights::default(), None);
    assert_eq!(desk.channel("agent_result:a"), "hears agent_result:a;");
    assert_eq!(desk.publish("agent_result:a"), "agent_result:a 1;");
    let now = desk.clock.now();
    let (wanted, req) = (vec![Wanted::Pattern("agent_result:*".into())], None);
    desk.shard.handle(desk.slot, Command::Subscribe { wanted, options: Box::default(), req }, now);
    desk.shard.handle(desk.slot, Command::Token { token: "narrow".into(), req: None }, now);
    // The broker's answer comes after that of who checks tokens.
    let mut notes = desk.inbox.take_notes();
    notes.reverse();
    notes.into_iter().for_each(|note| desk.shard.on_note(note, now));
    assert_eq!(desk.heard(), "token_ok;forbidden agent_result:a;hears agent_result:*;");
    assert_eq!(desk.publish("agent_result:a"), "");
}

#[test]
fn of_two_first_tokens_the_first_one_stands() {
    let mut desk = Desk::new();
    desk.believe("ann's", "ann", Rights::default(), None);
    desk.believe("bob's", "bob", Rights { read: patterns(&["*"]), ..Rights::default() }, None);
    let now = desk.clock.now();
    for token in ["ann's", "bob's"] {
        desk.shard.handle(desk.slot, Command::Token { token: token.into(), req: None }, now);
    }
    assert_eq!(desk.heard(), "token_ok;invalid_token -;");
    assert_eq!(desk.channel("agent_status"), "forbidden agent_status;");
}

#[test]
fn a_token_of_another_is_refused_and_changes_nothing() {
    let mut desk = Desk::with("ann", Rights::default());
    desk.believe("bob's", "bob", Rights { read: patterns(&["*"]), ..Rights::default() }, None);
    assert_eq!(desk.token("bob's"), "invalid_token -;");
    assert_eq!(desk.token("guess"), "invalid_token -;");
    assert_eq!(desk.channel("agent_status"), "forbidden agent_status;");
    assert_eq!(desk.channel("news"), "hears news;");
}

#[test]
fn a_connection_is_warned_and_does_not_outlive_its_token() {
    let mut desk = Desk::new();
    desk.believe("short", "ann", Rights::default(), Some(100));
    assert_eq!(desk.token("short"), "token_ok;");
    assert_eq!(desk.wait(32), "");
    assert_eq!(desk.wait(20), "token_expiring 60;");
    assert_eq!(desk.wait(47), "");
    assert_eq!(desk.wait(1), "closed 4001;", "not a moment too late");
}

#[test]
fn a_token_that_is_renewed_goes_on() {
    let mut desk = Desk::new();
    desk.believe("short", "ann", Rights::default(), Some(30));
    desk.believe("long", "ann", Rights::default(), Some(600));
    assert_eq!(desk.token("short"), "token_ok;");
    assert_eq!(desk.wait(1), "token_expiring 29;");
    assert_eq!(desk.token("long"), "token_ok;");
    assert_eq!(desk.wait(100), "");
}

#[test]
fn who_is_revoked_is_gone_within_a_second() {
    let mut desk = Desk::with("ann", Rights::default());
    assert_eq!(desk.wait(1), "");
    desk.words.revoked.lock().unwrap().push("ann".into());
    assert_eq!(desk.wait(1), "", "nobody said that there is something new");
    desk.words.revision.fetch_add(1, Ordering::Relaxed);
    assert_eq!(desk.wait(1), "closed 4003;");
}

#[test]
fn who_was_revoked_between_being_judged_and_coming_in_is_gone_within_a_second() {
    let mut desk = Desk::new();
    desk.believe("word", "ann", Rights::default(), None);
    desk.words.revoked.lock().unwrap().push("ann".into());
    assert_eq!(desk.wait(1), "", "the count of revocations has been seen");
    assert_eq!(desk.token("word"), "token_ok;");
    assert_eq!(desk.wait(1), "closed 4003;");
}

#[test]
fn what_a_family_takes_may_change_under_those_who_hear_it() {
    let mut desk = Desk::with("ann", Rights::default());
    desk.add_family("desk", Readers::Public);
    assert_eq!(desk.channel("desk:1"), "hears desk:1;");
    assert_eq!(desk.pattern("desk:*"), "hears desk:*;");
    assert_eq!(desk.publish("desk:2"), "desk:2 1;");
    desk.add_family("desk", Readers::Operator);
    assert_eq!(desk.wait(1), "forbidden desk:1;");
    assert_eq!(desk.publish("desk:2"), "");
}

#[test]
fn an_owner_hears_what_is_theirs_as_soon_as_it_is() {
    let mut desk = Desk::with("ann", Rights::default());
    assert_eq!(desk.channel("order_status:1"), "forbidden order_status:1;", "it is nobody's yet");
    assert_eq!(desk.pattern("order_status:*"), "hears order_status:*;");
    assert_eq!(desk.publish("order_status:1"), "");
    desk.hub.channel("order_status:1").unwrap().set_owner("ann");
    desk.hub.channel("order_status:2").unwrap().set_owner("bob");
    assert_eq!(desk.publish("order_status:1"), "order_status:1 2;");
    assert_eq!(desk.publish("order_status:2"), "");
    assert_eq!(desk.channel("order_status:1"), "hears order_status:1;");
    assert_eq!(desk.channel("order_status:2"), "forbidden order_status:2;");
    let last = |name: &str| Command::Last { channel: name.into(), req: None };
    assert_eq!(desk.say(last("order_status:1")), "last {};");
    assert_eq!(desk.say(last("order_status:2")), "forbidden order_status:2;");
}

#[test]
fn an_owner_who_becomes_known_and_hears_the_roll_up_too_hears_each_message_once() {
    let mut desk = Desk::with("ann", Rights { read: patterns(&["orders"]), ..Rights::default() });
    assert_eq!(desk.channel("orders"), "hears orders;");
    assert_eq!(desk.pattern("order_status:*"), "hears order_status:*;");
    assert_eq!(desk.publish("order_status:1"), "order_status:1 1;");
    desk.hub.channel("order_status:1").unwrap().set_owner("ann");
    assert_eq!(desk.publish("order_status:1"), "order_status:1 2;");
    assert_eq!(desk.publish("order_status:1"), "order_status:1 3;");
}

#[test]
fn freshness_is_as_open_as_the_channel_that_it_is_about() {
    let mut desk = Desk::with("ann", Rights::default());
    assert_eq!(desk.channel("freshness:market_data:AAPL"), "hears freshness:market_data:AAPL;");
    assert_eq!(desk.channel("freshness:trades:p1"), "forbidden freshness:trades:p1;");
    assert_eq!(desk.channel("freshness"), "hears freshness;");
    assert_eq!(desk.publish("freshness:trades:p1"), "");
    assert_eq!(desk.publish("freshness:market_data:MSFT"), "freshness:market_data:MSFT 1;");
}

/// The ways in which what is about a channel is heard source by source.
fn ways() -> [Wanted; 3] {
    [Wanted::Pattern("*".into()), Wanted::Pattern("freshness:*".into()), Wanted::Channel("freshness".into())]
}

#[test]
fn what_is_about_a_channel_is_heard_by_its_owner_from_when_there_is_one_and_by_nobody_else() {
    for (subject, wanted) in ["ann", "bob"].iter().flat_map(|subject| ways().map(|way| (*subject, way))) {
        let mut desk = Desk::with(subject, Rights::default());
        assert!(desk.subscribe(wanted).starts_with("hears "));
        let about = "freshness:order_status:1";
        assert_eq!(desk.publish(about), "", "it is nobody's yet");
        desk.hub.channel("order_status:1").unwrap().set_owner("ann");
        let due = |line: &'static str| if subject == "ann" { line } else { "" };
        assert_eq!(desk.publish(about), due("freshness:order_status:1 2;"), "{subject}");
        assert_eq!(desk.publish(about), due("freshness:order_status:1 3;"), "{subject}");
        assert_eq!(desk.publish("freshness:order_status:2"), "", "nobody has said whose that is");
    }
}

#[test]
fn what_is_about_a_channel_goes_over_to_the_owner_that_the_broker_has_learned_of() {
    for (subject, before) in [("ann", true), ("bob", false)] {
        let mut desk = Desk::with(subject, Rights::default());
        let channel = desk.hub.channel("order_status:1").unwrap();
        channel.set_owner("ann");
        assert_eq!(desk.pattern("freshness:*"), "hears freshness:*;");
        assert_eq!(!desk.publish("freshness:order_status:1").is_empty(), before, "{subject}");
        assert_eq!(desk.directory.owned_by(&channel, "bob").owner(), Some("bob"));
        assert_eq!(desk.publish("freshness:order_status:1").is_empty(), before, "{subject}");
    }
}

#[test]
fn what_is_about_a_channel_goes_over_to_another_owner_though_the_channel_was_out_of_use_meanwhile() {
    let mut desk = Desk::with("ann", Rights::default());
    desk.hub.channel("order_status:1").unwrap().set_owner("ann");
    assert_eq!(desk.pattern("freshness:*"), "hears freshness:*;");
    assert_eq!(desk.publish("freshness:order_status:1"), "freshness:order_status:1 1;");
    desk.directory.sweep();
    let channel = desk.hub.channel("order_status:1").unwrap();
    assert_eq!(desk.directory.owned_by(&channel, "bob").owner(), Some("bob"));
    assert_eq!(desk.publish("freshness:order_status:1"), "");
}

#[test]
fn what_is_about_a_familys_channels_follows_when_the_family_takes_other_readers() {
    let about = "freshness:desk:1";
    let mut desk = Desk::with("ann", Rights::default());
    desk.add_family("desk", Readers::Public);
    assert_eq!(desk.pattern("freshness:*"), "hears freshness:*;");
    assert_eq!(desk.publish(about), "freshness:desk:1 1;");
    desk.add_family("desk", Readers::Operator);
    assert_eq!(desk.publish(about), "");
    desk.add_family("desk", Readers::Owner);
    assert_eq!(desk.publish(about), "", "it is nobody's yet");
    desk.hub.channel("desk:1").unwrap().set_owner("ann");
    assert_eq!(desk.publish(about), "freshness:desk:1 4;");
    assert_eq!(desk.channel(about), "hears freshness:desk:1;");
    desk.add_family("desk", Readers::Operator);
    assert_eq!(desk.wait(1), "forbidden freshness:desk:1;");
}

#[test]
fn an_owner_who_becomes_known_beside_a_change_of_other_families_hears_all_the_same() {
    let mut desk = Desk::with("ann", Rights::default());
    assert_eq!(desk.pattern("*"), "hears *;");
    let names = ["order_status:1", "freshness:order_status:1"];
    assert_eq!(names.map(|name| desk.publish(name)), ["", ""]);
    desk.hub.channel("order_status:1").unwrap().set_owner("ann");
    desk.add_family("elsewhere", Readers::Public);
    assert_eq!(desk.wait(1), "");
    assert_eq!(names.map(|name| desk.publish(name)), names.map(|name| format!("{name} 2;")));
}

#[test]
fn of_two_changes_at_once_both_are_followed() {
    let mut desk = Desk::with("ann", Rights::default());
    desk.add_family("desk", Readers::Public);
    assert_eq!(desk.pattern("desk:*"), "hears desk:*;");
    assert_eq!(desk.publish("desk:1"), "desk:1 1;");
    desk.add_family("desk", Readers::Operator);
    let mut catalog = (*desk.hub.catalog()).clone();
    let more: Family = serde_json::from_str(r#"{"template":"more:{name}","type":"desk"}"#).unwrap();
    catalog.add(more.spec().unwrap()).unwrap();
    desk.hub.replace_catalog(catalog).unwrap();
    assert_eq!(desk.publish("desk:1"), "");
}
