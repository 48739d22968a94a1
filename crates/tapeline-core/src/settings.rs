//! The bounds of a hub. Each is a setting; a message that refuses something names the one that did.

use std::sync::Arc;
use std::time::Duration;

use tapeline_schema::Pattern;

use crate::hours::MarketHours;

/// So many a second, and so many at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// 0 for no limit.
    pub per_second: u32,
    /// What may come at once after a pause.
    pub burst: u32,
}

impl Rate {
    /// No limit.
    pub const NONE: Rate = Rate { per_second: 0, burst: 0 };
}

/// Bounds, with the contract's defaults.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Bytes that may wait for one session.
    pub outbox_bytes: usize,
    /// Messages that may wait for one session.
    pub outbox_messages: usize,
    /// Bytes that may wait for all sessions of one shard together.
    pub outboxes_bytes: usize,
    /// Messages that may wait in one shard's inbox.
    pub inbox_messages: usize,
    /// Bytes of one publish.
    pub publish_bytes: usize,
    /// Bytes of one batch of publishes.
    pub batch_bytes: usize,
    /// Publishes in one batch.
    pub batch_items: usize,
    /// Bytes of any other client frame.
    pub frame_bytes: usize,
    /// Fragments of one client message.
    pub frame_fragments: u32,
    /// Connections per (client id, principal).
    pub connections_per_client: usize,
    /// Subscriptions per (client id, principal).
    pub subscriptions_per_client: usize,
    /// Subscriptions of a connection that gave no client id.
    pub subscriptions_per_connection: usize,
    /// Channels in one subscribe.
    pub channels_per_request: usize,
    /// What one connection may ask for beside publishing: subscribing counts once a channel.
    pub requests: Rate,
    /// What one connection may publish. Room in the inboxes limits it anyway, by making it wait.
    pub publishes: Rate,
    /// Bytes that one connection may send to a shard.
    pub bytes: Rate,
    /// Messages of one principal, publishes included, over all its connections and requests.
    pub user_messages: Rate,
    /// Bytes of one principal, likewise.
    pub user_bytes: Rate,
    /// New connections of one address.
    pub handshakes: Rate,
    /// New connections of all addresses together.
    pub handshakes_total: Rate,
    /// Connections of one address that are open at once; 0 for no limit.
    pub connections_per_address: usize,
    /// Sockets of all kinds together.
    pub connections: usize,
    /// Bytes of HTTP bodies that are read or worked on at once.
    pub bodies_bytes: usize,
    /// Bytes of memory that the process may have in use before it refuses work, the least urgent first; 0 for no limit.
    pub memory_bytes: usize,
    /// Bytes of an HTTP request's head.
    pub header_bytes: usize,
    /// An HTTP request's head, the opening handshake included, must be complete after this.
    pub handshake_timeout: Duration,
    /// An HTTP request's body must be complete after this.
    pub body_timeout: Duration,
    /// What a body must have brought on average once it has had as long as a head, bytes a second; 0 for no limit.
    pub body_pace: u32,
    /// A client's message that was begun must be complete after this.
    pub message_timeout: Duration,
    /// A connection that says nothing for this long is closed; half-way it is sent a ping, whose answer counts.
    pub idle_timeout: Duration,
    /// A connection that never subscribed stops counting after this.
    pub unsubscribed_grace: Duration,
    /// A connection that accepts no byte for this long while bytes wait is closed.
    pub slow_close: Duration,
    /// A heartbeat is sent after this much silence.
    pub heartbeat: Duration,
    /// A connection that has not said who it is after this is closed.
    pub token_wait: Duration,
    /// A client is told so long before its token ends.
    pub token_notice: Duration,
    /// When the hub stops, its connections are closed over at most this long.
    pub drain_window: Duration,
    /// A connection whose turn to be closed has come may take what it is owed for this long.
    pub drain_flush: Duration,
    /// Messages in one page of catch-up.
    pub page_messages: usize,
    /// Sources whose last value is sent for a roll-up or pattern.
    pub snapshot_sources: usize,
    /// Whether channels that fall out of their rhythm are published as `freshness:{of}` and told to their subscribers.
    pub freshness: bool,
    /// Outside these silence is no fault.
    pub market_hours: Arc<MarketHours>,
    /// Channels whose comings and goings are published as `presence:{of}`.
    pub presence_events: Vec<Pattern>,
    /// Whether names that no family declares are refused.
    pub strict_channels: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            outbox_bytes: 1 << 20,
            outbox_messages: 4_096,
            outboxes_bytes: 1 << 30,
            inbox_messages: 8_192,
            publish_bytes: 1 << 20,
            batch_bytes: 16 << 20,
            batch_items: 100_000,
            frame_bytes: 64 << 10,
            frame_fragments: 1_024,
            connections_per_client: 10,
            subscriptions_per_client: 50,
            subscriptions_per_connection: 5_000,
            channels_per_request: 500,
            requests: Rate { per_second: 1_000, burst: 10_000 },
            publishes: Rate::NONE,
            bytes: Rate::NONE,
            user_messages: Rate::NONE,
            user_bytes: Rate::NONE,
            handshakes: Rate { per_second: 100, burst: 1_000 },
            handshakes_total: Rate { per_second: 5_000, burst: 20_000 },
            connections_per_address: 1_000,
            connections: 1_000_000,
            bodies_bytes: 256 << 20,
            memory_bytes: 0,
            header_bytes: 16 << 10,
            handshake_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(60),
            body_pace: 1_024,
            message_timeout: Duration::from_secs(60),
            idle_timeout: Duration::from_secs(90),
            unsubscribed_grace: Duration::from_secs(60),
            slow_close: Duration::from_secs(30),
            heartbeat: Duration::from_secs(15),
            token_wait: Duration::from_secs(10),
            token_notice: Duration::from_secs(60),
            drain_window: Duration::from_secs(5),
            drain_flush: Duration::from_secs(2),
            page_messages: 64,
            snapshot_sources: 1_000,
            freshness: true,
            market_hours: Arc::default(),
            presence_events: Vec::new(),
            strict_channels: false,
        }
    }
}
