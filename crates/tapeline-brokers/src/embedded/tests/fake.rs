//! A disk in memory that knows what was synced, can be full, broken or at fault, and can be copied as it would be after a
//! crash. What a machine that stops leaves of changes that were not synced is any part of them, in any order (`lost`).

use std::collections::BTreeMap;
use std::io::{self, Cursor, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::ThreadId;

use super::super::{Disk, DiskFile};
use super::lost::{self, NameChange};

#[derive(Clone, Default)]
pub(super) struct Content {
    pub(super) bytes: Vec<u8>,
    pub(super) synced: Vec<u8>,
    /// Where room taken ahead ends.
    pub(super) reserved: u64,
}

/// Called before a change.
type Hook = Arc<dyn Fn() + Send + Sync>;

pub(super) type Shared = Arc<Mutex<Content>>;

#[derive(Default)]
struct State {
    /// The directory as it is, and as it would be found after the machine has stopped.
    names: BTreeMap<String, Shared>,
    synced: BTreeMap<String, Shared>,
    /// Changes of names since they were made to last.
    changes: Vec<NameChange>,
    /// How many bytes all files may have; reserved ones count.
    room: Option<u64>,
    /// Whether not even an empty file can be made.
    no_names: bool,
    fails_sync: bool,
    dead: bool,
    operations: u64,
    /// The number of the last one, and how many percent of it are made if it writes.
    stop_after: Option<(u64, usize)>,
    /// For one thread's changes.
    hook: Option<(ThreadId, Hook)>,
    /// The next write waits for this, writes a part, and panics.
    fault: Option<Receiver<()>>,
    /// The next write says that it has come, and waits for this.
    gate: Option<(SyncSender<()>, Receiver<()>)>,
}

/// See the module.
#[derive(Clone, Default)]
pub(super) struct Fake(Arc<Mutex<State>>);

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
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
    /// Every operation that changes something counts; after so many the disk is dead, with this part of the next write.
    pub(super) fn stop_after(&self, operations: u64, percent: usize) {
        let mut state = lock(&self.0);
        state.stop_after = Some((state.operations + operations, percent));
    }

    /// Calls this before each change that this thread makes.
    pub(super) fn before_changes_here(&self, hook: impl Fn() + Send + Sync + 'static) {
        lock(&self.0).hook = Some((std::thread::current().id(), Arc::new(hook)));
    }

    /// The next write waits for the answer to be used, writes half of what it should, and panics.
    pub(super) fn fault_at_next_write(&self) -> SyncSender<()> {
        let (to, from) = sync_channel(1);
        lock(&self.0).fault = Some(from);
        to
    }

    /// The next write says that it has come, and waits for the answer to be used.
    pub(super) fn wait_at_next_write(&self) -> (Receiver<()>, SyncSender<()>) {
        let ((came, has_come), (to, from)) = (sync_channel(1), sync_channel(1));
        lock(&self.0).gate = Some((came, from));
        (has_come, to)
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
        copy(&lock(&self.0).names, |content| content.bytes.clone())
    }

    /// What a process finds after the machine has stopped: what was synced, and of the rest what luck leaves; it draws
    /// numbers below another, and the luck that draws 0 leaves nothing.
    pub(super) fn after_power_loss(&self, mut luck: impl FnMut(usize) -> usize) -> Fake {
        let names = {
            let state = lock(&self.0);
            lost::names(&state.synced, &state.changes, &mut luck)
        };
        copy(&names, |content| lost::bytes(&content.synced, &content.bytes, &mut luck))
    }

    /// Counts a change; none is made after the end.
    fn change(&self) -> io::Result<MutexGuard<'_, State>> {
        let hook = lock(&self.0).hook.clone();
        if let Some((_, hook)) = hook.filter(|(of, _)| *of == std::thread::current().id()) {
            hook();
        }
        let mut state = lock(&self.0);
        if state.dead || state.stop_after.is_some_and(|(stop, _)| state.operations >= stop) {
            state.dead = true;
            return Err(dead());
        }
        state.operations += 1;
        Ok(state)
    }
}

/// A disk of these files, all of which last.
fn copy(names: &BTreeMap<String, Shared>, mut bytes: impl FnMut(&Content) -> Vec<u8>) -> Fake {
    let copied = Fake::default();
    for (name, file) in names {
        let content = lock(file);
        copied.set_bytes(name, bytes(&content));
        // Blocks that were taken are still the file's.
        let reserved = content.reserved;
        lock(&copied.0).names.get(name).into_iter().for_each(|file| lock(file).reserved = reserved);
    }
    copied
}

impl State {
    fn apply(&mut self, change: NameChange) {
        change.make(&mut self.names);
        self.changes.push(change);
    }

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
        let mut state = self.change()?;
        if state.no_names {
            return Err(full());
        }
        let known = state.names.get(name).cloned();
        let file = known.unwrap_or_else(|| {
            let file = Shared::default();
            state.apply(NameChange::Made(name.to_string(), file.clone()));
            file
        });
        // One that is there is emptied in its place.
        let mut content = lock(&file);
        content.bytes.clear();
        content.reserved = 0;
        drop((content, state));
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
        let file = state.names.get(from).cloned().ok_or(io::ErrorKind::NotFound)?;
        state.apply(NameChange::Renamed(from.to_string(), to.to_string(), file));
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.change()?;
        if !state.names.contains_key(name) {
            return Err(io::ErrorKind::NotFound.into());
        }
        state.apply(NameChange::Removed(name.to_string()));
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.change()?;
        state.synced = state.names.clone();
        state.changes.clear();
        Ok(())
    }
}

struct FakeFile {
    disk: Fake,
    file: Shared,
}

impl FakeFile {
    fn write(&self, count: usize, bytes: &[u8]) {
        lock(&self.file).bytes.extend(bytes.iter().take(count));
    }
}

impl DiskFile for FakeFile {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        let gate = lock(&self.disk.0).gate.take();
        if let Some((came, gate)) = gate {
            // Nobody listens where the test has failed.
            let _ = came.send(());
            let _ = gate.recv();
        }
        let fault = lock(&self.disk.0).fault.take();
        if let Some(gate) = fault {
            // Who holds the other end lets it go on by that too.
            let _ = gate.recv();
            self.write(bytes.len() / 2, bytes);
            panic!("a fault of the test's disk");
        }
        let died = lock(&self.disk.0).dead;
        let state = match self.disk.change() {
            Ok(state) => state,
            Err(error) => {
                let percent = lock(&self.disk.0).stop_after.map_or(0, |(_, percent)| percent);
                if !died {
                    self.write(bytes.len() * percent / 100, bytes);
                }
                return Err(error);
            }
        };
        let ahead = {
            let content = lock(&self.file);
            content.reserved.saturating_sub(content.bytes.len() as u64)
        };
        // Where there is less room than was taken, what was taken is gone.
        let left = |room: u64| room.checked_sub(state.used()).map_or(0, |left| left + ahead);
        let room = state.room.map_or(u64::MAX, left);
        let fits = bytes.len().min(usize::try_from(room).unwrap_or(usize::MAX));
        self.write(fits, bytes);
        if fits < bytes.len() { Err(full()) } else { Ok(()) }
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
