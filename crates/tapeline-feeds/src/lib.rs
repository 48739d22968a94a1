//! Who speaks to exchanges: feeds, recordings, the synthetic market.

pub mod alerts;
pub mod book;
pub mod futu;
mod given_up;
pub mod intake;
pub mod kraken;
pub mod live;
pub mod map;
pub mod publisher;
mod random;
pub mod replay;
pub mod runner;
pub mod synthetic;
pub mod venue;
