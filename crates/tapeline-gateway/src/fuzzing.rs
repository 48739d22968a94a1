//! What fuzz targets and their tests reach of this crate's inside. Each is the very function that a request passes; nothing
//! of the product uses this file.

use tapeline_core::command::{Publication, Req};
use tapeline_core::{Command, Refusal};

use crate::envelope::Envelope;
use crate::{batch, form, native, socketio};

pub use tapeline_codec::{engineio, socketio as packets};

/// One text frame of the native protocol.
///
/// # Errors
/// It is no command.
pub fn frame(text: &str) -> Result<Command, Refusal> {
    native::read(text)
}

/// One packet of a Socket.IO client that has joined: what it asks for, and what marks the answer. Nothing where it asks for
/// nothing, or breaks the protocol.
pub fn socketio(text: &str) -> Option<(Req, Result<Command, Refusal>)> {
    socketio::read(text)
}

/// The body of a publish over HTTP, with what is to be done.
///
/// # Errors
/// It is no publish.
pub fn envelope<T>(body: &[u8], see: impl FnOnce(Publication<&str>) -> T) -> Result<T, Refusal> {
    form::object_in::<Envelope<'_>>(body)?.publication().map(see)
}

/// The body of a batch, as lines or as an array: what is to be done with each item.
///
/// # Errors
/// It is no batch.
pub fn batch(
    body: &[u8],
    lines: bool,
    limit: usize,
    mut see: impl FnMut(Result<Publication<&str>, Refusal>),
) -> Result<(), Refusal> {
    for item in batch::read(body, lines, limit).map_err(|failure| failure.0)? {
        see(item.as_ref().map_err(Clone::clone).and_then(Envelope::publication));
    }
    Ok(())
}
