//! Bytes from one client to events: the state a connection keeps between two reads, 64 bytes and no buffer.
//!
//! A frame that arrived whole is unmasked where it lies and lent; only what is unfinished at the end of a read, and
//! the fragments before the last one, are copied into the decoder, and let go with their event.
//! Owns the rules that span frames: fragments, UTF-8, limits, nothing after the end. Refuses to know sockets,
//! time (a message may stay unfinished for ever: see [`Decoder::is_between_messages`]) and what to answer.

use std::{mem, ops::Range};

use super::{
    Events, Opcode, ProtocolError, deflate,
    frame::{Header, MAX_HEADER},
    mask, utf8,
};

/// What one message may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The bytes of a message, all fragments together and inflated. More ends in 1009, before they are kept.
    pub message_bytes: usize,
    /// The frames of a message, empty ones too. More ends in 1008. A message in one frame is always allowed.
    pub fragments: u32,
}

/// The state of one client's stream between two reads.
#[derive(Debug)]
pub struct Decoder {
    state: State,
    limits: Limits,
    /// The current message's bytes so far, then those of an unfinished control frame between its fragments.
    held: Vec<u8>,
    /// The frames of the current message so far.
    fragments: u32,
    /// What the current message is, from its first frame's header to its end.
    message: Option<Kind>,
    /// How many bytes at the message's end are the start of a character: 0 to 3.
    utf8_tail: u8,
    /// Whether permessage-deflate was negotiated.
    deflate: bool,
    /// Whether the current message is compressed. It is inflated when it is whole: no window is kept for it.
    compressed: bool,
}

/// Kept at 16 bytes: a header is either being collected or was read.
#[derive(Debug, Clone, Copy)]
enum State {
    Header {
        bytes: [u8; MAX_HEADER],
        len: u8,
    },
    Payload {
        left: usize,
        /// Rotated: its first byte is for the next byte of the payload.
        key: [u8; 4],
        opcode: Opcode,
        fin: bool,
        /// For a control frame, how many of its bytes stand at the end of `held`.
        control_held: u8,
    },
    Ended,
}

const NEXT_HEADER: State = State::Header { bytes: [0; MAX_HEADER], len: 0 };

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Binary,
}

/// Where the bytes of a finished message or control frame are.
pub(super) enum Whole {
    InInput(Opcode, Range<usize>),
    Taken(Opcode, Vec<u8>),
}

enum Progress {
    /// The input is used up.
    Starved,
    /// A header was read or a fragment put away; the input may hold more.
    GoOn,
    Done(Whole),
}

/// What the last byte of a piece of payload is the end of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ends {
    Nothing,
    Frame,
    Message,
}

impl Decoder {
    /// A connection that has said nothing yet.
    pub fn new(limits: Limits) -> Self {
        Self {
            state: NEXT_HEADER,
            limits,
            held: Vec::new(),
            fragments: 0,
            message: None,
            utf8_tail: 0,
            deflate: false,
            compressed: false,
        }
    }

    /// The same, where permessage-deflate was negotiated or not. The client keeps no window between messages.
    #[must_use]
    pub fn with_deflate(self, negotiated: bool) -> Self {
        Self { deflate: negotiated, ..self }
    }

    /// Starts on the bytes that follow those consumed before. Nothing happens until [`Events::next`] is called.
    pub fn feed<'a>(&'a mut self, input: &'a mut [u8]) -> Events<'a> {
        Events::new(self, input)
    }

    /// Whether a close or an error ended the stream: what is fed from now on is ignored.
    pub fn is_ended(&self) -> bool {
        matches!(self.state, State::Ended)
    }

    /// Whether no frame and no message has been begun: a gateway limits the time for which this is false.
    pub fn is_between_messages(&self) -> bool {
        self.message.is_none()
            && !matches!(self.state, State::Header { len: 1.., .. } | State::Payload { .. })
    }

    /// The memory held for what is unfinished, beside the decoder itself.
    pub fn held_bytes(&self) -> usize {
        self.held.capacity()
    }

