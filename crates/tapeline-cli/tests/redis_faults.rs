//! What breaks between a hub and its Redis, done to the real ones: stopped, emptied, failed over, frozen, cut off in the
//! middle of a reply, without memory, read-only, with another password. Everything is counted: nothing is lost or doubled
//! without a word, nobody waits long for an answer, and clients stay connected throughout.

#![expect(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail loudly")]

#[expect(dead_code, reason = "each test file uses its own part of the support")]
mod support;

use std::thread::sleep;
use std::time::{Duration, Instant};

use support::counting::judge::{self, Verdict};
use support::counting::publisher::{Publisher, publish_one};
use support::counting::subscriber::Subscriber;
use support::counting::{Fate, Heard, Publication};
use support::{Hub, eventually, run_to_end};
use tapeline_faults::{Proxy, RedisServer};

const EVERY: &str = "trades:p";
const ROLL_UP: &str = "trades";
const LATEST: &str = "orderbook:A";
/// So long a hub waits for its broker before it refuses what must not be lost.
const PATIENCE_OF_A_HUB: Duration = Duration::from_secs(2);
/// Where something is published only while the broker is away.
const HELD: &str = "orderbook:H";

/// A hub on a Redis, with publishers and subscribers of each kind at work.
struct Scene {
    hub: Hub,
    every: Vec<Publisher>,
    latest: Publisher,
    held: Vec<Publication>,
    one: Subscriber,
    roll_up: Subscriber,
    newest: Subscriber,
    returning: Subscriber,
}

/// What subscribers of every message were told.
struct Told {
    one: Verdict,
    roll_up: Verdict,
    published: Vec<Publication>,
}

impl Scene {
    fn begin(url: &str) -> Scene {
        let hub = Hub::on_broker(url);
        let hubs = [&hub];
        let [one, roll_up, newest, returning] =
            [EVERY, ROLL_UP, LATEST, HELD].map(|channel| Subscriber::to(&hubs, channel));
        let every = vec![Publisher::start(&hubs, EVERY), Publisher::start(&hubs, EVERY)];
        let latest = Publisher::start(&hubs, LATEST);
        let scene = Scene { every, latest, held: Vec::new(), one, roll_up, newest, returning, hub };
        scene.is_well();
        scene
    }

    fn subscribers(&self) -> [&Subscriber; 4] {
        [&self.one, &self.roll_up, &self.newest, &self.returning]
    }

    /// Publishers are acknowledged, and the hub says that all is well.
    fn is_well(&self) {
        self.every.iter().for_each(|publisher| publisher.wait_for_acknowledged());
        self.latest.wait_for_acknowledged();
        assert!(eventually(|| self.hub.get("/health").status() == 200), "{}", self.hub.get("/health").text());
    }

    /// Clients are told that the broker is away; the newest is held.
    fn is_degraded(&mut self) {
        let since = Instant::now();
        self.subscribers().iter().for_each(|subscriber| subscriber.wait_for_notices("degraded", 1));
        self.latest.wait_for_status(202, since);
        for _ in 0..2 {
            let publication = publish_one(&self.hub, HELD);
            assert_eq!(publication.fate, Fate::Held);
            self.held.push(publication);
        }
        let health = self.hub.get("/health");
        assert_eq!((health.status(), &health.json()["broker"]["status"]), (503, &"degraded".into()));
    }

    /// As above; who publishes what must not be lost has been refused since then, and nothing is delivered past Redis.
    fn refuses(&mut self, since: Instant) {
        self.is_degraded();
        let heard = self.subscribers().map(Subscriber::messages);
        self.every.iter().for_each(|publisher| publisher.wait_for_status(503, since));
        assert_eq!(self.subscribers().map(Subscriber::messages), heard);
    }

    /// Clients are told that the broker is back, and what was held has been published.
    fn is_restored(&self) {
        self.subscribers().iter().for_each(|subscriber| subscriber.wait_for_notices("restored", 1));
        self.is_well();
        if let Some(newest) = self.held.last() {
            self.returning.wait_for("what was held", |heard| heard.is(newest.number));
        }
    }

    /// Stops, and judges all that was said.
    fn end(self) -> Told {
        let mut published: Vec<Publication> = self.every.into_iter().flat_map(Publisher::stop).collect();
        published.push(publish_one(&self.hub, EVERY));
        let mut latest = self.latest.stop();
        latest.push(publish_one(&self.hub, LATEST));
        let one = heard_until(self.one, &published);
        let roll_up = heard_until(self.roll_up, &published);
        let newest = heard_until(self.newest, &latest);
        let returning = self.returning.stop();
        accept(judge::latest(LATEST, &latest, &newest));
        accept(judge::latest(HELD, &self.held, &returning));
        for heard in [&one, &roll_up, &newest, &returning] {
            let ended = heard.iter().any(|heard| matches!(heard, Heard::Ended(_)));
            assert!(!ended, "a client was disconnected");
        }
        accept(judge::answers(&published));
        accept(judge::answers(&latest));
        let one = accept(judge::every(EVERY, &published, &one));
        Told { one, roll_up: accept(judge::every(ROLL_UP, &published, &roll_up)), published }
    }
}

