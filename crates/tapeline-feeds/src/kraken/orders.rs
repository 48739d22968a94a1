//! The orders of an account. The venue tells only what has changed in one; here it is put together, field by field with
//! the digits as sent, so that what goes out is the order as it is. Finished orders are forgotten by and by. It does not
//! know what is done with an order.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::fmt;

use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashSet};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use tapeline_core::Now;

/// Orders that are kept; of others what came is passed on as it came.
const LIMIT: usize = 100_000;
/// Fields of one order; the venue has some fifty.
const FIELDS_LIMIT: usize = 256;
/// Bytes of one order as JSON.
const BYTES_LIMIT: usize = 64 * 1024;
/// How long a finished order is remembered: its last fill may come after its end.
const FINISHED_US: u64 = 600_000_000;

/// Said of one event, not of the order: never taken over from an earlier one.
const OF_EVENT: [&str; 13] = [
    "timestamp",
    "exec_type",
    "exec_id",
    "ext_exec_id",
    "trade_id",
    "last_qty",
    "last_price",
    "cost",
    "liquidity_ind",
    "fees",
    "fee_usd_equiv",
    "reason",
    "cancel_reason",
];
/// Said of a fill. An event that is none does not have them, so that no quantity is counted twice.
const OF_FILL: [&str; 8] =
    ["exec_id", "ext_exec_id", "trade_id", "last_qty", "last_price", "cost", "liquidity_ind", "fees"];
/// What a fill changes; where it does not say how, it is not known any more.
const SUMS: [&str; 3] = ["cum_qty", "cum_cost", "avg_price"];

/// One JSON object, its fields in order.
struct Fields<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an order")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
                let mut fields = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, &'de RawValue>()? {
                    fields.push((Cow::Owned(name), value));
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

/// What one order is, as far as it was told.
#[derive(Debug, Default)]
struct Order {
    fields: Vec<(Box<str>, Box<str>)>,
    is_finished: bool,
}

impl Order {
    fn set(&mut self, name: &str, value: &str) {
        match self.fields.iter_mut().find(|(known, _)| **known == *name) {
            Some((_, known)) => *known = value.into(),
            None => self.fields.push((name.into(), value.into())),
        }
    }

    fn without(&self, dropped: impl Fn(&str) -> bool) -> Self {
        let fields = self.fields.iter().filter(|(name, _)| !dropped(name)).cloned().collect();
        Order { fields, is_finished: self.is_finished }
    }

    fn json(&self) -> String {
        let mut json = String::from("{");
        for (name, value) in &self.fields {
            if json.len() > 1 {
                json.push(',');
            }
            // A name is written as a string again; a value is JSON already.
            json.push_str(&serde_json::to_string(name).unwrap_or_default());
            json.push(':');
            json.push_str(value);
        }
        json.push('}');
        json
    }

    fn text(&self, name: &str) -> Option<String> {
        let (_, value) = self.fields.iter().find(|(known, _)| **known == *name)?;
        serde_json::from_str(value).ok()
    }
}

/// An order after an event.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Merged {
    /// The whole order with what the event said.
    pub(super) json: String,
    /// Its instrument, if it was ever told.
    pub(super) symbol: Option<String>,
}

/// How an event is to be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// It changes the order.
    Change,
    /// It is the whole order; what was known before is void.
    Whole,
    /// It is an old fill: the order is newer than it.
    OldFill,
    /// It is an old fill of an order that is open now. How the order stands is not said with it: it is said after.
    OldFillOfOpen,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Orders {
    orders: HashMap<Box<str>, Order, FixedState>,
    /// When which is forgotten.
    finished: VecDeque<(u64, Box<str>)>,
}

impl Orders {
    /// Takes in an event: one JSON object. The order is finished where `is_end`. Nothing, where it cannot be read or
    /// would make an order beyond all measure.
    pub(super) fn merge(
        &mut self,
        order_id: &str,
        raw: &str,
        taken: Taken,
        is_end: bool,
        now: Now,
    ) -> Option<Merged> {
        self.forget_finished(now);
        if raw.len() > BYTES_LIMIT {
            return None;
        }
        let Fields(said) = serde_json::from_str(raw).ok()?;
        if said.len() > FIELDS_LIMIT {
            return None;
        }
        let is_fill = said.iter().any(|(name, value)| name == "exec_type" && value.get() == "\"trade\"");
        let known = self.orders.get(order_id).filter(|_| taken != Taken::Whole);
        let mut order = known.map_or_else(Order::default, |known| {
            known.without(|name| OF_EVENT.contains(&name) || (is_fill && SUMS.contains(&name)))
        });
        if order.fields.is_empty() {
            order.set("order_id", &serde_json::to_string(order_id).ok()?);
        }
        for (name, value) in &said {
            if is_fill || !OF_FILL.contains(&&**name) {
                order.set(name, value.get());
            }
        }
        if taken == Taken::OldFillOfOpen {
            order.fields.retain(|(name, _)| **name != *"order_status");
        }
        let json = order.json();
        if order.fields.len() > FIELDS_LIMIT || json.len() > BYTES_LIMIT {
            return None;
        }
        let merged = Merged { json, symbol: order.text("symbol") };
        if matches!(taken, Taken::Change | Taken::Whole) {
            self.keep(order_id, order, is_end, now);
        }
        Some(merged)
    }

    fn keep(&mut self, order_id: &str, mut order: Order, is_end: bool, now: Now) {
        let before = self.orders.get(order_id);
        if before.is_none() && self.orders.len() >= LIMIT {
            return;
        }
        let was_finished = before.is_some_and(|before| before.is_finished);
        order.is_finished = is_end || was_finished;
        if is_end && !was_finished {
            self.finished.push_back((now.mono_us.saturating_add(FINISHED_US), order_id.into()));
        }
        self.orders.insert(order_id.into(), order);
    }

    /// The venue has told all open orders: what is open here and not among them has ended unseen.
    pub(super) fn keep_only(&mut self, open: &HashSet<Box<str>, FixedState>, now: Now) {
        for (order_id, order) in &mut self.orders {
            if !order.is_finished && !open.contains(order_id) {
                order.is_finished = true;
                self.finished.push_back((now.mono_us.saturating_add(FINISHED_US), order_id.clone()));
            }
        }
    }

    fn forget_finished(&mut self, now: Now) {
        while self.finished.front().is_some_and(|(due_us, _)| *due_us <= now.mono_us) {
            if let Some((_, order_id)) = self.finished.pop_front() {
                self.orders.remove(&order_id);
            }
        }
    }

    /// Orders that are known.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.orders.len()
    }
}

/// Whether an order with this status has ended.
pub(super) fn is_end(order_status: &str) -> bool {
    matches!(order_status, "filled" | "canceled" | "expired")
}

#[cfg(test)]
mod tests;
