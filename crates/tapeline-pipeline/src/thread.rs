//! A component's thread: asks what is next, calls, and says how it ended. And the watchdog, which sees calls that do
//! not come back. Neither decides anything.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use tapeline_core::clock::micros;
use tokio::runtime::Builder;

use crate::call::call;
use crate::cell::Cell;
use crate::component::Component;
use crate::floor::Floor;
use crate::worker::{CallId, Step};

/// The longest wait at a stretch: a clock that is handed in may leap.
const LONGEST_WAIT: Duration = Duration::from_millis(50);
/// Calls in a row that were over at once, after which what the component has spawned gets its turn.
const YIELD_AFTER: u32 = 64;

/// A running thread. Its end can be waited for.
pub(crate) struct Running {
    join: JoinHandle<()>,
    ended: Receiver<()>,
}

impl Running {
    /// Waits for its end for so long; gives it back if it is still running.
    pub(crate) fn wait(self, limit: Duration) -> Result<(), Running> {
        match self.ended.recv_timeout(limit) {
            Err(RecvTimeoutError::Timeout) => Err(self),
            _ => {
                // It catches panics of its component, and does not panic itself.
                let _ = self.join.join();
                Ok(())
            }
        }
    }
}

/// Starts a component's thread.
pub(crate) fn start(
    floor: Arc<Floor>,
    cell: Arc<Cell>,
    component: Arc<dyn Component>,
) -> io::Result<Running> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let (alive, ended) = sync_channel(1);
    let name = format!("pipe {}", cell.name);
    let join = tapeline_runtime::spawn(&name, move || {
        runtime.block_on(run(&floor, &cell, &*component));
        // Dropped, it would wait without limit for blocking work that the component has begun.
        runtime.shutdown_background();
        drop(alive);
    })?;
    Ok(Running { join, ended })
}

async fn run(floor: &Floor, cell: &Cell, component: &dyn Component) {
    let limit = cell.lock().call_timeout();
    let mut done = None;
    let mut calls = 0_u32;
    loop {
        let now = floor.clock.now();
        match floor.step(cell, done.take(), now) {
            Step::Call { id, update } => {
                done = Some((id, call(component, &update, limit).await));
                calls += 1;
                if calls.is_multiple_of(YIELD_AFTER) {
                    tokio::task::yield_now().await;
                }
            }
            Step::Wait { until_us } => {
                let wait = Duration::from_micros(until_us.saturating_sub(now.mono_us)).min(LONGEST_WAIT);
                let _ = tokio::time::timeout(wait, cell.wake.notified()).await;
            }
            Step::Idle => {
                cell.wake.notified().await;
                // Where the source shares this core it goes on first, and many messages cost one wake-up.
                std::thread::yield_now();
            }
            Step::End => return,
        }
    }
}

/// Looks at all components again and again until it is dropped.
pub(crate) struct Watchdog {
    stop: Option<SyncSender<()>>,
    join: Option<JoinHandle<()>>,
}

impl Watchdog {
    /// `cells` says whom to look at.
    pub(crate) fn start(
        floor: Arc<Floor>,
        every: Duration,
        cells: impl Fn() -> Vec<Arc<Cell>> + Send + 'static,
    ) -> io::Result<Self> {
        let (stop, stopped) = sync_channel(1);
        let join = tapeline_runtime::spawn("pipe watchdog", move || {
            let mut late = HashMap::new();
            while stopped.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
                late = look(&floor, &cells(), &late);
            }
        })?;
        Ok(Watchdog { stop: Some(stop), join: Some(join) })
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(join) = self.join.take() {
            let _ = join.join();
        }
    }
}

/// A call is given up when two looks in a row find it too late: a clock that leaps, or a machine that was asleep, is
/// not the component's fault.
pub(crate) fn look(floor: &Floor, cells: &[Arc<Cell>], late: &HashMap<u64, CallId>) -> HashMap<u64, CallId> {
    let now = floor.clock.now();
    let mut still = HashMap::new();
    for cell in cells {
        let Some(id) = late_call(cell, now.mono_us) else { continue };
        if late.get(&cell.number) == Some(&id) {
            floor.on_hung(cell, id, now);
        } else {
            still.insert(cell.number, id);
        }
    }
    still
}

/// A call that is over its time, and half of it more: one that awaits has been dropped by then.
fn late_call(cell: &Cell, now_us: u64) -> Option<CallId> {
    let worker = cell.lock();
    let (id, since_us) = worker.under_way()?;
    let limit_us = micros(worker.call_timeout());
    (now_us.saturating_sub(since_us) > limit_us.saturating_add(limit_us / 2)).then_some(id)
}
