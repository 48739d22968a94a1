//! Looks at how much memory the process has in use, and sets the step by which the hub refuses work. What is refused on
//! which step is core's to know; how it is said to operators is here.

use std::sync::Arc;
use std::time::Duration;

use tapeline_core::pressure::Pressure;
use tapeline_schema::ops::MemoryStats;

use crate::app::App;
use crate::process;

/// How often it looks.
const LOOK: Duration = Duration::from_secs(1);

impl App {
    /// Looks until it is dropped.
    pub async fn watch_memory(self: Arc<Self>) {
        let mut looks = tokio::time::interval(LOOK);
        loop {
            looks.tick().await;
            self.look_at_memory();
        }
    }

    fn look_at_memory(&self) {
        // Elsewhere than on Linux nobody says it.
        let Some(bytes) = process::resident_bytes() else { return };
        let limit = self.hub.settings().memory_bytes as u64;
        let (before, now) = self.hub.pressure().read(bytes, limit);
        match (before, now) {
            (before, now) if before == now => {}
            (_, 0) => {
                tracing::info!(bytes, limit, "memory is below its limit again; nothing is refused for it")
            }
            (_, step) => {
                tracing::warn!(
                    bytes,
                    limit,
                    "memory is over its limit (limits.memory_bytes): {}",
                    refused(step)
                );
            }
        }
    }

    pub(crate) fn memory(&self) -> MemoryStats {
        MemoryStats {
            bytes: process::resident_bytes().unwrap_or_default(),
            limit_bytes: self.hub.settings().memory_bytes as u64,
            step: self.hub.pressure().step(),
        }
    }
}

/// What is refused on a step.
pub(crate) fn refused(step: u8) -> &'static str {
    match step {
        0 => "nothing is refused",
        1 => "new sessions and publishes of low priority are refused",
        2 => "new sessions and publishes of low and medium priority are refused",
        Pressure::MOST.. => "new sessions and all publishes but critical ones are refused",
    }
}
