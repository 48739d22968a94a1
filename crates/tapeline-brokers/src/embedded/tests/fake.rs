//! A disk in memory that knows what was synced, can be full or broken, and can be copied as it would be after a crash.

use std::collections::BTreeMap;
use std::io::{self, Cursor, Read};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::super::{Disk, DiskFile};

#[derive(Clone, Default)]
struct Content {
    bytes: Vec<u8>,
    synced: Vec<u8>,
    /// Where room taken ahead ends.
    reserved: u64,
}

type Shared = Arc<Mutex<Content>>;

#[derive(Default)]
struct State {
    /// The directory as it is, and as it would be found after the machine has stopped.
    names: BTreeMap<String, Shared>,
    synced: BTreeMap<String, Shared>,
    /// How many bytes all files may have; reserved ones count.
    room: Option<u64>,
    /// Whether not even an empty file can be made.
    no_names: bool,
    fails_sync: bool,
    dead: bool,
    /// Called after each change.
    operations: u64,
    stop_after: Option<u64>,
}

/// See the module.
#[derive(Clone, Default)]
pub(super) struct Fake(Arc<Mutex<State>>);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn dead() -> io::Error {
    io::Error::other("the machine has stopped")
}

fn ill() -> io::Error {
    io::Error::other("the disk is ill")
}

fn full() -> io::Error {
    io::Error::from_raw_os_error(rustix::io::Errno::NOSPC.raw_os_error())
}

impl Fake {
    /// Every operation that changes something counts; after so many the disk is dead.
    pub(super) fn stop_after(&self, operations: u64) {
        let mut state = lock(&self.0);
        state.stop_after = Some(state.operations + operations);
    }

    pub(super) fn is_dead(&self) -> bool {
        lock(&self.0).dead
    }

    pub(super) fn stop(&self) {
        lock(&self.0).dead = true;
    }

    pub(super) fn set_room(&self, room: Option<u64>) {
        lock(&self.0).room = room;
    }

    /// Not even an empty file can be made any more.
    pub(super) fn refuse_names(&self) {
        lock(&self.0).no_names = true;
    }

    pub(super) fn fail_syncs(&self) {
        lock(&self.0).fails_sync = true;
    }

    /// What all files take with the room that was taken ahead of them.
    pub(super) fn taken(&self) -> u64 {
        lock(&self.0).used()
    }

    pub(super) fn used(&self) -> u64 {
        let state = lock(&self.0);
        state.names.values().map(|file| lock(file).bytes.len() as u64).sum()
    }

    pub(super) fn bytes(&self, name: &str) -> Vec<u8> {
        lock(&self.0).names.get(name).map(|file| lock(file).bytes.clone()).unwrap_or_default()
    }

    pub(super) fn set_bytes(&self, name: &str, bytes: Vec<u8>) {
        let content = Content { synced: bytes.clone(), bytes, reserved: 0 };
        let file = Arc::new(Mutex::new(content));
        let mut state = lock(&self.0);
        state.names.insert(name.to_string(), file.clone());
        state.synced.insert(name.to_string(), file);
    }

    pub(super) fn names(&self, prefix: &str) -> Vec<String> {
        lock(&self.0).names.keys().filter(|name| name.starts_with(prefix)).cloned().collect()
    }

    /// What a process finds that starts after this one was killed.
    pub(super) fn after_kill(&self) -> Fake {
        self.copy(|state| &state.names, |content| content.bytes.clone())
    }

    /// What a process finds after the machine has stopped: what was synced, and so many bytes more of each file.
    pub(super) fn after_power_loss(&self, more: usize) -> Fake {
        self.copy(
            |state| &state.synced,
            |content| {
                let mut bytes = content.synced.clone();
                if content.bytes.starts_with(&bytes) {
                    bytes.extend(content.bytes.iter().skip(bytes.len()).take(more));
                }
                bytes
            },
        )
    }

