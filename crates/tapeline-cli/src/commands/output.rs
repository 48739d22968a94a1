//! Standard output and standard error, line by line. A reader that has gone away (`| head`) ends the program
//! quietly, as a signal would end other tools; so does the end of the terminal. What others sent is made harmless before
//! a terminal sees it.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, BufWriter, IsTerminal, StdoutLock, Write};

use anyhow::Context;

/// Standard output; nothing is seen before [`Output::flush`].
pub(crate) struct Output {
    out: BufWriter<StdoutLock<'static>>,
    is_terminal: bool,
}

impl Output {
    pub(crate) fn new() -> Self {
        let out = BufWriter::with_capacity(32 << 10, io::stdout().lock());
        Output { out, is_terminal: io::stdout().is_terminal() }
    }

    /// One line. Line breaks inside become spaces: in JSON they can only stand between tokens. A pipe gets all else as it
    /// is; on a terminal, what could act on it is spelled out.
    pub(crate) fn line(&mut self, text: &str) -> anyhow::Result<()> {
        let text = if self.is_terminal { json_shown(text) } else { text.into() };
        let mut parts = text.split(['\n', '\r']);
        let mut write = || {
            self.out.write_all(parts.next().unwrap_or_default().as_bytes())?;
            for part in parts.by_ref() {
                self.out.write_all(b" ")?;
                self.out.write_all(part.as_bytes())?;
            }
            self.out.write_all(b"\n")
        };
        told(write())
    }

    /// Many lines; the last one need not end.
    pub(crate) fn lines(&mut self, text: &str) -> anyhow::Result<()> {
        text.lines().try_for_each(|line| self.line(line))
    }

    /// Text as it is, with what the program itself tells the terminal.
    pub(crate) fn text(&mut self, text: &str) -> anyhow::Result<()> {
        told(self.out.write_all(text.as_bytes()))
    }

    pub(crate) fn flush(&mut self) -> anyhow::Result<()> {
        told(self.out.flush())
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

/// Whether a terminal would do something else than show it: control characters, and what turns round or hides the text
/// about it (Unicode's bidirectional controls, line separators, marks without a width of their own). Joiners are left:
/// scripts and emoji need them.
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        || matches!(c, '\u{200b}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
}

/// Text that others sent as one line that is harmless for a terminal: what could act on it is spelled out.
pub(crate) fn shown(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unsafe) {
        return text.into();
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '\n' | '\r' | '\t' => safe.push(' '),
            c if is_unsafe(c) => safe.extend(c.escape_unicode()),
            c => safe.push(c),
        }
    }
    safe.into()
}

/// The same for text of several lines.
pub(crate) fn lines_shown(text: &str) -> String {
    text.lines().map(shown).collect::<Vec<_>>().join("\n")
}

/// JSON that others sent, made harmless likewise and still the same JSON: outside its strings there are no such characters
/// but white space.
fn json_shown(text: &str) -> Cow<'_, str> {
    let acts = |c: char| is_unsafe(c) && !matches!(c, '\n' | '\r' | '\t');
    if !text.contains(acts) {
        return text.into();
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if acts(c) {
            // All of them are below U+10000, where JSON needs no pair.
            let _ = write!(safe, "\\u{:04x}", u32::from(c));
        } else {
            safe.push(c);
        }
    }
    safe.into()
}

/// Text that others sent in one line of at most so many characters.
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

/// `1 session`, `2 sessions`.
pub(crate) fn counted(count: u64, one: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{} {one}s", grouped(count)) }
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
        assert_eq!(shown("plain ä \u{1f468}\u{200d}\u{1f469}"), "plain ä \u{1f468}\u{200d}\u{1f469}");
        assert_eq!(shown("one\ntwo\r\n"), "one two  ");
        assert_eq!(lines_shown("one\ntwo\u{7}"), "one\ntwo\\u{7}");
    }

    #[test]
    fn what_turns_text_round_does_not_reach_a_terminal() {
        assert_eq!(shown("a\u{202e}b\u{2066}c\u{feff}"), "a\\u{202e}b\\u{2066}c\\u{feff}");
        let json = "{\"a\":\n\"\u{9b}1m\u{202e}\u{7f}\"}";
        assert_eq!(json_shown(json), "{\"a\":\n\"\\u009b1m\\u202e\\u007f\"}");
        let parsed = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(parsed(&json_shown(json)), parsed(json));
        assert_eq!(cell("one\ntwo\u{7} three", 9), "one two\\u…");
    }
}
