//! Any text as frames of a client: through the parser, a shard with everything behind it, and back as frames. A byte that
//! UTF-8 does not have (0xff) stands between two frames; every other one is a second client's.

use std::collections::{BTreeMap, VecDeque};
use std::io::IoSlice;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use serde_json::value::RawValue;
use tapeline_brokers::memory::MemoryBroker;
use tapeline_core::Directory;
use tapeline_core::broker::{Deliver, Messages};
use tapeline_core::command::Req;
use tapeline_core::hub::HubParts;
use tapeline_core::registry::LocalRegistry;
use tapeline_core::rights::Grant;
use tapeline_core::session::Arrival;
use tapeline_core::shard::{Mailbox, Note};
use tapeline_core::store::{Bounds, LocalStore};
use tapeline_core::testkit::ManualClock;
use tapeline_core::{
    Broker, Clock, Command, Hub, Message, Permits, Pipes, Refusal, Settings, Shard, Wire, Written,
};
use tapeline_gateway::{fuzzing, native};
use tapeline_schema::{Catalog, ErrorCode};

/// The check of the target `native`.
pub(crate) fn check(input: &[u8]) {
    let mut desk = Desk::new(&native::NATIVE);
    for (number, frame) in input.split(|byte| *byte == 0xff).enumerate() {
        if let Ok(text) = std::str::from_utf8(frame) {
            desk.say(number % 2, text);
        }
    }
    desk.end(|text| {
        serde_json::from_str::<&RawValue>(text).unwrap_or_else(|error| panic!("{error} in {text}"));
    });
}

/// What waits for the shard.
#[derive(Default)]
struct Inbox {
    messages: Mutex<VecDeque<Arc<Message>>>,
    notes: Mutex<VecDeque<Note>>,
}

impl Mailbox for Inbox {
    fn post(&self, note: Note) {
        self.notes.lock().expect("nobody panics with it").push_back(note);
    }
}

impl Deliver for Inbox {
    fn permits(self: Arc<Self>, count: usize) -> Option<Permits> {
        Some(Permits::counted(count, self))
    }

    fn deliver(&self, permits: &mut Permits, messages: Messages) {
        assert!(permits.take(messages.len()), "a permit a message");
        self.messages.lock().expect("nobody panics with it").extend(messages);
    }

    fn give_back(&self, _: usize) {}

    fn when_room(&self, wake: Box<dyn FnOnce() + Send>) {
        wake();
    }
}

/// What was written to each client.
#[derive(Default)]
struct Sockets(BTreeMap<u32, Vec<u8>>);

impl Pipes for Sockets {
    fn write(&mut self, slot: u32, slices: &[IoSlice<'_>]) -> Written {
        let socket = self.0.entry(slot).or_default();
        let before = socket.len();
        slices.iter().for_each(|slice| socket.extend_from_slice(slice));
        Written::Bytes(socket.len() - before)
    }
}

/// One shard, and all that a hub has behind it.
pub(crate) struct Desk {
    clock: Arc<ManualClock>,
    inbox: Arc<Inbox>,
    shard: Shard,
    slots: [u32; 2],
    sockets: Sockets,
}

impl Desk {
    /// Its clients hear this format.
    pub(crate) fn new(wire: &'static dyn Wire) -> Desk {
        static CATALOG: OnceLock<Catalog> = OnceLock::new();
        let clock = Arc::new(ManualClock::default());
        let broker = Arc::new(MemoryBroker::new(clock.clone(), 7));
        let inbox = Arc::new(Inbox::default());
        broker.attach(inbox.clone());
        let hub = Arc::new(Hub::new(HubParts {
            directory: Arc::new(Directory::new(CATALOG.get_or_init(Catalog::built_in).clone())),
            settings: Settings::default(),
            clock: clock.clone(),
            broker,
            registry: Arc::new(LocalRegistry::default()),
            store: Arc::new(LocalStore::new(clock.clone(), Bounds::default())),
            authority: Arc::new(tapeline_core::rights::Off),
            seed: 7,
            shards: 1,
        }));
        let mut shard = Shard::new(hub, 0, inbox.clone());
        let slots = [(); 2].map(|()| {
            let arrival = Arrival {
                principal: "fuzz".into(),
                address: "127.0.0.1".into(),
                seat: None,
                client: None,
                grant: Grant::Anyone,
                wire,
                notices: true,
                heartbeat: true,
                beat: None,
            };
            shard.open(arrival, clock.now()).slot
        });
        Desk { clock, inbox, shard, slots, sockets: Sockets::default() }
    }

