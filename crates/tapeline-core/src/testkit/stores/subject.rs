//! A store under test, and its requests as plain calls that wait.
#![expect(clippy::expect_used, clippy::panic, reason = "a broken promise must stop the test")]

use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use bytes::Bytes;
use tapeline_schema::ErrorCode;

use crate::error::Refusal;
use crate::store::{Done, Entry, Expect, Key, Listing, Range, Store, Write};

/// How long the suite waits for an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// See the module.
pub struct Subject {
    /// The store.
    pub store: Arc<dyn Store>,
    /// Lets its time pass.
    pass: Box<dyn Fn(Duration)>,
}

/// A key of the suite.
pub(super) fn key(text: &str) -> Key {
    Key::parse(text).expect("a key of the suite is sound")
}

/// What a store answers to this.
pub(super) fn answer<T: Send + 'static>(ask: impl FnOnce(Done<T>)) -> Result<T, Refusal> {
    let (to, from) = sync_channel(1);
    ask(Box::new(move |answer| {
        // Nobody listens only where the suite has already given up.
        let _ = to.send(answer);
    }));
    from.recv_timeout(PATIENCE).expect("the store answers")
}

fn good<T>(answer: Result<T, Refusal>) -> T {
    answer.unwrap_or_else(|refusal| panic!("the store refuses: {refusal}"))
}

/// Stops unless it was refused as not expected.
pub(super) fn check_conflict<T: std::fmt::Debug>(answer: Result<T, Refusal>) {
    match answer {
        Err(refusal) => assert_eq!(refusal.code, ErrorCode::VersionConflict, "{refusal}"),
        Ok(made) => panic!("a change was made that was not expected: {made:?}"),
    }
}

impl Subject {
    /// A store, and what lets its time pass.
    pub fn new(store: Arc<dyn Store>, pass: impl Fn(Duration) + 'static) -> Self {
        Subject { store, pass: Box::new(pass) }
    }

    /// Lets the store's time pass.
    pub fn pass(&self, time: Duration) {
        (self.pass)(time);
        self.store.sweep();
    }

    /// [`Store::get`].
    pub fn get(&self, name: &str) -> Option<Entry> {
        good(answer(|done| self.store.get(&key(name), done)))
    }

    /// The value as text.
    pub fn text(&self, name: &str) -> Option<String> {
        let entry = self.get(name)?;
        Some(String::from_utf8(entry.value.to_vec()).expect("values of the suite are text"))
    }

    /// [`Store::set`], whatever is there, for ever.
    pub fn set(&self, name: &str, value: &str) -> u64 {
        good(self.write(name, value, None, Expect::Any))
    }

    /// [`Store::set`].
    pub fn write(
        &self,
        name: &str,
        value: &str,
        ttl: Option<Duration>,
        expect: Expect,
    ) -> Result<u64, Refusal> {
        let write = Write { value: Bytes::copy_from_slice(value.as_bytes()), ttl, expect };
        answer(|done| self.store.set(&key(name), write, done))
    }

    /// [`Store::set`] for this long.
    pub fn lend(&self, name: &str, value: &str, ttl: Duration) {
        good(self.write(name, value, Some(ttl), Expect::Any));
    }

    /// [`Store::delete`].
    pub fn delete(&self, name: &str, expect: Expect) -> Result<bool, Refusal> {
        answer(|done| self.store.delete(&key(name), expect, done))
    }

    /// [`Store::list`].
    pub fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> Listing {
        let range = Range::new(prefix, after, limit).expect("a range of the suite is sound");
        good(answer(|done| self.store.list(&range, done)))
    }

    /// The keys of [`Store::list`], and whether there are more.
    pub fn keys(&self, prefix: &str, after: Option<&str>, limit: usize) -> (Vec<String>, bool) {
        let listing = self.list(prefix, after, limit);
        (listing.entries.iter().map(|(key, _)| key.to_string()).collect(), listing.more)
    }
}
