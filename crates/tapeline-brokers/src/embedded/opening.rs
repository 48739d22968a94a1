//! Opening a directory: who may, what it holds, and whether offsets can go on where they were.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use tapeline_core::channel::ChannelMap;
use tapeline_core::store::{Bounds, LocalStore, State as StoreState};

use super::frame::{HEAD, Kind};
use super::journal::StoreJournal;
use super::log::{Log, MARK, Place};
use super::meta::Meta;
use super::replaying::{Replaying, begin_epochs};
use super::shared::{Shared, SharedParts};
use super::writer::Writer;
use super::{Durability, EmbeddedError, EmbeddedParts, snapshot, tails};
use crate::kept::{KEY_LIFE_US, Stripes};

/// Makes a directory where there is none, for good.
fn make(dir: &Path) -> io::Result<()> {
    let is_lacking = |dir: &&Path| !dir.as_os_str().is_empty() && !dir.exists();
    let made: Vec<&Path> = dir.ancestors().take_while(is_lacking).collect();
    fs::create_dir_all(dir)?;
    made.into_iter().try_for_each(|dir| {
        let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty());
        File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
    })
}

/// Makes a directory this process's own.
pub(super) fn lock(dir: &Path) -> Result<File, EmbeddedError> {
    let shown = || dir.display().to_string();
    make(dir).map_err(|error| EmbeddedError::io(shown(), error))?;
    let path = dir.join("lock");
    let name = path.display().to_string();
    let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
    let mut file = opened.map_err(|error| EmbeddedError::io(&name, error))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => {
            let mut pid = String::new();
            // Who has it is only said better with its number.
            let _ = file.read_to_string(&mut pid);
            return Err(EmbeddedError::InUse { dir: shown(), pid: pid.trim().to_string() });
        }
        Err(error) => return Err(EmbeddedError::io(&name, error.into())),
    }
    let write = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
    write.map_err(|error| EmbeddedError::io(&name, error))?;
    Ok(file)
}

/// The machine's boot; where that cannot be read, one that was never before.
pub(super) fn boot_id() -> String {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id");
    id.map_or_else(|_| format!("unknown-{}", std::process::id()), |id| id.trim().to_string())
}

/// The files of a directory.
struct Files {
    snapshots: Vec<u64>,
    logs: Vec<u64>,
}

fn list(parts: &EmbeddedParts) -> io::Result<Files> {
    let names = parts.disk.list()?;
    let of = |kind: Kind| {
        let mut numbers: Vec<u64> = names.iter().filter_map(|(name, _)| kind.number(name)).collect();
        numbers.sort_unstable();
        numbers
    };
    if names.iter().any(|(name, _)| name == snapshot::UNFINISHED) {
        parts.disk.remove(snapshot::UNFINISHED)?;
    }
    Ok(Files { snapshots: of(Kind::Snapshot), logs: of(Kind::Log) })
}

/// What a directory held.
struct Held {
    store: StoreState,
    /// The number of the newest record.
    newest: u64,
    /// Where whole records end, in the last file of the log; its number is 0 if there is none.
    end: Place,
    /// The length of that file.
    len: u64,
    /// Whether acknowledged records may be lacking there.
    is_cut: bool,
}

