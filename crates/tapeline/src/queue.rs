//! What waits for one subscriber: bounded in messages and bytes. `latest` messages replace older ones of their
//! channel while they wait; what finds no room is refused, and whoever pushes learns when there is room again.
//! It does not know where messages come from.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::sync::Notify;

use crate::event::Event;
use crate::message::PubSubMessage;

/// See the module.
pub(crate) struct Queue {
    state: Mutex<State>,
    /// Rung when a queue that had refused something has room.
    room: Arc<Notify>,
    most_messages: usize,
    most_bytes: usize,
}

#[derive(Default)]
struct State {
    events: VecDeque<Event>,
    /// Events taken out so far, so that places in `newest` stay true.
    taken: u64,
    /// Where the waiting `latest` message of a channel is, counted from the beginning.
    newest: HashMap<Arc<str>, u64>,
    bytes: usize,
    reader: Option<Waker>,
    wants_room: bool,
    ended: bool,
    conflated: u64,
}

/// Whether a newer message may take an older one's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keep {
    Newest,
    All,
}

impl Queue {
    pub(crate) fn new(room: Arc<Notify>, most_messages: usize, most_bytes: usize) -> Self {
        Queue { state: Mutex::default(), room, most_messages, most_bytes }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers whether there was room.
    pub(crate) fn push(&self, message: PubSubMessage, keep: Keep) -> bool {
        let mut state = self.lock();
        if state.ended {
            return true;
        }
        if keep == Keep::Newest && state.replace(&message) {
            return true;
        }
        if state.events.len() >= self.most_messages || state.bytes >= self.most_bytes {
            state.wants_room = true;
            return false;
        }
        if keep == Keep::Newest {
            let at = state.taken + state.events.len() as u64;
            state.newest.insert(message.shared_channel().clone(), at);
        }
        state.append(Event::Message(message));
        true
    }

    /// Puts in what is no message, or a page that was asked for because there was room.
    pub(crate) fn push_owed(&self, event: Event) {
        let mut state = self.lock();
        if !state.ended {
            state.append(event);
        }
    }

    /// Whether half of the queue is free, which is enough to go on reading; if not, rings when it is.
    pub(crate) fn has_room(&self) -> bool {
        let mut state = self.lock();
        let roomy = self.is_roomy(&state);
        state.wants_room = !roomy;
        roomy
    }

    fn is_roomy(&self, state: &State) -> bool {
        state.events.len() <= self.most_messages / 2 && state.bytes <= self.most_bytes / 2
    }

    /// Nothing more comes; what waits can still be taken.
    pub(crate) fn end(&self) {
        let mut state = self.lock();
        state.ended = true;
        state.wake();
    }

    /// Nothing more is wanted.
    pub(crate) fn end_and_forget(&self) {
        let mut state = self.lock();
        let conflated = state.conflated;
        *state = State { ended: true, conflated, reader: state.reader.take(), ..State::default() };
        state.wake();
    }

    /// Messages that were replaced by newer ones while they waited.
    pub(crate) fn conflated(&self) -> u64 {
        self.lock().conflated
    }

    /// The next event; `None` after the end.
    pub(crate) fn poll_next(&self, context: &mut Context<'_>) -> Poll<Option<Event>> {
        let mut state = self.lock();
        let Some(event) = state.events.pop_front() else {
            if state.ended {
                return Poll::Ready(None);
            }
            state.reader = Some(context.waker().clone());
            return Poll::Pending;
        };
        state.bytes -= event.weight();
        if let Event::Message(message) = &event
            && state.newest.get(message.channel()) == Some(&state.taken)
        {
            state.newest.remove(message.channel());
        }
        state.taken += 1;
        if state.wants_room && self.is_roomy(&state) {
            state.wants_room = false;
            self.room.notify_one();
        }
        Poll::Ready(Some(event))
    }
}

impl State {
    fn append(&mut self, event: Event) {
        self.bytes += event.weight();
        self.events.push_back(event);
        self.wake();
    }

    /// Puts the message in the place of the one of its channel that waits, if one does.
    fn replace(&mut self, message: &PubSubMessage) -> bool {
        let Some(at) = self.newest.get(message.channel()) else { return false };
        let index = usize::try_from(at - self.taken).unwrap_or(usize::MAX);
        let Some(waiting) = self.events.get_mut(index) else { return false };
        self.bytes = self.bytes - waiting.weight() + message.weight();
        *waiting = Event::Message(message.clone());
        self.conflated += 1;
        true
    }

    fn wake(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }
}

#[cfg(test)]
mod tests;
