//! Standard output and standard error, line by line. A reader that has gone away (`| head`) ends the program
//! quietly, as a signal would end other tools; so does the end of the terminal.

use std::io::{self, BufWriter, StdoutLock, Write};

use anyhow::Context;

/// Standard output; nothing is seen before [`Output::flush`].
pub(crate) struct Output(BufWriter<StdoutLock<'static>>);

impl Output {
    pub(crate) fn new() -> Self {
        Output(BufWriter::with_capacity(32 << 10, io::stdout().lock()))
    }

    /// One line. Line breaks inside become spaces: in JSON they can only stand between tokens.
    pub(crate) fn line(&mut self, text: &str) -> anyhow::Result<()> {
        let mut parts = text.split(['\n', '\r']);
        let mut write = || {
            self.0.write_all(parts.next().unwrap_or_default().as_bytes())?;
            for part in parts.by_ref() {
                self.0.write_all(b" ")?;
                self.0.write_all(part.as_bytes())?;
            }
            self.0.write_all(b"\n")
        };
        told(write())
    }

    /// Text as it is.
    pub(crate) fn text(&mut self, text: &str) -> anyhow::Result<()> {
        told(self.0.write_all(text.as_bytes()))
    }

    pub(crate) fn flush(&mut self) -> anyhow::Result<()> {
        told(self.0.flush())
    }
}

fn told(written: io::Result<()>) -> anyhow::Result<()> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => std::process::exit(0),
        other => other.context("standard output cannot be written"),
    }
}

/// One line on standard error. Where that is gone there is nobody to tell.
pub(crate) fn note(text: &str) {
    let _ = writeln!(io::stderr(), "{}", shown(text));
}

/// Text that others sent, made harmless for a terminal: control characters are spelled out.
pub(crate) fn shown(text: &str) -> std::borrow::Cow<'_, str> {
    if !text.contains(|c: char| c.is_control() && c != '\n' && c != '\r') {
        return text.into();
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '\n' | '\r' | '\t' => safe.push(' '),
            c if c.is_control() => safe.extend(c.escape_unicode()),
            c => safe.push(c),
        }
    }
    safe.into()
}

/// `1234567` as `1,234,567`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + 8);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_grouped_by_three() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn control_characters_do_not_reach_a_terminal() {
        assert_eq!(shown("a\u{1b}[2Jb\u{9b}1m"), "a\\u{1b}[2Jb\\u{9b}1m");
        assert_eq!(shown("plain ä"), "plain ä");
    }
}
