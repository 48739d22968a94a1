//! A message as it travels between hubs and lies in Redis. The script writes the first line, with what it has counted:
//! `1 OFFSET EPOCH HOW NAME [OFFSET EPOCH]… [=OWNER]`, the pairs being its places in roll-ups; the publishing node wrote
//! the rest.
//! It begins with `1m` where the bare copy for others follows. `HOW` is what the script did to a table: `-0` nothing, `l`
//! or `w` and so many bytes of rows, which left the table, or are the whole of it.

use bytes::Bytes;
use tapeline_core::message::{Draft, Epoch, Message, RollUpMark};
use tapeline_core::table::{Extent, RowKey, Rows, removal, take_apart};
use tapeline_core::{Channel, Directory};
use uuid::Uuid;

use super::plan::Plan;

/// Why a frame says nothing here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum FrameError {
    /// Not written by a hub that we know.
    #[error("it is no frame of ours")]
    Malformed,
    /// Another node's catalogue has another row for the channel, or ours had when it was published.
    #[error("its row in the catalogue is another one here")]
    OtherRow,
    /// It was kept when its channel belonged to somebody else, who alone may read it.
    #[error("its channel belongs to another owner by now")]
    OtherOwner,
}

/// Where a frame comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// It was just published: it says whose the channel is.
    Heard,
    /// It is kept, perhaps by a roll-up for longer than Redis remembers its channel.
    Kept,
}

/// The part of a frame that the publishing node writes; and where the data begins in it.
pub(super) fn push_body(draft: &Draft, row: &str, out: &mut Vec<u8>) -> usize {
    out.extend_from_slice(draft.id.as_bytes());
    out.extend_from_slice(&draft.timestamp_us.to_be_bytes());
    let labels = [Some(row), draft.kind.as_deref(), draft.correlation_id.as_deref()];
    for label in labels {
        // A label is at most 256 bytes; one more than its length, 0 standing for none.
        let len = label.map_or(0, |label| u16::try_from(label.len() + 1).unwrap_or(0));
        out.extend_from_slice(&len.to_be_bytes());
        out.extend_from_slice(label.filter(|_| len > 0).unwrap_or_default().as_bytes());
    }
    let start = out.len();
    out.extend_from_slice(&draft.data);
    start
}

/// Takes bytes from the front.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn label(&mut self) -> Option<Option<&'a str>> {
        let len = u16::from_be_bytes(self.take(2)?.try_into().ok()?);
        match usize::from(len).checked_sub(1) {
            None => Some(None),
            Some(len) => Some(Some(std::str::from_utf8(self.take(len)?).ok()?)),
        }
    }

    /// A key or row, as the script packs it.
    fn packed(&mut self) -> Option<&'a [u8]> {
        let len = u32::from_be_bytes(self.take(4)?.try_into().ok()?);
        self.take(usize::try_from(len).ok()?)
    }
}

/// Takes a word from the front of a line.
fn word<'a>(line: &mut &'a str) -> Option<&'a str> {
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    *line = rest;
    (!word.is_empty()).then_some(word)
}

/// The parts of a frame.
struct Frame<'a> {
    mirrored: bool,
    offset: u64,
    epoch: Epoch,
    how: &'a str,
    name: &'a str,
    marks: Vec<(u64, Epoch)>,
    /// Text without control characters, spaces included.
    owner: Option<&'a str>,
    more: &'a [u8],
    id: Uuid,
    timestamp_us: u64,
    row: &'a str,
    kind: Option<&'a str>,
    correlation_id: Option<&'a str>,
    data: &'a [u8],
}

impl<'a> Frame<'a> {
    fn parse(bytes: &'a [u8]) -> Option<Self> {
        let end = bytes.iter().position(|byte| *byte == b'\n')?;
        let mut line = std::str::from_utf8(bytes.get(..end)?).ok()?;
        let mirrored = match word(&mut line)? {
            "1" => false,
            "1m" => true,
            _ => return None,
        };
        let (offset, epoch) = (word(&mut line)?.parse().ok()?, word(&mut line)?.into());
        let (how, len) = word(&mut line)?.split_at_checked(1)?;
        let name = word(&mut line)?;
        let mut marks = Vec::new();
        while !line.is_empty() && !line.starts_with('=') {
            marks.push((word(&mut line)?.parse().ok()?, word(&mut line)?.into()));
        }
        let owner = line.strip_prefix('=');
        let mut rest = Reader(bytes.get(end + 1..)?);
        let more = rest.take(len.parse().ok()?)?;
        let id = Uuid::from_slice(rest.take(16)?).ok()?;
        let timestamp_us = u64::from_be_bytes(rest.take(8)?.try_into().ok()?);
        let (row, kind, correlation_id) = (rest.label()??, rest.label()?, rest.label()?);
        let data = rest.0;
        Some(Frame {
            mirrored,
            offset,
            epoch,
            how,
            name,
            marks,
            owner,
            more,
            id,
            timestamp_us,
            row,
            kind,
            correlation_id,
            data,
        })
    }
}

