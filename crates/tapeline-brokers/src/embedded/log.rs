//! The log: the file that is written now, room taken ahead of it, and how much all files take. It knows no record.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::io::Errno;

use super::disk::{Disk, DiskFile};
use super::frame::Kind;

/// Room is taken in pieces of this size.
const PIECE: u64 = 4 << 20;

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
        let place = Place { number, at: super::frame::HEAD as u64 };
        mark.put(&place.to_bytes())?;
        let mut log = Log { disk, limits, file, mark, place, reserved: 0, others };
        // Where there is no room even now, the first publish says so.
        log.has_room(0, false)?;
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
        let from = self.reserved.max(self.place.at);
        for len in [(needed - from).max(PIECE), needed - from] {
            match self.file.reserve(from, len) {
                Ok(()) => {
                    self.reserved = from + len;
                    return Ok(true);
                }
                Err(error) if is_full(&error) => {}
                // This file system takes none ahead: a write will say that there is no room.
                Err(error) if error.raw_os_error() == Some(Errno::OPNOTSUPP.raw_os_error()) => {
                    self.reserved = u64::MAX;
                    return Ok(true);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }

    /// Writes behind what was written. After an error nothing of it is there, or the log can no longer be used.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        match self.file.append(bytes) {
            Ok(()) => {
                self.place.at += bytes.len() as u64;
                Ok(())
            }
            Err(error) if is_full(&error) && self.file.cut(self.place.at).is_ok() => {
                self.reserved = self.place.at;
                Err(WriteError::Full)
            }
            Err(error) => Err(WriteError::Failed(error)),
        }
    }

    /// Says in the file beside it that all that was written may be acknowledged. It serves who starts after this process
    /// has been killed; after the machine has stopped, nobody asks it.
    pub(super) fn acknowledge(&self) -> io::Result<()> {
        self.mark.put(&self.place.to_bytes())
    }

    /// Whether it is time for the next file.
    pub(super) fn is_long(&self) -> bool {
        self.place.at >= self.limits.segment_bytes
    }

    /// Goes on in a new file, when all of this one will last. Answers `false` where there is no room for one.
    pub(super) fn switch(&mut self) -> io::Result<bool> {
        self.file.sync()?;
        let number = self.place.number + 1;
        let file = match begin(&*self.disk, number) {
            Ok(file) => file,
            Err(error) if is_full(&error) => {
                // What there is of it would be taken for the end of the log.
                self.disk.remove(&Kind::Log.name(number))?;
                return Ok(false);
            }
            Err(error) => return Err(error),
        };
        let old = std::mem::replace(&mut self.file, file);
        self.others.fetch_add(self.place.at, Ordering::Relaxed);
        if self.reserved > self.place.at && self.reserved != u64::MAX {
            // Kept room is only lost room here.
            let _ = old.release(self.place.at, self.reserved);
        }
        self.place = Place { number, at: super::frame::HEAD as u64 };
        self.reserved = 0;
        self.mark.put(&self.place.to_bytes())?;
        self.has_room(0, false)?;
        Ok(true)
    }
}

/// Why nothing was written.
pub(super) enum WriteError {
    /// There was no room; the log is as it was.
    Full,
    /// Anything else; the log is unusable.
    Failed(io::Error),
}
