//! Where messages are kept: one module a message broker, and [`open`], which picks one by URL.
//! A broker knows channels and retention; it knows no session, protocol or queue.

pub mod embedded;
mod kept;
pub mod memory;
pub mod redis;

use std::path::PathBuf;
use std::sync::Arc;

use tapeline_core::hub::instance;
use tapeline_core::registry::{LocalRegistry, Registry};
use tapeline_core::store::{Bounds, LocalStore, Store};
use tapeline_core::{Broker, Clock, Directory};
use tapeline_schema::Pattern;

use embedded::EmbeddedError;
use redis::RedisBroker;
use redis::link::ConnectError;
use redis::registry::RedisRegistry;
use redis::store::RedisStore;
use redis::url::{Address, UrlError};

pub use embedded::{Durability, EmbeddedBroker, Storage};

/// Why a broker could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// No broker answers to the URL's scheme; the rest of it may hold a password.
    #[error("no message broker for {0}://; known: memory://, file:DIR, redis:// and rediss://")]
    UnknownScheme(String),
    /// `file:` without a directory.
    #[error("file: is followed by a directory, as in file:/var/lib/tapeline")]
    NoDirectory,
    /// The directory cannot be used.
    #[error(transparent)]
    Embedded(#[from] EmbeddedError),
    /// The URL of a Redis is not as it should be.
    #[error(transparent)]
    RedisUrl(#[from] UrlError),
    /// Redis does not let us in.
    #[error("{0}: {1}")]
    Redis(Box<Address>, ConnectError),
}

/// Which message broker a URL names.
enum Place {
    Memory,
    File(PathBuf),
    Redis(Address),
}

impl Place {
    fn of(url: &str) -> Result<Self, OpenError> {
        if url == "memory://" {
            return Ok(Place::Memory);
        }
        if url.starts_with("file:") {
            return directory_of(url).map(|dir| Place::File(dir.into())).ok_or(OpenError::NoDirectory);
        }
        match url.split_once("://").map_or("", |(scheme, _)| scheme) {
            "redis" | "rediss" => Ok(Place::Redis(Address::parse(url)?)),
            scheme => Err(OpenError::UnknownScheme(scheme.to_string())),
        }
    }
}

/// Whether [`open`] knows a message broker for this URL.
///
/// # Errors
/// It knows none.
pub fn check(url: &str) -> Result<(), OpenError> {
    Place::of(url).map(drop)
}

/// The directory that a URL names: `file:DIR`, `file:///DIR`.
pub fn directory_of(url: &str) -> Option<&str> {
    let path = url.strip_prefix("file:")?;
    let path = path.strip_prefix("//").unwrap_or(path);
    (!path.is_empty()).then_some(path)
}

/// What a broker is opened with.
pub struct OpenParts<'a> {
    /// Which one, and where: `memory://`, `file:DIR`, `redis://HOST:6379`.
    pub url: &'a str,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Makes its epochs differ from another's.
    pub seed: u64,
    /// Where names that come from outside are looked up.
    pub directory: Arc<Directory>,
    /// How a directory is used.
    pub storage: Storage,
    /// What is also published in Redis under its plain name.
    pub mirror: Vec<Pattern>,
}

impl<'a> OpenParts<'a> {
    /// With the usual storage, and nothing mirrored.
    pub fn new(url: &'a str, clock: Arc<dyn Clock>, seed: u64, directory: Arc<Directory>) -> Self {
        OpenParts { url, clock, seed, directory, storage: Storage::default(), mirror: Vec::new() }
    }
}

/// What a URL stands for, open.
pub struct Opened {
    /// Orders, keeps and relays messages.
    pub broker: Arc<dyn Broker>,
    /// Keeps small state beside them.
    pub store: Arc<dyn Store>,
    /// Counts who is connected.
    pub registry: Arc<dyn Registry>,
    /// The Redis that it rests on, where it does.
    pub redis: Option<Address>,
    /// The embedded broker, if it is that.
    pub embedded: Option<Arc<EmbeddedBroker>>,
}

/// Opens the message broker that a URL names, and what belongs to it.
///
/// # Errors
/// There is none, or it cannot be opened.
pub fn open(parts: OpenParts<'_>) -> Result<Opened, OpenError> {
    let OpenParts { clock, seed, directory, storage, mirror, .. } = parts;
    let registry: Arc<dyn Registry> = Arc::new(LocalRegistry::default());
    match Place::of(parts.url)? {
        Place::Memory => Ok(Opened {
            broker: Arc::new(memory::MemoryBroker::new(clock.clone(), seed)),
            store: Arc::new(LocalStore::new(clock, Bounds::default())),
            registry,
            redis: None,
            embedded: None,
        }),
        Place::File(dir) => {
            let broker = Arc::new(EmbeddedBroker::open_dir(dir, storage, clock, seed, directory)?);
            let store = Arc::new(broker.store());
            Ok(Opened { broker: broker.clone(), store, registry, redis: None, embedded: Some(broker) })
        }
        Place::Redis(address) => {
            let broker = RedisBroker::open(address.clone(), clock, directory, seed, mirror)
                .map_err(|error| OpenError::Redis(Box::new(address.clone()), error))?;
            let store = Arc::new(RedisStore::new(broker.link(), Bounds::default()));
            let registry = Arc::new(RedisRegistry::new(broker.link(), &instance(seed)));
            Ok(Opened { broker: Arc::new(broker), store, registry, redis: Some(address), embedded: None })
        }
    }
}
