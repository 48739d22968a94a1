//! The order of answers, for protocols whose answers carry no mark of their request: each request takes a place, and
//! places leave one after another, whoever fills them and when. A subscription begins when its place is next, so that none
//! of its messages overtakes its confirmation.

use std::collections::VecDeque;

use crate::broker::{Head, Sources};
use crate::subscribing::JoinRequest;

/// Places that one session may have taken and not filled, or filled and not sent.
pub(crate) const TURNS: usize = 1_024;

/// What begins a subscription.
pub(crate) enum Start {
    /// Where its channel stands.
    Joined(Box<(JoinRequest, Head)>),
    /// The sources of its roll-up or pattern.
    Sources(Box<(JoinRequest, Sources)>),
    /// The broker is asked once more.
    Ask(Box<JoinRequest>),
}

impl Start {
    pub(crate) fn request(&self) -> &JoinRequest {
        match self {
            Start::Joined(joined) => &joined.0,
            Start::Sources(sources) => &sources.0,
            Start::Ask(request) => request,
        }
    }

    /// As it can wait: a long list of sources would take much room, and be old by then.
    fn kept(self) -> Self {
        match self {
            Start::Sources(sources) => Start::Ask(Box::new(sources.0)),
            other => other,
        }
    }
}

/// What may happen next.
pub(crate) enum Next {
    /// This answer leaves.
    Send(Box<[u8]>),
    /// A subscription begins, and fills its place.
    Start(Start),
}

#[derive(Default)]
enum Place {
    #[default]
    Empty,
    Answer(Box<[u8]>),
    Start(Start),
}

/// See the module.
#[derive(Default)]
pub(crate) struct Turns {
    /// The number of the first place in `waiting`.
    first: u64,
    waiting: VecDeque<Place>,
    /// Of what is filled and not sent.
    bytes: usize,
    /// A subscription is beginning: the next one does when that is done.
    starting: bool,
}

impl Turns {
    /// The next place.
    pub(crate) fn take(&mut self) -> u64 {
        self.waiting.push_back(Place::Empty);
        self.first + self.waiting.len() as u64 - 1
    }

    /// How many places wait.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Bytes of the answers that wait for others.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    fn empty(&mut self, turn: u64) -> Option<&mut Place> {
        let at = turn.checked_sub(self.first).and_then(|at| usize::try_from(at).ok())?;
        self.waiting.get_mut(at).filter(|place| matches!(place, Place::Empty))
    }

    /// Fills a place; what is filled twice, or was never taken, is dropped.
    pub(crate) fn fill(&mut self, turn: u64, bytes: Box<[u8]>) {
        let length = bytes.len();
        if let Some(place) = self.empty(turn) {
            *place = Place::Answer(bytes);
            self.bytes += length;
        }
    }

    /// Keeps what begins a subscription until its place is next.
    pub(crate) fn hold(&mut self, turn: u64, start: Start) {
        let is_next = turn == self.first;
        if let Some(place) = self.empty(turn) {
            *place = Place::Start(if is_next { start } else { start.kept() });
        }
    }

    /// The next answer that may leave, or subscription that may begin.
    pub(crate) fn next(&mut self) -> Option<Next> {
        let first = self.waiting.front_mut()?;
        if matches!(first, Place::Empty) || (self.starting && matches!(first, Place::Start(_))) {
            return None;
        }
        match std::mem::take(first) {
            Place::Empty => None,
            Place::Answer(bytes) => {
                self.waiting.pop_front();
                self.first += 1;
                self.bytes -= bytes.len();
                Some(Next::Send(bytes))
            }
            Place::Start(start) => {
                self.starting = true;
                Some(Next::Start(start))
            }
        }
    }

    /// What was to begin has begun, or been asked for again.
    pub(crate) fn on_started(&mut self) {
        self.starting = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(turns: &mut Turns) -> Vec<Vec<u8>> {
        let answer = || match turns.next()? {
            Next::Send(bytes) => Some(bytes.to_vec()),
            Next::Start(_) => None,
        };
        std::iter::from_fn(answer).collect()
    }

    #[test]
    fn answers_leave_in_the_order_in_which_their_places_were_taken() {
        let mut turns = Turns::default();
        let [a, b, c] = [turns.take(), turns.take(), turns.take()];
        turns.fill(b, (*b"b").into());
        assert_eq!((sent(&mut turns).len(), turns.bytes()), (0, 1));
        turns.fill(a, (*b"a").into());
        assert_eq!(sent(&mut turns), [b"a", b"b"]);
        turns.fill(a, (*b"again").into());
        turns.fill(c + 1, (*b"never taken").into());
        assert_eq!((sent(&mut turns).len(), turns.len()), (0, 1));
        turns.fill(c, (*b"c").into());
        assert_eq!(sent(&mut turns), [b"c"]);
        assert_eq!((turns.len(), turns.bytes()), (0, 0));
    }
}
