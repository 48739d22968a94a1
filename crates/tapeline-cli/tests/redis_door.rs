//! The Redis door beside a real Redis: the same words, the same bytes back; and what only a hub has: rights, any bytes,
//! JSON for everybody else.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail loudly"
)]

#[path = "redis_door/cases.rs"]
mod cases;
#[path = "redis_door/channels.rs"]
mod channels;
#[path = "redis_door/greedy.rs"]
mod greedy;
#[path = "redis_door/hostile.rs"]
mod hostile;
#[path = "redis_door/rights.rs"]
mod rights;
#[path = "redis_door/same.rs"]
mod same;
#[path = "redis_door/store.rs"]
mod store;
#[expect(dead_code, reason = "not all of it is needed here")]
mod support;
#[path = "redis_door/talker.rs"]
mod talker;

use support::Hub;
use talker::Talker;

/// A hub whose Redis door is open.
fn hub() -> Hub {
    Hub::with_words(&["--redis-listen", "127.0.0.1:0"])
}

/// A client of it.
fn client(hub: &Hub) -> Talker {
    Talker::to(hub.redis_address())
}
