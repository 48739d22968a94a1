//! The pipeline: sources on one side, components on the other, each with a thread of its own. It starts, restarts and
//! stops them; what becomes of messages is decided elsewhere.

mod members;
mod settings;

use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tapeline_core::clock::Clock;
use tapeline_core::feed::VenueChannel;
use tapeline_runtime::{SystemClock, random_fraction};

use crate::cell::{Cell, Observe};
use crate::component::Component;
use crate::config::{BreakerConfig, PerformanceConfig, QueueConfig, RetryConfig};
use crate::dead_letters::{DeadLetters, MemoryLetters};
use crate::floor::{Floor, FloorParts};
use crate::intake::IntakeConfig;
use crate::redrive::{Redrive, Redriven, Redrives};
use crate::source::Source;
use crate::stats::{ComponentStats, PipelineStats};
use crate::thread::{Watchdog, start};
use crate::worker::{Bounds, Ending, Latencies, Measure, Worker};
use members::{Member, Members, wait_all};
use settings::check;

/// How often the watchdog looks, at least and at most.
const LOOKS: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(250));

/// What a pipeline is set to.
#[derive(Clone, Debug, Default)]
pub struct PipelineConfig {
    /// Lanes, calls and deduplication.
    pub queue: QueueConfig,
    /// What is measured.
    pub performance: PerformanceConfig,
    /// When a failed call is tried again.
    pub retry: RetryConfig,
    /// When a component is switched off.
    pub breaker: BreakerConfig,
    /// What is let in.
    pub intake: IntakeConfig,
}

/// What is set for one component; what is not, is as for the pipeline.
#[derive(Clone, Debug, Default)]
pub struct ComponentOptions {
    /// Its lanes, and how long a call may take.
    pub queue: Option<QueueConfig>,
    /// When a failed call is tried again.
    pub retry: Option<RetryConfig>,
    /// When it is switched off.
    pub breaker: Option<BreakerConfig>,
    /// See [`Bounds::deadline`].
    pub deadline: Option<Duration>,
}

/// Makes a pipeline.
pub struct PipelineBuilder {
    config: PipelineConfig,
    clock: Arc<dyn Clock>,
    letters: Arc<dyn DeadLetters>,
}

impl PipelineBuilder {
    /// The clock that sources read too.
    #[must_use]
    pub fn clock(self, clock: Arc<dyn Clock>) -> Self {
        PipelineBuilder { clock, ..self }
    }

    /// Where dead letters are kept; in memory, if nothing is said.
    #[must_use]
    pub fn dead_letters(self, letters: Arc<dyn DeadLetters>) -> Self {
        PipelineBuilder { letters, ..self }
    }

    /// Starts it, without components.
    ///
    /// # Errors
    /// A number makes no sense, or the system has no thread left.
    pub fn start(self) -> Result<Pipeline, PipelineError> {
        let PipelineBuilder { config, clock, letters } = self;
        check(&config)?;
        let floor = Arc::new(Floor::new(FloorParts {
            clock,
            letters,
            queue: config.queue.clone(),
            intake: config.intake.clone(),
            run: RandomState::new().hash_one(0),
        }));
        let members = Arc::new(Mutex::new(Members::default()));
        let timeout = Duration::try_from_secs_f64(config.queue.timeout_seconds).unwrap_or(Duration::MAX);
        let (least, most) = LOOKS;
        let watched = members.clone();
        let watchdog = Watchdog::start(floor.clone(), (timeout / 4).clamp(least, most), move || {
            locked(&watched).cells()
        });
        let watchdog = watchdog.map_err(PipelineError::Thread)?;
        Ok(Pipeline {
            config,
            floor,
            redrives: Redrives::default(),
            members,
            lifecycle: Mutex::default(),
            watchdog: Mutex::new(Some(watchdog)),
        })
    }
}

