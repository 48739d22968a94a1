//! Where messages are kept: one module a message broker, and [`open`], which picks one by URL.
//! A broker knows channels and retention; it knows no session, protocol or queue.

pub mod embedded;
mod kept;
pub mod memory;
pub mod redis;

use std::sync::Arc;

use tapeline_core::registry::{LocalRegistry, Registry};
use tapeline_core::store::{Bounds, LocalStore, Store};
use tapeline_core::{Broker, Clock, Directory};

/// Why a broker could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// No broker answers to the URL's scheme; the rest of it may hold a password.
    #[error("no message broker for {0}://; known: memory://")]
    UnknownScheme(String),
}

/// Whether [`open`] knows a message broker for this URL.
///
/// # Errors
/// It knows none.
pub fn check(url: &str) -> Result<(), OpenError> {
    if url == "memory://" {
        return Ok(());
    }
    let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
    Err(OpenError::UnknownScheme(scheme.to_string()))
}

/// What a broker is opened with.
pub struct OpenParts<'a> {
    /// Which one, and where: `memory://`.
    pub url: &'a str,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Makes its epochs differ from another's.
    pub seed: u64,
    /// Where names that come from outside are looked up.
    pub directory: Arc<Directory>,
}

/// What a URL stands for, open.
pub struct Opened {
    /// Orders, keeps and relays messages.
    pub broker: Arc<dyn Broker>,
    /// Keeps small state beside them.
    pub store: Arc<dyn Store>,
    /// Counts who is connected.
    pub registry: Arc<dyn Registry>,
}

/// Opens the message broker that a URL names, and what belongs to it.
///
/// # Errors
/// There is none, or it cannot be opened.
pub fn open(parts: OpenParts<'_>) -> Result<Opened, OpenError> {
    check(parts.url)?;
    Ok(Opened {
        broker: Arc::new(memory::MemoryBroker::new(parts.clock.clone(), parts.seed)),
        store: Arc::new(LocalStore::new(parts.clock, Bounds::default())),
        registry: Arc::new(LocalRegistry::default()),
    })
}