/// All that was heard, as soon as the last message of all is among it.
fn heard_until(subscriber: Subscriber, published: &[Publication]) -> Vec<Heard> {
    let last = published.last().expect("it was just published").number;
    subscriber.wait_for("the last message", |heard| heard.is(last));
    subscriber.stop()
}

impl Told {
    /// Nothing was missing, so nothing had to be told.
    fn is_whole(&self) {
        let none: [String; 0] = [];
        assert_eq!((&*self.one.gaps, &*self.roll_up.gaps), (&none[..], &none[..]));
        assert_eq!((self.one.missing, self.roll_up.missing), (0, 0));
    }

    /// Another epoch began, and each was told once.
    fn began_anew(&self) {
        assert_eq!(
            (&*self.one.gaps, &*self.roll_up.gaps),
            (&["epoch".to_string()][..], &["epoch".to_string()][..])
        );
    }

    fn refused(&self) -> usize {
        self.published.iter().filter(|publication| publication.status == 503).count()
    }
}

fn accept<T>(verdict: Result<T, String>) -> T {
    verdict.unwrap_or_else(|complaint| panic!("{complaint}"))
}

/// Lasts until so long after `since`: it is the length of a fault, not a wait for something.
fn last_until(since: Instant, time: Duration) {
    sleep(time.saturating_sub(since.elapsed()));
}

#[test]
fn a_redis_that_is_away_for_a_second_costs_no_message_and_no_refusal() {
    for _ in 0..4 {
        let (away, refused) = away_for_a_second();
        if refused == 0 {
            return;
        }
        // A machine that stalls makes a second longer than the hub may wait, and then nothing can be said.
        assert!(away > PATIENCE_OF_A_HUB, "{refused} publishes were refused within {away:?}");
    }
    panic!("each time publishes were refused");
}

/// How long it was until all was well again, and how many publishes were refused.
fn away_for_a_second() -> (Duration, usize) {
    let mut redis = RedisServer::start();
    let mut scene = Scene::begin(&redis.url());
    let since = Instant::now();
    redis.stop();
    scene.is_degraded();
    last_until(since, Duration::from_secs(1));
    redis.start_again();
    scene.is_restored();
    let away = since.elapsed();
    let told = scene.end();
    told.is_whole();
    (away, told.refused())
}

#[test]
fn a_redis_that_is_away_for_six_seconds_refuses_what_must_not_be_lost_and_holds_the_newest() {
    let mut redis = RedisServer::start();
    let mut scene = Scene::begin(&redis.url());
    let since = Instant::now();
    redis.stop();
    scene.refuses(since);
    last_until(since, Duration::from_secs(3));
    scene.refuses(Instant::now());
    last_until(since, Duration::from_secs(6));
    redis.start_again();
    scene.is_restored();
    let told = scene.end();
    told.is_whole();
    assert!(told.refused() >= 4);
}

#[test]
fn a_redis_that_comes_back_empty_begins_another_epoch_which_is_told() {
    let mut redis = RedisServer::start();
    let scene = Scene::begin(&redis.url());
    redis.start_empty();
    scene.is_restored();
    scene.end().began_anew();
}

#[test]
fn a_failover_in_good_order_loses_nothing() {
    let master = RedisServer::start();
    let replica = RedisServer::replica_of(&master);
    let proxy = Proxy::to(master.port());
    let scene = Scene::begin(&proxy.url());
    let port = replica.port().to_string();
    master.tell(&["FAILOVER", "TO", "127.0.0.1", &port]);
    let is_master = || replica.ask(&["ROLE"]).text().starts_with("master");
    assert!(eventually(is_master), "the replica does not take over");
    proxy.lead_to(replica.port());
    scene.is_restored();
    scene.end().is_whole();
}

/// A failover to a replica that lacks what was acknowledged and heard for about so many publishes.
fn lossy_failover(lost: usize) {
    let mut master = RedisServer::start();
    let replica = RedisServer::replica_of(&master);
    let proxy = Proxy::to(master.port());
    let scene = Scene::begin(&proxy.url());
    replica.tell(&["REPLICAOF", "NO", "ONE"]);
    (0..lost).for_each(|_| scene.every[0].wait_for_acknowledged());
    master.kill();
    proxy.lead_to(replica.port());
    scene.is_restored();
    scene.end().began_anew();
}

#[test]
fn a_failover_that_loses_writes_begins_another_epoch_where_offsets_would_go_back() {
    lossy_failover(30);
}

