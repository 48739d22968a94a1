//! What sources say of themselves: signs of life and their venue's state, which reach the monitor as a component, and what
//! their owner says. It decides whether data is to be expected at all.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use serde_json::Value;
use tapeline_core::Clock;
use tapeline_core::feed::{Update, VenueChannel};

use crate::component::{Component, Handling};
use crate::stats::SourceStats;

/// The name of the monitor as a component.
pub const NAME: &str = "monitor";

/// Whether a source is to be expected to bring data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceState {
    /// It is.
    #[default]
    Live,
    /// Its venue is in maintenance.
    Maintenance,
    /// Nothing is subscribed, or the market is closed.
    Idle,
}

/// What is known of one source.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Pulse {
    /// Whether it is to be expected to bring data.
    pub state: SourceState,
    /// Heartbeats that have come.
    pub heartbeats: u64,
    /// When the last came, by the monotonic clock in microseconds.
    #[serde(skip)]
    pub beat_us: Option<u64>,
    /// Whether updates came that name it as their source; else only its owner has spoken of it.
    #[serde(skip)]
    pub(crate) is_heard: bool,
}

/// See the module.
pub(crate) struct Pulses {
    clock: Arc<dyn Clock>,
    known: Mutex<BTreeMap<String, Pulse>>,
}

/// Sources that are remembered.
const SOURCES: usize = 1_024;

impl Pulses {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Pulses { clock, known: Mutex::default() }
    }

    pub(crate) fn list(&self) -> BTreeMap<String, Pulse> {
        self.lock().clone()
    }

    pub(crate) fn set(&self, source: &str, state: SourceState) {
        self.with(source, |pulse| pulse.state = state);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Pulse>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with(&self, source: &str, change: impl FnOnce(&mut Pulse)) {
        let mut known = self.lock();
        if known.len() < SOURCES || known.contains_key(source) {
            change(known.entry(source.to_string()).or_default());
        }
    }

    fn see(&self, update: &Update) {
        match update.channel {
            VenueChannel::Heartbeat => {
                let now = self.clock.now();
                self.with(&update.source, |pulse| {
                    pulse.is_heard = true;
                    pulse.heartbeats += 1;
                    pulse.beat_us = Some(now.mono_us);
                });
            }
            VenueChannel::Status => {
                if let Some(state) = update.json().ok().and_then(|status| state_in(&status)) {
                    self.with(&update.source, |pulse| (pulse.is_heard, pulse.state) = (true, state));
                }
            }
            _ => {}
        }
    }
}

/// Whether any of these sources is to be expected to bring data. A source of a pipeline may be fed under a name that its
/// updates do not have: then it is as the venues are that were heard under names of their own.
pub(crate) fn is_any_live<'a>(
    told: &BTreeMap<String, Pulse>,
    sources: &BTreeMap<String, SourceStats>,
    mut brings: impl Iterator<Item = &'a String>,
) -> bool {
    let is_live = |pulse: &Pulse| pulse.state == SourceState::Live;
    let mut others = told.iter().filter(|(name, pulse)| pulse.is_heard && !sources.contains_key(*name));
    let are_others_live = others.clone().any(|(_, pulse)| is_live(pulse)) || others.next().is_none();
    brings.any(|source| match told.get(source) {
        Some(pulse) => is_live(pulse) && (pulse.is_heard || are_others_live),
        None => are_others_live,
    })
}

/// What a venue's status says, alone or in a list; `None` where it says nothing of the kind.
fn state_in(status: &Value) -> Option<SourceState> {
    let one = status.as_array().and_then(|list| list.last()).unwrap_or(status);
    match one.get("system")?.as_str()? {
        "maintenance" => Some(SourceState::Maintenance),
        _ => Some(SourceState::Live),
    }
}

impl Component for Pulses {
    fn takes(&self, channel: &VenueChannel) -> bool {
        matches!(channel, VenueChannel::Heartbeat | VenueChannel::Status)
    }

    fn handle<'a>(&'a self, update: &'a Arc<Update>) -> Handling<'a> {
        self.see(update);
        Box::pin(std::future::ready(Ok(())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_venues_status_says_whether_data_is_to_be_expected() {
        let state = |text: &str| state_in(&serde_json::from_str(text).unwrap());
        assert_eq!(state(r#"{"system":"maintenance"}"#), Some(SourceState::Maintenance));
        assert_eq!(state(r#"[{"system":"online","version":"2.0.4"}]"#), Some(SourceState::Live));
        assert_eq!(state(r#"{"system":"cancel_only"}"#), Some(SourceState::Live));
        assert_eq!((state("{}"), state("[]"), state("7")), (None, None, None));
    }
}
