//! The two channels of an account: their messages are numbered from 1 by subscription, so what is missing is known at
//! once; fills and ledger entries have ids, so what comes again is told from what is new. It does not know tokens.

use foldhash::fast::FixedState;
use hashbrown::HashSet;
use tapeline_core::Now;
use tapeline_core::feed::{UpdateKind, VenueChannel};

use super::message::{Balances, Execution, Item, Items, LedgerEntry};
use super::orders::{Orders, Taken, is_end};
use super::seen::Seen;
use crate::venue::Counts;

/// Fills and ledger entries that are remembered; the venue repeats at most 50.
const SEEN: usize = 20_000;
/// Messages with old numbers in a row that make a new beginning out of what looked repeated.
const TOO_OLD: u32 = 8;

/// What the number of a message says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Numbered {
    /// It is the next, or numbers are not used.
    Next,
    /// It was there already.
    Repeated,
    /// From the first of these up to the second are missing before it.
    After(u64, u64),
    /// The venue counts anew, and did not say so.
    Strange,
}

/// The numbers of a subscription.
#[derive(Debug, Default)]
struct Sequence {
    last: u64,
    old_in_a_row: u32,
}

impl Sequence {
    fn handle(&mut self, kind: UpdateKind, sequence: Option<u64>) -> Numbered {
        let Some(number) = sequence else { return Numbered::Next };
        if kind == UpdateKind::Snapshot {
            *self = Sequence { last: number, old_in_a_row: 0 };
            return Numbered::Next;
        }
        if number <= self.last {
            self.old_in_a_row += 1;
            return if self.old_in_a_row < TOO_OLD { Numbered::Repeated } else { Numbered::Strange };
        }
        let first_missing = self.last.saturating_add(1);
        *self = Sequence { last: number, old_in_a_row: 0 };
        if number == first_missing { Numbered::Next } else { Numbered::After(first_missing, number - 1) }
    }
}

/// What is to go out.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) kind: UpdateKind,
    pub(super) symbol: Option<String>,
    pub(super) data: String,
    pub(super) id: Option<String>,
    pub(super) timestamp: Option<String>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Account {
    executions: Sequence,
    balances: Sequence,
    fills: Seen,
    entries: Seen,
    orders: Orders,
}

impl Account {
    pub(super) fn new() -> Self {
        Account {
            executions: Sequence::default(),
            balances: Sequence::default(),
            fills: Seen::new(SEEN),
            entries: Seen::new(SEEN),
            orders: Orders::default(),
        }
    }

    /// A new connection counts anew; fills, entries and orders stay known.
    pub(super) fn begin_anew(&mut self) {
        (self.executions, self.balances) = Default::default();
    }

    /// What the number of a message of this channel says.
    pub(super) fn number(
        &mut self,
        channel: &VenueChannel,
        kind: UpdateKind,
        sequence: Option<u64>,
    ) -> Numbered {
        let is_executions = *channel == VenueChannel::Executions;
        let numbers = if is_executions { &mut self.executions } else { &mut self.balances };
        numbers.handle(kind, sequence)
    }

    /// Events of orders, each as the order is after it.
    pub(super) fn handle_executions(
        &mut self,
        message: &Items<'_, Execution<'_>>,
        tells_open_orders: bool,
        now: Now,
        counts: &mut Counts,
    ) -> Vec<Told> {
        if message.kind == UpdateKind::Snapshot {
            return self.snapshot(&message.items, tells_open_orders, now, counts);
        }
        message.items.iter().filter_map(|item| self.execution(item, Taken::Change, now, counts)).collect()
    }

