//! Where revocations are kept: in the hub's store, so that they outlive it and reach other nodes. The
//! version of one more key counts them, so that looking for news costs one read.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tapeline_core::Refusal;
use tapeline_core::store::{Done, Expect, Key, LIST_LIMIT, Listing, Range, Write};
use tapeline_schema::ErrorCode;

use crate::api_key;
use crate::authority::Shared;
use crate::revoked::{self, REVOCATIONS_LIMIT, Revocation, What};

/// It is written after each revocation: its version says whether there are new ones.
const COUNTED: &str = "tapeline:auth:revision";
/// Looks after which all are read even though the version is the same.
const READ_ALL_EVERY: u32 = 30;
/// The longest subject or id, in bytes.
const NAME_LIMIT: usize = 256;

impl Shared {
    /// Takes back at once on this node, and on others as soon as they look.
    pub(crate) fn revoke(self: &Arc<Self>, what: What, done: Done<Revocation>) {
        let now_us = self.clock.now().wall_us;
        let (What::Subject(name) | What::Token(name)) = &what;
        if name.is_empty() || name.len() > NAME_LIMIT {
            let told = format!("what is revoked has {} bytes, it must have 1 to {NAME_LIMIT}", name.len());
            return done(Err(Refusal::new(ErrorCode::InvalidRequest, told)));
        }
        // An API key may live for ever, and so does its revocation.
        let is_key = matches!(&what, What::Subject(name) if name.starts_with(api_key::SUBJECT));
        let ttl = self.longest_life().filter(|_| !is_key);
        let until_us = ttl.map(|ttl| now_us.saturating_add(tapeline_core::clock::micros(ttl)));
        let revocation = Revocation { what, at_us: now_us, until_us };
        {
            let mut revoked = self.revoked.write().unwrap_or_else(PoisonError::into_inner);
            if !revoked.has_room(now_us) {
                let told = format!("{REVOCATIONS_LIMIT} tokens and subjects are revoked, the limit");
                return done(Err(Refusal::new(ErrorCode::StorageFull, told)));
            }
            revoked.add(revocation.clone(), now_us);
        }
        self.revision.fetch_add(1, Ordering::Release);
        let Some(key) = revocation.key() else {
            return done(Err(Refusal::new(ErrorCode::Internal, "the revocation has no key")));
        };
        let write = Write { value: revocation.written(), ttl, expect: Expect::Any };
        let this = self.clone();
        self.store.set(&key, write, Box::new(move |kept| this.on_kept(kept, revocation, done)));
    }

    fn on_kept(&self, kept: Result<u64, Refusal>, revocation: Revocation, done: Done<Revocation>) {
        if let Err(refusal) = kept {
            tracing::error!("a revocation holds on this node until it stops, and nowhere else: {refusal}");
            return done(Err(refusal));
        }
        let Ok(counted) = Key::parse(COUNTED) else { return };
        let write = Write { value: "true".into(), ttl: None, expect: Expect::Any };
        self.store.set(&counted, write, Box::new(move |written| done(written.map(|_| revocation))));
    }

    /// How long a token that is revoked now can be believed: it may have been issued by a clock that is ahead.
    fn longest_life(&self) -> Option<Duration> {
        let rules = &self.state.load().settings.jwt.rules;
        let life_s = rules.max_lifetime_s.saturating_add(rules.leeway_s.saturating_mul(2));
        (rules.max_lifetime_s > 0).then(|| Duration::from_secs(life_s))
    }

    /// Looks for what other nodes have taken back.
    pub(crate) fn look_for_revocations(self: &Arc<Self>) {
        let Ok(counted) = Key::parse(COUNTED) else { return };
        let this = self.clone();
        let found = move |found: Result<Option<_>, Refusal>| match found {
            Ok(entry) => this.on_version(entry.map_or(0, |entry: tapeline_core::store::Entry| entry.version)),
            Err(refusal) => tracing::debug!("revocations cannot be looked for: {refusal}"),
        };
        self.store.get(&counted, Box::new(found));
    }

    fn on_version(self: &Arc<Self>, version: u64) {
        let is_same = self.revoked_version.swap(version, Ordering::Relaxed) == version;
        let looks = self.looks.fetch_add(1, Ordering::Relaxed);
        if !is_same || looks.is_multiple_of(READ_ALL_EVERY) {
            self.read_on(None);
        }
    }

    /// Reads a page, and what is behind it.
    fn read_on(self: &Arc<Self>, after: Option<Box<str>>) {
        let range = Range { prefix: revoked::PREFIX.into(), after, limit: LIST_LIMIT };
        let this = self.clone();
        let listed = move |page: Result<Listing, Refusal>| match page {
            Ok(page) => this.on_page(&page),
            Err(refusal) => {
                // So that the next look reads them.
                this.revoked_version.store(0, Ordering::Relaxed);
                tracing::warn!("revocations cannot be read: {refusal}");
            }
        };
        self.store.list(&range, Box::new(listed));
    }

    fn on_page(self: &Arc<Self>, page: &Listing) {
        let now_us = self.clock.now().wall_us;
        let mut news = 0;
        {
            let mut revoked = self.revoked.write().unwrap_or_else(PoisonError::into_inner);
            for revocation in page.entries.iter().filter_map(|(_, entry)| Revocation::read(&entry.value)) {
                if revoked.has_room(now_us) && revoked.add(revocation, now_us) {
                    news += 1;
                }
            }
        }
        if news > 0 {
            tracing::info!(news, "tokens were revoked");
            self.revision.fetch_add(1, Ordering::Release);
        }
        if let Some((last, _)) = page.entries.last().filter(|_| page.more) {
            self.read_on(Some(last.as_str().into()));
        }
    }
}
