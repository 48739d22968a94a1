//! The table that a channel holds, and the messages that tell of it: the whole of it, or what changed after an offset.
//! Who asks for the same gets the same message, so that it is encoded once.

use std::sync::Arc;

use tapeline_core::Message;
use tapeline_core::broker::NEWEST;
use tapeline_core::message::Draft;
use tapeline_core::table::{Applied, Table};

/// See the module.
#[derive(Default)]
pub(crate) struct Held {
    table: Table,
    /// The newest whole table told, and the newest difference; void once there is a newer message.
    whole: Option<Arc<Message>>,
    difference: Option<Arc<Message>>,
}

impl Held {
    /// Takes a draft's rows; it then says what its subscribers get.
    pub(crate) fn take(&mut self, draft: &mut Draft, offset: u64) {
        self.whole = None;
        self.difference = None;
        let Some(rows) = &draft.rows else { return };
        match self.table.apply(draft.channel.spec(), rows, &draft.data, offset) {
            Applied::AsSaid => {}
            Applied::Rewritten(data, rows) => {
                draft.data = data;
                draft.rows = Some(Box::new(rows));
            }
        }
    }

    /// Makes what it tells anew.
    pub(crate) fn forget_told(&mut self) {
        self.whole = None;
        self.difference = None;
    }

    /// What whoever stands at `after` lacks; `newest` is the newest message.
    pub(crate) fn read(&mut self, after: u64, newest: &Arc<Message>) -> Option<Arc<Message>> {
        if after != NEWEST && after >= newest.offset {
            return None;
        }
        if newest.is_whole() || (after != NEWEST && newest.since <= after) {
            return Some(newest.clone());
        }
        let meta = newest.rows.as_ref().map_or(&b"{}"[..], |rows| rows.meta(&newest.data));
        if after == NEWEST {
            let make = || Arc::new(newest.with_rows(self.table.whole(meta), 0));
            return Some(self.whole.get_or_insert_with(make).clone());
        }
        if let Some(known) = self.difference.as_ref().filter(|known| known.since == after) {
            return Some(known.clone());
        }
        let made = Arc::new(newest.with_rows(self.table.after(after, meta), after));
        let place = if made.is_whole() { &mut self.whole } else { &mut self.difference };
        Some(place.insert(made).clone())
    }
}
