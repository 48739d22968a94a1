//! What has been taken back: all tokens of a subject that were issued until then, or one token by its id. Each is forgotten
//! when no token that it is about can still be valid.
//!
//! It knows how one is written down, not where: `keeping` has the store.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use ring::digest;
use serde::{Deserialize, Serialize};
use tapeline_core::rights::Identity;
use tapeline_core::store::Key;

use crate::api_key::hex;

/// Revocations that are held.
pub const REVOCATIONS_LIMIT: usize = 100_000;
/// What the keys of the store begin with.
pub(crate) const PREFIX: &str = "tapeline:auth:revoked:";

/// Whose tokens, or which.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// All of a subject (`sub`, or `key:ID`) that were issued until then.
    Subject(Arc<str>),
    /// The one with this id (`jti`).
    Token(Arc<str>),
}

/// A revocation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revocation {
    /// Whose, or which.
    pub what: What,
    /// When it was said, microseconds since 1970.
    pub at_us: u64,
    /// When it is forgotten; never without.
    pub until_us: Option<u64>,
}

impl Revocation {
    /// Where it is kept: the name may have characters that keys have not.
    pub(crate) fn key(&self) -> Option<Key> {
        let (kind, name) = match &self.what {
            What::Subject(name) => ("subject", name),
            What::Token(name) => ("token", name),
        };
        let digest = digest::digest(&digest::SHA256, name.as_bytes());
        Key::parse(&format!("{PREFIX}{kind}:{}", hex(digest.as_ref()))).ok()
    }

    pub(crate) fn written(&self) -> Bytes {
        serde_json::to_vec(self).unwrap_or_default().into()
    }

    pub(crate) fn read(value: &[u8]) -> Option<Self> {
        serde_json::from_slice(value).ok()
    }

    fn is_over(&self, now_us: u64) -> bool {
        self.until_us.is_some_and(|until| until <= now_us)
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Revoked {
    subjects: HashMap<Arc<str>, Revocation>,
    tokens: HashMap<Arc<str>, Revocation>,
}

impl Revoked {
    /// The issuer's clock may be ahead by the leeway.
    pub(crate) fn holds(&self, identity: &Identity, now_us: u64, leeway_us: u64) -> bool {
        let is_on = |found: &&Revocation| !found.is_over(now_us);
        let of_subject = self.subjects.get(&identity.subject).filter(is_on);
        // What does not say when it was issued was issued before.
        let is_before = |found: &Revocation| {
            let until = found.at_us.saturating_add(leeway_us);
            identity.issued_us.is_none_or(|issued| issued <= until)
        };
        let of_token = identity.token_id.as_ref().and_then(|id| self.tokens.get(&**id)).filter(is_on);
        of_token.is_some() || of_subject.is_some_and(is_before)
    }

    /// Takes one in; whether it is news.
    pub(crate) fn add(&mut self, revocation: Revocation, now_us: u64) -> bool {
        if revocation.is_over(now_us) {
            return false;
        }
        let (held, name) = match &revocation.what {
            What::Subject(name) => (&mut self.subjects, name.clone()),
            What::Token(name) => (&mut self.tokens, name.clone()),
        };
        let is_news = held.get(&name).is_none_or(|known| known.at_us < revocation.at_us);
        if is_news {
            held.insert(name, revocation);
        }
        is_news
    }

    /// Whether there is room for one more, once what is over has been forgotten.
    pub(crate) fn has_room(&mut self, now_us: u64) -> bool {
        if self.len() >= REVOCATIONS_LIMIT {
            self.forget(now_us);
        }
        self.len() < REVOCATIONS_LIMIT
    }

    pub(crate) fn forget(&mut self, now_us: u64) {
        self.subjects.retain(|_, held| !held.is_over(now_us));
        self.tokens.retain(|_, held| !held.is_over(now_us));
    }

    /// All, the newest first.
    pub(crate) fn list(&self, now_us: u64) -> Vec<Revocation> {
        let all = self.subjects.values().chain(self.tokens.values());
        let mut all: Vec<_> = all.filter(|held| !held.is_over(now_us)).cloned().collect();
        all.sort_by_key(|held| std::cmp::Reverse(held.at_us));
        all
    }

    fn len(&self) -> usize {
        self.subjects.len() + self.tokens.len()
    }
}
