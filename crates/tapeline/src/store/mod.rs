//! Small state beside messages: values under keys `namespace:resource:id:field`, with a time to live and compare-and-set.
//! What is asked is typed here; how it reaches the hub is `reach`'s.

mod asking;
mod http;
mod reach;

use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

pub use asking::{DeleteValue, SetValue};
pub(crate) use http::refusal_in;
pub(crate) use reach::Reach;

use crate::bus::EventBus;
use crate::error::Error;

/// The hub's store. Cheap to make; see [`EventBus::store`].
#[derive(Clone, Copy, Debug)]
pub struct Store<'a> {
    bus: &'a EventBus,
}

/// A value and what is known of it.
#[derive(Clone, Debug, Deserialize)]
#[non_exhaustive]
pub struct StoreEntry {
    /// `namespace:resource:id:field`
    pub key: String,
    /// Greater than that of every change before it.
    pub version: u64,
    /// When it goes away, RFC 3339; none where it stays.
    #[serde(default)]
    pub expires_at: Option<String>,
    value: Box<RawValue>,
}

impl StoreEntry {
    /// The value as JSON text, digit for digit as it was set.
    pub fn json(&self) -> &str {
        self.value.get()
    }

    /// The value as a type of yours.
    ///
    /// # Errors
    /// [`Error::Data`] if it is something else.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_str(self.json())
            .map_err(|error| Error::Data(format!("value of {}: {error}", self.key)))
    }
}

/// Entries in the order of their keys.
#[derive(Clone, Debug, Default, Deserialize)]
#[non_exhaustive]
pub struct StorePage {
    /// Of this page.
    pub entries: Vec<StoreEntry>,
    /// As `after`, asks for the page after this one; none on the last.
    #[serde(default)]
    pub next: Option<String>,
}

/// What must be so for a change to be made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Condition {
    #[default]
    None,
    Absent,
    Version(u64),
}

/// What is to be written.
pub(crate) struct Writing {
    pub(crate) value: String,
    pub(crate) ttl: Option<Duration>,
    pub(crate) condition: Condition,
}

impl EventBus {
    /// Small state beside messages, as durable as the hub's broker.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), tapeline::Error> {
    /// # let bus = tapeline::connect("memory://store").await?;
    /// let store = bus.store();
    /// let version = store.set("desk:limit:london:max", 250).await?;
    /// assert_eq!(store.get::<u32>("desk:limit:london:max").await?, Some(250));
    /// store.set("desk:limit:london:max", 300).if_version(version).await?;
    /// let too_late = store.set("desk:limit:london:max", 275).if_version(version).await;
    /// assert_eq!(too_late.unwrap_err().code(), Some(tapeline::ErrorCode::VersionConflict));
    /// # Ok(()) }
    /// ```
    pub fn store(&self) -> Store<'_> {
        Store { bus: self }
    }
}

impl<'a> Store<'a> {
    /// Reads a value, if there is one.
    ///
    /// # Errors
    /// The hub cannot be asked, or the value is something else than a `T`.
    pub async fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, Error> {
        self.entry(key).await?.map(|entry| entry.parse()).transpose()
    }

    /// Reads a value with its version, if there is one.
    ///
    /// # Errors
    /// The hub cannot be asked.
    pub async fn entry(&self, key: &str) -> Result<Option<StoreEntry>, Error> {
        self.bus.within(format!("a read of {key}"), self.bus.reach().get(key)).await
    }

    /// Sets a value when it is awaited, and answers its version.
    pub fn set(&self, key: impl Into<String>, value: impl Serialize) -> SetValue<'a> {
        SetValue::new(self.bus, key.into(), value)
    }

    /// Removes a value when it is awaited, and answers whether there was one.
    pub fn delete(&self, key: impl Into<String>) -> DeleteValue<'a> {
        DeleteValue::new(self.bus, key.into())
    }

    /// Reads the entries whose keys begin with `prefix` and come after `after`, at most `limit` (1 to 1,000).
    ///
    /// # Errors
    /// The hub cannot be asked.
    pub async fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<StorePage, Error> {
        self.bus.within(format!("a listing of {prefix}"), self.bus.reach().list(prefix, after, limit)).await
    }
}