    /// Old fills by their time, then open orders as they are: so the newest that is told of an order is the newest.
    fn snapshot(
        &mut self,
        items: &[Item<'_, Execution<'_>>],
        tells_open_orders: bool,
        now: Now,
        counts: &mut Counts,
    ) -> Vec<Told> {
        let (mut fills, orders): (Vec<_>, Vec<_>) = items.iter().partition(|item| is_fill(&item.fields));
        fills.sort_by_key(|item| time_of(&item.fields));
        let open: HashSet<Box<str>, FixedState> =
            orders.iter().map(|item| (*item.fields.order_id).into()).collect();
        // Orders are taken in first: a fill may lack what they say.
        let orders: Vec<_> =
            orders.into_iter().filter_map(|item| self.execution(item, Taken::Whole, now, counts)).collect();
        let old = |item: &Item<'_, Execution<'_>>| {
            let is_open = open.contains(&*item.fields.order_id);
            if is_open { Taken::OldFillOfOpen } else { Taken::OldFill }
        };
        let mut told: Vec<_> =
            fills.into_iter().filter_map(|item| self.execution(item, old(item), now, counts)).collect();
        if tells_open_orders {
            self.orders.keep_only(&open, now);
        }
        told.extend(orders);
        told
    }

    fn execution(
        &mut self,
        item: &Item<'_, Execution<'_>>,
        taken: Taken,
        now: Now,
        counts: &mut Counts,
    ) -> Option<Told> {
        let fields = &item.fields;
        let exec_type = fields.exec_type.as_deref().unwrap_or_default();
        let fill = fields.exec_id.as_deref().filter(|_| exec_type == "trade");
        if fill.is_some_and(|exec_id| !self.fills.insert(exec_id)) {
            counts.repeated += 1;
            return None;
        }
        let is_end = is_end(fields.order_status.as_deref().unwrap_or_default());
        let Some(merged) = self.orders.merge(&fields.order_id, item.raw, taken, is_end, now) else {
            counts.malformed += 1;
            return None;
        };
        let timestamp = fields.timestamp.as_deref();
        let own_id = || Some(format!("{}:{exec_type}:{}", &*fields.order_id, timestamp?));
        // A whole order may differ from what was told of the event of the same type and time: it is never a repeat.
        let id = if taken == Taken::Whole { None } else { fill.map(str::to_string).or_else(own_id) };
        let kind = if taken == Taken::Change { UpdateKind::Change } else { UpdateKind::Snapshot };
        Some(Told {
            kind,
            symbol: merged.symbol,
            data: merged.json,
            id,
            timestamp: timestamp.map(str::to_string),
        })
    }

    /// What an account holds, or entries of its ledger that are new.
    pub(super) fn handle_balances(&mut self, message: &Balances<'_>, counts: &mut Counts) -> Option<Told> {
        match message {
            Balances::Snapshot(items) => Some(Told {
                kind: UpdateKind::Snapshot,
                symbol: None,
                data: items.raw.to_string(),
                id: None,
                timestamp: None,
            }),
            Balances::Change(items) => self.entries(items, counts),
        }
    }

    fn entries(&mut self, message: &Items<'_, LedgerEntry<'_>>, counts: &mut Counts) -> Option<Told> {
        let seen = &mut self.entries;
        let new: Vec<_> = message.items.iter().filter(|item| seen.insert(&item.fields.ledger_id)).collect();
        counts.repeated += (message.items.len() - new.len()) as u64;
        let last = new.last()?;
        let data = if new.len() == message.items.len() {
            message.raw.to_string()
        } else {
            format!("[{}]", new.iter().map(|item| item.raw).collect::<Vec<_>>().join(","))
        };
        let ids: Vec<&str> = new.iter().map(|item| &*item.fields.ledger_id).collect();
        Some(Told {
            kind: UpdateKind::Change,
            symbol: None,
            data,
            id: Some(ids.join(",")),
            timestamp: last.fields.timestamp.as_deref().map(str::to_string),
        })
    }
}

fn is_fill(fields: &Execution<'_>) -> bool {
    fields.exec_type.as_deref() == Some("trade")
}

/// When it happened; first, where that is not known.
fn time_of(fields: &Execution<'_>) -> Option<jiff::Timestamp> {
    fields.timestamp.as_deref()?.parse().ok()
}

#[cfg(test)]
mod tests;
