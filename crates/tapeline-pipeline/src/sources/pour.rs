//! Puts in whatever somebody yields, at the pace of the pipeline: a full critical lane holds it back.

use tapeline_core::feed::Update;

use crate::floor::{Pushed, Refusal};
use crate::source::Source;

/// What became of what was yielded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Poured {
    /// Taken in.
    pub accepted: u64,
    /// Left out, since it came before or is not what its channel says.
    pub left_out: u64,
    /// Not taken, for want of room or as the pipeline is stopped; nothing more is yielded after the latter.
    pub refused: u64,
}

impl Poured {
    /// Counts one; `false` if there is no use in going on.
    fn count(&mut self, pushed: &Pushed) -> bool {
        match pushed {
            Pushed::Accepted => self.accepted += 1,
            Pushed::Repeated | Pushed::Invalid(_) => self.left_out += 1,
            Pushed::Refused(_) => self.refused += 1,
        }
        !matches!(pushed, Pushed::Refused(Refusal::Stopped))
    }
}

/// Puts in what an iterator yields, to its end or until the pipeline is stopped; for plain threads.
pub fn pour(source: &Source, updates: impl IntoIterator<Item = Update>) -> Poured {
    let mut poured = Poured::default();
    for update in updates {
        if !poured.count(&source.push_wait(update)) {
            break;
        }
    }
    poured
}

/// [`pour`] for a stream or a channel, by what takes its next: `pour_async(&source, async || updates.recv().await)`.
pub async fn pour_async(source: &Source, mut next: impl AsyncFnMut() -> Option<Update>) -> Poured {
    let mut poured = Poured::default();
    while let Some(update) = next().await {
        if !poured.count(&source.push_async(update).await) {
            break;
        }
    }
    poured
}
