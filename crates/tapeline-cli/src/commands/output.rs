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

/// Text that others sent, made harmless for a terminal: what controls it, or the direction of its writing, is spelled out.
pub(crate) fn shown(text: &str) -> std::borrow::Cow<'_, str> {
    if !text.contains(|c: char| is_steering(c) && c != '\n' && c != '\r') {
        return text.into();
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '\n' | '\r' | '\t' => safe.push(' '),
            c if is_steering(c) => safe.extend(c.escape_unicode()),
            c => safe.push(c),
        }
    }
    safe.into()
}

fn is_steering(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The same in one line of at most so many characters.
pub(crate) fn cell(text: &str, width: usize) -> String {
    let line = shown(text).replace(['\n', '\r'], " ");
    match line.char_indices().nth(width) {
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or_default()),
        None => line,
    }
}

/// Columns as wide as they have to be; those from `numbers` on stand to the right.
pub(crate) fn columns<const N: usize>(rows: &[[String; N]], numbers: std::ops::Range<usize>) -> String {
    let chars = |text: &String| text.chars().count();
    let width = |at: usize| rows.iter().filter_map(|row| row.get(at)).map(chars).max().unwrap_or_default();
    let widths: Vec<usize> = (0..N).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths).enumerate().map(|(at, (cell, width))| {
            if numbers.contains(&at) { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
        });
        let line: Vec<String> = cells.collect();
        text.push_str(line.join("  ").trim_end());
        text.push('\n');
    }
    text
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
        assert_eq!(shown("\u{202e}lla"), "\\u{202e}lla");
        assert_eq!(cell("one\ntwo\u{7} three", 9), "one two\\u…");
    }
}
