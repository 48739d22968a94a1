//! The store's changes on their way through the writer.

use std::sync::Weak;

use tapeline_core::Refusal;
use tapeline_core::store::{Change, Done, Journal};
use tapeline_schema::ErrorCode;

use super::owed::Owed;
use super::queue::Job;
use super::shared::Shared;

/// See the module. The broker owns the store, so this holds on to neither.
pub(super) struct StoreJournal(pub(super) Weak<Shared>);

impl Journal for StoreJournal {
    fn record(&self, change: Change, done: Done<()>) {
        let Some(shared) = self.0.upgrade() else {
            return done(Err(Refusal::new(ErrorCode::Internal, "the store is closed")));
        };
        if let Err(Job::Enter(_, done)) = shared.queue.push(Job::Enter(change, Owed::done(done))) {
            done.give(Err(shared.closed("store")));
        }
    }
}
