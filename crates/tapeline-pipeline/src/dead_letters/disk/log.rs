//! The file: opened, appended to and rewritten. After each, what it was told is synced.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::line::{Told, decode, encode_put};
use crate::dead_letters::memory::Shelf;
use crate::dead_letters::{Letter, LetterId};

/// The file is rewritten when it is longer than this, and than twice what is kept.
const LEAST_REWRITE: u64 = 1 << 20;

/// Read and written by its owner alone.
#[cfg(unix)]
const OWN: u32 = 0o600;

/// See the module.
pub(super) struct Log {
    path: PathBuf,
    file: File,
    /// Bytes of whole lines; anything behind them was torn.
    length: u64,
}

/// A file that is made where it is missing: letters hold what an account did, so only its owner may read it.
fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, OWN);
    options
}

impl Log {
    /// One that cannot be written to; rewritten at `path` where that can be.
    #[cfg(test)]
    pub(super) fn failing(path: &Path) -> Self {
        Log { path: path.to_owned(), file: File::open("/dev/null").unwrap(), length: 0 }
    }

    /// Opens a file and puts what it tells on the shelf.
    pub(super) fn open(path: &Path, shelf: &mut Shelf) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let mut file = options().truncate(false).open(path)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let mut damaged = 0_u64;
        for line in bytes.get(..whole).unwrap_or_default().split_inclusive(|byte| *byte == b'\n') {
            match decode(line) {
                Some(Told::Put(id, letter)) => shelf.insert(id, Arc::new(letter)),
                Some(Told::Gone(gone)) => gone.into_iter().for_each(|id| drop(shelf.take(id))),
                None => damaged += 1,
            }
        }
        if damaged > 0 || whole < bytes.len() {
            tracing::warn!(path = %path.display(), damaged, torn_bytes = bytes.len() - whole, "dead letters: unreadable lines");
        }
        let mut log = Log { path: path.to_owned(), file, length: whole as u64 };
        log.cut()?;
        Ok(log)
    }

    /// Cuts off what is behind the last whole line.
    fn cut(&mut self) -> io::Result<()> {
        self.file.set_len(self.length)?;
        self.file.seek(SeekFrom::Start(self.length))?;
        Ok(())
    }

    pub(super) fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        let written = self.file.write_all(lines).and_then(|()| self.file.sync_data());
        match written {
            Ok(()) => self.length += lines.len() as u64,
            // A line in parts would damage the next one too.
            Err(_) => self.cut()?,
        }
        written
    }

    pub(super) fn wants_rewrite(&self, kept_bytes: usize) -> bool {
        self.length > LEAST_REWRITE.max(2 * kept_bytes as u64)
    }

    /// Writes the letters that are kept, and nothing else, in the file's place.
    pub(super) fn rewrite(&mut self, letters: &[(LetterId, Arc<Letter>)]) -> io::Result<()> {
        let beside = self.path.with_extension("jsonl.new");
        let mut file = options().truncate(true).open(&beside)?;
        let mut length = 0;
        for (id, letter) in letters {
            let line = encode_put(*id, letter);
            file.write_all(&line)?;
            length += line.len() as u64;
        }
        file.sync_all()?;
        std::fs::rename(&beside, &self.path)?;
        (self.file, self.length) = (file, length);
        match self.path.parent() {
            Some(folder) => File::open(folder)?.sync_all(),
            None => Ok(()),
        }
    }
}
