//! Where messages are kept: one module a message broker, and [`open`], which picks one by URL.
//! A broker knows channels and retention; it knows no session, protocol or queue.

mod kept;
pub mod memory;

use std::sync::Arc;

use tapeline_core::{Broker, Clock};

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

/// Opens the message broker that a URL names: `memory://`.
pub fn open(url: &str, clock: Arc<dyn Clock>, seed: u64) -> Result<Arc<dyn Broker>, OpenError> {
    check(url)?;
    Ok(Arc::new(memory::MemoryBroker::new(clock, seed)))
}
