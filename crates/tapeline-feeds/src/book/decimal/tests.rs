//! Digits kept, values compared, and what is refused.

use proptest::prelude::*;

use super::*;

fn decimal(text: &str) -> Decimal {
    Decimal::parse(text).unwrap_or_else(|| panic!("{text} is a number"))
}

const NINES: &str = "99999999999999999999999999999999999999";

#[test]
fn digits_are_printed_as_they_were_written() {
    for text in
        ["0", "0.10", "0.0", "66787.70", "0.00000000", "18446744073709551616.5", "12345678901234567890"]
    {
        assert_eq!(decimal(text).to_string(), text);
    }
    assert_eq!(decimal(NINES).to_string(), NINES);
    let small = format!("0.{}1", "0".repeat(36));
    assert_eq!(decimal(&small).to_string(), small);
}

#[test]
fn what_is_no_plain_number_or_too_long_is_refused() {
    let long = format!("1{}", "0".repeat(38));
    let deep = format!("0.{}1", "0".repeat(38));
    let refused = [
        "",
        ".",
        "1.",
        ".5",
        "-1",
        "-0",
        "+1",
        "01",
        "00",
        "0x1",
        "1_0",
        " 1",
        "1 ",
        "1.2.3",
        "NaN",
        "1e",
        "1e+",
        "1e400",
        "1e99999999999999999999",
        "1e-39",
        "1e38",
        "\"1\"",
        "١",
        &long,
        &deep,
    ];
    for text in refused {
        assert!(Decimal::parse(text).is_none(), "{text}");
    }
}

#[test]
fn an_exponent_is_expanded_where_that_is_exact() {
    let expanded = [
        ("1e-8", "0.00000001"),
        ("1E-8", "0.00000001"),
        ("1.50e1", "15.0"),
        ("1.5e+3", "1500"),
        ("0e0", "0"),
        ("12.5e-1", "1.25"),
        ("1e37", "10000000000000000000000000000000000000"),
    ];
    for (written, plain) in expanded {
        assert_eq!(decimal(written).to_string(), plain, "{written}");
    }
}

#[test]
fn numbers_are_equal_and_ordered_by_value_whatever_their_zeros() {
    assert_eq!(decimal("0.1"), decimal("0.10000000"));
    assert_eq!(decimal("0"), decimal("0.000"));
    assert!(decimal("0.11") > decimal("0.1"));
    assert!(decimal("9.99") < decimal("10"));
    let tiny = format!("0.{}1", "0".repeat(36));
    assert!(decimal(NINES) > decimal(&tiny), "what cannot be brought to the same places is more");
    assert!(decimal(&tiny) < decimal(NINES));
}

/// Digits without needless zeros in front, at a place for the point.
fn written() -> impl Strategy<Value = String> {
    ("(0|[1-9][0-9]{0,17})", "[0-9]{0,18}")
        .prop_map(|(whole, fraction)| if fraction.is_empty() { whole } else { format!("{whole}.{fraction}") })
}

proptest! {
    #[test]
    fn every_number_is_read_and_printed_as_it_is(text in written()) {
        prop_assert_eq!(decimal(&text).to_string(), text);
    }

    #[test]
    fn order_is_that_of_the_padded_texts(one in written(), other in written()) {
        let padded = |text: &str| {
            let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
            format!("{whole:0>20}{fraction:0<20}")
        };
        prop_assert_eq!(decimal(&one).cmp(&decimal(&other)), padded(&one).cmp(&padded(&other)));
    }

    #[test]
    fn no_text_breaks_it(text in ".*") {
        if let Some(number) = Decimal::parse(&text) {
            prop_assert_eq!(Decimal::parse(&number.to_string()).map(|again| again.to_string()), Some(number.to_string()));
        }
    }
}
