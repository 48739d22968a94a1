//! Who consumes: components in a trading process, fed from a source through validation, deduplication, transformation
//! and lanes, each component with queues, a timeout, retries, a breaker and dead letters of its own.
//!
//! A failing or slow component costs the others nothing, and nothing is lost unsaid: of what a component accepted,
//! every message is delivered, conflated, dropped with a cause, dead-lettered or still queued.

pub mod component;
pub mod config;
pub mod data;
pub mod roles;
pub mod stats;
pub mod transform;
