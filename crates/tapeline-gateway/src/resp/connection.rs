//! What a client says about its connection: who it is, which version it speaks, what it is called, and that it goes.

use tapeline_codec::resp::{Version, parse_integer};
use tapeline_core::Command;

use super::Outcome;
use super::channels::end_all;
use super::mark::{Mark, Shape};
use super::talk::{Call, Identifying};
use super::wire::push_greeting;
use super::words::SYNTAX;

/// The only user that Redis has where nobody has made others.
const DEFAULT_USER: &[u8] = b"default";
/// Databases that `SELECT` takes; they are all the same one.
const DATABASES: i64 = 16;
/// Bytes of what a client may call itself.
const NAME_BYTES: usize = 256;
const NO_PASSWORD: &str = "ERR AUTH <password> called without any password configured for the default user. \
                           Are you sure your configuration is correct?";
const WRONG_PASSWORD: &str = "WRONGPASS invalid username-password pair or user is disabled.";
const HELLO_STRANGER: &str = "NOAUTH HELLO must be called with the client already authenticated, otherwise the \
                              HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and select \
                              the RESP protocol version at the same time";
const BAD_NAME: &str = "ERR Client names cannot contain spaces, newlines or special characters.";

pub(super) fn ping(call: &mut Call<'_, '_>) -> Outcome {
    let words = call.words;
    if words.len() > 2 {
        return call.fail("ERR wrong number of arguments for 'ping' command");
    }
    if call.talk.version == Version::Two && call.port.subscriptions() > 0 {
        return call.reply(|writer| _ = writer.array(2).bulk(b"pong").bulk(words.at(1)));
    }
    match words.len() {
        1 => call.reply(|writer| _ = writer.simple("PONG")),
        _ => call.reply(|writer| _ = writer.bulk(words.at(1))),
    }
}

pub(super) fn echo(call: &mut Call<'_, '_>) -> Outcome {
    let words = call.words;
    call.reply(|writer| _ = writer.bulk(words.at(1)))
}

pub(super) fn quit(call: &mut Call<'_, '_>) -> Outcome {
    if call.port.unanswered() > 0 {
        return Outcome::Wait;
    }
    call.port.close_with(b"+OK\r\n");
    Outcome::Done
}

/// As a new connection, but that it stays who it is: nobody can be forgotten by the hub.
pub(super) fn reset(call: &mut Call<'_, '_>) -> Outcome {
    if call.port.unanswered() > 0 {
        return Outcome::Wait;
    }
    call.talk.transaction = None;
    if !end_all(call) {
        return Outcome::Done;
    }
    call.talk.name.clear();
    call.talk.speak(Version::Two, call.port);
    call.reply(|writer| _ = writer.simple("RESET"))
}

pub(super) fn select(call: &mut Call<'_, '_>) -> Outcome {
    match call.words.integer(1) {
        Ok(0..DATABASES) => call.ok(),
        Ok(_) => call.fail("ERR DB index is out of range"),
        Err(text) => call.fail(&text),
    }
}

pub(super) fn readonly(call: &mut Call<'_, '_>) -> Outcome {
    call.ok()
}

pub(super) fn wait(call: &mut Call<'_, '_>) -> Outcome {
    match call.words.integer(1).and(call.words.integer(2)) {
        // No replica has it: there is none.
        Ok(_) => call.reply(|writer| _ = writer.integer(0)),
        Err(text) => call.fail(&text),
    }
}

pub(super) fn auth(call: &mut Call<'_, '_>) -> Outcome {
    let words = call.words;
    if words.len() > 3 {
        return call.fail(SYNTAX);
    }
    let (user, token) = match words.len() {
        2 => (None, words.at(1)),
        _ => (Some(words.at(1)), words.at(2)),
    };
    if call.port.hub().authority().is_off() {
        return match user {
            None => call.fail(NO_PASSWORD),
            Some(DEFAULT_USER) => call.ok(),
            Some(_) => call.fail(WRONG_PASSWORD),
        };
    }
    identify(call, token, None)
}

/// Gives a token to the hub. Nothing is read on until it is known what it is worth.
fn identify(call: &mut Call<'_, '_>, token: &[u8], hello: Option<(Version, Option<String>)>) -> Outcome {
    if call.port.unanswered() > 0 {
        return Outcome::Wait;
    }
    let Ok(token) = std::str::from_utf8(token) else { return call.fail(WRONG_PASSWORD) };
    let before = call.port.identified();
    let shape = match &hello {
        None => Shape::Identified,
        Some((version, _)) => Shape::Greeted(*version, call.port.serial()),
    };
    let mark = Mark { turn: call.port.turn(), shape };
    call.talk.identifying = Some(Identifying { before, hello });
    call.port.handle(Command::Token { token: token.into(), req: Some(mark.text()) });
    Outcome::Done
}

/// What a `HELLO` asks for.
struct Hello<'a> {
    version: Option<Version>,
    login: Option<(&'a [u8], &'a [u8])>,
    name: Option<String>,
}

