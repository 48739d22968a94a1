//! How records lie in a file: length, checksum, bytes, one behind the other after the file's head. It finds where a file is
//! damaged, and whether anything whole lies behind that. It does not know what records say.

use std::io::{self, Read};

/// What a file begins with: eight letters that name its kind and format, and its number.
pub(super) const HEAD: usize = 16;

/// Length and checksum before each record.
pub(super) const FRAME: usize = 8;

/// No record is longer; a longer length is damage.
const LONGEST: usize = 256 << 20;

/// Which kind of file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Log,
    Snapshot,
}

impl Kind {
    fn letters(self) -> [u8; 8] {
        match self {
            Kind::Log => *b"TAPELOG1",
            Kind::Snapshot => *b"TAPESNP1",
        }
    }

    /// A file's first bytes.
    pub(super) fn head(self, number: u64) -> [u8; HEAD] {
        let mut head = [0; HEAD];
        let bytes = self.letters().into_iter().chain(number.to_le_bytes());
        head.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
        head
    }

    /// Its name in the directory.
    pub(super) fn name(self, number: u64) -> String {
        match self {
            Kind::Log => format!("log-{number:08}"),
            Kind::Snapshot => format!("snapshot-{number:08}"),
        }
    }

    /// The number in a name of this kind.
    pub(super) fn number(self, name: &str) -> Option<u64> {
        let prefix = match self {
            Kind::Log => "log-",
            Kind::Snapshot => "snapshot-",
        };
        name.strip_prefix(prefix)?.parse().ok()
    }
}

/// Appends a record that `write` writes.
pub(super) fn push(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    out.extend_from_slice(&[0; FRAME]);
    write(out);
    let body = out.get(at + FRAME..).unwrap_or_default();
    let len = u32::try_from(body.len()).unwrap_or(u32::MAX).to_le_bytes();
    let sum = checksum(len, body).to_le_bytes();
    for (to, from) in out.iter_mut().skip(at).zip(len.into_iter().chain(sum)) {
        *to = from;
    }
}

fn checksum(len: [u8; 4], body: &[u8]) -> u32 {
    let mut sum = crc32fast::Hasher::new();
    sum.update(&len);
    sum.update(body);
    sum.finalize()
}

/// What lies at one place of a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found<'a> {
    /// A whole record, and where the next one begins.
    Record(&'a [u8], usize),
    /// The end of the file.
    End,
    /// The beginning of a record that the file is too short for.
    Unfinished,
    /// Something else.
    Damaged,
}

/// Looks at one place of a file's bytes.
pub(super) fn look(bytes: &[u8], at: usize) -> Found<'_> {
    let rest = bytes.get(at..).unwrap_or_default();
    if rest.is_empty() {
        return Found::End;
    }
    let Some((&len, body)) = rest.split_first_chunk::<4>() else { return Found::Unfinished };
    let Some((&sum, body)) = body.split_first_chunk::<4>() else { return Found::Unfinished };
    let size = u32::from_le_bytes(len) as usize;
    if size == 0 || size > LONGEST {
        return Found::Damaged;
    }
    match body.get(..size) {
        None => Found::Unfinished,
        Some(body) if checksum(len, body) == u32::from_le_bytes(sum) => {
            Found::Record(body, at + FRAME + size)
        }
        Some(_) => Found::Damaged,
    }
}

/// The whole records behind a damaged place.
pub(super) fn beyond(bytes: &[u8], damaged_at: usize) -> impl Iterator<Item = &[u8]> {
    let mut at = damaged_at + 1;
    std::iter::from_fn(move || {
        while at < bytes.len() {
            if let Found::Record(body, next) = look(bytes, at) {
                at = next;
                return Some(body);
            }
            at += 1;
        }
        None
    })
}

/// Reads a file of records one after the other, where all of them must be whole.
pub(super) struct Records<R> {
    from: R,
    buffer: Vec<u8>,
    /// Where the next record begins.
    pub(super) at: u64,
}

impl<R: Read> Records<R> {
    /// Reads the head, which must be this one.
    pub(super) fn open(mut from: R, head: [u8; HEAD]) -> io::Result<Self> {
        let mut found = [0; HEAD];
        from.read_exact(&mut found)?;
        if found != head {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(Records { from, buffer: Vec::new(), at: HEAD as u64 })
    }

    /// The next record, which must be there.
    pub(super) fn next(&mut self) -> io::Result<&[u8]> {
        let (mut len, mut sum) = ([0; 4], [0; 4]);
        self.from.read_exact(&mut len)?;
        self.from.read_exact(&mut sum)?;
        let size = u32::from_le_bytes(len) as usize;
        if size == 0 || size > LONGEST {
            return Err(io::ErrorKind::InvalidData.into());
        }
        self.buffer.resize(size, 0);
        self.from.read_exact(&mut self.buffer)?;
        if checksum(len, &self.buffer) != u32::from_le_bytes(sum) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        self.at += (FRAME + size) as u64;
        Ok(&self.buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two() -> Vec<u8> {
        let mut bytes = Vec::new();
        push(&mut bytes, |out| out.extend_from_slice(b"one"));
        push(&mut bytes, |out| out.extend_from_slice(b"two!"));
        bytes
    }

    #[test]
    fn records_are_found_whole_one_behind_the_other() {
        let bytes = two();
        assert_eq!(look(&bytes, 0), Found::Record(b"one", 11));
        assert_eq!(look(&bytes, 11), Found::Record(b"two!", 23));
        assert_eq!(look(&bytes, 23), Found::End);
    }

    #[test]
    fn a_record_that_is_cut_anywhere_is_unfinished_and_one_that_is_changed_anywhere_is_damaged() {
        let bytes = two();
        for cut in 12..23 {
            assert_eq!(look(&bytes[..cut], 11), Found::Unfinished, "cut at {cut}");
        }
        for at in 0..11 {
            let mut bytes = bytes.clone();
            bytes[at] ^= 1;
            assert!(!matches!(look(&bytes, 0), Found::Record(..)), "changed at {at}");
            assert_eq!(beyond(&bytes, 0).collect::<Vec<_>>(), [b"two!"], "changed at {at}");
        }
    }

    #[test]
    fn what_was_reserved_and_never_written_is_no_record() {
        assert_eq!(look(&[0; 64], 0), Found::Damaged);
        assert_eq!(beyond(&[0; 64], 0).count(), 0);
    }
}
