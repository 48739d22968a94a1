//! Redis' strings, hashes and keys on the hub's store, with the rights that it has over HTTP. The store answers when it
//! likes; this file sees to it that a connection's commands see one another, and that each is answered in its turn.

mod change;
mod gather;
mod gauge;
mod glob;
mod hashes;
mod key;
mod keys;
mod options;
mod reading;
mod scan;
mod steps;
mod strings;
mod value;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tapeline_codec::resp::{Version, Writer};
use tapeline_core::store::Key;
use tapeline_core::{Hub, Refusal};
use tapeline_runtime::Later;
use tapeline_schema::ErrorCode;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::Outcome;
use super::mark::{Mark, Shape};
use super::talk::Call;
use super::wire::refused;
use crate::store::of_others;

pub(super) use gauge::Gauge;
pub(super) use hashes::*;
pub(super) use keys::*;
pub(super) use scan::{dbsize, flush, keys, scan};
pub(super) use steps::{Steps, follow};
pub(super) use strings::*;

use change::Queues;
use gauge::{READS_AT_ONCE, Work};
use scan::Cursors;

/// What all connections of the door share.
#[derive(Debug)]
pub(crate) struct Common {
    cursors: Cursors,
    queues: Queues,
    /// For what has to wait.
    runtime: Handle,
}

impl Common {
    pub(crate) fn new(runtime: Handle) -> Self {
        Common { cursors: Cursors::default(), queues: Queues::default(), runtime }
    }
}

/// Bytes of one answer: what a connection may make the hub hold at once.
const ANSWER_BYTES: usize = 8 << 20;

/// Where an answer goes.
enum Place {
    /// Nobody waits for it yet.
    Open,
    /// It was there before anybody waited.
    Found(Vec<u8>),
    Later(Later),
    /// A transaction goes on with it.
    Step(oneshot::Sender<Vec<u8>>),
    Given,
}

/// The answer that a command owes. One that is dropped says that there is none.
struct Answer {
    place: Arc<Mutex<Place>>,
    gauge: Arc<Gauge>,
    work: Work,
    /// Keys that it reads at once.
    keys: usize,
    version: Version,
    common: Arc<Common>,
    given: bool,
}

impl Answer {
    /// So many bytes were looked at for it.
    fn look(&self, bytes: usize) {
        self.gauge.look(bytes);
    }

    fn give(mut self, said: &Said) {
        self.put(said);
    }

    fn fail(self, refusal: &Refusal) {
        self.give(&Said::Error(refused(refusal)));
    }

    fn put(&mut self, said: &Said) {
        if std::mem::replace(&mut self.given, true) {
            return;
        }
        let mut bytes = Vec::new();
        said.write(&mut Writer::new(&mut bytes, self.version));
        if bytes.len() > ANSWER_BYTES {
            bytes.clear();
            Said::too_large().write(&mut Writer::new(&mut bytes, self.version));
        }
        // Before the answer can be seen: the next command must find the store free.
        self.gauge.look(bytes.len());
        self.gauge.end(self.work, self.keys);
        let mut place = lock(&self.place);
        match std::mem::replace(&mut *place, Place::Given) {
            Place::Later(later) => later.answer(bytes),
            // Its transaction may have gone with the hub.
            Place::Step(step) => _ = step.send(bytes),
            _ => *place = Place::Found(bytes),
        }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        let refusal = Refusal::new(ErrorCode::Degraded, "the store gave no answer");
        self.put(&Said::Error(refused(&refusal)));
    }
}

