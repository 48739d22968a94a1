//! Whether the writer has room: what becomes of a draft where there is little or none, and when there is some again.

use std::time::Instant;

use tapeline_core::Channel;
use tapeline_core::message::Draft;
use tapeline_schema::{Delivery, Priority};

use super::log::Log;
use super::record::{OVERHEAD, SYNCED};
use super::shared::Able;
use super::writer::{RETRY, Writer};
use crate::kept::Locked;

/// There is room again when there is for so much.
const AGAIN_BYTES: u64 = 64 << 10;

/// What may become of a draft.
pub(super) enum Fate {
    Write,
    /// It is kept nowhere but as the newest, and goes on without the log; that says so, and whose its channel is.
    PassBy,
    Refuse,
}

/// What a draft's labels take.
fn labels(draft: &Draft) -> usize {
    let of = |label: Option<&str>| label.map_or(0, str::len);
    let key = draft.idempotency.as_deref().map_or(0, |key| key.principal.len() + key.key.len());
    of(draft.kind.as_deref()) + of(draft.correlation_id.as_deref()) + key
}

impl Writer {
    pub(super) fn fate(&mut self, locked: &mut Locked<'_>, draft: &Draft, roll_ups: &[Channel]) -> Fate {
        let spec = draft.channel.spec();
        let urgent = spec.priority == Priority::Critical;
        let claims =
            draft.owner.is_some() && locked.held(&draft.channel).is_none_or(|state| state.owner().is_none());
        let overhead = if claims { 2 * OVERHEAD } else { OVERHEAD };
        if self.may_write(draft.data.len() + labels(draft) + overhead, urgent) {
            return Fate::Write;
        }
        let is_newest_only = spec.delivery == Delivery::Latest && spec.keep.count <= 1 && roll_ups.is_empty();
        let may_pass_by = match self.shared.able() {
            // The next start begins new epochs for all. But whose a channel is has to be known then too.
            Able::Broken => !claims,
            Able::Lost => false,
            Able::Yes | Able::Full => {
                let has_lapsed = locked.held(&draft.channel).is_some_and(|state| state.has_lapsed());
                (has_lapsed && !claims) || self.may_write(overhead, true)
            }
        };
        if is_newest_only && may_pass_by { Fate::PassBy } else { Fate::Refuse }
    }

    /// Whether there is room for so many more bytes; notes where there is none.
    pub(super) fn may_write(&mut self, bytes: usize, urgent: bool) -> bool {
        let able = self.shared.able();
        match able {
            Able::Broken | Able::Lost => return false,
            Able::Full if !urgent => return false,
            Able::Full | Able::Yes => {}
        }
        let bytes = (self.buffer.len() + bytes + SYNCED) as u64;
        let has_room = |log: &mut Log, urgent: bool| match log.has_room(bytes, urgent) {
            Ok(room) => room,
            Err(error) => {
                self.shared.fail("has no room", &error);
                false
            }
        };
        if able == Able::Yes && has_room(&mut self.log, false) {
            return true;
        }
        if able == Able::Yes && self.shared.able() == Able::Yes {
            self.shared.set_full(true);
            self.shared.compacting.ask_for_room(self.log.total());
            self.retry_at = Instant::now() + RETRY;
        }
        urgent && has_room(&mut self.log, true)
    }

    pub(super) fn look_for_room(&mut self) {
        if Instant::now() < self.retry_at {
            return;
        }
        self.retry_at = Instant::now() + RETRY;
        match self.log.has_room_again(AGAIN_BYTES) {
            Ok(true) => self.shared.set_full(false),
            Ok(false) => self.shared.compacting.ask_for_room(self.log.total()),
            Err(error) => self.shared.fail("has no room", &error),
        }
    }
}
