//! Drafts that were published together, on their way to their receipts.

use std::time::{Duration, Instant};

use tapeline_core::broker::Receipts;
use tapeline_core::message::Draft;
use tapeline_core::{Permits, Receipt, Refusal};

use super::seen::Place;

/// A publish waits so long for Redis.
const WITHIN: Duration = Duration::from_secs(2);

/// One draft.
pub(super) struct Slot {
    pub(super) draft: Draft,
    /// It went out and nobody knows what became of it.
    pub(super) sent: bool,
    /// How far its channel was seen to go before it went out.
    pub(super) after: Place,
    pub(super) result: Option<Result<Receipt, Refusal>>,
}

/// See the module.
pub(super) struct Batch {
    /// Its place among all batches.
    pub(super) turn: u64,
    pub(super) slots: Vec<Slot>,
    receipts: Option<Receipts>,
    /// Held until the receipts come, so that publishers wait for room in one place only.
    _permits: Option<Permits>,
    pub(super) deadline: Instant,
}

impl Batch {
    pub(super) fn new(
        turn: u64,
        slots: Vec<Slot>,
        receipts: Option<Receipts>,
        permits: Option<Permits>,
    ) -> Self {
        Batch { turn, slots, receipts, _permits: permits, deadline: Instant::now() + WITHIN }
    }

    /// What has no result yet.
    pub(super) fn open(&mut self) -> impl Iterator<Item = &mut Slot> {
        self.slots.iter_mut().filter(|slot| slot.result.is_none())
    }

    pub(super) fn is_done(&self) -> bool {
        self.slots.iter().all(|slot| slot.result.is_some())
    }

    /// Hands the receipts out.
    pub(super) fn finish(self) {
        if let Some(receipts) = self.receipts {
            receipts(self.slots.into_iter().filter_map(|slot| slot.result).collect());
        }
    }
}
