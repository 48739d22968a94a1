//! The message broker for many nodes: everything in Redis, so that hubs that share one behave as one hub.

mod line;
pub mod link;
mod request;
mod resp;
mod script;
mod socket;
#[cfg(test)]
pub(crate) mod testing;
mod topics;
pub mod url;
