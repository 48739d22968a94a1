//! How many tokens of one address were none, and how long the next one waits for that: a few in a minute are free, then
//! the wait grows with each. It looks at no token.

use std::time::Duration;

use tapeline_core::{Now, Refusal};
use tapeline_schema::ErrorCode;

const MINUTE_US: u64 = 60_000_000;
/// The wait after the first that is not free; it doubles with each.
const FIRST_WAIT_US: u64 = 1_000_000;
/// It grows no longer than this: who shares an address with a stranger is not shut out for good.
const LONGEST_WAIT_US: u64 = 60_000_000;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    failed: u32,
    /// When the first of them failed.
    since_us: u64,
    until_us: u64,
}

impl Tokens {
    /// Another one was none; so many in a minute are free.
    pub(super) fn fail(&mut self, limit: u32, now: Now) {
        if now.mono_us >= self.since_us.max(self.until_us).saturating_add(MINUTE_US) {
            *self = Tokens::default();
        }
        if self.failed == 0 {
            self.since_us = now.mono_us;
        }
        self.failed = self.failed.saturating_add(1);
        if let Some(over) = self.failed.checked_sub(limit) {
            let wait =
                FIRST_WAIT_US.checked_shl(over.min(16)).unwrap_or(LONGEST_WAIT_US).min(LONGEST_WAIT_US);
            self.until_us = now.mono_us.saturating_add(wait);
        }
    }

    /// How long the next one has to wait.
    pub(super) fn wait(&self, now: Now) -> Option<Duration> {
        let wait = self.until_us.saturating_sub(now.mono_us);
        (wait > 0).then(|| Duration::from_micros(wait))
    }
}

/// What is told to who has to wait.
pub(super) fn refusal(wait: Duration) -> Refusal {
    let message = "too many tokens of this address were not valid (limits.failed_tokens_per_minute)";
    Refusal::new(ErrorCode::RateLimited, message).retry_after(wait)
}
