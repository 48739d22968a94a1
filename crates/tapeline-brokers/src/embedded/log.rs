//! The log: the file that is written now, room taken ahead of it, and how much all files take. It knows no record.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::io::Errno;

use super::disk::{Disk, DiskFile};
use super::frame::{HEAD, Kind};

/// Room is taken in pieces of this size.
const PIECE: u64 = 4 << 20;

/// Less room than this is none.
const BLOCK: u64 = 4 << 10;

/// How far files may grow.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// A file of the log that is larger is followed by another.
    pub segment_bytes: u64,
    /// All files together; 0 for as much as there is.
    pub max_bytes: u64,
    /// What stays for critical families when there is no more room.
    pub reserve_bytes: u64,
}

/// Where what was written ends; also kept in the file `mark`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// The file's number.
    pub(super) number: u64,
    pub(super) at: u64,
}

/// The name of the file that says where acknowledged records end.
pub(super) const MARK: &str = "mark";

/// A file that is written only to see whether there is room.
const TRIAL: &str = "room.tmp";

impl Place {
    pub(super) fn to_bytes(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        let said = self.number.to_le_bytes().into_iter().chain(self.at.to_le_bytes());
        bytes.iter_mut().zip(said).for_each(|(to, from)| *to = from);
        bytes
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (number, rest) = bytes.split_first_chunk()?;
        let at = rest.first_chunk()?;
        Some(Place { number: u64::from_le_bytes(*number), at: u64::from_le_bytes(*at) })
    }
}

/// See the module.
pub(super) struct Log {
    disk: Arc<dyn Disk>,
    limits: Limits,
    file: Arc<dyn DiskFile>,
    mark: Arc<dyn DiskFile>,
    place: Place,
    /// How far there is certainly room.
    reserved: u64,
    /// What the other files take; others remove some of them.
    others: Arc<AtomicU64>,
}

/// Whether an error says that there is no room.
pub fn is_full(error: &io::Error) -> bool {
    [Errno::NOSPC, Errno::DQUOT].into_iter().any(|full| error.raw_os_error() == Some(full.raw_os_error()))
}

/// An error that says so.
pub(super) fn no_room() -> io::Error {
    Errno::NOSPC.into()
}

/// Whether an error says that this file system, or what the process may call, takes no room ahead.
fn takes_none_ahead(error: &io::Error) -> bool {
    let known = [Errno::OPNOTSUPP, Errno::NOSYS, Errno::PERM];
    known.into_iter().any(|none| error.raw_os_error() == Some(none.raw_os_error()))
}

fn begin(disk: &dyn Disk, number: u64) -> io::Result<Arc<dyn DiskFile>> {
    let file = disk.create(&Kind::Log.name(number))?;
    file.append(&Kind::Log.head(number))?;
    file.sync()?;
    disk.sync()?;
    Ok(file)
}

impl Log {
    /// Begins the file of this number.
    pub(super) fn open(
        disk: Arc<dyn Disk>,
        limits: Limits,
        number: u64,
        others: Arc<AtomicU64>,
    ) -> io::Result<Self> {
        let file = begin(&*disk, number)?;
        let mark = disk.create(MARK)?;
        let place = Place { number, at: HEAD as u64 };
        mark.put(&place.to_bytes())?;
        let mut log = Log { disk, limits, file, mark, place, reserved: 0, others };
        // Where there is no room even now, the first publish says so.
        log.take_reserve()?;
        Ok(log)
    }

    /// Where the next record will lie.
    pub(super) fn place(&self) -> Place {
        self.place
    }

    pub(super) fn file(&self) -> &Arc<dyn DiskFile> {
        &self.file
    }

    /// What all files take.
    pub(super) fn total(&self) -> u64 {
        self.others.load(Ordering::Relaxed) + self.place.at
    }

    /// Whether so many more bytes can be written; `urgent` ones may use the reserve.
    pub(super) fn has_room(&mut self, bytes: u64, urgent: bool) -> io::Result<bool> {
        let reserve = if urgent { 0 } else { self.limits.reserve_bytes };
        let max = match self.limits.max_bytes {
            0 => u64::MAX,
            max => max.saturating_add(self.limits.reserve_bytes),
        };
        if self.total() + bytes + reserve > max {
            return Ok(false);
        }
        let needed = self.place.at + bytes + reserve;
        if needed <= self.reserved {
            return Ok(true);
        }
        let lacking = needed - self.reserved.max(self.place.at);
        Ok(self.take_ahead(lacking.max(PIECE))? || self.take_ahead(lacking)?)
    }

