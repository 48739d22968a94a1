//! A table kept from its messages: rows by key, changed row by row or replaced as a whole. One [`Table`] holds one
//! channel of a `table` family; it knows no subscription and asks nobody.

mod key;

use std::collections::BTreeMap;

use serde_json::Value;
use tapeline_schema::events::Level;
use tapeline_schema::{Catalog, RemovedWhen};

use crate::error::Error;
use crate::message::{Place, PubSubMessage};
use key::Part;

/// The rows of one channel, in the order of their keys.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// The fields, or places in an array, that tell rows apart.
    row_key: Vec<String>,
    /// A row with this value there is gone.
    removed_when: Option<(String, Part)>,
    rows: BTreeMap<Vec<Part>, Value>,
    meta: Value,
    place: Option<Place>,
}

/// The two sides of an order book, best price first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Book {
    /// Offers to buy, the highest price first.
    pub bids: Vec<Level>,
    /// Offers to sell, the lowest price first.
    pub asks: Vec<Level>,
}

impl Table {
    /// An empty table for a channel of a built-in family: `positions:portfolio-123`, `orderbook_rows:BTC/USD`.
    /// `None` if its messages are not rows.
    pub fn of(channel: &str) -> Option<Self> {
        let spec = Catalog::built_in().resolve(channel).spec;
        let table = Table::keyed_by(spec.row_key.iter().map(String::as_str));
        let table = match &spec.removed_when {
            Some(RemovedWhen { field, equals }) => {
                table.removed_when(field, serde_json::from_str::<Value>(equals).ok()?)
            }
            None => table,
        };
        (!spec.row_key.is_empty()).then_some(table)
    }

    /// An empty table for a family of your own, whose rows these fields (or places in an array) tell apart.
    pub fn keyed_by<'a>(row_key: impl IntoIterator<Item = &'a str>) -> Self {
        Table { row_key: row_key.into_iter().map(str::to_string).collect(), ..Table::default() }
    }

    /// Has rows that hold this value in this field (or place in an array) be gone, beside those that say
    /// `"removed":true`; what the family's `removed_when` says. Numbers compare as numbers.
    ///
    /// ```
    /// let positions = tapeline::Table::keyed_by(["symbol"]).removed_when("qty", 0);
    /// ```
    #[must_use]
    pub fn removed_when(mut self, field: &str, equals: impl Into<Value>) -> Self {
        self.removed_when = Some((field.to_string(), Part::of(&equals.into())));
        self
    }

    /// Takes a message of the channel: changed rows, or the whole table.
    ///
    /// # Errors
    /// A row without its key; the rows before it are taken.
    pub fn apply(&mut self, message: &PubSubMessage) -> Result<(), Error> {
        let data = message.data();
        let flag = |name| data.get(name).and_then(Value::as_bool).unwrap_or_default();
        // What a hub sends of a table it has no room for replaces what is here as well.
        if flag("snapshot") || flag("partial") {
            self.rows.clear();
        }
        let one = std::slice::from_ref(data);
        for row in data.get("rows").and_then(Value::as_array).map_or(one, Vec::as_slice) {
            self.set(row).map_err(|field| {
                let (channel, offset) = (message.channel(), message.offset());
                Error::Data(format!("a row of {channel} offset {offset} lacks its key {field}"))
            })?;
        }
        if let Some(meta) = data.get("meta") {
            self.meta = meta.clone();
        }
        self.place = Some(message.place().clone());
        Ok(())
    }

    /// Answers the field that lacks.
    fn set(&mut self, row: &Value) -> Result<(), String> {
        let part = |name: &String| field(row, name).map(Part::of).ok_or_else(|| name.clone());
        let key: Vec<Part> = self.row_key.iter().map(part).collect::<Result<_, _>>()?;
        let is_gone = |(name, value): &(String, Part)| field(row, name).map(Part::of).as_ref() == Some(value);
        if field(row, "removed") == Some(&Value::Bool(true))
            || self.removed_when.as_ref().is_some_and(is_gone)
        {
            self.rows.remove(&key);
        } else {
            self.rows.insert(key, row.clone());
        }
        Ok(())
    }

    /// The rows, in the order of their keys.
    pub fn rows(&self) -> impl Iterator<Item = &Value> {
        self.rows.values()
    }

    /// The row with this key, given in the order of the key's fields.
    pub fn get(&self, key: &[Value]) -> Option<&Value> {
        let key: Vec<Part> = key.iter().map(Part::of).collect();
        self.rows.get(&key)
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// What the publisher says beside the rows, such as a checksum.
    pub fn meta(&self) -> &Value {
        &self.meta
    }

    /// The message that it was last changed by.
    pub fn place(&self) -> Option<&Place> {
        self.place.as_ref()
    }

    /// The rows of `orderbook_rows` as a book; others are passed over.
    pub fn book(&self) -> Book {
        let mut book = Book::default();
        for row in self.rows() {
            let number = |place: usize| row.get(place).and_then(Value::as_f64);
            let (Some(side), Some(price), Some(quantity)) =
                (row.get(0).and_then(Value::as_str), number(1), number(2))
            else {
                continue;
            };
            match side {
                "b" => book.bids.push(Level(price, quantity)),
                "a" => book.asks.push(Level(price, quantity)),
                _ => {}
            }
        }
        book.bids.sort_by(|one, other| other.0.total_cmp(&one.0));
        book.asks.sort_by(|one, other| one.0.total_cmp(&other.0));
        book
    }
}

/// A field of an object by name, of an array by place.
fn field<'a>(row: &'a Value, name: &str) -> Option<&'a Value> {
    match row {
        Value::Array(places) => places.get(name.parse::<usize>().ok()?),
        row => row.get(name),
    }
}

#[cfg(test)]
mod tests;
