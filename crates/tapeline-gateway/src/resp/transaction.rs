//! `MULTI`, `EXEC` and `DISCARD`: commands are kept and then followed one after another, each with its own answer inside of
//! one array. Between them others' commands may come: nothing is locked and nothing is undone.

use tapeline_codec::resp::Version;

use super::Outcome;
use super::talk::Call;
use super::words::{Kept, Words};

/// Commands of one transaction.
const COMMANDS: usize = 1_000;

const NOT_WHILE_SUBSCRIBED: &str = "ERR EXEC: in RESP 3 messages could come between its answers, so a connection with \
                                    subscriptions runs no transaction, and none subscribes; use another connection";

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

/// Whether the command is one of those that begin or end subscriptions.
fn subscribes(words: &[Box<[u8]>]) -> bool {
    let name = words.first().map(|name| name.to_ascii_lowercase()).unwrap_or_default();
    name.ends_with(b"subscribe")
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
    let Some(transaction) = call.talk.transaction.take() else { return call.fail("ERR EXEC without MULTI") };
    if transaction.failed {
        return call.fail("EXECABORT Transaction discarded because of previous errors.");
    }
    // Clients that read RESP 3 take no message inside of a reply, and the hub would not wait with it.
    let hears = call.port.subscriptions() > 0 || transaction.commands.iter().any(|words| subscribes(words));
    if call.talk.version == Version::Three && hears {
        return call.fail(NOT_WHILE_SUBSCRIBED);
    }
    let outcome = call.reply(|writer| _ = writer.array(transaction.commands.len()));
    call.talk.waiting.extend(transaction.commands);
    outcome
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