    pub(super) fn end(&mut self) {
        self.state = State::Ended;
        self.message = None;
        self.held = Vec::new();
    }

    /// Goes on until a message or a control frame is whole or the input is used up. Advances `at`.
    pub(super) fn advance(
        &mut self,
        input: &mut [u8],
        at: &mut usize,
    ) -> Result<Option<Whole>, ProtocolError> {
        loop {
            let progress = match self.state {
                State::Header { bytes, len } => self.take_header(bytes, len, input.get(*at..), at)?,
                State::Payload { .. } => self.take_payload(input, at)?,
                State::Ended => {
                    *at = input.len();
                    Progress::Starved
                }
            };
            match progress {
                Progress::Starved => return Ok(None),
                Progress::GoOn => {}
                Progress::Done(whole) => return Ok(Some(whole)),
            }
        }
    }

    fn take_header(
        &mut self,
        mut bytes: [u8; MAX_HEADER],
        held: u8,
        input: Option<&[u8]>,
        at: &mut usize,
    ) -> Result<Progress, ProtocolError> {
        let input = input.unwrap_or_default();
        let held = usize::from(held);
        let (parsed, copied) = if held == 0 {
            (Header::parse(input, self.deflate)?, 0)
        } else {
            let copied = copy_into(&mut bytes, held, input);
            (Header::parse(bytes.get(..held + copied).unwrap_or_default(), self.deflate)?, copied)
        };
        if let Some((header, len)) = parsed {
            *at += len.saturating_sub(held);
            self.state = self.open_frame(header)?;
            return Ok(Progress::GoOn);
        }
        // Less than a header is left, so all of it is kept.
        let copied = if held == 0 { copy_into(&mut bytes, 0, input) } else { copied };
        *at += copied;
        self.state = State::Header { bytes, len: (held + copied) as u8 };
        Ok(Progress::Starved)
    }

    /// Checks what a header means after the frames before it.
    fn open_frame(&mut self, header: Header) -> Result<State, ProtocolError> {
        let Header { opcode, fin, compressed, payload_len, key } = header;
        if !opcode.is_control() {
            self.message = match (opcode, self.message) {
                (Opcode::Continuation, None) => return Err(ProtocolError::ContinuationWithoutStart),
                (Opcode::Continuation, begun) => begun,
                (_, Some(_)) => return Err(ProtocolError::Interleaved),
                (Opcode::Text, None) => Some(Kind::Text),
                (_, None) => Some(Kind::Binary),
            };
            self.compressed |= compressed;
            self.check_limits(payload_len)?;
        }
        // Within the limit of a message or 125, so the fallback is never taken.
        let left = usize::try_from(payload_len).unwrap_or(usize::MAX);
        Ok(State::Payload { left, key, opcode, fin, control_held: 0 })
    }

    fn check_limits(&mut self, payload_len: u64) -> Result<(), ProtocolError> {
        let Limits { message_bytes, fragments } = self.limits;
        let bytes = payload_len.saturating_add(self.held.len() as u64);
        // Deflated data may be a little longer than what it stands for, which is judged when it is inflated.
        let slack = if self.compressed { message_bytes / 8 + 64 } else { 0 };
        if bytes > message_bytes.saturating_add(slack) as u64 {
            return Err(ProtocolError::MessageTooBig { bytes, limit: message_bytes });
        }
        self.fragments = self.fragments.saturating_add(1);
        if self.fragments > fragments.max(1) {
            return Err(ProtocolError::TooManyFragments { fragments: self.fragments, limit: fragments });
        }
        Ok(())
    }

