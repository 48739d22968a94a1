//! Letters on disk: a file of JSON lines, each a letter or the names of those that are gone. A thread writes and syncs
//! in groups, so that putting a letter never waits for the disk; what is not written yet is bounded like what is kept.
//!
//! A line that was torn by a crash is cut off when the file is opened. A disk that fails is tried again; meanwhile
//! letters stay in memory. When the disk is too far behind it takes no more critical ones, and lines are thrown away:
//! the file is then rewritten from what is kept.

mod line;
mod log;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::memory::Shelf;
use super::{DeadLetters, Filter, Kept, Letter, LetterId, MemoryBounds, NoRoom};
use line::{encode_gone, encode_put};
use log::Log;

/// Until a disk that failed is tried again.
const TRY_AGAIN: Duration = Duration::from_secs(1);
/// Bytes of lines that wait to be written.
const PENDING_BYTES: usize = 16 << 20;

/// See the module.
pub struct DiskLetters {
    shared: Arc<Shared>,
    writer: Option<JoinHandle<()>>,
}

struct Shared {
    state: Mutex<State>,
    /// There is something to write.
    work: Condvar,
    /// Something has been synced.
    synced: Condvar,
}

struct State {
    shelf: Shelf,
    pending: Vec<u8>,
    /// Lines were thrown away, so the file is to be rewritten.
    wants_rewrite: bool,
    /// What had been handed to the writer when that was last done.
    thrown_at: u64,
    /// Bytes ever handed to the writer, and of those, how many are synced.
    handed: u64,
    synced: u64,
    failing: Option<String>,
    is_closing: bool,
}

/// What a write that failed was about.
enum Lines {
    /// Everything that is kept.
    All,
    Some(Vec<u8>),
}

impl State {
    /// Whether more waits for the disk than may.
    fn is_behind(&self) -> bool {
        self.wants_rewrite || self.handed - self.synced > PENDING_BYTES as u64
    }

    /// What is kept says it all.
    fn throw_lines_away(&mut self) {
        self.pending = Vec::new();
        self.wants_rewrite = true;
        self.thrown_at = self.handed;
    }

    /// What was not written waits before what came since.
    fn put_back(&mut self, lines: Lines) {
        match lines {
            Lines::Some(lines) if !self.wants_rewrite => {
                let since = std::mem::replace(&mut self.pending, lines);
                self.pending.extend_from_slice(&since);
            }
            _ => self.throw_lines_away(),
        }
    }
}

impl DiskLetters {
    /// Opens the letters of a folder, which is made where it is missing. One process at a time.
    ///
    /// # Errors
    /// The folder or its file cannot be read or written.
    pub fn open(folder: &Path, bounds: MemoryBounds) -> io::Result<Self> {
        let path: PathBuf = folder.join("dead_letters.jsonl");
        let mut shelf = Shelf::new(bounds);
        let log = Log::open(&path, &mut shelf)?;
        DiskLetters::begin(shelf, log)
    }

    fn begin(shelf: Shelf, log: Log) -> io::Result<Self> {
        let state = State {
            shelf,
            pending: Vec::new(),
            wants_rewrite: false,
            thrown_at: 0,
            handed: 0,
            synced: 0,
            failing: None,
            is_closing: false,
        };
        let shared =
            Arc::new(Shared { state: Mutex::new(state), work: Condvar::new(), synced: Condvar::new() });
        let writers = shared.clone();
        let writer = tapeline_runtime::spawn("pipe letters", move || writers.write(log))?;
        Ok(DiskLetters { shared, writer: Some(writer) })
    }

    /// Waits until all that was put so far is on the disk, for so long; says whether it is.
    pub fn flush(&self, limit: Duration) -> bool {
        let state = self.shared.state();
        let wanted = state.handed;
        let is_behind = |state: &mut State| state.synced < wanted;
        let waited = self.shared.synced.wait_timeout_while(state, limit, is_behind);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// Why the disk takes nothing now, if it does not.
    pub fn failing(&self) -> Option<String> {
        self.shared.state().failing.clone()
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hand(&self, state: &mut State, line: &[u8]) {
        state.handed += line.len() as u64;
        if state.is_behind() {
            state.throw_lines_away();
        } else {
            state.pending.extend_from_slice(line);
        }
        self.work.notify_one();
    }

    /// Writes until the store is closed and everything is written, or the disk fails at the end.
    fn write(&self, mut log: Log) {
        loop {
            let has_work = |state: &State| state.wants_rewrite || !state.pending.is_empty();
            let waits = |state: &mut State| !has_work(state) && !state.is_closing;
            let state = self.work.wait_while(self.state(), waits);
            let mut state = state.unwrap_or_else(PoisonError::into_inner);
            if !has_work(&state) {
                return;
            }
            let (lines, closes) = (std::mem::take(&mut state.pending), state.is_closing);
            let until = state.handed;
            let rewrites = state.wants_rewrite || log.wants_rewrite(state.shelf.bytes());
            let rewritten = rewrites.then(|| state.shelf.all());
            drop(state);
            let outcome = match rewritten {
                // The letters as they are now; the lines are about them.
                Some(letters) => log.rewrite(&letters),
                None => log.append(&lines),
            };
            let lines = if rewrites { Lines::All } else { Lines::Some(lines) };
            if self.on_written(outcome, lines, until) || !closes {
                continue;
            }
            return;
        }
    }

    /// What has been written is done; what has not, waits before what came since. Says whether it was written.
    fn on_written(&self, outcome: io::Result<()>, lines: Lines, until: u64) -> bool {
        let mut state = self.state();
        let Err(error) = outcome else {
            // What was thrown away while a rewrite was under way may not be in it.
            state.wants_rewrite &= state.thrown_at > until;
            state.synced = until;
            state.failing = None;
            self.synced.notify_all();
            return true;
        };
        if state.failing.is_none() {
            tracing::error!(%error, "dead letters cannot be written to disk; they wait in memory");
        }
        state.failing = Some(error.to_string());
        state.put_back(lines);
        let is_open = |state: &mut State| !state.is_closing;
        drop(self.work.wait_timeout_while(state, TRY_AGAIN, is_open));
        false
    }
}

impl DeadLetters for DiskLetters {
    fn put(&self, letter: Letter) -> Result<LetterId, NoRoom> {
        let (letter, mut state) = (Arc::new(letter), self.shared.state());
        if state.is_behind() && letter.is_critical() {
            return Err(NoRoom);
        }
        let (id, gone) = state.shelf.put(letter.clone())?;
        if !gone.contains(&id) {
            self.shared.hand(&mut state, &encode_put(id, &letter));
        }
        let older: Vec<LetterId> = gone.into_iter().filter(|other| *other != id).collect();
        if !older.is_empty() {
            self.shared.hand(&mut state, &encode_gone(&older));
        }
        Ok(id)
    }

    fn list(&self, filter: &Filter, most: usize) -> Vec<(LetterId, Arc<Letter>)> {
        self.shared.state().shelf.list(filter, most)
    }

    fn take(&self, id: LetterId) -> Option<Arc<Letter>> {
        let mut state = self.shared.state();
        let letter = state.shelf.take(id)?;
        self.shared.hand(&mut state, &encode_gone(&[id]));
        Some(letter)
    }

    fn kept(&self) -> Kept {
        self.shared.state().shelf.kept()
    }
}

impl Drop for DiskLetters {
    fn drop(&mut self) {
        self.shared.state().is_closing = true;
        self.shared.work.notify_one();
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

#[cfg(test)]
mod tests;
