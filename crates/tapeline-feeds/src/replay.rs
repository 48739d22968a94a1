//! Recordings played back: files of `<receive time in ns> <JSON>` merged by time since each one's own start.
//!
//! Owns the merging, the pacing and which channel a line goes to ([`binance`] knows that exchange's words).
//! Refuses to know where publications go: it is a [`Feed`] that is asked what is due, and never sleeps.

mod binance;
mod error;
mod recording;
mod source;
mod speed;

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use tapeline_core::command::Publication;
use tapeline_core::feed::Feed;

use source::Source;

pub use error::ReplayError;
pub use recording::Recording;
pub use speed::Speed;

/// Publications handed out by one call, so that "as fast as possible" does not read whole files into memory.
const SLICE: usize = 256;
/// Streams that [`Replay::left_out`] names; all others count as one.
const LEFT_OUT_NAMES: usize = 64;

/// Whose words the recordings are in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Binance market streams with REST depth snapshots between them.
    #[default]
    Binance,
}

/// How to play.
#[derive(Clone, Debug, Default)]
pub struct ReplayOptions {
    /// Whose words.
    pub format: Format,
    /// How fast.
    pub speed: Speed,
    /// Stop after so many publications.
    pub limit: Option<u64>,
    /// Appended to every symbol as `-TEXT`. Without it, recordings that carry the same symbol get the part of
    /// their names before the first `-`.
    pub suffix: Option<String>,
}

/// Recordings as a feed.
pub struct Replay {
    sources: Vec<Source>,
    speed: Speed,
    left: u64,
    /// Which recording a symbol comes from: two order books in one channel would be none.
    claims: HashMap<String, usize>,
    left_out: BTreeMap<String, u64>,
    failure: Option<ReplayError>,
}

impl Replay {
    /// Looks into each recording far enough to know its symbol.
    ///
    /// # Errors
    /// A recording that cannot be read or begins with a bad line, and recordings that cannot be told apart.
    pub fn new(recordings: Vec<Recording>, options: ReplayOptions) -> Result<Self, ReplayError> {
        let ReplayOptions { format: Format::Binance, speed, limit, suffix } = options;
        let mut sources = recordings.into_iter().map(Source::open).collect::<Result<Vec<_>, _>>()?;
        let collide = collision(&sources).is_some();
        for source in &mut sources {
            let own = collide.then(|| source.recording.short_name());
            source.suffix = suffix.clone().or(own);
        }
        if let Some((symbol, first, second)) = collision(&sources) {
            return Err(ReplayError::Collision { symbol, first, second });
        }
        let mut replay = Replay {
            sources,
            speed,
            left: limit.unwrap_or(u64::MAX),
            claims: HashMap::new(),
            left_out: BTreeMap::new(),
            failure: None,
        };
        for index in 0..replay.sources.len() {
            replay.advance(index)?;
        }
        Ok(replay)
    }

    /// Why the replay ended before its end, once.
    pub fn take_failure(&mut self) -> Option<ReplayError> {
        self.failure.take()
    }

    /// Lines that have no channel, by stream.
    pub fn left_out(&self) -> &BTreeMap<String, u64> {
        &self.left_out
    }

    /// The source whose next publication is the oldest, and when that is due; the first one where two are equal.
    fn earliest(&self) -> Option<(usize, Duration)> {
        let heads = self.sources.iter().enumerate();
        let ready = heads.filter_map(|(index, source)| Some((index, source.head.as_ref()?.since_start_ns)));
        let (index, since_start_ns) = ready.min_by_key(|(_, at)| *at)?;
        Some((index, self.speed.due(since_start_ns)))
    }

    /// Reads on to the source's next line that has a channel.
    fn advance(&mut self, index: usize) -> Result<(), ReplayError> {
        let Some(source) = self.sources.get_mut(index) else { return Ok(()) };
        let left_out = &mut self.left_out;
        let symbol = source.read_head(&mut |stream| count(left_out, stream))?;
        let Some(symbol) = symbol else { return Ok(()) };
        match self.claims.get(&symbol) {
            Some(owner) if *owner == index => Ok(()),
            Some(owner) => {
                let first = self.sources.get(*owner).map(|source| source.recording.name().to_string());
                let second = self.sources.get(index).map(|source| source.recording.name().to_string());
                let (first, second) = (first.unwrap_or_default(), second.unwrap_or_default());
                Err(ReplayError::Collision { symbol, first, second })
            }
            None => {
                self.claims.insert(symbol, index);
                Ok(())
            }
        }
    }
}

impl Feed for Replay {
    fn next(&mut self, elapsed: Duration, due: &mut Vec<Publication>) -> Option<Duration> {
        for _ in 0..SLICE {
            if self.left == 0 {
                return None;
            }
            let (index, at) = self.earliest()?;
            if at > elapsed {
                return Some(at);
            }
            due.extend(self.sources.get_mut(index)?.head.take().map(|head| head.publication));
            self.left -= 1;
            if let Err(error) = self.advance(index) {
                self.failure = Some(error);
                self.sources.clear();
                return None;
            }
        }
        Some(elapsed)
    }
}

/// A symbol that two sources would publish under the same name, and their names.
fn collision(sources: &[Source]) -> Option<(String, String, String)> {
    let mut seen = HashMap::new();
    for source in sources {
        let Some(symbol) = source.symbol() else { continue };
        let name = source.recording.name();
        if let Some(first) = seen.insert(symbol.clone(), name) {
            return Some((symbol, first.to_string(), name.to_string()));
        }
    }
    None
}

fn count(left_out: &mut BTreeMap<String, u64>, stream: &str) {
    let known = left_out.contains_key(stream) || left_out.len() < LEFT_OUT_NAMES;
    let name = if known { stream } else { "others" };
    *left_out.entry(name.to_string()).or_default() += 1;
}

#[cfg(test)]
mod tests;
