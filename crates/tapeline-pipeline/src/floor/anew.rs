//! The way of a dead letter back into the lanes of its own component.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{Cell, Floor};
use crate::dead_letters::Letter;
use crate::lanes::{Item, Past};
use crate::worker::Worker;

/// Why a letter was not sent anew; it stays where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum NotRedriven {
    /// Its component is not registered.
    #[error("its component is not registered")]
    NoComponent,
    /// It was sent anew before; it has to be named.
    #[error("it was sent anew before, so it has to be named")]
    Again,
    /// Only the newest of its channel and symbol is worth anything, and a newer one has come.
    #[error("a newer one of its channel and symbol has come")]
    Older,
    /// Its lane is full.
    #[error("its lane is full")]
    NoRoom,
    /// As many were sent as may be in this time.
    #[error("the rate of redrives is reached")]
    Later,
    /// Somebody else has taken it meanwhile.
    #[error("it is gone")]
    Gone,
}

impl Floor {
    /// Whether a letter may be sent anew to its component.
    pub(crate) fn may_redrive(&self, cell: &Cell, letter: &Letter) -> Result<(), NotRedriven> {
        if !self.is_open() {
            return Err(NotRedriven::NoComponent);
        }
        // Before the component is locked: a push locks the gate first.
        if self.has_newer(&letter.update, letter.run, letter.serial) {
            return Err(NotRedriven::Older);
        }
        may_take(&cell.lock(), letter)
    }

    /// Sends a letter anew; it is accepted once more. Where it says that it did, the component has it.
    pub(crate) fn redrive(&self, cell: &Cell, letter: &Letter) -> Result<(), NotRedriven> {
        self.may_redrive(cell, letter)?;
        let is_of_this_life = letter.run == self.run;
        let fresh = || self.serials.fetch_add(1, Ordering::Relaxed);
        let past = Past {
            redriven: letter.redriven.saturating_add(1),
            history: letter.history_with_this(),
            ..Past::default()
        };
        let item = Item {
            update: Arc::clone(&letter.update),
            key: self.key(&letter.update),
            serial: if is_of_this_life { letter.serial } else { fresh() },
            queued_us: self.clock.now().mono_us,
            past: Some(Box::new(past)),
        };
        let mut worker = cell.lock();
        // Once more, under the lock under which it is given: meanwhile the component may have been taken out.
        may_take(&worker, letter)?;
        worker.offer(item);
        let wakes = worker.take_idle();
        drop(worker);
        if wakes {
            cell.wake.notify_one();
        }
        Ok(())
    }
}

fn may_take(worker: &Worker, letter: &Letter) -> Result<(), NotRedriven> {
    if worker.is_closed() {
        return Err(NotRedriven::NoComponent);
    }
    if worker.is_full(letter.update.channel.priority().lane()) {
        return Err(NotRedriven::NoRoom);
    }
    Ok(())
}
