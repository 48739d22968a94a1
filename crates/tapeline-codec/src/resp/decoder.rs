//! Requests out of bytes. Commands that lie whole in what was read are handed out without copying; the beginning of
//! one that does not is kept. No length that a client names is believed before it is checked, and none is allocated.

use super::error::ProtocolError;
use super::inline;
use super::number::parse_integer;

/// Bytes of an inline command, and of the line that holds a count or a length (`PROTO_INLINE_MAX_SIZE`).
const LINE_BYTES: usize = 64 << 10;
/// What a stranger may bring (`networking.c`): arguments, and bytes of each.
const STRANGER_ARGUMENTS: i64 = 10;
const STRANGER_BYTES: i64 = 16 << 10;
/// A buffer that has grown larger is not kept when it is empty.
const KEPT_BYTES: usize = 64 << 10;

/// The same of what is known of a command.
const KEPT_ARGUMENTS: usize = 64;
const KEPT_INLINE_BYTES: usize = 4 << 10;

/// How much is taken.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Arguments of one command.
    pub arguments: usize,
    /// Bytes of one argument.
    pub argument_bytes: usize,
    /// Bytes of one command, lengths and line ends included.
    pub command_bytes: usize,
}

/// What is known of a command that has begun. Places count from its first byte.
#[derive(Debug, Default)]
struct Begun {
    /// Where reading goes on.
    at: usize,
    /// Arguments still to come; `None` before the count is known.
    left: Option<usize>,
    /// Bytes of the argument that comes next, once its length is known.
    length: Option<usize>,
    /// Where the arguments lie that are known.
    arguments: Vec<(usize, usize)>,
    /// What an inline command says, without quotes; its arguments lie here.
    inline: Vec<u8>,
    is_inline: bool,
}

impl Begun {
    fn begin_anew(&mut self) {
        (self.at, self.left, self.length, self.is_inline) = (0, None, None, false);
        self.arguments.clear();
        self.inline.clear();
    }
}

/// One connection's requests.
#[derive(Debug)]
pub struct Decoder {
    limits: Limits,
    stranger: bool,
    begun: Begun,
    /// Bytes that were taken and are not handed out yet; commands are read from here while there are any.
    kept: Vec<u8>,
    /// Where in `kept` the command begins that is read next.
    kept_at: usize,
}

/// One command: its name and what follows. Never empty.
#[derive(Clone, Copy, Debug)]
pub struct Command<'a> {
    bytes: &'a [u8],
    arguments: &'a [(usize, usize)],
}

impl<'a> Command<'a> {
    /// The argument at this place; that at 0 is the command's name. Empty where there is none.
    pub fn argument(&self, place: usize) -> &'a [u8] {
        self.arguments.get(place).and_then(|(from, to)| self.bytes.get(*from..*to)).unwrap_or_default()
    }

    /// How many arguments there are, the name included.
    #[expect(clippy::len_without_is_empty, reason = "it never is")]
    pub fn len(&self) -> usize {
        self.arguments.len()
    }

    /// All from this place on.
    pub fn from(&self, place: usize) -> impl ExactSizeIterator<Item = &'a [u8]> + use<'a> {
        let bytes = self.bytes;
        let arguments = self.arguments.get(place..).unwrap_or_default();
        arguments.iter().map(move |(from, to)| bytes.get(*from..*to).unwrap_or_default())
    }
}

/// The commands of what was read last. What is not taken out must be fed again, from [`Commands::consumed`] on.
pub struct Commands<'a> {
    decoder: &'a mut Decoder,
    input: &'a [u8],
    /// Where in `input` the next command begins; all of it once the decoder keeps it.
    consumed: usize,
    from_kept: bool,
}

/// What one look at the bytes came to.
enum Step {
    /// A command of so many bytes, or an empty line.
    Whole(usize),
    More,
}

impl Decoder {
    /// Takes commands within these limits.
    pub fn new(limits: Limits) -> Self {
        Decoder { limits, stranger: false, begun: Begun::default(), kept: Vec::new(), kept_at: 0 }
    }

