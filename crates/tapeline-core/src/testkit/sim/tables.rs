//! Tables as the model and the clients hold them, the plainest way: rows by the text of their key, each message applied
//! as the contract says.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::message::Epoch;

/// Rows by their key.
pub(super) type TableRows = BTreeMap<String, String>;

/// What a table's message says.
#[derive(Clone, Debug)]
pub(super) struct Said {
    /// Key and row; without a row it is removed.
    rows: Vec<(String, Option<String>)>,
    snapshot: bool,
    partial: bool,
}

impl Said {
    /// `None` where the data is no table's.
    pub(super) fn of(data: &[u8]) -> Option<Self> {
        let value: Value = serde_json::from_slice(data).ok()?;
        let rows = value.get("rows")?.as_array()?.iter().map(row).collect::<Option<_>>()?;
        value.get("meta")?.as_object()?;
        let partial = value.get("partial").is_some_and(|partial| *partial == true);
        Some(Said { rows, snapshot: value.get("snapshot")?.as_bool()?, partial })
    }

    pub(super) fn apply(&self, to: &mut TableRows) {
        if self.snapshot || self.partial {
            to.clear();
        }
        for (key, row) in &self.rows {
            match row {
                Some(row) => to.insert(key.clone(), row.clone()),
                None => to.remove(key),
            };
        }
    }
}

fn row(row: &Value) -> Option<(String, Option<String>)> {
    let key = row.get("row").or_else(|| row.get("symbol")).or_else(|| row.get(0))?;
    let removed = row.get("removed").is_some_and(|removed| *removed == true)
        || row.get(1).is_some_and(|quantity| quantity.as_f64() == Some(0.0));
    // Numbers compare as numbers.
    let key = key.as_f64().map_or_else(|| key.to_string(), |number| number.to_string());
    Some((key, (!removed).then(|| row.to_string())))
}

/// What a client holds of one channel.
#[derive(Clone, Debug, Default)]
pub(super) struct ClientTable {
    pub rows: TableRows,
    /// It has been sent the whole table, rather than a part of it.
    pub whole: bool,
    epoch: Option<Epoch>,
    /// Of the newest message in it.
    offset: u64,
}

impl ClientTable {
    /// Whether a client that says it has `claimed` goes on, at `offset`, from a place that it never reached: if that was
    /// believed, nobody can say what it holds.
    pub(super) fn is_made_up(&self, claimed: u64, offset: u64) -> bool {
        self.offset < claimed && claimed < offset
    }

    /// A new epoch voids what it holds.
    pub(super) fn apply(&mut self, said: &Said, epoch: &Epoch, offset: u64) {
        self.offset = offset;
        if self.epoch.as_ref() != Some(epoch) {
            *self = ClientTable { epoch: Some(epoch.clone()), offset, ..ClientTable::default() };
        }
        said.apply(&mut self.rows);
        self.whole = said.snapshot || (self.whole && !said.partial);
    }

    /// Whether it is the table that existed, or a part of it.
    pub(super) fn is(&self, existed: &TableRows) -> bool {
        let part = self.rows.iter().all(|(key, row)| existed.get(key) == Some(row));
        part && (!self.whole || self.rows.len() == existed.len())
    }

    pub(super) fn counts_under(&self, epoch: &Epoch) -> bool {
        self.epoch.as_ref() == Some(epoch)
    }
}
