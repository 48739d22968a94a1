//! A backup: a data directory's files of one moment in one file, each with its length and checksum, and a checksum of all
//! at the end. It is made of a running broker and put back into an empty directory, where every channel begins a new
//! epoch: what was published after the backup has given out the offsets that follow.

use std::fs::{self, File};
use std::io::{self, BufReader, Read, Write};
use std::path::Path;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, PoisonError};

use super::disk::{Dir, Disk};
use super::frame::Kind;
use super::meta::Meta;
use super::opening::{boot_id, lock};
use super::queue::Job;
use super::shared::Shared;
use super::snapshot::UNFINISHED;
use super::{Durability, EmbeddedError, compacting};

/// What a backup begins with; the last letter is the format.
const HEAD: &[u8; 8] = b"TAPEBAK1";

/// Read and written at once.
const PIECE: usize = 1 << 20;

/// The longest name of a file in it.
const NAME: usize = 64;

/// Counts and sums what goes through it.
struct Summed<T> {
    inner: T,
    sum: crc32fast::Hasher,
    at: u64,
}

impl<T> Summed<T> {
    fn new(inner: T) -> Self {
        Summed { inner, sum: crc32fast::Hasher::new(), at: 0 }
    }

    fn sum(&self) -> u32 {
        self.sum.clone().finalize()
    }
}

impl<T: Write> Summed<T> {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.sum.update(bytes);
        self.at += bytes.len() as u64;
        self.inner.write_all(bytes)
    }
}

impl<T: Read> Summed<T> {
    fn take<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn fill(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        self.inner.read_exact(bytes)?;
        self.sum.update(bytes);
        self.at += bytes.len() as u64;
        Ok(())
    }
}

/// Has the writer go on in another file; answers its number.
fn switch(shared: &Shared) -> io::Result<u64> {
    let (to, from) = sync_channel(1);
    let switched = Box::new(move |number| {
        // Who asked has gone only where the hub stops.
        let _ = to.send(number);
    });
    let pushed = shared.queue.push(Job::Switch { begun: 0, answer: switched }).is_ok();
    let number = if pushed { from.recv().ok().flatten() } else { None };
    number.ok_or_else(|| io::Error::other("the log cannot go on in another file now"))
}

/// Writes a backup of a running broker.
pub(super) fn write(shared: &Shared, out: &mut dyn Write) -> io::Result<()> {
    // Nothing goes away meanwhile.
    let turn = shared.compacting.turn.lock().unwrap_or_else(PoisonError::into_inner);
    let first = compacting::snapshot_now(shared)?
        .ok_or_else(|| io::Error::other("there is no room for a snapshot, which a backup begins with"))?;
    // The copy is of the time it took to write; the log until here makes one moment of it.
    let end = switch(shared)?;
    let mut out = Summed::new(out);
    out.put(HEAD)?;
    put_file(&*shared.disk, &Kind::Snapshot.name(first), &mut out)?;
    for number in first..end {
        put_file(&*shared.disk, &Kind::Log.name(number), &mut out)?;
    }
    drop(turn);
    out.put(&0_u32.to_le_bytes())?;
    let sum = out.sum();
    out.put(&sum.to_le_bytes())?;
    out.inner.flush()
}

fn put_file(disk: &dyn Disk, name: &str, out: &mut Summed<&mut dyn Write>) -> io::Result<()> {
    let listed = disk.list()?.into_iter().find(|(known, _)| known == name);
    let (_, len) = listed.ok_or(io::ErrorKind::NotFound)?;
    out.put(&u32::try_from(name.len()).unwrap_or(u32::MAX).to_le_bytes())?;
    out.put(name.as_bytes())?;
    out.put(&len.to_le_bytes())?;
    let mut file = disk.read(name)?.take(len);
    let (mut piece, mut sum) = (vec![0; PIECE], crc32fast::Hasher::new());
    loop {
        let count = file.read(&mut piece)?;
        let Some(read) = piece.get(..count).filter(|read| !read.is_empty()) else { break };
        sum.update(read);
        out.put(read)?;
    }
    out.put(&sum.finalize().to_le_bytes())
}

