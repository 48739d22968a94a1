//! What each family takes in a data directory: in the log, in snapshots, and of that what is still kept.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use tapeline_core::store::{Bounds, State as StoreState};
use tapeline_core::{Directory, Now};

use super::disk::{Dir, Disk};
use super::frame::{Found, HEAD, Kind, look};
use super::record::{Record, parse};
use super::replaying::Replaying;
use super::{EmbeddedError, snapshot};
use crate::kept::Stripes;

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
        Record::Begun { channel, .. } | Record::Forgot { channel, .. } | Record::Lapsed { channel } => {
            channel
        }
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

/// What the files say.
pub(super) fn of_disk(disk: &dyn Disk) -> io::Result<Families> {
    let mut families = Families::new();
    for (name, _) in disk.list()? {
        let Some(kind) = [Kind::Log, Kind::Snapshot].into_iter().find(|kind| kind.number(&name).is_some())
        else {
            continue;
        };
        let mut bytes = Vec::new();
        disk.read(&name)?.read_to_end(&mut bytes)?;
        let mut at = HEAD;
        // What is not whole belongs to nobody.
        while let Found::Record(body, next) = look(&bytes, at) {
            let size = (next - at) as u64;
            at = next;
            let Some(family) = parse(body).and_then(|(_, record)| family(&mut families, &record)) else {
                continue;
            };
            match kind {
                Kind::Log => family.log += size,
                Kind::Snapshot => family.snapshot += size,
            }
        }
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
    let mut families = of_disk(&disk).map_err(io)?;
    let stripes = Stripes::new(0);
    let mut into = Replaying {
        directory,
        stripes: &stripes,
        store: StoreState::new(Bounds::default(), Now::default()),
        keys_since_us: u64::MAX,
        passed_over: 0,
        newest: 0,
    };
    let mut names: Vec<String> = disk.list().map_err(io)?.into_iter().map(|(name, _)| name).collect();
    names.sort();
    if let Some(number) = names.iter().filter_map(|name| Kind::Snapshot.number(name)).max() {
        snapshot::read(&disk, number, &mut into)?;
    }
    for name in names.iter().filter(|name| Kind::Log.number(name).is_some()) {
        let mut bytes = Vec::new();
        disk.read(name).and_then(|mut file| file.read_to_end(&mut bytes)).map_err(io)?;
        let mut at = HEAD;
        while let Found::Record(body, next) = look(&bytes, at) {
            at = next;
            if let Some((number, record)) = parse(body) {
                into.take(number, record);
            }
        }
    }
    add_live(&mut families, &stripes);
    Ok(families.into_values().collect())
}
