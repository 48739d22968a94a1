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
    for number in 0..200 {
        if let Err(violation) = run_world(world_seed(7, number), &open, Options::default()) {
            panic!("{violation}");
        }
    }
}

#[test]
fn worlds_that_broke_a_promise_before_keep_it_now() {
    let seeds = [
        65_123_348_189_096,
        163_553_275_683_807,
        187_526_990_178_682,
        195_112_391_671_904,
        206_868_636_062_486,
        235_493_074_562_436,
        260_103_488_302_901,
        260_674_979_686_288,
        262_606_282_212_954,
        274_282_103_932_911,
        280_013_124_131_612,
        280_087_741_142_433,
    ];
    for seed in seeds {
        if let Err(violation) = run_world(seed, &open, Options::default()) {
            panic!("{violation}");
        }
    }
}

#[test]
fn a_seed_is_a_whole_run() {
    let run = || run_world(7, &open, Options::default()).map_err(|violation| violation.what);
    assert_eq!(run(), run());
}