/// What a backup holds: files with their lengths.
pub type Contents = Vec<(String, u64)>;

fn wrong(at: u64, what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{what} at byte {at}"))
}

/// Reads a backup to its end, handing each file's pieces on; what is wrong with it is an error that says where.
fn each(from: &Path, mut take: impl FnMut(&str, &[u8]) -> io::Result<()>) -> io::Result<Contents> {
    let mut from = Summed::new(BufReader::with_capacity(PIECE, File::open(from)?));
    if from.take::<8>().ok().as_ref() != Some(HEAD) {
        return Err(wrong(0, "no backup, or one of another format,"));
    }
    let mut contents = Contents::new();
    loop {
        let at = from.at;
        let len = u32::from_le_bytes(from.take()?) as usize;
        if len == 0 {
            break;
        }
        let mut name = vec![0; len.min(NAME)];
        from.fill(&mut name)?;
        let name = String::from_utf8(name).map_err(|_| wrong(at, "a damaged name"))?;
        if Kind::Log.number(&name).or(Kind::Snapshot.number(&name)).is_none() {
            return Err(wrong(at, "a damaged name"));
        }
        let size = u64::from_le_bytes(from.take()?);
        let (mut left, mut sum, mut piece) = (size, crc32fast::Hasher::new(), vec![0; PIECE]);
        while left > 0 {
            let count = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
            let piece = piece.get_mut(..count).unwrap_or_default();
            from.fill(piece)?;
            sum.update(piece);
            take(&name, piece)?;
            left -= count as u64;
        }
        if u32::from_le_bytes(from.take()?) != sum.finalize() {
            return Err(wrong(at, &format!("{name} is damaged")));
        }
        contents.push((name, size));
    }
    let (sum, at) = (from.sum(), from.at);
    if u32::from_le_bytes(from.take()?) != sum {
        return Err(wrong(at, "the checksum of all is wrong"));
    }
    Ok(contents)
}

/// Checks a backup from its first byte to its last.
///
/// # Errors
/// It is damaged, and where; or the system says no.
pub fn verify(from: &Path) -> Result<Contents, EmbeddedError> {
    let name = from.display().to_string();
    each(from, |_, _| Ok(())).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => EmbeddedError::io(name, wrong(0, "the backup is cut, looked at")),
        _ => EmbeddedError::io(name, error),
    })
}

/// Puts a backup into a directory that has nothing in it, once all of it is known to be whole.
///
/// # Errors
/// The backup is damaged, the directory is not empty, or the system says no.
pub fn restore(from: &Path, dir: &Path) -> Result<Contents, EmbeddedError> {
    let shown = dir.display().to_string();
    let io = |error| EmbeddedError::io(&shown, error);
    if fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(io(io::Error::other("it is not empty; a backup is restored into a new directory")));
    }
    let contents = verify(from)?;
    let lock = lock(dir)?;
    let disk = Dir(dir.to_path_buf());
    let meta = Meta { boot: boot_id(), durability: Durability::default(), clean: true, anew: true };
    meta.write(&disk).map_err(io)?;
    put_back(from, &disk).map_err(io)?;
    drop(lock);
    Ok(contents)
}

/// Writes the files of a backup. The snapshot gets its name last: without it the files of the log are refused, should this
/// be cut short.
fn put_back(from: &Path, disk: &dyn Disk) -> io::Result<()> {
    let mut open: Option<(String, Arc<dyn super::DiskFile>)> = None;
    let contents = each(from, |name, piece| {
        if open.as_ref().is_none_or(|(known, _)| known != name) {
            if let Some((_, file)) = open.take() {
                file.sync()?;
            }
            let place = if Kind::Snapshot.number(name).is_some() { UNFINISHED } else { name };
            open = Some((name.to_string(), disk.create(place)?));
        }
        open.as_ref().map_or(Ok(()), |(_, file)| file.append(piece))
    })?;
    if let Some((_, file)) = open {
        file.sync()?;
    }
    disk.sync()?;
    for (name, _) in contents.iter().filter(|(name, _)| Kind::Snapshot.number(name).is_some()) {
        disk.rename(UNFINISHED, name)?;
    }
    disk.sync()
}
