//! How the Socket.IO door is set up. It knows no session.

use std::sync::Arc;
use std::time::Duration;

use tapeline_core::beats::Beat;

use super::wire::{Events, Wires};

/// `[socketio]`
#[derive(Clone, Debug)]
pub struct SocketIo {
    /// Whether anybody is let in here.
    pub enabled: bool,
    /// Milliseconds from one ping to the next.
    pub ping_interval_ms: u32,
    /// Milliseconds within which a ping must be answered.
    pub ping_timeout_ms: u32,
    /// How long a client may be connected without having joined a namespace. It is looked at with each sign of life.
    pub connect_timeout: Duration,
    /// How long the change from polling to a WebSocket may take.
    pub upgrade_timeout: Duration,
    /// Sessions that poll at once; one more is answered 503.
    pub polling_sessions: usize,
    /// Channels that every client hears without asking.
    pub everybody: Vec<String>,
    /// Names of events, by channel or family, where they are others than the messages' types.
    pub events: Events,
}

impl Default for SocketIo {
    fn default() -> Self {
        SocketIo {
            enabled: true,
            ping_interval_ms: 25_000,
            ping_timeout_ms: 20_000,
            connect_timeout: Duration::from_secs(45),
            upgrade_timeout: Duration::from_secs(10),
            polling_sessions: 10_000,
            everybody: vec!["quantum_signals".to_string()],
            events: Events::new(),
        }
    }
}

/// What all conversations share.
pub(super) struct Set {
    pub wires: &'static Wires,
    pub everybody: Vec<Box<str>>,
    pub connect_timeout: Duration,
}

impl SocketIo {
    /// What the protocol's own suites ask for.
    pub(super) fn of_suites() -> Self {
        SocketIo {
            ping_interval_ms: 300,
            ping_timeout_ms: 200,
            connect_timeout: Duration::from_secs(1),
            everybody: Vec::new(),
            ..SocketIo::default()
        }
    }

    pub(super) fn set(&self) -> Arc<Set> {
        let everybody = self.everybody.iter().map(|name| name.as_str().into()).collect();
        Arc::new(Set { wires: Wires::of(&self.events), everybody, connect_timeout: self.connect_timeout })
    }

    pub(super) fn beat(&self) -> Beat {
        let millis = |millis: u32| Duration::from_millis(millis.into());
        Beat { interval: millis(self.ping_interval_ms), timeout: millis(self.ping_timeout_ms) }
    }
}
