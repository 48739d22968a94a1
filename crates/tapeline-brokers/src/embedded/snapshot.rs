//! A snapshot: all that is kept, as records in one file. Channels are copied stripe after stripe while publishing goes on;
//! each says which record of the log is the newest in it.

use std::io::{self, Read};
use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use tapeline_core::channel::ChannelMap;
use tapeline_core::message::{Epoch, IdempotencyKey, Message};
use tapeline_core::store::LocalStore;
use tapeline_core::{Channel, Receipt};

use super::EmbeddedError;
use super::disk::{Disk, DiskFile};
use super::frame::{HEAD, Kind, Records};
use super::log::no_room;
use super::record::{self, Entry, Known, Record, Stand, Told, parse};
use super::replaying::Replaying;
use crate::kept::Stripes;

/// Written at once, about.
const PIECE: usize = 1 << 20;

/// What is not a snapshot yet.
pub(super) const UNFINISHED: &str = "snapshot.tmp";

/// A channel as it was at one moment.
struct Copied {
    channel: Channel,
    epoch: Epoch,
    top: u64,
    record: u64,
    touched_us: u64,
    lapsed: bool,
    messages: Vec<Arc<Message>>,
    keys: Vec<(u64, IdempotencyKey, Receipt)>,
}

struct Out<'a> {
    file: &'a dyn DiskFile,
    buffer: Vec<u8>,
    written: u64,
    most: u64,
    count: u64,
}

