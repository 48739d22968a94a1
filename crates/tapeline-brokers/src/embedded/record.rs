//! What the log and snapshots say, record by record: to bytes and back. Integers are little-endian; texts carry their length.
//! It does not know where records lie or what becomes of them.

use smallvec::SmallVec;

use super::frame;

/// A message with its places, as it was published: a table's rows before the table has taken them.
pub(super) struct Told<'a> {
    pub(super) channel: &'a str,
    /// Whether it is of a table.
    pub(super) table: bool,
    pub(super) epoch: &'a str,
    pub(super) offset: u64,
    /// Where it is kept: the lowest bit its channel, the next ones its roll-ups in their order.
    pub(super) places: u32,
    /// Its roll-ups: name, epoch, offset.
    pub(super) marks: SmallVec<[(&'a str, &'a str, u64); 2]>,
    pub(super) kind: Option<&'a str>,
    pub(super) correlation_id: Option<&'a str>,
    /// Principal and key.
    pub(super) key: Option<(&'a str, &'a str)>,
    pub(super) id: [u8; 16],
    pub(super) timestamp_us: u64,
    pub(super) data: &'a [u8],
}

/// Where a channel stands.
pub(super) struct Stand<'a> {
    pub(super) channel: &'a str,
    pub(super) table: bool,
    pub(super) epoch: &'a str,
    pub(super) top: u64,
    /// The newest record of the log that is in it.
    pub(super) record: u64,
    pub(super) touched_us: u64,
    /// Whether messages went by that were not written.
    pub(super) lapsed: bool,
}

/// A key that is still remembered.
pub(super) struct Known<'a> {
    pub(super) channel: &'a str,
    pub(super) principal: &'a str,
    pub(super) key: &'a str,
    pub(super) at_us: u64,
    pub(super) epoch: &'a str,
    pub(super) offset: u64,
    pub(super) id: [u8; 16],
}

/// A change of the store: a key's value, or that it is gone.
pub(super) struct Entry<'a> {
    pub(super) key: &'a str,
    pub(super) version: u64,
    pub(super) value: Option<&'a [u8]>,
    /// When it goes by itself; 0 for never.
    pub(super) expires_us: u64,
}

/// One record.
pub(super) enum Record<'a> {
    Message(Told<'a>),
    /// A channel has begun to count, without a message yet.
    Begun {
        channel: &'a str,
        table: bool,
        epoch: &'a str,
    },
    /// What a channel and its roll-ups kept of its messages is forgotten up to an offset.
    Forgot {
        channel: &'a str,
        epoch: &'a str,
        through: u64,
    },
    /// From here on messages of the channel went by that were not written.
    Lapsed {
        channel: &'a str,
    },
    /// The file was synced up to here.
    Synced {
        number: u64,
        at: u64,
    },
    /// A channel has its owner.
    Owned {
        channel: &'a str,
        table: bool,
        owner: &'a str,
    },
    Stand(Stand<'a>),
    Known(Known<'a>),
    Entry(Entry<'a>),
    /// The end of a snapshot, with the number of its records.
    End {
        count: u64,
    },
}

const MESSAGE: u8 = 1;
const BEGUN: u8 = 2;
const FORGOT: u8 = 3;
const LAPSED: u8 = 4;
const SYNC: u8 = 5;
const STAND: u8 = 6;
const KNOWN: u8 = 7;
const ENTRY: u8 = 8;
const END: u8 = 9;
const OWNED: u8 = 10;

/// Everywhere a message belongs.
pub(super) const ALL_PLACES: u32 = u32::MAX;

/// What a message takes in the log beside its data and its labels, at most: channel, epochs, marks and numbers.
pub(super) const OVERHEAD: usize = 1_024;

/// What the record of a sync takes, which is added to what was counted.
pub(super) const SYNCED: usize = 64;

struct Out<'a>(&'a mut Vec<u8>);

impl Out<'_> {
    fn flag(&mut self, flag: bool) {
        self.0.push(u8::from(flag));
    }

    fn number(&mut self, number: u64) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes());
        self.0.extend_from_slice(bytes);
    }

    fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    fn maybe(&mut self, text: Option<&str>) {
        self.flag(text.is_some());
        if let Some(text) = text {
            self.text(text);
        }
    }
}

/// Appends a record with its number in the log; 0 in a snapshot.
pub(super) fn push(out: &mut Vec<u8>, number: u64, record: &Record<'_>) {
    frame::push(out, |out| {
        let mut out = Out(out);
        match record {
            Record::Message(told) => {
                out.0.push(MESSAGE);
                out.number(number);
                push_message(&mut out, told);
            }
            Record::Begun { channel, table, epoch } => {
                out.0.push(BEGUN);
                out.number(number);
                out.text(channel);
                out.flag(*table);
                out.text(epoch);
            }
            Record::Forgot { channel, epoch, through } => {
                out.0.push(FORGOT);
                out.number(number);
                out.text(channel);
                out.text(epoch);
                out.number(*through);
            }
            Record::Lapsed { channel } => {
                out.0.push(LAPSED);
                out.number(number);
                out.text(channel);
            }
            Record::Synced { number: segment, at } => {
                out.0.push(SYNC);
                out.number(number);
                out.number(*segment);
                out.number(*at);
            }
            Record::Owned { channel, table, owner } => {
                out.0.push(OWNED);
                out.number(number);
                out.text(channel);
                out.flag(*table);
                out.text(owner);
            }
            Record::End { count } => {
                out.0.push(END);
                out.number(number);
                out.number(*count);
            }
            Record::Stand(stand) => push_stand(&mut out, number, stand),
            Record::Known(known) => push_known(&mut out, number, known),
            Record::Entry(entry) => {
                out.0.push(ENTRY);
                out.number(number);
                out.text(entry.key);
                out.number(entry.version);
                out.flag(entry.value.is_some());
                out.bytes(entry.value.unwrap_or_default());
                out.number(entry.expires_us);
            }
        }
    });
}

