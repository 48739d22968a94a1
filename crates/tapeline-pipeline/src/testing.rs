//! Updates and items for tests.

use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

use tapeline_core::clock::Now;
use tapeline_core::feed::{Update, UpdateKind, VenueChannel};
use tapeline_schema::events::DeadLetterReason;

use crate::dead_letters::Letter;
use crate::lanes::Item;

/// A second on both clocks.
pub(crate) fn at(seconds: f64) -> Now {
    let us = (seconds * 1e6) as u64;
    Now { mono_us: us, wall_us: 1_000_000_000 + us }
}

pub(crate) fn update(channel: &str, symbol: &str, number: u64) -> Update {
    Update {
        source: "test".into(),
        channel: VenueChannel::named(channel),
        kind: UpdateKind::Change,
        symbol: Some(symbol.into()),
        data: format!("{{\"n\":{number}}}").into(),
        id: None,
        sequence: Some(number),
        venue_us: None,
        received: at(0.0),
    }
}

pub(crate) fn item(channel: &str, symbol: &str, number: u64) -> Item {
    let mut hasher = foldhash::fast::FixedState::default().build_hasher();
    hasher.write(channel.as_bytes());
    hasher.write(symbol.as_bytes());
    let update = Arc::new(update(channel, symbol, number));
    Item { update, key: hasher.finish(), serial: number, queued_us: 0, past: None }
}

pub(crate) fn letter(channel: &str, number: u64, reason: DeadLetterReason) -> Letter {
    Letter {
        component: "risk".into(),
        reason,
        error: "no".into(),
        attempts: 3,
        first_us: number,
        last_us: number + 1,
        update: Arc::new(update(channel, "BTC/USD", number)),
        redriven: 0,
        history: Vec::new(),
        run: 7,
        serial: number,
    }
}
