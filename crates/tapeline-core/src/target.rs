//! Where one session stands in one source channel: the state machine behind subscribe, resume and slow clients.
//! Transitions happen only in the shard; nothing else may push a message for a target.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::outbox::NOT_WAITING;
use crate::session::Session;
use crate::ways::Ways;

/// How a target is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// The newest is enough; of a table the whole of it.
    Latest,
    /// What changed in a table, merged where more changes than the session takes.
    Table,
    /// Each in order.
    Every,
}

/// Where a target stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cursor {
    /// The broker has not yet said where the channel stands; messages are passed over, to be read later.
    Joining,
    /// Goes live with whatever message comes next.
    Fresh,
    /// Messages are pushed as they come.
    Live,
    /// Messages are passed over; what is kept after `sent` is to be read.
    Behind,
    /// A page has been asked for.
    Reading,
}

/// Stretches of offsets that a target remembers to have queued; what falls out of memory may come twice.
const DONE_LIMIT: usize = 16;

/// See the module.
#[derive(Debug)]
pub(crate) struct Target {
    pub session: u32,
    pub mode: Mode,
    pub cursor: Cursor,
    /// Messages a second, 0 for all; a rate group of the entry serves the others.
    pub rate: u8,
    /// The session also hears this channel's messages through a roll-up, or the roll-up's through this channel.
    pub overlap: bool,
    /// Where its newest message waits in the outbox.
    pub waiting: u32,
    /// Conflated under pressure since the session was told.
    pub conflated: u32,
    /// The newest offset queued or passed by.
    pub sent: u64,
    /// `(start, sent]` has been queued in full (mode Every).
    pub start: u64,
    /// Where it began, or went back to: what is queued after it is its own.
    pub base: u64,
    /// Offsets queued before a gap, or before the client asked for older ones again: `(.0, .1]`, the last few.
    pub done: Vec<(u64, u64)>,
    /// Its newest was left to another target of the session that has still to queue it (mode Latest): that one's entry
    /// and offset.
    pub owed: Option<(u32, u64)>,
    /// It is to be sent the whole table next, whatever it has had.
    pub whole: bool,
    /// Older messages are not wanted, microseconds since 1970.
    pub not_before_us: u64,
    /// The subscriptions that ask for it.
    pub covers: SmallVec<[u32; 2]>,
    /// How the session hears it, where its messages' bytes have to say so.
    pub ways: Option<Arc<Ways>>,
}

impl Target {
    pub(crate) fn new(session: u32, subscription: u32, mode: Mode, rate: u8, cursor: Cursor) -> Self {
        Target {
            session,
            mode,
            cursor,
            rate,
            overlap: false,
            waiting: NOT_WAITING,
            conflated: 0,
            sent: 0,
            start: 0,
            base: 0,
            done: Vec::new(),
            owed: None,
            whole: false,
            not_before_us: 0,
            covers: SmallVec::from_slice(&[subscription]),
            ways: None,
        }
    }

    /// Newer messages have taken the place of so many.
    #[inline]
    pub(crate) fn count_conflated(&mut self, session: &mut Session, count: u64) {
        self.conflated = self.conflated.saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
        session.conflated += count;
        session.untold = true;
    }

    /// Whether it queued this offset of its channel, in mode Every.
    pub(crate) fn has_queued(&self, offset: u64) -> bool {
        self.mode == Mode::Every
            && self.cursor != Cursor::Joining
            && ((self.start < offset && offset <= self.sent) || self.had(offset))
    }

    /// Whether it queued this offset before it stepped over a gap or went back.
    pub(crate) fn had(&self, offset: u64) -> bool {
        self.done.iter().any(|(from, to)| *from < offset && offset <= *to)
    }

    /// The parts of `from..=to` that it did not queue before.
    pub(crate) fn missing(&self, from: u64, to: u64) -> SmallVec<[(u64, u64); 2]> {
        let mut missing = SmallVec::from_slice(&[(from, to)]);
        for done in &self.done {
            missing = missing
                .iter()
                .flat_map(|(from, to): &(u64, u64)| {
                    [(*from, *to.min(&done.0)), (*from.max(&(done.1 + 1)), *to)]
                })
                .filter(|(from, to)| from <= to)
                .collect();
        }
        missing
    }

    fn remember(&mut self) {
        let is_known = |done: &(u64, u64)| done.0 <= self.start && self.sent <= done.1;
        // In another mode not all up to `sent` has been queued.
        if self.mode != Mode::Every || self.sent <= self.start || self.done.iter().any(is_known) {
            return;
        }
        // What it had from there on before was passed over on the way, so the longer one says it all.
        self.done.retain(|done| done.0 != self.start);
        if self.done.len() >= DONE_LIMIT {
            self.done.remove(0);
        }
        self.done.push((self.start, self.sent));
    }

    /// Whether it will queue this offset, which it has not come to yet (mode Every).
    pub(crate) fn awaits(&self, offset: u64) -> bool {
        self.hears_each() && offset > self.sent
    }

