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

pub use embedded::{Durability, EmbeddedBroker, Storage};

/// Why a broker could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// No broker answers to the URL's scheme; the rest of it may hold a password.
    #[error("no message broker for {0}; known: memory://, file:DIR")]
    UnknownScheme(String),
    /// The directory cannot be used.
    #[error("{dir}: {error}")]
    Embedded {
        /// Which one.
        dir: String,
        /// Why.
        error: embedded::EmbeddedError,
    },
}

/// Whether [`open`] knows a message broker for this URL.
///
/// # Errors
/// It knows none.
pub fn check(url: &str) -> Result<(), OpenError> {
    if url == "memory://" || directory_of(url).is_some() {
        return Ok(());
    }
    let scheme = url.split_once(':').map_or("", |(scheme, _)| scheme);
    Err(OpenError::UnknownScheme(format!("{scheme}:")))
}

/// The directory that a URL names: `file:DIR`, `file:///DIR`.
pub fn directory_of(url: &str) -> Option<&str> {
    let path = url.strip_prefix("file:")?;
    let path = path.strip_prefix("//").unwrap_or(path);
    (!path.is_empty()).then_some(path)
}

/// What a broker is opened with.
pub struct OpenParts<'a> {
    /// Which one, and where: `memory://`, `file:DIR`.
    pub url: &'a str,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Makes its epochs differ from another's.
    pub seed: u64,
    /// Where names that come from outside are looked up.
    pub directory: Arc<Directory>,
    /// How a directory is used.
    pub storage: Storage,
}

/// What a URL stands for, open.
pub struct Opened {
    /// Orders, keeps and relays messages.
    pub broker: Arc<dyn Broker>,
    /// Keeps small state beside them.
    pub store: Arc<dyn Store>,
    /// Counts who is connected.
    pub registry: Arc<dyn Registry>,
    /// The embedded broker, if it is that.
    pub embedded: Option<Arc<EmbeddedBroker>>,
}

/// Opens the message broker that a URL names, and what belongs to it.
///
/// # Errors
/// There is none, or it cannot be opened.
pub fn open(parts: OpenParts<'_>) -> Result<Opened, OpenError> {
    check(parts.url)?;
    let registry = Arc::new(LocalRegistry::default());
    let store = LocalStore::new(parts.clock.clone(), Bounds::default());
    let Some(dir) = directory_of(parts.url) else {
        let broker = Arc::new(memory::MemoryBroker::new(parts.clock, parts.seed));
        return Ok(Opened { broker, store: Arc::new(store), registry, embedded: None });
    };
    let opened =
        EmbeddedBroker::open_dir(dir.into(), parts.storage, parts.clock, parts.seed, parts.directory);
    let broker = Arc::new(opened.map_err(|error| OpenError::Embedded { dir: dir.to_string(), error })?);
    let store = Arc::new(broker.store().unwrap_or(store));
    Ok(Opened { broker: broker.clone(), store, registry, embedded: Some(broker) })
}
