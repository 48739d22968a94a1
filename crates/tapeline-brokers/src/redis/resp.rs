//! The Redis protocol (RESP2): packing commands, and taking replies apart without copying.
//! It knows no socket; a reply is taken only when all of it is there, and no length is believed beyond the limit.

use bytes::{Bytes, BytesMut};

use super::script::Script;

/// The longest reply that is taken, and the deepest.
const REPLY_LIMIT: usize = 512 << 20;
const DEPTH_LIMIT: usize = 8;

/// A reply, or a part of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Nothing.
    Nil,
    /// A number.
    Int(i64),
    /// A string, in whatever form it came.
    Data(Bytes),
    /// Redis says no.
    Error(String),
    /// Several values.
    Array(Vec<Value>),
}

impl Value {
    /// The bytes of a string.
    pub fn bytes(&self) -> Option<&Bytes> {
        match self {
            Value::Data(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The text of a string.
    pub fn text(&self) -> Option<&str> {
        std::str::from_utf8(self.bytes()?).ok()
    }

    /// A number, also one that came as text, as scripts' numbers from hashes do.
    pub fn number(&self) -> Option<u64> {
        match self {
            Value::Int(number) => u64::try_from(*number).ok(),
            other => other.text()?.parse().ok(),
        }
    }

    /// The parts of an array.
    pub fn parts(&self) -> &[Value] {
        match self {
            Value::Array(parts) => parts,
            _ => &[],
        }
    }

    /// One part of an array.
    pub fn part(&self, at: usize) -> Option<&Value> {
        self.parts().get(at)
    }

    /// What Redis said no with.
    pub fn error(&self) -> Option<&str> {
        match self {
            Value::Error(error) => Some(error),
            _ => None,
        }
    }
}

/// What came is not the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the answer is no Redis protocol")]
pub(super) struct NotResp;

/// A command on its way to be packed.
#[derive(Clone, Debug, Default)]
pub struct Command {
    count: usize,
    body: Vec<u8>,
    /// What it runs, if it runs one.
    pub(super) script: Option<&'static Script>,
}

impl Command {
    /// A command of this name, which may have several words: `CLIENT ID`.
    pub fn new(words: &str) -> Self {
        words.split(' ').fold(Command::default(), |command, word| command.arg(word))
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.push(bytes.as_ref());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<A: AsRef<[u8]>>(self, args: impl IntoIterator<Item = A>) -> Self {
        args.into_iter().fold(self, Command::arg)
    }

    /// Adds a number.
    #[must_use]
    pub fn number(mut self, number: u64) -> Self {
        self.push_number(number);
        self
    }

    /// Adds an argument.
    pub fn push(&mut self, bytes: &[u8]) {
        self.push_parts(&[bytes]);
    }

    /// Adds one argument that lies in several places.
    pub fn push_parts(&mut self, parts: &[&[u8]]) {
        self.count += 1;
        push_header(&mut self.body, b'$', parts.iter().map(|part| part.len()).sum());
        for part in parts {
            self.body.extend_from_slice(part);
        }
        self.body.extend_from_slice(b"\r\n");
    }

    /// Adds a number.
    pub fn push_number(&mut self, number: u64) {
        let mut digits = Vec::with_capacity(20);
        tapeline_core::message::push_number(&mut digits, number);
        self.push(&digits);
    }

    /// Appends it as it goes over the wire.
    pub fn pack(&self, out: &mut Vec<u8>) {
        push_header(out, b'*', self.count);
        out.extend_from_slice(&self.body);
    }
}

fn push_header(out: &mut Vec<u8>, kind: u8, number: usize) {
    out.push(kind);
    tapeline_core::message::push_number(out, number as u64);
    out.extend_from_slice(b"\r\n");
}

/// Takes the first reply out of what has come; `None` while some of it lacks.
///
/// # Errors
/// What came is no reply.
pub(super) fn take(from: &mut BytesMut) -> Result<Option<Value>, NotResp> {
    let Some(end) = end_of(from, 0, DEPTH_LIMIT)? else { return Ok(None) };
    let whole = from.split_to(end).freeze();
    let mut at = 0;
    read(&whole, &mut at).map(Some)
}

/// Where the reply that starts at `at` ends.
fn end_of(bytes: &[u8], at: usize, depth: usize) -> Result<Option<usize>, NotResp> {
    let Some((kind, line, mut end)) = line_at(bytes, at)? else { return Ok(None) };
    match kind {
        b'+' | b'-' | b':' => Ok(Some(end)),
        b'$' => match length(line)? {
            None => Ok(Some(end)),
            Some(len) => Ok(Some(end + len + 2).filter(|end| *end <= bytes.len())),
        },
        b'*' => {
            let depth = depth.checked_sub(1).ok_or(NotResp)?;
            for _ in 0..length(line)?.unwrap_or(0) {
                let Some(next) = end_of(bytes, end, depth)? else { return Ok(None) };
                end = next;
            }
            Ok(Some(end))
        }
        _ => Err(NotResp),
    }
}

/// A line's kind, the rest of it and where the next begins.
type Line<'a> = (u8, &'a [u8], usize);

fn line_at(bytes: &[u8], at: usize) -> Result<Option<Line<'_>>, NotResp> {
    let Some((&kind, rest)) = bytes.get(at..).and_then(<[u8]>::split_first) else { return Ok(None) };
    let Some(len) = rest.iter().position(|byte| *byte == b'\r') else {
        return if rest.len() > REPLY_LIMIT { Err(NotResp) } else { Ok(None) };
    };
    match rest.get(len + 1) {
        None => Ok(None),
        Some(b'\n') => Ok(Some((kind, rest.get(..len).unwrap_or_default(), at + len + 3))),
        Some(_) => Err(NotResp),
    }
}

/// A length; `None` is nil.
fn length(line: &[u8]) -> Result<Option<usize>, NotResp> {
    let number = integer(line)?;
    if number == -1 {
        return Ok(None);
    }
    usize::try_from(number).ok().filter(|len| *len <= REPLY_LIMIT).map(Some).ok_or(NotResp)
}

fn integer(line: &[u8]) -> Result<i64, NotResp> {
    std::str::from_utf8(line).ok().and_then(|text| text.parse().ok()).ok_or(NotResp)
}

/// Reads a reply that is all there.
fn read(whole: &Bytes, at: &mut usize) -> Result<Value, NotResp> {
    let (kind, line, end) = line_at(whole, *at)?.ok_or(NotResp)?;
    *at = end;
    Ok(match kind {
        b'+' => Value::Data(whole.slice_ref(line)),
        b'-' => Value::Error(String::from_utf8_lossy(line).into_owned()),
        b':' => Value::Int(integer(line)?),
        b'$' => match length(line)? {
            None => Value::Nil,
            Some(len) => {
                *at = end + len + 2;
                Value::Data(whole.slice(end..end + len))
            }
        },
        b'*' => match length(line)? {
            None => Value::Nil,
            Some(count) => {
                let mut parts = Vec::with_capacity(count.min(1_024));
                for _ in 0..count {
                    parts.push(read(whole, at)?);
                }
                Value::Array(parts)
            }
        },
        _ => return Err(NotResp),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(text: &str) -> Value {
        Value::Data(Bytes::copy_from_slice(text.as_bytes()))
    }

    #[test]
    fn a_command_is_packed_as_an_array_of_strings() {
        let mut out = Vec::new();
        Command::new("CLIENT ID").arg("a\r\nb").number(12).pack(&mut out);
        assert_eq!(out, b"*4\r\n$6\r\nCLIENT\r\n$2\r\nID\r\n$4\r\na\r\nb\r\n$2\r\n12\r\n");
    }

    #[test]
    fn replies_are_taken_whole_whatever_pieces_they_come_in() {
        let bytes = b"+OK\r\n-ERR no\r\n:-7\r\n$-1\r\n$4\r\na\r\nb\r\n*2\r\n:1\r\n*2\r\n$0\r\n\r\n*-1\r\n";
        let due = [
            data("OK"),
            Value::Error("ERR no".into()),
            Value::Int(-7),
            Value::Nil,
            data("a\r\nb"),
            Value::Array(vec![Value::Int(1), Value::Array(vec![data(""), Value::Nil])]),
        ];
        for piece in 1..bytes.len() {
            let (mut from, mut taken) = (BytesMut::new(), Vec::new());
            for part in bytes.chunks(piece) {
                from.extend_from_slice(part);
                while let Some(value) = take(&mut from).unwrap() {
                    taken.push(value);
                }
            }
            assert_eq!(taken, due, "in pieces of {piece}");
        }
    }

    #[test]
    fn what_is_no_reply_is_refused_and_no_length_is_believed() {
        for bad in ["HTTP/1.1 400\r\n", "$x\r\n", "$99999999999\r\n", "*-2\r\n", ":\r\n", "+a\rb\r\n"] {
            assert_eq!(take(&mut BytesMut::from(bad)), Err(NotResp), "{bad:?}");
        }
        let deep = "*1\r\n".repeat(DEPTH_LIMIT + 1);
        assert_eq!(take(&mut BytesMut::from(deep.as_str())), Err(NotResp));
    }
}
