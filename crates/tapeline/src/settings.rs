//! The bounds of a bus: how long it waits and how much it holds, where every queue has one; and its token.

use std::path::PathBuf;
use std::time::Duration;

use crate::token::TokenSource;

/// Bounds and the token, with their defaults; `Settings { request_timeout, ..Settings::default() }` changes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// A file (PEM) with the certificates that are believed of a hub behind TLS (`wss://`, `https://`); without one,
    /// what the system believes.
    pub ca: Option<PathBuf>,
    /// One attempt to connect, the opening handshake included.
    pub connect_timeout: Duration,
    /// A publish, a subscribe or a read that is not answered in this time fails, also while disconnected. At most
    /// four minutes count: the hub recognises a repeated publish for five.
    pub request_timeout: Duration,
    /// Without a byte for this long the hub is taken for gone; two of its heartbeats. It is asked for a sign of
    /// life at half the time.
    pub silence: Duration,
    /// The bound of the first random wait before connecting again; it doubles with each attempt.
    pub backoff_base: Duration,
    /// The longest bound of a wait.
    pub backoff_cap: Duration,
    /// Requests that may wait for an answer; one more is refused.
    pub waiting_requests: usize,
    /// Bytes of requests that may wait for an answer; one more is refused.
    pub waiting_bytes: usize,
    /// Bytes of one publish; a larger one is refused before it is sent. The hub's own limit is
    /// `limits.publish_bytes`, and it closes the connection of whoever goes beyond.
    pub publish_bytes: usize,
    /// Messages that may wait for one subscriber. Beyond it `latest` messages are replaced by newer ones, the
    /// others are read again from what the hub keeps when there is room.
    pub queue_messages: usize,
    /// Bytes that may wait for one subscriber, with the same consequence.
    pub queue_bytes: usize,
    /// Who this is, for a hub with authentication. Without one, the variable `TAPELINE_TOKEN` is taken; a hub inside of
    /// this process asks for none.
    pub token: Option<TokenSource>,
}

/// The hub recognises a repeated publish for five minutes.
const LONGEST_REQUEST: Duration = Duration::from_secs(240);

impl Default for Settings {
    fn default() -> Self {
        Settings {
            ca: None,
            connect_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(30),
            silence: Duration::from_secs(30),
            backoff_base: Duration::from_millis(100),
            backoff_cap: Duration::from_secs(30),
            waiting_requests: 1_024,
            waiting_bytes: 16 << 20,
            publish_bytes: 1 << 20,
            queue_messages: 1_024,
            queue_bytes: 16 << 20,
            token: None,
        }
    }
}

impl Settings {
    /// The values that have a meaning: no bound of 0, no wait beyond what the hub remembers.
    pub(crate) fn sane(mut self) -> Self {
        self.request_timeout = self.request_timeout.min(LONGEST_REQUEST);
        self.waiting_requests = self.waiting_requests.max(1);
        self.queue_messages = self.queue_messages.max(2);
        self.silence = self.silence.max(Duration::from_millis(10));
        self
    }
}
