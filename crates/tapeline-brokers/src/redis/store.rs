//! The store in Redis: a hash a key, an index of the names in their order, and one script an operation, so that every node
//! sees each change whole. All keys share one hash tag: in a cluster the store lives on one node.
//!
//! | key | holds |
//! |---|---|
//! | `tapeline:{store}:v:KEY` | hash: `v` the value, `n` its version, `e` when it goes away in microseconds; expires with it |
//! | `tapeline:{store}:keys` | sorted set of all KEYs, in the order of their bytes |
//! | `tapeline:{store}:ends` | sorted set of the KEYs that go away, by milliseconds |
//! | `tapeline:{store}:version` | the newest version given |
//!
//! Time is Redis'. A version is at least Redis' clock in microseconds, so that none comes again after a Redis that was
//! restarted empty or from an older snapshot.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tapeline_core::Refusal;
use tapeline_core::clock::micros;
use tapeline_core::store::{
    Bounds, Done, Entry, Expect, Key, LIST_BYTES, LIST_LIMIT, Listing, Range, Store, Write,
};
use tapeline_schema::ErrorCode;

use super::link::{Command, Link, LinkError, Patience, Script, Value};
use super::publishing::is_refusal_of_writes;

/// A little less than a request waits for its answer.
const PATIENCE: Patience = Patience::For(Duration::from_millis(1_800));

/// Names that one look at the index lets go of at most.
const SWEPT: u64 = 1_000;

const VALUES: &str = "tapeline:{store}:v:";
const KEYS: &str = "tapeline:{store}:keys";
const ENDS: &str = "tapeline:{store}:ends";
const VERSION: &str = "tapeline:{store}:version";

/// What was expected is `''` for anything, `absent`, or a version. The first write is one that a full Redis refuses.
static SET: Script = Script::new(include_str!("store/set.lua"));
static DELETE: Script = Script::new(include_str!("store/delete.lua"));
static LIST: Script = Script::new(include_str!("store/list.lua"));
static SWEEP: Script = Script::new(include_str!("store/sweep.lua"));

/// See the module.
pub struct RedisStore {
    link: Arc<Link>,
    bounds: Bounds,
}

impl RedisStore {
    /// A store over this link; of the bounds the entries count, its bytes are Redis' own matter.
    pub fn new(link: Arc<Link>, bounds: Bounds) -> Self {
        RedisStore { link, bounds }
    }

    /// Asks, and gives what comes back to `read`.
    fn ask<T: 'static>(
        &self,
        command: &Command,
        done: Done<T>,
        read: impl FnOnce(Value) -> Result<T, Refusal> + Send + 'static,
    ) {
        self.link.ask(command, PATIENCE, move |told| done(told.map_err(refused).and_then(read)));
    }
}

impl Store for RedisStore {
    fn get(&self, key: &Key, done: Done<Option<Entry>>) {
        let command = Command::new("HMGET").arg(value_key(key)).args(["v", "n", "e"]);
        self.ask(&command, done, |told| match told.parts() {
            [Value::Nil, ..] => Ok(None),
            parts => entry(parts).map(Some).ok_or_else(|| odd(&told)),
        });
    }

    fn set(&self, key: &Key, write: Write, done: Done<u64>) {
        let ttl_us = write.ttl.map_or_else(String::new, |ttl| micros(ttl).max(1).to_string());
        let command = SET
            .command(&[value_key(key).as_str(), KEYS, ENDS, VERSION])
            .arg(key.as_str())
            .arg(expected(write.expect))
            .arg(&write.value)
            .arg(ttl_us)
            .number(self.bounds.entries as u64);
        let (key, most) = (key.clone(), self.bounds.entries);
        self.ask(&command, done, move |told| match word(&told) {
            Some("full") => {
                let message = format!("the store holds {most} entries, the limit");
                Err(Refusal::new(ErrorCode::StorageFull, message))
            }
            Some("conflict") => Err(conflict(&key, write.expect, &told)),
            _ => told.part(1).and_then(Value::number).ok_or_else(|| odd(&told)),
        });
    }

    fn delete(&self, key: &Key, expect: Expect, done: Done<bool>) {
        let keys = [value_key(key).as_str(), KEYS, ENDS].map(str::to_owned);
        let command = DELETE.command(&keys).arg(key.as_str()).arg(expected(expect));
        let key = key.clone();
        self.ask(&command, done, move |told| match word(&told) {
            Some("conflict") => Err(conflict(&key, expect, &told)),
            _ => told.part(1).and_then(Value::number).map(|count| count > 0).ok_or_else(|| odd(&told)),
        });
    }

