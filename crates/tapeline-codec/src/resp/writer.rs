//! Replies of RESP, versions 2 and 3. What version 2 cannot say, it says as Redis does: maps and pushes as arrays, nothing
//! as a string or an array of length -1.

/// Which version of the protocol a client speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    /// What every connection begins with.
    #[default]
    Two,
    /// What `HELLO 3` asks for.
    Three,
}

/// Appends replies to bytes. Lengths are the caller's to keep: an array of three is followed by three replies.
#[derive(Debug)]
pub struct Writer<'a> {
    out: &'a mut Vec<u8>,
    version: Version,
}

impl<'a> Writer<'a> {
    /// Writes behind what is there.
    pub fn new(out: &'a mut Vec<u8>, version: Version) -> Self {
        Writer { out, version }
    }

    /// A status: `+OK`. It must hold no line end.
    pub fn simple(&mut self, text: &str) -> &mut Self {
        self.line(b'+', text.as_bytes())
    }

    /// An error; its first word is what programs tell it by. Line ends in it become blanks.
    pub fn error(&mut self, text: &str) -> &mut Self {
        self.out.push(b'-');
        let in_line = |byte: u8| if byte == b'\r' || byte == b'\n' { b' ' } else { byte };
        self.out.extend(text.bytes().map(in_line));
        self.end()
    }

    /// A whole number.
    pub fn integer(&mut self, number: i64) -> &mut Self {
        self.out.push(b':');
        self.number(number);
        self.end()
    }

    /// A string of any bytes.
    pub fn bulk(&mut self, bytes: &[u8]) -> &mut Self {
        self.head(b'$', bytes.len());
        self.out.extend_from_slice(bytes);
        self.end()
    }

    /// The string that is not there.
    pub fn null(&mut self) -> &mut Self {
        self.raw(match self.version {
            Version::Two => b"$-1\r\n",
            Version::Three => b"_\r\n",
        })
    }

    /// The array that is not there.
    pub fn null_array(&mut self) -> &mut Self {
        self.raw(match self.version {
            Version::Two => b"*-1\r\n",
            Version::Three => b"_\r\n",
        })
    }

    /// The beginning of so many replies.
    pub fn array(&mut self, length: usize) -> &mut Self {
        self.head(b'*', length)
    }

    /// The beginning of so many keys, each followed by its value.
    pub fn map(&mut self, length: usize) -> &mut Self {
        match self.version {
            Version::Two => self.head(b'*', 2 * length),
            Version::Three => self.head(b'%', length),
        }
    }

    /// The beginning of what nobody asked for.
    pub fn push(&mut self, length: usize) -> &mut Self {
        let kind = if self.version == Version::Three { b'>' } else { b'*' };
        self.head(kind, length)
    }

    /// Text, whose kind version 3 names.
    pub fn text(&mut self, text: &str) -> &mut Self {
        if self.version == Version::Two {
            return self.bulk(text.as_bytes());
        }
        self.head(b'=', text.len() + 4);
        self.raw(b"txt:").raw(text.as_bytes());
        self.end()
    }

    /// Whole replies that have been written before.
    pub fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.out.extend_from_slice(bytes);
        self
    }

    fn line(&mut self, kind: u8, text: &[u8]) -> &mut Self {
        self.out.push(kind);
        self.raw(text);
        self.end()
    }

    fn head(&mut self, kind: u8, length: usize) -> &mut Self {
        self.out.push(kind);
        self.number(i64::try_from(length).unwrap_or(i64::MAX));
        self.end()
    }

    fn end(&mut self) -> &mut Self {
        self.raw(b"\r\n")
    }

    fn number(&mut self, number: i64) {
        let mut digits = [0_u8; 20];
        let mut used = 0;
        let mut left = number.unsigned_abs();
        for slot in digits.iter_mut().rev() {
            *slot = b'0' + u8::try_from(left % 10).unwrap_or_default();
            left /= 10;
            used += 1;
            if left == 0 {
                break;
            }
        }
        if number < 0 {
            self.out.push(b'-');
        }
        self.out.extend_from_slice(digits.get(20 - used..).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(version: Version, write: impl Fn(&mut Writer<'_>)) -> String {
        let mut out = Vec::new();
        write(&mut Writer::new(&mut out, version));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn version_2_says_everything_with_five_types() {
        let two = |write: fn(&mut Writer<'_>)| written(Version::Two, write);
        assert_eq!(two(|to| _ = to.simple("OK")), "+OK\r\n");
        assert_eq!(two(|to| _ = to.error("ERR a\r\nb")), "-ERR a  b\r\n");
        assert_eq!(two(|to| _ = to.integer(0).integer(-7)), ":0\r\n:-7\r\n");
        assert_eq!(two(|to| _ = to.integer(i64::MIN)), ":-9223372036854775808\r\n");
        assert_eq!(two(|to| _ = to.bulk(b"").bulk(b"a\r\n")), "$0\r\n\r\n$3\r\na\r\n\r\n");
        assert_eq!(two(|to| _ = to.null().null_array()), "$-1\r\n*-1\r\n");
        assert_eq!(two(|to| _ = to.array(12).map(3).push(3)), "*12\r\n*6\r\n*3\r\n");
        assert_eq!(two(|to| _ = to.text("ab")), "$2\r\nab\r\n");
    }

    #[test]
    fn version_3_has_more() {
        let three = |write: fn(&mut Writer<'_>)| written(Version::Three, write);
        assert_eq!(three(|to| _ = to.null().null_array()), "_\r\n_\r\n");
        assert_eq!(three(|to| _ = to.array(0).map(3).push(3)), "*0\r\n%3\r\n>3\r\n");
        assert_eq!(three(|to| _ = to.text("ab")), "=6\r\ntxt:ab\r\n");
    }
}
