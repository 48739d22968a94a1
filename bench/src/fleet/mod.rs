//! The load clients: thousands of connections on one thread and one read buffer. A client
//! keeps bytes of its own only while a frame is split between two reads. The fleet opens, subscribes by one door
//! or another, paces slow readers and hands each message to the workload; what it means is not known here.

mod conn;
mod door;
mod line;
mod open;

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use mio::{Events, Poll, Token};
use rustls::ClientConfig;

use crate::clock::Clock;
use conn::Conn;
pub(crate) use door::Door;

const BUFFER_BYTES: usize = 2 << 20;
/// How often a paced reader is looked at.
const PACE: Duration = Duration::from_millis(20);

/// Receives what the clients hear.
pub(crate) trait Hear {
    /// A message, as its door frames it; anything that is no confirmation where it subscribes.
    fn on_text(&mut self, client: usize, payload: &[u8], now_ns: u64);

    /// A publish is answered, by a door that answers each in its turn.
    fn on_answer(&mut self, _client: usize, _now_ns: u64) {}
}

/// How a client reads once it has subscribed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reading {
    /// As fast as it can.
    Free,
    /// Not at all.
    Never,
    /// At most so many bytes a second, through a small receive buffer.
    AtMost(u64),
}

/// What a client does when it is let in.
#[derive(Clone)]
pub(crate) struct Plan {
    pub(crate) door: Door,
    /// What it says to subscribe, in the door's own bytes; for the native door masked frames.
    pub(crate) subscribe: Rc<[u8]>,
    /// How many confirmations make it ready.
    pub(crate) confirms: usize,
    pub(crate) reading: Reading,
    /// Whether it offers permessage-deflate.
    pub(crate) deflate: bool,
}

impl Plan {
    /// A client that subscribes to nothing: a publisher.
    pub(crate) fn publisher() -> Self {
        Self::at(Door::Native, &[])
    }

    /// A client that subscribes to `channels`.
    pub(crate) fn subscriber(channels: &[String]) -> Self {
        Self::at(Door::Native, channels)
    }

    /// A client that comes in by `door` and subscribes to `channels`.
    pub(crate) fn at(door: Door, channels: &[String]) -> Self {
        let subscribe = if channels.is_empty() { Vec::new() } else { door.subscribe(channels) };
        Self {
            door,
            subscribe: subscribe.into(),
            confirms: channels.len(),
            reading: Reading::Free,
            deflate: false,
        }
    }

    /// The same client with another way to read.
    pub(crate) fn reading(self, reading: Reading) -> Self {
        Self { reading, ..self }
    }
}

struct Slot {
    plan: Plan,
    conn: Option<Conn>,
}

/// All load clients of a run.
pub(crate) struct Fleet {
    poll: Poll,
    events: Events,
    addr: SocketAddr,
    tls: Option<Arc<ClientConfig>>,
    slots: Vec<Slot>,
    buf: Vec<u8>,
    pub(crate) clock: Clock,
    /// Clients that have all their confirmations.
    ready: usize,
    /// Connections lost before they were ready, to be tried again.
    failed: Vec<usize>,
    /// Connections that the server ended after they were ready.
    pub(crate) lost: usize,
    /// Clients that read at a bounded rate now.
    paced: Vec<usize>,
    paced_at: Instant,
    trouble: Option<anyhow::Error>,
}

impl Fleet {
    pub(crate) fn new(addr: SocketAddr) -> Result<Self> {
        Ok(Self {
            poll: Poll::new()?,
            events: Events::with_capacity(4096),
            addr,
            tls: None,
            slots: Vec::new(),
            buf: vec![0; BUFFER_BYTES],
            clock: Clock::start(),
            ready: 0,
            failed: Vec::new(),
            lost: 0,
            paced: Vec::new(),
            paced_at: Instant::now(),
            trouble: None,
        })
    }

    /// The same with clients that speak TLS.
    pub(crate) fn behind_tls(mut self, config: Arc<ClientConfig>) -> Self {
        self.tls = Some(config);
        self
    }

    /// Sends masked frames; what the socket does not take leaves as it becomes writable.
    pub(crate) fn send(&mut self, client: usize, frames: &[u8]) -> Result<()> {
        let conn = self.slots.get_mut(client).and_then(|slot| slot.conn.as_mut());
        let conn = conn.with_context(|| format!("client {client} is not connected"))?;
        conn.write(frames).with_context(|| format!("client {client} writes"))
    }

