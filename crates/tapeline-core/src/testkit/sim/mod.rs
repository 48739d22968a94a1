//! The simulator: many short worlds, each a hub with everything random that a seed decides: who publishes, who reads
//! how slowly, whose answer comes late, which shard runs next. What clients receive, as bytes, is held against a
//! naive model. A failure names the seed and the step and happens again with them.
#![expect(clippy::indexing_slicing, reason = "a simulator that runs off its own arrays should stop")]

mod asked;
mod complete;
mod finish;
mod gaps;
mod heard;
mod host;
mod inboxes;
mod late;
mod model;
mod plan;
mod redeclare;
mod requests;
mod tables;
mod view;
mod wire;
mod world;

use std::fmt;
use std::sync::Arc;

use crate::broker::Broker;
use crate::clock::Clock;
use crate::testkit::Rng;

/// A broker to be attacked.
pub struct Opened {
    /// Itself, not yet attached.
    pub broker: Arc<dyn Broker>,
    /// Has it forget at once what it may forget.
    pub sweep: Box<dyn Fn()>,
}

/// Opens a broker that reads this clock; the seed makes its epochs.
pub type Opener<'a> = &'a dyn Fn(Arc<dyn Clock>, u64) -> Opened;

/// A promise that was not kept.
#[derive(Clone, Debug)]
pub struct Violation {
    /// The world's seed.
    pub seed: u64,
    /// After so many steps.
    pub step: usize,
    /// Which.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seed {}, step {}: {}", self.seed, self.step, self.what)
    }
}

/// The seed of a run's world of this number; the first world has the run's own seed.
pub fn world_seed(seed: u64, number: u64) -> u64 {
    if number == 0 { seed } else { Rng::new(seed ^ number.wrapping_mul(0x9e37_79b9)).number() >> 16 }
}

/// How worlds are run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Tell what happens on standard error.
    pub trace: bool,
}

/// Runs one world to its end; answers how many steps it took.
pub fn run_world(seed: u64, open: Opener<'_>, options: Options) -> Result<usize, Violation> {
    let mut world = world::World::new(seed, open, options);
    let steps = world.plan.steps;
    let violation = |step, what| Violation { seed, step, what };
    for step in 0..steps {
        world.say(|| format!("step {step}"));
        world.step().map_err(|what| violation(step, what))?;
    }
    world.finish().map_err(|what| violation(steps, what))?;
    Ok(steps)
}
