//! What names and patterns are taken, and that refusals name the limit.
//!
//! Owns the limits' cases; what a pattern matches is in `globs`.
//! Refuses to know the catalogue.

use super::*;

mod globs;
mod model;

#[test]
fn names_of_every_shape_in_the_catalogue_are_taken() {
    for name in
        ["a", "market_data:BTC/USD", "ohlc:BTC/USD:1m", "training.status:exp_1", "{x}~!@#$%^&()'\"<>|;"]
    {
        assert_eq!(check_name(name), Ok(()), "{name}");
    }
}

#[test]
fn a_name_of_128_bytes_is_taken_and_one_of_129_is_not() {
    assert_eq!(check_name(&"n".repeat(128)), Ok(()));
    assert_eq!(check_name(&"n".repeat(129)), Err(NameError::TooLong { bytes: 129 }));
    assert_eq!(check_name(""), Err(NameError::Empty));
}

#[test]
fn exactly_the_printable_ascii_without_space_comma_and_glob_letters_is_taken() {
    for byte in 0..=255_u8 {
        let character = char::from(byte);
        let allowed = (0x21..=0x7e).contains(&byte) && !",*?[]\\".contains(character);
        assert_eq!(check_name(&format!("a{character}b")).is_ok(), allowed, "{character:?}");
    }
}

#[test]
fn the_first_bad_character_is_named_with_its_place() {
    let refused = check_name("prix:€,x");
    assert_eq!(refused, Err(NameError::BadCharacter { character: '€', at: 5 }));
}

#[test]
fn refusals_name_the_thing_and_the_limit() {
    let long = check_name(&"n".repeat(140)).unwrap_err();
    assert_eq!(long.to_string(), "channel name is 140 bytes, the limit is 128");
    let space = check_name("a b").unwrap_err();
    assert_eq!(
        space.to_string(),
        "channel name has ' ' at byte 1; allowed is printable ASCII without space , * ? [ ] \\"
    );
    let pattern = Pattern::parse(&"p".repeat(300)).unwrap_err();
    assert_eq!(pattern.to_string(), "pattern is 300 bytes, the limit is 256");
}

#[test]
fn refusals_of_names_and_of_patterns_have_their_own_codes() {
    for text in [String::new(), "x".repeat(300), "\n".to_owned()] {
        assert_eq!(check_name(&text).unwrap_err().code(), ErrorCode::BadChannel, "{text:?}");
        assert_eq!(Pattern::parse(&text).unwrap_err().code(), ErrorCode::BadPattern, "{text:?}");
        assert_eq!(Pattern::parse(&text).unwrap_err().retry(), Retry::Never, "{text:?}");
    }
}

#[test]
fn a_pattern_keeps_its_text_and_is_the_same_as_another_of_the_same_text() {
    let pattern = Pattern::parse(r"training.[^a]\*?*").unwrap();
    assert_eq!(pattern.as_str(), r"training.[^a]\*?*");
    assert_eq!(pattern, Pattern::parse(r"training.[^a]\*?*").unwrap());
}
