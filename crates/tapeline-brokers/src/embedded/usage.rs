//! What each family takes in a data directory: in the log, in snapshots, and of that what is still kept.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use tapeline_core::channel::ChannelMap;
use tapeline_core::store::{Bounds, State as StoreState};
use tapeline_core::{Directory, Now};

use super::disk::{Dir, Disk};
use super::frame::{FRAME, Kind, Records};
use super::meta::Meta;
use super::record::{Record, parse};
use super::replaying::Replaying;
use super::{EmbeddedError, snapshot};
use crate::kept::Stripes;

/// Read at once.
const PIECE: usize = 1 << 20;

/// How often a directory is read that a hub compacts meanwhile.
const ATTEMPTS: usize = 5;

/// The bytes of one family.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FamilyUsage {
    /// The name before the first colon; the store's is empty.
    pub family: String,
    /// Data of messages that are kept.
    pub live: u64,
    /// Records in the log.
    pub log: u64,
    /// Records in snapshots.
    pub snapshot: u64,
}

/// By name.
pub(super) type Families = BTreeMap<String, FamilyUsage>;

fn family<'a>(families: &'a mut Families, record: &Record<'_>) -> Option<&'a mut FamilyUsage> {
    let channel = match record {
        Record::Message(told) => told.channel,
        Record::Stand(stand) => stand.channel,
        Record::Known(known) => known.channel,
        Record::Begun { channel, .. }
        | Record::Forgot { channel, .. }
        | Record::Lapsed { channel }
        | Record::Owned { channel, .. } => channel,
        Record::Entry(_) => "",
        Record::Synced { .. } | Record::End { .. } => return None,
    };
    let name = channel.split_once(':').map_or(channel, |(family, _)| family);
    let found = families.entry(name.to_string()).or_default();
    if found.family.is_empty() {
        found.family = name.to_string();
    }
    Some(found)
}

/// Shows each record of a file with its size in it, as far as they are whole: what is not belongs to nobody. A file that has
/// been removed meanwhile has none.
fn each_record(disk: &dyn Disk, name: &str, kind: Kind, mut see: impl FnMut(&[u8], u64)) -> io::Result<()> {
    let ends = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData => Ok(()),
        _ => Err(error),
    };
    let file = match disk.read(name) {
        Ok(file) => io::BufReader::with_capacity(PIECE, file),
        Err(error) => return ends(error),
    };
    let head = kind.head(kind.number(name).unwrap_or_default());
    let mut records = match Records::open(file, head) {
        Ok(records) => records,
        Err(error) => return ends(error),
    };
    loop {
        match records.next() {
            Ok(body) => {
                let size = (FRAME + body.len()) as u64;
                see(body, size);
            }
            Err(error) => return ends(error),
        }
    }
}

/// What the files say.
pub(super) fn of_disk(disk: &dyn Disk) -> io::Result<Families> {
    let mut families = Families::new();
    for (name, _) in disk.list()? {
        let Some(kind) = [Kind::Log, Kind::Snapshot].into_iter().find(|kind| kind.number(&name).is_some())
        else {
            continue;
        };
        each_record(disk, &name, kind, |body, size| {
            let Some(family) = parse(body).and_then(|(_, record)| family(&mut families, &record)) else {
                return;
            };
            match kind {
                Kind::Log => family.log += size,
                Kind::Snapshot => family.snapshot += size,
            }
        })?;
    }
    Ok(families)
}

/// What is kept.
pub(super) fn add_live(families: &mut Families, stripes: &Stripes) {
    stripes.each(|state| {
        let name = state.channel().name();
        // A roll-up keeps what its sources keep.
        if state.channel().is_roll_up() {
            return;
        }
        let name = name.split_once(':').map_or(name, |(family, _)| family).to_string();
        let live: usize = state.messages(0).iter().map(|message| message.data.len()).sum();
        let found = families.entry(name.clone()).or_default();
        found.family = name;
        found.live += live as u64;
    });
}

/// What each family takes in a directory that no hub uses, kept as these families say.
///
/// # Errors
/// The directory is no data directory or is damaged, or the system says no.
pub fn usage(dir: &Path, directory: &Arc<Directory>) -> Result<Vec<FamilyUsage>, EmbeddedError> {
    let shown = dir.display().to_string();
    let disk = Dir(dir.to_path_buf());
    let io = |error| EmbeddedError::io(&shown, error);
    if Meta::read(&disk)?.is_none() {
        return Err(io(io::Error::other("it is no data directory: there is no file meta in it")));
    }
    let mut read = of_dir(&disk, directory);
    for _ in 1..ATTEMPTS {
        match read {
            // The snapshot has made room for a newer one.
            Err(EmbeddedError::Io { ref error, .. }) if error.kind() == io::ErrorKind::NotFound => {
                read = of_dir(&disk, directory);
            }
            _ => break,
        }
    }
    read
}

fn of_dir(disk: &Dir, directory: &Arc<Directory>) -> Result<Vec<FamilyUsage>, EmbeddedError> {
    let io = |error| EmbeddedError::io(disk.0.display().to_string(), error);
    let mut families = of_disk(disk).map_err(io)?;
    let stripes = Stripes::new(0);
    let mut into = Replaying {
        directory,
        stripes: &stripes,
        store: StoreState::new(Bounds::default(), Now::default()),
        keys_since_us: u64::MAX,
        owners: ChannelMap::default(),
        passed_over: 0,
        newest: 0,
    };
    let mut names: Vec<String> = disk.list().map_err(io)?.into_iter().map(|(name, _)| name).collect();
    names.sort();
    if let Some(number) = names.iter().filter_map(|name| Kind::Snapshot.number(name)).max() {
        snapshot::read(disk, number, &mut into)?;
    }
    for name in names.iter().filter(|name| Kind::Log.number(name).is_some()) {
        each_record(disk, name, Kind::Log, |body, _| {
            if let Some((number, record)) = parse(body) {
                into.take(number, record);
            }
        })
        .map_err(io)?;
    }
    add_live(&mut families, &stripes);
    Ok(families.into_values().collect())
}
