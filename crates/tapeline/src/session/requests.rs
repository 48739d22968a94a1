//! Requests that wait for an answer, in the order they were made: bounded, and sent again on every connection
//! until they are answered or nobody waits for them any more. All of them may be repeated without harm.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::oneshot;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use crate::error::Error;

/// Who wants to know.
pub(crate) enum Answer {
    /// A caller, who may give up.
    Caller(oneshot::Sender<Result<Utf8Bytes, Error>>),
    /// A subscriber who is behind in this channel or roll-up.
    CatchUp { sub: u64, counter: Arc<str> },
}

impl Answer {
    fn is_wanted(&self) -> bool {
        match self {
            Answer::Caller(caller) => !caller.is_closed(),
            Answer::CatchUp { .. } => true,
        }
    }
}

struct Waiting {
    text: String,
    answer: Answer,
}

/// See the module.
pub(super) struct Requests {
    waiting: BTreeMap<u64, Waiting>,
    bytes: usize,
    most: usize,
    most_bytes: usize,
}

impl Requests {
    pub(super) fn new(most: usize, most_bytes: usize) -> Self {
        Requests { waiting: BTreeMap::new(), bytes: 0, most, most_bytes }
    }

    /// Answers whether there was room; if not, the caller is told. Catching up is bounded by itself, one request a
    /// subscriber.
    pub(super) fn add(&mut self, req: u64, text: String, answer: Answer) -> bool {
        if let Err(error) = self.check_room(text.len()) {
            self.forget_unwanted();
            if let Answer::Caller(caller) = answer {
                if self.check_room(text.len()).is_err() {
                    drop(caller.send(Err(error)));
                    return false;
                }
                return self.insert(req, text, Answer::Caller(caller));
            }
        }
        self.insert(req, text, answer)
    }

    fn insert(&mut self, req: u64, text: String, answer: Answer) -> bool {
        self.bytes += text.len();
        self.waiting.insert(req, Waiting { text, answer });
        true
    }

    fn check_room(&self, bytes: usize) -> Result<(), Error> {
        let full = |what, limit, setting| Err(Error::Full { what, limit, setting });
        if self.waiting.len() >= self.most {
            return full(format!("{} requests", self.waiting.len()), self.most, "Settings::waiting_requests");
        }
        // A single request may be larger than all that may wait.
        if self.bytes > 0 && self.bytes + bytes > self.most_bytes {
            return full(format!("{} bytes", self.bytes + bytes), self.most_bytes, "Settings::waiting_bytes");
        }
        Ok(())
    }

    pub(super) fn take(&mut self, req: u64) -> Option<Answer> {
        let Waiting { text, answer } = self.waiting.remove(&req)?;
        self.bytes -= text.len();
        Some(answer)
    }

    /// Those of callers that are at least so large.
    pub(super) fn take_from(&mut self, bytes: usize) -> Vec<Answer> {
        let is_large =
            |waiting: &Waiting| waiting.text.len() >= bytes && matches!(waiting.answer, Answer::Caller(_));
        let large = self.waiting.iter().filter(|(_, waiting)| is_large(waiting)).map(|(req, _)| *req);
        let large: Vec<u64> = large.collect();
        large.into_iter().filter_map(|req| self.take(req)).collect()
    }

    /// All that is still wanted, for a new connection.
    pub(super) fn texts(&mut self) -> Vec<String> {
        self.forget_unwanted();
        self.waiting.values().map(|waiting| waiting.text.clone()).collect()
    }

    fn forget_unwanted(&mut self) {
        let bytes = &mut self.bytes;
        self.waiting.retain(|_, waiting| {
            let wanted = waiting.answer.is_wanted();
            if !wanted {
                *bytes -= waiting.text.len();
            }
            wanted
        });
    }

    pub(super) fn end(&mut self, error: &Error) {
        self.bytes = 0;
        for waiting in std::mem::take(&mut self.waiting).into_values() {
            if let Answer::Caller(caller) = waiting.answer {
                drop(caller.send(Err(error.clone())));
            }
        }
    }
}
