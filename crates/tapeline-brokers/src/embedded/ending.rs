//! The writer's life: it works until it is closed, or until it ends by a fault of the program. Then whoever waits is refused,
//! and so is whoever comes later; what was acknowledged is in the log.

use std::any::Any;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

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

    /// Refuses all that is not answered. A part of it may be in the log, as after a crash. Whatever is at fault here too keeps
    /// nothing else from being done.
    fn end(&mut self, cause: &str, mut jobs: VecDeque<Job>) {
        // Known before anybody is answered but who waited for what was in hand: that answered as it was dropped.
        self.shared.end(cause);
        self.shared.queue.close();
        self.shared.syncing.stop();
        let shared = self.shared.clone();
        on_its_own(|| shared.uncount_all());
        on_its_own(|| {
            if let Err(error) = self.log.end() {
                tracing::error!(dir = shared.dir, %error, "what was written last could not be synced");
            }
        });
        let refusal = shared.refusal();
        // A step that is at fault is gone as well.
        while on_its_own(|| self.refuse_step(&refusal)).unwrap_or(true) {}
        loop {
            while let Some(job) = jobs.pop_front() {
                on_its_own(|| shared.refuse(job, &refusal));
            }
            if !shared.queue.take(&mut jobs, Duration::ZERO) {
                return;
            }
        }
    }
}

/// Does a part of the end; `None` if it is at fault.
fn on_its_own<T>(part: impl FnOnce() -> T) -> Option<T> {
    let tell = |cause: &Box<dyn Any + Send>| {
        let cause = said(&**cause);
        tracing::error!(cause, "another fault of the program as the thread that writes the log ended");
    };
    catch_unwind(AssertUnwindSafe(part)).inspect_err(tell).ok()
}

/// What a panic says.
fn said(cause: &(dyn Any + Send)) -> &str {
    let owned = || cause.downcast_ref::<String>().map(String::as_str);
    cause.downcast_ref::<&str>().copied().or_else(owned).unwrap_or("a panic")
}
