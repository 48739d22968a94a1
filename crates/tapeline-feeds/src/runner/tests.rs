//! When a feed is asked, and that it ends.

use super::*;

use tapeline_core::command::Publication;

use crate::intake::fake;

/// Says a number at each of its times.
struct Script(Vec<Duration>);

impl Feed for Script {
    fn next(&mut self, elapsed: Duration, due: &mut Vec<Publication>) -> Option<Duration> {
        while self.0.first().is_some_and(|at| *at <= elapsed) {
            self.0.remove(0);
            due.push(fake::said("trades:p", self.0.len()));
        }
        self.0.first().copied()
    }
}

#[test]
fn a_feed_is_run_to_its_end() {
    let (mut intake, notebook) = fake::intake();
    let millis = [0, 5, 5, 20].map(Duration::from_millis).to_vec();
    let started = Instant::now();
    run(&mut Script(millis), &mut intake, &Stop::default());
    assert!(started.elapsed() >= Duration::from_millis(20));
    assert_eq!(notebook.taken(), ["trades:p 3", "trades:p 2", "trades:p 1", "trades:p 0"]);
}

#[test]
fn a_feed_that_is_waiting_ends_when_it_is_told() {
    let (hub, notebook) = fake::hub();
    let distant = vec![Duration::ZERO, Duration::from_secs(3_600)];
    let running = Running::start("test", Box::new(Script(distant)), hub).unwrap();
    while running.stats().published.read() == 0 {
        std::thread::yield_now();
    }
    running.stop();
    assert_eq!(notebook.taken(), ["trades:p 1"]);
}

#[test]
fn what_a_busy_hub_did_not_take_is_offered_again_after_the_feeds_end() {
    let (mut intake, notebook) = fake::intake();
    notebook.be_busy(true);
    let freed = notebook.clone();
    let later = std::thread::spawn(move || {
        while freed.refused() < 3 {
            std::thread::yield_now();
        }
        freed.be_busy(false);
    });
    run(&mut Script(vec![Duration::ZERO]), &mut intake, &Stop::default());
    later.join().unwrap();
    assert_eq!(notebook.taken(), ["trades:p 0"]);
}

#[test]
fn a_feeds_time_stands_still_while_the_machine_sleeps() {
    let (named, hour) = (Duration::from_secs(10), Duration::from_secs(3_600));
    assert_eq!(lost(named + LATE_LIMIT, named), Duration::ZERO);
    assert_eq!(named + hour - lost(named + hour, named), named + LATE_LIMIT);
}
