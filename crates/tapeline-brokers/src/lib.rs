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

use redis::RedisBroker;
use redis::store::RedisStore;
use redis::url::Address;

/// Why a broker could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// No broker answers to the URL's scheme; the rest of it may hold a password.
    #[error("no message broker for {0}://; known: memory://, redis:// and rediss://")]
    UnknownScheme(String),
    /// The URL of a Redis is not as it should be.
    #[error(transparent)]
    RedisUrl(#[from] redis::url::UrlError),
    /// Redis does not let us in.
    #[error("{0}: {1}")]
    Redis(Box<Address>, redis::link::ConnectError),
}

/// Whether [`open`] knows a message broker for this URL.
///
/// # Errors
/// It knows none.
pub fn check(url: &str) -> Result<(), OpenError> {
    if url == "memory://" {
        return Ok(());
    }
    match url.split_once("://").map_or("", |(scheme, _)| scheme) {
        "redis" | "rediss" => Ok(Address::parse(url).map(drop)?),
        scheme => Err(OpenError::UnknownScheme(scheme.to_string())),
    }
}

/// What a broker is opened with.
pub struct OpenParts<'a> {
    /// Which one, and where: `memory://`, `redis://HOST:6379`.
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
    if parts.url != "memory://" {
        return open_redis(parts);
    }
    Ok(Opened {
        broker: Arc::new(memory::MemoryBroker::new(parts.clock.clone(), parts.seed)),
        store: Arc::new(LocalStore::new(parts.clock, Bounds::default())),
        registry: Arc::new(LocalRegistry::default()),
    })
}

fn open_redis(parts: OpenParts<'_>) -> Result<Opened, OpenError> {
    let address = Address::parse(parts.url)?;
    let broker = RedisBroker::open(address.clone(), parts.clock, parts.directory, parts.seed)
        .map_err(|error| OpenError::Redis(Box::new(address), error))?;
    Ok(Opened {
        store: Arc::new(RedisStore::new(broker.link(), Bounds::default())),
        registry: Arc::new(LocalRegistry::default()),
        broker: Arc::new(broker),
    })
}
