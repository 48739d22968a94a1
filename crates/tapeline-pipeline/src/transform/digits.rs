//! Digits as text or as numbers, without ever going through a float: JSON's text is walked token by token.

use serde_json::value::RawValue;

/// What a walk meets next.
enum Token<'a> {
    Text(&'a [u8]),
    Number(&'a [u8]),
    /// A sign, a blank, or one of the words.
    Other(&'a [u8]),
}

/// Cuts off the first token; `json` is valid JSON and not empty.
fn token(json: &[u8]) -> (Token<'_>, &[u8]) {
    let length = match json.first() {
        Some(b'"') => text_length(json),
        Some(b'-' | b'0'..=b'9') => json.iter().take_while(|byte| is_of_number(**byte)).count(),
        _ => 1,
    };
    let (token, rest) = json.split_at_checked(length).unwrap_or((json, &[]));
    let token = match token.first() {
        Some(b'"') => Token::Text(token),
        Some(b'-' | b'0'..=b'9') => Token::Number(token),
        _ => Token::Other(token),
    };
    (token, rest)
}

fn is_of_number(byte: u8) -> bool {
    byte.is_ascii_digit() || matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E')
}

/// The length of a text with both its quotes.
fn text_length(json: &[u8]) -> usize {
    let mut is_escaped = false;
    let inner = json.iter().skip(1).position(|byte| {
        let ends = *byte == b'"' && !is_escaped;
        is_escaped = *byte == b'\\' && !is_escaped;
        ends
    });
    inner.map_or(json.len(), |inner| inner + 2)
}

fn checked(json: &[u8]) -> Result<&[u8], String> {
    let whole: &RawValue = serde_json::from_slice(json).map_err(|error| format!("not JSON: {error}"))?;
    Ok(whole.get().as_bytes())
}

/// Every number in quotes.
pub(super) fn as_strings(json: &[u8]) -> Result<Vec<u8>, String> {
    let mut rest = checked(json)?;
    let mut made = Vec::with_capacity(rest.len() + rest.len() / 4);
    while !rest.is_empty() {
        let (next, after) = token(rest);
        match next {
            Token::Number(digits) => {
                made.push(b'"');
                made.extend_from_slice(digits);
                made.push(b'"');
            }
            Token::Text(bytes) | Token::Other(bytes) => made.extend_from_slice(bytes),
        }
        rest = after;
    }
    Ok(made)
}

/// Text under one of the names as a number; an element of a list is under the list's name.
pub(super) fn as_numbers(json: &[u8], fields: &[Box<str>]) -> Result<Vec<u8>, String> {
    let mut rest = checked(json)?;
    let mut made = Vec::with_capacity(rest.len());
    // Whether the values here are meant: one for each bracket that is open, the innermost last.
    let mut open: Vec<bool> = Vec::new();
    let mut is_meant = false;
    while !rest.is_empty() {
        let (next, after) = token(rest);
        match next {
            Token::Text(text) if after.trim_ascii_start().first() == Some(&b':') => {
                is_meant = fields.iter().any(|field| unquoted(text) == field.as_bytes());
                made.extend_from_slice(text);
            }
            Token::Text(text) if is_meant => made.extend_from_slice(number(unquoted(text))?),
            Token::Other([bracket @ (b'{' | b'[')]) => {
                open.push(is_meant);
                is_meant &= *bracket == b'[';
                made.push(*bracket);
            }
            Token::Other([bracket @ (b'}' | b']')]) => {
                is_meant = open.pop().unwrap_or_default();
                made.push(*bracket);
            }
            Token::Text(bytes) | Token::Number(bytes) | Token::Other(bytes) => made.extend_from_slice(bytes),
        }
        rest = after;
    }
    Ok(made)
}

fn unquoted(text: &[u8]) -> &[u8] {
    text.strip_prefix(b"\"").and_then(|text| text.strip_suffix(b"\"")).unwrap_or(text)
}

/// The digits, if JSON takes them as a number.
fn number(digits: &[u8]) -> Result<&[u8], String> {
    let is_number = digits.first().is_some_and(|first| *first == b'-' || first.is_ascii_digit())
        && serde_json::from_slice::<&RawValue>(digits).is_ok();
    if is_number { Ok(digits) } else { Err(format!("{:?} is no number", String::from_utf8_lossy(digits))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(json: &str) -> String {
        String::from_utf8(as_strings(json.as_bytes()).unwrap()).unwrap()
    }

    fn numbers(json: &str, fields: &[&str]) -> Result<String, String> {
        let fields: Vec<Box<str>> = fields.iter().map(|field| (*field).into()).collect();
        as_numbers(json.as_bytes(), &fields).map(|made| String::from_utf8(made).unwrap())
    }

    #[test]
    fn numbers_become_text_with_the_same_digits_and_nothing_else_changes() {
        let json = r#"{"a":65972.80,"b":[-1e-7,{"c 1":"2 \" 3"}],"d":true,"e":null,"5":0}"#;
        let made = r#"{"a":"65972.80","b":["-1e-7",{"c 1":"2 \" 3"}],"d":true,"e":null,"5":"0"}"#;
        assert_eq!(strings(json), made);
        assert!(as_strings(b"{").is_err());
    }

    #[test]
    fn text_under_a_name_becomes_a_number_also_in_lists() {
        let json =
            r#"{"price":"187.20","id":"7","bids":[["1.0","2"],["3",4]],"x":{"bids":{"y":"5"}},"z":["6"]}"#;
        let made = r#"{"price":187.20,"id":"7","bids":[[1.0,2],[3,4]],"x":{"bids":{"y":"5"}},"z":["6"]}"#;
        assert_eq!(numbers(json, &["price", "bids"]).unwrap(), made);
    }

    #[test]
    fn text_that_is_no_number_is_refused_where_one_is_wanted() {
        assert_eq!(numbers(r#"{"price":"n/a"}"#, &["price"]).unwrap_err(), r#""n/a" is no number"#);
        for wrong in ["", "+1", ".5", "1 2", "true", "0x1", "NaN"] {
            assert!(numbers(&format!(r#"{{"price":"{wrong}"}}"#), &["price"]).is_err(), "{wrong}");
        }
    }
}
