//! The Tapeline library: connect to a hub, publish, subscribe.
//!
//! It owns the client's side of the native protocol and a hub for one process (`memory://`).
//! It refuses to know exchanges, order logic and user interfaces.

mod address;
mod backoff;
mod bus;
mod error;
mod event;
mod frame;
mod history;
mod link;
mod memory;
mod message;
mod publish;
mod queue;
mod session;
mod settings;
mod socket;
mod subscribe;
mod subscription;

pub use bus::{EventBus, Statistics, connect, connect_with};
pub use error::Error;
pub use event::{Event, Gap, Notice};
pub use history::History;
pub use link::ConnectionState;
pub use message::{Place, PubSubMessage};
pub use publish::{Publish, Published};
pub use settings::Settings;
pub use subscribe::{Done, Later, Subscribe, Task};
pub use subscription::{Events, Subscription};
pub use tapeline_schema::{Delivery, ErrorCode, Retry};