/// Opens what a disk holds, and begins another file of the log.
pub(super) fn open(parts: EmbeddedParts) -> Result<(Arc<Shared>, LocalStore, Writer), EmbeddedError> {
    let io = |error| EmbeddedError::io(&parts.dir, error);
    let begun = Instant::now();
    let meta = Meta::read(&*parts.disk)?;
    let files = list(&parts).map_err(io)?;
    let stripes = Stripes::new(parts.seed);
    let held = replay(&parts, meta.as_ref(), &files, &stripes)?;
    let anew = match &meta {
        Some(meta) => begins_anew(meta, &parts, held.is_cut),
        None => is_orphaned(&parts, &files),
    };
    let next =
        Meta { boot: parts.boot.clone(), durability: parts.storage.durability, clean: false, anew: false };
    // Of the boot that wrote it, until its end is settled: only this boot's log is without holes.
    let begins =
        Meta { clean: false, anew: true, ..meta.unwrap_or(Meta { boot: String::new(), ..next.clone() }) };
    settle_end(&parts, Place { at: held.len, ..held.end }, &begins)?;
    if anew {
        // Before the traces of it go: this start may be cut short too.
        begins.write(&*parts.disk).map_err(io)?;
    }
    if held.len != held.end.at {
        settle_end(&parts, held.end, &begins)?;
    }
    let renewed = begin_epochs(&stripes, anew);
    let number = held.end.number + 1;
    let now = parts.clock.now();
    stripes.each(|state| state.touched_by(now.wall_us));
    let store = held.store;
    let (dir, disk, storage) = (parts.dir.clone(), parts.disk.clone(), parts.storage.clone());
    let (clock, directory) = (parts.clock.clone(), parts.directory.clone());
    let others = Files::bytes(&parts, number).map_err(io)?;
    let shared = SharedParts { dir, disk, storage, stripes, clock, directory, meta: next.clone(), others };
    let shared = Arc::new(Shared::new(shared));
    let journal = Arc::new(StoreJournal(Arc::downgrade(&shared)));
    let store = LocalStore::with_journal(parts.clock.clone(), store, journal);
    let log =
        Log::open(parts.disk.clone(), parts.storage.limits, number, shared.others.clone()).map_err(io)?;
    if renewed > 0 {
        // Before anything counts under the new epochs: who starts next must know them.
        let len = snapshot::write(&*parts.disk, number, u64::MAX, &shared.stripes, Some(&store), now.wall_us);
        shared.compacting.has_snapshot(&shared, number, len.map_err(io)?).map_err(io)?;
    } else if let Some(newest) = files.snapshots.last() {
        let name = Kind::Snapshot.name(*newest);
        let len = parts.disk.list().map_err(io)?.into_iter().find(|(known, _)| *known == name);
        shared.compacting.begin_with(len.map_or(0, |(_, len)| len));
    }
    let _ = shared.store.set(store.clone());
    next.write(&*parts.disk).map_err(io)?;
    shared.stripes.sweep(now.wall_us);
    let (channels, ms) = (shared.stripes.len(), begun.elapsed().as_millis());
    tracing::info!(dir = parts.dir, channels, ms, renewed, "the data directory is open");
    let writer = Writer::new(shared.clone(), log, held.newest + 1);
    Ok((shared, store, writer))
}

impl Files {
    /// What all files but the log's of this number take.
    fn bytes(parts: &EmbeddedParts, number: u64) -> io::Result<u64> {
        let current = Kind::Log.name(number);
        let names = parts.disk.list()?.into_iter();
        let counts = |name: &str| Kind::Log.number(name).or(Kind::Snapshot.number(name)).is_some();
        Ok(names.filter(|(name, _)| *name != current && counts(name)).map(|(_, len)| len).sum())
    }
}

/// Whether offsets may have been given out that the log does not know.
fn begins_anew(meta: &Meta, parts: &EmbeddedParts, is_cut: bool) -> bool {
    let same_boot = meta.boot == parts.boot;
    let goes_on = meta.clean || same_boot || meta.durability == Durability::EveryBatch;
    let anew = meta.anew || is_cut || !goes_on;
    let dir = &parts.dir;
    if is_cut {
        tracing::warn!(dir, "the end of the log is lost: channels go on under new epochs");
    } else if !goes_on {
        let durability = meta.durability;
        tracing::warn!(dir, %durability, "the machine stopped before the hub did: channels go on under new epochs");
    } else if meta.anew {
        tracing::warn!(dir, "the data was restored, or its disk has failed: channels go on under new epochs");
    }
    anew
}

/// Whether the files of the log have lost the file that says whether they are whole.
fn is_orphaned(parts: &EmbeddedParts, files: &Files) -> bool {
    let orphaned = !files.logs.is_empty() || !files.snapshots.is_empty();
    if orphaned {
        tracing::warn!(dir = parts.dir, "there is no file meta: channels go on under new epochs");
    }
    orphaned
}