#[test]
fn a_failover_that_loses_less_than_is_waiting_begins_another_epoch_too() {
    lossy_failover(1);
}

#[test]
fn a_redis_that_pauses_its_clients_for_six_seconds_is_waited_for_and_then_goes_on() {
    let redis = RedisServer::start();
    let mut scene = Scene::begin(&redis.url());
    let since = Instant::now();
    redis.tell(&["CLIENT", "PAUSE", "6000", "ALL"]);
    scene.refuses(since);
    scene.is_restored();
    scene.end().is_whole();
}

#[test]
fn a_redis_that_is_frozen_for_four_seconds_is_waited_for_and_then_goes_on() {
    let redis = RedisServer::start();
    let mut scene = Scene::begin(&redis.url());
    let since = Instant::now();
    redis.freeze();
    scene.refuses(since);
    last_until(since, Duration::from_secs(4));
    redis.thaw();
    scene.is_restored();
    scene.end().is_whole();
}

#[test]
fn a_connection_that_is_reset_in_the_middle_of_a_reply_costs_nothing() {
    let redis = RedisServer::start();
    let proxy = Proxy::to(redis.port());
    let scene = Scene::begin(&proxy.url());
    for (bytes, times) in [0, 1, 3, 40, 700, 5_000].into_iter().zip(1..) {
        proxy.reset_after(bytes);
        scene.one.wait_for_notices("degraded", times);
        scene.is_well();
    }
    scene.is_restored();
    let told = scene.end();
    told.is_whole();
    assert_eq!(told.refused(), 0, "the line is back at once");
}

#[test]
fn a_redis_without_memory_refuses_writes_until_it_has_some() {
    let redis = RedisServer::start();
    let mut scene = Scene::begin(&redis.url());
    let since = Instant::now();
    redis.tell(&["CONFIG", "SET", "maxmemory", "1mb"]);
    scene.refuses(since);
    redis.tell(&["CONFIG", "SET", "maxmemory", "0"]);
    scene.is_restored();
    scene.end().is_whole();
}

#[test]
fn a_redis_that_cannot_save_refuses_writes_until_it_can() {
    let redis = RedisServer::start();
    let mut scene = Scene::begin(&redis.url());
    let since = Instant::now();
    redis.stop_saving();
    scene.refuses(since);
    redis.go_on_saving();
    scene.is_restored();
    scene.end().is_whole();
}

#[test]
fn a_replica_in_the_place_of_its_master_is_read_only_until_it_is_promoted() {
    let mut master = RedisServer::start();
    let replica = RedisServer::replica_of(&master);
    let proxy = Proxy::to(master.port());
    let mut scene = Scene::begin(&proxy.url());
    // Nothing is under way when the master goes, so that the replica has it all.
    master.tell(&["CLIENT", "PAUSE", "60000", "WRITE"]);
    let offset = |server: &RedisServer| {
        let text = server.ask(&["INFO", "replication"]).text();
        text.lines().find_map(|line| line.strip_prefix("master_repl_offset:").map(str::to_string))
    };
    assert!(eventually(|| offset(&master) == offset(&replica)), "the replica is behind");
    let since = Instant::now();
    master.kill();
    proxy.lead_to(replica.port());
    scene.refuses(since);
    replica.tell(&["REPLICAOF", "NO", "ONE"]);
    scene.is_restored();
    scene.end().is_whole();
}

#[test]
fn a_wrong_password_ends_the_start_with_a_clear_word_that_holds_no_password() {
    let redis = RedisServer::with(&["requirepass right-one"]);
    let place = format!("127.0.0.1:{}", redis.port());
    for url in [format!("redis://:wrong-one@{place}"), format!("redis://somebody:wrong-one@{place}")] {
        let mut command = tapeline_faults::command(env!("CARGO_BIN_EXE_tapeline"));
        command.args(["serve", "--listen", "127.0.0.1:0", "--broker", &url]);
        let (status, out, err) = run_to_end(command);
        assert!(status.code().is_some_and(|code| code != 0), "{status}");
        let said = out + &err;
        assert!(said.contains(&place) && said.to_lowercase().contains("password"), "{said}");
        assert!(!said.contains("wrong-one"), "{said}");
    }
}

#[test]
fn a_password_that_is_changed_under_a_running_hub_degrades_it_until_it_fits_again() {
    let redis = RedisServer::with(&["requirepass first"]);
    let mut scene = Scene::begin(&format!("redis://:first@127.0.0.1:{}", redis.port()));
    let since = Instant::now();
    redis.tell(&["CONFIG", "SET", "requirepass", "second"]);
    for kind in ["normal", "pubsub"] {
        redis.tell(&["CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes"]);
    }
    scene.refuses(since);
    redis.tell(&["CONFIG", "SET", "requirepass", "first"]);
    scene.is_restored();
    scene.end().is_whole();
}
