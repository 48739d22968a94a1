//! The connection for requests: what waits goes out in large pieces, and the answers come back in its order.
//!
//! Where Redis does not know a script, nothing more is sent until everything under way is answered; then the script
//! goes, and what lacked it, and so no later request overtakes an earlier one.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{ANSWER_WITHIN, Never};
use crate::redis::link::{Shared, lock};
use crate::redis::request::{LinkError, Patience, Request};
use crate::redis::resp::{Command, Value, take};
use crate::redis::socket::{Reading, Writing};

/// Bytes written at once, about.
const PIECE: usize = 256 << 10;
const READ: usize = 64 << 10;
/// An idle connection is asked whether it lives.
const PING_AFTER: Duration = Duration::from_secs(5);

/// See the module.
pub(super) struct Requests<'a> {
    shared: &'a Shared,
    /// Sent and not answered, in order.
    flying: RefCell<VecDeque<Request>>,
    /// To be sent again with their scripts.
    lacking: RefCell<Vec<Request>>,
    /// When something last came, or the first of `flying` was sent.
    progress: Cell<Instant>,
}

impl<'a> Requests<'a> {
    pub(super) fn new(shared: &'a Shared) -> Self {
        let progress = Cell::new(Instant::now());
        Requests { shared, flying: RefCell::default(), lacking: RefCell::default(), progress }
    }

    /// Sends what waits.
    pub(super) async fn send(&self, mut writing: Writing) -> Result<Never, String> {
        let mut piece = Vec::with_capacity(PIECE);
        loop {
            piece.clear();
            self.fill(&mut piece);
            if piece.is_empty() {
                self.shared.wake.notified().await;
            } else {
                writing.write_all(&piece).await.map_err(|error| error.to_string())?;
            }
        }
    }

    fn fill(&self, piece: &mut Vec<u8>) {
        let mut flying = self.flying.borrow_mut();
        if flying.is_empty() {
            self.progress.set(Instant::now());
        }
        let mut lacking = self.lacking.borrow_mut();
        if !lacking.is_empty() {
            if flying.is_empty() {
                self.fill_again(lacking.drain(..).collect(), &mut flying, piece);
            }
            return;
        }
        let mut queue = lock(&self.shared.queue);
        while queue.up && piece.len() < PIECE {
            let Some(request) = queue.waiting.pop_front() else { return };
            queue.bytes -= request.weight();
            request.pack(piece);
            flying.push_back(request);
        }
    }

    /// The scripts first, each once.
    fn fill_again(&self, lacking: Vec<Request>, flying: &mut VecDeque<Request>, piece: &mut Vec<u8>) {
        let mut loads: Vec<Command> = Vec::new();
        let mut loaded = Vec::new();
        for script in lacking.iter().filter_map(|request| request.script) {
            if !loaded.iter().any(|known| std::ptr::eq(*known, script)) {
                loaded.push(script);
                loads.push(script.load());
            }
        }
        let refused = |values: Result<Vec<Value>, LinkError>| {
            for error in values.iter().flatten().filter_map(Value::error) {
                tracing::error!("redis does not take a script: {error}");
            }
        };
        let loads = Request::new(&loads, Patience::Now, Box::new(refused));
        for request in std::iter::once(loads).chain(lacking) {
            request.pack(piece);
            flying.push_back(request);
        }
    }

    /// Hands answers to who asked.
    pub(super) async fn receive(&self, mut reading: Reading, mut read: BytesMut) -> Result<Never, String> {
        loop {
            while let Some(value) = take(&mut read).map_err(|error| error.to_string())? {
                self.on_value(value)?;
            }
            read.reserve(READ);
            if reading.read_buf(&mut read).await.map_err(|error| error.to_string())? == 0 {
                return Err("redis hung up".into());
            }
            self.progress.set(Instant::now());
        }
    }

    fn on_value(&self, value: Value) -> Result<(), String> {
        let done = {
            let mut flying = self.flying.borrow_mut();
            let Some(request) = flying.front_mut() else { return Err("redis answers unasked".into()) };
            if request.take(value) { flying.pop_front() } else { None }
        };
        let Some(mut request) = done else { return Ok(()) };
        if request.lacks_script() {
            self.lacking.borrow_mut().push(request);
        } else {
            request.answer();
        }
        if !self.lacking.borrow().is_empty() && self.flying.borrow().is_empty() {
            self.shared.wake.notify_one();
        }
        Ok(())
    }

    /// Whether Redis still answers; requests run out of time, and an idle connection is asked.
    pub(super) fn check(&self) -> Result<(), String> {
        let now = Instant::now();
        let silent = now.saturating_duration_since(self.progress.get());
        if !self.flying.borrow().is_empty() && silent > ANSWER_WITHIN {
            return Err(format!("no answer within {} ms", ANSWER_WITHIN.as_millis()));
        }
        let mut late = Vec::new();
        for request in self.flying.borrow_mut().iter_mut().filter(|request| request.is_late(now)) {
            late.extend(request.give_up());
        }
        for answer in late {
            answer(Err(LinkError::Unknown("no answer in time".into())));
        }
        if silent > PING_AFTER {
            let ping = Request::new(&[Command::new("PING")], Patience::Now, Box::new(|_| {}));
            let mut queue = lock(&self.shared.queue);
            if queue.up && queue.waiting.is_empty() {
                queue.bytes += ping.weight();
                queue.waiting.push_back(ping);
                self.shared.wake.notify_one();
            }
        }
        Ok(())
    }

    pub(super) fn is_idle(&self) -> bool {
        self.flying.borrow().is_empty() && self.lacking.borrow().is_empty()
    }

    /// What was sent and not answered, in its order.
    pub(super) fn into_unanswered(self) -> Vec<Request> {
        self.lacking.into_inner().into_iter().chain(self.flying.into_inner()).collect()
    }
}
