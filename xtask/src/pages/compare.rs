//! Whether what came is what the page prints.
//!
//! A line must be the same, character for character, but for what cannot be: times, message ids and epochs, wherever
//! they stand, must look like one; the numbers in a line about a channel that the demo's market moves may be others. `…`
//! stands for anything in a line, and for any lines where it stands alone. Nothing else differs: not the names of fields, their
//! order, or a number of a channel that stands still.

/// What the demo publishes about; a line that names one of these is of a live market.
const DEMO: &[&str] = &["AAPL", "TSLA", "MSFT", "BTC/USD", "EUR/USD", "portfolio-123", "exp_123"];

const ANYTHING: char = '…';
const EPOCH_LENGTH: usize = 8;

/// What is compared with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Market {
    /// Nobody publishes but the page.
    Still,
    /// The hub was started with `--demo`.
    Live,
}

/// How much of what came the page has to print.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    /// All: the command has ended.
    Whole,
    /// Its beginning: the command goes on.
    Beginning,
}

/// True if the lines that came are those that the page prints.
pub(super) fn lines(printed: &[&str], came: &[&str], market: Market, extent: Extent) -> bool {
    match (printed.split_first(), came.split_first()) {
        (None, None) => true,
        (None, Some(_)) => extent == Extent::Beginning,
        (Some((&first, rest)), _) if first.trim().chars().eq([ANYTHING]) => {
            (0..=came.len()).any(|at| lines(rest, came.get(at..).unwrap_or_default(), market, extent))
        }
        (Some(_), None) => false,
        (Some((&first, rest)), Some((&found, later))) => {
            line(first, found, market) && lines(rest, later, market, extent)
        }
    }
}

