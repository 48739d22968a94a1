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
        14_468_017_127_428,
        18_217_806_392_844,
        22_331_694_213_615,
        46_483_320_548_235,
        49_540_578_759_339,
        50_004_231_838_985,
        50_865_001_627_809,
        66_514_746_387_566,
        68_685_579_831_748,
        69_928_379_535_680,
        74_043_802_210_329,
        96_398_190_397_238,
        105_459_571_095_105,
        106_439_586_452_981,
        108_444_682_089_641,
        115_335_306_406_065,
        118_260_365_709_721,
        118_794_124_123_840,
        128_227_612_010_392,
        139_569_933_373_784,
        145_678_598_590_154,
        163_205_891_444_367,
        163_445_192_490_659,
        164_768_031_061_725,
        176_151_353_385_912,
        181_334_602_381_124,
        218_902_494_664_424,
        221_591_527_962_961,
        224_154_753_100_711,
        227_267_494_404_286,
        227_949_748_951_429,
        235_985_120_857_631,
        243_215_003_103_588,
        246_062_544_052_063,
        257_668_204_795_144,
        259_996_923_007_406,
        261_780_219_466_762,
        265_684_489_657_190,
        270_512_466_233_309,
        272_834_146_569_811,
        277_304_861_824_138,
        277_655_337_707_257,
        281_043_056_677_293,
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
