//! Who consumes: components in a trading process, fed from a source through validation, deduplication, transformation
//! and lanes, each component with queues, a timeout, retries, a breaker and dead letters of its own.
//!
//! A failing or slow component costs the others nothing, and nothing is lost unsaid: of what a component accepted,
//! every message is delivered, conflated, dropped with a cause, dead-lettered or still queued.

mod breaker;
mod call;
mod cell;
pub mod component;
pub mod config;
pub mod dead_letters;
mod floor;
mod intake;
mod lanes;
mod pipeline;
mod redrive;
#[cfg(test)]
mod simulation;
mod source;
pub mod stats;
#[cfg(test)]
mod testing;
mod thread;
mod worker;

pub use cell::Observe;
pub use floor::{NotRedriven, Pushed, Refusal};
pub use intake::{IntakeConfig, Invalid, Look, Rule, Shape};
pub use pipeline::{ComponentOptions, Pipeline, PipelineBuilder, PipelineConfig, PipelineError};
pub use redrive::{Redrive, Redriven, Rehearsal};
pub use source::Source;
pub use worker::{Bounds, Happening, Histogram, Latencies, Measure, STAGES, Stage};
