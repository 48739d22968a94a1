//! The simulator: many short worlds, each a floor with everything random that a seed decides: who pushes what, how each
//! component behaves, how the clocks jump, when it is restarted. After every step the numbers must come to the same on
//! both sides; at the end every critical message has its place. A failure names its seed.
//!
//! `TAPELINE_PIPELINE_WORLDS=10000` runs so many worlds; `TAPELINE_PIPELINE_SEED=7` begins at that one.

mod actor;
mod overload;
mod world;

use world::{Cast, World};

const WORLDS: u64 = 300;
const STEPS: usize = 250;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn seeds() -> std::ops::Range<u64> {
    let first = number("TAPELINE_PIPELINE_SEED", 1);
    first..first + number("TAPELINE_PIPELINE_WORLDS", WORLDS)
}

#[test]
fn whatever_happens_the_numbers_balance_and_critical_messages_keep_their_place() {
    let mut seen = world::Seen::default();
    for seed in seeds() {
        let mut world = World::new(seed, Cast::Everybody);
        for step in 0..STEPS {
            world.step();
            world.check().unwrap_or_else(|what| panic!("seed {seed}, step {step}: {what}"));
        }
        world.finish().unwrap_or_else(|what| panic!("seed {seed}, at the end: {what}"));
        seen.add(&world.seen);
    }
    seen.assert_that_everything_happened();
}

#[test]
fn what_one_component_does_changes_nothing_for_the_others() {
    let run = |seed, cast| {
        let mut world = World::new(seed, cast);
        (0..STEPS).for_each(|_| world.step());
        world.deliveries()
    };
    let mut deliveries = 0;
    for seed in seeds() {
        let (with, without) = (run(seed, Cast::OneIsBad), run(seed, Cast::WithoutIt));
        assert_eq!(with, without, "seed {seed}");
        deliveries += with.iter().map(|(_, of)| of.len()).sum::<usize>();
    }
    assert!(deliveries > 10_000, "only {deliveries} deliveries were compared");
}