fn push_message(out: &mut Out<'_>, told: &Told<'_>) {
    out.text(told.channel);
    out.flag(told.table);
    out.text(told.epoch);
    out.number(told.offset);
    out.0.extend_from_slice(&told.places.to_le_bytes());
    out.number(told.timestamp_us);
    out.0.extend_from_slice(&told.id);
    out.number(told.marks.len() as u64);
    for (name, epoch, offset) in &told.marks {
        out.text(name);
        out.text(epoch);
        out.number(*offset);
    }
    out.maybe(told.kind);
    out.maybe(told.correlation_id);
    out.maybe(told.key.map(|(principal, _)| principal));
    out.maybe(told.key.map(|(_, key)| key));
    out.bytes(told.data);
}

fn push_stand(out: &mut Out<'_>, number: u64, stand: &Stand<'_>) {
    out.0.push(STAND);
    out.number(number);
    out.text(stand.channel);
    out.flag(stand.table);
    out.text(stand.epoch);
    out.number(stand.top);
    out.number(stand.record);
    out.number(stand.touched_us);
    out.flag(stand.lapsed);
}

fn push_known(out: &mut Out<'_>, number: u64, known: &Known<'_>) {
    out.0.push(KNOWN);
    out.number(number);
    out.text(known.channel);
    out.text(known.principal);
    out.text(known.key);
    out.number(known.at_us);
    out.text(known.epoch);
    out.number(known.offset);
    out.0.extend_from_slice(&known.id);
}

struct In<'a>(&'a [u8]);

impl<'a> In<'a> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*first)
    }

    fn flag(&mut self) -> Option<bool> {
        self.array::<1>().map(|[flag]| flag != 0)
    }

    fn number(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let len = u32::from_le_bytes(self.array()?) as usize;
        let (bytes, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(bytes)
    }

    fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.bytes()?).ok()
    }

    fn maybe(&mut self) -> Option<Option<&'a str>> {
        match self.flag()? {
            true => self.text().map(Some),
            false => Some(None),
        }
    }
}

/// A record and its number; `None` where no version of this format has written it.
pub(super) fn parse(bytes: &[u8]) -> Option<(u64, Record<'_>)> {
    let mut from = In(bytes);
    let [kind] = from.array()?;
    let number = from.number()?;
    let record = match kind {
        MESSAGE => Record::Message(parse_message(&mut from)?),
        BEGUN => Record::Begun { channel: from.text()?, table: from.flag()?, epoch: from.text()? },
        FORGOT => Record::Forgot { channel: from.text()?, epoch: from.text()?, through: from.number()? },
        LAPSED => Record::Lapsed { channel: from.text()? },
        SYNC => Record::Synced { number: from.number()?, at: from.number()? },
        STAND => Record::Stand(Stand {
            channel: from.text()?,
            table: from.flag()?,
            epoch: from.text()?,
            top: from.number()?,
            record: from.number()?,
            touched_us: from.number()?,
            lapsed: from.flag()?,
        }),
        KNOWN => Record::Known(Known {
            channel: from.text()?,
            principal: from.text()?,
            key: from.text()?,
            at_us: from.number()?,
            epoch: from.text()?,
            offset: from.number()?,
            id: from.array()?,
        }),
        ENTRY => {
            let (key, version, there, value) = (from.text()?, from.number()?, from.flag()?, from.bytes()?);
            let value = there.then_some(value);
            Record::Entry(Entry { key, version, value, expires_us: from.number()? })
        }
        OWNED => Record::Owned { channel: from.text()?, table: from.flag()?, owner: from.text()? },
        END => Record::End { count: from.number()? },
        _ => return None,
    };
    Some((number, record))
}

fn parse_message<'a>(from: &mut In<'a>) -> Option<Told<'a>> {
    let (channel, table, epoch, offset) = (from.text()?, from.flag()?, from.text()?, from.number()?);
    let places = u32::from_le_bytes(from.array()?);
    let (timestamp_us, id) = (from.number()?, from.array()?);
    let mut marks = SmallVec::new();
    for _ in 0..from.number()? {
        marks.push((from.text()?, from.text()?, from.number()?));
    }
    let (kind, correlation_id) = (from.maybe()?, from.maybe()?);
    let key = from.maybe()?.zip(from.maybe()?);
    let data = from.bytes()?;
    Some(Told {
        channel,
        table,
        epoch,
        offset,
        places,
        marks,
        kind,
        correlation_id,
        key,
        id,
        timestamp_us,
        data,
    })
}