impl Out<'_> {
    fn push(&mut self, record: &Record<'_>) -> io::Result<()> {
        record::push(&mut self.buffer, 0, record);
        self.count += 1;
        if self.buffer.len() >= PIECE { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.written + self.buffer.len() as u64 > self.most {
            return Err(no_room());
        }
        self.file.append(&self.buffer)?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}

/// Writes the snapshot of this number, for good; answers its length. One that would be longer than `most` has no room.
pub(super) fn write(
    disk: &dyn Disk,
    number: u64,
    most: u64,
    stripes: &Stripes,
    store: Option<&LocalStore>,
    now_us: u64,
) -> io::Result<u64> {
    let file = disk.create(UNFINISHED)?;
    let copied = copy(stripes, now_us);
    let buffer = Kind::Snapshot.head(number).to_vec();
    let mut out = Out { file: &*file, buffer, written: 0, most, count: 0 };
    write_channels(&mut out, &copied)?;
    write_owners(&mut out, &copied)?;
    drop(copied);
    for change in store.into_iter().flat_map(|store| store.snapshot().changes) {
        out.push(&Record::Entry(Entry {
            key: change.key.as_str(),
            version: change.version,
            value: change.value.as_deref(),
            expires_us: change.expires_us.unwrap_or(0),
        }))?;
    }
    let count = out.count;
    out.push(&Record::End { count })?;
    out.flush()?;
    let len = out.written;
    file.sync()?;
    disk.rename(UNFINISHED, &Kind::Snapshot.name(number))?;
    disk.sync()?;
    Ok(len)
}

fn copy(stripes: &Stripes, now_us: u64) -> Vec<Copied> {
    let mut copied = Vec::with_capacity(stripes.len());
    stripes.each(|state| {
        copied.push(Copied {
            channel: state.channel().clone(),
            epoch: state.epoch().clone(),
            top: state.top(),
            record: state.record(),
            touched_us: state.touched_us(),
            lapsed: state.has_lapsed(),
            messages: state.messages(now_us),
            keys: state.keys().map(|(at, key, first)| (at, key.clone(), first.clone())).collect(),
        });
    });
    // One that has ended counts anew at its next use.
    copied.retain(|copy| !copy.channel.has_ended());
    copied
}

/// Whose channels are: those that stand, and those that are forgotten but for what roll-ups keep of them.
fn write_owners(out: &mut Out<'_>, copied: &[Copied]) -> io::Result<()> {
    let of_messages = copied.iter().flat_map(|copy| &copy.messages).map(|message| &message.channel);
    let mut told: ChannelMap<()> = ChannelMap::default();
    for channel in copied.iter().map(|copy| &copy.channel).chain(of_messages) {
        if let Some(owner) = channel.owner()
            && told.insert(channel.clone(), ()).is_none()
        {
            out.push(&Record::Owned { channel: channel.name(), table: channel.is_table(), owner })?;
        }
    }
    Ok(())
}

fn write_channels(out: &mut Out<'_>, copied: &[Copied]) -> io::Result<()> {
    for copy in copied {
        out.push(&Record::Stand(Stand {
            channel: copy.channel.name(),
            table: copy.channel.is_table(),
            epoch: &copy.epoch,
            top: copy.top,
            record: copy.record,
            touched_us: copy.touched_us,
            lapsed: copy.lapsed,
        }))?;
    }
    // A message that several keep is written once, with who they are.
    let mut places: HashMap<*const Message, u32, FixedState> = HashMap::default();
    for copy in copied {
        for message in &copy.messages {
            let keeps = message.places().position(|(known, ..)| *known == copy.channel).unwrap_or(0);
            let bit = u32::try_from(keeps).ok().and_then(|keeps| 1_u32.checked_shl(keeps)).unwrap_or(0);
            *places.entry(Arc::as_ptr(message)).or_default() |= bit;
        }
    }
    for message in copied.iter().flat_map(|copy| &copy.messages) {
        if let Some(places) = places.remove(&Arc::as_ptr(message)) {
            push_message(out, message, places)?;
        }
    }
    for copy in copied {
        for (at_us, key, first) in &copy.keys {
            out.push(&Record::Known(Known {
                channel: copy.channel.name(),
                principal: &key.principal,
                key: &key.key,
                at_us: *at_us,
                epoch: &first.epoch,
                offset: first.offset,
                id: *first.id.as_bytes(),
            }))?;
        }
    }
    Ok(())
}

fn push_message(out: &mut Out<'_>, message: &Message, places: u32) -> io::Result<()> {
    let marks = message.roll_ups.iter();
    out.push(&Record::Message(Told {
        channel: message.channel.name(),
        table: message.channel.is_table(),
        epoch: &message.epoch,
        offset: message.offset,
        places,
        marks: marks.map(|mark| (mark.channel.name(), &*mark.epoch, mark.offset)).collect(),
        kind: message.kind.as_deref(),
        correlation_id: message.correlation_id.as_deref(),
        key: None,
        id: *message.id.as_bytes(),
        timestamp_us: message.timestamp_us,
        data: &message.data,
    }))
}

/// Reads a snapshot back; all of it must be whole.
pub(super) fn read(disk: &dyn Disk, number: u64, into: &mut Replaying<'_>) -> Result<(), EmbeddedError> {
    let name = Kind::Snapshot.name(number);
    let at = each(disk, &name, Kind::Snapshot.head(number), |record| into.put_back(record))
        .map_err(|error| EmbeddedError::io(&name, error))?;
    if let Some(at) = at {
        return Err(EmbeddedError::Damaged { file: name, at });
    }
    into.put_in_order();
    Ok(())
}

/// Shows each record of a snapshot; answers where it is damaged.
pub(super) fn each(
    disk: &dyn Disk,
    name: &str,
    head: [u8; HEAD],
    mut see: impl FnMut(Record<'_>),
) -> io::Result<Option<u64>> {
    let is_damage =
        |error: &io::Error| matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof);
    let file = io::BufReader::with_capacity(PIECE, disk.read(name)?);
    let mut records = match Records::open(file, head) {
        Ok(records) => records,
        Err(error) if is_damage(&error) => return Ok(Some(0)),
        Err(error) => return Err(error),
    };
    let mut count = 0;
    loop {
        let at = records.at;
        let record = match next(&mut records) {
            Ok(Some(record)) => record,
            Ok(None) => return Ok(Some(at)),
            Err(error) if is_damage(&error) => return Ok(Some(at)),
            Err(error) => return Err(error),
        };
        if let Record::End { count: said } = record {
            return Ok((said != count).then_some(at));
        }
        count += 1;
        see(record);
    }
}

fn next<R: Read>(records: &mut Records<R>) -> io::Result<Option<Record<'_>>> {
    Ok(parse(records.next()?).map(|(_, record)| record))
}
