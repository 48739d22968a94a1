//! What a connection remembers between commands, and what each command passes before it is followed: whether it is known
//! and whole, whether the client may give it now, whether a transaction takes it.

use std::collections::VecDeque;
use std::sync::Arc;

use tapeline_codec::resp::{Version, Writer};
use tapeline_runtime::Port;

use super::store::{Common, Gauge, Steps};
use super::table::{self, Entry};
use super::transaction::Transaction;
use super::wire::wire;
use super::words::{Kept, Words, shown};
use super::{HeldUp, Outcome};

const STRANGER: &str = "NOAUTH Authentication required.";

/// What a command costs of its connection's turn beside what it looks at.
const COMMAND_BYTES: usize = 1 << 10;

/// A client that has just said who it is.
pub(super) struct Identifying {
    /// How often the hub had taken a token before.
    pub before: u64,
    /// What its `HELLO` asked for: the version, and a name.
    pub hello: Option<(Version, Option<String>)>,
}

/// See the module.
pub(super) struct Talk {
    pub version: Version,
    /// What the client calls itself, and its library.
    pub name: String,
    pub library: [String; 2],
    pub identifying: Option<Identifying>,
    pub transaction: Option<Transaction>,
    /// What the commands of a transaction come to while it is taken apart, for answers in one piece.
    pub steps: Option<Steps>,
    /// Commands that come before what is read next.
    pub waiting: VecDeque<Kept>,
    /// How many of its names the command that comes first has got through.
    pub named: usize,
    /// What it has asked of the store and has not been answered.
    pub gauge: Arc<Gauge>,
    pub common: Arc<Common>,
    /// Bytes of one command, and of one transaction.
    pub command_bytes: usize,
    /// For answers that are written at once.
    scratch: Vec<u8>,
}

/// A command with what it may use.
pub(super) struct Call<'a, 'p> {
    pub talk: &'a mut Talk,
    pub port: &'a mut Port<'p>,
    pub words: Words<'a>,
}

impl Call<'_, '_> {
    /// Answers at once.
    pub(super) fn reply(&mut self, write: impl FnOnce(&mut Writer<'_>)) -> Outcome {
        self.talk.reply(self.port, write)
    }

    pub(super) fn ok(&mut self) -> Outcome {
        self.reply(|writer| _ = writer.simple("OK"))
    }

    pub(super) fn fail(&mut self, text: &str) -> Outcome {
        self.reply(|writer| _ = writer.error(text))
    }

    /// The command has subcommands, and this is none of them.
    pub(super) fn no_subcommand(&mut self) -> Outcome {
        let (sub, name) = (self.words.shown(1), self.words.shown(0).to_ascii_uppercase());
        self.fail(&format!("ERR unknown subcommand '{sub}'. Try {name} HELP."))
    }

    /// A subcommand has not the arguments that it takes.
    pub(super) fn odd_arguments(&mut self) -> Outcome {
        let [name, sub] = [0, 1].map(|place| self.words.shown(place).to_ascii_lowercase());
        self.fail(&format!("ERR wrong number of arguments for '{name}|{sub}' command"))
    }
}

impl Talk {
    pub(super) fn new(command_bytes: usize, common: Arc<Common>) -> Self {
        Talk {
            version: Version::Two,
            name: String::new(),
            library: Default::default(),
            identifying: None,
            transaction: None,
            steps: None,
            waiting: VecDeque::new(),
            named: 0,
            gauge: Arc::default(),
            common,
            command_bytes,
            scratch: Vec::new(),
        }
    }

    pub(super) fn reply(&mut self, port: &mut Port<'_>, write: impl FnOnce(&mut Writer<'_>)) -> Outcome {
        self.scratch.clear();
        write(&mut Writer::new(&mut self.scratch, self.version));
        if let Some(steps) = &mut self.steps {
            steps.say(std::mem::take(&mut self.scratch));
            return Outcome::Done;
        }
        let turn = port.turn();
        port.answer(turn, &self.scratch);
        // One large answer is no reason to keep the room for it.
        self.scratch.shrink_to(4 << 10);
        Outcome::Done
    }

    /// A command that could not be followed comes first the next time.
    pub(super) fn keep(&mut self, words: Words<'_>) {
        self.waiting.push_front(words.keep());
    }

