//! Any bytes as a channel's name and as a pattern. A zero byte ends the pattern; what follows are names to match.

use tapeline_schema::{ErrorCode, NAME_LIMIT, PATTERN_LIMIT, Pattern, check_name};

#[path = "../../../tapeline-schema/src/name/tests/model.rs"]
mod model;

/// The model tries every way; with more stars and longer names it would never end.
const STARS: usize = 5;
const NAME: usize = 24;

/// The check of the target `names`.
pub(crate) fn check(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let mut parts = text.split('\0');
    let pattern = parts.next().unwrap_or_default();
    name(text);
    name(pattern);
    match Pattern::parse(pattern) {
        Ok(parsed) => {
            assert_eq!(parsed.as_str(), pattern);
            for name in parts.chain([pattern, "market_data:BTC/USD", "a"]).filter(|name| !name.is_empty()) {
                let matches = parsed.matches(name);
                if pattern.bytes().filter(|byte| *byte == b'*').count() <= STARS && name.len() <= NAME {
                    assert_eq!(
                        matches,
                        model::naive(pattern.as_bytes(), name.as_bytes()),
                        "{pattern:?} {name:?}"
                    );
                }
            }
        }
        Err(error) => {
            let printable = pattern.bytes().all(|byte| (b' '..=b'~').contains(&byte));
            assert!(!printable || pattern.is_empty() || pattern.len() > PATTERN_LIMIT, "{error}");
            assert_eq!(error.code(), ErrorCode::BadPattern);
        }
    }
}

fn name(text: &str) {
    let is_sound = |byte: u8| byte.is_ascii_graphic() && !b",*?[]\\".contains(&byte);
    let expected = !text.is_empty() && text.len() <= NAME_LIMIT && text.bytes().all(is_sound);
    match check_name(text) {
        Ok(()) => {
            assert!(expected, "{text:?}");
            let literal = Pattern::parse(text).expect("a name is a pattern");
            assert!(literal.matches(text), "a name matches itself: {text:?}");
        }
        Err(error) => {
            assert!(!expected && error.code() == ErrorCode::BadChannel, "{text:?}: {error}");
            assert!(
                error.to_string().bytes().all(|byte| (b' '..=b'~').contains(&byte) || byte > 0x7f),
                "{error}"
            );
        }
    }
}
