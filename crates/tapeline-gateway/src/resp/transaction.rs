//! `MULTI`, `EXEC` and `DISCARD`: commands are kept and then followed one after another, each with its own answer inside of
//! one array. Between them others' commands may come: nothing is locked and nothing is undone.

use tapeline_codec::resp::Version;

use super::Outcome;
use super::store::{Steps, follow};
use super::talk::Call;
use super::words::{Kept, Words};

/// Commands of one transaction.
const COMMANDS: usize = 1_000;

/// Their answers are no replies.
const SUBSCRIBING: [&str; 6] =
    ["subscribe", "psubscribe", "ssubscribe", "unsubscribe", "punsubscribe", "sunsubscribe"];
/// The session itself answers them, which cannot be held back.
const APART: [&str; 4] = ["publish", "spublish", "auth", "hello"];
const NOT_IN_ONE_PIECE: &str = "ERR EXEC: in RESP 3 messages could come between its answers, so no transaction subscribes, \
                                and none publishes on a connection that has subscriptions; use another connection";

/// Commands that wait for `EXEC`.
#[derive(Default)]
pub(super) struct Transaction {
    commands: Vec<Kept>,
    bytes: usize,
    failed: bool,
}

impl Transaction {
    /// Keeps a command.
    ///
    /// # Errors
    /// There is no room for it.
    pub(super) fn queue(&mut self, words: Words<'_>, limit_bytes: usize) -> Result<(), &'static str> {
        if self.failed {
            // It comes to nothing anyway.
            return Ok(());
        }
        let bytes = words.bytes();
        if self.commands.len() >= COMMANDS {
            return Err("ERR too_large: a transaction has room for 1,000 commands");
        }
        if self.bytes.saturating_add(bytes) > limit_bytes {
            return Err(
                "ERR too_large: a transaction has room for one publish and 1 MiB (limits.publish_bytes)",
            );
        }
        self.bytes += bytes;
        self.commands.push(words.keep());
        Ok(())
    }

    /// A command that was meant for it was refused.
    pub(super) fn fail(&mut self) {
        self.failed = true;
        self.commands = Vec::new();
    }
}

fn is_one_of(words: &[Box<[u8]>], names: &[&str]) -> bool {
    let Some(name) = words.first() else { return false };
    names.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes()))
}

pub(super) fn multi(call: &mut Call<'_, '_>) -> Outcome {
    if call.talk.transaction.is_some() {
        return call.fail("ERR MULTI calls can not be nested");
    }
    call.talk.transaction = Some(Transaction::default());
    call.ok()
}

pub(super) fn discard(call: &mut Call<'_, '_>) -> Outcome {
    match call.talk.transaction.take() {
        Some(_) => call.ok(),
        None => call.fail("ERR DISCARD without MULTI"),
    }
}

pub(super) fn exec(call: &mut Call<'_, '_>) -> Outcome {
    // Clients that read RESP 3 take no message inside of a reply, and the hub does not wait with messages.
    let in_one_piece = call.talk.version == Version::Three && call.port.subscriptions() > 0;
    if in_one_piece && call.port.in_flight() > 0 {
        return Outcome::Wait;
    }
    let Some(transaction) = call.talk.transaction.take() else { return call.fail("ERR EXEC without MULTI") };
    if transaction.failed {
        return call.fail("EXECABORT Transaction discarded because of previous errors.");
    }
    let commands = transaction.commands;
    let has = |names: &[&str]| commands.iter().any(|words| is_one_of(words, names));
    if call.talk.version == Version::Three && (has(&SUBSCRIBING) || in_one_piece && has(&APART)) {
        return call.fail(NOT_IN_ONE_PIECE);
    }
    if in_one_piece {
        return exec_in_one_piece(call, &commands);
    }
    let outcome = call.reply(|writer| _ = writer.array(commands.len()));
    call.talk.waiting.extend(commands);
    outcome
}

fn exec_in_one_piece(call: &mut Call<'_, '_>, commands: &[Kept]) -> Outcome {
    call.talk.steps = Some(Steps::default());
    for words in commands {
        call.talk.take(Words::Kept(words), call.port);
    }
    let steps = call.talk.steps.take().unwrap_or_default();
    follow(call, steps);
    Outcome::Done
}

pub(super) fn watch(call: &mut Call<'_, '_>) -> Outcome {
    if call.talk.transaction.is_some() {
        return call.fail("ERR WATCH inside MULTI is not allowed");
    }
    call.fail(
        "ERR WATCH is not supported: transactions lock nothing here; \
         SET with NX or XX, and PUT /store with expect, compare and set",
    )
}

pub(super) fn unwatch(call: &mut Call<'_, '_>) -> Outcome {
    call.ok()
}
