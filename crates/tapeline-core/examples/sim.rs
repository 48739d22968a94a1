//! Runs the simulator against the memory broker: `sim [--seed N] [--seconds S] [--worlds N] [--trace]`.
//!
//! Without a seed it takes one from the time and prints it first. A failure prints the seed of its world: with
//! `--seed` that, and `--worlds 1 --trace`, it happens again and tells how.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tapeline_brokers::memory::MemoryBroker;
use tapeline_core::Clock;
use tapeline_core::testkit::sim::{Opened, Options, run_world, world_seed};

struct Flags {
    seed: u64,
    seconds: u64,
    worlds: u64,
    options: Options,
}

fn flags() -> Result<Flags, String> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let mut flags = Flags {
        seed: now.as_nanos() as u64 >> 8,
        seconds: 10,
        worlds: u64::MAX,
        options: Options::default(),
    };
    let mut given = std::env::args().skip(1);
    while let Some(flag) = given.next() {
        let mut number = || {
            let value = given.next().and_then(|value| value.parse().ok());
            value.ok_or_else(|| format!("{flag} needs a number"))
        };
        match flag.as_str() {
            "--seed" => flags.seed = number()?,
            "--seconds" => flags.seconds = number()?,
            "--worlds" => flags.worlds = number()?,
            "--trace" => flags.options.trace = true,
            other => {
                return Err(format!("unknown flag {other}; known: --seed --seconds --worlds --trace"));
            }
        }
    }
    Ok(flags)
}

fn open(clock: Arc<dyn Clock>, seed: u64) -> Opened {
    let broker = Arc::new(MemoryBroker::new(clock, seed));
    let swept = broker.clone();
    Opened { broker, sweep: Box::new(move || swept.sweep()) }
}

fn main() -> ExitCode {
    let Flags { seed, seconds, worlds, options } = match flags() {
        Ok(flags) => flags,
        Err(error) => {
            eprintln!("sim: {error}");
            return ExitCode::from(2);
        }
    };
    println!("sim: seed {seed}");
    let until = Instant::now() + Duration::from_secs(seconds);
    let (mut ran, mut steps) = (0, 0);
    while ran < worlds && (ran == 0 || Instant::now() < until) {
        match run_world(world_seed(seed, ran), &open, options) {
            Ok(more) => steps += more,
            Err(violation) => {
                println!("sim: {violation}");
                return ExitCode::FAILURE;
            }
        }
        ran += 1;
    }
    println!("sim: {ran} seeds, {steps} steps, no violation");
    ExitCode::SUCCESS
}
