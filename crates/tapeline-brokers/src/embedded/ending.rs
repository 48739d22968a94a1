//! The writer's life: it works until it is closed, or until it ends by a fault of the program. Then whoever waits is refused,
//! and so is whoever comes later; what was acknowledged is in the log.

use std::any::Any;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::queue::Job;
use super::shared::Able;
use super::writer::Writer;

impl Writer {
    /// Works until the queue is closed and empty.
    pub(super) fn run(mut self) {
        let mut jobs = VecDeque::new();
        let worked = catch_unwind(AssertUnwindSafe(|| {
            self.work(&mut jobs);
            self.close();
        }));
        if let Err(cause) = worked {
            self.end(said(&*cause), jobs);
        }
    }

    fn close(&mut self) {
        self.commit();
        self.shared.syncing.stop();
        if matches!(self.shared.able(), Able::Broken | Able::Lost) {
            return;
        }
        if let Err(error) = self.log.end() {
            return self.shared.fail("could not be synced", &error);
        }
        if let Err(error) = self.shared.close_meta() {
            tracing::error!(dir = self.shared.dir, %error, "the end of the hub could not be noted");
        }
    }

    /// Refuses all that is not answered. A part of it may be in the log, as after a crash.
    fn end(&mut self, cause: &str, jobs: VecDeque<Job>) {
        // Known before anybody is answered.
        self.shared.end(cause);
        self.shared.queue.close();
        self.count_back();
        drop(jobs);
        let mut rest = VecDeque::new();
        while self.shared.queue.take(&mut rest, std::time::Duration::ZERO) {
            rest.clear();
        }
        self.shared.syncing.stop();
        self.refuse_steps();
        if let Err(error) = self.log.end() {
            tracing::error!(dir = self.shared.dir, %error, "what was written last could not be synced");
        }
    }
}

/// What a panic says.
fn said(cause: &(dyn Any + Send)) -> &str {
    let owned = || cause.downcast_ref::<String>().map(String::as_str);
    cause.downcast_ref::<&str>().copied().or_else(owned).unwrap_or("a panic")
}