    fn copy(
        &self,
        names: impl Fn(&State) -> &BTreeMap<String, Shared>,
        bytes: impl Fn(&Content) -> Vec<u8>,
    ) -> Fake {
        let state = lock(&self.0);
        let copied = Fake::default();
        for (name, file) in names(&state) {
            copied.set_bytes(name, bytes(&lock(file)));
        }
        for (name, file) in &lock(&copied.0).names {
            // Blocks that were taken are still the file's.
            let taken = names(&state).get(name).map_or(0, |from| lock(from).reserved);
            lock(file).reserved = taken;
        }
        copied
    }

    /// Counts a change; none is made after the end.
    fn change(&self) -> io::Result<MutexGuard<'_, State>> {
        let mut state = lock(&self.0);
        if state.dead || state.stop_after.is_some_and(|stop| state.operations >= stop) {
            state.dead = true;
            return Err(dead());
        }
        state.operations += 1;
        Ok(state)
    }
}

impl State {
    fn has_room(&self, more: u64) -> bool {
        self.room.is_none_or(|room| self.used() + more <= room)
    }

    fn used(&self) -> u64 {
        let taken = |content: &Content| content.reserved.max(content.bytes.len() as u64);
        self.names.values().map(|file| taken(&lock(file))).sum()
    }
}

impl Disk for Fake {
    fn list(&self) -> io::Result<Vec<(String, u64)>> {
        let state = lock(&self.0);
        Ok(state.names.iter().map(|(name, file)| (name.clone(), lock(file).bytes.len() as u64)).collect())
    }

    fn read(&self, name: &str) -> io::Result<Box<dyn Read + Send>> {
        let file = lock(&self.0).names.get(name).cloned();
        let file = file.ok_or(io::ErrorKind::NotFound)?;
        let bytes = lock(&file).bytes.clone();
        Ok(Box::new(Cursor::new(bytes)))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let file = Shared::default();
        let mut state = self.change()?;
        if state.no_names {
            return Err(full());
        }
        state.names.insert(name.to_string(), file.clone());
        drop(state);
        Ok(Arc::new(FakeFile { disk: self.clone(), file }))
    }

    fn cut(&self, name: &str, len: u64) -> io::Result<()> {
        let state = self.change()?;
        let file = state.names.get(name).ok_or(io::ErrorKind::NotFound)?;
        let mut content = lock(file);
        content.bytes.truncate(usize::try_from(len).unwrap());
        content.reserved = 0;
        if state.fails_sync {
            return Err(ill());
        }
        content.synced = content.bytes.clone();
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.change()?;
        let file = state.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        state.names.insert(to.to_string(), file);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let removed = self.change()?.names.remove(name);
        removed.map(|_| ()).ok_or(io::ErrorKind::NotFound.into())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.change()?;
        state.synced = state.names.clone();
        Ok(())
    }
}

struct FakeFile {
    disk: Fake,
    file: Shared,
}

impl DiskFile for FakeFile {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        let state = self.disk.change()?;
        let ahead = {
            let content = lock(&self.file);
            content.reserved.saturating_sub(content.bytes.len() as u64)
        };
        if !state.has_room((bytes.len() as u64).saturating_sub(ahead)) {
            return Err(full());
        }
        lock(&self.file).bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn put(&self, bytes: &[u8]) -> io::Result<()> {
        let _state = self.disk.change()?;
        let mut content = lock(&self.file);
        let len = content.bytes.len().max(bytes.len());
        content.bytes.resize(len, 0);
        content.bytes.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        Ok(())
    }

    fn cut(&self, len: u64) -> io::Result<()> {
        let _state = self.disk.change()?;
        let mut content = lock(&self.file);
        content.bytes.truncate(usize::try_from(len).unwrap());
        content.reserved = 0;
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        if self.disk.change()?.fails_sync {
            return Err(ill());
        }
        let mut content = lock(&self.file);
        content.synced = content.bytes.clone();
        Ok(())
    }

    fn reserve(&self, from: u64, len: u64) -> io::Result<()> {
        let state = lock(&self.disk.0);
        let taken = {
            let content = lock(&self.file);
            content.reserved.max(content.bytes.len() as u64)
        };
        if !state.has_room((from + len).saturating_sub(taken)) {
            return Err(full());
        }
        let mut content = lock(&self.file);
        content.reserved = content.reserved.max(from + len);
        Ok(())
    }
}
