//! The seam for small state beside messages, under keys `namespace:resource:id:field`.
//! Nothing uses it yet; training records and dead letters will.

use std::time::Duration;

use bytes::Bytes;

use crate::error::Refusal;

/// Called once with the result of a store operation.
pub type Done<T> = Box<dyn FnOnce(Result<T, Refusal>) + Send>;

/// Small state that a broker keeps beside its messages.
pub trait Store: Send + Sync {
    /// Reads one value.
    fn read(&self, key: &str, done: Done<Option<Bytes>>);
    /// Writes one value, for `ttl` if given.
    fn write(&self, key: &str, value: Bytes, ttl: Option<Duration>, done: Done<()>);
    /// Removes one value.
    fn remove(&self, key: &str, done: Done<()>);
}
