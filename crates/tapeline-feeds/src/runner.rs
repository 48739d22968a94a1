//! Runs a [`Feed`] on a thread of its own: asks what is due, hands it to the hub, sleeps until more is due or it is
//! stopped. It does not know what a feed brings, and never waits for the hub.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tapeline_core::Hub;
use tapeline_core::feed::Feed;

use tapeline_core::stats::FeedStats;

use crate::intake::Intake;

/// When a busy hub is asked again.
const RETRY: Duration = Duration::from_millis(5);
/// A feed is asked at most so much after what it named. Past that its time stands still: a machine that slept does
/// not flood the hub with what would have been due meanwhile.
const LATE_LIMIT: Duration = Duration::from_secs(1);

/// Tells a running feed to end.
#[derive(Debug, Default)]
pub struct Stop {
    said: Mutex<bool>,
    changed: Condvar,
}

impl Stop {
    /// Ends the feed before its next publication.
    pub fn say(&self) {
        *self.lock() = true;
        self.changed.notify_all();
    }

    fn is_said(&self) -> bool {
        *self.lock()
    }

    /// Waits until it is said, but no longer than `timeout`.
    fn wait(&self, timeout: Duration) {
        let said = self.lock();
        // Whether it was said or the time is up is asked afterwards.
        let _ = self.changed.wait_timeout_while(said, timeout, |said| !*said);
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Publishes what the feed says is due, until its end or until it is stopped.
///
/// [`Feed::next`] is taken to answer with the elapsed time at which to ask again.
pub fn run(feed: &mut dyn Feed, intake: &mut Intake, stop: &Stop) {
    publish_due(feed, intake, stop);
    intake.close();
}

fn publish_due(feed: &mut dyn Feed, intake: &mut Intake, stop: &Stop) {
    let mut start = Instant::now();
    let mut due = Vec::new();
    let mut next = Some(Duration::ZERO);
    let mut roomy = true;
    while !stop.is_said() {
        let elapsed = start.elapsed();
        let Some(at) = next else {
            if roomy {
                return;
            }
            stop.wait(RETRY);
            roomy = intake.flush();
            continue;
        };
        if elapsed < at {
            stop.wait(if roomy { at - elapsed } else { RETRY.min(at - elapsed) });
            roomy = roomy || intake.flush();
            continue;
        }
        let lost = lost(elapsed, at);
        start += lost;
        next = feed.next(elapsed - lost, &mut due);
        roomy = intake.publish(due.drain(..));
    }
}

/// How much of a feed's time is given up when it named `at` and it is `elapsed`.
fn lost(elapsed: Duration, at: Duration) -> Duration {
    elapsed.saturating_sub(at).saturating_sub(LATE_LIMIT)
}

/// A feed on its own thread.
pub struct Running {
    stop: Arc<Stop>,
    stats: Arc<FeedStats>,
    thread: JoinHandle<()>,
}

impl Running {
    /// Starts a feed that publishes as `feed:NAME`.
    pub fn start(name: &str, mut feed: Box<dyn Feed>, hub: Arc<Hub>) -> io::Result<Self> {
        let name = format!("feed:{name}");
        let mut intake = Intake::new(hub, &name);
        let stats = intake.stats().clone();
        let stop = Arc::new(Stop::default());
        let stopped = stop.clone();
        let run = move || run(&mut *feed, &mut intake, &stopped);
        let thread = std::thread::Builder::new().name(name).spawn(run)?;
        Ok(Running { stop, stats, thread })
    }

    /// What became of its publications.
    pub fn stats(&self) -> &FeedStats {
        &self.stats
    }

    /// Ends the feed and waits for its thread.
    pub fn stop(self) {
        self.stop.say();
        if self.thread.join().is_err() {
            tracing::error!("a feed's thread panicked");
        }
    }
}

#[cfg(test)]
mod tests;
