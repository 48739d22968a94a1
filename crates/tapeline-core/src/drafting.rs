//! From publications to drafts: what one publisher says at one time is checked and gets its channel and its id.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use tapeline_schema::{Delivery, ErrorCode, is_reserved_type};
use uuid::Uuid;

use crate::channel::Channel;
use crate::clock::Now;
use crate::command::Publication;
use crate::error::Refusal;
use crate::hub::Hub;
use crate::inspect::{check_data, check_rows};
use crate::message::{Draft, IdempotencyKey, is_json};
use crate::owner::stated;
use crate::rights::Grant;
use crate::table::{Rows, take_apart};

/// The longest `type`, correlation id or idempotency key, in bytes.
const LABEL_LIMIT: usize = 256;

/// How many ids are taken at once for many publications. What stays over is lost, which ids can bear.
const IDS_IN_BULK: u64 = 64;

/// Makes drafts of what one publisher says at one time.
pub struct Drafter<'a> {
    hub: &'a Hub,
    principal: &'a Arc<str>,
    grant: &'a Grant,
    now: Now,
    bulk: bool,
    /// Whether what is refused counts.
    counts: bool,
    /// A handle that no other thread counts, for drafts of one channel in a row.
    own: Option<Channel>,
    ids: Range<u64>,
}

impl<'a> Drafter<'a> {
    pub(crate) fn new(hub: &'a Hub, principal: &'a Arc<str>, grant: &'a Grant, now: Now) -> Self {
        Drafter { hub, principal, grant, now, bulk: false, counts: true, own: None, ids: 0..0 }
    }

    /// Expects many publications: what they share with other threads is taken once for all of them.
    #[must_use]
    pub fn in_bulk(self) -> Self {
        Drafter { bulk: true, ..self }
    }

    /// Only asks: what is refused is neither counted nor remembered.
    #[must_use]
    pub fn uncounted(self) -> Self {
        Drafter { counts: false, ..self }
    }

    /// Checks a publication and makes its draft; what is refused is counted. `before` is the draft before it, if there
    /// is one: where both name one channel, it need not be looked up again.
    pub fn draft(
        &mut self,
        publication: Publication<&str>,
        before: Option<&Draft>,
    ) -> Result<Draft, Refusal> {
        let known = before.map(|draft| &draft.channel);
        let known = known.filter(|known| known.name() == publication.channel && !known.is_replaced());
        let checked = self.channel(publication.channel, known).and_then(|channel| {
            self.grant.may_publish(&channel)?;
            self.has_memory(&channel)?;
            self.check(&publication)?;
            if publication.raw && channel.declared() && !is_json(&publication.data) {
                let message = format!(
                    "{}: the data is not JSON; only channels of undeclared names take any bytes",
                    channel.name()
                );
                return Err(Refusal::new(ErrorCode::InvalidData, message));
            }
            Ok(channel)
        });
        let channel = checked.inspect_err(|refusal| self.refused(publication.channel, refusal))?;
        let Publication { kind, data, correlation_id, idempotency_key, owner, from_plain_name, .. } =
            publication;
        let owner =
            stated(&channel, owner, &data).inspect_err(|refusal| self.refused(channel.name(), refusal))?;
        let (data, rows) = accept(&channel, kind.as_deref(), data)
            .inspect_err(|refusal| self.refused(channel.name(), refusal))?;
        let kind = kind.filter(|kind| **kind != *channel.spec().kind);
        let idempotency =
            idempotency_key.map(|key| Box::new(IdempotencyKey { principal: self.principal.clone(), key }));
        let (id, timestamp_us) = (self.id(), self.now.wall_us);
        Ok(Draft {
            channel,
            kind,
            data,
            rows,
            correlation_id,
            idempotency,
            owner,
            from_plain_name,
            id,
            timestamp_us,
        })
    }

    fn refused(&self, channel: &str, refusal: &Refusal) {
        if self.counts {
            self.hub.on_publish_refused(channel, self.principal, refusal, self.now);
        }
    }

    fn channel(&mut self, name: &str, known: Option<&Channel>) -> Result<Channel, Refusal> {
        match (known, &self.own) {
            (None, _) => self.hub.channel(name),
            (Some(known), _) if !self.bulk => Ok(known.clone()),
            (Some(known), Some(own)) if own.is(known) => Ok(own.clone()),
            (Some(known), _) => Ok(self.own.insert(known.with_own_handle()).clone()),
        }
    }

    fn id(&mut self) -> Uuid {
        if self.ids.is_empty() {
            self.ids = self.hub.ids().take(if self.bulk { IDS_IN_BULK } else { 1 });
        }
        self.hub.ids().id(self.ids.next().unwrap_or_default(), self.now)
    }

