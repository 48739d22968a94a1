//! Sets up a pipeline for a bot: finds its components, starts them in a mode, and the monitor with them.
//!
//! | the document | here |
//! |---|---|
//! | `quick_setup_pipeline(ws, bot)` | [`quick_setup`] |
//! | `WebSocketPipelineInitializer(ws, bot)` | [`Initializer::new`] |
//! | `initialize_basic_pipeline()` | [`Initializer::initialize_basic`] |
//! | `initialize_complete_pipeline(…)` | [`Initializer::initialize_complete`] |
//! | `initialize_high_performance_pipeline()` | [`Initializer::initialize_high_performance`] |
//! | `init.integrator`, `init.monitor` | [`Initializer::integrator`], [`Initializer::monitor`] |
//! | `get_system_status()`, `is_healthy()`, `restart_pipeline()` | [`Initializer::system_status`] and so on |
//! | `websocket_manager.set_callback('ticker', cb)` | [`Integrator::set_callback`] |

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use tapeline_core::Clock;
use tapeline_core::feed::VenueChannel;
use tapeline_schema::events::Alert;

use crate::alerts::{AlertSink, LogAlerts};
use crate::config::{AlertConfig, PerformanceConfig, QueueConfig};
use crate::dead_letters::{DeadLetters, MemoryLetters};
use crate::integrator::{Integrator, SetupError};
use crate::modes::{Mode, Monitoring, Settings};
use crate::monitor::{Health, Monitor, MonitorParts, NAME};
use crate::pipeline::{ComponentOptions, Pipeline, PipelineConfig, PipelineError};
use crate::registry::Bot;
use crate::source::Source;
use crate::stats::PipelineStats;

/// A breaker's alert is resolved once it was closed for so many times as long as it opens at first: 30 s.
const RESTS: u32 = 6;

/// What [`Initializer::initialize_complete`] is given; what is left out is as in balanced mode.
#[derive(Clone, Debug, Default)]
pub struct Complete {
    /// `queue_config`.
    pub queue_config: Option<QueueConfig>,
    /// `performance_config`.
    pub performance_config: Option<PerformanceConfig>,
    /// `alert_config`.
    pub alert_config: Option<AlertConfig>,
    /// `enable_monitoring`.
    pub enable_monitoring: Monitoring,
}

/// How everything is (`get_system_status()`).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SystemStatus {
    /// Whether there is a pipeline.
    pub initialized: bool,
    /// See [`Initializer::is_healthy`].
    pub healthy: bool,
    /// The mode's name; empty before it is initialized.
    pub mode: &'static str,
    /// Whether there is a monitor.
    pub monitoring: bool,
    /// Each component, callbacks and the monitor among them.
    pub components: std::collections::BTreeMap<String, Health>,
    /// All counters.
    pub pipeline_stats: PipelineStats,
    /// Alerts that are raised and not resolved.
    pub alerts: Vec<Alert>,
}

/// What runs once it is initialized.
struct Running {
    mode: Mode,
    settings: Settings,
    integrator: Arc<Integrator>,
    monitor: Option<Arc<Monitor>>,
}

/// See the module. Dropped, the pipeline is stopped once nobody else holds it.
pub struct Initializer {
    name: Arc<str>,
    bot: Arc<dyn Bot>,
    clock: Option<Arc<dyn Clock>>,
    /// They outlive a stop.
    letters: Arc<dyn DeadLetters>,
    sinks: Vec<Arc<dyn AlertSink>>,
    running: Mutex<Option<Arc<Running>>>,
}

/// A pipeline in balanced mode for a bot.
///
/// # Errors
/// See [`Initializer::initialize`].
pub fn quick_setup(name: &str, bot: impl Bot + 'static) -> Result<Initializer, SetupError> {
    let initializer = Initializer::new(name, bot);
    initializer.initialize_complete(Complete::default())?;
    Ok(initializer)
}

impl Initializer {
    /// For a bot. The name is that of the pipeline: the source of its alerts and of what is put in through
    /// [`Initializer::source`].
    pub fn new(name: &str, bot: impl Bot + 'static) -> Self {
        Initializer {
            name: name.into(),
            bot: Arc::new(bot),
            clock: None,
            letters: Arc::new(MemoryLetters::default()),
            sinks: vec![Arc::new(LogAlerts)],
            running: Mutex::default(),
        }
    }

    /// Tells alerts to somebody besides the log.
    #[must_use]
    pub fn with_alerts(mut self, sink: impl AlertSink + 'static) -> Self {
        self.sinks.push(Arc::new(sink));
        self
    }

    /// Keeps dead letters there instead of in memory.
    #[must_use]
    pub fn with_dead_letters(self, letters: Arc<dyn DeadLetters>) -> Self {
        Initializer { letters, ..self }
    }

    /// Reads this clock instead of the system's; sources must stamp by it too.
    #[must_use]
    pub fn with_clock(self, clock: Arc<dyn Clock>) -> Self {
        Initializer { clock: Some(clock), ..self }
    }

    /// Basic mode: no monitor.
    ///
    /// # Errors
    /// See [`Initializer::initialize`].
    pub fn initialize_basic(&self) -> Result<(), SetupError> {
        self.initialize(Mode::Basic, Mode::Basic.settings())
    }

    /// Balanced mode, with what is given in place of its numbers.
    ///
    /// # Errors
    /// See [`Initializer::initialize`].
    pub fn initialize_complete(&self, complete: Complete) -> Result<(), SetupError> {
        let balanced = Mode::Balanced.settings();
        let settings = Settings {
            queue: complete.queue_config.unwrap_or(balanced.queue),
            performance: complete.performance_config.unwrap_or(balanced.performance),
            alerts: complete.alert_config.unwrap_or(balanced.alerts),
            monitoring: complete.enable_monitoring,
            ..balanced
        };
        self.initialize(Mode::Balanced, settings)
    }

