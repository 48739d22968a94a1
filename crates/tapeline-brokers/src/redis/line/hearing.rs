//! The connection for what is heard: topics go out in batches, messages come in and are handed on in their order. While
//! there is no room for them nothing more is read.

use std::cell::Cell;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{ANSWER_WITHIN, Never};
use crate::redis::link::{Heard, Shared, lock};
use crate::redis::resp::{Command, Value, take};
use crate::redis::socket::{Reading, Server, Writing};
use crate::redis::topics::Topic;

const READ: usize = 64 << 10;
/// A connection that only listens would never find out that nobody is there.
const PING_EVERY: Duration = Duration::from_secs(5);

/// See the module.
pub(super) struct Hearing<'a> {
    shared: &'a Shared,
    server: &'a Server,
    /// When something last came.
    progress: Cell<Instant>,
    /// Since when an answer is due.
    due: Cell<Option<Instant>>,
    /// Nothing is read now.
    full: Cell<bool>,
}

impl<'a> Hearing<'a> {
    pub(super) fn new(shared: &'a Shared, server: &'a Server) -> Self {
        let progress = Cell::new(Instant::now());
        Hearing { shared, server, progress, due: Cell::new(None), full: Cell::new(false) }
    }

    /// Sends changes of topics, and asks now and then whether Redis is there.
    pub(super) async fn send(&self, mut writing: Writing) -> Result<Never, String> {
        let mut out = Vec::new();
        loop {
            out.clear();
            while let Some(command) = lock(&self.shared.topics).next() {
                command.pack(&mut out);
            }
            if out.is_empty() && self.progress.get().elapsed() >= PING_EVERY && self.due.get().is_none() {
                Command::new("PING").pack(&mut out);
            }
            if !out.is_empty() {
                self.due.set(self.due.get().or(Some(Instant::now())));
                writing.write_all(&out).await.map_err(|error| error.to_string())?;
            }
            // Whether it was time or a change does not matter.
            let _ = tokio::time::timeout(PING_EVERY, self.shared.changed.notified()).await;
        }
    }

    /// Hands on what comes.
    pub(super) async fn receive(&self, mut reading: Reading, mut read: BytesMut) -> Result<Never, String> {
        let mut heard = VecDeque::new();
        loop {
            while let Some(value) = take(&mut read).map_err(|error| error.to_string())? {
                self.on_value(value, &mut heard)?;
            }
            self.hand_on(&mut heard).await;
            read.reserve(READ);
            if reading.read_buf(&mut read).await.map_err(|error| error.to_string())? == 0 {
                return Err("redis hung up on what is heard".into());
            }
            self.progress.set(Instant::now());
            self.due.set(None);
        }
    }

    async fn hand_on(&self, heard: &mut VecDeque<Heard>) {
        loop {
            if let Some(events) = self.shared.events().filter(|_| !heard.is_empty()) {
                events.on_heard(heard);
            }
            self.full.set(!heard.is_empty());
            if heard.is_empty() {
                return;
            }
            self.shared.room.notified().await;
        }
    }

    fn on_value(&self, value: Value, heard: &mut VecDeque<Heard>) -> Result<(), String> {
        if let Some(error) = value.error() {
            return Err(format!("redis refuses to be listened to: {error}"));
        }
        let (Some(kind), Some(first)) = (value.part(0).and_then(Value::text), value.part(1)) else {
            return Ok(());
        };
        let name = || first.text().map(Box::from).unwrap_or_default();
        match kind {
            "message" => heard.extend(heard_of(Some(first), value.part(2))),
            "pmessage" => heard.extend(heard_of(value.part(2), value.part(3))),
            "subscribe" => self.confirm(&Topic::Channel(name())),
            "psubscribe" => self.confirm(&Topic::Pattern(name())),
            _ => {}
        }
        Ok(())
    }

    fn confirm(&self, topic: &Topic) {
        let ready = lock(&self.shared.topics).confirm(topic);
        self.up_if_settled();
        ready.into_iter().for_each(|ready| ready());
    }

    /// Opens the line for requests once everything wanted is heard.
    pub(super) fn up_if_settled(&self) {
        if !lock(&self.shared.topics).is_settled() {
            return;
        }
        {
            let mut queue = lock(&self.shared.queue);
            if std::mem::replace(&mut queue.up, true) {
                return;
            }
        }
        if let Some(events) = self.shared.events() {
            events.on_up(self.server);
        }
        self.shared.wake.notify_one();
    }

    /// Whether Redis still answers here.
    pub(super) fn check(&self) -> Result<(), String> {
        match self.due.get() {
            Some(since) if since.elapsed() > ANSWER_WITHIN && !self.full.get() => {
                Err(format!("nothing heard within {} ms", ANSWER_WITHIN.as_millis()))
            }
            _ => Ok(()),
        }
    }
}

fn heard_of(topic: Option<&Value>, payload: Option<&Value>) -> Option<Heard> {
    Some(Heard { topic: topic?.bytes()?.clone(), payload: payload?.bytes()?.clone() })
}