    /// Whether the client has yet to say who it is; then little is taken from it.
    pub fn set_stranger(&mut self, stranger: bool) {
        self.stranger = stranger;
    }

    /// Whether no command has begun whose end has not come.
    pub fn is_between_commands(&self) -> bool {
        self.kept_at == self.kept.len()
    }

    /// Reads on with these bytes.
    pub fn feed<'a>(&'a mut self, input: &'a [u8]) -> Commands<'a> {
        let from_kept = !self.is_between_commands();
        if from_kept {
            self.kept.extend_from_slice(input);
        }
        let consumed = if from_kept { input.len() } else { 0 };
        Commands { decoder: self, input, consumed, from_kept }
    }

    /// Forgets what has been handed out.
    fn tidy(&mut self) {
        if self.kept_at == self.kept.len() {
            self.kept.clear();
            if self.kept.capacity() > KEPT_BYTES {
                self.kept = Vec::new();
            }
            if self.begun.arguments.capacity() > KEPT_ARGUMENTS {
                self.begun.arguments = Vec::new();
            }
            if self.begun.inline.capacity() > KEPT_INLINE_BYTES {
                self.begun.inline = Vec::new();
            }
        } else if self.kept_at > 0 {
            self.kept.drain(..self.kept_at);
        }
        self.kept_at = 0;
    }
}

impl Drop for Commands<'_> {
    fn drop(&mut self) {
        self.decoder.tidy();
    }
}

impl Commands<'_> {
    /// The next command, or `None` when its end has not come yet.
    ///
    /// # Errors
    /// The protocol is broken: nothing that follows can be read.
    #[expect(clippy::should_implement_trait, reason = "what it lends ends at the next call")]
    pub fn next(&mut self) -> Result<Option<Command<'_>>, ProtocolError> {
        loop {
            let decoder = &mut *self.decoder;
            let bytes = match self.from_kept {
                true => decoder.kept.get(decoder.kept_at..).unwrap_or_default(),
                false => self.input.get(self.consumed..).unwrap_or_default(),
            };
            if decoder.begun.at == 0 {
                decoder.begun.begin_anew();
            }
            let step = read(&mut decoder.begun, bytes, &decoder.limits, decoder.stranger)?;
            let Step::Whole(length) = step else {
                if !self.from_kept {
                    let rest = self.input.get(self.consumed..).unwrap_or_default();
                    decoder.kept.extend_from_slice(rest);
                    self.consumed = self.input.len();
                    self.from_kept = true;
                }
                return Ok(None);
            };
            decoder.begun.at = 0;
            let from = if self.from_kept { decoder.kept_at } else { self.consumed };
            match self.from_kept {
                true => decoder.kept_at += length,
                false => self.consumed += length,
            }
            if self.decoder.begun.arguments.is_empty() {
                continue;
            }
            let decoder = &*self.decoder;
            let bytes = match (decoder.begun.is_inline, self.from_kept) {
                (true, _) => &*decoder.begun.inline,
                (false, true) => decoder.kept.get(from..).unwrap_or_default(),
                (false, false) => self.input.get(from..).unwrap_or_default(),
            };
            return Ok(Some(Command { bytes, arguments: &decoder.begun.arguments }));
        }
    }

    /// How many of the bytes that were fed are done with: handed out, or kept.
    pub fn consumed(&self) -> usize {
        self.consumed
    }
}

/// Reads on where reading ended.
fn read(begun: &mut Begun, bytes: &[u8], limits: &Limits, stranger: bool) -> Result<Step, ProtocolError> {
    let mut left = match begun.left {
        Some(left) => left,
        None => match bytes.first() {
            None => return Ok(Step::More),
            Some(b'*') => {
                let Some(line) = line(bytes, begun.at, ProtocolError::CountTooBig)? else {
                    return Ok(Step::More);
                };
                let left = count(line.text.get(1..).unwrap_or_default(), limits, stranger)?;
                begun.at = line.end;
                left
            }
            Some(_) => return read_inline(begun, bytes),
        },
    };
    while left > 0 {
        begun.left = Some(left);
        let length = match begun.length {
            Some(length) => length,
            None => {
                let Some(line) = line(bytes, begun.at, ProtocolError::LengthTooBig)? else {
                    return within(begun, bytes, limits);
                };
                let length = argument_length(line.text, limits, stranger)?;
                (begun.at, begun.length) = (line.end, Some(length));
                length
            }
        };
        let end = begun.at.saturating_add(length);
        // Redis looks at neither of the two bytes behind an argument.
        let next = end.saturating_add(2);
        if next > limits.command_bytes {
            return Err(ProtocolError::RequestTooBig);
        }
        if bytes.len() < next {
            return Ok(Step::More);
        }
        begun.arguments.push((begun.at, end));
        (begun.at, begun.length) = (next, None);
        left -= 1;
    }
    Ok(Step::Whole(begun.at))
}