    /// Follows commands that wait. Answers where that is held up.
    pub(super) fn go_on(&mut self, port: &mut Port<'_>) -> Option<HeldUp> {
        while let Some(words) = self.waiting.pop_front() {
            if port.is_closing() {
                self.waiting.clear();
                return None;
            }
            if !port.has_room() || self.is_identifying(port) {
                self.waiting.push_front(words);
                return Some(HeldUp::Room);
            }
            if self.gauge.has_had_its_turn() {
                self.waiting.push_front(words);
                return Some(HeldUp::Turn);
            }
            match self.take(Words::Kept(&words), port) {
                Outcome::Done => {}
                Outcome::Wait => {
                    self.waiting.push_front(words);
                    return Some(HeldUp::Room);
                }
                Outcome::Turn => {
                    self.waiting.push_front(words);
                    return Some(HeldUp::Turn);
                }
                Outcome::Busy(busy) => return Some(HeldUp::Busy(busy)),
            }
        }
        None
    }

    /// Whether it is still being found out who the client is. What it asked for with that holds from then on.
    pub(super) fn is_identifying(&mut self, port: &mut Port<'_>) -> bool {
        if self.identifying.is_none() {
            return false;
        }
        if port.in_flight() > 0 {
            return true;
        }
        let Some(Identifying { before, hello }) = self.identifying.take() else { return false };
        let is_new = port.identified() != before;
        if let Some((version, name)) = hello.filter(|_| is_new) {
            self.speak(version, port);
            self.name = name.unwrap_or_else(|| std::mem::take(&mut self.name));
        }
        false
    }

    pub(super) fn speak(&mut self, version: Version, port: &mut Port<'_>) {
        self.version = version;
        port.speak(wire(version));
    }

    /// What every command passes.
    pub(super) fn take(&mut self, words: Words<'_>, port: &mut Port<'_>) -> Outcome {
        self.gauge.look(COMMAND_BYTES + words.bytes());
        let Some(entry) = table::find(words.at(0)) else { return self.unknown(words, port) };
        if !entry.takes(words.len()) {
            let text = format!("ERR wrong number of arguments for '{}' command", entry.name);
            return self.refuse(port, &text);
        }
        if !entry.for_strangers && !port.is_known() {
            return self.refuse(port, STRANGER);
        }
        if self.version == Version::Two && !entry.while_subscribed && port.subscriptions() > 0 {
            return self.refuse(port, &not_while_subscribed(entry, words));
        }
        if let Some(transaction) = self.transaction.as_mut().filter(|_| !entry.at_once) {
            let queued = transaction.queue(words, self.command_bytes);
            return match queued {
                Ok(()) => self.reply(port, |writer| _ = writer.simple("QUEUED")),
                Err(text) => self.refuse(port, text),
            };
        }
        (entry.run)(&mut Call { talk: self, port, words })
    }

    /// Refuses a command before it was looked at; a transaction that it was meant for comes to nothing.
    fn refuse(&mut self, port: &mut Port<'_>, text: &str) -> Outcome {
        if let Some(transaction) = &mut self.transaction {
            transaction.fail();
        }
        self.reply(port, |writer| _ = writer.error(text))
    }

    fn unknown(&mut self, words: Words<'_>, port: &mut Port<'_>) -> Outcome {
        // A browser's request, which somebody's page has sent here. It gets no answer to read.
        if words.is(0, "post") || words.is(0, "host:") {
            port.close_with(b"");
            return Outcome::Done;
        }
        let mut text = format!("ERR unknown command '{}', with args beginning with: ", words.shown(0));
        let start = text.len();
        for word in words.from(1) {
            let left = 128_usize.saturating_sub(text.len() - start);
            if left == 0 {
                break;
            }
            text.push_str(&format!("'{}' ", shown(word, left)));
        }
        self.refuse(port, &text)
    }
}

fn not_while_subscribed(entry: &Entry, words: Words<'_>) -> String {
    let sub = match entry.has_subcommands && words.len() > 1 {
        true => format!("|{}", words.shown(1).to_ascii_lowercase()),
        false => String::new(),
    };
    format!(
        "ERR Can't execute '{}{sub}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context",
        entry.name
    )
}
