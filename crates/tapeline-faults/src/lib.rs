//! What tests break: a real Redis of their own ([`RedisServer`]), stopped, killed, frozen, emptied or failed over; and the
//! line to it ([`Proxy`]), cut, reset in the middle of a reply, or silent. Both are gone when the test ends, also when it
//! panics. [`kraken`] is an exchange of their own. Programs are started by [`command`], and files named by [`temporary`]. `resp` is just enough of Redis' protocol to tell the server what to do and to be its other clients.
//! It is a dependency of tests only, and knows nothing of Tapeline.

#![expect(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail loudly")]

pub mod kraken;
mod program;
mod proxy;
mod redis;
mod resp;

use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant, SystemTime};

pub use program::{command, temporary, without_settings};
pub use proxy::Proxy;
pub use redis::RedisServer;
pub use resp::{Connection, Listener, Reply};

/// Longer than anything here should take, shorter than anybody's patience.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// How often a condition without an event is looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// Ports that the kernel gives to nobody who did not ask for them: a server that is away for a while finds its own again.
const PORTS: std::ops::Range<u16> = 20_000..32_768;

/// A free port of the loopback that stays free while nobody asks for it by number.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.subsec_nanos());
    let count = PORTS.end - PORTS.start;
    for _ in 0..count {
        let at = now.wrapping_add(std::process::id()) + u32::from(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = PORTS.start + u16::try_from(at % u32::from(count)).unwrap_or(0);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no port of {PORTS:?} is free");
}

/// Looks until it holds; `false` if that takes too long.
pub fn eventually(mut holds: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        if Instant::now() > end {
            return false;
        }
        std::thread::sleep(LOOK_AGAIN);
    }
    true
}