    /// Whether each message is for it, from a place on that is known (mode Every).
    pub(crate) fn hears_each(&self) -> bool {
        self.mode == Mode::Every && !matches!(self.cursor, Cursor::Joining | Cursor::Fresh)
    }

    /// Starts after `after`: what the broker keeps from there on is read first.
    pub(crate) fn start_after(&mut self, after: u64) {
        self.sent = after;
        self.start = after;
        self.base = after;
        self.cursor = Cursor::Behind;
    }

    /// Its channel counts anew.
    pub(crate) fn restart(&mut self) {
        self.done.clear();
        self.sent = 0;
        self.start = 0;
        self.base = 0;
    }

    /// Steps over what is missing up to `offset`. What it queued before is remembered.
    pub(crate) fn pass(&mut self, offset: u64) {
        self.remember();
        self.sent = offset;
        self.start = offset;
    }

    /// This offset has been queued out of a page. Of a table it may be the one that the target begins after, because it
    /// begins with the whole of it: what that says has come, and is never missing.
    pub(crate) fn hold(&mut self, offset: u64) {
        if offset == self.start {
            self.start = offset.saturating_sub(1);
        }
    }

    /// Whether it has to queue this offset again when that is taken back. Also while it joins anew it must not remember
    /// as queued what has left the queue unsent.
    pub(crate) fn owns(&self, offset: u64) -> bool {
        let since_it_began = self.base.min(self.start) < offset && offset <= self.sent;
        self.mode != Mode::Every || since_it_began || self.had(offset)
    }

    /// What it queued from `offset` on has been taken back.
    pub(crate) fn take_back(&mut self, offset: u64) {
        if offset <= self.start {
            // It was queued before a gap, or by another target: the stretch since stays queued.
            self.remember();
        }
        self.sent = self.sent.min(offset - 1);
        self.start = self.start.min(self.sent);
        // What it queued before it went back may have left long ago, so only the stretch it was in is shortened.
        for done in self.done.iter_mut().filter(|done| done.0 < offset && offset <= done.1) {
            done.1 = offset - 1;
        }
        self.done.retain(|done| done.0 < done.1);
    }

    /// Goes back to `after` for messages it has not had; those it had are remembered and not queued again.
    pub(crate) fn rewind(&mut self, after: u64) {
        self.remember();
        self.start_after(after);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_back_while_a_target_joins_anew_is_not_remembered_as_queued() {
        let mut target = Target::new(0, 0, Mode::Every, 0, Cursor::Live);
        target.start_after(30);
        target.sent = 32;
        target.rewind(5);
        target.cursor = Cursor::Joining;
        assert!(target.owns(31), "it would be passed over when it is read");
        target.take_back(31);
        assert_eq!(target.missing(6, 40).as_slice(), [(6, 40)]);
    }

    #[test]
    fn the_message_that_a_target_begins_with_is_not_missing_when_it_goes_back() {
        let mut target = Target::new(0, 0, Mode::Every, 0, Cursor::Live);
        target.start_after(24);
        target.hold(24);
        target.sent = 26;
        target.rewind(22);
        assert_eq!(target.missing(23, 31).as_slice(), [(23, 23), (27, 31)]);
    }

    #[test]
    fn the_message_that_a_target_begins_with_is_taken_back_as_those_after_it_are() {
        let mut target = Target::new(0, 0, Mode::Every, 0, Cursor::Live);
        target.start_after(24);
        target.hold(24);
        target.sent = 26;
        for offset in 24..=26 {
            if target.owns(offset) {
                target.take_back(offset);
            }
        }
        assert_eq!(target.sent, 23);
        assert_eq!(target.missing(24, 31).as_slice(), [(24, 31)], "none of them has left");
    }

    #[test]
    fn what_is_taken_back_in_one_mode_is_missing_in_another() {
        let mut target = Target::new(0, 0, Mode::Every, 0, Cursor::Live);
        target.start_after(8);
        target.sent = 9;
        target.pass(19);
        target.mode = Mode::Table;
        target.sent = 24;
        target.take_back(12);
        assert!(!target.had(22), "what was merged was not queued one by one");
        target.take_back(9);
        assert_eq!(target.missing(1, 30).as_slice(), [(1, 30)]);
    }

    #[test]
    fn going_back_over_the_same_messages_many_times_makes_nothing_forgotten() {
        let mut target = Target::new(0, 0, Mode::Every, 0, Cursor::Live);
        target.start_after(67);
        target.sent = 72;
        for _ in 0..=DONE_LIMIT {
            target.rewind(27);
            target.pass(67);
            target.sent = 71;
        }
        target.rewind(27);
        assert!(target.had(72), "it would be queued twice");
        assert_eq!(target.done, [(67, 72)]);
    }

    #[test]
    fn a_stretch_that_has_grown_since_takes_its_own_place() {
        let mut target = Target::new(0, 0, Mode::Every, 0, Cursor::Live);
        target.start_after(67);
        for sent in 68..=90 {
            target.sent = sent;
            target.rewind(67);
        }
        assert_eq!(target.done, [(67, 90)]);
        target.take_back(80);
        assert_eq!(target.missing(68, 90).as_slice(), [(80, 90)]);
    }
}
