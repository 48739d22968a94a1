//! The venue's own examples, and books that no recording has.

use super::*;
use crate::book::Row;

/// `price/qty` of asks and of bids, best first.
fn book(asks: &str, bids: &str) -> Book {
    let rows = |side: Side, text: &str| -> Vec<Row> {
        let number = |text: &str| Decimal::parse(text).unwrap();
        let row = |(price, qty)| Row { side, price: number(price), qty: number(qty) };
        text.split_whitespace().map(|level| row(level.split_once('/').unwrap())).collect()
    };
    let mut book = Book::new(1_000);
    book.apply(&rows(Side::Ask, asks), &mut Vec::new());
    book.apply(&rows(Side::Bid, bids), &mut Vec::new());
    book
}

fn sum(book: &Book, precision: Option<(u32, u32)>) -> u32 {
    let precision = precision.and_then(|(price, qty)| Precision::new(price, qty)).unwrap_or_default();
    Checksum::default().of(book, precision)
}

/// The worked example of the venue's guide.
const GUIDE: (&str, &str) = (
    "45285.2/0.00100000 45286.4/1.54571953 45286.6/1.54571109 45289.6/1.54560911 45290.2/0.15890660 \
     45291.8/1.54553491 45294.7/0.04454749 45296.1/0.35380000 45297.5/0.09945542 45299.5/0.18772827",
    "45283.5/0.10000000 45283.4/1.54582015 45282.1/0.10000000 45281.0/0.10000000 45280.3/1.54592586 \
     45279.0/0.07990000 45277.6/0.03310103 45277.5/0.30000000 45277.3/1.54602737 45276.6/0.15445238",
);

/// The sample of the venue's page on the channel, whose formatter took zeros away.
const PAGE: (&str, &str) = (
    "0.5668/4410.79769741 0.5669/4655.40412487 0.567/49844.89424998 0.5671/24306.41678 0.5672/29783.25223475 \
     0.5673/57234.71239278 0.5674/45065.04744 0.5675/5912.76380354 0.5676/42514.92434778 0.5677/36304.0847022",
    "0.5666/4831.75496356 0.5665/6658.22734739 0.5664/18724.91513344 0.5663/11563.92544914 0.5662/14006.65365711 \
     0.5661/17454.85679807 0.566/18097.1547 0.5659/33644.89175666 0.5658/148.3464 0.5657/606.70854372",
);

#[test]
fn it_is_the_crc_32_that_zlib_has() {
    assert_eq!(crc32fast::hash(b"123456789"), 0xCBF4_3926);
}

#[test]
fn the_guides_example_holds_with_its_zeros_and_not_without() {
    let guide = book(GUIDE.0, GUIDE.1);
    assert_eq!(sum(&guide, None), 3_310_070_434);
    assert_eq!(sum(&guide, Some((1, 8))), 3_310_070_434);
    let stripped = |side: &str| {
        let bare = |number: &str| number.trim_end_matches('0').trim_end_matches('.').to_owned();
        let level = |(price, qty)| format!("{}/{} ", bare(price), bare(qty));
        side.split_whitespace().map(|text| level(text.split_once('/').unwrap())).collect::<String>()
    };
    let bare = book(&stripped(GUIDE.0), &stripped(GUIDE.1));
    assert_eq!(sum(&bare, None), 4_237_635_173, "a reader that goes through floats gets this");
    assert_eq!(sum(&bare, Some((1, 8))), 3_310_070_434, "the precision puts the zeros back");
}

#[test]
fn the_pages_sample_holds_only_when_padded_to_the_precision() {
    let page = book(PAGE.0, PAGE.1);
    assert_eq!(sum(&page, Some((4, 8))), 2_439_117_997);
    assert_ne!(sum(&page, None), 2_439_117_997);
}

#[test]
fn short_and_one_sided_books_count_with_what_they_have() {
    let short = book("1.10/2.50000000", "1.09/0.00500000 1.08/10.00000000");
    assert_eq!(sum(&short, None), 3_165_301_530);
    assert_eq!(sum(&short, None), crc32fast::hash(b"1102500000001095000001081000000000"));
    assert_eq!(sum(&book("", "1.09/0.00500000"), None), 3_208_398_389);
    assert_eq!(sum(&book("", ""), None), 0);
}

#[test]
fn digits_beyond_the_precision_count_as_they_were_sent() {
    let guide = book(GUIDE.0, GUIDE.1);
    assert_eq!(sum(&guide, Some((0, 2))), 3_310_070_434);
}

#[test]
fn only_the_ten_best_of_each_side_count() {
    let more = book(&format!("{} 45299.6/1", GUIDE.0), &format!("{} 45276.5/1", GUIDE.1));
    assert_eq!(sum(&more, None), 3_310_070_434);
    let better = book(&format!("{} 45285.1/1", GUIDE.0), GUIDE.1);
    assert_ne!(sum(&better, None), 3_310_070_434);
}

#[test]
fn a_precision_beyond_all_reason_is_none() {
    assert_eq!(Precision::new(39, 8), None);
    assert_eq!(Precision::new(8, u32::MAX), None);
    let widest = Precision::new(38, 38).unwrap();
    assert_eq!(Checksum::default().of(&book("1/1", ""), widest), {
        let one = format!("1{}", "0".repeat(38));
        crc32fast::hash(one.repeat(2).as_bytes())
    });
}