/// Why a pipeline did not do it.
#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    /// Another component has this name.
    #[error("a component named {0} is registered already")]
    NameTaken(Box<str>),
    /// There is no such component.
    #[error("no component is named {0}")]
    Unknown(Box<str>),
    /// A setting's number makes no sense.
    #[error("{name} is {value}; it must be {must}")]
    Setting {
        /// The setting.
        name: &'static str,
        /// Its number.
        value: f64,
        /// What it must be.
        must: &'static str,
    },
    /// It has been stopped.
    #[error("the pipeline is stopped")]
    Stopped,
    /// The system has no thread left.
    #[error("a thread cannot be started: {0}")]
    Thread(#[source] std::io::Error),
}

/// See the module. It is used from any thread, and needs no runtime of its owner. Dropped, it is stopped at once.
pub struct Pipeline {
    config: PipelineConfig,
    floor: Arc<Floor>,
    redrives: Redrives,
    members: Arc<Mutex<Members>>,
    /// Held by who ends threads; the members themselves are locked for a moment only, so that others may look.
    lifecycle: Mutex<()>,
    watchdog: Mutex<Option<Watchdog>>,
}

impl std::fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pipeline").field("config", &self.config).finish_non_exhaustive()
    }
}

fn locked(members: &Mutex<Members>) -> MutexGuard<'_, Members> {
    members.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Pipeline {
    /// Makes one with these settings, the system's clock, and dead letters in memory.
    pub fn builder(config: PipelineConfig) -> PipelineBuilder {
        PipelineBuilder {
            config,
            clock: Arc::new(SystemClock::default()),
            letters: Arc::new(MemoryLetters::default()),
        }
    }

    /// What it was set to.
    pub fn config(&self) -> &PipelineConfig {
        &self.config
    }

    /// The clock that the `received` of updates is read off.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.floor.clock
    }

    /// Where dead letters are kept.
    pub fn dead_letters(&self) -> &Arc<dyn DeadLetters> {
        &self.floor.letters
    }

    /// The source of this name, the same each time: what has come from it before is known again.
    pub fn source(&self, name: &str) -> Source {
        Source::new(self.floor.clone(), self.floor.gate(name))
    }

    /// Has somebody told of what happens, at once.
    pub fn observe(&self, observer: Arc<dyn Observe>) {
        self.floor.observe(observer);
    }

    /// Adds a component, also while updates come in. Those of the channels that it takes are its own from now on; of
    /// the others, it is counted that they were skipped.
    ///
    /// # Errors
    /// The name is taken, a number of its options makes no sense, the pipeline is stopped, or the system has no thread
    /// left.
    pub fn register(
        &self,
        name: &str,
        component: Arc<dyn Component>,
        channels: &[VenueChannel],
        options: ComponentOptions,
    ) -> Result<(), PipelineError> {
        settings::check_options(&options)?;
        let mut members = locked(&self.members);
        if !self.floor.is_open() {
            return Err(PipelineError::Stopped);
        }
        if members.has(name) {
            return Err(PipelineError::NameTaken(name.into()));
        }
        let name: Arc<str> = name.into();
        let worker =
            Worker::new(name.clone(), self.floor.run, self.bounds(options), Box::new(random_fraction));
        let cell = Arc::new(Cell::new(members.next_number(), name, worker));
        let running =
            start(self.floor.clone(), cell.clone(), component.clone()).map_err(PipelineError::Thread)?;
        members.add(Member::new(cell, component, channels, running));
        self.floor.set_routes(members.routes());
        Ok(())
    }

    fn bounds(&self, options: ComponentOptions) -> Bounds {
        let PerformanceConfig { enable_metrics, enable_latency_tracking, max_processing_time_ms, .. } =
            self.config.performance;
        let slow_s = max_processing_time_ms / 1_000.0;
        Bounds {
            queue: options.queue.unwrap_or_else(|| self.config.queue.clone()),
            retry: options.retry.unwrap_or_else(|| self.config.retry.clone()),
            breaker: options.breaker.unwrap_or_else(|| self.config.breaker.clone()),
            slow_after: Duration::try_from_secs_f64(slow_s).unwrap_or(Duration::MAX),
            deadline: options.deadline,
            measure: if enable_metrics && enable_latency_tracking {
                Measure::Latency
            } else {
                Measure::Nothing
            },
        }
    }

    /// Takes a component out. A call under way ends or times out; of what waits, critical messages become dead letters,
    /// others are counted as dropped. Answers its numbers at the end.
    ///
    /// # Errors
    /// There is no such component.
    pub fn unregister(&self, name: &str) -> Result<ComponentStats, PipelineError> {
        let _one = self.lifecycle();
        let mut members = locked(&self.members);
        let mut member = members.take(name).ok_or_else(|| PipelineError::Unknown(name.into()))?;
        self.floor.set_routes(members.routes());
        drop(members);
        member.cell.lock().close();
        wait_all(std::slice::from_mut(&mut member), Duration::ZERO);
        Ok(self.finish(&member))
    }

    /// What has been counted.
    pub fn stats(&self) -> PipelineStats {
        let sources = self.floor.source_stats();
        let components = locked(&self.members).cells();
        let components = components.iter().map(|cell| (cell.name.to_string(), cell.lock().stats())).collect();
        let messages_processed = sources.values().map(|source| source.accepted).sum();
        PipelineStats { messages_processed, sources, components }
    }

    /// How long messages have taken so far, by component; empty where it is not measured.
    pub fn latencies(&self) -> Vec<(Arc<str>, Latencies)> {
        let cells = locked(&self.members).cells();
        let of = |cell: &Arc<Cell>| Some((cell.name.clone(), cell.lock().latencies()?.clone()));
        cells.iter().filter_map(of).collect()
    }

    /// Sends dead letters anew, each to the component that it was for, through its lanes. Never by itself, and one that
    /// was sent anew before only where it is named.
    pub fn redrive(&self, redrive: &Redrive) -> Redriven {
        let cells = locked(&self.members).cells();
        self.redrives.run(redrive, &self.floor, &cells)
    }

    fn lifecycle(&self) -> MutexGuard<'_, ()> {
        self.lifecycle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends every component's thread and starts it anew, its breaker closed. Calls under way end or time out. Lanes
    /// outlive their threads, so nothing is lost, and sources go on meanwhile. A component that hangs keeps its thread:
    /// calls of one component come one after the other. Answers who that is.
    ///
    /// # Errors
    /// The pipeline is stopped, or the system has no thread left.
    pub fn restart(&self) -> Result<Vec<Arc<str>>, PipelineError> {
        let _one = self.lifecycle();
        if !self.floor.is_open() {
            return Err(PipelineError::Stopped);
        }
        let ends = locked(&self.members).end();
        let still = ends.wait();
        let hung = locked(&self.members).restart(still, &self.floor).map_err(PipelineError::Thread)?;
        self.floor.tell_room();
        Ok(hung)
    }

    /// Takes nothing in any more, lets components finish what waits for so long, and ends their threads. Of what still
    /// waits then, critical messages become dead letters, others are counted as dropped. Answers the numbers at the
    /// end: what is still queued are critical messages for which there was no room even as dead letters.
    pub fn stop(&self, limit: Duration) -> PipelineStats {
        self.floor.close();
        let _one = self.lifecycle();
        let mut members = locked(&self.members).take_all();
        for member in &members {
            member.end(Ending::Drained);
        }
        wait_all(&mut members, limit);
        let mut stats = PipelineStats { sources: self.floor.source_stats(), ..self.stats() };
        for member in &members {
            stats.components.insert(member.cell.name.to_string(), self.finish(member));
        }
        self.watchdog.lock().unwrap_or_else(PoisonError::into_inner).take();
        stats
    }

    /// Gives up what still waits for a component, whose thread has been waited for.
    fn finish(&self, member: &Member) -> ComponentStats {
        let now = || self.floor.clock.now();
        let letters = &*self.floor.letters;
        let mut worker = member.cell.lock();
        worker.close();
        if let Some((id, _)) = worker.under_way() {
            worker.on_hung(id, now(), letters);
        }
        worker.give_up_all(now(), letters);
        let (stats, happenings) = (worker.stats(), worker.take_happenings());
        drop(worker);
        self.floor.tell(&member.cell.name, happenings);
        self.floor.tell_room();
        stats
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        self.stop(Duration::ZERO);
    }
}