    /// Takes room for so many bytes more than what was taken; answers whether there was.
    fn take_ahead(&mut self, len: u64) -> io::Result<bool> {
        let from = self.reserved.max(self.place.at);
        match self.file.reserve(from, len) {
            Ok(()) => self.reserved = from + len,
            Err(error) if is_full(&error) => return Ok(false),
            // A write will say that there is no room.
            Err(error) if takes_none_ahead(&error) => self.reserved = u64::MAX,
            Err(error) => return Err(error),
        }
        Ok(true)
    }

    /// Takes the reserve again behind a cut, or as much as there is of it: what is left to the disk is soon another's, be it
    /// a snapshot's.
    fn take_reserve(&mut self) -> io::Result<()> {
        if self.has_room(0, false)? {
            return Ok(());
        }
        let end = self.place.at + self.limits.reserve_bytes;
        let mut len = self.limits.reserve_bytes;
        while len >= BLOCK {
            self.take_ahead(len)?;
            let left = end.saturating_sub(self.reserved.max(self.place.at));
            len = (len / 2).min(left);
        }
        Ok(())
    }

    /// Whether there is room again for so many bytes beside the reserve. Where none is taken ahead, that is tried out.
    pub(super) fn has_room_again(&mut self, bytes: u64) -> io::Result<bool> {
        if !self.has_room(bytes, false)? {
            return Ok(false);
        }
        if self.reserved != u64::MAX {
            return Ok(true);
        }
        let tried = self.disk.create(TRIAL).and_then(|file| {
            let zeros = vec![0; usize::try_from(bytes).unwrap_or(0)];
            file.append(&zeros)?;
            file.sync()
        });
        let removed = self.disk.remove(TRIAL);
        match tried {
            Ok(()) => removed.map(|()| true),
            Err(error) if is_full(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Writes behind what was written, and says in the file beside it that this may be acknowledged. That serves who starts
    /// after this process has been killed; after the machine has stopped, nobody asks it. After an error nothing of it is
    /// there, or the log can no longer be used.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        let end = Place { at: self.place.at + bytes.len() as u64, ..self.place };
        match self.file.append(bytes).and_then(|()| self.mark.put(&end.to_bytes())) {
            Ok(()) => {
                self.place = end;
                Ok(())
            }
            Err(error) if is_full(&error) && self.release().is_ok() => Err(WriteError::Full),
            Err(error) => Err(WriteError::Failed(error)),
        }
    }

    /// Cuts what lies behind the log's end, with the room that was taken ahead of it.
    fn release(&mut self) -> io::Result<()> {
        self.reserved = self.place.at;
        self.file.cut(self.place.at)
    }

    /// Whether it is time for the next file.
    pub(super) fn is_long(&self) -> bool {
        self.place.at >= self.limits.segment_bytes
    }

    /// Goes on in a new file, when all of this one will last. Answers `false` where there is no room for one.
    pub(super) fn switch(&mut self) -> io::Result<bool> {
        self.end()?;
        let next = Place { number: self.place.number + 1, at: HEAD as u64 };
        match begin(&*self.disk, next.number).and_then(|file| self.mark.put(&next.to_bytes()).map(|()| file))
        {
            Ok(file) => self.file = file,
            Err(error) if is_full(&error) => {
                // What there is of it would be taken for the end of the log.
                match self.disk.remove(&Kind::Log.name(next.number)) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
                self.take_reserve()?;
                return Ok(false);
            }
            Err(error) => return Err(error),
        }
        self.others.fetch_add(self.place.at, Ordering::Relaxed);
        self.place = next;
        self.reserved = 0;
        self.take_reserve()?;
        Ok(true)
    }

    /// Makes what was written last, and gives back the room that was taken ahead.
    pub(super) fn end(&mut self) -> io::Result<()> {
        self.release()?;
        self.file.sync()
    }
}

/// Why nothing was written.
pub(super) enum WriteError {
    /// There was no room; the log is as it was.
    Full,
    /// Anything else; the log is unusable.
    Failed(io::Error),
}