    /// Bytes that a client has not been able to send.
    pub(crate) fn unsent(&self, client: usize) -> usize {
        let conn = self.slots.get(client).and_then(|slot| slot.conn.as_ref());
        conn.map_or(0, |conn| conn.out.len())
    }

    /// Lets the paced clients read freely.
    pub(crate) fn unpace(&mut self, hear: &mut impl Hear) -> Result<()> {
        for client in std::mem::take(&mut self.paced) {
            if let Some(conn) = self.slots.get_mut(client).and_then(|slot| slot.conn.as_mut()) {
                conn.reading = Reading::Free;
            }
            self.read(client, usize::MAX, hear);
        }
        self.trouble.take().map_or(Ok(()), Err)
    }

    /// Waits for events until `timeout` and handles them.
    pub(crate) fn poll(&mut self, timeout: Duration, hear: &mut impl Hear) -> Result<()> {
        let timeout = if self.paced.is_empty() { timeout } else { timeout.min(PACE) };
        match self.poll.poll(&mut self.events, Some(timeout)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            other => other?,
        }
        let events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        for event in &events {
            let Token(client) = event.token();
            if event.is_writable() {
                self.on_writable(client);
            }
            if event.is_readable() || event.is_read_closed() || event.is_error() {
                self.read(client, usize::MAX, hear);
            }
        }
        self.events = events;
        self.read_paced(hear);
        self.trouble.take().map_or(Ok(()), Err)
    }

    fn read_paced(&mut self, hear: &mut impl Hear) {
        let elapsed = self.paced_at.elapsed();
        if self.paced.is_empty() || elapsed < PACE {
            return;
        }
        self.paced_at = Instant::now();
        let millis = u64::try_from(elapsed.as_millis()).unwrap_or(0).min(500);
        for index in 0..self.paced.len() {
            let Some(&client) = self.paced.get(index) else { break };
            let conn = self.slots.get_mut(client).and_then(|slot| slot.conn.as_mut());
            let Some((conn, Reading::AtMost(rate))) =
                conn.map(|conn| (conn.reading, conn)).map(|(r, c)| (c, r))
            else {
                continue;
            };
            let budget = usize::try_from(rate * millis / 1000).unwrap_or(usize::MAX);
            if std::mem::take(&mut conn.waiting) {
                self.read(client, budget, hear);
            }
        }
    }

    /// Reads one client: all that is there, or up to `budget` bytes of it.
    fn read(&mut self, client: usize, budget: usize, hear: &mut impl Hear) {
        let Some(slot) = self.slots.get_mut(client) else { return };
        let Some(conn) = slot.conn.as_mut() else { return };
        if conn.holds_back(budget) {
            return;
        }
        match conn.read(&mut self.buf, budget, client, self.clock, &slot.plan, hear) {
            Ok(true) => {}
            Ok(false) => self.on_gone(client),
            Err(error) => {
                self.trouble = Some(error.context(format!("client {client}")));
                self.on_gone(client);
            }
        }
        let Some(conn) = self.slots.get_mut(client).and_then(|slot| slot.conn.as_mut()) else { return };
        if conn.is_ready() && !conn.counted {
            conn.counted = true;
            self.ready += 1;
            if let Reading::AtMost(_) = conn.reading {
                conn.waiting = true;
                self.paced.push(client);
            }
        }
    }

    fn on_gone(&mut self, client: usize) {
        let Some(conn) = self.slots.get_mut(client).and_then(|slot| slot.conn.take()) else { return };
        if conn.counted {
            self.ready -= 1;
            self.lost += 1;
        } else {
            self.failed.push(client);
        }
    }

    fn on_writable(&mut self, client: usize) {
        let Some(slot) = self.slots.get_mut(client) else { return };
        let Some(conn) = slot.conn.as_mut() else { return };
        if conn.on_writable(self.addr, &slot.plan).is_err() {
            self.on_gone(client);
        }
    }

    /// Fails when a client was cut off.
    pub(crate) fn check_all_alive(&self) -> Result<()> {
        if self.lost > 0 {
            bail!("the server ended {} connections", self.lost);
        }
        Ok(())
    }
}