/// True if a line that came is the one that the page prints.
pub(super) fn line(printed: &str, came: &str, market: Market) -> bool {
    let is_live = market == Market::Live && DEMO.iter().any(|name| printed.contains(name));
    let printed = plain(printed, is_live);
    let came = plain(came, is_live);
    let mut pieces = printed.split(ANYTHING);
    let Some(mut rest) = pieces.next().and_then(|first| came.strip_prefix(first)) else { return false };
    let Some(last) = pieces.next_back() else { return rest.is_empty() };
    for piece in pieces {
        match rest.split_once(piece) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// The line with a word in the place of each thing that differs from run to run, and single blanks.
fn plain(line: &str, is_live: bool) -> String {
    let mut plain = String::new();
    let mut rest = line.trim();
    while let Some(next) = rest.chars().next() {
        let (length, word) = if let Some(length) = time(rest) {
            (length, "<time>")
        } else if let Some(length) = id(rest) {
            (length, "<id>")
        } else if let Some(length) = epoch(&plain, rest) {
            (length, "<epoch>")
        } else if let Some(length) = number(&plain, rest).filter(|_| is_live) {
            (length, "<number>")
        } else {
            if !(next == ' ' && plain.ends_with(' ')) {
                plain.push(next);
            }
            rest = rest.get(next.len_utf8()..).unwrap_or_default();
            continue;
        };
        plain += word;
        rest = rest.get(length..).unwrap_or_default();
    }
    plain
}

/// The length of a time such as `2026-01-01T12:00:00.000001Z` at the beginning.
fn time(text: &str) -> Option<usize> {
    let shape = shaped(text, "0000-00-00T00:00:00")?;
    let rest = text.get(shape..)?;
    let fraction = rest.strip_prefix('.').map_or(0, |digits| 1 + digits_in(digits));
    (text.get(shape + fraction..)?.starts_with('Z')).then_some(shape + fraction + 1)
}

/// The length of a message's id at the beginning.
fn id(text: &str) -> Option<usize> {
    shaped(text, "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx")
}

/// The length of an epoch at the beginning, if what stands before says that it is one.
fn epoch(before: &str, text: &str) -> Option<usize> {
    let named = ["epoch\":\"", "epoch ", "epoch=", "@"].iter().any(|name| before.ends_with(name));
    let length = text.chars().take_while(|c| c.is_ascii_lowercase() || c.is_ascii_digit()).count();
    (named && length == EPOCH_LENGTH).then_some(length)
}

/// The length of a number at the beginning, if it is not a part of a name.
fn number(before: &str, text: &str) -> Option<usize> {
    let in_a_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '/');
    if before.ends_with(in_a_name) {
        return None;
    }
    let sign = usize::from(text.starts_with('-'));
    let whole = digits_in(text.get(sign..)?);
    let rest = text.get(sign + whole..)?;
    let fraction = rest.strip_prefix('.').map_or(0, digits_in);
    let length = sign + whole + if fraction == 0 { 0 } else { fraction + 1 };
    let ends = !text.get(length..)?.starts_with(|c: char| c.is_alphanumeric() || c == '_');
    (whole > 0 && ends).then_some(length)
}

fn digits_in(text: &str) -> usize {
    text.chars().take_while(char::is_ascii_digit).count()
}

/// The length of the shape if the text begins with it: `0` is a digit, `x` a hexadecimal one, others stand for themselves.
fn shaped(text: &str, shape: &str) -> Option<usize> {
    let mut chars = text.chars();
    let fits = shape.chars().all(|wanted| match (wanted, chars.next()) {
        ('0', Some(c)) => c.is_ascii_digit(),
        ('x', Some(c)) => c.is_ascii_hexdigit() && !c.is_ascii_uppercase(),
        (wanted, found) => found == Some(wanted),
    });
    fits.then_some(shape.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &str = r#"{"channel":"market_data:NVDA","offset":1,"epoch":"k3v9a2mq","id":"01a1fcc2-a75e-7000-8000-e122ea7b0a95"}"#;

    fn still(printed: &str, came: &str) -> bool {
        line(printed, came, Market::Still)
    }

    fn live(printed: &str, came: &str) -> bool {
        line(printed, came, Market::Live)
    }

    #[test]
    fn ids_epochs_and_times_may_differ_where_they_look_like_one() {
        let other = ANSWER.replace("k3v9a2mq", "zzzz0000").replace("01a1fcc2", "ffffffff");
        assert!(still(ANSWER, &other));
        assert!(!still(ANSWER, &ANSWER.replace("k3v9a2mq", "k3")));
        assert!(!still(ANSWER, &ANSWER.replace("\"k3v9a2mq\"", "7")));
        assert!(!still(ANSWER, &ANSWER.replace("01a1fcc2-", "")));
        assert!(still("2026-01-01T12:00:00.1Z x", "2027-11-21T17:47:25.634364Z   x"));
        assert!(!still("2026-01-01T12:00:00.1Z x", "yesterday x"));
        assert!(still("offset 2 epoch rqashd45 id", "offset 2 epoch k3v9a2mq id"));
    }

    #[test]
    fn a_renamed_field_another_order_and_another_number_are_seen() {
        assert!(!still(ANSWER, &ANSWER.replace("offset", "position")));
        assert!(!still(ANSWER, &ANSWER.replace("\"offset\":1", "\"offset\":2")));
        assert!(!still(r#"{"a":1,"b":2}"#, r#"{"b":2,"a":1}"#));
        assert!(!still(r#"{"a":1}"#, r#"{"a":1,"b":2}"#));
    }

    #[test]
    fn numbers_of_a_live_market_may_differ_and_its_names_may_not() {
        let printed = r#"market_data:AAPL 20 {"price":192.41,"change":-0.01}"#;
        let came = r#"market_data:AAPL 7 {"price":193,"change":0.5}"#;
        assert!(live(printed, came));
        assert!(!still(printed, came));
        assert!(!live(printed, &came.replace("price", "last")));
        assert!(!live(printed, &came.replace("193", "\"193\"")));
        assert!(!live(printed, &came.replace("AAPL", "TSLA")));
        assert!(!live("trades:portfolio-123 1", "trades:portfolio-124 1"));
        assert!(!live(r#"market_data:NVDA {"price":1}"#, r#"market_data:NVDA {"price":2}"#));
    }

    #[test]
    fn dots_stand_for_anything_in_a_line() {
        assert!(still(r#"{"a":{…},"b":2}"#, r#"{"a":{"x":1},"b":2}"#));
        assert!(!still(r#"{"a":{…},"b":2}"#, r#"{"a":{"x":1},"c":2}"#));
        assert!(still("error: …", "error: no hub"));
        assert!(!still("a…a", "a"));
    }

    #[test]
    fn lines_are_all_there_but_where_dots_stand_alone() {
        let all = |printed: &[&str], came: &[&str]| lines(printed, came, Market::Still, Extent::Whole);
        assert!(all(&["a", "b"], &["a", "b"]));
        assert!(!all(&["a"], &["a", "b"]));
        assert!(!all(&["a", "b"], &["a"]));
        assert!(all(&["a", "…", "d"], &["a", "b", "c", "d"]));
        assert!(!all(&["a", "…", "d"], &["a", "b", "c"]));
        assert!(lines(&["a"], &["a", "b"], Market::Still, Extent::Beginning));
        assert!(!lines(&["b"], &["a", "b"], Market::Still, Extent::Beginning));
    }
}