    /// While memory is short, what is less urgent is not taken.
    fn has_memory(&self, channel: &Channel) -> Result<(), Refusal> {
        let (pressure, priority) = (self.hub.pressure(), channel.spec().priority);
        if !pressure.refuses(priority) {
            return Ok(());
        }
        let what = format!("{} is of {} priority", channel.name(), priority.name());
        Err(pressure.refusal(&what))
    }

    fn check(&self, publication: &Publication<&str>) -> Result<(), Refusal> {
        let (len, limit) = (publication.data.len(), self.hub.settings().publish_bytes);
        if len > limit {
            let message = format!("data is {len} bytes, the limit is {limit} (limits.publish_bytes)");
            return Err(Refusal::new(ErrorCode::TooLarge, message));
        }
        label("type", publication.kind.as_deref())?;
        label("correlation_id", publication.correlation_id.as_deref())?;
        label("idempotency_key", publication.idempotency_key.as_deref())?;
        match publication.kind.as_deref().filter(|kind| is_reserved_type(kind)) {
            Some(kind) => {
                let message = format!("type {kind} is the hub's own; publish under another");
                Err(Refusal::new(ErrorCode::ReservedType, message))
            }
            None => Ok(()),
        }
    }
}

impl Draft {
    /// Goes to the channel that has taken its channel's place. What was checked and taken apart by the row of a channel
    /// that has ended, or by another schema, is checked and taken apart anew.
    ///
    /// # Errors
    /// The new row does not take the data; or it has no rows, and the data as it came is no more.
    pub fn follow(&mut self, channel: &Channel) -> Result<(), Refusal> {
        if self.rows.is_some() && !channel.is_table() {
            let message = format!("{}: its family has changed meanwhile; publish it again", channel.name());
            return Err(Refusal::new(ErrorCode::Overloaded, message));
        }
        if !channel.takes_owner() {
            self.owner = None;
        } else if self.owner.is_none() && !self.channel.takes_owner() {
            // Nobody has looked for it yet; a table's rows are without it by now.
            self.owner = stated(channel, None, &self.data)?;
        }
        if self.channel.has_ended() || self.channel.spec().schema != channel.spec().schema {
            (self.data, self.rows) = accept(channel, self.kind.as_deref(), std::mem::take(&mut self.data))?;
        }
        self.channel = channel.clone();
        Ok(())
    }
}

/// Checks the data as the channel's row demands; the rows of a table are taken apart for it, once.
fn accept(channel: &Channel, kind: Option<&str>, data: Bytes) -> Result<(Bytes, Option<Box<Rows>>), Refusal> {
    let spec = channel.spec();
    check_data(spec, channel.name(), kind, &data)?;
    if spec.delivery != Delivery::Table {
        return Ok((data, None));
    }
    let (data, rows) = take_apart(spec, &data)
        .map_err(|error| Refusal::new(ErrorCode::InvalidData, format!("{}: {error}", channel.name())))?;
    check_rows(spec, channel.name(), kind, &data, &rows)?;
    Ok((data, Some(Box::new(rows))))
}

fn label(name: &str, value: Option<&str>) -> Result<(), Refusal> {
    match value {
        Some(value) if value.len() > LABEL_LIMIT => {
            let message = format!("{name} is {} bytes, the limit is {LABEL_LIMIT}", value.len());
            Err(Refusal::new(ErrorCode::InvalidData, message))
        }
        _ => Ok(()),
    }
}

/// UUIDs of version 7: the time in milliseconds, then a count, then this hub's seed.
pub(crate) struct Ids {
    seed: u64,
    count: AtomicU64,
}

impl Ids {
    pub(crate) fn new(seed: u64) -> Self {
        Ids { seed, count: AtomicU64::new(0) }
    }

    fn take(&self, many: u64) -> Range<u64> {
        let first = self.count.fetch_add(many, Ordering::Relaxed);
        first..first + many
    }

    fn id(&self, count: u64, now: Now) -> Uuid {
        // 26 bits of the count, around the bits that the version and the variant take; then the seed.
        let byte = |shift: u32, mask: u64| u8::try_from((count >> shift) & mask).unwrap_or_default();
        let [_, _, seed @ ..] = self.seed.to_be_bytes();
        let mut random = [0; 10];
        let head = [byte(22, 0x0f), byte(14, 0xff), byte(8, 0x3f), byte(0, 0xff)];
        for (to, from) in random.iter_mut().zip(head.into_iter().chain(seed)) {
            *to = from;
        }
        uuid::Builder::from_unix_timestamp_millis(now.wall_us / 1_000, &random).into_uuid()
    }
}