    fn list(&self, range: &Range, done: Done<Listing>) {
        let after = range.after.as_deref().filter(|after| **after >= *range.prefix);
        let from = after.map_or_else(|| format!("[{}", range.prefix), |after| format!("({after}"));
        list_from(&self.link, from, range.clone(), done);
    }

    fn sweep(&self) {
        sweep(&self.link);
    }
}

/// One look at the index lets go of a bounded number of names; while there is that much, it goes on.
fn sweep(link: &Arc<Link>) {
    let command = SWEEP.command(&[KEYS, ENDS]).arg(VALUES).number(SWEPT);
    let again = link.clone();
    // The names are in nobody's way; a Redis that is away is asked again in a while.
    link.ask(&command, Patience::Now, move |told| {
        if told.ok().and_then(|told| told.number()).is_some_and(|swept| swept >= SWEPT) {
            sweep(&again);
        }
    });
}

/// Names whose values have expired and that are not swept yet may fill a whole look at the index; then it goes on.
fn list_from(link: &Arc<Link>, from: String, range: Range, done: Done<Listing>) {
    let command = LIST
        .command(&[KEYS])
        .arg(&from)
        // No character of a key comes after this byte.
        .arg([b"[", range.prefix.as_bytes(), b"\xff"].concat())
        .number(range.limit.clamp(1, LIST_LIMIT) as u64)
        .number(LIST_BYTES as u64)
        .arg(VALUES);
    let again = link.clone();
    link.ask(&command, PATIENCE, move |told| {
        let told = match told {
            Ok(told) => told,
            Err(error) => return done(Err(refused(error))),
        };
        let Some(entries) = entries(&told) else { return done(Err(odd(&told))) };
        match (word(&told), told.part(1).and_then(Value::text)) {
            (Some("on"), Some(from)) if entries.is_empty() => {
                list_from(&again, from.to_owned(), range, done);
            }
            (Some(more), _) => done(Ok(Listing { entries, more: more != "end" })),
            (None, _) => done(Err(odd(&told))),
        }
    });
}

/// Of a listing: a word, where to go on, then name, value, version and end of each.
fn entries(told: &Value) -> Option<Vec<(Key, Entry)>> {
    let entry = |parts: &[Value]| {
        let (name, rest) = parts.split_first()?;
        Some((Key::parse(name.text()?).ok()?, entry(rest)?))
    };
    told.parts().get(2..)?.chunks(4).map(entry).collect()
}

fn entry(parts: &[Value]) -> Option<Entry> {
    let [value, version, end] = parts else { return None };
    let expires_us = match end.text()? {
        "" => None,
        end => Some(end.parse().ok()?),
    };
    // A copy: the reply that it lies in may be large.
    Some(Entry { value: Bytes::copy_from_slice(value.bytes()?), version: version.number()?, expires_us })
}

fn value_key(key: &Key) -> String {
    format!("{VALUES}{key}")
}

fn expected(expect: Expect) -> String {
    match expect {
        Expect::Any => String::new(),
        Expect::Absent => "absent".to_owned(),
        Expect::Version(version) => version.to_string(),
    }
}

fn word(told: &Value) -> Option<&str> {
    told.part(0).and_then(Value::text)
}

fn conflict(key: &Key, expect: Expect, told: &Value) -> Refusal {
    let version = told.part(1).and_then(Value::number);
    expect.check(key, version).err().unwrap_or_else(|| odd(told))
}

fn odd(told: &Value) -> Refusal {
    tracing::error!(?told, "redis gave an answer that none of the store's scripts gives");
    Refusal::new(ErrorCode::Internal, "the store in redis gave an answer that cannot be read")
}

/// What a client is told of a Redis that did not do it.
fn refused(error: LinkError) -> Refusal {
    let code = match &error {
        // A script's refusal may be wrapped in a sentence of its own.
        LinkError::Refused(why) if why.starts_with("OOM") || why.contains("-OOM ") => ErrorCode::StorageFull,
        LinkError::Refused(why) if is_refusal_of_writes(why) || why.starts_with("BUSY ") => {
            ErrorCode::Degraded
        }
        LinkError::Refused(_) => ErrorCode::Internal,
        LinkError::NotSent(_) | LinkError::Unknown(_) | LinkError::Full => ErrorCode::Degraded,
    };
    Refusal::new(code, error.to_string())
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
