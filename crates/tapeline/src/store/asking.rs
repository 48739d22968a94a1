//! Changes of the store: builders that are awaited.

use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::time::Duration;

use serde::Serialize;

use super::{Condition, Writing};
use crate::bus::EventBus;
use crate::error::Error;

/// A value that is set when it is awaited.
#[must_use = "nothing is set until it is awaited"]
#[derive(Debug)]
pub struct SetValue<'a> {
    bus: &'a EventBus,
    key: String,
    value: Result<String, Error>,
    ttl: Option<Duration>,
    condition: Condition,
}

impl<'a> SetValue<'a> {
    pub(super) fn new(bus: &'a EventBus, key: String, value: impl Serialize) -> Self {
        let value = serde_json::to_string(&value)
            .map_err(|error| Error::Data(format!("the value of {key} is not JSON: {error}")));
        SetValue { bus, key, value, ttl: None, condition: Condition::None }
    }

    /// For so long; without it until it is deleted.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// Only if there is none; else the hub refuses with `version_conflict`.
    pub fn if_absent(mut self) -> Self {
        self.condition = Condition::Absent;
        self
    }

    /// Only if the value is the one with this version; else the hub refuses with `version_conflict`.
    pub fn if_version(mut self, version: u64) -> Self {
        self.condition = Condition::Version(version);
        self
    }

    async fn send(self) -> Result<u64, Error> {
        let SetValue { bus, key, value, ttl, condition } = self;
        let value = value?;
        let limit = bus.settings().publish_bytes;
        if value.len() > limit {
            let what = format!("a value of {key} is {} bytes", value.len());
            return Err(Error::TooLarge { what, limit, setting: "publish_bytes" });
        }
        let what = format!("a write of {key}");
        bus.within(what, bus.reach().set(&key, Writing { value, ttl, condition })).await
    }
}

impl<'a> IntoFuture for SetValue<'a> {
    type Output = Result<u64, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}

/// A value that is removed when it is awaited.
#[must_use = "nothing is removed until it is awaited"]
#[derive(Debug)]
pub struct DeleteValue<'a> {
    bus: &'a EventBus,
    key: String,
    condition: Condition,
}

impl<'a> DeleteValue<'a> {
    pub(super) fn new(bus: &'a EventBus, key: String) -> Self {
        DeleteValue { bus, key, condition: Condition::None }
    }

    /// Only if the value is the one with this version; else the hub refuses with `version_conflict`.
    pub fn if_version(mut self, version: u64) -> Self {
        self.condition = Condition::Version(version);
        self
    }

    async fn send(self) -> Result<bool, Error> {
        let DeleteValue { bus, key, condition } = self;
        bus.within(format!("a removal of {key}"), bus.reach().delete(&key, condition)).await
    }
}

impl<'a> IntoFuture for DeleteValue<'a> {
    type Output = Result<bool, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}