fn lock(place: &Mutex<Place>) -> MutexGuard<'_, Place> {
    place.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a command is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Said {
    Ok,
    Null,
    Simple(&'static str),
    Integer(i64),
    Bulk(Bytes),
    Error(String),
    List(Vec<Said>),
    /// Keys and values, each a string.
    Pairs(Vec<(Bytes, Bytes)>),
}

impl Said {
    fn count(count: usize) -> Said {
        Said::Integer(i64::try_from(count).unwrap_or(i64::MAX))
    }

    fn flag(flag: bool) -> Said {
        Said::Integer(i64::from(flag))
    }

    /// A string, or that there is none.
    fn maybe(bytes: Option<Bytes>) -> Said {
        bytes.map_or(Said::Null, Said::Bulk)
    }

    /// Strings, or that there are none. No more of them are made than one answer has room for.
    fn strings(all: impl Iterator<Item = Option<Bytes>>) -> Said {
        let (mut parts, mut held) = (Vec::new(), 0_usize);
        for bytes in all {
            held = held.saturating_add(bytes.as_ref().map_or(0, Bytes::len));
            if held > ANSWER_BYTES {
                return Said::too_large();
            }
            parts.push(Said::maybe(bytes));
        }
        Said::List(parts)
    }

    /// Bytes of what is said, if it is a string.
    fn held(&self) -> usize {
        if let Said::Bulk(bytes) = self { bytes.len() } else { 0 }
    }

    fn too_large() -> Said {
        Said::Error(format!("ERR too_large: the answer is larger than {} MiB", ANSWER_BYTES >> 20))
    }

    fn write(&self, writer: &mut Writer<'_>) {
        match self {
            Said::Ok => _ = writer.simple("OK"),
            Said::Null => _ = writer.null(),
            Said::Simple(text) => _ = writer.simple(text),
            Said::Integer(number) => _ = writer.integer(*number),
            Said::Bulk(bytes) => _ = writer.bulk(bytes),
            Said::Error(text) => _ = writer.error(text),
            Said::List(parts) => {
                writer.array(parts.len());
                parts.iter().for_each(|part| part.write(writer));
            }
            Said::Pairs(pairs) => {
                writer.map(pairs.len());
                for (key, value) in pairs {
                    writer.bulk(key).bulk(value);
                }
            }
        }
    }
}

/// Why a command is not followed, and about what.
struct Denied {
    refusal: Refusal,
    about: Box<str>,
}

impl Call<'_, '_> {
    /// The key that the word at this place names, if it may be read.
    fn readable(&self, place: usize) -> Result<Key, Denied> {
        self.key(place, |key| self.port.grant().may_read_store(key.as_str()))
    }

    /// The same, if it may be written.
    fn writable(&self, place: usize) -> Result<Key, Denied> {
        self.key(place, |key| self.port.grant().may_write_store(key.as_str()))
    }

    /// The same, if both.
    fn changeable(&self, place: usize) -> Result<Key, Denied> {
        self.readable(place).and_then(|_| self.writable(place))
    }

    fn key(&self, place: usize, may: impl Fn(&Key) -> Result<(), Refusal>) -> Result<Key, Denied> {
        let denied = |refusal| Denied { refusal, about: self.words.shown(place).into() };
        let key = key::key(self.words.at(place)).map_err(denied)?;
        of_others(&key).and_then(|()| may(&key)).map_err(denied)?;
        Ok(key)
    }

    /// Says that something is refused, and remembers it.
    fn deny(&mut self, denied: Denied) -> Outcome {
        if self.talk.steps.is_some() {
            let text = refused(&denied.refusal);
            self.port.refuse(denied.refusal, Some(denied.about), &None);
            return self.fail(&text);
        }
        let mark = Mark { turn: self.port.turn(), shape: Shape::Published };
        self.port.refuse(denied.refusal, Some(denied.about), &Some(mark.text()));
        Outcome::Done
    }

    /// Asks the store, and answers when it does.
    fn ask(&mut self, work: Work, start: impl FnOnce(&Arc<Hub>, Answer) + Send + 'static) -> Outcome {
        self.ask_of(1, work, start)
    }

    /// The same of so many keys: each counts as a message.
    fn ask_of(
        &mut self,
        keys: usize,
        work: Work,
        start: impl FnOnce(&Arc<Hub>, Answer) + Send + 'static,
    ) -> Outcome {
        let read = if work == Work::Read { keys.min(READS_AT_ONCE) } else { 0 };
        self.ask_weighing((keys, read), work, start)
    }

    /// The same of something that counts as so many messages and reads so many keys at once.
    fn ask_weighing(
        &mut self,
        (messages, keys): (usize, usize),
        work: Work,
        start: impl FnOnce(&Arc<Hub>, Answer) + Send + 'static,
    ) -> Outcome {
        if self.talk.steps.is_none() && !self.talk.gauge.is_free_for(work, keys) {
            return Outcome::Wait;
        }
        let hub = self.port.hub().clone();
        if let Err(refusal) = hub.take_messages(&self.port.principal(), messages as u64, self.port.now()) {
            return self.deny(Denied { refusal, about: "".into() });
        }
        if let Some(steps) = &mut self.talk.steps {
            steps.ask(start);
            return Outcome::Done;
        }
        let place = Arc::new(Mutex::new(Place::Open));
        let gauge = self.talk.gauge.clone();
        gauge.begin(work, keys);
        let answer = Answer {
            place: place.clone(),
            gauge,
            work,
            keys,
            version: self.talk.version,
            common: self.talk.common.clone(),
            given: false,
        };
        let turn = self.port.turn();
        start(&hub, answer);
        let mut place = lock(&place);
        match std::mem::replace(&mut *place, Place::Given) {
            Place::Found(bytes) => self.port.answer(turn, &bytes),
            _ => *place = Place::Later(self.port.later(turn)),
        }
        Outcome::Done
    }
}
