//! A directory as the embedded broker uses it: a few whole operations on names, so that tests can put a fake in its place
//! that forgets what was not synced. It knows no format.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use rustix::fs::{FallocateFlags, fallocate};

/// A directory of plain files.
pub trait Disk: Send + Sync {
    /// The files' names and lengths.
    fn list(&self) -> io::Result<Vec<(String, u64)>>;
    /// Reads a file from its beginning.
    fn read(&self, name: &str) -> io::Result<Box<dyn Read + Send>>;
    /// Makes an empty file, in place of one of this name.
    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;
    /// Cuts a file, for good.
    fn cut(&self, name: &str, len: u64) -> io::Result<()>;
    /// Gives a file another name, in place of one that has it.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Makes names last.
    fn sync(&self) -> io::Result<()>;
}

/// A file that is written.
pub trait DiskFile: Send + Sync {
    /// Writes behind what was written.
    fn append(&self, bytes: &[u8]) -> io::Result<()>;
    /// Writes over the file's beginning.
    fn put(&self, bytes: &[u8]) -> io::Result<()>;
    /// Cuts it to this length, and lets go of room beyond.
    fn cut(&self, len: u64) -> io::Result<()>;
    /// Makes what was written last.
    fn sync(&self) -> io::Result<()>;
    /// Takes room for `len` bytes from `from` on, which stay beyond the file's end.
    fn reserve(&self, from: u64, len: u64) -> io::Result<()>;
}

/// A real one.
pub(super) struct Dir(pub(super) PathBuf);

impl Disk for Dir {
    fn list(&self) -> io::Result<Vec<(String, u64)>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.0)? {
            let entry = entry?;
            // One that has just gone is none.
            if let (Ok(name), Ok(meta)) = (entry.file_name().into_string(), entry.metadata())
                && meta.is_file()
            {
                found.push((name, meta.len()));
            }
        }
        Ok(found)
    }

    fn read(&self, name: &str) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(File::open(self.0.join(name))?))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let path = self.0.join(name);
        Ok(Arc::new(OpenOptions::new().write(true).create(true).truncate(true).open(path)?))
    }

    fn cut(&self, name: &str, len: u64) -> io::Result<()> {
        let file = OpenOptions::new().write(true).open(self.0.join(name))?;
        file.set_len(len)?;
        file.sync_all()
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.0.join(from), self.0.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.0.join(name))
    }

    fn sync(&self) -> io::Result<()> {
        File::open(&self.0)?.sync_all()
    }
}

impl DiskFile for File {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        let mut file = self;
        file.write_all(bytes)
    }

    fn put(&self, bytes: &[u8]) -> io::Result<()> {
        self.write_all_at(bytes, 0)
    }

    fn cut(&self, len: u64) -> io::Result<()> {
        self.set_len(len)?;
        let mut file = self;
        io::Seek::seek(&mut file, io::SeekFrom::Start(len)).map(|_| ())
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn reserve(&self, from: u64, len: u64) -> io::Result<()> {
        let take = || fallocate(self, FallocateFlags::KEEP_SIZE, from, len);
        Ok(rustix::io::retry_on_intr(take)?)
    }
}
