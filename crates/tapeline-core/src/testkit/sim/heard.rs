//! What a session has heard under one name: which offsets came or were said to be missing, under which epoch, and what
//! is still owed to it. It keeps book; what must hold of it is the view's.

use std::collections::{BTreeSet, HashMap};

use super::asked::Start;
use crate::message::Epoch;

/// What a session has heard under one name.
#[derive(Default)]
pub(super) struct Heard {
    /// Of the newest frame.
    pub epoch: Option<Epoch>,
    pub got: HashMap<Epoch, BTreeSet<u64>>,
    pub gapped: HashMap<Epoch, BTreeSet<u64>>,
    /// Gaps that came before any frame told the epoch: they may be of any.
    pub guessed: HashMap<Epoch, BTreeSet<u64>>,
    /// Gaps whose epoch the next frame will tell.
    pub gapped_next: BTreeSet<u64>,
    pub voids: HashMap<Epoch, u64>,
    /// Gaps that answer a stale `since`.
    pub expected_voids: Vec<u64>,
    /// Those that came. A subscription that stood beside may be told the same.
    pub answered: BTreeSet<u64>,
    /// Those of them that have to come.
    pub forgotten: Vec<u64>,
    /// Subscriptions that covered it and were ended, and times that older messages were asked for while one stood:
    /// each may bring what had come before, or say again that it is missing.
    pub ended: u32,
    /// Its family has changed since one of those ended, and with it perhaps the lane: what was told of the old count may
    /// still be on its way, behind what is told of the new one.
    pub strays: bool,
    /// The newest offset that the client said it has, by any `since` that was believed.
    pub claimed: HashMap<Epoch, u64>,
    pub newest: Option<(Epoch, u64)>,
    /// When the last two live messages came.
    pub came_us: [u64; 2],
}

impl Heard {
    pub(super) fn tell_epoch(&mut self, epoch: &Epoch) {
        if self.voids.contains_key(epoch) {
            // An old message, out of a roll-up's history.
            return;
        }
        self.epoch = Some(epoch.clone());
        let next = std::mem::take(&mut self.gapped_next);
        self.guessed.entry(epoch.clone()).or_default().extend(next);
    }

    /// A subscription begins. What it begins with comes out of its rate's turn, also where another one stands.
    pub(super) fn begin(&mut self, start: &Start) {
        self.claim(start);
        self.came_us = [0; 2];
    }

    pub(super) fn claim(&mut self, start: &Start) {
        if start.resumed {
            let claimed = self.claimed.entry(start.epoch.clone()).or_default();
            *claimed = start.after.max(*claimed);
        }
    }

    pub(super) fn void(&mut self, epoch: Epoch, from: u64) {
        let void = self.voids.entry(epoch).or_insert(from);
        *void = from.min(*void);
    }

    pub(super) fn has(&self, epoch: &Epoch, offset: u64) -> bool {
        self.got.get(epoch).is_some_and(|got| got.contains(&offset))
            || [&self.gapped, &self.guessed]
                .iter()
                .any(|gapped| gapped.get(epoch).is_some_and(|gapped| gapped.contains(&offset)))
            || self.voids.get(epoch).is_some_and(|from| *from <= offset)
    }
}
