//! What a session is told: answers and notices in the bytes of its wire, and answers in the order of their requests where
//! the wire has no marks for them.

use std::sync::Arc;

use crate::command::Req;
use crate::error::Refusal;
use crate::hub::Hub;
use crate::incidents::{IncidentKind, Trouble};
use crate::message::Wire;
use crate::note::Mailbox;
use crate::reply::Reply;
use crate::session::{Session, SessionView};
use crate::shard::{SessionKey, Shard};
use crate::turns::Next;

impl Shard {
    /// Says that something was refused, and remembers it.
    pub fn reply_error(&mut self, slot: u32, refusal: Refusal, about: Option<Box<str>>, req: &Req) {
        let about_text = about.as_deref().unwrap_or_default();
        self.report(slot, IncidentKind::RequestRefused, refusal.code.name(), about_text, &refusal.message);
        self.reply_refusal(slot, refusal, about, req);
    }

    /// Remembers trouble that a session has.
    pub(crate) fn report(
        &self,
        slot: u32,
        kind: IncidentKind,
        code: &'static str,
        channel: &str,
        message: &str,
    ) {
        let client = self.sessions.get(slot as usize).map(Session::called).unwrap_or_default();
        self.hub
            .incidents()
            .report(Trouble { kind, code, channel, client: &client, message }, self.hub.now());
    }

    /// Says that something was refused that has been remembered already.
    pub(crate) fn reply_refusal(&mut self, slot: u32, refusal: Refusal, about: Option<Box<str>>, req: &Req) {
        self.reply_in_lane(slot, 0, &Reply::Error { refusal, about, req: req.clone() });
    }

    pub(crate) fn reply_in_lane(&mut self, slot: u32, lane: usize, reply: &Reply) {
        let Some(session) = self.sessions.get_mut(slot as usize) else { return };
        let wire = session.outbox.wire();
        let bytes = wire.reply(reply);
        match reply.req().as_deref().and_then(|req| wire.turn(req)) {
            Some(turn) => self.answer(slot, turn, &bytes),
            None => self.send_bytes(slot, lane, &bytes),
        }
    }

    /// Takes the next place in the order of the session's answers.
    pub fn take_turn(&mut self, slot: u32) -> u64 {
        let session = self.sessions.get_mut(slot as usize);
        session.map_or(0, |session| session.turns.get_or_insert_default().take())
    }

    /// Fills a place in the order of the session's answers; what is next in it leaves.
    pub fn answer(&mut self, slot: u32, turn: u64, bytes: &[u8]) {
        let Some(turns) = self.sessions.get_mut(slot as usize).and_then(|session| session.turns.as_mut())
        else {
            return;
        };
        turns.fill(turn, bytes.into());
        self.take_turns(slot);
    }

    /// Sends and starts what is next in the order of the session's answers.
    pub(crate) fn take_turns(&mut self, slot: u32) {
        while let Some(turns) =
            self.sessions.get_mut(slot as usize).and_then(|session| session.turns.as_mut())
            && let Some(next) = turns.next()
        {
            match next {
                Next::Send(bytes) => self.send_bytes(slot, 0, &bytes),
                Next::Start(start) => {
                    self.start(start, self.hub.now());
                    let session = self.sessions.get_mut(slot as usize);
                    if let Some(turns) = session.and_then(|session| session.turns.as_mut()) {
                        turns.on_started();
                    }
                }
            }
        }
    }

    /// Somebody else answers for the session, through [`Note::Answered`].
    pub fn await_answer(&mut self, slot: u32) -> Option<(SessionKey, Arc<dyn Mailbox>)> {
        let session = self.sessions.get_mut(slot as usize)?;
        session.in_flight += 1;
        Some((SessionKey { slot, serial: session.serial }, self.mailbox.clone()))
    }

    /// What protocols may know of the session.
    pub fn view(&self, slot: u32) -> Option<SessionView<'_>> {
        self.sessions.get(slot as usize).map(|session| SessionView { session })
    }

    /// From now on the session is written to in this format.
    pub fn speak(&mut self, slot: u32, wire: &'static dyn Wire) {
        if let Some(session) = self.sessions.get_mut(slot as usize) {
            session.outbox.speak(wire);
        }
    }

    /// The session goes on over another line: these bytes, which the one before did not bring, go out first.
    pub fn go_on(&mut self, slot: u32, unread: &[u8]) {
        let Some(session) = self.sessions.get_mut(slot as usize) else { return };
        session.blocked_us = 0;
        session.took_bytes = true;
        if !unread.is_empty() {
            session.outbox.push_first(unread.into());
            self.scale.add(unread.len());
        }
        self.dirty.mark(slot, session, 0);
    }

    /// The hub that it is a part of.
    pub fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    /// Queues bytes for this session alone.
    pub fn send_bytes(&mut self, slot: u32, lane: usize, bytes: &[u8]) {
        let Some(session) = self.sessions.get_mut(slot as usize) else { return };
        if session.closing || bytes.is_empty() {
            return;
        }
        session.outbox.push_reply(lane, bytes.into());
        self.scale.add(bytes.len());
        self.dirty.mark(slot, session, lane);
    }
}
