//! A message of the channel `book` in the very form in which the venue writes it, read in one pass, where the general
//! way takes one for the frame, one for its data and one for each number. Anything else (another order of keys, a space,
//! an escape) is nothing here, and the general way decides; where both read a message they read the same.

use tapeline_core::feed::UpdateKind;

use super::BookMessage;
use crate::book::{Decimal, Row, Side};

/// Rows that most updates have no more of.
const USUAL_ROWS: usize = 8;

/// The message, or nothing where it is written in any other way.
pub(super) fn read(text: &str) -> Option<BookMessage<'_>> {
    let rest = text.strip_prefix(r#"{"channel":"book","type":""#)?;
    let (kind, rest) = match rest.strip_prefix("update") {
        Some(rest) => (UpdateKind::Change, rest),
        None => (UpdateKind::Snapshot, rest.strip_prefix("snapshot")?),
    };
    let (symbol, rest) = string(rest.strip_prefix(r#"","data":[{"symbol":""#)?)?;
    let usual = if kind == UpdateKind::Change { USUAL_ROWS } else { rest.len() / 32 };
    let mut rows = Vec::with_capacity(usual);
    let rest = levels(rest.strip_prefix(r#","bids":["#)?, Side::Bid, &mut rows)?;
    let rest = levels(rest.strip_prefix(r#","asks":["#)?, Side::Ask, &mut rows)?;
    let (checksum, rest) = integer(rest.strip_prefix(r#","checksum":"#)?)?;
    let (timestamp, rest) = match rest.strip_prefix(r#","timestamp":""#) {
        Some(rest) => string(rest).map(|(timestamp, rest)| (Some(timestamp.into()), rest))?,
        None => (None, rest),
    };
    (rest == "}]}").then_some(BookMessage { kind, symbol: symbol.into(), rows, checksum, timestamp })
}

/// Levels up to the bracket behind them.
fn levels<'a>(text: &'a str, side: Side, rows: &mut Vec<Row>) -> Option<&'a str> {
    if let Some(rest) = text.strip_prefix(']') {
        return Some(rest);
    }
    let mut rest = text;
    loop {
        let (price, after) = number(rest.strip_prefix(r#"{"price":"#)?)?;
        let (qty, after) = number(after.strip_prefix(r#","qty":"#)?)?;
        rows.push(Row { side, price, qty });
        match after.strip_prefix("},") {
            Some(next) => rest = next,
            None => return after.strip_prefix("}]"),
        }
    }
}

fn number(text: &str) -> Option<(Decimal, &str)> {
    let (number, rest) = Decimal::take(text.as_bytes())?;
    Some((number, text.get(text.len() - rest.len()..)?))
}

/// What stands before the closing quote; nothing where JSON would have more to say about it.
fn string(text: &str) -> Option<(&str, &str)> {
    let end = text.bytes().position(|byte| byte == b'"' || byte == b'\\' || byte < b' ')?;
    let (string, rest) = text.split_at_checked(end)?;
    Some((string, rest.strip_prefix('"')?))
}

fn integer(text: &str) -> Option<(u32, &str)> {
    let end = text.bytes().position(|byte| !byte.is_ascii_digit())?;
    let (digits, rest) = text.split_at_checked(end)?;
    let is_plain = digits.len() == 1 || !digits.starts_with('0');
    Some((is_plain.then(|| digits.parse().ok())??, rest))
}
