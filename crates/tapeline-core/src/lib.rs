//! How a message moves: from a draft through the broker into shards, outboxes and, as bytes, towards sockets.
//!
//! This crate owns no socket, file, task or clock. Time, randomness and I/O are handed in, so that the whole
//! of it runs inside the simulator (`testkit`) exactly as it runs inside a hub.

pub mod audience;
pub mod board;
pub mod broker;
mod catch_up;
pub mod channel;
pub mod clock;
pub mod command;
pub mod crowd;
pub mod dead_letters;
mod delays;
pub mod directory;
mod drafting;
mod draining;
mod epoch;
mod epoch_change;
pub mod error;
pub mod families;
pub mod feed;
pub mod hub;
pub mod identifying;
pub mod incidents;
pub mod inspect;
mod kept;
pub mod lanes;
pub mod message;
pub mod network;
mod note;
pub mod outbox;
pub mod owner;
pub mod presence;
pub mod pressure;
mod publishing;
pub mod rates;
pub mod registry;
mod renewing;
pub mod reply;
mod returning;
mod rhythm;
pub mod rights;
mod router;
mod routing;
pub mod session;
pub mod settings;
pub mod shard;
mod shedding;
pub mod slow;
mod starting;
pub mod stats;
pub mod store;
mod subscribing;
mod sweeping;
pub mod table;
mod target;
#[cfg(feature = "testkit")]
pub mod testkit;
mod text;
mod unsubscribing;
mod watch;
mod wishes;

pub use broker::{Broker, Deliver, Permits};
pub use channel::Channel;
pub use clock::{Clock, Now};
pub use command::Command;
pub use directory::{Directory, Replaced};
pub use drafting::Drafter;
pub use error::Refusal;
pub use hub::Hub;
pub use message::{Draft, Epoch, Message, Receipt, Wire};
pub use reply::Reply;
pub use rights::{Authority, Grant};
pub use settings::Settings;
pub use shard::{Pipes, SessionKey, Shard, Written};
