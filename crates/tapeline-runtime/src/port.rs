//! What a protocol may do while it handles bytes: give commands to its own session, answer it, close it.

use std::sync::Arc;

use tapeline_core::session::SessionView;
use tapeline_core::shard::{Handled, Mailbox, Note};
use tapeline_core::{Command, Grant, Hub, Now, Refusal, SessionKey, Shard, Wire};
use tapeline_schema::CloseCode;

/// One session of one shard, for the time of a call.
pub struct Port<'a> {
    shard: &'a mut Shard,
    slot: u32,
    now: Now,
}

impl<'a> Port<'a> {
    pub(crate) fn new(shard: &'a mut Shard, slot: u32, now: Now) -> Self {
        Port { shard, slot, now }
    }

    /// Does what the client asks for.
    pub fn handle(&mut self, command: Command) -> Handled {
        self.shard.handle(self.slot, command, self.now)
    }

    /// Whether another command may be handed in.
    pub fn has_room(&self) -> bool {
        self.shard.has_room(self.slot)
    }

    /// Whether nothing more that the client says counts.
    pub fn is_closing(&self) -> bool {
        self.shard.is_closing(self.slot)
    }

    /// Says that something was refused, and counts it as a request.
    pub fn refuse(&mut self, refusal: Refusal, about: Option<Box<str>>, req: &Option<Box<str>>) {
        self.shard.refuse(self.slot, refusal, about, req, self.now);
    }

    /// Queues bytes for this client alone, in the most urgent lane.
    pub fn send(&mut self, bytes: &[u8]) {
        self.shard.send_bytes(self.slot, 0, bytes);
    }

    /// Takes the next place in the order of answers, for a protocol whose answers carry no mark of their request.
    pub fn turn(&mut self) -> u64 {
        self.shard.take_turn(self.slot)
    }

    /// Fills a place in the order of answers.
    pub fn answer(&mut self, turn: u64, bytes: &[u8]) {
        self.shard.answer(self.slot, turn, bytes);
    }

    /// For an answer that somebody else finds, on whatever thread. Until then it counts as in flight.
    pub fn later(&mut self, turn: u64) -> Later {
        Later { turn, to: self.shard.await_answer(self.slot) }
    }

    /// Requests of the session that are not answered yet.
    pub fn in_flight(&self) -> u32 {
        self.view(|view| view.in_flight()).unwrap_or_default()
    }

    /// Places in the order of answers whose answers have not left: requests of every kind, subscriptions too.
    pub fn unanswered(&self) -> usize {
        self.view(|view| view.unanswered()).unwrap_or_default()
    }

    /// Whether somebody has said who this is, or nobody has to.
    pub fn is_known(&self) -> bool {
        self.view(|view| !matches!(view.grant(), Grant::Nobody)).unwrap_or_default()
    }

    /// How often a token of the session was taken.
    pub fn identified(&self) -> u64 {
        self.view(|view| view.identified()).unwrap_or_default()
    }

    /// What the session may do.
    pub fn grant(&self) -> Grant {
        self.view(|view| view.grant().clone()).unwrap_or(Grant::Nobody)
    }

    /// Who it is: its token's subject, else its address.
    pub fn principal(&self) -> Arc<str> {
        self.view(|view| view.principal().clone()).unwrap_or_else(|| "".into())
    }

    /// What it has subscribed: whether it is a pattern, the wire's mark, and the name.
    pub fn topics(&self) -> Vec<(bool, u8, Box<str>)> {
        let owned = |(is_pattern, tag, name): (bool, u8, &str)| (is_pattern, tag, name.into());
        self.view(|view| view.topics().map(owned).collect()).unwrap_or_default()
    }

    /// How many subscriptions it has.
    pub fn subscriptions(&self) -> usize {
        self.view(|view| view.subscriptions()).unwrap_or_default()
    }

    /// How many of its subscriptions have this mark of the wire.
    pub fn subscriptions_marked(&self, mark: u8) -> usize {
        self.view(|view| view.topics().filter(|(_, tag, _)| *tag == mark).count()).unwrap_or_default()
    }

    /// The wire's mark of this subscription; nothing where there is none.
    pub fn heard(&self, is_pattern: bool, name: &str) -> Option<u8> {
        self.view(|view| view.heard(is_pattern, name)).flatten()
    }

    /// From now on the session is written to in this format.
    pub fn speak(&mut self, wire: &'static dyn Wire) {
        self.shard.speak(self.slot, wire);
    }

    /// How it is written to; nothing if it is gone.
    pub fn wire(&self) -> Option<&'static dyn Wire> {
        self.shard.wire(self.slot)
    }

    /// A number that no other session of this hub has.
    pub fn serial(&self) -> u64 {
        self.view(|view| view.serial()).unwrap_or_default()
    }

    /// The hub.
    pub fn hub(&self) -> &Arc<Hub> {
        self.shard.hub()
    }

    /// The time of this call.
    pub fn now(&self) -> Now {
        self.now
    }

    fn view<T>(&self, look: impl FnOnce(SessionView<'_>) -> T) -> Option<T> {
        self.shard.view(self.slot).map(look)
    }

    /// Says whether the client has begun a message whose end has not come. It is given up when that takes too long.
    pub fn unfinished(&mut self, is_unfinished: bool) {
        self.shard.on_unfinished(self.slot, is_unfinished, self.now);
    }

    /// Says goodbye with a code.
    pub fn close(&mut self, code: CloseCode, reason: &str) {
        self.shard.close(self.slot, code, reason);
    }

    /// Says goodbye with these last bytes.
    pub fn close_with(&mut self, bytes: &[u8]) {
        self.shard.close_with(self.slot, bytes);
    }
}

/// An answer that is still to be found. If it never is, its session is read no further once enough are missing, so
/// whoever has it has to answer.
pub struct Later {
    turn: u64,
    to: Option<(SessionKey, Arc<dyn Mailbox>)>,
}

impl Later {
    /// Answers, from whatever thread.
    pub fn answer(self, bytes: Vec<u8>) {
        if let Some((key, mailbox)) = self.to {
            mailbox.post(Note::Answered(Box::new((key, self.turn, bytes))));
        }
    }
}
