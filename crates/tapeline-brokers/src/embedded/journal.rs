//! The store's changes on their way through the writer.

use std::sync::Weak;

use tapeline_core::Refusal;
use tapeline_core::store::{Change, Done, Journal};
use tapeline_schema::ErrorCode;

use super::queue::Job;
use super::shared::Shared;

/// See the module. The broker owns the store, so this holds on to neither.
pub(super) struct StoreJournal(pub(super) Weak<Shared>);

impl Journal for StoreJournal {
    fn record(&self, change: Change, done: Done<()>) {
        let job = Job::Enter(change, done);
        let refused = match self.0.upgrade() {
            Some(shared) => shared.queue.push(job).err(),
            None => Some(job),
        };
        if let Some(Job::Enter(_, done)) = refused {
            done(Err(Refusal::new(ErrorCode::Internal, "the store is closed")));
        }
    }
}