    fn say(&mut self, client: usize, text: &str) {
        let read = fuzzing::frame(text);
        match &read {
            Ok(command) => taken(text, command),
            Err(refusal) => {
                let is_json = serde_json::from_str::<&RawValue>(text).is_ok();
                assert!(is_json || refusal.code == ErrorCode::BadJson, "{refusal:?} of {text:?}");
            }
        }
        self.ask(client, read, &None);
    }

    /// Does what a client asks for, or says why not.
    pub(crate) fn ask(&mut self, client: usize, read: Result<Command, Refusal>, req: &Req) {
        let (slot, now) = (self.slots[client], self.clock.now());
        match read {
            Ok(command) => {
                self.shard.handle(slot, command, now);
            }
            Err(refusal) => {
                assert!(!refusal.message.is_empty(), "{refusal:?}");
                self.shard.reply_error(slot, refusal, None, req);
            }
        }
        self.settle();
        self.clock.advance(Duration::from_millis(7));
    }

    /// Until nothing waits any more.
    fn settle(&mut self) {
        let now = self.clock.now();
        loop {
            let note = self.inbox.notes.lock().expect("nobody panics with it").pop_front();
            let message = self.inbox.messages.lock().expect("nobody panics with it").pop_front();
            let is_idle = note.is_none() && message.is_none();
            if let Some(note) = note {
                self.shard.on_note(note, now);
            }
            if let Some(message) = message {
                self.shard.route(&message, false, now);
            }
            self.shard.flush(&mut self.sockets, 16, now);
            if is_idle {
                return;
            }
        }
    }

    /// Everything that was written is whole frames, their texts such as `check` takes.
    pub(crate) fn end(mut self, check: fn(&str)) {
        self.clock.advance(Duration::from_secs(2));
        self.shard.tick(self.clock.now());
        self.settle();
        for written in self.sockets.0.into_values() {
            let mut rest = &written[..];
            while !rest.is_empty() {
                rest = frame(rest, check);
            }
        }
    }
}

/// What is taken is an object, and its data the bytes that came.
fn taken(text: &str, command: &Command) {
    assert!(text.trim_start().starts_with('{'), "{text:?}");
    if let Some(req) = command.req() {
        serde_json::from_str::<&RawValue>(req).expect("a req is JSON");
    }
    if let Command::Publish { publication, .. } = command {
        let data = std::str::from_utf8(&publication.data).expect("what is published is text");
        serde_json::from_str::<&RawValue>(data).expect("what is published is JSON");
        assert!(text.contains(data), "the bytes are those that came");
    }
}

/// Takes one frame of a server off.
fn frame(bytes: &[u8], check: fn(&str)) -> &[u8] {
    let [first, short, rest @ ..] = bytes else { panic!("half a header: {bytes:?}") };
    let (len, rest) = match (short, rest) {
        (126, [a, b, rest @ ..]) => (usize::from(u16::from_be_bytes([*a, *b])), rest),
        (127, rest) => {
            let (head, rest) = rest.split_first_chunk::<8>().expect("eight bytes of length");
            (usize::try_from(u64::from_be_bytes(*head)).expect("it fits"), rest)
        }
        (short, rest) => (usize::from(*short), rest),
    };
    let (payload, rest) = rest.split_at(len);
    if first & 0x0f == 1 {
        check(std::str::from_utf8(payload).expect("a text frame is text"));
    }
    rest
}
