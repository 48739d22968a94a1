//! Dead letters sent anew: which, how many at a time, and what became of each. A letter leaves its store once it
//! is in its component's lane. From there it is as any message that waits: given up again, it is a letter again, but a
//! crash before its end loses it, as lanes are in memory only.

use std::sync::{Arc, Mutex, PoisonError};

use tapeline_core::clock::Now;

use crate::cell::Cell;
use crate::dead_letters::{Filter, Letter, LetterId};
use crate::floor::{Floor, NotRedriven};

const SECOND_US: f64 = 1e6;

/// Whether letters are sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rehearsal {
    /// They are only looked at.
    #[default]
    Dry,
    /// They are.
    Real,
}

/// What to send anew.
#[derive(Clone, Debug, PartialEq)]
pub struct Redrive {
    /// Which letters.
    pub filter: Filter,
    /// So many at most, the oldest first.
    pub most: usize,
    /// Letters a second, over all redrives of a pipeline. A second's worth may go at once; the others stay.
    pub per_second: u32,
    /// Whether they are sent.
    pub rehearsal: Rehearsal,
}

impl Default for Redrive {
    fn default() -> Self {
        Redrive { filter: Filter::default(), most: 1_000, per_second: 100, rehearsal: Rehearsal::Dry }
    }
}

/// What became of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Redriven {
    /// Sent, or in a dry run: would have been.
    pub sent: Vec<LetterId>,
    /// Not sent, and why.
    pub kept: Vec<(LetterId, NotRedriven)>,
}

/// One redrive at a time, and how many more may be sent now.
#[derive(Default)]
pub(crate) struct Redrives {
    state: Mutex<Rate>,
}

#[derive(Default)]
struct Rate {
    left: f64,
    at_us: Option<u64>,
}

impl Rate {
    fn refill(&mut self, per_second: u32, now: Now) {
        let most = f64::from(per_second.max(1));
        let passed_us = self.at_us.map(|at_us| now.mono_us.saturating_sub(at_us));
        let more = passed_us.map_or(most, |us| most * (us as f64 / SECOND_US));
        self.left = (self.left + more).min(most);
        self.at_us = Some(now.mono_us);
    }

    fn take(&mut self) -> Result<(), NotRedriven> {
        if self.left < 1.0 {
            return Err(NotRedriven::Later);
        }
        self.left -= 1.0;
        Ok(())
    }
}

impl Redrives {
    pub(crate) fn run(&self, redrive: &Redrive, floor: &Floor, cells: &[Arc<Cell>]) -> Redriven {
        let mut rate = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        rate.refill(redrive.per_second, floor.clock.now());
        let mut redriven = Redriven::default();
        for (id, letter) in floor.letters.list(&redrive.filter, redrive.most) {
            match send(redrive, floor, cells, id, &letter, &mut rate) {
                Ok(()) => redriven.sent.push(id),
                Err(why) => redriven.kept.push((id, why)),
            }
        }
        redriven
    }
}

fn send(
    redrive: &Redrive,
    floor: &Floor,
    cells: &[Arc<Cell>],
    id: LetterId,
    letter: &Letter,
    rate: &mut Rate,
) -> Result<(), NotRedriven> {
    let cell = cells.iter().find(|cell| cell.name == letter.component).ok_or(NotRedriven::NoComponent)?;
    if letter.redriven > 0 && redrive.filter.id != Some(id) {
        return Err(NotRedriven::Again);
    }
    floor.may_redrive(cell, letter)?;
    if redrive.rehearsal == Rehearsal::Dry {
        return Ok(());
    }
    rate.take()?;
    floor.redrive(cell, letter)?;
    // Others take letters out only to throw them away; this one has its component again either way.
    floor.letters.take(id).map(drop).ok_or(NotRedriven::Gone)
}
