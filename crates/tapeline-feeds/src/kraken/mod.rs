//! Kraken's WebSocket, version 2: what it says, books kept right by its checksums, and the session that subscribes,
//! watches and reconnects. Facts: <https://docs.kraken.com/api/docs/websocket-v2/book> and the pages beside it. It does
//! not know what the hub or a pipeline makes of that, and has no socket: `live` has.

mod attempts;
pub mod books;
pub mod checksum;
mod complaints;
mod credential;
pub mod message;
mod orders;
mod pace;
mod private;
mod rebuilds;
mod refusal;
mod request;
mod seen;
mod session;
pub mod settings;
mod silence;
mod subscriptions;
pub mod token;
mod trades;
mod watchdog;

pub use session::Session;
pub use settings::{Access, EventTrigger, KrakenSettings, Patience, SettingsError};
