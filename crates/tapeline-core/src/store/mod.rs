//! Small state beside messages: JSON values under keys `namespace:resource:id:field`, for so long as they are wanted, with
//! compare-and-set. The trait that a store fulfils, and the store of one process, which memory and disk share.
//!
//! A store knows keys, versions and time. It does not know who may write what, nor what a value means.

mod key;
mod local;
mod state;

use std::time::Duration;

use bytes::Bytes;
use tapeline_schema::ErrorCode;

pub use key::{KEY_LIMIT, Key};
pub use local::{Journal, LocalStore, Snapshot};
pub use state::{Bounds, Change, State};

use crate::error::Refusal;

/// The most entries of one listing.
pub const LIST_LIMIT: usize = 1_000;

/// About the most bytes of one listing; its first entry always fits.
pub const LIST_BYTES: usize = 4 << 20;

/// Called once with the result of a store operation; from any thread, possibly before the call that takes it returns. It
/// must not wait.
pub type Done<T> = Box<dyn FnOnce(Result<T, Refusal>) + Send>;

/// A value and what is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// JSON, as it was given.
    pub value: Bytes,
    /// Greater than that of every change of this store before it, whatever became of those.
    pub version: u64,
    /// When it goes away, in microseconds since 1970 by the store's wall clock.
    pub expires_us: Option<u64>,
}

/// What must be so for a change to be made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Expect {
    /// Nothing.
    #[default]
    Any,
    /// There is no value.
    Absent,
    /// The value is the one with this version.
    Version(u64),
}

impl Expect {
    /// Whether what is there is what was expected.
    ///
    /// # Errors
    /// `version_conflict`, saying what is there.
    pub fn check(self, key: &Key, version: Option<u64>) -> Result<(), Refusal> {
        let told = match (self, version) {
            (Expect::Any, _) | (Expect::Absent, None) => return Ok(()),
            (Expect::Version(wanted), Some(version)) if wanted == version => return Ok(()),
            (Expect::Absent, Some(version)) => format!("{key} is at version {version}, expected was none"),
            (Expect::Version(wanted), Some(version)) => {
                format!("{key} is at version {version}, expected was {wanted}")
            }
            (Expect::Version(wanted), None) => format!("{key} has no value, expected was version {wanted}"),
        };
        Err(Refusal::new(ErrorCode::VersionConflict, told))
    }
}

/// What is to be kept.
#[derive(Clone, Debug)]
pub struct Write {
    /// JSON, which the store does not look into.
    pub value: Bytes,
    /// How long from now; for ever without.
    pub ttl: Option<Duration>,
    /// What must be so.
    pub expect: Expect,
}

/// Which entries are asked for.
#[derive(Clone, Debug, Default)]
pub struct Range {
    /// What their keys begin with; all keys begin with nothing.
    pub prefix: Box<str>,
    /// The key before the first.
    pub after: Option<Box<str>>,
    /// How many at most; never more than [`LIST_LIMIT`].
    pub limit: usize,
}

impl Range {
    /// Checks what is asked for.
    ///
    /// # Errors
    /// `invalid_request` where no key can begin so, or the limit is out of bounds.
    pub fn new(prefix: &str, after: Option<&str>, limit: usize) -> Result<Self, Refusal> {
        key::check_prefix(prefix)?;
        after.map_or(Ok(()), key::check_prefix)?;
        if !(1..=LIST_LIMIT).contains(&limit) {
            let message = format!("limit is {limit}, it must be between 1 and {LIST_LIMIT}");
            return Err(Refusal::new(ErrorCode::InvalidRequest, message));
        }
        Ok(Range { prefix: prefix.into(), after: after.map(Into::into), limit })
    }
}

/// Entries in the order of their keys' bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// Each with its key.
    pub entries: Vec<(Key, Entry)>,
    /// Whether there are more behind the last.
    pub more: bool,
}

/// Small state that outlives the messages about it.
pub trait Store: Send + Sync {
    /// Reads one entry.
    fn get(&self, key: &Key, done: Done<Option<Entry>>);
    /// Writes one entry and answers its version, or refuses with `version_conflict` what is not as it was expected.
    fn set(&self, key: &Key, write: Write, done: Done<u64>);
    /// Removes one entry and answers whether there was one, or refuses with `version_conflict`.
    fn delete(&self, key: &Key, expect: Expect, done: Done<bool>);
    /// Reads the entries of a range.
    fn list(&self, range: &Range, done: Done<Listing>);
    /// Lets go of what has expired, which nobody is told any more anyway; call every few seconds.
    fn sweep(&self) {}
}
