//! Delivers messages to sessions, and does nothing else: `deliveries SESSIONS CHANNELS TOGETHER ROUNDS [quiet] [known]`. Every
//! session hears all channels; in each round, a millisecond, so many messages are published and then written together. Of
//! fifty sockets one is full most of the time, so that there is conflation to tell of. `cargo xtask overhead` counts its
//! instructions with and without counting (feature `uncounted`) and, `quiet`, without notices; and where each session is
//! `known` to be somebody, with a token that ends, instead of anyone.

use std::io::IoSlice;
use std::process::ExitCode;
use std::sync::Arc;

use bytes::Bytes;
use tapeline_brokers::memory::MemoryBroker;
use tapeline_core::Directory;
use tapeline_core::command::{Publication, Wanted};
use tapeline_core::hub::HubParts;
use tapeline_core::registry::LocalRegistry;
use tapeline_core::rights::{Grant, Identity};
use tapeline_core::session::Arrival;
use tapeline_core::store::{Bounds, LocalStore};
use tapeline_core::testkit::{ManualClock, RoomyInbox};
use tapeline_core::{Clock, Command, Hub, Message, Pipes, Reply, Settings, Shard, Wire, Written};
use tapeline_schema::{Catalog, CloseCode};

/// The roll-up that every session hears.
const HEARD: &str = "market_data";
/// Of so many sockets one is full, but for one round in so many.
const FULL: u32 = 50;
const PAUSE: usize = 100;

/// JSON, as the native protocol's payload is.
struct Json;

static JSON: Json = Json;

impl Wire for Json {
    fn slot(&self) -> usize {
        0
    }

    fn message(&self, message: &Message) -> Box<[u8]> {
        let mut out = Vec::with_capacity(message.weight());
        message.push_json(&mut out);
        out.into()
    }

    fn reply(&self, _reply: &Reply) -> Bytes {
        Bytes::from_static(b"{}")
    }

    fn ping(&self) -> Bytes {
        Bytes::new()
    }

    fn close(&self, _code: CloseCode, _reason: &str) -> Bytes {
        Bytes::new()
    }
}

/// Sockets that take everything, but for those that are full now.
struct Sockets {
    some_are_full: bool,
}

impl Pipes for Sockets {
    fn write(&mut self, slot: u32, slices: &[IoSlice<'_>]) -> Written {
        if self.some_are_full && slot % FULL == FULL - 1 {
            return Written::Blocked;
        }
        Written::Bytes(slices.iter().map(|slice| slice.len()).sum())
    }
}

/// So many sessions that hear everything.
fn subscribe(shard: &mut Shard, sessions: usize, grant: &Grant, quiet: bool, clock: &ManualClock) {
    for _ in 0..sessions {
        let arrival = Arrival {
            principal: "p".into(),
            address: "127.0.0.1".into(),
            seat: None,
            client: None,
            grant: grant.clone(),
            wire: &JSON,
            notices: !quiet,
            heartbeat: false,
            beat: None,
        };
        let slot = shard.open(arrival, clock.now()).slot;
        let wanted = vec![Wanted::Channel(HEARD.into())];
        shard.handle(slot, Command::Subscribe { wanted, options: Box::default(), req: None }, clock.now());
    }
}

/// Until nothing is under way.
fn settle(shard: &mut Shard, inbox: &RoomyInbox, sockets: &mut Sockets, clock: &ManualClock) {
    loop {
        while shard.flush(sockets, 256, clock.now()) {}
        let notes = inbox.take_notes();
        if notes.is_empty() {
            break;
        }
        notes.into_iter().for_each(|note| shard.on_note(note, clock.now()));
    }
}

fn main() -> ExitCode {
    let given: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize| given.get(at).and_then(|text| text.parse::<usize>().ok());
    let (Some(sessions), Some(channels), Some(together), Some(rounds)) =
        (number(0), number(1), number(2), number(3))
    else {
        eprintln!("deliveries SESSIONS CHANNELS TOGETHER ROUNDS [quiet] [known]");
        return ExitCode::FAILURE;
    };
    let said = |wanted: &str| given.iter().skip(4).any(|word| word == wanted);
    let (quiet, known) = (said("quiet"), said("known"));
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
    let mut sockets = Sockets { some_are_full: false };
    let mut shard = Shard::new(hub.clone(), 0, inbox.clone());
    let somebody = Identity { until_us: Some(u64::MAX), ..Identity::stranger() };
    let grant = if known { Grant::Known(Arc::new(somebody)) } else { Grant::Anyone };
    subscribe(&mut shard, sessions, &grant, quiet, &clock);
    settle(&mut shard, &inbox, &mut sockets, &clock);
    let principal: Arc<str> = "p".into();
    let names: Vec<String> = (0..channels.max(1)).map(|n| format!("market_data:S{n}")).collect();
    let mut names = names.iter().cycle();
    for round in 0..rounds {
        clock.advance(std::time::Duration::from_millis(1));
        let now = clock.now();
        sockets.some_are_full = round % PAUSE != 0;
        if !sockets.some_are_full {
            let slots =
                (0..u32::try_from(sessions).unwrap_or(u32::MAX)).filter(|slot| slot % FULL == FULL - 1);
            slots.for_each(|slot| shard.on_writable(slot));
        }
        for channel in names.by_ref().take(together) {
            let data =
                Bytes::from(format!(r#"{{"symbol":"AAPL","price":187.45,"change":0.12,"volume":{round}}}"#));
            let publication =
                Publication { channel: channel.as_str().into(), data, ..Publication::default() };
            let Ok(draft) = hub.draft(publication, &principal, &Grant::Anyone, now) else { continue };
            if hub.publish([draft].into_iter().collect(), None).is_err() {
                return ExitCode::FAILURE;
            }
        }
        for message in inbox.take_messages() {
            shard.route(&message, false, now);
        }
        shard.tick(now);
        while shard.flush(&mut sockets, 256, now) {}
    }
    ExitCode::SUCCESS
}
