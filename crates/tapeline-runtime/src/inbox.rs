//! The queues in front of the shards: messages in four lanes, bounded for all shards together by permits; answers
//! and new connections beside them. Pushing never waits and wakes a shard at most once until it sleeps again.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mio::Waker;
use tapeline_core::broker::{Head, Messages, SLICE};
use tapeline_core::lanes::Lanes;
use tapeline_core::message::Message;
use tapeline_core::session::Arrival;
use tapeline_core::shard::{Mailbox, Note};
use tapeline_core::stats::HubStats;
use tapeline_core::{Channel, Deliver, Permits, Refusal};
use tapeline_schema::CloseCode;

use crate::ahead::Ahead;
use crate::conduit::{Far, Near};
use crate::connection::{Handover, Protocol, Upgrade};

/// What is asked of a shard's thread.
pub(crate) enum Control {
    /// A connection to serve.
    Open(Box<Handover>),
    /// A session whose bytes travel through memory.
    OpenConduit(Box<(Near, Arrival, Box<dyn Protocol>)>),
    /// Something has happened at the far end of the conduit of this token, or of one that had it before.
    Stirred(usize),
    /// A session moves from its conduit to a socket.
    Upgrade(Box<(Arc<Far>, Upgrade)>),
    /// Let every session leave within the time; what is held is dropped when the last one has gone.
    Drain(Duration, Box<dyn Send>),
    /// Close every session; the thread ends when they are gone.
    Stop(CloseCode, &'static str),
}

/// One shard's inbox.
pub(crate) struct Inbox {
    messages: Mutex<Lanes<Arc<Message>>>,
    notes: Mutex<Vec<Note>>,
    controls: Mutex<Vec<Control>>,
    /// Messages that hold a permit: queued here, or about to be.
    permitted: AtomicUsize,
    sleeping: AtomicBool,
    waker: Waker,
    /// Sessions the shard has, or is about to have.
    pub(crate) load: AtomicUsize,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Inbox {
    pub(crate) fn new(waker: Waker) -> Self {
        Inbox {
            messages: Mutex::default(),
            notes: Mutex::default(),
            controls: Mutex::default(),
            permitted: AtomicUsize::new(0),
            sleeping: AtomicBool::new(false),
            waker,
            load: AtomicUsize::new(0),
        }
    }

    pub(crate) fn wake(&self) {
        if self.sleeping.load(Ordering::SeqCst)
            && self.sleeping.swap(false, Ordering::SeqCst)
            && let Err(error) = self.waker.wake()
        {
            tracing::error!(%error, "a shard could not be woken");
        }
    }

    pub(crate) fn control(&self, control: Control) {
        lock(&self.controls).push(control);
        self.wake();
    }

    pub(crate) fn take_controls(&self) -> Vec<Control> {
        std::mem::take(&mut *lock(&self.controls))
    }

    pub(crate) fn take_notes(&self, into: &mut Vec<Note>) {
        std::mem::swap(&mut *lock(&self.notes), into);
    }

    /// Moves all queued messages into `into`, behind what is there.
    pub(crate) fn take_messages(&self, into: &mut Lanes<Arc<Message>>) {
        into.append(&mut lock(&self.messages));
    }

    /// How full the inbox is, in messages.
    pub(crate) fn permitted(&self) -> usize {
        self.permitted.load(Ordering::Relaxed)
    }

    /// Says that the thread is about to sleep; `false` if something has come.
    pub(crate) fn may_sleep(&self) -> bool {
        self.sleeping.store(true, Ordering::SeqCst);
        let idle = lock(&self.messages).is_empty()
            && lock(&self.notes).is_empty()
            && lock(&self.controls).is_empty();
        if !idle {
            self.sleeping.store(false, Ordering::SeqCst);
        }
        idle
    }

    pub(crate) fn awake(&self) {
        self.sleeping.store(false, Ordering::SeqCst);
    }
}

impl Mailbox for Inbox {
    fn post(&self, note: Note) {
        lock(&self.notes).push(note);
        self.wake();
    }
}

/// All shards' inboxes, as a broker sees them.
pub struct Inboxes {
    inboxes: Vec<Arc<Inbox>>,
    bound: usize,
    stats: Arc<HubStats>,
    waiting: Mutex<Vec<Box<dyn FnOnce() + Send>>>,
    has_waiting: AtomicBool,
    pub(crate) ahead: Ahead,
}

impl Inboxes {
    pub(crate) fn new(inboxes: Vec<Arc<Inbox>>, bound: usize, stats: Arc<HubStats>) -> Self {
        Inboxes {
            inboxes,
            bound,
            stats,
            waiting: Mutex::default(),
            has_waiting: AtomicBool::new(false),
            ahead: Ahead::default(),
        }
    }

