//! What a pattern matches, against the corners of Redis' `stringmatchlen` and a naive copy of it.
//!
//! Owns the cases; the naive matcher is `model`.
//! Refuses to know which texts are legal names.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::model::naive;
use crate::name::Pattern;

fn matches(pattern: &str, name: &str) -> bool {
    Pattern::parse(pattern).unwrap().matches(name)
}

fn assert_cases(pattern: &str, matching: &[&str], others: &[&str]) {
    for name in matching {
        assert!(matches(pattern, name), "{pattern} should match {name}");
    }
    for name in others {
        assert!(!matches(pattern, name), "{pattern} should not match {name}");
    }
}

#[test]
fn a_plain_pattern_matches_the_whole_name_in_its_case() {
    assert_cases("news", &["news"], &["new", "newss", "xnews", "News", ""]);
}

#[test]
fn dots_colons_and_slashes_are_characters_like_others() {
    assert_cases(
        "training.*",
        &["training.status", "training.status:exp/1", "training."],
        &["trainingXstatus"],
    );
    assert_cases("*", &["a", "market_data:BTC/USD", "a.b.c"], &[""]);
    assert_cases("market_data:?TC*", &["market_data:BTC/USD"], &["market_data:ETH/USD"]);
    assert_cases("a?b", &["a.b", "a:b", "a/b"], &["ab", "a..b"]);
}

#[test]
fn stars_may_take_nothing_stand_together_and_end_a_name() {
    assert_cases("a*b", &["ab", "axb", "abb", "aab"], &["a", "b", "abc"]);
    assert_cases("a**b***", &["ab", "axbx"], &["ba"]);
    assert_cases("*a*", &["a", "ba", "ab", "bab"], &["b"]);
    assert_cases("*?", &["a", "ab"], &[""]);
    assert_cases("a*?", &["ab", "abc"], &["a"]);
    assert_cases("*abab", &["abab", "ababab", "xabab"], &["ababa"]);
    assert_cases("*[ab]*:x", &["a:x", "zb:x", "b:x:x"], &["z:x", "a:y"]);
}

#[test]
fn a_class_holds_letters_ranges_and_escapes() {
    assert_cases("h[ae]llo", &["hello", "hallo"], &["hillo", "hllo", "haello"]);
    assert_cases("[a-c]x", &["ax", "bx", "cx"], &["dx", "-x", "Ax"]);
    assert_cases("[a-cx-z]", &["b", "y"], &["d", "w"]);
    assert_cases(r"[\]]", &["]"], &["\\", "a"]);
    assert_cases(r"[a\-c]", &["a", "-", "c"], &["b"]);
    assert_cases(r"[\^a]", &["^", "a"], &["b"]);
    assert_cases("[*?]", &["*", "?"], &["a"]);
}

#[test]
fn a_caret_negates_only_in_front_and_an_exclamation_mark_never() {
    assert_cases("h[^e]llo", &["hallo", "h^llo"], &["hello", "hllo"]);
    assert_cases("[^a-c]", &["d", "-"], &["a", "b", "c"]);
    assert_cases("[a^]", &["a", "^"], &["b"]);
    assert_cases("[!a]", &["!", "a"], &["b"]);
}

#[test]
fn an_empty_class_matches_nothing_and_a_negated_empty_one_anything() {
    assert_cases("[]", &[], &["]", "[", "a", "[]"]);
    assert_cases("[]a]", &[], &["]", "a", "aa]"]);
    assert_cases("[^]", &["a", "]", "^"], &["", "ab"]);
    assert_cases("[^]a]", &["xa]", "]a]"], &["b", "a"]);
}

#[test]
fn a_class_without_its_end_ends_with_the_pattern() {
    assert_cases("[abc", &["a", "b", "c"], &["[abc", "d", "ab"]);
    assert_cases("x[^a", &["xb"], &["xa", "x"]);
    assert_cases("[", &[], &["[", "a"]);
    assert_cases("[^", &["a", "["], &["ab"]);
    assert_cases("[a*", &["a", "*"], &["ab", "b"]);
    assert_cases(r"[\", &["\\"], &["[", "a"]);
    assert_cases(r"[\]", &["]"], &["\\", "a"]);
}

#[test]
fn a_reversed_range_is_turned_round() {
    assert_cases("[z-a]", &["a", "m", "z"], &["A", "-", "~"]);
    assert_cases("[^9-0]", &["a"], &["0", "5", "9"]);
}

#[test]
fn a_range_swallows_the_bracket_after_its_dash() {
    // `[a-]` is the range from `]` to `a` in a class without an end.
    assert_cases("[a-]", &["a", "]", "^", "_", "`"], &["b", "-", "\\"]);
    assert_cases("[a-]x", &["a", "x"], &["ax", "-"]);
    assert_cases("[a-", &["a", "-"], &["b"]);
    assert_cases("[-a]", &["-", "a"], &["b"]);
}

#[test]
fn a_backslash_takes_the_next_character_as_it_is_and_at_the_end_itself() {
    assert_cases(r"a\*", &["a*"], &["ab", "a", r"a\*"]);
    assert_cases(r"\[a\]", &["[a]"], &["a"]);
    assert_cases(r"a\b", &["ab"], &[r"a\b"]);
    assert_cases(r"\\", &["\\"], &[r"\\"]);
    assert_cases(r"a\", &[r"a\"], &["a", "ab"]);
}

#[test]
fn many_stars_that_nearly_match_are_done_at_once() {
    let start = Instant::now();
    let name = "a".repeat(128);
    for unit in ["a*", "*a", "?*", "[ab]*", "*a?"] {
        let pattern = format!("{}b", unit.repeat(255 / unit.len()));
        assert!(!matches(&pattern, &name), "{pattern}");
    }
    // Backtracking without a memory would take longer than the universe has.
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_pattern_matches_what_redis_matches(pattern in r"[abc*?\[\]^\\-]{1,10}", name in r"[abc*\]^\\-]{0,8}") {
        let ours = Pattern::parse(&pattern).unwrap().matches(&name);
        prop_assert_eq!(ours, naive(pattern.as_bytes(), name.as_bytes()), "{} on {}", pattern, name);
    }

    #[test]
    fn no_text_makes_parsing_or_matching_fail(pattern in ".{0,40}", name in ".{0,40}") {
        if let Ok(pattern) = Pattern::parse(&pattern) {
            pattern.matches(&name);
        }
    }
}
