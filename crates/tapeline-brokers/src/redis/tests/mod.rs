//! The broker over a real Redis.

mod conformance;
mod doubts;
mod nodes;
mod outages;
mod owning;
mod support;
