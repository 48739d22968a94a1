//! What a protocol may do while it handles bytes: give commands to its own session, answer it, close it.

use tapeline_core::shard::Handled;
use tapeline_core::{Command, Now, Refusal, Shard};
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