    /// The shard has routed so many messages.
    pub(crate) fn routed(&self, inbox: &Inbox, count: usize) {
        inbox.permitted.fetch_sub(count, Ordering::AcqRel);
        self.call_waiting();
    }

    fn call_waiting(&self) {
        if self.has_waiting.load(Ordering::Acquire) && self.is_roomy() {
            let waiting = {
                let mut waiting = lock(&self.waiting);
                self.has_waiting.store(false, Ordering::Release);
                std::mem::take(&mut *waiting)
            };
            for wake in waiting {
                wake();
            }
        }
    }

    /// Whether a whole slice would be taken: waking publishers for less would have them ask in vain.
    fn is_roomy(&self) -> bool {
        self.inboxes.iter().all(|inbox| inbox.permitted() == 0 || inbox.permitted() + SLICE <= self.bound)
    }
}

impl Deliver for Inboxes {
    fn permits(self: Arc<Self>, count: usize) -> Option<Permits> {
        for (n, inbox) in self.inboxes.iter().enumerate() {
            let before = inbox.permitted.fetch_add(count, Ordering::AcqRel);
            // An empty inbox takes any slice, so that a bound below the slice cannot block for ever.
            if before > 0 && before + count > self.bound {
                for undo in self.inboxes.iter().take(n + 1) {
                    undo.permitted.fetch_sub(count, Ordering::AcqRel);
                }
                return None;
            }
        }
        Some(Permits::counted(count, self))
    }

    fn deliver(&self, permits: &mut Permits, messages: Messages) {
        // A broker that delivers more than it asked room for is wrong, and loses it here rather than the bound.
        if !permits.take(messages.len()) {
            tracing::error!("{} messages without permits for them", messages.len());
            return;
        }
        let Some(lane) = messages.first().map(|message| message.channel.lane()) else { return };
        self.ahead.encode(messages.iter().map(|message| &**message));
        let Some((last, others)) = self.inboxes.split_last() else { return };
        for inbox in others {
            lock(&inbox.messages).extend(lane, messages.iter().cloned());
            inbox.wake();
        }
        lock(&last.messages).extend(lane, messages);
        last.wake();
    }

    fn on_repeat(&self, channel: &Channel) {
        self.stats.families.of(channel.family()).duplicates.add(1);
    }

    fn on_refusal(&self, channel: &Channel, refusal: &Refusal) {
        self.stats.refuse(refusal.code, 1);
        self.stats.families.of(channel.family()).refused_late.add(1);
    }

    fn on_head(&self, channel: &Channel, head: &Head) {
        for inbox in &self.inboxes {
            inbox.post(Note::Head(Box::new((channel.clone(), head.clone()))));
        }
    }

    fn on_lost(&self, channel: &Channel) {
        for inbox in &self.inboxes {
            inbox.post(Note::Lost(channel.clone()));
        }
    }

    fn on_degraded(&self, degraded: bool) {
        for inbox in &self.inboxes {
            inbox.post(Note::Degraded(degraded));
        }
    }

    fn give_back(&self, count: usize) {
        for inbox in &self.inboxes {
            inbox.permitted.fetch_sub(count, Ordering::AcqRel);
        }
        self.call_waiting();
    }

    fn when_room(&self, wake: Box<dyn FnOnce() + Send>) {
        lock(&self.waiting).push(wake);
        self.has_waiting.store(true, Ordering::Release);
        self.call_waiting();
    }
}
