//! The components that are registered, with their threads.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tapeline_core::feed::VenueChannel;

use crate::cell::Cell;
use crate::component::Component;
use crate::floor::{Floor, Routes, Taker};
use crate::thread::{Running, start};
use crate::worker::Ending;

/// What a thread gets beyond the time of its call to end.
const GRACE: Duration = Duration::from_millis(250);

/// One component.
pub(super) struct Member {
    pub(super) cell: Arc<Cell>,
    component: Arc<dyn Component>,
    taker: Taker,
    running: Option<Running>,
}

impl Member {
    pub(super) fn new(
        cell: Arc<Cell>,
        component: Arc<dyn Component>,
        channels: &[VenueChannel],
        running: Running,
    ) -> Self {
        // Named twice it is still taken once: a route that has a cell twice would lock it twice.
        let mut once: Vec<VenueChannel> = Vec::with_capacity(channels.len());
        for channel in channels {
            if !once.contains(channel) {
                once.push(channel.clone());
            }
        }
        let (takes, skips) = once.into_iter().partition(|channel| component.takes(channel));
        let taker = Taker { cell: cell.clone(), takes, skips };
        Member { cell, component, taker, running: Some(running) }
    }

    pub(super) fn end(&self, ending: Ending) {
        self.cell.lock().end(ending);
        self.cell.wake.notify_one();
    }

    /// Waits for the thread for so long, then tells it to end; it may still be in a call that does not come back.
    pub(super) fn wait(&mut self, limit: Duration) {
        let Some(running) = self.running.take() else { return };
        self.running = running.wait(limit).err();
        self.end(Ending::Now);
        self.wait_for_call();
    }

    /// Waits for the thread as long as its call may take.
    fn wait_for_call(&mut self) {
        let Some(running) = self.running.take() else { return };
        let worker = self.cell.lock();
        let limit =
            if worker.is_hung() { Duration::ZERO } else { worker.call_timeout().saturating_add(GRACE) };
        drop(worker);
        self.running = running.wait(limit).err();
    }

    /// Starts the thread anew, which was told to end; says whether it still runs, as its call does not come back.
    fn restart(&mut self, floor: &Arc<Floor>) -> io::Result<bool> {
        self.wait_for_call();
        let has_ended = {
            let mut worker = self.cell.lock();
            worker.restart();
            worker.take_ended()
        };
        if let Some(running) = self.running.take_if(|_| has_ended) {
            // It has been told to end, and does so without another call.
            self.running = running.wait(Duration::MAX).err();
        }
        if self.running.is_some() {
            return Ok(true);
        }
        self.cell.lock().take_ended();
        self.running = Some(start(floor.clone(), self.cell.clone(), self.component.clone())?);
        Ok(false)
    }
}

/// See the module.
#[derive(Default)]
pub(super) struct Members {
    members: BTreeMap<Arc<str>, Member>,
    numbers: u64,
}

impl Members {
    pub(super) fn has(&self, name: &str) -> bool {
        self.members.contains_key(name)
    }

    pub(super) fn next_number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    pub(super) fn add(&mut self, member: Member) {
        self.members.insert(member.cell.name.clone(), member);
    }

    pub(super) fn take(&mut self, name: &str) -> Option<Member> {
        self.members.remove(name)
    }

    pub(super) fn take_all(&mut self) -> Vec<Member> {
        std::mem::take(&mut self.members).into_values().collect()
    }

    pub(super) fn cells(&self) -> Vec<Arc<Cell>> {
        self.members.values().map(|member| member.cell.clone()).collect()
    }

    pub(super) fn routes(&self) -> Routes {
        Routes::new(self.members.values().map(|member| member.taker.clone()).collect())
    }

    pub(super) fn end(&self, ending: Ending) {
        self.members.values().for_each(|member| member.end(ending));
    }

    pub(super) fn restart(&mut self, floor: &Arc<Floor>) -> io::Result<Vec<Arc<str>>> {
        let mut hung = Vec::new();
        for (name, member) in &mut self.members {
            if member.restart(floor)? {
                hung.push(name.clone());
            }
        }
        Ok(hung)
    }
}
