//! What the pipeline calls: one trait, whatever the component is. The roles of the source document (balance managers,
//! trading engines, strategy managers, risk managers, custom ones) are adapters to it, in `roles`.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use tapeline_core::feed::{Update, VenueChannel};

/// Why a component did not take an update.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// It may work if it is tried again: a connection, a timeout, no room. Retried; counts against the component.
    #[error("{0}")]
    Transient(String),
    /// It will not work if it is tried again, and the component is to blame. Not retried; counts against it.
    #[error("{0}")]
    Permanent(String),
    /// The update itself is at fault: it is what nobody could take. Not retried, and does not count against the
    /// component: one bad producer must not switch it off for all.
    #[error("{0}")]
    Message(String),
}

/// A call under way.
pub type Handling<'a> = Pin<Box<dyn Future<Output = Result<(), Failure>> + Send + 'a>>;

/// A consumer in a trading process. It is called, never wrapped: its other methods go on working meanwhile.
pub trait Component: Send + Sync {
    /// Whether it has a method for this channel; asked once, at registration.
    fn takes(&self, channel: &VenueChannel) -> bool;

    /// Takes an update. Calls to one component come one after the other, those of one channel and symbol in order.
    /// A call that takes longer than `timeout_seconds` is dropped where it awaits.
    fn handle<'a>(&'a self, update: &'a Arc<Update>) -> Handling<'a>;
}