    fn take_payload(&mut self, input: &mut [u8], at: &mut usize) -> Result<Progress, ProtocolError> {
        let State::Payload { left, key, opcode, fin, control_held } = self.state else {
            return Ok(Progress::GoOn);
        };
        let range = *at..input.len().min(at.saturating_add(left));
        *at = range.end;
        let piece = input.get_mut(range.clone()).unwrap_or_default();
        mask::apply(piece, key);
        let missing = left - piece.len();
        if missing == 0 {
            self.state = NEXT_HEADER;
        } else {
            // Only read for control frames, whose 125 bytes fit.
            let control_held = control_held.wrapping_add(piece.len() as u8);
            let key = mask::rotated(key, piece.len());
            self.state = State::Payload { left: missing, key, opcode, fin, control_held };
        }
        let ends = match (missing, fin) {
            (0, true) => Ends::Message,
            (0, false) => Ends::Frame,
            _ => Ends::Nothing,
        };
        if opcode.is_control() {
            Ok(self.take_control(opcode, usize::from(control_held), piece, range, ends))
        } else {
            self.take_data(piece, range, ends)
        }
    }

    fn take_control(
        &mut self,
        opcode: Opcode,
        held: usize,
        piece: &[u8],
        range: Range<usize>,
        ends: Ends,
    ) -> Progress {
        let whole = ends == Ends::Message;
        if whole && held == 0 {
            return Progress::Done(Whole::InInput(opcode, range));
        }
        self.held.extend_from_slice(piece);
        if !whole {
            return Progress::Starved;
        }
        let message_bytes = self.held.len().saturating_sub(held + piece.len());
        // `split_off(0)` would leave the capacity behind.
        let body =
            if message_bytes == 0 { mem::take(&mut self.held) } else { self.held.split_off(message_bytes) };
        Progress::Done(Whole::Taken(opcode, body))
    }

    fn take_data(
        &mut self,
        piece: &[u8],
        range: Range<usize>,
        ends: Ends,
    ) -> Result<Progress, ProtocolError> {
        let opcode = self.message.map_or(Opcode::Binary, Kind::opcode);
        if self.compressed {
            return self.take_compressed(opcode, piece, ends);
        }
        if ends == Ends::Message && self.held.is_empty() {
            self.end_message();
            return Ok(Progress::Done(Whole::InInput(opcode, range)));
        }
        self.held.extend_from_slice(piece);
        if opcode == Opcode::Text {
            let unchecked = piece.len() + usize::from(self.utf8_tail);
            let unchecked = self.held.len().saturating_sub(unchecked);
            self.utf8_tail = utf8::unfinished_tail(self.held.get(unchecked..).unwrap_or_default())?;
        }
        Ok(match ends {
            Ends::Nothing => Progress::Starved,
            Ends::Frame => Progress::GoOn,
            // A character cut by the end is found by the last look at the whole text.
            Ends::Message => {
                self.end_message();
                self.utf8_tail = 0;
                Progress::Done(Whole::Taken(opcode, mem::take(&mut self.held)))
            }
        })
    }

    fn take_compressed(
        &mut self,
        opcode: Opcode,
        piece: &[u8],
        ends: Ends,
    ) -> Result<Progress, ProtocolError> {
        let limit = self.limits.message_bytes;
        let bytes = match (ends, self.held.is_empty()) {
            (Ends::Message, true) => deflate::inflate(piece, limit)?,
            (Ends::Message, false) => {
                self.held.extend_from_slice(piece);
                deflate::inflate(&mem::take(&mut self.held), limit)?
            }
            (ends, _) => {
                self.held.extend_from_slice(piece);
                return Ok(if ends == Ends::Frame { Progress::GoOn } else { Progress::Starved });
            }
        };
        self.end_message();
        Ok(Progress::Done(Whole::Taken(opcode, bytes)))
    }

    fn end_message(&mut self) {
        self.message = None;
        self.compressed = false;
        self.fragments = 0;
    }
}

impl Kind {
    fn opcode(self) -> Opcode {
        match self {
            Self::Text => Opcode::Text,
            Self::Binary => Opcode::Binary,
        }
    }
}

/// Copies the start of `input` behind the first `held` bytes, as much as fits: how much that was.
fn copy_into(bytes: &mut [u8; MAX_HEADER], held: usize, input: &[u8]) -> usize {
    let room = bytes.get_mut(held..).unwrap_or_default();
    room.iter_mut().zip(input).map(|(to, from)| *to = *from).count()
}

#[cfg(test)]
#[path = "decoder_tests.rs"]
mod tests;
