//! The recordings: gzip, one `<receive time in ns> <JSON>` a line. Both files' times are counted from
//! their own first line and merged. The JSON is never changed.

use std::io::Read;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::text;

/// The channels; those of one kind stand together.
pub(super) const CHANNELS: [&str; 6] = [
    "bn_trade:BTCUSDT-SPOT",
    "bn_trade:BTCUSDT-USDM",
    "bn_depth:BTCUSDT-SPOT",
    "bn_depth:BTCUSDT-USDM",
    "bn_ticker:BTCUSDT-SPOT",
    "bn_ticker:BTCUSDT-USDM",
];
/// The first so many channels deliver `every`, the rest `latest`.
pub(super) const EVERY: usize = 4;

const FILES: [&str; 2] = ["spot-btcusdt_20240808.gz", "usdm-btcusdt_20240808.gz"];

/// One recorded message.
pub(super) struct Message {
    /// Since the beginning of its file.
    pub(super) at_ns: u64,
    /// Index into `CHANNELS`.
    pub(super) channel: usize,
    bytes: Range<usize>,
}

/// All messages, in order of time.
pub(super) struct Recording {
    text: Vec<u8>,
    pub(super) messages: Vec<Message>,
}

impl Recording {
    /// Reads both files, or the first `limit` messages of each.
    pub(super) fn open(folder: &Path, limit: Option<usize>) -> Result<Self> {
        let mut recording = Self { text: Vec::new(), messages: Vec::new() };
        for (market, name) in FILES.iter().enumerate() {
            let path = folder.join(name);
            let file = std::fs::File::open(&path).with_context(|| format!("opening {}", path.display()))?;
            let mut lines = Vec::new();
            flate2::read::GzDecoder::new(file).read_to_end(&mut lines)?;
            recording.add(&lines, market, limit).with_context(|| format!("reading {}", path.display()))?;
        }
        Ok(recording)
    }

    fn add(&mut self, lines: &[u8], market: usize, limit: Option<usize>) -> Result<()> {
        let start = self.text.len();
        self.text.extend_from_slice(lines);
        let text = self.text.get(start..).unwrap_or_default();
        let (mut at, mut first_ns) = (start, None);
        for line in text.split_inclusive(|&byte| byte == b'\n').take(limit.unwrap_or(usize::MAX)) {
            let space = line.iter().position(|&byte| byte == b' ').context("a line without a time")?;
            let ns = text::digits(line, 0).context("a line without a time")?;
            let json = line.get(space + 1..).unwrap_or_default().trim_ascii();
            let bytes = at + space + 1..at + space + 1 + json.len();
            at += line.len();
            let at_ns = ns - *first_ns.get_or_insert(ns);
            self.messages.push(Message { at_ns, channel: kind(json)? + market, bytes });
        }
        // Stable: messages of one time stay in the order of their file.
        self.messages.sort_by_key(|message| message.at_ns);
        Ok(())
    }

    /// Three spot trades and a ticker.
    #[cfg(test)]
    pub(super) fn sample() -> Self {
        let mut recording = Self { text: Vec::new(), messages: Vec::new() };
        let lines = br#"10 {"stream":"btcusdt@trade","data":{"t":1,"offset":9}}
20 {"stream":"btcusdt@trade","data":{"t":2}}
20 {"stream":"btcusdt@trade","data":{"t":3}}
30 {"stream":"btcusdt@bookTicker","data":{"u":4}}
"#;
        recording.add(lines, 0, None).unwrap();
        recording
    }

    /// A message's JSON as recorded.
    pub(super) fn bytes(&self, message: &Message) -> &[u8] {
        self.text.get(message.bytes.clone()).unwrap_or_default()
    }

    /// From the first message to the last.
    pub(super) fn duration(&self) -> Duration {
        self.messages.last().map(|message| Duration::from_nanos(message.at_ns)).unwrap_or_default()
    }
}

/// Which of the three kinds a message is, as the index of its first channel.
fn kind(json: &[u8]) -> Result<usize> {
    let head = json.get(..80).unwrap_or(json);
    let has = |needle: &str| text::find(head, needle.as_bytes()).is_some();
    if has("@trade\"") {
        Ok(0)
    } else if has("@depth") || has("\"lastUpdateId\"") {
        Ok(2)
    } else if has("@bookTicker\"") {
        Ok(4)
    } else {
        bail!("neither trade, depth nor ticker: {}", text::excerpt(json))
    }
}
