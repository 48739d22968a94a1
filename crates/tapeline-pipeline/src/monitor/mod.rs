//! Looks at a pipeline every now and then: keeps what it saw for a minute, measures, judges the rules, and has alerts told
//! once when they are raised and once when they are resolved. It counts nothing itself, and nothing that it does goes
//! through the pipeline.

mod core;
mod measure;
mod memory;
mod pulse;
mod rules;
#[cfg(test)]
mod tests;
mod window;

use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::cell::Observe;
use crate::component::Component;
use crate::pipeline::Pipeline;
use crate::report::Report;
use crate::stats::PipelineStats;
use crate::worker::{Happening, Latencies};
pub use core::{AlertCount, MonitorParts};
pub(crate) use core::{Core, History};
pub use measure::{Health, Metrics, Spread};
pub(crate) use measure::{LANE_NAMES, rates};
pub use memory::MB;
pub use pulse::{NAME, Pulse, SourceState};
pub use rules::{
    About, DEAD_LETTER_AGE_SECONDS, DEAD_LETTERS_IN_A_WINDOW, Rule, SLOW_CALLS_PERCENT, Severity,
};

/// What happens at once may ask for a look, but not more often than this.
const SOONEST: Duration = Duration::from_millis(100);

/// What a monitor looks at.
pub trait Watched: Send + Sync {
    /// All counters.
    fn stats(&self) -> PipelineStats;
    /// Times by component; empty where nothing is timed.
    fn latencies(&self) -> Vec<(Arc<str>, Latencies)>;
    /// The dead letters that are kept.
    fn kept(&self) -> crate::dead_letters::Kept;
}

impl Watched for Pipeline {
    fn stats(&self) -> PipelineStats {
        Pipeline::stats(self)
    }

    fn latencies(&self) -> Vec<(Arc<str>, Latencies)> {
        Pipeline::latencies(self)
    }

    fn kept(&self) -> crate::dead_letters::Kept {
        self.dead_letters().kept()
    }
}

/// See the module. Dropped, it looks no more.
pub struct Monitor {
    core: Arc<Core>,
    waker: Arc<Waker>,
    thread: Mutex<Option<(Arc<Stop>, JoinHandle<()>)>>,
    woken: Mutex<Option<Receiver<()>>>,
}

#[derive(Default)]
struct Stop(std::sync::atomic::AtomicBool);

/// Asks for a look at once.
struct Waker(SyncSender<()>);

impl Observe for Waker {
    fn on_happening(&self, _component: &str, _happening: Happening) {
        self.wake();
    }
}

impl Waker {
    fn wake(&self) {
        // A look that is asked for already, or nobody who looks: both are well.
        let (Ok(()) | Err(TrySendError::Full(()) | TrySendError::Disconnected(()))) = self.0.try_send(());
    }
}

impl Monitor {
    /// A monitor that looks when it is told to.
    pub fn new(parts: MonitorParts) -> Self {
        let (asked, woken) = sync_channel(1);
        Monitor {
            core: Arc::new(Core::new(parts)),
            waker: Arc::new(Waker(asked)),
            thread: Mutex::default(),
            woken: Mutex::new(Some(woken)),
        }
    }

    /// Looks by itself from now on, on a thread of its own; where nothing is to be measured, it does not.
    ///
    /// # Errors
    /// The system has no thread left.
    pub fn start(&self) -> io::Result<()> {
        let woken = self.woken.lock().unwrap_or_else(PoisonError::into_inner).take();
        let (true, Some(woken)) = (self.core.is_on(), woken) else { return Ok(()) };
        let (core, stop) = (self.core.clone(), Arc::<Stop>::default());
        let stopped = stop.clone();
        let join = tapeline_runtime::spawn("pipe monitor", move || run(&core, &woken, &stopped))?;
        *self.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some((stop, join));
        Ok(())
    }

    /// Takes a look now: measures, and tells alerts.
    pub fn look(&self) {
        self.core.look();
    }

    /// What takes heartbeats and venues' states; registered under [`NAME`].
    pub fn component(&self) -> Arc<dyn Component> {
        self.core.pulses.clone()
    }

    /// What asks for a look when something happens; for [`Pipeline::observe`].
    pub fn observer(&self) -> Arc<dyn Observe> {
        self.waker.clone()
    }

    /// Says whether a source is to be expected to bring data: without, [`Rule::Throughput`] is silent about it. A venue's
    /// own status says it too.
    pub fn set_source_state(&self, source: &str, state: SourceState) {
        self.core.pulses.set(source, state);
    }

    /// What is measured, what was measured before, and all parts (`get_performance_report` in the document).
    pub fn performance_report(&self) -> Report {
        self.core.report()
    }

    /// Writes [`Monitor::performance_report`] to a file as JSON; the file is the old one or the new one, never a part.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn export_performance_data(
        &self,
        path: impl AsRef<std::path::Path>,
    ) -> Result<(), crate::report::ExportError> {
        self.performance_report().export(path.as_ref())
    }

    /// All numbers for Prometheus, in OpenMetrics 1.0.
    pub fn metrics_text(&self) -> String {
        crate::metrics::text(&self.core)
    }

    /// Alerts that are raised and not resolved.
    pub fn alerts(&self) -> Vec<tapeline_schema::events::Alert> {
        self.core.raised().into_iter().map(|(_, alert)| alert).collect()
    }

    /// Whether nothing serious is raised; see [`Rule::severity`].
    pub fn is_healthy(&self) -> bool {
        self.core.raised().iter().all(|(rule, _)| rule.severity() == Severity::Warning)
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((stop, join)) = thread {
            stop.0.store(true, std::sync::atomic::Ordering::Release);
            self.waker.wake();
            // It has no answer, and what it could panic of was logged.
            let _ = join.join();
        }
    }
}

fn run(core: &Core, woken: &Receiver<()>, stop: &Stop) {
    let interval = core.interval();
    let is_stopped = || stop.0.load(std::sync::atomic::Ordering::Acquire);
    while !is_stopped() {
        core.look();
        // At first only so that there is something to compare with.
        match woken.recv_timeout(interval) {
            Err(RecvTimeoutError::Disconnected) => return,
            Ok(()) if !is_stopped() => std::thread::sleep(SOONEST.min(interval)),
            _ => {}
        }
    }
}
