//! A fixed handful of simulated worlds, so that `cargo test` attacks the core too. `cargo xtask sim` runs more of them,
//! with a seed of its own.

use std::sync::Arc;

use tapeline_brokers::memory::MemoryBroker;
use tapeline_core::Clock;
use tapeline_core::testkit::sim::{Opened, Options, run_world, world_seed};

fn open(clock: Arc<dyn Clock>, seed: u64) -> Opened {
    let broker = Arc::new(MemoryBroker::new(clock, seed));
    let swept = broker.clone();
    Opened { broker, sweep: Box::new(move || swept.sweep()) }
}

#[test]
fn a_fixed_handful_of_worlds_keeps_every_promise() {
    for number in 0..400 {
        if let Err(violation) = run_world(world_seed(7, number), &open, Options::default()) {
            panic!("{violation}");
        }
    }
}

#[test]
fn a_seed_is_a_whole_run() {
    let run = || run_world(7, &open, Options::default()).map_err(|violation| violation.what);
    assert_eq!(run(), run());
}
