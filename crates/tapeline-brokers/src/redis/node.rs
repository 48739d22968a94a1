//! What a node knows of the Redis it shares: its link, where it delivers to, and whether it is degraded. It hears what
//! the link tells: messages in the order of their arrival, its own among them, and the breaks of the line.

use std::collections::VecDeque;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};

use foldhash::fast::FixedState;
use tapeline_core::broker::{Messages, SLICE};
use tapeline_core::message::Message;
use tapeline_core::{Clock, Deliver, Directory};
use tapeline_schema::Pattern;

use super::frame::{Origin, decode};
use super::joined::{Joined, Look};
use super::link::{Events, Heard, Link, Script, Server, lock};
use super::plan::Plans;
use super::publishing::Outbox;
use super::reading::Again;
use super::seen::Seen;
use super::upkeep::Upkeep;

/// See the module.
pub(super) struct Node {
    pub(super) me: Weak<Node>,
    pub(super) link: Arc<Link>,
    pub(super) directory: Arc<Directory>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) sink: OnceLock<Arc<dyn Deliver>>,
    pub(super) plans: Plans,
    pub(super) outbox: Mutex<Outbox>,
    pub(super) joined: Mutex<Joined>,
    pub(super) again: Mutex<VecDeque<Again>>,
    pub(super) upkeep: Mutex<Upkeep>,
    /// How far each channel was seen to go.
    pub(super) seen: Mutex<Seen>,
    /// The last frame, which comes again to who hears it by several topics.
    last: Mutex<bytes::Bytes>,
    pub(super) server: Mutex<Server>,
    /// The run of Redis that was last looked through for what was seen.
    looked_through: Mutex<String>,
    degraded: AtomicBool,
    /// Messages that were not understood.
    pub(super) dropped: AtomicU64,
    epochs: AtomicU64,
    seed: u64,
}

impl Node {
    pub(super) fn new(
        link: Arc<Link>,
        clock: Arc<dyn Clock>,
        directory: Arc<Directory>,
        seed: u64,
        mirror: Vec<Pattern>,
    ) -> Arc<Self> {
        // Hubs may be given one seed; their epochs must differ all the same.
        let random = std::collections::hash_map::RandomState::new().hash_one(seed);
        Arc::new_cyclic(|me| Node {
            me: me.clone(),
            link,
            directory,
            clock,
            sink: OnceLock::new(),
            plans: Plans::new(mirror),
            outbox: Mutex::default(),
            joined: Mutex::default(),
            again: Mutex::default(),
            upkeep: Mutex::default(),
            seen: Mutex::default(),
            last: Mutex::default(),
            server: Mutex::default(),
            looked_through: Mutex::default(),
            degraded: AtomicBool::new(false),
            dropped: AtomicU64::new(0),
            epochs: AtomicU64::new(0),
            seed: random,
        })
    }

    pub(super) fn now_us(&self) -> u64 {
        self.clock.now().wall_us
    }

    /// An epoch that nobody has used.
    pub(super) fn fresh_epoch(&self) -> String {
        let hash = FixedState::with_seed(self.seed).hash_one(self.epochs.fetch_add(1, Ordering::Relaxed));
        let digit = |at: u32| {
            char::from_digit(u32::try_from((hash >> (at * 5)) & 31).unwrap_or(0), 32).unwrap_or('0')
        };
        (0..10).map(digit).collect()
    }

    pub(super) fn tell_degraded(&self) {
        if !self.degraded.swap(true, Ordering::AcqRel)
            && let Some(sink) = self.sink.get()
        {
            sink.on_degraded(true);
        }
    }

    /// Says how it is to a sink that has heard nothing yet.
    pub(super) fn tell_condition(&self) {
        self.degraded.store(false, Ordering::Release);
        if self.link.has_failed() {
            self.tell_degraded();
            // It may have come up meanwhile.
            self.tell_restored();
        }
    }

    /// Says that all is well again, if it is.
    pub(super) fn tell_restored(&self) {
        let refusing = lock(&self.outbox).refusing();
        if refusing.is_none()
            && self.link.is_up()
            && self.degraded.swap(false, Ordering::AcqRel)
            && let Some(sink) = self.sink.get()
        {
            sink.on_degraded(false);
        }
    }

    /// The message in what was heard, unless it came before by another topic.
    fn message(&self, heard: &Heard) -> Option<Message> {
        {
            let mut last = lock(&self.last);
            if *last == heard.payload {
                return None;
            }
            last.clone_from(&heard.payload);
        }
        match decode(&heard.payload, Origin::Heard, &self.directory, |channel| self.plans.of(channel)) {
            Ok(message) => Some(message),
            Err(error) => {
                if self.dropped.fetch_add(1, Ordering::Relaxed) == 0 {
                    let topic = String::from_utf8_lossy(&heard.topic);
                    tracing::warn!(
                        "a message on {topic} is passed over: {error}; further ones are only counted"
                    );
                }
                None
            }
        }
    }

    /// Delivers at most a slice; `false` if there is no room for it.
    fn deliver(&self, sink: &Arc<dyn Deliver>, heard: &mut VecDeque<Heard>) -> bool {
        let count = heard.len().min(SLICE);
        let Some(mut permits) = sink.clone().permits(count) else { return false };
        let mut run = Messages::new();
        let mut seen = Vec::new();
        for heard in heard.drain(..count) {
            let Some(message) = self.message(&heard) else { continue };
            if run.last().is_some_and(|last| last.channel != message.channel) {
                sink.deliver(&mut permits, std::mem::take(&mut run));
            }
            let message = Arc::new(message);
            seen.push(message.clone());
            run.push(message);
        }
        if !run.is_empty() {
            sink.deliver(&mut permits, run);
        }
        let mut known = lock(&self.seen);
        seen.iter().for_each(|message| known.note_message(message));
        true
    }
}

impl Events for Node {
    fn on_up(&self, server: &Server) {
        let Some(node) = self.me.upgrade() else { return };
        lock(&self.server).clone_from(server);
        node.open_outbox();
        // Another one, or the same after a start, may not have all that was seen.
        let is_known = *lock(&self.looked_through) == server.run_id;
        let run_id = server.run_id.clone();
        let then = move |node: &Arc<Node>| {
            *lock(&node.looked_through) = run_id;
            node.tell_restored();
        };
        node.look_everywhere(if is_known { Look::Heads } else { Look::Newest }, Box::new(then));
    }

    fn on_down(&self, why: &str) {
        tracing::warn!("{}: {why}; trying again", self.link.address());
        self.close_outbox();
        self.tell_degraded();
    }

    fn on_heard(&self, heard: &mut VecDeque<Heard>) {
        let Some(sink) = self.sink.get() else { return heard.clear() };
        while !heard.is_empty() {
            if !self.deliver(sink, heard) {
                return sink.when_room(Box::new(self.link.resume()));
            }
        }
    }

    fn scripts(&self) -> Vec<&'static Script> {
        super::scripts::all()
    }

    fn on_tick(&self) {
        let Some(node) = self.me.upgrade() else { return };
        node.look_after_outbox();
        node.follow_catalogue();
        node.ask_again();
        node.keep_up();
    }
}
