//! A recorded file as numbered lines: plain or gzip, told apart by its first bytes.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use flate2::bufread::MultiGzDecoder;

use super::ReplayError;

/// A line longer than this is no message.
const LINE_BYTES: u64 = 16 << 20;
const BUFFER_BYTES: usize = 64 << 10;
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// One line, taken apart.
pub(super) struct Line {
    pub number: u64,
    pub received_ns: u64,
    /// As recorded.
    pub json: Bytes,
}

/// See the module.
pub struct Recording {
    name: String,
    reader: Box<dyn BufRead + Send>,
    line: u64,
}

impl Recording {
    /// A recording from any reader, under the name that errors call it by.
    pub fn new(name: impl Into<String>, reader: impl BufRead + Send + 'static) -> Self {
        Recording { name: name.into(), reader: Box::new(reader), line: 0 }
    }

    /// Opens a file. `progress` grows by the bytes that are read of it, compressed ones where it is compressed.
    ///
    /// # Errors
    /// The operating system's reason, with the file's name.
    pub fn open(path: &Path, progress: Arc<AtomicU64>) -> Result<Self, ReplayError> {
        let name = path.display().to_string();
        let opened = File::open(path).and_then(|file| {
            let mut raw = BufReader::with_capacity(BUFFER_BYTES, Counted { file, progress });
            let zipped = raw.fill_buf()?.starts_with(&GZIP);
            Ok((raw, zipped))
        });
        match opened {
            Ok((raw, true)) => {
                let unzipped = BufReader::with_capacity(BUFFER_BYTES, MultiGzDecoder::new(raw));
                Ok(Recording::new(name, unzipped))
            }
            Ok((raw, false)) => Ok(Recording::new(name, raw)),
            Err(error) => Err(ReplayError::Open { file: name, error }),
        }
    }

    /// As errors call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the file's name says before its first `-`, in capitals: `spot-btcusdt.gz` is `SPOT`.
    pub(super) fn short_name(&self) -> String {
        let file = Path::new(&self.name).file_name().map(|name| name.to_string_lossy().into_owned());
        let file = file.unwrap_or_default();
        let part = file.split(['-', '.']).next().unwrap_or_default();
        let legal =
            |c: char| if c.is_ascii_alphanumeric() || c == '_' { c.to_ascii_uppercase() } else { '_' };
        part.chars().map(legal).collect()
    }

    /// The next line that is not blank.
    pub(super) fn next_line(&mut self) -> Result<Option<Line>, ReplayError> {
        loop {
            let mut text = Vec::new();
            let read = self.reader.by_ref().take(LINE_BYTES).read_until(b'\n', &mut text);
            let read = read.map_err(|error| self.broken(error))?;
            if read == 0 {
                return Ok(None);
            }
            self.line += 1;
            if read as u64 == LINE_BYTES {
                return Err(self.bad(self.line, format!("longer than {LINE_BYTES} bytes")));
            }
            if !text.trim_ascii().is_empty() {
                return self.take_apart(text).map(Some);
            }
        }
    }

    fn take_apart(&self, text: Vec<u8>) -> Result<Line, ReplayError> {
        let number = self.line;
        let text = Bytes::from(text);
        let text = text.slice_ref(text.trim_ascii());
        let space = text.iter().position(|byte| *byte == b' ').unwrap_or(text.len());
        let time = text.get(..space).and_then(|time| std::str::from_utf8(time).ok());
        let Some(received_ns) = time.and_then(|time| time.parse().ok()) else {
            let reason = "does not start with a receive time in nanoseconds and a space";
            return Err(self.bad(number, reason.to_string()));
        };
        let json = text.slice_ref(text.get(space..).unwrap_or_default().trim_ascii_start());
        Ok(Line { number, received_ns, json })
    }

    fn broken(&self, error: io::Error) -> ReplayError {
        ReplayError::Read { file: self.name.clone(), line: self.line, error }
    }

    /// The error for one of its lines.
    pub(super) fn bad(&self, line: u64, reason: String) -> ReplayError {
        ReplayError::BadLine { file: self.name.clone(), line, reason }
    }
}

/// A file that tells how far it has been read.
struct Counted {
    file: File,
    progress: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.progress.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}
