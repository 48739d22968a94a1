//! Recordings on disk, plain and compressed, through the public interface only.

#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use tapeline_core::feed::Feed;
use tapeline_feeds::replay::{Recording, Replay, ReplayOptions, Speed};

fn trades(start_ns: u64, step_ns: u64, count: u64) -> String {
    let line = |n| {
        let at = start_ns + n * step_ns;
        format!("{at} {{\"stream\":\"btcusdt@trade\",\"data\":{{\"s\":\"BTCUSDT\",\"t\":{n}}}}}\n")
    };
    (0..count).map(line).collect()
}

fn written(name: &str, bytes: &[u8]) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, bytes).unwrap();
    path
}

fn zipped(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn a_plain_and_a_compressed_file_play_as_one() {
    // Two members in one file, as `cat a.gz b.gz` makes them.
    let (head, tail) = (zipped(&trades(1_000, 20, 50)), zipped(&trades(2_000, 20, 50)));
    let spot = written("spot-replay.gz", &[head, tail].concat());
    let usdm = written("usdm-replay.txt", trades(777, 10, 100).as_bytes());
    let progress = Arc::new(AtomicU64::new(0));
    let open = |path: &Path| Recording::open(path, progress.clone()).unwrap();
    let options = ReplayOptions { speed: Speed::Max, ..ReplayOptions::default() };
    let mut replay = Replay::new(vec![open(&spot), open(&usdm)], options).unwrap();
    let mut due = Vec::new();
    while replay.next(Duration::ZERO, &mut due).is_some() {}
    assert!(replay.take_failure().is_none());
    assert_eq!(due.len(), 200);
    let of = |channel: &str| due.iter().filter(|publication| &*publication.channel == channel).count();
    assert_eq!((of("bn_trade:BTCUSDT-SPOT"), of("bn_trade:BTCUSDT-USDM")), (100, 100));
    let first: Vec<&str> = due.iter().take(4).map(|publication| &*publication.channel).collect();
    let [spot_name, usdm_name] = ["bn_trade:BTCUSDT-SPOT", "bn_trade:BTCUSDT-USDM"];
    assert_eq!(first, [spot_name, usdm_name, usdm_name, spot_name]);
    let bytes = fs::metadata(&spot).unwrap().len() + fs::metadata(&usdm).unwrap().len();
    assert_eq!(progress.load(Ordering::Relaxed), bytes);
}