/// Ends the last file of the log here: gives back the room that was taken ahead, and makes the rest last, for what a killed
/// process has written may be in the system's memory only, and is told from now on.
fn settle_end(parts: &EmbeddedParts, end: Place, begins: &Meta) -> Result<(), EmbeddedError> {
    if end.number == 0 {
        return Ok(());
    }
    let name = Kind::Log.name(end.number);
    cut(parts, &name, end.at).map_err(|error| {
        // The next sync would not say so again. Where not even this can be noted, the start has failed all the same.
        let _ = begins.write(&*parts.disk);
        EmbeddedError::io(&name, error)
    })
}

fn replay(
    parts: &EmbeddedParts,
    meta: Option<&Meta>,
    files: &Files,
    stripes: &Stripes,
) -> Result<Held, EmbeddedError> {
    let now = parts.clock.now();
    let mut into = Replaying {
        directory: &parts.directory,
        stripes,
        store: StoreState::new(Bounds::default(), now),
        keys_since_us: now.wall_us.saturating_sub(KEY_LIFE_US),
        owners: ChannelMap::default(),
        passed_over: 0,
        newest: 0,
    };
    let from = files.snapshots.last().copied();
    if let Some(number) = from {
        snapshot::read(&*parts.disk, number, &mut into)?;
    }
    let logs: Vec<u64> =
        files.logs.iter().copied().filter(|number| from.is_none_or(|from| *number >= from)).collect();
    for (due, number) in (from.unwrap_or(1)..).zip(&logs) {
        if due != *number {
            return Err(missing(due));
        }
    }
    if let Some(from) = from.filter(|_| logs.is_empty()) {
        return Err(missing(from));
    }
    let same_boot = meta.is_some_and(|meta| meta.boot == parts.boot);
    let (mut end, mut len) = (Place::default(), 0);
    for number in &logs {
        let is_last = logs.last() == Some(number);
        let name = Kind::Log.name(*number);
        let mut bytes = Vec::new();
        let read = parts.disk.read(&name).and_then(|mut file| file.read_to_end(&mut bytes));
        read.map_err(|error| EmbeddedError::io(&name, error))?;
        let tail =
            tails::read(&bytes, *number, is_last, same_boot, |number, record| into.take(number, record))?;
        (end, len) = (Place { number: *number, at: tail.end }, bytes.len() as u64);
        if tail.is_torn {
            let lost = len - tail.end;
            tracing::warn!(
                dir = parts.dir,
                file = name,
                at = tail.end,
                bytes = lost,
                "the end of the log is cut"
            );
            let known = if same_boot { mark(parts) } else { None };
            let is_cut = known.is_none_or(|mark| mark > Place { at: end.at.max(HEAD as u64), ..end });
            return Ok(held(into, end, len, is_cut));
        }
    }
    // A whole log may have lost its last records too.
    let is_cut = same_boot && mark(parts).is_some_and(|mark| mark > end);
    Ok(held(into, end, len, is_cut))
}

fn held(into: Replaying<'_>, end: Place, len: u64, is_cut: bool) -> Held {
    for (channel, owner) in &into.owners {
        channel.set_owner(owner);
    }
    if into.passed_over > 0 {
        let records = into.passed_over;
        tracing::warn!(
            records,
            "records of channels that are tables now, or are none any more, were passed over"
        );
    }
    Held { store: into.store, newest: into.newest, end, len, is_cut }
}

fn missing(number: u64) -> EmbeddedError {
    EmbeddedError::io(Kind::Log.name(number), io::ErrorKind::NotFound.into())
}

/// Cuts a file and makes it last, or gives it the head that it lacks.
fn cut(parts: &EmbeddedParts, name: &str, end: u64) -> io::Result<()> {
    if end > 0 {
        return parts.disk.cut(name, end);
    }
    let file = parts.disk.create(name)?;
    file.append(&Kind::Log.head(Kind::Log.number(name).unwrap_or_default()))?;
    file.sync()
}

/// Where acknowledged records end, if this boot knows.
fn mark(parts: &EmbeddedParts) -> Option<Place> {
    let mut bytes = Vec::new();
    parts.disk.read(MARK).ok()?.read_to_end(&mut bytes).ok()?;
    Place::from_bytes(&bytes)
}
