//! What the store keeps of a run: its config as it was given, and where this run begins. Both go away seven days after the
//! last thing that was said of the run, to the hour.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::base_channel::BaseChannel;
use crate::error::Error;
use crate::store::StoreEntry;

/// How long a record is kept after the last write.
pub(super) const KEPT: Duration = Duration::from_secs(7 * 86_400);
/// How often that is begun anew while a run speaks.
const REFRESH: Duration = Duration::from_secs(3_600);
/// And how soon again where it failed.
const AGAIN: Duration = Duration::from_secs(60);
/// Runs whose last refresh is remembered; then all are refreshed once more than they must be.
const REMEMBERED: usize = 10_000;

const RESOURCE: &str = "experiment";
const CONFIG: &str = "config";
const ABOUT: &str = "about";

/// Beside the config.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct About {
    /// Whose the run is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) namespace: Option<String>,
    /// The id of the message that said `created`; what has an older one is of an earlier run.
    #[serde(default)]
    pub(super) created: String,
}

/// What the store keeps.
pub(super) struct Kept {
    pub(super) config: Box<RawValue>,
    pub(super) about: About,
}

/// Writes a run's record.
pub(super) async fn write(base: &BaseChannel, id: &str, config: &str, created: String) -> Result<(), Error> {
    let about = About { namespace: base.namespace().map(Into::into), created };
    let config: &RawValue =
        serde_json::from_str(config).map_err(|error| Error::Data(format!("config of {id}: {error}")))?;
    // The config last: whoever finds it finds the rest.
    base.store().set(base.key(RESOURCE, id, ABOUT), &about).ttl(KEPT).await?;
    base.store().set(base.key(RESOURCE, id, CONFIG), config).ttl(KEPT).await?;
    Ok(())
}

/// Reads a run's record, if there is one.
pub(super) async fn read(base: &BaseChannel, id: &str) -> Result<Option<Kept>, Error> {
    let Some(config) = base.store().get(&base.key(RESOURCE, id, CONFIG)).await? else { return Ok(None) };
    let about = base.store().get(&base.key(RESOURCE, id, ABOUT)).await?.unwrap_or_default();
    Ok(Some(Kept { config, about }))
}

/// When each run's record is to be begun anew.
#[derive(Default)]
pub(super) struct Refreshes(HashMap<Box<str>, Instant>);

impl Refreshes {
    pub(super) fn note(&mut self, id: &str, now: Instant) {
        self.put_off(id, now + REFRESH);
    }

    pub(super) fn note_failure(&mut self, id: &str, now: Instant) {
        self.put_off(id, now + AGAIN);
    }

    fn put_off(&mut self, id: &str, due: Instant) {
        if self.0.len() >= REMEMBERED {
            self.0.clear();
        }
        self.0.insert(id.into(), due);
    }

    pub(super) fn is_due(&self, id: &str, now: Instant) -> bool {
        self.0.get(id).is_none_or(|due| now >= *due)
    }
}

/// Keeps a run's record for another seven days; what somebody else changes meanwhile is theirs to keep.
pub(super) async fn refresh(base: &BaseChannel, id: &str) -> Result<(), Error> {
    for field in [ABOUT, CONFIG] {
        let key = base.key(RESOURCE, id, field);
        if let Some(entry) = base.store().entry(&key).await? {
            again(base, entry).await?;
        }
    }
    Ok(())
}

async fn again(base: &BaseChannel, entry: StoreEntry) -> Result<(), Error> {
    let value: Box<RawValue> = entry.parse()?;
    let written = base.store().set(entry.key, value).ttl(KEPT).if_version(entry.version).await;
    match written {
        Err(Error::Refused { code, .. }) if code == "version_conflict" => Ok(()),
        other => other.map(drop),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_begun_anew_at_the_first_word_each_hour_and_soon_after_a_failure() {
        let (mut refreshes, now) = (Refreshes::default(), Instant::now());
        assert!(refreshes.is_due("a", now));
        refreshes.note("a", now);
        assert!(!refreshes.is_due("a", now + REFRESH / 2));
        assert!(refreshes.is_due("a", now + REFRESH));
        assert!(refreshes.is_due("b", now));
        refreshes.note_failure("b", now);
        assert!(!refreshes.is_due("b", now));
        assert!(refreshes.is_due("b", now + AGAIN));
    }
}
