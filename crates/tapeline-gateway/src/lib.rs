//! Who may come in: one file a protocol. Each turns bytes into commands at the edge and knows nothing of routing,
//! queues or retention.

mod accepted;
mod addresses;
pub mod admin;
mod app;
mod asking;
pub mod audit;
mod batch;
mod bodies;
mod caller;
mod connection;
pub mod data;
pub mod dead_letters;
mod door;
mod echo;
mod envelope;
mod error;
mod extract;
mod form;
mod freed;
#[doc(hidden)]
pub mod fuzzing;
mod http;
mod http2;
mod inspect;
mod line;
mod listen;
mod memory;
mod metrics;
pub mod native;
mod nodes;
mod ops;
mod origin;
mod page;
mod peer;
mod presence;
mod process;
mod publish;
mod requests;
pub mod resp;
mod routes;
pub mod socketio;
mod spec;
mod sse;
mod stats;
mod store;
pub mod tls;
mod upgrade;

pub use addresses::ClientHeader;
pub use app::{App, AppParts};
pub use listen::{ListenError, Listener};
pub use origin::{Access, LiveAccess, Origins};
pub use peer::Side;
pub use resp::RespListener;
