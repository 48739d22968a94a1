//! Inline commands: a line of words, some in quotes, as people type them (`sdssplitargs` in Redis' `sds.c`).

/// Appends the words of a line to `text` and where each lies there to `words`; `None` if a quote does not close. A zero byte
/// ends the line, as it ends a string of C.
pub(super) fn split(line: &[u8], text: &mut Vec<u8>, words: &mut Vec<(usize, usize)>) -> Option<()> {
    let mut rest = line.split(|byte| *byte == 0).next().unwrap_or_default();
    loop {
        rest = rest.trim_ascii_start();
        if rest.is_empty() {
            return Some(());
        }
        let start = text.len();
        rest = word(rest, text)?;
        words.push((start, text.len()));
    }
}

/// One word, which may have quotes anywhere in it but must end with them. Answers what is left.
fn word<'a>(mut rest: &'a [u8], text: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        match rest.split_first() {
            None => return Some(rest),
            Some((byte, left)) if byte.is_ascii_whitespace() => return Some(left),
            Some((b'"', left)) => return closed(in_double_quotes(left, text)?),
            Some((b'\'', left)) => return closed(in_single_quotes(left, text)?),
            Some((byte, left)) => {
                text.push(*byte);
                rest = left;
            }
        }
    }
}

/// Behind a closing quote comes a blank or nothing.
fn closed(rest: &[u8]) -> Option<&[u8]> {
    rest.first().is_none_or(u8::is_ascii_whitespace).then_some(rest)
}

fn in_double_quotes<'a>(mut rest: &'a [u8], text: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        rest = match rest {
            [] => return None,
            [b'"', left @ ..] => return Some(left),
            [b'\\', b'x', high, low, left @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                text.push(hex(*high) << 4 | hex(*low));
                left
            }
            [b'\\', escaped, left @ ..] => {
                text.push(match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 8,
                    b'a' => 7,
                    other => *other,
                });
                left
            }
            [byte, left @ ..] => {
                text.push(*byte);
                left
            }
        };
    }
}

fn in_single_quotes<'a>(mut rest: &'a [u8], text: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        rest = match rest {
            [] => return None,
            [b'\'', left @ ..] => return Some(left),
            [b'\\', b'\'', left @ ..] => {
                text.push(b'\'');
                left
            }
            [byte, left @ ..] => {
                text.push(*byte);
                left
            }
        };
    }
}

fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => digit.wrapping_sub(b'A').wrapping_add(10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &[u8]) -> Option<Vec<Vec<u8>>> {
        let (mut text, mut words) = (Vec::new(), Vec::new());
        split(line, &mut text, &mut words)?;
        Some(words.iter().map(|(from, to)| text[*from..*to].to_vec()).collect())
    }

    fn is(line: &[u8], expected: &[&[u8]]) {
        let expected: Vec<Vec<u8>> = expected.iter().map(|word| word.to_vec()).collect();
        assert_eq!(words(line), Some(expected), "{}", line.escape_ascii());
    }

    #[test]
    fn words_are_split_at_blanks_and_quotes_keep_them() {
        is(b"", &[]);
        is(b"  \t ", &[]);
        is(b"PING", &[b"PING"]);
        is(b" set  a\tb ", &[b"set", b"a", b"b"]);
        is(br#"set "a b" 'c d'"#, &[b"set", b"a b", b"c d"]);
        is(br#"set """#, &[b"set", b""]);
        is(br#""\x41\x0a\n\r\t\b\a\\\"\q\xzz""#, &[b"A\n\n\r\t\x08\x07\\\"qxzz"]);
        is(br#"'it\'s \n'"#, &[b"it's \\n"]);
        is(br#"a"b c""#, &[b"ab c"]);
        is(b"PING a\0b c", &[b"PING", b"a"]);
        is(b"\0PING", &[]);
    }

    #[test]
    fn quotes_must_close_and_end_the_word() {
        for line in [&br#"set "a"#[..], b"set 'a", br#"set "a"b"#, b"'a'b", br#"""""#, br#""a\"#, b"\"a\0\""]
        {
            assert_eq!(words(line), None, "{}", line.escape_ascii());
        }
    }
}