/// More is waited for only while it may fit.
fn within(begun: &Begun, bytes: &[u8], limits: &Limits) -> Result<Step, ProtocolError> {
    if begun.at > limits.command_bytes || bytes.len() > limits.command_bytes.saturating_add(LINE_BYTES) {
        return Err(ProtocolError::RequestTooBig);
    }
    Ok(Step::More)
}

struct Line<'a> {
    text: &'a [u8],
    /// Where the next one begins.
    end: usize,
}

/// The line that begins here and ends with a carriage return and whatever byte follows it, as Redis has it.
fn line(bytes: &[u8], at: usize, too_big: ProtocolError) -> Result<Option<Line<'_>>, ProtocolError> {
    let rest = bytes.get(at..).unwrap_or_default();
    let near = rest.get(..=LINE_BYTES).unwrap_or(rest);
    match near.iter().position(|byte| *byte == b'\r') {
        Some(length) if length + 2 <= rest.len() => {
            Ok(Some(Line { text: rest.get(..length).unwrap_or_default(), end: at + length + 2 }))
        }
        None if near.len() > LINE_BYTES => Err(too_big),
        _ => Ok(None),
    }
}

/// How many arguments follow. None at all, or less, is nothing that anybody asks.
fn count(text: &[u8], limits: &Limits, stranger: bool) -> Result<usize, ProtocolError> {
    let count = parse_integer(text).ok_or(ProtocolError::Count)?;
    if stranger && count > STRANGER_ARGUMENTS {
        return Err(ProtocolError::CountOfStranger);
    }
    let count = usize::try_from(count.max(0)).unwrap_or(usize::MAX);
    if count > limits.arguments { Err(ProtocolError::Count) } else { Ok(count) }
}

fn argument_length(text: &[u8], limits: &Limits, stranger: bool) -> Result<usize, ProtocolError> {
    let digits = match text.split_first() {
        Some((b'$', digits)) => digits,
        other => return Err(ProtocolError::Type(other.map_or(b'\r', |(first, _)| *first))),
    };
    let length = parse_integer(digits).ok_or(ProtocolError::Length)?;
    if stranger && length > STRANGER_BYTES {
        return Err(ProtocolError::LengthOfStranger);
    }
    let length = usize::try_from(length).map_err(|_| ProtocolError::Length)?;
    if length > limits.argument_bytes { Err(ProtocolError::Length) } else { Ok(length) }
}

fn read_inline(begun: &mut Begun, bytes: &[u8]) -> Result<Step, ProtocolError> {
    let near = bytes.get(..=LINE_BYTES).unwrap_or(bytes);
    let Some(length) = near.iter().skip(begun.at).position(|byte| *byte == b'\n').map(|n| n + begun.at)
    else {
        // What has been looked through is not looked through again.
        begun.at = near.len();
        return if near.len() > LINE_BYTES { Err(ProtocolError::InlineTooBig) } else { Ok(Step::More) };
    };
    let text = bytes.get(..length).unwrap_or_default();
    let text = text.strip_suffix(b"\r").unwrap_or(text);
    begun.is_inline = true;
    inline::split(text, &mut begun.inline, &mut begun.arguments).ok_or(ProtocolError::Quotes)?;
    Ok(Step::Whole(length + 1))
}

#[cfg(test)]
#[path = "decoder_tests.rs"]
mod tests;
