//! Who consumes: components in a trading process, fed from a source through validation, deduplication, transformation
//! and lanes, each component with queues, a timeout, retries, a breaker and dead letters of its own.
//!
//! A failing or slow component costs the others nothing, and nothing is lost unsaid: of what a component accepted,
//! every message is delivered, conflated, dropped with a cause, dead-lettered or still queued.

pub mod alerts;
mod breaker;
mod call;
pub mod callbacks;
mod cell;
pub mod component;
pub mod config;
pub mod data;
pub mod dead_letters;
mod floor;
pub mod initializer;
mod intake;
mod integrator;
mod lanes;
mod metrics;
pub mod modes;
pub mod monitor;
mod pipeline;
mod redrive;
pub mod registry;
pub mod report;
pub mod roles;
#[cfg(test)]
mod simulation;
mod source;
pub mod sources;
pub mod stats;
#[cfg(test)]
mod testing;
mod thread;
pub mod transform;
mod worker;

pub use cell::Observe;
pub use floor::{NotRedriven, Pushed, Refusal};
pub use initializer::{Complete, Initializer, SystemStatus, quick_setup};
pub use intake::{IntakeConfig, Invalid, Look, Rule, Shape};
pub use integrator::{Integrator, SetupError};
pub use pipeline::{ComponentOptions, Pipeline, PipelineBuilder, PipelineConfig, PipelineError};
pub use redrive::{Redrive, Redriven, Rehearsal};
pub use source::Source;
pub use worker::{Bounds, Happening, Histogram, Latencies, Measure, STAGES, Stage};

/// The Rust of the page is run with the doc tests, so that it can be pasted.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/pipeline.md")]
mod page {}
