//! How long a shard stands still when the catalogue changes: `renewing SESSIONS CHANNELS`. Every session is known to be
//! somebody and hears all channels by the pattern `*`. Prints the milliseconds in which the shard follows a family that
//! nobody uses, and other readers of the family of those channels; the longest of ten each.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tapeline_brokers::memory::MemoryBroker;
use tapeline_core::command::{Publication, Wanted};
use tapeline_core::hub::HubParts;
use tapeline_core::registry::LocalRegistry;
use tapeline_core::rights::{Grant, Identity, Off};
use tapeline_core::session::Arrival;
use tapeline_core::store::{Bounds, LocalStore};
use tapeline_core::testkit::{LINES, ManualClock, OpenSocket, RoomyInbox};
use tapeline_core::{Clock, Command, Directory, Hub, Settings, Shard};
use tapeline_schema::{Catalog, ChannelSpec, Delivery, Priority, Readers};

fn main() -> ExitCode {
    let given: Vec<usize> = std::env::args().skip(1).filter_map(|text| text.parse().ok()).collect();
    let [sessions, channels] = given[..] else {
        eprintln!("renewing SESSIONS CHANNELS");
        return ExitCode::FAILURE;
    };
    let clock = Arc::new(ManualClock::default());
    let hub = Arc::new(Hub::new(HubParts {
        directory: Arc::new(Directory::new(catalog(Readers::Public, false))),
        settings: Settings::default(),
        clock: clock.clone(),
        broker: Arc::new(MemoryBroker::new(clock.clone(), 7)),
        registry: Arc::new(LocalRegistry::default()),
        store: Arc::new(LocalStore::new(clock.clone(), Bounds::default())),
        authority: Arc::new(Off),
        seed: 7,
        shards: 1,
    }));
    let inbox = Arc::new(RoomyInbox::default());
    hub.broker().attach(inbox.clone());
    let mut shard = Shard::new(hub.clone(), 0, inbox.clone());
    let mut socket = OpenSocket::default();
    let somebody = Grant::Known(Arc::new(Identity::stranger()));
    for _ in 0..sessions {
        hear_everything(&mut shard, &somebody, &clock);
    }
    settle(&mut shard, &inbox, &mut socket, &clock);
    for number in 0..channels {
        say(&hub, &format!("desk:{number}"), &clock);
    }
    settle(&mut shard, &inbox, &mut socket, &clock);
    let (mut elsewhere, mut here) = (Duration::ZERO, Duration::ZERO);
    for _ in 0..5 {
        elsewhere = elsewhere.max(follow(&hub, &mut shard, catalog(Readers::Public, true), &clock));
        here = here.max(follow(&hub, &mut shard, catalog(Readers::Operator, true), &clock));
        here = here.max(follow(&hub, &mut shard, catalog(Readers::Public, true), &clock));
        elsewhere = elsewhere.max(follow(&hub, &mut shard, catalog(Readers::Public, false), &clock));
    }
    println!("{sessions} sessions, {channels} channels: {elsewhere:?} elsewhere, {here:?} here");
    ExitCode::SUCCESS
}

fn catalog(read: Readers, another: bool) -> Catalog {
    let mut catalog = Catalog::built_in();
    let family = |name: &str| ChannelSpec::of(name, "desk", Priority::Low, Delivery::Every);
    let families = [Some(family("desk:{n}").read(read)), another.then(|| family("elsewhere:{n}"))];
    for family in families.into_iter().flatten() {
        if let Err(error) = catalog.add(family) {
            eprintln!("{error}");
        }
    }
    catalog
}

fn hear_everything(shard: &mut Shard, grant: &Grant, clock: &ManualClock) {
    let arrival = Arrival {
        principal: "p".into(),
        address: "127.0.0.1".into(),
        seat: None,
        client: None,
        grant: grant.clone(),
        wire: &LINES,
        notices: true,
        heartbeat: false,
        beat: None,
    };
    let slot = shard.open(arrival, clock.now()).slot;
    let wanted = vec![Wanted::Pattern("*".into())];
    shard.handle(slot, Command::Subscribe { wanted, options: Box::default(), req: None }, clock.now());
}

fn say(hub: &Hub, channel: &str, clock: &ManualClock) {
    let publication = Publication { channel, data: "1".into(), ..Publication::default() };
    if let Ok(draft) = hub.drafter(&"p".into(), &Grant::Anyone, clock.now()).draft(publication, None) {
        let _ = hub.publish([draft].into_iter().collect(), None);
    }
}

/// Until nothing is under way.
fn settle(shard: &mut Shard, inbox: &RoomyInbox, socket: &mut OpenSocket, clock: &ManualClock) {
    loop {
        for message in inbox.take_messages() {
            shard.route(&message, false, clock.now());
        }
        while shard.flush(socket, 256, clock.now()) {}
        socket.take();
        let notes = inbox.take_notes();
        if notes.is_empty() {
            return;
        }
        notes.into_iter().for_each(|note| shard.on_note(note, clock.now()));
    }
}

/// How long the shard takes to follow this change.
fn follow(hub: &Hub, shard: &mut Shard, catalog: Catalog, clock: &ManualClock) -> Duration {
    if let Err(refusal) = hub.replace_catalog(catalog) {
        eprintln!("{}", refusal.message);
    }
    let began = Instant::now();
    shard.tick(clock.now());
    began.elapsed()
}
