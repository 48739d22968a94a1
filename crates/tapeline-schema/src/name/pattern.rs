//! Redis globs over whole channel names: `*`, `?`, `[abc]`, `[^a]`, `[a-z]`, `\x`.
//!
//! Owns the meaning of a pattern, with the corners of Redis' `stringmatchlen` (src/util.c): an
//! unterminated `[` ends with the pattern, `[]` matches nothing, `[^]` anything, a reversed range is
//! turned round, a trailing `\` is itself. Unlike Redis it keeps one way back instead of recursing.
//! Refuses to know separators: `.`, `:` and `/` are characters like others.

use std::sync::Arc;

use super::{NameError, PATTERN_LIMIT};

/// A pattern that channel names are matched against, whole and case-sensitive.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pattern(Arc<str>);

impl Pattern {
    /// Takes a pattern of 1–256 bytes of printable ASCII; every such text is a pattern.
    ///
    /// # Errors
    /// The first rule that the text breaks.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        if text.is_empty() {
            return Err(NameError::EmptyPattern);
        }
        if text.len() > PATTERN_LIMIT {
            return Err(NameError::PatternTooLong { bytes: text.len() });
        }
        // Space and comma are in no name, yet `[ -~]` is a fair class.
        let printable = |character: char| character.is_ascii_graphic() || character == ' ';
        match text.char_indices().find(|(_, character)| !printable(*character)) {
            Some((at, character)) => Err(NameError::BadPatternCharacter { character, at }),
            None => Ok(Self(text.into())),
        }
    }

    /// The text as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the whole name matches; at most pattern length × name length steps.
    pub fn matches(&self, name: &str) -> bool {
        // As in Redis since 6.2, not even `*` matches the empty string; no channel has that name anyway.
        !name.is_empty() && matches_whole(self.0.as_bytes(), name.as_bytes())
    }
}

/// A later `*` makes every earlier one final: if the rest fails from here to the end of the name, giving
/// an earlier star more would only start the rest later. So one way back is enough.
fn matches_whole(pattern: &[u8], name: &[u8]) -> bool {
    let (mut pattern, mut name) = (pattern, name);
    let mut last_star: Option<(&[u8], &[u8])> = None;
    while let Some((&byte, tail)) = name.split_first() {
        if let Some(after) = pattern.strip_prefix(b"*") {
            if after.is_empty() {
                return true;
            }
            last_star = Some((after, name));
            pattern = after;
        } else if let Some(after) = match_one(pattern, byte) {
            (pattern, name) = (after, tail);
        } else {
            let Some((after, [_, later @ ..])) = last_star else { return false };
            last_star = Some((after, later));
            (pattern, name) = (after, later);
        }
    }
    pattern.iter().all(|&byte| byte == b'*')
}

/// What is left of the pattern when its first item, which is no star, takes this byte.
fn match_one(pattern: &[u8], byte: u8) -> Option<&[u8]> {
    match pattern {
        [] => None,
        [b'?', after @ ..] => Some(after),
        [b'[', after @ ..] => match_class(after, byte),
        [b'\\', literal, after @ ..] | [literal, after @ ..] => (*literal == byte).then_some(after),
    }
}

/// The arms stand in Redis' order, which decides `[a-]` (a range up to `]`) and `[\]` (no end).
fn match_class(class: &[u8], byte: u8) -> Option<&[u8]> {
    let (negated, mut rest) = match class {
        [b'^', after @ ..] => (true, after),
        _ => (false, class),
    };
    let mut found = false;
    loop {
        rest = match rest {
            [b'\\', literal, after @ ..] => {
                found |= *literal == byte;
                after
            }
            [] => break,
            [b']', after @ ..] => {
                rest = after;
                break;
            }
            [start, b'-', end, after @ ..] => {
                found |= (*start.min(end)..=*start.max(end)).contains(&byte);
                after
            }
            [literal, after @ ..] => {
                found |= *literal == byte;
                after
            }
        };
    }
    (found != negated).then_some(rest)
}
