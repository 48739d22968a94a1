//! What Tapeline is tested with: a seeded simulator that attacks the pure core, the naive model it is compared
//! with, and the conformance suites that message brokers and stores run.
//!
//! Time and randomness are handed in here too, so a seed is a whole run. Nothing here is part of a hub.

mod clock;
mod inbox;
mod lines;
mod rng;
pub mod sim;
pub mod stores;
pub mod suite;

pub use clock::ManualClock;
pub use inbox::RoomyInbox;
pub use lines::{LINES, Lines, OpenSocket};
pub use rng::Rng;
