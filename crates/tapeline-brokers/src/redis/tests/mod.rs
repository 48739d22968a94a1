//! The broker over a real Redis.

mod conformance;
mod nodes;
mod outages;
mod support;
