//! One request to Redis: commands that go in one piece, who hears the answers, and what becomes of it while the line is
//! down.

use std::time::{Duration, Instant};

use smallvec::SmallVec;

use super::resp::{Command, Value};
use super::script::Script;

/// How often Redis is told a script that it does not know.
const TELL_LIMIT: u8 = 3;

/// How long a request may take, and what happens to it when the line breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// Fails at once while the line is down or when it breaks.
    Now,
    /// Waits for the line so long; fails when the line breaks, or later.
    For(Duration),
    /// Waits for the line and is sent again when it breaks: only for what may run twice.
    Return,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// It cannot have run.
    #[error("redis is out of reach; it was never sent ({0})")]
    NotSent(String),
    /// It may have run, or run later.
    #[error("redis is out of reach; it was sent and its outcome is unknown ({0})")]
    Unknown(String),
    /// Too much waits already; it was never sent.
    #[error("too many requests wait for redis already")]
    Full,
    /// Redis says no.
    #[error("redis refuses: {0}")]
    Refused(String),
}

/// Hears one value a command, errors of single commands among them, or why there are none.
pub type Answer = Box<dyn FnOnce(Result<Vec<Value>, LinkError>) + Send>;

/// See the module.
pub(super) struct Request {
    bytes: Vec<u8>,
    /// Where each command ends.
    ends: SmallVec<[usize; 1]>,
    pub(super) script: Option<&'static Script>,
    pub(super) patience: Patience,
    pub(super) deadline: Option<Instant>,
    answer: Option<Answer>,
    values: Vec<Value>,
    /// The commands that are under way, where not all are.
    some: Option<Vec<usize>>,
    /// How often Redis was told the script.
    told: u8,
}

impl Request {
    pub(super) fn new(commands: &[Command], patience: Patience, answer: Answer) -> Self {
        let mut bytes = Vec::with_capacity(commands.len() * 256);
        let mut ends = SmallVec::with_capacity(commands.len());
        for command in commands {
            command.pack(&mut bytes);
            ends.push(bytes.len());
        }
        let script = commands.iter().find_map(|command| command.script);
        let deadline = match patience {
            Patience::For(time) => Instant::now().checked_add(time),
            Patience::Now | Patience::Return => None,
        };
        Request {
            bytes,
            ends,
            script,
            patience,
            deadline,
            answer: Some(answer),
            values: Vec::new(),
            some: None,
            told: 0,
        }
    }

    /// About what it holds.
    pub(super) fn weight(&self) -> usize {
        self.bytes.len() + 256
    }

    /// Appends what is to be sent.
    pub(super) fn pack(&self, out: &mut Vec<u8>) {
        let Some(some) = &self.some else { return out.extend_from_slice(&self.bytes) };
        for at in some {
            let start = at.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
            let end = self.ends.get(*at).copied().unwrap_or(start);
            out.extend_from_slice(self.bytes.get(start..end).unwrap_or_default());
        }
    }

    /// Takes the next reply; `true` if that was the last one due.
    pub(super) fn take(&mut self, value: Value) -> bool {
        match &mut self.some {
            None => {
                self.values.push(value);
                self.values.len() >= self.ends.len()
            }
            Some(some) => {
                if let Some(slot) = some.first().and_then(|at| self.values.get_mut(*at)) {
                    *slot = value;
                }
                some.drain(..some.len().min(1));
                some.is_empty()
            }
        }
    }

    /// Whether Redis did not know the script of some command; then those are to be sent again. A Redis that does not
    /// take the script in several attempts gets no more.
    pub(super) fn lacks_script(&mut self) -> bool {
        if self.script.is_none() || self.told >= TELL_LIMIT {
            return false;
        }
        let lacks = |value: &Value| value.error().is_some_and(|error| error.starts_with("NOSCRIPT"));
        let lacking = self.values.iter().enumerate().filter(|(_, value)| lacks(value));
        let lacking: Vec<usize> = lacking.map(|(at, _)| at).collect();
        self.some = (!lacking.is_empty()).then_some(lacking);
        self.told += u8::from(self.some.is_some());
        self.some.is_some()
    }

    /// Forgets what was answered, so that all of it is sent again.
    pub(super) fn restart(&mut self) {
        self.values.clear();
        self.some = None;
    }

    pub(super) fn is_late(&self, now: Instant) -> bool {
        self.answer.is_some() && self.deadline.is_some_and(|deadline| deadline <= now)
    }

    /// Tells that all has come.
    pub(super) fn answer(mut self) {
        if let Some(answer) = self.answer.take() {
            answer(Ok(self.values));
        }
    }

    /// Lets go of who waits; what comes all the same is heard by nobody.
    pub(super) fn give_up(&mut self) -> Option<Answer> {
        self.answer.take()
    }

    /// Tells that nothing will come; what comes all the same is heard by nobody.
    pub(super) fn fail(&mut self, error: LinkError) {
        if let Some(answer) = self.answer.take() {
            answer(Err(error));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use super::*;

    #[test]
    fn only_the_commands_whose_script_was_not_known_are_sent_again() {
        let (to, from) = sync_channel(1);
        static SCRIPT: Script = Script::new("return 1");
        let mut commands = ["A", "B", "C"].map(Command::new);
        commands[0].script = Some(&SCRIPT);
        let answer = Box::new(move |values| to.send(values).unwrap());
        let mut request = Request::new(&commands, Patience::Now, answer);
        let unknown = || Value::Error("NOSCRIPT No matching script".into());
        assert!(!request.take(Value::Int(1)) && !request.take(unknown()) && request.take(unknown()));
        assert!(request.lacks_script());
        let mut out = Vec::new();
        request.pack(&mut out);
        assert_eq!(out, b"*1\r\n$1\r\nB\r\n*1\r\n$1\r\nC\r\n");
        assert!(!request.take(Value::Int(2)) && request.take(Value::Int(3)));
        assert!(!request.lacks_script());
        request.answer();
        assert_eq!(from.recv().unwrap(), Ok(vec![Value::Int(1), Value::Int(2), Value::Int(3)]));
    }
}
