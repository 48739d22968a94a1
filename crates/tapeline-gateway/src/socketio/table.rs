//! The sessions that began with polling, by their names: what a request must find. Bounded by a setting; a session leaves
//! it when it ends, whoever ends it. It knows no HTTP.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use tapeline_core::beats::Beat;
use tapeline_runtime::Far;
use tokio::sync::watch;

use super::transport::Shared;

/// How many closed sessions are remembered, and how long each.
const CLOSED: usize = 256;
const CROSSING: Duration = Duration::from_secs(1);

/// Where a session stands between its two transports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// It polls.
    Polling,
    /// A WebSocket is being tried.
    Trying,
    /// It works: polls are sent home.
    Probed,
    /// It is on the WebSocket.
    Upgraded,
    /// It has ended, and a poll that waits is told this.
    Ended(&'static str),
}

/// Makes sure that there is one at a time.
pub(super) struct Turn<'a>(&'a AtomicBool);

impl<'a> Turn<'a> {
    pub(super) fn take(flag: &'a AtomicBool) -> Option<Self> {
        (!flag.swap(true, Ordering::AcqRel)).then_some(Turn(flag))
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

/// One session.
pub(super) struct Session {
    pub sid: Box<str>,
    far: Mutex<Option<Arc<Far>>>,
    pub state: watch::Sender<State>,
    pub talk: Shared,
    /// Gone with the session.
    pub seat: Weak<Seat>,
    pub getting: AtomicBool,
    pub posting: AtomicBool,
    /// When it was last heard of, and how long it may be silent.
    heard: Mutex<Instant>,
    patience: Duration,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Session {
    pub(super) fn new(seat: &Arc<Seat>, far: Far, talk: Shared, beat: Beat) -> Self {
        Session {
            sid: seat.sid.clone(),
            far: Mutex::new(Some(Arc::new(far))),
            state: watch::Sender::new(State::Polling),
            talk,
            seat: Arc::downgrade(seat),
            getting: AtomicBool::new(false),
            posting: AtomicBool::new(false),
            heard: Mutex::new(Instant::now()),
            patience: beat.interval + beat.timeout,
        }
    }

    /// Its client has said something.
    pub(super) fn on_heard(&self) {
        *lock(&self.heard) = Instant::now();
    }

    /// Whether it has answered no ping in time, so that its shard ends it, or is about to.
    pub(super) fn is_overdue(&self) -> bool {
        lock(&self.heard).elapsed() >= self.patience
    }

    /// The far end of its line, while it polls.
    pub(super) fn far(&self) -> Option<Arc<Far>> {
        lock(&self.far).clone()
    }

    /// The same, for good.
    pub(super) fn take_far(&self) -> Option<Arc<Far>> {
        lock(&self.far).take()
    }

    /// Begins to try a WebSocket, if none is tried and it is on none.
    pub(super) fn begin_upgrade(&self) -> bool {
        self.state.send_if_modified(|state| {
            let polls = *state == State::Polling;
            if polls {
                *state = State::Trying;
            }
            polls
        })
    }
}

/// See the module.
#[derive(Default)]
pub(crate) struct Table {
    sessions: Mutex<HashMap<Box<str>, Arc<Session>>>,
    polling: AtomicUsize,
    /// Sessions that their clients have just closed while no poll waited: one may be on its way.
    closed: Mutex<VecDeque<(Box<str>, Instant)>>,
}

/// A session's place in the table.
pub(super) struct Seat {
    pub table: Arc<Table>,
    pub sid: Box<str>,
    polls: AtomicBool,
}

impl Seat {
    /// It no longer polls.
    pub(super) fn upgraded(&self) {
        if self.polls.swap(false, Ordering::AcqRel) {
            self.table.polling.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.upgraded();
        lock(&self.table.sessions).remove(&self.sid);
    }
}

impl Table {
    /// A place for one more that polls; nothing where there are so many.
    pub(super) fn seat(self: &Arc<Self>, sid: Box<str>, limit: usize) -> Option<Arc<Seat>> {
        let before = self.polling.fetch_add(1, Ordering::AcqRel);
        let seat = Arc::new(Seat { table: self.clone(), sid, polls: AtomicBool::new(true) });
        (before < limit).then_some(seat)
    }

    pub(super) fn insert(&self, session: Session) {
        lock(&self.sessions).insert(session.sid.clone(), Arc::new(session));
    }

    pub(super) fn get(&self, sid: &str) -> Option<Arc<Session>> {
        lock(&self.sessions).get(sid).cloned()
    }

    /// Ends a session whose client says so. A poll that crosses this on its way is answered as if it had waited.
    pub(super) fn end_by_client(&self, session: &Session, last: &'static str) {
        if !session.getting.load(Ordering::Acquire) {
            let mut closed = lock(&self.closed);
            if closed.len() == CLOSED {
                closed.pop_front();
            }
            closed.push_back((session.sid.clone(), Instant::now()));
        }
        self.end(session, last);
    }

    /// Whether a poll of this session has crossed its end. One can.
    pub(super) fn is_crossing(&self, sid: &str) -> bool {
        let mut closed = lock(&self.closed);
        let found = closed.iter().position(|(known, at)| **known == *sid && at.elapsed() < CROSSING);
        found.and_then(|at| closed.remove(at)).is_some()
    }

    /// Ends a session that polls. A poll that waits is told `last`.
    pub(super) fn end(&self, session: &Session, last: &'static str) {
        lock(&self.sessions).remove(&session.sid);
        session.state.send_replace(State::Ended(last));
        // With the last hold on its line the session ends.
        drop(session.take_far());
    }
}