/// The message in a frame.
///
/// # Errors
/// It is none, or none of the row or the owner that its channel has here.
pub(super) fn decode(
    bytes: &[u8],
    origin: Origin,
    directory: &Directory,
    plan_of: impl FnOnce(&Channel) -> std::sync::Arc<Plan>,
) -> Result<Message, FrameError> {
    let frame = Frame::parse(bytes).ok_or(FrameError::Malformed)?;
    let channel = directory.channel(frame.name).map_err(|_| FrameError::Malformed)?;
    let channel = match (frame.owner, origin) {
        (None, _) => channel,
        (Some(owner), Origin::Heard) => directory.owned_by(&channel, owner),
        (Some(owner), Origin::Kept) => {
            channel.set_owner(owner);
            if channel.owner() != Some(owner) {
                return Err(FrameError::OtherOwner);
            }
            channel
        }
    };
    let plan = plan_of(&channel);
    if plan.row != frame.row {
        return Err(FrameError::OtherRow);
    }
    let counting: Vec<&Channel> =
        plan.roll_ups.iter().filter_map(|roll_up| Some(&roll_up.counting()?.channel)).collect();
    if counting.len() != frame.marks.len() || frame.offset == 0 {
        return Err(FrameError::OtherRow);
    }
    let marks = counting.into_iter().zip(frame.marks);
    let marks =
        marks.map(|(channel, (offset, epoch))| RollUpMark { channel: channel.clone(), offset, epoch });
    // A copy of its own: a piece of what was read would keep all of that alive.
    let (mut data, mut rows) = (Bytes::copy_from_slice(frame.data), None);
    if channel.is_table() {
        let said = take_apart(channel.spec(), &data).map_err(|_| FrameError::Malformed)?;
        let told = rewritten(&channel, frame.how, frame.more, said).ok_or(FrameError::Malformed)?;
        (data, rows) = (told.0, Some(Box::new(told.1)));
    }
    let draft = Draft {
        channel,
        kind: frame.kind.map(Box::from),
        data,
        rows,
        correlation_id: frame.correlation_id.map(Box::from),
        idempotency: None,
        owner: None,
        from_plain_name: false,
        id: frame.id,
        timestamp_us: frame.timestamp_us,
    };
    Ok(Message::new(draft, frame.offset, frame.epoch, marks.collect()))
}

/// The bare copy that follows a frame, if one does: its channel and data.
pub(super) fn copy_after(bytes: &Bytes) -> Option<(Bytes, Bytes)> {
    let Frame { name, data, .. } = Frame::parse(bytes).filter(|frame| frame.mirrored)?;
    Some((bytes.slice_ref(name.as_bytes()), bytes.slice_ref(data)))
}

/// What subscribers of a table get, now that the script has applied what was said.
fn rewritten(channel: &Channel, how: &str, more: &[u8], said: (Bytes, Rows)) -> Option<(Bytes, Rows)> {
    let (data, rows) = said;
    let mut packed = Reader(more);
    let mut listed = Vec::new();
    while !packed.0.is_empty() {
        listed.push((RowKey::from_bytes(packed.packed()?), packed.packed()?));
    }
    match how {
        "-" => Some((data, rows)),
        "w" => Some(whole(listed.into_iter(), rows.meta(&data))),
        "l" => {
            let removals = listed.into_iter().map(|(key, row)| {
                let row = std::str::from_utf8(row).ok()?;
                Some((key, removal(channel.spec(), row)?))
            });
            // A row without words for its removal cannot be told of.
            let removals: Vec<_> = removals.flatten().collect();
            let said = rows.iter().map(|row| (row.key.clone(), row.removed, rows.bytes(row, &data)));
            let left = removals.iter().map(|(key, bytes)| (key.clone(), true, bytes.as_slice()));
            Some(Rows::write(said.chain(left), rows.meta(&data), Extent::Changes))
        }
        _ => None,
    }
}

/// A whole table.
pub(super) fn whole<'a>(rows: impl Iterator<Item = (RowKey, &'a [u8])>, meta: &[u8]) -> (Bytes, Rows) {
    Rows::write(rows.map(|(key, row)| (key, false, row)), meta, Extent::Whole)
}
