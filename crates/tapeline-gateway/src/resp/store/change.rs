//! Changes that depend on what is there: read, decide, and write if nobody was faster; else again. Of one key, this door makes
//! one after the other; only others can be faster.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tapeline_core::store::{Entry, Expect, Key, Write};
use tapeline_core::{Hub, Refusal};
use tapeline_schema::ErrorCode;

use super::{Answer, Common, Said};

/// So often others may be faster.
const TRIES: u32 = 64;
/// The longest pause before the next try; the first are shorter.
const LONGEST_WAIT_MS: u64 = 16;

/// How long a value lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    /// As long as the one before.
    Same,
    Forever,
    For(Duration),
}

/// What is to be done, and what is said when it is.
pub(super) enum Next {
    Nothing(Said),
    Write(Bytes, Life, Said),
    Delete(Said),
}

/// What follows from what is there and the time, microseconds since 1970; or Redis' text for what cannot be. Asked again
/// where somebody was faster.
pub(super) type Decide = Box<dyn FnMut(Option<&Entry>, u64) -> Result<Next, String> + Send>;

/// Changes that wait for the one of their key that is under way: at most one of each connection.
#[derive(Default)]
pub(super) struct Queues(Mutex<HashMap<Key, VecDeque<Waiting>>>);

struct Waiting {
    hub: Arc<Hub>,
    decide: Decide,
    answer: Answer,
}

impl fmt::Debug for Queues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queues").finish_non_exhaustive()
    }
}

impl Queues {
    fn lock(&self) -> MutexGuard<'_, HashMap<Key, VecDeque<Waiting>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// That a key is being changed. When it ends, the next in line has its turn.
struct Turn {
    common: Arc<Common>,
    key: Key,
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut queues = self.common.queues.lock();
        let next = queues.get_mut(&self.key).and_then(VecDeque::pop_front);
        if next.is_none() {
            queues.remove(&self.key);
        }
        drop(queues);
        if let Some(next) = next {
            let turn = Turn { common: self.common.clone(), key: self.key.clone() };
            // The thread that tells of an end may be one that must not begin something.
            self.common.runtime.spawn(async move { next.begin(turn) });
        }
    }
}

impl Waiting {
    fn begin(self, turn: Turn) {
        let Waiting { hub, decide, answer } = self;
        Change { hub, key: turn.key.clone(), decide, answer, tries: TRIES, _turn: turn }.begin();
    }
}

/// See the module.
pub(super) fn change(hub: &Arc<Hub>, key: Key, decide: Decide, answer: Answer) {
    let common = answer.common.clone();
    let waiting = Waiting { hub: hub.clone(), decide, answer };
    let mut queues = common.queues.lock();
    if let Some(queue) = queues.get_mut(&key) {
        queue.push_back(waiting);
        return;
    }
    queues.insert(key.clone(), VecDeque::new());
    drop(queues);
    waiting.begin(Turn { common, key });
}

struct Change {
    hub: Arc<Hub>,
    key: Key,
    decide: Decide,
    answer: Answer,
    tries: u32,
    _turn: Turn,
}

impl Change {
    fn begin(self) {
        let (store, key) = (self.hub.store().clone(), self.key.clone());
        store.get(
            &key,
            Box::new(move |found| match found {
                Ok(entry) => self.go_on(entry.as_ref()),
                Err(refusal) => self.answer.fail(&refusal),
            }),
        );
    }

    /// What was faster may be decided and not yet be to be read: a durable store takes a moment.
    fn begin_again(self) {
        let wait = Duration::from_millis(u64::from(TRIES - self.tries).min(LONGEST_WAIT_MS));
        self.answer.common.runtime.clone().spawn(async move {
            tokio::time::sleep(wait).await;
            self.begin();
        });
    }

    fn go_on(mut self, entry: Option<&Entry>) {
        self.answer.look(entry.map_or(0, |entry| entry.value.len()));
        let now_us = self.hub.now().wall_us;
        let expect = entry.map_or(Expect::Absent, |entry| Expect::Version(entry.version));
        match (self.decide)(entry, now_us) {
            Err(text) => self.answer.give(&Said::Error(text)),
            Ok(Next::Nothing(said)) => self.answer.give(&said),
            Ok(Next::Write(value, life, said)) => {
                let ends = entry.and_then(|entry| entry.expires_us);
                let ttl = match life {
                    Life::Same => ends.map(|at| Duration::from_micros(at.saturating_sub(now_us).max(1))),
                    Life::Forever => None,
                    Life::For(time) => Some(time),
                };
                if let Err(refusal) = fits(&self.hub, &self.key, &value) {
                    return self.answer.fail(&refusal);
                }
                self.answer.look(value.len());
                let (store, key) = (self.hub.store().clone(), self.key.clone());
                let write = Write { value, ttl, expect };
                store.set(&key, write, Box::new(move |made| self.end(made.map(|_| said))));
            }
            Ok(Next::Delete(said)) => {
                let (store, key) = (self.hub.store().clone(), self.key.clone());
                store.delete(&key, expect, Box::new(move |made| self.end(made.map(|_| said))));
            }
        }
    }

    fn end(mut self, made: Result<Said, Refusal>) {
        match made {
            Ok(said) => self.answer.give(&said),
            Err(refusal) if refusal.code == ErrorCode::VersionConflict && self.tries > 0 => {
                self.tries -= 1;
                self.begin_again();
            }
            Err(refusal) if refusal.code == ErrorCode::VersionConflict => {
                let tries = TRIES + 1;
                let text =
                    format!("ERR version_conflict: others changed {} in each of {tries} tries", self.key);
                self.answer.give(&Said::Error(text));
            }
            Err(refusal) => self.answer.fail(&refusal),
        }
    }
}

/// Whether a value may be so large.
pub(super) fn fits(hub: &Hub, key: &Key, value: &[u8]) -> Result<(), Refusal> {
    let limit = hub.settings().publish_bytes;
    if value.len() <= limit {
        return Ok(());
    }
    let message = format!(
        "the value of {key} would be {} bytes as JSON, the limit is {limit} (limits.publish_bytes)",
        value.len()
    );
    Err(Refusal::new(ErrorCode::TooLarge, message))
}
