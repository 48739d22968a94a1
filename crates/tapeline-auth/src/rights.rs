//! What a token may, from its claim `tapeline`; equal rights are one value, however many tokens have them.
//!
//! A key of the claim that is not known is refused: a misspelt right that is silently missing would be looked for elsewhere.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Deserialize;
use serde_json::Value;
use tapeline_core::rights::Rights;
use tapeline_schema::Pattern;

/// Patterns of one kind.
pub const PATTERNS_LIMIT: usize = 256;
/// Values of keys, all together.
pub const KEYS_LIMIT: usize = 1_024;
/// Rights that are remembered before those that nobody has any more are looked for.
const SWEEP_FROM: usize = 1_024;

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Claim {
    read: Vec<String>,
    publish: Vec<String>,
    keys: BTreeMap<Box<str>, Vec<Box<str>>>,
    store: StoreClaim,
    operator: bool,
    admin: bool,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct StoreClaim {
    read: Vec<String>,
    write: Vec<String>,
}

/// Reads the claim.
///
/// # Errors
/// What of it is not understood or too much.
pub fn read(claim: &Value) -> Result<Rights, String> {
    let claim = Claim::deserialize(claim).map_err(|error| error.to_string())?;
    Ok(Rights {
        read: patterns("read", &claim.read)?,
        publish: patterns("publish", &claim.publish)?,
        store_read: patterns("store.read", &claim.store.read)?,
        store_write: patterns("store.write", &claim.store.write)?,
        keys: values(claim.keys)?,
        operator: claim.operator,
        admin: claim.admin,
    })
}

/// Patterns out of texts.
///
/// # Errors
/// The first that is none, or that they are too many.
pub fn patterns(name: &str, texts: &[String]) -> Result<Vec<Pattern>, String> {
    if texts.len() > PATTERNS_LIMIT {
        return Err(format!("{name} has {} patterns, the limit is {PATTERNS_LIMIT}", texts.len()));
    }
    let parse = |text: &String| Pattern::parse(text).map_err(|error| format!("{name}: {error}"));
    let mut patterns = texts.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
    // In one order, so that equal rights are equal.
    patterns.sort_by(|one, other| one.as_str().cmp(other.as_str()));
    patterns.dedup();
    Ok(patterns)
}

/// Names of keys, each with its values.
pub type Values = Vec<(Box<str>, Vec<Box<str>>)>;

/// Names of keys with their values.
///
/// # Errors
/// They are too many.
pub fn values(keys: BTreeMap<Box<str>, Vec<Box<str>>>) -> Result<Values, String> {
    let count: usize = keys.values().map(Vec::len).sum();
    if count > KEYS_LIMIT || keys.len() > KEYS_LIMIT {
        return Err(format!("keys has {count} values, the limit is {KEYS_LIMIT}"));
    }
    let sorted = |(name, mut values): (Box<str>, Vec<Box<str>>)| {
        values.sort();
        values.dedup();
        (name, values)
    };
    Ok(keys.into_iter().map(sorted).collect())
}

/// Rights that somebody has, each once.
#[derive(Default)]
pub(crate) struct Shared(Mutex<SharedState>);

#[derive(Default)]
struct SharedState {
    known: HashSet<Arc<Rights>>,
    /// How many there may be before the next look for those that nobody has.
    sweep_at: usize,
}

impl Shared {
    /// The one value of these rights.
    pub(crate) fn of(&self, rights: Rights) -> Arc<Rights> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = state.known.get(&rights) {
            return known.clone();
        }
        if state.known.len() >= state.sweep_at {
            state.known.retain(|rights| Arc::strong_count(rights) > 1);
            state.sweep_at = SWEEP_FROM.max(state.known.len() * 2);
        }
        let rights = Arc::new(rights);
        state.known.insert(rights.clone());
        rights
    }
}