fn read_hello<'a>(call: &Call<'a, '_>) -> Result<Hello<'a>, String> {
    let words = call.words;
    let mut hello = Hello { version: None, login: None, name: None };
    if words.len() > 1 {
        let number =
            parse_integer(words.at(1)).ok_or("ERR Protocol version is not an integer or out of range")?;
        hello.version = Some(match number {
            2 => Version::Two,
            3 => Version::Three,
            _ => return Err("NOPROTO unsupported protocol version".to_string()),
        });
    }
    let mut at = 2;
    while at < words.len() {
        let left = words.len() - at - 1;
        if words.is(at, "auth") && left >= 2 {
            hello.login = Some((words.at(at + 1), words.at(at + 2)));
            at += 3;
        } else if words.is(at, "setname") && left >= 1 {
            hello.name = Some(client_name(words.at(at + 1))?);
            at += 2;
        } else {
            return Err(format!("ERR Syntax error in HELLO option '{}'", words.shown(at)));
        }
    }
    Ok(hello)
}

pub(super) fn hello(call: &mut Call<'_, '_>) -> Outcome {
    let Hello { version, login, name } = match read_hello(call) {
        Ok(hello) => hello,
        Err(text) => return call.fail(&text),
    };
    let version = version.unwrap_or(call.talk.version);
    let is_off = call.port.hub().authority().is_off();
    match login {
        Some((user, _)) if is_off && user != DEFAULT_USER => return call.fail(WRONG_PASSWORD),
        Some((_, token)) if !is_off => return identify(call, token, Some((version, name))),
        _ if !call.port.is_known() => return call.fail(HELLO_STRANGER),
        _ => {}
    }
    // What was asked before is answered in the version that was spoken then.
    if call.port.unanswered() > 0 {
        return Outcome::Wait;
    }
    call.talk.speak(version, call.port);
    if let Some(name) = name {
        call.talk.name = name;
    }
    let id = call.port.serial();
    call.reply(|writer| push_greeting(writer, version, id))
}

/// A name of printable characters without spaces.
fn client_name(word: &[u8]) -> Result<String, String> {
    let fits = word.len() <= NAME_BYTES && word.iter().all(u8::is_ascii_graphic);
    if fits { Ok(String::from_utf8_lossy(word).into_owned()) } else { Err(BAD_NAME.to_string()) }
}

pub(super) fn client(call: &mut Call<'_, '_>) -> Outcome {
    let words = call.words;
    let takes = |count: usize| words.len() == count;
    match words.at(1).to_ascii_lowercase().as_slice() {
        b"setinfo" if takes(4) => set_info(call),
        b"setname" if takes(3) => match client_name(words.at(2)) {
            Ok(name) => {
                call.talk.name = name;
                call.ok()
            }
            Err(text) => call.fail(&text),
        },
        b"getname" if takes(2) => {
            let name = call.talk.name.clone();
            call.reply(|writer| {
                if name.is_empty() {
                    writer.null()
                } else {
                    writer.bulk(name.as_bytes())
                };
            })
        }
        b"id" if takes(2) => {
            let id = call.port.serial();
            call.reply(|writer| _ = writer.integer(i64::try_from(id).unwrap_or(i64::MAX)))
        }
        b"info" if takes(2) => {
            let line = line_of(call);
            call.reply(|writer| _ = writer.text(&line))
        }
        b"list" => {
            // Others are an operator's to look at, in /clients; the connection knows itself.
            let line = line_of(call);
            call.reply(|writer| _ = writer.text(&line))
        }
        b"getredir" if takes(2) => call.reply(|writer| _ = writer.integer(-1)),
        b"no-evict" | b"no-touch" if takes(3) && (words.is(2, "on") || words.is(2, "off")) => call.ok(),
        b"no-evict" | b"no-touch" if takes(3) => call.fail(SYNTAX),
        b"reply" if takes(3) && words.is(2, "on") => call.ok(),
        b"reply" if takes(3) => call.fail("ERR CLIENT REPLY is ON here: every command is answered"),
        b"setinfo" | b"setname" | b"getname" | b"id" | b"info" | b"getredir" | b"no-evict" | b"no-touch"
        | b"reply" => call.odd_arguments(),
        _ => call.no_subcommand(),
    }
}

fn set_info(call: &mut Call<'_, '_>) -> Outcome {
    let words = call.words;
    let Ok(value) = client_name(words.at(3)) else {
        let what = words.shown(2).to_ascii_lowercase();
        return call.fail(&format!("ERR {what} cannot contain spaces, newlines or special characters."));
    };
    let [name, version] = &mut call.talk.library;
    match () {
        () if words.is(2, "lib-name") => *name = value,
        () if words.is(2, "lib-ver") => *version = value,
        () => {
            let text = format!("ERR Unrecognized option '{}'", words.shown(2));
            return call.fail(&text);
        }
    }
    call.ok()
}

/// The connection as a line of `CLIENT LIST`.
fn line_of(call: &Call<'_, '_>) -> String {
    let topics = call.port.topics();
    let patterns = topics.iter().filter(|(is_pattern, ..)| *is_pattern).count();
    let [lib_name, lib_version] = &call.talk.library;
    format!(
        "id={} addr={} name={} db=0 sub={} psub={} multi=-1 cmd=client user={} resp={} lib-name={lib_name} lib-ver={lib_version}\n",
        call.port.serial(),
        call.port.principal(),
        call.talk.name,
        topics.len() - patterns,
        patterns,
        call.port.principal(),
        if call.talk.version == Version::Three { 3 } else { 2 },
    )
}
