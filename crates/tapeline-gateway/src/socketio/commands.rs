//! From an event to a command. The arguments are those of the native protocol's actions, so both say the same; a channel
//! may be named alone. It knows no session.

use tapeline_codec::socketio::Event;
use tapeline_core::command::Req;
use tapeline_core::{Command, Refusal};
use tapeline_schema::ErrorCode;

use crate::form;
use crate::native::{self, Said};

/// Reads an event that a client has emitted.
///
/// # Errors
/// No action is called so, or its argument is not what it takes.
pub(crate) fn command(event: &Event<'_>, binary: bool, req: Req) -> Result<Command, Refusal> {
    if binary {
        return Err(attached());
    }
    let argument = event.arguments.first().map(|raw| raw.get()).filter(|text| *text != "null");
    let said = match argument.map(|text| (text, text.as_bytes().first())) {
        None => Said::Nothing,
        Some((text, Some(b'{'))) => Said::Object(text),
        Some((text, Some(b'"'))) => Said::Name(read(text)?),
        Some((text, Some(b'['))) => Said::Names(read(text)?),
        Some(_) => {
            let message =
                format!("{}: the argument is neither a name, a list of names nor an object", name(event));
            return Err(Refusal::new(ErrorCode::InvalidRequest, message));
        }
    };
    native::command_of(&event.name, said, req)
}

fn name<'a>(event: &'a Event<'_>) -> &'a str {
    event.name.get(..event.name.floor_char_boundary(64)).unwrap_or_default()
}

fn read<'a, T: serde::Deserialize<'a>>(text: &'a str) -> Result<T, Refusal> {
    serde_json::from_str(text).map_err(|error| form::refusal(&error, text))
}

/// What whoever sends attachments is told.
pub(crate) fn attached() -> Refusal {
    let message = "binary attachments are not taken; send text, such as base64 in a field of the data";
    Refusal::new(ErrorCode::InvalidData, message)
}

/// Whether an event publishes, so that it may be larger than others. Its name is looked at before the rest is read.
pub(crate) fn publishes(payload: &str) -> bool {
    let name = payload.strip_prefix('[').map(str::trim_ascii_start);
    name.is_some_and(|name| name.starts_with("\"publish\""))
}

/// How many channels the event names, where it is more than one: then each has an answer of its own.
pub(crate) fn count(command: &Command) -> usize {
    match command {
        Command::Subscribe { wanted, .. } | Command::Unsubscribe { wanted, .. } => wanted.len(),
        _ => 1,
    }
}
