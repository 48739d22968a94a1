//! Commands on the hub's store.

use std::sync::atomic::AtomicU32;

/// What a connection has asked of the store.
#[derive(Debug, Default)]
pub(crate) struct Gauge {
    changes: AtomicU32,
}

/// Where scans stand.
#[derive(Debug, Default)]
pub(crate) struct Cursors {}
