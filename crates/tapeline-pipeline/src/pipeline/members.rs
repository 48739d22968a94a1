//! The components that are registered, with their threads.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

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

    /// Waits as long as its call may take, of which so much has passed already.
    fn wait_for_call(&mut self, passed: Duration) {
        let Some(running) = self.running.take() else { return };
        self.running = running.wait(call_limit(&self.cell).saturating_sub(passed)).err();
    }

    /// Starts the thread anew, which was told to end; says whether it still runs, as its call does not come back.
    fn restart(&mut self, floor: &Arc<Floor>) -> io::Result<bool> {
        let has_ended = {
            let mut worker = self.cell.lock();
            worker.restart();
            worker.take_ended()
        };
        // One that has been told to end does so without another call.
        self.running.take_if(|_| has_ended);
        if self.running.is_some() {
            return Ok(true);
        }
        self.cell.lock().take_ended();
        self.running = Some(start(floor.clone(), self.cell.clone(), self.component.clone())?);
        Ok(false)
    }
}

/// How long a component's thread may take to end once it was told to; one that hangs is not waited for.
fn call_limit(cell: &Cell) -> Duration {
    let worker = cell.lock();
    if worker.is_hung() { Duration::ZERO } else { worker.call_timeout().saturating_add(GRACE) }
}

/// Waits for threads for so long, all together, then tells them to end, and waits for their calls, all at the same time
/// too. Some may still be in a call that does not come back.
pub(super) fn wait_all(members: &mut [Member], limit: Duration) {
    let since = Instant::now();
    for member in &mut *members {
        let Some(running) = member.running.take() else { continue };
        member.running = running.wait(limit.saturating_sub(since.elapsed())).err();
    }
    members.iter().for_each(|member| member.end(Ending::Now));
    let since = Instant::now();
    members.iter_mut().for_each(|member| member.wait_for_call(since.elapsed()));
}

/// Threads that were told to end, waited for while others may look at the members.
pub(super) struct Ends(Vec<(Arc<Cell>, Running)>);

impl Ends {
    /// Waits for all of them at the same time; keeps those that still run.
    pub(super) fn wait(self) -> Self {
        let since = Instant::now();
        let still = self.0.into_iter().filter_map(|(cell, running)| {
            let left = call_limit(&cell).saturating_sub(since.elapsed());
            running.wait(left).err().map(|running| (cell, running))
        });
        Ends(still.collect())
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

    /// Tells every thread to end, and hands them out to be waited for.
    pub(super) fn end(&mut self) -> Ends {
        let ends = self.members.values_mut().filter_map(|member| {
            member.end(Ending::Now);
            member.running.take().map(|running| (member.cell.clone(), running))
        });
        Ends(ends.collect())
    }

    /// Starts those anew that have ended; answers who still runs.
    pub(super) fn restart(&mut self, still: Ends, floor: &Arc<Floor>) -> io::Result<Vec<Arc<str>>> {
        let mut ended: Vec<Arc<str>> = self.without_thread();
        for (cell, running) in still.0 {
            if let Some(member) = self.members.get_mut(&cell.name) {
                member.running = Some(running);
                ended.push(cell.name.clone());
            }
        }
        let mut hung = Vec::new();
        for name in ended {
            let Some(member) = self.members.get_mut(&name) else { continue };
            if member.restart(floor)? {
                hung.push(name);
            }
        }
        Ok(hung)
    }

    /// Whose thread was taken out and has ended; who has come meanwhile has one.
    fn without_thread(&self) -> Vec<Arc<str>> {
        let without = self.members.iter().filter(|(_, member)| member.running.is_none());
        without.map(|(name, _)| name.clone()).collect()
    }
}
