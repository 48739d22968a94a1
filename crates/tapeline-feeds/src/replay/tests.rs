//! Small made-up recordings, played without a clock.

use std::io::{BufReader, Cursor, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;

fn recording(name: &str, text: &str) -> Recording {
    Recording::new(name, Cursor::new(text.as_bytes().to_vec()))
}

fn stream(at_ns: u64, symbol: &str, kind: &str, mark: u32) -> String {
    let stream = format!("{}@{kind}", symbol.to_lowercase());
    format!("{at_ns} {{\"stream\":\"{stream}\",\"data\":{{\"s\":\"{symbol}\",\"mark\":{mark}}}}}\n")
}

fn snapshot(at_ns: u64) -> String {
    format!("{at_ns} {{\"lastUpdateId\":7,\"bids\":[],\"asks\":[]}}\n")
}

fn at_speed(speed: Speed) -> ReplayOptions {
    ReplayOptions { speed, ..ReplayOptions::default() }
}

/// Plays everything; the failure, if any, comes with what was played before it.
fn play(mut replay: Replay) -> (Vec<Publication>, Option<ReplayError>) {
    let (mut all, mut elapsed) = (Vec::new(), Duration::ZERO);
    while let Some(next) = replay.next(elapsed, &mut all) {
        elapsed = next;
    }
    let failure = replay.take_failure();
    (all, failure)
}

fn channels(played: &[Publication]) -> Vec<&str> {
    played.iter().map(|publication| &*publication.channel).collect()
}

fn new_error(recordings: Vec<Recording>) -> String {
    Replay::new(recordings, at_speed(Speed::Max)).err().unwrap().to_string()
}

#[test]
fn streams_and_snapshots_go_to_their_channels_with_the_bytes_as_recorded() {
    let text =
        snapshot(5) + &stream(6, "BTCUSDT", "trade", 1) + "\n" + &stream(7, "BTCUSDT", "bookTicker", 2);
    let text =
        text + "8   {\"stream\" : \"btcusdt@depth@100ms\",\"data\":{\"s\":\"BTCUSDT\",\"p\":\"1.50\"}}\r\n";
    let replay = Replay::new(vec![recording("a", &text)], at_speed(Speed::Max)).unwrap();
    let (played, failure) = play(replay);
    assert!(failure.is_none());
    assert_eq!(
        channels(&played),
        ["bn_depth:BTCUSDT", "bn_trade:BTCUSDT", "bn_ticker:BTCUSDT", "bn_depth:BTCUSDT"]
    );
    assert_eq!(
        &played[3].data[..],
        br#"{"stream" : "btcusdt@depth@100ms","data":{"s":"BTCUSDT","p":"1.50"}}"#
    );
}

#[test]
fn recordings_are_merged_by_the_time_since_their_own_start() {
    let early = stream(1_000, "AAA", "trade", 0) + &stream(1_500, "AAA", "trade", 1);
    let late = stream(9_000_000, "BBB", "trade", 0) + &stream(9_000_200, "BBB", "trade", 1);
    let replay = Replay::new(vec![recording("x", &early), recording("y", &late)], at_speed(Speed::Max));
    let (played, _) = play(replay.unwrap());
    assert_eq!(channels(&played), ["bn_trade:AAA", "bn_trade:BBB", "bn_trade:BBB", "bn_trade:AAA"]);
}

#[test]
fn nothing_is_handed_out_before_it_is_due() {
    let second = 1_000_000_000;
    let text =
        stream(5, "A", "trade", 0) + &stream(second + 5, "A", "trade", 1) + &stream(5, "A", "trade", 2);
    let mut replay = Replay::new(vec![recording("a", &text)], at_speed(Speed::Times(2.0))).unwrap();
    let mut due = Vec::new();
    assert_eq!(replay.next(Duration::ZERO, &mut due), Some(Duration::from_millis(500)));
    assert_eq!(due.len(), 1);
    assert_eq!(replay.next(Duration::from_millis(499), &mut due), Some(Duration::from_millis(500)));
    assert_eq!(due.len(), 1);
    // The last line's clock went back: it follows the one before it.
    assert_eq!(replay.next(Duration::from_millis(500), &mut due), None);
    assert_eq!(due.len(), 3);
}

#[test]
fn as_fast_as_possible_comes_in_slices() {
    let text: String = (0..700).map(|n| stream(n * 1_000_000, "A", "trade", 0)).collect();
    let mut replay = Replay::new(vec![recording("a", &text)], at_speed(Speed::Max)).unwrap();
    let mut due = Vec::new();
    assert_eq!(replay.next(Duration::ZERO, &mut due), Some(Duration::ZERO));
    assert_eq!(due.len(), SLICE);
    assert_eq!(play(replay).0.len(), 700 - SLICE);
}

#[test]
fn a_limit_ends_it() {
    let text = stream(1, "A", "trade", 0).repeat(5);
    let options = ReplayOptions { limit: Some(3), ..at_speed(Speed::Max) };
    assert_eq!(play(Replay::new(vec![recording("a", &text)], options).unwrap()).0.len(), 3);
}

#[test]
fn recordings_of_one_symbol_are_told_apart_by_their_names() {
    let text = stream(1, "BTCUSDT", "trade", 0);
    let files = || vec![recording("dir-x/spot-btc_1.gz", &text), recording("usdm-btc_1.gz", &text)];
    let (played, _) = play(Replay::new(files(), at_speed(Speed::Max)).unwrap());
    assert_eq!(channels(&played), ["bn_trade:BTCUSDT-SPOT", "bn_trade:BTCUSDT-USDM"]);

    let suffixed = ReplayOptions { suffix: Some("TEST".into()), ..at_speed(Speed::Max) };
    let one = Replay::new(vec![recording("spot-btc.gz", &text)], suffixed.clone()).unwrap();
    assert_eq!(channels(&play(one).0), ["bn_trade:BTCUSDT-TEST"]);
    let both = Replay::new(files(), suffixed).err().unwrap().to_string();
    assert!(both.contains("both carry BTCUSDT-TEST"), "{both}");
    let alike = new_error(vec![recording("usdm-a.gz", &text), recording("usdm-b.gz", &text)]);
    assert!(alike.contains("usdm-a.gz and usdm-b.gz both carry BTCUSDT-USDM"), "{alike}");
}

#[test]
fn a_collision_that_shows_late_stops_the_replay() {
    let one = stream(1, "A", "trade", 0);
    let other = stream(1, "B", "trade", 0) + &stream(2, "A", "trade", 0);
    let replay = Replay::new(vec![recording("one", &one), recording("other", &other)], at_speed(Speed::Max));
    let (played, failure) = play(replay.unwrap());
    assert_eq!(played.len(), 2);
    assert!(failure.unwrap().to_string().starts_with("one and other both carry A;"));
}

#[test]
fn a_bad_line_is_named_and_what_stood_before_it_is_played() {
    let good = stream(1, "A", "trade", 0) + "\n" + &stream(2, "A", "trade", 1);
    let cases = [
        ("x\n", "a.txt line 4: does not start with a receive time"),
        ("12\n", "a.txt line 4: is not JSON: EOF"),
        ("12 {\"a\"\n", "a.txt line 4: is not JSON: EOF"),
        ("-3 {}\n", "a.txt line 4: does not start with a receive time"),
        ("12 {\"stream\":\"a@trade\",\"data\":{}}\n", "a.txt line 4: stream a@trade has no symbol"),
        ("12 {\"stream\":5}\n", "a.txt line 4: is not a message of Binance"),
    ];
    for (bad, expected) in cases {
        let text = format!("{good}{bad}{good}");
        let replay = Replay::new(vec![recording("a.txt", &text)], at_speed(Speed::Max)).unwrap();
        let (played, failure) = play(replay);
        let told = failure.unwrap().to_string();
        assert!(told.starts_with(expected), "{told}");
        assert_eq!(played.len(), 2, "{bad}");
    }
    let first = new_error(vec![recording("a.txt", "nonsense")]);
    assert!(first.starts_with("a.txt line 1: "), "{first}");
}

#[test]
fn streams_without_a_channel_are_counted() {
    let text = stream(1, "A", "kline_1m", 0).repeat(2) + &stream(2, "A", "trade", 1) + "3 {\"id\":1}\n";
    let mut replay = Replay::new(vec![recording("a", &text)], at_speed(Speed::Max)).unwrap();
    let mut due = Vec::new();
    assert_eq!(replay.next(Duration::ZERO, &mut due), None);
    assert_eq!(due.len(), 1);
    let left_out: Vec<_> = replay.left_out().iter().map(|(name, count)| (name.as_str(), *count)).collect();
    assert_eq!(left_out, [("a@kline_1m", 2), ("no stream", 1)]);
}

#[test]
fn a_snapshot_of_nobody_knows_what_is_a_bad_line() {
    let told = new_error(vec![recording("a", &snapshot(1))]);
    assert!(told.starts_with("a line 1: a snapshot, and no stream message"), "{told}");
}

#[test]
fn compressed_data_that_was_cut_is_told_with_the_last_whole_line() {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    for n in 0..2_000 {
        encoder.write_all(stream(n, "A", "trade", u32::try_from(n * n).unwrap()).as_bytes()).unwrap();
    }
    let mut zipped = encoder.finish().unwrap();
    zipped.truncate(zipped.len() / 2);
    let unzipped = BufReader::new(flate2::bufread::MultiGzDecoder::new(Cursor::new(zipped)));
    let replay = Replay::new(vec![Recording::new("a.gz", unzipped)], at_speed(Speed::Max)).unwrap();
    let (played, failure) = play(replay);
    let told = failure.unwrap().to_string();
    assert!(told.starts_with(&format!("a.gz cannot be read on after line {}", played.len())), "{told}");
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = Recording::open(Path::new("no/such.gz"), Arc::default()).err().unwrap();
    assert!(error.to_string().starts_with("cannot open no/such.gz: "), "{error}");
}

#[test]
fn an_opened_file_says_how_far_it_was_read() {
    let progress = Arc::new(AtomicU64::new(0));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    let opened = Recording::open(&path, progress.clone()).unwrap();
    assert_eq!(opened.short_name(), "CARGO");
    assert_eq!(progress.load(Ordering::Relaxed), std::fs::metadata(&path).unwrap().len());
}
