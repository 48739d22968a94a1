//! What a client said, lent from the read buffer or from what the decoder had kept.
//!
//! Owns the last look at a whole body: text is UTF-8, a close is well-formed, nothing follows an end.
//! Refuses to know how frames become wholes.

use super::{Close, Decoder, Opcode, ProtocolError, decoder::Whole};

/// What a client said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'a> {
    /// A whole text message.
    Text(&'a str),
    /// A whole binary message.
    Binary(&'a [u8]),
    /// To be answered by a pong with the same payload.
    Ping(&'a [u8]),
    /// The answer to a ping, or unsolicited and to be ignored.
    Pong(&'a [u8]),
    /// The last event: what comes after it is ignored. To be answered by a close.
    Close(Close<'a>),
}

/// What one read holds: ask for events until there is none, or stop and keep the bytes from
/// [`consumed`](Self::consumed) on.
#[derive(Debug)]
pub struct Events<'a> {
    decoder: &'a mut Decoder,
    input: &'a mut [u8],
    consumed: usize,
    /// The bytes of the event lent last, if it did not arrive whole.
    taken: Vec<u8>,
}

impl<'e> Events<'e> {
    pub(super) fn new(decoder: &'e mut Decoder, input: &'e mut [u8]) -> Self {
        Self { decoder, input, consumed: 0, taken: Vec::new() }
    }

    /// The next event, lent until the next call; `None` when all of the input is consumed.
    ///
    /// After an error or a [`Event::Close`] the rest of the stream is ignored: `None` for ever.
    #[expect(clippy::should_implement_trait, reason = "lends from itself, which Iterator cannot")]
    pub fn next(&mut self) -> Result<Option<Event<'_>>, ProtocolError> {
        self.taken = Vec::new();
        let whole = match self.decoder.advance(self.input, &mut self.consumed) {
            Ok(Some(whole)) => whole,
            Ok(None) => return Ok(None),
            Err(error) => {
                self.consumed = self.input.len();
                self.decoder.end();
                return Err(error);
            }
        };
        let (opcode, bytes) = match whole {
            Whole::InInput(opcode, range) => (opcode, self.input.get(range).unwrap_or_default()),
            Whole::Taken(opcode, bytes) => {
                self.taken = bytes;
                (opcode, self.taken.as_slice())
            }
        };
        let event = Event::read(opcode, bytes);
        if matches!(event, Ok(Event::Close(_)) | Err(_)) {
            self.consumed = self.input.len();
            self.decoder.end();
        }
        event.map(Some)
    }

    /// How many bytes of the input are behind the events so far. Those after it were not looked at or changed.
    pub fn consumed(&self) -> usize {
        self.consumed
    }
}

impl<'a> Event<'a> {
    fn read(opcode: Opcode, bytes: &'a [u8]) -> Result<Self, ProtocolError> {
        Ok(match opcode {
            Opcode::Text => {
                Self::Text(simdutf8::basic::from_utf8(bytes).map_err(|_| ProtocolError::TextNotUtf8)?)
            }
            Opcode::Binary | Opcode::Continuation => Self::Binary(bytes),
            Opcode::Ping => Self::Ping(bytes),
            Opcode::Pong => Self::Pong(bytes),
            Opcode::Close => Self::Close(Close::parse(bytes)?),
        })
    }
}
