//! How what is no message is reached: in this process by a call, elsewhere over the hub's HTTP. Both answer alike.

use std::sync::Arc;

use serde_json::value::RawValue;
use tapeline_core::Refusal;
use tapeline_core::clock::rfc3339;
use tapeline_core::store::{Done, Entry, Expect, Key, Range, Write};
use tokio::sync::oneshot;

use super::http::Http;
use super::{Condition, StoreEntry, StorePage, Writing};
use crate::error::Error;
use crate::private_hub::PrivateHub;
use crate::socket::Target;
use crate::token::Tokens;

/// See the module.
pub(crate) enum Reach {
    Within(Arc<PrivateHub>),
    Elsewhere(Http),
}

impl Reach {
    pub(crate) fn to(target: &Target, tokens: &Arc<Tokens>) -> Self {
        match target {
            Target::Private(hub, _) => Reach::Within(hub.clone()),
            Target::Hub { authority, url, tls } => {
                Reach::Elsewhere(Http::new(authority, url, tls.as_deref(), tokens.clone()))
            }
        }
    }

    /// Whether the hub says that all its parts are well.
    pub(crate) async fn is_well(&self) -> bool {
        match self {
            Reach::Within(hub) => hub.is_well(),
            Reach::Elsewhere(http) => http.is_well().await,
        }
    }

    pub(super) async fn get(&self, key: &str) -> Result<Option<StoreEntry>, Error> {
        let hub = match self {
            Reach::Elsewhere(http) => return http.get(key).await,
            Reach::Within(hub) => hub,
        };
        let key = Key::parse(key).map_err(refused)?;
        let entry = ask(|done| hub.store().get(&key, done)).await?;
        entry.map(|entry| entry_of(&key, &entry)).transpose()
    }

    pub(super) async fn set(&self, key: &str, writing: Writing) -> Result<u64, Error> {
        let hub = match self {
            Reach::Elsewhere(http) => return http.set(key, writing).await,
            Reach::Within(hub) => hub,
        };
        let key = Key::parse(key).map_err(refused)?;
        let Writing { value, ttl, condition } = writing;
        let write = Write { value: value.into(), ttl, expect: expect(condition) };
        ask(|done| hub.store().set(&key, write, done)).await
    }

    pub(super) async fn delete(&self, key: &str, condition: Condition) -> Result<bool, Error> {
        let hub = match self {
            Reach::Elsewhere(http) => return http.delete(key, condition).await,
            Reach::Within(hub) => hub,
        };
        let key = Key::parse(key).map_err(refused)?;
        ask(|done| hub.store().delete(&key, expect(condition), done)).await
    }

    pub(super) async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<StorePage, Error> {
        let hub = match self {
            Reach::Elsewhere(http) => return http.list(prefix, after, limit).await,
            Reach::Within(hub) => hub,
        };
        let range = Range::new(prefix, after, limit).map_err(refused)?;
        let listing = ask(|done| hub.store().list(&range, done)).await?;
        let last = listing.entries.last().filter(|_| listing.more);
        let next = last.map(|(key, _)| key.to_string());
        let entries = listing.entries.iter().map(|(key, entry)| entry_of(key, entry));
        Ok(StorePage { entries: entries.collect::<Result<_, _>>()?, next })
    }
}

fn expect(condition: Condition) -> Expect {
    match condition {
        Condition::None => Expect::Any,
        Condition::Absent => Expect::Absent,
        Condition::Version(version) => Expect::Version(version),
    }
}

async fn ask<T: Send + 'static>(ask: impl FnOnce(Done<T>)) -> Result<T, Error> {
    let (answer, answered) = oneshot::channel();
    ask(Box::new(move |told| {
        // Who asked may have stopped waiting.
        let _ = answer.send(told);
    }));
    answered.await.map_err(|_| Error::BusClosed)?.map_err(refused)
}

fn refused(refusal: Refusal) -> Error {
    Error::Refused { code: refusal.code.name().to_string(), message: refusal.message }
}

fn entry_of(key: &Key, entry: &Entry) -> Result<StoreEntry, Error> {
    let unreadable = || Error::Data(format!("the value of {key} is not JSON"));
    let text = String::from_utf8(entry.value.to_vec()).map_err(|_| unreadable())?;
    Ok(StoreEntry {
        key: key.to_string(),
        version: entry.version,
        expires_at: entry.expires_us.map(rfc3339),
        value: RawValue::from_string(text).map_err(|_| unreadable())?,
    })
}
