//! The broker over a real Redis.

mod conformance;
