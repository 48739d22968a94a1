//! How many wrong tokens came from one address: so many a minute are looked at, and whoever goes on must wait. What is
//! remembered is bounded; a sender that has long been silent is forgotten.

use std::net::IpAddr;
use std::time::Duration;

use tapeline_core::Now;

use crate::generations::Generations;

const MINUTE_US: u64 = 60_000_000;
/// Senders of one half.
const SENDERS: usize = 32_768;

/// See the module. Each sender has one moment (GCRA): when all that it did wrong will be forgotten.
#[derive(Debug)]
pub(crate) struct Failures {
    forgotten_at: Generations<IpAddr, u64>,
}

impl Default for Failures {
    fn default() -> Self {
        Failures { forgotten_at: Generations::new(SENDERS) }
    }
}

impl Failures {
    /// How long the sender has to wait, if it has to.
    pub(crate) fn wait(&mut self, sender: IpAddr, a_minute: u32, now: Now) -> Option<Duration> {
        if a_minute == 0 {
            return None;
        }
        let forgotten_at = *self.forgotten_at.find(&sender)?;
        let each = MINUTE_US / u64::from(a_minute);
        // There must be room for one more within the minute.
        let over = (forgotten_at + each).saturating_sub(now.mono_us.saturating_add(MINUTE_US));
        (over > 0).then(|| Duration::from_micros(over))
    }

    /// Something wrong came from the sender.
    pub(crate) fn count(&mut self, sender: IpAddr, a_minute: u32, now: Now) {
        if a_minute == 0 {
            return;
        }
        let each = MINUTE_US / u64::from(a_minute);
        let before = self.forgotten_at.find(&sender).map_or(0, |at| *at);
        self.forgotten_at.insert(sender, before.max(now.mono_us).saturating_add(each));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(mono_us: u64) -> Now {
        Now { mono_us, wall_us: 0 }
    }

    #[test]
    fn ten_wrong_tokens_a_minute_are_looked_at_and_the_next_waits() {
        let (one, other): (IpAddr, IpAddr) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        let mut failures = Failures::default();
        for _ in 0..10 {
            assert_eq!(failures.wait(one, 10, at(0)), None);
            failures.count(one, 10, at(0));
        }
        assert_eq!(failures.wait(one, 10, at(0)), Some(Duration::from_secs(6)));
        assert_eq!(failures.wait(one, 10, at(5_000_000)), Some(Duration::from_secs(1)));
        assert_eq!(failures.wait(one, 10, at(6_000_000)), None, "one more each six seconds");
        assert_eq!(failures.wait(other, 10, at(0)), None, "others do not wait");
        assert_eq!(failures.wait(one, 0, at(0)), None, "0 is no limit");
    }

    #[test]
    fn a_million_senders_take_bounded_memory() {
        let mut failures = Failures::default();
        for number in 0..1_000_000_u32 {
            failures.count(IpAddr::V4(number.into()), 10, at(1));
        }
        assert!(failures.forgotten_at.len() <= 2 * SENDERS);
    }
}