    /// High-performance mode.
    ///
    /// # Errors
    /// See [`Initializer::initialize`].
    pub fn initialize_high_performance(&self) -> Result<(), SetupError> {
        self.initialize(Mode::HighPerformance, Mode::HighPerformance.settings())
    }

    /// Starts everything with any numbers.
    ///
    /// # Errors
    /// It was done before, or the system has no thread left.
    pub fn initialize(&self, mode: Mode, settings: Settings) -> Result<(), SetupError> {
        let mut running = self.lock();
        if let Some(before) = &*running {
            return Err(SetupError::Twice(before.mode.name()));
        }
        let pipeline = Arc::new(self.pipeline(&settings)?);
        let integrator = Arc::new(Integrator::discover(pipeline.clone(), &*self.bot)?);
        let monitor = match settings.monitoring {
            Monitoring::On => Some(self.monitor_of(&pipeline, &settings)?),
            Monitoring::Off => None,
        };
        *running = Some(Arc::new(Running { mode, settings, integrator, monitor }));
        Ok(())
    }

    fn pipeline(&self, settings: &Settings) -> Result<Pipeline, PipelineError> {
        let mut builder = Pipeline::builder(PipelineConfig {
            queue: settings.queue.clone(),
            performance: settings.performance.clone(),
            retry: settings.retry.clone(),
            breaker: settings.breaker.clone(),
            ..PipelineConfig::default()
        });
        if let Some(clock) = &self.clock {
            builder = builder.clock(clock.clone());
        }
        builder.dead_letters(self.letters.clone()).start()
    }

    fn monitor_of(&self, pipeline: &Arc<Pipeline>, settings: &Settings) -> Result<Arc<Monitor>, SetupError> {
        let monitor = Monitor::new(MonitorParts {
            name: self.name.clone(),
            watched: pipeline.clone(),
            clock: pipeline.clock().clone(),
            performance: settings.performance.clone(),
            alerts: settings.alerts.clone(),
            breaker_rest: settings.breaker.open.saturating_mul(RESTS),
            sinks: self.sinks.clone(),
            memory: None,
        });
        let channels = [VenueChannel::Heartbeat, VenueChannel::Status];
        pipeline.register(NAME, monitor.component(), &channels, ComponentOptions::default())?;
        pipeline.observe(monitor.observer());
        monitor.start().map_err(PipelineError::Thread)?;
        Ok(Arc::new(monitor))
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<Running>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn running(&self) -> Result<Arc<Running>, SetupError> {
        self.lock().clone().ok_or(SetupError::NotYet)
    }

    /// Where components and callbacks are registered.
    ///
    /// # Errors
    /// It is not initialized yet.
    pub fn integrator(&self) -> Result<Arc<Integrator>, SetupError> {
        Ok(self.running()?.integrator.clone())
    }

    /// The monitor; `None` in basic mode, and before it is initialized.
    pub fn monitor(&self) -> Option<Arc<Monitor>> {
        self.running().ok()?.monitor.clone()
    }

    /// The numbers that are in effect; `None` before it is initialized.
    pub fn settings(&self) -> Option<Settings> {
        Some(self.running().ok()?.settings.clone())
    }

    /// Where updates are put in, under the pipeline's own name; other sources are had from the pipeline.
    ///
    /// # Errors
    /// It is not initialized yet.
    pub fn source(&self) -> Result<Source, SetupError> {
        Ok(self.running()?.integrator.pipeline().source(&self.name))
    }

    /// All counters (`get_pipeline_stats()`); zeros before it is initialized.
    pub fn pipeline_stats(&self) -> PipelineStats {
        self.running().map(|running| running.integrator.pipeline().stats()).unwrap_or_default()
    }

    /// Whether it runs, every component takes what comes, and nothing serious is raised.
    pub fn is_healthy(&self) -> bool {
        let Ok(running) = self.running() else { return false };
        let is_calm = running.monitor.as_ref().is_none_or(|monitor| monitor.is_healthy());
        let components = running.integrator.pipeline().stats().components;
        is_calm && components.values().all(|stats| Health::of(stats) == Health::Healthy)
    }

    /// How everything is.
    pub fn system_status(&self) -> SystemStatus {
        let running = self.running().ok();
        let pipeline_stats = self.pipeline_stats();
        let monitor = running.as_ref().and_then(|running| running.monitor.clone());
        let health = |(name, stats): (&String, _)| (name.clone(), Health::of(stats));
        SystemStatus {
            initialized: running.is_some(),
            healthy: self.is_healthy(),
            mode: running.map_or("", |running| running.mode.name()),
            monitoring: monitor.is_some(),
            components: pipeline_stats.components.iter().map(health).collect(),
            alerts: monitor.map(|monitor| monitor.alerts()).unwrap_or_default(),
            pipeline_stats,
        }
    }

    /// Starts every component's thread anew, its breaker closed; lanes outlive their threads, so nothing is lost. Answers
    /// the components that did not come back from a call: they keep their threads.
    ///
    /// # Errors
    /// It is not initialized yet, it is stopped, or the system has no thread left.
    pub fn restart_pipeline(&self) -> Result<Vec<Arc<str>>, SetupError> {
        Ok(self.running()?.integrator.pipeline().restart()?)
    }

    /// Stops it: lets components finish what waits for so long. It can be initialized again.
    pub fn stop(&self, limit: std::time::Duration) -> PipelineStats {
        let running = self.lock().take();
        running.map(|running| running.integrator.pipeline().stop(limit)).unwrap_or_default()
    }
}
