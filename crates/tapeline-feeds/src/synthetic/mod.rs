//! A seeded market for `tapeline serve --demo`: the same seed says the same at the same elapsed times, however
//! often it is asked. It owns the timetable; what is said is its parts'. It reads no clock.

mod desk;
mod event;
mod market;
mod portfolio;
mod training;

use std::time::Duration;

use tapeline_core::command::Publication;
use tapeline_core::feed::Feed;

use crate::random::Random;
use event::Moment;
use market::Instrument;
use portfolio::Portfolio;
use training::Training;

pub use market::{BOOK_LEVELS, QUIET, QUIET_SYMBOL};
pub use portfolio::PORTFOLIO;
pub use training::EXPERIMENT;

/// Everything is said for the first time within this.
pub const OPENING: Duration = Duration::from_secs(1);

/// What happens again and again; of a symbol where a number is given.
#[derive(Clone, Copy)]
enum Beat {
    Quote(usize),
    Book(usize),
    Print(usize),
    Mood(usize),
    Orders,
    Value,
    Training,
    Agent,
    Health,
    Metric,
    Signal,
    News,
}

impl Beat {
    /// How long from one to the next, on average.
    fn mean(self) -> Duration {
        Duration::from_millis(match self {
            Beat::Quote(symbol) => 140 + 30 * symbol as u64,
            Beat::Book(_) => 300,
            Beat::Print(_) => 500,
            Beat::Mood(_) => 4_000,
            Beat::Orders => 700,
            Beat::Value => 1_000,
            Beat::Training => 500,
            Beat::Agent => 900,
            Beat::Health => 2_000,
            Beat::Metric => 500,
            Beat::Signal => 6_000,
            Beat::News => 15_000,
        })
    }
}

struct Timed {
    at: Duration,
    beat: Beat,
}

/// See the module.
pub struct Synthetic {
    start_us: u64,
    random: Random,
    timetable: Vec<Timed>,
    market: Vec<Instrument>,
    portfolio: Portfolio,
    training: Training,
}

impl Synthetic {
    /// A market that opens at this wall time, microseconds since 1970.
    pub fn new(seed: u64, start_us: u64) -> Self {
        let mut random = Random::new(seed);
        let market = market::instruments(&mut random);
        let of_symbols =
            (0..market.len()).flat_map(|n| [Beat::Quote(n), Beat::Book(n), Beat::Print(n), Beat::Mood(n)]);
        let others = [
            Beat::Orders,
            Beat::Value,
            Beat::Training,
            Beat::Agent,
            Beat::Health,
            Beat::Metric,
            Beat::Signal,
            Beat::News,
        ];
        let opening = |beat: Beat| Timed { at: random.up_to(OPENING.min(beat.mean())), beat };
        let timetable = of_symbols.chain(others).map(opening).collect();
        let portfolio = Portfolio::new(&market);
        Synthetic { start_us, random, timetable, market, portfolio, training: Training::new() }
    }

    fn play(&mut self, beat: Beat, at: Duration, due: &mut Vec<Publication>) {
        let mut moment = Moment { elapsed: at, start_us: self.start_us, random: &mut self.random, due };
        let moment = &mut moment;
        match beat {
            Beat::Quote(n) | Beat::Book(n) | Beat::Print(n) | Beat::Mood(n) => {
                if let Some(instrument) =
                    self.market.get_mut(n).filter(|instrument| !instrument.is_quiet(moment))
                {
                    match beat {
                        Beat::Quote(_) => instrument.quote(moment),
                        Beat::Book(_) => instrument.book(moment),
                        Beat::Print(_) => instrument.print(moment),
                        _ => instrument.mood(moment),
                    }
                }
            }
            Beat::Orders => self.portfolio.trade(&self.market, moment),
            Beat::Value => self.portfolio.value(&self.market, moment),
            Beat::Training => self.training.step(moment),
            Beat::Agent => desk::agent(moment),
            Beat::Health => desk::health(moment),
            Beat::Metric => desk::metric(moment),
            Beat::Signal => desk::signal(&self.market, moment),
            Beat::News => desk::news(moment),
        }
    }
}

impl Feed for Synthetic {
    /// Answers with the elapsed time of the next publication.
    fn next(&mut self, elapsed: Duration, due: &mut Vec<Publication>) -> Option<Duration> {
        loop {
            let timed = self.timetable.iter_mut().min_by_key(|timed| timed.at)?;
            if timed.at > elapsed {
                return Some(timed.at);
            }
            let (at, beat) = (timed.at, timed.beat);
            timed.at += self.random.jitter(beat.mean());
            self.play(beat, at, due);
        }
    }
}

#[cfg(test)]
mod tests;
